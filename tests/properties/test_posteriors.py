"""Posteriors, priors and their divergences against Monte Carlo and quadrature; gradients of draws against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus.bottlenecks import (
    AutoregressiveFlow,
    Beta,
    Bottleneck,
    Categories,
    FullGaussian,
    Gaussian,
    Kumaraswamy,
    Ladder,
    Laplace,
    PlanarFlow,
    SplineFlow,
    VectorQuantised,
    VonMisesFisherCode,
)
from isthmus.distributions import Distribution, GeneratorNoise, SharedNoise
from isthmus.distributions.cube import Beta as BetaDistribution
from isthmus.distributions.posterior import entropies, frozen, variances
from isthmus.distributions.quantised import Quantised
from isthmus.nn import materialise
from isthmus.priors import (
    AutoregressiveCodes,
    Flow,
    Mixture,
    Prior,
    StandardNormal,
    TwoLevelPrior,
    UniformCategories,
    UniformCube,
    UniformSphere,
)

DRAWS = 40_000
SIGMAS = 4.0


def made(build: Callable[[], Bottleneck]) -> Bottleneck:
    return materialise(build(), 0).double().train()


BOTTLENECKS: dict[str, Callable[[], Bottleneck]] = {
    "gaussian": lambda: Gaussian(3),
    "full": lambda: FullGaussian(3),
    "laplace": lambda: Laplace(3),
    "planar": lambda: PlanarFlow(3, maps=3),
    "iaf": lambda: AutoregressiveFlow(3, maps=2, hidden=8),
    "spline": lambda: SplineFlow(3, maps=3, hidden=8, bins=4),
    "sphere": lambda: VonMisesFisherCode(3),
    "circle": lambda: VonMisesFisherCode(2),
    "cube": lambda: Kumaraswamy(3),
    "beta": lambda: Beta(3),
    "categories": lambda: Categories(6, categories=3),
    "ladder": lambda: Ladder(3, top=1, hidden=5),
}


def posterior(name: str, rows: int = 1) -> Distribution:
    bottleneck = made(BOTTLENECKS[name])
    h = torch.randn(1, bottleneck.inputs, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return bottleneck(h.expand(rows, -1))


def noise(seed: int = 0) -> GeneratorNoise:
    return GeneratorNoise(torch.Generator().manual_seed(seed))


def near(found: Tensor, wanted: float) -> None:
    """The mean of draws is as far from `wanted` as chance allows."""
    error = float(found.std()) / math.sqrt(len(found))
    assert abs(float(found.mean()) - wanted) <= SIGMAS * error + 1e-9


@pytest.mark.parametrize("name", [name for name in BOTTLENECKS if name not in ("planar", "iaf", "spline", "ladder", "sphere", "circle")])
def test_moments_are_those_of_draws(name: str) -> None:
    z = posterior(name, DRAWS).sample(noise()).detach()
    q = posterior(name)
    if name == "categories":
        q.hard, z = True, _hard(name)
    for j in range(z.shape[1]):
        near(z[:, j], float(q.mean[0, j].detach()))
        near((z[:, j] - q.mean[0, j].detach()).square(), float(variances(q)[0, j].detach()))


def _hard(name: str) -> Tensor:
    bottleneck = made(BOTTLENECKS[name]).eval()
    h = torch.randn(1, bottleneck.inputs, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return bottleneck(h.expand(DRAWS, -1)).sample(noise())


@pytest.mark.parametrize("name", ["sphere", "circle"])
def test_directions_are_spread_as_they_say(name: str) -> None:
    q, z = posterior(name), posterior(name, DRAWS).sample(noise()).detach()
    torch.testing.assert_close(z.norm(dim=1), torch.ones(DRAWS).double())
    mean = z.mean(0)
    torch.testing.assert_close(mean / mean.norm(), q.mean[0].detach(), atol=0.02, rtol=0)
    for j in range(z.shape[1]):
        near((z[:, j] - mean[j]).square(), float(variances(q)[0, j].detach()))


@pytest.mark.parametrize("name", [name for name in BOTTLENECKS if name not in ("categories",)])
def test_entropies_are_those_of_draws(name: str) -> None:
    q = posterior(name, DRAWS)
    z = q.sample(noise())
    found = -q.log_prob(z).detach()
    known = entropies(q)
    if known is not None:
        near(found, float(known[0].sum().detach()))
    # A density that is known from the draw is the one that inverting the maps gives.
    inverted = posterior(name, 200).log_prob(z[:200].detach().clone()).detach()
    torch.testing.assert_close(q.log_prob(z)[:200].detach(), inverted, atol=1e-8, rtol=0)


def grid(lowest: float, highest: float, cells: int) -> tuple[Tensor, float]:
    step = (highest - lowest) / cells
    points = lowest + (torch.arange(cells, dtype=torch.float64) + 0.5) * step
    return torch.cartesian_prod(points, points), step * step


PLANE = (PlanarFlow(2, maps=3), AutoregressiveFlow(2, maps=2, hidden=6), SplineFlow(2, maps=2, hidden=6, bins=4), FullGaussian(2))


@pytest.mark.parametrize("build", [lambda part=part: part for part in PLANE], ids=lambda build: type(build()).__name__)
def test_densities_in_the_plane_integrate_to_one(build: Callable[[], Bottleneck]) -> None:
    bottleneck = made(build)
    h = 0.5 * torch.randn(1, bottleneck.inputs, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    points, cell = grid(-12, 12, 300)
    with torch.no_grad():
        total = float(bottleneck(h.expand(len(points), -1)).log_prob(points).exp().sum() * cell)
    assert total == pytest.approx(1, abs=2e-3)


def test_density_on_the_sphere_integrates_to_one() -> None:
    q = posterior("sphere", 90_000)
    turn, height = torch.meshgrid(torch.arange(300).double(), torch.arange(300).double(), indexing="ij")
    z = (2 * (height.flatten() + 0.5) / 300 - 1).clamp(-1, 1)
    angle = 2 * math.pi * (turn.flatten() + 0.5) / 300
    flat = (1 - z * z).sqrt()
    points = torch.stack([flat * angle.cos(), flat * angle.sin(), z], dim=1)
    assert float(q.log_prob(points).exp().mean() * 4 * math.pi) == pytest.approx(1, abs=1e-3)


def test_density_on_the_cube_integrates_to_one() -> None:
    points = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
    q = Kumaraswamy(1)(torch.tensor([[0.4, 0.9]], dtype=torch.float64).expand(len(points), -1))
    assert float(q.log_prob(points[:, None]).exp().mean()) == pytest.approx(1, abs=1e-4)


PAIRS: dict[str, tuple[str, Callable[[], Prior]]] = {
    "full, normal": ("full", lambda: StandardNormal(3)),
    "laplace, normal": ("laplace", lambda: StandardNormal(3)),
    "sphere, uniform": ("sphere", lambda: UniformSphere(3)),
    "circle, uniform": ("circle", lambda: UniformSphere(2)),
    "cube, uniform": ("cube", lambda: UniformCube(3)),
    "beta, uniform": ("beta", lambda: UniformCube(3)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_divergences_in_closed_form_are_those_of_draws(pair: str) -> None:
    name, build = PAIRS[pair]
    q, prior = posterior(name, DRAWS), build()
    z = q.sample(noise())
    found = (q.log_prob(z) - prior.log_prob(z)).detach()
    near(found, float(prior.divergence(posterior(name), z[:1])[0].sum().detach()))


def test_divergence_of_two_levels_is_that_of_draws() -> None:
    ladder, prior = made(BOTTLENECKS["ladder"]), TwoLevelPrior(3)
    prior.bind(ladder, ladder)
    h = torch.randn(1, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    q = ladder(h.expand(DRAWS, -1))
    z = q.sample(noise())
    with torch.no_grad():
        plain, partly = q.log_prob(z) - prior.log_prob(z), prior.divergence(q, z).sum(1)
    near(plain, float(partly.mean()))
    assert float(partly.std()) < float(plain.std()), "what is in closed form varies less"


def test_divergence_of_categories_is_that_of_hard_draws() -> None:
    bottleneck = made(BOTTLENECKS["categories"]).eval()
    h = torch.randn(1, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    q, prior = bottleneck(h.expand(DRAWS, -1)), UniformCategories(6, 3)
    z = q.sample(noise())
    assert set(z.unique().tolist()) == {0.0, 1.0}
    near(q.log_prob(z) - prior.log_prob(z), float(prior.divergence(bottleneck(h), z)[0].sum()))


@pytest.mark.parametrize("build", [lambda: Mixture(2, components=3), lambda: Flow(2, layers=3, hidden=8)])
def test_learned_priors_integrate_to_one_and_draw_what_they_say(build: Callable[[], Prior]) -> None:
    prior = materialise(build(), 0).double()
    points, cell = grid(-9, 9, 300)
    with torch.no_grad():
        density = prior.log_prob(points).exp()
        assert float(density.sum() * cell) == pytest.approx(1, abs=2e-3)
        z = prior.sample(DRAWS, noise())
    mean = (density[:, None] * points).sum(0) * cell
    for j in range(2):
        near(z[:, j], float(mean[j]))


def test_the_prior_of_indices_draws_what_it_says() -> None:
    quantiser, prior = materialise(VectorQuantised(4, codebook=3, width=2), 0), materialise(AutoregressiveCodes(4, (3, 3)), 1)
    prior.bind(quantiser, quantiser)
    z = prior.sample(DRAWS, noise())
    q = quantiser(z)
    assert isinstance(q, Quantised)
    torch.testing.assert_close(q.mean.detach(), z, msg="codes are words")
    every = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    chances = prior.of_indices(every).sum(1).exp().detach()
    for word, chance in zip(every, chances.tolist()):
        near((q.indices == word).all(1).double(), chance)


@pytest.mark.parametrize("name", [name for name in BOTTLENECKS if name not in ("categories", "beta")])
def test_gradients_of_draws_are_those_of_finite_differences(name: str) -> None:
    bottleneck = made(BOTTLENECKS[name])
    h = torch.randn(2, bottleneck.inputs, generator=torch.Generator().manual_seed(4), dtype=torch.float64, requires_grad=True)

    def draw(h: Tensor) -> Tensor:
        return bottleneck(h).sample(SharedNoise(3))

    # The directions' inverse distribution function lies on a grid, which leaves an error of its own.
    loose = name in ("sphere", "circle")
    assert torch.autograd.gradcheck(draw, h, eps=1e-4 if loose else 1e-6, atol=2e-2 if loose else 1e-5, rtol=2e-2 if loose else 1e-3)


def test_the_direction_s_gradient_is_unbiased() -> None:
    """The mean of w has the derivative 1 - A^2 - (m - 1) A / kappa."""
    kappa = torch.full((DRAWS,), 6.0, dtype=torch.float64, requires_grad=True)
    from isthmus.distributions.sphere import VonMisesFisher

    mu = torch.zeros(DRAWS, 5, dtype=torch.float64)
    mu[:, 0] = 1
    q = VonMisesFisher(mu, kappa)
    (each,) = torch.autograd.grad(q.sample(noise())[:, 0].sum(), kappa)
    with torch.no_grad():
        mean = 1 - q._integrals()[1][0]
    near(each, float(1 - mean**2 - 4 * mean / 6.0))


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.6), (2.0, 5.0), (40.0, 3.0)])
def test_the_beta_s_draws_and_gradients_are_those_of_its_distribution_function(a: float, b: float) -> None:
    special, stats = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.stats")
    log_a, log_b = (torch.full((2000, 1), math.log(value), dtype=torch.float64, requires_grad=True) for value in (a, b))
    z = BetaDistribution(log_a, log_b).sample(noise())
    x = z.detach().numpy()[:, 0]
    assert stats.kstest(x, stats.beta(a, b).cdf).pvalue > 1e-3
    by_a, by_b = (g.numpy()[:, 0] for g in torch.autograd.grad(z.sum(), (log_a, log_b)))
    middle, step, density = (x > 1e-4) & (x < 1 - 1e-4), 1e-5, stats.beta(a, b).pdf(x)
    for found, up, down in (
        (by_a, special.betainc(a * math.exp(step), b, x), special.betainc(a * math.exp(-step), b, x)),
        (by_b, special.betainc(a, b * math.exp(step), x), special.betainc(a, b * math.exp(-step), x)),
    ):
        wanted = -(up - down) / (2 * step) / density
        np.testing.assert_allclose(found[middle], wanted[middle], rtol=0.02, atol=1e-4)


def test_a_frozen_posterior_has_the_same_density_and_no_gradient() -> None:
    for name in ("gaussian", "full", "laplace"):
        bottleneck = made(BOTTLENECKS[name])
        h = torch.randn(3, bottleneck.inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
        q = bottleneck(h)
        z = q.sample(noise()).detach()
        assert torch.equal(frozen(q).log_prob(z), q.log_prob(z).detach())
        assert not frozen(q).log_prob(z).requires_grad


@pytest.mark.parametrize("name", [name for name in BOTTLENECKS if name != "categories"])
def test_a_row_s_draw_knows_nothing_of_its_neighbours(name: str) -> None:
    bottleneck = made(BOTTLENECKS[name])
    h = torch.randn(4, bottleneck.inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    together, alone = bottleneck(h).sample(SharedNoise(1)), bottleneck(h[2:3]).sample(SharedNoise(1))
    torch.testing.assert_close(together[2:3], alone, atol=1e-12, rtol=0)


def test_dead_words_are_moved_to_where_the_codes_are() -> None:
    quantiser = materialise(VectorQuantised(1, codebook=8, width=1, decay=0.9), 0)
    source = torch.Generator().manual_seed(0)
    places = torch.tensor([-3.0, -1.0, 1.0, 3.0])
    for step in range(400):
        h = places[torch.randint(4, (64,), generator=source)][:, None] + 0.01 * torch.randn(64, 1, generator=source)
        if step == 100:
            quantiser.codebook = quantiser.codebook + torch.tensor([0.0] + [50.0] * 7).view(1, 8, 1)  # all but one are lost
        quantiser.update(quantiser(h), lambda values: values.mean(0), step)
    assert float((quantiser(places[:, None]).mean - places[:, None]).abs().max()) < 0.05
