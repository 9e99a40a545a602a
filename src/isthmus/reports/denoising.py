"""The page on a denoiser: its figures beside those of older ways, and what each makes of the best, a middle and the worst picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from isthmus.reports.markup import DASH, Markup, join, number, tag
from isthmus.reports.page import document, header, write_page
from isthmus.reports.pictures import PIXELATED_UP_TO, data_uri, to_bytes
from isthmus.reports.sections import Section, facts, remarks, tiles
from isthmus.reports.tables import listing, mark
from isthmus.tasks.evidence import Array
from isthmus.tasks.pictures.denoise_table import Case, Figures, Judgement

LARGEST, SMALLEST, ZOOMED = 320, 160, 4  # pixels of a shown side; part of it that is shown larger
PLACES = ("best", "in the middle", "worst")
STYLE = Markup("""
.case { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px; margin-top: 12px; }
.case figure { min-width: 0; } .case img { display: block; width: 100%; height: auto; border-radius: 6px; background: var(--soft); }
.case img + img { margin-top: 6px; image-rendering: pixelated; }
.case figcaption { margin-top: 6px; font-size: 14px; } .case figcaption span { color: var(--muted); font-variant-numeric: tabular-nums; }
""")


@dataclass
class DenoisingReport:
    """Everything a report on a denoiser shows.

    Attributes
    ----------
    title, subtitle : str
    facts : dict of str to str
        About data and network.
    judgement : Judgement
        Its first method is the network.
    notes : list of str
        What is to be known.
    """

    title: str
    subtitle: str
    facts: dict[str, str]
    judgement: Judgement
    notes: list[str] = field(default_factory=list[str])


def html(report: DenoisingReport) -> str:
    """Write a report on a denoiser as one HTML page that needs nothing beside it.

    Parameters
    ----------
    report : DenoisingReport

    Returns
    -------
    str
        An HTML document; texts of the data are escaped.
    """
    made = [_figures(report.judgement), _pictures(report.judgement), remarks(report.notes)]
    first = header(report.title, report.subtitle, facts(report.facts), _tiles(report.judgement), style=STYLE)
    return document(report.title, first, [section for section in made if section])


def write_html(report: DenoisingReport, path: str | Path) -> Path:
    """Write a report on a denoiser into a file, whole or not at all.

    Parameters
    ----------
    report : DenoisingReport
    path : str or Path

    Returns
    -------
    Path

    Raises
    ------
    DataError
        If the file cannot be written there.
    """
    return write_page(html(report), path)


def _tiles(found: Judgement) -> Markup:
    network = found.figures[0]
    others = [row for row in found.figures[1:] if row.method != "noisy"]
    noisy = next((row for row in found.figures if row.method == "noisy"), None)
    entries = [("PSNR", f"{network.psnr:.2f} dB", f"noisy: {noisy.psnr:.2f} dB" if noisy else "")]
    if not math.isnan(network.ssim):
        entries.append(("SSIM", f"{network.ssim:.3f}", f"noisy: {noisy.ssim:.3f}" if noisy else ""))
    if others:
        best = max(others, key=lambda row: row.psnr)
        entries.append((f"gain over {best.method}", f"{network.psnr - best.psnr:+.2f} dB".replace("-", "\N{MINUS SIGN}"), ""))
    return tiles(entries)


def _figures(found: Judgement) -> Section:
    lead = "Means over the pictures. PSNR in decibels: 3 more halve the squared error. SSIM: 1 for a picture equal to the clean one."
    names = ("", "PSNR in dB \N{UPWARDS ARROW}", "SSIM \N{UPWARDS ARROW}", "seconds")
    best = {name: max(getattr(row, name) for row in found.figures) for name in ("psnr", "ssim")}
    lines = [_row(row, best, i > 0) for i, row in enumerate(found.figures)]
    return Section("figures", "Figures", lead, listing(names, lines, "Figures", "figures"))


def _row(row: Figures, best: dict[str, float], baseline: bool) -> Markup:
    cells = [_cell(getattr(row, name), digits, getattr(row, name) == best[name]) for name, digits in (("psnr", 2), ("ssim", 3))]
    seconds = tag("td", number(row.seconds) if row.method != "noisy" else "")
    return tag("tr", tag("th", row.method, scope="row"), *cells, seconds, class_="baseline" if baseline else None)


def _cell(value: float, digits: int, is_best: bool) -> Markup:
    return mark(DASH if math.isnan(value) else f"{value:.{digits}f}", is_best)


def _pictures(found: Judgement) -> Section:
    places = PLACES if len(found.cases) == len(PLACES) else ("best", "worst") if len(found.cases) > 1 else ("",)
    blocks = [tag("h3", f"{case.name}{f': {place}' if place else ''}") + _case(case) for place, case in zip(places, found.cases)]
    lead = "By the network's PSNR. Below each picture a part of it, larger, where the clean one changes most."
    return Section("pictures", "Pictures", lead, join(blocks))


def _case(case: Case) -> Markup:
    network = next(iter(case.found))
    shown = {"noisy": case.noisy, **{name: found for name, found in case.found.items() if name not in ("noisy", network)}}
    shown |= {network: case.found[network], "clean": case.clean}
    place = liveliest(case.clean)
    figures = [_figure(name, picture, case.psnr.get(name), place, name == network) for name, picture in shown.items()]
    return tag("div", *figures, class_="case")


def _figure(name: str, picture: Array, psnr: float | None, place: tuple[slice, slice], made: bool) -> Markup:
    about = tag("span", f" {psnr:.2f} dB") if psnr is not None else Markup()
    whole, part = _image(picture), _image(picture[place])
    by = "denoiser" if made else ""
    images = [tag("img", src=data_uri(whole, by), alt=f"{name}, the whole picture", width=whole.width, height=whole.height)]
    if max(picture.shape[:2]) > PIXELATED_UP_TO:
        images.append(tag("img", src=data_uri(part, by), alt=f"{name}, a part of it", width=part.width, height=part.height))
    else:
        images = [tag("img", src=data_uri(whole, by), alt=name, width=whole.width, height=whole.height, style="image-rendering: pixelated")]
    return tag("figure", *images, tag("figcaption", tag("b", name), about))


def _image(picture: Array) -> Image.Image:
    pixels = to_bytes(picture)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    side = max(image.size)
    if side > LARGEST:
        width, height = (max(1, round(length * LARGEST / side)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BOX)
    times = max(1, SMALLEST // max(image.size))
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def liveliest(picture: Array) -> tuple[slice, slice]:
    """Return the part of a picture, a quarter of its height and width, in which values change most.

    Examples
    --------
    >>> picture = np.zeros((64, 64, 1))
    >>> picture[40:56, 40:56] = np.indices((16, 16)).sum(0)[..., None] % 2
    >>> liveliest(picture)
    (slice(40, 56, None), slice(40, 56, None))
    """
    height, width = (max(1, -(-length // ZOOMED)) for length in picture.shape[:2])
    grey = np.asarray(picture, np.float64).mean(2)
    change = np.zeros_like(grey)
    change[:, 1:] += np.abs(np.diff(grey, axis=1))
    change[1:] += np.abs(np.diff(grey, axis=0))
    starts = [range(0, max(1, length - part + 1), max(1, part // 2)) for length, part in zip(grey.shape, (height, width))]
    _, top, left = max((float(change[y : y + height, x : x + width].sum()), y, x) for y in starts[0] for x in starts[1])
    return slice(top, top + height), slice(left, left + width)
