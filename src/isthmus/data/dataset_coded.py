"""Rows of mixed columns in files, as a schema aligns them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from contextlib import closing

import numpy as np

from isthmus.data.dataset_base import Chunk, Dataset
from isthmus.data.schema import Schema


class CodedDataset(Dataset):
    """The rows of a dataset as a schema of mixed columns aligns them, float64.

    Parameters
    ----------
    inner : Dataset
        The rows as they are read.
    schema : Schema
        Of kind "columns".

    Raises
    ------
    DataError
        If columns are missing.
    """

    def __init__(self, inner: Dataset, schema: Schema) -> None:
        self.inner, self.schema = inner.only(schema), schema
        self.kind, self.columns, self.shape, self.dtype = "columns", schema.columns, schema.shape, np.dtype(np.float64)
        self.name, self.notes, self.pieces = inner.name, inner.notes, inner.pieces
        self.ids_dtype, self.workers = inner.ids_dtype, inner.workers

    def coded(self, schema: Schema) -> Dataset:
        """Return the rows as another schema aligns them."""
        return self if schema == self.schema else CodedDataset(self.inner, schema)

    @property
    def named(self) -> bool:
        """Whether the rows have names."""
        return self.inner.named

    def chunks(self, piece: int, start: int, rows: int, named: bool) -> Generator[Chunk]:
        """Yield the rows of a piece from row `start` on in chunks of at most `rows`, with their names if `named`."""
        with closing(self.inner.sources(piece, start, rows, named)) as sources:
            for source in sources:
                yield self.schema.align(source), source.ids

    def held(self) -> int:
        """Return about how many bytes of memory a piece takes while it is open, besides the rows read."""
        return self.inner.held()

    def release(self) -> None:
        """Give memory that was kept for further reading back to the system."""
        self.inner.release()

    def fingerprint(self) -> str:
        """Return a digest by which the same data are recognised, as the same schema takes them."""
        facts = [self.inner.fingerprint(), self.schema.to_json()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
