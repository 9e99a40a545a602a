"""Learning curves as vector pictures: train and held-out in one chart, the kept step marked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.reports.markup import Markup, join, number, tag, text, whole
from isthmus.tasks.evidence import Evidence

Floats = NDArray[np.float64]
WIDTH, HEIGHT = 360, 222
LEFT, RIGHT, TOP, BOTTOM = 46, 344, 22, 186
SHOWN_ROWS = 400
LOG_RATIO = 10.0


@dataclass(frozen=True)
class Axis:
    """Where the values of one axis stand in the drawing.

    Attributes
    ----------
    low, high : float
        Values at the two ends.
    start, end : float
        Pixels of the two ends.
    log : bool
        Logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, values: Floats) -> Floats:
        """Turn values into pixels."""
        bend: Callable[[Any], Any] = np.log if self.log else np.asarray
        with np.errstate(invalid="ignore", divide="ignore"):
            share = (bend(values) - bend(self.low)) / (bend(self.high) - bend(self.low))
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Choose about five round values."""
        found = _log_ticks(self.low, self.high) if self.log else []
        return found if len(found) > 1 else _linear_ticks(self.low, self.high)


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * times for times in (1, 2, 2.5, 5, 10) if scale * times >= rough * 0.999)
    return [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for leading in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [times * 10.0**power for power in powers for times in leading if low <= times * 10.0**power <= high]
        if len(found) <= 6:
            return found
    return [10.0**power for power in powers if low <= 10.0**power <= high][:: math.ceil(len(powers) / 6)]


def _values(history: list[dict[str, float]], key: str) -> Floats:
    return np.array([float(row.get(key, math.nan)) for row in history], np.float64)


def _steps(history: list[dict[str, float]]) -> Floats:
    steps = _values(history, "step")
    return np.where(np.isfinite(steps), steps, np.arange(len(steps)))


def _span(low: float, high: float) -> tuple[float, float]:
    """Keep the two ends of an axis apart."""
    return (low, high) if high > low else (low - max(1.0, abs(low)) / 10, high + max(1.0, abs(high)) / 10)


def loss_axis(losses: Floats) -> Axis:
    """Choose the axis of the losses.

    Parameters
    ----------
    losses : array of shape (rows, curves)
        Nats a row; not-a-number where there is none.

    Returns
    -------
    Axis
        Logarithmic where all are positive and far apart. Where they cannot be, and the first tenth of the rows would flatten the
        rest, the axis ends where the rest does.
    """
    finite = losses[np.isfinite(losses)]
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high / low > LOG_RATIO:
        return Axis(low / 1.08, high * 1.08, BOTTOM, TOP, log=True)
    rest = losses[len(losses) // 10 :]
    settled = rest[np.isfinite(rest)]
    if settled.size and high - low > 3 * float(np.ptp(settled)) > 0:
        low, high = min(low, float(settled.min())), float(settled.max())
    low, high = _span(low, high)
    return Axis(low - (high - low) / 20, high + (high - low) / 20, BOTTOM, TOP)


def _line(x: Floats, y: Floats, name: str) -> Markup:
    """Draw one curve; it breaks where a value is missing, and a value that stands alone is a dot."""
    there = np.isfinite(y)
    joined = there & np.concatenate([[False], there[:-1]])
    path = "".join(f"{'L' if on else 'M'}{a:.1f} {b:.1f}" for a, b, on in zip(x[there], y[there], joined[there]))
    alone = there & ~joined & ~np.concatenate([joined[1:], [False]])
    dots = [tag("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3.5, class_=f"dot {name}") for a, b in zip(x[alone], y[alone])]
    return tag("path", d=path, class_=f"line {name}") + join(dots) if path else Markup()


def _tick_labels(ticks: list[float]) -> list[str]:
    """Write ticks as short as tells them apart."""
    if all(tick == int(tick) for tick in ticks):
        return [whole(tick) for tick in ticks]
    return [f"{tick:.6g}".replace("-", "−") for tick in ticks]


def _grid(across: Axis, up: Axis) -> Markup:
    marks: list[Markup] = []
    ticks = up.ticks()
    for pixel, label in zip(up(np.array(ticks)).tolist(), _tick_labels(ticks)):
        marks.append(tag("path", d=f"M{LEFT} {pixel:.1f}H{RIGHT}", class_="rule"))
        marks.append(tag("text", label, x=LEFT - 7, y=f"{pixel + 4:.1f}", text_anchor="end"))
    ticks = [tick for tick in across.ticks() if tick == int(tick)]
    for pixel, label in zip(across(np.array(ticks)).tolist(), _tick_labels(ticks)):
        marks.append(tag("text", label, x=f"{pixel:.1f}", y=BOTTOM + 18, text_anchor="middle"))
    marks.append(tag("text", "nats per row" + (", log scale" if up.log else ""), x=LEFT, y=TOP - 10))
    return join([*marks, tag("text", "step", x=RIGHT, y=HEIGHT - 2, text_anchor="end")])


def _kept(best_step: int, across: Axis) -> Markup:
    x = float(across(np.array([float(best_step)]))[0])
    if not LEFT - 1 <= x <= RIGHT + 1:
        return Markup()
    after = x < (LEFT + RIGHT) / 2
    label = tag("text", f"kept: step {best_step:,}", x=f"{x + (6 if after else -6):.1f}", y=TOP + 10, text_anchor=None if after else "end")
    return tag("path", d=f"M{x:.1f} {TOP}V{BOTTOM}", class_="kept") + label


def _readout(rows: list[dict[str, float]], x: Floats) -> str:
    """Write what the pointer reads off a chart: pixel, step, train and held-out of each row."""
    columns = (x, _steps(rows), _values(rows, "train"), _values(rows, "held_out"))
    listed = [[None if math.isnan(value) else float(f"{value:.4g}") for value in row] for row in zip(*(item.tolist() for item in columns))]
    for short, full in zip(listed, columns[1].tolist()):
        short[1] = full
    return json.dumps(listed, separators=(",", ":"))


def _thinned(history: list[dict[str, float]]) -> list[dict[str, float]]:
    picked = np.unique(np.linspace(0, len(history) - 1, min(SHOWN_ROWS, len(history))).round().astype(int))
    return [history[index] for index in picked.tolist()]


def evaluations(model: Evidence) -> int:
    """Count the rows of a model's history that have a loss to show."""
    return sum(any(math.isfinite(row.get(key, math.nan)) for key in ("train", "held_out")) for row in model.history)


def chart(model: Evidence, name: str) -> Markup:
    """Draw the losses of a model against the steps of its training.

    Parameters
    ----------
    model : Evidence
        One whose `evaluations` are two or more.
    name : str
        What the model is called in the report.

    Returns
    -------
    Markup
    """
    rows = _thinned([{key: value if abs(value) < math.inf else math.nan for key, value in row.items()} for row in model.history])
    steps, train, held_out = _steps(rows), _values(rows, "train"), _values(rows, "held_out")
    across = Axis(*_span(float(steps.min()), float(steps.max())), LEFT, RIGHT)
    up = loss_axis(np.stack([train, held_out], axis=1))
    x = across(steps)
    lines = tag("svg", _line(x, up(train), "train"), _line(x, up(held_out), "held"), x=0, y=TOP - 4, width=WIDTH, height=BOTTOM - TOP + 8,
                viewBox=f"0 {TOP - 4} {WIDTH} {BOTTOM - TOP + 8}")  # fmt: skip
    about = f"Losses of {name} on training and held-out rows against training steps"
    drawing = tag("svg", _grid(across, up), _kept(model.best_step, across), lines, tag("path", class_="cursor"),
                  viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=about)  # fmt: skip
    caption = tag("figcaption", tag("b", name), tag("span", kept(model), class_="muted"))
    readout = tag("p", class_="readout", aria_hidden="true")
    return tag("figure", caption, drawing, readout, class_="curve", data_rows=_readout(rows, x), data_top=TOP, data_bottom=BOTTOM)


def kept(model: Evidence) -> Markup:
    """Say in words what the losses and their terms were at the kept step.

    Parameters
    ----------
    model : Evidence

    Returns
    -------
    Markup
    """
    row = min(model.history, key=lambda row: abs(row.get("step", math.inf) - model.best_step), default=dict[str, float]())
    terms = [f"{key.removeprefix('held_out_').replace('_', ' ')} {number(row[key])}" for key in row if key.startswith("held_out_")]
    shown = f"train {number(row.get('train', math.nan))}, held-out {number(row.get('held_out', math.nan))}"
    return text(shown + (f" ({' + '.join(terms)})" if len(terms) > 1 else ""))
