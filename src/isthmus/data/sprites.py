"""Small pictures with known factors: what measures of disentanglement need, made on the spot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.source import Source
from isthmus.errors import ConfigError

Array = NDArray[Any]
SIDE = 32
FINE = 3  # each pixel is the mean of 3 x 3 finer ones
BLOCK = 512


@dataclass(frozen=True)
class Factor:
    """One thing that varies.

    Attributes
    ----------
    name : str
    values : tuple of float
        What it may be; shapes are numbered: square, ellipse, heart.
    """

    name: str
    values: tuple[float, ...]


def _even(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(float(v) for v in np.linspace(first, last, count))


FACTORS = (
    Factor("shape", (0.0, 1.0, 2.0)),
    Factor("size", _even(0.5, 1.0, 6)),
    Factor("angle", _even(0.0, 1.5 * np.pi, 12)),
    Factor("x", _even(-0.45, 0.45, 16)),
    Factor("y", _even(-0.45, 0.45, 16)),
)
COUNT = int(np.prod([len(factor.values) for factor in FACTORS]))


def draw_factors(rows: int, seed: int = 0, fixed: dict[int, int] | None = None) -> Array:
    """Return positions in the factors' values drawn evenly, shape (rows, 5).

    Parameters
    ----------
    rows : int
    seed : int
    fixed : dict of int to int, optional
        Factors that are the same in all rows: number of the factor to position of its value.

    Returns
    -------
    array of int64

    Raises
    ------
    ConfigError
        If `rows` is below 1.
    """
    if rows < 1:
        raise ConfigError(f"the number of sprites must be at least 1, not {rows}")
    random = np.random.default_rng(seed)
    found = np.stack([random.integers(len(factor.values), size=rows) for factor in FACTORS], axis=1)
    for number, position in (fixed or {}).items():
        found[:, number] = position
    return found


def render(factors: Array) -> NDArray[np.uint8]:
    """Draw sprites.

    Parameters
    ----------
    factors : array of int, shape (n, 5)
        Position in the values of shape, size, angle, x and y.

    Returns
    -------
    array of uint8, shape (n, 32, 32, 1)
        White on black, the edges smooth.

    Examples
    --------
    >>> pictures = render(np.array([[0, 5, 0, 8, 8]]))
    >>> pictures.shape, int(pictures[0, 16, 16, 0]), int(pictures[0, 0, 0, 0])
    ((1, 32, 32, 1), 255, 0)
    """
    return np.concatenate([_render(factors[i : i + BLOCK]) for i in range(0, len(factors), BLOCK)])


def _render(factors: Array) -> NDArray[np.uint8]:
    shape, size, angle, x, y = (np.asarray(f.values)[factors[:, i]][:, None, None] for i, f in enumerate(FACTORS))
    ticks = (np.arange(SIDE * FINE) + 0.5) / (SIDE * FINE) * 2 - 1
    across, down = np.meshgrid(ticks, ticks)
    u, v = (across - x) / (0.42 * size), (down - y) / (0.42 * size)
    u, v = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    # None of them looks the same after a turn below a full one: the square has a notch, the ellipse a bite.
    square = (np.maximum(np.abs(u), np.abs(v)) < 0.85) & ~((np.abs(u) < 0.3) & (v < -0.3))
    ellipse = (u**2 + (v / 0.6) ** 2 < 1) & ~((u > 0.35) & (np.abs(v) < 0.22))
    heart = (1.1 * u) ** 2 + (-1.25 * v + 0.1 - 0.75 * np.sqrt(np.abs(1.1 * u))) ** 2 < 0.9
    inside = np.select([shape == 0, shape == 1], [square, ellipse], heart)
    coarse = inside.reshape(len(factors), SIDE, FINE, SIDE, FINE).mean((2, 4))
    return np.rint(coarse * 255).astype(np.uint8)[..., None]


def sprites(rows: int = 10_000, seed: int = 0) -> tuple[Source, Array]:
    """Return pictures of a square, an ellipse or a heart of some size, angle and place, and the factors behind each.

    There are 55,296 different ones; the factors are independent of each other.

    Parameters
    ----------
    rows : int
    seed : int

    Returns
    -------
    source : Source
        Pictures of 32 x 32 grey values.
    factors : array of int, shape (rows, 5)
        Positions in `FACTORS`' values.

    References
    ----------
    After the dSprites set: Matthey et al., 2017.

    Examples
    --------
    >>> source, factors = sprites(4)
    >>> source.array.shape, factors.shape
    ((4, 32, 32, 1), (4, 5))
    """
    factors = draw_factors(rows, seed)
    return Source("pictures", render(factors), name="sprites"), factors
