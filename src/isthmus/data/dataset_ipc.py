"""Arrow's own files (IPC, Feather), read record batch by record batch."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from isthmus.data.dataset_tables import Part, TableDataset, TableFile
from isthmus.extras import require

_PIECE = 1 << 25


class ArrowDataset(TableDataset):
    """Arrow files; a piece is a record batch, or a part of one that is not compressed. Parameters and errors as for `TableDataset`."""

    format = "Arrow"

    @contextmanager
    def _open(self, file: TableFile, names: list[str] | None = None) -> Generator[Any]:
        ipc = require("pyarrow.ipc", "table", "reading Arrow files")
        fields = None if names is None else [list(file.types).index(name) for name in names]
        options = ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        with self._pa.memory_map(str(file.path)) as mapped, ipc.open_file(mapped, options=options) as reader:
            yield reader

    def look_into(self, file: TableFile) -> None:
        """Read types and numbers of rows; the values of at most one column are touched."""
        with self._open(file) as reader:
            file.types = dict(zip(reader.schema.names, reader.schema.types))
        with self._open(file, list(file.types)[:1]) as reader:
            file.groups = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]

    def _cut(self, number: int) -> list[Part]:
        """Cut long batches, for mapped memory counts as used once it was touched, until the map is closed."""
        file = self._files[number]
        bytes_a_row = max(1, sum(_bits(kind) for kind in file.types.values()) // 8)
        # Compressed batches, which can only be read whole, make a smaller file than this.
        plain = bytes_a_row * sum(file.groups) <= file.path.stat().st_size
        whole = super()._cut(number)
        return [piece for part in whole for piece in _slices(part, max(1, _PIECE // bytes_a_row))] if plain else whole

    def batches(self, part: Part, names: list[str], start: int, rows: int) -> Generator[Any]:
        """Yield record batches of at most `rows` rows: those of `part` from its row `start` on."""
        with self._open(self._files[part.file], names) as reader:
            batch = reader.get_batch(part.index).slice(part.start, part.rows)
            for place in range(start, batch.num_rows, rows):
                yield batch.slice(place, rows)

    def held(self) -> int:
        """Return about how many bytes of memory a piece takes while it is open."""
        return int(self.pieces.max()) * self.row_bytes


def _bits(kind: Any) -> int:
    """Return the bits of a value, none where they vary."""
    try:
        return int(kind.bit_width)
    except ValueError:
        return 0


def _slices(part: Part, rows: int) -> list[Part]:
    return [replace(part, start=i, rows=min(rows, part.rows - i), first=part.first + i) for i in range(0, part.rows, rows)]
