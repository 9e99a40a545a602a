"""A fitted network that gives pictures back: apply it, save it, open it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact import kept
from isthmus.artifact.kept import Form
from isthmus.errors import ConfigError, DataError
from isthmus.nn import UNet
from isthmus.nn.tiling import TILE, Local, Turned, grid, one_tile
from isthmus.training import History, choose_device

FORM = Form("isthmus-restorer", 1, "a network from picture to picture", "isthmus.artifact.restorer.Restorer.load")
SCALES = {"uint8": 255.0, "uint16": 65535.0}
BRIGHTEST = 16.0  # beyond which floating-point pictures cannot be meant to lie between 0 and 1, whatever their noise
TOGETHER = 1 << 16  # pixels of small pictures that pass the network together
Array = NDArray[Any]


def white(dtype: np.dtype[Any]) -> float:
    """Return the value of white: 255 for bytes, 65535 for two of them, 1 for floating-point numbers and booleans.

    Raises
    ------
    DataError
        If pictures have no such type.

    Examples
    --------
    >>> white(np.dtype("uint8"))
    255.0
    """
    if dtype.name in SCALES:
        return SCALES[dtype.name]
    if dtype.kind in "fb":
        return 1.0
    raise DataError(f"pictures of {dtype.name} are not known: use uint8 (0 to 255), uint16 (0 to 65535) or floating-point numbers (0 to 1)")


def as_pictures(pictures: Any, name: str = "X") -> list[Array]:
    """Return pictures as a list of arrays (H, W, C) of one type and one number of channels, their values as they are.

    Parameters
    ----------
    pictures : ndarray of shape (n, H, W) or (n, H, W, C), or sequence of ndarray of shape (H, W) or (H, W, C)
        Of one size as one array, or of any sizes.
    name : str
        What they are called in errors.

    Raises
    ------
    DataError
        If they are not pictures, or their values lie far outside of what their type allows.

    Examples
    --------
    >>> [picture.shape for picture in as_pictures(np.zeros((2, 4, 5)))]
    [(4, 5, 1), (4, 5, 1)]
    """
    found = [np.ascontiguousarray(picture) for picture in pictures]
    if not found:
        raise DataError(f"{name} holds no picture")
    found = [picture[..., None] if picture.ndim == 2 else picture for picture in found]
    for i, picture in enumerate(found):
        if picture.ndim != 3 or 0 in picture.shape:
            raise DataError(
                f"{name}: picture {i} has the shape {picture.shape}; give (H, W) or (H, W, C), and several as a list or (n, H, W, C)"
            )
        if picture.dtype != found[0].dtype or picture.shape[2] != found[0].shape[2]:
            raise DataError(f"{name}: picture {i} differs from the first in type or channels: {_told(picture)}, not {_told(found[0])}")
    white(found[0].dtype)
    if found[0].dtype.kind == "f":
        _check_range(found, name)
    return found


def _told(picture: Array) -> str:
    return f"{picture.dtype.name} with {picture.shape[2]} channel(s)"


def _check_range(pictures: Sequence[Array], name: str) -> None:
    for i, picture in enumerate(pictures):
        if not np.isfinite(picture).all():
            raise DataError(f"{name}: picture {i} holds NaN or infinite values")
        if np.abs(picture).max() > BRIGHTEST:
            raise DataError(
                f"{name}: picture {i} has values up to {np.abs(picture).max():g}; floating-point pictures lie in 0 to 1: divide by 255"
            )


def batches(pictures: Sequence[Array]) -> Iterator[Sequence[Array]]:
    """Yield pictures in order, neighbours of one size together as long as they are small."""
    start = 0
    for stop in range(1, len(pictures) + 1):
        pixels = math.prod(pictures[start].shape[:2]) * (stop - start + 1)
        if stop == len(pictures) or pictures[stop].shape != pictures[start].shape or pixels > TOGETHER:
            yield pictures[start:stop]
            start = stop


@dataclass
class Restorer:
    """A fitted network from picture to picture, such as a denoiser.

    Parameters
    ----------
    network : UNet
    settings : dict
        What it was fitted with, plain JSON types.
    history : History
    facts : dict
        What is worth knowing, plain JSON types.

    Examples
    --------
    >>> Restorer(UNet(1, (4,), 1).eval())(np.zeros((2, 8, 8, 1), np.uint8))[0].shape
    (8, 8, 1)
    """

    network: UNet
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    history: History = field(default_factory=History)
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def __call__(self, pictures: Any, *, tile: int = TILE, turns: int = 1, device: str = "cpu") -> list[Array]:
        """Give pictures back.

        Parameters
        ----------
        pictures : ndarray of shape (n, H, W) or (n, H, W, C), or sequence of ndarray of shape (H, W) or (H, W, C)
            uint8, uint16, or floating-point numbers between 0 (black) and 1 (white).
        tile : int
            Larger pictures are worked on in tiles of this height and width, which leave no seams.
        turns : {1, 8}
            Whether the mean over the picture turned and mirrored in all eight ways is taken: a little better, eight times as long.
        device : str

        Returns
        -------
        list of ndarray
            Of the type and shape that was given, within black and white.

        Raises
        ------
        DataError
            If they are not pictures, or have other channels than those the network knows.
        ConfigError
            If `turns` is neither 1 nor 8.
        """
        if turns not in (1, 8):
            raise ConfigError(f"turns must be 1 or 8, not {turns}")
        found = as_pictures(pictures)
        if found[0].shape[2] != self.network.colours:
            raise DataError(f"the pictures have {found[0].shape[2]} channel(s), but this model was fitted on {self.network.colours}")
        network = self.network.to(choose_device(device)).eval()
        way = Turned(network) if turns == 8 else network
        given = [np.asarray(picture).shape for picture in pictures]
        back = [picture for batch in batches(found) for picture in self._together(way, batch, tile)]
        return [picture.reshape(shape) for picture, shape in zip(back, given)]

    @torch.inference_mode()
    def _together(self, network: Local, pictures: Sequence[Array], tile: int) -> Array:
        """Give pictures of one size back, shape (n, H, W, C): of large ones only a tile at a time is more than its pixels."""
        dtype, top, device = pictures[0].dtype, white(pictures[0].dtype), next(self.network.parameters()).device
        back = np.empty((len(pictures), *pictures[0].shape), dtype)
        for row, column in grid(pictures[0].shape[0], pictures[0].shape[1], network, tile):
            seen = torch.tensor(np.stack([p[row.first : row.last, column.first : column.last] for p in pictures]).astype(np.float32))
            found = one_tile(network, seen.to(device) / top, row, column).clamp(0, 1).cpu().numpy() * top
            back[:, row.start : row.stop, column.start : column.stop] = found.round() if dtype.kind == "u" else found
        return back

    def save(self, path: str | Path) -> Path:
        """Write the folder `path`, whole or not at all.

        Raises
        ------
        ArtifactError
            If something else lies at `path`, or it cannot be written.
        """
        return kept.save(path, FORM, self.network, self.settings, self.history, self.facts)

    @classmethod
    def load(cls, path: str | Path) -> Restorer:
        """Open the folder `path`. Nothing in it can run code.

        Raises
        ------
        ArtifactError
            If the folder is missing, broken, from a newer version, or not what it says.
        """
        return cls(*kept.load(path, FORM, (UNet,))[:4])
