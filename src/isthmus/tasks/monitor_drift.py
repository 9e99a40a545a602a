"""Whether the bulk of the rows has moved away from the healthy ones, and in which columns.

An anomaly is a row that is strange; drift is many rows that are not, or hardly, but no longer lie where healthy rows lay. So each
column of a window of rows is compared with the same column of a sample of healthy rows; strange rows, and those of an episode, are
left out as long as they are the minority. What is compared:

*level* : mean rank among the healthy values (the Wilcoxon-Mann-Whitney test): higher or lower;
*spread* : mean distance of the rank from the middle (Ansari and Bradley 1960): wider, narrower, or stuck at a value;
*other* : for a column that has nearly always the same value, how often it has another one;
*missing* : how often the value is missing;
*score* : the mean p-value, one-sided: rows as a whole are stranger, although no column need have moved alone.

Windows of 200 rows are tested, and 4, 16 and 64 of them together, for changes that are quick and large or slow and small. Each
test is a two-sample test against the healthy sample, so the chance of a false one is at most its level, whatever windows came
before; the levels add up to the rate of false alarms allowed a row. Rows that depend on those just before them make the means of
windows vary more than independent rows would. How much more is learnt from the differences of neighbouring means of 20, 200 and
800 rows, which see no level and no slow change (von Neumann 1941), and the tests are widened by it.

References
----------
Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the other", Annals of
Mathematical Statistics 18, 1947.
Ansari and Bradley, "Rank-sum tests for dispersions", Annals of Mathematical Statistics 31, 1960.
von Neumann, "Distribution of the ratio of the mean square successive difference to the variance", Annals of Mathematical
Statistics 12, 1941.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import erfc, exp, lgamma, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ConfigError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
What = Literal["level", "spread", "other", "missing", "score"]
WINDOW, TOGETHER, SCALES = 200, 4, 4
FEWEST, MOST = 100, 2000
# A column with so large a share of one value is compared by how often it has another.
SAME = 0.9
LOOSE = 0.01
MOST_LEVEL = 0.005
BLOCK = 20
# So many differences are remembered, and so many that speak for independence are there from the start.
_MEMORY, _PRIOR = 40, 5


@dataclass(frozen=True)
class Shift:
    """How one column moved.

    Parameters
    ----------
    column : str
        Empty for the rows as a whole.
    how : str
        Higher, lower, wider, narrower, other values, missing, or stranger.
    size : float
        Where the middle of the healthy values' ranks is 0.5: the mean rank now; for spread the same of the distance from the
        middle; else the share of rows.
    before : float
        The same for healthy rows.
    p_value : float
        Of the test, not corrected for the number of columns.
    share : float
        Of the evidence for drift, among the columns that moved.
    """

    column: str
    how: str
    size: float
    before: float
    p_value: float
    share: float = 0.0

    def __str__(self) -> str:
        return f"{self.column} {self.how}" if self.column else "rows as a whole stranger"


@dataclass(frozen=True)
class _Column:
    """Healthy values of one column, as steps of their distribution."""

    name: str
    values: Floats
    below: Floats
    same: Floats
    usual: float
    rows: int

    @classmethod
    def of(cls, name: str, values: Floats) -> _Column:
        there = values[~np.isnan(values)]
        distinct, counts = np.unique(there, return_counts=True)
        total = max(1, len(there))
        below = np.concatenate([[0.0], np.cumsum(counts)]) / total
        usual = float(distinct[counts.argmax()]) if len(there) and counts.max() >= SAME * total else np.nan
        return cls(name, distinct, below, counts / total, usual, len(there))

    def ranks(self, values: Floats) -> Floats:
        """Return the share of healthy values below, plus half of those equal."""
        places = np.searchsorted(self.values, values)
        near = np.minimum(places, len(self.values) - 1)
        found = self.below[places] + 0.5 * self.same[near] * (self.values[near] == values)
        return np.where(np.isnan(values), 0.5, found)

    def whats(self) -> tuple[What, ...]:
        if not self.rows:
            return ("missing",)
        return ("other", "missing") if not np.isnan(self.usual) else ("level", "spread", "missing")


class Reference:
    """A sample of healthy rows, as what is compared with it needs it.

    Parameters
    ----------
    names : sequence of str
        The columns.
    values : ndarray of shape (r, c)
        Healthy rows; NaN where missing. Of more than 2,000 only the first are used.
    calibration : int
        Number of rows behind the p-values.

    Raises
    ------
    ConfigError
        If there are fewer than 100 rows.
    """

    def __init__(self, names: Sequence[str], values: Floats, calibration: int) -> None:
        if len(values) < FEWEST:
            raise ConfigError(f"the healthy sample has {len(values)} rows; drift needs {FEWEST} to compare with. Give more")
        values = values[:MOST]
        self.rows = len(values)
        self._columns = [_Column.of(name, values[:, j]) for j, name in enumerate(names)]
        self.tests: list[tuple[str, What]] = [(column.name, what) for column in self._columns for what in column.whats()]
        self.tests.append(("", "score"))
        known = self.transform(values, np.full(len(values), 0.5), 0.0)
        self.mean, self.variance = known.mean(0), known.var(0)
        self.mean[-1], self.variance[-1] = 0.5, 1.0 / 12.0
        self.size = np.full(len(self.tests), float(self.rows))
        self.size[-1] = calibration
        self.counted = np.asarray([what in ("other", "missing") for _, what in self.tests])

    def transform(self, values: Floats, p_values: Floats, strange: float) -> Floats:
        """Return what is averaged over rows, shape (n, number of tests): between 0 and 1."""
        found: list[Floats] = []
        for j, column in enumerate(self._columns):
            value = values[:, j]
            found += _measures(column, value)
        # P-values of rows that are not strange are uniform between `strange` and 1.
        found.append(np.clip(1.0 - (p_values - strange) / (1.0 - strange), 0.0, 1.0))
        return np.stack(found, 1)


def _measures(column: _Column, value: Floats) -> list[Floats]:
    gone = np.isnan(value)
    if not column.rows:
        return [gone.astype(np.float64)]
    if not np.isnan(column.usual):
        return [((value != column.usual) & ~gone).astype(np.float64), gone.astype(np.float64)]
    ranks = column.ranks(value)
    spread = np.abs(2.0 * ranks - 1.0)
    return [ranks, np.where(gone, 0.5, spread), gone.astype(np.float64)]


@dataclass
class _Sums:
    """Sums over the rows of a window, those that are strange apart."""

    rows: int = 0
    parts: int = 0
    odd: int = 0
    plain: list[float] = field(default_factory=list[float])
    strange: list[float] = field(default_factory=list[float])

    def add(self, rows: int, odd: int, plain: Floats, strange: Floats) -> None:
        self.rows, self.odd, self.parts = self.rows + rows, self.odd + odd, self.parts + 1
        self.plain = (np.asarray(self.plain or 0.0) + plain).tolist()
        self.strange = (np.asarray(self.strange or 0.0) + strange).tolist()

    def mean(self) -> tuple[Floats, int]:
        """Return the means and of how many rows: of those that are not strange, as long as they are the majority."""
        if 2 * self.odd < self.rows:
            return np.asarray(self.plain) / (self.rows - self.odd), self.rows - self.odd
        return (np.asarray(self.plain) + np.asarray(self.strange)) / self.rows, self.rows


@dataclass
class Drift:
    """A drift that lasts.

    Parameters
    ----------
    start : int
        Row of the stream at which it was found.
    scale : int
        Size of the window that found it, as a power of 4.
    tests : list of int
        Which tests found it, by their places.
    shifts : list of Shift
        How the columns moved.
    """

    start: int
    scale: int
    tests: list[int]
    shifts: list[Shift]


class _Varies:
    """How much the means of neighbouring blocks differ, beside what they would if rows were independent.

    Parameters
    ----------
    variance : ndarray of shape (S,)
        Of one row.
    counted : ndarray of bool of shape (S,)
        Where the means are shares of rows.
    """

    def __init__(self, variance: Floats, counted: Mask) -> None:
        self.variance, self.counted = np.maximum(variance, 1e-12), counted
        self.seen = 0
        self.ratio = np.ones(len(variance))
        self.before: Floats | None = None

    def add(self, mean: Floats, rows: int) -> None:
        """Take the means of the next block."""
        if self.before is not None:
            self.seen = min(self.seen + 1, _MEMORY)
            # Half the squared difference of two means of n independent rows is on average variance / n. A jump counts for little.
            found = np.minimum(0.5 * rows * (mean - self.before) ** 2 / self._expected(mean), 9.0 * self.ratio)
            self.ratio = self.ratio + (found - self.ratio) / (self.seen + _PRIOR)
        self.before = mean

    def _expected(self, mean: Floats) -> Floats:
        """Return the variance of one row; that of a share follows from the share."""
        share = 0.5 * (mean + (mean if self.before is None else self.before))
        return np.where(self.counted, np.maximum(self.variance, share * (1.0 - share)), self.variance)

    def wider(self) -> Floats:
        """Return by how much the variance of a mean is larger than that of independent rows; 1 where that may be chance."""
        if not self.seen:
            return np.ones(len(self.ratio))
        # The variance of this estimate, relative to its square, is about 3 / n for n differences.
        doubt = sqrt(3.0 / self.seen)
        return np.where(self.ratio > 1.0 + 2.5 * doubt, self.ratio * (1.0 + doubt), 1.0)

    def to_json(self) -> list[Any]:
        return [self.seen, self.ratio.tolist(), None if self.before is None else self.before.tolist()]

    def restore(self, entry: Sequence[Any]) -> None:
        self.seen, self.ratio = entry[0], np.asarray(entry[1])
        self.before = None if entry[2] is None else np.asarray(entry[2])


class Windows:
    """Compares windows of rows with healthy ones.

    Parameters
    ----------
    reference : Reference
    state : mapping, optional
        Where it stands, as `to_json` gave it.
    """

    def __init__(self, reference: Reference, state: Mapping[str, Any] | None = None) -> None:
        self.reference = reference
        self.drift: Drift | None = None
        self._sums = [_Sums() for _ in range(SCALES)]
        self._block = [0.0] * len(reference.tests)
        self._varies = [_Varies(reference.variance, reference.counted) for _ in range(3)]
        if state:
            self._restore(state)

    @property
    def room(self) -> int:
        """Rows until the next test."""
        return WINDOW - self._sums[0].rows

    @property
    def reach(self) -> float:
        """By how much the variance of the rows' mean strangeness is larger than that of independent rows."""
        return float(max(varies.wider()[-1] for varies in self._varies))

    def feed(self, values: Floats, p_values: Floats, odd: Mask, strange: float, rate: float, row: int) -> list[Shift]:
        """Take the next rows of the stream, at most `room`.

        Parameters
        ----------
        values : ndarray of shape (n, c)
        p_values : ndarray of shape (n,)
        odd : ndarray of bool of shape (n,)
            Which rows are strange or belong to an episode.
        strange : float
            P-value up to which a row is strange.
        rate : float
            False alarms allowed a row.
        row : int
            Place of the first of these rows in the stream.

        Returns
        -------
        list of Shift
            How the columns moved, if a drift begins with these rows; else none.
        """
        measures = self.reference.transform(values, p_values, strange)
        here = self._sums[0]
        self._learn(np.where(odd[:, None], self.reference.mean, measures), here.rows)
        here.add(len(values), int(odd.sum()), measures[~odd].sum(0), measures[odd].sum(0))
        return self._close(rate, row + len(values)) if here.rows >= WINDOW else []

    def _close(self, rate: float, row: int) -> list[Shift]:
        begun: list[Shift] = []
        for scale in range(SCALES):
            sums = self._sums[scale]
            if scale and sums.parts < TOGETHER:
                break
            begun = begun or self._test(sums, scale, rate, row)
            self._sums[scale] = _Sums()
            if scale + 1 < SCALES:
                self._sums[scale + 1].add(sums.rows, sums.odd, np.asarray(sums.plain), np.asarray(sums.strange))
        if begun:
            self._forget()
        return begun

    def _test(self, sums: _Sums, scale: int, rate: float, row: int) -> list[Shift]:
        mean, rows = sums.mean()
        if scale < 2:
            self._varies[scale + 1].add(mean, rows)
        p_values = self._p_values(mean, rows)
        level = min(MOST_LEVEL, rate * WINDOW * TOGETHER**scale / SCALES) / len(p_values)
        found = np.flatnonzero(p_values <= level).tolist()
        if self.drift is not None:
            self._go_on(self.drift, found, p_values, mean, scale)
            return []
        if not found:
            return []
        self.drift = Drift(row, scale, found, self._shifts(found, mean, p_values))
        return self.drift.shifts

    def _go_on(self, drift: Drift, found: list[int], p_values: Floats, mean: Floats, scale: int) -> None:
        if scale < drift.scale:
            return
        known = sorted({*drift.tests, *found})
        # A column that came back is no longer told of, while others are still away.
        lasting = [j for j in known if p_values[j] <= LOOSE / len(known)]
        if not lasting:
            self.drift = None
            self._forget()
            return
        drift.tests = lasting
        drift.shifts = self._shifts(lasting, mean, p_values)

    def _forget(self) -> None:
        self._sums = [_Sums() for _ in range(SCALES)]

    def _learn(self, measures: Floats, row: int) -> None:
        """Cut the rows into blocks, the first going on from where the rows before ended."""
        starts = np.flatnonzero((row + np.arange(len(measures))) % BLOCK == 0).tolist()
        for start, end in zip([0, *starts], [*starts, len(measures)]):
            if (row + start) % BLOCK == 0 and start < end:
                if row + start or any(self._block):
                    self._varies[0].add(np.asarray(self._block) / BLOCK, BLOCK)
                self._block = [0.0] * len(self._block)
            self._block = (np.asarray(self._block) + measures[start:end].sum(0)).tolist()

    def _p_values(self, mean: Floats, rows: int) -> Floats:
        known = self.reference
        wider = np.max([varies.wider() for varies in self._varies], axis=0)
        spread = np.sqrt(np.maximum(known.variance, 1e-12) * (wider / rows + 1.0 / known.size))
        z = (mean - known.mean) / spread
        found = np.asarray([erfc(abs(value) / sqrt(2.0)) for value in z.tolist()])
        found[-1] = 0.5 * erfc(float(z[-1]) / sqrt(2.0))
        for j in np.flatnonzero(known.counted).tolist():
            found[j] = _more_or_fewer(mean[j], rows, float(known.mean[j]), known.rows, float(wider[j]))
        return found

    def _shifts(self, places: Sequence[int], mean: Floats, p_values: Floats) -> list[Shift]:
        # The evidence grows with the squared distance, which -log p follows, and does not overflow.
        weights = -np.log(np.maximum(p_values[list(places)], 1e-300))
        shifts = [self._shift(j, float(mean[j]), float(p_values[j]), float(w / weights.sum())) for j, w in zip(places, weights)]
        return sorted(shifts, key=lambda shift: (not shift.column, -shift.share))

    def _shift(self, place: int, size: float, p_value: float, share: float) -> Shift:
        (column, what), before = self.reference.tests[place], float(self.reference.mean[place])
        more = size > before
        how = {
            "level": "higher" if more else "lower",
            "spread": "wider" if more else "narrower",
            "other": "other values" if more else "always the same",
            "missing": "missing" if more else "no longer missing",
            "score": "stranger",
        }[what]
        return Shift(column, how, size, before, p_value, share)

    def to_json(self) -> dict[str, Any]:
        """Return where it stands as plain JSON types."""
        return {
            "sums": [asdict(sums) for sums in self._sums],
            "block": self._block,
            "varies": [varies.to_json() for varies in self._varies],
            "drift": None if self.drift is None else asdict(self.drift),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._sums = [_Sums(**entry) for entry in state["sums"]]
        self._block = list(state["block"])
        for varies, entry in zip(self._varies, state["varies"]):
            varies.restore(entry)
        drift = state["drift"]
        if drift is not None:
            self.drift = Drift(drift["start"], drift["scale"], drift["tests"], [Shift(**shift) for shift in drift["shifts"]])


def _more_or_fewer(share: float, rows: int, before: float, healthy: int, wider: float) -> float:
    """Return the two-sided p-value of Fisher's exact test that a share is that of the healthy sample."""
    rows, here = max(1, round(rows / wider)), share
    ones, known = round(here * rows), round(before * healthy)
    expected = (ones + known) * rows / (rows + healthy)
    if abs(ones - expected) < 2.0 * sqrt(max(expected, 0.25)):
        return 1.0  # not worth the sum
    tail = range(ones, min(rows, ones + known) + 1) if ones > expected else range(max(0, ones + known - healthy), ones + 1)
    logs = [_log_hypergeometric(k, rows, ones + known, healthy) for k in tail]
    top = max(logs)
    return min(1.0, 2.0 * exp(top) * sum(exp(value - top) for value in logs))


def _log_hypergeometric(k: int, rows: int, marked: int, others: int) -> float:
    def choose(n: int, r: int) -> float:
        return lgamma(n + 1) - lgamma(r + 1) - lgamma(n - r + 1)

    return choose(rows, k) + choose(others, marked - k) - choose(rows + others, marked)
