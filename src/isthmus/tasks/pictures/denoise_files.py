"""Noise taken off picture files, one after another, each in its own size, and off arrays in files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus import __version__
from isthmus.artifact.files import pack
from isthmus.artifact.restorer import Restorer
from isthmus.data import read, write
from isthmus.data.options import ReadOptions
from isthmus.data.pictures import PICTURE_ENDINGS, equal_channels, find_pictures, read_heads, refuse_troubles
from isthmus.data.pixels import Head
from isthmus.data.provenance import COMPOSITE, TRAINED, Provenance, read_provenance
from isthmus.errors import DataError
from isthmus.nn.tiling import TILE

Array = NDArray[Any]
COLOURED = 3
ENHANCED = "algorithmicallyEnhanced"
MADE = (TRAINED, COMPOSITE)  # what stays so when it is enhanced


@dataclass(frozen=True)
class Use:
    """How noise is taken off files.

    Parameters
    ----------
    tile, turns, device
        As of `Restorer`.
    marked : bool
        Whether what is written says in its metadata that an algorithm enhanced it.
    skip : bool
        Whether pictures that cannot be read are left out.

    Examples
    --------
    >>> Use().turns
    1
    """

    tile: int = TILE
    turns: int = 1
    device: str = "cpu"
    marked: bool = True
    skip: bool = False


@dataclass
class Files:
    """Picture files that were looked at: their headers, and where each belongs.

    Attributes
    ----------
    heads : list of Head
    names : list of str
        Paths within the folder.
    notes : list of str
    """

    heads: list[Head]
    names: list[str]
    notes: list[str] = field(default_factory=list[str])


def look(path: Path, skip: bool = False) -> Files:
    """Read the headers of a picture, or of all pictures below a folder.

    Raises
    ------
    DataError
        If there is no picture, or one cannot be read and is not to be skipped.
    """
    files, names, notes = find_pictures(path) if path.is_dir() else ([path], [path.name], [])
    troubles: dict[str, str] = {}
    heads = read_heads(files, dict(zip(files, names)), troubles)
    refuse_troubles(troubles, path.name, ReadOptions(on_error="skip" if skip else "refuse"), bool(heads))
    notes += [f"left out {len(troubles)} unreadable picture(s): {', '.join(list(troubles)[:5])}"] if troubles else []
    known = dict(zip(files, names))
    return Files(heads, [known[head.path] for head in heads], notes)


def is_array(path: Path) -> bool:
    """Say whether pictures lie in a file of arrays."""
    return path.suffix.lower() in (".npy", ".npz") and not path.is_dir()


def is_picture(path: Path) -> bool:
    """Say whether a path is that of a single picture."""
    return path.suffix.lower() in PICTURE_ENDINGS and not path.is_dir()


def restore(restorer: Restorer, picture: Array, use: Use) -> Array:
    """Take the noise off a picture of whatever channels: grey, coloured, with alpha, which stays as it is.

    A model of grey pictures works on each channel by itself; one of coloured pictures takes a grey one as three equal channels.

    Parameters
    ----------
    restorer : Restorer
    picture : ndarray of shape (H, W, C)
    use : Use

    Returns
    -------
    ndarray of shape (H, W, C)

    Raises
    ------
    DataError
        If the model knows another number of channels, which cannot be made of these.

    Examples
    --------
    >>> from isthmus.nn import UNet
    >>> restore(Restorer(UNet(1, (4,), 1)), np.zeros((5, 5, 4), np.uint8), Use()).shape
    (5, 5, 4)
    """
    knows, channels = restorer.network.colours, picture.shape[2]
    colours = channels - 1 if channels in (2, COLOURED + 1) and knows != channels else channels
    colour, alpha = picture[..., :colours], picture[..., colours:]
    if knows == 1:
        parts: Sequence[Array] = [colour[..., i : i + 1] for i in range(colours)]
    elif knows == COLOURED and colours == 1:
        parts = [colour.repeat(COLOURED, 2)]
    else:
        parts = [colour]
    found = np.concatenate(restorer(parts, tile=use.tile, turns=use.turns, device=use.device), 2)
    if found.shape[2] != colours:
        mean = found.mean(2, keepdims=True)
        found = (mean.round() if picture.dtype.kind == "u" else mean).astype(picture.dtype)
    return np.concatenate([found, alpha], 2)


def targets_of(files: Files, folder: Path, out: Path) -> list[Path]:
    """Return where the pictures of a folder go: their names, but for the ending, which becomes .png.

    Raises
    ------
    DataError
        If two would go to one place, or `out` is `folder` or lies within it.
    """
    check_outside(out, folder)
    targets = [out / Path(name).with_suffix(".png") for name in files.names]
    seen: set[Path] = set()
    for target in targets:
        if target in seen:
            raise DataError(f"{folder}: several pictures would be written to {target}; give them different names")
        seen.add(target)
    return targets


def check_outside(out: Path, folder: Path) -> None:
    """Refuse a place for results that is the folder of what is read, or lies within it.

    Raises
    ------
    DataError
        If it is.
    """
    if out.expanduser().resolve() == folder.expanduser().resolve():
        raise DataError(f"{out}: the pictures there would be replaced; choose another place for the results")
    if folder.is_dir() and not is_array(out) and out.expanduser().resolve().is_relative_to(folder.expanduser().resolve()):
        raise DataError(f"{out} lies in the folder {folder}, and would be read as a part of it the next time; choose another place")


def denoise_folder(
    restorer: Restorer,
    folder: str | Path,
    out: str | Path,
    *,
    use: Use | None = None,
    watch: Callable[[Path, Array, Array], None] | None = None,
) -> Iterator[Path]:
    """Take the noise off all pictures below a folder, and yield the path of each once it is written.

    Parameters
    ----------
    restorer : Restorer
    folder : path
        Its pictures stay as they are, and are in memory one at a time.
    out : path
        Another folder. Names are kept, but for the ending, which becomes .png; of 16 bits if the picture is.
    use : Use, optional
    watch : callable, optional
        Gets the path of each picture, its pixels before, and those after.

    Yields
    ------
    Path

    Raises
    ------
    DataError
        If there is no picture, one cannot be read, two would be written under one name, or `out` is `folder` or within it.

    Notes
    -----
    The metadata of what is written say that an algorithm enhanced it (IPTC ``algorithmicallyEnhanced``), and which; those of pictures
    that a model made still say that: see `enhanced`.
    """
    use, folder, out = use or Use(), Path(folder).expanduser(), Path(out).expanduser()
    files = look(folder, use.skip)
    made = provenance(restorer) if use.marked else None
    for head, target in zip(files.heads, targets_of(files, folder, out)):
        pixels = pixels_of(head, use.skip)
        if pixels is None:
            continue
        found = restore(restorer, pixels, use)
        if watch is not None:
            watch(head.path, pixels, found)
        yield write(target, found, provenance=enhanced(made, head.path))


def pixels_of(head: Head, skip: bool) -> Array | None:
    """Return a picture in its own depth, grey, coloured or with alpha; None if it cannot be read and is to be skipped.

    Raises
    ------
    DataError
        If it cannot be read, and is not to be skipped.
    """
    try:
        pixels: Array = read(head.path, colour="rgba" if head.alpha else "auto").array[0]
    except DataError:
        if skip:
            return None
        raise
    if not head.alpha:
        return pixels
    opaque = bool((pixels[..., COLOURED] == np.iinfo(pixels.dtype).max).all())
    colours = 1 if head.grey or equal_channels(pixels) else COLOURED
    return pixels[..., :colours] if opaque else pixels


def provenance(restorer: Restorer) -> Provenance:
    """Return what pictures that a denoiser made say of themselves."""
    return Provenance(ENHANCED, f"isthmus {__version__}", "isthmus denoiser", fingerprint(restorer), "denoise")


def enhanced(made: Provenance | None, path: Path) -> Provenance | None:
    """Return the mark of a picture that was enhanced: if a model made the picture, wholly or in part, it still says so.

    Parameters
    ----------
    made : Provenance or None
        The mark of what enhanced it.
    path : path
        The file it was before.
    """
    if made is None or not is_picture(path):
        return made
    try:
        before = read_provenance(path)
    except DataError:  # of what is no XMP
        return made
    if before is None or before.source_type not in MADE:
        return made
    system, model = (", ".join(filter(None, parts)) for parts in ((before.system, made.system), (before.model, made.model)))
    return replace(made, source_type=before.source_type, system=system, model=model)


def fingerprint(restorer: Restorer) -> str:
    """Return a digest of everything that decides what a restorer makes of a picture."""
    found = hashlib.sha256(repr(restorer.network).encode())
    for name, tensor in sorted(pack({"network": restorer.network}).items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()[:16]
