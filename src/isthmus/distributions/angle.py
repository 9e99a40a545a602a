"""Angles."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from isthmus.distributions.base import Valuewise
from isthmus.distributions.noise import Noise

LOG_2PI = math.log(2 * math.pi)
_LINALG: Any = torch.linalg  # torch leaves them without type hints
_SPECIAL: Any = torch.special


class VonMises(Valuewise):
    r"""Angles :math:`\theta`, as (cos, sin): :math:`\log p(\theta) = \eta^\top (\cos\theta, \sin\theta) - \log 2\pi I_0(\lVert\eta\rVert)`.

    The direction of :math:`\eta` is the mean direction, its length the concentration :math:`\kappa`. The density is that of the angle in
    radians.

    Parameters
    ----------
    natural : Tensor of shape (batch, ..., 2)
        :math:`\eta`.

    Examples
    --------
    >>> VonMises(torch.zeros(1, 2)).log_prob(torch.tensor([[0.0, 1.0]]))
    tensor([-1.8379])
    """

    def __init__(self, natural: Tensor) -> None:
        self.natural = natural

    @property
    def concentration(self) -> Tensor:
        """Concentration, shape (batch, ...)."""
        return _LINALG.vector_norm(self.natural, dim=-1)

    @property
    def mode(self) -> Tensor:
        """Mean direction, of length 1."""
        size = self.concentration[..., None]
        ahead = torch.stack([torch.ones_like(self.natural[..., 0]), torch.zeros_like(self.natural[..., 0])], -1)
        return torch.where(size > 0, self.natural / size.masked_fill(size == 0, 1.0), ahead)

    @property
    def mean(self) -> Tensor:
        """Expected (cos, sin): within the circle, the nearer to its centre the less certain."""
        size = self.concentration[..., None]
        return self.mode * (_SPECIAL.i1e(size) / _SPECIAL.i0e(size))

    def log_probs(self, x: Tensor) -> Tensor:
        """Log density in nats, shape (batch, ...): one axis less than `x`."""
        size = self.concentration
        return (self.natural * x).sum(-1) - _SPECIAL.i0e(size).log() - size - LOG_2PI

    def sample(self, noise: Noise) -> Tensor:
        """Draw by rejection from a wrapped Cauchy (Best and Fisher, Applied Statistics 28, 1979); no gradient passes."""
        kappa = self.concentration.detach().double().clamp_min(1e-6)
        tau = 1 + (1 + 4 * kappa.square()).sqrt()
        # rho = (tau - sqrt(2 tau)) / (2 kappa), and r = (1 + rho^2) / (2 rho)
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        r = (1 + rho.square()) / (2 * rho)
        turned = torch.zeros_like(kappa)
        missing = torch.ones_like(kappa, dtype=torch.bool)
        while bool(missing.any()):
            first, second, third = (noise.uniform(kappa) for _ in range(3))
            z = (math.pi * first).cos()
            f = (1 + r * z) / (r + z)
            c = kappa * (r - f)
            taken = missing & ((c * (2 - c) > second) | ((c / second).log() + 1 >= c))
            turned = torch.where(taken, (third - 0.5).sign() * f.clamp(-1, 1).acos(), turned)
            missing = missing & ~taken
        ahead = self.mode.detach().double()
        cos, sin = turned.cos(), turned.sin()
        turn = [ahead[..., 0] * cos - ahead[..., 1] * sin, ahead[..., 0] * sin + ahead[..., 1] * cos]
        return torch.stack(turn, -1).to(self.natural.dtype)
