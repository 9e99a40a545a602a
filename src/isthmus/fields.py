"""The vocabulary that data and model families share: what one row is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from math import isfinite, prod
from typing import Any, Literal, cast, get_args

from isthmus.errors import ConfigError
from isthmus.spec import register

Kind = Literal["numbers", "picture", "columns"]
Support = Literal["real", "unit", "binary"]
PartKind = Literal["number", "count", "boolean", "category", "angle"]


@register("part")
@dataclass(frozen=True)
class Part:
    """What one column (or one aspect of it) became, within a row of mixed columns.

    Parameters
    ----------
    name : str
        Name for people, such as ``"age"`` or ``"opened: hour of day"``.
    kind : {"number", "count", "boolean", "category", "angle"}
        A scaled number; a count v with ``log1p(count) = v * divisor + offset``; 0 or 1; one slot per category of which one is on
        (slot 0 stands for a category never seen in training); or the cosine and the sine of an angle.
    width : int
        Values it takes: 1, for a category the number of slots (at least 2), for an angle 2.
    column : str
        The column of the data it belongs to.
    offset, divisor : float
        How a count was scaled.

    Raises
    ------
    ConfigError
        If the kind is none of these or the width does not fit it.

    Examples
    --------
    >>> Part("colour", "category", 4, "colour").width
    4
    """

    name: str
    kind: PartKind
    width: int
    column: str
    offset: float = 0.0
    divisor: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(PartKind):
            raise ConfigError(f"part {self.name!r}: kind must be one of {get_args(PartKind)}, not {self.kind!r}")
        fitting = self.width >= 2 if self.kind == "category" else self.width == (2 if self.kind == "angle" else 1)
        if not fitting:
            raise ConfigError(f"part {self.name!r}: a width of {self.width} does not fit the kind {self.kind!r}")
        if not (isfinite(self.offset) and isfinite(self.divisor) and self.divisor > 0):
            raise ConfigError(f"part {self.name!r}: offset and divisor must be finite, and divisor above 0")


def part_slices(parts: Sequence[Part]) -> tuple[slice, ...]:
    """Return where the values of each part lie in a row."""
    ends = list(accumulate((part.width for part in parts), initial=0))
    return tuple(slice(a, b) for a, b in pairwise(ends))


def row_width(parts: Sequence[Part]) -> int:
    """Return the width of a row of these parts: their values, then a flag for each."""
    return sum(part.width for part in parts) + len(parts)


@dataclass(frozen=True)
class Field:
    """One named part of a row, as the model sees it (after preprocessing).

    Parameters
    ----------
    name : str
        Name for people.
    kind : {"numbers", "picture", "columns"}
        What it is: a vector of numbers, a picture laid out as height, width, channels, or columns of different kinds.
    shape : tuple of int
        Shape of one row of this field: ``(d,)`` for numbers, ``(H, W, C)`` for a picture, ``(W + P,)`` for columns: the W values of
        all P parts side by side, 0 where missing, and then for each part a flag, 1 if it was observed and 0 if it is missing.
    support : {"real", "unit", "binary"}
        Where its values lie: anywhere, in [0, 1], or in {0, 1}.
    parts : tuple of Part
        What the values of a field of columns are; empty for the other kinds.

    Raises
    ------
    ConfigError
        If the kind, the support or the shape is not one of these, or the parts do not fit the shape.

    Examples
    --------
    >>> Field("pixels", "picture", (28, 28, 1), "unit").width
    784
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    support: Support = "real"
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "parts", tuple(self.parts))
        if self.kind not in get_args(Kind):
            raise ConfigError(f"field {self.name!r}: kind must be one of {get_args(Kind)}, not {self.kind!r}")
        if self.support not in get_args(Support):
            raise ConfigError(f"field {self.name!r}: support must be one of {get_args(Support)}, not {self.support!r}")
        if len(self.shape) != (3 if self.kind == "picture" else 1) or min(self.shape) < 1:
            raise ConfigError(f"field {self.name!r}: shape {self.shape} does not fit the kind {self.kind!r}")
        if bool(self.parts) != (self.kind == "columns") or (self.parts and self.shape != (row_width(self.parts),)):
            raise ConfigError(f"field {self.name!r}: {len(self.parts)} parts do not fit the kind {self.kind!r} and the shape {self.shape}")

    @property
    def width(self) -> int:
        """Number of entries in one row, flags included."""
        return prod(self.shape)

    @property
    def values(self) -> int:
        """Number of values in one row, without the flags of columns."""
        return self.width - len(self.parts)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where the values of each part lie in a row of columns."""
        return part_slices(self.parts)

    def to_json(self) -> dict[str, Any]:
        """Return the field as plain JSON types."""
        plain = {**asdict(self), "shape": list(self.shape)}
        parts = plain.pop("parts")
        return {**plain, "parts": list(parts)} if parts else plain

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Field:
        """Rebuild a field from what `to_json` gave.

        Raises
        ------
        ConfigError
            If an entry is missing, unknown or wrong.
        """
        try:
            parts = cast("Sequence[Mapping[str, Any]]", entry.get("parts", ()))
            rest: dict[str, Any] = {name: value for name, value in entry.items() if name != "parts"}
            return cls(**rest, parts=tuple(Part(**part) for part in parts))
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
