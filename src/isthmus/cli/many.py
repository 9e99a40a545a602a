"""The command ``isthmus fit-many``; everything heavy is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli.flags import parse_reading, parse_settings, with_settings


@with_settings
def fit_many(
    data: Annotated[
        list[Path], typer.Argument(help="Files or picture folders, each to be fitted by models of its own.", metavar="DATA...")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder that gets a folder for each model.", metavar="PATH")] = Path("models"),
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="Values of a setting, each to be tried: latent=4,8 or hidden=64x32,128. May be given several times.", metavar="NAME=A,B"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Models of each kind, which differ by their seed.", min=1, metavar="N")] = 1,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the models; as many as there are threads if left out.", min=1, metavar="N")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or YAML file with settings; flags win.", metavar="FILE")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Train the models that are at --out already again.", metavar="")] = False,
    **settings: Any,
) -> None:
    """Fit many models at once: one on each of several tables, a grid of settings, an ensemble of seeds."""
    from rich.console import Console

    from isthmus.cli import grid as several
    from isthmus.cli.settings import merge

    reading, chosen = merge(config, parse_settings(settings), parse_reading(settings))
    order = several.Order(data, out, reading, chosen, grid or [], seeds, workers, overwrite)
    raise typer.Exit(several.run(order, Console(highlight=False)))
