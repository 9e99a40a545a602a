"""Fit a model on data: schema, split, preprocessing, choices, training, artifact."""

from __future__ import annotations

import inspect
import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import mse_loss

from isthmus import __version__
from isthmus.artifact import Artifact
from isthmus.data import Preprocessor, Schema, Source
from isthmus.errors import ConfigError, TrainingError
from isthmus.families import Architecture, Recipe, get
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.nn import materialise
from isthmus.tasks.choices import Choice, check, choose
from isthmus.tasks.config import Config
from isthmus.tasks.reading import digest
from isthmus.training import Callback, History, Result, TrainingConfig, fit_linear, nats, reconstruct
from isthmus.training import fit as train
from isthmus.training.engines import StepFactory, make_step

MEASURED = 10_000


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
    preprocessor : Preprocessor
    training, held_out : array of int
        Row numbers of the two parts.
    """

    config: Config
    choices: list[Choice]
    notes: list[str]
    schema: Schema
    preprocessor: Preprocessor
    training: NDArray[np.int64]
    held_out: NDArray[np.int64]
    warnings: list[str] = field(default_factory=list[str])

    def rows(self, source: Source, part: NDArray[np.int64]) -> Tensor:
        """Return the rows `part` of `source` as the model sees them."""
        chosen = source.array if len(part) == len(source) else source.array[part]
        return torch.from_numpy(self.preprocessor.transform(chosen))  # pyright: ignore[reportUnknownMemberType]


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
    if not 0 <= share < 1:
        raise ConfigError(f"held_out must be at least 0 and below 1, not {share}")
    order = np.random.default_rng(seed).permutation(rows)
    count = min(rows - 1, round(share * rows)) if share else 0
    return np.sort(order[count:]), np.sort(order[:count])


def plan(source: Source, config: Config) -> Plan:
    """Look at the data and settle everything that can be settled before training.

    Raises
    ------
    DataError
        If the data cannot be used.
    ConfigError
        If a setting does not fit.
    """
    check(config)
    training_config(config if config.batch is not None else config.override(batch=max(1, config.devices or 1)))
    schema = Schema.infer(source)
    share = config.held_out if config.held_out is not None else 0.1 if len(source) >= 20 else 0.0
    training, held_out = split(len(source), share, config.seed or 0)
    if len(training) == 1 < len(source) and config.scaling != "none":
        raise ConfigError(f"held_out ({share:g}) leaves one of {len(source)} rows to train with: use a smaller share")
    part = source.array[training] if len(held_out) else source.array
    preprocessor = Preprocessor.fit(part, schema, config.scaling or "auto")
    row = preprocessor.fields()[0]
    settled, choices = choose(config, row, len(training), preprocessor.scale)
    choices = [Choice("held_out", share, choice.why) if choice.name == "held_out" else choice for choice in choices]
    notes = [*source.notes, *preprocessor.notes, *_width_note(settled, row)]
    return Plan(settled.override(held_out=share), choices, notes, schema, preprocessor, training, held_out, _width_note(settled, row))


def _width_note(config: Config, field: Field) -> list[str]:
    if config.family in ("linear", "undercomplete") and (config.latent or 0) > field.width:
        return [
            f"the code ({config.latent}) is wider than a row ({field.width}): the family {config.family!r} can simply copy. "
            "Use a smaller latent, or the family 'sparse' or 'denoising'"
        ]
    return []


def build(field: Field, config: Config) -> Recipe:
    """Build model and objective of a settled config, weights decided by the seed alone."""
    family = get(config.family or "undercomplete")
    given = config.given()
    options = {name: given[name] for name in family.options if name in given}
    if "architecture" in family.options:
        names = [entry.name for entry in fields(Architecture) if entry.name in given]
        options["architecture"] = Architecture(**{name: given[name] for name in names})
    with torch.device("meta"):
        model, objective = family([field], **options)
    _refuse_huge(model)
    seed = config.seed or 0
    return materialise(model, seed), materialise(objective, seed)


def _refuse_huge(model: Autoencoder) -> None:
    """Refuse a model whose weights, gradients, two moments and best copy exceed the machine's memory."""
    count = sum(parameter.numel() for parameter in model.parameters())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else math.inf
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
    source: Source,
    config: Config | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | Path | None = None,
    resume: bool = False,
    told: Callable[[Plan], None] | None = None,
    engine: StepFactory = make_step,
) -> Artifact:
    """Fit a model on `source`.

    Parameters
    ----------
    source : Source
        From `isthmus.read` or `isthmus.data.from_any`.
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
    ready = plan(source, config or Config())
    artifact = untrained(source, ready)
    if told:
        told(ready)
    parts = {"train": ready.training, "held": ready.held_out}
    rows = {name: torch.as_tensor(ready.preprocessor.transform(source.array[index])) for name, index in parts.items() if len(index)}
    sample = rows.get("held", rows["train"])
    try:
        _finish(artifact, _train(artifact, ready, rows, callbacks, checkpoint, resume, engine), sample)
    except TrainingError as error:
        if isinstance(error.result, Result):
            error.artifact = _finish(artifact, error.result, sample)
        raise
    return artifact


def untrained(source: Source, ready: Plan) -> Artifact:
    """Return the artifact of a plan before any training; warns of a code that can simply copy."""
    for note in ready.warnings:
        warnings.warn(note, stacklevel=3)
    model, objective = build(ready.preprocessor.fields()[0], ready.config)
    facts: dict[str, Any] = {"isthmus": __version__, "data": source.name, "rows": len(source), "digest": digest(source)}
    facts |= {"training rows": len(ready.training), "held-out rows": len(ready.held_out), "notes": ready.notes}
    return Artifact(model, objective, ready.schema, ready.preprocessor, ready.config.to_json(), facts=facts)


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
    error = mse_loss(reconstruct(artifact.model, sample), sample)
    spread = sample.var(0, correction=0).mean()
    artifact.facts["figures"] = {
        "mean squared error (scaled units)": float(error),
        "share of variance explained": float(1 - error / spread) if spread > 0 else 0.0,
        "log likelihood, nats per row": float(nats(artifact.model, artifact.objective, sample).mean()),
    }
    artifact.facts["training"] = {"stopped": result.stopped, "steps": result.steps, "kept step": result.best_step}
    return artifact
