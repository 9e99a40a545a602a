"""What may watch a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.extras import require
from isthmus.training.config import TrainingConfig
from isthmus.training.history import Row


class Callback:
    """Watches a run; every method does nothing unless overridden."""

    @property
    def stops(self) -> bool:
        """Whether the run is to end now, with its best weights: as after Ctrl-C."""
        return False

    def started(self, config: TrainingConfig, step: int) -> None:
        """Training begins, or goes on from `step`."""

    def stepped(self, step: int, terms: dict[str, float]) -> None:
        """A few steps were made; `terms` are the newest means."""

    def evaluated(self, row: Row, best: bool) -> None:
        """A row was added to the history; `best` says whether its weights were kept."""

    def finished(self, stopped: str) -> None:
        """Training ended: ``"steps"``, ``"time"``, ``"early"``, ``"interrupted"``, or ``"diverged"`` after an error."""


class TensorBoard(Callback):
    """Writes every history row for TensorBoard.

    Parameters
    ----------
    folder : path
        Where the event files go.

    Raises
    ------
    MissingExtraError
        If the extra ``tensorboard`` is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        require("tensorboard", "tensorboard", "writing TensorBoard files")
        self.folder = str(folder)
        self.writer: Any = None

    def started(self, config: TrainingConfig, step: int) -> None:  # noqa: ARG002
        """Open the files: only now, because of several processes only the first one gets here."""
        self.writer = require("torch.utils.tensorboard", "tensorboard", "writing TensorBoard files").SummaryWriter(self.folder)

    def evaluated(self, row: Row, best: bool) -> None:  # noqa: ARG002
        """Write one scalar per column."""
        for name, value in row.items():
            if name != "step":
                self.writer.add_scalar(name, value, int(row["step"]))

    def finished(self, stopped: str) -> None:  # noqa: ARG002
        """Close the files."""
        self.writer.close()
