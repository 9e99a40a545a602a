"""Priors that learn from the codes: mixtures of Gaussians, of posteriors, and flows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from isthmus.distributions import Noise, Normal
from isthmus.distributions.flows import Coupling, Map, Transformed
from isthmus.distributions.mixture import mixture_log_prob, mixture_sample
from isthmus.distributions.splines import SplineCoupling
from isthmus.errors import ConfigError
from isthmus.priors.base import Encode, Prior
from isthmus.spec import register

LOWEST, HIGHEST = -7.0, 7.0


def _check(latent: int, name: str, count: int) -> int:
    if latent < 1 or not 1 <= count <= 100_000:
        raise ConfigError(f"{name} must lie between 1 and 100,000 and latent be at least 1; got {name}={count}, latent={latent}")
    return int(count)


class _Gaussians(Prior):
    """A mixture of diagonal Gaussians, wherever they come from."""

    @abstractmethod
    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return log weights of shape (K,), locations and log scales of shape (K, latent)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        return mixture_log_prob(z, *self._parts())

    @torch.no_grad()
    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent)."""
        return mixture_sample(rows, *self._parts(), noise)


@register("prior.mixture")
class Mixture(_Gaussians):
    r"""Learned mixture of diagonal Gaussians, :math:`p(z) = \sum_k\pi_k\,\mathcal N(z;\mu_k,\mathrm{diag}\,\sigma_k^2)`.

    Parameters
    ----------
    latent : int
    components : int

    Raises
    ------
    ConfigError
        If a number is below 1.

    References
    ----------
    Dilokthanakul et al., "Deep unsupervised clustering with Gaussian mixture variational autoencoders", 2016; compared as a prior
    in Tomczak and Welling, AISTATS 2018.

    Examples
    --------
    >>> Mixture(2, components=1).log_prob(torch.zeros(1, 2))
    tensor([-1.8379], grad_fn=<CatBackward0>)
    """

    def __init__(self, latent: int, components: int = 20) -> None:
        super().__init__()
        _check(latent, "components", components)
        self.latent = int(latent)
        self.logits = nn.Parameter(torch.zeros(components))
        self.location = nn.Parameter(torch.zeros(components, latent))
        self.log_scale = nn.Parameter(torch.zeros(components, latent))

    def initialise(self, generator: torch.Generator) -> None:
        """Spread the components as the standard normal prior would."""
        with torch.no_grad():
            self.location.copy_(torch.randn(self.location.shape, generator=generator, dtype=torch.float64))
            self.log_scale.zero_()
            self.logits.zero_()

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.logits.log_softmax(0), self.location, self.log_scale.clamp(LOWEST, HIGHEST)


@register("prior.vamp")
class Vamp(_Gaussians):
    r"""VampPrior: the posteriors of learned pseudo-rows, :math:`p(z) = \tfrac1K\sum_k q(z|u_k)`.

    Parameters
    ----------
    latent : int
    shape : sequence of int
        Shape of a row.
    components : int
        Pseudo-rows K.
    unit : bool
        Whether rows lie within [0, 1], which decides where the pseudo-rows begin.

    Raises
    ------
    ConfigError
        If a number is below 1.

    References
    ----------
    Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018, equation 9.

    Examples
    --------
    >>> Vamp(2, (28, 28, 1), components=3).rows.shape
    torch.Size([3, 28, 28, 1])
    """

    def __init__(self, latent: int, shape: Sequence[int], components: int = 50, unit: bool = False) -> None:
        super().__init__()
        _check(latent, "components", components)
        self.latent, self.unit = int(latent), unit
        self.rows = nn.Parameter(torch.zeros(components, *shape))
        self._encode: tuple[Encode, ...] = ()

    def initialise(self, generator: torch.Generator) -> None:
        """Begin with noise in the range of the rows."""
        with torch.no_grad():
            numbers = torch.rand if self.unit else torch.randn
            self.rows.copy_(numbers(self.rows.shape, generator=generator, dtype=torch.float64))

    @torch.no_grad()
    def begin(self, rows: Tensor) -> None:
        """Begin with training rows, spread over all: a prior of noise has next to nothing to do with the codes of rows."""
        spread = torch.linspace(0, len(rows) - 1, len(self.rows)).round().long()
        self.rows.copy_(rows[spread.to(rows.device)])

    def bind(self, encode: Encode, bottleneck: nn.Module) -> None:  # noqa: ARG002
        """Take the encoder of the model."""
        self._encode = (encode,)

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        if not self._encode:
            raise ConfigError("the VampPrior is not bound to an encoder yet: put both into isthmus.models.Autoencoder")
        q = self._encode[0](self.rows)
        if not isinstance(q, Normal):
            raise ConfigError(f"the VampPrior needs a Gaussian bottleneck, not one that returns {type(q).__name__}")
        return q.location.new_zeros(len(self.rows)).log_softmax(0), q.location, q.scale.log()


@register("prior.flow")
class Flow(Prior):
    r"""Real NVP: a standard normal bent by coupling layers, :math:`\log p(z) = \log\mathcal N(f^{-1}(z)) - \log|\det J_f|`.

    Parameters
    ----------
    latent : int
        At least 2, as one half is moved by the other.
    layers : int
        Coupling layers.
    hidden : int
        Width of their networks.

    Raises
    ------
    ConfigError
        If `latent` is below 2 or `layers` below 1.

    References
    ----------
    Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR 2017; as a prior: Huang et al., "Learnable explicit
    density for continuous latent space and variational inference", 2017.

    Examples
    --------
    >>> Flow(2).log_prob(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def __init__(self, latent: int, layers: int = 4, hidden: int = 64) -> None:
        super().__init__()
        if latent < 2 or layers < 1:
            raise ConfigError(f"a flow prior needs latent of at least 2 and layers of at least 1; got latent={latent}, layers={layers}")
        self.latent = int(latent)
        self.layers = nn.ModuleList(self._layer(i % 2, hidden) for i in range(layers))

    def _layer(self, parity: int, hidden: int) -> nn.Module:
        return Coupling(self.latent, parity, hidden)

    def _distribution(self, rows: int, like: Tensor) -> Transformed:
        return Transformed(Normal(like.new_zeros(rows, self.latent)), cast("list[Map]", list(self.layers)))

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density in nats, shape (batch,)."""
        return self._distribution(z.shape[0], z).log_prob(z)

    @torch.no_grad()
    def sample(self, rows: int, noise: Noise) -> Tensor:
        """Draw codes, shape (rows, latent)."""
        return self._distribution(rows, next(self.parameters())).sample(noise)


@register("prior.spline")
class Spline(Flow):
    r"""Neural spline flow: a standard normal bent by coupling layers of rational-quadratic splines, which leave alone what lies beyond 5.

    Parameters
    ----------
    latent : int
        At least 2, as one half is bent by the other.
    layers : int
        Coupling layers.
    hidden : int
        Width of their networks.

    Raises
    ------
    ConfigError
        If `latent` is below 2 or `layers` below 1.

    References
    ----------
    Durkan et al., "Neural spline flows", NeurIPS 2019.

    Examples
    --------
    >>> Spline(2).log_prob(torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def _layer(self, parity: int, hidden: int) -> nn.Module:
        return SplineCoupling(self.latent, parity, hidden)
