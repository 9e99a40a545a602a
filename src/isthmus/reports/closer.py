"""Sections of a closer look: the data, rows rebuilt best and worst, what the code carries, scores, differences, origins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from PIL import Image

from isthmus.reports import bars, pictures
from isthmus.reports.markup import Markup, cell, counted, join, number, tag
from isthmus.reports.sections import Models, Section, strip, strips
from isthmus.reports.tables import listing, scrolling
from isthmus.tasks.evidence import RANKS, Array, Evidence, Ranked, ReportData, Usage

_COUNTED = (
    "The error is the mean over the columns of the squared difference over the column's variance, and of categories the share "
    "that is wrong."
)
SHOWN_COLUMNS, SHOWN_UNITS, SHOWN_CELLS = 60, 32, 30


def data(found: ReportData, _models: Models) -> Section | None:
    """Show what the data are."""
    if not found.schema:
        return None
    lead = "As the model reads them" + (", measured on the rows of this page." if "measured on" in found.data else ".")
    return Section("data", "The data", lead, _table(found.schema[:SHOWN_COLUMNS], "Columns") + _more(len(found.schema) - SHOWN_COLUMNS))


def _table(rows: Sequence[dict[str, object]], about: str) -> Markup:
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if any(row.get(name) not in (None, "") for row in rows)]
    lines = [tag("tr", tag("th", row.get(names[0]), scope="row"), *(tag("td", _cell(row.get(name))) for name in names[1:])) for row in rows]
    return listing(names, lines, about, "schema")


def _cell(value: object) -> str:
    return "" if value is None else cell(value)


def _more(many: int) -> Markup:
    return tag("p", f"and {counted(many, 'further column')}", class_="muted") if many > 0 else Markup()


def ranked(_data: ReportData, models: Models) -> Section | None:
    """Show the rows that each model rebuilds best, in the middle and worst."""
    there = {name: model.ranked for name, model in models.items() if model.ranked is not None and model.ranked.rows.size}
    blocks = [_titled(name, len(there)) + (_cells(found) if found.names else _pictures(name, found)) for name, found in there.items()]
    lead = "Of the measured rows: those that come back nearest to themselves, those in the middle, and those that come back worst."
    if any(found.names for found in there.values()):
        lead += f" {_COUNTED}"
    return Section("ranked", "Best, median and worst", lead, join(blocks)) if blocks else None


def _titled(name: str, many: int) -> Markup:
    return tag("h3", name) if many > 1 else Markup()


def _pictures(name: str, found: Ranked) -> Markup:
    rows: list[Markup] = []
    for place, rank in enumerate(RANKS):
        told = f"{rank} (error {number(float(found.errors[place].mean()))})"
        rows += [strip(told, found.originals[place], "given"), strip(name, found.reconstructions[place])]
    return strips(rows)


def _cells(found: Ranked) -> Markup:
    order = range(min(len(found.names), SHOWN_CELLS))
    heads = [f"{rank}, row {int(found.rows[i, 0]):,} (error {number(float(found.errors[i, 0]))})" for i, rank in enumerate(RANKS)]
    first = tag("tr", tag("th", "", scope="col"), *(tag("th", head, colspan=2) for head in heads))
    second = tag(
        "tr", tag("th", "column", scope="col"), *(tag("th", name, scope="col") for _ in RANKS for name in ("row", "comes back as"))
    )
    lines = [
        tag("tr", tag("th", found.names[j], scope="row"), *(tag("td", _value(part[i, 0, j])) for i in range(3) for part in _both(found)))
        for j in order
    ]
    table = scrolling(tag("table", tag("thead", first, second), tag("tbody", *lines)), "Best, median and worst row")
    return table + _more(len(found.names) - SHOWN_CELLS)


def _both(found: Ranked) -> tuple[Array, Array]:
    return found.originals, found.reconstructions


def _value(value: object) -> str:
    if isinstance(value, datetime):
        return value.replace(microsecond=0).isoformat(" ")
    return cell(None if isinstance(value, float) and math.isnan(value) else value)


def usage(_data: ReportData, models: Models) -> Section | None:
    """Show what the units of each code carry, and how far they go together."""
    there = {name: model.usage for name, model in models.items() if model.usage is not None and model.usage.variance.size}
    figures = [figure for name, found in there.items() for figure in (_carried(name, found), _correlation(name, found))]
    lead = (
        "What each unit of the code carries, the most used first; units in grey do not change from row to row. "
        "Beside it, how far the units go together: red for rising together, blue for one falling as the other rises."
    )
    return Section("usage", "What the code carries", lead, tag("div", *figures, class_="pair")) if figures else None


def _carried(name: str, found: Usage) -> Markup:
    order = found.order[:SHOWN_UNITS]
    told = f"{int(found.active.sum())} of {counted(len(found.active), 'unit')} active; {found.measure}"
    caption = tag("figcaption", tag("b", name), tag("span", told, class_="muted"))
    drawn = bars.bars(
        [float(found.carried[unit]) for unit in order], [str(unit) for unit in order], list(map(bool, found.active[order].tolist()))
    )
    rest = len(found.variance) - len(order)
    return tag(
        "figure", caption, drawn, tag("p", f"and {counted(rest, 'further unit')}", class_="muted") if rest else Markup(), class_="chart"
    )


def _correlation(name: str, found: Usage) -> Markup:
    order = found.varying[:SHOWN_UNITS]
    matrix = found.correlation[np.ix_(order, order)]
    apart = np.abs(matrix[~np.eye(len(order), dtype=bool)])
    there = apart[np.isfinite(apart)]
    told = f"mean size {number(float(there.mean()))} off the diagonal" if there.size else "one unit alone"
    caption = tag("figcaption", tag("b", "Correlation"), tag("span", told, class_="muted"))
    if not len(order):
        return Markup()
    about = f"Correlation of {counted(len(order), 'unit')} of {name}, in the order beside"
    image = Image.fromarray(heat(matrix)).resize((240, 240), Image.Resampling.NEAREST)
    return tag("figure", caption, tag("img", src=pictures.data_uri(image), alt=about, width=240, height=240, class_="heat"), class_="chart")


def heat(matrix: Array) -> Array:
    """Return colours of numbers between -1 (blue) and 1 (red), white at 0 and grey where there is none.

    Parameters
    ----------
    matrix : array of shape (n, m)

    Returns
    -------
    array of uint8, shape (n, m, 3)

    Examples
    --------
    >>> heat(np.array([[0.0, 1.0]])).tolist()
    [[[250, 250, 248], [190, 60, 30]]]
    """
    ends = np.array([[40, 100, 190], [250, 250, 248], [190, 60, 30]], np.float64)
    share: Array = np.clip(np.nan_to_num(np.asarray(matrix, np.float64)), -1, 1)[..., None]
    mixed = ends[1] + share.clip(max=0) * (ends[1] - ends[0]) + share.clip(min=0) * (ends[2] - ends[1])
    return np.where(np.isnan(matrix)[..., None], 150, np.rint(mixed)).astype(np.uint8)


def traversal(_data: ReportData, models: Models) -> Section | None:
    """Show what single units of each code do to pictures."""
    there = {name: model for name, model in models.items() if model.traversal is not None and model.traversal.size}
    blocks = [tag("div", _traversed(name, model), class_="pair") for name, model in there.items()]
    lead = "One unit of the code a line, the most used first, moved from low to high while the others stay at their mean."
    return Section("traversal", "What single units do", lead, join(blocks)) if blocks else None


def _traversed(name: str, model: Evidence) -> Markup:
    shown = model.traversal
    assert shown is not None
    flat = shown.reshape(-1, *shown.shape[2:])
    drawn = pictures.grid(flat, shown.shape[1], f"{counted(len(shown), 'unit')} of {name} moved one at a time", name)
    return tag("figure", tag("figcaption", tag("b", name)), drawn)


def scores(_data: ReportData, models: Models) -> Section | None:
    """Show how scores and errors are spread over the rows."""
    figures: list[Markup] = []
    for name, model in models.items():
        for told, values in (("log likelihood, nats", model.scores), ("reconstruction error", model.errors)):
            if values is not None and np.isfinite(values).any():
                figures.append(_spread(name, told, values[np.isfinite(values)]))
    lead = "How the measured rows' scores are spread. Rows far to the left of the first, or far to the right of the second, are strange."
    return Section("scores", "Scores", lead, tag("div", *figures, class_="pair")) if figures else None


def _spread(name: str, told: str, values: Array) -> Markup:
    low, middle, high = (number(float(value)) for value in np.quantile(values, (0.05, 0.5, 0.95)))
    caption = tag("figcaption", tag("b", name), tag("span", told, class_="muted"))
    summary = tag("p", f"median {middle}; nine rows in ten lie between {low} and {high}", class_="muted")
    return tag("figure", caption, bars.histogram(values), summary, class_="chart")


def differences(found: ReportData, _models: Models) -> Section | None:
    """Show how far models are apart row by row."""
    if not found.differences:
        return None
    names = ("", "measure", "mean difference", "95 % interval", "spread of the rows", "better in", "")
    lines = [
        tag(
            "tr",
            tag("th", f"{each.name} less {each.reference}", scope="row"),
            tag("td", each.measure),
            tag("td", number(each.mean)),
            tag("td", f"{number(each.low)} to {number(each.high)}"),
            tag("td", number(each.spread)),
            tag("td", f"{each.better:.0%} of rows"),
            tag("td", each.verdict),
        )
        for each in found.differences
    ]
    lead = f"Each row's figure of one model less the same row's figure of the other, over {counted(found.differences[0].rows, 'row')}."
    notes = join(tag("p", note, class_="muted") for note in found.notes)
    return Section("differences", "Row by row", lead, listing(names, lines, "Paired differences") + notes)


def made(found: ReportData, _models: Models) -> Section | None:
    """Say how the page came to be."""
    if not found.made:
        return None
    lines = [tag("div", tag("dt", name), tag("dd", tag("code", told) if " " in told else told)) for name, told in found.made.items()]
    return Section("made", "How this page was made", "", tag("dl", *lines, class_="made"))
