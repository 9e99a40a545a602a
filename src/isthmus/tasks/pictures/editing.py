"""Attributes of rows changed through the code: the direction, how well it tells them apart, and what the edits change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.errors import DataError
from isthmus.tasks import codes as coding
from isthmus.tasks import space
from isthmus.tasks.pictures.attributes import Attribute

Array = NDArray[Any]
LEAST = 2


@dataclass(frozen=True, eq=False)
class Direction:
    """The direction of an attribute in the code of a model.

    Attributes
    ----------
    vector : array of shape (latent,)
        For `isthmus.tasks.space.edit`.
    separation : float
        How well it tells rows that have the attribute from others: area under the ROC curve on the half of the rows that a direction
        was not found on, the mean of both halves; one half is chance. NaN where there are too few rows, and for a swapped label.
    swapped : bool
        Whether the attribute is what a conditional model is told: only that part of the code is changed.
    """

    vector: Array
    separation: float
    swapped: bool = False


def find_direction(
    artifact: Artifact, source: Source, attribute: Attribute, against: Sequence[Attribute] = (), seed: int = 0, ridge: float | None = None
) -> Direction:
    """Find the direction of an attribute: from the mean code of rows without it to that of rows with it.

    Parameters
    ----------
    artifact : Artifact
        If it is conditional and the attribute is its condition, the condition is swapped and the rest of the code left alone.
    source : Source
        Rows with labels; those without are left aside.
    attribute : Attribute
    against : sequence of Attribute
        Others that must not change along.
    seed : int
        Decides which rows are in which half.
    ridge : float, optional
        As in `isthmus.tasks.space.attribute_vector`.

    Returns
    -------
    Direction

    Raises
    ------
    DataError
        If no rows are left that have the attribute, or none that do not, or nothing of it is left beside the others.

    References
    ----------
    Larsen et al., "Autoencoding beyond pixels using a learned similarity metric", ICML 2016, section 4.2.
    """
    rows = np.flatnonzero(np.logical_and.reduce([attribute.known, *(other.known for other in against)]))
    has = attribute.of(rows)
    if len(np.unique(has)) < 2:
        raise DataError(f"{attribute.name}: of the {len(rows):,} rows whose labels are all known, all have it or none has. Label more rows")
    codes = coding.encode(artifact, source.take(rows)).astype(np.float64)
    others = {other.name: other.of(rows) for other in against}
    vector = space.attribute_vector(codes, has, others, ridge)
    told = codes.shape[1] - artifact.model.condition
    if _is_condition(codes[:, told:], has):
        return Direction(np.where(np.arange(len(vector)) < told, 0.0, vector), float("nan"), swapped=True)
    return Direction(vector, separation(codes, has, others, seed, ridge))


def _is_condition(told: Array, has: Array) -> bool:
    """Say whether what a model is told of rows is the attribute itself: one value where they have it, another where they have not."""
    if not told.shape[1]:
        return False
    within = max(np.ptp(told[has == value], axis=0).max() for value in (0, 1))
    return bool(within < 1e-6 < np.abs(told[has == 1][0] - told[has == 0][0]).max())


def separation(codes: Array, has: Array, others: Mapping[str, Array], seed: int = 0, ridge: float | None = None) -> float:
    """Return how well a direction that is found on one half of rows tells the other half apart, the mean over both halves.

    Parameters
    ----------
    codes : array of shape (n, latent)
    has : array of int, shape (n,)
    others : mapping of str to array
        As `isthmus.tasks.space.attribute_vector` takes them.
    seed : int
    ridge : float, optional

    Returns
    -------
    float
        Area under the ROC curve; NaN where a half would have fewer than two rows of a kind.
    """
    half = np.random.default_rng(seed).permutation(len(has)) % 2 == 0
    area: Any = import_module("sklearn.metrics").roc_auc_score
    found: list[float] = []
    for own in (half, ~half):
        if min(np.bincount(has[part], minlength=2).min() for part in (own, ~own)) < LEAST:
            return float("nan")
        if any(len(np.unique(values[own])) < 2 for values in others.values()):
            return float("nan")
        vector = space.attribute_vector(codes[own], has[own], {name: values[own] for name, values in others.items()}, ridge)
        found.append(float(area(has[~own], codes[~own] @ vector)))
    return float(np.mean(found))


def sharpness(pictures: Array) -> Array:
    """Return the variance of the Laplacian of each picture, its channels' mean, in the square of its own units: the higher the sharper.

    Parameters
    ----------
    pictures : array of shape (..., H, W, C)
        At least 3 x 3.

    Returns
    -------
    array of shape (...)

    References
    ----------
    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000.

    Examples
    --------
    >>> sharpness(np.eye(4)[..., None]) > sharpness(np.full((4, 4, 1), 0.5))
    np.True_
    """
    grey = pictures.astype(np.float64).mean(-1)
    middle, up, down = grey[..., 1:-1, 1:-1], grey[..., :-2, 1:-1], grey[..., 2:, 1:-1]
    return (up + down + grey[..., 1:-1, :-2] + grey[..., 1:-1, 2:] - 4 * middle).var((-2, -1))


def enlarge(picture: Array, change: Array) -> Array:
    """Add a change that was made at another size to a picture.

    Parameters
    ----------
    picture : array of shape (H, W, C)
        Of whole numbers.
    change : array of shape (h, w, C)
        Differences in the same units; interpolated by cubics.

    Returns
    -------
    array of shape (H, W, C)
        Clipped to the range of its type.

    Examples
    --------
    >>> enlarge(np.full((4, 6, 1), 100, np.uint8), np.full((2, 3, 1), 20.0))[0, :2, 0]
    array([120, 120], dtype=uint8)
    """
    small = torch.as_tensor(change.astype(np.float32)).permute(2, 0, 1)[None]
    large = interpolate(small, picture.shape[:2], mode="bicubic", align_corners=False)[0].permute(1, 2, 0).numpy()
    limits = np.iinfo(picture.dtype)
    return np.clip(np.rint(picture + large), limits.min, limits.max).astype(picture.dtype)


def signed(strength: float) -> str:
    """Write a strength with its sign.

    Examples
    --------
    >>> [signed(strength) for strength in (-1.0, 0.0, 1.5)]
    ['-1', '0', '+1.5']
    """
    return f"{strength:+g}" if strength else "0"


@dataclass(frozen=True, eq=False)
class Edits:
    """Rows edited with several strengths, and what was changed.

    Attributes
    ----------
    strengths : tuple of float
    originals : array of shape (n, \\*shape)
    rows : array of shape (n, strengths, \\*shape)
    change : array of shape (strengths,)
        Root mean square difference from the edit of strength 0, as a share of the range of the rows' values.
    sharpness : array of shape (strengths,)
        Of pictures: the median over rows of the sharpness relative to the edit of strength 0; NaN for others.
    """

    strengths: tuple[float, ...]
    originals: Array
    rows: Array
    change: Array
    sharpness: Array


def make_edits(artifact: Artifact, source: Source, vector: Array, strengths: Sequence[float], residual: bool = False) -> Edits:
    """Edit rows with each strength, and measure what changes.

    Parameters
    ----------
    artifact : Artifact
    source : Source
    vector : array of shape (latent,)
    strengths : sequence of float
    residual : bool
        As in `isthmus.tasks.space.edit`.

    Returns
    -------
    Edits
    """
    found = space.edit(artifact, source, vector, [0.0, *strengths], residual)
    still, rows = found[:, :1].astype(np.float64), found[:, 1:]
    axes = tuple(range(2, found.ndim))
    span = float(np.ptp(artifact.schema.align(source))) or 1.0
    change = np.sqrt(np.square(rows - still).mean((0, *axes))) / span
    sharp = np.full(len(strengths), np.nan)
    if artifact.schema.kind == "pictures" and min(found.shape[2:4]) > 2:
        sharp = np.median(sharpness(rows) / np.maximum(sharpness(still), 1e-12), axis=0)
    return Edits(tuple(strengths), artifact.schema.align(source), rows, change, sharp)
