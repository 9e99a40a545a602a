from __future__ import annotations

import math

import numpy as np
import pytest

from isthmus.reports import curves, pictures, scatter, tables
from isthmus.reports.markup import Markup, cell, column, join, number, tag, text, whole


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (0.9996, "1.00"),
        (9.999, "10.0"),
        (123.4, "123"),
        (12345.0, "12,300"),
        (999_999.0, "1.00×10⁶"),
        (-0.0256, "−0.0256"),
        (0.000123, "0.000123"),
        (1.5e-7, "1.50×10⁻⁷"),
        (math.nan, "—"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_number(value, shown):
    assert number(value) == shown


def test_whole_numbers_and_cells():
    assert [whole(1234.0), whole(-3.0), whole(2.5), whole(1e300)] == ["1,234", "−3", "2.50", "1.00×10³⁰⁰"]
    assert [cell(None), cell(True), cell(3), cell(0.5), cell("a"), cell(math.nan)] == ["—", "yes", "3", "0.500", "a", "—"]


def test_columns_are_written_alike():
    assert column([1.0, 0.5]) == ["1.00", "0.500"]
    assert column([16.0, math.nan, 1200.0]) == ["16", "—", "1,200"]


def test_markup_escapes_all_but_markup():
    bold = tag("b", "<")
    assert isinstance(bold, Markup)
    assert join(["<", bold]) == "&lt;<b>&lt;</b>"
    assert bold + "<" == "<b>&lt;</b>&lt;"
    assert tag("p", bold, title='"', hidden=True, lang=None, data_n=0) == '<p title="&quot;" hidden data-n="0"><b>&lt;</b></p>'
    assert text(text("&")) == "&amp;"


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("reconstruction error", -1),
        ("seconds", -1),
        ("held-out loss", -1),
        ("clustering error", -1),
        ("negative log-likelihood", -1),
        ("k-NN accuracy", 1),
        ("clustering", 1),
        ("log_likelihood", 1),
        ("active units", 0),
        ("variance", 0),
    ],
)
def test_direction(metric, way):
    assert tables.direction(metric) == way


def test_best_marks_ties_as_shown_and_nothing_where_there_is_no_choice():
    rows = [tables.Row("a", {"error": 0.50001}), tables.Row("b", {"error": 0.50002}), tables.Row("c", {"error": math.nan})]
    assert tables.best("error", rows) == {0, 1}
    assert tables.best("error", rows[1:]) == set()
    assert tables.best("active units", [tables.Row("a", {"active units": 1.0}), tables.Row("b", {"active units": 2.0})]) == set()


def test_place_keeps_shape_and_stays_inside():
    points = np.array([[0.0, 0.0], [4.0, 1.0], [2.0, 0.5]])
    placed = scatter.place(points)
    assert placed.min() >= 0
    assert placed.max() <= scatter.SIDE
    wide, high = np.ptp(placed, axis=0)
    assert wide == pytest.approx(4 * high, abs=2)
    assert placed[1, 1] < placed[0, 1], "up is up"


def test_place_of_points_that_are_one_or_huge():
    assert scatter.place(np.zeros((3, 2))).tolist() == [[500, 500]] * 3
    huge = scatter.place(np.array([[-1.7e308, 0.0], [1.7e308, 0.0]]))
    assert huge[:, 0].tolist() == [scatter.MARGIN, scatter.SIDE - scatter.MARGIN]


def test_classes_order_numbers_before_texts():
    known = scatter.classes(np.array([10, "b", 9, "a", None, ""], object), 6)
    assert known.names == ("9", "10", "a", "b")
    assert known.of.tolist() == [1, 3, 0, 2, -1, -1]


def test_scatter_keeps_the_order_of_rows_within_a_class():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    drawing, groups = scatter.scatter(points, scatter.classes(np.array([1, 0, 1, 0]), 4), "")
    assert groups == [1, 0, 1, 0]
    assert 'd="M965 965h0M965 35h0"' in drawing
    assert 'd="M35 965h0M35 35h0"' in drawing


def test_loss_axis_is_logarithmic_where_losses_are_positive_and_far_apart():
    assert curves.loss_axis(np.array([[1.0], [100.0]])).log
    assert not curves.loss_axis(np.array([[50.0], [100.0]])).log
    assert not curves.loss_axis(np.array([[-1.0], [100.0]])).log


def test_loss_axis_leaves_out_a_start_that_would_flatten_the_rest():
    losses = np.concatenate([[1e6], np.linspace(-1, -5, 30)])[:, None]
    axis = curves.loss_axis(losses)
    assert axis.high < 0
    assert axis.low < -5


@pytest.mark.parametrize("low_high", [(0.0, 1.0), (-3.2, 17.0), (1e-9, 2e-9), (5.0, 5.1), (-1e12, 1e12)])
def test_linear_ticks_are_few_and_inside(low_high):
    low, high = low_high
    ticks = curves.Axis(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 7
    assert low - 1e-9 * (high - low) <= min(ticks) <= max(ticks) <= high + 1e-9 * (high - low)


@pytest.mark.parametrize("low_high", [(1.0, 11.0), (0.3, 7000.0), (1e-12, 1e12)])
def test_log_ticks_are_few_and_inside(low_high):
    ticks = curves.Axis(*low_high, 0, 100, log=True).ticks()
    assert 2 <= len(ticks) <= 7
    assert all(low_high[0] <= tick <= low_high[1] for tick in ticks)


def test_pictures_become_bytes():
    shown = pictures.to_bytes(np.array([-1.0, 0.0, 0.5, 2.0, np.nan, np.inf]).reshape(1, 2, 3, 1))
    assert shown.ravel().tolist() == [0, 0, 128, 255, 0, 255]
    assert pictures.to_bytes(np.full((1, 2, 2, 5), 0.2)).shape == (1, 2, 2, 1)
    assert pictures.to_bytes(np.full((1, 2, 2, 3), 7, np.uint8)).max() == 7


@pytest.mark.parametrize("shape", [(500, 8, 8, 1), (5000, 28, 28, 1), (3000, 64, 64, 3)])
def test_sheets_are_bounded(shape):
    sheet = pictures.sheet(np.zeros(shape, np.float32))
    shown = math.ceil(shape[0] / sheet.stride)
    assert shown <= pictures.THUMBNAILS
    assert shown * sheet.width * sheet.height <= pictures.SHEET_PIXELS
    assert max(sheet.width, sheet.height) <= pictures.THUMBNAIL_SIDE


def test_same_arrays():
    ones = np.array([1.0, np.nan])
    assert pictures.same(ones, ones.copy())
    assert pictures.same(None, None)
    assert not pictures.same(ones, None)
    assert not pictures.same(ones, np.array([1.0]))
    assert pictures.same(np.array(["a", None], object), np.array(["a", None], object))
