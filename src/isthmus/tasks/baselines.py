"""What needs no training of ours: the trivial ways to find strange rows, and how well scores tell strange rows from healthy ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.errors import DataError

Floats = NDArray[np.float64]
Rows = NDArray[Any]
Score = Callable[[Rows], Floats]

NEIGHBOURS = 5
KEPT_VARIANCE = 0.9
_PAIRS = 1 << 22


def fit_baselines(rows: Rows, seed: int = 0) -> dict[str, Score]:
    """Fit all baselines on rows.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Scaled, 0 where a value is missing.
    seed : int
        Of the isolation forest.

    Returns
    -------
    dict of str to callable
        From rows to scores, the higher the stranger; the simplest first.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> [name for name, score in fit_baselines(rows).items() if score(np.full((1, 3), 9.0))[0] > score(rows).max()]
    ['PCA residual', 'k-NN distance', 'isolation forest']
    """
    return {"PCA residual": fit_pca(rows), "k-NN distance": fit_neighbours(rows), "isolation forest": fit_forest(rows, seed)}


def fit_pca(rows: Rows) -> Score:
    """Return the squared distance of a row from the principal components that hold 90 % of the variance of `rows`."""
    values = np.asarray(rows, np.float64)
    mean = values.mean(0)
    _, sizes, directions = np.linalg.svd(values - mean, full_matrices=False)
    shares = np.cumsum(sizes**2) / max(float(np.sum(sizes**2)), np.finfo(np.float64).tiny)
    kept = directions[: min(int(np.searchsorted(shares, KEPT_VARIANCE)) + 1, values.shape[1] - 1)]

    def score(new: Rows) -> Floats:
        centred = np.asarray(new, np.float64) - mean
        return np.square(centred - centred @ kept.T @ kept).sum(1)

    return score


def fit_neighbours(rows: Rows, k: int = NEIGHBOURS) -> Score:
    """Return the mean distance of a row from its `k` nearest neighbours among `rows`."""
    known = np.asarray(rows, np.float32)
    squares = np.square(known).sum(1)
    count = min(k, len(known))

    def score(new: Rows) -> Floats:
        found = np.empty(len(new))
        step = max(1, _PAIRS // len(known))
        for i in range(0, len(new), step):
            part = np.asarray(new[i : i + step], np.float32)
            pairs = squares + np.square(part).sum(1)[:, None] - 2.0 * (part @ known.T)
            near = np.partition(pairs, count - 1, axis=1)[:, :count]
            found[i : i + step] = np.sqrt(np.maximum(near, 0.0)).mean(1)
        return found

    return score


def fit_forest(rows: Rows, seed: int = 0) -> Score:
    """Return how few random cuts set a row apart, by scikit-learn's isolation forest of 100 trees."""
    from sklearn import ensemble  # pyright: ignore[reportMissingTypeStubs]

    module: Any = ensemble
    forest = module.IsolationForest(random_state=seed).fit(rows)
    return lambda new: -forest.score_samples(new)


def auroc(healthy: ArrayLike, strange: ArrayLike) -> float:
    """Return the chance that a strange row has a higher score than a healthy one, ties counting half.

    Examples
    --------
    >>> auroc([1.0, 2.0, 3.0], [2.0, 4.0])
    0.75
    """
    return float(np.mean(_placements(np.asarray(healthy), np.asarray(strange))[1]))


def _placements(healthy: Floats, strange: Floats) -> tuple[Floats, Floats]:
    """Return for each healthy row the share of strange ones above it, and for each strange row the share of healthy ones below it."""
    return 1.0 - _below(strange, healthy), _below(healthy, strange)


def _below(known: Floats, values: Floats) -> Floats:
    ordered = np.sort(known)
    low: Any = np.searchsorted(ordered, values, side="left")
    high: Any = np.searchsorted(ordered, values, side="right")
    return (low + high) / (2.0 * len(ordered))


def difference(a: tuple[ArrayLike, ArrayLike], b: tuple[ArrayLike, ArrayLike]) -> tuple[float, float]:
    """Return how much higher the AUROC of `a` is than that of `b` on the same rows, and the standard error of this.

    Parameters
    ----------
    a, b : tuple of two arrays
        Scores of the healthy and of the strange rows.

    Returns
    -------
    tuple of float

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating characteristic curves",
    Biometrics 44, 1988.

    Examples
    --------
    >>> difference(([0.0, 1.0], [2.0, 3.0]), ([0.0, 3.0], [2.0, 3.0]))[0]
    0.375
    """
    first, second = (_placements(np.asarray(h, np.float64), np.asarray(s, np.float64)) for h, s in (a, b))
    variance = sum(float(np.var(x - y)) / max(1, len(x) - 1) for x, y in zip(first, second))
    return float(np.mean(first[1]) - np.mean(second[1])), float(np.sqrt(variance))


def average_precision(healthy: ArrayLike, strange: ArrayLike) -> float:
    """Return the mean precision over the strange rows, from the highest score down; rows of the same score come together.

    Raises
    ------
    DataError
        If there is no strange row.

    Examples
    --------
    >>> average_precision([1.0, 2.0], [3.0, 1.5])
    0.8333333333333333
    """
    low, high = np.asarray(healthy, np.float64), np.asarray(strange, np.float64)
    if not len(high):
        raise DataError("the labels name no strange row, so nothing can be measured. Check which value stands for an anomaly")
    ordered_low, ordered_high = np.sort(low), np.sort(high)
    false: Any = len(low) - np.searchsorted(ordered_low, high, side="left")
    true: Any = len(high) - np.searchsorted(ordered_high, high, side="left")
    precision: Floats = np.asarray(true / (true + false), np.float64)
    return float(precision.mean())
