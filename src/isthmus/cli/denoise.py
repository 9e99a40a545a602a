"""The command ``isthmus denoise``; everything heavy is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import kit

_LEARN, _READ = "Learning", "Reading pictures"


def denoise(
    pictures: Annotated[
        Path | None,
        typer.Argument(help="Noisy pictures: a folder, a picture, or an .npy or .npz file.", metavar="PICTURES", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where they go without their noise: a folder, a picture, .npy or .npz.", metavar="PATH"),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Use the denoiser of this folder instead of learning one.", metavar="FOLDER")] = None,
    clean: Annotated[
        Path | None,
        typer.Option(
            help="Clean pictures to learn from: with --noise, or each the partner of one of --noisy by its name.",
            metavar="PATH",
            rich_help_panel=_LEARN,
        ),
    ] = None,
    noisy: Annotated[
        Path | None,
        typer.Option(
            help="Noisy pictures to learn from, with --clean or alone. Default without --clean: PICTURES.",
            metavar="PATH",
            rich_help_panel=_LEARN,
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            help="What noise it is: gaussian, poisson, speckle, salt_and_pepper, jpeg or blur. Noisy pictures alone: gaussian or poisson, "
            "by default as the pictures show; unknown hides pixels.",
            metavar="NAME",
            rich_help_panel=_LEARN,
        ),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            help="How strong: 0.1 or 25/255 (white is 1), photons of white, share of pixels, JPEG's quality, pixels of blur. "
            "Of noisy pictures alone it is estimated.",
            metavar="X",
            rich_help_panel=_LEARN,
        ),
    ] = None,
    highest: Annotated[
        str | None,
        typer.Option(help="The strength lies anywhere from --level to this.", metavar="X", rich_help_panel=_LEARN),
    ] = None,
    clip: Annotated[
        bool, typer.Option("--clip", help="Noisy values are cut off at black and white.", metavar="", rich_help_panel=_LEARN)
    ] = False,
    save: Annotated[Path | None, typer.Option(help="Keep the denoiser in this folder.", metavar="FOLDER", rich_help_panel=_LEARN)] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a denoiser that is already at --save.", metavar="", rich_help_panel=_LEARN)
    ] = False,
    checkpoint: kit.Checkpoint = None,
    resume: kit.Resume = False,
    steps: kit.PictureSteps = None,
    seconds: kit.Seconds = None,
    widths: Annotated[
        str | None,
        typer.Option(help="Channels at 1/2, 1/4 ... of the size, such as 48,96,192.", metavar="N,N,...", rich_help_panel=_LEARN),
    ] = None,
    attention: Annotated[int, typer.Option(help="Heads of attention at the lowest size.", min=0, metavar="N", rich_help_panel=_LEARN)] = 0,
    ssim: Annotated[float, typer.Option(help="Weight of 1 - SSIM in the loss.", min=0, metavar="X", rich_help_panel=_LEARN)] = 0.0,
    ms_ssim: Annotated[float, typer.Option(help="Weight of 1 - MS-SSIM.", min=0, metavar="X", rich_help_panel=_LEARN)] = 0.0,
    perceptual: Annotated[
        float,
        typer.Option(help="Weight of the distance in features that are learned on the spot.", min=0, metavar="X", rich_help_panel=_LEARN),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Decides everything random.", min=0, metavar="N", rich_help_panel=_LEARN)] = 0,
    turns: Annotated[
        int, typer.Option(help="8 takes the mean over the picture turned and mirrored: better, eight times as long.", metavar="1|8")
    ] = 1,
    tile: Annotated[int, typer.Option(help="Pixels of a side of the tiles large pictures are worked on in.", min=1, metavar="N")] = 512,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...", metavar="TEXT")] = "auto",
    truth: Annotated[
        Path | None, typer.Option(help="Clean pictures of PICTURES, by the same names: for measuring only.", metavar="PATH")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page with figures and pictures.", metavar="FILE")] = None,
    key: Annotated[str | None, typer.Option(help="Which array of .npz files.", metavar="TEXT", rich_help_panel=_READ)] = None,
    colour: Annotated[
        str, typer.Option(help="How pictures are learned from: auto, grey or rgb.", metavar="TEXT", rich_help_panel=_READ)
    ] = "auto",
    bits: Annotated[str, typer.Option(help="Bits of a pixel learned from: auto, 8 or 16.", metavar="N", rich_help_panel=_READ)] = "auto",
    on_error: Annotated[
        str,
        typer.Option("--on-error", help="What to do about unreadable pictures: refuse or skip.", metavar="TEXT", rich_help_panel=_READ),
    ] = "refuse",
) -> None:
    """Take noise off pictures: learned from clean ones and a kind of noise, from pairs, or from noisy ones alone."""
    from isthmus.cli import denoising
    from isthmus.tasks.pictures.denoise import Settings

    chosen = Settings(
        widths=tuple(kit.numbers(widths, "--widths")) if widths else None,
        steps=steps,
        seconds=seconds,
        ssim=ssim,
        ms_ssim=ms_ssim,
        perceptual=perceptual,
        attention=attention,
        seed=seed,
        device=device,
    )
    learning = denoising.Learning(clean, noisy, noise, level, highest, clip, save, overwrite, checkpoint, resume, chosen)
    using = denoising.Using(pictures, out, truth, report, turns, tile, device)
    raise typer.Exit(denoising.run(learning, using, model, denoising.reading(key, colour, bits, on_error), kit.console()))
