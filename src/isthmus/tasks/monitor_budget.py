"""How many false alarms are allowed: so many in a number of rows, or in a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from isthmus.errors import ConfigError

SECONDS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0, "week": 604800.0, "month": 2629800.0, "year": 31557600.0}
# How the budget is shared out: single rows, gathered evidence, drift. The rates add up to at most the whole.
SINGLE, GATHERED, DRIFT = 0.5, 0.25, 0.25
MOST_A_ROW = 0.1
_FORM = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:/|\s+(?:per|a|in)\s+)\s*(?:([\d_,.]+)\s*(?:rows?)?|(" + "|".join(SECONDS) + r")s?)", re.IGNORECASE
)


@dataclass(frozen=True)
class Budget:
    """False alarms that a healthy machine may cause, on average.

    Parameters
    ----------
    alarms : float
        How many.
    per : float
        In how many rows or seconds.
    unit : {"rows", "seconds"}

    Examples
    --------
    >>> Budget.parse("2/10000"), Budget.parse("1/day").unit
    (Budget(alarms=2.0, per=10000.0, unit='rows'), 'seconds')
    >>> str(Budget.parse("1 per week")), str(Budget.parse("5/2000 rows"))
    ('1/week', '5/2000 rows')
    """

    alarms: float = 1.0
    per: float = 1000.0
    unit: Literal["rows", "seconds"] = "rows"

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``2/10000`` (rows), ``1/day``, ``3 per week`` ...

        Raises
        ------
        ConfigError
            If it is nothing like that, or more than one alarm in ten rows.
        """
        found = _FORM.fullmatch(text.strip())
        if not found:
            raise ConfigError(f"budget must be alarms per rows or time, such as 1/1000 (rows), 1/day or 2/week, not {text!r}")
        alarms, rows, period = found.groups()
        per = SECONDS[period.lower()] if period else _number(rows)
        budget = cls(float(alarms), per, "seconds" if period else "rows")
        if not budget.alarms > 0 or not per > 0 or (not period and budget.alarms / per > MOST_A_ROW):
            raise ConfigError(f"budget {text!r} must be more than no alarm, and at most one in ten rows. Use something like 1/1000")
        return budget

    def rate(self, pace: float) -> float:
        """Return the false alarms allowed a row.

        Parameters
        ----------
        pace : float
            Rows a second; only heeded if the budget is one of time.

        Returns
        -------
        float
            At most 0.1.
        """
        rate = self.alarms / self.per if self.unit == "rows" else self.alarms / (self.per * pace) if pace > 0 else MOST_A_ROW
        return min(rate, MOST_A_ROW)

    @property
    def period(self) -> str:
        """What the alarms are counted in: ``1000 rows``, ``day`` ..."""
        period = next((name for name, seconds in SECONDS.items() if seconds == self.per), None) if self.unit == "seconds" else None
        return period or f"{self.per:.0f} {self.unit}"

    def __str__(self) -> str:
        return f"{self.alarms:g}/{self.period}"


def _number(text: str) -> float:
    try:
        value = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        return 0.0
    return value if isfinite(value) else 0.0
