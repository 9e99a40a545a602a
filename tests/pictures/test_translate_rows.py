"""Rows to rows: several answers to one row, how likely each is, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from isthmus.artifact.translation import Translation
from isthmus.errors import ConfigError, DataError
from isthmus.nn import Answers, materialise
from isthmus.tasks.pictures.translate_rows import RowSettings, fit_rows


@pytest.fixture(scope="module")
def two_answers():
    """Rows to which there are two answers, one the other's mirror image, the first three times as frequent."""
    random = np.random.default_rng(0)
    x = random.uniform(0.5, 2.0, (2000, 1))
    sign = random.choice([1.0, 1.0, 1.0, -1.0], (2000, 1))
    y = sign[:, :, None] * x[:, :, None] * np.array([[1.0, 2.0], [3.0, 4.0]]) + 0.02 * random.normal(size=(2000, 2, 2))
    return fit_rows(x, y, settings=RowSettings(hidden=(32, 32), answers=4, steps=500, device="cpu")), x, y


def test_draws_hit_both_answers_as_often_as_they_occur(two_answers):
    model, x, _ = two_answers
    drawn = model.sample(x[:200], 20, seed=3)
    assert drawn.shape == (200, 20, 2, 2)
    share = drawn / (x[:200, None, :, None] * np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert np.mean(np.abs(np.abs(share) - 1) < 0.2) > 0.95
    assert 0.7 < np.mean(share[..., 0, 0] > 0) < 0.8
    whole = (share > 0).all((2, 3)) | (share < 0).all((2, 3))  # a draw is of one piece
    assert whole.mean() > 0.97


def test_the_best_answer_is_the_mean(two_answers):
    model, x, _ = two_answers
    expected = 0.5 * x[:200, :, None] * np.array([[1.0, 2.0], [3.0, 4.0]])  # 3/4 of one, 1/4 of its mirror image
    assert np.abs(model(x[:200]) - expected).mean() < 0.25


def test_loss_is_the_negative_log_likelihood():
    network = materialise(Answers((2,), (3,), (5,), 2), 0)
    x, y = torch.randn(7, 2), torch.randn(7, 3) * 2 + 1
    network.know(x, y)
    logits, means, scales = network.parts(network(x))
    z = (y - network.centre_out) / network.scale_out
    parts = torch.distributions.Independent(torch.distributions.Normal(means, torch.exp(scales).expand_as(means)), 1)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=logits), parts)
    torch.testing.assert_close(network.loss(network(x), y), -mixture.log_prob(z).mean() / 3)


def test_saved_and_opened_again(two_answers, tmp_path):
    model, x, _ = two_answers
    again = Translation.load(model.save(tmp_path / "rows"))
    np.testing.assert_array_equal(again.sample(x[:5], 3), model.sample(x[:5], 3))
    assert again.rows


def test_constant_columns_and_one_dimension_are_fine():
    x = np.stack([np.ones(40), np.arange(40)], 1)
    model = fit_rows(x, np.arange(40.0), settings=RowSettings(steps=5, device="cpu"))
    assert model(x).shape == (40, 1)
    assert math.isfinite(float(np.abs(model(x)).max()))


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (np.zeros((4, 2)), np.zeros((3, 2)), "X has 4 rows and y 3"),
        (np.array([["a"], ["b"]]), np.zeros((2, 1)), "X must hold numbers"),
        (np.zeros((2, 1)), np.array([[1.0], [np.nan]]), "y holds NaN"),
        (np.zeros((2, 0)), np.zeros((2, 1)), "X must hold numbers"),
    ],
)
def test_fit_refuses(x, y, told):
    with pytest.raises(DataError, match=told):
        fit_rows(x, y, settings=RowSettings(steps=2))


def test_use_refuses(two_answers):
    model, x, _ = two_answers
    with pytest.raises(DataError, match="rows of shape"):
        model(np.zeros((3, 2)))
    with pytest.raises(DataError, match="NaN"):
        model(np.full((3, 1), np.nan))
    with pytest.raises(ConfigError, match="masks are for pictures"):
        model(x[:3], np.ones(3))
    with pytest.raises(ConfigError, match="answers must be"):
        Answers((1,), (1,), answers=0)
