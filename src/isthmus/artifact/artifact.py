"""A fitted model with all it needs to be used: parts, weights, preprocessing, history, facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus.artifact import card, files
from isthmus.data import AnyPreprocessor, ColumnsPreprocessor, Condition, Schema, Source, restore_preprocessor
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.objectives import Objective
from isthmus.priors.ex_post import MixtureDensity
from isthmus.spec import from_spec, to_spec
from isthmus.training import History

VERSION = 1
FORMAT = "isthmus-artifact"


@dataclass
class Artifact:
    """A fitted model.

    Parameters
    ----------
    model : Autoencoder
    objective : Objective
    schema : Schema
        What a row of data must look like.
    preprocessor : Preprocessor or ColumnsPreprocessor
        From data to what the model sees, and back.
    config : dict
        The settings it was fitted with, plain JSON types.
    history : History
    facts : dict
        What is worth knowing: rows, held-out figures, notes. Plain JSON types.
    density : MixtureDensity, optional
        A density of the codes, fitted after the model, to draw codes from.

    Notes
    -----
    A folder holds ``config.json`` (parts, schema, settings, history, digests of the other files), ``model.safetensors``,
    ``preprocessor.safetensors`` and ``README.md``. Compatibility promise: a release opens every artifact of the same or an older
    format version (the number ``version`` in ``config.json``, now 1); a newer one is refused with a message that says so.
    """

    model: Autoencoder
    objective: Objective
    schema: Schema
    preprocessor: AnyPreprocessor
    config: dict[str, Any]
    history: History = field(default_factory=History)
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    density: MixtureDensity | None = None

    @property
    def family(self) -> str:
        """Name of the family."""
        return str(self.config.get("family", "custom"))

    @property
    def field(self) -> Field:
        """The one field of a row, as the model sees it."""
        return self.preprocessor.fields()[0]

    @property
    def condition(self) -> Condition | None:
        """How the condition of rows becomes numbers, if the model knows one."""
        entry = self.facts.get("condition")
        return None if entry is None else Condition.from_json(entry)

    def prepare(self, source: Source) -> Tensor:
        """Return the rows of `source` as the model sees them, shape (n, \\*shape), float32: each followed by its condition, if any.

        Raises
        ------
        DataError
            If columns are missing or shapes differ, or the model needs a condition and the rows have none.
        """
        rows = torch.from_numpy(self.preprocessor.transform(self.schema.align(source)))  # pyright: ignore[reportUnknownMemberType]
        return self.beside(rows, source.condition)

    def beside(self, rows: Tensor, condition: Any) -> Tensor:
        """Return preprocessed rows with their raw conditions beside them, if the model knows a condition.

        Raises
        ------
        DataError
            If there are no conditions, another number of them than rows, or one that training did not see.
        """
        known = self.condition
        if known is None:
            return rows
        if condition is None:
            names = ", ".join(column.name for column in known.columns)
            raise DataError(f"this model is conditional: give {names} of each row (y in Python, --condition on the command line)")
        found = torch.from_numpy(known.transform(condition, len(rows)))  # pyright: ignore[reportUnknownMemberType]
        return torch.cat([rows.flatten(1), found], dim=1)

    def bare(self, rows: Tensor) -> Tensor:
        """Return preprocessed rows without their condition, shape (..., \\*data_shape)."""
        width = self.model.condition
        return rows[..., :-width].reshape(*rows.shape[:-1], *self.model.data_shape) if width else rows

    def restore(self, rows: Tensor, within: bool = False) -> NDArray[Any]:
        """Return rows as the model sees them in the data's own units and type.

        Parameters
        ----------
        rows : Tensor of shape (..., \\*shape)
        within : bool
            Whether numbers of mixed columns are kept within the range of the training rows.

        Returns
        -------
        ndarray
            Of mixed columns float64, as `Schema.align` gives them; `isthmus.data.to_table` makes categories and dates of them.
        """
        found = self.preprocessor.inverse_transform(np.asarray(self.bare(rows).detach().cpu()))
        return self.preprocessor.within(found) if within and isinstance(self.preprocessor, ColumnsPreprocessor) else found

    def save(self, path: str | Path) -> Path:
        """Write the folder `path`: beside first, then renamed, so that an older artifact there stays whole until the new one is.

        Raises
        ------
        ArtifactError
            If `path` is something else than an artifact, or cannot be written.
        ConfigError
            If a part cannot be saved (not registered).
        """
        state, arrays = self.preprocessor.state()
        entry = {
            "format": FORMAT,
            "version": VERSION,
            "model": to_spec(self.model),
            "objective": to_spec(self.objective),
            "schema": self.schema.to_json(),
            "preprocessor": state,
            "settings": self.config,
            "history": self.history.rows,
            "facts": self.facts,
            **({"density": to_spec(self.density)} if self.density else {}),
        }
        tensors = files.pack(self._modules())
        return files.write_folder(Path(path), entry, tensors, arrays, card.text(self, Path(path).name))

    @classmethod
    def load(cls, path: str | Path) -> Artifact:
        """Open the folder `path`. Nothing in it can run code: it is text of registered parts, and tensors.

        Raises
        ------
        ArtifactError
            If the folder is missing, broken, from a newer version, or not what it says.
        """
        entry, tensors, arrays = files.read_folder(Path(path), FORMAT, VERSION)
        try:
            with torch.device("meta"):
                model, objective = from_spec(entry["model"]), from_spec(entry["objective"])
                density = from_spec(entry["density"]) if "density" in entry else None
            _expect(model, Autoencoder)
            _expect(objective, Objective)
            _expect(density, (MixtureDensity, NoneType))
            schema = Schema.from_json(entry["schema"])
            preprocessor = _preprocessor(entry["preprocessor"], arrays)
            if schema != preprocessor.schema:
                raise ConfigError("the preprocessing belongs to another schema")
            history = History([{str(k): float(v) for k, v in row.items()} for row in _typed(entry, "history", list)])
            settings, facts = _typed(entry, "settings", dict), _facts(entry)
        except (ConfigError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise ArtifactError(f"{path}: config.json does not describe a model of isthmus: {str(error)[:500]}") from error
        if model.data_shape != preprocessor.fields()[0].shape:
            raise ArtifactError(f"{path}: the model takes rows of shape {model.shape}, but its preprocessing gives another")
        found = cls(model.eval(), objective.eval(), schema, preprocessor, settings, history, facts, density)
        files.unpack(Path(path), found._modules(), tensors)
        return found

    def _modules(self) -> dict[str, nn.Module]:
        """Return everything that has tensors, by the names they are saved under."""
        return {"model": self.model, "objective": self.objective, **({"density": self.density} if self.density else {})}


def _typed(entry: dict[str, Any], key: str, kind: type) -> Any:
    if not isinstance(entry[key], kind):
        raise ConfigError(f"the entry {key!r} must be a {kind.__name__}")
    return entry[key]


def _facts(entry: dict[str, Any]) -> dict[str, Any]:
    facts = _typed(entry, "facts", dict)
    for name in facts.keys() & {"figures", "training", "reading"}:
        _typed(facts, name, dict)
    if "condition" in facts:
        Condition.from_json(facts["condition"])
    return facts


def _preprocessor(state: Any, arrays: dict[str, NDArray[Any]]) -> AnyPreprocessor:
    try:
        return restore_preprocessor(state, arrays)
    except (ConfigError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{files.PREPROCESSOR} and the entry 'preprocessor' do not fit: {error}") from error


def _expect(part: object, kind: type | tuple[type, ...]) -> None:
    if not isinstance(part, kind):
        wanted = kind[0] if isinstance(kind, tuple) else kind
        raise ConfigError(f"a {type(part).__name__} stands where a {wanted.__name__} belongs")
