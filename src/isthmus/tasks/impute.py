"""Fill the gaps of mixed columns: the likeliest values, how sure they are, and draws."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.data import ColumnsPreprocessor, Dataset, Schema, Source
from isthmus.data.source import row_blocks
from isthmus.distributions import GeneratorNoise, Joint, Noise, Normal, StudentT
from isthmus.errors import ConfigError
from isthmus.objectives import Filling
from isthmus.tasks.config import Config
from isthmus.tasks.fit import Plan
from isthmus.tasks.fit import fit as fit_any
from isthmus.training import Callback

Array = NDArray[Any]
FEW = 5000  # rows below which none is held out
STEPS = (1000, 2500)  # then two for each row, within these limits
ROUNDS = 5  # refinements where the model has not learned to fill
FAR = 64.0
OUTLYING = 20.0  # standard deviations from which a value would rule the training
SWEEPS = 2  # of draws, so that what is drawn for one gap goes with what is drawn for the next
BLOCK = 1 << 21  # bytes of rows brought to what the network sees and back at once
CHUNK = 512  # rows the network is shown at once: what its layers give must stay in the cache


@dataclass(frozen=True, eq=False)
class Imputed:
    """Rows without gaps.

    Attributes
    ----------
    values : ndarray of shape (n, c)
        As `isthmus.data.Schema.align` gives them, observed ones unchanged, gaps filled with the likeliest value (of numbers the mean).
    gaps : ndarray of shape (n, c), bool
        What was missing.
    spread : ndarray of shape (n, c)
        How sure each filled value is: of numbers, counts and dates (in seconds) its standard deviation, of categories and booleans the
        probability of the one chosen; NaN where a value was observed.
    draws : ndarray of shape (draws, n, c)
        Rows with the gaps filled at random, as likely as the model holds them.
    """

    values: Array
    gaps: NDArray[np.bool_]
    spread: Array
    draws: Array


def impute(artifact: Artifact, source: Source, draws: int = 0, seed: int = 0) -> Imputed:
    """Fill the gaps of `source`.

    A model of the family ``denoising``, which learns by filling gaps made on purpose, fills in one pass. Any other is asked again with
    the gaps filled by what it said before (Mattei and Frellsen, "Leveraging the exact likelihood of deep latent variable models", 2018).
    In draws, half of the gaps of each row are drawn anew given the rest, twice.

    Parameters
    ----------
    artifact : Artifact
        A model of mixed columns.
    source : Source
    draws : int
        How many times to fill the gaps at random.
    seed : int
        Decides the draws.

    Returns
    -------
    Imputed

    Raises
    ------
    ConfigError
        If the model is not one of mixed columns, or `draws` is negative.
    """
    if draws < 0:
        raise ConfigError(f"draws must be at least 0, not {draws}")
    filler = _Filler(artifact)
    matrix = artifact.schema.align(source)
    gaps = np.isnan(matrix)
    values = matrix.copy() if np.may_share_memory(matrix, source.array) else matrix
    found = Imputed(values, gaps, np.full(matrix.shape, np.nan), np.repeat(matrix[None], draws, 0))
    affected = _affected(gaps)
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        for block in row_blocks(len(matrix) if affected is None else len(affected), 4 * filler.width, BLOCK):
            rows = block if affected is None else affected[block]
            missing = gaps[rows]
            x = torch.from_numpy(filler.coder.transform(matrix[rows]))  # pyright: ignore[reportUnknownMemberType]
            p = filler.predict(x)
            for target, values in zip((found.values, found.spread), filler.estimates(p)):
                _put(target, rows, values, missing)
            for draw in found.draws:
                _put(draw, rows, filler.draw(x, p, noise), missing)
    return found


def _affected(gaps: NDArray[np.bool_]) -> NDArray[np.intp] | None:
    """Return the rows with gaps; nothing if they are so many that taking them out would cost more than it saves."""
    some = np.flatnonzero(gaps.any(1))
    return None if 2 * len(some) > len(gaps) else some


def _put(target: Array, rows: slice | NDArray[np.intp], values: Array, where: NDArray[np.bool_]) -> None:
    if isinstance(rows, slice):
        np.copyto(target[rows], values, where=where)
    else:
        target[rows] = np.where(where, values, target[rows])


class _Filler:
    """A model of mixed columns, and what its rows are made of."""

    def __init__(self, artifact: Artifact) -> None:
        if not isinstance(artifact.preprocessor, ColumnsPreprocessor):
            raise ConfigError(
                f"the model was fitted on {artifact.schema.kind} without gaps, so it cannot fill any. Fit one for gaps with "
                "isthmus.tasks.impute.fit (command line: isthmus impute without --model)"
            )
        self.model, self.coder = artifact.model, artifact.preprocessor
        self.learned = isinstance(artifact.objective, Filling)
        self.field = artifact.field
        self.width = self.field.width
        self.first, self.rare = _places(artifact)
        self.starts = [place.start for place, _ in self.first]
        self.counts = [j for j, (_, kind) in enumerate(self.first) if kind == "count"]
        self.bent = [j for j, column in enumerate(artifact.schema.used) if column.kind == "heavy"]
        self.plain = not self.bent and all(kind == "number" for _, kind in self.first)
        # Scaled units in those of the data: far out, where rounding to whole numbers and days counts little.
        ends = np.full((2, self.width), FAR, np.float32) * [[-1], [1]]
        ends[:, self.field.values :] = 1
        self.units = np.diff(self.coder.inverse_transform(ends.astype(np.float32)), axis=0)[0] / (2 * FAR)

    def predict(self, x: Tensor) -> Joint:
        """Return the distribution of rows given what is seen of them."""
        p = self._pass(x)
        for _ in range(0 if self.learned else ROUNDS):
            p = self._pass(_filled(x, p.mean, p))
        return p

    def _pass(self, x: Tensor) -> Joint:
        told = [self.model.decoder(self.model.encode(chunk).mean) for chunk in torch.split(x, CHUNK)]
        p = self.model.likelihood(told[0] if len(told) == 1 else torch.cat(told))
        if not isinstance(p, Joint):
            raise ConfigError(f"the model says {type(p).__name__} of rows: it cannot fill gaps")
        return p

    def estimates(self, p: Joint) -> tuple[Array, Array]:
        """Return the likeliest values in the data's own units and how sure they are, each of shape (n, c)."""
        mean = self._named(p.mean)
        values = self._restored(mean)
        deviation = _deviation(p, mean[:1] if _steady(p) else mean)
        spread = np.broadcast_to(deviation[:, self.starts].numpy() * self.units, values.shape)
        return values, spread if self.plain else self._spread(p, mean, deviation, spread.copy())

    def _spread(self, p: Joint, mean: Tensor, deviation: Tensor, spread: Array) -> Array:
        """Return `spread` with that of all columns that are no plain numbers."""
        if self.bent:
            above, below = (self.coder.inverse_transform((mean + sign * deviation).numpy()) for sign in (1, -1))
            spread[:, self.bent] = 0.5 * (above - below)[:, self.bent]
        for j, (place, kind) in enumerate(self.first):
            if kind == "category":
                spread[:, j] = mean[:, place].amax(1).numpy()
            elif kind == "boolean":
                spread[:, j] = torch.maximum(mean[:, place], 1 - mean[:, place])[:, 0].numpy()
        if p.counts is not None:
            spread[:, self.counts] = p.counts.variance.sqrt().numpy()
        return spread

    def draw(self, x: Tensor, p: Joint, noise: Noise) -> Array:
        """Return rows whose gaps are drawn, shape (n, c)."""
        drawn = _filled(x, p.sample(noise), p)
        flags = p.layout.present(x)
        for _ in range(SWEEPS if bool((flags == 0).sum(1).gt(1).any()) else 0):
            again = (flags == 0) & (noise.uniform(flags) < 0.5)
            shown = drawn.masked_fill(torch.cat([again.index_select(1, p.layout.owner), again], 1), 0.0)
            q = self.predict(shown)
            drawn = _filled(shown, q.sample(noise), q)
        return self._restored(self._named(drawn))

    def _restored(self, rows: Tensor) -> Array:
        return self.coder.within(self.coder.inverse_transform(rows.numpy()))

    def _named(self, rows: Tensor) -> Tensor:
        """Take the slots away that stand for several rare categories: what is filled is one that has a name."""
        for place in self.rare:
            rows[:, place.stop - 1] = 0.0
            rows[:, place.start] += 1e-3  # where nothing else is left, the most frequent one
        return rows


def _places(artifact: Artifact) -> tuple[list[tuple[slice, str]], list[slice]]:
    """Return place and kind of each column's first part, and the places of categories of which some share a slot."""
    parts, slices = artifact.field.parts, artifact.field.slices
    first: dict[str, tuple[slice, str]] = {}
    for part, place in zip(parts, slices):
        first.setdefault(part.column, (place, part.kind))
    rare: list[slice] = []
    for column in artifact.schema.used:
        place, kind = first[column.name]
        if kind == "category" and _shared(artifact, place, artifact.schema.columns.index(column.name), len(column.categories)):
            rare.append(slice(place.start + 1, place.stop))
    return [first[column.name] for column in artifact.schema.used], rare


def _shared(artifact: Artifact, place: slice, column: int, categories: int) -> bool:
    """Say whether the last slot of a category stands for several rare ones."""
    row = np.zeros((1, artifact.field.width), np.float32)
    row[:, artifact.field.values :] = row[:, place.stop - 1] = 1
    return bool(artifact.preprocessor.inverse_transform(row)[0, column] == categories)


def _filled(x: Tensor, rows: Tensor, p: Joint) -> Tensor:
    """Return `x` with its gaps taken from `rows`, and all flags 1."""
    seen = p.layout.present(x).index_select(1, p.layout.owner) > 0
    values = torch.where(seen, x[:, : p.layout.width], rows[:, : p.layout.width])
    return torch.cat([values, torch.ones_like(p.layout.present(x))], 1)


def _steady(p: Joint) -> bool:
    """Say whether the deviations are the same in every row."""
    scale = p.numbers.log_scale if isinstance(p.numbers, (Normal, StudentT)) else 0.0
    return p.counts is None and (not isinstance(scale, Tensor) or scale.ndim < 2)


def _deviation(p: Joint, mean: Tensor) -> Tensor:
    """Return the standard deviation of numbers and counts in a row's layout, and 0 for all else."""
    found = torch.zeros_like(mean)
    plan, starts = p.layout.plan, [place.start for place in p.layout.slices]
    if isinstance(p.numbers, (Normal, StudentT)):
        scale = p.numbers.scale
        if isinstance(p.numbers, StudentT):
            freedom = p.numbers.log_freedom.exp().clamp_min(2.1)
            scale = scale * (freedom / (freedom - 2)).sqrt()
        found[:, [starts[place] for place in plan.numbers]] = scale[: len(mean)]
    if p.counts is not None:
        count = p.counts.mean
        # The slope of log1p brings the deviation of the count to that of the scaled value.
        found[:, [starts[place] for place in plan.counts]] = p.counts.variance.sqrt() / (1 + count) / p.layout.divisor.to(count.dtype)
    return found


def as_columns(source: Source) -> Source:
    """Return a table of numbers as one of mixed columns; mixed columns as they are.

    Raises
    ------
    ConfigError
        If the rows are pictures.

    Examples
    --------
    >>> as_columns(Source("table", np.eye(2))).types
    ('number', 'number')
    """
    if source.kind == "pictures":
        raise ConfigError(f"{source.name} holds pictures: gaps are filled in tables only")
    if source.kind == "columns":
        return source
    numbers = source.array.astype(np.float64)
    return replace(source, kind="columns", array=numbers, columns=source.names, types=("number",) * numbers.shape[1])


def softened(data: Source | Dataset, schema: Schema, decided: Collection[str] = ()) -> Schema:
    """Return a schema whose heavy columns are plain numbers where no value is very far out: a map by quantiles fills nearer to medians.

    Parameters
    ----------
    data : Source or Dataset
        Only of a source, which is in memory, are values looked at.
    schema : Schema
    decided : collection of str
        Columns that stay as they are.

    Returns
    -------
    Schema
    """
    if not isinstance(data, Source) or schema.kind != "columns":
        return schema
    matrix = schema.align(data)
    reach = {column.name: _reach(matrix[:, j]) for j, column in enumerate(schema.used) if column.kind == "heavy"}
    changed = {name for name, value in reach.items() if value < OUTLYING and name not in decided}
    return Schema.of([replace(column, kind="number") if column.name in changed else column for column in schema.types], data.name)


def _reach(values: Array) -> float:
    """Return how many standard deviations the farthest value lies from the mean."""
    known = values[~np.isnan(values)]
    return float(np.abs(known - known.mean()).max() / known.std()) if len(known) and known.std() > 0 else 0.0


def settings(rows: int, config: Config | None = None) -> Config:
    """Return the settings of a model that fills gaps: denoising; of few rows none is held out, and training is short.

    Parameters
    ----------
    rows : int
        Rows to learn from.
    config : Config, optional
        Settings that win.

    Returns
    -------
    Config

    Examples
    --------
    >>> settings(100).given()
    {'family': 'denoising', 'steps': 1000, 'batch': 64, 'held_out': 0.0}
    """
    few = Config(family="denoising", held_out=0.0, steps=max(STEPS[0], min(STEPS[1], 2 * rows)), batch=64)
    base = few if rows < FEW else Config(family="denoising")
    if config is not None and config.family not in (None, "denoising"):
        base = Config()
    return base.override(**(config or Config()).given())


def fit(
    data: Source | Dataset,
    config: Config | None = None,
    *,
    schema: Schema | None = None,
    told: Callable[[Plan], None] | None = None,
    callbacks: Sequence[Callback] = (),
) -> Artifact:
    """Fit a model that fills gaps.

    Parameters
    ----------
    data : Source or Dataset
    config : Config, optional
        Settings that win over those of `settings`.
    schema : Schema, optional
        What the columns are; inferred by default, and `softened`.
    told : callable, optional
        Called with the `Plan` before training starts.
    callbacks : sequence of Callback

    Returns
    -------
    Artifact

    Raises
    ------
    DataError, ConfigError
        If data or settings cannot be used.
    """
    ready = as_columns(data) if isinstance(data, Source) else data.with_gaps()
    if schema is None and isinstance(ready, Source):
        schema = softened(ready, Schema.infer(ready))
    return fit_any(ready, settings(len(data), config), schema=schema, told=told, callbacks=callbacks)
