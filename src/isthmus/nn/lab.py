"""Pictures in CIE Lab: lightness apart from colour, in steps that look about equal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

WHITE = (0.95047, 1.0, 1.08883)  # XYZ of daylight, D65
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
KNEE = 6 / 29
HALVINGS = 12
_LINALG: Any = torch.linalg  # torch leaves it without type hints


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Return pictures in Lab.

    Parameters
    ----------
    rgb : Tensor of shape (..., 3)
        sRGB, 0 to 1.

    Returns
    -------
    Tensor of shape (..., 3)
        L from 0 (black) to 100 (white), a (green to red) and b (blue to yellow) from about -110 to 110, 0 for grey.

    References
    ----------
    CIE 15, "Colorimetry"; IEC 61966-2-1 (sRGB).

    Examples
    --------
    >>> rgb_to_lab(torch.tensor([1.0, 1.0, 1.0])).round().abs()
    tensor([100.,   0.,   0.])
    """
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ rgb.new_tensor(TO_XYZ).T / rgb.new_tensor(TO_XYZ).sum(1)
    f = torch.where(xyz > KNEE**3, xyz.clamp_min(0) ** (1 / 3), xyz / (3 * KNEE**2) + 4 / 29)
    x, y, z = f.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Return pictures in sRGB, beyond 0 and 1 where no screen shows the colour; the inverse of `rgb_to_lab`.

    Examples
    --------
    >>> colour = torch.tensor([0.2, 0.4, 0.6])
    >>> bool((lab_to_rgb(rgb_to_lab(colour)) - colour).abs().max() < 1e-5)
    True
    """
    lightness, a, b = lab.unbind(-1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], -1)
    xyz = torch.where(f > KNEE, f**3, 3 * KNEE**2 * (f - 4 / 29))
    matrix = lab.new_tensor(TO_XYZ)
    linear = xyz @ _LINALG.inv(matrix / matrix.sum(1, keepdim=True)).T
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def shown(lab: Tensor) -> Tensor:
    """Return pictures in sRGB that screens can show: colours beyond are made paler, their lightness stays.

    Examples
    --------
    >>> rgb = shown(torch.tensor([50.0, 100.0, -100.0]))
    >>> bool((rgb >= 0).all() and (rgb <= 1).all()), round(float(rgb_to_lab(rgb)[0]), 2)
    (True, 50.0)
    """
    lightness, colour = lab[..., :1], lab[..., 1:]
    low, high = torch.zeros_like(lightness), torch.ones_like(lightness)
    outside = _outside(lab)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        wrong = _outside(torch.cat([lightness, middle * colour], -1))
        low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    share = torch.where(outside, low, torch.ones_like(low))
    return lab_to_rgb(torch.cat([lightness, share * colour], -1)).clamp(0, 1)


def _outside(lab: Tensor) -> Tensor:
    rgb = lab_to_rgb(lab)
    return ((rgb < 0) | (rgb > 1)).any(-1, keepdim=True)


def grey(rgb: Tensor) -> Tensor:
    """Return the grey of the same lightness, shape (..., 1).

    Examples
    --------
    >>> grey(torch.tensor([0.5, 0.5, 0.5]))
    tensor([0.5000])
    """
    lab = rgb_to_lab(rgb)
    return lab_to_rgb(torch.cat([lab[..., :1], torch.zeros_like(lab[..., 1:])], -1)).mean(-1, keepdim=True).clamp(0, 1)
