"""The options of `read`, checked once and handed to every reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from isthmus.errors import ConfigError

Colour = Literal["auto", "grey", "rgb", "rgba"]
Bits = Literal["auto", 8, 16]
OnError = Literal["refuse", "skip"]
Names = tuple[str | int, ...]


@dataclass(frozen=True)
class ReadOptions:
    """Checked options of `read`; see there for what each means.

    Raises
    ------
    ConfigError
        If `colour` or `on_error` is none of its values.
    """

    key: str | None = None
    columns: Names | None = None
    drop: Names = ()
    size: tuple[int, ...] | None = None
    colour: Colour = "auto"
    on_error: OnError = "refuse"
    shape: tuple[int, ...] | None = None
    bits: Bits = "auto"

    def __post_init__(self) -> None:
        if self.colour not in get_args(Colour):
            raise ConfigError(f"colour must be one of {get_args(Colour)}, not {self.colour!r}")
        if self.on_error not in get_args(OnError):
            raise ConfigError(f"on_error must be one of {get_args(OnError)}, not {self.on_error!r}")


def as_names(value: str | int | Iterable[str | int] | None) -> Names:
    """Return column names (or positions) as a tuple; a single one may stand alone."""
    if value is None:
        return ()
    return (value,) if isinstance(value, (str, int)) else tuple(value)


def as_bits(value: str | int) -> Bits:
    """Return how many bits a pixel has, from ``8``, ``"16"`` or ``"auto"``.

    Raises
    ------
    ConfigError
        If it is no such thing.
    """
    known: dict[str, Bits] = {"auto": "auto", "8": 8, "16": 16}
    if str(value) not in known:
        raise ConfigError(f"bits must be auto, 8 or 16 (of a pixel), not {value!r}")
    return known[str(value)]


def as_size(value: str | int | Sequence[int] | None) -> tuple[int, ...] | None:
    """Return a picture's size as (H, W), from ``64``, ``"64x48"`` or ``(64, 48)``.

    Raises
    ------
    ConfigError
        If it is no such thing.
    """
    if value is None:
        return None
    numbers = _integers(value, "size", "64x48 (height x width)")
    numbers = numbers * 2 if len(numbers) == 1 else numbers
    if len(numbers) != 2:
        raise ConfigError(f"size must be a height and a width such as 64x48, not {value!r}")
    return numbers


def as_shape(value: str | Sequence[int] | None) -> tuple[int, ...] | None:
    """Return a picture's shape as (H, W, C), from ``"28x28x1"``, ``"28x28"`` or a tuple.

    Raises
    ------
    ConfigError
        If it is no such thing.
    """
    if value is None:
        return None
    numbers = _integers(value, "shape", "28x28x1 (height x width x channels)")
    numbers = (*numbers, 1) if len(numbers) == 2 else numbers
    if len(numbers) != 3:
        raise ConfigError(f"shape must be height x width x channels, such as 28x28x1, not {value!r}")
    return numbers


def _integers(value: str | int | Sequence[int], argument: str, example: str) -> tuple[int, ...]:
    parts = value.lower().replace("*", "x").split("x") if isinstance(value, str) else [value] if isinstance(value, int) else list(value)
    try:
        numbers = tuple(int(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{argument} must be whole numbers such as {example}, not {value!r}") from error
    if min(numbers, default=0) < 1:
        raise ConfigError(f"{argument} must be positive whole numbers such as {example}, not {value!r}")
    return numbers
