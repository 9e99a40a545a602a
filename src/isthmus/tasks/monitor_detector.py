"""A fitted detector as a monitor sees it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data import Source
from isthmus.tasks.monitor import Floats, Look

if TYPE_CHECKING:
    from isthmus.tasks.detector import Detector

# Time goes on and names of rows are new: neither is drift.
_PASSING = ("date", "identifier")


class View:
    """What a monitor asks of a detector, answered by a fitted one.

    Parameters
    ----------
    detector : Detector
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    @property
    def calibration(self) -> int:
        """Number of rows behind the p-values."""
        return self.detector.calibration.rows

    @cached_property
    def _places(self) -> list[int]:
        kinds: dict[str, Any] = {column.name: column.kind for column in getattr(self.detector.layout.schema, "types", ())}
        return [j for j, name in enumerate(self.detector.columns) if kinds.get(name) not in _PASSING]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are watched for drift: all but dates and identifiers."""
        return tuple(self.detector.columns[j] for j in self._places)

    def look(self, source: Source) -> Look:
        """Score rows."""
        found = self.detector.score(source)
        matrix = np.asarray(self.detector.layout.matrix(source), np.float64)
        return Look(found.scores, found.p_values, matrix[:, self._places])

    def healthy(self) -> Floats:
        """Return the detector's sample of healthy rows."""
        return np.asarray(self.detector.references, np.float64)[:, self._places]

    def why(self, source: Source, rows: Sequence[int]) -> list[tuple[str, ...]]:
        """Return for each of the rows what made it strange."""
        return [tuple(map(str, reasons.causes)) for reasons in self.detector.reasons(source, list(rows))]
