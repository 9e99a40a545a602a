"""What a column of a mixed table is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, cast, get_args

from isthmus.data.source import RawType
from isthmus.errors import ConfigError

ColumnKind = Literal["number", "heavy", "count", "boolean", "category", "date", "identifier", "constant"]
KINDS = get_args(ColumnKind)
LEFT_OUT = ("identifier", "constant")
FORMATS = ("", "dmy", "mdy", "ymd", "s", "ms")
MOST_DECIMALS = 6
OTHER, UNSEEN = "(other)", "(unseen)"


@dataclass(frozen=True)
class Column:
    """One column of a mixed table.

    Parameters
    ----------
    name : str
    kind : {"number", "heavy", "count", "boolean", "category", "date", "identifier", "constant"}
        What it is modelled as: a number; a number with heavy tails, which is mapped by its quantiles; a whole number from 0 on; true
        or false; one of some texts; a point in time. Identifiers and constants are left out.
    categories : tuple of str
        The categories, the most frequent first; of a constant its value, of a date in seconds.
    type : {"number", "boolean", "text", "date"}
        What the data hold.
    whole : bool
        Whether all its numbers are whole, or all its dates whole days.
    decimals : int, optional
        Digits after the point that all its numbers do with, if they are few; what a model gives is rounded to them.
    format : {"", "dmy", "mdy", "ymd", "s", "ms"}
        Of dates: whether the day or the month comes first where both are numbers, or what the numbers that stand for dates count.
    note : str
        What was seen, for people.

    Raises
    ------
    ConfigError
        If an entry is not one of these.

    Examples
    --------
    >>> Column("colour", "category", ("red", "blue"), "text").used
    True
    """

    name: str
    kind: ColumnKind
    categories: tuple[str, ...] = ()
    type: RawType = "number"
    whole: bool = False
    decimals: int | None = None
    format: str = ""
    note: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))
        check_kind(self.name, self.kind)
        for entry, value, allowed in (("type", self.type, get_args(RawType)), ("format", self.format, FORMATS)):
            if value not in allowed:
                raise ConfigError(f"column {self.name!r}: {entry} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
        if self.decimals is not None and not 0 < self.decimals <= MOST_DECIMALS:
            raise ConfigError(f"column {self.name!r}: decimals must be from 1 to {MOST_DECIMALS}, not {self.decimals}")
        if not all(isinstance(entry, str) for entry in cast("tuple[object, ...]", self.categories)):
            raise ConfigError(f"column {self.name!r}: the categories must be text")
        if len(set(self.categories)) != len(self.categories):
            raise ConfigError(f"column {self.name!r}: a category stands there twice")

    @property
    def used(self) -> bool:
        """Whether the column is modelled."""
        return self.kind not in LEFT_OUT

    def to_json(self) -> dict[str, Any]:
        """Return the column as plain JSON types."""
        plain = {**asdict(self), "categories": list(self.categories)}
        return {name: value for name, value in plain.items() if name != "decimals" or value is not None}

    @classmethod
    def from_json(cls, entry: Any) -> Column:
        """Rebuild a column from what `to_json` gave.

        Raises
        ------
        ConfigError
            If an entry is missing, unknown or wrong.
        """
        if not isinstance(entry, Mapping):
            raise ConfigError(f"schema: a column must be a table of name, kind and more, not {entry!r}")
        given = dict(cast("Mapping[str, Any]", entry))
        known = {"name": str, "kind": str, "categories": list, "type": str, "whole": bool, "decimals": int, "format": str, "note": str}
        for name in given:
            if name not in known or not isinstance(given[name], known[name]):
                wrong = f"must be {known[name].__name__}, not {given[name]!r}" if name in known else ""
                told = wrong or f"is unknown; known are {', '.join(known)}"
                raise ConfigError(f"schema, column {given.get('name')!r}: {name!r} {told}")
        if not {"name", "kind"} <= set(given):
            raise ConfigError(f"schema: a column needs at least a name and a kind, has {given!r}")
        return cls(**given)


def check_kind(name: str, kind: object) -> ColumnKind:
    """Return `kind` if it is one.

    Raises
    ------
    ConfigError
        If it is none; the message names the column and the kinds there are.
    """
    if kind not in KINDS:
        near = get_close_matches(str(kind), KINDS, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigError(f"column {name!r}: the kind must be one of {', '.join(KINDS)}, not {kind!r}{hint}")
    return cast("ColumnKind", kind)


def parse_kinds(entries: Iterable[str]) -> dict[str, ColumnKind]:
    """Return the kinds that texts such as ``"zip=category"`` give to columns.

    Raises
    ------
    ConfigError
        If a text is of another form, or names no kind.

    Examples
    --------
    >>> parse_kinds(["zip=category", "id=identifier"])
    {'zip': 'category', 'id': 'identifier'}
    """
    found: dict[str, ColumnKind] = {}
    for entry in entries:
        name, sign, kind = entry.rpartition("=")
        if not sign or not name:
            raise ConfigError(f"kind takes a column and its kind such as zip=category, not {entry!r}")
        found[name] = check_kind(name, kind.strip())
    return found
