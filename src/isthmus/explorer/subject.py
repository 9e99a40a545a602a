"""What is explored: rows, their codes, and what can be asked of the model that made them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Source
from isthmus.errors import ConfigError
from isthmus.explorer.contents import Contents
from isthmus.tasks.conformal import Conformal

Array = NDArray[Any]
Floats = NDArray[np.float64]
REACH = 3.0


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that are looked at.

    Attributes
    ----------
    source : Source
        In memory.
    total : int
        Rows of the data that they were taken from.
    labels : ndarray of shape (n,), optional
        Known classes, or measures, for looking only.
    held : ndarray of int of shape (h,), optional
        Which of them the fit held out; None if these are other data than the model was fitted on.
    healthy : Source, optional
        Rows that the model has not seen, to calibrate with.
    """

    source: Source
    total: int
    labels: Array | None = None
    held: NDArray[np.int64] | None = None
    healthy: Source | None = None


class Subject(ABC):
    """A fitted model and rows, as the explorer asks of them.

    Codes are computed once; scores when they are first asked for.

    Parameters
    ----------
    name : str
        What people call the model.
    rows : Rows
    """

    code_name: ClassVar[str] = "code"
    anomalies: ClassVar[bool] = True

    def __init__(self, name: str, rows: Rows) -> None:
        self.name = name
        self.rows = rows
        self.lock = RLock()

    def __len__(self) -> int:
        return len(self.rows.source)

    @property
    @abstractmethod
    def family(self) -> str:
        """Name of the kind of model."""

    @abstractmethod
    def find_contents(self) -> Contents:
        """Return how rows are shown."""

    @abstractmethod
    def find_matrix(self) -> Array:
        """Return the rows in the data's own units, shape (n, \\*shape)."""

    @abstractmethod
    def find_codes(self) -> Array:
        """Return the code of every row, shape (n, L), float32."""

    @abstractmethod
    def carried(self) -> tuple[Array, str]:
        """Return how much each code unit carries, shape (L,), and in which unit: "nats" or "variance"."""

    @abstractmethod
    def decode(self, codes: Array, draw: bool = False, seed: int = 0) -> Array:
        """Return rows in the data's own units, shape (m, \\*shape), of codes of shape (m, L): the mean, or a draw."""

    @abstractmethod
    def rebuild(self, rows: list[int]) -> Array:
        """Return rows rebuilt from their codes, shape (m, \\*shape)."""

    @abstractmethod
    def sample(self, count: int, seed: int) -> tuple[Array, str]:
        """Return new codes, shape (count, L), and what they were drawn from."""

    @abstractmethod
    def strangeness(self, source: Source) -> Floats:
        """Return how strange rows are, shape (m,): the higher, the stranger."""

    @abstractmethod
    def find_calibration(self) -> Conformal | None:
        """Return the scores of healthy rows that the model has not seen, if any are known."""

    @abstractmethod
    def reasons(self, rows: list[int], top: int = 5) -> list[list[dict[str, Any]]]:
        """Return for each row the columns that made it strange, the strongest first."""

    @property
    @abstractmethod
    def draws(self) -> bool:
        """Whether the decoder gives a distribution that can be drawn from."""

    @property
    @abstractmethod
    def output(self) -> str:
        """Name of the decoder's distribution."""

    @property
    @abstractmethod
    def score_told(self) -> str:
        """What the score is."""

    @cached_property
    def contents(self) -> Contents:
        """How rows are shown."""
        return self.find_contents()

    @cached_property
    def matrix(self) -> Array:
        """The rows in the data's own units, shape (n, \\*shape)."""
        return self.find_matrix()

    @cached_property
    def codes(self) -> Array:
        """The code of every row, shape (n, L), float32."""
        return np.ascontiguousarray(self.find_codes(), np.float32)

    @property
    def width(self) -> int:
        """Units of a code."""
        return int(self.codes.shape[1])

    @cached_property
    def scores(self) -> Floats:
        """How strange every row is, shape (n,)."""
        with self.lock:
            known = self.__dict__.get("scores")  # by another thread meanwhile
            return self.strangeness(self.rows.source) if known is None else known

    @cached_property
    def calibration(self) -> Conformal | None:
        """The scores of healthy rows that the model has not seen, sorted; None if none are known."""
        with self.lock:
            return self.__dict__["calibration"] if "calibration" in self.__dict__ else self.find_calibration()

    @property
    def scored(self) -> bool:
        """Whether the scores of all rows are known already."""
        return "p_all" in self.__dict__

    def judged(self, row: int) -> tuple[float | None, float | None]:
        """Return score and p-value of a row; neither as long as scores are being reckoned, no p-value where no healthy rows are known."""
        if not self.scored:
            return None, None
        return float(self.scores[row]), None if self.p_all is None else float(self.p_all[row])

    def prepare(self) -> None:
        """Reckon what may take long: the scores of all rows."""
        _ = self.p_all

    def threshold(self) -> dict[str, Any]:
        """Return the threshold on the score that the model itself has, and what it means; nothing if it has none."""
        return {}

    @cached_property
    def p_all(self) -> Floats | None:
        """The p-value of every row, shape (n,): the share of healthy rows that are at least as strange; None if none are known."""
        return None if self.calibration is None else self.calibration.p_values(self.scores)

    @cached_property
    def dims(self) -> list[dict[str, Any]]:
        """What is known of each code unit: what it carries, and its range."""
        carried, unit = self.carried()
        codes = self.codes.astype(np.float64)
        mean, spread = codes.mean(0), codes.std(0)
        low, high = mean - REACH * spread, mean + REACH * spread
        names = self.unit_names()
        return [
            {
                "index": j,
                "name": names[j],
                "carries": float(carried[j]),
                "unit": unit,
                "low": float(low[j]),
                "high": float(high[j]),
                "mean": float(mean[j]),
            }
            for j in range(self.width)
        ]

    def unit_names(self) -> list[str]:
        """Return what the code units are called."""
        return [f"z{j}" for j in range(self.width)]

    def check(self, codes: Array) -> Array:
        """Return codes as they can be decoded.

        Raises
        ------
        ConfigError
            If they have another width.
        """
        if codes.ndim != 2 or codes.shape[1] != self.width:
            raise ConfigError(f"a code has {self.width} numbers, not {codes.shape[-1]}: give one for each code unit")
        return codes
