"""``isthmus report``, ``compare`` and ``export``."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from isthmus.data import read_provenance
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit


def test_a_report_says_how_it_was_made(good, models, files, tmp_path) -> None:
    good("report", models / "table", files / "wine.csv", "-o", "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert f"isthmus report {models / 'table'} {files / 'wine.csv'} -o r.html" in page
    for told in ("torch", "Best, median and worst", "What the code carries", "malic_acid", "KL (nats)"):
        assert told in page, told


def test_a_report_without_data_tells_what_the_model_knows(good, models, tmp_path) -> None:
    said = good("report", models / "table", "-o", "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "share" in said
    assert "without data" in page
    assert "Learning curves" in page
    assert "New rows" in page
    assert "Maps of the code" not in page


def test_figures_lie_in_their_folder(good, models, files, tmp_path) -> None:
    said = good("report", models / "pictures", files / "pictures", "--figures", "new/figures")
    names = {path.name for path in (tmp_path / "new/figures").iterdir()}
    assert {"map.png", "samples.png", "reconstructions.png", "code-usage.png"} <= names
    assert f"wrote {len(names)} figures" in said
    assert read_provenance(tmp_path / "new/figures/samples.png") is not None
    assert read_provenance(tmp_path / "new/figures/map.png") is None


@pytest.fixture
def few(monkeypatch):
    """Only two figures of each model, which take their time."""
    from isthmus.reports import figures

    def of(evidence):
        samples = {} if evidence.samples is None else {"samples": figures.samples(evidence.samples[:1])}
        return {"map": figures.code_map(evidence.map), **samples}

    monkeypatch.setattr(figures, "of", of)


def test_marks_are_left_out_if_asked(good, models, files, tmp_path, few) -> None:
    good("--no-provenance", "report", models / "pictures", files / "pictures", "--figures", "f")
    assert read_provenance(tmp_path / "f/samples.png") is None


def test_figures_as_svg(good, models, files, tmp_path, few) -> None:
    good("report", models / "plain", files / "wine.csv", "--figures", "f", "--format", "svg")
    assert "<svg" in (tmp_path / "f/map.svg").read_text()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--figures", "taken"), "give --figures a folder"),
        (("--figures", "f", "--format", "bmp"), "png or svg"),
        (("-o", "page.pdf"), "must end in one of .html"),
    ],
)
def test_reports_that_cannot_be_written(refused, models, files, tmp_path, flags, told) -> None:
    (tmp_path / "taken").write_text("")
    assert told in refused("report", models / "table", files / "wine.csv", *flags)


def test_a_missing_matplotlib_is_told_before_anything_is_measured(refused, models, files, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install 'isthmus[figures]'" in refused("report", models / "table", "no such data", "--figures", "f")


def test_models_side_by_side(good, models, files, tmp_path, few) -> None:
    said = good("compare", models / "table", models / "plain", "--data", files / "wine.csv", "--figures", "f")
    assert "plain less table" in said
    assert "95 % interval" in said
    assert "are not compared" in said
    page = (tmp_path / "comparison.html").read_text("utf-8")
    for told in ("2 models on wine.csv", "Row by row", "plain less table", "isthmus compare", "PCA"):
        assert told in page, told
    names = {path.name for path in (tmp_path / "f").iterdir()}
    assert {"table-map.png", "plain-map.png", "differences-error.png"} == names


def test_folders_of_one_name_are_told_apart(good, models, files, tmp_path, few) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").symlink_to(models / "table", target_is_directory=True)
    good("compare", "a/model", "b/model", "-d", files / "wine.csv", "--figures", "f")
    assert "b/model less a/model" in (tmp_path / "comparison.html").read_text("utf-8")
    assert (tmp_path / "f/a-model-map.png").exists()


def test_comparisons_that_make_no_sense(refused, models, files) -> None:
    assert "at least two models" in refused("compare", models / "table", "--data", files / "wine.csv")
    assert "config.json" in refused("compare", models / "table", files, "--data", files / "wine.csv")


def test_an_export_can_be_run_elsewhere(good, models, files, tmp_path) -> None:
    import onnxruntime

    said = good("export", models / "table", "--onnx", "-o", "out")
    assert "encoder.onnx" in said
    entry = json.loads((tmp_path / "out/model.json").read_text())
    session = onnxruntime.InferenceSession(str(tmp_path / "out/encoder.onnx"))
    assert session.get_inputs()[0].shape == entry["graphs"]["encoder"]["inputs"][0]["shape"]
    good("encode", models / "table", files / "wine.csv", "-o", "codes.npy")
    preparing, values = entry["rows"]["preparing"], np.loadtxt(files / "wine.csv", delimiter=",", skiprows=1)
    rows = ((values - preparing["offset"]) / preparing["divisor"]).astype(np.float32)
    assert np.allclose(session.run(None, {"rows": rows})[0], np.load(tmp_path / "codes.npy"), atol=1e-5)


def test_an_export_names_its_condition(good, wine, tmp_path) -> None:
    from isthmus.data import Source

    values, names, classes = wine
    source = Source("table", values, tuple(names), condition=classes)
    fit(source, Config(family="conditional_vae", steps=5, latent=2, device="cpu")).save(tmp_path / "conditional")
    said = good("export", "conditional", "--onnx", "-o", "out")
    assert "condition [n, 3]" in said
    entry = json.loads((tmp_path / "out/model.json").read_text())
    assert entry["condition"][0]["classes"] == ["class_0", "class_1", "class_2"]
    assert entry["code"] == 2


def test_exports_that_cannot_be(refused, models, tmp_path, monkeypatch) -> None:
    (tmp_path / "taken").write_text("")
    assert "--onnx" in refused("export", models / "table", "-o", "out")
    assert "give --out a folder" in refused("export", models / "table", "--onnx", "-o", "taken")
    assert "config.json" in refused("export", tmp_path, "--onnx", "-o", "out")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install 'isthmus[export]'" in refused("export", models / "table", "--onnx", "-o", "out")
    assert not (tmp_path / "out").exists()
