"""Dates are written as those beside them, and read back as they were."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.data import dates

AT = dates.parse("2024-03-07 16:05:09")
LIKE = [
    ("31.12.2024", "", "07.03.2024"),
    ("3.1.2024", "", "7.3.2024"),
    ("2024/12/31", "", "2024/03/07"),
    ("31/12/2024", "dmy", "07/03/2024"),
    ("12/31/2024", "mdy", "03/07/2024"),
    ("31 Dec 2024", "", "07 Mar 2024"),
    ("31 December 2024", "", "07 March 2024"),
    ("December 31, 2024", "", "March 07, 2024"),
    ("2024-12-31T23:59", "", "2024-03-07T16:05"),
    ("2024-12-31 23:59:58Z", "", "2024-03-07 16:05:09Z"),
    ("2024-12-31 23:59:58+02:00", "", "2024-03-07 18:05:09+02:00"),
    ("12/31/2024 11:59 PM", "mdy", "03/07/2024 04:05 PM"),
    ("1st Jan 2024", "", "2024-03-07T16:05:09"),
    ("", "", "2024-03-07T16:05:09"),
]


@pytest.mark.parametrize(("like", "order", "text"), LIKE, ids=[like or "nothing" for like, _, _ in LIKE])
def test_written_like(like: str, order: str, text: str) -> None:
    assert dates.written(AT, like, order) == text


@pytest.mark.parametrize(("like", "order"), [entry[:2] for entry in LIKE[:8]])
def test_days_are_read_back(like: str, order: str) -> None:
    for day in np.random.default_rng(0).integers(-40_000, 40_000, 200) * dates.DAY:
        assert dates.parse(dates.written(float(day), like, order), order) == day


@pytest.mark.parametrize(("what", "numbers"), [("ymd", [20240131.0, 19691231.0]), ("s", [1.7e9]), ("ms", [1.7e12])])
def test_numbers_that_stand_for_dates(what: str, numbers: list[float]) -> None:
    values = np.array(numbers)
    np.testing.assert_array_equal(dates.numbered(dates.from_numbers(values, what), what), values)
