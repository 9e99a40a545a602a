"""Whether single code units stand for single known factors: MIG, DCI and the FactorVAE score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source, sprites
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.codes import encode

Array = NDArray[Any]
VOTES = 800
SHARED = 64  # rows that share a factor, for one vote
HELD_OUT, VOTING = 10**6, 10**7  # seeds from here on, which training sprites do not use
BINS = 20
DEAD = 0.05


@dataclass(frozen=True, eq=False)
class Disentanglement:
    """Scores from 0 to 1, higher is more disentangled.

    Attributes
    ----------
    mig : float
        Mutual information gap.
    disentanglement, completeness : float
        Of DCI: whether a unit serves one factor; whether a factor is served by one unit.
    informativeness : float
        Of DCI: accuracy with which factors are told from the code on rows not used for it.
    factor_vae : float
        Accuracy of the majority vote.
    information : array of shape (latent, factors)
        Mutual information of units and factors in nats.
    """

    mig: float
    disentanglement: float
    completeness: float
    informativeness: float
    factor_vae: float
    information: Array

    def figures(self) -> dict[str, float]:
        """Return the scores by name."""
        return {
            "MIG": self.mig,
            "DCI disentanglement": self.disentanglement,
            "DCI completeness": self.completeness,
            "DCI informativeness": self.informativeness,
            "FactorVAE score": self.factor_vae,
        }


def _check(codes: Array, factors: Array) -> None:
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise DataError(f"codes (n, latent) and factors (n, count) must have as many rows, not {codes.shape} and {factors.shape}")
    if len(codes) < 10 * BINS:
        raise DataError(f"{len(codes)} rows are too few to measure disentanglement: give at least {10 * BINS}")


def mutual_information(codes: Array, factors: Array, bins: int = BINS) -> Array:
    """Return the mutual information of every code unit, cut into `bins` equal ranges, and every factor: (latent, factors), in nats."""
    cut = [_cut(column, bins) for column in codes.T]
    return np.array([[_information(a, b) for b in factors.T] for a in cut])


def _cut(column: Array, bins: int) -> Array:
    edges = np.linspace(float(column.min()), float(column.max()) + 1e-12, bins + 1)
    return np.digitize(column, edges[1:-1])


def _information(a: Array, b: Array) -> float:
    _, a = np.unique(a, return_inverse=True)
    _, b = np.unique(b, return_inverse=True)
    joint = np.bincount(a * (b.max() + 1) + b, minlength=(a.max() + 1) * (b.max() + 1)).reshape(a.max() + 1, b.max() + 1) / len(a)
    alone = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / alone[there])).sum())


def mig(information: Array, factors: Array) -> float:
    """Return the mutual information gap: over each factor's entropy, what the best unit tells of it more than the second best; the mean.

    Parameters
    ----------
    information : array of shape (latent, factors)
        From `mutual_information`.
    factors : array of shape (n, factors)

    Returns
    -------
    float

    References
    ----------
    Chen et al., "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018, equation 6.
    """
    ordered = np.sort(np.concatenate([information, np.zeros((1, information.shape[1]))]), axis=0)[::-1]
    entropy = np.array([_information(column, column) for column in factors.T])
    return float(((ordered[0] - ordered[1]) / entropy).mean())


def dci(codes: Array, factors: Array, seed: int = 0) -> tuple[float, float, float]:
    """Return disentanglement, completeness and informativeness.

    A random forest tells each factor from the code; how much it uses each unit is the importance matrix.

    Parameters
    ----------
    codes : array of shape (n, latent)
    factors : array of shape (n, factors)
    seed : int

    Returns
    -------
    tuple of float

    References
    ----------
    Eastwood and Williams, "A framework for the quantitative evaluation of disentangled representations", ICLR 2018.
    """
    ensemble: Any = import_module("sklearn.ensemble")
    order = np.random.default_rng(seed).permutation(len(codes))
    train, test = order[: len(order) * 4 // 5], order[len(order) * 4 // 5 :]
    used, right = list[Array](), list[float]()
    for factor in factors.T:
        forest = ensemble.RandomForestClassifier(30, max_features=None, min_samples_leaf=3, n_jobs=1, random_state=seed)
        forest.fit(codes[train], factor[train])
        used.append(forest.feature_importances_)
        right.append(float(forest.score(codes[test], factor[test])))
    return *_dci(np.stack(used, axis=1)), float(np.mean(right))


def _dci(importance: Array) -> tuple[float, float]:
    """Return disentanglement and completeness of an importance matrix of shape (latent, factors)."""
    return _even_use(importance), _even_use(importance.T)


def _even_use(matrix: Array) -> float:
    """Return one minus the mean entropy of the rows of `matrix`, weighted by what they are used."""
    return float((matrix.sum(1) / max(float(matrix.sum()), 1e-12) * (1 - _entropy(matrix))).sum())


def _entropy(matrix: Array) -> Array:
    """Return the entropy of every row as shares, with the logarithm to the base of their number."""
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1e-12)
    return -(shares * np.log(np.maximum(shares, 1e-12))).sum(1) / np.log(max(2, matrix.shape[1]))


def factor_vae_score(codes: Array, make: Callable[[int, int], Array], factors: int, seed: int = 0, votes: int = VOTES) -> float:
    """Return the FactorVAE score: which factor was held fixed is told from the unit that varies least.

    Parameters
    ----------
    codes : array of shape (n, latent)
        By which units' spreads are measured; units that hardly vary do not vote.
    make : callable
        ``make(factor, seed)`` returns the codes of some rows (64 are customary) that share a random value of this factor.
    factors : int
    seed : int
    votes : int
        Half of them train the majority vote, half measure it.

    Returns
    -------
    float

    References
    ----------
    Kim and Mnih, "Disentangling by factorising", ICML 2018, section 4.
    """
    spread = codes.var(0)
    alive = np.flatnonzero(spread > DEAD * spread.max())
    random = np.random.default_rng(seed)
    chosen = random.integers(factors, size=votes)
    least = np.array([np.argmin(make(int(k), seed * votes + i)[:, alive].var(0) / spread[alive]) for i, k in enumerate(chosen)])
    table = np.zeros((len(alive), factors), dtype=np.int64)
    np.add.at(table, (least[: votes // 2], chosen[: votes // 2]), 1)
    return float((table.argmax(1)[least[votes // 2 :]] == chosen[votes // 2 :]).mean())


def disentanglement(
    codes: Array, factors: Array, make: Callable[[int, int], Array], seed: int = 0, used: Sequence[int] | None = None, votes: int = VOTES
) -> Disentanglement:
    """Measure how well code units and known factors match.

    Parameters
    ----------
    codes : array of shape (n, latent)
    factors : array of int, shape (n, factors)
        Known values behind each row, by their number.
    make : callable
        See `factor_vae_score`.
    seed : int
    used : sequence of int, optional
        Factors to take into account; all if None.
    votes : int
        See `factor_vae_score`.

    Returns
    -------
    Disentanglement

    Raises
    ------
    DataError
        If codes and factors differ in number, or are too few.
    """
    _check(codes, factors)
    which = list(range(factors.shape[1])) if used is None else list(used)
    known = factors[:, which]
    information = mutual_information(codes, known)
    score = factor_vae_score(codes, lambda k, s: make(which[k], s), len(which), seed, votes)
    return Disentanglement(mig(information, known), *dci(codes, known, seed), score, information)


def on_sprites(artifact: Artifact, seed: int = 0, rows: int = 5000, votes: int = VOTES) -> Disentanglement:
    """Measure a model of sprites on others than it was trained on (those of `isthmus.data.sprites`, of which any number can be drawn).

    Parameters
    ----------
    artifact : Artifact
        Fitted on such sprites.
    seed : int
        Decides which sprites are drawn, and everything random of the measures.
    rows : int
    votes : int
        See `factor_vae_score`.

    Returns
    -------
    Disentanglement

    Raises
    ------
    ConfigError
        If the model takes other pictures than 32 x 32 grey ones, or is told a condition.
    """
    schema = artifact.schema
    if schema.kind != "pictures" or tuple(schema.shape) != (sprites.SIDE, sprites.SIDE, 1) or artifact.condition is not None:
        shape = " x ".join(map(str, schema.shape))
        raise ConfigError(
            f"the model takes {schema.kind} of {shape}, not the sprites of 32 x 32 x 1: fit one on those that "
            "`isthmus disentanglement --write sprites.npz` makes"
        )
    pictures, factors = sprites.sprites(rows, HELD_OUT + seed)

    def make(factor: int, draw: int) -> Array:
        drawn = sprites.draw_factors(SHARED, VOTING + draw)
        drawn[:, factor] = drawn[0, factor]
        return encode(artifact, Source("pictures", sprites.render(drawn)))

    return disentanglement(encode(artifact, pictures), factors, make, seed, votes=votes)
