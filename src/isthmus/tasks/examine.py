"""Measure a fitted model on rows it was not trained on, and gather what a report shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.distributions import GeneratorNoise
from isthmus.families import get
from isthmus.families.table import FAMILIES
from isthmus.tasks import codes as coding
from isthmus.tasks.evidence import Evidence
from isthmus.tasks.sample import interpolate, sample
from isthmus.training import in_batches

Array = NDArray[Any]
MAPPED = 2000
STRIP = 12
NEIGHBOURS = 5


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
    spread = codes.var(0)
    return float((spread > (0.01 if artifact.model.prior is not None else 0.01 * spread.max(initial=0.0))).sum())


def neighbours_accuracy(train: Array, labels: Array, test: Array, truth: Array) -> float:
    """Return how often the five nearest training codes vote for a held-out row's label."""
    from sklearn.neighbors import KNeighborsClassifier

    voters: Any = KNeighborsClassifier(min(NEIGHBOURS, len(train)))
    return float(voters.fit(train, labels).score(test, truth))


def clustering_score(codes: Array, labels: Array, seed: int = 0) -> float:
    """Return how well k-means groups of the codes (as many as there are labels) agree with the labels.

    The adjusted mutual information: 1 is perfect, 0 is chance.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score

    groups: Any = KMeans(min(len(np.unique(labels)), len(codes)), n_init=10, random_state=seed).fit_predict(codes)
    return float(adjusted_mutual_info_score(labels, groups))


def map_codes(codes: Array, seed: int = 0) -> Array:
    """Return a 2-D map of codes, shape (n, 2): t-SNE, or the codes themselves where they have one or two units."""
    n, width = codes.shape
    if width <= 2 or n < 10:
        return np.pad(codes[:, :2], ((0, 0), (0, max(0, 2 - width)))).astype(np.float32)
    from sklearn.manifold import TSNE

    spread: Any = codes.std()
    if spread == 0:
        return np.zeros((n, 2), dtype=np.float32)
    mapper: Any = TSNE(2, perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=seed, max_iter=500)
    return mapper.fit_transform(codes / spread).astype(np.float32)


def pictures(artifact: Artifact, rows: Array) -> Array:
    """Return rows in the data's units as floats in [0, 1]."""
    scaled = artifact.preprocessor.transform(rows.reshape(-1, *rows.shape[-3:]))
    if artifact.field.support == "real":
        scaled = (scaled - scaled.min()) / max(1e-12, float(np.ptp(scaled)))
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
    codes = coding.encode(artifact, held_out)
    metrics = {
        "reconstruction error": float(coding.errors(artifact, held_out).astype(np.float64).mean()),
        "code width": float(artifact.model.latent),
        "active units": active_units(artifact, codes),
    }
    if labels is not None:
        if train is not None and train_labels is not None:
            metrics["k-NN accuracy"] = neighbours_accuracy(coding.encode(artifact, train), train_labels, codes, labels)
        metrics["clustering"] = clustering_score(codes, labels)
    metrics["log likelihood (nats)"] = float(coding.score(artifact, held_out).astype(np.float64).mean())
    some = held_out.take(slice(0, MAPPED))
    evidence = Evidence(
        family=artifact.family,
        title=get(artifact.family).summary if artifact.family in FAMILIES else artifact.family,
        facts=facts(artifact),
        metrics=metrics,
        history=artifact.history.rows,
        best_step=int(artifact.facts.get("training", {}).get("kept step", 0)),
        codes=codes[:MAPPED],
        map=map_codes(codes[:MAPPED]),
        labels=None if labels is None else np.asarray(labels)[:MAPPED],
    )
    if held_out.kind == "pictures":
        _add_pictures(evidence, artifact, some)
    else:
        _add_columns(evidence, artifact, held_out)
    return evidence


def facts(artifact: Artifact) -> dict[str, str]:
    """Return settings and sizes as text."""
    parameters = sum(p.numel() for p in artifact.model.parameters())
    shown = {name: str(value) for name, value in artifact.config.items() if value is not None and name not in ("family", "device", "devices")}
    return {"parameters": f"{parameters:,}", **shown, **{k: str(v) for k, v in artifact.facts.get("training", {}).items()}}


def _add_pictures(evidence: Evidence, artifact: Artifact, some: Source) -> None:
    strip = some.take(slice(0, STRIP))
    evidence.thumbnails = pictures(artifact, some.array)
    evidence.originals = pictures(artifact, strip.array)
    evidence.reconstructions = pictures(artifact, coding.reconstruct(artifact, strip))
    corruption = artifact.objective.corruption
    if corruption is not None:
        noise = GeneratorNoise(torch.Generator().manual_seed(0))
        noisy = in_batches(lambda x: corruption(x, noise), artifact.prepare(strip))
        cleaned = in_batches(artifact.model.reconstruct, noisy)
        evidence.clean = evidence.originals
        evidence.noisy = np.clip(noisy.numpy(), 0, 1)
        evidence.denoised = pictures(artifact, artifact.restore(cleaned))
    if artifact.model.prior is not None:
        evidence.samples = pictures(artifact, sample(artifact, 40, mean=True))
        pairs = [(2 * i, 2 * i + 1) for i in range(min(4, len(some) // 2))]
        if pairs:
            evidence.interpolation = pictures(artifact, interpolate(artifact, some, pairs, steps=10))


def _add_columns(evidence: Evidence, artifact: Artifact, held_out: Source) -> None:
    truth = np.asarray(artifact.schema.align(held_out), dtype=np.float64)
    rebuilt = np.asarray(coding.reconstruct(artifact, held_out), dtype=np.float64)
    squares = np.square(rebuilt - truth).mean(0)
    spread = truth.var(0)
    names = list(artifact.schema.columns) or [f"column {i}" for i in range(truth.shape[1])]
    shares = 1 - squares / np.where(spread > 0, spread, np.nan)
    evidence.columns = [(name, float(np.sqrt(square)), float(share)) for name, square, share in zip(names, squares, shares)]
    if artifact.model.prior is not None:
        evidence.sample_rows = (names, sample(artifact, 8))
