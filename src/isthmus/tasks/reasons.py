"""Why a row is strange: its columns, what was seen and expected there, and the healthy row most like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.data import Source
from isthmus.tasks.layout import Array, Floats, Layout, Seen
from isthmus.tasks.scorer import Scorer
from isthmus.tasks.values import Values, told, values_of

# A cause beside one ten times as strong tells nothing.
SMALL = 0.1
_PAIRS = 1 << 22


@dataclass(frozen=True)
class Cause:
    """A column that made a row strange.

    Attributes
    ----------
    column : str
    share : float
        Of the row's strangeness, between 0 and 1.
    observed, expected : object
        What was there, and what the other columns let expect: in the data's own units, or a category. None is missing.
    healthy : object
        What the nearest healthy row has there.
    """

    column: str
    share: float
    observed: Any
    expected: Any
    healthy: Any

    @property
    def odd(self) -> bool:
        """Whether what was there differs from what was expected as far as it is shown."""
        return told(self.observed) != told(self.expected)

    def __str__(self) -> str:
        return f"{self.column}: {told(self.observed)} (expected {told(self.expected)})"


@dataclass(frozen=True)
class Reasons:
    """Why a row is strange.

    Attributes
    ----------
    row : int
        Its position in the data.
    causes : tuple of Cause
        The columns that made it strange, the strongest first.
    nearest : dict of str to object
        The healthy row nearest to it, by column.
    distance : float
        How far that one is, in standard deviations a column.
    """

    row: int
    causes: tuple[Cause, ...]
    nearest: dict[str, Any]
    distance: float

    def __str__(self) -> str:
        return "; ".join(map(str, self.causes))


def explain(layout: Layout, scorer: Scorer, references: Array, source: Source, rows: Array, top: int) -> list[Reasons]:
    """Say why each row of `source` is strange.

    Parameters
    ----------
    layout : Layout
    scorer : Scorer
    references : ndarray of shape (r, c)
        Healthy rows in the data's own units.
    source : Source
        The rows.
    rows : ndarray of int of shape (n,)
        Their positions, to be told.
    top : int
        Columns a row at most.

    Returns
    -------
    list of Reasons
    """
    matrix = layout.matrix(source)
    seen = layout.see(matrix)
    contributions, expected = scorer.explain(seen.rows, seen.present)
    places, distances = nearest(seen, layout.see(references))
    alike = layout.restore(np.asarray(expected, np.float32))
    # What is expected of a date is its hour and its weekday: a healthy row with such tells it.
    alike[:, layout.dates] = references[places][:, layout.dates]
    tables = _Tables(
        layout.columns,
        values_of(layout.schema, matrix, source),
        values_of(layout.schema, alike),
        values_of(layout.schema, references[places]),
    )
    shares = _shares(layout.by_column(np.maximum(contributions, 0.0)))
    return [tables.reasons(i, int(rows[i]), shares[i], float(distances[i]), top) for i in range(len(rows))]


def _shares(contributions: Floats) -> Floats:
    total = contributions.sum(1, keepdims=True)
    return contributions / np.where(total > 0, total, 1.0)


@dataclass(frozen=True)
class _Tables:
    """The same rows as they are, as they were expected, and as the nearest healthy ones are."""

    columns: tuple[str, ...]
    observed: Values
    expected: Values
    healthy: Values

    def reasons(self, i: int, row: int, shares: Floats, distance: float, top: int) -> Reasons:
        order = [int(j) for j in np.argsort(-shares, kind="stable")[:top] if shares[j] > 0]
        causes = [self._cause(i, self.columns[j], float(shares[j])) for j in order]
        kept = [cause for k, cause in enumerate(causes) if k == 0 or (cause.share >= SMALL * causes[0].share and cause.odd)]
        return Reasons(row, tuple(kept), {name: self.healthy[name][i] for name in self.columns}, distance)

    def _cause(self, i: int, name: str, share: float) -> Cause:
        return Cause(name, share, self.observed[name][i], self.expected[name][i], self.healthy[name][i])


def nearest(seen: Seen, references: Seen) -> tuple[Array, Floats]:
    """Return position of, and distance to, the reference nearest to each row: root mean square over what the row has.

    A value that a reference lacks counts as the mean, and one variance away.

    Parameters
    ----------
    seen : Seen
        n rows.
    references : Seen
        r rows to compare with, at least one.

    Returns
    -------
    ndarray of int of shape (n,)
    ndarray of float of shape (n,)

    Examples
    --------
    >>> rows = Seen(np.array([[0.0, 0.0], [3.0, 1.0]], np.float32))
    >>> nearest(Seen(np.array([[3.0, 3.0]], np.float32)), rows)[1].round(3).tolist()
    [1.414]
    """
    here, there = _weights(seen), _weights(references)
    x, y = seen.rows * here, references.rows * there
    beside = y * y + (1.0 - there)
    places = np.zeros(len(x), np.int64)
    distances = np.zeros(len(x))
    step = max(1, _PAIRS // len(y))
    for i in range(0, len(x), step):
        a, mask = x[i : i + step], here[i : i + step]
        squares = (a * a).sum(1, keepdims=True) - 2.0 * (a @ y.T) + mask @ beside.T
        squares = np.maximum(squares, 0.0) / np.maximum(mask.sum(1, keepdims=True), 1.0)
        places[i : i + step] = squares.argmin(1)
        distances[i : i + step] = np.sqrt(squares.min(1))
    return places, distances


def _weights(seen: Seen) -> Array:
    return np.ones_like(seen.rows) if seen.present is None else seen.present.astype(np.float32)
