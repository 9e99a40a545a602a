"""Templates of log messages: Drain's tree of fixed depth, on messages whose numbers are masked first.

References
----------
P. He, J. Zhu, Z. Zheng, M. R. Lyu, "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from operator import eq
from typing import Any, cast

from isthmus.errors import ArtifactError, ConfigError

ANY, NUMBER = "<*>", "<#>"
_UUID = r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
_HEX = r"(?=[A-Fa-f]*\d)(?:[0-9a-f]{8,}|[0-9A-F]{8,})(?![A-Za-z0-9])"
_MASK = re.compile(rf"(?<![A-Za-z0-9])(?:0x[0-9A-Fa-f]+|{_UUID}|{_HEX}|[-+]?\d+(?:[.:,/-]\d+)*)")
_DIGIT = re.compile(r"\d")
OVERFLOW = 0
REMEMBERED = 20_000
WIDEST = 400  # tokens of a message that are looked at


class Fit(IntEnum):
    """How a message fits the templates known so far: as it is, by loosening one of them, or only as a new one."""

    KNOWN = 0
    LOOSER = 1
    NEW = 2


@dataclass(slots=True)
class Template:
    """What messages of one kind have in common.

    Parameters
    ----------
    number : int
        From 1, in the order of the first messages; 0 stands for all that came after the limit.
    level : str
        Level of its lines: a message at another level is another template.
    tokens : list of str
        Words; ``<#>`` is a number or an address, ``<*>`` anything.
    path : tuple of str
        Where it hangs in the tree.
    count : int
        Messages so far.
    """

    number: int
    level: str
    tokens: list[str]
    path: tuple[str, ...]
    count: int = 0

    @property
    def text(self) -> str:
        """Return it as one line."""
        return " ".join([self.level, *self.tokens] if self.level else self.tokens)


def mask(message: str) -> str:
    """Return a message with its numbers, addresses and identifiers masked.

    Examples
    --------
    >>> mask("block blk_-38865 of size 67108864 from /10.251.39.209:50010 took 0x1f")
    'block blk_<#> of size <#> from /<#> took <#>'
    """
    return _MASK.sub(NUMBER, message)


class _Node:
    """A node of the tree: children by word, and the templates that hang here."""

    __slots__ = ("children", "templates")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.templates: list[Template] = []


class Miner:
    """Sort messages into templates as they come: Drain's tree of fixed depth.

    A message goes down by its level, its number of words and its first ``depth - 3`` words to a short list of templates, and to
    the one that shares most words with it, if those are at least ``similarity`` of all; where they differ, the template
    gets ``<*>``. Otherwise it begins a new template. The outcome depends on nothing but the messages and their order.

    Parameters
    ----------
    depth : int
        Levels of the tree as the paper counts them, at least 3.
    similarity : float
        Share of words, in [0, 1].
    children : int
        Different words at one place of the tree; further ones share a place.
    limit : int
        Templates at most. Messages that would begin another one count as template 0.

    Raises
    ------
    ConfigError
        If a parameter is out of its range.

    Examples
    --------
    >>> miner = Miner()
    >>> [miner.add(text)[0] for text in ("open file a.txt now", "open file b.txt now", "bye")]
    [1, 1, 2]
    >>> miner.templates[1].text
    'open file <*> now'
    """

    def __init__(self, depth: int = 4, similarity: float = 0.4, children: int = 100, limit: int = 5000) -> None:
        if depth < 3 or children < 2 or limit < 1 or not 0 <= similarity <= 1:
            raise ConfigError("the miner needs depth >= 3, children >= 2, limit >= 1 and similarity in [0, 1]")
        self.depth, self.similarity, self.children, self.limit = depth, similarity, children, limit
        self.templates: dict[int, Template] = {OVERFLOW: Template(OVERFLOW, "", ["(templates", "after", "the", "limit)"], ())}
        self._roots: dict[tuple[str, int], _Node] = {}
        # What was decided since a template last changed: looking it up gives just what the tree would give.
        self._known: dict[tuple[str, str], Template] = {}

    def add(self, message: str, level: str = "") -> tuple[int, Fit]:
        """Sort a message in, and learn from it.

        Parameters
        ----------
        message : str
        level : str

        Returns
        -------
        int
            Number of its template.
        Fit
        """
        masked = _MASK.sub(NUMBER, message)
        template = self._known.get((level, masked))
        fit = Fit.KNOWN
        if template is None:
            template, fit = self._sort((level, masked))
        template.count += 1
        return template.number, fit

    def find(self, message: str, level: str = "") -> tuple[int | None, Fit]:
        """Return the template that a message fits, without learning from it.

        Parameters
        ----------
        message : str
        level : str

        Returns
        -------
        int or None
            Number of the template; None if the message would begin a new one.
        Fit
        """
        key = (level, _MASK.sub(NUMBER, message))
        if found := self._known.get(key):
            return found.number, Fit.KNOWN
        tokens = _words(key[1])
        best = self._best(self._leaf(level, tokens), tokens)
        if best is None:
            return None, Fit.NEW
        if not _fits(best.tokens, tokens):
            return best.number, Fit.LOOSER
        self._remember(key, best)
        return best.number, Fit.KNOWN

    def _sort(self, key: tuple[str, str]) -> tuple[Template, Fit]:
        tokens = _words(key[1])
        best = self._best(self._leaf(key[0], tokens), tokens)
        if best is None:
            return self._begin(key[0], tokens)
        fit = Fit.KNOWN
        if not _fits(best.tokens, tokens):
            best.tokens = [a if a == b else ANY for a, b in zip(best.tokens, tokens)]
            self._known.clear()
            fit = Fit.LOOSER
        self._remember(key, best)
        return best, fit

    def _remember(self, key: tuple[str, str], template: Template) -> None:
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = template

    def _leaf(self, level: str, tokens: list[str]) -> list[Template]:
        node = self._roots.get((level, len(tokens)))
        for token in tokens[: self._steps(tokens)]:
            if node is None:
                break
            node = node.children.get(token) or node.children.get(ANY)
        return node.templates if node else []

    def _steps(self, tokens: list[str]) -> int:
        """Return how many words lead to a leaf; the last word never does."""
        return min(self.depth - 3, len(tokens) - 1) if tokens else 0

    def _best(self, candidates: list[Template], tokens: list[str]) -> Template | None:
        best, most = None, (self.similarity * len(tokens), -1)
        for template in candidates:
            # Wildcards count as different, but decide between templates that are equally alike.
            likeness = (sum(map(eq, template.tokens, tokens)), template.tokens.count(ANY))
            if likeness > most:
                best, most = template, likeness
        return best

    def _begin(self, level: str, tokens: list[str]) -> tuple[Template, Fit]:
        if len(self.templates) > self.limit:
            return self.templates[OVERFLOW], Fit.NEW
        template = Template(len(self.templates), level, tokens, self._path(level, tokens))
        self._hang(template)
        self._known.clear()
        return template, Fit.NEW

    def _path(self, level: str, tokens: list[str]) -> tuple[str, ...]:
        """Return the words by which a new template is found; those with digits, and those beyond the limit of children, are any."""
        node = self._roots.get((level, len(tokens)), _Node())
        path: list[str] = []
        for token in tokens[: self._steps(tokens)]:
            full = len(node.children) + (ANY not in node.children) >= self.children
            step = ANY if token not in node.children and (full or _DIGIT.search(token)) else token
            path.append(step)
            node = node.children.get(step, _Node())
        return tuple(path)

    def _hang(self, template: Template) -> None:
        node = self._roots.setdefault((template.level, len(template.tokens)), _Node())
        for step in template.path:
            node = node.children.setdefault(step, _Node())
        node.templates.append(template)
        self.templates[template.number] = template

    def state(self) -> dict[str, Any]:
        """Return the tree as JSON; `from_state` goes on from there just as this one would."""
        found = [[t.level, " ".join(t.tokens), list(t.path), t.count] for t in self.templates.values()]
        return {"depth": self.depth, "similarity": self.similarity, "children": self.children, "limit": self.limit, "templates": found}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Miner:
        """Return what `state` told.

        Raises
        ------
        ArtifactError
            If it is no state of a miner.
        """
        try:
            miner = cls(state["depth"], state["similarity"], state["children"], state["limit"])
            for number, (level, text, path, count) in enumerate(cast("list[Any]", state["templates"])):
                template = Template(number, str(level), str(text).split(), tuple(map(str, path)), int(count))
                if number == OVERFLOW:
                    miner.templates[OVERFLOW] = template
                else:
                    miner._hang(template)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the saved tree of templates is broken ({error!r}); fit the model again") from error
        return miner


def _words(masked: str) -> list[str]:
    return masked.split(None, WIDEST)[:WIDEST]


def _fits(template: list[str], tokens: list[str]) -> bool:
    return all(a in (b, ANY) for a, b in zip(template, tokens))
