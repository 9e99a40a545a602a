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
from torch import Tensor

from isthmus.artifact import files
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.nn import UNet, tiled
from isthmus.nn.tiling import TILE
from isthmus.spec import from_spec, to_spec
from isthmus.training import History, choose_device

VERSION = 1
FORMAT = "isthmus-restorer"
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
    found = [np.asarray(picture) for picture in pictures]
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


def _batches(pictures: Sequence[Array]) -> Iterator[Sequence[Array]]:
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
        given = [np.asarray(picture).shape for picture in pictures]
        back = [picture for batch in _batches(found) for picture in self._together(network, batch, tile, turns)]
        return [picture.reshape(shape) for picture, shape in zip(back, given)]

    def _together(self, network: UNet, pictures: Sequence[Array], tile: int, turns: int) -> Array:
        """Give pictures of one size back, shape (n, H, W, C)."""
        dtype = pictures[0].dtype
        top = white(dtype)
        x = torch.tensor(np.stack(pictures)).to(next(network.parameters()).device, torch.float32) / top
        found = (self._turned(network, x, tile) if turns == 8 else tiled(network, x, tile)).clamp(0, 1).cpu().numpy() * top
        return (found.round() if dtype.kind == "u" else found).astype(dtype)

    @staticmethod
    def _turned(network: UNet, x: Tensor, tile: int) -> Tensor:
        total = torch.zeros_like(x)
        for quarters in range(4):
            turned = torch.rot90(x, quarters, (1, 2))
            for mirrored in (False, True):
                back = tiled(network, turned.flip(2) if mirrored else turned, tile)
                total += torch.rot90(back.flip(2) if mirrored else back, -quarters, (1, 2))
        return total / 8

    def save(self, path: str | Path) -> Path:
        """Write the folder `path`, whole or not at all.

        Raises
        ------
        ArtifactError
            If something else lies at `path`, or it cannot be written.
        """
        entry = {"format": FORMAT, "version": VERSION, "network": to_spec(self.network), "settings": self.settings}
        entry |= {"history": self.history.rows, "facts": self.facts}
        readme = (
            f"# {Path(path).name}\n\nA network from picture to picture, made by isthmus; open it with `isthmus.artifact.Restorer.load`.\n"
        )
        return files.write_folder(Path(path), entry, files.pack({"network": self.network}), {}, readme)

    @classmethod
    def load(cls, path: str | Path) -> Restorer:
        """Open the folder `path`. Nothing in it can run code.

        Raises
        ------
        ArtifactError
            If the folder is missing, broken, from a newer version, or not what it says.
        """
        entry, tensors, _ = files.read_folder(Path(path), FORMAT, VERSION)
        try:
            with torch.device("meta"):
                network = from_spec(entry["network"])
            if not isinstance(network, UNet):
                raise ConfigError(f"a {type(network).__name__} stands where a network for pictures belongs")
            history = History([{str(k): float(v) for k, v in row.items()} for row in entry["history"]])
            settings, facts = dict(entry["settings"]), dict(entry["facts"])
        except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"{path}: config.json does not describe a network for pictures: {str(error)[:500]}") from error
        files.unpack(Path(path), {"network": network}, tensors)
        return cls(network.eval(), settings, history, facts)
