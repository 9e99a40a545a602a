"""One self-contained HTML page from the evidence."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from isthmus.files import atomic_path
from isthmus.reports import closer, sections
from isthmus.reports.markup import Markup, tag
from isthmus.reports.script import SCRIPT
from isthmus.reports.style import STYLE
from isthmus.tasks.evidence import ReportData

LOGO = Markup(
    '<svg class="logo" viewBox="0 0 64 40" aria-hidden="true">'
    '<path d="M2 2C22 2 22 17 32 17S42 2 62 2V38C42 38 42 23 32 23S22 38 2 38Z"/></svg>'
)

SECTIONS: tuple[Callable[[ReportData, sections.Models], sections.Section | None], ...] = (
    sections.what, closer.data, sections.figures, closer.differences, sections.reconstructions, closer.ranked, sections.denoised,
    closer.usage, sections.maps, closer.traversal, sections.samples, closer.scores, sections.learning, sections.columns, sections.sampled,
    sections.choices, sections.commands, closer.made,
)  # fmt: skip


def _policy() -> str:
    """Forbid the page to load anything, or to run any script but its own."""
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _head(title: str) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy()),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )


def _header(data: ReportData, models: sections.Models) -> Markup:
    known = sections.facts(data.data) if data.data else Markup()
    return header(data.title, data.subtitle, known, sections.headlines(data, models))


def header(title: str, subtitle: str, *more: Markup, style: Markup | None = None) -> Markup:
    """Write a page's header: logo, title and subtitle, then facts, tiles and the like; first the styles that this page alone has."""
    own = tag("style", style) if style else Markup()
    return tag("header", own, LOGO, tag("h1", title), tag("p", subtitle, class_="subtitle") if subtitle else Markup(), *more)


def html(data: ReportData) -> str:
    """Write a report as one HTML page that needs nothing beside it.

    Styles, script and pictures are inside; the page forbids itself to load anything. Texts of the data are escaped. The same data
    give the same page, byte for byte.

    Parameters
    ----------
    data : ReportData
        Any number of models; what they lack is left out of the page.

    Returns
    -------
    str
        An HTML document.

    Examples
    --------
    >>> from isthmus.tasks.evidence import ReportData
    >>> html(ReportData("Digits", "", {"rows": "1,797"}, {}, []))[:15]
    '<!doctype html>'
    """
    models = sections.named(data.models)
    found = [section for make in SECTIONS if (section := make(data, models))]
    return document(data.title, _header(data, models), found)


def document(title: str, header: Markup, found: Sequence[sections.Section]) -> str:
    """Put a page together: its header, links to its sections, the sections, and all that makes them look and work."""
    links = tag("nav", *(tag("a", section.heading, href=f"#{section.anchor}") for section in found), aria_label="Sections")
    footer = tag("footer", "Written by isthmus. Everything on this page is in this one file; it loads nothing.")
    tail = (tag("div", class_="tip", hidden=True), tag("script", Markup(SCRIPT)))
    body = tag("body", header, links, tag("main", *(section.markup() for section in found)), footer, *tail)
    return f"<!doctype html>\n{tag('html', _head(title), body, lang='en')}\n"


def write_html(data: ReportData, path: str | Path) -> Path:
    """Write a report into a file, whole or not at all.

    Parameters
    ----------
    data : ReportData
        See `html`.
    path : str or Path
        File to write; missing folders on the way are made.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If the file cannot be written there.

    Examples
    --------
    >>> import tempfile
    >>> from isthmus.tasks.evidence import ReportData
    >>> write_html(ReportData("Digits", "", {}, {}, []), Path(tempfile.mkdtemp()) / "report.html").name
    'report.html'
    """
    return write_page(html(data), path)


def write_page(page: str, path: str | Path) -> Path:
    """Write a page into a file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return Path(path)
