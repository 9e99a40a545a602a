"""Which rows a model is measured on: those it was not trained on where they can be told apart, and not more than memory holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Dataset, Source
from isthmus.tasks.config import Config
from isthmus.tasks.examine import spread
from isthmus.tasks.fit import hold_out, others
from isthmus.tasks.reading import SAMPLED, digest, digest_of

Positions = NDArray[np.int64]
MOST = 10_000


@dataclass(frozen=True)
class Measured:
    """Rows to measure a model on.

    Attributes
    ----------
    chosen : Source
    positions : array of int
        Their row numbers.
    rest : Source, optional
        Rows that the model was trained on, where the chosen ones are held out.
    rest_positions : array of int
        Their row numbers.
    told : str
        Which rows they are, as a sentence goes on.
    """

    chosen: Source
    positions: Positions
    rest: Source | None
    rest_positions: Positions
    told: str


def measured(artifact: Artifact, data: Source | Dataset) -> Measured:
    """Return the rows that the fit held out if these are the same data, and all of them otherwise; of a dataset at most 10,000.

    Parameters
    ----------
    artifact : Artifact
    data : Source or Dataset

    Returns
    -------
    Measured
    """
    settings = Config.from_mapping(artifact.config, "the model's settings")
    same = fitted_on(artifact, data)
    held_out = hold_out(len(data), settings.held_out or 0.0, settings.seed or 0)
    apart = same and len(held_out) > 0
    everything = len(held_out) if apart else len(data)
    most = everything if isinstance(data, Source) else MOST
    positions = held_out[spread(len(held_out), most)] if apart else _random(len(data), most)
    rest = _rest(len(data), held_out, isinstance(data, Source)) if apart else np.empty(0, np.int64)
    chosen, trained = _take(data, positions, rest)
    told = _told(data, len(positions), everything, apart, same)
    return Measured(chosen, positions, trained if apart else None, rest, told)


def _random(rows: int, most: int) -> Positions:
    return np.arange(rows) if rows <= most else np.sort(np.random.default_rng(0).choice(rows, most, replace=False, shuffle=False))


def _rest(rows: int, held_out: Positions, whole: bool) -> Positions:
    """Return rows that were trained on: all, or a random sample."""
    if whole or rows - len(held_out) <= MOST:
        return others(rows, held_out)
    drawn = _random(rows, min(rows, MOST + len(held_out)))
    left = np.setdiff1d(drawn, held_out)
    return left[spread(len(left), MOST)]


def _take(data: Source | Dataset, first: Positions, second: Positions) -> tuple[Source, Source]:
    """Return two sets of rows by one pass over the data."""
    if isinstance(data, Source):
        return data.take(first), data.take(second)
    both = np.union1d(first, second)
    found = data.take(both)
    return found.take(np.searchsorted(both, first)), found.take(np.searchsorted(both, second))


def fitted_on(artifact: Artifact, data: Source | Dataset) -> bool:
    """Say whether these are the data that a model was fitted on, held-out rows included."""
    if artifact.facts.get("rows") != len(data):
        return False
    if isinstance(data, Source):
        return artifact.facts.get("digest") == digest(Source(data.kind, artifact.schema.align(data)))
    if artifact.facts.get("fingerprint") == data.fingerprint():
        return True
    some = artifact.schema.align(data.take(np.arange(0, len(data), max(1, len(data) // SAMPLED))))
    return artifact.facts.get("digest") == digest_of((len(data), *some.shape[1:]), some.dtype, some)


def _told(data: Source | Dataset, count: int, everything: int, apart: bool, same: bool) -> str:
    which = f"the {everything:,} rows that the fit held out" if apart else f"all {everything:,} rows"
    whose = "" if apart else ", which the model was fitted on" if same else f" of {data.name}"
    return f"{which}{whose}" if count == everything else f"{count:,} random rows of {which}{whose}"
