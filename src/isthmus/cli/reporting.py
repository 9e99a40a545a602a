"""What ``isthmus report`` does beyond calling the tasks."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Dataset, Source
from isthmus.errors import DataError
from isthmus.tasks.closer import alone, described, look, versions
from isthmus.tasks.distance import observed
from isthmus.tasks.evidence import ReportData
from isthmus.tasks.examine import baselines, examine
from isthmus.tasks.labels import as_labels, read_labels
from isthmus.tasks.measured import measured

MOST_CLASSES = 200
_NEXT = (("encode", "codes.csv"), ("score", "scores.csv"))


def report_data(artifact: Artifact, source: Source | Dataset, model: Path, data: Path, labels: Labels | None) -> ReportData:
    """Measure a model for a report: on the rows the fit held out if these are the same data, on all of them otherwise.

    Parameters
    ----------
    artifact : Artifact
    source : Source or Dataset
        Of a dataset at most 10,000 rows are measured.
    model, data : path
        Where they were read from.
    labels : Labels, optional
        Known classes, for measuring only.

    Returns
    -------
    ReportData
    """
    rows = measured(artifact, source)
    known = labels.of(rows.chosen, rows.positions) if labels else None
    known_rest = labels.of(rows.rest, rows.rest_positions) if labels and rows.rest else None
    evidence = look(examine(artifact, rows.chosen, known, rows.rest, known_rest), artifact, rows.chosen, rows.positions)
    others = _others(artifact, rows.rest, rows.chosen, known_rest, known) if rows.rest else {}
    facts = {"data": source.name, "rows": f"{len(source):,} of {' x '.join(map(str, artifact.schema.shape))}", "measured on": rows.told}
    commands = [f"isthmus {verb} {shlex.quote(str(model))} {shlex.quote(str(data))} --out {out}" for verb, out in _NEXT]
    title, schema = f"{artifact.family} autoencoder on {source.name}", described(artifact, rows.chosen)
    return ReportData(title, f"Saved model {model.name}", facts, others, [evidence], commands, schema, made_here(artifact))


def report_alone(artifact: Artifact, model: Path) -> ReportData:
    """Tell what a model knows by itself, without data.

    Parameters
    ----------
    artifact : Artifact
    model : path
        Where it was read from.

    Returns
    -------
    ReportData
    """
    known = {name: str(artifact.facts[name]) for name in ("data", "rows", "training rows", "held-out rows") if name in artifact.facts}
    command = f"isthmus report {shlex.quote(str(model))} DATA"
    title, told = f"{artifact.family} autoencoder", f"Saved model {model.name}: what it knows by itself, without data"
    return ReportData(title, told, known, {}, [alone(artifact)], [command], described(artifact), made_here(artifact))


def made_here(artifact: Artifact | None) -> dict[str, str]:
    """Return how the running command makes a page: the command itself, that of the fit, and versions."""
    fitted = {} if artifact is None or not artifact.facts.get("command") else {"fitted with": str(artifact.facts["command"])}
    return {"command": shlex.join(["isthmus", *sys.argv[1:]]), **fitted, **versions()}


def names_of(models: Sequence[Path]) -> list[str]:
    """Return a name for each model, no two alike: those of the folders, with their parents' where these are alike.

    Examples
    --------
    >>> names_of([Path("a/model"), Path("b/model")]), names_of([Path("x"), Path("x")])
    (['a/model', 'b/model'], ['x', 'x 2'])
    """
    short = [path.absolute().name for path in models]
    found = [path.as_posix() if short.count(name) > 1 else name for path, name in zip(models, short)]
    return [name if name not in found[:i] else f"{name} {found[: i + 1].count(name)}" for i, name in enumerate(found)]


def _others(
    artifact: Artifact, rest: Source, chosen: Source, rest_labels: NDArray[Any] | None, labels: NDArray[Any] | None
) -> dict[str, dict[str, float]]:
    """Measure the rows themselves and PCA with a code of the same width."""
    rows, held_out = (artifact.bare(artifact.prepare(source)) for source in (rest, chosen))
    raw = "raw pixels" if chosen.kind == "pictures" else "raw values"
    mixed = artifact.field.kind == "columns"
    seen = observed(artifact.field, held_out).numpy() if mixed else None
    known, shown = ((part[:, : artifact.field.values] if mixed else part).numpy() for part in (rows, held_out))
    found = baselines(known, shown, artifact.model.latent - artifact.model.condition, rest_labels, labels, raw, seen)
    for figures in found.values():
        figures.pop("seconds", None)
    return found


@dataclass(frozen=True)
class Labels:
    """Known classes of rows: of all of them, or as the rows' own ids.

    Parameters
    ----------
    path : path
        What messages name.
    known : array of shape (n,), optional
        One for each row of the data; None if a row's id is its class.
    """

    path: Path
    known: NDArray[Any] | None

    def of(self, source: Source, positions: NDArray[Any]) -> NDArray[Any]:
        """Return the classes of the rows `source`, which stand at `positions`.

        Raises
        ------
        DataError
            If they are no classes.
        """
        if self.known is not None:
            return self.known[positions]
        found = as_labels(list(source.ids))
        refuse_measures(found, self.path)
        return found


def known_labels(path: Path | None, key: str | None, data: Path, source: Source | Dataset) -> Labels | None:
    """Read the classes of the rows of `source`: from `path`, or from `data` itself if only `key` is given.

    Raises
    ------
    DataError
        If they cannot be read, or are no classes.
    """
    if path is None and key is None:
        return None
    if path is None and not isinstance(source, Source):
        return Labels(data, None)
    found = read_labels(path or data, key, len(source))
    refuse_measures(found, path or data)
    return Labels(path or data, found)


def refuse_measures(found: NDArray[Any], path: Path) -> None:
    """Raise if labels are so many that they cannot be classes.

    Raises
    ------
    DataError
        If they are.
    """
    classes, rows = len(np.unique(found)), len(found)
    if classes > max(MOST_CLASSES, rows // 10):
        raise DataError(f"{path}: {classes:,} different labels for {rows:,} rows are no classes. Give a class for each row, not a measure")
