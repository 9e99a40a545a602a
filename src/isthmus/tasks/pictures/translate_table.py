"""What a translation is worth: how near it comes, and how colourful it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact.restorer import as_pictures, white
from isthmus.errors import DataError
from isthmus.objectives.similarity import psnr

Array = NDArray[Any]


def each_psnr(found: Any, wanted: Any) -> Array:
    """Return the peak signal-to-noise ratio of each picture in decibels, shape (n,).

    Parameters
    ----------
    found, wanted : ndarray of shape (n, H, W) or (n, H, W, C), or sequence of ndarray of shape (H, W) or (H, W, C)

    Raises
    ------
    DataError
        If pairs do not match.

    Examples
    --------
    >>> each_psnr(np.zeros((1, 4, 4)), np.full((1, 4, 4), 0.1)).round(3)
    array([20.])
    """
    first, second = (as_pictures(pictures, name) for pictures, name in ((found, "found"), (wanted, "wanted")))
    if [a.shape for a in first] != [b.shape for b in second]:
        raise DataError(f"pairs do not match: {len(first)} and {len(second)} pictures, or different sizes or channels")
    pairs = [(torch.tensor(a[None] / white(a.dtype)), torch.tensor(b[None] / white(b.dtype))) for a, b in zip(first, second)]
    return np.array([float(psnr(a, b)) for a, b in pairs])


def mean_psnr(found: Any, wanted: Any) -> float:
    """Return the mean of `each_psnr`; errors as there."""
    return float(each_psnr(found, wanted).mean())


def r_squared(found: Any, wanted: Any) -> float:
    """Return 1 minus the squared error as a share of the variance, both over all values.

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> r_squared([[1.0], [3.0]], [[1.0], [3.0]])
    1.0
    """
    a = np.asarray(found, np.float64)
    b = np.asarray(wanted, np.float64).reshape(len(wanted), -1)
    if a.size != b.size:
        raise DataError(f"pairs do not match: {a.shape} and {np.shape(wanted)}")
    error, spread = float(np.square(a.reshape(b.shape) - b).sum()), float(np.square(b - b.mean(0)).sum())
    return 1 - error / spread if spread else float("nan")


def colourfulness(pictures: Any) -> Array:
    r"""Return how colourful each picture is, :math:`\sqrt{\sigma_{rg}^2 + \sigma_{yb}^2} + 0.3 \sqrt{\mu_{rg}^2 + \mu_{yb}^2}`, shape (n,).

    With :math:`rg = R - G` and :math:`yb = (R + G) / 2 - B`, R, G and B from 0 to 255: 0 for grey, about 45 for colourful photos.

    Parameters
    ----------
    pictures : ndarray of shape (n, H, W, 3), or sequence of ndarray of shape (H, W, 3)

    Raises
    ------
    DataError
        If they have no colours.

    References
    ----------
    Hasler and Suesstrunk, "Measuring colourfulness in natural images", SPIE 5007, 2003.

    Examples
    --------
    >>> colourfulness(np.full((1, 4, 4, 3), 0.5))
    array([0.])
    """
    found = as_pictures(pictures)
    if found[0].shape[2] != 3:
        raise DataError(f"colourfulness needs pictures of three channels, not {found[0].shape[2]}")
    return np.array([_colourful(255.0 * picture / white(picture.dtype)) for picture in found])


def _colourful(picture: Array) -> float:
    red, green, blue = np.moveaxis(picture.astype(np.float64), 2, 0)
    first, second = red - green, (red + green) / 2 - blue
    return float(np.hypot(first.std(), second.std()) + 0.3 * np.hypot(first.mean(), second.mean()))
