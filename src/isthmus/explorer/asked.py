"""What a page asks, checked: row numbers, codes, counts; whatever is wrong is said in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from isthmus.errors import ConfigError
from isthmus.explorer.subject import Array

MOST_ROWS, MOST_SEED = 1024, 2**31 - 1


def row(value: object, rows: int, name: str = "index") -> int:
    """Return a row number.

    Raises
    ------
    ConfigError
        If it is none of the `rows` rows.

    Examples
    --------
    >>> row("3", 10), row(0, 10)
    (3, 0)
    """
    found = whole(value, name)
    if not 0 <= found < rows:
        raise ConfigError(f"{name}: there is no row {found}; the rows are 0 to {rows - 1:,}")
    return found


def whole(value: object, name: str, low: int | None = None, high: int | None = None) -> int:
    """Return a whole number.

    Raises
    ------
    ConfigError
        If it is none, or out of its range.
    """
    text = value if isinstance(value, str) and len(value) < 20 else None
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if number is None and text is not None and text.removeprefix("-").isdecimal() and text.isascii():
        number = int(text)
    if number is None:
        raise ConfigError(f"{name} must be a whole number, not {_short(value)}")
    if (low is not None and number < low) or (high is not None and number > high):
        raise ConfigError(f"{name} must lie between {low} and {high:,}, not {_short(number)}")
    return number


def truth(asked: Mapping[str, Any], name: str) -> bool:
    """Return true or false, false if it is not said.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    value = asked.get(name, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, not {_short(value)}")
    return value


def seed(asked: Mapping[str, Any]) -> int:
    """Return the seed, 0 if it is not said; errors as for `whole`."""
    return whole(asked.get("seed", 0), "seed", 0, MOST_SEED)


def count(asked: Mapping[str, Any], usual: int, low: int = 1) -> int:
    """Return how many rows are to be made; errors as for `whole`."""
    return whole(asked.get("count", usual), "count", low, MOST_ROWS)


def codes(asked: Mapping[str, Any], width: int) -> Array:
    """Return codes, shape (n, width), float32.

    Raises
    ------
    ConfigError
        If they are none, too many, or not finite.
    """
    found = asked.get("codes")
    if not isinstance(found, list) or not 1 <= len(cast("list[Any]", found)) <= MOST_ROWS:
        raise ConfigError(f'"codes" must be a list of 1 to {MOST_ROWS:,} codes of {width} numbers each')
    return np.stack([vector(code, width) for code in cast("list[object]", found)])


def vector(value: object, width: int) -> Array:
    """Return one code, shape (width,), float32.

    Raises
    ------
    ConfigError
        If it is none.
    """
    numbers = cast("list[Any]", value) if isinstance(value, list) else []
    if len(numbers) != width or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in numbers):
        told = _short(cast("object", value))
        raise ConfigError(f"a code must be a list of {width} numbers, not {told}")
    if not all(abs(n) < 1e30 and math.isfinite(n) for n in numbers):
        raise ConfigError("a code must be of finite numbers that 32 bits can hold: there is a NaN, an infinity or one too large")
    return np.array(numbers, np.float32)


def rows(asked: Mapping[str, Any], name: str, most: int) -> Array:
    """Return row numbers of a group, shape (n,).

    Raises
    ------
    ConfigError
        If there are none, or one of them is none.
    """
    found = asked.get(name)
    if not isinstance(found, list) or not found:
        raise ConfigError(f'"{name}" must be a list of row numbers, at least one: select some points')
    return np.array([row(value, most, name) for value in cast("list[object]", found)], np.int64)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
