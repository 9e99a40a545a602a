"""Distributions made of a simple one by invertible maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.distributions.autoregressive import Autoregressive
from isthmus.distributions.noise import Noise, SharedNoise
from isthmus.distributions.posterior import Posterior
from isthmus.distributions.real import Normal

ESTIMATED = 64  # draws from which moments without a closed form are taken
HALVINGS = 80
OPEN = math.log(math.expm1(1.0))  # softplus of it is 1


class Map(Protocol):
    """An invertible map of codes."""

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image of `z` and the log of the map's Jacobian determinant, shape (batch,)."""
        ...

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` maps to `z`, and the log determinant of `forward` there."""
        ...


class Transformed(Posterior):
    r"""What maps :math:`f = f_K \circ \dots \circ f_1` make of a Gaussian: :math:`\log p(f(z)) = \log p_0(z) - \sum_k\log|\det J_k|`.

    Parameters
    ----------
    base : Normal
    maps : sequence of Map

    References
    ----------
    Rezende and Mohamed, "Variational inference with normalizing flows", ICML 2015, equation 7.

    Examples
    --------
    >>> Transformed(Normal(torch.zeros(1, 2)), []).log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """

    def __init__(self, base: Normal, maps: Sequence[Map]) -> None:
        self.base = base
        self.maps = list(maps)
        self._drawn: tuple[Tensor, Tensor] | None = None

    @property
    def mean(self) -> Tensor:
        """The image of the base's mean: a middle of the distribution, which has no closed form for its mean."""
        return self.push(self.base.mean)[0]

    @property
    def variances(self) -> Tensor:
        """Variance of each unit over 64 draws, the same ones for every row."""
        noise = SharedNoise(0)
        return torch.stack([self.push(self.base.sample(noise))[0] for _ in range(ESTIMATED)]).var(0)

    def push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image of base codes `z` and the log determinant."""
        total = torch.zeros_like(z[:, 0])
        for step in self.maps:
            z, found = step.forward(z)
            total = total + found
        return z, total

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats, shape (batch,): at once for the newest draw, and by inverting the maps for others."""
        if self._drawn is not None and self._drawn[0] is x:
            return self._drawn[1]
        total = torch.zeros_like(x[:, 0])
        for step in reversed(self.maps):
            x, found = step.inverse(x)
            total = total + found
        return self.base.log_prob(x) - total

    def sample(self, noise: Noise) -> Tensor:
        """Draw; gradients pass."""
        start = self.base.sample(noise)
        z, total = self.push(start)
        self._drawn = z, self.base.log_prob(start) - total
        return z


class Planar:
    r""":math:`z' = z + \hat u\tanh(w^\top z + b)`, with :math:`\hat u` such that the map cannot fold.

    Parameters
    ----------
    w, u : Tensor of shape (batch, latent)
    b : Tensor of shape (batch, 1)

    References
    ----------
    Rezende and Mohamed, "Variational inference with normalizing flows", ICML 2015, equation 10 and appendix A.1.

    Examples
    --------
    >>> step = Planar(torch.ones(1, 2), torch.ones(1, 2), torch.zeros(1, 1))
    >>> back = step.inverse(step.forward(torch.full((1, 2), 0.25))[0])[0]
    >>> torch.allclose(back, torch.full((1, 2), 0.25))
    True
    """

    def __init__(self, w: Tensor, u: Tensor, b: Tensor) -> None:
        inner = (w * u).sum(1, keepdim=True)
        square = w.square().sum(1, keepdim=True).clamp_min(1e-12)
        self.w, self.b = w, b
        self.u = u + (functional.softplus(inner + OPEN) - 1 - inner) * w / square
        self.inner = functional.softplus(inner + OPEN) - 1

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return image and log determinant."""
        bend = ((self.w * z).sum(1, keepdim=True) + self.b).tanh()
        return z + self.u * bend, self._log_determinant(bend)

    def _log_determinant(self, bend: Tensor) -> Tensor:
        return torch.log1p((1 - bend.square()) * self.inner).squeeze(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the origin and the log determinant; the one number that matters, w z, is found by halving."""
        target = (self.w * z).sum(1, keepdim=True)
        with torch.no_grad():
            low, high = (target + sign * (self.inner.abs() + 1) for sign in (-1, 1))
            for _ in range(HALVINGS):
                middle = 0.5 * (low + high)
                above = middle + self.inner * (middle + self.b).tanh() > target
                low, high = torch.where(above, low, middle), torch.where(above, middle, high)
            found = 0.5 * (low + high)
        # One step of Newton's rule gives the root its gradient.
        bend = (found + self.b).tanh()
        slope = (1 + self.inner * (1 - bend.square())).detach()
        alpha = found - (found + self.inner * bend - target) / slope
        bend = (alpha + self.b).tanh()
        return z - self.u * bend, self._log_determinant(bend)


class InverseAutoregressive:
    r""":math:`z'_i = \sigma_i z_i + (1 - \sigma_i) m_i` with :math:`m_i, \sigma_i` computed from :math:`z_{<i}` and a context.

    Parameters
    ----------
    network : Autoregressive
        Two outputs per unit.
    context : Tensor of shape (batch, width), optional
    flipped : bool
        Whether the order of the units is reversed.

    References
    ----------
    Kingma et al., "Improved variational inference with inverse autoregressive flow", NeurIPS 2016, equations 13 and 14.

    Examples
    --------
    >>> step = InverseAutoregressive(Autoregressive(2))
    >>> z = torch.ones(1, 2)
    >>> bool((step.inverse(step.forward(z)[0])[0] - z).abs().max() < 1e-5)
    True
    """

    def __init__(self, network: Autoregressive, context: Tensor | None = None, flipped: bool = False) -> None:
        self.network, self.context, self.flipped = network, context, flipped

    def _turn(self, z: Tensor) -> Tensor:
        return z.flip(1) if self.flipped else z

    def _gates(self, z: Tensor) -> tuple[Tensor, Tensor]:
        move, gate = self.network(z, self.context).unbind(2)
        return move, functional.logsigmoid(gate + 2)  # open at first, as the paper advises

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return image and log determinant."""
        z = self._turn(z)
        move, log_gate = self._gates(z)
        gate = log_gate.exp()
        return self._turn(gate * z + (1 - gate) * move), log_gate.sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the origin and the log determinant, unit by unit."""
        z = self._turn(z)
        found, log_gate = torch.zeros_like(z), torch.zeros_like(z)
        for i in range(z.shape[1]):
            move, log_gate = self._gates(found)
            gate = log_gate[:, i].exp()
            value = (z[:, i] - (1 - gate) * move[:, i]) / gate
            found = torch.cat([found[:, :i], value[:, None], found[:, i + 1 :]], dim=1)
        return self._turn(found), log_gate.sum(1)


class Coupling(nn.Module):
    r"""Every other unit is scaled and moved by what a network makes of the rest: :math:`z'_b = z_b e^{s(z_a)} + t(z_a)`.

    Parameters
    ----------
    latent : int
    parity : {0, 1}
        Which units stay.
    hidden : int
        Width of the network's hidden layer.

    References
    ----------
    Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR 2017, section 3.

    Examples
    --------
    >>> layer, z = Coupling(3, 0), torch.ones(1, 3)
    >>> bool((layer.inverse(layer.forward(z)[0])[0] - z).abs().max() < 1e-5)
    True
    """

    def __init__(self, latent: int, parity: int, hidden: int = 64) -> None:
        super().__init__()
        self.stay = [i for i in range(latent) if i % 2 == parity]
        self.move = [i for i in range(latent) if i % 2 != parity]
        self.first = nn.Linear(len(self.stay), hidden)
        self.second = nn.Linear(hidden, 2 * len(self.move))

    def _made(self, z: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.second(functional.silu(self.first(z[:, self.stay]))).chunk(2, dim=1)
        return 2 * (log_scale / 2).tanh(), shift

    def _joined(self, z: Tensor, moved: Tensor) -> Tensor:
        order = [*self.stay, *self.move]
        return torch.cat([z[:, self.stay], moved], dim=1)[:, [order.index(i) for i in range(len(order))]]

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return image and log determinant."""
        log_scale, shift = self._made(z)
        return self._joined(z, z[:, self.move] * log_scale.exp() + shift), log_scale.sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the origin and the log determinant."""
        log_scale, shift = self._made(z)
        return self._joined(z, (z[:, self.move] - shift) * (-log_scale).exp()), log_scale.sum(1)
