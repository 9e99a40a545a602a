"""Lines on the standard error stream for `verbose`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from isthmus.tasks.choices import Choice
from isthmus.training import Callback
from isthmus.training.history import Row


class Lines(Callback):
    """Writes a line for each evaluation.

    Parameters
    ----------
    name : str
        What each line begins with.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def tell(self, choices: Sequence[Choice], notes: Sequence[str]) -> None:
        """Write what was chosen, and why."""
        for choice in choices:
            self._write(f"{choice.name} = {choice.value} ({choice.why})")
        for note in notes:
            self._write(note)

    def evaluated(self, row: Row, best: bool) -> None:
        """Write the step and the losses."""
        losses = ", ".join(f"{part} {row[part]:.6g}" for part in ("train", "held_out") if part in row)
        self._write(f"step {int(row['step'])}: {losses}{' (best)' if best else ''}")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"[{self.name}] {text}\n")
