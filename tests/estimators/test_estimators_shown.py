"""What estimators and histories show in notebooks."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from isthmus import AnomalyDetector, LinearAutoencoder, VariationalAutoencoder
from isthmus.notebook import card, losses
from isthmus.training import History

CARD = 'class="isthmus-card"'


@pytest.fixture(scope="module")
def fitted(cancer: np.ndarray) -> VariationalAutoencoder:
    return VariationalAutoencoder(latent=3, steps=60, evaluate_every=20, random_state=0).fit(cancer[:80, :6])


def shown(estimator: object) -> str:
    return estimator._repr_mimebundle_()["text/html"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "estimator", [VariationalAutoencoder(latent=3), LinearAutoencoder(), AnomalyDetector()], ids=lambda e: type(e).__name__
)
def test_before_fit_scikit_learns_own_is_shown(estimator: object) -> None:
    page = shown(estimator)
    assert type(estimator).__name__ in page
    assert "sk-" in page
    assert CARD not in page


def test_after_fit_what_was_fitted_stands_below(fitted: VariationalAutoencoder) -> None:
    page = shown(fitted)
    assert page.index("sk-") < page.index(CARD)
    assert page.endswith(fitted._repr_html_()[fitted._repr_html_().index(f"<div {CARD}") :])
    for told in ("code width", "training rows", "share of variance explained", "kept step", "<svg", "<polyline"):
        assert told in page[page.index(CARD) :], told
    assert "digest" not in page[page.index(CARD) :]


def test_a_copy_that_is_not_fitted_shows_no_card(fitted: VariationalAutoencoder) -> None:
    assert CARD not in shown(clone(fitted))


def test_a_model_of_a_closed_form_has_no_curve(cancer: np.ndarray) -> None:
    page = shown(LinearAutoencoder(latent=2).fit(cancer[:60, :6]))
    assert CARD in page
    assert "<svg" not in page[page.index(CARD) :]


def test_a_detector_is_shown(cancer: np.ndarray) -> None:
    page = shown(AnomalyDetector().fit(cancer[:60, :4]))
    assert "training rows" in page[page.index(CARD) :]


def test_text_where_text_is_wanted(fitted: VariationalAutoencoder) -> None:
    with config_context(display="text"):
        assert set(fitted._repr_mimebundle_()) == {"text/plain"}
        assert not hasattr(fitted, "_repr_html_")


def test_within_a_pipeline(fitted: VariationalAutoencoder) -> None:
    page = shown(make_pipeline(StandardScaler(), fitted))
    assert "VariationalAutoencoder" in page


def test_a_history_is_a_card_with_curves(fitted: VariationalAutoencoder) -> None:
    page = fitted.history_._repr_html_()
    assert page.startswith(f"<div {CARD}")
    assert f"{len(fitted.history_)} evaluations" in page
    assert page.count("<polyline") == 2
    assert "held out kl" in page


@pytest.mark.parametrize(
    "rows", [[], [{"step": 5.0, "train": 1.0}], [{"step": 1.0}, {"step": 2.0}], [{"step": 1.0, "train": float("nan")}] * 3]
)
def test_histories_without_a_curve(rows: list[dict[str, float]]) -> None:
    page = History(rows)._repr_html_()
    assert "<polyline" not in page
    assert page.count("<div") == page.count("</div>")


def test_losses_far_apart_are_drawn_on_a_log_scale() -> None:
    rows = [{"step": float(i), "train": 10.0**-i} for i in range(1, 5)]
    drawn = losses(rows)
    assert "log scale" in drawn
    points = drawn.split('points="')[1].split('"')[0].split()
    heights = [float(point.split(",")[1]) for point in points]
    assert np.allclose(np.diff(heights), np.diff(heights)[0], atol=0.11), "powers of ten lie evenly"
    assert "log scale" not in losses([{"step": 1.0, "train": -1.0}, {"step": 2.0, "train": 50.0}])


def test_long_histories_are_thinned() -> None:
    rows = [{"step": float(i), "train": 1.0 + i} for i in range(10_000)]
    assert losses(rows).count(",") <= 250


def test_texts_are_escaped() -> None:
    assert "<script>" not in card("<script>", {"<script>": "<script>"})


def test_a_card_costs_no_import() -> None:
    code = "import sys, isthmus.notebook; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'sklearn')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
