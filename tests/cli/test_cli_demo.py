"""``isthmus demo``."""

from __future__ import annotations

import re
import time

import pytest

from isthmus.artifact import Artifact
from isthmus.tasks.demo import SHOWN


def figures(out: str) -> dict[str, list[str]]:
    """Rows of the comparison: name -> cells."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
    return {row[0]: row[1:] for row in rows if row[0] in (*SHOWN, "raw pixels", "PCA")}


def test_a_quick_look_trains_and_shows_the_five_twice_alike(good, tmp_path) -> None:
    out = good("demo", "--steps", 60)
    rows = figures(out)
    assert list(rows) == ["raw pixels", "PCA", *SHOWN]
    assert all(len(cells) == 6 for cells in rows.values())
    assert float(rows["linear"][0]) == pytest.approx(float(rows["PCA"][0]), rel=0.03)
    for name in SHOWN:
        assert Artifact.load(tmp_path / "isthmus-demo" / name).family == name
        assert f"training {name} ..." in out
    page = (tmp_path / "isthmus-demo/report.html").read_text()
    for heading in (
        "Comparison",
        "Originals and reconstructions",
        "Noisy and denoised",
        "Maps of the code",
        "New pictures",
        "Learning curves",
    ):
        assert heading in page
    assert max(map(len, out.splitlines())) <= 80
    ending = out.split("On with your own data:")[1].strip().splitlines()
    assert [line.split()[1] for line in ending] == ["fit", "encode", "score", "report", "sample", "list"]
    assert "isthmus sample isthmus-demo/variational" in out
    again = figures(good("demo", "--steps", 60, "--out", "again"))
    assert {name: cells[:-1] for name, cells in again.items()} == {name: cells[:-1] for name, cells in rows.items()}


def test_places_are_checked_before_the_training(refused, tmp_path) -> None:
    (tmp_path / "mine/linear").mkdir(parents=True)
    (tmp_path / "mine/linear/notes.txt").write_text("keep")
    assert "is no saved model: it is left as it is" in refused("demo", "--out", "mine")
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in refused("demo", "--out", "file")


@pytest.mark.slow
def test_the_whole_demo_is_quick_and_its_models_are_good(process) -> None:
    start = time.monotonic()
    done = process("demo")
    assert time.monotonic() - start < 60
    assert (done.returncode, done.stderr) == (0, "")
    rows = figures(done.stdout)
    error = {name: float(cells[0]) for name, cells in rows.items() if name != "raw pixels"}
    assert error["undercomplete"] < 0.7 * error["PCA"]
    assert error["linear"] == pytest.approx(error["PCA"], rel=0.03)
    assert all(float(rows[name][3]) > 0.95 for name in SHOWN)
