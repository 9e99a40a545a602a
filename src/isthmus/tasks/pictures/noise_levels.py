"""How strong the noise of pictures is, where nobody said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact.restorer import white
from isthmus.errors import ConfigError, DataError

Array = NDArray[Any]
SIDE = 4  # of a block, in pairs of pixels
SMOOTHEST = 0.05  # share of the blocks that is looked at
DARK = 0.05  # of white: blocks below have too few photons to tell
MOST = 200  # pictures that are looked at


def noise_level(picture: Array) -> float:
    """Estimate the standard deviation of white Gaussian noise of one picture: see `estimated_level`.

    Parameters
    ----------
    picture : ndarray of shape (H, W, C)

    Returns
    -------
    float
        In units of the picture's values; 0 if it is smaller than 2 x 2.

    Examples
    --------
    >>> round(noise_level(np.random.default_rng(0).normal(size=(200, 200, 1))), 1)
    1.0
    """
    details, means = _blocks([np.asarray(picture, np.float64)])
    return _deviation(details, means) if details.size else 0.0


def estimated_level(name: str, pictures: Sequence[Array]) -> float:
    r"""Estimate how strong the noise of pictures is, alike in all of them, from their finest diagonal details.

    Pictures have details of their own; blocks of 8 x 8 pixels in which the means of 2 x 2 pixels vary least, 5 % of all, have the
    fewest. Of white noise those means and the diagonal details :math:`(a - b - c + d) / 2` are independent, so that what is chosen by
    the ones is fair to the others: their mean square is :math:`\sigma^2`, or, of n photons of white, mean brightness / n.

    Parameters
    ----------
    name : {"gaussian", "poisson"}
    pictures : sequence of ndarray of shape (H, W, C)
        uint8, uint16, or floating-point numbers from 0 (black) to 1 (white); of more than 200 some are looked at.

    Returns
    -------
    float
        Standard deviation, white being 1, or photons of white.

    Raises
    ------
    ConfigError
        If it is another noise.
    DataError
        If there is no noise to be seen, all is black, or a picture is smaller than 2 x 2.

    References
    ----------
    Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81, 1994, for the diagonal details; smooth parts as
    in Liu, Tanaka and Okutomi, "Single-image noise level estimation for blind denoising", IEEE Transactions on Image Processing 22, 2013.

    Examples
    --------
    >>> grey = np.full((20, 32, 32, 1), 0.5) + 0.1 * np.random.default_rng(0).normal(size=(20, 32, 32, 1))
    >>> round(estimated_level("gaussian", grey), 2)
    0.1
    """
    if name not in ("gaussian", "poisson"):
        raise ConfigError(f"the level of {name} noise is not seen in noisy pictures: leave out the noise's name (pixels are then hidden)")
    chosen: list[Array] = [np.asarray(pictures[int(i)]) for i in np.unique(np.linspace(0, len(pictures) - 1, MOST).round())]
    details, means = _blocks([picture.astype(np.float64) / white(picture.dtype) for picture in chosen])
    if not details.size:
        raise DataError("pictures of one pixel show no noise. Leave them out, or say its level (command line: --level)")
    bright = means.mean(1) > DARK
    if name == "poisson" and not bright.any():
        raise DataError("the pictures are too dark to count their photons: say how many white has with level (command line: --level)")
    strength = _deviation(details, means) if name == "gaussian" else _photons(details[bright], means[bright])
    if not 0 < strength < np.inf:
        raise DataError("the pictures show no noise: its level cannot be estimated. Say it with level (command line: --level)")
    return strength


def _deviation(details: Array, means: Array) -> float:
    calm = _smoothest(means.var(1))
    return float(np.sqrt(np.mean(details[calm] ** 2)))


def _photons(details: Array, means: Array) -> float:
    calm = _smoothest(means.var(1) / means.mean(1))
    noise = float(np.mean(details[calm] ** 2))
    return float(means[calm].mean()) / noise if noise else np.inf


def _smoothest(activity: Array) -> Array:
    return activity <= np.quantile(activity, SMOOTHEST)


def _blocks(pictures: Sequence[Array]) -> tuple[Array, Array]:
    """Return diagonal details and means of 2 x 2 pixels, a row for each block; where possible of blocks that touch no end of the values."""
    side = min(SIDE, *(length // 2 for picture in pictures for length in picture.shape[:2]))
    if not side:
        return np.zeros((0, 1)), np.zeros((0, 1))
    details, means, ends = (np.concatenate(parts) for parts in zip(*(_of_one(picture, side) for picture in pictures)))
    inside = ~ends.any(1)
    return (details[inside], means[inside]) if inside.mean() > SMOOTHEST else (details, means)


def _of_one(picture: Array, side: int) -> tuple[Array, Array, Array]:
    height, width = (2 * side * (length // (2 * side)) for length in picture.shape[:2])
    even = picture[:height, :width]
    a, b, c, d = even[::2, ::2], even[1::2, ::2], even[::2, 1::2], even[1::2, 1::2]
    low, high = picture.min(), picture.max()
    ends = np.maximum.reduce([(x <= low) | (x >= high) for x in (a, b, c, d)])
    return _rows((a - b - c + d) / 2, side), _rows((a + b + c + d) / 4, side), _rows(ends, side)


def _rows(x: Array, side: int) -> Array:
    height, width, channels = x.shape
    parts = x.reshape(height // side, side, width // side, side, channels)
    return parts.transpose(0, 2, 4, 1, 3).reshape(-1, side * side)
