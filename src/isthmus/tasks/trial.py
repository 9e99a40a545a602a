"""Is the detector worth it? The same split for it and for the trivial ways: with known labels, or with strange rows made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Dataset, Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.baselines import Floats, Score, auroc, average_precision, difference, fit_baselines
from isthmus.tasks.conformal import Conformal, Mask
from isthmus.tasks.detector import Detector, blocks
from isthmus.tasks.layout import Layout, Seen
from isthmus.tasks.scorer import Scorer

OURS = "isthmus"
MOST_CLASSES = 50
HEALTHY = ("0", "false", "no", "-", "ok", "good", "healthy", "normal", "benign", "inlier")
LEAST, MOST_TRAINING, MOST_HELD_OUT = 20, 4_000, 1_000
HELD_OUT = 0.3
MADE = (
    "a test made by hand: held-out rows against the same rows with their columns shuffled, with a few cells changed, and pushed "
    "outwards; real anomalies may be easier or harder"
)
Judge = Callable[[Seen], Floats]
Generator = np.random.Generator


@dataclass(frozen=True)
class Result:
    """How well one way tells strange rows from healthy ones.

    Attributes
    ----------
    auroc : float
        Chance that a strange row has a higher score than a healthy one.
    average_precision : float
        Mean precision over the strange rows; not a number for a test made by hand, where it depends on how many are made.
    detected : float
        Share of strange rows found at the level asked for; not a number where there are too few healthy rows for it.
    behind : float
        How much higher the AUROC of isthmus is; 0 for itself.
    error : float
        Standard error of `behind`.
    kinds : dict of str to float
        AUROC by kind of strange row.
    """

    auroc: float
    average_precision: float
    detected: float
    behind: float
    error: float
    kinds: dict[str, float]


@dataclass(frozen=True)
class Trial:
    """What came out.

    Attributes
    ----------
    results : dict of str to Result
        Ours first, then the trivial ways.
    measured_on : str
        What was compared.
    made : bool
        Whether the strange rows were made by hand.
    alpha : float
        Level of `Result.detected`.
    """

    results: dict[str, Result]
    measured_on: str
    made: bool
    alpha: float

    @property
    def recommended(self) -> str:
        """The best of the trivial ways that are as good as ours within the standard error of the difference; ours if none is."""
        as_good = {name: found.auroc for name, found in self.results.items() if name != OURS and found.behind <= found.error}
        return max(as_good, key=lambda name: as_good[name]) if as_good else OURS

    @property
    def advice(self) -> str:
        """One sentence for people."""
        ours, name = self.results[OURS], self.recommended
        if name != OURS:
            found = self.results[name]
            verdict = "is better here" if found.behind < -found.error else "is as good here"
            return f"{name} {verdict} (AUROC {found.auroc:.3f} against {ours.auroc:.3f}, ± {found.error:.3f}) and simpler: prefer it"
        best = max((name for name in self.results if name != OURS), key=lambda name: self.results[name].auroc)
        found = self.results[best]
        figures = f"AUROC {ours.auroc:.3f} against {found.auroc:.3f}, ± {found.error:.3f}"
        return f"isthmus is better here than the best of the simple ways, {best} ({figures})"

    def to_json(self) -> dict[str, Any]:
        """Return the trial as plain JSON types; what is not a number becomes None."""
        results = {name: _without_nan(asdict(found)) for name, found in self.results.items()}
        return {"results": results, "measured_on": self.measured_on, "made": self.made, "alpha": self.alpha}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Trial:
        """Rebuild a trial from what `to_json` gave.

        Raises
        ------
        ConfigError
            If an entry is missing or wrong.
        """
        try:
            results = {str(name): Result(**_with_nan(found)) for name, found in entry["results"].items()}
            if OURS not in results or len(results) < 2:
                raise ConfigError("the trial compares nothing")
            return cls(results, str(entry["measured_on"]), bool(entry["made"]), float(entry["alpha"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"not a trial: {error}") from error


def _without_nan(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and value != value else value for name, value in entry.items()}


def _with_nan(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float("nan") if value is None else value for name, value in entry.items()}


def try_by_hand(detector: Detector, alpha: float | None = None) -> Trial | None:
    """Compare a detector with the trivial ways on strange rows made of held-out ones.

    A part of the rows fitted on is held out; a detector of the same settings and the trivial ways are fitted on (at most 4,000 of) the
    others. Of the held-out rows strange ones are made: (a) every column shuffled by itself, (b) one to three cells changed, to that of
    another row or by three to six standard deviations, (c) numbers pushed away from the middle by half to twice their distance from it.

    Parameters
    ----------
    detector : Detector
        Just fitted, for it must hold its training rows.
    alpha : float, optional
        Level at which detections are counted; the detector's own by default.

    Returns
    -------
    Trial or None
        None if there are fewer than 20 rows, or the training rows are not known.
    """
    seen, facts = detector.training, detector.facts
    if seen is None or len(seen) < LEAST:
        return None
    rng = np.random.default_rng(facts["seed"])
    order = rng.permutation(len(seen))
    count = min(MOST_HELD_OUT, int(HELD_OUT * len(seen)))
    healthy, training = seen.take(np.sort(order[:count])), seen.take(np.sort(order[count : count + MOST_TRAINING]))
    options = {name: facts[name] for name in ("polluted", "contamination", "seed")}
    scorer = Scorer.fit(training.rows, present=training.present, **options)
    strange = make_strange(detector.layout, healthy, rng)
    return _compare(_judge(scorer), training, healthy, strange, MADE, True, detector.alpha if alpha is None else alpha, facts["seed"])


def try_with_labels(detector: Detector, data: Source | Dataset, strange: Mask, alpha: float | None = None) -> Trial:
    """Compare a detector with the trivial ways on rows that are known to be healthy or strange.

    The trivial ways are fitted on the rows that the detector was fitted on or, if it was loaded, on the healthy rows it keeps.

    Parameters
    ----------
    detector : Detector
    data : Source or Dataset
        Rows, held in memory as the scorer sees them.
    strange : ndarray of bool of shape (n,)
        Which of them are anomalies.
    alpha : float, optional
        Level at which detections are counted; the detector's own by default.

    Returns
    -------
    Trial

    Raises
    ------
    ConfigError
        If all are healthy, or none is, or there are not as many as rows.
    """
    if len(strange) != len(data):
        raise ConfigError(f"{len(strange):,} labels for {len(data):,} rows: give one for each")
    if strange.all() or not strange.any():
        raise ConfigError(f"the labels call {'all' if strange.any() else 'none'} of the rows anomalies, so nothing can be measured by them")
    told = f"{len(data):,} rows, of which the labels call {int(strange.sum()):,} anomalies"
    training = detector.layout.see(detector.references) if detector.training is None else detector.training
    seen = _joined([detector.see(block) for block in blocks(data)])
    parts = seen.take(~strange), {"labelled": seen.take(strange)}
    return _compare(
        _judge(detector.scorer), training, *parts, told, False, detector.alpha if alpha is None else alpha, detector.facts["seed"]
    )


def strange_by(labels: Any) -> tuple[Mask, str]:
    """Return which rows labels call anomalies, and a sentence on how they were read.

    Of 0 and 1 it is 1, of -1 and 1 it is -1; of texts all but the one that says healthy or normal; else all but the most frequent.

    Parameters
    ----------
    labels : array of shape (n,)

    Returns
    -------
    ndarray of bool of shape (n,)
    str

    Raises
    ------
    DataError
        If there are too many different ones.

    Examples
    --------
    >>> strange_by(np.array(["ok", "broken", "ok"]))[0].tolist()
    [False, True, False]
    """
    found = np.asarray(labels).astype(str)
    values, counts = np.unique(found, return_counts=True)
    if len(values) > max(MOST_CLASSES, len(found) // 10):
        raise DataError(f"{len(values):,} different labels for {len(found):,} rows are a measure, no labels. Give a class for each row")
    plain = [value.strip().lower().removesuffix(".0") for value in values.tolist()]
    if set(plain) <= {"-1", "1"} and "-1" in plain:
        healthy = plain.index("1") if "1" in plain else -1
    else:
        known = [i for i, value in enumerate(plain) if value in HEALTHY]
        healthy = known[0] if len(known) == 1 else int(np.argmax(counts))
    if healthy < 0:
        return np.ones(len(found), np.bool_), "all labels are -1"
    return found != values[healthy], f"rows labelled {str(values[healthy])!r} count as healthy, all others as anomalies"


def _judge(scorer: Scorer) -> Judge:
    return lambda seen: scorer.score(seen.rows, seen.present)


def _joined(parts: Sequence[Seen]) -> Seen:
    rows = np.concatenate([part.rows for part in parts])
    if all(part.present is None for part in parts):
        return Seen(rows)
    return Seen(rows, np.concatenate([_mask(part) for part in parts]))


def _compare(
    judge: Judge, training: Seen, healthy: Seen, strange: Mapping[str, Seen], told: str, made: bool, alpha: float, seed: int
) -> Trial:
    others = fit_baselines(training.rows, seed)
    ways: dict[str, Judge] = {OURS: judge, **{name: _of_rows(score) for name, score in others.items()}}
    scores = {name: (way(healthy), {kind: way(rows) for kind, rows in strange.items()}) for name, way in ways.items()}
    ours = scores[OURS]
    return Trial({name: _result(found, ours, made, alpha) for name, found in scores.items()}, told, made, alpha)


def _of_rows(score: Score) -> Judge:
    return lambda seen: score(seen.rows)


def _result(found: tuple[Floats, dict[str, Floats]], ours: tuple[Floats, dict[str, Floats]], made: bool, alpha: float) -> Result:
    healthy, kinds = found
    strange = np.concatenate(list(kinds.values()))
    behind, error = difference((ours[0], np.concatenate(list(ours[1].values()))), (healthy, strange))
    known = Conformal.of(healthy)
    detected = float("nan") if known.doubt(alpha) else float(np.mean(known.p_values(strange) <= alpha))
    precision = float("nan") if made else average_precision(healthy, strange)
    return Result(auroc(healthy, strange), precision, detected, behind, error, {k: auroc(healthy, rows) for k, rows in kinds.items()})


def make_strange(layout: Layout, healthy: Seen, rng: Generator) -> dict[str, Seen]:
    """Make strange rows of healthy ones, one of each kind for each row.

    Parameters
    ----------
    layout : Layout
    healthy : Seen
    rng : numpy.random.Generator

    Returns
    -------
    dict of str to Seen
        By kind; those that make nothing strange of such data are left out.
    """
    owners = np.unique(layout.owner)
    groups = [np.flatnonzero(layout.owner == owner) for owner in owners]
    numeric = _numeric(layout)
    found = {"cells changed": _changed(healthy, groups, numeric, rng)}
    if len(groups) > 1:
        found = {"columns shuffled": _shuffled(healthy, groups, rng), **found}
    if numeric.any():
        found["pushed outwards"] = _pushed(healthy, numeric, rng)
    return found


def _numeric(layout: Layout) -> Mask:
    """Return which of the numbers a scorer sees are measures, which can be larger or smaller."""
    if not layout.parts:
        return np.ones(len(layout.owner), np.bool_)
    found = np.repeat([part.kind in ("number", "count") for part in layout.parts], [part.width for part in layout.parts])
    flags = np.zeros(len(layout.parts) if layout.missingness else 0, np.bool_)
    return np.concatenate([found, flags])[layout.kept]


def _mask(seen: Seen) -> Mask:
    return np.ones(seen.rows.shape, np.bool_) if seen.present is None else seen.present.copy()


def _shuffled(healthy: Seen, groups: list[NDArray[np.int64]], rng: Generator) -> Seen:
    rows, present = healthy.rows.copy(), _mask(healthy)
    for group in groups:
        order = rng.permutation(len(rows))[:, None]
        rows[:, group], present[:, group] = healthy.rows[order, group], present[order, group]
    return Seen(rows, None if healthy.present is None else present)


def _changed(healthy: Seen, groups: list[NDArray[np.int64]], numeric: Mask, rng: Generator) -> Seen:
    rows, present = healthy.rows.copy(), _mask(healthy)
    spread = np.maximum(healthy.rows.std(0), 1e-3)
    for i in range(len(rows)):
        for j in rng.permutation(len(groups))[: int(rng.integers(1, 4))].tolist():
            group, other = groups[int(j)], int(rng.integers(len(rows)))
            if numeric[group].all() and present[i, group].all() and rng.random() < 0.5:
                rows[i, group] += rng.choice([-1.0, 1.0]) * rng.uniform(3.0, 6.0) * spread[group]
            else:
                rows[i, group], present[i, group] = healthy.rows[other, group], _mask_of(healthy, other, group)
    return Seen(rows, None if healthy.present is None else present)


def _mask_of(seen: Seen, row: int, group: NDArray[np.int64]) -> Any:
    return True if seen.present is None else seen.present[row, group]


def _pushed(healthy: Seen, numeric: Mask, rng: Generator) -> Seen:
    middle = np.median(healthy.rows, axis=0)
    factor = rng.uniform(1.5, 3.0, (len(healthy), 1))
    moved = middle + (healthy.rows - middle) * factor
    rows = np.where(numeric, moved, healthy.rows).astype(np.float32)
    return Seen(rows if healthy.present is None else np.where(healthy.present, rows, 0.0).astype(np.float32), healthy.present)
