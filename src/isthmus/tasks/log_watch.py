"""From the lines of a log to windows: each line gets its template, each template its number."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.data.logs import Fit, Miner, Parser, Record, Tally
from isthmus.tasks.log_windows import Plan, Window, Windows, of_keys

NOVEL = 1_000_000  # templates first seen after training have numbers from here on


@dataclass
class Keys:
    """Numbers of templates: those of training, which stay as they are, and those that came later.

    Parameters
    ----------
    miner : Miner
        Templates of training.
    names : dict of str to int
        Keys of ready sequences, where there are no lines to mine.
    novel : Miner
        Templates that came later.

    Examples
    --------
    >>> keys = Keys(Miner())
    >>> keys.learn("disk ok"), keys.find("disk ok"), keys.find("what is this"), keys.text(NOVEL + 1)
    ((1, False), (1, False), (1000001, False), 'what is this')
    """

    miner: Miner
    names: dict[str, int] = field(default_factory=dict[str, int])
    novel: Miner = field(default_factory=Miner)

    def __post_init__(self) -> None:
        self._strange: dict[str, int] = {}
        self._texts = {number: name for name, number in self.names.items()}

    def learn(self, message: str, level: str = "") -> tuple[int, bool]:
        """Return the number of a line's template, and whether the template had to be loosened for it."""
        number, fit = self.miner.add(message, level)
        return number, fit is Fit.LOOSER

    def find(self, message: str, level: str = "") -> tuple[int, bool]:
        """Return the same for a line that must not change what was learned."""
        number, fit = self.miner.find(message, level)
        if number is None:
            return NOVEL + self.novel.add(message, level)[0], False
        return number, fit is Fit.LOOSER

    def learn_name(self, name: str) -> int:
        """Return the number of a ready key."""
        number = self.names.setdefault(name, len(self.names))
        self._texts[number] = name
        return number

    def find_name(self, name: str) -> int:
        """Return the number of a ready key that must not change what was learned."""
        found = self.names.get(name)
        if found is None:
            found = self._strange.setdefault(name, NOVEL + len(self._strange))
            self._texts[found] = name
        return found

    def text(self, number: int) -> str:
        """Return a template as one line, or a ready key as it is."""
        if number in self._texts:
            return self._texts[number]
        known = self.novel.templates.get(number - NOVEL) if number >= NOVEL else self.miner.templates.get(number)
        return known.text if known else ""


class Watch:
    """Follow one log: its lines go in, its windows come out.

    Parameters
    ----------
    keys : Keys
    plan : Plan
    parser : Parser
        Takes lines apart, and counts them.
    learn : bool
        Whether templates are learned.
    """

    def __init__(self, keys: Keys, plan: Plan, parser: Parser, learn: bool = False) -> None:
        self.keys, self.parser = keys, parser
        self.windows = Windows(plan, parser.tally, samples=not learn)
        self._key = keys.learn if learn else keys.find

    def feed(self, records: Iterable[Record]) -> list[Window]:
        """Add the next lines, and return the windows that are over."""
        over: list[Window] = []
        for record in records:
            if record.line:
                key, loosened = self._key(record.message, record.level)
                over += self.windows.add(record, key, loosened)
        return over

    @property
    def tally(self) -> Tally:
        """Counts of lines."""
        return self.parser.tally

    def state(self) -> dict[str, Any]:
        """Return all but the templates of training as JSON."""
        return {"parser": self.parser.state(), "windows": self.windows.state(), "novel": self.keys.novel.state()}

    @classmethod
    def from_state(cls, keys: Keys, plan: Plan, state: dict[str, Any]) -> Watch:
        """Go on from what `state` told."""
        found = cls(Keys(keys.miner, keys.names, Miner.from_state(state["novel"])), plan, Parser.from_state(state["parser"]))
        found.windows.restore(state["windows"])
        return found


@dataclass
class Reservoir:
    """A random sample of windows as they come by, and in how many of all windows each template is (Vitter's algorithm R).

    Parameters
    ----------
    most : int
        Windows to keep.
    seed : int
    """

    most: int
    seed: int = 0
    windows: list[Window] = field(default_factory=list[Window])
    support: Counter[int] = field(default_factory=Counter[int])
    partial: list[Window] = field(default_factory=list[Window])
    seen: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def add(self, windows: Sequence[Window]) -> None:
        """Add windows; partial ones only tell which templates there are, unless there is nothing else."""
        for window in windows:
            self.support.update(window.counts.keys())
            if window.partial:
                self.partial.append(window)
                continue
            self.seen += 1
            if len(self.windows) < self.most:
                self.windows.append(window)
            elif (place := self._random.randrange(self.seen)) < self.most:
                self.windows[place] = window


def of_sequence(keys: Keys, sequence: Sequence[object], name: str, learn: bool) -> Window:
    """Return the window of a sequence of ready keys."""
    number = keys.learn_name if learn else keys.find_name
    return of_keys((number(str(key)) for key in sequence), name)


def of_lines(keys: Keys, lines: Sequence[str], parser: Parser, name: str, learn: bool) -> Window:
    """Return the window of lines that belong together."""
    window, key = Window(name), keys.learn if learn else keys.find
    for record in parser.parse(lines, parser.tally.lines + 1):
        number, loosened = key(record.message, record.level)
        window.add(number, record.number, record.time, None if learn else record.line, loosened)
    parser.tally.lines += len(lines)
    return window
