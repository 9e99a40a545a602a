"""The command ``isthmus swap``; everything heavy is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import kit

_LEARN, _USE, _READ = "Learning", "Swapping frames", "Reading pictures"


def swap(
    model: Annotated[
        Path | None, typer.Argument(help="Folder of a model that learned to swap.", metavar="MODEL", show_default=False)
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Argument(help="What to swap: a folder of pictures, a picture, .npy or .npz.", metavar="FRAMES", show_default=False),
    ] = None,
    to: Annotated[str | None, typer.Option(help="The domain FRAMES are shown as.", metavar="NAME", rich_help_panel=_USE)] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where they go: a folder (no ending), a picture, .npy or .npz.", metavar="PATH"),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", help="The domain FRAMES are of; by default the nearest of each.", metavar="NAME", rich_help_panel=_USE),
    ] = None,
    mask: Annotated[
        str,
        typer.Option(
            help="What is replaced: ellipse (soft), whole, or a folder of masks (white is replaced) with the frames' names.",
            metavar="TEXT",
            rich_help_panel=_USE,
        ),
    ] = "ellipse",
    soft: Annotated[
        float,
        typer.Option(help="Width of the ellipse's edge, as a share of its radius.", min=0, max=1, metavar="X", rich_help_panel=_USE),
    ] = 0.3,
    domain: Annotated[
        list[str] | None,
        typer.Option(
            help="Learn from the pictures of a domain: a folder, .npy or .npz; give it twice or more.",
            metavar="NAME=PATH",
            rich_help_panel=_LEARN,
        ),
    ] = None,
    save: kit.SaveModel = None,
    overwrite: kit.OverwriteModel = False,
    preview: Annotated[
        Path | None,
        typer.Option(
            help="Sheet that is renewed while learning: pictures, rebuilt, swapped (.png, .jpg, .webp).",
            metavar="FILE",
            rich_help_panel=_LEARN,
        ),
    ] = None,
    checkpoint: kit.Checkpoint = None,
    resume: kit.Resume = False,
    steps: kit.PictureSteps = None,
    seconds: kit.Seconds = None,
    channels: Annotated[
        str | None,
        typer.Option(help="Channels at 1/2, 1/4 ... of the size, such as 24,48,96.", metavar="N,N,...", rich_help_panel=_LEARN),
    ] = None,
    code: Annotated[int, typer.Option(help="Width of the code.", min=1, metavar="N", rich_help_panel=_LEARN)] = 64,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Mirror pictures at random: for faces, not for letters.", metavar="", rich_help_panel=_LEARN)
    ] = False,
    warp: Annotated[
        float, typer.Option(help="How far inputs are bent, as a share of the side.", min=0, max=1, metavar="X", rich_help_panel=_LEARN)
    ] = 0.03,
    tint: Annotated[
        float, typer.Option(help="How far contrast and colours vary at random.", min=0, max=1, metavar="X", rich_help_panel=_LEARN)
    ] = 0.0,
    critic: Annotated[
        float, typer.Option(help="Weight of a critic that knows real pictures.", min=0, metavar="X", rich_help_panel=_LEARN)
    ] = 0.0,
    size: Annotated[
        str | None, typer.Option(help="Height x width that is learned. Default of files: 64x64.", metavar="HxW", rich_help_panel=_READ)
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            help="Part of each picture that counts, such as the face: TOP,LEFT,HEIGHT,WIDTH.", metavar="BOX", rich_help_panel=_READ
        ),
    ] = None,
    colour: Annotated[
        str, typer.Option(help="How files are learned from: auto, grey or rgb.", metavar="TEXT", rich_help_panel=_READ)
    ] = "auto",
    key: Annotated[str | None, typer.Option(help="Which array of .npz files.", metavar="TEXT", rich_help_panel=_READ)] = None,
    on_error: Annotated[
        str,
        typer.Option("--on-error", help="What to do about unreadable pictures: refuse or skip.", metavar="TEXT", rich_help_panel=_READ),
    ] = "refuse",
    seed: kit.Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...", metavar="TEXT")] = "auto",
) -> None:
    """Show pictures of one person or style as those of another: learn with --domain a=DIR --domain b=DIR, then swap MODEL FRAMES --to b.

    Use it for people who agreed to it. What it makes says so in its metadata.
    """
    from isthmus.cli import swapping
    from isthmus.tasks.pictures.swap import Settings

    reading = swapping.reading(size, box, colour, key, on_error)
    if domain:
        settings = Settings(
            channels=tuple(kit.numbers(channels, "--channels")) if channels else None,
            code=code,
            steps=steps,
            seconds=seconds,
            mirror=mirror,
            warp=warp,
            tint=tint,
            critic=critic,
            seed=seed,
            device=device,
        )
        swapping.refuse_frames(model, frames, to, out)
        job = swapping.Job(tuple(domain), save, overwrite, preview, checkpoint, resume, reading, settings)
        raise typer.Exit(swapping.learn(job, kit.console()))
    plain = Settings()
    learning = {"--save": save, "--preview": preview, "--checkpoint": checkpoint, "--steps": steps, "--seconds": seconds}
    learning |= {"--channels": channels, "--size": size, "--mirror": mirror or None, "--tint": tint or None, "--critic": critic or None}
    learning |= {"--code": None if code == plain.code else code, "--warp": None if warp == plain.warp else warp}
    swapping.refuse_learning(learning, resume)
    swapping.apply(model, frames, out, swapping.order(to, source, mask, soft, device, reading), reading)
