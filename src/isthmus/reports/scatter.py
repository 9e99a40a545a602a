"""2-D maps of codes as small vector pictures: one path a class, which the page's script reads back to answer the pointer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.reports.markup import Markup, join, tag
from isthmus.tasks.evidence import Array

Integers = NDArray[np.int64]
SIDE, MARGIN = 1000, 35
COLOURS = 10
SHOWN_POINTS = 10_000
TAGGED_CLASSES, LEGEND_CLASSES, TAG_LENGTH = 12, 30, 14


@dataclass(frozen=True)
class Classes:
    """Names of the classes, and the class of each row; -1 where a row has none."""

    names: tuple[str, ...]
    of: Integers


def _is_missing(label: object) -> bool:
    return label is None or label != label or label == ""


def _name(label: object) -> str:
    if isinstance(label, bytes):
        return label.decode("utf-8", "replace")
    return f"{label:g}" if isinstance(label, float) else str(label)


def _order(label: object) -> tuple[bool, float, str]:
    """Sort numbers by size before words by the alphabet."""
    if isinstance(label, (int, float)):
        return (False, float(label), "")
    return (True, 0.0, _name(label))


def classes(labels: Array | None, rows: int) -> Classes:
    """Number the labels of rows.

    Parameters
    ----------
    labels : array of shape (rows,), optional
        Numbers, texts or both; None, NaN and the empty text say that a row has no label.
    rows : int
        Number of rows.

    Returns
    -------
    Classes
        Numbers in the order of their size, then texts by the alphabet.

    Examples
    --------
    >>> classes(np.array(["b", "a", "b"]), 3)
    Classes(names=('a', 'b'), of=array([1, 0, 1]))
    """
    if labels is None:
        return Classes((), np.full(rows, -1))
    listed: list[Any] = np.asarray(labels).tolist()
    known = sorted({label for label in listed if not _is_missing(label)}, key=_order)
    index = {label: position for position, label in enumerate(known)}
    of = [-1 if _is_missing(label) else index[label] for label in listed]
    return Classes(tuple(_name(label) for label in known), np.array(of, dtype=np.int64))


def place(points: Array) -> Integers:
    """Fit points into the square drawing, with one scale for both axes.

    Parameters
    ----------
    points : array of shape (n, 2)
        Any unit; points that are not finite are left out.

    Returns
    -------
    array of int, shape (n, 2)
        From the left and from the top, 0 to `SIDE`; (-1, -1) where a point is left out.
    """
    finite = np.isfinite(points).all(axis=1)
    placed = np.full(points.shape, -1, np.int64)
    if finite.any():
        inside = points[finite].astype(np.float64)
        low, high = inside.min(axis=0), inside.max(axis=0)
        # Halves keep the largest floats from overflowing.
        reach = float((high / 2 - low / 2).max()) or 1.0
        offset = (inside / 2 - (low / 4 + high / 4)) / reach * (SIDE - 2 * MARGIN)
        placed[finite] = np.rint(SIDE / 2 + offset * (1, -1)).astype(np.int64)
    return placed


def colour(index: int) -> str:
    """Name the style class of a class of rows; colours come round again after ten."""
    return "k-none" if index < 0 else f"k{index % COLOURS}"


def _path(placed: Integers, group: int) -> Markup:
    steps = "".join(f"M{x} {y}h0" for x, y in placed.tolist())
    return tag("path", class_=colour(group), data_class=group, d=steps)


def _tag(placed: Integers, name: str, group: int) -> Markup:
    x, y = (float(value) for value in np.median(placed, axis=0))
    short = name if len(name) <= TAG_LENGTH else name[: TAG_LENGTH - 1] + "…"
    return tag(
        "span", short, class_="tag", data_class=group, data_x=f"{x:g}", data_y=f"{y:g}", style=f"left:{x / 10:.1f}%;top:{y / 10:.1f}%"
    )


def _dot(count: int) -> str:
    """Width of a dot in screen pixels: smaller where there are many."""
    return f"--dot:{min(6.0, max(2.0, 110 / math.sqrt(max(1, count)))):.1f}px"


def stride(rows: int) -> int:
    """Distance of the rows shown, where there are too many to show all."""
    return max(1, math.ceil(rows / SHOWN_POINTS))


def scatter(points: Array, known: Classes, description: str) -> tuple[Markup, list[int]]:
    """Draw a map of codes.

    Parameters
    ----------
    points : array of shape (n, 2)
        Map of the codes; of more than `SHOWN_POINTS` an even choice is drawn.
    known : Classes
        Classes of the n rows.
    description : str
        For those who cannot see the picture.

    Returns
    -------
    Markup
        The drawing: within a class, points stand in the order of the rows.
    list of int
        Class of each row drawn, in the order of the rows; -2 where the point was not finite and is left out.

    Examples
    --------
    >>> drawing, groups = scatter(np.array([[0.0, 0.0], [1.0, 2.0]]), classes(None, 2), "two points")
    >>> groups
    [-1, -1]
    """
    pick = slice(None, None, stride(len(points)))
    placed, of = place(points)[pick], known.of[pick]
    of = np.where(placed[:, 0] < 0, -2, of)
    groups = [int(group) for group in np.unique(of) if group >= -1]
    paths = [_path(placed[of == group], group) for group in groups]
    ring = tag("circle", class_="ring", r=14, cx=-99, cy=-99)
    drawing = tag("svg", *paths, ring, viewBox=f"0 0 {SIDE} {SIDE}", role="img", aria_label=description, style=_dot(len(placed)))
    tags = [_tag(placed[of == group], known.names[group], group) for group in groups if group >= 0]
    return tag("div", drawing, *(tags if len(tags) <= TAGGED_CLASSES else ()), class_="plot"), of.tolist()


def legend(known: Classes) -> Markup:
    """Name the colours; empty where no class is known.

    Parameters
    ----------
    known : Classes

    Returns
    -------
    Markup
    """
    if not known.names:
        return Markup()
    shown = list(enumerate(known.names[:LEGEND_CLASSES]))
    if (known.of < 0).any():
        shown.append((-1, "no label"))
    keys = [tag("button", tag("i", class_=colour(group)), name, type="button", data_class=group) for group, name in shown]
    more = len(known.names) - LEGEND_CLASSES
    rest = tag("span", f"and {more:,} more; colours come round again", class_="muted") if more > 0 else Markup()
    return tag("div", join(keys), rest, class_="legend")
