"""Which offset and divisor bring values to a scale that trains well, and what the values are then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import numpy as np

from isthmus.data.checks import listing
from isthmus.data.moments import TINY, Summary
from isthmus.data.schema import Schema
from isthmus.data.source import Array
from isthmus.errors import ConfigError, DataError
from isthmus.fields import Support

Scale = Literal["standard", "robust", "unit", "none"]
SCALES = ("auto", *get_args(Scale))
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Plan:
    """Scaled value = (value - offset) / divisor.

    Parameters
    ----------
    scale : {"standard", "robust", "unit", "none"}
        The resolved scale.
    support : {"real", "unit", "binary"}
        Where the scaled values lie.
    offset, divisor : ndarray of shape (d,) or (1,)
        In the data's own units, float64; the divisor is positive.
    notes : list of str
        What was decided.
    """

    scale: Scale
    support: Support
    offset: Array
    divisor: Array
    notes: list[str] = field(default_factory=list[str])


def needs_moments(schema: Schema, scale: str) -> bool:
    """Return whether `make_plan` may need mean and deviation."""
    return scale in ("standard", "robust") or (scale == "auto" and schema.kind == "table")


def make_plan(summary: Summary, schema: Schema, scale: str) -> Plan:
    """Choose offset and divisor.

    Parameters
    ----------
    summary : Summary
        Range and moments: of each column for a table, of all values for pictures.
    schema : Schema
        Kind and dtype of the data.
    scale : {"auto", "standard", "robust", "unit", "none"}
        The scale asked for.

    Returns
    -------
    Plan
        The resolved scale with its numbers.

    Raises
    ------
    ConfigError
        If the scale is unknown.
    DataError
        If the data have no spread, or numbers too large to compute with.
    """
    if scale not in SCALES:
        raise ConfigError(f"scale must be one of {SCALES}, not {scale!r}")
    if summary.rows > 1:
        _refuse_constant(bool(np.all(summary.flat)), summary)
    resolved: Scale = _resolve(summary, schema) if scale == "auto" else cast("Scale", scale)
    plan = {"standard": _standard, "robust": _robust, "unit": _unit, "none": _none}[resolved](summary, schema)
    if not np.all(np.isfinite(plan.offset)) or not np.all(np.isfinite(plan.divisor)):
        raise DataError(f"values as large as {_largest(summary):.3g} cannot be scaled. Give the data in other units, or drop such columns")
    return plan


def _resolve(summary: Summary, schema: Schema) -> Scale:
    known = summary.zero_one or _within_unit(summary) or _full_scale(summary, schema) is not None
    return "unit" if known or schema.kind == "pictures" else "standard"


def _within_unit(summary: Summary) -> bool:
    return float(summary.low.min()) >= 0.0 and float(summary.high.max()) <= 1.0


def _full_scale(summary: Summary, schema: Schema) -> float | None:
    """Return the largest value of pixels, where the data are pixels of a fixed range."""
    if schema.kind == "pictures":
        return {"uint8": 255.0, "uint16": 65535.0}.get(schema.dtype)
    # A table of small integers may be counts or grades; a wide range is that of flattened pictures.
    wide = float(summary.high.max() - summary.low.min()) >= 128
    return 255.0 if schema.dtype == "uint8" and (wide or summary.zero_full) else None


def _standard(summary: Summary, schema: Schema) -> Plan:
    _refuse_single(summary)
    # Not <= alone: an overflowing mean or deviation has to be told as such, later.
    constant = (summary.deviation == 0) | (summary.deviation <= TINY * np.abs(summary.mean)) & np.isfinite(summary.mean)
    _refuse_constant(bool(np.all(constant)), summary)
    what = "each column" if schema.kind == "table" else "all pictures together"
    notes = [f"scale standard: mean taken off and divided by the standard deviation of {what}"]
    return Plan("standard", "real", summary.mean, np.where(constant, 1.0, summary.deviation), notes + _constant_note(constant, schema))


def _robust(summary: Summary, schema: Schema) -> Plan:
    _refuse_single(summary)
    if summary.quartiles is None:
        raise ConfigError("scale 'robust' needs the quartiles. Summarise the data with quartiles=True")
    low, middle, high = summary.quartiles
    spread = high - low
    # Where half of the values are the same, the quartiles say nothing about the others.
    narrow = ~summary.flat & (spread <= TINY * np.abs(middle))
    divisor = np.where(summary.flat, 1.0, np.where(narrow, summary.deviation, spread))
    what = "each column" if schema.kind == "table" else "all pictures together"
    notes = [f"scale robust: median taken off and divided by the interquartile range of {what}"]
    if summary.rank_error:
        notes.append(f"the quartiles are estimates; their ranks are off by about {summary.rank_error:.1g} of the rows")
    if np.any(narrow):
        notes.append(f"divided by the standard deviation, for their quartiles are equal: {listing(_names(narrow, schema))}")
    return Plan("robust", "real", middle, divisor, notes + _constant_note(summary.flat, schema))


def _unit(summary: Summary, schema: Schema) -> Plan:
    if summary.zero_one:
        return _fixed(1.0, "binary", "scale unit: the values are 0 and 1 and stay so")
    full = _full_scale(summary, schema)
    if full is not None:
        support: Support = "binary" if summary.zero_full and full == 255 else "unit"
        return _fixed(full, support, f"scale unit: divided by {full:g}")
    if schema.dtype.startswith("float") and _within_unit(summary):
        return _fixed(1.0, "unit", "scale unit: the values lie within 0 and 1 and stay so")
    return _min_max(summary, schema)


def _fixed(divisor: float, support: Support, note: str) -> Plan:
    return Plan("unit", support, np.zeros(1), np.full(1, divisor), [note])


def _min_max(summary: Summary, schema: Schema) -> Plan:
    _refuse_single(summary)
    constant = summary.flat
    what = "each column" if schema.kind == "table" else f"all pictures together ({summary.low[0]:g} to {summary.high[0]:g})"
    notes = [f"scale unit: smallest and largest value of {what} brought to 0 and 1"]
    divisor = np.where(constant, 1.0, summary.high - summary.low)
    return Plan("unit", "unit", summary.low, divisor, notes + _constant_note(constant, schema))


def _none(summary: Summary, _: Schema) -> Plan:
    if _largest(summary) > _FLOAT32_MAX:
        raise DataError(f"values as large as {_largest(summary):.3g} do not fit into 32-bit numbers. Use scale='standard'")
    support: Support = "binary" if summary.zero_one else "unit" if _within_unit(summary) else "real"
    return Plan("none", support, np.zeros(1), np.ones(1), ["scale none: the values stay as they are"])


def _largest(summary: Summary) -> float:
    return float(max(np.abs(summary.low).max(), np.abs(summary.high).max()))


def _refuse_single(summary: Summary) -> None:
    if summary.rows == 1:
        raise DataError("the data have one row (1 sample): a spread cannot be measured. Give at least 2 rows, or use scale='none'")


def _refuse_constant(constant: bool, summary: Summary) -> None:
    if constant:
        raise DataError(
            f"every column is constant in all {summary.rows} rows (the first: {summary.low[0]:g}): nothing to learn. Check the data"
        )


def _constant_note(constant: Array, schema: Schema) -> list[str]:
    if not np.any(constant):
        return []
    names = _names(constant, schema)
    return [f"{len(names)} constant columns are only centred: {listing(names)}"]


def _names(chosen: Array, schema: Schema) -> list[str | int]:
    return [schema.columns[j] if schema.columns else int(j) for j in np.flatnonzero(chosen)]
