"""The page on translations: best, median and worst beside what they should be, and several draws of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact.restorer import white
from isthmus.artifact.translation import Translation
from isthmus.reports import pictures
from isthmus.reports.markup import Markup, number, tag
from isthmus.reports.page import document, header, write_page
from isthmus.reports.sections import Section, facts
from isthmus.reports.tables import Row, comparison
from isthmus.tasks.pictures.translate_files import Answer
from isthmus.tasks.pictures.translate_table import colourfulness

Array = NDArray[Any]
SHOWN, EACH, SIDE, SMALL = 12, 4, 128, 96
STYLE = Markup("""
.strips { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); gap: 18px; margin-top: 12px; }
.strips figure { min-width: 0; margin: 0; } .strips img { max-width: 100%; height: auto; } .strips figcaption { font-size: 14px; }
""")


def html(model: Translation, name: str, answers: Sequence[Answer], total: int) -> str:
    """Write a page on translated pictures that needs nothing beside it.

    Parameters
    ----------
    model : Translation
    name : str
        Of what was translated.
    answers : sequence of Answer
        Some of them, at least one.
    total : int
        How many there were.

    Returns
    -------
    str
        An HTML document; names are escaped.
    """
    known = {"pictures": f"{total:,}", "way": model.way, **{key: str(value) for key, value in model.facts.items() if key != "stopped"}}
    seconds = model.history[-1].get("seconds") if len(model.history) else None
    known |= {"seconds of training": number(seconds)} if seconds else {}
    title = f"Translations of {name}"
    if any(answer.wanted is not None for answer in answers):
        order = sorted(answers, key=lambda answer: answer.psnr)
        middle = max(0, len(order) // 2 - EACH // 2)
        parts = {"Best": order[::-1][:EACH], "Median": order[middle : middle + EACH], "Worst": order[:EACH]}
        found = [_table(answers), *(_section(heading, part, model) for heading, part in parts.items())]
    else:
        found = [_section("Pictures", answers[:SHOWN], model)]
    return document(title, header(title, "", facts(known), style=STYLE), found)


def write_html(path: Path, model: Translation, name: str, answers: Sequence[Answer], total: int) -> Path:
    """Write the page into a file, whole or not at all.

    Raises
    ------
    DataError
        If the file cannot be written there.
    """
    return write_page(html(model, name, answers, total), path)


def _table(answers: Sequence[Answer]) -> Section:
    near = np.array([answer.psnr for answer in answers])
    figures = {"mean PSNR (dB)": float(near.mean()), "least": float(near.min()), "most": float(near.max())}
    rows = [Row("the model", {**figures, **_colours([answer.found[0] for answer in answers])})]
    if answers[0].given.shape == answers[0].found[0].shape:
        given = [_psnr(answer.given, answer.wanted) for answer in answers if answer.wanted is not None]
        figures = {"mean PSNR (dB)": float(np.mean(given)), "least": min(given), "most": max(given)}
        rows.append(Row("inputs as they are", figures, baseline=True))
    wanted = [answer.wanted for answer in answers if answer.wanted is not None]
    if _colours(wanted):
        rows.append(Row("the pictures as they were", _colours(wanted), baseline=True))
    return Section("figures", "Figures", f"Of {len(answers):,} pictures whose answer is known.", comparison(rows))


def _psnr(given: Array, wanted: Array) -> float:
    error = float(np.square((given.astype(np.float64) - wanted) / white(wanted.dtype)).mean())
    return -10 * math.log10(max(error, 1e-12))


def _colours(found: Sequence[Array]) -> dict[str, float]:
    coloured = bool(found) and all(picture.shape[-1] == 3 for picture in found)
    return {"colourfulness": float(np.mean([colourfulness(picture[None])[0] for picture in found]))} if coloured else {}


def _section(title: str, answers: Sequence[Answer], model: Translation) -> Section:
    draws = len(answers[0].found)
    lead = "From left to right: the input, " + (f"{draws} draws" if draws > 1 else "the result")
    lead += ", the picture as it was." if answers[0].wanted is not None else "."
    body = [tag("figure", _strip(answer, model), tag("figcaption", _told(answer))) for answer in answers]
    return Section(title.lower(), title, lead, tag("div", *body, class_="strips"))


def _told(answer: Answer) -> str:
    return answer.name if math.isnan(answer.psnr) else f"{answer.name}: {number(answer.psnr)} dB"


def _strip(answer: Answer, model: Translation) -> Markup:
    shown = [answer.given, *answer.found, *([] if answer.wanted is None else [answer.wanted])]
    side = min(SIDE, max(max(picture.shape[:2]) for picture in shown))
    cells = np.stack([_cell(picture, side) for picture in shown])
    return pictures.grid(cells, len(cells), f"input and results of {answer.name}", f"translator ({model.way})")


def _cell(picture: Array, side: int) -> Array:
    """Return a picture within a square, as floating-point numbers in three channels: large ones smaller, all larger if all are small."""
    colours = picture if picture.shape[2] == 3 else np.repeat(picture[..., :1], 3, 2)
    step = -(-max(colours.shape[:2]) // side)
    small = colours[::step, ::step].astype(np.float32) / white(colours.dtype)
    down, right = ((side - length) // 2 for length in small.shape[:2])
    square = np.ones((side, side, 3), np.float32)
    square[down : down + small.shape[0], right : right + small.shape[1]] = small
    times = max(1, SMALL // side)
    return square.repeat(times, 0).repeat(times, 1)
