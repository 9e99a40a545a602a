"""Fit a model on data larger than memory: one pass to know them, then training on a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.data import Dataset, Schema, Stream
from isthmus.data.checks import GapsError
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.choices import check
from isthmus.tasks.config import Config
from isthmus.tasks.fit import (
    MEASURED,
    Meeting,
    Plan,
    completed,
    hold_out,
    refuse_single,
    settle,
    solved,
    start,
    training_config,
    usual_share,
)
from isthmus.tasks.memory import free
from isthmus.tasks.survey import Survey, Watch, survey
from isthmus.training import Callback, Result, fit_linear_moments
from isthmus.training import fit as train
from isthmus.training.engines import StepFactory, make_step

HELD_BYTES = 64 << 20
BUFFER = 128 << 20


def fit(
    dataset: Dataset,
    config: Config | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | Path | None = None,
    resume: bool = False,
    told: Callable[[Plan], None] | None = None,
    engine: StepFactory = make_step,
    watch: Watch | None = None,
    buffer: int = BUFFER,
    schema: Schema | None = None,
    met: Meeting | None = None,
) -> Artifact:
    """Fit a model on `dataset` without holding it in memory.

    One pass measures the rows for the scaling and takes the held-out ones aside; the linear family is solved by that pass alone. Of
    mixed columns a pass before finds out what they are, and which categories there are.
    Training then reads the rows in an order shuffled anew each epoch. The settings are chosen by the same rules as for data in
    memory, but the held-out rows must fit into memory: where nothing is said they are a tenth, 20,000 or 64 MB of rows, whichever is least.

    Parameters
    ----------
    dataset : Dataset
        From `isthmus.open_dataset`.
    config : Config, optional
    callbacks : sequence of Callback
    checkpoint : path, optional
        File for the run's state.
    resume : bool
        Go on from `checkpoint`, in the middle of an epoch if need be.
    told : callable, optional
        Called with the `Plan` before training starts.
    engine : callable
        Makes the training step.
    watch : callable, optional
        Called with the number of rows that the first pass has read.
    buffer : int
        Bytes of the buffer in which rows are shuffled.
    schema : Schema, optional
        What mixed columns are; inferred in a pass of its own by default.
    met : callable, optional
        Called with the artifact before it is trained, and with held-out rows as its model sees them (training rows without such).

    Returns
    -------
    Artifact
        The same kind as from data in memory.

    Raises
    ------
    DataError, ConfigError
        If data or settings cannot be used.
    TrainingError
        If training diverges; ``error.artifact`` then holds the best model so far, or None.
    """
    dataset, schema = known(dataset, schema)
    try:
        ready, found = plan(dataset, config or Config(), watch, schema)
    except GapsError:
        if dataset.kind != "table" or dataset.with_gaps() is dataset:
            raise
        dataset, schema = known(dataset.with_gaps(), None)
        ready, found = plan(dataset, config or Config(), watch, schema)
    artifact = start(ready, dataset.name, found.known_by)
    artifact.facts["fingerprint"] = dataset.fingerprint()
    if told:
        told(ready)
    held, some = (torch.from_numpy(ready.preprocessor.transform(part)) for part in (found.held_out, found.some))  # pyright: ignore[reportUnknownMemberType]
    rows = {"train": some, **({"held": held} if len(held) else {})}
    if ready.config.solver == "closed":
        return completed(artifact, rows, partial(_closed, artifact, found, ready, rows), met)
    run = partial(
        train,
        artifact.model,
        artifact.objective,
        Stream(dataset, ready.preprocessor, ready.held_out, buffer),
        held_out=rows.get("held"),
        config=training_config(ready.config),
        callbacks=callbacks,
        checkpoint=checkpoint,
        resume=resume,
        engine=engine,
    )
    return completed(artifact, rows, run, met)


def known(dataset: Dataset, schema: Schema | None) -> tuple[Dataset, Schema]:
    """Return a dataset as its schema takes it, and that schema, which is inferred from mixed columns if there is none."""
    if (schema is None and dataset.kind == "columns") or (schema and not schema.complete):
        schema = Schema.infer(dataset.with_gaps().blocks(), given=schema)
    if schema is None:
        return dataset, Schema(dataset.kind, dataset.columns, dataset.shape, dataset.dtype.name)
    return dataset.coded(schema), schema


def plan(dataset: Dataset, config: Config, watch: Watch | None = None, schema: Schema | None = None) -> tuple[Plan, Survey]:
    """Read the data once and settle everything that can be settled before training.

    Parameters
    ----------
    dataset : Dataset
    config : Config
    watch : callable, optional
        Called with the number of rows read so far.
    schema : Schema, optional
        What mixed columns are; inferred by default.

    Returns
    -------
    plan : Plan
    survey : Survey
        What the pass found.

    Raises
    ------
    DataError
        If the data cannot be used.
    ConfigError
        If a setting does not fit.
    """
    dataset, schema = known(dataset, schema)
    check(config)
    training_config(config if config.batch is not None else config.override(batch=max(1, config.devices or 1)))
    rows, row_bytes = len(dataset), 4 * prod(dataset.shape)
    if rows == 0:
        raise DataError(f"{dataset.name}: no rows. Give at least one row")
    share = config.held_out if config.held_out is not None else min(usual_share(rows), HELD_BYTES / row_bytes / rows)
    held_out = hold_out(rows, share, config.seed or 0)
    refuse_single(rows, len(held_out), share, config)
    _refuse_wide(len(held_out), row_bytes, share)
    solved_directly = config.family == "linear" and config.solver != "gradient" and dataset.kind != "columns"
    if solved_directly:
        _refuse_square(prod(dataset.shape))
    some = max(1, min(MEASURED, HELD_BYTES // row_bytes))
    found = survey(dataset, schema, config.scaling or "auto", held_out, some, solved_directly, watch)
    notes = [*dataset.notes, _note(dataset, len(held_out))]
    return settle(config, notes, found.preprocessor, rows, held_out, share), found


def _note(dataset: Dataset, held_out: int) -> str:
    size = len(dataset) * prod(dataset.shape) * dataset.dtype.itemsize
    held = f"; {held_out:,} random rows are held out and kept in memory" if held_out else ""
    return f"the rows are streamed: {size / 1e9:,.2g} GB in memory{held}"


def _refuse_wide(held_out: int, row_bytes: int, share: float) -> None:
    if held_out * row_bytes > free() / 4:
        raise ConfigError(
            f"held_out ({share:g}) keeps {held_out:,} rows in memory, {held_out * row_bytes / 1e9:,.1f} GB: more than a quarter of what is "
            "free. Use a smaller share"
        )


def _refuse_square(width: int) -> None:
    """Refuse a closed form whose matrix of products does not fit into memory."""
    if 4 * 8 * width**2 > free():
        raise ConfigError(
            f"solver 'closed' needs {4 * 8 * width**2 / 1e9:,.0f} GB of memory for rows of {width:,} values. Use solver='gradient'"
        )


def _closed(artifact: Artifact, found: Survey, ready: Plan, rows: dict[str, Tensor]) -> Result:
    mean, scatter = (torch.from_numpy(np.asarray(part)) for part in (found.mean, found.scatter))  # pyright: ignore[reportUnknownMemberType]
    fit_linear_moments(artifact.model, mean, scatter, ready.total - len(ready.held_out))
    return solved(artifact, rows)
