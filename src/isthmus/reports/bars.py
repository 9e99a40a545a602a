"""Bars and histograms as small vector pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isthmus.reports.markup import Markup, number, tag
from isthmus.tasks.evidence import Array

WIDTH, HEIGHT, TOP, BOTTOM = 420, 200, 14, 174
MOST_BINS = 40
LABELLED = 20


def bars(values: Sequence[float], labels: Sequence[str], filled: Sequence[bool]) -> Markup:
    """Draw one bar for each value.

    Parameters
    ----------
    values : sequence of float
        At least 0; what is no number counts as 0.
    labels : sequence of str
        Stand below the bars; of many only some.
    filled : sequence of bool
        Whether a bar is coloured, or grey.

    Returns
    -------
    Markup

    Examples
    --------
    >>> bars([1.0, 0.5], ["0", "1"], [True, False])[:4]
    '<svg'
    """
    sizes = np.nan_to_num(np.maximum(np.asarray(values, np.float64), 0.0), posinf=0.0)
    most = float(sizes.max(initial=0.0)) or 1.0
    step = WIDTH / max(1, len(sizes))
    gap = min(4.0, 0.2 * step)
    drawn = [
        _bar(i * step + gap / 2, step - gap, float(size) / most, "bar-on" if on else "bar-off")
        for i, (size, on) in enumerate(zip(sizes, filled))
    ]
    stride = -(-len(labels) // LABELLED)
    marks = [
        tag("text", name, x=f"{(i + 0.5) * step:.1f}", y=BOTTOM + 16, text_anchor="middle")
        for i, name in enumerate(labels)
        if i % stride == 0
    ]
    about = f"{len(sizes)} bars, the highest {number(most)}"
    return _drawing([*drawn, _rule(), tag("text", number(most), x=0, y=TOP - 3), *marks], about)


def histogram(values: Array) -> Markup:
    """Draw how values are spread; the farthest hundredth at each end goes into the outermost bars.

    Parameters
    ----------
    values : array of shape (n,)
        Finite.

    Returns
    -------
    Markup

    Examples
    --------
    >>> histogram(np.arange(10.0))[:4]
    '<svg'
    """
    low, high = (float(value) for value in np.quantile(values, (0.01, 0.99)))
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    bins = int(min(MOST_BINS, max(5, np.sqrt(len(values)))))
    counts, _ = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    step, most = WIDTH / bins, max(1, int(counts.max()))
    drawn = [_bar(i * step + 0.5, step - 1, float(count) / most, "bar-on") for i, count in enumerate(counts)]
    middle = WIDTH * (float(np.median(np.clip(values, low, high))) - low) / (high - low)
    line = tag("path", d=f"M{middle:.1f} {TOP}V{BOTTOM}", class_="kept")
    marks = [tag("text", number(low), x=0, y=BOTTOM + 16), tag("text", number(high), x=WIDTH, y=BOTTOM + 16, text_anchor="end")]
    return _drawing([*drawn, _rule(), line, *marks], f"Histogram of {len(values)} values from {number(low)} to {number(high)}")


def _bar(x: float, width: float, share: float, kind: str) -> Markup:
    height = share * (BOTTOM - TOP)
    return tag("rect", x=f"{x:.1f}", y=f"{BOTTOM - height:.1f}", width=f"{max(0.5, width):.1f}", height=f"{height:.1f}", class_=kind)


def _rule() -> Markup:
    return tag("path", d=f"M0 {BOTTOM}H{WIDTH}", class_="rule")


def _drawing(parts: Sequence[Markup], about: str) -> Markup:
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=about)
