"""The page on edits: strips from original to edited, what each strength changes, and what the code holds without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import numpy as np

from isthmus.reports.markup import join, number, tag
from isthmus.reports.page import document, header, write_page
from isthmus.reports.pictures import grid
from isthmus.reports.sections import Section, facts
from isthmus.tasks.evidence import Array
from isthmus.tasks.pictures.editing import Edits, signed

SHOWN = 16


@dataclass
class EditReport:
    """Everything a report on edits shows. Pictures are floats in [0, 1], or of 8 bits.

    Attributes
    ----------
    title, subtitle : str
    facts : dict of str to str
    edits : Edits
        Of pictures.
    made_by : str
        The model's family, which the pictures' metadata name; empty to leave them without.
    units : list of (str, array of shape (steps, H, W, C))
        What units of the code do, the most used first: a name for each, and the pictures.
    """

    title: str
    subtitle: str
    facts: dict[str, str]
    edits: Edits
    made_by: str = ""
    units: list[tuple[str, Array]] = field(default_factory=list[tuple[str, Array]])


def html(report: EditReport) -> str:
    """Write a report on edits as one HTML page that needs nothing beside it.

    Parameters
    ----------
    report : EditReport

    Returns
    -------
    str
        An HTML document.

    Examples
    --------
    >>> edits = Edits((1.0,), np.zeros((2, 8, 8, 1)), np.ones((2, 1, 8, 8, 1)), np.array([1.0]), np.array([1.0]))
    >>> html(EditReport("Smiles", "", {}, edits))[:15]
    '<!doctype html>'
    """
    first = header(report.title, report.subtitle, facts(report.facts))
    return document(report.title, first, [_strips(report), _changes(report.edits), *_units(report)])


def write_html(report: EditReport, path: str | Path) -> Path:
    """Write a report into a file, whole or not at all.

    Raises
    ------
    DataError
        If the file cannot be written there.
    """
    return write_page(html(report), path)


def _strips(report: EditReport) -> Section:
    edits = report.edits
    rows = np.concatenate([edits.originals[:SHOWN, None], edits.rows[:SHOWN]], axis=1)
    heads = ("original", *(signed(strength) for strength in edits.strengths))
    told = f"{len(rows)} pictures, each with strengths {', '.join(heads)}"
    shown = grid(rows.reshape(-1, *rows.shape[2:]), len(heads), told, report.made_by)
    lead = f"From left to right: {', '.join(heads)}. Strength 0 is the reconstruction, or the picture itself where its residual is kept."
    return Section("strips", "Edits", lead, tag("figure", shown))


def _changes(edits: Edits) -> Section:
    head = tag("tr", *(tag("th", name) for name in ("strength", "change", "sharpness")))
    lines = [
        tag("tr", tag("th", signed(strength)), tag("td", f"{100 * change:.1f} %"), tag("td", number(sharp) if isfinite(sharp) else ""))
        for strength, change, sharp in zip(edits.strengths, edits.change.tolist(), edits.sharpness.tolist())
    ]
    lead = (
        "Change: root mean square difference from strength 0, as a share of the values' range. Sharpness: variance of the Laplacian "
        "relative to strength 0, the median over pictures; below 1 the edits are softer."
    )
    return Section("changes", "What changes", lead, tag("table", tag("thead", head), tag("tbody", *lines)))


def _units(report: EditReport) -> Sequence[Section]:
    if not report.units:
        return []
    lines = [
        tag("span", name, class_="label") + grid(rows, len(rows), f"{name}, from low to high", report.made_by)
        for name, rows in report.units
    ]
    lead = "Found without labels: one unit of the code moved at a time, from three standard deviations below its mean to three above."
    return [Section("units", "What else the code holds", lead, tag("div", join(lines), class_="strips"))]
