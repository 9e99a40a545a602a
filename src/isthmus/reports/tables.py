"""Tables of a report: the comparison, the columns, sampled rows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from isthmus.reports.markup import DASH, Markup, cell, column, counted, join, number, tag
from isthmus.tasks.evidence import Evidence

LOWER = re.compile(r"error|loss|second|time|divergence|distance|perplexity|negative|\b(rmse|mse|mae|kl)\b")
HIGHER = re.compile(
    r"accuracy|cluster|score|likelihood|precision|recall|similarity|silhouette|r squared|detected|"
    r"\b(r2|auc|auroc|ari|nmi|ami|psnr|ssim|elbo)\b"
)
SHOWN_COLUMNS, SHOWN_ROWS, SHOWN_SAMPLES = 40, 200, 8


def direction(metric: str) -> int:
    """Tell from its name which way a figure is better.

    Parameters
    ----------
    metric : str

    Returns
    -------
    int
        -1 for lower, 1 for higher, 0 for neither.

    Examples
    --------
    >>> direction("reconstruction error"), direction("k-NN accuracy"), direction("active units")
    (-1, 1, 0)
    """
    plain = metric.lower().replace("_", " ")
    if LOWER.search(plain):
        return -1
    return 1 if HIGHER.search(plain) else 0


@dataclass(frozen=True)
class Row:
    """One row of the comparison: a model or a baseline."""

    name: str
    metrics: dict[str, float]
    baseline: bool = False


def metric_names(rows: Iterable[Row]) -> list[str]:
    """List the figures that any row has, in the order in which they first come, those of models before those of baselines."""
    ordered = sorted(rows, key=lambda row: row.baseline)
    known = {name for row in ordered for name, value in row.metrics.items() if not math.isnan(value)}
    return list(dict.fromkeys(name for row in ordered for name in row.metrics if name in known))


def best(metric: str, rows: list[Row]) -> set[int]:
    """Find the rows with the best value of a column.

    Parameters
    ----------
    metric : str
        Name of the column.
    rows : list of Row

    Returns
    -------
    set of int
        Positions in `rows`: several where values agree in the three figures shown; none where no way is better, or where fewer than
        two rows have a value.
    """
    way = direction(metric)
    there = {index: row.metrics[metric] for index, row in enumerate(rows) if math.isfinite(row.metrics.get(metric, math.nan))}
    if not way or len(there) < 2:
        return set()
    top = number(max(there.values(), key=lambda value: way * value))
    return {index for index, value in there.items() if number(value) == top}


def _head(names: list[str]) -> Markup:
    arrows = {-1: "lower is better", 1: "higher is better", 0: None}
    signs = {-1: " ↓", 1: " ↑", 0: ""}
    cells = [tag("th", name + signs[direction(name)], scope="col", title=arrows[direction(name)]) for name in names]
    return tag("thead", tag("tr", tag("th", "", scope="col"), join(cells)))


def mark(shown: str, is_best: bool) -> Markup:
    """Write a cell, and mark it if it is the best of its column."""
    return tag("td", tag("b", shown, title="best of the column"), class_="best") if is_best else tag("td", shown)


def comparison(rows: list[Row]) -> Markup:
    """Show the figures of models and baselines, the best value of each column marked.

    Parameters
    ----------
    rows : list of Row

    Returns
    -------
    Markup

    Examples
    --------
    >>> "best" in comparison([Row("a", {"error": 1.0}), Row("b", {"error": 2.0})])
    True
    """
    names = metric_names(rows)
    shown = {name: column([row.metrics.get(name, math.nan) for row in rows]) for name in names}
    marked = {name: best(name, rows) for name in names}
    body: list[Markup] = []
    for index, row in enumerate(rows):
        cells = [mark(shown[name][index], index in marked[name]) for name in names]
        body.append(tag("tr", tag("th", row.name, scope="row"), *cells, class_="baseline" if row.baseline else None))
    return scrolling(tag("table", _head(names), tag("tbody", *body), class_="figures"), "Comparison")


def scrolling(table: Markup, label: str) -> Markup:
    """Let a wide table scroll by itself."""
    return tag("div", table, class_="scroll", role="region", aria_label=label, tabindex=0)


def headings(names: Iterable[str]) -> Markup:
    """Write the first line of a table."""
    return tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))


def listing(names: Iterable[str], lines: Iterable[Markup], label: str, class_: str | None = None) -> Markup:
    """Write a table with a heading for each column, which scrolls by itself."""
    return scrolling(tag("table", headings(names), tag("tbody", *lines), class_=class_), label)


def side_by_side(entries: dict[str, dict[str, str]]) -> Markup:
    """Show facts of several models, one column each.

    Parameters
    ----------
    entries : dict of str to dict of str to str
        Facts by name, for each model.

    Returns
    -------
    Markup
    """
    head = headings(["", *entries])
    keys = dict.fromkeys(key for known in entries.values() for key in known)
    rows = [tag("tr", tag("th", key, scope="row"), *(tag("td", known.get(key, DASH)) for known in entries.values())) for key in keys]
    body = tag("tbody", *rows)
    return scrolling(tag("table", head if len(entries) > 1 else Markup(), body, class_="choices"), "Choices")


def _mean(values: list[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return sum(finite) / len(finite) if finite else math.inf


def _bar(share: float) -> Markup:
    """Show an R squared as a bar too: 0 and below is empty."""
    width = 0.0 if math.isnan(share) else 100 * min(1.0, max(0.0, share))
    return tag("td", tag("span", number(share), class_="bar", style=f"--share:{width:.1f}%"))


def _column_head(names: list[str]) -> Markup:
    unit = join(tag("th", "R²", scope="col") + tag("th", "RMSE", scope="col") for _ in names)
    second = tag("tr", tag("th", "column", scope="col"), unit)
    groups = join(tag("th", name, colspan=2, scope="colgroup") for name in names)
    return tag("thead", tag("tr", tag("td"), groups), second) if len(names) > 1 else tag("thead", second)


def column_errors(models: dict[str, Evidence]) -> Markup:
    """Show how well each column is rebuilt, the worst first.

    Parameters
    ----------
    models : dict of str to Evidence
        Models that have `columns`, by name.

    Returns
    -------
    Markup
    """
    known = {name: {title: (error, share) for title, error, share in model.columns or ()} for name, model in models.items()}
    missing = (math.nan, math.nan)
    every = dict.fromkeys(title for columns in known.values() for title in columns)
    order = sorted(every, key=lambda title: _mean([columns.get(title, missing)[1] for columns in known.values()]))
    rows: list[Markup] = []
    for title in order[:SHOWN_ROWS]:
        pairs = [columns.get(title, missing) for columns in known.values()]
        rows.append(tag("tr", tag("th", title, scope="row"), join(_bar(share) + tag("td", number(error)) for error, share in pairs)))
    table = scrolling(tag("table", _column_head(list(models)), tag("tbody", *rows)), "Error of each column")
    return table + left_out(len(order) - SHOWN_ROWS, "column that is rebuilt better", "columns that are rebuilt better")


def left_out(many: int, one: str, several: str) -> Markup:
    """Say how many more there are than are shown, if any."""
    return tag("p", f"Not shown: {counted(many, one, several)}.", class_="muted") if many > 0 else Markup()


def sampled_rows(model: Evidence) -> Markup:
    """Show a few rows that a model made up.

    Parameters
    ----------
    model : Evidence
        One that has `sample_rows`.

    Returns
    -------
    Markup
    """
    names, values = model.sample_rows or (list[str](), np.empty((0, 0)))
    listed: list[list[object]] = values[:SHOWN_SAMPLES, :SHOWN_COLUMNS].tolist()
    lines = [tag("tr", *(tag("td", cell(value)) for value in row)) for row in listed]
    table = listing(names[:SHOWN_COLUMNS], lines, "Sampled rows", "plain")
    return table + left_out(len(names) - SHOWN_COLUMNS, "further column", "further columns")
