"""``isthmus report`` and ``isthmus compare``: pages to keep, of one model or of several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import kit

if TYPE_CHECKING:
    from isthmus.artifact import Artifact
    from isthmus.data import Dataset, Source
    from isthmus.tasks.evidence import Difference, ReportData

Html = Annotated[Path, typer.Option("--out", "-o", help="The HTML file.", metavar="PATH")]
Figures = Annotated[Path | None, typer.Option(help="Write every figure into this folder too; needs Matplotlib.", metavar="DIR")]
Format = Annotated[str, typer.Option("--format", help="Of the figures: png or svg.", metavar="TEXT")]
Stream = Annotated[str, typer.Option(help="Whether rows are read as they are needed: auto, always or never.", metavar="TEXT")]
OnError = Annotated[str, typer.Option("--on-error", help="What to do about unreadable pictures: refuse or skip.", metavar="TEXT")]


def report(
    model: kit.Model,
    data: Annotated[
        Path | None,
        typer.Argument(
            help="A .csv, .parquet, .npy or .npz file, or a folder; without it, what the model knows by itself.", metavar="DATA"
        ),
    ] = None,
    out: Html = Path("report.html"),
    figures: Figures = None,
    format: Format = "png",
    labels: Annotated[Path | None, typer.Option(help="File with one known class per row, for measuring only.", metavar="FILE")] = None,
    labels_key: Annotated[
        str | None, typer.Option(help="Column or array that holds the labels, of --labels or else of DATA.", metavar="TEXT")
    ] = None,
    stream: Stream = "auto",
    key: kit.Key = None,
    on_error: OnError = "refuse",
    condition: kit.Condition = None,
) -> None:
    """Measure a model on data and write one self-contained HTML page."""
    from isthmus.artifact import Artifact
    from isthmus.cli.reporting import known_labels, report_alone, report_data

    _check(out, figures, format)
    artifact = Artifact.load(model)
    if data is None:
        found = report_alone(artifact, model)
    else:
        source = _read(artifact, data, key, on_error, stream, condition)
        if not labels and labels_key and not hasattr(source, "array"):
            source = _read(artifact, data, key, on_error, stream, condition, labels_key)
        found = report_data(artifact, source, model, data, known_labels(labels, labels_key, data, source))
    _tell(found)
    _write(found, {found.models[0].family: artifact}, out, figures, format)


def compare(
    models: Annotated[
        list[Path], typer.Argument(help="Folders of saved models, at least two; differences are to the first.", metavar="MODEL...")
    ],
    data: Annotated[Path, typer.Option("--data", "-d", help="The data to compare them on.", metavar="DATA")],
    out: Html = Path("comparison.html"),
    figures: Figures = None,
    format: Format = "png",
    stream: Stream = "auto",
    key: kit.Key = None,
    on_error: OnError = "refuse",
    condition: kit.Condition = None,
) -> None:
    """Measure several models on the same rows, side by side and row by row, and write one HTML page."""
    from isthmus.artifact import Artifact
    from isthmus.cli.reporting import made_here, names_of
    from isthmus.errors import ConfigError
    from isthmus.tasks.compare import compare as measure

    _check(out, figures, format)
    if len(models) < 2:
        raise ConfigError("a comparison needs at least two models: isthmus compare A B --data DATA")
    opened = {name: Artifact.load(path) for name, path in zip(names_of(models), models)}
    sources = {name: _read(artifact, data, key, on_error, stream, condition) for name, artifact in opened.items()}
    found = measure(opened, sources)
    found.made = made_here(None)
    _tell(found)
    _differences(found.differences)
    for note in found.notes:
        kit.say(f"note: {note}")
    _write(found, opened, out, figures, format)


def _read(
    artifact: Artifact, data: Path, key: str | None, on_error: str, stream: str, condition: str | None, ids: str | None = None
) -> Source | Dataset:
    from isthmus.cli.using import open_data

    options: dict[str, Any] = {"key": key, "on_error": on_error, "stream": stream, "condition": kit.names(condition), "ids": ids}
    return open_data(artifact, data, kit.console(), **options)


def _check(out: Path, figures: Path | None, format: str) -> None:
    """Refuse early what could not be written later."""
    from isthmus.cli.places import check_file
    from isthmus.errors import ConfigError, DataError
    from isthmus.extras import require

    check_file(out, (".html", ".htm"))
    if figures is None:
        return
    if format not in ("png", "svg"):
        raise ConfigError(f"--format must be png or svg, not {format!r}")
    if figures.exists() and not figures.is_dir():
        raise DataError(f"{figures} is a file; give --figures a folder")
    require("matplotlib.figure", "figures", "--figures")


def _tell(found: ReportData) -> None:
    from isthmus.cli.show import comparison

    rows = {**found.baselines, **{model.family: model.metrics for model in found.models}}
    title = f"Measured on {found.data['measured on']}" if "measured on" in found.data else "Measured when it was fitted"
    kit.console().print(comparison(rows, title))


def _differences(found: list[Difference]) -> None:
    from rich.table import Table
    from rich.text import Text

    from isthmus.cli.show import number

    kit.say(f"\nRow by row, over {found[0].rows:,} rows")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("", "mean", "95 % interval", "spread", "better in", "so"):
        table.add_column(name)
    for each in found:
        told = f"{each.name} less {each.reference}, {each.measure}"
        interval = f"{number(each.low)} to {number(each.high)}"
        cells = (told, number(each.mean), interval, number(each.spread), f"{each.better:.0%}", each.verdict)
        table.add_row(*map(Text, cells))
    kit.console().print(table)


def _write(found: ReportData, models: dict[str, Artifact], out: Path, figures: Path | None, format: str) -> None:
    from isthmus.reports import write_html

    kit.say(f"\nwrote {write_html(found, out)}")
    if figures is not None:
        count = _write_figures(found, models, figures, format)
        kit.say(f"wrote {count} figures to {figures}")


def _write_figures(found: ReportData, models: dict[str, Artifact], folder: Path, format: str) -> int:
    from isthmus.cli.marks import made_by
    from isthmus.reports import figures as drawing

    count = 0
    for model in found.models:
        before, mark = f"{model.family.replace('/', '-')}-" if len(found.models) > 1 else "", made_by(models[model.family])
        for name, figure in drawing.of(model).items():
            drawing.save(figure, folder / f"{before}{name}.{format}", mark if name in drawing.MADE_UP else None)
            count += 1
    made: dict[str, Any] = {}
    for measure in dict.fromkeys(each.measure for each in found.differences):
        of_measure = [each for each in found.differences if each.measure == measure]
        made[f"differences-{'error' if of_measure[0].lower_is_better else 'likelihood'}"] = drawing.differences(of_measure)
    for name, figure in made.items():
        drawing.save(figure, folder / f"{name}.{format}")
    return count + len(made)
