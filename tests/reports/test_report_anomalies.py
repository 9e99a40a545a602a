"""The page on anomalies: what it shows, what it leaves out, and that nothing in the data can break it."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from isthmus.reports.anomalies import AnomalyReport, html, write_html
from isthmus.tasks.detect import Alarm, Found
from isthmus.tasks.reasons import Cause, Reasons
from isthmus.tasks.trial import Result as Figures
from isthmus.tasks.trial import Trial

HOSTILE = "<script>alert(1)</script>\"'&</style><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Checks that elements close in order, and remembers what stands where."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def sections(self) -> list[str | None]:
        return [found["id"] for name, found in self.elements if name == "section"]


def alarm(row: int, name: str = "", column: str = "km", observed: object = 9000.0) -> Alarm:
    causes = (Cause(column, 0.9, observed, 120.5, 130.0), Cause("kind", 0.1, "rocket", "car", "car"))
    return Alarm(row, name or str(row), 30.0, 0.001, Reasons(row, causes, {"km": 130.0, "kind": "car"}, 2.0))


def found(alarms: int = 2, threshold: float = 8.0, **changes) -> Found:
    counts = np.zeros(40, np.int64)
    counts[:5], counts[-1] = 100, alarms
    base = {"rows": 500 + alarms, "alarms": alarms, "level": "alpha = 0.01", "expected": 5.0, "threshold": threshold,
            "top": [alarm(i) for i in range(min(alarms, 25))], "causes": {"km": alarms} if alarms else {}, "edges": np.linspace(0, 12, 41),
            "counts": counts, "healthy": counts // 2, "p_counts": np.full(20, 25)}  # fmt: skip
    return Found(**(base | changes))


def trial(made: bool = True) -> Trial:
    precision = math.nan if made else 0.6
    names = {"isthmus": 0.95, "PCA residual": 0.9, "k-NN distance": 0.94, "isolation forest": 0.8}
    results = {name: Figures(value, precision, 0.5, 0.95 - value, 0.02, {"cells changed": value}) for name, value in names.items()}
    return Trial(results, "a test", made, 0.01)


def report(some: Found | None = None, **changes) -> AnomalyReport:
    base = {
        "title": "Anomalies in trips.csv",
        "subtitle": "500 rows",
        "facts": {"data": "trips.csv"},
        "trial": trial(),
        "notes": ["a note"],
    }
    return AnomalyReport(found=some or found(), **(base | changes))


def test_every_section_is_there():
    page = Page(html(report()))
    assert page.sections() == ["scores", "alarms", "columns", "baselines", "notes"]
    for text in ("9000", "120.5", "130", "rocket", "score 30.0", "p = 0.00100", "trips.csv"):
        assert text in page.texts, text
    assert "k-NN distance is as good here (AUROC 0.940 against 0.950, ± 0.020) and simpler: prefer it." in page.texts


def test_the_best_of_each_column_is_marked():
    page = html(report(trial=trial(made=False)))
    assert "average precision" in page
    assert re.findall(r'class="best"><b[^>]*>([^<]*)', page)[0] == "0.950"


def test_bars_above_the_threshold_have_another_colour():
    page = html(report())
    assert page.count('class="over"') == 1
    assert page.count('class="new"') == 5 + 20
    assert 'class="limit"' in page
    moving = html(report(found(threshold=math.nan)))
    assert 'class="over"' not in moving
    assert "—" in moving


def test_heights_follow_the_counts():
    heights = [float(text) for text in re.findall(r'height="([\d.]+)" class="new"', html(report()))]
    assert len(set(heights[:5])) == 1
    over = float(re.search(r'height="([\d.]+)" class="over"', html(report()))[1])
    assert over / heights[0] == pytest.approx(math.log1p(2) / math.log1p(100), rel=0.02)


def test_without_alarms_and_trial():
    page = Page(html(report(found(alarms=0), trial=None, notes=[])))
    assert page.sections() == ["scores"]


def test_an_alarm_of_no_column():
    one = alarm(1)
    bare = Alarm(1, "1", 3.0, 0.1, Reasons(1, (), {}, 1.0))
    assert "no single column" in Page(html(report(found(top=[one, bare])))).texts


def test_many_columns_are_cut():
    page = Page(html(report(found(causes={f"c{i}": 50 - i for i in range(40)}))))
    assert "Not shown: 10 further columns." in page.texts


def test_hostile_names_stay_text():
    hostile = found(top=[alarm(0, HOSTILE, HOSTILE, HOSTILE)], causes={HOSTILE: 1}, level=HOSTILE)
    page = Page(html(report(hostile, title=HOSTILE, subtitle=HOSTILE, facts={HOSTILE: HOSTILE}, notes=[HOSTILE])))
    assert sum(name == "script" for name, _ in page.elements) == 1
    assert not [entry for _, entry in page.elements if any(name.startswith("on") for name in entry)]
    assert "".join(page.texts).count(HOSTILE[:20]) > 6


def test_nothing_is_loaded_and_the_same_data_give_the_same_page():
    page = html(report())
    assert page == html(report())
    for text in ("http:", "https:", "@import", "<link"):
        assert text not in page
    assert len(page) < 100_000


def test_it_is_written_whole(tmp_path):
    path = write_html(report(), tmp_path / "new" / "page.html")
    assert path.read_text(encoding="utf-8") == html(report())
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]
