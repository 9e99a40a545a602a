"""Parquet files, read row group by row group, a few pages at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from isthmus.data.dataset_tables import Part, TableDataset, TableFile
from isthmus.data.options import ReadOptions
from isthmus.extras import require

_BUFFER = 1 << 16
_PAGE = 1 << 20
_REMEMBERED = 64


class ParquetDataset(TableDataset):
    """Parquet files; a piece is a row group. Parameters and errors as for `TableDataset`."""

    format = "Parquet"

    def __init__(self, files: Sequence[TableFile], name: str, options: ReadOptions, ids: str | None) -> None:
        self._footers: dict[Path, Any] = {}
        super().__init__(files, name, options, ids)

    def _open(self, file: TableFile) -> Any:
        known = self._footers.get(file.path)
        # Buffered streams and no read-ahead: a column takes a page of memory, not its whole row group.
        parquet = require("pyarrow.parquet", "table", "reading Parquet files")
        opened = parquet.ParquetFile(file.path, metadata=known, buffer_size=_BUFFER, pre_buffer=False)
        if known is None:
            self._remember(file.path, opened.metadata)
        return opened

    def _remember(self, path: Path, footer: Any) -> None:
        # Reading a footer again for each of many row groups would cost more than they do.
        if len(self._footers) > _REMEMBERED:
            self._footers.clear()
        self._footers[path] = footer

    def look_into(self, file: TableFile) -> None:
        """Read types and row groups from the file's footer."""
        with self._open(file) as opened:
            schema, footer = opened.schema_arrow, opened.metadata
            file.types = dict(zip(schema.names, schema.types))
            file.groups = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]

    def has_nulls(self) -> bool:
        """Say whether the footers tell that values are missing."""
        return any(self._nulls_in(file) for file in self._files)

    def _nulls_in(self, file: TableFile) -> bool:
        with self._open(file) as opened:
            footer = opened.metadata
            wanted = [j for j in range(footer.num_columns) if footer.schema.column(j).path in set(self._names)]
            groups = (footer.row_group(i) for i in range(footer.num_row_groups))
            found = (group.column(j).statistics for group in groups for j in wanted)
            return any(stats is not None and stats.has_null_count and stats.null_count for stats in found)

    def batches(self, part: Part, names: list[str], start: int, rows: int) -> Generator[Any]:
        """Yield record batches of at most `rows` rows: those of `part` from its row `start` on."""
        with self._open(self._files[part.file]) as opened:
            for batch in opened.iter_batches(rows, row_groups=[part.index], columns=names, use_threads=False):
                if start < batch.num_rows:
                    yield batch.slice(start)
                start = max(0, start - batch.num_rows)

    def held(self) -> int:
        """Return about how many bytes of memory a row group takes while it is open."""
        return max(self._held_in(file) for file in self._files if any(file.groups))

    def _held_in(self, file: TableFile) -> int:
        with self._open(file) as opened:
            group = opened.metadata.row_group(max(range(len(file.groups)), key=file.groups.__getitem__))
            columns = [group.column(j) for j in range(group.num_columns)]
        return sum(_held_by(column) for column in columns if column.path_in_schema in self._names)


def _held_by(column: Any) -> int:
    """Return the bytes of a page and a dictionary of a column, which its decoder holds, and of its stream's buffer."""
    whole = int(column.total_uncompressed_size)
    words = 0
    if column.has_dictionary_page and column.dictionary_page_offset is not None:
        inflation = whole / max(1, int(column.total_compressed_size))
        words = int(max(0, column.data_page_offset - column.dictionary_page_offset) * inflation)
    return min(whole, _PAGE) + words + _BUFFER
