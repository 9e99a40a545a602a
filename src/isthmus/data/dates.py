"""Dates written as text, and the parts of a date that come round again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from numpy.typing import NDArray

from isthmus.data.source import Array

DAY = 86400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?"
_TIME = (
    r"(?:[T ,]\s*(?P<hours>\d{1,2}):(?P<minutes>\d{2})(?::(?P<seconds>\d{2}(?:\.\d+)?))?\s*(?P<half>am|pm)?"
    r"\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?)?"
)
_FORMS = {
    "iso": re.compile(rf"(?P<y>\d{{4}})(?P<sep>[-/.])(?P<m>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}}){_TIME}", re.IGNORECASE),
    "dotted": re.compile(rf"(?P<d>\d{{1,2}})\.(?P<m>\d{{1,2}})\.(?P<y>\d{{4}}){_TIME}", re.IGNORECASE),
    "numbers": re.compile(rf"(?P<a>\d{{1,2}})(?P<sep>[/-])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}){_TIME}", re.IGNORECASE),
    "day first": re.compile(rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th)?[ -]{_MONTH},?[ -](?P<y>\d{{4}}){_TIME}", re.IGNORECASE),
    "month first": re.compile(rf"{_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}}){_TIME}", re.IGNORECASE),
}
# Of numbers that stand for dates: what they count, and the range in which they are taken to.
_COUNTED = {"ymd": (18000101.0, 22001231.0), "s": (1e8, 5e9), "ms": (1e11, 5e12)}
CYCLES = ("hour of day", "weekday", "day of year")
_LENGTHS = {"hour of day": DAY, "weekday": 7.0, "day of year": 365.25}


def form(text: str) -> str:
    """Return how a date is written: "iso", "dotted", "numbers", "day first" or "month first"; nothing if it is none.

    Examples
    --------
    >>> form("2024-01-31"), form("31/01/2024"), form("31 Jan 2024"), form("1-a")
    ('iso', 'numbers', 'day first', '')
    """
    return next((name for name, pattern in _FORMS.items() if pattern.fullmatch(text.strip())), "")


def order_of(texts: Sequence[str]) -> str:
    """Return which of two numbers is the day: "dmy" or "mdy", "both" if the texts disagree, and nothing if they do not tell."""
    found: set[str] = set()
    for text in texts:
        match = _FORMS["numbers"].fullmatch(text.strip())
        if match and int(match["a"]) > 12:
            found.add("dmy")
        if match and int(match["b"]) > 12:
            found.add("mdy")
    return "both" if len(found) > 1 else next(iter(found), "")


def parse(text: str, order: str = "") -> float:
    """Return the seconds from 1970 to a date (UTC where it names no zone), NaN if the text is none.

    Parameters
    ----------
    text : str
    order : {"", "dmy", "mdy"}
        Which comes first where day and month are both numbers.

    Returns
    -------
    float

    Examples
    --------
    >>> parse("1970-01-02"), parse("2/1/1970", "dmy"), parse("Jan 2, 1970 01:00")
    (86400.0, 86400.0, 90000.0)
    """
    for pattern in _FORMS.values():
        match = pattern.fullmatch(text.strip())
        if match:
            return _seconds(match.groupdict(), order)
    return float("nan")


def written(seconds: float, like: str, order: str = "") -> str:
    """Return a date as text in the manner of another; as ISO has it where that is no date, or counts the days as 1st, 2nd.

    Parameters
    ----------
    seconds : float
        Since 1970 (UTC).
    like : str
    order : {"", "dmy", "mdy"}
        Which comes first where day and month are both numbers.

    Returns
    -------
    str

    Examples
    --------
    >>> written(86400.0, "31.12.2024"), written(86400.0, "12/31/2024", "mdy"), written(90000.0, "Dec 31, 2024 9:05 pm")
    ('02.01.1970', '01/02/1970', 'Jan 02, 1970 1:00 am')
    """
    at = _EPOCH + timedelta(seconds=round(seconds))
    match = next((found for found in (pattern.fullmatch(like.strip()) for pattern in _FORMS.values()) if found), None)
    if match is None or _ORDINAL.search(like):
        return at.date().isoformat() if seconds % DAY == 0 else at.replace(tzinfo=None).isoformat()
    text = match.string
    for start, end, piece in sorted(_pieces(match, at, order), reverse=True):
        text = text[:start] + piece + text[end:]
    return text


_ORDINAL = re.compile(r"\d(?:st|nd|rd|th)\b", re.IGNORECASE)


def _pieces(match: re.Match[str], at: datetime, order: str) -> list[tuple[int, int, str]]:
    """Return where a date's numbers and words stand, and those of another in their place."""
    found = match.groupdict()
    at, half = at.astimezone(_zone(found.get("zone"))), found.get("half")
    first, second = (at.month, at.day) if order == "mdy" else (at.day, at.month)
    numbers = {"y": at.year, "m": at.month, "d": at.day, "a": first, "b": second, "minutes": at.minute, "seconds": at.second}
    numbers["hours"] = (at.hour - 1) % 12 + 1 if half else at.hour
    there = [(*match.span(name), value) for name, value in numbers.items() if found.get(name)]
    pieces = [(start, end, f"{value:0{min(end - start, 4 if value > 99 else 2)}d}") for start, end, value in there]
    if half:
        word = "pm" if at.hour > 11 else "am"
        pieces.append((*match.span("half"), word.upper() if half.isupper() else word))
    if found.get("month"):
        start = end = match.start("month")
        while match.string[end : end + 1].isalpha():
            end += 1
        pieces.append((start, end, _NAMES[at.month - 1][: None if end - start > 4 else 3]))
    return pieces


def numbered(seconds: Array, what: str) -> Array:
    """Return seconds since 1970 as numbers that count `what`, as `from_numbers` reads them."""
    if what != "ymd":
        return seconds * (1000.0 if what == "ms" else 1.0)
    days = as_times(seconds, whole=True)
    found = [float(str(day).replace("-", "")) if gap == gap else np.nan for day, gap in zip(days, seconds)]
    return np.array(found, np.float64)


def _seconds(found: dict[str, str | None], order: str) -> float:
    if found.get("a"):
        found["m"], found["d"] = (found["a"], found["b"]) if order == "mdy" else (found["b"], found["a"])
    if found.get("month"):
        found["m"] = str(_MONTHS.index(str(found["month"]).lower()) + 1)
    day, month, year = (int(found[name] or 0) for name in ("d", "m", "y"))
    try:
        whole = datetime(year, month, day, *_clock(found), tzinfo=_zone(found.get("zone")))
    except ValueError:
        return float("nan")
    return (whole - _EPOCH).total_seconds() + float(found.get("seconds") or 0) % 1


def _clock(found: dict[str, str | None]) -> tuple[int, int, int]:
    hours, half = int(found.get("hours") or 0), (found.get("half") or "").lower()
    if half:
        hours = hours % 12 + (12 if half == "pm" else 0)
    return hours, int(found.get("minutes") or 0), int(float(found.get("seconds") or 0))


def _zone(text: str | None) -> timezone:
    if not text or text.upper() in ("Z", "UTC"):
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))


def counted(low: float, high: float) -> str:
    """Return what numbers between `low` and `high` count if they are dates: "ymd" (20240131), "s" or "ms" since 1970, or nothing."""
    return next((name for name, (least, most) in _COUNTED.items() if least <= low and high <= most), "")


def from_numbers(values: Array, what: str) -> Array:
    """Return numbers that count `what` ("ymd", "s" or "ms") as seconds since 1970; NaN where they are no date."""
    if what != "ymd":
        return values / (1000.0 if what == "ms" else 1.0)
    known = np.unique(values[(values > 0) & (values < 1e8)]).tolist()
    found = {value: parse(f"{value // 10000:04.0f}-{value // 100 % 100:02.0f}-{value % 100:02.0f}") for value in known}
    return np.array([found.get(value, np.nan) for value in values.tolist()], np.float64)


def as_times(seconds: Array, whole: bool) -> Array:
    """Return seconds since 1970 as datetime64: days if `whole`, microseconds otherwise; NaN becomes NaT."""
    unit, scale = ("D", 1 / DAY) if whole else ("us", 1e6)
    gaps = ~np.isfinite(seconds)
    found = np.rint(np.where(gaps, 0.0, seconds) * scale).astype(np.int64).astype(f"datetime64[{unit}]")
    found[gaps] = np.datetime64("NaT")
    return found


def _hour(seconds: Array) -> Array:
    return np.mod(seconds, DAY)


def _weekday(seconds: Array) -> Array:
    # 1 January 1970 was a Thursday.
    return np.mod(np.floor(seconds / DAY) + 3, 7)


def _day_of_year(seconds: Array) -> Array:
    days = np.floor(np.where(np.isfinite(seconds), seconds, 0.0) / DAY).astype(np.int64).astype("datetime64[D]")
    return np.where(np.isfinite(seconds), (days - days.astype("datetime64[Y]")).astype(np.float64), np.nan)


_PHASES: dict[str, Callable[[Array], Array]] = {"hour of day": _hour, "weekday": _weekday, "day of year": _day_of_year}


def angle(seconds: Array, cycle: str) -> NDArray[np.float64]:
    """Return a part of dates that comes round again as an angle in radians.

    Parameters
    ----------
    seconds : ndarray of shape (n,)
        Since 1970.
    cycle : {"hour of day", "weekday", "day of year"}

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> angle(np.array([0.0, 43200.0]), "hour of day").round(3).tolist()
    [0.0, 3.142]
    """
    return _PHASES[cycle](seconds) * (2 * np.pi / _LENGTHS[cycle])


def phase(seconds: Array, cycle: str) -> Array:
    """Return seconds within the day, the weekday from 0 (Monday) or the day of the year from 0."""
    return _PHASES[cycle](seconds)
