"""Densities of codes, and samples drawn from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.priors.ex_post import MixtureDensity
from isthmus.tasks import density
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.tasks.sample import sample


def noise(seed: int = 0) -> GeneratorNoise:
    return GeneratorNoise(torch.Generator().manual_seed(seed))


def groups(rows: int = 2000, seed: int = 0) -> torch.Tensor:
    """Two far groups with different covariances, a fifth of the rows in the second."""
    random = np.random.default_rng(seed)
    first = random.normal(size=(rows * 4 // 5, 2)) @ np.array([[1.0, 0.8], [0.0, 0.3]])
    second = random.normal(size=(rows // 5, 2)) * 0.2 + [6, -3]
    return torch.from_numpy(random.permutation(np.concatenate([first, second]))).float()


@pytest.fixture(scope="module")
def mixture() -> MixtureDensity:
    return density.fit_mixture(groups(), 2)


def test_a_density_is_that_of_the_formula(mixture) -> None:
    z = groups(10, seed=1)
    parts = [
        torch.distributions.MultivariateNormal(mean, scale_tril=factor).log_prob(z) + weight
        for weight, mean, factor in zip(mixture.log_weights, mixture.means, mixture.factors)
    ]
    torch.testing.assert_close(mixture.log_prob(z), torch.logsumexp(torch.stack(parts), 0), rtol=1e-4, atol=1e-4)


def test_groups_are_found(mixture) -> None:
    order = mixture.log_weights.argsort()
    assert mixture.log_weights[order].exp().tolist() == pytest.approx([0.2, 0.8], abs=0.01)
    assert mixture.means[order[0]].tolist() == pytest.approx([6, -3], abs=0.05)
    covariance = mixture.factors[order[1]] @ mixture.factors[order[1]].T
    assert covariance.flatten().tolist() == pytest.approx([1, 0.8, 0.8, 0.73], abs=0.08)


def test_draws_have_the_moments_of_the_codes_in_no_order(mixture) -> None:
    codes, drawn = groups(), mixture.sample(20_000, noise())
    torch.testing.assert_close(drawn.mean(0), codes.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(codes.T), atol=0.3, rtol=0)
    halves = [float((half[:, 0] > 3).double().mean()) for half in drawn.chunk(2)]
    assert halves[0] == pytest.approx(halves[1], abs=0.02)


def test_held_out_codes_choose_the_number() -> None:
    found = density.choose_density(groups(), groups(500, seed=1))
    assert found.chosen in ("mixture of 2 Gaussians", "mixture of 5 Gaussians")
    assert found.scores[found.chosen] > found.scores["Gaussian"] + 0.5
    normal = torch.randn(1500, 3, generator=torch.Generator().manual_seed(0))
    assert density.choose_density(normal[:1000], normal[1000:]).density.components == 1


def test_units_that_never_vary_or_vary_together_do_no_harm() -> None:
    codes = groups(300)
    codes = torch.cat([codes, codes[:, :1], torch.full((300, 1), 2.5)], dim=1)
    found = density.fit_mixture(codes, 2)
    drawn = found.sample(1000, noise())
    assert bool(torch.isfinite(found.log_prob(codes)).all())
    torch.testing.assert_close(drawn[:, 0], drawn[:, 2], atol=0.2, rtol=0)
    torch.testing.assert_close(drawn[:, 3], torch.full((1000,), 2.5), atol=1e-3, rtol=0)


def test_codes_that_all_coincide() -> None:
    found = density.fit_mixture(torch.ones(50, 2), 3)
    torch.testing.assert_close(found.sample(10, noise()), torch.ones(10, 2), atol=1e-3, rtol=0)


def test_a_covariance_that_stays_singular_is_told(monkeypatch) -> None:
    with pytest.raises(ConfigError, match=r"singular even with 1 %.*smaller latent or fewer components"):
        density._factored(-torch.eye(2)[None])


@pytest.mark.parametrize(
    ("codes", "components", "error", "told"),
    [
        (torch.zeros(3, 2), 5, DataError, "3 codes are too few for 5 Gaussians"),
        (torch.full((30, 2), math.nan), 1, DataError, "not finite"),
        (torch.zeros(30, 2), 0, ConfigError, "components must be at least 1"),
    ],
)
def test_what_allows_no_density(codes, components, error, told) -> None:
    with pytest.raises(error, match=told):
        density.fit_mixture(codes, components)


def test_a_code_can_be_too_wide() -> None:
    with pytest.raises(ConfigError, match="257 units is too wide"):
        density.choose_density(torch.randn(30, 257), torch.randn(10, 257))


@pytest.fixture(scope="module")
def plain(digits) -> Artifact:
    return fit(Source("pictures", digits[:600]), Config(latent=6, steps=300, seed=0))


def test_a_plain_autoencoder_is_sampled_from_the_density_of_its_codes(plain, digits) -> None:
    assert plain.model.prior is None
    assert plain.facts["density"]["chosen"] == density.named(plain.density.components)
    drawn = sample(plain, 400, seed=1, mean=True)
    # Wrong codes decode to far pictures: the mean of samples is that of the data, and each is near some real one.
    assert np.abs(drawn.mean(0) - digits[:600].mean(0)).mean() < 0.03
    nearest = np.square(drawn[:, None] - digits[None, 600:]).mean((2, 3, 4)).min(1)
    assert np.median(nearest) < 0.05
    far = sample(plain, 400, seed=1, mean=True, density="ex_post")
    np.testing.assert_array_equal(drawn, far)


def test_the_density_is_saved_with_the_model(plain, tmp_path) -> None:
    found = Artifact.load(plain.save(tmp_path / "model"))
    np.testing.assert_array_equal(sample(plain, 9, seed=3), sample(found, 9, seed=3))
    assert found.facts["density"] == plain.facts["density"]
    assert sum(file.stat().st_size for file in (tmp_path / "model").iterdir()) < 3e6


def test_a_saved_density_of_another_kind_is_refused(plain, tmp_path) -> None:
    path = plain.save(tmp_path / "model") / "config.json"
    path.write_text(path.read_text().replace("density.mixture", "bottleneck.deterministic").replace('"components": ', '"k": '))
    with pytest.raises(ArtifactError):
        Artifact.load(tmp_path / "model")


def test_without_prior_and_density_the_way_out_is_told(plain) -> None:
    bare = Artifact(plain.model, plain.objective, plain.schema, plain.preprocessor, plain.config)
    with pytest.raises(ConfigError, match=r"no prior to draw codes from.*isthmus density MODEL DATA"):
        sample(bare, 3)
    with pytest.raises(ConfigError, match="has no prior: draw from the density of its codes"):
        sample(plain, 3, density="prior")
    with pytest.raises(ConfigError, match="density must be one of"):
        sample(plain, 3, density="best")


def test_the_better_of_prior_and_density_is_the_default(digits) -> None:
    model = fit(Source("pictures", digits[:600]), Config(family="variational", latent=4, steps=400, beta=0.02, seed=0))
    scores = model.facts["density"]["held-out codes, nats"]
    assert model.facts["density"]["chosen"] == max(scores, key=scores.get) != "prior"
    name, chosen = density.chosen_density(model)
    assert chosen is model.density
    assert "fitted to the codes" in name
    assert density.chosen_density(model, "prior") == ("the prior", model.model.prior)
    model.facts["density"]["chosen"] = "prior"
    assert density.chosen_density(model)[1] is model.model.prior
