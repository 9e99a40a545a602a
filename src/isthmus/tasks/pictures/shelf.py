"""Pictures on disk that are decoded when they are looked at: each in its own size, as many in memory as there is room for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from isthmus.data.options import ReadOptions
from isthmus.data.pictures import UNREADABLE, refuse_troubles, unreadable_reason
from isthmus.data.pixels import Form, Head, decode

Array = NDArray[Any]
ROOM = 1 << 30  # bytes of pixels


class Shelved:
    """A picture on a shelf: its shape is known, its pixels are decoded when a part of them is asked for."""

    def __init__(self, shelf: Shelf, number: int) -> None:
        self.shelf, self.number = shelf, number
        self.shape = shelf.forms[number].shape
        self.dtype = shelf.forms[number].dtype

    def __getitem__(self, part: Any) -> Array:
        return self.shelf.pixels(self.number)[part]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        found = self.shelf.pixels(self.number)
        return np.array(found, dtype, copy=bool(copy) or None)


class Shelf(Sequence[Shelved]):
    """Picture files as a sequence of pictures of any sizes, of one type and one number of channels.

    Parameters
    ----------
    heads : sequence of Head
    channels : {1, 3, 4}
    deep : bool
        Whether pixels have 16 bits.
    names : sequence of str
        What the pictures are called in errors.
    room : int
        Bytes of pixels that are kept; those that were not looked at for longest go first.
    """

    def __init__(self, heads: Sequence[Head], channels: int, deep: bool, names: Sequence[str], room: int = ROOM) -> None:
        self.heads, self.names, self.room = heads, list(names), room
        self.forms = [Form((head.height, head.width), channels, deep) for head in heads]
        self.held: OrderedDict[int, Array] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self.heads)

    @overload
    def __getitem__(self, index: int) -> Shelved: ...
    @overload
    def __getitem__(self, index: slice) -> list[Shelved]: ...
    def __getitem__(self, index: int | slice) -> Shelved | list[Shelved]:
        if isinstance(index, slice):
            return [Shelved(self, i) for i in range(len(self))[index]]
        return Shelved(self, range(len(self))[index])

    def __iter__(self) -> Iterator[Shelved]:
        return (Shelved(self, i) for i in range(len(self)))

    @property
    def fits(self) -> bool:
        """Whether all pictures can be kept at once."""
        return sum(prod(form.shape) * form.dtype.itemsize for form in self.forms) <= self.room

    def pixels(self, number: int) -> Array:
        """Return the pixels of a picture.

        Raises
        ------
        DataError
            If it cannot be decoded.
        """
        if number in self.held:
            self.held.move_to_end(number)
            return self.held[number]
        try:
            found = decode(self.heads[number], self.forms[number])
        except UNREADABLE as error:
            refuse_troubles({self.names[number]: unreadable_reason(error)}, "the pictures", ReadOptions(), False)
            raise
        self.held[number] = found
        self.bytes += found.nbytes
        while self.bytes > self.room and len(self.held) > 1:
            self.bytes -= self.held.popitem(last=False)[1].nbytes
        return found
