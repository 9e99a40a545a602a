"""Numbers of a window: how often each template occurs, and what is unusual in the order of its lines.

What is new or rare in a window is judged as if the window had not been learned from: a template or a transition of a training window
is new if no other training window has it. So the share of windows with something new is the same among those of training and
among those to come, and calibration holds. What many windows have is counted as it is, so that two windows alike give the same row.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.tasks.log_windows import Window

Array = NDArray[np.float64]
MOST_COLUMNS = 300
RARE = 10  # templates in no more windows than these have no column of their own: its spread would be a guess
WEIGHT = 3.0  # of what is new, beside the two statistics of the scorer
RISE = 0.05  # nats for each logarithm of lines, so that more of what is new is always stranger
MOST_PAIRS = 200_000
EXTRAS = {
    "lines": "number of lines",
    "loosened": "lines that change a known template",
    "order": "surprise of the most unusual transition between lines (nats)",
    "duration": "seconds from the first to the last line",
    "unseen": "lines of templates never seen in training",
    "rarity": "sum over templates of log(1 + lines) times the surprise of the template",
}
_NATS = [list(EXTRAS).index(name) for name in ("order", "rarity")]  # logarithms already


@dataclass(eq=False)
class Features:
    """What was learned from the windows of training.

    Made by `fit`.

    Attributes
    ----------
    columns : list of int
        Templates with a column of their own.
    support : Counter
        Template -> windows that have it.
    steps : dict
        (template, next template) -> (windows that have it, how often it occurs).
    mean, spread : ndarray of shape (columns + extras,)
    windows : int
        Windows of training.

    Examples
    --------
    >>> from isthmus.tasks.log_windows import of_keys
    >>> windows = [of_keys(iter([1, 2, 1])), of_keys(iter([1, 2])), of_keys(iter([1, 2, 2]))] * 4
    >>> features = Features.fit(windows)
    >>> features.columns, features.width, features.rows(windows, own=True).shape
    ([1, 2], 8, (12, 8))
    """

    columns: list[int]
    support: Counter[int]
    steps: dict[tuple[int, int], tuple[int, int]]
    mean: Array
    spread: Array
    windows: int = 0

    def __post_init__(self) -> None:
        self._place = {key: i for i, key in enumerate(self.columns)}
        self._leaving = Counter[int]()
        for (key, _), (_, count) in self.steps.items():
            self._leaving[key] += count

    @classmethod
    def fit(cls, windows: Sequence[Window], support: Counter[int] | None = None, seen: int = 0) -> Features:
        """Learn from windows; where they are only a sample, `support` counts the windows of each template, of all `seen`.

        The spread of a column is that of its values and of one more, a line above the mean: a template that never varied has
        a spread too, the smaller the more windows said so.
        """
        found = Counter(key for window in windows for key in window.counts)
        support = found if support is None else support
        columns = sorted(key for key, count in found.most_common(MOST_COLUMNS) if count > RARE)
        steps: dict[tuple[int, int], list[int]] = {}
        for window in windows:
            for pair, count in window.pairs.items():
                entry = steps.setdefault(pair, [0, 0])
                entry[0] += 1
                entry[1] += count
        kept = sorted(steps.items(), key=lambda item: -item[1][0])[:MOST_PAIRS]
        made = cls(columns, support, {pair: (s, n) for pair, (s, n) in kept}, np.zeros(0), np.ones(0), max(seen, len(windows)))
        raw = made.raw(windows, own=True)
        made.mean = raw.mean(0)
        made.spread = np.sqrt((np.square(raw - made.mean).sum(0) + math.log(2) ** 2) / (len(raw) + 1))
        return made

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.columns) + len(EXTRAS)

    def raw(self, windows: Sequence[Window], own: bool) -> Array:
        """Return log(1 + count) of each column and extra, shape (n, width); `own` says that these are windows of training."""
        table = np.zeros((len(windows), self.width))
        for row, window in zip(table, windows):
            for key, count in window.counts.items():
                if (place := self._place.get(key)) is not None:
                    row[place] = count
            unseen = sum(window.counts[key] for key in self.unseen(window, own))
            order = max(self.surprises(window, own).values(), default=0.0)
            rarity = sum(self.rarities(window, own).values())
            row[len(self.columns) :] = (window.lines, window.loosened, order, window.duration, unseen, rarity)
        logged = np.log1p(table)
        logged[:, self._nats] = table[:, self._nats]
        return logged

    @property
    def _nats(self) -> list[int]:
        return [len(self.columns) + i for i in _NATS]

    def rows(self, windows: Sequence[Window], own: bool = False) -> NDArray[np.float32]:
        """Return standardised rows, shape (n, width)."""
        return ((self.raw(windows, own) - self.mean) / self.spread).astype(np.float32)

    def new_lines(self, windows: Sequence[Window], own: bool = False) -> Array:
        """Return log(1 + lines of templates that no other window of training has), shape (n,)."""
        return np.log1p([float(sum(window.counts[key] for key in self.unseen(window, own))) for window in windows])

    def unseen(self, window: Window, own: bool) -> list[int]:
        """Return the templates of a window that no other window had in training."""
        return [key for key in window.counts if self.support[key] <= own]

    def rarities(self, window: Window, own: bool) -> dict[int, float]:
        """Return log(1 + lines) times log((n + 1) / (s + 1/2)) of each template, s of the n windows of training having it."""
        head = self.windows + 1.0
        return {key: math.log1p(n) * math.log(head / (_others(self.support[key], own) + 0.5)) for key, n in window.counts.items()}

    def known(self, key: int) -> bool:
        """Say whether a template has a column of its own."""
        return key in self._place

    def surprises(self, window: Window, own: bool) -> dict[tuple[int, int], float]:
        """Return -log p of each transition of a window, p being its smoothed share among those that leave the same template."""
        least = 1.0 / (len(self.support) + 2)
        found: dict[tuple[int, int], float] = {}
        for pair, count in window.pairs.items():
            windows, often = self.steps.get(pair, (0, 0))
            here = often - count if own and windows <= RARE else often
            found[pair] = -math.log((max(here, 0) + least) / (self._leaving[pair[0]] + 1))
        return found

    def amounts(self, rows: Array) -> Array:
        """Return standardised rows as counts again, no less than 0."""
        values = rows * self.spread + self.mean
        amounts = np.expm1(np.minimum(values, 30.0))
        amounts[:, self._nats] = values[:, self._nats]
        return np.maximum(amounts, 0.0)

    def state(self) -> dict[str, Array | NDArray[np.int64]]:
        """Return all as arrays."""
        steps = [(*pair, *entry) for pair, entry in self.steps.items()]
        return {
            "columns": np.asarray(self.columns, np.int64),
            "support": np.asarray(list(self.support.items()), np.int64).reshape(-1, 2),
            "steps": np.asarray(steps, np.int64).reshape(-1, 4),
            "windows": np.array([self.windows]),
            "mean": self.mean,
            "spread": self.spread,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[Any]]) -> Features:
        """Return what `state` told."""
        support = Counter({int(key): int(n) for key, n in _rows(state["support"])})
        steps = {(int(a), int(b)): (int(s), int(n)) for a, b, s, n in _rows(state["steps"])}
        columns = [int(key) for key in cast("list[int]", state["columns"].tolist())]
        mean, spread = (np.asarray(state[name], np.float64) for name in ("mean", "spread"))
        return cls(columns, support, steps, mean, spread, int(state["windows"][0]))


@dataclass(eq=False)
class Novelty:
    """How surprising it is that a window has so many lines of new templates: `WEIGHT` times -log p.

    p is the share of windows of training with as many lines that are new there, ``(1 + #) / (n + 1)``. It is a voice of its own: as one
    of a hundred columns it would hardly be heard.

    Parameters
    ----------
    known : ndarray of shape (n,)
        Of the windows of training, sorted; see `Features.new_lines`.

    Examples
    --------
    >>> novelty = Novelty(np.zeros(99))
    >>> novelty(np.log1p([0.0, 1.0, 5.0])).round(1).tolist()
    [0.0, 13.9, 14.1]
    """

    known: Array

    def __call__(self, new_lines: Array) -> Array:
        """Return the surprise of each window in nats, shape (n,); 0 without a new line."""
        stranger = len(self.known) - np.searchsorted(self.known, new_lines)
        surprise = RISE * new_lines - np.log((1 + stranger) / (1 + len(self.known)))
        return np.where(new_lines > 0, WEIGHT * surprise, 0.0)


def _others(windows: int, own: bool) -> int:
    """Return how many windows of training have something, without the one that is looked at if that makes a difference."""
    return max(windows - own, 0) if windows <= RARE else windows


def _rows(array: NDArray[Any]) -> Iterable[list[int]]:
    return cast("list[list[int]]", array.tolist())
