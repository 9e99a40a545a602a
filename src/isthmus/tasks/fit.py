"""Fit a model on data: schema, split, preprocessing, choices, training, artifact."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus import __version__
from isthmus.artifact import Artifact
from isthmus.data import AnyPreprocessor, Condition, Dataset, Schema, Source, fit_preprocessor
from isthmus.errors import ConfigError, DataError, TrainingError
from isthmus.families import COUNTS, Architecture, Recipe, conditioned, get
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.nn import materialise
from isthmus.priors.labelled import LabelledPrior
from isthmus.tasks.choices import Choice, check, choose
from isthmus.tasks.config import Config
from isthmus.tasks.density import with_density
from isthmus.tasks.distance import figures
from isthmus.tasks.memory import total
from isthmus.tasks.reading import digest
from isthmus.training import Callback, History, Result, TrainingConfig, fit_linear, nats, reconstruct
from isthmus.training import fit as train
from isthmus.training.engines import StepFactory, make_step

MEASURED = 10_000
HELD_OUT = 20_000
PERMUTED = 1_000_000
KEPT = 1024  # conditions of training rows that a prior draws from
Meeting = Callable[[Artifact, Tensor], None]


@dataclass(frozen=True)
class Plan:
    """What a fit is going to do, before any training.

    Attributes
    ----------
    config : Config
        Every setting settled.
    choices : list of Choice
        Each with its reason.
    notes : list of str
        What was noticed in the data.
    warnings : list of str
        Those of the notes that ask for another choice.
    schema : Schema
    preprocessor : Preprocessor or ColumnsPreprocessor
    total : int
        Rows of the data, those held out included.
    held_out : array of int
        Row numbers of those held out, in order.
    """

    config: Config
    choices: list[Choice]
    notes: list[str]
    warnings: list[str]
    schema: Schema
    preprocessor: AnyPreprocessor
    total: int
    held_out: NDArray[np.int64]

    @property
    def training(self) -> NDArray[np.int64]:
        """Row numbers of those to train with."""
        return others(self.total, self.held_out)


def split(rows: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split row numbers at random into training and held-out ones.

    Raises
    ------
    ConfigError
        If `share` is not within [0, 1).

    Examples
    --------
    >>> [len(part) for part in split(10, 0.2, seed=0)]
    [8, 2]
    """
    held_out = hold_out(rows, share, seed)
    return others(rows, held_out), held_out


def hold_out(rows: int, share: float, seed: int) -> NDArray[np.int64]:
    """Return the row numbers that are held out: a random share of `rows` rows, in order.

    Raises
    ------
    ConfigError
        If `share` is not within [0, 1).
    """
    if not 0 <= share < 1:
        raise ConfigError(f"held_out must be at least 0 and below 1, not {share}")
    count = min(rows - 1, round(share * rows)) if share else 0
    random = np.random.default_rng(seed)
    # A permutation of many rows takes more memory than it is worth.
    return np.sort(random.permutation(rows)[:count] if rows <= PERMUTED else random.choice(rows, count, replace=False, shuffle=False))


def others(rows: int, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row numbers below `rows` that are not among `chosen`."""
    left = np.ones(rows, dtype=bool)
    left[chosen] = False
    return np.flatnonzero(left)


def usual_share(rows: int) -> float:
    """Return the share of the rows that is held out where nothing is said: a tenth, at most 20,000 rows, and none of fewer than 20."""
    return min(0.1, HELD_OUT / rows) if rows >= 20 else 0.0


def plan(source: Source, config: Config, schema: Schema | None = None) -> Plan:
    """Look at the data and settle everything that can be settled before training; without a `schema` it is inferred.

    Raises
    ------
    DataError
        If the data cannot be used.
    ConfigError
        If a setting does not fit.
    """
    check(config)
    training_config(config if config.batch is not None else config.override(batch=max(1, config.devices or 1)))
    schema = schema if schema and schema.complete else Schema.infer(source, given=schema)
    rows = schema.align(source)
    share = config.held_out if config.held_out is not None else usual_share(len(source))
    held_out = hold_out(len(source), share, config.seed or 0)
    refuse_single(len(source), len(held_out), share, config)
    part = rows[others(len(source), held_out)] if len(held_out) else rows
    preprocessor = fit_preprocessor(part, schema, config.scaling or ("none" if config.likelihood in COUNTS else "auto"))
    return settle(config, source.notes, preprocessor, len(source), held_out, share)


def refuse_single(rows: int, held_out: int, share: float, config: Config) -> None:
    """Refuse to scale by a single row.

    Raises
    ------
    ConfigError
        If holding out leaves one row to train with.
    """
    if rows - held_out == 1 < rows and config.scaling != "none":
        raise ConfigError(f"held_out ({share:g}) leaves one of {rows} rows to train with: use a smaller share")


def settle(config: Config, notes: list[str], preprocessor: AnyPreprocessor, rows: int, held_out: NDArray[np.int64], share: float) -> Plan:
    """Choose what is left to choose once the data are known."""
    row = preprocessor.fields()[0]
    settled, choices = choose(config, row, rows - len(held_out), preprocessor.scale)
    choices = [Choice("held_out", share, choice.why) if choice.name == "held_out" else choice for choice in choices]
    warned = _width_note(settled, row)
    told = [*notes, *preprocessor.notes, *warned]
    return Plan(settled.override(held_out=share), choices, told, warned, preprocessor.schema, preprocessor, rows, held_out)


def _width_note(config: Config, field: Field) -> list[str]:
    if config.family in ("linear", "undercomplete") and (config.latent or 0) > field.values:
        return [
            f"the code ({config.latent}) is wider than a row ({field.values}): the family {config.family!r} can simply copy. "
            "Use a smaller latent, or the family 'sparse' or 'denoising'"
        ]
    return []


def build(field: Field, config: Config, condition: int = 0, kept: int = 1) -> Recipe:
    """Build model and objective of a settled config, weights decided by the seed alone.

    Parameters
    ----------
    field : Field
    config : Config
    condition : int
        Width of the condition that follows each row; 0 for none.
    kept : int
        Conditions of training rows that the prior keeps.

    Returns
    -------
    model : Autoencoder
    objective : Objective

    Raises
    ------
    ConfigError
        If the family does not take an option, or no condition.
    """
    family = get(config.family or "undercomplete")
    if condition and config.solver == "closed":
        raise ConfigError("the closed form of the family 'linear' knows no condition: use solver='gradient', or another family")
    given = config.given()
    options = {name: given[name] for name in family.options if name in given}
    if "architecture" in family.options:
        names = [entry.name for entry in fields(Architecture) if entry.name in given]
        options["architecture"] = Architecture(**{name: given[name] for name in names})
    with torch.device("meta"):
        model, objective = family([field], **options)
        if condition:
            model = conditioned(model, condition, kept)
    _refuse_huge(model)
    seed = config.seed or 0
    return materialise(model, seed), materialise(objective, seed)


def _refuse_huge(model: Autoencoder) -> None:
    """Refuse a model whose weights, gradients, two moments and best copy exceed the machine's memory."""
    count = sum(parameter.numel() for parameter in model.parameters())
    memory = total()
    if 5 * 4 * count > memory:
        raise ConfigError(
            f"the model would have {count:,} parameters: to train it takes about {5 * 4 * count / 1e9:,.0f} GB of memory, and this machine "
            f"has {memory / 1e9:,.0f}. Use a smaller latent, hidden or channels"
        )


def training_config(config: Config) -> TrainingConfig:
    """Return the loop's part of the settings."""
    names = inspect.signature(TrainingConfig).parameters
    return TrainingConfig(**{name: value for name, value in config.given().items() if name in names})


def fit(
    source: Source | Dataset,
    config: Config | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | Path | None = None,
    resume: bool = False,
    told: Callable[[Plan], None] | None = None,
    engine: StepFactory = make_step,
    schema: Schema | None = None,
    met: Meeting | None = None,
) -> Artifact:
    """Fit a model on `source`.

    Parameters
    ----------
    source : Source or Dataset
        From `isthmus.read` or `isthmus.data.from_any`; or, for more rows than memory holds, from `isthmus.open_dataset`.
    config : Config, optional
    callbacks : sequence of Callback
    checkpoint : path, optional
        File for the run's state.
    resume : bool
        Go on from `checkpoint`.
    told : callable, optional
        Called with the `Plan` before training starts.
    engine : callable
        Makes the training step.
    schema : Schema, optional
        What the columns are; inferred by default.
    met : callable, optional
        Called with the artifact before it is trained, and with held-out rows as its model sees them (training rows without such).

    Returns
    -------
    Artifact

    Raises
    ------
    DataError, ConfigError
        If data or settings cannot be used.
    TrainingError
        If training diverges; ``error.artifact`` then holds the best model so far, or None.
    """
    if not isinstance(source, Source):
        from isthmus.tasks import streamed

        return streamed.fit(
            source, config, callbacks=callbacks, checkpoint=checkpoint, resume=resume, told=told, engine=engine, schema=schema, met=met
        )
    schema = schema if schema and schema.complete else Schema.infer(source, given=schema)
    source = schema.coded(source)
    ready = plan(source, config or Config(), schema)
    artifact = untrained(source, ready)
    if told:
        told(ready)
    parts = {"train": ready.training, "held": ready.held_out}
    rows = {name: _rows(artifact, ready, source.take(index)) for name, index in parts.items() if len(index)}
    return completed(artifact, rows, partial(_train, artifact, ready, rows, callbacks, checkpoint, resume, engine), met)


def completed(artifact: Artifact, rows: dict[str, Tensor], run: Callable[[], Result], met: Meeting | None) -> Artifact:
    """Let a model begin from the rows "train" and, where there are some, "held", show it, run its training, and give it a density.

    Raises
    ------
    TrainingError
        If training diverges.
    """
    begin(artifact, rows)
    shown = rows.get("held", rows["train"])
    if met:
        met(artifact, shown)
    fitted = trained(artifact, shown, run)
    beside = artifact.condition and artifact.model.prior is not None  # which draws for a condition
    return fitted if beside else with_density(fitted, rows["train"], rows.get("held"))


def begin(artifact: Artifact, rows: dict[str, Tensor]) -> None:
    """Let likelihood and prior begin from the rows "train", or refuse them and, where there are some, "held"."""
    for name in ("held", "train"):
        if name in rows:
            artifact.model.likelihood.begin(rows[name])
    if artifact.model.prior is not None:
        artifact.model.prior.begin(rows["train"])


def _rows(artifact: Artifact, ready: Plan, part: Source) -> Tensor:
    """Return rows as the model sees them."""
    return artifact.beside(torch.as_tensor(ready.preprocessor.transform(part.array)), part.condition)


def untrained(source: Source, ready: Plan) -> Artifact:
    """Return the artifact of a plan before any training; warns of a code that can simply copy."""
    known_by = digest(Source(ready.schema.kind, ready.schema.align(source)))
    if source.condition is None:
        return start(ready, source.name, known_by)
    condition = Condition.fit(source.condition)
    found = condition.transform(source.condition, len(source))
    kept = np.random.default_rng(ready.config.seed or 0).permutation(len(found))[:KEPT]
    artifact = start(ready, source.name, known_by, condition, len(kept))
    if isinstance(artifact.model.prior, LabelledPrior):
        artifact.model.prior.conditions.copy_(torch.from_numpy(found[kept]))  # pyright: ignore[reportUnknownMemberType]
    return artifact


def start(ready: Plan, name: str, known_by: str, condition: Condition | None = None, kept: int = 1) -> Artifact:
    """Return the artifact of a plan for the data `name`, recognised by the digest `known_by`, before any training.

    Raises
    ------
    DataError
        If the family needs a condition and there is none.
    """
    if condition is None and get(ready.config.family or "undercomplete").conditional:
        raise DataError(
            f"the family {ready.config.family!r} needs the class of each row, or columns beside it, in memory: give y in Python, or "
            "--condition on the command line; the same without a condition is the family 'vae'"
        )
    for note in ready.warnings:
        warnings.warn(note, stacklevel=4)
    model, objective = build(ready.preprocessor.fields()[0], ready.config, condition.width if condition else 0, kept)
    facts: dict[str, Any] = {"isthmus": __version__, "data": name, "rows": ready.total, "digest": known_by}
    facts |= {"training rows": ready.total - len(ready.held_out), "held-out rows": len(ready.held_out), "notes": ready.notes}
    facts |= {"condition": condition.to_json()} if condition else {}
    return Artifact(model, objective, ready.schema, ready.preprocessor, ready.config.to_json(), facts=facts)


def trained(artifact: Artifact, sample: Tensor, run: Callable[[], Result]) -> Artifact:
    """Run the training of an artifact, and add the figures of the fitted model on `sample`.

    Raises
    ------
    TrainingError
        If training diverges; ``error.artifact`` then holds the best model so far, or None.
    """
    try:
        return _finish(artifact, run(), sample)
    except TrainingError as error:
        if isinstance(error.result, Result):
            error.artifact = _finish(artifact, error.result, sample)
        raise


def _train(
    artifact: Artifact,
    ready: Plan,
    rows: dict[str, Tensor],
    callbacks: Sequence[Callback],
    checkpoint: str | Path | None,
    resume: bool,
    engine: StepFactory,
) -> Result:
    if ready.config.solver == "closed":
        return _closed(artifact, rows)
    return train(
        artifact.model,
        artifact.objective,
        rows["train"],
        held_out=rows.get("held"),
        config=training_config(ready.config),
        callbacks=callbacks,
        checkpoint=checkpoint,
        resume=resume,
        engine=engine,
    )


def _closed(artifact: Artifact, rows: dict[str, Tensor]) -> Result:
    fit_linear(artifact.model, rows["train"])
    return solved(artifact, rows)


def solved(artifact: Artifact, rows: dict[str, Tensor]) -> Result:
    """Return the result of a closed form, measured on the rows "train" and, where there are some, "held"."""
    losses = {name: -float(nats(artifact.model, artifact.objective, part[:MEASURED]).mean()) for name, part in rows.items()}
    row = {"step": 0.0, "epoch": 0.0, "seconds": 0.0, "train": losses["train"], "train_reconstruction": losses["train"]}
    if "held" in losses:
        row |= {"held_out": losses["held"], "held_out_reconstruction": losses["held"]}
    return Result(History([row]), 0, losses.get("held", losses["train"]), "closed form", 0, 0.0)


def _finish(artifact: Artifact, result: Result, rows: Tensor) -> Artifact:
    """Add the figures of the fitted model to the artifact, and return it."""
    artifact.model.cpu().eval()
    artifact.objective.cpu().eval()
    artifact.history = result.history
    sample = rows[:MEASURED]
    error, explained = figures(artifact.field, artifact.bare(reconstruct(artifact.model, sample)), artifact.bare(sample))
    artifact.facts["figures"] = {
        "mean squared error (scaled units)": error,
        "share of variance explained": explained,
        "log likelihood, nats per row": float(nats(artifact.model, artifact.objective, sample).mean()),
    }
    artifact.facts["training"] = {"stopped": result.stopped, "steps": result.steps, "kept step": result.best_step}
    return artifact
