"""Whole numbers for coloured pictures whose lightness must be that of the grey picture they were made of."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.nn.lab import grey

Array = NDArray[Any]
BLOCK = 1 << 20  # colours that are rounded together, for the memory they take


def as_grey(found: Array, given: Array, top: float) -> Array:
    """Round colours, each channel up or down, so that the grey of the same lightness is the given one to the last bit.

    Parameters
    ----------
    found : ndarray of shape (..., 3)
        Colours between 0 and `top`, of the lightness of `given`.
    given : ndarray of shape (..., 1)
        Whole numbers.
    top : float
        White.

    Returns
    -------
    ndarray of shape (..., 3)
        Of all eight ways of rounding the one nearest to `found` among those that keep the grey, or come nearest to it.

    Examples
    --------
    >>> as_grey(np.array([[10.4, 10.4, 10.4]]), np.array([[10]]), 255.0)
    array([[10., 10., 10.]])
    """
    colours, greys = found.reshape(-1, 3), given.reshape(-1, 1)
    parts = [_rounded(colours[i : i + BLOCK], greys[i : i + BLOCK], top) for i in range(0, len(colours), BLOCK)]
    return np.concatenate(parts).reshape(found.shape)


def _rounded(found: Array, given: Array, top: float) -> Array:
    below = np.floor(found)
    best, least = below, np.full(given.shape, np.inf)
    for up in product((0.0, 1.0), repeat=3):
        colour = np.clip(below + up, 0, top)
        off = np.abs(grey(torch.tensor(colour / top)).numpy() * top - given)
        cost = np.where(off < 0.5, 0.0, 1e3 * off) + np.square(colour - found).sum(-1, keepdims=True) / 3
        best, least = np.where(cost < least, colour, best), np.minimum(cost, least)
    return best
