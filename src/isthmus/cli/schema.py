"""The command ``isthmus schema``, and the kinds of columns that flags and files give; everything heavy is imported inside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.errors import ConfigError

if TYPE_CHECKING:
    from isthmus.data import Dataset, Schema, Source

TOLD = ("schema", "kind")


def schema(
    data: Annotated[Path, typer.Argument(help="A .csv, .parquet or other table, or a folder of Parquet files.", metavar="DATA")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the schema to this .toml file.", metavar="FILE")] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="What a column is, such as zip=category; may be given several times.", metavar="COLUMN=KIND")
    ] = None,
    columns: Annotated[list[str] | None, typer.Option(help="Columns to use, such as a,b,c.", metavar="NAMES")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Columns to leave out, such as id,label.", metavar="NAMES")] = None,
    stream: Annotated[str, typer.Option(help="Whether rows are read as they are needed: auto, always or never.", metavar="TEXT")] = "auto",
) -> None:
    """Say what each column of a table is taken to be, and write it to a file that can be corrected."""
    from rich.console import Console
    from rich.text import Text

    from isthmus.cli.flags import parse_reading
    from isthmus.cli.places import check_file, named
    from isthmus.tasks.opening import open_data

    if out is not None:
        check_file(out, (".toml",))
    found = open_data(named(data), stream, **parse_reading({"columns": columns, "drop": drop}))
    made = proposed(found, parse_reading({"kind": kind}))
    console = Console(highlight=False)
    console.print(Text(f"{found.name}: {len(found):,} rows, {len(made.used)} of {len(made.types)} columns are modelled"), soft_wrap=True)
    for note in found.notes:
        console.print(Text(f"note: {note}", style="dim"), soft_wrap=not console.is_terminal)
    console.print(shown(made))
    if out is not None:
        made.to_toml(out)
        told = f"wrote {out}: correct it, and give it to `isthmus fit {data} --schema {out}` (or detect, or impute)"
        console.print(Text(told), soft_wrap=True)


def shown(made: Schema) -> Any:
    """Return the columns of a schema as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in ("column", "kind", "seen"):
        table.add_column(name)
    for column in made.types:
        style = "" if column.used else "dim"
        table.add_row(Text(column.name, style=style), Text(column.kind, style=style), Text(column.note, style="dim"))
    return table


def proposed(data: Source | Dataset, reading: Mapping[str, Any]) -> Schema:
    """Return the schema of a table as mixed columns, as flags and files decide it.

    Parameters
    ----------
    data : Source or Dataset
    reading : mapping
        Its entries "schema" and "kind" are heeded.

    Returns
    -------
    Schema

    Raises
    ------
    DataError, ConfigError
        If a kind is none or does not fit, a file is no schema, or the data are no table.
    """
    from dataclasses import replace

    from isthmus.data import Schema, Source
    from isthmus.data.kinds import parse_kinds

    if data.kind == "pictures":
        raise ConfigError(f"{data.name} holds pictures: only the columns of tables have kinds. Leave schema and kind out")
    given = Schema.from_toml(reading["schema"]) if reading.get("schema") else None
    kinds = parse_kinds(map(str, reading.get("kind", ())))
    if not isinstance(data, Source):
        return Schema.infer(data.with_gaps().blocks(), kinds, given)
    plain = "boolean" if data.array.dtype == bool else "number"
    mixed = data if data.types else replace(data, kind="columns", types=(plain,) * data.array.shape[1])
    return Schema.infer(mixed, kinds, given)


def asked(data: Source | Dataset, reading: Mapping[str, Any]) -> Schema | None:
    """Return the schema that flags and files ask for; nothing if they say nothing of kinds."""
    return proposed(data, reading) if any(reading.get(name) for name in TOLD) else None


def plain_reading(reading: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for reading without those that say what the columns are."""
    return {name: value for name, value in reading.items() if name not in TOLD}
