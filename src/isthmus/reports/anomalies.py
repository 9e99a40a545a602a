"""The page on anomalies: how the scores lie, which rows are alarms and why, which columns alarm most, what simpler ways find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite, log1p
from pathlib import Path

from isthmus.reports.markup import Markup, counted, join, number, tag, whole
from isthmus.reports.page import document, header, write_page
from isthmus.reports.sections import Section, facts, remarks, tiles
from isthmus.reports.tables import Row, comparison, headings, left_out, listing, scrolling
from isthmus.tasks.detect import Alarm, Found
from isthmus.tasks.reasons import Cause
from isthmus.tasks.trial import Trial
from isthmus.tasks.values import told

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 250, 48, 548, 22, 208
SHOWN_COLUMNS = 30
STYLE = Markup("""
.bars .new { fill: var(--accent); stroke: none; } .bars .over { fill: var(--warm); stroke: none; }
.bars .healthy { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.bars .limit { stroke: var(--warm); stroke-width: 2; stroke-dasharray: 5 4; }
.bars > svg { cursor: default; } .keys + .pair { margin-top: 14px; }
.key-new { color: var(--accent); } .key-over { color: var(--warm); } .key-healthy { color: var(--ink); }
.alarms td, .alarms th { text-align: left; vertical-align: top; padding: 8px 18px; } .alarms td { white-space: normal; }
.alarms tbody + tbody { border-top: 2px solid var(--line); } .alarms .bar { min-width: 6em; }
.alarms tbody th { width: 9em; } .alarms tbody th span { display: block; font-weight: 400; font-size: 13px; color: var(--muted); }
""")


@dataclass
class AnomalyReport:
    """Everything a report on anomalies shows.

    Attributes
    ----------
    title, subtitle : str
    facts : dict of str to str
        About data and detector.
    found : Found
    trial : Trial, optional
        Comparison with the trivial ways.
    notes : list of str
        What is to be known.
    """

    title: str
    subtitle: str
    facts: dict[str, str]
    found: Found
    trial: Trial | None = None
    notes: list[str] = field(default_factory=list[str])


def html(report: AnomalyReport) -> str:
    """Write a report on anomalies as one HTML page that needs nothing beside it.

    Parameters
    ----------
    report : AnomalyReport

    Returns
    -------
    str
        An HTML document; texts of the data are escaped.
    """
    found = report.found
    made = [_distributions(found), _alarms(found), _columns(found), _baselines(report.trial), remarks(report.notes)]
    first = header(report.title, report.subtitle, facts(report.facts), _tiles(found), style=STYLE)
    return document(report.title, first, [section for section in made if section])


def write_html(report: AnomalyReport, path: str | Path) -> Path:
    """Write a report on anomalies into a file, whole or not at all.

    Parameters
    ----------
    report : AnomalyReport
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


def _tiles(found: Found) -> Markup:
    share = f"{100 * found.alarms / max(1, found.rows):.3g} % of {counted(found.rows, 'row')}"
    entries = [
        ("alarms", whole(found.alarms), share),
        ("false alarms to be expected", _expected(found.expected), f"at {found.level}"),
        ("alarm above a score of", number(found.threshold), "all calibration rows taken as one" if isfinite(found.threshold) else ""),
    ]
    return tiles(entries)


def _expected(value: float) -> str:
    return f"≤ {number(value)}"


@dataclass(frozen=True)
class _Bars:
    """Where bars stand: counts are shown by their logarithm, so that single rows can be seen."""

    highest: float
    bins: int
    log: bool = True

    def x(self, edge: float) -> float:
        return LEFT + (RIGHT - LEFT) * edge / self.bins

    def y(self, count: float) -> float:
        bent = log1p(count) / log1p(self.highest) if self.log else count / self.highest
        return BOTTOM - (BOTTOM - TOP) * bent

    def bar(self, i: int, count: float, class_: str) -> Markup:
        top = self.y(count)
        left, right = self.x(i) + 0.5, self.x(i + 1) - 0.5
        return tag("rect", x=f"{left:.1f}", y=f"{top:.1f}", width=f"{right - left:.1f}", height=f"{BOTTOM - top:.1f}", class_=class_)

    def outline(self, counts: Sequence[float]) -> Markup:
        steps = "".join(f"L{self.x(i):.1f} {self.y(count):.1f}H{self.x(i + 1):.1f}" for i, count in enumerate(counts))
        return tag("path", d=f"M{self.x(0):.1f} {BOTTOM}{steps}V{BOTTOM}", class_="healthy")

    def rules(self) -> Markup:
        marks: list[Markup] = []
        for count in self._ticks():
            y = self.y(count)
            marks.append(tag("path", d=f"M{LEFT} {y:.1f}H{RIGHT}", class_="rule"))
            marks.append(tag("text", whole(count), x=LEFT - 7, y=f"{y + 4:.1f}", text_anchor="end"))
        return join([*marks, tag("text", "rows" + (", log scale" if self.log else ""), x=LEFT, y=TOP - 9)])

    def _ticks(self) -> list[float]:
        if not self.log:
            return [0.0, self.highest]
        powers = [0.0, *(10.0**power for power in range(12) if 10.0**power <= self.highest)]
        return powers if len(powers) <= 6 else powers[::2]


def _axis(bars: _Bars, places: Sequence[tuple[float, str]], title: str) -> Markup:
    marks = [tag("text", label, x=f"{bars.x(at):.1f}", y=BOTTOM + 17, text_anchor="middle") for at, label in places]
    return join([*marks, tag("text", title, x=RIGHT, y=HEIGHT - 4, text_anchor="end")])


def _figure(caption: str, about: str, *drawn: Markup) -> Markup:
    drawing = tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=about)
    return tag("figure", tag("figcaption", tag("b", caption)), drawing, class_="curve bars")


def _distributions(found: Found) -> Section:
    keys = (("over", "above the threshold"), ("new", "these rows"), ("healthy", "healthy rows the models had not seen, scaled to as many"))
    legend = tag("div", *(tag("span", tag("i", class_=f"key-{name}"), text) for name, text in keys), class_="keys")
    lead = (
        "The higher the score, the stranger the row; the last bar takes all scores beyond. A p-value is the share of healthy rows that are "
        "at least as strange. Rows that are all healthy would fill the p-values up to the dashed line: a high first bar is anomalies, and "
        "bars that lean to the left as a whole tell that the healthy rows have changed."
    )
    return Section("scores", "Scores", lead, legend + tag("div", _scores(found), _p_values(found), class_="pair"))


def _scores(found: Found) -> Markup:
    edges, bins = found.edges, len(found.counts)
    scale = max(1, found.rows) / max(1, int(found.healthy.sum()))
    healthy = [count * scale for count in found.healthy.tolist()]
    bars = _Bars(max([1.0, *found.counts.tolist(), *healthy]), bins)
    low, step = float(edges[0]), float(edges[1] - edges[0])
    limit = (found.threshold - low) / step if isfinite(found.threshold) else float("nan")
    drawn = [bars.bar(i, count, "over" if i >= limit else "new") for i, count in enumerate(found.counts.tolist()) if count]
    places = [(i, number(float(edges[i])) + ("+" if i == bins else "")) for i in range(0, bins + 1, max(1, bins // 5))]
    line = tag("path", d=f"M{bars.x(limit):.1f} {TOP}V{BOTTOM}", class_="limit") if isfinite(limit) and 0 <= limit <= bins else Markup()
    return _figure("Scores", "Histogram of the scores", bars.rules(), *drawn, bars.outline(healthy), line, _axis(bars, places, "score"))


def _p_values(found: Found) -> Markup:
    counts, bins = found.p_counts.tolist(), len(found.p_counts)
    fair = found.rows / bins
    bars = _Bars(max([1.0, *counts, fair]), bins, log=False)
    drawn = [bars.bar(i, count, "new") for i, count in enumerate(counts) if count]
    line = tag("path", d=f"M{LEFT} {bars.y(fair):.1f}H{RIGHT}", class_="limit")
    places = [(i, f"{i / bins:.1f}") for i in range(0, bins + 1, bins // 5)]
    return _figure("P-values", "Histogram of the p-values", bars.rules(), *drawn, line, _axis(bars, places, "p-value"))


def _alarms(found: Found) -> Section | None:
    if not found.top:
        return None
    names = ("row", "column", "observed", "expected", "nearest healthy row", "share of the strangeness")
    table = tag("table", headings(names), *(_alarm(alarm) for alarm in found.top), class_="alarms")
    many = f"The {len(found.top)} strangest of {found.alarms:,} alarms" if found.alarms > len(found.top) else "All alarms"
    lead = (
        f"{many}, the strangest first; with the columns that made them so, and what these have in the healthy row that is most like them."
    )
    return Section("alarms", "Alarms", lead, scrolling(table, "Alarms"))


def _alarm(alarm: Alarm) -> Markup:
    causes = alarm.reasons.causes
    about = tag("span", f"score {number(alarm.score)}") + tag("span", f"p = {number(alarm.p_value)}")
    first = tag("th", alarm.name, about, scope="rowgroup", rowspan=max(1, len(causes)))
    cells = [_cause(cause) for cause in causes] or [tag("td", "no single column", colspan=5)]
    return tag("tbody", *(tag("tr", first if i == 0 else Markup(), cell) for i, cell in enumerate(cells)))


def _cause(cause: Cause) -> Markup:
    bar = tag("span", f"{100 * cause.share:.0f} %", class_="bar", style=f"--share:{100 * min(1.0, cause.share):.0f}%")
    seen = tag("td", tag("b", told(cause.observed)))
    return join([tag("td", cause.column), seen, tag("td", told(cause.expected)), tag("td", told(cause.healthy)), tag("td", bar)])


def _columns(found: Found) -> Section | None:
    if not found.causes:
        return None
    most, total = max(found.causes.values()), sum(found.causes.values())
    rows: list[Markup] = []
    for name, count in list(found.causes.items())[:SHOWN_COLUMNS]:
        bar = tag("span", f"{100 * count / total:.0f} %", class_="bar", style=f"--share:{100 * count / most:.0f}%")
        rows.append(tag("tr", tag("th", name, scope="row"), tag("td", whole(count)), tag("td", bar)))
    table = listing(("column", "alarms", "share"), rows, "Columns")
    more = left_out(len(found.causes) - SHOWN_COLUMNS, "further column", "further columns")
    return Section("columns", "Columns", "How many alarms each column is the first cause of.", table + more)


def _baselines(trial: Trial | None) -> Section | None:
    if trial is None:
        return None
    rows = [Row(name, _figures(name, trial), baseline=i > 0) for i, name in enumerate(trial.results)]
    verdict = tag("p", f"{trial.advice}.", class_="notes")
    lead = f"The same split for isthmus and for what needs no training. Measured on {trial.measured_on}."
    return Section("baselines", "Against simpler ways", lead, comparison(rows) + verdict)


def _figures(name: str, trial: Trial) -> dict[str, float]:
    found = trial.results[name]
    shown = {"AUROC": found.auroc, "average precision": found.average_precision, f"detected at alpha {trial.alpha:g}": found.detected}
    return {**shown, **({f"AUROC, {kind}": value for kind, value in found.kinds.items()} if trial.made else {})}
