"""Measure a fitted model on rows it was not trained on, and gather what a report shows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Schema, Source, to_table
from isthmus.data.dates import DAY
from isthmus.data.table import as_objects
from isthmus.distributions import GeneratorNoise
from isthmus.families import get
from isthmus.families.table import FAMILIES
from isthmus.tasks import codes as coding
from isthmus.tasks.evidence import Evidence
from isthmus.tasks.sample import interpolate, sample
from isthmus.training import in_batches

Array = NDArray[Any]
MAPPED = 2000
VOTERS, VOTED = 10_000, 5_000
STRIP = 12
PATHS = 4
_MADE = {"steps": "steps made"}
NEIGHBOURS = 5


def spread(rows: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` row numbers, evenly spread, so that data sorted by class stay represented.

    Examples
    --------
    >>> spread(7, 3).tolist(), spread(2, 3).tolist()
    ([0, 3, 6], [0, 1])
    """
    return np.arange(rows) if rows <= most else np.linspace(0, rows - 1, most).astype(np.int64)


def active_units(artifact: Artifact, codes: Array) -> float:
    """Return how many units of the code carry something.

    Sparse code: units away from zero, per row on average (above one half for units in (0, 1)). Otherwise: units whose mean code
    varies from row to row with a variance above 0.01 for a variational code (Burda et al., "Importance weighted autoencoders",
    2016, section 5.1.1), or above 1 % of the largest unit's.
    """
    bottleneck = artifact.model.bottleneck
    if bottleneck.sparse:
        return float((codes != 0).sum(1).mean())
    if hasattr(bottleneck, "activity"):
        return float((codes > 0.5).sum(1).mean())
    variance = codes.var(0)
    return float((variance > (0.01 if artifact.model.prior is not None else 0.01 * variance.max(initial=0.0))).sum())


def neighbours_accuracy(train: Array, labels: Array, test: Array, truth: Array) -> float:
    """Return how often the five nearest training codes vote for a held-out row's label (at most 10,000 vote on 5,000)."""
    some, asked = spread(len(train), VOTERS), spread(len(test), VOTED)
    train, labels, test, truth = train[some], labels[some], test[asked], truth[asked]
    voters = import_module("sklearn.neighbors").KNeighborsClassifier(min(NEIGHBOURS, len(train)))
    return float(voters.fit(train, labels).score(test, truth))


def clustering_score(codes: Array, labels: Array, seed: int = 0) -> float:
    """Return how well k-means groups of the codes (as many as there are labels) agree with the labels.

    The adjusted mutual information: 1 is perfect, 0 is chance. At most 5,000 codes are grouped.
    """
    some = spread(len(codes), VOTED)
    codes, labels = codes[some], labels[some]
    with _quiet():
        kmeans = import_module("sklearn.cluster").KMeans(min(len(np.unique(labels)), len(codes)), n_init=10, random_state=seed)
        groups = kmeans.fit_predict(codes)
    return float(import_module("sklearn.metrics").adjusted_mutual_info_score(labels, groups))


@contextmanager
def _quiet() -> Generator[None]:
    """Silence scikit-learn where codes coincide: fewer groups than labels is a finding here, not a fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def baselines(
    train: Array,
    held_out: Array,
    latent: int,
    train_labels: Array | None = None,
    labels: Array | None = None,
    raw: str = "raw values",
    seen: Array | None = None,
) -> dict[str, dict[str, float]]:
    """Measure the rows themselves and scikit-learn's PCA the same way as a model.

    Parameters
    ----------
    train, held_out : arrays of shape (n, ...) and (m, ...)
        Rows as a model sees them.
    latent : int
        Width of PCA's code; where it is no narrower than a row, or no smaller than the number of rows, PCA is left out.
    train_labels, labels : arrays of shape (n,) and (m,), optional
        Known classes.
    raw : str
        What the rows themselves are called.
    seen : array of shape (m, ...), optional
        1 for each held-out value that counts for the error, 0 for those that do not; all count by default.

    Returns
    -------
    dict of str to dict of str to float
        Figures by name, for the rows themselves (only with labels) and for PCA.
    """
    flat, flat_held = train.reshape(len(train), -1), held_out.reshape(len(held_out), -1)
    found: dict[str, dict[str, float]] = {}
    if labels is not None and train_labels is not None:
        found[raw] = {"code width": float(flat.shape[1]), **_with_labels(flat, train_labels, flat_held, labels)}
    if latent < min(flat.shape):
        found["PCA"] = _pca(flat, flat_held, latent, train_labels, labels, seen)
    return found


def _pca(
    flat: Array, flat_held: Array, latent: int, train_labels: Array | None, labels: Array | None, seen: Array | None
) -> dict[str, float]:
    pca = import_module("sklearn.decomposition").PCA(latent, random_state=0)
    start = time.perf_counter()
    pca.fit(flat)
    seconds = time.perf_counter() - start
    codes = pca.transform(flat_held)
    squares = np.square(pca.inverse_transform(codes) - flat_held)
    error = float(squares.mean() if seen is None else ((squares * seen).sum(1) / np.maximum(seen.sum(1), 1)).mean())
    figures = {"reconstruction error": error, "code width": float(latent)}
    if labels is not None and train_labels is not None:
        figures |= _with_labels(pca.transform(flat), train_labels, codes, labels)
    return {**figures, "seconds": seconds}


def _with_labels(train: Array, train_labels: Array, codes: Array, labels: Array) -> dict[str, float]:
    return {"k-NN accuracy": neighbours_accuracy(train, train_labels, codes, labels), "clustering": clustering_score(codes, labels)}


def map_codes(codes: Array, seed: int = 0) -> Array:
    """Return a 2-D map of codes, shape (n, 2): t-SNE, or the codes themselves where they have one or two units.

    Equal codes are one point of the map, as t-SNE may not end well where many coincide.
    """
    width = codes.shape[1]
    different, where = np.unique(codes, axis=0, return_inverse=True)
    n = len(different)
    if width <= 2 or n < 10:
        plain = codes[:, :2] if width <= 2 else codes[:, :2] - codes[0, :2]
        return np.pad(plain, ((0, 0), (0, max(0, 2 - width)))).astype(np.float32)
    mapper = import_module("sklearn.manifold").TSNE(2, perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=seed, max_iter=500)
    with _quiet():
        return mapper.fit_transform(different / different.std())[where.reshape(-1)].astype(np.float32)


def pictures(artifact: Artifact, rows: Array) -> Array:
    """Return rows in the data's units as floats in [0, 1], all on the same scale of brightness.

    Whole numbers are divided by the largest of their type if that is 255 or 65,535; other values that the model sees as real numbers
    are shown from three standard deviations below the mean to three above.
    """
    if artifact.schema.dtype in ("uint8", "uint16"):
        return (rows / np.float32(np.iinfo(artifact.schema.dtype).max)).astype(np.float32)
    scaled = artifact.preprocessor.transform(rows.reshape(-1, *rows.shape[-3:]))
    if artifact.field.support == "real":
        scaled = (scaled + 3) / 6
    return np.clip(scaled, 0, 1).reshape(rows.shape)


def examine(
    artifact: Artifact, held_out: Source, labels: Array | None = None, train: Source | None = None, train_labels: Array | None = None
) -> Evidence:
    """Measure a model on held-out rows.

    Parameters
    ----------
    artifact : Artifact
    held_out : Source
        Rows that were not trained on.
    labels : array of shape (n,), optional
        Known classes of those rows, for measuring only.
    train, train_labels : Source and array, optional
        Rows whose codes vote in the k-NN accuracy.

    Returns
    -------
    Evidence
    """
    codes = _codes(artifact, held_out)
    metrics = {
        "reconstruction error": float(coding.errors(artifact, held_out).astype(np.float64).mean()),
        "code width": float(codes.shape[1]),
        "active units": active_units(artifact, codes),
    }
    if labels is not None:
        if train is not None and train_labels is not None:
            voters = spread(len(train), VOTERS)
            metrics["k-NN accuracy"] = neighbours_accuracy(_codes(artifact, train.take(voters)), train_labels[voters], codes, labels)
        metrics["clustering"] = clustering_score(codes, labels)
    metrics["log likelihood (nats)"] = float(coding.score(artifact, held_out).astype(np.float64).mean())
    mapped = spread(len(held_out), MAPPED)
    some = held_out.take(mapped)
    evidence = Evidence(
        family=artifact.family,
        title=get(artifact.family).summary if artifact.family in FAMILIES else artifact.family,
        facts=facts(artifact),
        metrics=metrics,
        history=artifact.history.rows,
        best_step=int(artifact.facts.get("training", {}).get("kept step", 0)),
        codes=codes[mapped],
        map=map_codes(codes[mapped]),
        labels=None if labels is None else np.asarray(labels)[mapped],
    )
    if held_out.kind == "pictures":
        _add_pictures(evidence, artifact, some)
    else:
        _add_columns(evidence, artifact, held_out)
    return evidence


def _codes(artifact: Artifact, source: Source) -> Array:
    """Return the mean codes without the condition that may follow them."""
    return coding.encode(artifact, source)[:, : artifact.model.latent - artifact.model.condition]


def told(value: Any) -> str:
    """Return a setting as text; several numbers as they are given, such as 256,128.

    Examples
    --------
    >>> told([256, 128]), told(True), told(0.003)
    ('256,128', 'yes', '0.003')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return f"{value:g}" if isinstance(value, float) else str(value)


def facts(artifact: Artifact) -> dict[str, str]:
    """Return settings and sizes as text."""
    parameters = sum(p.numel() for p in artifact.model.parameters())
    hidden = ("family", "device", "devices")
    shown = {name: told(value) for name, value in artifact.config.items() if value is not None and name not in hidden}
    return {
        "parameters": f"{parameters:,}",
        **shown,
        **{_MADE.get(str(k), str(k)): told(v) for k, v in artifact.facts.get("training", {}).items()},
    }


def _add_pictures(evidence: Evidence, artifact: Artifact, some: Source) -> None:
    strip = some.take(spread(len(some), STRIP))
    evidence.thumbnails = pictures(artifact, some.array)
    evidence.originals = pictures(artifact, strip.array)
    evidence.reconstructions = pictures(artifact, coding.reconstruct(artifact, strip))
    corruption = artifact.objective.corruption
    if corruption is not None:
        noise = GeneratorNoise(torch.Generator().manual_seed(0))
        noisy = in_batches(lambda x: corruption(x, noise), artifact.prepare(strip))
        cleaned = in_batches(artifact.model.reconstruct, noisy)
        evidence.clean = evidence.originals
        evidence.noisy = pictures(artifact, artifact.restore(noisy))
        evidence.denoised = pictures(artifact, artifact.restore(cleaned))
    if artifact.model.prior is not None or artifact.density is not None:
        evidence.samples = pictures(artifact, sample(artifact, 40, mean=True))
        ends = spread(len(some), 2 * PATHS).tolist()
        pairs = list(zip(ends[: len(ends) // 2], ends[len(ends) // 2 :]))
        if pairs:
            evidence.interpolation = pictures(artifact, interpolate(artifact, some, pairs, steps=10))


def _add_columns(evidence: Evidence, artifact: Artifact, held_out: Source) -> None:
    mixed = artifact.schema.kind == "columns"
    truth = np.asarray(artifact.schema.align(held_out), dtype=np.float64)
    rebuilt = np.asarray(coding.reconstruct(artifact, held_out), dtype=np.float64)
    names = list(artifact.schema.columns) or [f"column {i}" for i in range(truth.shape[1])]
    if mixed:
        evidence.columns = _mixed_errors(artifact.schema, truth, rebuilt)
    else:
        squares = np.square(rebuilt - truth).mean(0)
        variance = truth.var(0)
        shares = 1 - squares / np.where(variance > 0, variance, np.nan)
        evidence.columns = [(name, float(np.sqrt(square)), float(share)) for name, square, share in zip(names, squares, shares)]
    if artifact.model.prior is not None:
        rows = sample(artifact, 8)
        evidence.sample_rows = (names, as_objects(to_table(rows, artifact.schema)) if mixed else rows)


def _mixed_errors(schema: Schema, truth: Array, rebuilt: Array) -> list[tuple[str, float, float]]:
    """Return name, error and share explained of every column, where it is observed: of categories and booleans the share that is wrong."""
    found: list[tuple[str, float, float]] = []
    for j, column in enumerate(schema.used):
        there = ~np.isnan(truth[:, j])
        true, made = truth[there, j], rebuilt[there, j]
        if not len(true):
            found.append((column.name, np.nan, np.nan))
        elif column.kind in ("category", "boolean"):
            wrong = float((true != made).mean())
            rest = 1 - np.unique(true, return_counts=True)[1].max() / len(true)
            found.append((f"{column.name} (share wrong)", wrong, 1 - wrong / rest if rest else np.nan))
        else:
            unit = DAY if column.kind == "date" else 1.0
            spread, error = float(np.std(true / unit)), float(np.sqrt(np.square(made / unit - true / unit).mean()))
            name = f"{column.name} (days)" if column.kind == "date" else column.name
            found.append((name, error, 1 - (error / spread) ** 2 if spread > 0 else np.nan))
    return found
