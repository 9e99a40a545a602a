from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import isthmus.reports.page
from isthmus.errors import DataError
from isthmus.reports import html, write_html
from isthmus.tasks.evidence import Evidence, ReportData

VOID = {"meta", "img", "br", "hr", "link", "input"}


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
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, tag: str, class_: str | None = None) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag and (class_ is None or class_ in (found.get("class") or "").split())]

    def sections(self) -> list[str | None]:
        return [found["id"] for found in self.all("section")]

    def images(self) -> list[Image.Image]:
        uris = [found["src"] or "" for found in self.all("img")]
        assert all(uri.startswith("data:image/png;base64,") for uri in uris)
        return [Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) for uri in uris]


def pictures(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def history(rows: int) -> list[dict[str, float]]:
    return [{"step": 10 * (i + 1), "epoch": i, "train": 30 / (i + 1), "held_out": 33 / (i + 1), "seconds": i} for i in range(rows)]


def evidence(family: str = "variational", n: int = 40, **changes) -> Evidence:
    codes = np.random.default_rng(1).normal(size=(n, 2))
    base = {"facts": {"network": "mlp"}, "metrics": {"reconstruction error": 0.5, "active units": 2.0}, "history": history(12),
            "best_step": 80, "codes": codes, "map": codes, "title": "One line"}  # fmt: skip
    return Evidence(family, **(base | changes))


def picture_evidence(family: str, shape: tuple[int, int, int] = (8, 8, 1), n: int = 40, **changes) -> Evidence:
    shown = {"labels": np.arange(n) % 10, "thumbnails": pictures(n, *shape), "originals": pictures(6, *shape)}
    return evidence(family, n, **(shown | {"reconstructions": pictures(6, *shape, seed=2)} | changes))


def report(*models: Evidence, **changes) -> ReportData:
    base = {"title": "Digits", "subtitle": "Held out", "data": {"rows": "1,797"}, "baselines": {}, "commands": ["isthmus fit my.csv"]}
    return ReportData(**(base | changes), models=list(models))


@pytest.fixture
def demo() -> ReportData:
    extras = {
        "denoising": {"noisy": pictures(6, 8, 8, 1), "denoised": pictures(6, 8, 8, 1), "clean": pictures(6, 8, 8, 1)},
        "variational": {"samples": pictures(16, 8, 8, 1), "interpolation": pictures(3, 7, 8, 8, 1)},
    }
    families = ("linear", "undercomplete", "sparse", "denoising", "variational")
    models = [picture_evidence(name, n=360, **extras.get(name, {})) for name in families]
    return report(*models, baselines={"PCA": {"reconstruction error": 0.7, "active units": 16.0}})


def test_demo_has_every_section_for_pictures(demo):
    page = Page(html(demo))
    assert page.sections() == ["models", "figures", "reconstructions", "denoising", "maps", "samples", "learning", "choices", "commands"]
    assert len(page.all("figure", "map")) == len(page.all("figure", "curve")) == 5


def test_demo_is_small_and_the_same_each_time(demo):
    page = html(demo)
    assert page == html(demo)
    assert len(page) < 300_000


def test_nothing_is_loaded_from_anywhere(demo):
    page = html(demo)
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    parsed = Page(page)
    assert not parsed.all("link")
    assert all("src" not in found for found in parsed.all("script"))
    assert all((found["href"] or "").startswith("#") for found in parsed.all("a"))


def test_policy_allows_only_the_scripts_of_the_page(demo):
    page = html(demo)
    policy = next(found["content"] or "" for found in Page(page).all("meta") if found.get("http-equiv"))
    script = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_originals_stand_once_above_one_row_a_model(demo):
    page = Page(html(demo))
    strips = [found for found in page.all("span") if "label" in (found.get("class") or "").split()]
    assert len(strips) == 1 + 5 + 3
    assert page.texts.count("original") == 1
    widths = {image.size for image in page.images()[:6]}
    assert len(widths) == 1, "rows of reconstructions must align"


def test_models_with_other_originals_get_their_own_strip():
    other = picture_evidence("sparse", originals=pictures(6, 8, 8, 1, seed=9))
    assert Page(html(report(picture_evidence("linear"), other))).texts.count("original") == 2


def test_thumbnails_shared_by_models_are_written_once(demo):
    assert len(Page(html(demo)).all("img", "sheet")) == 1


def test_a_table_without_pictures_and_labels():
    columns = [("good", 0.1, 0.9), ("constant", 0.0, float("nan")), ("bad", 5.0, -0.2)]
    rows = (["good", "constant", "bad"], np.arange(9.0).reshape(3, 3))
    page = Page(html(report(evidence(columns=columns, sample_rows=rows))))
    assert page.sections() == ["models", "figures", "maps", "learning", "columns", "sampled", "choices", "commands"]
    assert not page.all("img")
    assert not page.all("div", "legend")
    places = [page.texts.index(name) for name in ("bad", "good", "constant")]
    assert places == sorted(places), "worst first, columns without an R squared last"


def test_column_errors_of_several_models_share_one_table():
    first, second = evidence("linear", columns=[("a", 1.0, 0.5)]), evidence("sparse", columns=[("a", 2.0, 0.4), ("b", 3.0, 0.1)])
    page = html(report(first, second))
    assert page.count("<table") == 3  # comparison, columns, choices
    assert page.index(">b</th>") < page.index(">a</th>")
    assert "—" in page[page.index(">b</th>") : page.index(">a</th>")]


HOSTILE = "<script>alert(1)</script>\"'&</style><img src=x onerror=alert(1)>"


def test_hostile_names_stay_text():
    columns = [(HOSTILE, 1.0, 0.5)]
    model = picture_evidence(
        HOSTILE, title=HOSTILE + "t", facts={HOSTILE: HOSTILE}, metrics={HOSTILE: 1.0}, columns=columns,
        labels=np.array([HOSTILE, "b"] * 20), sample_rows=([HOSTILE], np.array([[HOSTILE]], object)),
        noisy=pictures(2, 8, 8, 1), denoised=pictures(2, 8, 8, 1), samples=pictures(2, 8, 8, 1),
    )  # fmt: skip
    data = report(model, title=HOSTILE, subtitle=HOSTILE, data={HOSTILE: HOSTILE}, baselines={HOSTILE: {HOSTILE: 2.0}}, commands=[HOSTILE])
    page = Page(html(data))
    assert len(page.all("script")) == 2
    assert not [found for _, found in page.elements if any(name.startswith("on") for name in found)]
    assert all(found["src"] != "x" for found in page.all("img"))
    assert page.texts.count(HOSTILE) > 10
    names = json.loads(page.all("figure", "map")[0]["data-names"] or "")
    assert names == [HOSTILE, "b"]


def test_names_that_are_no_utf8_or_no_html_are_replaced():
    page = html(report(evidence(), title="a\udc80b\x00c\x1b"))
    page.encode("utf-8")
    assert "<h1>a?b\ufffdc\ufffd</h1>" in page


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 64, 3), (5, 9, 3), (16, 16, 2), (300, 200, 3), (1, 1, 1)])
def test_shapes_of_pictures(shape):
    model = picture_evidence("variational", shape, samples=pictures(5, *shape), interpolation=pictures(2, 3, *shape))
    page = Page(html(report(model)))
    images = page.images()
    assert len(images) == 5
    assert all(image.width <= 16 * 150 for image in images)
    height, width = shape[:2]
    strip = images[0]
    assert strip.width / strip.height > 0.9 * 6 * width / height


def test_reconstructions_keep_their_values():
    shown = np.linspace(0, 1, 64).reshape(1, 8, 8, 1)
    page = Page(html(report(evidence(originals=shown, reconstructions=1 - shown))))
    original, rebuilt = (np.asarray(image.convert("L"), int) for image in page.images())
    assert original.shape == (32, 32)
    assert np.array_equal(original[::4, ::4].ravel(), np.rint(shown.ravel() * 255))
    assert np.abs(original + rebuilt - 255).max() <= 1


def test_many_points_keep_the_file_small():
    n = 10_000
    model = picture_evidence("variational", (28, 28, 1), n=n, thumbnails=np.zeros((n, 28, 28, 1)))
    page = html(report(model))
    assert len(page) < 1_000_000
    found = Page(page).all("img", "sheet")[0]
    assert int(found["data-stride"] or 0) * 2000 >= n
    assert page.count("h0M") + 10 == n, "each row is one dot"


def test_more_points_than_can_be_shown_are_thinned_evenly():
    page = html(report(evidence(n=25_000)))
    assert Page(page).all("figure", "map")[0]["data-stride"] == "3"
    assert page.count("h0M") + 1 == 8334


def test_labels_may_be_texts_numbers_or_missing():
    page = Page(html(report(evidence(n=4, labels=np.array(["cat", None, "ant", float("nan")], object)))))
    figure = page.all("figure", "map")[0]
    assert json.loads(figure["data-names"] or "") == ["ant", "cat"]
    assert "no label" in page.texts
    page = Page(html(report(evidence(n=3, labels=np.array([10.0, 9.0, np.nan])))))
    assert json.loads(page.all("figure", "map")[0]["data-names"] or "") == ["9", "10"]


def test_many_classes_reuse_the_colours():
    page = Page(html(report(evidence(n=200, labels=np.arange(200)))))
    assert page.all("i", "k9")
    assert not page.all("i", "k10")
    assert "and 170 more; colours come round again" in page.texts


def test_points_that_are_not_finite_are_left_out():
    points = np.array([[0.0, 0.0], [np.nan, 1.0], [1.0, np.inf], [2.0, 1.0]])
    page = html(report(evidence(n=4, map=points)))
    groups = re.search(r'id="groups">(.*?)</script>', page)
    assert groups is not None
    assert json.loads(groups[1]) == [[-1, -2, -2, -1]]
    assert page.count("h0M") == 1


@pytest.mark.parametrize("width", [1, 2])
def test_narrow_codes(width):
    codes = np.random.default_rng(0).normal(size=(30, width))
    points = np.column_stack([codes[:, 0], np.zeros(30)])
    assert f"{width} unit" in html(report(evidence(n=30, codes=codes, map=points)))


def test_models_with_maps_of_other_lengths():
    page = Page(html(report(evidence("linear", n=10), evidence("sparse", n=20))))
    assert len(page.all("figure", "map")) == 2


def test_a_history_of_one_row_becomes_a_sentence():
    page = Page(html(report(evidence(history=history(1)))))
    assert "learning" in page.sections()
    assert not page.all("figure", "curve")
    assert "was evaluated once: train 30.0, held-out 33.0" in "".join(page.texts)


def test_an_empty_history_has_no_section():
    assert "learning" not in Page(html(report(evidence(history=[])))).sections()


def test_missing_and_infinite_losses_break_the_curve():
    rows = history(6)
    rows[2]["train"], rows[3]["held_out"] = float("nan"), float("inf")
    page = html(report(evidence(history=rows)))
    curve = re.search(r'<path d="([^"]*)" class="line train">', page)
    assert curve is not None
    assert curve[1].count("M") == 2
    for found in Page(page).all("figure", "curve"):
        assert json.loads(found["data-rows"] or "")[2][2] is None


def test_long_histories_are_thinned_but_keep_both_ends():
    rows = json.loads(Page(html(report(evidence(history=history(5000))))).all("figure", "curve")[0]["data-rows"] or "")
    assert len(rows) == 400
    assert [rows[0][1], rows[-1][1]] == [10, 50_000]


def test_best_of_each_column_is_marked_and_missing_is_a_dash():
    metrics = [{"reconstruction error": 0.2, "k-NN accuracy": 0.9, "active units": 3.0, "clustering": float("nan")},
               {"reconstruction error": 0.1, "k-NN accuracy": 0.8, "active units": 9.0, "clustering": 0.5}]  # fmt: skip
    page = html(report(evidence("linear", metrics=metrics[0]), evidence("sparse", metrics=metrics[1])))
    assert re.findall(r'class="best"><b[^>]*>([^<]*)', page) == ["0.900", "0.100"]
    assert "<td>—</td>" in page


def test_figures_that_no_row_has_are_left_out():
    page = html(report(evidence(metrics={"reconstruction error": 0.1, "clustering": float("nan")})))
    assert "clustering" not in page


def test_same_family_twice_gets_two_names():
    page = Page(html(report(evidence("sparse"), evidence("sparse"))))
    assert "sparse 2" in page.texts


def test_report_without_anything():
    assert Page(html(ReportData("Nothing", "", {}, {}, []))).sections() == []


def test_unknown_family_is_shown_by_its_title():
    assert "One line" in Page(html(report(evidence("brand-new")))).texts


def test_write_html_writes_the_page(tmp_path: Path, demo: ReportData):
    path = write_html(demo, str(tmp_path / "new" / "report.html"))
    assert path == tmp_path / "new" / "report.html"
    assert path.read_bytes() == html(demo).encode()
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]


def test_write_html_into_the_place_of_a_folder(tmp_path: Path):
    with pytest.raises(DataError, match=r"cannot write .*folder"):
        write_html(report(evidence()), tmp_path)


def test_write_html_below_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"cannot write .*report\.html"):
        write_html(report(evidence()), tmp_path / "file" / "report.html")


def test_write_html_that_fails_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    real = Path.write_text

    def full_disk(self: Path, text: str, *args: object, **options: object) -> int:
        real(self, text[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(isthmus.reports.page.Path, "write_text", full_disk)
    with pytest.raises(DataError, match="No space left"):
        write_html(report(evidence()), path)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]
