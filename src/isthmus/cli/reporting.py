"""What ``isthmus report`` does beyond calling the tasks."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.errors import DataError
from isthmus.tasks.config import Config
from isthmus.tasks.evidence import ReportData
from isthmus.tasks.examine import baselines, examine
from isthmus.tasks.fit import split
from isthmus.tasks.labels import read_labels
from isthmus.tasks.reading import digest

MOST_CLASSES = 200


def report_data(artifact: Artifact, source: Source, model: Path, data: Path, labels: NDArray[Any] | None) -> ReportData:
    """Measure a model for a report: on the rows the fit held out if these are the same data, on all of them otherwise.

    Parameters
    ----------
    artifact : Artifact
    source : Source
    model, data : path
        Where they were read from.
    labels : array of shape (n,), optional
        Known classes, for measuring only.

    Returns
    -------
    ReportData
    """
    settings = Config.from_mapping(artifact.config, "the model's settings")
    rest, held_out = split(len(source), settings.held_out or 0.0, settings.seed or 0)
    same = _fitted_on(artifact, source)
    apart = same and len(held_out) > 0
    chosen = held_out if apart else np.arange(len(source))
    train = source.take(rest) if apart else None
    known, known_rest = (None, None) if labels is None else (labels[chosen], labels[rest] if apart else None)
    evidence = examine(artifact, source.take(chosen), known, train, known_rest)
    others = _others(artifact, source, rest, chosen, known_rest, known) if apart else {}
    facts = {"data": source.name, "rows": f"{len(source):,} of {' x '.join(map(str, source.array.shape[1:]))}"}
    facts["measured on"] = _told(source, len(chosen), apart, same)
    commands = [f"isthmus {verb} {shlex.quote(str(model))} {shlex.quote(str(data))} --out {out}" for verb, out in _NEXT]
    return ReportData(f"{artifact.family} autoencoder on {source.name}", f"Saved model {model.name}", facts, others, [evidence], commands)


_NEXT = (("encode", "codes.csv"), ("score", "scores.csv"))


def _fitted_on(artifact: Artifact, source: Source) -> bool:
    aligned = Source(source.kind, artifact.schema.align(source))
    return artifact.facts.get("rows") == len(source) and artifact.facts.get("digest") == digest(aligned)


def _told(source: Source, count: int, apart: bool, same: bool) -> str:
    if apart:
        return f"the {count:,} rows that the fit held out"
    return f"all {count:,} rows, which the model was fitted on" if same else f"all {count:,} rows of {source.name}"


def _others(
    artifact: Artifact,
    source: Source,
    rest: NDArray[Any],
    chosen: NDArray[Any],
    rest_labels: NDArray[Any] | None,
    labels: NDArray[Any] | None,
) -> dict[str, dict[str, float]]:
    """Measure the rows themselves and PCA with a code of the same width."""
    rows, held_out = (artifact.prepare(source.take(index)).numpy() for index in (rest, chosen))
    raw = "raw pixels" if source.kind == "pictures" else "raw values"
    found = baselines(rows, held_out, artifact.model.latent, rest_labels, labels, raw)
    for figures in found.values():
        figures.pop("seconds", None)
    return found


def known_labels(path: Path | None, key: str | None, data: Path, rows: int) -> NDArray[Any] | None:
    """Read the classes of `rows` rows: from `path`, or from `data` itself if only `key` is given.

    Raises
    ------
    DataError
        If they cannot be read, or are no classes.
    """
    if path is None and key is None:
        return None
    found = read_labels(path or data, key, rows)
    classes = len(np.unique(found))
    if classes > max(MOST_CLASSES, rows // 10):
        raise DataError(
            f"{path or data}: {classes:,} different labels for {rows:,} rows are no classes. Give a class for each row, not a measure"
        )
    return found
