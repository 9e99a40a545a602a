"""What a stream of p-values says row by row: how far from healthy it is, and when to ring.

Three things are kept, each a few numbers that move on with every row, however the stream is cut into batches.

*Surprise.* ``-log p`` of a healthy row is at most exponential with mean 1. Its running mean A, in which a row counts half after
``HALF_LIFE`` more rows, gives the health index ``100 (1 - (A - 1) / (log(m + 1) - 1))`` between 0 and 100: 100 where rows are as
strange as healthy ones, 0 where each is stranger than all m calibration rows.

*Single rows.* A row rings if its p-value is at most the rate of false alarms allowed a row. By the p-value's validity the expected
number of false ones in n healthy rows is at most n times the rate, whatever their dependence. Where the rate is below what m
calibration rows can tell apart (1 / (m + 1)), the row is ranked among the n rows watched so far as well:
``p = (1 + #calibration rows as strange + #watched rows as strange) / (m + n + 1)``, valid as long as all of them are exchangeable.
The rows of an episode are remembered by their strangest only.

*Gathered evidence.* Rows that are odd but not odd enough alone. Each p-value is turned into an e-value ``kappa p^(kappa - 1)``
(Vovk 1993; Vovk and Wang 2021), for several kappa, and a Shiryaev-Roberts e-detector ``M <- (M + 1) e`` adds up the evidence since
every possible start (Shin, Ramdas and Rinaldo 2024): ringing at ``M >= 1 / rate`` means at least 1 / rate rows between false
alarms on average. E-values of rows ranked among the same calibration rows are not independent, so p is first raised to the bound
that holds for all ranks at once with probability 0.9 over the calibration rows (Bates et al. 2023, section 3). Rows that depend on
those before them count for less: where that reaches d rows back, ``e^(1/d)`` takes the place of e. The product of such e-values has
a mean of at most 1 too, for it is the geometric mean of d products of independent ones (Hoelder). How far it reaches is taken to be
the factor by which it widens the variance of a mean, as the windows of `monitor_drift` see it.

References
----------
Bates, Candes, Lei, Romano and Sesia, "Testing for outliers with conformal p-values", Annals of Statistics 51, 2023.
Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", New England Journal of
Statistics in Data Science 2, 2024.
Vovk and Wang, "E-values: calibration, combination and applications", Annals of Statistics 49, 2021.
Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2nd edition, Springer 2022, chapter 8.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import asdict, dataclass, field
from math import lgamma, log
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["row", "rows"]
HALF_LIFE = 50
KAPPAS = (0.05, 0.15, 0.3, 0.6)
DOUBT = 0.1
REMEMBERED = 256
# An episode is over after so many rows in a row none of which is strange.
GAP, CALM = 50, 10
STRANGE = 0.5 / GAP
_DECAY = 0.5 ** (1.0 / HALF_LIFE)


def conditional(rows: int, doubt: float = DOUBT) -> Floats:
    """Return bounds on conformal p-values that hold for all ranks at once, given the calibration rows.

    A healthy row's chance to be at least as strange as the j-th strangest of m calibration rows is at most the j-th bound, for all
    j together, with probability ``1 - doubt`` over the calibration rows (generalised Simes inequality with k = m / 2).

    Parameters
    ----------
    rows : int
        Number of calibration rows, m.
    doubt : float
        Probability that the bounds may fail.

    Returns
    -------
    ndarray of shape (m + 1,)
        The bound of the p-value ``j / (m + 1)`` at place j - 1.

    References
    ----------
    Bates et al., "Testing for outliers with conformal p-values", Annals of Statistics 51, 2023, section 3.2.

    Examples
    --------
    >>> conditional(1000)[[0, 9, 99, 900]].round(4).tolist()
    [0.0046, 0.017, 0.1416, 1.0]
    """
    k = max(1, rows // 2)
    below = np.arange(rows, 0, -1)
    bounds = np.ones(rows + 1)
    whole = lgamma(rows + 1) - lgamma(rows - k + 1)
    logs = [(log(doubt) + lgamma(i + 1) - lgamma(i - k + 1) - whole) / k if i >= k else -np.inf for i in below.tolist()]
    bounds[:rows] = np.clip(-np.expm1(np.asarray(logs)), 1.0 / (rows + 1), 1.0)
    return bounds


@dataclass
class Ring:
    """An episode that begins: which row rang, and why.

    Parameters
    ----------
    row : int
        Its place in the rows given, from 0.
    kind : {"row", "rows"}
        A single row, or evidence gathered over several.
    """

    row: int
    kind: Kind


@dataclass
class Passage:
    """What happened on the way through some rows.

    Parameters
    ----------
    rings : list of Ring
        The episodes that began.
    ended : list of Episode
        Those that ended, in their order.
    inside : list of bool
        Which rows belong to an episode, without those at its end that are not strange.
    lowest : float
        The lowest health.
    """

    rings: list[Ring] = field(default_factory=list[Ring])
    ended: list[Episode] = field(default_factory=list["Episode"])
    inside: list[bool] = field(default_factory=list[bool])
    lowest: float = 100.0


@dataclass
class Episode:
    """What is kept of an episode while it lasts.

    Parameters
    ----------
    start : int
        Row of the stream, from 0.
    quiet : int
        Rows since the last strange one.
    strange, rows : int
        How many rows were strange, and how many there were in all.
    highest : float
        The highest score.
    """

    start: int
    quiet: int = 0
    strange: int = 0
    rows: int = 0
    highest: float = -np.inf


@dataclass
class Course:
    """Where the evidence stands after the last row: all of it plain numbers.

    Parameters
    ----------
    rows : int
        Rows watched.
    surprise : float
        Running mean of -log p.
    gathered : list of float
        The e-detectors' values.
    highest : list of float
        The highest scores so far, sorted.
    remembered : int
        Rows among which those are the highest.
    episode : Episode or None
        The one that lasts.
    record : float or None
        The highest score since a drift began; None while there is none.
    reach : float
        How many rows back a row depends on others; 1 for independent rows.
    """

    rows: int = 0
    surprise: float = 1.0
    gathered: list[float] = field(default_factory=lambda: [0.0] * len(KAPPAS))
    highest: list[float] = field(default_factory=list[float])
    remembered: int = 0
    episode: Episode | None = None
    record: float | None = None
    reach: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Return the course as plain JSON types."""
        entry = asdict(self)
        return {**entry, "record": None if self.record is None else str(self.record)}

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Course:
        """Rebuild a course from what `to_json` gave."""
        found = cls(**entry)
        found.episode = None if entry["episode"] is None else Episode(**entry["episode"])
        found.record = None if entry["record"] is None else float(entry["record"])
        return found


class Evidence:
    """Follows p-values and scores row by row.

    Parameters
    ----------
    calibration : int
        Number of calibration rows behind the p-values, m.
    course : Course, optional
        Where it stands.
    """

    def __init__(self, calibration: int, course: Course | None = None) -> None:
        self.calibration = calibration
        self.course = course or Course()
        self.strange = max(STRANGE, 1.0 / (calibration + 1))
        bounds = conditional(calibration)
        self._bets: list[list[float]] = np.stack([kappa * bounds ** (kappa - 1.0) for kappa in KAPPAS], 1).tolist()

    @property
    def health(self) -> float:
        """How healthy the last rows are, from 0 to 100."""
        return self._index(self.course.surprise)

    def drifting(self, begun: bool) -> None:
        """Say that a drift begins or is over: while it lasts, only a row stranger than all since it began rings."""
        self.course.record = -np.inf if begun else None
        self.course.gathered = [0.0] * len(KAPPAS)

    def _index(self, surprise: float) -> float:
        worst = max(log(self.calibration + 1.0), 1.1)
        return 100.0 * min(1.0, max(0.0, 1.0 - (surprise - 1.0) / (worst - 1.0)))

    def feed(self, p_values: Floats, scores: Floats, single: float, gathered: float) -> Passage:
        """Take the next rows of the stream.

        Parameters
        ----------
        p_values, scores : ndarray of shape (n,)
        single, gathered : float
            False alarms allowed a row by single rows, and by gathered evidence.

        Returns
        -------
        Passage
            Which episodes began and ended, and the lowest health on the way.
        """
        passage = Passage()
        course, most = self.course, self.course.surprise
        for i, (p, score) in enumerate(zip(p_values.tolist(), scores.tolist())):
            course.surprise = _DECAY * course.surprise - (1.0 - _DECAY) * log(p)
            most = max(most, course.surprise)
            before, kind = course.episode, self._row(p, score, single, gathered)
            course.rows += 1
            passage.inside.append(course.episode is not None and course.episode.quiet < CALM)
            if kind:
                passage.rings.append(Ring(i, kind))
            elif before is not None and course.episode is None:
                passage.ended.append(before)
        passage.lowest = self._index(most)
        return passage

    def _row(self, p: float, score: float, single: float, gathered: float) -> Kind | None:
        course = self.course
        new = course.record is None or score > course.record
        if course.record is not None and new:
            course.record = score
        if course.episode is not None:
            self._go_on(course.episode, p, score)
            return None
        kind = self._rings(p, score, single, gathered)
        if kind is None or not new:
            self._remember(score)
            return None
        course.episode = Episode(course.rows)
        self._go_on(course.episode, p, score)
        return kind

    def _rings(self, p: float, score: float, single: float, gathered: float) -> Kind | None:
        course = self.course
        if self._single(p, score, single):
            return "row"
        if course.record is not None:
            return None
        bets = self._bets[max(0, round(p * (self.calibration + 1)) - 1)]
        power = 1.0 / course.reach
        course.gathered = [(evidence + 1.0) * bet**power for evidence, bet in zip(course.gathered, bets)]
        return "rows" if sum(course.gathered) * gathered >= len(KAPPAS) else None

    def _single(self, p: float, score: float, rate: float) -> bool:
        if rate * (self.calibration + 1) >= 1.0:
            return p <= rate
        if p > self.strange:
            return False
        known = self.course.highest
        as_strange = len(known) - bisect_left(known, score)
        if as_strange >= REMEMBERED:
            return False
        whole = self.calibration + self.course.remembered + 1
        return round(p * (self.calibration + 1)) + as_strange <= rate * whole

    def _remember(self, score: float) -> None:
        known = self.course.highest
        self.course.remembered += 1
        if len(known) < REMEMBERED:
            insort(known, score)
        elif score > known[0]:
            insort(known, score)
            del known[0]

    def _go_on(self, episode: Episode, p: float, score: float) -> None:
        odd = p <= self.strange
        episode.rows += 1
        episode.strange += odd
        episode.quiet = 0 if odd else episode.quiet + 1
        episode.highest = max(episode.highest, score)
        if episode.quiet >= GAP:
            self._remember(episode.highest)
            self.course.episode = None
            self.course.gathered = [0.0] * len(KAPPAS)
