"""Priors that prefer no code: on the sphere, in the cube, over categories."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.distributions import Distribution, Noise
from isthmus.distributions.posterior import Domain
from isthmus.distributions.sphere import log_area
from isthmus.errors import ConfigError
from isthmus.priors.base import Prior, known_entropies
from isthmus.spec import register


@register("prior.uniform_sphere")
class UniformSphere(Prior):
    r"""Uniform on the unit sphere: :math:`\mathrm{KL} = \log A_m - H(q)` with the sphere's area :math:`A_m = 2\pi^{m/2}/\Gamma(m/2)`.

    Parameters
    ----------
    latent : int
        Dimensions m of the space around the sphere.

    References
    ----------
    Davidson et al., "Hyperspherical variational auto-encoders", UAI 2018, equation 4.

    Examples
    --------
    >>> UniformSphere(3).log_prob(torch.tensor([[0.0, 0.0, 1.0]]))
    tensor([-2.5310])
    """

    domain: ClassVar[Domain] = "sphere"

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = int(latent)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density with respect to the sphere's area, shape (batch,)."""
        return torch.full_like(z[:, 0], -log_area(self.latent))

    def divergence(self, q: Distribution, z: Tensor) -> Tensor:  # noqa: ARG002 (closed form)
        """KL of all units together, shape (batch, 1); errors as for the base class."""
        self.check(q)
        return log_area(self.latent) - known_entropies(q)

    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent)."""
        return functional.normalize(noise.normal(torch.empty(rows, self.latent)), dim=1)


@register("prior.uniform_cube")
class UniformCube(Prior):
    r"""Uniform on the unit cube: :math:`\mathrm{KL}_j = -H(q_j)`.

    Parameters
    ----------
    latent : int

    Examples
    --------
    >>> UniformCube(2).log_prob(torch.full((1, 2), 0.5))
    tensor([0.])
    """

    domain: ClassVar[Domain] = "cube"

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = int(latent)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density, 0 inside and minus infinity outside, shape (batch,)."""
        outside = ((z < 0) | (z > 1)).any(1)
        return torch.zeros_like(z[:, 0]).masked_fill(outside, -math.inf)

    def divergence(self, q: Distribution, z: Tensor) -> Tensor:  # noqa: ARG002 (closed form)
        """KL per unit, shape (batch, latent); errors as for the base class."""
        self.check(q)
        return -known_entropies(q)

    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent)."""
        return noise.uniform(torch.empty(rows, self.latent))


@register("prior.uniform_categories")
class UniformCategories(Prior):
    r"""Every category of every group alike: :math:`\mathrm{KL}_g = \log K - H(\pi_g)`, that of the categories, not of their relaxation.

    Parameters
    ----------
    latent : int
        Width of the code, a multiple of `categories`.
    categories : int

    Raises
    ------
    ConfigError
        If `latent` is no multiple of `categories`.

    References
    ----------
    Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017, section 3.

    Examples
    --------
    >>> UniformCategories(4, categories=2).log_prob(torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
    tensor([-1.3863])
    """

    domain: ClassVar[Domain] = "simplex"

    def __init__(self, latent: int, categories: int = 8) -> None:
        super().__init__()
        if categories < 2 or latent % categories:
            raise ConfigError(f"latent ({latent}) must be a multiple of categories ({categories}), and categories at least 2")
        self.latent, self.categories = int(latent), int(categories)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log probability of one-hot codes, shape (batch,)."""
        return torch.full_like(z[:, 0], -math.log(self.categories) * (self.latent // self.categories))

    def divergence(self, q: Distribution, z: Tensor) -> Tensor:  # noqa: ARG002 (closed form)
        """KL per group, shape (batch, groups); errors as for the base class."""
        self.check(q)
        return math.log(self.categories) - known_entropies(q)

    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw one-hot codes, shape (rows, latent)."""
        u = noise.uniform(torch.empty(rows, self.latent // self.categories))
        return functional.one_hot((u * self.categories).long(), self.categories).float().flatten(1)
