"""What the commands do beyond calling a task."""

from __future__ import annotations

import os
import shlex
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.artifact import Artifact
from isthmus.cli import show
from isthmus.cli.flags import READING, parse_reading
from isthmus.data import Source, read
from isthmus.errors import ArtifactError, ConfigError, DataError, TrainingError
from isthmus.tasks.config import Config
from isthmus.tasks.evidence import ReportData
from isthmus.tasks.fit import Plan, split
from isthmus.tasks.fit import fit as fit_model

if TYPE_CHECKING:
    from rich.console import Console


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


def settings(path: Path | None, reading: dict[str, Any], flags: dict[str, Any]) -> tuple[dict[str, Any], Config]:
    """Merge a config file and flags; flags win.

    Raises
    ------
    ConfigError
        If the file or an entry is wrong.
    """
    found = Config.parse(path) if path else {}
    mine = {name: found.pop(name) for name in list(found) if name in READING}
    return {**parse_reading(mine), **reading}, Config.from_mapping({**found, **flags}, str(path) if path else "flags")


def run(job: Job, console: Console) -> None:
    """Fit, save, and tell what was chosen and found."""
    leads = int(os.environ.get("RANK", "0")) == 0
    check_place(job.out, job.overwrite)
    if job.resume and job.checkpoint is None:
        raise ConfigError("--resume needs --checkpoint FILE: the file an earlier run with --checkpoint wrote")
    source = read(job.data, **job.reading)
    bar = show.Bar(console, job.config.family or "training")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            artifact = fit_model(
                source,
                job.config,
                callbacks=[bar, *_tensorboard(job)],
                checkpoint=job.checkpoint,
                resume=job.resume,
                told=(lambda plan: _tell(plan, source, job, console)) if leads else None,
            )
    except TrainingError as error:
        _keep_best(error, job, console)
        raise
    finally:
        bar.close()
    if leads:
        _save(artifact, job, console)


def _tensorboard(job: Job) -> list[Any]:
    from isthmus.training import TensorBoard

    return [TensorBoard(job.tensorboard)] if job.tensorboard else []


def check_place(out: Path, overwrite: bool) -> None:
    """Refuse early what could not be saved later.

    Raises
    ------
    ArtifactError
        If something is at `out` already.
    DataError
        If the folder cannot be written to.
    """
    if out.exists() and not (out.is_dir() and (overwrite or not any(out.iterdir()))):
        mend = "add --overwrite or choose another --out" if (out / "config.json").exists() else "choose another --out"
        raise ArtifactError(f"{out} is already there; {mend}")
    if out.is_dir() and any(out.iterdir()) and not (out / "config.json").exists():
        raise ArtifactError(f"{out} exists and is no saved model: it is left as it is; choose another --out")
    parent = out.resolve().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {parent}: {error.strerror}; choose another --out") from error
    if not os.access(parent, os.W_OK):
        raise DataError(f"cannot write into {parent}; choose another --out")


def _tell(plan: Plan, source: Source, job: Job, console: Console) -> None:
    shape = " x ".join(map(str, source.array.shape[1:]))
    console.print(f"{source.name}: {len(source):,} {'rows' if source.kind == 'table' else 'pictures'} of {shape} ({source.array.dtype})")
    for note in plan.notes:
        console.print(f"[dim]note: {note}[/]", soft_wrap=True)
    console.print(show.choices(plan.choices))
    if job.save_config:
        plan.config.write(job.save_config, {name: list(v) if isinstance(v, tuple) else v for name, v in job.reading.items()})  # pyright: ignore[reportUnknownArgumentType]
        console.print(f"wrote {job.save_config}")
    if not console.is_terminal:
        console.print("training ...")


def _keep_best(error: TrainingError, job: Job, console: Console) -> None:
    if isinstance(error.artifact, Artifact):
        _save(error.artifact, job, console)


def _save(artifact: Artifact, job: Job, console: Console) -> None:
    artifact.facts["command"] = shlex.join(["isthmus", *sys.argv[1:]])
    path = artifact.save(job.out)
    training = artifact.facts.get("training", {})
    if training.get("stopped") == "interrupted":
        console.print("[yellow]interrupted: the best model so far is kept[/]")
    console.print(show.facts(artifact.facts.get("figures", {}), "\nHeld-out figures" if artifact.facts["held-out rows"] else "\nTraining figures"))
    console.print(f"\nSaved [bold]{path}[/] after {training.get('steps', 0):,} steps (kept step {training.get('kept step', 0):,}). Next:")
    for line in _next(artifact, job):
        console.print(f"  {line}", soft_wrap=True, markup=False)


def _next(artifact: Artifact, job: Job) -> list[str]:
    model, data = shlex.quote(str(job.out)), shlex.quote(str(job.data))
    key = f" --key {shlex.quote(job.reading['key'])}" if "key" in job.reading else ""
    lines = [f"isthmus encode {model} {data}{key} --out codes.csv", f"isthmus score {model} {data}{key} --out scores.csv"]
    lines.append(f"isthmus report {model} {data}{key} --out report.html")
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


def report_data(artifact: Artifact, source: Source, model: Path, data: Path, labels: Path | None, labels_key: str | None) -> ReportData:
    """Measure a model for a report: on the rows the fit held out if these are the same data, on all of them otherwise."""
    import numpy as np

    from isthmus.tasks.examine import examine

    known = _labels(labels, labels_key, len(source)) if labels else None
    rest, held_out = split(len(source), float(artifact.config.get("held_out") or 0.0), int(artifact.config.get("seed") or 0))
    same = source.name == artifact.facts.get("data") and len(source) == artifact.facts.get("rows") and len(held_out) > 0
    chosen = held_out if same else np.arange(len(source))
    train = source.take(rest) if same else None
    picked = None if known is None else known[chosen]
    evidence = examine(artifact, source.take(chosen), picked, train, known[rest] if same and known is not None else None)
    told = f"{len(chosen):,} rows that the fit held out" if same else f"all {len(chosen):,} rows of {source.name}"
    shape = " x ".join(map(str, source.array.shape[1:]))
    facts = {"data": source.name, "rows": f"{len(source):,} of {shape}", "measured on": told}
    quoted = shlex.quote(str(model)), shlex.quote(str(data))
    commands = [f"isthmus encode {quoted[0]} {quoted[1]} --out codes.csv", f"isthmus score {quoted[0]} {quoted[1]} --out scores.csv"]
    return ReportData(f"{artifact.family} autoencoder on {source.name}", f"Saved model {model.name}", facts, {}, [evidence], commands)


def _labels(path: Path, key: str | None, rows: int) -> Any:
    import numpy as np

    from isthmus.tasks.labels import read_labels

    found = np.asarray(read_labels(path, key))
    if len(found) != rows:
        raise DataError(f"{path} has {len(found):,} labels, but the data have {rows:,} rows; they must be the same")
    return found


def catalogue() -> dict[str, dict[str, str]]:
    """Return every named part with one line each."""
    from isthmus.families import FAMILIES, LIKELIHOODS
    from isthmus.families.common import NETWORKS
    from isthmus.families.denoising import CORRUPTIONS
    from isthmus.families.sparse import SPARSITIES
    from isthmus.nn import activations
    from isthmus.spec import known

    def first_line(cls: type) -> str:
        return (cls.__doc__ or "").strip().split("\n")[0]

    return {
        "families (--family)": {name: family.summary for name, family in FAMILIES.items()},
        "networks (--network)": NETWORKS,
        "likelihoods (--likelihood)": LIKELIHOODS,
        "corruptions (--corruption)": CORRUPTIONS,
        "sparsities (--sparsity)": SPARSITIES,
        "activations (--activation)": {"": ", ".join(activations())},
        "bottlenecks": {name.split(".")[1]: first_line(part) for name, part in known("bottleneck.").items()},
        "priors": {name.split(".")[1]: first_line(part) for name, part in known("prior.").items()},
        "objectives": {name.split(".")[1]: first_line(part) for name, part in known("objective.").items()},
    }
