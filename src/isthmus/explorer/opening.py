"""Open a model, or a detector, and the rows to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.artifact.files import CONFIG
from isthmus.data import Dataset, Source
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.explorer.subject import Rows
from isthmus.tasks.config import Config
from isthmus.tasks.detector import FORMAT as DETECTOR
from isthmus.tasks.detector import Detector
from isthmus.tasks.fit import hold_out
from isthmus.tasks.measured import fitted_on
from isthmus.tasks.sample import sample

MOST = 100_000


def load(path: Path) -> Artifact | Detector:
    """Open a saved model or a saved detector.

    Raises
    ------
    ArtifactError
        If it is neither.
    """
    try:
        entry = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} is no saved model: give the folder that `isthmus fit --out` or `isthmus detect --save` wrote"
        ) from error
    kind = entry.get("format") if isinstance(entry, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return Detector.load(path) if kind == DETECTOR else Artifact.load(path)


def rows_of(
    model: Artifact | Detector,
    data: Source | Dataset,
    labels: NDArray[Any] | None = None,
    healthy: Source | Dataset | None = None,
    most: int = MOST,
) -> tuple[Rows, str]:
    """Return the rows to look at, and what is to be known of them.

    Parameters
    ----------
    model : Artifact or Detector
    data : Source or Dataset
        Of more than `most` rows a random sample is taken, in its order.
    labels : ndarray of shape (n,), optional
    healthy : Source or Dataset, optional
        Rows the model has not seen, to calibrate scores with.
    most : int

    Returns
    -------
    Rows
    str

    Raises
    ------
    DataError
        If there are none.
    """
    if not len(data):
        raise DataError(f"{data.name}: no rows to look at. Give at least one")
    total = len(data)
    chosen = np.arange(total) if total <= most else np.sort(np.random.default_rng(0).choice(total, most, replace=False, shuffle=False))
    source = data if isinstance(data, Source) and total <= most else data.take(chosen)
    held = _held_out(model, data, chosen)
    note = "" if total <= most else f"a random sample of {most:,} of the {total:,} rows"
    known = healthy if healthy is None or isinstance(healthy, Source) else healthy.head(MOST)
    return Rows(source, total, None if labels is None else labels[chosen], held, known), note


def _held_out(model: Artifact | Detector, data: Source | Dataset, chosen: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return which of the chosen rows the fit held out; None if these are other data, or a detector's."""
    if isinstance(model, Detector) or not fitted_on(model, data):
        return None
    settings = Config.from_mapping(model.config, "the model's settings")
    return np.flatnonzero(np.isin(chosen, hold_out(len(data), settings.held_out or 0.0, settings.seed or 0)))


def drawn_rows(artifact: Artifact, count: int, seed: int = 0) -> Source:
    """Return rows that a model draws, where there are no data.

    Raises
    ------
    ConfigError
        If it has no density to draw from; the message says how to come by one, or give data.
    """
    if artifact.condition is not None:
        raise ConfigError("there are no rows to look at: give DATA, for a conditional model must be told of each row's condition")
    try:
        rows = sample(artifact, count, seed=seed, mean=artifact.schema.kind == "pictures")
    except ConfigError as error:
        raise ConfigError(f"there are no rows to look at: give DATA, for the model draws none itself ({error})") from error
    return Source(artifact.schema.kind, rows, artifact.schema.columns, name="drawn from the model")


def kept_rows(detector: Detector) -> Source:
    """Return the healthy rows that a detector keeps to compare others with."""
    schema = detector.layout.schema
    return Source(schema.kind, detector.references, detector.columns, name="healthy rows that the detector keeps")
