"""The order in which pieces are read: every row once, the same from any start, windows that are fair samples."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.data.schedule import Schedule


@st.composite
def schedules(draw):
    sizes = np.array(draw(st.lists(st.integers(0, 60), min_size=1, max_size=40).filter(any)))
    total = int(sizes.sum())
    left_out = draw(st.sets(st.integers(0, total - 1), max_size=total - 1))
    rows, opened = draw(st.integers(1, 200)), draw(st.integers(1, 9))
    return Schedule(sizes, np.array(sorted(left_out), np.int64), draw(st.integers(0, 2**32)), rows, opened)


def given_rows(schedule, window):
    """Positions in the whole of the rows that a window gives, in order."""
    starts = np.cumsum(schedule.sizes) - schedule.sizes
    read = np.concatenate([starts[take.piece] + np.arange(take.start, take.stop) for take in window.takes])
    assert len(read) == window.rows
    return read[window.order]


@given(schedules(), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_every_row_comes_once_an_epoch_and_those_left_out_never(schedule, epoch):
    windows = list(schedule.epoch(epoch))
    rows = np.concatenate([given_rows(schedule, window) for window in windows])
    expected = np.setdiff1d(np.arange(schedule.sizes.sum()), schedule.left_out)
    assert len(rows) == schedule.total
    np.testing.assert_array_equal(np.sort(rows), expected)
    assert [window.first for window in windows] == [0, *np.cumsum([len(window.order) for window in windows])[:-1]]


@given(schedules(), st.integers(0, 3), st.data())
@settings(max_examples=200, deadline=None)
def test_any_start_gives_the_windows_from_there_on(schedule, epoch, data):
    start = data.draw(st.integers(0, schedule.total - 1))
    whole, later = list(schedule.epoch(epoch)), list(schedule.epoch(epoch, start))
    assert later[0].first <= start < later[0].first + len(later[0].order)
    for window, expected in zip(later, whole[-len(later) :], strict=True):
        assert (window.first, window.takes) == (expected.first, expected.takes)
        np.testing.assert_array_equal(window.order, expected.order)


@given(schedules(), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_pieces_are_read_forwards_and_few_at_a_time(schedule, epoch):
    place, opened = {}, set()
    for window in schedule.epoch(epoch):
        pieces = [take.piece for take in window.takes]
        assert len(set(pieces)) == len(pieces)
        assert window.rows <= schedule.rows + len(pieces)
        for take in window.takes:
            assert place.get(take.piece, 0) <= take.start < take.stop
            place[take.piece] = take.stop
        # A piece stays open from one window to the next if rows of it are left.
        opened = {piece for piece, stop in place.items() if stop < schedule.sizes[piece]}
        assert len(opened) <= schedule.opened


@given(schedules())
@settings(max_examples=100, deadline=None)
def test_the_order_is_decided_by_seed_and_epoch_alone(schedule):
    def rows(plan, epoch):
        return np.concatenate([given_rows(plan, window) for window in plan.epoch(epoch)]).tolist()

    again = Schedule(schedule.sizes, schedule.left_out, schedule.seed, schedule.rows, schedule.opened)
    assert rows(schedule, 1) == rows(again, 1)
    if schedule.total > 30 and schedule.rows > 30:
        other = Schedule(schedule.sizes, schedule.left_out, schedule.seed + 1, schedule.rows, schedule.opened)
        assert rows(schedule, 0) != rows(schedule, 1)
        assert rows(schedule, 0) != rows(other, 0)


@pytest.mark.parametrize(("pieces", "size", "opened"), [(20, 10_000, 4), (24, 10_000, 8), (12, 10_000, 3)])
def test_windows_of_sorted_rows_are_as_close_to_the_whole_as_the_docstring_says(pieces, size, opened):
    total = pieces * size
    sizes = np.full(pieces, size)
    deviations = []
    for seed in range(30):
        schedule = Schedule(sizes, np.zeros(0, np.int64), seed, 4000, opened)
        deviations += [given_rows(schedule, window).mean() - (total - 1) / 2 for window in schedule.epoch(0)]
    spread = total / 12**0.5
    deviations = np.array(deviations) / spread
    bound = opened**-1.5 + 1.73 / pieces
    assert np.sqrt(np.mean(deviations**2)) < bound
    # Without strata it would be about this much.
    assert np.sqrt(np.mean(deviations**2)) < 0.5 * opened**-0.5


def test_small_pieces_fill_a_window_one_after_the_other():
    schedule = Schedule(np.full(1000, 10), np.zeros(0, np.int64), 0, 2000, 4)
    windows = list(schedule.epoch(0))
    assert len(windows) == 5
    assert all(len(window.takes) == 200 for window in windows)
    # Each is a stratified sample: 200 strata of 5 neighbours.
    strata = [sorted(take.piece // 5 for take in window.takes) for window in windows]
    assert strata == [list(range(200))] * 5


def test_a_hundred_thousand_pieces_cost_little():
    schedule = Schedule(np.full(100_000, 1000), np.arange(0, 10_000_000, 1000), 0, 300_000, 64)
    assert len(list(islice(schedule.epoch(0, 50_000_000), 3))) == 3
