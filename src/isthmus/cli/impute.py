"""The command ``isthmus impute``; everything heavy is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.kit import READ, Columns, Drop, Kinds, Names, SchemaFile, tell
from isthmus.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.artifact import Artifact
    from isthmus.data import Dataset, Schema, Source
    from isthmus.tasks.completed import Tally

_FIT = "Learning"


def impute(
    data: Annotated[Path, typer.Argument(help="A table with gaps: .csv, .parquet ..., or a folder of Parquet files.", metavar="DATA")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the filled table goes: .csv, .tsv or .parquet.", metavar="FILE")],
    model: Annotated[
        Path | None, typer.Option(help="Use the model of this folder instead of learning one.", metavar="FOLDER", rich_help_panel=_FIT)
    ] = None,
    draws: Annotated[
        int, typer.Option(help="Fill at random so many times instead, one row each, counted in a column 'draw'.", min=0, metavar="N")
    ] = 0,
    save: Annotated[Path | None, typer.Option(help="Keep the model in this folder.", metavar="FOLDER", rich_help_panel=_FIT)] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model that is already at --save.", metavar="", rich_help_panel=_FIT)
    ] = False,
    steps: Annotated[
        int | None, typer.Option(help="Training steps; by the number of rows if left out.", min=1, metavar="N", rich_help_panel=_FIT)
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides everything random.", min=0, metavar="N")] = 0,
    schema: SchemaFile = None,
    kind: Kinds = None,
    columns: Columns = None,
    drop: Drop = None,
    stream: Annotated[
        str,
        typer.Option(help="Whether rows are read as they are needed: auto, always or never.", metavar="TEXT", rich_help_panel=READ),
    ] = "auto",
) -> None:
    """Fill the gaps of a table: numbers, categories, counts, dates; and tell how many and how sure."""
    from rich.console import Console

    from isthmus.cli.flags import parse_reading
    from isthmus.cli.places import check_apart, check_file, check_folder, named
    from isthmus.cli.show import Count
    from isthmus.tasks.completed import ENDINGS, write
    from isthmus.tasks.opening import open_data

    check_file(out, ENDINGS)
    check_apart(out, data)
    if save is not None:
        check_folder(save, overwrite)
    if model is not None and (save is not None or schema is not None or kind or steps is not None):
        raise ConfigError("--model brings its own columns and training: leave --save, --schema, --kind and --steps out")
    console = Console(highlight=False)
    found = open_data(named(data), stream, **parse_reading({"columns": columns, "drop": drop}))
    for note in found.notes:
        tell(console, f"note: {note}", "dim")
    artifact = _learned(found, _schema_of(found, schema, kind), steps, seed, console) if model is None else _loaded(model)
    if save is not None:
        tell(console, f"wrote {artifact.save(save)}")
    count = Count(console, "filling gaps", len(found))
    try:
        tally = write(artifact, found, out, draws=draws, seed=seed, watch=count)
    finally:
        count.close()
    _tell(tally, artifact, console)
    tell(console, f"wrote {out} ({tally.rows * max(1, draws):,} rows{f', {draws} draws of each' if draws else ''})")


def _schema_of(data: Source | Dataset, schema: Path | None, kind: Names) -> Schema | None:
    from isthmus.cli.flags import parse_reading
    from isthmus.cli.schema import proposed
    from isthmus.data.kinds import parse_kinds
    from isthmus.tasks.impute import softened

    found = proposed(data, {"schema": schema, **parse_reading({"kind": kind})})
    return found if schema is not None else softened(data, found, parse_kinds(kind or ()))


def _loaded(model: Path) -> Artifact:
    from isthmus.artifact import Artifact

    return Artifact.load(model)


def _learned(data: Source | Dataset, schema: Schema | None, steps: int | None, seed: int, console: Console) -> Artifact:
    from isthmus.cli.schema import shown
    from isthmus.cli.show import Bar
    from isthmus.tasks.config import Config
    from isthmus.tasks.fit import Plan
    from isthmus.tasks.impute import fit

    def told(plan: Plan) -> None:
        tell(console, f"{data.name}: {len(data):,} rows")
        console.print(shown(plan.schema))
        for note in plan.preprocessor.notes:
            tell(console, f"note: {note}", "dim")

    bar = Bar(console, "learning to fill gaps")
    try:
        return fit(data, Config(steps=steps, seed=seed), schema=schema, told=told, callbacks=[bar])
    finally:
        bar.close()


def _tell(tally: Tally, artifact: Artifact, console: Console) -> None:
    """Tell how many gaps were filled in each column, and how sure."""
    from rich.table import Table
    from rich.text import Text

    from isthmus.tasks.completed import EXACT

    found = tally.told(artifact.schema)
    if not found:
        tell(console, "no gap was there to fill")
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("column")
    table.add_column("gaps filled", justify="right")
    table.add_column("how sure")
    for name, gaps, sure in found:
        cells: list[Any] = [Text(name), Text(f"{gaps:,} ({gaps / tally.rows:.1%})"), Text(sure)]
        table.add_row(*cells)
    if found:
        console.print(table)
    if tally.rounded:
        names = ", ".join(map(repr, tally.rounded))
        mend = f"leave out what is a name rather than a number with --drop {','.join(tally.rounded)}, and put it beside the result"
        tell(console, f"warning: whole numbers beyond {EXACT:,.0f} in {names} have lost their last digits: {mend}", "yellow")
    for name, gaps in tally.left.items():
        tell(console, f"note: {name} is left out by the model and keeps its {gaps:,} gaps", "dim")
