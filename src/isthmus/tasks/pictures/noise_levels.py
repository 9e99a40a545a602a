"""How strong the noise of pictures is, where nobody said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
CUT = 0.05  # share of values at black or white above which noise counts as cut off there
APART = 2.5  # standard deviations of noise between a block's brightness and an end where it is cut off
ROUNDS = 4  # until a level no longer depends on the blocks that are too near to an end
WHITE = (0.85, 1.2)  # mean square of other differences of neighbours, in that of the diagonal ones, if noise is white
STEADY = 0.2  # how far the growth of the noise's variance with brightness may be from 0 (steady) or 1 (proportional)
TAILS, MORE = (2.7, 3.3), 1.0  # kurtosis of Gaussian noise; by how much more that of few photons may be
LEAST = 100  # blocks by which a kind of noise is recognised


@dataclass(frozen=True)
class _Blocks:
    """What is known of blocks of pictures, a row for each."""

    details: Array  # diagonal ones
    means: Array  # of 2 x 2 pixels
    edges: Array  # mean squares of the other details
    ends: Array  # shares of the values that are cut off at black, and at white

    def take(self, which: Array) -> _Blocks:
        return _Blocks(self.details[which], self.means[which], self.edges[which], self.ends[which])

    @property
    def noise(self) -> float:
        return float(np.mean(self.details**2)) if len(self.details) else 0.0

    @property
    def brightness(self) -> Array:
        return self.means.mean(1)

    def level(self, photons: bool) -> float:
        """Return the standard deviation, or photons of white."""
        if not self.noise:
            return 0.0
        return float(self.means.mean()) / self.noise if photons else self.noise**0.5

    def tails(self, photons: bool) -> float:
        """Return the kurtosis of the noise."""
        found = self.details / self.brightness[:, None] ** 0.5 if photons else self.details
        return float(np.mean(found**4) / np.mean(found**2) ** 2)

    def calm(self, photons: bool = False) -> _Blocks:
        """Return the smoothest: those whose means vary least, or least for the photons they have."""
        found = self.take(self.brightness > DARK) if photons else self
        activity = found.means.var(1) / (found.brightness if photons else 1.0)
        return found.take(activity <= np.quantile(activity, SMOOTHEST)) if len(activity) else found

    def inside(self, photons: bool = False) -> _Blocks:
        """Return the smoothest of those so far from black and white that no noise is cut off there; photons are not cut off at black."""
        cut = self.ends[:, 1:] if photons else self.ends
        free = cut.sum(1) == 0
        found = self.take(free).calm(photons)
        for _ in range(ROUNDS if cut.any() else 0):
            level = found.level(photons)
            apart = APART * (np.sqrt(np.maximum(self.brightness, 0) / level) if photons and level else level)
            found = self.take(free & (photons | (self.brightness > apart)) & (self.brightness + apart < 1)).calm(photons)
        return found


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
    return _blocks([np.asarray(picture, np.float64)]).calm().noise ** 0.5


def estimated_level(name: str, pictures: Sequence[Array]) -> float:
    r"""Estimate how strong the noise of pictures is, alike in all of them, from their finest diagonal details.

    Pictures have details of their own; blocks of 8 x 8 pixels in which the means of 2 x 2 pixels vary least, 5 % of all, have the
    fewest. Of white noise those means and the diagonal details :math:`(a - b - c + d) / 2` are independent, so that what is chosen by
    the ones is fair to the others: their mean square is :math:`\sigma^2`, or, of n photons of white, mean brightness / n.

    Parameters
    ----------
    name : {"gaussian", "poisson"}
    pictures : sequence of ndarray of shape (H, W, C)
        uint8, uint16, or floating-point numbers from 0 (black) to 1 (white); of more than 200 some are looked at, and those smaller
        than 8 x 8 only where there are no others.

    Returns
    -------
    float
        Standard deviation, white being 1, or photons of white.

    Raises
    ------
    ConfigError
        If it is another noise.
    DataError
        If there is no noise to be seen, values are cut off, all is black, or a picture is smaller than 2 x 2.

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
    return _level(name, _blocks(_some(pictures)))


def _level(name: str, blocks: _Blocks) -> float:
    if not blocks.details.size:
        raise DataError("pictures that are one pixel high or wide show no noise. Leave them out, or say its level (command line: --level)")
    calm = blocks.inside(name == "poisson")
    if not len(calm.details):
        raise DataError(
            "the pictures are too dark, or too much of them is cut off at black or white, to see their noise: say its level "
            "(command line: --level)"
        )
    if not calm.noise:
        raise DataError("the pictures show no noise: its level cannot be estimated. Say it with level (command line: --level)")
    return calm.level(name == "poisson")


def recognised(pictures: Sequence[Array]) -> str | None:
    """Recognise the noise of pictures, if it is Gaussian or that of photons, by what it is in their smoothest blocks.

    It must be white: differences of neighbours must not be larger than diagonal ones. Then its variance over brightness says what it
    is: steady, with the tails of a normal distribution, it is Gaussian; proportional, it is that of photons.

    Parameters
    ----------
    pictures : sequence of ndarray of shape (H, W, C)
        As for `estimated_level`.

    Returns
    -------
    {"gaussian", "poisson"} or None
        None if it is neither, there are too few smooth blocks to say so, or values are cut off.

    Examples
    --------
    >>> grey = np.linspace(0.1, 0.9, 200)[:, None, None, None] + np.zeros((200, 32, 32, 1))
    >>> random = np.random.default_rng(0)
    >>> recognised(grey + 0.1 * random.normal(size=grey.shape)), recognised(random.poisson(30 * grey) / 30)
    ('gaussian', 'poisson')
    >>> recognised(grey * (1 + 0.1 * random.normal(size=grey.shape)))
    """
    return _recognised(_blocks(_some(pictures)))


def recognised_level(pictures: Sequence[Array]) -> tuple[str, float] | None:
    """Return noise that is `recognised` with its `estimated_level`, at one look.

    Examples
    --------
    >>> recognised_level(np.zeros((9, 16, 16, 1)))
    """
    blocks = _blocks(_some(pictures))
    name = _recognised(blocks)
    return None if name is None else (name, _level(name, blocks))


def _recognised(blocks: _Blocks) -> str | None:
    return next((name for name in ("gaussian", "poisson") if _is(blocks, name == "poisson")), None)


def _is(blocks: _Blocks, photons: bool) -> bool:
    """Say whether the noise is that of photons, or Gaussian."""
    calm, cut = blocks.inside(photons), blocks.ends[:, int(photons) :].sum(1)
    bright, squares = calm.brightness, (calm.details**2).mean(1)
    if len(bright) < LEAST or not calm.noise or float(bright.std()) < DARK / 2 or float(cut.mean()) > CUT:
        return False
    growth = float(((bright - bright.mean()) * squares).mean() / bright.var() * bright.mean()) / calm.noise
    tails, colour = calm.tails(photons), float(calm.edges.mean()) / calm.noise
    return abs(growth - photons) < STEADY and TAILS[0] < tails < TAILS[1] + photons * MORE and WHITE[0] < colour < WHITE[1]


def _some(pictures: Sequence[Array]) -> list[Array]:
    """Return at most `MOST` of the pictures, in units of white."""
    chosen = [pictures[int(i)] for i in np.unique(np.linspace(0, len(pictures) - 1, MOST).round())]
    large = [picture for picture in chosen if min(picture.shape[:2]) >= 2 * SIDE]
    return [np.asarray(picture).astype(np.float64) / white(picture.dtype) for picture in large or chosen]


def _blocks(pictures: Sequence[Array]) -> _Blocks:
    """Return what is known of blocks of 8 x 8 pixels, or of smaller ones where a picture is smaller."""
    side = min(SIDE, *(length // 2 for picture in pictures for length in picture.shape[:2]))
    if not side:
        return _Blocks(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0), np.zeros((0, 2)))
    # Where there are values beyond black or white, those that lie there came there by chance.
    black = 0.0 if min(picture.min() for picture in pictures) >= 0 else -np.inf
    end = 1.0 if max(picture.max() for picture in pictures) <= 1 else np.inf
    return _Blocks(*(np.concatenate(parts) for parts in zip(*(_of_one(picture, side, black, end) for picture in pictures))))


def _of_one(picture: Array, side: int, black: float, end: float) -> tuple[Array, Array, Array, Array]:
    height, width = (2 * side * (length // (2 * side)) for length in picture.shape[:2])
    parts = np.stack([picture[i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)])
    a, b, c, d = parts
    edges = ((a + b - c - d) ** 2 + (a - b + c - d) ** 2) / 8
    cut = [_rows((parts == value).mean(0), side).mean(1) for value in (black, end)]
    return _rows((a - b - c + d) / 2, side), _rows(parts.mean(0), side), _rows(edges, side).mean(1), np.stack(cut, 1)


def _rows(x: Array, side: int) -> Array:
    height, width, channels = x.shape
    parts = x.reshape(height // side, side, width // side, side, channels)
    return parts.transpose(0, 2, 4, 1, 3).reshape(-1, side * side)
