"""Score any number of rows, give alarms with their reasons, write them, and keep what a report shows."""

from __future__ import annotations

import heapq
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Dataset, Source
from isthmus.errors import ConfigError
from isthmus.tasks.alarm_table import AlarmTable, Lines, alarm_table
from isthmus.tasks.conformal import AdaptiveLevel, Floats, Mask, SlidingWindow, benjamini_hochberg, check_share
from isthmus.tasks.detector import Detector, Scores, Watch
from isthmus.tasks.reasons import Reasons

TOP, BINS, P_BINS = 25, 40, 20
MOST_REASONS = 10_000


@dataclass(frozen=True)
class Alarm:
    """A row that is an alarm.

    Attributes
    ----------
    row : int
        Its position in the data.
    name : str
        Its id, or its position.
    score, p_value : float
    reasons : Reasons
    """

    row: int
    name: str
    score: float
    p_value: float
    reasons: Reasons


@dataclass
class Found:
    """What came out of all rows.

    Attributes
    ----------
    rows, alarms : int
    level : str
        How alarms were chosen, such as ``"alpha = 0.01"``.
    expected : float
        How many false alarms are to be expected: at most, if all rows were healthy, for alpha; among these alarms, for fdr.
    threshold : float
        The score above which a row is an alarm, all calibration folds taken as one; not a number where the level moves.
    top : list of Alarm
        The strangest alarms, the strangest first.
    causes : dict of str to int
        How many alarms each column is the first cause of, the most frequent first.
    edges, counts, healthy : ndarray
        Histogram of the scores of these rows and of the calibration rows; the last bin takes all beyond.
    p_counts : ndarray
        Histogram of the p-values in 20 equal bins.
    notes : list of str
        What is to be known.
    path : path, optional
        Where the table was written.
    """

    rows: int
    alarms: int
    level: str
    expected: float
    threshold: float
    top: list[Alarm]
    causes: dict[str, int]
    edges: Floats
    counts: NDArray[np.int64]
    healthy: NDArray[np.int64]
    p_counts: NDArray[np.int64]
    notes: list[str] = field(default_factory=list[str])
    path: Path | None = None


class _Level(Protocol):
    """Decides which rows are alarms, block by block."""

    told: str
    threshold: float

    def judge(self, scores: Scores) -> tuple[Floats, Mask]: ...


@dataclass
class _Fixed:
    """Alarms at a p-value that does not change."""

    limit: float
    told: str
    threshold: float

    def judge(self, scores: Scores) -> tuple[Floats, Mask]:
        return scores.p_values, scores.p_values <= self.limit


class _Drifting:
    """P-values among the last scores, and a level that keeps the share of alarms."""

    threshold = float("nan")

    def __init__(self, detector: Detector, alpha: float) -> None:
        self.window = SlidingWindow(np.concatenate(detector.calibration.folds))
        self.level = AdaptiveLevel(alpha)
        self.told = f"a share of alarms of {alpha:g} in the long run, on a drifting stream"

    def judge(self, scores: Scores) -> tuple[Floats, Mask]:
        p_values = self.window.p_values(scores.scores)
        return p_values, self.level.alarms(p_values)


def detect(
    detector: Detector,
    data: Source | Dataset,
    *,
    alpha: float | None = None,
    fdr: float | None = None,
    drifting: bool = False,
    out: str | Path | None = None,
    ids: str = "id",
    only_alarms: bool = False,
    top: int = 3,
    watch: Watch | None = None,
) -> Found:
    """Score rows and say which are alarms, and why.

    Parameters
    ----------
    detector : Detector
    data : Source or Dataset
        Read in blocks; with `fdr` twice, for its level depends on all p-values.
    alpha : float, optional
        Share of healthy rows that may be alarms; the detector's own by default.
    fdr : float, optional
        Share of false ones among the alarms, instead.
    drifting : bool
        Whether the rows are a stream, in its order, in which healthy rows change slowly: p-values are then those among the last
        rows, and the level follows so that the share of alarms is `alpha` in the long run.
    out : path, optional
        ``.csv``, ``.tsv`` or ``.parquet`` file for a line a row.
    ids : str
        Name of the column with the rows' names, where they have some.
    only_alarms : bool
        Whether the file holds the alarms only.
    top : int
        Columns at most in the reasons of an alarm.
    watch : callable, optional
        Called with the number of rows done.

    Returns
    -------
    Found

    Raises
    ------
    ConfigError
        If the arguments do not go together.
    DataError
        If the data do not fit the detector, or the place cannot be written to.
    """
    level, notes = _level(detector, data, alpha, fdr, drifting)
    work = _Work(detector, level, only_alarms, top)
    named = bool(data.ids) if isinstance(data, Source) else data.named
    with ExitStack() as stack:
        table = stack.enter_context(alarm_table(Path(out).expanduser(), ids if named else "")) if out is not None else None
        for block, scores in detector.scored(data, watch):
            work.add(block, scores, table)
    if work.alarms > MOST_REASONS:
        notes.append(f"reasons are given for the first {MOST_REASONS:,} of the {work.alarms:,} alarms")
    expected = fdr * work.alarms if fdr is not None else (detector.alpha if alpha is None else alpha) * work.rows
    return work.found(float(expected), notes, None if out is None else Path(out).expanduser())


def _level(detector: Detector, data: Source | Dataset, alpha: float | None, fdr: float | None, drifting: bool) -> tuple[_Level, list[str]]:
    known = detector.calibration
    if fdr is None:
        share = check_share("alpha", detector.alpha if alpha is None else alpha)
        doubt = known.doubt(share)
        level = _Drifting(detector, share) if drifting else _Fixed(share, f"alpha = {share:g}", known.threshold(share))
        return level, [doubt] if doubt else []
    if alpha is not None or drifting:
        raise ConfigError("give alpha or fdr, not both; and a drifting stream takes alpha")
    doubt = known.doubt_of_batch(fdr, max(1, len(data)))
    p_values = detector.p_values(data)
    alarms = benjamini_hochberg(p_values, fdr)
    limit = float(p_values[alarms].max()) if alarms.any() else 0.0
    told = f"false discovery rate {fdr:g} (p-values up to {limit:.3g})"
    return _Fixed(limit, told, known.threshold(limit) if 0.0 < limit < 1.0 else float("nan")), [doubt] if doubt and not alarms.any() else []


class _Work:
    """What is gathered while rows pass by."""

    def __init__(self, detector: Detector, level: _Level, only_alarms: bool, top: int) -> None:
        self.detector, self.level, self.only_alarms, self.top = detector, level, only_alarms, top
        self.rows = self.alarms = 0
        self.strangest: list[tuple[float, int, Alarm]] = []
        self.causes: Counter[str] = Counter()
        calibration = np.concatenate(detector.calibration.folds)
        self.edges = _edges(calibration, level.threshold)
        self.healthy = _counted(calibration, self.edges)
        self.counts = np.zeros(BINS, np.int64)
        self.p_counts = np.zeros(P_BINS, np.int64)

    def add(self, block: Source, scores: Scores, table: AlarmTable | None) -> None:
        p_values, alarms = self.level.judge(scores)
        places = np.flatnonzero(alarms)
        told = self.explain(block, scores, p_values, places[: max(0, MOST_REASONS - self.alarms)])
        self.counts += _counted(scores.scores, self.edges)
        self.p_counts += np.bincount(np.minimum((p_values * P_BINS).astype(np.int64), P_BINS - 1), minlength=P_BINS)
        if table is not None:
            reasons = [told.get(i, "") for i in range(len(block))]
            lines = Lines(np.arange(self.rows, self.rows + len(block)), scores.scores, p_values, alarms, reasons, block.ids)
            table.add(lines.take(alarms) if self.only_alarms else lines)
        self.rows += len(block)
        self.alarms += len(places)

    def explain(self, block: Source, scores: Scores, p_values: Floats, places: NDArray[np.int64]) -> dict[int, str]:
        told: dict[int, str] = {}
        for reasons in self.detector.reasons(block, places, self.top):
            i = reasons.row
            self.causes.update([cause.column for cause in reasons.causes[:1]])
            told[i] = str(reasons)
            row = self.rows + i
            name = str(block.ids[i]) if block.ids else str(row)
            alarm = Alarm(row, name, float(scores.scores[i]), float(p_values[i]), reasons)
            (heapq.heappush if len(self.strangest) < TOP else heapq.heappushpop)(self.strangest, (alarm.score, -row, alarm))
        return told

    def found(self, expected: float, notes: list[str], path: Path | None) -> Found:
        top = [alarm for *_, alarm in sorted(self.strangest, key=lambda entry: entry[:2], reverse=True)]
        causes = dict(self.causes.most_common())
        level, shown = self.level, (self.edges, self.counts, self.healthy, self.p_counts)
        return Found(self.rows, self.alarms, level.told, expected, level.threshold, top, causes, *shown, notes=notes, path=path)


def _edges(calibration: Floats, threshold: float) -> Floats:
    """Return edges of bins that show the healthy rows, the threshold, and as much beyond."""
    finite = calibration[np.isfinite(calibration)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    reach = max(high, threshold) if np.isfinite(threshold) else high
    return np.linspace(low, reach + (0.5 * (reach - low) or 1.0), BINS + 1)


def _counted(scores: Floats, edges: Floats) -> NDArray[np.int64]:
    return np.histogram(np.clip(scores, edges[0], edges[-1]), edges)[0].astype(np.int64)
