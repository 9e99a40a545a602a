"""An anomaly score for rows of numbers: an ensemble of denoising autoencoders and of neighbours, calibrated on rows it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.errors import ConfigError, DataError
from isthmus.tasks.scorer_fold import Arrays, Fold, score
from isthmus.tasks.scorer_parts import Array, Neighbours
from isthmus.training.denoisers import Recipe, train

SMALL = 2000  # rows up to which each serves for training and, in its turn, for calibration
FOLDS = 5
HELD = 0.1  # share of the rows kept for calibration where there are more
LEAST_HELD, MOST_HELD = 500, 5000
JUDGED = 50_000  # rows at most from which metric, neighbours and tails are learned
MEMBERS, MEMBERS_OF_FOLD = 4, 3
STEPS_OF_FOLD = 400
HEALTHY = Recipe()
POLLUTED = Recipe(hidden=(32, 8, 32), steps=300, trimmed=0.35)
BEYOND = 1.5  # times the share of anomalies is left out, as not all of them are the worst rebuilt
LARGE = 1e6  # standard deviations from which a value counts as this far
WORK = 100_000  # parameters of a model from which it makes fewer steps
LEAST_STEPS = 250
Mask = NDArray[np.bool_]


class Scorer:
    r"""How strange rows are, judged by models of healthy ones.

    Two statistics of a row are turned into :math:`-\log p`, p being the share of healthy rows that reach as high a value while the
    statistic's makers had not seen them, and are added (Fisher's method):

    - what an ensemble of denoising autoencoders takes away from it, averaged over the members in a metric that makes such residuals
      uncorrelated and of unit size for healthy rows;
    - the distance to the nearest of some thousand healthy rows.

    Up to 2,000 rows there are five folds, the models of each having seen four fifths of the rows, and every row is compared with all
    others; of polluted rows each fold has its own neighbours. Beyond there is one score, and rows are held out.

    Made by `fit` or `from_state`.

    Parameters
    ----------
    folds : list of Fold
    width : int
        Values of a row.
    calibration : (ndarray of shape (m,), ndarray of shape (m,))
        Scores of training rows, each by the fold that has not seen it, and the number of that fold.
    held : ndarray of int of shape (m,), optional
        Which row of training each of these is; empty but right after `fit`.

    References
    ----------
    Vincent et al., JMLR 2010 (denoising); Ramaswamy et al., SIGMOD 2000 (neighbours); Fisher, "Statistical methods for research
    workers", 1932; Vovk et al., "Cross-conformal predictive distributions", 2018, and Barber et al., "Predictive inference with the
    jackknife+", Annals of Statistics 2021 (folds).

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    >>> scorer = Scorer.fit(rows)
    >>> healthy, strange = scorer.score(np.array([[0, 0, 0], [9, -9, 9]], np.float32))
    >>> bool(strange > healthy)
    True
    """

    def __init__(
        self, folds: list[Fold], width: int, calibration: tuple[Array, NDArray[np.int64]], held: NDArray[np.int64] | None = None
    ) -> None:
        self.folds, self.width, self.calibration = folds, width, calibration
        self.held = np.zeros(0, np.int64) if held is None else held

    @classmethod
    def fit(
        cls,
        rows: NDArray[np.floating[Any]],
        *,
        present: Mask | None = None,
        polluted: bool = False,
        contamination: float | None = None,
        seed: int = 0,
        members: int | None = None,
        watch: Callable[[int, int], None] | None = None,
    ) -> Scorer:
        """Learn what healthy rows look like.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
            Standardised; 0 where a value is missing.
        present : ndarray of bool, shape (n, d), optional
            Where values were observed.
        polluted : bool
            Whether there may be anomalies among the rows: then small models are trained on the rows they rebuild best.
        contamination : float, optional
            The share of anomalies, if known.
        seed : int
        members : int, optional
            Models of each fold, at least 2; 3, or 4 where there is but one fold, if None.
        watch : callable, optional
            Called now and then with the steps made and all steps.

        Returns
        -------
        Scorer

        Raises
        ------
        DataError
            If there are fewer than 2 rows, no column, or values that are not finite.
        ConfigError
            If an argument is out of its range.
        """
        recipe = _recipe(polluted, contamination)
        table, seen = _tensors(rows, present, None)
        if len(table) < 2:
            raise DataError(f"there is {len(table)} row to learn from: give at least 2")
        generator = torch.Generator().manual_seed(_whole("seed", seed, 0))
        groups = _groups(len(table), generator)
        recipe = _fitted(recipe, table.shape[1], len(groups))
        each = _whole("members", members or (MEMBERS if len(groups) == 1 else MEMBERS_OF_FOLD), 2)
        unseen = [torch.arange(len(group)) % each for group, _ in groups]  # rows are in random order
        nets = train(table, _bags(groups, unseen, each), recipe, seed=seed, present=seen, watch=watch)
        # Where all rows can be neighbours, each row is compared with all others: the folds then differ in their models alone.
        shared = Neighbours(table, seen) if len(groups) > 1 and not recipe.trimmed else None
        folds: list[Fold] = []
        scores: list[Array] = []
        with torch.inference_mode():
            for k, (group, held) in enumerate(groups):
                of_fold = nets.take(slice(k * each, (k + 1) * each))
                judged = group[:JUDGED]
                among = None if shared is None else (shared, judged)
                fold = Fold.fit(of_fold, table[judged], unseen[k][:JUDGED], _of(seen, judged), recipe.trimmed, seed + k, among)
                folds.append(fold)
                scores.append(score([fold], table[held], _of(seen, held), None if shared is None else held)[0])
        number = np.repeat(np.arange(len(groups)), [len(s) for s in scores])
        return cls(folds, table.shape[1], (np.concatenate(scores), number), torch.cat([held for _, held in groups]).numpy())

    def score_folds(self, rows: NDArray[np.floating[Any]], present: Mask | None = None) -> Array:
        """Return the score by each fold, which has not seen that fold's calibration rows.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
        present : ndarray of bool, shape (n, d), optional

        Returns
        -------
        ndarray of shape (K, n)

        Raises
        ------
        DataError
            If the rows have another width, or values that are not finite.
        """
        table, seen = _tensors(rows, present, self.width)
        with torch.inference_mode():
            return score(self.folds, table, seen)

    def score(self, rows: NDArray[np.floating[Any]], present: Mask | None = None) -> Array:
        """Return how strange each row is: the mean over folds.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
        present : ndarray of bool, shape (n, d), optional

        Returns
        -------
        ndarray of shape (n,)
            Higher is stranger; the same for a row whatever comes with it.

        Raises
        ------
        DataError
            If the rows have another width, or values that are not finite.
        """
        return self.score_folds(rows, present).mean(0)

    def explain(self, rows: NDArray[np.floating[Any]], present: Mask | None = None) -> tuple[Array, Array]:
        """Return what each column adds to the score, and what was expected there.

        Parameters
        ----------
        rows : ndarray of shape (n, d)
        present : ndarray of bool, shape (n, d), optional

        Returns
        -------
        contributions : ndarray of shape (n, d)
            At least 0, and 0 where missing; a row's sum is about its score.
        expected : ndarray of shape (n, d)
            Mean of the healthy rows most alike in the other columns, in the units of the rows.

        Raises
        ------
        DataError
            If the rows have another width, or values that are not finite.
        """
        table, seen = _tensors(rows, present, self.width)
        found = np.zeros((2, len(table), self.width))
        with torch.inference_mode():
            for fold in self.folds:
                for i, row in enumerate(table):
                    found[:, i] += torch.stack(fold.explain(row, None if seen is None else seen[i])).double().numpy()
        found /= len(self.folds)
        return found[0], found[1]

    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return everything as what JSON holds, and arrays by name."""
        states = [fold.state() for fold in self.folds]
        if len(self.folds) > 1 and self.folds[1].neighbours is self.folds[0].neighbours:
            for state in states[1:]:
                for name in {"points", "seen"} & set(state):
                    del state[name]
        arrays: Arrays = {f"fold{k}.{name}": array for k, state in enumerate(states) for name, array in state.items()}
        arrays |= {"calibration": self.calibration[0], "fold": self.calibration[1]}
        return {"width": self.width, "folds": len(self.folds)}, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: Arrays) -> Scorer:
        """Make a scorer of what `state` gave."""
        parts = [{name.partition(".")[2]: a for name, a in arrays.items() if name.startswith(f"fold{k}.")} for k in range(config["folds"])]
        calibration = np.asarray(arrays["calibration"], np.float64), np.asarray(arrays["fold"], np.int64)
        first = Fold.from_state(parts[0])
        others = [Fold.from_state(part, first.neighbours) for part in parts[1:]]
        return cls([first, *others], int(config["width"]), calibration)


def _whole(name: str, value: int, lowest: int) -> int:
    if isinstance(value, bool) or value != int(value) or value < lowest:
        raise ConfigError(f"{name} must be a whole number of at least {lowest}, not {value!r}")
    return int(value)


def _recipe(polluted: bool, contamination: float | None) -> Recipe:
    if contamination is None:
        return POLLUTED if polluted else HEALTHY
    if not 0 < contamination < 0.5:
        raise ConfigError(f"contamination must lie between 0 and 0.5, not {contamination!r}; leave it out where it is not known")
    if not polluted:
        raise ConfigError("contamination is the share of anomalies among polluted rows: give polluted=True with it")
    return replace(POLLUTED, trimmed=min(0.5, BEYOND * contamination))


def _fitted(recipe: Recipe, width: int, folds: int) -> Recipe:
    """Return the recipe with as much work as the width and the number of models allow."""
    size = 2 * width * recipe.hidden[0]
    most = recipe.steps if folds == 1 else min(recipe.steps, STEPS_OF_FOLD)
    steps = min(most, max(LEAST_STEPS, recipe.steps * WORK // size))
    return replace(recipe, steps=steps, batch=recipe.batch if folds == 1 else recipe.batch // 2)


def _tensors(rows: NDArray[Any], present: Mask | None, width: int | None) -> tuple[Tensor, Tensor | None]:
    array = np.ascontiguousarray(rows, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"rows must be a table of at least one column, not of shape {array.shape}")
    if width is not None and array.shape[1] != width:
        raise DataError(f"rows have {array.shape[1]} columns, but the scorer learned {width}: give the same columns")
    if not np.isfinite(array).all():
        raise DataError("rows hold values that are not finite: tell of missing ones by `present`, with 0 in their places")
    table = torch.as_tensor(array).clamp(-LARGE, LARGE)
    if present is None:
        return table, None
    if np.shape(present) != array.shape:
        raise DataError(f"present has shape {np.shape(present)}, rows have {array.shape}: give one flag for each value")
    seen = torch.as_tensor(np.ascontiguousarray(present, dtype=np.float32))
    return table * seen, seen


def _groups(n: int, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Return the rows to learn from and those to calibrate on, of each fold."""
    order = torch.randperm(n, generator=generator)
    if n > SMALL:
        held = min(max(LEAST_HELD, int(HELD * n)), MOST_HELD)
        return [(order[held:], order[:held])]
    parts = order.tensor_split(min(FOLDS, n))
    return [(torch.cat([other for j, other in enumerate(parts) if j != k]), part) for k, part in enumerate(parts)]


def _bags(groups: list[tuple[Tensor, Tensor]], unseen: list[Tensor], each: int) -> Tensor:
    """Return the rows each model learns from, as many for all: those of its fold that are not left to judge it by."""
    bags = [group[out != model] if len(group) > 1 else group for (group, _), out in zip(groups, unseen) for model in range(each)]
    return torch.stack([bag[: min(map(len, bags))] for bag in bags])


def _of(table: Tensor | None, index: Tensor) -> Tensor | None:
    return None if table is None else table[index]
