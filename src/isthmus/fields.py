"""The vocabulary that data and model families share: what one row is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Literal, get_args

from isthmus.errors import ConfigError

Kind = Literal["numbers", "picture"]
Support = Literal["real", "unit", "binary"]


@dataclass(frozen=True)
class Field:
    """One named part of a row, as the model sees it (after preprocessing).

    Parameters
    ----------
    name : str
        Name for people.
    kind : {"numbers", "picture"}
        What it is: a vector of numbers, or a picture laid out as height, width, channels.
    shape : tuple of int
        Shape of one row of this field: ``(d,)`` for numbers, ``(H, W, C)`` for a picture.
    support : {"real", "unit", "binary"}
        Where its values lie: anywhere, in [0, 1], or in {0, 1}.

    Raises
    ------
    ConfigError
        If the kind, the support or the shape is not one of these.

    Examples
    --------
    >>> Field("pixels", "picture", (28, 28, 1), "unit").width
    784
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    support: Support = "real"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if self.kind not in get_args(Kind):
            raise ConfigError(f"field {self.name!r}: kind must be one of {get_args(Kind)}, not {self.kind!r}")
        if self.support not in get_args(Support):
            raise ConfigError(f"field {self.name!r}: support must be one of {get_args(Support)}, not {self.support!r}")
        if len(self.shape) != (3 if self.kind == "picture" else 1) or min(self.shape) < 1:
            raise ConfigError(f"field {self.name!r}: shape {self.shape} does not fit the kind {self.kind!r}")

    @property
    def width(self) -> int:
        """Number of values in one row."""
        return prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        """Return the field as plain JSON types."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Field:
        """Rebuild a field from what `to_json` gave.

        Raises
        ------
        ConfigError
            If an entry is missing, unknown or wrong.
        """
        try:
            return cls(**entry)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"not a field: {dict(entry)!r} ({error})") from error


def single(fields: Sequence[Field]) -> Field:
    """Return the only field of `fields`.

    Raises
    ------
    ConfigError
        If there is not exactly one.
    """
    if len(fields) != 1:
        raise ConfigError(f"this family takes one field, not {len(fields)}: {[field.name for field in fields]}")
    return fields[0]
