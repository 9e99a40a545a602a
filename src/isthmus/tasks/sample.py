"""New rows from a model with a prior, and paths between rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Dataset, Source
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError, DataError
from isthmus.tasks import codes as coding
from isthmus.training import decode

Array = NDArray[Any]


def sample(artifact: Artifact, rows: int, *, seed: int = 0, mean: bool = False) -> Array:
    """Draw new rows: a code from the prior, then a row from the decoder's distribution.

    Parameters
    ----------
    artifact : Artifact
        Of a family with a prior.
    rows : int
    seed : int
    mean : bool
        Return the mean of the decoder's distribution instead of a draw from it: smoother than data are.

    Returns
    -------
    array of shape (rows, \\*shape)
        In the data's own units.

    Raises
    ------
    ConfigError
        If the family has no prior, or `rows` is not positive.
    """
    prior = artifact.model.prior
    if prior is None:
        raise ConfigError(f"the family {artifact.family!r} has no distribution over codes to sample from: fit the family 'variational'")
    if rows < 1:
        raise ConfigError(f"the number of samples must be at least 1, not {rows}")
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))
    drawn = decode(artifact.model, prior.sample(rows, noise), None if mean else lambda p: p.sample(noise))
    return artifact.restore(drawn)


def interpolate(
    artifact: Artifact, source: Source | Dataset, pairs: list[tuple[int, int]], steps: int = 8, spherical: bool = False
) -> Array:
    """Go from row to row through the code and decode on the way.

    Parameters
    ----------
    artifact : Artifact
    source : Source or Dataset
    pairs : list of (int, int)
        Row numbers of start and end.
    steps : int
        Codes on each path, both ends included; at least 2.
    spherical : bool
        Along a great circle with the length blended, instead of a straight line.

    Returns
    -------
    array of shape (pairs, steps, \\*shape)

    Raises
    ------
    DataError
        If a row number is not there.
    ConfigError
        If `steps` is below 2.
    """
    if steps < 2:
        raise ConfigError(f"steps must be at least 2, not {steps}")
    wrong = sorted({row for pair in pairs for row in pair if not 0 <= row < len(source)})
    if not pairs:
        raise DataError("no pair of rows was given. Give at least one, such as (0, 1)")
    if wrong:
        raise DataError(f"{source.name} has rows 0 to {len(source) - 1}; there is no row {', '.join(map(str, wrong))}")
    used = sorted({row for pair in pairs for row in pair})
    found = dict(zip(used, coding.encode(artifact, source.take(np.asarray(used)))))
    paths = np.stack([path(found[a], found[b], steps, spherical) for a, b in pairs])
    decoded = coding.decode(artifact, paths.reshape(-1, paths.shape[-1]))
    return decoded.reshape(len(pairs), steps, *decoded.shape[1:])


def path(start: Array, end: Array, steps: int, spherical: bool = False) -> Array:
    """Return `steps` codes from `start` to `end`, shape (steps, latent).

    Examples
    --------
    >>> path(np.zeros(1), np.ones(1), 3).ravel().tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.linspace(0, 1, steps)[:, None]
    straight = (1 - t) * start + t * end
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if not spherical or min(lengths) < 1e-12:
        return straight
    angle = np.arccos(np.clip(start @ end / (lengths[0] * lengths[1]), -1, 1))
    if angle < 1e-6 or np.pi - angle < 1e-6:
        return straight
    direction = (np.sin((1 - t) * angle) * start / lengths[0] + np.sin(t * angle) * end / lengths[1]) / np.sin(angle)
    return direction * ((1 - t) * lengths[0] + t * lengths[1])
