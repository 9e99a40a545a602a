"""What every reader returns: the values, what they are, and which decisions were made while reading."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SourceKind = Literal["table", "pictures", "columns"]
RawType = Literal["number", "boolean", "text", "date"]


@dataclass(eq=False)
class Source:
    """Data as they were read, before any scaling.

    Parameters
    ----------
    kind : {"table", "pictures", "columns"}
        What one row is: numbers without gaps, a picture, or columns of different types, which may have gaps.
    array : ndarray of shape (n, d) or (n, H, W, C)
        The values in their own units; it may be a memory map. Never changed in place. Of columns it is float64: numbers as they
        are, booleans 0 and 1, text as a position in `vocabularies`, dates in seconds since 1970 (UTC), and NaN where one is missing.
    columns : tuple of str
        Column names of a table; empty where it has none, and for pictures.
    ids : tuple of str
        Names of the picture files; empty otherwise.
    notes : list of str
        One sentence for each decision made while reading.
    name : str
        What messages call the data, such as the file's name.
    types : tuple of {"number", "boolean", "text", "date"}
        What each of the columns was, if `kind` is "columns". Empty otherwise, and where the values are those of `Schema.align` already.
    vocabularies : mapping of str to tuple of str
        The texts of each column of text, by the column's name (see `names`).
    declared : tuple of str
        The columns of text that the data themselves declare as categories, so that what looks like numbers there is none.
    condition : ndarray of shape (n,) or (n, c), optional
        What is known of each row beside it, such as its class: conditional models are told, and do not explain it.

    Examples
    --------
    >>> import numpy as np
    >>> len(Source("table", np.eye(3)).take([0, 2]))
    2
    """

    kind: SourceKind
    array: Array
    columns: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list[str])
    name: str = "X"
    types: tuple[RawType, ...] = ()
    vocabularies: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    declared: tuple[str, ...] = ()
    condition: Array | None = None

    def __len__(self) -> int:
        return len(self.array)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; c0, c1 ... where they have none."""
        return self.columns or tuple(f"c{j}" for j in range(self.array.shape[1]))

    def take(self, indices: slice | Sequence[int] | Array) -> Source:
        """Return the rows `indices` (positions, a slice or a boolean mask) as a source of their own."""
        chosen = indices if isinstance(indices, slice) else np.asarray(indices, dtype=None if len(indices) else np.intp)
        ids = tuple(str(name) for name in np.asarray(self.ids)[chosen]) if self.ids else ()
        condition = None if self.condition is None else self.condition[chosen]
        return replace(self, array=self.array[chosen], ids=ids, notes=list(self.notes), condition=condition)


def row_blocks(rows: int, row_bytes: int, budget: int = 1 << 20) -> Generator[slice]:
    """Yield slices that cut `rows` rows of `row_bytes` bytes into blocks of about `budget` bytes."""
    step = max(1, budget // max(1, row_bytes))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
