"""The training loop against a plain one, and the closed form against singular values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus.errors import ConfigError
from isthmus.families import get
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.nn import initialise
from isthmus.objectives import Objective
from isthmus.training import TrainingConfig, encode, fit, fit_linear, reconstruct
from isthmus.training.order import Order

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tiny(seed: int = 5) -> tuple[Autoencoder, Objective]:
    model, objective = get("undercomplete")([Field("x", "numbers", (6,))], latent=2)
    initialise(model.double(), torch.Generator().manual_seed(seed))
    return model, objective


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "constant"},
        {"schedule": "cosine", "warmup": 5},
        {"schedule": "linear", "optimiser": "adamw", "weight_decay": 0.1},
        {"schedule": "constant", "weight_decay": 0.1, "clip": 0.05},
    ],
)
def test_adam_against_its_formula(settings: dict[str, Any]) -> None:
    """Twenty steps of Adam as in Kingma and Ba, algorithm 1, with the gradient of the squared error by autograd."""
    x = random(40, 6)
    config = TrainingConfig(steps=20, batch=16, learning_rate=0.01, seed=3, device="cpu", **settings)
    ours, objective = tiny()
    plain, _ = tiny()
    fit(ours, objective, x, config=config)
    parameters = list(plain.parameters())
    first, second = [torch.zeros_like(p) for p in parameters], [torch.zeros_like(p) for p in parameters]
    order = Order(40, 16, seed=3)
    for step in range(20):
        batch = x[next(order)]
        loss = 0.5 * (plain(batch) - batch).square().sum(1).mean()
        gradients = list(torch.autograd.grad(loss, parameters))
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        if config.clip is not None:
            assert norm > config.clip, "otherwise clipping is not tested"
            gradients = [g * config.clip / (norm + 1e-6) for g in gradients]
        warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
        done = max(0, step - config.warmup) / (20 - config.warmup)
        shape = {"constant": 1.0, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done}[config.schedule]
        rate = 0.01 * warm * shape
        with torch.no_grad():
            for p, g, m, v in zip(parameters, gradients, first, second):
                if config.optimiser == "adamw":
                    p.mul_(1 - rate * config.weight_decay)
                else:
                    g = g + config.weight_decay * p
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                p.sub_(rate * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8))
    for found, expected in zip(ours.parameters(), parameters):
        torch.testing.assert_close(found, expected, **EXACT)


def linear(features: int, latent: int, tied: bool = False) -> Autoencoder:
    model, _ = get("linear")([Field("x", "numbers", (features,))], latent=latent, tied=tied)
    return model.double()


def spectrum(n: int, d: int) -> np.ndarray:
    """Rows with a mean and clearly separate variances."""
    scales = 3.0 * 0.7 ** np.arange(d)
    return np.random.default_rng(0).normal(size=(n, d)) * scales + np.arange(d)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("n", "d"), [(200, 9), (12, 30), (9, 9)])
def test_closed_form_against_singular_values(n: int, d: int, tied: bool) -> None:
    x = spectrum(n, d)
    model = linear(d, 4, tied)
    shares = fit_linear(model, torch.from_numpy(x))
    _, singular, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    expected = x.mean(0) + (x - x.mean(0)) @ axes[:4].T @ axes[:4]
    np.testing.assert_allclose(reconstruct(model, torch.from_numpy(x)).numpy(), expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(shares.numpy(), (singular**2 / (singular**2).sum())[:4], rtol=1e-8)


@pytest.mark.parametrize(("n", "d"), [(200, 9), (12, 30)])
def test_closed_form_against_scikit_learn(n: int, d: int) -> None:
    from sklearn.decomposition import PCA

    x = spectrum(n, d)
    model, pca = linear(d, 4), PCA(4, svd_solver="full").fit(x)
    shares = fit_linear(model, torch.from_numpy(x))
    codes, theirs = encode(model, torch.from_numpy(x)).numpy(), pca.transform(x)
    signs = np.sign((codes * theirs).sum(0))
    np.testing.assert_allclose(codes, signs * theirs, rtol=0, atol=1e-7)
    np.testing.assert_allclose(shares.numpy(), pca.explained_variance_ratio_, rtol=1e-8)


def test_closed_form_in_single_precision(digits: np.ndarray) -> None:
    """The covariance of real pictures is summed in float32: the rebuilt pixels agree to 1e-4 of their range."""
    from sklearn.decomposition import PCA

    flat = digits.reshape(len(digits), -1)
    model = linear(64, 10).float()
    fit_linear(model, torch.from_numpy(flat))
    pca = PCA(10, svd_solver="full").fit(flat.astype(np.float64))
    expected = pca.inverse_transform(pca.transform(flat.astype(np.float64)))
    np.testing.assert_allclose(reconstruct(model, torch.from_numpy(flat)).numpy(), expected, rtol=0, atol=1e-4)


def test_closed_form_with_more_units_than_rows_or_columns() -> None:
    x = torch.from_numpy(spectrum(5, 8))
    model = linear(8, 12)
    fit_linear(model, x)
    torch.testing.assert_close(reconstruct(model, x), x, rtol=0, atol=1e-9)
    assert bool((encode(model, x)[:, 5:] == 0).all()), "units without a direction stay silent"


@pytest.mark.parametrize("rows", [torch.ones(1, 6, dtype=torch.float64), torch.full((9, 6), 2.5, dtype=torch.float64)])
def test_closed_form_without_spread(rows: Tensor) -> None:
    model = linear(6, 3)
    shares = fit_linear(model, rows)
    assert bool(shares.isfinite().all())
    torch.testing.assert_close(reconstruct(model, rows), rows, rtol=0, atol=1e-12)


def test_closed_form_needs_a_linear_model() -> None:
    model, _ = tiny()
    with pytest.raises(ConfigError, match="linear"):
        fit_linear(model, random(10, 6))
