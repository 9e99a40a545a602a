"""``isthmus info`` of detectors, denoisers, translators and swappers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isthmus.cli.about import knows
from isthmus.data import from_any
from isthmus.estimators import Denoiser, Swapper, Translator
from isthmus.tasks.config import Config
from isthmus.tasks.detector import Detector
from isthmus.tasks.fit import fit
from isthmus.tasks.logs import LogDetector


@pytest.fixture(scope="module")
def saved(tmp_path_factory, digits):
    """A folder of each kind, little trained."""
    folder, pictures = tmp_path_factory.mktemp("saved"), np.repeat(np.repeat(digits[:60], 3, 1), 3, 2)
    Denoiser(noise="gaussian", level=0.1, steps=2).fit(pictures).save(folder / "denoiser")
    Translator(steps=2).fit(pictures, 1 - pictures).save(folder / "translator")
    Swapper(steps=2).fit({"zero": pictures[:30], "one": pictures[30:]}).save(folder / "swapper")
    rows = np.random.default_rng(0).normal(size=(200, 3))
    Detector.fit(from_any(rows)).save(folder / "detector")
    LogDetector.fit_sequences([["open", "read", "close"]] * 60).save(folder / "log detector")
    fit(from_any(rows), Config(steps=2, latent=1)).save(folder / "model")
    return folder


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("denoiser", ["used by isthmus denoise", "parameters", "training pictures", "noise gaussian 0.1"]),
        ("translator", ["used by isthmus translate", "parameters", "training pictures"]),
        ("swapper", ["used by isthmus swap", "domains zero, one", "code 64"]),
        ("log detector", ["used by isthmus detect --logs", "share of false alarms 0.01"]),
        ("detector", ["used by isthmus detect", "share of false alarms 0.01"]),
    ],
)
def test_each_says_what_it_is(good, saved, kind, told):
    found = " ".join(good("info", saved / kind).split())
    for part in (f"kind {kind}", *told):
        assert part in found


def test_steps_that_nobody_counts_are_left_out(good, saved, tmp_path):
    pictures = np.random.default_rng(0).random((4, 16, 16))
    Denoiser(noise="gaussian", level=0.1, seconds=0.01, widths=(4,)).fit(pictures).save(tmp_path / "quick")
    told = good("info", "quick")
    assert "seconds" in told
    assert str(1 << 40) not in told
    assert "steps" in good("info", saved / "denoiser").split("Settings")[1]


def test_the_curve_of_the_training(good, refused, saved, tmp_path):
    good("info", saved / "denoiser", "--history", "curve.csv")
    assert (tmp_path / "curve.csv").read_text().startswith("step")
    assert "has no curve" in refused("info", saved / "detector", "--history", "none.csv")
    assert not (tmp_path / "none.csv").exists()


def test_what_is_none_of_these(saved, tmp_path):
    (tmp_path / "config.json").write_text("[1]")
    assert [knows(place) for place in (saved / "model", tmp_path, tmp_path / "none", Path(__file__))] == ["", "", "", ""]


def test_a_broken_one(refused, saved, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_bytes((saved / "swapper" / "config.json").read_bytes())
    assert "broken" in refused("info", "broken")
