"""Figures for Matplotlib, and the sections of a closer look."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from isthmus.data import Provenance, Source, from_any, read_provenance
from isthmus.errors import ConfigError, DataError, MissingExtraError
from isthmus.reports import bars, figures, html
from isthmus.reports.closer import heat
from isthmus.tasks import closer
from isthmus.tasks.config import Config
from isthmus.tasks.evidence import Difference, Evidence, Ranked, ReportData, Usage
from isthmus.tasks.examine import examine
from isthmus.tasks.fit import fit


@pytest.fixture(scope="module")
def looked(digits: np.ndarray) -> Evidence:
    """A closer look at a small model of real pictures."""
    source = Source("pictures", (digits[:120] * 255).astype(np.uint8))
    artifact = fit(source, Config(family="variational", steps=40, evaluate_every=10, latent=4, device="cpu"))
    return closer.look(examine(artifact, source.take(np.arange(60, 120))), artifact, source.take(np.arange(60, 120)), np.arange(60, 120))


@pytest.fixture(scope="module")
def table(cancer: np.ndarray) -> tuple[Any, Source]:
    source = Source("table", cancer[:80, :5], tuple("abcde"), name="cancer")
    return fit(source, Config(steps=40, latent=2, device="cpu")), source


def usage(units: int = 5) -> Usage:
    variance = np.arange(units, 0, -1.0)
    return Usage(variance[::-1], None, variance > 1, np.eye(units))


def test_everything_a_model_has_becomes_a_figure(looked: Evidence) -> None:
    found = figures.of(looked)
    wanted = {"curves", "reconstructions", "code-usage", "correlation", "map", "scores", "errors", "samples", "interpolation", "traversal"}
    assert set(found) == wanted
    assert all(isinstance(figure, Figure) for figure in found.values())
    assert all(text.get_text() for figure in found.values() for text in [figure._suptitle])


def test_what_is_not_there_is_left_out() -> None:
    assert figures.of(Evidence("linear", "", {}, {}, [], 0, np.empty((0, 2)), np.empty((0, 2)))) == {}


def test_curves_are_those_of_the_history(looked: Evidence) -> None:
    lines = figures.curves(looked.history, looked.best_step).axes[0].lines
    assert [line.get_label() for line in lines][:2] == ["train", "held out"]
    assert np.allclose(lines[1].get_ydata(), [row["held_out"] for row in looked.history])
    assert lines[2].get_xdata()[0] == looked.best_step


def test_bars_stand_in_the_order_of_use() -> None:
    found = figures.code_usage(usage())
    assert [bar.get_height() for bar in found.axes[0].patches] == [5, 4, 3, 2, 1]
    assert [label.get_text() for label in found.axes[0].get_xticklabels()] == ["4", "3", "2", "1", "0"]


def test_a_map_has_a_colour_for_each_class() -> None:
    points, labels = np.random.default_rng(0).normal(size=(30, 2)), np.array([*"ab" * 14, "", None], dtype=object)
    groups = figures.code_map(points, labels).axes[0].collections
    assert [group.get_label() for group in groups] == ["no label", "a", "b"]
    assert [len(group.get_offsets()) for group in groups] == [2, 14, 14]
    with pytest.raises(DataError, match="map_codes"):
        figures.code_map(np.zeros((3, 5)))


def test_pictures_stay_what_they_are(looked: Evidence) -> None:
    assert looked.samples is not None
    axes = figures.samples(looked.samples[:5]).axes
    assert len(axes) == 8, "two lines of four"
    assert np.abs(axes[2].images[0].get_array() - np.rint(np.clip(looked.samples[2, ..., 0], 0, 1) * 255)).max() == 0


def test_scores_have_their_threshold() -> None:
    axes = figures.score_distribution(np.array([1.0, 2.0, 3.0, np.nan]), threshold=2.5).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 3
    assert axes.lines[-1].get_xdata()[0] == 2.5


def test_columns_stand_by_how_well_they_come_back() -> None:
    axes = figures.column_errors([("good", 0.1, 0.9), ("bad", 0.5, 0.2), ("constant", 0.0, np.nan)]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["good", "bad"]


def test_differences_of_one_measure() -> None:
    each = Difference("b", "a", "error", True, 9, -0.2, -0.4, 0.0, 0.3, 0.7)
    assert figures.differences([each, replace(each, name="c")]).axes[0].get_yticklabels()[1].get_text() == "c less a"
    with pytest.raises(ConfigError, match="not of 2"):
        figures.differences([each, replace(each, measure="score")])


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_the_same_figure_gives_the_same_file(looked: Evidence, tmp_path: Path, ending: str) -> None:
    first, second = (figures.save(figures.curves(looked.history), tmp_path / f"{name}{ending}") for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size > 1000


def test_a_picture_that_a_model_made_says_so(looked: Evidence, tmp_path: Path) -> None:
    mark = Provenance("compositeWithTrainedAlgorithmicMedia", "isthmus")
    found = read_provenance(figures.save(figures.samples(looked.samples), tmp_path / "a.png", mark))
    assert found is not None
    assert found.source_type == mark.source_type
    assert read_provenance(figures.save(figures.curves(looked.history), tmp_path / "b.png")) is None


def test_a_figure_has_a_known_ending(looked: Evidence, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.png, \.svg, \.pdf"):
        figures.save(figures.curves(looked.history), tmp_path / "a.bmp")


def test_a_missing_matplotlib_is_told(looked: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"isthmus\[figures\]"):
        figures.curves(looked.history)


def test_matplotlibs_state_for_the_process_is_left_alone() -> None:
    code = "import sys, isthmus.reports.figures as f; f.curves([{'step': 1.0, 'train': 2.0}]); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_best_and_worst_rows_are_those_of_the_errors(looked: Evidence) -> None:
    found, errors = looked.ranked, looked.errors
    assert found is not None
    assert errors is not None
    assert found.rows[0, 0] == 60 + errors.argmin(), "numbers are those of the data"
    assert found.rows[2, 0] == 60 + errors.argmax()
    assert found.errors[0].max() <= np.median(errors) <= found.errors[2].min()
    by_hand = np.square(found.originals[2, 0] - found.reconstructions[2, 0]).mean()
    assert by_hand == pytest.approx(errors.max(), rel=1e-4)


def test_errors_do_not_depend_on_a_models_scaling(table: tuple[Any, Source], cancer: np.ndarray) -> None:
    artifact, source = table
    truth = np.asarray(source.array, np.float64)
    rebuilt = truth + truth.std(0) * np.array([1, 0, 0, 0, 2.0])
    assert np.allclose(closer.row_errors(artifact, source, rebuilt), 1.0), "(1 + 4) / 5"
    robust = fit(source, Config(steps=5, latent=2, scaling="robust", device="cpu"))
    assert np.allclose(closer.row_errors(robust, source, rebuilt), 1.0)


def test_errors_of_pictures_of_fractions_are_those_of_whole_numbers(digits: np.ndarray) -> None:
    whole = Source("pictures", np.rint(digits[:60] * 255).astype(np.uint8))
    fractions = Source("pictures", (whole.array / 255).astype(np.float32))
    first, second = (fit(source, Config(steps=5, latent=2, device="cpu")) for source in (whole, fractions))
    rebuilt = np.clip(whole.array + 51.0, 0, 255)
    found = closer.row_errors(second, fractions, (rebuilt / 255).astype(np.float32))
    np.testing.assert_allclose(found, closer.row_errors(first, whole, rebuilt), rtol=1e-5)
    assert found.max() <= 0.04 + 1e-6, "a fifth of white, squared"


def test_errors_of_mixed_columns() -> None:
    import pandas as pd

    frame = pd.DataFrame({"size": np.tile([1.0, 3.0], 20), "kind": ["x", "y", "y", "x"] * 10})
    frame.loc[0, "size"] = None
    source = from_any(frame)
    artifact = fit(source, Config(steps=5, latent=1, device="cpu"))
    truth = np.asarray(artifact.schema.align(source), np.float64)
    rebuilt = truth.copy()
    rebuilt[:, 1] = 1 - rebuilt[:, 1]
    assert closer.row_errors(artifact, source, rebuilt)[:2].tolist() == [1.0, 0.5], "what is missing does not count"


def test_usage_is_that_of_the_codes(looked: Evidence) -> None:
    found = looked.usage
    assert found is not None
    assert found.kl is not None
    assert found.measure == "KL (nats)"
    assert found.carried[found.order].tolist() == sorted(found.kl.tolist(), reverse=True)
    assert np.allclose(np.diag(found.correlation), 1)
    codes = looked.codes[:, :4]
    assert np.allclose(found.correlation, np.corrcoef(codes, rowvar=False), atol=1e-5)


def test_a_unit_that_never_changes_goes_with_none(table: tuple[Any, Source]) -> None:
    artifact, source = table
    constant = replace(source, array=np.repeat(source.array[:1], 80, axis=0))
    found = closer.usage(artifact, constant)
    assert not found.active.any()
    assert np.isnan(found.correlation).all()
    page = html(ReportData("t", "", {}, {}, [replace_usage(found)]))
    assert "0 of 2 units active" in page


def replace_usage(found: Usage) -> Evidence:
    return Evidence("linear", "", {}, {}, [], 0, np.empty((0, 2)), np.empty((0, 2)), usage=found)


def test_the_data_are_described(table: tuple[Any, Source]) -> None:
    artifact, source = table
    lines = closer.described(artifact, source)
    assert [line["column"] for line in lines] == list("abcde")
    assert lines[1]["mean"] == pytest.approx(source.array[:, 1].mean())
    assert all("mean" not in line for line in closer.described(artifact))


def test_a_page_has_all_its_parts(looked: Evidence) -> None:
    schema: list[dict[str, object]] = [{"what": "pictures", "type": "uint8"}]
    page = html(ReportData("Digits", "", {"measured on": "some"}, {}, [looked], schema=schema, made={"command": "isthmus report"}))
    for anchor in ("data", "reconstructions", "ranked", "usage", "maps", "traversal", "samples", "scores", "learning", "made"):
        assert f'id="{anchor}"' in page, anchor
    assert "isthmus report" in page


def test_cells_of_a_page_are_escaped() -> None:
    cells = np.array([[["<b>", 1.0]], [["<i>", 2.0]], [["x", np.nan]]], dtype=object)
    found = Ranked(np.arange(3)[:, None], np.ones((3, 1)), cells, cells, ["<s>", "n"])
    model = replace(replace_usage(usage()), ranked=found)
    page = html(ReportData("t", "", {}, {}, [model]))
    assert "<b>" not in page.split("<main>")[1].replace("<b>linear</b>", "").replace("<b>Correlation</b>", "")
    assert "&lt;s&gt;" in page


def test_differences_say_what_they_can_show() -> None:
    clear = Difference("b", "a", "error", True, 50, -0.2, -0.3, -0.1, 0.3, 0.8)
    unclear = replace(clear, low=-0.3, high=0.1)
    likely = replace(clear, measure="score", lower_is_better=False)
    assert [each.verdict for each in (clear, unclear, likely)] == ["b is better", "no difference that the rows can show", "a is better"]
    page = html(ReportData("t", "", {}, {}, [], differences=[clear], notes=["something is left out"]))
    assert "b less a" in page
    assert "something is left out" in page


def test_heat_and_bars() -> None:
    assert heat(np.array([[-1.0, np.nan]])).tolist() == [[[40, 100, 190], [150, 150, 150]]]
    assert bars.bars([2.0, np.nan], ["0", "1"], [True, False]).count("<rect") == 2
    counted = bars.histogram(np.r_[np.zeros(100), 1e9])
    assert "<rect" in counted


def test_of_very_many_rows_some_are_looked_at(table: tuple[Any, Source], monkeypatch: pytest.MonkeyPatch) -> None:
    artifact, source = table
    monkeypatch.setattr(closer, "LOOKED", 20)
    found = closer.look(replace_usage(usage()), artifact, source, np.arange(1000, 1080))
    assert found.errors is not None
    assert found.ranked is not None
    assert len(found.errors) == 20
    assert set(found.ranked.rows.ravel().tolist()) <= set(range(1000, 1080))


def test_pictures_are_measured_in_blocks(looked: Evidence, digits: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("pictures", (digits[:50] * 255).astype(np.uint8))
    artifact = fit(source, Config(family="linear", latent=2))
    whole = closer.row_errors(artifact, source)
    monkeypatch.setattr(closer, "BLOCK", 7)
    assert np.array_equal(closer.row_errors(artifact, source), whole)
