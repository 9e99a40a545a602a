"""The command ``isthmus explore``; everything heavy is imported inside it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import kit, marks

if TYPE_CHECKING:
    from isthmus.artifact import Artifact
    from isthmus.data import Dataset, Source
    from isthmus.explorer.answers import Answers
    from isthmus.explorer.serve import Place
    from isthmus.explorer.subject import Subject
    from isthmus.tasks.detector import Detector

SAMPLED = 1_000


@dataclass(frozen=True)
class Look:
    """What is to be looked at."""

    model: Path
    data: Path | None
    labels: Path | None
    labels_key: str | None
    healthy: Path | None
    rows: int
    key: str | None
    condition: str | None


def explore(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model, or of a detector.", metavar="MODEL")],
    data: Annotated[
        Path | None,
        typer.Argument(
            help="Rows to look at: a .csv, .parquet, .npy or .npz file, or a folder of pictures; rows drawn from the model if left out.",
            metavar="[DATA]",
            show_default=False,
        ),
    ] = None,
    labels: kit.Labels = None,
    labels_key: kit.LabelsKey = None,
    healthy: Annotated[
        Path | None, typer.Option(help="Healthy rows that the model has not seen, for p-values and expected false alarms.", metavar="FILE")
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows to show at most; of more a random sample.", min=1, metavar="N")] = 100_000,
    export: Annotated[
        Path | None, typer.Option(help="Write one .html page that works without a server, instead of opening one.", metavar="FILE")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on this machine; a free one for 0.", min=0, max=65535, metavar="N")] = 0,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.", metavar="")] = True,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Open a model in the browser: a map of its codes, sliders, walks, anomalies. On this machine only."""
    from isthmus.explorer.answers import Answers

    look = Look(model, data, labels, labels_key, healthy, rows, key, condition)
    if export is not None:
        _check(export)
        subject, note = _opened(look, few=True)
        _export(Answers(subject, note), export)
        return
    from isthmus.explorer.serve import Place

    with closing(Place.free(port)) as place:
        subject, note = _opened(look)
        _serve(Answers(subject, note), place, browser)


def _check(out: Path) -> None:
    from isthmus.cli.places import check_file

    check_file(out, (".html", ".htm"), flag="--export")


def _opened(look: Look, few: bool = False) -> tuple[Subject, str]:
    """Open model and rows, and make the codes; of `few` rows if they go into a page."""
    from isthmus.artifact import Artifact
    from isthmus.cli.show import Count
    from isthmus.explorer.detected import DetectorSubject
    from isthmus.explorer.model import ModelSubject
    from isthmus.explorer.opening import load, rows_of
    from isthmus.explorer.page import most_rows

    model = load(look.model)
    data, told = (_own_rows(model), "drawn from the model") if look.data is None else (_open(model, look.data, look), "")
    labels = _labels(look, len(data))
    healthy = None if look.healthy is None else _open(model, look.healthy, look)
    rows, note = rows_of(model, data, labels, healthy, min(look.rows, most_rows(model)) if few else look.rows)
    kit.say(f"{data.name}: {len(rows.source):,} rows{f' ({note})' if note else ''}")
    name, count = look.model.resolve().name, Count(kit.console(), "codes", len(rows.source))
    subject = ModelSubject(model, rows, name, marks.wanted(), count) if isinstance(model, Artifact) else DetectorSubject(model, rows, name)
    try:
        _ = subject.dims  # made before anyone waits for them
    finally:
        count.close()
    return subject, note or told


def _labels(look: Look, rows: int) -> kit.Array | None:
    """Read what points are coloured by: classes or measures, of a file or of the data themselves."""
    if look.data is None or (look.labels is None and look.labels_key is None):
        return None
    from isthmus.tasks.labels import read_labels

    return read_labels(look.labels or look.data, look.labels_key, rows)


def _open(model: Artifact | Detector, path: Path, look: Look) -> Source | Dataset:
    from isthmus.artifact import Artifact
    from isthmus.cli.places import named
    from isthmus.cli.using import open_data
    from isthmus.tasks.opening import open_for

    options: dict[str, Any] = {} if look.key is None else {"key": look.key}
    if isinstance(model, Artifact):
        return open_data(model, path, kit.console(), condition=kit.names(look.condition), **options)
    return open_for(model.layout.schema, named(path), model.facts.get("reading"), **options)


def _own_rows(model: Artifact | Detector) -> Source:
    """Return rows where there are no data: those a detector keeps, or those a model draws."""
    from isthmus.artifact import Artifact
    from isthmus.explorer.opening import drawn_rows, kept_rows

    return drawn_rows(model, SAMPLED) if isinstance(model, Artifact) else kept_rows(model)


def _serve(answers: Answers, place: Place, browser: bool) -> None:
    from isthmus.explorer.serve import open_browser, run

    url = place.url
    kit.say(f"\nOpen {url}\n(this machine only; Ctrl-C ends it)")
    run(place, answers, (lambda: open_browser(url)) if browser else None)


def _export(answers: Answers, out: Path) -> None:
    from isthmus.explorer.page import write

    found = write(answers, out)
    for note in found.notes:
        kit.say(f"note: {note}")
    kit.say(f"wrote {out} ({found.size / 1e6:.1f} MB, {found.data / 1e6:.1f} MB of them rows; opens without a server)")
