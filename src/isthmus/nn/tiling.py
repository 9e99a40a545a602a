"""Large pictures through a fully convolutional network, piece by piece, without seams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.errors import ConfigError

TILE = 512


class Local(Protocol):
    """A network of which each value of the result depends on nearby pixels only."""

    @property
    def multiple(self) -> int:
        """Height and width that the network works on are multiples of this."""
        ...

    @property
    def reach(self) -> int:
        """Pixels that lie further away than this have no part in a pixel's result."""
        ...

    def __call__(self, x: Tensor, /) -> Tensor:
        """Map pictures (batch, H, W, C) to as many of the same height and width."""
        ...


@dataclass(frozen=True)
class Piece:
    """Part of an axis: what is kept of it, and what must be seen for that."""

    start: int
    stop: int
    first: int
    last: int


def pieces(length: int, tile: int, reach: int, multiple: int) -> Iterator[Piece]:
    """Cut an axis into pieces of `tile`; what is seen begins and ends at multiples, but for the end of the axis.

    Examples
    --------
    >>> [(piece.first, piece.last) for piece in pieces(100, 48, reach=10, multiple=8)]
    [(0, 64), (32, 100), (80, 100)]
    """
    for start in range(0, length, tile):
        stop = min(start + tile, length)
        first, last = max(0, start - reach) // multiple * multiple, -(-(stop + reach) // multiple) * multiple
        yield Piece(start, stop, first, min(last, length))


def grid(height: int, width: int, network: Local, tile: int = TILE) -> Iterator[tuple[Piece, Piece]]:
    """Yield the tiles of a picture, row by row: what is kept of height and width, and what must be seen for that.

    Raises
    ------
    ConfigError
        If `tile` is not positive.
    """
    if tile < 1:
        raise ConfigError(f"tile must be at least 1 pixel, not {tile}")
    side = -(-tile // network.multiple) * network.multiple
    for row in pieces(height, side, network.reach, network.multiple):
        for column in pieces(width, side, network.reach, network.multiple):
            yield row, column


class Turned:
    """A network that takes the mean over a picture turned and mirrored in all eight ways.

    Parameters
    ----------
    network : Local
        From pictures to pictures.
    """

    def __init__(self, network: Local) -> None:
        self.network, self.multiple, self.reach = network, network.multiple, network.reach

    def __call__(self, x: Tensor) -> Tensor:
        """Map pictures (batch, H, W, C) to as many of the same height and width."""
        height, width = x.shape[1:3]
        below, right = -height % self.multiple, -width % self.multiple
        # Filled up first, so that however it is turned the network's blocks of pixels lie the same.
        h = functional.pad(x.movedim(3, 1), (0, right, 0, below), mode="replicate").movedim(1, 3)
        total = torch.zeros((), dtype=x.dtype, device=x.device)
        for quarters in range(4):
            turned = torch.rot90(h, quarters, (1, 2))
            total = total + torch.rot90(self.network(turned), -quarters, (1, 2))
            total = total + torch.rot90(self.network(turned.flip(2)).flip(2), -quarters, (1, 2))
        return total[:, :height, :width] / 8


@torch.no_grad()
def tiled(network: Local, x: Tensor, tile: int = TILE) -> Tensor:
    """Apply a network to pictures of any size in the memory that tiles take; the result is that of the whole pictures, but for rounding.

    Each tile is seen with as much around it as the network's `reach` asks for, so that no seam can arise.

    Parameters
    ----------
    network : Local
        Such as `isthmus.nn.UNet`.
    x : Tensor of shape (batch, H, W, C)
    tile : int
        Height and width of what is kept of each tile, rounded up to a multiple that suits the network.

    Returns
    -------
    Tensor of shape (batch, H, W, D)

    Raises
    ------
    ConfigError
        If `tile` is not positive.

    Examples
    --------
    >>> from isthmus.nn import UNet
    >>> tiled(UNet(1, (4,), 1), torch.zeros(1, 50, 70, 1), tile=32).shape
    torch.Size([1, 50, 70, 1])
    """
    rows: list[list[Tensor]] = []
    for row, column in grid(x.shape[1], x.shape[2], network, tile):
        found = one_tile(network, x[:, row.first : row.last, column.first : column.last], row, column).clone()
        rows += [[found]] if column.start == 0 else []
        rows[-1] += [found] if column.start else []
    return torch.cat([torch.cat(row, 2) for row in rows], 1)


def one_tile(network: Local, seen: Tensor, row: Piece, column: Piece) -> Tensor:
    """Return what is kept of a tile of which `seen` is what must be seen."""
    return network(seen)[:, row.start - row.first : row.stop - row.first, column.start - column.first : column.stop - column.first]
