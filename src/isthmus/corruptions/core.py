"""Random damage to an input, to be undone by a denoising autoencoder."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from isthmus.distributions import Noise
from isthmus.errors import ConfigError
from isthmus.spec import register


def check_share(value: float, name: str) -> float:
    """Return a share, or refuse what is none.

    Raises
    ------
    ConfigError
        If `value` does not lie between 0 and 1.
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} must lie between 0 and 1, not {value}")
    return float(value)


class Corruption(nn.Module):
    """A random map from a batch to a damaged batch of the same shape."""

    @abstractmethod
    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return a damaged copy of `x`, shape (batch, ...)."""


@register("corruption.masking")
class Masking(Corruption):
    """Set each value to `value` with probability `share`.

    Parameters
    ----------
    share : float
        Probability in [0, 1].
    value : float
        What a hidden value becomes: 0 is the mean of standardised data and black in pictures.

    Raises
    ------
    ConfigError
        If `share` lies outside [0, 1].

    References
    ----------
    Vincent et al., "Stacked denoising autoencoders", JMLR 2010, section 3.3.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> Masking(1.0)(torch.ones(1, 3), GeneratorNoise(torch.Generator()))
    tensor([[0., 0., 0.]])
    """

    def __init__(self, share: float = 0.3, value: float = 0.0) -> None:
        super().__init__()
        self.share = check_share(share, "share")
        self.value = float(value)

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return `x` with some values hidden."""
        return x.masked_fill(noise.uniform(x) < self.share, self.value)


@register("corruption.gaussian")
class AdditiveGaussian(Corruption):
    """Add Gaussian noise of standard deviation `std`.

    Parameters
    ----------
    std : float
        In units of the preprocessed input, at least 0.

    Raises
    ------
    ConfigError
        If `std` is negative.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> AdditiveGaussian(0.0)(torch.ones(1, 2), GeneratorNoise(torch.Generator()))
    tensor([[1., 1.]])
    """

    def __init__(self, std: float = 0.3) -> None:
        super().__init__()
        if not std >= 0:
            raise ConfigError(f"std must be at least 0, not {std}")
        self.std = float(std)

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return `x` plus noise."""
        return x + self.std * noise.normal(x)


@register("corruption.salt_and_pepper")
class SaltAndPepper(Corruption):
    """Set each value, with probability `share`, to `low` or `high` by a fair coin.

    Parameters
    ----------
    share : float
        Probability in [0, 1].
    low, high : float
        Pepper and salt: 0 and 1 in pictures.

    Raises
    ------
    ConfigError
        If `share` lies outside [0, 1].

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> damaged = SaltAndPepper(1.0)(torch.full((1, 50), 0.5), GeneratorNoise(torch.Generator()))
    >>> sorted(set(damaged.flatten().tolist()))
    [0.0, 1.0]
    """

    def __init__(self, share: float = 0.2, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__()
        self.share = check_share(share, "share")
        self.low = float(low)
        self.high = float(high)

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return `x` with some values at the extremes."""
        u = noise.uniform(x)
        return torch.where(u < self.share / 2, self.low, torch.where(u < self.share, self.high, x))
