"""What the commands that use a model share: they open data, and write what the model makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from rich.text import Text

from isthmus.cli.marks import made_by, wanted
from isthmus.cli.places import SHEETS, TABLES, check_apart, check_file, named
from isthmus.cli.show import Count
from isthmus.data import Dataset, Source
from isthmus.data import write as write_array
from isthmus.errors import DataError
from isthmus.tasks import codes, output
from isthmus.tasks.opening import open_for

if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.artifact import Artifact

_MAKERS = {"codes": codes.encode, "reconstructions": codes.reconstruct, "scores": codes.scores}


def open_data(artifact: Artifact, data: Path, console: Console, **options: Any) -> Source | Dataset:
    """Open data for a model, and tell what was noticed.

    Parameters
    ----------
    artifact : Artifact
    data : path
    console : rich.console.Console
    **options
        Those of `isthmus.tasks.opening.open_for`; None means not given.

    Returns
    -------
    Source or Dataset

    Raises
    ------
    DataError
        If the data do not fit the model.
    """
    given = {name: value for name, value in options.items() if value is not None}
    found = open_for(artifact.schema, named(data), artifact.facts.get("reading"), **given)
    looked = found if isinstance(found, Source) else found.head(1)
    artifact.schema.align(looked)
    for note in dict.fromkeys([*found.notes, *looked.notes]):
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=not console.is_terminal)
    return found


def write(
    artifact: Artifact, data: Source | Dataset, what: output.What, out: Path | None, console: Console, ids: str | None = None
) -> output.Written:
    """Write codes, reconstructions or scores of all rows, and tell how far it came if it is interrupted.

    Parameters
    ----------
    artifact : Artifact
    data : Source or Dataset
    what : {"codes", "reconstructions", "scores"}
    out : path, optional
        Its ending decides the format; without one it is a folder: of pictures for reconstructed pictures, of Parquet parts otherwise.
    console : rich.console.Console
    ids : str, optional
        Name of the column with the rows' names.
    """
    if out is not None and what == "reconstructions" and artifact.schema.kind == "columns" and out.suffix.lower() in (".npy", ".npz"):
        raise DataError(f"cannot write {out}: an array holds numbers only. Give --out an ending of tables: .csv, .tsv or .parquet")
    if out is not None and isinstance(data, Source) and _at_once(artifact, what, out):
        return _write_at_once(artifact, data, what, out)
    count = Count(console, what if out is None else f"writing {what}", len(data))
    try:
        return output.write(artifact, data, what, out, ids=ids or "id", watch=count, marked=wanted())
    except KeyboardInterrupt:
        count.close()
        if out is not None and not out.suffix:
            told = f"interrupted: what is whole in {out} is kept; the same command goes on from there"
            console.print(Text(told, style="yellow"), soft_wrap=True)
        raise
    finally:
        count.close()


def _write_at_once(artifact: Artifact, source: Source, what: output.What, out: Path) -> output.Written:
    found: NDArray[Any] = _MAKERS[what](artifact, source)
    summary = output.Summary()
    if what == "scores":
        summary.add(found, 0, source.ids)
    return output.Written(write_array(out, found, ids=source.ids or None, provenance=made_by(artifact)), found.shape, 0, 0, summary)


def _at_once(artifact: Artifact, what: str, out: Path) -> bool:
    """Say whether a format is written from memory only: archives, and pictures."""
    pictures = what == "reconstructions" and artifact.schema.kind == "pictures"
    return out.suffix.lower() in (".npz", *SHEETS) or (pictures and (not out.suffix or out.is_dir()))


def tell(written: output.Written, console: Console) -> None:
    """Tell where the results lie."""
    if written.path is None:
        return
    shape = " x ".join(map(str, written.shape))
    before = f", {written.kept} of them there before" if written.kept else ""
    parts = f" in {written.parts} parts{before}" if written.parts else ""
    console.print(Text(f"wrote {written.path} ({shape}){parts}"), soft_wrap=True)


def check(out: Path, data: Path) -> None:
    """Refuse early an output that could not be written later, or that would be taken for data; a path without an ending is a folder.

    Raises
    ------
    DataError
        If the ending is unknown, or the place is not free, cannot be written to, or lies among the data.
    """
    check_file(out, TABLES, folder=not (out.suffix and out.is_dir()))
    if not out.is_dir():
        check_apart(out, data)
    if data.is_dir() and out.suffix.lower() in ("", ".parquet") and out.resolve().is_relative_to(data.resolve()):
        raise DataError(f"cannot write {out}: it lies in the folder {data}, and would be read as data the next time; choose another --out")
