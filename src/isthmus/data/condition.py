"""What is known of each row beside the row itself: its class, or numbers and classes of several columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ConfigError, DataError

Array = NDArray[Any]
MOST = 1000  # classes of a column
WHOLE = 20  # distinct whole numbers among floats that are still classes


@dataclass(frozen=True)
class Known:
    """One column of a condition.

    Attributes
    ----------
    name : str
    classes : tuple of str
        Its values, if they are classes; empty for numbers.
    centre, spread : float
        Mean and standard deviation of numbers.
    """

    name: str
    classes: tuple[str, ...] = ()
    centre: float = 0.0
    spread: float = 1.0

    @property
    def width(self) -> int:
        """Numbers it becomes."""
        return len(self.classes) or 1

    @classmethod
    def of(cls, name: str, values: Array) -> Known:
        """Learn a column: text, truth values and few whole numbers are classes.

        Raises
        ------
        DataError
            If there are more than 1,000 classes.
        """
        values = _plain(values)
        plain = np.unique(values) if values.dtype.kind != "O" else np.array(sorted({str(v) for v in values}))
        whole = plain.dtype.kind in "iu" or (plain.dtype.kind == "f" and len(plain) <= WHOLE and bool((plain == np.round(plain)).all()))
        if plain.dtype.kind not in "fiu" or whole:
            if len(plain) > MOST:
                raise DataError(f"{name} has {len(plain):,} classes; a condition may have {MOST:,}. Group them, or give numbers as floats")
            return cls(name, tuple(_text(plain).tolist()))
        spread = float(values.std())
        return cls(name, (), float(values.mean()), spread if spread > 0 else 1.0)

    def transform(self, values: Array) -> NDArray[np.float32]:
        """Return the values as (n, width): one-hot classes, or scaled numbers.

        Raises
        ------
        DataError
            If a class was not there in training, or a number is none.
        """
        values = _plain(values)
        if not self.classes:
            try:
                numbers = values.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise DataError(f"{self.name} was numbers in training, and {str(values.flat[0])[:40]!r} is none") from error
            return ((numbers - self.centre) / self.spread).astype(np.float32)[:, None]
        place = {label: i for i, label in enumerate(self.classes)}
        texts = _text(values)
        unseen = sorted(set(texts.tolist()) - set(place))
        if unseen:
            known = ", ".join(self.classes[:20]) + (" ..." if len(self.classes) > 20 else "")
            raise DataError(f"{self.name} has the class {unseen[0]!r}, which was not there in training; known are {known}")
        found = np.zeros((len(values), self.width), np.float32)
        found[np.arange(len(values)), [place[text] for text in texts.tolist()]] = 1
        return found


def _plain(values: Array) -> Array:
    """Return objects as the one type that all of them have, if they do: a column beside one of text is numbers still."""
    alike = values.dtype.kind == "O" and len({isinstance(v, str) for v in values.tolist()}) == 1
    return np.array(values.tolist()) if alike else values


def _text(values: Array) -> Array:
    """Return classes as text, whole numbers without a point."""
    if values.dtype.kind == "f":
        return np.array([str(int(v)) if v == round(v) else str(v) for v in values.tolist()], dtype=object)
    return np.array([str(v) for v in values.tolist()], dtype=object)


@dataclass(frozen=True)
class Condition:
    """How the condition of rows becomes numbers.

    Attributes
    ----------
    columns : tuple of Known

    Examples
    --------
    >>> condition = Condition.fit(np.array(["cat", "dog", "cat"]))
    >>> condition.transform(["dog"]).tolist()
    [[0.0, 1.0]]
    """

    columns: tuple[Known, ...]

    @property
    def width(self) -> int:
        """Numbers in all."""
        return sum(column.width for column in self.columns)

    @classmethod
    def fit(cls, values: Any, names: Sequence[str] = ()) -> Condition:
        """Learn the columns of `values`, shape (n,) or (n, c).

        Raises
        ------
        DataError
            If a value is missing, or there are too many classes.
        """
        columns = _columns(values)
        told = list(names) or (["the condition"] if len(columns) == 1 else [f"condition {i}" for i in range(len(columns))])
        for name, column in zip(told, columns):
            _refuse_missing(name, column)
        return cls(tuple(Known.of(name, column) for name, column in zip(told, columns)))

    def transform(self, values: Any, rows: int | None = None) -> NDArray[np.float32]:
        """Return conditions of shape (n, width).

        Parameters
        ----------
        values : array-like of shape (n,) or (n, c)
        rows : int, optional
            How many there must be.

        Raises
        ------
        DataError
            If there are more or fewer of them, a value is missing, or a class was not there in training.
        """
        columns = _columns(values)
        if len(columns) != len(self.columns):
            raise DataError(f"the condition has {len(columns)} columns, but {len(self.columns)} in training")
        if rows is not None and len(columns[0]) != rows:
            raise DataError(f"there are {rows:,} rows but {len(columns[0]):,} conditions (y): give one for each row")
        for known, column in zip(self.columns, columns):
            _refuse_missing(known.name, column)
        return np.concatenate([known.transform(column) for known, column in zip(self.columns, columns)], axis=1)

    def nearest(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return conditions of shape (n, width) whose classes are one each, the likeliest, and whose numbers are as they were.

        Examples
        --------
        >>> Condition.fit(np.array(["cat", "dog"])).nearest(np.array([[0.2, 0.7]], np.float32)).tolist()
        [[0.0, 1.0]]
        """
        parts = np.split(values, np.cumsum([column.width for column in self.columns])[:-1], axis=1)
        one = [np.eye(c.width, dtype=np.float32)[p.argmax(1)] if c.classes else p for c, p in zip(self.columns, parts)]
        return np.concatenate(one, axis=1)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the columns as plain JSON types."""
        return [{**asdict(column), "classes": list(column.classes)} for column in self.columns]

    @classmethod
    def from_json(cls, entries: Any) -> Condition:
        """Rebuild a condition from what `to_json` gave.

        Raises
        ------
        ConfigError
            If an entry is wrong.
        """
        try:
            listed = cast("Sequence[Mapping[str, Any]]", entries)
            return cls(tuple(_known(entry) for entry in listed))
        except (TypeError, KeyError, ValueError) as error:
            raise ConfigError(f"not a condition: {str(entries)[:80]} ({error})") from error


def _known(entry: Mapping[str, Any]) -> Known:
    classes = tuple(map(str, entry["classes"]))
    return Known(str(entry["name"]), classes, float(entry["centre"]), float(entry["spread"]))


def _columns(values: Any) -> list[Array]:
    """Return the columns of an array, a list, or a frame of any kind."""
    if hasattr(values, "columns") and not isinstance(values, np.ndarray):
        frame: Any = values
        return [np.asarray(frame[name]) for name in frame.columns]
    array: Array = np.asarray(cast("Any", values))
    if array.ndim not in (1, 2):
        raise DataError(f"a condition is one value per row, or a few, not an array of shape {array.shape}")
    return [array] if array.ndim == 1 else list(array.T)


def _refuse_missing(name: str, column: Array) -> None:
    values: list[Any] = column.tolist()
    missing = sum(value is None or value != value for value in values)
    if missing:
        raise DataError(f"{name} is missing in {missing} of {len(values):,} rows: leave these rows out, or fill them")
