"""How results show themselves in notebooks: a small card of facts, and a curve, without a style of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from isthmus.markup import Markup, join, number, tag, whole

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 420, 150, 52, 12, 124
CURVES = {"train": "#d1632a", "held_out": "#0b8a84"}
LOG_RATIO = 10.0
MOST = 200
_FONT = "font: 13px/1.5 system-ui, sans-serif"

Rows = Sequence[Mapping[str, float]]


def card(title: str, facts: Mapping[str, object], rows: Rows = ()) -> Markup:
    """Return a card of facts, with the losses of a training beside them where there are any.

    Parameters
    ----------
    title : str
    facts : mapping of str to object
    rows : sequence of mapping, optional
        A history: ``step``, ``train``, ``held_out``.

    Returns
    -------
    Markup
        It takes its colours from the page around it, light or dark.

    Examples
    --------
    >>> "rows" in card("Fitted", {"rows": 150})
    True
    """
    cell = "padding: 1px 14px 1px 0; text-align: left; border: 0; background: none"
    lines = [
        tag("tr", tag("td", name, style=f"{cell}; opacity: .7"), tag("td", _told(value), style=cell), style="background: none")
        for name, value in facts.items()
    ]
    table = tag("table", tag("tbody", *lines), style="border-collapse: collapse; margin: 0")
    body = tag("div", table, losses(rows), style="display: flex; flex-wrap: wrap; gap: 8px 28px; align-items: flex-start")
    frame = f"{_FONT}; display: inline-block; margin: 6px 0; padding: 8px 14px; border: 1px solid #8886; border-radius: 8px"
    return tag("div", tag("div", title, style="font-weight: 600; margin-bottom: 4px"), body, class_="isthmus-card", style=frame)


def _told(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return whole(float(value))


def losses(rows: Rows) -> Markup:
    """Draw the losses of a history; nothing where there are fewer than two.

    Parameters
    ----------
    rows : sequence of mapping

    Returns
    -------
    Markup

    Examples
    --------
    >>> losses([{"step": 1.0, "train": 2.0}, {"step": 2.0, "train": 1.0}])[:4]
    '<svg'
    """
    shown = rows[:: max(1, math.ceil(len(rows) / MOST))]
    found = {name: _points(shown, name) for name in CURVES}
    values = [y for points in found.values() for _, y in points]
    steps = [x for points in found.values() for x, _ in points]
    if len(set(steps)) < 2:
        return Markup()
    log = min(values) > 0 and max(values) / min(values) > LOG_RATIO
    low, high = min(values), max(values)
    lines = [_line(points, CURVES[name], (min(steps), max(steps)), (low, high), log) for name, points in found.items() if points]
    marks = [_mark(number(high), LEFT - 6, TOP + 4, "end"), _mark(number(low), LEFT - 6, BOTTOM + 4, "end")]
    marks += [_mark("step " + whole(max(steps)), WIDTH, BOTTOM + 18, "end"), _keys([name for name, points in found.items() if points], log)]
    about = "Losses against steps of training"
    return tag("svg", *lines, *marks, width=WIDTH, height=HEIGHT, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=about)


def _points(rows: Rows, name: str) -> list[tuple[float, float]]:
    return [(row.get("step", float(i)), row[name]) for i, row in enumerate(rows) if math.isfinite(row.get(name, math.nan))]


def _line(points: list[tuple[float, float]], colour: str, across: tuple[float, float], up: tuple[float, float], log: bool) -> Markup:
    low, high = (math.log(value) if log else value for value in up)
    at = [(_share(x, *across), _share(math.log(y) if log else y, low, high)) for x, y in points]
    path = " ".join(f"{LEFT + x * (WIDTH - LEFT):.1f},{BOTTOM - y * (BOTTOM - TOP):.1f}" for x, y in at)
    return tag("polyline", points=path, fill="none", stroke=colour, stroke_width="1.8", stroke_linejoin="round")


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _mark(label: str, x: float, y: float, anchor: str, colour: str = "currentColor") -> Markup:
    return tag("text", label, x=x, y=y, text_anchor=anchor, fill=colour, font_size=11)


def _keys(names: list[str], log: bool) -> Markup:
    marks = [_mark(name.replace("_", "-"), LEFT + 70 * i, HEIGHT - 6, "start", CURVES[name]) for i, name in enumerate(names)]
    unit = "nats per row" + (", log scale" if log else "")
    return join([*marks, _mark(unit, LEFT + 70 * len(names), HEIGHT - 6, "start")])
