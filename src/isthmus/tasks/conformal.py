"""From scores to alarms whose false-alarm rate holds: conformal p-values, false discovery rate, drifting streams.

A score says how strange a row is, not how strange is strange enough. The scores of rows that the scoring model has not seen
say it: if a new row is like them, its rank among them is uniform, whatever the score and however few they are. So an alarm at
``p <= alpha`` is false for at most a share alpha of such rows, on average over what was drawn for calibration.

References
----------
Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", Springer 2005 (conformal p-values).
Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence 74, 2015.
Bates, Candes, Lei, Romano and Sesia, "Testing for outliers with conformal p-values", Annals of Statistics 51, 2023.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
MOST_WINDOW = 20_000


def check_share(name: str, value: Any) -> float:
    """Return a share as a float.

    Parameters
    ----------
    name : str
        What it is called in messages.
    value : float
        Between 0 and 1, both left out.

    Returns
    -------
    float

    Raises
    ------
    ConfigError
        If it is anything else.

    Examples
    --------
    >>> check_share("alpha", 0.05)
    0.05
    """
    try:
        found = float("nan") if isinstance(value, (str, bool)) else float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not 0.0 < found < 1.0:
        raise ConfigError(f"{name} must lie between 0 and 1 (both left out), such as 0.01, not {value!r}")
    return found


@dataclass(frozen=True, eq=False)
class Conformal:
    """Scores of rows that the scoring model has not seen, and the p-values they give.

    Made by `of`. With one fold these are split-conformal p-values,

    ``p(x) = (1 + #{i : a_i >= s(x)}) / (m + 1)``,

    and ``P(p(x) <= alpha) <= alpha`` holds exactly for a row exchangeable with the calibration rows. With several folds they are
    cross-conformal ones: row i of fold k was scored by the model k, which has not seen that fold, and x is compared with it by
    the same model,

    ``p(x) = (1 + sum_k #{i in fold k : a_i >= s_k(x)}) / (m + 1)``.

    All rows calibrate and all rows teach. (What a score compares with, but does not learn from, may hold all rows: then row i is
    compared with all others.) What is proven for them is ``P(p(x) <= alpha) <= 2 alpha`` (up to a term of order
    ``K / m``; Barber et al., "Predictive inference with the jackknife+", 2021); what is seen is alpha. Ties count against an
    alarm, so they make it rarer, never more frequent.

    Attributes
    ----------
    folds : tuple of ndarray
        The scores of each fold, sorted.

    Examples
    --------
    >>> calibration = Conformal.of([1.0, 2.0, 3.0, 4.0])
    >>> calibration.p_values([[0.5, 2.5, 4.0, 9.0]]).tolist()
    [1.0, 0.6, 0.4, 0.2]
    """

    folds: tuple[Floats, ...]

    @classmethod
    def of(cls, scores: ArrayLike, fold: ArrayLike | None = None) -> Conformal:
        """Sort the scores of calibration rows.

        Parameters
        ----------
        scores : array of shape (m,)
            The higher, the stranger.
        fold : array of int of shape (m,), optional
            Which fold each belongs to, counted from 0; a single one by default.

        Returns
        -------
        Conformal

        Raises
        ------
        DataError
            If there are none, or one is not a number.
        """
        values = np.asarray(scores, np.float64)
        if values.ndim != 1 or not len(values):
            raise DataError("there are no healthy rows to calibrate on. Give at least two, better some hundred")
        if np.isnan(values).any():
            raise DataError(f"{int(np.isnan(values).sum())} calibration scores are not numbers. Look for NaN or infinity in the data")
        places = np.zeros(len(values), np.int64) if fold is None else np.asarray(fold, np.int64)
        return cls(tuple(np.sort(values[places == k]) for k in range(int(places.max()) + 1)))

    def state(self) -> dict[str, Floats]:
        """Return the scores of each fold by its number."""
        return {str(k): scores for k, scores in enumerate(self.folds)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Conformal:
        """Make it of what `state` gave.

        Raises
        ------
        ConfigError
            If there are no scores, or they are not sorted.
        """
        folds = tuple(arrays[str(k)].astype(np.float64) for k in range(len(arrays)))
        if not sum(map(len, folds)) or any(np.isnan(scores).any() or np.any(np.diff(scores) < 0) for scores in folds):
            raise ConfigError("the calibration scores are missing or not sorted")
        return cls(folds)

    @property
    def rows(self) -> int:
        """Number of calibration rows, m."""
        return sum(map(len, self.folds))

    @property
    def smallest(self) -> float:
        """The smallest p-value there can be, ``1 / (m + 1)``: no alarm is possible at an alpha below it."""
        return 1.0 / (self.rows + 1)

    def p_values(self, scores: ArrayLike) -> Floats:
        """Return the p-value of every row.

        Parameters
        ----------
        scores : array of shape (K, n), or (n,) for a single fold
            The score of each row by each fold's model.

        Returns
        -------
        ndarray of shape (n,)
            Between ``smallest`` and 1.

        Raises
        ------
        DataError
            If there are not as many scores a row as folds, or one is not a number.
        """
        values = np.atleast_2d(np.asarray(scores, np.float64))
        if len(values) != len(self.folds):
            raise DataError(f"{len(values)} scores a row for {len(self.folds)} folds. Give one score by each fold's model")
        if np.isnan(values).any():
            raise DataError("a score is not a number, so it has no rank. Look for NaN or infinity in the data")
        stranger = np.full(values.shape[1], 1 + self.rows, np.int64)
        for k, known in enumerate(self.folds):
            row: Floats = values[k]
            stranger -= np.searchsorted(known, row)
        return stranger / (self.rows + 1)

    def threshold(self, alpha: float) -> float:
        """Return the score above which a row is an alarm at `alpha`, all folds taken as one: exact for a single fold.

        Parameters
        ----------
        alpha : float

        Returns
        -------
        float
            Infinite where `alpha` is below `smallest`.

        Raises
        ------
        ConfigError
            If `alpha` is not between 0 and 1.
        """
        wanted, m = check_share("alpha", alpha), self.rows
        allowed = int(wanted * (m + 1)) + 1
        while allowed and allowed / (m + 1) > wanted:
            allowed -= 1
        return inf if not allowed else float(np.sort(np.concatenate(self.folds))[m - allowed])

    def doubt(self, alpha: float) -> str:
        """Return what is to be said against alarms at `alpha` with so few calibration rows; empty if nothing is.

        Examples
        --------
        >>> Conformal.of(range(9)).doubt(0.01)
        'with 9 calibration rows no p-value is below 0.1, so there can be no alarm at alpha = 0.01: it takes 99 healthy rows'
        """
        if check_share("alpha", alpha) >= self.smallest:
            return ""
        needed = int(np.ceil(1.0 / alpha - 1e-9)) - 1
        return (
            f"with {self.rows:,} calibration rows no p-value is below {self.smallest:.3g}, so there can be no alarm at "
            f"alpha = {alpha:g}: it takes {needed:,} healthy rows"
        )

    def doubt_of_batch(self, fdr: float, rows: int) -> str:
        """Return how many rows of a batch must be strange together before one of them can be an alarm; empty if one is enough."""
        together = int(np.ceil(self.smallest * rows / check_share("fdr", fdr) - 1e-9))
        if together <= 1:
            return ""
        return (
            f"with {self.rows:,} calibration rows and {rows:,} rows at once, at least {together:,} of them must be stranger than all "
            f"healthy ones before a false discovery rate of {fdr:g} allows alarms; use more healthy rows, smaller batches, or alpha"
        )


def benjamini_hochberg(p_values: ArrayLike, fdr: float) -> Mask:
    """Choose alarms in a batch such that, on average, at most a share `fdr` of them is false.

    Rejects the k smallest p-values for the largest k with ``p_(k) <= fdr k / n``. Split-conformal p-values share their calibration
    rows, which makes them positively dependent; the rate holds nevertheless (Bates et al. 2023, theorem 2).

    Parameters
    ----------
    p_values : array of shape (n,)
    fdr : float
        Share of false ones among the alarms.

    Returns
    -------
    ndarray of bool of shape (n,)

    Raises
    ------
    ConfigError
        If `fdr` is not between 0 and 1.

    References
    ----------
    Benjamini and Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57, 1995.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.02, 0.03, 0.9], 0.05).tolist()
    [True, True, True, False]
    """
    found, share = np.asarray(p_values, np.float64), check_share("fdr", fdr)
    ordered = np.sort(found)
    passed = np.flatnonzero(ordered <= share * np.arange(1, len(ordered) + 1) / max(1, len(ordered)))
    return found <= ordered[passed[-1]] if len(passed) else np.zeros(len(found), np.bool_)


@dataclass
class AdaptiveLevel:
    """A level of alarm that follows a drifting stream, so that the share of alarms in the long run is the one asked for.

    Row by row, in their order: an alarm is given if ``p_t <= alpha_t``, then ``alpha_{t+1} = alpha_t + rate (alpha - alarm_t)``.
    Whatever the stream does, after T rows ``|share of alarms - alpha| <= (max(alpha_1, 1 - alpha_1) + rate) / (rate T)``.
    It is the share of all alarms that is steered, true ones included: do not use it where many rows are anomalous.

    Parameters
    ----------
    alpha : float
        Share of alarms in the long run.
    rate : float
        How quickly the level follows.
    level : float, optional
        The level now; `alpha` at the start.

    Raises
    ------
    ConfigError
        If `alpha` or `rate` is not between 0 and 1.

    References
    ----------
    Gibbs and Candes, "Adaptive conformal inference under distribution shift", NeurIPS 2021, equation 2 and proposition 4.1.

    Examples
    --------
    >>> follower = AdaptiveLevel(0.1, rate=0.05)
    >>> follower.alarms([0.05, 0.06, 0.5]).tolist(), round(follower.level, 3)
    ([True, False, False], 0.065)
    """

    alpha: float
    rate: float = 0.005
    level: float = field(default=-1.0)

    def __post_init__(self) -> None:
        self.alpha, self.rate = check_share("alpha", self.alpha), check_share("rate", self.rate)
        self.level = self.alpha if self.level == -1.0 else float(self.level)

    def alarms(self, p_values: ArrayLike) -> Mask:
        """Return which rows of the next part of the stream are alarms, and go on from there the next time.

        Parameters
        ----------
        p_values : array of shape (n,)
            In the order of the stream.

        Returns
        -------
        ndarray of bool of shape (n,)
        """
        level, up, down = self.level, self.rate * self.alpha, self.rate * (1.0 - self.alpha)
        found: list[bool] = []
        for p in np.asarray(p_values, np.float64).tolist():
            # From 1 on every row is an alarm, from 0 down none: this keeps the bound.
            alarm = level >= 1.0 or (level > 0.0 and p <= level)
            found.append(alarm)
            level += -down if alarm else up
        self.level = level
        return np.asarray(found, np.bool_)


class SlidingWindow:
    """P-values among the last scores of a stream, for one whose healthy rows change slowly.

    ``p_t = (1 + #{i in window : s_i >= s_t}) / (w + 1)``; then s_t takes the place of the oldest. Every row enters, alarms too:
    to leave them out would let the window, and with it the threshold, sink.

    Parameters
    ----------
    scores : array of shape (w,)
        The first window, such as the calibration scores; of more than 20,000 the last.

    Raises
    ------
    DataError
        If it is empty, or a score is not a number.

    Examples
    --------
    >>> window = SlidingWindow([1.0, 2.0, 3.0])
    >>> window.p_values([5.0, 5.0, 5.0]).tolist()
    [0.25, 0.5, 0.75]
    """

    def __init__(self, scores: ArrayLike) -> None:
        values = np.asarray(scores, np.float64)[-MOST_WINDOW:]
        self._sorted: list[float] = Conformal.of(values).folds[0].tolist()
        self._order: deque[float] = deque(values.tolist())

    @property
    def scores(self) -> Floats:
        """The window now, the oldest first."""
        return np.asarray(self._order, np.float64)

    def p_values(self, scores: ArrayLike) -> Floats:
        """Return the p-values of the next rows of the stream, in their order.

        Parameters
        ----------
        scores : array of shape (n,)

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        DataError
            If a score is not a number.
        """
        values = np.asarray(scores, np.float64)
        if np.isnan(values).any():
            raise DataError("a score is not a number, so it has no rank. Look for NaN or infinity in the data")
        known, order, size = self._sorted, self._order, len(self._order)
        found: list[float] = []
        for score in values.tolist():
            found.append((1 + size - bisect_left(known, score)) / (size + 1))
            del known[bisect_left(known, order.popleft())]
            insort(known, score)
            order.append(score)
        return np.asarray(found, np.float64)
