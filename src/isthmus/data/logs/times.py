"""Times as logs write them, in seconds since 1970 (UTC)."""

from __future__ import annotations

import math
import re
from calendar import timegm

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {name: i + 1 for i, name in enumerate(_NAMES)}
YEARLESS = 1972  # a leap year: times without a year only tell what lies between them
KEPT = 4096
_CLOCK = r"(?P<h>\d{1,2})[:.](?P<mi>\d\d)[:.](?P<s>\d\d)(?:[.,](?P<f>\d+))?"
_ZONE = r"\s*(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?"
SHAPES = tuple(
    re.compile(f"^{shape}$")
    for shape in (
        r"(?P<epoch>\d{9,10}(?:\.\d+)?)",
        r"(?P<milli>\d{13})",
        rf"(?P<y>\d{{4}})[-/.](?P<mo>\d\d)[-/.](?P<d>\d\d)[T \-]{_CLOCK}{_ZONE}",
        rf"(?P<y>\d\d)/(?P<mo>\d\d)/(?P<d>\d\d) {_CLOCK}",
        r"(?P<y>\d\d)(?P<mo>\d\d)(?P<d>\d\d) (?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)",
        rf"(?P<name>[A-Z][a-z]{{2}}) {{1,2}}(?P<d>\d{{1,2}}) {_CLOCK}",
        rf"[A-Z][a-z]{{2}} (?P<name>[A-Z][a-z]{{2}}) {{1,2}}(?P<d>\d{{1,2}}) {_CLOCK} (?P<y>\d{{4}})",
        rf"(?P<d>\d\d)/(?P<name>[A-Z][a-z]{{2}})/(?P<y>\d{{4}}):{_CLOCK}{_ZONE}",
    )
)


class Clock:
    """Read the times of one log, which are mostly of one shape.

    Known are seconds and milliseconds since 1970, ISO 8601 (also with ``/``, ``.`` or a space between its parts), ``yy/mm/dd``,
    ``yymmdd HHMMSS``, syslog's ``Jun 14 15:16:01`` and the two shapes of Apache. A time without a zone is taken as UTC; one
    without a year begins in 1972 and goes on into the next year where the months start again.

    Parameters
    ----------
    last : tuple of int
        Year and month where times without a year go on; no month yet by default.

    Examples
    --------
    >>> clock = Clock()
    >>> clock("2024-05-01T12:00:00.5+02:00") - clock("2024-05-01 10:00:00,000")
    0.5
    >>> clock("yesterday")
    nan
    """

    def __init__(self, last: tuple[int, int] = (YEARLESS, 0)) -> None:
        self._shape = SHAPES[0]
        self._known: dict[str, float] = {}
        self._year, self._month = last

    @property
    def last(self) -> tuple[int, int]:
        """Year and month where times without a year are."""
        return self._year, self._month

    def __call__(self, text: str) -> float:
        """Return a time, or NaN if it is none."""
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = self._known[text] = self._read(text)
        return found

    def _read(self, text: str) -> float:
        match = self._shape.match(text)
        if match is None:
            match, self._shape = next(((m, shape) for shape in SHAPES if (m := shape.match(text))), (None, self._shape))
        return self._seconds(match.groupdict()) if match else math.nan

    def _seconds(self, part: dict[str, str | None]) -> float:
        if plain := part.get("epoch") or part.get("milli"):
            return float(plain) / (1 if part.get("epoch") else 1000)
        month = int(part.get("mo") or MONTHS.get((part.get("name") or "").lower(), 0))
        day, hour, minute, second = (int(part[name] or 0) for name in ("d", "h", "mi", "s"))
        if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 24 and minute <= 59 and second <= 60):
            return math.nan
        whole = timegm((self._full_year(part.get("y"), month), month, day, hour, minute, second))
        return whole + float(f"0.{part.get('f') or 0}") - _zone(part.get("zone"))

    def _full_year(self, text: str | None, month: int) -> int:
        if text:
            return int(text) if len(text) == 4 else 2000 + int(text) - 100 * (int(text) >= 70)
        if (month, self._month) == (12, 1):  # a late line of the year before
            return self._year - 1
        self._year += month < self._month - 1  # the months start again; one month back is a late line
        self._month = month
        return self._year


def _zone(text: str | None) -> float:
    if not text or text[0] not in "+-":
        return 0.0
    return (1 if text[0] == "+" else -1) * (int(text[1:3]) * 3600 + int(text[-2:]) * 60)
