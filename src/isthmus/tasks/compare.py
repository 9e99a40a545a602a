"""Several fitted models on the same rows: what each does, and how far they are apart row by row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Dataset, Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.closer import described, look
from isthmus.tasks.evidence import Difference, Evidence, ReportData
from isthmus.tasks.examine import baselines, examine
from isthmus.tasks.measured import Measured, measured

Array = NDArray[Any]
ERROR, NATS = "error of a row", "log likelihood of a row (nats)"
LEAST, SURE = 2, 0.975
_COUNTED = ("Bernoulli", "DiscretisedLogistic", "PixelLevels", "Poisson", "NegativeBinomial", "Multinomial")


def paired(name: str, reference: str, measure: str, ours: Array, theirs: Array, lower_is_better: bool) -> Difference:
    """Compare two models' figures of the same rows.

    Parameters
    ----------
    name, reference : str
        Whose figures `ours` and `theirs` are.
    measure : str
    ours, theirs : array of shape (n,)
    lower_is_better : bool

    Returns
    -------
    Difference
        Of `ours` less `theirs`.

    Raises
    ------
    DataError
        If there are fewer than 2 rows, or not as many of each.

    References
    ----------
    Student's paired t interval; that the rows are independent of each other is assumed.

    Examples
    --------
    >>> found = paired("b", "a", "error", np.array([1.0, 2.0, 2.0]), np.array([2.0, 3.0, 4.0]), True)
    >>> round(found.mean, 3), found.better
    (-1.333, 1.0)
    """
    if len(ours) != len(theirs) or len(ours) < LEAST:
        raise DataError(f"{len(ours)} and {len(theirs)} rows cannot be compared in pairs: give the same rows, at least {LEAST} of them")
    apart = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    mean, spread = float(apart.mean()), float(apart.std(ddof=1))
    reach = float(import_module("scipy.stats").t.ppf(SURE, len(apart) - 1)) * spread / np.sqrt(len(apart))
    wins = (apart < 0) if lower_is_better else (apart > 0)
    better = float((wins + 0.5 * (apart == 0)).mean())
    return Difference(name, reference, measure, lower_is_better, len(apart), mean, mean - float(reach), mean + float(reach), spread, better)


def compare(models: Mapping[str, Artifact], data: Mapping[str, Source | Dataset]) -> ReportData:
    """Measure models on the same rows: those that every fit held out, where they can be told apart.

    Parameters
    ----------
    models : mapping of str to Artifact
        At least two; differences are to the first.
    data : mapping of str to Source or Dataset
        The same data as each model reads them.

    Returns
    -------
    ReportData
        Reconstruction errors are in one measure for all, that of `isthmus.tasks.closer.row_errors`.

    Raises
    ------
    ConfigError
        If there are fewer than two models.
    DataError
        If the models do not see the same columns, or there are too few rows.
    """
    if len(models) < 2:
        raise ConfigError(f"a comparison needs at least two models, not {len(models)}")
    _refuse_unlike(models, data)
    rows, positions, rest, told = _common(models, data)
    evidences = {name: _measured(name, artifact, rows[name], positions) for name, artifact in models.items()}
    first, source = next(iter(models)), next(iter(rows.values()))
    differences, notes = _differences(models, evidences)
    others = _baselines(
        models[first], source, rest, sorted({artifact.model.latent - artifact.model.condition for artifact in models.values()})
    )
    facts = {"data": next(iter(data.values())).name, "rows": f"{len(next(iter(data.values()))):,}", "measured on": told}
    title = f"{len(models)} models on {next(iter(data.values())).name}"
    schema = described(models[first], source)
    listed = list(evidences.values())
    return ReportData(title, "The same rows for each", facts, others, listed, schema=schema, differences=differences, notes=notes)


def _refuse_unlike(models: Mapping[str, Artifact], data: Mapping[str, Source | Dataset]) -> None:
    first, reference = next(iter(models.items()))
    for name, artifact in models.items():
        if _columns(artifact) != _columns(reference) or len(data[name]) != len(data[first]):
            raise DataError(f"{name} and {first} do not see the same columns: only models of the same data can be compared")


def _columns(artifact: Artifact) -> Any:
    schema = artifact.schema
    return schema.kind, schema.shape, schema.columns, [column.kind for column in schema.used] if schema.kind == "columns" else schema.dtype


def _common(models: Mapping[str, Artifact], data: Mapping[str, Source | Dataset]) -> tuple[dict[str, Source], Array, Source | None, str]:
    """Return the rows that all models are measured on, their numbers, rows that none is measured on, and which they are."""
    found = {name: measured(artifact, data[name]) for name, artifact in models.items()}
    positions = next(iter(found.values())).positions
    for each in found.values():
        positions = np.intersect1d(positions, each.positions)
    if len(positions) < LEAST:
        raise DataError("no two rows are held out by every model: fit them with the same seed and share of held-out rows, or give new data")
    rows = {name: each.chosen.take(np.searchsorted(each.positions, positions)) for name, each in found.items()}
    return rows, positions, next(iter(found.values())).rest, _told(found, len(positions))


def _told(found: Mapping[str, Measured], rows: int) -> str:
    seen = [name for name, each in found.items() if each.rest is None and "fitted on" in each.told]
    held = all(each.rest is not None for each in found.values())
    which = f"the {rows:,} rows that every fit held out" if held else f"{rows:,} rows"
    return which + (f", which {' and '.join(seen)} {'was' if len(seen) == 1 else 'were'} fitted on" if seen else "")


def _measured(name: str, artifact: Artifact, source: Source, positions: Array) -> Evidence:
    found = look(examine(artifact, source), artifact, source, positions)
    assert found.errors is not None
    found.family = name
    found.metrics = {**found.metrics, "reconstruction error": float(found.errors.mean())}
    found.metrics.pop("log likelihood (nats)", None)  # of different likelihoods these cannot stand in one column
    return found


def _differences(models: Mapping[str, Artifact], evidences: Mapping[str, Evidence]) -> tuple[list[Difference], list[str]]:
    first = next(iter(models))
    found: list[Difference] = []
    apart: list[str] = []
    for name in list(models)[1:]:
        ours, theirs = evidences[name], evidences[first]
        assert ours.errors is not None
        assert theirs.errors is not None
        found.append(paired(name, first, ERROR, ours.errors, theirs.errors, lower_is_better=True))
        if _nats_of(models[name]) != _nats_of(models[first]):
            apart.append(name)
        elif ours.scores is not None and theirs.scores is not None:
            found.append(paired(name, first, NATS, ours.scores, theirs.scores, lower_is_better=False))
    notes = [f"Log likelihoods of {name} and {first} are not compared: they are of other units or of another kind." for name in apart]
    return found, notes


def _nats_of(artifact: Artifact) -> str:
    """Return what must be equal for log likelihoods to be comparable: scaling, kind of the density, and terms."""
    state, arrays = artifact.preprocessor.state()
    entry = {name: value for name, value in state.items() if name != "notes"}
    kind = type(getattr(artifact.model.likelihood, "inner", artifact.model.likelihood)).__name__
    known = "counted" if kind in _COUNTED else "columns" if kind == "Columns" else "density"
    return json.dumps([entry, {name: values.tolist() for name, values in arrays.items()}, known, sorted(artifact.objective.nats)])


def _baselines(artifact: Artifact, source: Source, rest: Source | None, widths: list[int]) -> dict[str, dict[str, float]]:
    """Measure PCA with codes as wide as the models', in the measure of the models' errors."""
    if rest is None or artifact.schema.kind == "columns":
        return {}
    known, shown = (np.asarray(artifact.schema.align(part)) for part in (rest, source))
    unit = np.iinfo(known.dtype).max if known.dtype.name in ("uint8", "uint16") and source.kind == "pictures" else shown.std(0)
    known, shown = (part[:, ...] / np.where(unit > 0, unit, 1.0) for part in (known, shown))
    found: dict[str, dict[str, float]] = {}
    for width in widths[:3]:
        for figures in baselines(known, shown, width).values():
            figures.pop("seconds", None)
            found["PCA" if len(widths) == 1 else f"PCA, {width} wide"] = figures
    return found
