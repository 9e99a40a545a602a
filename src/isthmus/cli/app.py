"""The commands of ``isthmus``; everything heavy is imported inside them."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus import __version__
from isthmus.cli import about, marks
from isthmus.cli.classify import classify
from isthmus.cli.denoise import denoise
from isthmus.cli.detect import detect
from isthmus.cli.edit import edit
from isthmus.cli.explore import explore
from isthmus.cli.exporting import export
from isthmus.cli.flags import parse_reading, parse_settings, with_settings
from isthmus.cli.impute import impute
from isthmus.cli.kit import Condition, console, enlarged, names, wanted
from isthmus.cli.many import fit_many
from isthmus.cli.measuring import density, disentanglement, evaluate, quality
from isthmus.cli.monitor import monitor
from isthmus.cli.report import compare, report
from isthmus.cli.schema import schema
from isthmus.cli.space import arithmetic, cluster, neighbours, traverse, uncertainty
from isthmus.cli.swap import swap
from isthmus.cli.translate import translate
from isthmus.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from isthmus.artifact import Artifact
    from isthmus.data import Dataset, Source
    from isthmus.training import History

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

Data = Annotated[
    Path, typer.Argument(help="A .csv, .parquet, .npy or .npz file, or a folder of Parquet files or pictures.", metavar="DATA")
]
Model = Annotated[Path, typer.Argument(help="Folder of a saved model.", metavar="MODEL")]
Key = Annotated[str | None, typer.Option(help="Which array of an .npz file.", metavar="TEXT")]
OnError = Annotated[str, typer.Option("--on-error", help="What to do about unreadable pictures: refuse or skip.", metavar="TEXT")]
Ids = Annotated[str | None, typer.Option(help="Column with the rows' names, to be written beside the results.", metavar="COLUMN")]
Stream = Annotated[
    str, typer.Option(help="Whether rows are read as they are needed, for data larger than memory: auto, always or never.", metavar="TEXT")
]
Seed = Annotated[int, typer.Option(help="Decides everything random.", min=0, metavar="N")]
Steps = Annotated[int | None, typer.Option(help="Optimiser steps at most for each, for a quick look.", min=1, metavar="N")]


def _out(text: str) -> Any:
    return typer.Option("--out", "-o", help=text, metavar="PATH")


def _say(*parts: str | tuple[str, str], whole: bool = True) -> None:
    """Print a line as it is: nothing in it is markup, and it is broken only in a terminal, unless it must stay `whole`."""
    from rich.text import Text

    to = console()
    to.print(Text.assemble(*parts), soft_wrap=whole or not to.is_terminal)


def run() -> None:
    """Run the app; errors made on purpose become one line and exit code 2."""
    from isthmus.cli.border import guarded

    guarded(lambda: app(prog_name="isthmus"))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"isthmus {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.", metavar="")] = False,
    provenance: Annotated[bool, typer.Option(help="Whether pictures that a model made say so in their metadata.", metavar="")] = True,
    certificate: Annotated[
        Path | None,
        typer.Option(help="Sign those pictures (C2PA) with this chain of certificates.", metavar="PEM", envvar="ISTHMUS_CERTIFICATE"),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The certificate's private key, not encrypted.", metavar="PEM", envvar="ISTHMUS_KEY")
    ] = None,
) -> None:
    del version
    marks.begin(context, provenance, certificate, key)


@app.command()
def demo(
    out: Annotated[Path, _out("Folder for the five models and report.html.")] = Path("isthmus-demo"), seed: Seed = 0, steps: Steps = None
) -> None:
    """Train the five families on real handwritten digits and write a report."""
    from isthmus.cli.places import check_file, check_folder
    from isthmus.cli.show import Bar, comparison
    from isthmus.reports import write_html
    from isthmus.tasks.demo import SHOWN
    from isthmus.tasks.demo import demo as run_demo

    for name in SHOWN:
        check_folder(out / name, overwrite=True)
    check_file(out / "report.html", (".html",))
    shown_on = console()
    bar = Bar(shown_on)

    def started(name: str) -> None:
        bar.title = name
        if not shown_on.is_terminal:
            _say(f"training {name} ...")

    _say("Five autoencoders on scikit-learn's 1,797 real handwritten digits (8 x 8 grey).\n")
    try:
        data, _ = run_demo(out, seed, [bar], started, steps)
    finally:
        bar.close()
    rows = {**data.baselines, **{model.family: model.metrics for model in data.models}}
    shown_on.print(comparison(rows, "\nHeld-out digits, which no model was trained on"))
    data.commands = _next_commands(out)
    report = write_html(data, out / "report.html")
    _say("\nReport: ", (str(report), "bold"), " (open it in a browser)\n\nOn with your own data:")
    for line in data.commands:
        _say(f"  {line}")


def _next_commands(out: Path) -> list[str]:
    return [
        "isthmus fit your.csv --out model   # or .parquet, .npy, .npz, a picture folder",
        "isthmus encode model your.csv --out codes.csv",
        "isthmus score model your.csv --out scores.csv",
        "isthmus report model your.csv --out report.html",
        f"isthmus sample {shlex.quote(str(out / 'variational'))} --out samples.png",
        "isthmus list                       # families, likelihoods, networks ...",
    ]


@app.command()
@with_settings
def fit(
    data: Data,
    out: Annotated[Path, _out("Folder for the fitted model.")] = Path("model"),
    config: Annotated[Path | None, typer.Option(help="TOML or YAML file with settings; flags win.", metavar="FILE")] = None,
    save_config: Annotated[Path | None, typer.Option(help="Write all settings to this TOML or YAML file.", metavar="FILE")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is already at --out.", metavar="")] = False,
    checkpoint: Annotated[Path | None, typer.Option(help="File that keeps the run's state, to go on from.", metavar="FILE")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint.", metavar="")] = False,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard files.", metavar="DIR")] = None,
    live: Annotated[bool, typer.Option("--live", help="Show the training in the browser, and stop it there.", metavar="")] = False,
    live_port: Annotated[int, typer.Option(help="Port of --live; a free one for 0.", min=0, max=65535, metavar="N")] = 0,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="With --live: open the page in the browser.", metavar="")] = True,
    **settings: Any,
) -> None:
    """Fit a model on your data; what you do not say is chosen by the data, and told."""
    from isthmus.cli import launch
    from isthmus.cli.settings import merge

    reading, chosen = merge(config, parse_settings(settings), parse_reading(settings))
    if launch.wanted(chosen.devices):
        raise typer.Exit(launch.several(chosen.devices or 1, sys.argv[1:]))
    from isthmus.cli import fitting

    watching = fitting.Watching(live_port, browser) if live else None
    job = fitting.Job(data, out, reading, chosen, overwrite, checkpoint, resume, save_config, tensorboard, watching)
    raise typer.Exit(fitting.run(job, console()))


app.command("fit-many")(fit_many)
app.command()(denoise)
app.command()(detect)
app.command()(explore)
app.command()(export)
app.command()(report)
app.command()(compare)
app.command("schema")(schema)
app.command()(impute)
app.command()(monitor)
app.command()(translate)
app.command()(swap)
for _command in (evaluate, quality, density, classify, disentanglement, traverse, edit, cluster, neighbours, uncertainty, arithmetic):
    app.command()(_command)


def _load(model: Path) -> Artifact:
    from isthmus.artifact import Artifact

    if model.is_dir() and any(model.iterdir()) and not (model / "config.json").exists():
        raise ArtifactError(f"{model} is no saved model: give the folder that `isthmus fit --out` wrote")
    return Artifact.load(model)


def _read(
    artifact: Artifact, data: Path, key: str | None, on_error: str, stream: str, condition: str | None, ids: str | None = None
) -> Source | Dataset:
    from isthmus.cli.using import open_data

    options: dict[str, Any] = {"key": key, "on_error": on_error, "stream": stream, "condition": names(condition), "ids": ids}
    return open_data(artifact, data, console(), **options)


def _check(out: Path | None, pictures: bool, data: Path | None = None) -> None:
    from isthmus.cli.places import PICTURES, TABLES, check_apart, check_file

    if out is not None:
        check_apart(out, data)
        check_file(out, PICTURES if pictures else TABLES, folder=pictures)


def _write_rows(artifact: Artifact, path: Path, rows: Any) -> None:
    from isthmus.data import to_table, write

    mixed = artifact.schema.kind == "columns"
    content = to_table(rows, artifact.schema) if mixed else enlarged(path, artifact, rows)
    written = write(path, content, columns=None if mixed else artifact.schema.columns or None, provenance=marks.made_by(artifact))
    _say(f"wrote {written} ({' x '.join(map(str, rows.shape))})")


@app.command()
def encode(
    model: Model,
    data: Data,
    out: Annotated[Path, _out("Where the codes go: .csv, .parquet, .npy, .npz, or a folder of Parquet parts (no ending).")] = Path(
        "codes.csv"
    ),
    ids: Ids = None,
    stream: Stream = "auto",
    key: Key = None,
    on_error: OnError = "refuse",
    condition: Condition = None,
) -> None:
    """Write the code of every row."""
    from isthmus.cli import using

    using.check(out, data)
    artifact = _load(model)
    source = _read(artifact, data, key, on_error, stream, condition, ids)
    using.tell(using.write(artifact, source, "codes", out, console(), ids), console())


@app.command()
def reconstruct(
    model: Model,
    data: Data,
    out: Annotated[Path, _out("Where the rows go: .csv, .parquet, .npy, .npz, .png, or a folder: of pictures, or of Parquet parts.")],
    ids: Ids = None,
    stream: Stream = "auto",
    key: Key = None,
    on_error: OnError = "refuse",
    condition: Condition = None,
) -> None:
    """Write every row rebuilt from its code, in the data's own units."""
    from isthmus.cli import using

    artifact = _load(model)
    if artifact.schema.kind == "pictures":
        _check(out, True, data)
    else:
        using.check(out, data)
    source = _read(artifact, data, key, on_error, stream, condition, ids)
    using.tell(using.write(artifact, source, "reconstructions", out, console(), ids), console())


@app.command()
def score(
    model: Model,
    data: Data,
    out: Annotated[Path | None, _out("Where the scores go: .csv, .parquet, .npy, .npz, or a folder of Parquet parts (no ending).")] = None,
    ids: Ids = None,
    stream: Stream = "auto",
    key: Key = None,
    on_error: OnError = "refuse",
    condition: Condition = None,
) -> None:
    """Write how familiar every row is: log likelihood in nats (higher is more familiar) and squared reconstruction error."""
    from isthmus.cli import using
    from isthmus.cli.show import facts

    if out is not None:
        using.check(out, data)
    artifact = _load(model)
    source = _read(artifact, data, key, on_error, stream, condition, ids)
    written = using.write(artifact, source, "scores", out, console(), ids)
    score, error = written.summary.means
    entries = {"rows": f"{len(source):,}", "mean score (nats)": score, "mean squared error (scaled)": error}
    console().print(facts({**entries, "strangest rows (score)": ", ".join(written.summary.told)}))
    using.tell(written, console())


@app.command()
def sample(
    model: Model,
    out: Annotated[Path, _out("Where the samples go; the ending decides the format.")],
    number: Annotated[int, typer.Option("--number", "-n", help="How many.", metavar="N")] = 64,
    mean: Annotated[
        bool | None,
        typer.Option("--mean/--draw", help="The mean of the decoder's distribution (default for pictures), or a draw from it.", metavar=""),
    ] = None,
    codes: Annotated[
        str,
        typer.Option("--density", help="Where codes come from: prior, ex_post (fitted to codes) or auto, the better.", metavar="TEXT"),
    ] = "auto",
    condition: Annotated[
        str | None, typer.Option(help="Of conditional models: the class to draw; those of training rows by default.", metavar="TEXT")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Draw new rows from a model."""
    from isthmus.tasks.density import chosen_density
    from isthmus.tasks.sample import sample as draw

    artifact = _load(model)
    pictures = artifact.schema.kind == "pictures"
    _check(out, pictures)
    means = pictures if mean is None else mean
    drawn = draw(artifact, number, seed=seed, mean=means, density=codes, condition=wanted(artifact, condition, number))
    _write_rows(artifact, out, drawn)
    _say(f"codes drawn from {chosen_density(artifact, codes)[0]}")


@app.command()
def interpolate(
    model: Model,
    data: Data,
    out: Annotated[Path, _out("Where the paths go: .png for pictures, .npy, .csv ...")],
    pair: Annotated[list[str] | None, typer.Option(help="Two row numbers such as 0,1; may be given several times.", metavar="I,J")] = None,
    steps: Annotated[int, typer.Option(help="Rows on each path, both ends included.", metavar="N")] = 8,
    spherical: Annotated[bool, typer.Option("--spherical", help="Along a great circle: short for --along sphere.", metavar="")] = False,
    along: Annotated[
        str | None, typer.Option(help="line, sphere, or decoder: the decoder's geometry, with even steps in the data.", metavar="TEXT")
    ] = None,
    stream: Stream = "auto",
    key: Key = None,
    on_error: OnError = "refuse",
    condition: Condition = None,
) -> None:
    """Go from row to row through the code, decoding on the way."""
    from isthmus.cli.fitting import parse_pairs
    from isthmus.tasks.sample import interpolate as go

    pairs = parse_pairs(pair or ["0,1"])
    artifact = _load(model)
    _check(out, artifact.schema.kind == "pictures", data)
    source = _read(artifact, data, key, on_error, stream, condition)
    found = go(artifact, source, pairs, steps, spherical, along)
    flat = out.suffix.lower() in (".csv", ".tsv", ".parquet")  # a table has a line for each step of each path
    _write_rows(artifact, out, found.reshape(-1, *found.shape[2:]) if flat or artifact.schema.kind == "columns" else found)


@app.command()
def info(
    model: Annotated[Path | None, typer.Argument(help="A saved model, detector, denoiser ..., or a picture.", metavar="MODEL")] = None,
    history: Annotated[Path | None, typer.Option(help="Write the curve of the training to this .csv file.", metavar="FILE")] = None,
    engine: Annotated[
        bool, typer.Option("--engine", help="Show which library makes the matrix products on this machine, and how quickly.", metavar="")
    ] = False,
    measure: Annotated[bool, typer.Option("--measure", help="With --engine: measure this machine again.", metavar="")] = False,
    trust: Annotated[
        Path | None, typer.Option(help="For a picture: root certificates to trust its signature (C2PA) by.", metavar="PEM")
    ] = None,
) -> None:
    """Show what a saved model is, how a picture says that it was made, or how this machine computes."""
    from isthmus.cli.show import facts

    if engine or measure:
        from isthmus.cli.engine import run as show_engine

        show_engine(console(), measure)
    if model is None:
        if engine or measure:
            return
        raise ConfigError("info needs the folder of a saved model, or --engine")
    if marks.is_picture(model):
        marks.tell(model, console(), trust)
        return
    if form := about.knows(model):
        _write_history(about.tell(model, form, console()), history)
        return
    artifact = _load(model)
    shape = " x ".join(map(str, artifact.schema.shape))
    parameters = sum(p.numel() for p in artifact.model.parameters())
    known = {k: v for k, v in artifact.facts.items() if k in ("isthmus", "data", "rows", "training rows", "held-out rows")}
    row = f"{artifact.schema.kind}, {shape} ({artifact.schema.dtype})"
    head = {"family": artifact.family, "a row": row, "code width": artifact.model.latent, "parameters": f"{parameters:,}", **known}
    held_out = "Held-out figures" if known.get("held-out rows") else "Training figures"
    titled = {"": head, held_out: artifact.facts.get("figures", {}), "Training": artifact.facts.get("training", {})}
    titled["Settings"] = {name.replace("_", "-"): value for name, value in artifact.config.items()}
    for title, entries in titled.items():
        console().print(facts(entries, f"\n{title}" if title else "", width=_wide(titled)))
    if artifact.schema.kind == "columns":
        from isthmus.cli.schema import shown

        _say("\n", ("Columns", "bold"))
        console().print(shown(artifact.schema))
    if artifact.facts.get("command"):
        _say("\n", ("Made with  ", "bold"), str(artifact.facts["command"]))
    _write_history(artifact.history, history)


def _write_history(rows: History | None, path: Path | None) -> None:
    from isthmus.files import atomic_path

    if path is None:
        return
    if rows is None:
        raise ConfigError("--history: what was saved here has no curve of a training. Leave it out")
    with atomic_path(path) as beside:
        beside.write_text(rows.to_csv(), encoding="utf-8")
    _say(f"wrote {path} ({len(rows)} rows)")


def _wide(titled: dict[str, dict[str, Any]]) -> int:
    return max(len(name) for entries in titled.values() for name in entries)


@app.command("list")
def list_parts() -> None:
    """List families, networks, likelihoods, corruptions ... with one line each."""
    from isthmus.cli.fitting import catalogue, without_formulas
    from isthmus.cli.show import facts

    found = catalogue()
    for title, entries in found.items():
        told = {name or title.split()[0]: without_formulas(name, line) for name, line in entries.items()}
        console().print(facts(told, f"\n{title}", width=_wide(found)))
