"""How a column of a mixed table becomes values that a network sees, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from statistics import NormalDist
from typing import Any, ClassVar, cast

import numpy as np

from isthmus.data import dates
from isthmus.data.kinds import Column
from isthmus.data.source import Array
from isthmus.errors import ConfigError
from isthmus.fields import Part

# Numbers farther out than this many standard deviations are told from nearer ones no more: float32 has to square them.
FARTHEST = 1e6
_LARGEST = float(np.finfo(np.float64).max)


class Coder(ABC):
    """A map from a column to the values of its parts, and back; missing values are none of its business."""

    kind: ClassVar[str]

    @abstractmethod
    def parts(self, name: str) -> tuple[Part, ...]:
        """Return what the values are."""

    @abstractmethod
    def forward(self, values: Array) -> Array:
        """Return the values of the parts, shape (width, n), of a column of shape (n,) without NaN."""

    @abstractmethod
    def backward(self, parts: Array) -> Array:
        """Return the column, shape (n,) float64, of the values of its parts, shape (width, n)."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return everything `restored` needs."""


@dataclass(frozen=True)
class Affine(Coder):
    """A number, less its middle and divided by its spread; of a count the logarithm of what is one more than it.

    Parameters
    ----------
    offset, divisor : float
    count : bool
    whole : bool
        Whether what comes back is rounded.
    """

    offset: float
    divisor: float
    count: bool = False
    whole: bool = False
    kind: ClassVar[str] = "affine"

    def parts(self, name: str) -> tuple[Part, ...]:
        """Return one number, or one count with its scale."""
        return (Part(name, "count", 1, name, self.offset, self.divisor) if self.count else Part(name, "number", 1, name),)

    def forward(self, values: Array) -> Array:
        """Return the scaled values; they end a million standard deviations out."""
        with np.errstate(all="ignore"):
            # Below zero there are no counts: they go on as strangely far as those above.
            values = np.copysign(np.log1p(np.abs(values)), values) if self.count else values
            scaled = (values - self.offset) / self.divisor
            if not np.isfinite(scaled.sum()):
                scaled = np.where(np.isfinite(scaled), scaled, values / self.divisor - self.offset / self.divisor)
        return np.clip(scaled, -FARTHEST, FARTHEST)[None]

    def backward(self, parts: Array) -> Array:
        """Return the numbers."""
        with np.errstate(over="ignore"):
            found = parts[0].astype(np.float64) * self.divisor + self.offset
            found = np.maximum(np.expm1(found), 0.0) if self.count else found
        found = np.clip(found, -_LARGEST, _LARGEST)
        return np.rint(found) if self.whole or self.count else found

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return offset, divisor and what they are of."""
        return {"offset": self.offset, "divisor": self.divisor, "count": self.count, "whole": self.whole}, {}


@dataclass(frozen=True, eq=False)
class Quantiles(Coder):
    """A number with heavy tails, mapped by its quantiles to those of a normal distribution, in straight lines between them and beyond.

    Parameters
    ----------
    knots : ndarray of shape (k,)
        Quantiles, ascending.
    scores : ndarray of shape (k,)
        The normal ones, ascending.
    slopes : ndarray of shape (2,)
        Scores a unit below the first and above the last knot.
    whole : bool
        Whether what comes back is rounded.
    """

    knots: Array
    scores: Array
    slopes: Array
    whole: bool = False
    kind: ClassVar[str] = "quantiles"

    def parts(self, name: str) -> tuple[Part, ...]:
        """Return one number."""
        return (Part(name, "number", 1, name),)

    def forward(self, values: Array) -> Array:
        """Return the normal scores; they end at a million."""
        unit = self._unit
        knots, scaled = self.knots * unit, values * unit
        with np.errstate(all="ignore"):
            found = np.interp(scaled, knots, self.scores)
            found = np.where(scaled < knots[0], self.scores[0] + (scaled - knots[0]) * (self.slopes[0] / unit), found)
            found = np.where(scaled > knots[-1], self.scores[-1] + (scaled - knots[-1]) * (self.slopes[1] / unit), found)
        return np.clip(found, -FARTHEST, FARTHEST)[None]

    def backward(self, parts: Array) -> Array:
        """Return the numbers."""
        unit = self._unit
        knots, scores = self.knots * unit, parts[0].astype(np.float64)
        with np.errstate(over="ignore"):
            found = cast("Array", np.interp(scores, self.scores, knots))
            found = np.where(scores < self.scores[0], knots[0] + (scores - self.scores[0]) * unit / self.slopes[0], found)
            found = np.where(scores > self.scores[-1], knots[-1] + (scores - self.scores[-1]) * unit / self.slopes[1], found)
            found = np.clip(found / unit, -_LARGEST, _LARGEST)
        return np.rint(found) if self.whole else found

    @property
    def _unit(self) -> float:
        """A power of two that keeps the differences of the largest numbers within the range of numbers."""
        return 2.0**-80 if max(-self.knots[0], self.knots[-1]) > 1e150 else 1.0

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the knots."""
        return {"whole": self.whole}, {"knots": self.knots, "scores": self.scores, "slopes": self.slopes}


@dataclass(frozen=True)
class Truth(Coder):
    """A boolean, 0 or 1."""

    kind: ClassVar[str] = "truth"

    def parts(self, name: str) -> tuple[Part, ...]:
        """Return one boolean."""
        return (Part(name, "boolean", 1, name),)

    def forward(self, values: Array) -> Array:
        """Return the values as they are."""
        return values[None]

    def backward(self, parts: Array) -> Array:
        """Return 1 from one half on, else 0."""
        return (parts[0] >= 0.5).astype(np.float64)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return nothing."""
        return {}, {}


@dataclass(frozen=True, eq=False)
class Slots(Coder):
    """A category, one slot of several being on. Slot 0 is for one never seen in training; the last may be shared by all rare ones.

    Parameters
    ----------
    slots : ndarray of shape (categories,), int64
        The slot of each.
    width : int
        How many slots there are.
    shared : bool
        Whether the last one is shared.
    """

    slots: Array
    width: int
    shared: bool
    kind: ClassVar[str] = "slots"

    def parts(self, name: str) -> tuple[Part, ...]:
        """Return one category."""
        return (Part(name, "category", self.width, name),)

    def forward(self, values: Array) -> Array:
        """Return the slots, 0 and 1; a code that is no category's is a category never seen, or any rare one right after the last."""
        table = np.append(self.slots, [self.width - 1 if self.shared else 0, 0])
        codes = values.astype(np.int64)
        codes[(codes < 0) | (codes > len(self.slots))] = len(self.slots) + 1
        out = np.zeros((self.width, len(values)), np.float32)
        out[table[codes], np.arange(len(values))] = 1
        return out

    def backward(self, parts: Array) -> Array:
        """Return the code of the highest slot: -1 for one never seen, and right after the last for any rare one."""
        codes = np.full(self.width, -1.0)
        own = np.flatnonzero((self.slots > 0) & (self.slots < self.width - int(self.shared)))
        codes[self.slots[own]] = own
        if self.shared:
            codes[-1] = len(self.slots)
        return codes[np.argmax(parts, axis=0)]

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the slots."""
        return {"width": self.width, "shared": self.shared}, {"slots": self.slots}


@dataclass(frozen=True)
class Times(Coder):
    """A date: a scaled number for how late it is, and an angle for each part that comes round again.

    Parameters
    ----------
    offset, divisor : float
        In seconds.
    cycles : tuple of {"hour of day", "weekday", "day of year"}
    whole : bool
        Whether what comes back is rounded to days.
    """

    offset: float
    divisor: float
    cycles: tuple[str, ...] = ()
    whole: bool = False
    kind: ClassVar[str] = "times"

    def parts(self, name: str) -> tuple[Part, ...]:
        """Return a number and angles."""
        return (Part(name, "number", 1, name), *(Part(f"{name}: {cycle}", "angle", 2, name) for cycle in self.cycles))

    def forward(self, values: Array) -> Array:
        """Return the scaled time, and cosine and sine of each angle."""
        columns = [np.clip((values - self.offset) / self.divisor, -FARTHEST, FARTHEST)]
        for cycle in self.cycles:
            angle = dates.angle(values, cycle)
            columns += [np.cos(angle), np.sin(angle)]
        return np.stack(columns)

    def backward(self, parts: Array) -> Array:
        """Return the seconds that the scaled time says."""
        found = parts[0].astype(np.float64) * self.divisor + self.offset
        return np.rint(found / dates.DAY) * dates.DAY if self.whole else found

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return offset, divisor and cycles."""
        return {"offset": self.offset, "divisor": self.divisor, "cycles": list(self.cycles), "whole": self.whole}, {}


def scores_of(shares: Array) -> Array:
    """Return the normal distribution's quantiles at `shares` within (0, 1)."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(share) for share in shares.tolist()], np.float64)


_AFFINE = {"offset": float, "divisor": float, "count": bool, "whole": bool}
_ENTRIES: dict[str, dict[str, type]] = {
    "affine": _AFFINE,
    "quantiles": {"whole": bool},
    "truth": {},
    "slots": {"width": int, "shared": bool},
    "times": {"offset": float, "divisor": float, "cycles": list, "whole": bool},
}
_ARRAYS = {"quantiles": ("knots", "scores", "slopes"), "slots": ("slots",)}


def restored(column: Column, entry: Mapping[str, Any], arrays: Mapping[str, Array]) -> Coder:
    """Rebuild the coder of a column from its kind and its state.

    Raises
    ------
    ConfigError
        If an entry is missing, unknown or wrong.
    """
    kind = entry.get("kind")
    wanted = _ENTRIES.get(kind) if isinstance(kind, str) else None
    given = {name: value for name, value in entry.items() if name != "kind"}
    if wanted is None or set(given) != set(wanted) or set(arrays) != set(_ARRAYS.get(str(kind), ())):
        raise ConfigError(f"preprocessor: column {column.name!r} has no complete coder of a known kind")
    for name, value in given.items():
        if type(value) is not wanted[name] or (name == "divisor" and not value > 0) or (wanted[name] is float and not isfinite(value)):
            raise ConfigError(f"preprocessor: column {column.name!r}: {name} must be a {wanted[name].__name__} that fits, not {value!r}")
    if kind == "quantiles":
        return _quantiles(column, given, arrays)
    if kind == "slots":
        return _slots(column, given, arrays["slots"])
    if kind == "times":
        if not set(given["cycles"]) <= set(dates.CYCLES):
            raise ConfigError(f"preprocessor: column {column.name!r}: the cycles must be some of {dates.CYCLES}")
        return Times(given["offset"], given["divisor"], tuple(given["cycles"]), given["whole"])
    return Truth() if kind == "truth" else Affine(**given)


def _quantiles(column: Column, given: Mapping[str, Any], arrays: Mapping[str, Array]) -> Coder:
    knots, scores, slopes = (np.array(arrays[name], np.float64) for name in ("knots", "scores", "slopes"))
    rising = all(array.ndim == 1 and len(array) and np.all(np.isfinite(array)) and np.all(np.diff(array) > 0) for array in (knots, scores))
    if not rising or knots.shape != scores.shape or slopes.shape != (2,) or not np.all(np.isfinite(slopes) & (slopes > 0)):
        raise ConfigError(f"preprocessor: column {column.name!r}: the quantiles must rise")
    return Quantiles(knots, scores, slopes, given["whole"])


def _slots(column: Column, given: Mapping[str, Any], slots: Array) -> Coder:
    width = given["width"]
    fits = slots.shape == (len(column.categories),) and slots.dtype == np.int64 and 2 <= width <= 1 + len(slots) + 1
    if not fits or (len(slots) and (slots.min() < 0 or slots.max() >= width)):
        raise ConfigError(f"preprocessor: column {column.name!r}: the slots do not fit its {len(column.categories)} categories")
    return Slots(np.array(slots), width, given["shared"])
