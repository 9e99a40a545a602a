"""What the commands on a fitted model's codes share: arguments, opening, labels, writing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from isthmus.artifact import Artifact
    from isthmus.data import Source

    Array = NDArray[Any]

Model = Annotated[Path, typer.Argument(help="Folder of a saved model.", metavar="MODEL")]
Data = Annotated[Path, typer.Argument(help="A .csv, .parquet, .npy or .npz file, or a folder of pictures.", metavar="DATA")]
Key = Annotated[str | None, typer.Option(help="Which array of an .npz file.", metavar="TEXT")]
Condition = Annotated[
    str | None,
    typer.Option(help="Of conditional models: columns, or a file with a value for each row; those fitted on if left out.", metavar="NAMES"),
]
Seed = Annotated[int, typer.Option(help="Decides everything random.", min=0, metavar="N")]
Steps = Annotated[int, typer.Option(help="Values on each way.", min=2, metavar="N")]
Labels = Annotated[Path | None, typer.Option(help="File with one label per row.", metavar="FILE")]
LabelsKey = Annotated[str | None, typer.Option(help="Column or array with the labels, of --labels or else of DATA.", metavar="TEXT")]
Rows = Annotated[str, typer.Option(help="Row numbers, such as 0,5,7.", metavar="I,J,...")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Where the result goes: .png for pictures, .csv, .npy ...", metavar="PATH")]
READ = "Reading the data"  # panel of the help
Names = list[str] | None
SchemaFile = Annotated[
    Path | None, typer.Option(help="File that `isthmus schema` wrote: what the columns are.", metavar="FILE", rich_help_panel=READ)
]
Kinds = Annotated[
    Names,
    typer.Option(help="What a column is, such as zip=category. May be given several times.", metavar="COLUMN=KIND", rich_help_panel=READ),
]
Columns = Annotated[Names, typer.Option(help="Columns to use, such as a,b,c.", metavar="NAMES", rich_help_panel=READ)]
Drop = Annotated[Names, typer.Option(help="Columns to leave out, such as id,label.", metavar="NAMES", rich_help_panel=READ)]
LEARN = "Learning"
Checkpoint = Annotated[
    Path | None, typer.Option(help="File that keeps the state of the training, to go on from.", metavar="FILE", rich_help_panel=LEARN)
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint.", metavar="", rich_help_panel=LEARN)]
Seconds = Annotated[float | None, typer.Option(help="Time to train for at most.", min=0, metavar="X", rich_help_panel=LEARN)]
SaveModel = Annotated[Path | None, typer.Option(help="Keep the model in this folder.", metavar="FOLDER", rich_help_panel=LEARN)]
OverwriteModel = Annotated[
    bool, typer.Option("--overwrite", help="Replace a model that is already at --save.", metavar="", rich_help_panel=LEARN)
]
PictureSteps = Annotated[int | None, typer.Option(help="Training steps. Default: 5000.", min=1, metavar="N", rich_help_panel=LEARN)]
SEEN, MANY = 32, 1000  # pixels of the shorter side of a picture on a sheet, and how many are made larger
FLAT = (".csv", ".tsv", ".parquet")


def console() -> Console:
    """Return the standard output as a console that takes text as it is."""
    from rich.console import Console

    return Console(highlight=False)


def say(text: str) -> None:
    """Print a line as it is."""
    tell(console(), text)


def tell(to: Console, text: str, style: str = "") -> None:
    """Print a line as it is: nothing in it is markup, and it is not broken."""
    from rich.text import Text

    to.print(Text(text, style=style), soft_wrap=True)


def names(condition: str | None) -> list[str] | None:
    """Return the columns, or the one file, that ``--condition`` names."""
    return None if condition is None else [condition] if Path(condition).expanduser().is_file() else condition.split(",")


def wanted(artifact: Artifact, condition: str | None, number: int) -> Any:
    """Return what ``sample --condition`` asks for: one value, or one for each of several columns, as many times as rows are drawn."""
    several = artifact.condition is not None and len(artifact.condition.columns) > 1
    return [condition.split(",")] * number if several and condition is not None else condition


def opened(model: Path, data: Path, key: str | None = None, condition: str | None = None) -> tuple[Artifact, Source]:
    """Open a model, and all rows of data in memory as it needs them."""
    from isthmus.artifact import Artifact
    from isthmus.cli.using import open_data
    from isthmus.data import Source

    artifact = Artifact.load(model)
    source = open_data(artifact, data, console(), key=key, condition=names(condition))
    return artifact, source if isinstance(source, Source) else source.head(len(source))


def labels_of(labels: Path | None, key: str | None, data: Path, rows: int) -> Array:
    """Read one label per row.

    Raises
    ------
    ConfigError
        If neither a file nor a column is named.
    """
    from isthmus.tasks.labels import read_labels

    if labels is None and key is None:
        raise ConfigError("labels are needed: give --labels FILE, or --labels-key NAME for a column or an array of the data")
    return read_labels(labels or data, key, rows)


def numbers(text: str, flag: str, whole: bool = True) -> list[Any]:
    """Return numbers written as 0,5,7.

    Raises
    ------
    ConfigError
        If they are no such numbers.

    Examples
    --------
    >>> numbers("0,5", "--rows"), numbers("-1,0.5", "--strength", whole=False)
    ([0, 5], [-1.0, 0.5])
    """
    try:
        found = [int(part) if whole else float(part) for part in text.split(",")]
        if not all(map(math.isfinite, found)):
            raise ValueError(text)
        return found
    except ValueError as error:
        kind = "whole numbers" if whole else "numbers"
        raise ConfigError(f"{flag} must be {kind} such as {'0,5,7' if whole else '-1,0,1'}, not {text!r}") from error


def chosen(source: Source, rows: str) -> tuple[list[int], Source]:
    """Return row numbers, and those rows.

    Raises
    ------
    DataError
        If one of them is not there.
    """
    found = numbers(rows, "--rows")
    wrong = [row for row in found if not 0 <= row < len(source)]
    if wrong:
        raise DataError(f"{source.name} has rows 0 to {len(source) - 1}; there is no row {', '.join(map(str, wrong))}")
    return found, source.take(found)


def check(out: Path, artifact: Artifact, data: Path) -> None:
    """Refuse early a file that could not be written later, or is what is read."""
    from isthmus.cli.places import PICTURES, TABLES, check_apart, check_file

    check_apart(out, data)
    check_file(out, PICTURES if artifact.schema.kind == "pictures" else TABLES)


def enlarged(out: Path, artifact: Artifact, rows: Array) -> Array:
    """Return small pictures that go on a sheet so large that they can be looked at, and all else as it is."""
    from isthmus.cli.places import SHEETS

    sheet = artifact.schema.kind == "pictures" and out.suffix.lower() in SHEETS
    if not sheet or not 1 < math.prod(rows.shape[:-3]) <= MANY:
        return rows
    times = max(1, SEEN // min(artifact.schema.shape[:2]))
    return rows.repeat(times, axis=-3).repeat(times, axis=-2)


def write_rows(out: Path, artifact: Artifact, rows: Array, composite: bool = False) -> None:
    """Write rows of shape (n, \\*shape) or (lines, columns, \\*shape) in the data's own units: pictures as a sheet.

    Parameters
    ----------
    out : path
    artifact : Artifact
    rows : array
    composite : bool
        Whether originals are among the pictures, or within them.
    """
    from isthmus.cli.marks import made_by
    from isthmus.data import to_table, write

    deep = rows.ndim == 2 + len(artifact.schema.shape)
    flat = rows.reshape(-1, *rows.shape[2:]) if deep and (out.suffix.lower() in FLAT or artifact.schema.kind == "columns") else rows
    content: Any = to_table(flat, artifact.schema) if artifact.schema.kind == "columns" else enlarged(out, artifact, flat)
    names = None if artifact.schema.kind == "columns" else artifact.schema.columns or None
    say(f"wrote {write(out, content, columns=names, provenance=made_by(artifact, composite))} ({' x '.join(map(str, flat.shape))})")


def write_table(out: Path, columns: dict[str, Array]) -> None:
    """Write columns of numbers side by side."""
    import numpy as np

    from isthmus.data import write

    say(f"wrote {write(out, np.column_stack(list(columns.values())), columns=list(columns))} ({len(next(iter(columns.values())))} rows)")


def write_json(out: Path, figures: dict[str, Any]) -> None:
    """Write figures to a file, or nothing."""
    import json

    from isthmus.files import atomic_path

    with atomic_path(out) as beside:
        beside.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    say(f"wrote {out}")
