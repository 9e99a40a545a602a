"""How good samples are: distances to real rows in the features of a classifier trained on the spot, each beside its real/real floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.density import chosen_density
from isthmus.tasks.examine import pictures
from isthmus.tasks.judge import ROWS, Judge, train_classifier
from isthmus.tasks.measured import measured
from isthmus.tasks.sample import sample

Array = NDArray[Any]
NEAREST = 5
BLOCK = 1000
KID_SUBSETS, KID_SIZE = 20, 1000
COMPARED = 5000


def frechet(a: Array, b: Array) -> float:
    r"""Return the Frechet distance of two Gaussians with the moments of two sets of features.

    :math:`\lVert \mu_a - \mu_b \rVert^2 + \mathrm{tr}(\Sigma_a + \Sigma_b - 2 (\Sigma_a \Sigma_b)^{1/2})`

    Parameters
    ----------
    a, b : arrays of shape (n, d) and (m, d)

    Returns
    -------
    float

    References
    ----------
    Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", NeurIPS 2017, equation 6.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> round(frechet(x, x + 2), 6)
    12.0
    """
    means = a.mean(0) - b.mean(0)
    first, second = (np.atleast_2d(np.cov(part, rowvar=False)) for part in (a, b))
    # The trace of the root of a product is the sum of the singular values of the product of the roots.
    joint = np.linalg.svd(_root(first) @ _root(second), compute_uv=False).sum()
    return float(means @ means + np.trace(first) + np.trace(second) - 2 * joint)


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def kernel_distance(a: Array, b: Array, seed: int = 0) -> float:
    r"""Return the kernel inception distance of features: the unbiased squared MMD with the kernel :math:`(x^\top y / d + 1)^3`.

    Parameters
    ----------
    a, b : arrays of shape (n, d) and (m, d)
        The mean over 20 subsets of 1,000 rows is taken where there are more.
    seed : int

    Returns
    -------
    float

    References
    ----------
    Binkowski et al., "Demystifying MMD GANs", ICLR 2018.
    """
    random = np.random.default_rng(seed)
    size = min(KID_SIZE, len(a), len(b))
    subsets = KID_SUBSETS if max(len(a), len(b)) > size else 1
    pairs = [[part[random.permutation(len(part))[:size]] for part in (a, b)] for _ in range(subsets)]
    return float(np.mean([_mmd(x, y) for x, y in pairs]))


def _mmd(a: Array, b: Array) -> float:
    n, d = a.shape
    within = [((part @ part.T / d + 1) ** 3) for part in (a, b)]
    cross = (a @ b.T / d + 1) ** 3
    return float(sum((k.sum() - np.trace(k)) / (n * (n - 1)) for k in within) - 2 * cross.mean())


def _squares(a: Array, b: Array) -> Array:
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0)


def _blocks(a: Array, b: Array, look: Callable[[Array], Array]) -> Array:
    """Apply `look` to squared distances of blocks of `a` to all of `b`, and join the results."""
    return np.concatenate([look(_squares(a[i : i + BLOCK], b)) for i in range(0, len(a), BLOCK)])


def prdc(real: Array, fake: Array, k: int = NEAREST) -> dict[str, float]:
    """Return precision, recall, density and coverage of samples against real rows.

    Parameters
    ----------
    real, fake : arrays of shape (n, d) and (m, d)
        Features.
    k : int
        Neighbours that make a row's ball.

    Returns
    -------
    dict of str to float
        ``precision``: share of samples within a real row's ball; ``recall``: share of real rows within a sample's ball; ``density``: mean
        number of real balls a sample lies in, over k; ``coverage``: share of real rows whose ball holds a sample.

    Raises
    ------
    ConfigError
        If `k` is below 1, or there are not more rows than that.

    References
    ----------
    Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020, equations 3 to 6.
    """
    if not 1 <= k < min(len(real), len(fake)):
        raise ConfigError(f"k must be at least 1 and below the number of rows ({min(len(real), len(fake))}), not {k}")
    reach = _blocks(real, real, lambda d: np.partition(d, k, axis=1)[:, k])
    fake_reach = _blocks(fake, fake, lambda d: np.partition(d, k, axis=1)[:, k])
    balls = _blocks(fake, real, lambda d: (d < reach).sum(1))
    near = _blocks(real, fake, lambda d: d.min(1))
    inside = _blocks(real, fake, lambda d: np.asarray((d < fake_reach).any(1)))
    return {
        "precision": float((balls > 0).mean()),
        "recall": float(inside.mean()),
        "density": float(balls.mean() / k),
        "coverage": float((near < reach).mean()),
    }


def two_sample_accuracy(a: Array, b: Array, seed: int = 0) -> float:
    """Return how often a classifier trained to tell two sets of features apart is right on rows it has not seen: one half is chance.

    Parameters
    ----------
    a, b : arrays of shape (n, d) and (m, d)
        As many of each are used; a third of both is kept for the accuracy.
    seed : int

    Returns
    -------
    float

    References
    ----------
    Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.
    """
    random = np.random.default_rng(seed)
    size = min(len(a), len(b))
    cut = size // 3
    # A classifier of numbers needs them on one scale, which may be told by both sets together.
    parts = [part[random.permutation(len(part))[:size]] for part in (a, b)]
    both = np.concatenate(parts)
    scaled = [(part - both.mean(0)) / np.maximum(both.std(0), 1e-9) for part in parts]
    x, y = (_labelled([part[where] for part in scaled]) for where in (slice(cut, None), slice(0, cut)))
    net = train_classifier(*x, classes=2, epochs=20, seed=seed)
    with torch.inference_mode():
        right = net(y[0]).argmax(1) == y[1]
    return float(right.double().mean())


def _labelled(parts: list[Array]) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.from_numpy(np.concatenate(parts).astype(np.float32))  # pyright: ignore[reportUnknownMemberType]
    return x, torch.cat([torch.full((len(part),), i) for i, part in enumerate(parts)])


def memorised(samples: Array, train: Array, held_out: Array) -> dict[str, float]:
    """Say whether samples lie nearer to training rows than other real rows do.

    Parameters
    ----------
    samples, train, held_out : arrays of shape (n, ...), (m, ...) and (k, ...)
        In the same unit.

    Returns
    -------
    dict of str to float
        ``nearer``: how often a sample is nearer to the training rows than a held-out row is (0.5 if it is as real rows are; near 1 for
        copies); ``copies``: share of samples nearer than 99 % of held-out rows are.

    References
    ----------
    Meehan, Chaudhuri and Dasgupta, "A non-parametric test to detect data-copying in generative models", AISTATS 2020.
    """
    flat = [np.asarray(part, np.float32).reshape(len(part), -1) for part in (samples, train, held_out)]
    found, usual = (_blocks(part, flat[1], lambda d: d.min(1)) for part in (flat[0], flat[2]))
    below = np.searchsorted(np.sort(usual), found, side="left")
    ties = np.searchsorted(np.sort(usual), found, side="right") - below
    nearer = 1 - (below + 0.5 * ties) / len(usual)
    return {"nearer": float(nearer.mean()), "copies": float((found < np.quantile(usual, 0.01)).mean())}


@dataclass(frozen=True, eq=False)
class Quality:
    """Figures of samples, and what real rows get in their place.

    Attributes
    ----------
    figures, floor : dict of str to float
        The same measures, of samples against real rows and of other real rows against them.
    memorised : dict of str to float
        See `memorised`.
    judge_accuracy : float
        Of the classifier whose features are compared.
    rows : int
        Rows on each side.
    notes : list of str
    """

    figures: dict[str, float]
    floor: dict[str, float]
    memorised: dict[str, float]
    judge_accuracy: float
    rows: int
    notes: list[str] = field(default_factory=list[str])


def compare(real: Array, fake: Array, seed: int = 0) -> dict[str, float]:
    """Return every distance of two sets of features, by name."""
    return {
        "Frechet distance": frechet(real, fake),
        "kernel distance (KID)": kernel_distance(real, fake, seed),
        **prdc(real, fake),
        "two-sample accuracy": two_sample_accuracy(real, fake, seed),
    }


def quality(samples: Array, train: Array, labels: Array, unseen: Array, seed: int = 0) -> Quality:
    """Measure samples against real rows that neither the model nor the judge has seen.

    Parameters
    ----------
    samples : array of shape (n, H, W, C) or (n, d)
        Scaled to [0, 1].
    train, labels : arrays of shape (m, ...) and (m,)
        Rows with their classes: the judge is trained on them, and copies of them are looked for.
    unseen : array of shape (k, ...)
        Other real rows. One half is what samples are compared with, the other half gives the floor.
    seed : int

    Returns
    -------
    Quality

    Raises
    ------
    DataError
        If there are too few rows, or shapes differ.
    """
    if not samples.shape[1:] == train.shape[1:] == unseen.shape[1:]:
        raise DataError(
            f"samples, train and unseen rows must have one shape, not {samples.shape[1:]}, {train.shape[1:]}, {unseen.shape[1:]}"
        )
    count = min(len(samples), len(unseen) // 2, COMPARED)
    if count < 50:
        raise DataError(f"only {count} rows on each side: give at least 50 samples and 100 real rows that were not trained on")
    judge = Judge.train(train, labels, seed)
    order = np.random.default_rng(seed).permutation(len(unseen))
    reference, other = (judge.features(unseen[part]) for part in (order[:count], order[count : 2 * count]))
    notes = [
        f"features: the 64 of a classifier trained here on {min(len(train), ROWS):,} labelled rows (accuracy {judge.accuracy:.3f})",
        f"{count:,} samples against {count:,} real rows that neither the model nor the judge has seen; floor: {count:,} other real rows",
    ]
    found, floor = compare(reference, judge.features(samples[:count]), seed), compare(reference, other, seed)
    copied = memorised(samples[:count], train, unseen[order[:count]])
    return Quality(found, floor, copied, judge.accuracy, count, notes)


def of_model(
    artifact: Artifact,
    source: Source,
    labels: Array,
    unseen: Source | None = None,
    number: int = COMPARED,
    density: str = "auto",
    mean: bool = True,
    seed: int = 0,
) -> Quality:
    """Draw samples from a model and measure them.

    Parameters
    ----------
    artifact : Artifact
    source : Source
        The data it was fitted on.
    labels : array of shape (n,)
        Their classes.
    unseen : Source, optional
        Real rows that were not trained on; those that the fit held out if None.
    number : int
        Samples.
    density : {"auto", "prior", "ex_post"}
        Where codes come from.
    mean : bool
        Whether a sample is the mean of the decoder's distribution, or a draw from it.
    seed : int

    Returns
    -------
    Quality

    Raises
    ------
    DataError
        If labels do not fit, or no rows are known that were not trained on.
    """
    if len(labels) != len(source):
        raise DataError(f"{len(labels):,} labels for {len(source):,} rows; give one for each, in the same order")
    taken = measured(artifact, source)
    if unseen is None and taken.rest is None:
        raise DataError(f"{source.name} is not what the model was fitted on with rows held out: give rows that it has not seen as `unseen`")
    train, known = (source, labels) if taken.rest is None else (taken.rest, labels[taken.rest_positions])
    drawn = sample(artifact, number, seed=seed, mean=mean, density=density)
    rows = [on_unit(artifact, part) for part in (drawn, artifact.schema.align(train), artifact.schema.align(unseen or taken.chosen))]
    found = quality(rows[0], rows[1], known, rows[2], seed)
    found.notes.append(
        f"codes drawn from {chosen_density(artifact, density)[0]}; samples are {'means' if mean else 'draws'} of the decoder"
    )
    return found


def on_unit(artifact: Artifact, rows: Array) -> Array:
    """Return rows as numbers of order one: pictures in [0, 1], others as the model sees them."""
    if artifact.schema.kind == "pictures":
        return pictures(artifact, rows)
    return np.asarray(artifact.preprocessor.transform(rows), np.float32)
