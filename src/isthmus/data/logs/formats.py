"""The formats of log lines: which part of a line is its time, its level, its component, and which is the message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.errors import ConfigError

LEVELS = "TRACE|DEBUG|INFO|INFORMATION|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|FATAL|CRITICAL|CRIT|ALERT|EMERG|PANIC"
LOOKED_AT = 1000
ENOUGH = 0.5
JSON, PLAIN = "json", "plain"
PARTS = ("time", "level", "component", "message")
_LEVEL = rf"(?P<level>(?i:{LEVELS}))"
_ISO = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?\s?(?:Z|UTC|GMT|[+-]\d\d:?\d\d)?"
_SYSLOG = r"[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d"
_TAG = r"(?P<component>[^\s:\[]+(?:\([^)]*\))?)(?:\[\d+\])?:\s?"
_LABEL = r"(?:-|[A-Z][A-Z0-9_]*)"


@dataclass(frozen=True)
class Format:
    """A kind of log line.

    Parameters
    ----------
    name : str
    pattern : re.Pattern, optional
        With the named groups ``message`` and, where there are such, ``time``, ``level`` and ``component``. None for JSON lines.
    """

    name: str
    pattern: re.Pattern[str] | None

    def state(self) -> dict[str, str]:
        """Return all as JSON."""
        return {"name": self.name, "pattern": self.pattern.pattern if self.pattern else ""}

    @classmethod
    def from_state(cls, state: dict[str, str]) -> Format:
        """Return what `state` told."""
        return cls(state["name"], re.compile(state["pattern"]) if state["pattern"] else None)


def _known(**patterns: str) -> dict[str, Format]:
    return {name: Format(name, re.compile(f"^{pattern}$") if pattern else None) for name, pattern in patterns.items()}


# From the most to the least demanding: the first of those that fit best is taken. The first word of BGL and Thunderbird is a
# label that people gave afterwards; it stands outside of all groups, so that nobody learns from it.
FORMATS = _known(
    bgl=rf"(?:{_LABEL} )?(?P<time>\d{{10}}) \d{{4}}\.\d\d\.\d\d \S+ \d{{4}}-\d\d-\d\d-[\d.]+ \S+ "
    r"(?P<component>\S+ \S+) (?P<level>[A-Z]+) ?(?P<message>.*)",
    thunderbird=rf"(?:{_LABEL} )?(?P<time>\d{{10}}) \d{{4}}\.\d\d\.\d\d \S+ {_SYSLOG} \S+ "
    rf"(?:{_TAG})?(?P<message>.*)",
    hdfs=rf"(?P<time>\d{{6}} \d{{6}}) \d+ {_LEVEL} (?P<component>[^\s:]+):\s?(?P<message>.*)",
    spark=rf"(?P<time>\d\d/\d\d/\d\d \d\d:\d\d:\d\d) {_LEVEL} (?P<component>[^\s:]+):\s?(?P<message>.*)",
    rfc5424=r"<\d+>\d+ (?P<time>\S+) \S+ (?P<component>\S+) \S+ \S+ (?:-|(?:\[.*?\])+) ?(?P<message>.*)",
    syslog=rf"(?:<\d+>)?(?P<time>{_SYSLOG}) [\w.:@-]+ (?:{_TAG})?(?P<message>.*)",
    journal=rf"(?:<\d+>)?(?P<time>{_ISO}) (?!{LEVELS})[\w.:@-]+ (?P<component>[\w./()-]+)\[\d+\]:\s?(?P<message>.*)",
    apache=r"\[(?P<time>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]?\d [\d:.]+ \d{4})\] \[(?:(?P<component>\w+):)?(?P<level>\w+)\] "
    r"(?:\[pid [^\]]*\] )?(?:\[client [^\]]*\] )?(?P<message>.*)",
    access=r'\S+ \S+ .*?\[(?P<time>[^\]]+)\] "(?P<message>[^"]*)" (?P<level>\d{3}) .*',
    log4j=rf"\[?(?P<time>{_ISO})\]?[ \t]*(?:\[[^\]]*\][ \t]*)?(?:- )?(?:(?P<component>[\w.$-]+) - )?\[?{_LEVEL}\b\]?"
    r"[ \t:-]*(?P<message>.*)",
    json="",
    iso=rf"\[?(?P<time>{_ISO})\]?[ \t:,-]*(?P<message>.*)",
    epoch=r"\[?(?P<time>\d{10}(?:\.\d+)?|\d{13})\]?[ \t:,-]+(?P<message>.*)",
    level=rf"\[?{_LEVEL}\b\]?[ \t:-]+(?P<message>.*)",
    plain=r"(?P<message>.*)",
)


def recognise(lines: Sequence[str]) -> Format:
    """Return the known format that most of the lines have; ``plain`` if none fits half of them.

    Parameters
    ----------
    lines : sequence of str
        The first lines of a log.

    Returns
    -------
    Format

    Examples
    --------
    >>> recognise(["Jun 14 15:16:01 combo sshd[19939]: check pass; user unknown"]).name
    'syslog'
    >>> recognise(['{"time": "2024-01-01T00:00:00Z", "msg": "started"}']).name
    'json'
    """
    looked = [line for line in lines if line.strip()][:LOOKED_AT]
    best, most = FORMATS[PLAIN], ENOUGH * len(looked)
    for known in FORMATS.values():
        fitting = sum(_fits(known, line) for line in looked)
        if known.name != PLAIN and looked and fitting >= most and (fitting > most or best.name == PLAIN):
            best, most = known, fitting
    return best


def _fits(known: Format, line: str) -> bool:
    return known.pattern.match(line) is not None if known.pattern else line.startswith("{") and line.rstrip().endswith("}")


def find_format(text: str | None, lines: Sequence[str] = ()) -> Format:
    r"""Return a format by its name or regular expression, or the one that the lines have.

    Parameters
    ----------
    text : str, optional
        Name of a known format, or a regular expression with the named group ``message`` and maybe ``time``, ``level``, ``component``.
    lines : sequence of str
        The first lines of the log, looked at if `text` is not given.

    Returns
    -------
    Format

    Raises
    ------
    ConfigError
        If it is neither a known name nor a regular expression with a group ``message``.

    Examples
    --------
    >>> find_format(r"(?P<time>\d+)\|(?P<message>.*)").name
    'own'
    """
    if text is None or text in FORMATS:
        return recognise(lines) if text is None else FORMATS[text]
    example = r"'(?P<time>\S+ \S+) (?P<level>\w+) (?P<message>.*)'"
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(f"format {text!r} is no regular expression ({error}). Give one such as {example}") from error
    groups = set(pattern.groupindex)
    if "message" not in groups:
        raise ConfigError(f"format {text!r} is none of {', '.join(FORMATS)}, and has no group (?P<message>...). Give one such as {example}")
    if unknown := sorted(groups - set(PARTS)):
        raise ConfigError(f"format has the unknown groups {', '.join(unknown)}. Known are {', '.join(PARTS)}")
    return Format("own", pattern)
