"""What ``isthmus fit`` does beyond calling the task."""

from __future__ import annotations

import os
import re
import shlex
import sys
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from isthmus.artifact import Artifact
from isthmus.cli import marks, show
from isthmus.cli.border import INTERRUPTED
from isthmus.cli.places import check_folder, check_parent, named
from isthmus.cli.schema import asked, plain_reading, shown
from isthmus.data import Dataset, Source
from isthmus.errors import ConfigError, TrainingError
from isthmus.tasks import streamed
from isthmus.tasks.config import Config, plain
from isthmus.tasks.fit import Plan
from isthmus.tasks.fit import fit as fit_model
from isthmus.tasks.opening import open_data
from isthmus.training import choose_device

if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.explorer.live import Live


@dataclass(frozen=True)
class Job:
    """A call of ``isthmus fit``."""

    data: Path
    out: Path
    reading: dict[str, Any]
    config: Config
    overwrite: bool = False
    checkpoint: Path | None = None
    resume: bool = False
    save_config: Path | None = None
    tensorboard: Path | None = None
    live: Watching | None = None


@dataclass(frozen=True)
class Watching:
    """How a training is to be shown in the browser."""

    port: int = 0
    browser: bool = True


def run(job: Job, console: Console) -> int:
    """Fit, save, and tell what was chosen and found; return the exit code."""
    leads = int(os.environ.get("RANK", "0")) == 0
    if leads:  # the others may come when the first one has saved already
        check_folder(job.out, job.overwrite)
    if job.resume and job.checkpoint is None:
        raise ConfigError("--resume needs --checkpoint FILE: the file an earlier run with --checkpoint wrote")
    if "WORLD_SIZE" not in os.environ:
        choose_device(job.config.device or "auto")
    if job.checkpoint is not None:
        check_parent(job.checkpoint, "--checkpoint")
    source = open_data(named(job.data), **plain_reading(job.reading))
    bar = show.Bar(console, job.config.family or "training")
    count = show.Count(console if leads else None, f"reading {source.name}", len(source))
    try:
        with warnings.catch_warnings(), _live(job, console, leads) as live:
            warnings.simplefilter("ignore", UserWarning)
            artifact = _fit(
                source,
                job.config,
                count,
                callbacks=[bar, *_tensorboard(job), *([live] if live else [])],
                met=live.met if live else None,
                checkpoint=job.checkpoint,
                resume=job.resume,
                schema=asked(source, job.reading),
                told=partial(_tell, source=source, job=job, console=console) if leads else None,
            )
    except TrainingError as error:
        bar.close()
        if isinstance(error.artifact, Artifact) and leads:
            _save(error.artifact, job, console)
        raise
    finally:
        count.close()
        bar.close()
    if leads:
        _save(artifact, job, console)
    return INTERRUPTED if _stopped(artifact) == "interrupted" else 0


def _fit(source: Source | Dataset, config: Config, count: show.Count, **options: Any) -> Artifact:
    if isinstance(source, Source):
        return fit_model(source, config, **options)
    return streamed.fit(source, config, watch=count, **options)


def _stopped(artifact: Artifact) -> str:
    return str(artifact.facts.get("training", {}).get("stopped", ""))


def _tensorboard(job: Job) -> list[Any]:
    from isthmus.training import TensorBoard

    return [TensorBoard(job.tensorboard)] if job.tensorboard else []


@contextmanager
def _live(job: Job, console: Console, leads: bool) -> Generator[Live | None]:
    """Serve a page that shows the training as long as it lasts, if that is asked for."""
    if job.live is None or not leads:
        yield None
        return
    from isthmus.explorer import serve
    from isthmus.explorer.live import Live

    place, live = serve.Place.free(job.live.port), Live(job.out.resolve().name, marks.wanted())
    with serve.beside(place, live):
        console.print(Text(f"Watch it at {place.url} (this machine only)"), soft_wrap=True)
        if job.live.browser:
            serve.open_browser(place.url)
        try:
            yield live
        finally:
            live.close()


def _tell(plan: Plan, source: Source | Dataset, job: Job, console: Console) -> None:
    shape = " x ".join(map(str, plan.schema.shape))
    told = f"{len(source):,} {'pictures' if source.kind == 'pictures' else 'rows'} of {shape} ({plan.schema.dtype})"
    console.print(Text(f"{source.name}: {told}"), soft_wrap=True)
    if plan.schema.kind == "columns":
        console.print(shown(plan.schema))
    for note in plan.notes:
        kind, style = ("warning", "yellow") if note in plan.warnings else ("note", "dim")
        console.print(Text(f"{kind}: {note}", style=style), soft_wrap=not console.is_terminal)
    console.print()
    console.print(show.choices(plan.choices))
    if job.save_config:
        plan.config.write(job.save_config, job.reading)
        console.print(Text(f"\nwrote {job.save_config}"), soft_wrap=True)
    if not console.is_terminal:
        console.print("\ntraining ...")


def keep(artifact: Artifact, reading: Mapping[str, Any], folder: Path) -> None:
    """Save a model that remembers the command it was fitted with, and how its data were read."""
    artifact.facts["command"] = shlex.join(["isthmus", *sys.argv[1:]])
    artifact.facts["reading"] = {name: plain(value) for name, value in reading.items()}
    artifact.save(folder)


def _save(artifact: Artifact, job: Job, console: Console) -> None:
    keep(artifact, job.reading, job.out)
    training = artifact.facts["training"]
    console.print()
    console.print(show.facts(artifact.facts["figures"], "Held-out figures" if artifact.facts["held-out rows"] else "Training figures"))
    console.print()
    if _stopped(artifact) == "interrupted":
        more = (
            f"; to go on, run the same command with --resume --overwrite (from {job.checkpoint})"
            if job.checkpoint and job.checkpoint.is_file()
            else ""
        )
        console.print(Text(f"interrupted: the best model so far is kept{more}", style="yellow"), soft_wrap=True)
    console.print(Text.assemble("Saved ", (str(job.out), "bold"), f" {_effort(training, artifact)}. Next:"), soft_wrap=True)
    for line in _next(artifact, job):
        console.print(Text(f"  {line}"), soft_wrap=True)


def _effort(training: Mapping[str, Any], artifact: Artifact) -> str:
    if training["stopped"] == "closed form":
        return "(solved in closed form)"
    seconds = artifact.history[-1].get("seconds", 0.0) if len(artifact.history) else 0.0
    early = ", stopped early" if training["stopped"] == "early" else ""
    return f"after {training['steps']:,} steps in {seconds:,.1f} s{early}; kept those of step {training['kept step']:,}"


def _next(artifact: Artifact, job: Job) -> list[str]:
    model, data = shlex.quote(str(job.out)), shlex.quote(str(job.data))
    for name in ("key", "on_error", "ids", "stream"):
        data += f" --{name.replace('_', '-')} {shlex.quote(job.reading[name])}" if name in job.reading else ""
    lines = [f"isthmus encode {model} {data} --out codes.csv", f"isthmus score {model} {data} --out scores.csv"]
    lines += [f"isthmus report {model} {data} --out report.html", f"isthmus explore {model} {data}"]
    if artifact.model.prior is not None:
        lines.append(f"isthmus sample {model} --out samples.{'png' if artifact.schema.kind == 'pictures' else 'csv'}")
    return lines


def parse_pairs(texts: list[str]) -> list[tuple[int, int]]:
    """Return row numbers from texts such as ``"0,5"``.

    Raises
    ------
    ConfigError
        If a text is not two whole numbers.
    """
    try:
        pairs = [tuple(int(part) for part in text.split(",")) for text in texts]
        return [(a, b) for a, b in pairs]
    except ValueError as error:
        raise ConfigError(f"--pair takes two row numbers such as 0,5, not {', '.join(texts)}") from error


def catalogue() -> dict[str, dict[str, str]]:
    """Return every named part with one line each, formulas included."""
    from isthmus.families import FAMILIES, LIKELIHOODS
    from isthmus.families.common import NETWORKS
    from isthmus.families.denoising import CORRUPTIONS
    from isthmus.families.latents import POSTERIORS, PRIORS
    from isthmus.families.sparse import SPARSITIES
    from isthmus.nn import activations
    from isthmus.spec import known

    def first_lines(prefix: str) -> dict[str, str]:
        return {name.split(".")[1]: (part.__doc__ or "").strip().split("\n")[0] for name, part in known(prefix).items()}

    return {
        "families (--family)": {name: family.summary for name, family in FAMILIES.items()},
        "networks (--network)": NETWORKS,
        "likelihoods (--likelihood)": LIKELIHOODS,
        "corruptions (--corruption)": CORRUPTIONS,
        "sparsities (--sparsity)": SPARSITIES,
        "posteriors (--posterior)": POSTERIORS,
        "priors (--prior)": PRIORS,
        "activations (--activation)": {"": ", ".join(activations())},
        "bottlenecks": first_lines("bottleneck."),
        "priors": first_lines("prior."),
        "objectives": first_lines("objective."),
    }


_NAMES = ("Bernoulli", "Beta", "Gaussian", "Kumaraswamy", "Laplace", "Poisson", "Renyi", "VampPrior")


def without_formulas(name: str, line: str) -> str:
    """Return a line of the catalogue for a terminal.

    Examples
    --------
    >>> without_formulas("l1", "Code with the term ``l1`` :math:`= |z|`, in nats.")
    'code with the term l1, in nats'
    """
    if line.startswith(":math:"):
        return name.replace("_", " ")
    # A formula after a colon says what the words before it have said.
    words = re.sub(r"\s*:math:`[^`]*`", "", line.partition(": :math:")[0]).replace("``", "")
    text = re.sub(r",\s*(?=[,:;])", "", re.sub(r"\s+([,.])", r"\1", words)).rstrip(" .,:")
    named = text.startswith(_NAMES) or not text[1:2].islower()
    return text if named else text[:1].lower() + text[1:]
