"""Rows of a wanted class from families without a prior: a density of codes given their condition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from isthmus.data import Source
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError, DataError
from isthmus.priors import MixtureDensity
from isthmus.tasks.config import Config
from isthmus.tasks.density import attach, fit_mixture
from isthmus.tasks.fit import fit
from isthmus.tasks.sample import sample


def noise(seed: int = 0) -> GeneratorNoise:
    return GeneratorNoise(torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def mixture() -> MixtureDensity:
    generator = torch.Generator().manual_seed(0)
    found = MixtureDensity(4, 3)
    found.log_weights = torch.tensor([0.2, 0.5, 0.3]).log()
    found.means = torch.randn(3, 4, generator=generator)
    found.factors = torch.linalg.cholesky(torch.stack([a @ a.T + 0.3 * torch.eye(4) for a in torch.randn(3, 4, 4, generator=generator)]))
    return found


def test_the_density_of_codes_given_their_condition_integrates_to_one(mixture) -> None:
    grid = torch.linspace(-15, 15, 600)
    for condition in (-1.0, 0.5):
        found = MixtureDensity(2, 3)
        found.log_weights, found.means = mixture.log_weights, mixture.means[:, :2]
        found.factors = mixture.factors[:, :2, :2]
        z = torch.stack([grid, torch.full_like(grid, condition)], dim=1)
        assert float(torch.trapezoid(found.log_prob_given(z, 1).exp(), grid)) == pytest.approx(1, abs=1e-3)


def test_draws_given_a_condition_have_the_moments_of_the_density(mixture) -> None:
    condition = torch.tensor([[0.4, -0.7]])
    drawn = mixture.given(condition.expand(20_000, 2), noise())
    assert torch.equal(drawn[:, 2:], condition.expand(20_000, 2))
    free = mixture.sample(400_000, noise(1))
    weight = (-0.5 * ((free[:, 2:] - condition) / 0.15).square().sum(1)).exp()
    mean = (weight[:, None] * free[:, :2]).sum(0) / weight.sum()
    spread = (weight[:, None] * (free[:, :2] - mean).square()).sum(0) / weight.sum()
    np.testing.assert_allclose(drawn[:, :2].mean(0), mean, atol=0.08)
    np.testing.assert_allclose(drawn[:, :2].var(0), spread, rtol=0.1)


def test_classes_that_are_one_each_are_told_apart() -> None:
    labels = torch.arange(600) % 3
    centres = torch.tensor([[0.0, 3.0], [5.0, 0.0], [-4.0, 1.0]])
    codes = centres[labels] + 0.3 * torch.randn(600, 2, generator=torch.Generator().manual_seed(0))
    one_hot = torch.eye(3)[labels]
    for components in (1, 3, 8):
        found = fit_mixture(torch.cat([codes, one_hot], dim=1), components)
        for k in range(3):
            drawn = found.given(torch.eye(3)[[k] * 500], noise(k))[:, :2]
            np.testing.assert_allclose(drawn.mean(0), codes[labels == k].mean(0), atol=0.35)


def test_a_unit_that_hardly_varies_leaves_the_density_whole() -> None:
    codes = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 1e-7, 1e4, 1.0])
    found = fit_mixture(codes, 2)
    assert bool(found.log_prob_given(codes[:9], 1).isfinite().all())
    assert bool(found.given(codes[:9, 3:], noise()).isfinite().all())


@pytest.fixture(scope="module")
def flowers():
    data = load_iris()
    names = np.asarray(data.target_names)[data.target]
    return data, Source("table", data.data.astype(np.float32), tuple(data.feature_names), condition=names)


@pytest.mark.parametrize("family", ["undercomplete", "rae", "denoising"])
def test_a_family_without_a_prior_draws_rows_of_a_class(flowers, family) -> None:
    data, source = flowers
    model = fit(source, Config(family=family, latent=2, steps=300, seed=0))
    assert model.model.prior is None
    means = {}
    for k, name in enumerate(data.target_names):
        rows = sample(model, 300, seed=1, mean=True, condition=name)
        real = data.data[data.target == k]
        means[name] = rows.mean(0)
        assert (np.abs(means[name] - real.mean(0)) < 0.6 * real.std(0) + 0.1).all()
        assert rows.std(0).max() > 0.3 * real.std(0).max()
    both = sample(model, 2, seed=1, mean=True, condition=["setosa", "virginica"])
    assert both[1, 2] - both[0, 2] > 2  # petals' length
    with pytest.raises(DataError, match="the class 'tulip', which was not there in training"):
        sample(model, 3, condition="tulip")
    model.density = None
    model.facts.pop("density")
    with pytest.raises(ConfigError, match="isthmus density MODEL DATA"):
        sample(model, 3, condition="setosa")


def test_a_model_that_knows_no_condition_says_so(flowers) -> None:
    model = fit(Source("table", flowers[1].array), Config(latent=2, steps=20, seed=0))
    with pytest.raises(ConfigError, match="knows no condition to draw for: fit with y or --condition"):
        sample(model, 3, condition="setosa")


def test_a_conditional_model_with_a_prior_has_a_density_beside_it(flowers) -> None:
    data, source = flowers
    model = fit(source, Config(family="conditional_vae", latent=2, steps=300, seed=0))
    scores = attach(model, model.prepare(source)).scores
    assert {"prior", "Gaussian"} <= set(scores)
    for density in ("prior", "ex_post"):
        rows = sample(model, 300, seed=1, mean=True, density=density, condition="virginica")
        assert abs(rows[:, 2].mean() - data.data[data.target == 2, 2].mean()) < 0.5
