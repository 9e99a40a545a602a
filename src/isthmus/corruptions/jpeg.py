"""What JPEG leaves of a picture: its blocks of 8 x 8, transformed by cosines and rounded."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.corruptions.pictures import Ranged, check_range
from isthmus.distributions import Noise
from isthmus.spec import register

# Annex K of the standard, rows by increasing vertical frequency.
LUMINANCE = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 18 22 37 56 68 109 103 77
24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
CHROMINANCE = "17 18 24 47 18 21 26 66 24 26 56 99 47 66 99 99"  # of the first four rows and columns; 99 elsewhere
YCBCR = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))


def _luminance() -> Tensor:
    return torch.tensor([float(n) for n in LUMINANCE.split()], device="cpu").view(8, 8)


def _chrominance() -> Tensor:
    few = torch.tensor([float(n) for n in CHROMINANCE.split()], device="cpu").view(4, 4)
    return functional.pad(few, (0, 4, 0, 4), value=99.0)


def _cosines() -> Tensor:
    """Return the orthonormal matrix of the discrete cosine transform (II) of 8 values."""
    place = torch.arange(8, device="cpu", dtype=torch.float64)
    found = torch.cos(math.pi / 8 * (place + 0.5) * place[:, None]) / 2
    found[0] /= math.sqrt(2)
    return found


@register("corruption.jpeg")
class Jpeg(Ranged):
    """Save as JPEG and open again, without the file: what the format rounds away is rounded away here, and nothing passes back.

    Grey pictures, or three channels as RGB, of which colour is kept at half the size, as usual; other numbers of channels count as grey.

    Parameters
    ----------
    quality : float
        Lowest quality, 1 to 100, on the scale of the Independent JPEG Group, which most programs use.
    highest : float, optional
        Highest quality; by default the same.

    Raises
    ------
    ConfigError
        If the range is empty or lies outside of 1 to 100.

    References
    ----------
    ITU-T T.81 (1992), annexes A and K; the quality as in libjpeg's ``jpeg_quality_scaling``.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> Jpeg(10)(torch.rand(2, 9, 12, 3), GeneratorNoise(torch.Generator())).shape
    torch.Size([2, 9, 12, 3])
    """

    def __init__(self, quality: float = 30.0, highest: float | None = None) -> None:
        super().__init__(*check_range(quality, highest, "quality", 1.0, 100.0))

    @torch.no_grad()
    def damage(self, x: Tensor, strength: Tensor, noise: Noise) -> Tensor:  # noqa: ARG002
        """Return what JPEG leaves, in 256 levels."""
        levels = (x.clamp(0, 1) * 255).round().permute(0, 3, 1, 2)
        quality = strength.round()
        scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
        found = self._coloured(levels, scale) if x.shape[3] == 3 else _quantised(levels - 128, _table(_luminance(), scale)) + 128
        return found.round().clamp(0, 255).permute(0, 2, 3, 1) / 255

    def _coloured(self, levels: Tensor, scale: Tensor) -> Tensor:
        """Round luminance at full size and the two colour differences at half of it."""
        height, width = levels.shape[2:]
        even = functional.pad(levels, (0, width % 2, 0, height % 2), mode="replicate")
        planes = _mixed(even, YCBCR)
        grey = _quantised(planes[:, :1] - 128, _table(_luminance(), scale))
        colour = _quantised(functional.avg_pool2d(planes[:, 1:], 2), _table(_chrominance(), scale))
        colour = functional.interpolate(colour, scale_factor=2.0, mode="bilinear", align_corners=False)
        return _mixed(torch.cat([grey + 128, colour], 1), RGB)[:, :, :height, :width]


def _mixed(planes: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.einsum("oc,bchw->bohw", torch.tensor(matrix, dtype=planes.dtype, device=planes.device), planes)


def _table(base: Tensor, scale: Tensor) -> Tensor:
    """Return the divisors of a quality, shape (batch, 1, 1, 1, 8, 8)."""
    found = ((base.to(scale) * scale[..., None, None] + 50) / 100).floor().clamp(1, 255)
    return found.view(-1, 1, 1, 1, 8, 8)


def _quantised(planes: Tensor, table: Tensor) -> Tensor:
    """Transform blocks of 8 x 8, divide, round, and go back."""
    height, width = planes.shape[2:]
    whole = functional.pad(planes, (0, -width % 8, 0, -height % 8), mode="replicate")
    batch, channels, rows, columns = whole.shape
    blocks = whole.view(batch, channels, rows // 8, 8, columns // 8, 8).transpose(3, 4)
    matrix = _cosines().to(planes)
    # As in libjpeg: first in eighths, then by the divisor, halves away from zero.
    shares = (matrix @ blocks @ matrix.t() * 8).round() / (8 * table)
    rounded = (shares.abs() + (0.5 + 1e-5)).floor() * shares.sign() * table
    back = (matrix.t() @ rounded @ matrix).transpose(3, 4).reshape(batch, channels, rows, columns)
    return back[:, :, :height, :width]
