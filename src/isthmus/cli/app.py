"""The commands of ``isthmus``; everything heavy is imported inside them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus import __version__
from isthmus.cli.flags import parse_reading, parse_settings, with_settings
from isthmus.errors import IsthmusError

if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.artifact import Artifact

app = typer.Typer(
    name="isthmus",
    help="Autoencoders for any data: learn a narrow code without labels, then use it.",
    epilog="Start with: isthmus demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

Data = Annotated[Path, typer.Argument(help="A .csv, .parquet, .npy or .npz file, or a folder of pictures.", metavar="DATA")]
Model = Annotated[Path, typer.Argument(help="Folder of a saved model.", metavar="MODEL")]
Key = Annotated[str | None, typer.Option(help="Which array of an .npz file.")]
OnError = Annotated[str, typer.Option("--on-error", help="refuse or skip: what to do about unreadable pictures.", metavar="TEXT")]
Seed = Annotated[int, typer.Option(help="Decides everything random.", min=0)]


def _out(text: str) -> Any:
    return typer.Option("--out", "-o", help=text, metavar="PATH")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def run() -> None:
    """Run the app; errors made on purpose become one line and exit code 2."""
    try:
        app()
    except IsthmusError as error:
        from rich.console import Console

        Console(stderr=True, highlight=False).print("[bold red]error:[/]", str(error), markup=True, soft_wrap=True)
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isthmus {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False) -> None:
    del version


@app.command()
def demo(
    out: Annotated[Path, _out("Folder for the five models and report.html.")] = Path("isthmus-demo"), seed: Seed = 0
) -> None:
    """Train the five families on real handwritten digits and write a report."""
    from isthmus.cli.show import Bar, comparison
    from isthmus.reports import write_html
    from isthmus.tasks.demo import demo as run_demo

    console = _console()
    bar = Bar(console)

    def started(name: str) -> None:
        bar.title = name
        if not console.is_terminal:
            console.print(f"training {name} ...")

    console.print("Five autoencoders on scikit-learn's 1,797 real handwritten digits (8 x 8 grey values).\n")
    try:
        data, _ = run_demo(out, seed, [bar], started)
    finally:
        bar.close()
    rows = {**data.baselines, **{model.family: model.metrics for model in data.models}}
    console.print(comparison(rows, "Held-out digits, which no model was trained on"))
    data.commands = _next_commands(out)
    report = write_html(data, out / "report.html")
    console.print(f"\nReport: [bold]{report}[/] (open it in a browser)\n\nOn with your own data:")
    for line in data.commands:
        console.print(f"  {line}", soft_wrap=True, markup=False)


def _next_commands(out: Path) -> list[str]:
    return [
        "isthmus fit your.csv --out model            # or .parquet, .npy, .npz, a folder of pictures",
        "isthmus encode model your.csv --out codes.csv",
        "isthmus score model your.csv --out scores.csv",
        "isthmus report model your.csv --out report.html",
        f"isthmus sample {shlex.quote(str(out / 'variational'))} --out samples.png",
        "isthmus list                                # families, likelihoods, networks ...",
    ]


@app.command()
@with_settings
def fit(
    data: Data,
    out: Annotated[Path, _out("Folder for the fitted model.")] = Path("model"),
    config: Annotated[Path | None, typer.Option(help="TOML or YAML file with settings; flags win.", metavar="FILE")] = None,
    save_config: Annotated[Path | None, typer.Option(help="Write all settings to this TOML or YAML file.", metavar="FILE")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is already at --out.")] = False,
    checkpoint: Annotated[Path | None, typer.Option(help="File that holds the run's state.", metavar="FILE")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint.")] = False,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard files.", metavar="DIR")] = None,
    **settings: Any,
) -> None:
    """Fit a model on your data; what you do not say is chosen by the data, and told."""
    from isthmus.cli import fitting

    if settings.get("devices") and int(settings["devices"]) > 1 and "WORLD_SIZE" not in os.environ:
        raise SystemExit(_relaunch(int(settings["devices"])))
    reading, chosen = fitting.settings(config, parse_reading(settings), parse_settings(settings))
    job = fitting.Job(data, out, reading, chosen, overwrite, checkpoint, resume, save_config, tensorboard)
    fitting.run(job, _console())


def _relaunch(devices: int) -> int:
    """Start this same command once per device under torchrun."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(devices)]
    return subprocess.run([*launcher, "-m", "isthmus", *sys.argv[1:]], check=False).returncode


def _load(model: Path) -> Artifact:
    from isthmus.artifact import Artifact

    return Artifact.load(model)


def _open(model: Path, data: Path, key: str | None, on_error: str) -> tuple[Artifact, Any]:
    from isthmus.tasks.reading import read_for

    artifact = _load(model)
    options = {"on_error": on_error, **({"key": key} if key else {})}
    source = read_for(artifact.schema, data, **options)
    artifact.schema.align(source)
    for note in source.notes:
        _console().print(f"[dim]note: {note}[/]", soft_wrap=True)
    return artifact, source


def _write(path: Path, array: Any, **names: Any) -> None:
    from isthmus.data import write

    written = write(path, array, **names)
    _console().print(f"wrote {written} ({' x '.join(map(str, array.shape))})")


@app.command()
def encode(
    model: Model,
    data: Data,
    out: Annotated[Path, _out("Where the codes go: .csv, .parquet, .npy or .npz.")] = Path("codes.csv"),
    key: Key = None,
    on_error: OnError = "refuse",
) -> None:
    """Write the code of every row."""
    from isthmus.tasks import codes

    artifact, source = _open(model, data, key, on_error)
    found = codes.encode(artifact, source)
    _write(out, found, columns=[f"z{i}" for i in range(found.shape[1])], ids=source.ids or None)


@app.command()
def reconstruct(
    model: Model,
    data: Data,
    out: Annotated[Path, _out("Where the rows go: .csv, .parquet, .npy, .npz, .png, or a folder for pictures.")],
    key: Key = None,
    on_error: OnError = "refuse",
) -> None:
    """Write every row rebuilt from its code, in the data's own units."""
    from isthmus.tasks import codes

    artifact, source = _open(model, data, key, on_error)
    _write(out, codes.reconstruct(artifact, source), columns=artifact.schema.columns or None, ids=source.ids or None)


@app.command()
def score(
    model: Model,
    data: Data,
    out: Annotated[Path | None, _out("Where the scores go: .csv, .parquet, .npy or .npz.")] = None,
    key: Key = None,
    on_error: OnError = "refuse",
) -> None:
    """Write how familiar every row is: log likelihood in nats (higher is more familiar) and squared reconstruction error."""
    import numpy as np

    from isthmus.cli.show import facts
    from isthmus.tasks import codes

    artifact, source = _open(model, data, key, on_error)
    found = np.stack([codes.score(artifact, source), codes.errors(artifact, source)], axis=1)
    strangest = [f"{source.ids[i] if source.ids else i} ({found[i, 0]:.4g})" for i in np.argsort(found[:, 0])[:5]]
    entries = {"rows": len(found), "mean score": float(found[:, 0].mean()), "mean squared error": float(found[:, 1].mean())}
    _console().print(facts({**entries, "strangest rows": ", ".join(strangest)}))
    if out:
        _write(out, found, columns=["score", "error"], ids=source.ids or None)


@app.command()
def sample(
    model: Model,
    out: Annotated[Path, _out("Where the samples go; the ending decides the format.")],
    number: Annotated[int, typer.Option("--number", "-n", help="How many.")] = 64,
    mean: Annotated[bool, typer.Option("--mean", help="The mean of the decoder's distribution instead of a draw from it.")] = False,
    seed: Seed = 0,
) -> None:
    """Draw new rows from a variational model."""
    from isthmus.tasks.sample import sample as draw

    artifact = _load(model)
    _write(out, draw(artifact, number, seed=seed, mean=mean), columns=artifact.schema.columns or None)


@app.command()
def interpolate(
    model: Model,
    data: Data,
    out: Annotated[Path, _out("Where the paths go: .png for pictures, .npy, .csv ...")],
    pair: Annotated[list[str] | None, typer.Option(help="Two row numbers such as 0,1; may be given several times.", metavar="I,J")] = None,
    steps: Annotated[int, typer.Option(help="Rows on each path, both ends included.")] = 8,
    spherical: Annotated[bool, typer.Option("--spherical", help="Along a great circle instead of a straight line.")] = False,
    key: Key = None,
    on_error: OnError = "refuse",
) -> None:
    """Go from row to row through the code, decoding on the way."""
    from isthmus.cli.fitting import parse_pairs
    from isthmus.tasks.sample import interpolate as go

    artifact, source = _open(model, data, key, on_error)
    found = go(artifact, source, parse_pairs(pair or ["0,1"]), steps, spherical)
    flat = source.kind == "table" and out.suffix not in (".npy", ".npz")
    _write(out, found.reshape(-1, found.shape[-1]) if flat else found, columns=artifact.schema.columns or None)


@app.command()
def report(
    model: Model,
    data: Data,
    out: Annotated[Path, _out("The HTML file.")] = Path("report.html"),
    labels: Annotated[Path | None, typer.Option(help="File with one known class per row, for measuring only.", metavar="FILE")] = None,
    labels_key: Annotated[str | None, typer.Option(help="Which array of an .npz file holds the labels.")] = None,
    key: Key = None,
    on_error: OnError = "refuse",
) -> None:
    """Measure a model on data and write one self-contained HTML page."""
    from isthmus.cli.fitting import report_data
    from isthmus.cli.show import comparison
    from isthmus.reports import write_html

    artifact, source = _open(model, data, key, on_error)
    found = report_data(artifact, source, model, data, labels, labels_key)
    _console().print(comparison({m.family: m.metrics for m in found.models}, str(found.data["measured on"])))
    _console().print(f"wrote {write_html(found, out)}")


@app.command()
def info(model: Model) -> None:
    """Show what a saved model is."""
    from isthmus.cli.show import facts

    artifact = _load(model)
    console = _console()
    shape = " x ".join(map(str, artifact.schema.shape))
    parameters = sum(p.numel() for p in artifact.model.parameters())
    known = {k: v for k, v in artifact.facts.items() if k not in ("figures", "training", "notes", "command")}
    head = {"family": artifact.family, "row": f"{artifact.schema.kind}, {shape} ({artifact.schema.dtype})", "code": artifact.model.latent}
    console.print(facts({**head, "parameters": f"{parameters:,}", **known}))
    console.print(facts(artifact.facts.get("figures", {}), "\nHeld-out figures"))
    console.print(facts(artifact.facts.get("training", {}), "\nTraining"))
    console.print(facts(artifact.config, "\nSettings"))
    if artifact.facts.get("command"):
        console.print(f"\n[bold]command[/]  {artifact.facts['command']}", soft_wrap=True)


@app.command("list")
def list_parts() -> None:
    """List families, networks, likelihoods, corruptions ... with one line each."""
    from isthmus.cli.fitting import catalogue
    from isthmus.cli.show import facts

    console = _console()
    for title, entries in catalogue().items():
        console.print(facts(entries, f"\n[bold underline]{title}[/]"))
