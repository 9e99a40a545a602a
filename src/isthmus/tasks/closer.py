"""A closer look at a fitted model: what it rebuilds best and worst, what its code carries, and what its data are."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus import __version__
from isthmus.artifact import Artifact
from isthmus.data import Source, to_table
from isthmus.data.table import as_objects
from isthmus.families import FAMILIES
from isthmus.tasks import codes as coding
from isthmus.tasks.evidence import Evidence, Ranked, Usage
from isthmus.tasks.examine import facts, pictures, spread
from isthmus.tasks.sample import sample
from isthmus.tasks.space import rank, traverse

Array = NDArray[Any]
SHOWN = 8
LOOKED, BLOCK = 20_000, 500
USED = 2000
TRAVERSED, STEPS = 8, 9
ACTIVE, ACTIVE_SHARE = 0.01, 0.01
LISTED = 200
PACKAGES = ("torch", "numpy", "scikit-learn")


def look(evidence: Evidence, artifact: Artifact, source: Source, positions: Array | None = None) -> Evidence:
    """Add a closer look to the evidence of a model.

    Parameters
    ----------
    evidence : Evidence
        Changed in place.
    artifact : Artifact
    source : Source
        The rows it was measured on; of more than 20,000 an even choice is looked at.
    positions : array of int, shape (n,), optional
        Their numbers in the data.

    Returns
    -------
    Evidence
        The same.
    """
    numbers = np.arange(len(source)) if positions is None else np.asarray(positions)
    some = spread(len(source), LOOKED)
    source, numbers = (source, numbers) if len(some) == len(source) else (source.take(some), numbers[some])
    rebuilt = coding.reconstruct(artifact, source)
    evidence.scores = coding.score(artifact, source).astype(np.float64)
    evidence.errors = row_errors(artifact, source, rebuilt)
    evidence.ranked = ranked(artifact, source, rebuilt, evidence.errors, numbers)
    evidence.usage = usage(artifact, source)
    if source.kind == "pictures" and not artifact.model.condition:
        evidence.traversal = pictures(
            artifact, traverse(artifact, source.take(np.arange(min(USED, len(source)))), None, STEPS, TRAVERSED).rows
        )
    return evidence


def row_errors(artifact: Artifact, source: Source, rebuilt: Array | None = None) -> Array:
    """Return how far each row is from what comes back of it, in a measure that is the same for every model of the same data.

    Of pictures the mean squared difference, white being 1, or the brightest value of these rows where pictures of fractions go beyond
    1; of tables the mean over the columns of the squared difference over the variance among these rows, and of categories and
    booleans the share that is wrong.

    Parameters
    ----------
    artifact : Artifact
    source : Source
    rebuilt : array, optional
        What comes back of the rows, if it is known already.

    Returns
    -------
    array of shape (n,), float64
    """
    made = coding.reconstruct(artifact, source) if rebuilt is None else rebuilt
    truth = np.asarray(artifact.schema.align(source))
    if artifact.schema.kind == "pictures":
        white = np.iinfo(truth.dtype).max if artifact.schema.dtype in ("uint8", "uint16") else max(1.0, float(truth.max(initial=0.0)))
        parts = [slice(start, start + BLOCK) for start in range(0, len(truth), BLOCK)]
        means = [np.square((made[part].astype(np.float64) - truth[part]) / white).reshape(len(truth[part]), -1).mean(1) for part in parts]
        return np.concatenate(means)
    truth, made = (np.asarray(part, np.float64).reshape(len(truth), -1) for part in (truth, made))
    kinds = [column.kind for column in artifact.schema.used] if artifact.schema.kind == "columns" else ["number"] * truth.shape[1]
    return _over_columns(truth, made, np.array([kind in ("category", "boolean") for kind in kinds]))


def _over_columns(truth: Array, made: Array, named: NDArray[np.bool_]) -> Array:
    there = ~np.isnan(truth)
    variance = _variances(truth)
    used = named | (variance > 0)
    squares = np.where(named, made != truth, np.square(made - truth) / np.where(variance > 0, variance, 1.0))
    counted = there & used
    return np.where(counted, squares, 0.0).sum(1) / np.maximum(counted.sum(1), 1)


def _variances(truth: Array) -> Array:
    return np.array([np.var(column[~np.isnan(column)]) if (~np.isnan(column)).any() else 0.0 for column in truth.T])


def ranked(artifact: Artifact, source: Source, rebuilt: Array, errors: Array, positions: Array) -> Ranked:
    """Return the rows that are rebuilt best, in the middle and worst.

    Parameters
    ----------
    artifact : Artifact
    source : Source
    rebuilt : array of shape (n, \\*shape)
        What comes back of the rows, in the data's own units.
    errors : array of shape (n,)
    positions : array of int, shape (n,)
        Numbers of the rows in the data.

    Returns
    -------
    Ranked
    """
    order = np.argsort(errors, kind="stable")
    count = min(SHOWN, len(order))
    middle = max(0, (len(order) - count) // 2)
    rows = np.stack([order[:count], order[middle : middle + count], order[::-1][:count]])
    flat = rows.reshape(-1)
    given, back = np.asarray(artifact.schema.align(source))[flat], np.asarray(rebuilt)[flat]
    if source.kind == "pictures":
        shown, names = [pictures(artifact, part) for part in (given, back)], list[str]()
    else:
        shown, names = [_cells(artifact, part) for part in (given, back)], _names(artifact)
    first, second = (part.reshape(3, count, *part.shape[1:]) for part in shown)
    return Ranked(np.asarray(positions)[rows], errors[rows], first, second, names)


def _names(artifact: Artifact) -> list[str]:
    return list(artifact.schema.columns) or [f"column {i}" for i in range(artifact.schema.shape[0])]


def _cells(artifact: Artifact, rows: Array) -> Array:
    return as_objects(to_table(rows, artifact.schema)) if artifact.schema.kind == "columns" else np.asarray(rows, np.float64)


def usage(artifact: Artifact, source: Source) -> Usage:
    """Return what the units of the code carry over at most 2,000 rows.

    Parameters
    ----------
    artifact : Artifact
    source : Source

    Returns
    -------
    Usage
    """
    some = source.take(spread(len(source), USED))
    codes = coding.encode(artifact, some).astype(np.float64)
    codes = codes[:, : codes.shape[1] - artifact.model.condition]
    variance = codes.var(0)
    carried, measure = rank(artifact, some)
    least = ACTIVE if artifact.model.prior is not None else ACTIVE_SHARE * float(variance.max(initial=0.0))
    correlation = np.full((codes.shape[1],) * 2, np.nan)
    vary = np.flatnonzero(variance > 0)
    if len(codes) > 1 and len(vary):
        correlation[np.ix_(vary, vary)] = np.corrcoef(codes[:, vary], rowvar=False).reshape(len(vary), -1)
    return Usage(variance, carried if measure != "variance" else None, variance > least, correlation)


def described(artifact: Artifact, source: Source | None = None) -> list[dict[str, object]]:
    """Return what the data are, a line for each column (at most 200) or one for pictures.

    Parameters
    ----------
    artifact : Artifact
    source : Source, optional
        Rows to measure.

    Returns
    -------
    list of dict of str to object
    """
    schema = artifact.schema
    if schema.kind == "pictures":
        size = " x ".join(map(str, schema.shape))
        return [{"what": "pictures", "height, width, channels": size, "type": schema.dtype, **_pixels(artifact, source)}]
    if schema.kind == "columns":
        measured = None if source is None else np.asarray(schema.align(source), np.float64)
        place = {name: j for j, name in enumerate(schema.columns)}
        seen = [None if measured is None or column.name not in place else measured[:, place[column.name]] for column in schema.types]
        return [
            {"column": column.name, "kind": column.kind, **_numbers(column.kind, values), "seen": column.note}
            for column, values in list(zip(schema.types, seen))[:LISTED]
        ]
    rows = None if source is None else np.asarray(schema.align(source), np.float64)
    return [
        {"column": name, "type": schema.dtype, **_numbers("number", None if rows is None else rows[:, j])}
        for j, name in enumerate(_names(artifact)[:LISTED])
    ]


def _pixels(artifact: Artifact, source: Source | None) -> dict[str, object]:
    if source is None:
        return {}
    rows = np.asarray(artifact.schema.align(source))
    return {"darkest": float(rows.min()), "brightest": float(rows.max()), "mean": float(rows.mean(dtype=np.float64))}


def _numbers(kind: str, values: Array | None) -> dict[str, object]:
    if values is None:
        return {}
    there = values[~np.isnan(values)]
    missing: dict[str, object] = {"missing": f"{1 - len(there) / max(1, len(values)):.1%}"} if len(there) < len(values) else {"missing": ""}
    if kind not in ("number", "heavy", "count") or not len(there):
        return {**missing, "mean": None, "deviation": None, "least": None, "most": None}
    return {
        **missing,
        "mean": float(there.mean()),
        "deviation": float(there.std()),
        "least": float(there.min()),
        "most": float(there.max()),
    }


def alone(artifact: Artifact) -> Evidence:
    """Return what a model tells without data: its settings, figures, curves, and samples where it can draw.

    Parameters
    ----------
    artifact : Artifact

    Returns
    -------
    Evidence
    """
    known: dict[str, Any] = artifact.facts
    width = artifact.model.latent - artifact.model.condition
    figures = {str(name): float(value) for name, value in known.get("figures", {}).items() if isinstance(value, (int, float))}
    found = Evidence(
        family=artifact.family,
        title=FAMILIES[artifact.family].summary if artifact.family in FAMILIES else artifact.family,
        facts=facts(artifact),
        metrics={**figures, "code width": float(width)},
        history=artifact.history.rows,
        best_step=int(known.get("training", {}).get("kept step", 0)),
        codes=np.empty((0, width)),
        map=np.empty((0, 2)),
    )
    if artifact.model.prior is not None or artifact.density is not None:
        drawn = sample(artifact, 40 if artifact.schema.kind == "pictures" else SHOWN, mean=artifact.schema.kind == "pictures")
        if artifact.schema.kind == "pictures":
            found.samples = pictures(artifact, drawn)
        else:
            found.sample_rows = (_names(artifact), _cells(artifact, drawn))
    return found


def versions() -> dict[str, str]:
    """Return what the page was made with: versions of isthmus, Python and the libraries that compute.

    Examples
    --------
    >>> sorted(versions())[:2]
    ['Python', 'isthmus']
    """
    found = {"isthmus": __version__, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
