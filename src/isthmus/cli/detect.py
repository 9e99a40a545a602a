"""The command ``isthmus detect``; everything heavy is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.kit import READ, Columns, Drop, Kinds, SchemaFile
from isthmus.errors import ConfigError

_FIT, _LOGS = "Learning", "Logs"


def detect(
    train: Annotated[
        Path | None, typer.Argument(help="Healthy rows to learn from; with --model the rows to judge.", metavar="TRAIN", show_default=False)
    ] = None,
    new: Annotated[
        Path | None, typer.Argument(help="Rows to judge; those of TRAIN if left out.", metavar="[NEW]", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where a line a row goes: .csv, .tsv or .parquet.", metavar="PATH")] = Path(
        "alarms.csv"
    ),
    report: Annotated[Path | None, typer.Option(help="Write an HTML page too.", metavar="FILE")] = None,
    alpha: Annotated[float | None, typer.Option(help="Share of healthy rows that may be alarms. Default: 0.01.", metavar="X")] = None,
    fdr: Annotated[float | None, typer.Option(help="Share of false ones among the alarms, instead of --alpha.", metavar="X")] = None,
    drifting: Annotated[
        bool, typer.Option("--drifting", help="The rows are a stream whose healthy ones change slowly: the level follows.", metavar="")
    ] = False,
    only_alarms: Annotated[bool, typer.Option("--only-alarms", help="Write no lines for other rows.", metavar="")] = False,
    top: Annotated[int, typer.Option(help="Columns at most in the reasons of an alarm.", min=1, metavar="N")] = 3,
    labels: Annotated[
        str | None, typer.Option(help="Column that says which rows are anomalies: for measuring only, no model sees it.", metavar="COLUMN")
    ] = None,
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Compare with what needs no training on the same split.", metavar="")
    ] = True,
    save: Annotated[Path | None, typer.Option(help="Keep the detector in this folder.", metavar="FOLDER", rich_help_panel=_FIT)] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a detector that is already at --save.", metavar="", rich_help_panel=_FIT)
    ] = False,
    model: Annotated[
        Path | None, typer.Option(help="Use the detector of this folder instead of learning one.", metavar="FOLDER", rich_help_panel=_FIT)
    ] = None,
    polluted: Annotated[
        bool | None,
        typer.Option(
            "--polluted/--healthy",
            help="Whether anomalies may be among the rows of TRAIN. Default: polluted if there is no NEW.",
            metavar="",
            rich_help_panel=_FIT,
        ),
    ] = None,
    contamination: Annotated[
        float | None, typer.Option(help="Share of anomalies among polluted rows, if known.", metavar="X", rich_help_panel=_FIT)
    ] = None,
    missingness: Annotated[
        bool, typer.Option("--missingness", help="It tells something that a value is missing.", metavar="", rich_help_panel=_FIT)
    ] = False,
    rows: Annotated[
        int | None, typer.Option(help="Rows to learn from at most. Default: 20000.", min=5, metavar="N", rich_help_panel=_FIT)
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides everything random.", min=0, metavar="N", rich_help_panel=_FIT)] = 0,
    schema: SchemaFile = None,
    kind: Kinds = None,
    columns: Columns = None,
    drop: Drop = None,
    ids: Annotated[
        str | None,
        typer.Option(help="Column with the rows' names, to be written beside the results.", metavar="COLUMN", rich_help_panel=READ),
    ] = None,
    stream: Annotated[
        str,
        typer.Option(
            help="Whether rows are read as they are needed, for data larger than memory: auto, always or never.",
            metavar="TEXT",
            rich_help_panel=READ,
        ),
    ] = "auto",
    key: Annotated[str | None, typer.Option(help="Which array of an .npz file.", metavar="TEXT", rich_help_panel=READ)] = None,
    logs: Annotated[
        Path | None,
        typer.Option(
            help="Judge this log instead of a table; TRAIN is then a healthy log, or left out. - is the standard input.",
            metavar="LOG",
            rich_help_panel=_LOGS,
        ),
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Lines (100) or time (5m) that make a window.", metavar="TEXT", rich_help_panel=_LOGS)
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="Regular expression that finds a line's session, instead.", metavar="REGEX", rich_help_panel=_LOGS)
    ] = None,
    gap: Annotated[str | None, typer.Option(help="Time after which a session is over.", metavar="TEXT", rich_help_panel=_LOGS)] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="Name of the lines' format, or a regular expression with named groups.", metavar="TEXT", rich_help_panel=_LOGS
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on where the last run stopped, and wait for more lines.", metavar="", rich_help_panel=_LOGS)
    ] = False,
    idle: Annotated[
        float | None, typer.Option(help="Seconds without news after which --follow ends.", metavar="X", rich_help_panel=_LOGS)
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the place of --follow.", metavar="FILE", rich_help_panel=_LOGS)
    ] = None,
) -> None:
    """Find rows of a table, or windows of a log, that are unlike the healthy ones: at a false-alarm rate that holds, and with reasons."""
    from rich.console import Console

    if logs is not None:
        from isthmus.cli import logs as lines

        healthy = () if train is None else (train,) if new is None else (train, new)
        if fdr is not None or (model is not None and save is not None):
            raise ConfigError("with --logs leave out --fdr, and give --model to use a detector or --save to keep one, not both")
        kept = model or save
        order = lines.Order(
            logs, healthy, kept, window, session, gap, form, follow, idle, state, out, report, alpha, seed, overwrite, save is not None
        )
        lines.run(order, Console(highlight=False))
        return
    from isthmus.cli import detecting
    from isthmus.cli.flags import parse_reading

    if any(value is not None for value in (window, session, gap, form, idle, state)) or follow:
        raise ConfigError("--window, --session, --gap, --format, --follow, --idle and --state go with --logs LOG")
    if train is None:
        raise ConfigError("detect needs data: isthmus detect TRAIN [NEW], or isthmus detect --model FOLDER DATA")
    reading = parse_reading({"columns": columns, "drop": drop, "key": key})
    learning = detecting.Learning(polluted, contamination, missingness, rows, seed, schema, tuple(kind or ()), save, overwrite)
    judging = detecting.Judging(out, report, alpha, fdr, drifting, only_alarms, top, labels, baselines)
    detecting.run(train, new, model, learning, judging, detecting.Reading(reading, ids, stream), Console(highlight=False))
