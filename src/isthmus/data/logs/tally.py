"""Every line is accounted for: how many were read, and which of them were in some way unreadable."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

SHOWN, WIDEST, NOTES = 3, 160, 20
WORDS = {
    "empty": "empty lines",
    "undecodable": "lines with bytes that are no UTF-8 (shown escaped)",
    "cut": "lines that were too long (cut, their first part is kept)",
    "unparsed": "lines that do not have the format (taken as they are, at the time of the line before)",
    "timeless": "lines whose time could not be read (taken at the time of the line before)",
    "late": "lines older than their window (counted to the window that was open)",
    "outside": "lines without a session key (in no window)",
    "overflowing": "lines of new templates after the limit (counted as one template)",
}


@dataclass
class Tally:
    """Counts of lines, with the first examples of each peculiar kind.

    Parameters
    ----------
    lines : int
        Lines read so far.
    counts : Counter
        Kind of peculiarity -> lines.
    examples : dict
        Kind of peculiarity -> its first lines, as (line number, text).
    notes : list of str
        What else was noticed, such as a file that ends too early.

    Examples
    --------
    >>> tally = Tally(lines=3)
    >>> tally.count("empty", 2, "")
    >>> tally.told()
    ['3 lines read', '1 empty lines (line 2)']
    """

    lines: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, list[tuple[int, str]]] = field(default_factory=dict[str, list[tuple[int, str]]])
    notes: list[str] = field(default_factory=list[str])

    def count(self, kind: str, number: int, text: str) -> None:
        """Count a peculiar line, and keep it if it is among the first of its kind."""
        self.counts[kind] += 1
        shown = self.examples.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append((number, text[:WIDEST]))

    def note(self, text: str) -> None:
        """Keep a note, once; of very many only the first."""
        if text not in self.notes and len(self.notes) < NOTES:
            self.notes.append(text)

    def told(self) -> list[str]:
        """Return what was counted, a sentence each."""
        return [f"{self.lines:,} lines read", *(self._line(kind) for kind in WORDS if self.counts[kind]), *self.notes]

    def _line(self, kind: str) -> str:
        examples = self.examples.get(kind, [])
        first = ", ".join(f"line {number}" + (f": {text.strip()!r}" if text.strip() else "") for number, text in examples[:1])
        return f"{self.counts[kind]:,} {WORDS[kind]}" + (f" ({first})" if first else "")

    def state(self) -> dict[str, Any]:
        """Return all as JSON."""
        examples = {kind: [list(line) for line in lines] for kind, lines in self.examples.items()}
        return {"lines": self.lines, "counts": dict(self.counts), "examples": examples, "notes": list(self.notes)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Tally:
        """Return what `state` told."""
        examples = {kind: [(int(n), str(text)) for n, text in lines] for kind, lines in state["examples"].items()}
        return cls(int(state["lines"]), Counter(state["counts"]), examples, list(state["notes"]))
