"""Evidence of models whose codes lie on a sphere, in a cube, beside a condition, or can be counted, against exact values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from isthmus.bottlenecks import AutoregressiveFlow, Beta, Categories, FiniteScalar, Kumaraswamy, VectorQuantised, VonMisesFisherCode
from isthmus.bottlenecks import Gaussian as GaussianCode
from isthmus.errors import ConfigError
from isthmus.families.conditioned import conditioned
from isthmus.likelihoods import Gaussian
from isthmus.models import Autoencoder
from isthmus.nn import MLP, materialise
from isthmus.priors import AutoregressiveCodes, StandardNormal, UniformCategories, UniformCube, UniformSphere
from isthmus.tasks import ais, charts, counted, gap, nll

WIDTH, SCALE, ROWS = 5, 0.5, 6
QUICK = gap.Tuning(steps=100, learning_rate=0.1, draws=8, measured=1000)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(bottleneck, prior, w: torch.Tensor, seed: int = 0) -> Autoencoder:
    """A model whose decoder is x = W z + noise; its encoder is random."""
    model = Autoencoder(
        MLP((WIDTH,), (bottleneck.inputs,)), bottleneck, MLP((bottleneck.latent,), (1, WIDTH)), Gaussian((WIDTH,), SCALE), prior
    )
    model = materialise(model, seed).double()
    with torch.no_grad():
        model.decoder.linears[0].weight.copy_(w)
        model.decoder.linears[0].bias.zero_()
    return model.eval()


def by_sum(z: torch.Tensor, log_weights: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> np.ndarray:
    """log sum of weight * p(x | z), of every row."""
    squares = (x[:, None] - (z @ w.T)[None]).square().sum(2)
    log_p = -0.5 * squares / SCALE**2 - WIDTH * (math.log(SCALE) + 0.5 * math.log(2 * math.pi))
    return torch.logsumexp(log_p + log_weights, 1).numpy()


def sphere_points() -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes on the sphere in three dimensions, and the logs of their shares of the area: exact for smooth functions."""
    height, share = np.polynomial.legendre.leggauss(80)
    angle = torch.arange(160, dtype=torch.float64) * (2 * math.pi / 160)
    h, root = torch.as_tensor(height)[:, None], torch.as_tensor(np.sqrt(1 - height**2))[:, None]
    z = torch.stack([root * angle.cos(), root * angle.sin(), h.expand(80, 160)], dim=2).reshape(-1, 3)
    return z, torch.as_tensor(np.log(share / 2 / 160))[:, None].expand(80, 160).reshape(-1)


def cube_points() -> tuple[torch.Tensor, torch.Tensor]:
    nodes, share = np.polynomial.legendre.leggauss(80)
    x, log_share = torch.as_tensor((nodes + 1) / 2), torch.as_tensor(np.log(share / 2))
    z = torch.cartesian_prod(x, x)
    return z, (log_share[:, None] + log_share[None]).reshape(-1)


DOMAINS = {
    "sphere": (VonMisesFisherCode(3), UniformSphere(3), sphere_points),
    "Kumaraswamy": (Kumaraswamy(2), UniformCube(2), cube_points),
    "Beta": (Beta(2), UniformCube(2), cube_points),
}


@pytest.fixture(scope="module", params=DOMAINS)
def case(request):
    """A model, rows of it, and their exact evidence."""
    bottleneck, prior, points = DOMAINS[request.param]
    w = 1.2 * torch.randn(WIDTH, bottleneck.latent, generator=generator(1), dtype=torch.float64)
    z, log_shares = points()
    some = z[torch.multinomial(log_shares.exp(), ROWS, generator=generator(2))]
    x = some @ w.T + SCALE * torch.randn(ROWS, WIDTH, generator=generator(3), dtype=torch.float64)
    return linear(bottleneck, prior, w), x, by_sum(z, log_shares, x, w)


def agrees(found: nll.Estimate, truth: np.ndarray, most: float) -> None:
    assert found.error < most
    assert abs(found.mean - truth.mean()) < 3 * found.error
    standard = (found.values - truth) / found.errors
    assert 0.5 < float(np.sqrt(np.mean(np.square(standard)))) < 2


@pytest.mark.parametrize("start", ais.STARTS)
def test_annealing_gives_the_exact_evidence_on_sphere_and_cube(case, start) -> None:
    model, x, truth = case
    agrees(ais.annealed(model, x, ais.Annealing(chains=128, steps=40, leaps=5, start=start), seed=1), truth, 0.05)


def test_annealing_needs_its_moves(case, monkeypatch) -> None:
    """A chain that moves as in all of space is wrong where codes lie elsewhere: the test above can fail."""
    model, x, truth = case
    if not isinstance(model.prior, UniformCube):
        return
    monkeypatch.setattr(charts.Logit, "forward", lambda self, u: (u.sigmoid(), torch.zeros_like(u[:, 0])))
    found = ais.annealed(model, x, ais.Annealing(chains=96, steps=60, leaps=5), seed=1)
    assert abs(found.mean - truth.mean()) > 5 * found.error


def test_the_gap_is_bounded_by_the_exact_evidence(case) -> None:
    model, x, truth = case
    bounds, evidence = gap.optimised(model, x, QUICK, seed=0)
    means = {name: float(values.mean()) for name, values in bounds.items()}
    # A Gaussian around one mode may miss another: then the estimate lies below.
    assert truth.mean() - 0.05 < evidence.mean < truth.mean() + 3 * evidence.error + 1e-3
    assert evidence.error < 0.03
    assert means["encoder"] < means["own"] - 0.05
    assert means["diagonal"] < means["full"] + 0.01
    assert all(value < truth.mean() + 0.02 for value in means.values())
    assert means["full"] > truth.mean() - 0.5


def test_von_mises_fisher_is_the_exact_posterior_of_orthogonal_columns() -> None:
    w = 1.5 * torch.linalg.qr(torch.randn(WIDTH, 3, generator=generator(), dtype=torch.float64)).Q
    model = linear(VonMisesFisherCode(3), UniformSphere(3), w)
    x = torch.randn(6, WIDTH, generator=generator(1), dtype=torch.float64)
    kappa = (x @ w).norm(dim=1) / SCALE**2
    ring = -0.5 * (x.square().sum(1) + 1.5**2) / SCALE**2 - WIDTH * (math.log(SCALE) + 0.5 * math.log(2 * math.pi))
    truth = (ring + (kappa.sinh() / kappa).log()).numpy()
    bounds, evidence = gap.optimised(model, x, gap.Tuning(steps=100, learning_rate=0.3, draws=8, measured=2000), seed=0)
    assert bounds["own"].mean() == pytest.approx(truth.mean(), abs=0.02)
    assert evidence.mean == pytest.approx(truth.mean(), abs=max(3 * evidence.error, 1e-3))


@pytest.mark.parametrize("chart", [charts.Chart(), charts.Logit(), charts.Stereographic(torch.tensor([[0.48, 0.6, 0.64]]).double())])
def test_charts_are_inverted_and_their_volume_is_right(chart) -> None:
    u = torch.tensor([[0.3, -1.2]]).double()
    z, volume = chart.forward(u)
    assert torch.allclose(chart.inverse(z), u)
    jacobian = torch.autograd.functional.jacobian(lambda v: chart.forward(v)[0][0], u)[:, 0]
    assert float(volume) == pytest.approx(0.5 * float(torch.logdet(jacobian.T @ jacobian)))


def test_great_circles_keep_length_and_energy() -> None:
    motion = charts.GreatCircles(charts.Chart())
    place = torch.nn.functional.normalize(torch.randn(9, 4, generator=generator(), dtype=torch.float64), dim=1)
    speed = motion.tangent(place, torch.randn(9, 4, generator=generator(1), dtype=torch.float64))
    size = torch.full((9, 1), 0.7, dtype=torch.float64)
    there, after = motion.drift(place, speed, size)
    assert torch.allclose(there.norm(dim=1), torch.ones(9).double())
    assert torch.allclose(after.norm(dim=1), speed.norm(dim=1))
    assert torch.allclose((there * after).sum(1), torch.zeros(9).double())
    back = motion.drift(there, -after, size)[0]
    assert torch.allclose(back, place)


class Beside:
    """x = W z + V c + noise with a condition c: its evidence given c is that of a Gaussian."""

    def __init__(self, bottleneck) -> None:
        self.w, self.v = (torch.randn(WIDTH, 2, generator=generator(i), dtype=torch.float64) for i in range(2))
        plain = Autoencoder(
            MLP((WIDTH,), (bottleneck.inputs,)), bottleneck, MLP((2,), (1, WIDTH)), Gaussian((WIDTH,), SCALE), StandardNormal(2)
        )
        self.model = materialise(conditioned(plain, width=2, kept=3), 0).double().eval()
        with torch.no_grad():
            inner = self.model.decoder.inner.linears[0]
            inner.weight.copy_(torch.cat([self.w, self.v], dim=1))
            inner.bias.zero_()
        c = torch.eye(2, dtype=torch.float64)[torch.arange(ROWS) % 2]
        z = torch.randn(ROWS, 2, generator=generator(4), dtype=torch.float64)
        x = z @ self.w.T + c @ self.v.T + SCALE * torch.randn(ROWS, WIDTH, generator=generator(5), dtype=torch.float64)
        covariance = self.w @ self.w.T + SCALE**2 * torch.eye(WIDTH, dtype=torch.float64)
        known = torch.distributions.MultivariateNormal(torch.zeros(WIDTH, dtype=torch.float64), covariance)
        self.rows, self.evidence = torch.cat([x, c], dim=1), known.log_prob(x - c @ self.v.T).numpy()


@pytest.mark.parametrize("bottleneck", [GaussianCode(2), AutoregressiveFlow(2, maps=1, hidden=8)], ids=["Gaussian", "flow"])
def test_conditional_models_have_the_evidence_given_their_condition(bottleneck) -> None:
    known = Beside(bottleneck)
    agrees(ais.annealed(known.model, known.rows, ais.Annealing(chains=96, steps=60, leaps=5), seed=1), known.evidence, 0.1)
    bounds, evidence = gap.optimised(known.model, known.rows, QUICK, seed=0)
    assert evidence.mean == pytest.approx(known.evidence.mean(), abs=max(3 * evidence.error, 2e-3))
    assert bounds["full"].mean() == pytest.approx(known.evidence.mean(), abs=0.05)
    assert bounds["encoder"].mean() < bounds["own"].mean() - 0.1


def test_the_condition_of_a_row_is_not_optimised() -> None:
    """Free, it would explain the row better than its own condition can."""
    known = Beside(GaussianCode(2))
    bounds, _ = gap.optimised(known.model, known.rows, QUICK, seed=0)
    assert bounds["own"].mean() < known.evidence.mean() + 0.02


def counted_model(name: str) -> tuple[Autoencoder, torch.Tensor]:
    bottleneck = {"categories": Categories(6, 3), "fsq": FiniteScalar([3, 4]), "vqvae": VectorQuantised(4, codebook=4, width=2)}[name]
    prior = UniformCategories(6, 3) if name == "categories" else AutoregressiveCodes(bottleneck.latent, bottleneck.cardinalities, hidden=8)
    w = torch.randn(WIDTH, bottleneck.latent, generator=generator(1), dtype=torch.float64)
    return linear(bottleneck, prior, w), w


@pytest.mark.parametrize("name", ["categories", "fsq", "vqvae"])
def test_codes_that_can_be_counted_have_exact_evidence(name) -> None:
    model, w = counted_model(name)
    x = torch.randn(ROWS, WIDTH, generator=generator(2), dtype=torch.float64)
    book = counted.Book(model)
    indices = book.all()
    assert len({tuple(row) for row in indices.tolist()}) == book.count == math.prod(book.cardinalities)
    log_prior = book.log_prior(indices).detach()
    assert float(log_prior.exp().sum()) == pytest.approx(1)
    truth = by_sum(book.code(indices), log_prior, x, w)
    bounds, evidence = gap.optimised(model, x, seed=0)
    np.testing.assert_allclose(evidence.values, truth, rtol=1e-9)
    assert (bounds["encoder"] <= bounds["own"] + 1e-9).all()
    assert (bounds["own"] <= truth + 1e-9).all()
    assert bounds["encoder"].mean() < bounds["own"].mean()
    agrees(ais.annealed(model, x, ais.Annealing(chains=400, steps=24), seed=1), truth, 0.05)


def test_importance_sampling_of_categories_agrees_and_so_do_chains_from_the_posterior() -> None:
    model, w = counted_model("categories")
    x = 0.5 * torch.randn(ROWS, WIDTH, generator=generator(2), dtype=torch.float64)
    book = counted.Book(model)
    truth = by_sum(book.code(book.all()), book.log_prior(book.all()), x, w)
    agrees(nll.importance(model, x, 4000, seed=1), truth, 0.05)
    agrees(ais.annealed(model, x, ais.Annealing(chains=400, steps=24, start="posterior"), seed=2), truth, 0.05)


def test_what_cannot_be_is_said() -> None:
    model, _ = counted_model("fsq")
    x = torch.zeros(1, WIDTH, dtype=torch.float64)
    with pytest.raises(ConfigError, match="gives one code and no posterior"):
        ais.annealed(model, x, ais.Annealing(start="posterior"))
    many = linear(FiniteScalar([8] * 5), AutoregressiveCodes(5, (8,) * 5), torch.zeros(WIDTH, 5).double())
    with pytest.raises(ConfigError, match="32,768 codes are too many"):
        gap.optimised(many, x)
    with pytest.raises(ConfigError, match="cannot be counted"):
        counted.Book(Beside(GaussianCode(2)).model)
