"""The page that works without a server: what is in it, and that it gives what the server gives."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus.artifact.onnx.tracing import opened
from isthmus.data import from_any
from isthmus.data.dates import DAY
from isthmus.errors import ConfigError
from isthmus.explorer import graph, page, server
from isthmus.explorer.answers import Answers
from isthmus.explorer.model import ModelSubject
from isthmus.explorer.opening import rows_of
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit

TEMPLATE = "<html><title>__ISTHMUS_TITLE__</title><script>__ISTHMUS_DATA__</script></html>"


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def shown(found: dict, codes: np.ndarray) -> np.ndarray:
    """What the page's script makes of codes: the decoder by ONNX Runtime, then the decoding, as its sources say."""
    run = opened(base64.b64decode(found["models"]["decoder"]))
    means = run({"codes": np.asarray(codes, np.float32)})
    how = found["decoding"]
    if how["kind"] != "table":
        return means
    out = np.empty((len(codes), len(how["columns"])), object)
    for j, column in enumerate(how["columns"]):
        part = means[:, column["start"] : column["start"] + column["width"]]
        if column["how"] == "argmax":
            out[:, j] = [column["levels"][k] for k in part.argmax(1)]
        elif column["how"] == "threshold":
            out[:, j] = [column["levels"][int(value >= 0.5)] for value in part[:, 0]]
        else:
            out[:, j] = np.interp(part[:, 0], column["knots"]["x"], column["knots"]["y"])
    return out


@pytest.fixture
def codes() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)


def test_pictures_are_those_of_the_server(pictures, codes):
    found = page.bundle(pictures)
    made = shown(found, codes[:, :4])
    expected = pictures.subject.contents.pixels(pictures.subject.decode(codes[:, :4]))
    assert made.shape == (40, 8, 8, 1)
    assert np.abs(255 * np.clip(made, 0, 1) - expected).max() <= 0.51


@pytest.mark.parametrize("scaling", ["standard", "unit"])
def test_pictures_of_floats_are_those_of_the_server(digits, codes, scaling):
    source = from_any(digits[:100] * 3 - 1)
    model = fit(source, Config(latent=4, steps=20, scaling=scaling))
    answers = Answers(ModelSubject(model, rows_of(model, source)[0]))
    expected = answers.subject.contents.pixels(answers.subject.decode(codes[:, :4]))
    assert np.abs(255 * np.clip(shown(page.bundle(answers), codes[:, :4]), 0, 1) - expected).max() <= 0.51


def test_numbers_are_those_of_the_server(numbers, codes):
    found = page.bundle(numbers)
    np.testing.assert_allclose(shown(found, codes[:, :2]), numbers.subject.decode(codes[:, :2]), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(floats(found["inputs"]["values"]).reshape(numbers.subject.matrix.shape), numbers.subject.matrix, rtol=1e-6)


def check_columns(answers: Answers, codes: np.ndarray) -> None:
    subject = answers.subject
    found = page.bundle(answers)
    made, expected = shown(found, codes), subject.decode(codes)
    items = subject.contents.of(expected)
    for j, column in enumerate(found["decoding"]["columns"]):
        told = [item["cells"][j]["text"] for item in items]
        if column["how"] != "interp":
            assert list(made[:, j]) == told
            continue
        step = DAY if column["kind"] == "date" else 1.0 if column["whole"] else 10.0 ** -(column["decimals"] or 3)
        spread = np.nanstd(subject.matrix[:, j])
        assert np.abs(made[:, j].astype(float) - expected[:, j]).max() <= 0.51 * step + 2e-3 * spread, column["name"]


def test_columns_are_those_of_the_server(table, codes):
    check_columns(table, codes[:, :3])
    kinds = {column["kind"] for column in page.bundle(table)["decoding"]["columns"]}
    assert {"heavy", "count", "category", "boolean", "date"} <= kinds


def test_components_of_a_detector_are_those_of_the_server(detected, codes):
    subject = detected.subject
    found = page.bundle(detected)
    made = shown(found, subject.codes[:30])
    expected = [item["cells"] for item in subject.contents.of(subject.decode(subject.codes[:30]))]
    for j, column in enumerate(found["decoding"]["columns"]):
        if column["how"] != "interp":
            assert [cells[j]["text"] for cells in expected] == list(made[:, j])


def test_a_conditional_model_takes_code_and_condition_as_one(digits, codes):
    from isthmus.data import Source

    source = Source("pictures", (digits[:120] * 255).astype(np.uint8), condition=np.arange(120) % 3)
    model = fit(source, Config(family="conditional_vae", latent=2, steps=20))
    answers = Answers(ModelSubject(model, rows_of(model, source)[0]))
    rows = answers.subject.codes[:10]
    assert rows.shape[1] == 5
    assert answers.about()["code"]["dims"][-1]["name"] == "condition 2"
    expected = answers.subject.contents.pixels(answers.subject.decode(rows))
    assert np.abs(255 * np.clip(shown(page.bundle(answers), rows), 0, 1) - expected).max() <= 0.51


def test_a_bundle_holds_what_the_page_asks_for(pictures):
    found = page.bundle(pictures)
    n = len(pictures.subject)
    assert found["about"]["rows"] == n
    assert found["sheet"]["count"] == n
    assert found["sheet"]["url"].startswith("data:image/png;base64,")
    assert len(floats(found["codes"])) == 4 * n
    assert {entry["name"] for entry in found["about"]["colours"]} == set(found["colours"])
    assert list(found["maps"]) == found["about"]["maps"]
    np.testing.assert_allclose(floats(found["scores"]), pictures.subject.scores, rtol=1e-6)
    assert page.unpacked(page.packed_text(found)) == json.loads(json.dumps(found))


def test_a_page_is_written_whole(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "STATIC", tmp_path)
    monkeypatch.setattr(page, "STATIC", tmp_path)
    out = tmp_path / "out" / "page.html"
    with pytest.raises(ConfigError, match="not built"):
        page.write(pictures, out)
    (tmp_path / "page.html").write_text(TEMPLATE.replace("__ISTHMUS_DATA__", ""))
    with pytest.raises(ConfigError, match="build it again"):
        page.write(pictures, out)
    assert not out.exists()
    (tmp_path / "page.html").write_text(TEMPLATE)
    monkeypatch.setattr(pictures.subject, "name", "<b>&")
    found = page.write(pictures, out)
    text = out.read_text(encoding="utf-8")
    assert found.size == out.stat().st_size
    assert "<title>&lt;b&gt;&amp; · isthmus</title>" in text
    packed = text.partition("<script>")[2].partition("</script>")[0]
    assert page.unpacked(packed)["about"]["name"] == "<b>&"
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.skipif(not (server.STATIC / "page.html").is_file(), reason="the front end is not built")
def test_a_page_of_a_small_model_keeps_the_budget(table, tmp_path):
    found = page.write(table, tmp_path / "page.html")
    assert found.size - found.data <= page.BUDGET
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "__ISTHMUS_" not in text.partition("<title>")[2].partition("</title>")[0]
    assert 'src="http' not in text
    assert 'href="http' not in text


def test_rows_of_a_page_are_capped(picture_model):
    assert page.most_rows(picture_model) == page.ROWS
    wide = SimpleNamespace(schema=SimpleNamespace(kind="pictures", shape=(256, 256, 3)))
    assert page._tile(wide.schema) == 64 * 64 * 3


def test_knots_of_a_column_without_spread_stay_where_it_is():
    assert graph._knots({"kind": "affine"}, {}, 2.0, 2.0) == {"x": [0.0, 1.0], "y": [2.0, 2.0]}
