"""What cameras and files do to pictures, with values in [0, 1]; each picture of a batch has a strength of its own."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.corruptions.core import Corruption
from isthmus.distributions import Noise
from isthmus.errors import ConfigError
from isthmus.spec import register

MOST_BLUR = 50.0  # pixels


def check_range(low: float, high: float | None, name: str, least: float, most: float = math.inf) -> tuple[float, float]:
    """Return both ends of a range of strengths, equal where there is one strength alone.

    Raises
    ------
    ConfigError
        If they do not lie in order within [least, most].
    """
    found = float(low), float(low if high is None else high)
    if not least <= found[0] <= found[1] <= most or math.isinf(found[1]):
        told = f"between {least:g} and {most:g}" if math.isfinite(most) else f"at least {least:g}"
        raise ConfigError(f"{name} must be {told}, and highest not below it; not {low} to {found[1]}")
    return found


class Ranged(Corruption):
    """Damage of a strength that is drawn for each picture, evenly from a range.

    Parameters
    ----------
    lowest, highest : float
    """

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__()
        self.lowest, self.highest = lowest, highest

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return a damaged copy of pictures, shape (batch, H, W, C)."""
        if not len(x):
            return x.clone()
        if self.lowest == self.highest:
            return self.damage(x, x.new_full((len(x), 1, 1, 1), self.lowest), noise)
        return self.damage(x, self.lowest + (self.highest - self.lowest) * noise.uniform(x[:, :1, :1, :1]), noise)

    @abstractmethod
    def damage(self, x: Tensor, strength: Tensor, noise: Noise) -> Tensor:
        """Return a copy damaged by the strength of each picture, shape (batch, 1, 1, 1)."""


@register("corruption.gaussian_range")
class GaussianRange(Ranged):
    """Add Gaussian noise of a standard deviation that is drawn for each picture: for networks that must not be told the level.

    Parameters
    ----------
    std : float
        Lowest standard deviation, in units of the pictures' values, at least 0.
    highest : float, optional
        Highest one; by default the same.

    Raises
    ------
    ConfigError
        If the range is empty or negative.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> GaussianRange(0.0)(torch.ones(1, 1, 2, 1), GeneratorNoise(torch.Generator())).flatten()
    tensor([1., 1.])
    """

    def __init__(self, std: float = 0.0, highest: float | None = None) -> None:
        super().__init__(*check_range(std, highest, "std", 0.0))

    def damage(self, x: Tensor, strength: Tensor, noise: Noise) -> Tensor:
        """Return `x` plus noise."""
        return torch.addcmul(x, strength, noise.normal(x))


@register("corruption.speckle")
class Speckle(Ranged):
    """Multiply each value by 1 plus Gaussian noise, as in radar and ultrasound: bright places suffer more.

    Parameters
    ----------
    std : float
        Lowest standard deviation of the factor, at least 0.
    highest : float, optional
        Highest one; by default the same.

    Raises
    ------
    ConfigError
        If the range is empty or negative.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> Speckle(0.5)(torch.zeros(1, 1, 2, 1), GeneratorNoise(torch.Generator())).flatten()
    tensor([0., 0.])
    """

    def __init__(self, std: float = 0.2, highest: float | None = None) -> None:
        super().__init__(*check_range(std, highest, "std", 0.0))

    def damage(self, x: Tensor, strength: Tensor, noise: Noise) -> Tensor:
        """Return `x` times a random factor for each value."""
        return torch.addcmul(x, strength * x, noise.normal(x))


@register("corruption.poisson")
class Shot(Ranged):
    r"""Shot noise: a value v becomes k / peak with k drawn from :math:`\text{Poisson}(v \cdot \text{peak})`, as a sensor counts photons.

    Parameters
    ----------
    peak : float
        Mean number of photons of white; the fewer, the more noise. At least 0.1.
    highest : float, optional
        Largest peak; by default the same.

    Raises
    ------
    ConfigError
        If the range is empty or below 0.1.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> seen = Shot(2.0)(torch.ones(1, 1, 50, 1), GeneratorNoise(torch.Generator())) * 2
    >>> bool((seen == seen.round()).all())
    True
    """

    def __init__(self, peak: float = 30.0, highest: float | None = None) -> None:
        super().__init__(*check_range(peak, highest, "peak", 0.1, 1e6))

    def damage(self, x: Tensor, strength: Tensor, noise: Noise) -> Tensor:
        """Return counts as shares of the peak; negative values count as black."""
        mean = (x.clamp_min(0) * strength).cpu()
        # A count needs a number of uniform draws that is not known before: each picture's own number seeds its draws.
        seeds = (noise.uniform(x[:, 0, 0, 0].double()) * 2**53).long()
        counts = [torch.poisson(row, generator=torch.Generator().manual_seed(int(seed))) for row, seed in zip(mean, seeds)]
        return torch.stack(counts).to(x) / strength


@register("corruption.blur")
class Blur(Ranged):
    """Smooth by a Gaussian, mirrored at the border.

    Parameters
    ----------
    std : float
        Lowest standard deviation of the Gaussian in pixels, at least 0.
    highest : float, optional
        Highest one; by default the same.

    Raises
    ------
    ConfigError
        If the range is empty, negative or beyond 50 pixels.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> Blur(1.0)(torch.ones(1, 4, 4, 1), GeneratorNoise(torch.Generator())).sum().round()
    tensor(16.)
    """

    def __init__(self, std: float = 1.0, highest: float | None = None) -> None:
        super().__init__(*check_range(std, highest, "std", 0.0, MOST_BLUR))

    def damage(self, x: Tensor, strength: Tensor, noise: Noise) -> Tensor:  # noqa: ARG002
        """Return smoothed pictures."""
        std = strength.flatten()
        return self._along(self._along(x.transpose(1, 2), std).transpose(1, 2), std)

    def _along(self, x: Tensor, std: Tensor) -> Tensor:
        """Smooth along the third axis, each picture by its own kernel."""
        reach = min(math.ceil(4 * self.highest), x.shape[2] - 1)
        if reach < 1:
            return x
        places = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
        # A width of zero leaves the middle alone.
        kernel = torch.exp(-0.5 * (places / std.clamp_min(1e-3)[:, None]).square())
        kernel = kernel / kernel.sum(1, keepdim=True)
        batch, height, width, channels = x.shape
        rows = x.permute(1, 3, 0, 2).reshape(1, height * channels * batch, width)
        rows = functional.pad(rows, (reach, reach), mode="reflect").view(height * channels, batch, -1)
        found = functional.conv1d(rows, kernel[:, None], groups=batch)
        return found.view(height, channels, batch, width).permute(2, 0, 3, 1)


@register("corruption.clipped")
class Clipped(Corruption):
    """Another damage, and then all values kept within a range, as in a file of 8 bits.

    Parameters
    ----------
    inner : Corruption
    low, high : float

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> seen = Clipped(GaussianRange(5.0))(torch.ones(1, 4, 4, 1), GeneratorNoise(torch.Generator()))
    >>> float(seen.min()), float(seen.max())
    (0.0, 1.0)
    """

    def __init__(self, inner: Corruption, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__()
        self.inner, self.low, self.high = inner, float(low), float(high)

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return the damaged values within the range."""
        return self.inner(x, noise).clamp(self.low, self.high)
