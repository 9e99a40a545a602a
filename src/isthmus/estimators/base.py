"""What every estimator has: fitting, codes, reconstructions, scores, saving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin  # pyright: ignore[reportMissingTypeStubs]

from isthmus.artifact import Artifact
from isthmus.data import Schema, Source, from_any
from isthmus.data.options import as_shape
from isthmus.errors import ConfigError
from isthmus.estimators.border import RandomState, check_columns, draw_seed, require_fitted
from isthmus.estimators.continued import one_pass
from isthmus.estimators.frames import column_names, given_back, prototype
from isthmus.estimators.precision import at_precision
from isthmus.estimators.progress import Lines
from isthmus.estimators.rows import as_pictures, read_codes, row_shape, typed
from isthmus.estimators.shown import Shown
from isthmus.estimators.space import CodeSpace
from isthmus.tasks import codes
from isthmus.tasks.choices import Choice
from isthmus.tasks.config import Config
from isthmus.tasks.fit import Plan, begin, fit, plan, untrained
from isthmus.training import History, decode

Array = NDArray[Any]
Defaults = Mapping[str, tuple[Any, str]]

_SHAPE_FACT = "row shape"
_ENDLESS = "partial_fit has no last step"
_ONE_PASS: Defaults = {
    "held_out": (0.0, "partial_fit trains on all it is given"),
    "schedule": ("constant", _ENDLESS),
    "warmup": (0, _ENDLESS),
    "kl_warmup": (0, _ENDLESS),
    "one_draw": (0.0, _ENDLESS),
    "average": (0.0, "partial_fit goes on from the weights themselves"),
}


@dataclass(eq=False, repr=False)
class BaseAutoencoder(Shown, CodeSpace, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base of the estimators; not to be used itself. A parameter that is None is chosen by the data and told in `choices_`."""

    family: ClassVar[str] = ""

    latent: int | None = None
    _: KW_ONLY
    tied: bool | None = None
    scaling: str | None = None
    steps: int | None = None
    seconds: float | None = None
    batch: int | None = None
    learning_rate: float | None = None
    optimiser: str | None = None
    weight_decay: float | None = None
    schedule: str | None = None
    warmup: int | None = None
    clip: float | None = None
    average: float | None = None
    patience: int | None = None
    evaluate_every: int | None = None
    held_out: float | None = None
    device: str | None = None
    precision: str | None = None
    devices: int | None = None
    random_state: RandomState = None
    picture_shape: tuple[int, ...] | None = None
    kinds: Mapping[str, str] | None = None
    verbose: int = 0

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002
        """Fit the model.

        Parameters
        ----------
        X : array, tensor or frame of shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W)
            NumPy, torch, pandas, polars, Arrow or nested lists. More than two axes are pictures. Frames, and lists of dictionaries,
            may hold text, booleans, dates and missing values, and tables of numbers missing values (NaN).
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the data cannot be used; the message names the columns.
        ConfigError
            If a parameter is wrong.
        TrainingError
            If training diverges.
        """
        source = self._read(X, reset=True)
        own = self._defaults()
        plans: list[Plan] = []
        artifact = fit(source, self._config(own), callbacks=self._watchers(), told=plans.append, schema=self._schema(source))
        self._take(artifact, _row_shape(X, source), self._told(plans[0], own), prototype(X))
        return self

    def partial_fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002
        """Go on from where the model is: one pass over the rows of `X` at a constant learning rate.

        The first call fixes columns, scaling and every choice. The optimiser's state is kept between calls, also through pickle.
        After `fit` it goes on from the fitted weights with a fresh optimiser.

        Parameters
        ----------
        X : as for `fit`
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError, ConfigError, TrainingError
            As for `fit`.
        """
        first = not hasattr(self, "artifact_")
        source = self._read(X, reset=first)
        if first:
            own = {**self._defaults(), **_ONE_PASS}
            ready = plan(source, self._config(own, forced=("held_out", "schedule", "average", "seconds")), self._schema(source))
            self._take(untrained(source, ready), _row_shape(X, source), self._told(ready, own), prototype(X))
            begin(self.artifact_, {"train": self.artifact_.prepare(source)})
        self._kept = self._learn(source, self._kept)
        return self

    def transform(self, X: Any) -> Array:
        """Return the (mean) code of every row.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        ndarray of shape (n, latent)
            float64 where `X` is float64, computed in it; float32 otherwise, which is quicker.

        Raises
        ------
        DataError
            If the rows are not such as were fitted on.
        """
        return codes.encode(*self._ready(X))

    def inverse_transform(self, X: Any) -> Array:
        """Return the mean of the data for every code.

        Parameters
        ----------
        X : array, tensor or frame of shape (n, latent)
            What `transform` returns.

        Returns
        -------
        ndarray of shape (n, d), or that of the pictures fitted on
            In the data's own units; whole numbers where the data were. Of mixed columns a frame as was fitted on, or an array of
            objects where that was none.

        Raises
        ------
        DataError
            If the codes have another width.
        """
        require_fitted(self)
        array = read_codes(X, self.latent_)
        artifact = at_precision(self.artifact_, array.dtype)
        rows = artifact.restore(decode(artifact.model, torch.from_numpy(np.ascontiguousarray(array))))  # pyright: ignore[reportUnknownMemberType]
        return typed(given_back(artifact, rows, self._row_shape, self._frame), array.dtype)

    def reconstruct(self, X: Any) -> Array:
        """Return every row rebuilt from its (mean) code, in the shape and the units of `X`.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        ndarray of the shape of X
            Of mixed columns a frame as `X` is, without the columns that are left out.
        """
        artifact, source = self._ready(X)
        return typed(given_back(artifact, codes.reconstruct(artifact, source), _row_shape(X, source), X), source.array.dtype)

    def score_samples(self, X: Any) -> Array:
        """Return the log likelihood of every row, a lower bound for a variational model: the higher, the more familiar.

        The same row gets the same score each time. Scores are those of the scaled data: compare them only between models with
        the same scaling and the same likelihood.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        ndarray of shape (n,)
            Nats.
        """
        return codes.score(*self._ready(X))

    def score(self, X: Any, y: object = None) -> float:  # noqa: ARG002
        """Return the mean of `score_samples`, in nats.

        Parameters
        ----------
        X : as for `fit`
        y : ignored

        Returns
        -------
        float
        """
        return float(self.score_samples(X).mean(dtype=np.float64))

    def save(self, path: str | Path) -> Path:
        """Write the fitted model as an artifact, a folder of text and tensors without pickle.

        Parameters
        ----------
        path : path
            The folder.

        Returns
        -------
        Path

        Raises
        ------
        ArtifactError
            If something else lies there, or it cannot be written.
        """
        require_fitted(self)
        return self.artifact_.save(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Open an artifact that `save`, `isthmus.Artifact.save` or the command line wrote.

        Parameters
        ----------
        path : path
            The folder.

        Returns
        -------
        estimator
            Fitted; its parameters are the settings that were used.

        Raises
        ------
        ArtifactError
            If it cannot be opened.
        ConfigError
            If it is of another family.
        """
        return cls.from_artifact(Artifact.load(path))

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> Self:
        """Return a fitted estimator of an artifact; parameters, result and errors as for `load`."""
        if artifact.family != cls.family:
            raise ConfigError(
                f"this is a model of the family {artifact.family!r}, not {cls.family!r}: open it with its own class, or isthmus.load"
            )
        settings = Config.from_mapping(artifact.config).given()
        names = {entry.name for entry in fields(cls)}
        model = cls(**{name: value for name, value in settings.items() if name in names}, random_state=settings.get("seed"))
        schema = artifact.schema
        shape = tuple(artifact.facts.get(_SHAPE_FACT, schema.shape))
        model.picture_shape = schema.shape if len(shape) < len(schema.shape) and len(shape) == 1 else None
        model.n_features_in_ = len(schema.types) or prod(schema.shape)
        model.kinds = {column.name: column.kind for column in schema.types} or None
        if column_names(schema):
            setattr(model, "feature_names_in_", np.array(column_names(schema), dtype=object))  # noqa: B010
        model._take(artifact, shape, {name: Choice(name, value, "saved with the model") for name, value in settings.items()})
        return model

    @property
    def history_(self) -> History:
        """Losses by step."""
        return self.artifact_.history

    @property
    def latent_(self) -> int:
        """Width of the code."""
        return self.artifact_.model.latent

    @property
    def n_iter_(self) -> int:
        """Optimiser steps made."""
        return int(self.artifact_.facts["training"]["steps"])

    @property
    def _n_features_out(self) -> int:
        return self.latent_

    def __sklearn_tags__(self) -> Any:
        inherited: Any = super()
        tags = inherited.__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags

    def _defaults(self) -> Defaults:
        """Settings that the estimator decides where the caller does not, with the reason."""
        why = "drawn anew, as random_state is None" if self.random_state is None else "random_state"
        return {"seed": (draw_seed(self.random_state), why)}

    def _config(self, own: Defaults, forced: tuple[str, ...] = ()) -> Config:
        names = {entry.name for entry in fields(self)}
        known = [name for name in Config.help() if name in names]
        given = {name: getattr(self, name) for name in known if getattr(self, name) is not None and name not in forced}
        chosen = {name: value for name, (value, _) in own.items() if name in names or name == "seed"}
        entries = {"family": self.family} | chosen | given
        return Config.from_mapping({name: _plain(value) for name, value in entries.items()}, type(self).__name__)

    def _told(self, ready: Plan, own: Defaults) -> dict[str, Choice]:
        """Return the choices by name, and tell them if asked to."""
        mine = {name: why for name, (_, why) in own.items() if getattr(self, name, None) is None}
        choices = [Choice(choice.name, choice.value, mine.get(choice.name, choice.why)) for choice in ready.choices]
        if self.verbose > 1:
            Lines(type(self).__name__).tell(choices, ready.notes)
        return {choice.name: choice for choice in choices}

    def _watchers(self) -> list[Lines]:
        return [Lines(type(self).__name__)] if self.verbose else []

    def _read(self, X: Any, reset: bool = False) -> Source:
        """Check `X` against what was fitted on (or remember it) and return it as the model's kind of rows."""
        source = from_any(X)
        check_columns(self, source.array if isinstance(X, (Source, list)) else X, reset=reset, flat=source.kind != "pictures")
        if not reset:
            return self._as_rows(source)
        self.n_features_in_ = prod(source.array.shape[1:])
        return as_pictures(source, as_shape(self.picture_shape))

    def _schema(self, source: Source) -> Schema:
        return Schema.infer(source, cast("Any", self.kinds))

    def _as_rows(self, source: Source) -> Source:
        schema = self.artifact_.schema
        return as_pictures(source, schema.shape) if source.kind == "table" and schema.kind == "pictures" else source

    def _ready(self, X: Any) -> tuple[Artifact, Source]:
        """Return the model in the precision of `X`, and `X` as its rows."""
        require_fitted(self)
        source = self._read(X)
        mixed = self.artifact_.schema.kind == "columns"
        return self.artifact_ if mixed else at_precision(self.artifact_, source.array.dtype), source

    def _take(self, artifact: Artifact, shape: tuple[int, ...], choices: dict[str, Choice], frame: Any = None) -> None:
        """Become fitted."""
        artifact.facts[_SHAPE_FACT] = list(shape)
        self.artifact_ = artifact
        self.choices_ = choices
        self._row_shape = shape
        self._frame = frame
        self._kept: Any = None

    def _learn(self, source: Source, kept: Any) -> Any:
        """Go on training on `source` from what the call before returned, None at first; return what the next one needs."""
        rows = self.artifact_.prepare(source)
        return one_pass(self.artifact_, rows, kept or {}, cast("int | None", _plain(self.batch)), self._watchers())


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkAutoencoder(BaseAutoencoder):
    """Base of the estimators with networks."""

    network: str | None = None
    hidden: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None
    blocks: int | None = None
    activation: str | None = None
    likelihood: str | None = None
    likelihood_scale: float | str | None = None
    missingness: bool | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class RandomCodeAutoencoder(NetworkAutoencoder):
    """Base of the estimators whose code is drawn from a distribution."""

    binarise: str | None = None


def _row_shape(X: Any, source: Source) -> tuple[int, ...]:
    """Return the shape of one row of `X` as the caller sees it."""
    return row_shape(X) if hasattr(X, "shape") or isinstance(X, Source) else row_shape(X if source.kind == "pictures" else source)


def _plain(value: Any) -> Any:
    """Return a NumPy number, such as a search over a grid gives, as Python's."""
    number: Any = value
    return number.item() if isinstance(value, np.generic) else number
