"""Fit many models at once: one on each of many tables, or many on one table, as a grid of settings or an ensemble of seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.errors import ConfigError, DataError, TrainingError
from isthmus.tasks.config import Config
from isthmus.tasks.density import with_density
from isthmus.tasks.fit import Plan, begin, plan, solved, trained, training_config, untrained
from isthmus.training import Callback, Result, fit_linear
from isthmus.training import fit_many as train
from isthmus.training.many import gather

Found = Artifact | TrainingError
Told = Callable[[int, Found], None]


@dataclass(frozen=True, eq=False)
class _Piece:
    """One model that is built and not yet trained."""

    number: int
    artifact: Artifact
    ready: Plan
    rows: dict[str, Tensor]

    def finish(self, run: Callable[[], Result]) -> Found:
        """Return the fitted model, or the error that `run` raised, which holds the best model so far."""
        try:
            fitted = trained(self.artifact, self.rows.get("held", self.rows["train"]), run)
            return with_density(fitted, self.rows["train"], self.rows.get("held"))
        except TrainingError as error:
            return error

    def closed(self) -> Result:
        """Solve the linear family."""
        fit_linear(self.artifact.model, self.rows["train"])
        return solved(self.artifact, self.rows)


class _Session:
    """A call of `fit_many`: what is known of each model so far."""

    def __init__(self, told: Told | None) -> None:
        self.told = told
        self.found: dict[int, Found] = {}

    def note(self, number: int, found: Found) -> None:
        self.found[number] = found
        if self.told:
            self.told(number, found)

    def settle(self, pieces: Sequence[_Piece], number: int, outcome: Result | TrainingError) -> None:
        """Take what training made of a piece."""
        piece = pieces[number]
        self.note(piece.number, piece.finish(partial(_result, outcome)))


def _result(outcome: Result | TrainingError) -> Result:
    if isinstance(outcome, TrainingError):
        raise outcome
    return outcome


def fit_many(
    sources: Sequence[Source] | Source,
    configs: Sequence[Config] | Config | None = None,
    *,
    callbacks: Sequence[Sequence[Callback]] | None = None,
    told: Told | None = None,
    workers: int | None = None,
) -> list[Artifact]:
    """Fit several models, each as `isthmus.tasks.fit.fit` would fit it alone.

    Small dense models are trained together, as one batched model: see `isthmus.training.fit_many`.

    Parameters
    ----------
    sources : Source or sequence of Source
        Data of each model; a single one serves all.
    configs : Config or sequence of Config, optional
        Settings of each model; a single one serves all.
    callbacks : sequence of sequence of Callback, optional
        Those of each model.
    told : callable, optional
        Called with a model's number and its artifact, or the `TrainingError` it ended with, as soon as it is done.
    workers : int, optional
        Processes that share the models; as many as torch has threads if None.

    Returns
    -------
    list of Artifact
        After Ctrl-C each holds its best weights; those that had not begun say 0 steps in ``facts["training"]``.

    Raises
    ------
    DataError, ConfigError
        Before any training, if data or settings of a model cannot be used: names them.
    TrainingError
        At the end, if models diverged: names them. The others are fitted; ``error.result`` holds each model's artifact or error.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus.data import from_any
    >>> tables = [from_any(np.random.default_rng(i).normal(size=(50, 4))) for i in range(3)]
    >>> [artifact.family for artifact in fit_many(tables, Config(latent=2, steps=5))]
    ['undercomplete', 'undercomplete', 'undercomplete']
    """
    pairs = _pairs(sources, configs)
    watched = callbacks if callbacks is not None else [()] * len(pairs)
    if len(watched) != len(pairs):
        raise ConfigError(f"there are {len(pairs)} models, but {len(watched)} entries in callbacks: give one for each model")
    names = [f"{source.name} (model {number})" for number, (source, _) in enumerate(pairs)]
    session = _Session(told)
    pieces = _pieces(pairs, names)
    closed = [piece for piece in pieces if piece.ready.config.solver == "closed"]
    for piece in closed:
        session.note(piece.number, piece.finish(piece.closed))
    taught = [piece for piece in pieces if piece not in closed]
    _train(taught, [watched[piece.number] for piece in taught], session, workers)
    return gather([session.found[number] for number in range(len(pairs))], names)


def _pairs(sources: Sequence[Source] | Source, configs: Sequence[Config] | Config | None) -> list[tuple[Source, Config]]:
    given = [configs or Config()] if configs is None or isinstance(configs, Config) else list(configs)
    data = [sources] if isinstance(sources, Source) else list(sources)
    if isinstance(sources, Source):
        data *= len(given)
    if configs is None or isinstance(configs, Config):
        given *= len(data)
    if len(data) != len(given):
        raise ConfigError(f"there are {len(data)} sources, but {len(given)} configs: give one for each source, or a single one for all")
    return list(zip(data, given))


def _pieces(pairs: Sequence[tuple[Source, Config]], names: Sequence[str]) -> list[_Piece]:
    """Plan and build every model; equal rows are kept once."""
    pieces: list[_Piece] = []
    kept: dict[tuple[object, ...], dict[str, Tensor]] = {}
    for number, (source, config) in enumerate(pairs):
        if source.condition is not None:
            raise ConfigError(f"{names[number]}: models with a condition are fitted one by one, with isthmus.fit")
        ready = _plan(source, config, names[number])
        key = (id(source), ready.config.seed, ready.config.held_out, ready.config.scaling)
        if key not in kept:
            kept[key] = _rows(source, ready)
        pieces.append(_Piece(number, untrained(source, ready), ready, kept[key]))
        begin(pieces[-1].artifact, kept[key])
    return pieces


def _plan(source: Source, config: Config, name: str) -> Plan:
    try:
        return plan(source, config)
    except (DataError, ConfigError) as error:
        raise type(error)(f"{name}: {error}") from error


def _rows(source: Source, ready: Plan) -> dict[str, Tensor]:
    parts = {"train": ready.training, "held": ready.held_out}
    rows = ready.schema.align(source)
    return {name: torch.as_tensor(ready.preprocessor.transform(rows[index])) for name, index in parts.items() if len(index)}


def _train(pieces: Sequence[_Piece], watched: Sequence[Sequence[Callback]], session: _Session, workers: int | None) -> None:
    with suppress(TrainingError):  # each one's own error was told
        train(
            [piece.artifact.model for piece in pieces],
            [piece.artifact.objective for piece in pieces],
            [piece.rows["train"] for piece in pieces],
            held_out=[piece.rows.get("held") for piece in pieces],
            configs=[training_config(piece.ready.config) for piece in pieces],
            callbacks=watched,
            told=partial(session.settle, pieces),
            workers=workers,
        )
