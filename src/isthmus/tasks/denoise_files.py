"""Noise taken off picture files, one after another, each in its own size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from isthmus import __version__
from isthmus.artifact.files import pack
from isthmus.artifact.restorer import Restorer
from isthmus.data import read, write
from isthmus.data.pictures import find_pictures
from isthmus.data.provenance import Provenance
from isthmus.errors import DataError
from isthmus.nn.tiling import TILE

COLOURS = {1: "grey", 3: "rgb", 4: "rgba"}
ENHANCED = "algorithmicallyEnhanced"


def denoise_folder(
    restorer: Restorer, folder: str | Path, out: str | Path, *, tile: int = TILE, turns: int = 1, device: str = "cpu"
) -> Iterator[Path]:
    """Take the noise off all pictures below a folder, and yield the path of each once it is written.

    Parameters
    ----------
    restorer : Restorer
        Pictures are read as grey or coloured, as it was fitted.
    folder : path
        Its pictures stay as they are.
    out : path
        Another folder. Names are kept, but for the ending, which becomes .png; all of 16 bits if the pictures are.
    tile, turns, device
        As of `Restorer`.

    Yields
    ------
    Path

    Raises
    ------
    DataError
        If there is no picture, one cannot be read, two would be written under one name, or `out` is `folder`.

    Notes
    -----
    The metadata of what is written say that an algorithm enhanced it (IPTC ``algorithmicallyEnhanced``), and which.
    """
    folder, out = Path(folder).expanduser(), Path(out).expanduser()
    if out.resolve() == folder.resolve():
        raise DataError(f"{out}: the pictures there would be replaced; choose another folder for the results")
    files, names, _ = find_pictures(folder)
    targets = [out / Path(name).with_suffix(".png") for name in names]
    twice = {str(path) for path in targets if targets.count(path) > 1}
    if twice:
        raise DataError(f"{folder}: several pictures would be written to {min(twice)}; give them different names")
    colour = COLOURS.get(restorer.network.colours, "auto")
    made = Provenance(ENHANCED, f"isthmus {__version__}", "isthmus denoiser", fingerprint(restorer), "denoise")
    for file, target in zip(files, targets):
        found = restorer(read(file, colour=colour).array, tile=tile, turns=turns, device=device)[0]  # pyright: ignore[reportArgumentType]
        yield write(target, found, provenance=made)


def fingerprint(restorer: Restorer) -> str:
    """Return a digest of everything that decides what a restorer makes of a picture."""
    found = hashlib.sha256(repr(restorer.network).encode())
    for name, tensor in sorted(pack({"network": restorer.network}).items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()[:16]
