"""Bottlenecks of other shapes than a Gaussian: heavier tails, the sphere, the cube, categories."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from isthmus.bottlenecks.base import Bottleneck
from isthmus.bottlenecks.gaussian import HIGHEST, LOWEST
from isthmus.distributions import Laplace as LaplaceDistribution
from isthmus.distributions.cube import Beta as BetaDistribution
from isthmus.distributions.cube import Kumaraswamy as KumaraswamyDistribution
from isthmus.distributions.relaxed import RelaxedCategorical
from isthmus.distributions.sphere import VonMisesFisher
from isthmus.errors import ConfigError
from isthmus.spec import register

LEAST = 1e-6  # of the squared length, whose root keeps a gradient
MOST = 1e5  # concentration
SHAPE = 4.0
SHAPES = (-3.0, 6.0)


@register("bottleneck.laplace")
class Laplace(Bottleneck):
    r"""Independent Laplace units :math:`q(z_j|x) = e^{-|z_j-\mu_j|/b_j}/2b_j`: heavier tails than a Gaussian's.

    Parameters
    ----------
    latent : int
        Width of the code.

    Examples
    --------
    >>> import torch
    >>> Laplace(2)(torch.zeros(1, 4)).scale
    tensor([[1., 1.]])
    """

    multiplier = 2

    def forward(self, h: Tensor) -> LaplaceDistribution:
        """Map (batch, 2 * latent) to the posterior."""
        location, log_scale = h.chunk(2, dim=1)
        return LaplaceDistribution(location, functional.hardtanh(log_scale, LOWEST, HIGHEST))


@register("bottleneck.von_mises_fisher")
class VonMisesFisherCode(Bottleneck):
    r"""Code on the unit sphere: :math:`q(z|x) \propto e^{\eta(x)^\top z}`, von Mises-Fisher by its natural parameter.

    The encoder gives h, and :math:`\eta = \text{latent}\cdot h`: its direction is that of the code, its length the concentration.
    So a row of which nothing is known lies at the middle, as for a Gaussian, and directions form as they pay; given apart, the
    direction of an untrained encoder is nearly the same for all rows and the code collapses.

    Parameters
    ----------
    latent : int
        Dimensions of the space around the sphere, at least 2.

    Raises
    ------
    ConfigError
        If `latent` is below 2.

    References
    ----------
    Davidson et al., "Hyperspherical variational auto-encoders", UAI 2018.

    Examples
    --------
    >>> import torch
    >>> VonMisesFisherCode(2)(torch.tensor([[3.0, 4.0]])).mean
    tensor([[0.6000, 0.8000]])
    """

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        if latent < 2:
            raise ConfigError(f"latent must be at least 2 for a code on the sphere, not {latent}")

    def forward(self, h: Tensor) -> VonMisesFisher:
        """Map (batch, latent) to the posterior."""
        length = (h.square().sum(1) + LEAST).sqrt()
        return VonMisesFisher(functional.normalize(h, dim=1), (self.latent * length).clamp_max(MOST))


@register("bottleneck.kumaraswamy")
class Kumaraswamy(Bottleneck):
    r"""Code in the unit cube: independent Kumaraswamy units, whose two shapes the encoder gives by their logarithms, within [-4, 4].

    Parameters
    ----------
    latent : int
        Width of the code.

    References
    ----------
    Nalisnick and Smyth, "Stick-breaking variational autoencoders", ICLR 2017.

    Examples
    --------
    >>> import torch
    >>> Kumaraswamy(1)(torch.zeros(1, 2)).mean
    tensor([[0.5000]])
    """

    multiplier = 2

    def forward(self, h: Tensor) -> KumaraswamyDistribution:
        """Map (batch, 2 * latent) to the posterior."""
        log_a, log_b = functional.hardtanh(h, -SHAPE, SHAPE).chunk(2, dim=1)
        return KumaraswamyDistribution(log_a, log_b)


@register("bottleneck.beta")
class Beta(Bottleneck):
    r"""Code in the unit cube: independent Beta units, whose two shapes the encoder gives by their logarithms, within [-3, 6].

    Parameters
    ----------
    latent : int
        Width of the code.

    References
    ----------
    Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", NeurIPS 2018, for the gradient of its draws.

    Examples
    --------
    >>> import torch
    >>> Beta(1)(torch.zeros(1, 2)).variances
    tensor([[0.0833]])
    """

    multiplier = 2

    def forward(self, h: Tensor) -> BetaDistribution:
        """Map (batch, 2 * latent) to the posterior."""
        log_a, log_b = functional.hardtanh(h, *SHAPES).chunk(2, dim=1)
        return BetaDistribution(log_a, log_b)


@register("bottleneck.relaxed_categorical")
class Categories(Bottleneck):
    """Code of groups of categories: relaxed draws in training, so that gradients pass, and one-hot ones else, so that the bound is one.

    Parameters
    ----------
    latent : int
        Width of the code, a multiple of `categories`.
    categories : int
        Width of each group, at least 2.
    temperature : float
        Of the relaxation: near 0 the draws are nearly one-hot and the gradients wild.

    Raises
    ------
    ConfigError
        If `latent` is no multiple of `categories`, or a number is out of its range.

    References
    ----------
    Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017.

    Examples
    --------
    >>> import torch
    >>> Categories(4, categories=2)(torch.zeros(1, 4)).mean
    tensor([[0.5000, 0.5000, 0.5000, 0.5000]])
    """

    def __init__(self, latent: int, categories: int = 8, temperature: float = 0.5) -> None:
        super().__init__(latent)
        if categories < 2 or latent % categories:
            raise ConfigError(f"latent ({latent}) must be a multiple of categories ({categories}), and categories at least 2")
        if not 0 < temperature < math.inf:
            raise ConfigError(f"temperature must be a positive number, not {temperature}")
        self.categories, self.temperature = categories, float(temperature)

    def forward(self, h: Tensor) -> RelaxedCategorical:
        """Map (batch, latent) to the posterior."""
        return RelaxedCategorical(h.view(h.shape[0], -1, self.categories), self.temperature, hard=not self.training)
