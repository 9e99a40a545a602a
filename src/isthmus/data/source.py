"""What every reader returns: the values, what they are, and which decisions were made while reading."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SourceKind = Literal["table", "pictures"]


@dataclass(eq=False)
class Source:
    """Data as they were read, before any scaling.

    Parameters
    ----------
    kind : {"table", "pictures"}
        What one row is.
    array : ndarray of shape (n, d) or (n, H, W, C)
        The values in their own units; it may be a memory map. Never changed in place.
    columns : tuple of str
        Column names of a table; empty where it has none, and for pictures.
    ids : tuple of str
        Names of the picture files; empty otherwise.
    notes : list of str
        One sentence for each decision made while reading.
    name : str
        What messages call the data, such as the file's name.

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

    def __len__(self) -> int:
        return len(self.array)

    def take(self, indices: slice | Sequence[int] | Array) -> Source:
        """Return the rows `indices` (positions, a slice or a boolean mask) as a source of their own."""
        chosen = indices if isinstance(indices, slice) else np.asarray(indices, dtype=None if len(indices) else np.intp)
        ids = tuple(str(name) for name in np.asarray(self.ids)[chosen]) if self.ids else ()
        return Source(self.kind, self.array[chosen], self.columns, ids, list(self.notes), self.name)


def row_blocks(rows: int, row_bytes: int, budget: int = 1 << 20) -> Generator[slice]:
    """Yield slices that cut `rows` rows of `row_bytes` bytes into blocks of about `budget` bytes."""
    step = max(1, budget // max(1, row_bytes))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
