"""Pictures and frames in files, shown as those of another domain and blended into where they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from isthmus import __version__
from isthmus.artifact.files import pack
from isthmus.artifact.restorer import white
from isthmus.artifact.swapping import SwapModel
from isthmus.data import Source, read, write
from isthmus.data.options import Colour, OnError
from isthmus.data.pictures import equal_channels
from isthmus.data.pixels import Head
from isthmus.data.provenance import COMPOSITE, TRAINED, Provenance
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.pictures.denoise_files import Files, is_array, look, pixels_of, targets_of

Array = NDArray[Any]
Box = tuple[int, int, int, int]
SIDE = 64  # pixels to which picture files are brought where nothing else is asked for
ACROSS, DOWN = 4, 4  # domains and pictures of each on a preview


@dataclass(frozen=True)
class Reading:
    """How the pictures of a domain are read.

    Parameters
    ----------
    size : (int, int), optional
        Height and width; by default 64 x 64 for files, and as they are for arrays.
    box : (int, int, int, int), optional
        Top, left, height and width of the part that counts.
    colour : {"auto", "grey", "rgb"}
    key : str, optional
        Which array of an ``.npz`` file.
    on_error : {"refuse", "skip"}

    Examples
    --------
    >>> Reading().colour
    'auto'
    """

    size: tuple[int, int] | None = None
    box: Box | None = None
    colour: Colour = "auto"
    key: str | None = None
    on_error: OnError = "refuse"


@dataclass(frozen=True)
class Order:
    """What is to become of frames.

    Parameters
    ----------
    to : str
        A domain.
    source : str, optional
        The domain frames are of; by default, for each, the one that rebuilds it best.
    box : (int, int, int, int), optional
        Top, left, height and width of the part of a frame that is swapped; by default all of it.
    mask : {"ellipse", "whole"} or path
        What of the box is replaced: an ellipse with a soft edge, all of it, or what is white in the picture of the frame's name in a
        folder.
    soft : float
        Width of the ellipse's edge, as a share of its radius.
    device : str
    marked : bool
        Whether what is written says in its metadata how it was made.
    skip : bool
        Whether frames that cannot be read are left out.

    Raises
    ------
    ConfigError
        If `soft` does not lie between 0 and 1.
    """

    to: str
    source: str | None = None
    box: Box | None = None
    mask: str | Path = "ellipse"
    soft: float = 0.3
    device: str = "cpu"
    marked: bool = True
    skip: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.soft <= 1:
            raise ConfigError(f"soft must lie between 0 and 1, not {self.soft}")


def parse_box(text: str) -> Box:
    """Return top, left, height and width from a text such as ``"10,20,64,64"``.

    Raises
    ------
    ConfigError
        If it is none.

    Examples
    --------
    >>> parse_box("10,20,64,64")
    (10, 20, 64, 64)
    """
    try:
        top, left, height, width = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"a box is TOP,LEFT,HEIGHT,WIDTH in pixels, such as 10,20,64,64, not {text!r}") from error
    if min(top, left) < 0 or min(height, width) < 1:
        raise ConfigError(f"a box begins at 0 or more and has at least one pixel, unlike {text!r}")
    return top, left, height, width


def cut(picture: Array, box: Box | None, name: str) -> Array:
    """Return the part of a picture (H, W, C) that lies within a box.

    Raises
    ------
    DataError
        If the box reaches beyond the picture.
    """
    if box is None:
        return picture
    top, left, height, width = box
    if top + height > picture.shape[0] or left + width > picture.shape[1]:
        size = f"{picture.shape[0]} x {picture.shape[1]}"
        raise DataError(f"{name} has {size} pixels, but the box reaches to {top + height} x {left + width}: give a smaller one")
    return picture[top : top + height, left : left + width]


def resized(pictures: Tensor, size: Sequence[int]) -> Tensor:
    """Return pictures (n, H, W, C) of another size, smoothed where they become smaller.

    Examples
    --------
    >>> resized(torch.ones(1, 8, 6, 3), (4, 4)).shape
    torch.Size([1, 4, 4, 3])
    """
    if tuple(pictures.shape[1:3]) == tuple(size):
        return pictures
    shape = [int(side) for side in size]
    found = functional.interpolate(pictures.permute(0, 3, 1, 2), shape, mode="bicubic", align_corners=False, antialias=True)
    return found.permute(0, 2, 3, 1).clamp(0, 1)


def _as_large(pictures: Sequence[Array], size: Sequence[int]) -> Array:
    """Return pictures (H, W, C) of any sizes as one array of one size, of their type."""
    dtype = pictures[0].dtype
    top = white(dtype)
    found = np.concatenate([resized(torch.tensor(picture[None]).float() / top, size).numpy() * top for picture in pictures])
    return (found.round() if dtype.kind == "u" else found).astype(dtype)


def read_domain(path: str | Path, reading: Reading | None = None) -> tuple[Array, list[str]]:
    """Read the pictures of a domain.

    Parameters
    ----------
    path : path
        A folder of pictures, or an ``.npy`` or ``.npz`` file.
    reading : Reading, optional

    Returns
    -------
    pictures : ndarray of shape (n, H, W, C)
    notes : list of str

    Raises
    ------
    DataError
        If there are none, some cannot be read, or the box reaches beyond one.
    """
    reading, path = reading or Reading(), Path(path).expanduser()
    if is_array(path):
        source = read(path, key=reading.key)
        if source.kind != "pictures":
            raise DataError(
                f"{path.name} holds rows of shape {source.array.shape[1:]}, no pictures: give an array (n, H, W) or (n, H, W, C)"
            )
        pictures = [cut(picture, reading.box, f"{path.name}, picture {i}") for i, picture in enumerate(source.array)]
        return _as_large(pictures, reading.size or pictures[0].shape[:2]), list(source.notes)
    size = reading.size or (SIDE, SIDE)
    if reading.box is None:
        source = read(path, size=size, colour=reading.colour, bits=8, on_error=reading.on_error)
        return source.array, list(source.notes)
    files = look(path, reading.on_error == "skip")
    colour = reading.colour if reading.colour != "auto" else "grey" if all(head.grey for head in files.heads) else "rgb"
    found = [cut(read(head.path, colour=colour, bits=8).array[0], reading.box, name) for head, name in zip(files.heads, files.names)]
    return _as_large(found, size), files.notes


def _refuse_rows(source: Source) -> None:
    if source.kind != "pictures":
        raise DataError(f"{source.name} holds rows of shape {source.array.shape[1:]}, no pictures: give an array (n, H, W) or (n, H, W, C)")


def ellipse(height: int, width: int, soft: float) -> Array:
    """Return a mask of an ellipse within a box: 1 inside, falling smoothly to 0 at its edge, shape (height, width, 1).

    Examples
    --------
    >>> ellipse(9, 9, 0.5)[4, [0, 1, 4], 0].astype(float).round(2).tolist()
    [0.13, 0.74, 1.0]
    """
    down, across = ((np.arange(side) + 0.5) / side * 2 - 1 for side in (height, width))
    inside = np.clip((1 - np.hypot(down[:, None], across[None])) / max(soft, 1e-6), 0, 1)
    return (inside * inside * (3 - 2 * inside))[..., None].astype(np.float32)


def swap_picture(model: SwapModel, picture: Array, order: Order, mask: Array, name: str = "the picture") -> Array:
    """Swap the box of a picture of any size, and blend it into the rest.

    Parameters
    ----------
    model : SwapModel
    picture : ndarray of shape (H, W, C)
    order : Order
    mask : ndarray of shape (height, width, 1)
        Of the box: 1 where it is replaced, 0 where it stays.
    name : str
        For errors.

    Returns
    -------
    ndarray of shape (H, W, C)
        Of the same type.

    Raises
    ------
    DataError
        If the picture has other channels than the model knows, or is smaller than the box.
    """
    part = cut(picture, order.box, name)
    top = white(picture.dtype)
    small = resized(torch.tensor(part[None]).float() / top, model.shape[:2])
    swapped = torch.tensor(model.swap(small.numpy(), order.to, order.source, order.device))
    made = resized(swapped, part.shape[:2])[0].numpy() * top
    blended = part + mask * (made - part)
    found = picture.copy()
    place = cut(found, order.box, name)
    place[...] = blended.round() if picture.dtype.kind == "u" else blended
    return found


def swap_folder(model: SwapModel, frames: str | Path, out: str | Path, order: Order) -> Iterator[Path]:
    """Swap a picture, or all below a folder, each in its own size, and yield the path of each once it is written.

    Parameters
    ----------
    model : SwapModel
    frames : path
        A folder or a picture; they stay as they are.
    out : path
        Another folder, in which names are kept but for the ending, which becomes .png; for one picture a file.
    order : Order

    Yields
    ------
    Path

    Raises
    ------
    DataError
        If a frame cannot be used; the message names it.
    ConfigError
        If there is no such domain.
    """
    frames, out = Path(frames).expanduser(), Path(out).expanduser()
    for name in (order.to, *([] if order.source is None else [order.source])):
        model.number(name)
    files = look(frames, order.skip)
    check_colours(model, files)
    targets = targets_of(files, frames, out) if frames.is_dir() else [out]
    masks = _masks(order.mask)
    if masks is not None:
        missing = [name for name in files.names if _stem(name) not in masks]
        if missing:
            raise DataError(f"{order.mask}: there is no mask for {', '.join(missing[:5])}; give one of the same name for each frame")
    made = made_by(model, COMPOSITE if order.box is not None or order.mask != "whole" else TRAINED) if order.marked else None
    for head, name, target in zip(files.heads, files.names, targets):
        pixels = pixels_of(head, order.skip)
        if pixels is None:
            continue
        mask = _mask(pixels, order, None if masks is None else masks[_stem(name)], name)
        yield write(target, _with_alpha(model, pixels, order, mask, name), provenance=made)


def _with_alpha(model: SwapModel, pixels: Array, order: Order, mask: Array, name: str) -> Array:
    """Swap a picture whose transparency, if any, stays, and whose three channels may be equal."""
    colours = model.shape[2]
    colour = pixels[..., :colours] if pixels.shape[2] >= colours else pixels.repeat(colours, 2)
    found = swap_picture(model, colour, order, mask, name)
    alpha = pixels[..., 3:] if pixels.shape[2] == 4 else pixels[..., :0]
    return np.concatenate([found.repeat(3, 2) if alpha.size and colours == 1 else found, alpha], 2)


def check_colours(model: SwapModel, files: Files) -> None:
    """Refuse frames whose channels the model does not know.

    Raises
    ------
    DataError
        If grey frames meet a model of coloured pictures, or coloured ones a model of grey ones; the message names some.
    """
    grey = model.shape[2] == 1
    wrong = [name for head, name in zip(files.heads, files.names) if head.grey != grey and (not grey or _coloured(head))]
    if wrong:
        told, kinds = ", ".join(wrong[:5]), ("coloured", "grey") if grey else ("grey", "coloured")
        mend = "fit a model with --colour rgb" if grey else "save them in colour, or fit a model with --colour grey"
        raise DataError(f"{len(wrong)} frame(s) are {kinds[0]}, but this model was fitted on {kinds[1]} pictures: {told}. Mend: {mend}")


def _coloured(head: Head) -> bool:
    pixels = pixels_of(head, skip=True)
    return pixels is not None and pixels.shape[2] >= 3 and not equal_channels(pixels)


def _stem(name: str) -> str:
    return Path(name).with_suffix("").as_posix()


def _masks(mask: str | Path) -> Mapping[str, Head] | None:
    """Return the masks in a folder by their names without endings; None if it is no folder."""
    if mask in ("ellipse", "whole"):
        return None
    folder = Path(mask).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"mask must be ellipse, whole, or a folder of masks with the frames' names, not {str(mask)!r}")
    files = look(folder)
    return {_stem(name): head for head, name in zip(files.heads, files.names)}


def _mask(pixels: Array, order: Order, given: Head | None, name: str) -> Array:
    height, width = pixels.shape[:2] if order.box is None else order.box[2:]
    if given is None:
        return ellipse(height, width, order.soft) if order.mask == "ellipse" else np.ones((height, width, 1), np.float32)
    if (given.height, given.width) != pixels.shape[:2]:
        size = f"{given.height} x {given.width}"
        raise DataError(f"the mask of {name} has {size} pixels, the frame {pixels.shape[0]} x {pixels.shape[1]}: both must be as large")
    return cut(read(given.path, colour="grey", bits=8).array[0], order.box, name).astype(np.float32) / 255


def swap_array(model: SwapModel, path: Path, order: Order, key: str | None = None) -> Array:
    """Return the pictures of an ``.npy`` or ``.npz`` file, as large as those fitted on, swapped whole.

    Raises
    ------
    DataError
        If they are no pictures, or not such as those fitted on.
    ConfigError
        If there is no such domain.
    """
    source = read(path, key=key)
    _refuse_rows(source)
    return model.swap(source.array, order.to, order.source, order.device)


def made_by(model: SwapModel, kind: str = TRAINED) -> Provenance:
    """Return what swapped pictures are to say of themselves."""
    found = hashlib.sha256(repr((model.network, model.domains)).encode())
    for name, tensor in sorted(pack({"network": model.network}).items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return Provenance(kind, f"isthmus {__version__}", "isthmus swapper", found.hexdigest()[:16], "swap")


def preview(model: SwapModel, pictures: Mapping[str, Array], path: str | Path, marked: bool = True, device: str = "cpu") -> Path:
    """Write a sheet: in each line a picture, rebuilt by its own decoder, and swapped into the other domains.

    Parameters
    ----------
    model : SwapModel
    pictures : mapping of str to ndarray of shape (n, H, W, C)
        Some of each domain; the first four are shown, of the first four domains.
    path : path
        Ends in .png, .jpg, .webp or .avif; replaced whole.
    marked : bool
    device : str
    """
    shown = {name: np.asarray(x[:DOWN]) for name, x in list(pictures.items())[:ACROSS]}
    lines: list[Array] = []
    for name, x in shown.items():
        columns = [x, model.reconstruct(x, name, device)]
        columns += [model.swap(x, to, name, device) for to in shown if to != name]
        lines.append(np.stack(columns, 1))
    return write(path, np.concatenate(lines), provenance=made_by(model, COMPOSITE) if marked else None)
