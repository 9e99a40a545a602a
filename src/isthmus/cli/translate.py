"""The command ``isthmus translate``; everything heavy is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import kit

_LEARN, _USE, _READ = "Learning", "Translating", "Reading the data"


def translate(
    data: Annotated[
        Path | None,
        typer.Argument(
            help="What to translate: a folder of pictures, a picture, .npy or .npz; or rows: .csv ...", metavar="DATA", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where the results go: a folder, a picture, .npy or .npz; of rows also .csv ...", metavar="PATH"),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Use the model of this folder instead of learning one.", metavar="FOLDER")] = None,
    examples: Annotated[
        Path | None,
        typer.Option(help="What to learn from: inputs, with --targets; else pictures to be made.", metavar="PATH", rich_help_panel=_LEARN),
    ] = None,
    targets: Annotated[
        Path | None, typer.Option(help="What each of --examples is to become, by the same names.", metavar="PATH", rich_help_panel=_LEARN)
    ] = None,
    way: Annotated[
        str | None,
        typer.Option(
            help="How inputs are made of --examples: grey (to be coloured), edges, masked (holes) or half (of the size).",
            metavar="TEXT",
            rich_help_panel=_LEARN,
        ),
    ] = None,
    save: kit.SaveModel = None,
    overwrite: kit.OverwriteModel = False,
    checkpoint: kit.Checkpoint = None,
    resume: kit.Resume = False,
    steps: Annotated[
        int | None, typer.Option(help="Training steps. Default: 5000, of rows 3000.", min=1, metavar="N", rich_help_panel=_LEARN)
    ] = None,
    seconds: kit.Seconds = None,
    widths: Annotated[
        str | None,
        typer.Option(help="Channels at 1/2, 1/4 ... of the size; of rows the layers.", metavar="N,N,...", rich_help_panel=_LEARN),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides everything random.", min=0, metavar="N")] = 0,
    masks: Annotated[
        Path | None,
        typer.Option(help="White where to paint: one for all, or by the same names.", metavar="PATH", rich_help_panel=_USE),
    ] = None,
    draws: Annotated[
        int, typer.Option(help="Draw so many answers to each instead of the one best.", min=0, metavar="N", rich_help_panel=_USE)
    ] = 0,
    vivid: Annotated[
        float,
        typer.Option(help="Of colours: 0 as likely as they are, 1 as if all were as frequent.", metavar="X", rich_help_panel=_USE),
    ] = 0.3,
    boldness: Annotated[
        float, typer.Option(help="Of drawn colours: less than 1 for likelier ones.", metavar="X", rich_help_panel=_USE)
    ] = 1.0,
    known: Annotated[
        bool,
        typer.Option("--known", help="DATA are the right answers: make inputs of them, and measure.", metavar="", rich_help_panel=_USE),
    ] = False,
    truth: Annotated[
        Path | None, typer.Option(help="The right answers, by the same names: for measuring only.", metavar="PATH", rich_help_panel=_USE)
    ] = None,
    tile: Annotated[
        int, typer.Option(help="Pixels of a side of the tiles large pictures are worked on in.", min=1, metavar="N", rich_help_panel=_USE)
    ] = 512,
    report: Annotated[
        Path | None, typer.Option(help="Also write an HTML page with pictures and figures.", metavar="FILE", rich_help_panel=_USE)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...", metavar="TEXT")] = "auto",
    key: Annotated[str | None, typer.Option(help="Which array of .npz files.", metavar="TEXT", rich_help_panel=_READ)] = None,
    on_error: Annotated[
        str, typer.Option("--on-error", help="What to do about unreadable pictures: refuse or skip.", metavar="TEXT", rich_help_panel=_READ)
    ] = "refuse",
) -> None:
    """Turn pictures into others: grey ones into coloured, lines into pictures, holes filled, twice the size; or rows into others."""
    from isthmus.cli import translating

    layers = tuple(kit.numbers(widths, "--widths")) if widths else None
    training = translating.Training(steps, seconds, layers, seed, device)
    learning = translating.Learning(examples, targets, way, save, overwrite, checkpoint, resume, training)
    using = translating.Using(data, out, masks, truth, report, known, draws, vivid, boldness, tile)
    raise typer.Exit(translating.run(learning, using, model, translating.reading(key, on_error), kit.console()))
