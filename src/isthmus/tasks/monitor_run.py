"""A monitor at work: it takes batches, keeps its state after each, and goes on from there after whatever happened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.data import Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.detector import BLOCK, Detector
from isthmus.tasks.monitor import Health, Monitor
from isthmus.tasks.monitor_budget import SINGLE, Budget
from isthmus.tasks.monitor_detector import View
from isthmus.tasks.monitor_feed import Batch, sources
from isthmus.tasks.monitor_state import Memory, digest, told

if TYPE_CHECKING:
    from isthmus.tasks.monitor import Watched


def place(model: Path) -> Path:
    """Return where the state of a model's monitor lies if nothing is said: beside the model."""
    whole = model.resolve()
    return whole.with_name(f"{whole.name}.monitor.json")


class Session:
    """A monitor with its memory.

    Parameters
    ----------
    model : path
        Folder of a detector.
    state : path, optional
        File of the state; beside the model by default.
    budget : Budget, optional
        That of the state by default, else one false alarm in 1,000 rows.
    out : path, optional
        ``.jsonl`` or ``.csv`` file to which events are added.
    column : str, optional
        Column with the rows' time, for a budget of time.

    Raises
    ------
    ArtifactError
        If the model cannot be opened.
    ConfigError
        If the state is not one of this model, or there is no such column.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.data import from_any
    >>> rng = np.random.default_rng(0)
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows = rng.standard_normal((600, 4)) @ rng.standard_normal((4, 4))
    >>> _ = Detector.fit(from_any(rows[:400])).save(folder / "pump")
    >>> session = Session(folder / "pump")
    >>> [health] = session.take(Batch("today", 0.0, lambda: from_any(rows[400:])))
    >>> health.rows, health.verdict, session.memory.path.name
    (200, 'healthy', 'pump.monitor.json')
    """

    def __init__(
        self, model: Path, state: Path | None = None, budget: Budget | None = None, out: Path | None = None, column: str | None = None
    ) -> None:
        self.detector = Detector.load(model)
        self.memory = Memory.open(state or place(model), digest(model / "config.json"), out)
        known = Budget.parse(self.memory.budget) if self.memory.budget else Budget()
        self.budget = budget or known
        self.column = column
        if column is not None and column not in self.detector.columns:
            raise ConfigError(f"the model has no column {column!r}, so it cannot tell the time. Give one of its columns")
        self.view: Watched = View(self.detector)
        self.monitor = Monitor(self.view, self.budget, self.memory.monitor)

    def doubts(self) -> list[str]:
        """Return what is to be known before the first batch."""
        rows, found = self.view.calibration, list[str]()
        needed = round(1.0 / (SINGLE * self.budget.rate(1.0))) - rows - 1 if self.budget.unit == "rows" else 0
        if needed > self.monitor.evidence.course.remembered:
            found.append(
                f"with {rows:,} calibration rows a single strange row cannot ring at this budget before {needed:,} rows were watched; "
                "several that follow each other can"
            )
        if self.monitor.windows is None:
            found.append("the model keeps too few healthy rows to compare with: drift is judged against the first 1,000 rows watched")
        return found

    def take(self, batch: Batch) -> list[Health]:
        """Take a batch, and keep the state.

        Parameters
        ----------
        batch : Batch

        Returns
        -------
        list of Health
            One, or one for each block of a large file; none if the file was taken before. What cannot be read is told by a note.
        """
        if batch.digest and self.memory.knows(batch.digest):
            return []
        before = self.monitor.to_json()
        try:
            found = [self._update(source, batch) for source in sources(batch.open(), BLOCK)]
        except DataError as error:
            self.monitor = Monitor(self.view, self.budget, before)
            found = [self.monitor.unscored(batch.name, batch.time, str(error))]
        events = [event for health in found for event in told(health)]
        self.memory.save(self.monitor.to_json(), str(self.budget), events, (batch.digest, batch.name) if batch.digest else None)
        return found

    def _update(self, source: Source, batch: Batch) -> Health:
        time, seconds = self._times(source, batch.time)
        return self.monitor.update(source, time=time, seconds=seconds)

    def _times(self, source: Source, time: float) -> tuple[float, float | None]:
        if self.column is None or self.column not in source.names:
            return time, None
        values = np.asarray(source.array[:, source.names.index(self.column)], np.float64)
        values = values[np.isfinite(values)]
        return (float(values.max()), float(np.ptp(values)) or None) if len(values) else (time, None)
