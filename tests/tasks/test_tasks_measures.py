"""Evidence by importance sampling and annealing against models whose evidence is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from isthmus.bottlenecks import Gaussian as GaussianCode
from isthmus.errors import ConfigError
from isthmus.likelihoods import Gaussian
from isthmus.models import Autoencoder
from isthmus.nn import MLP
from isthmus.priors import StandardNormal
from isthmus.tasks import aggregate, ais, gap, latent, nll

WIDTH, CODE, ROWS = 6, 2, 40


class Known:
    """A linear-Gaussian VAE, x = W z + mu + noise: probabilistic PCA (Tipping and Bishop, 1999), its evidence known."""

    def __init__(self, seed: int = 0, scale: float = 0.5) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.w = torch.randn(WIDTH, CODE, generator=generator, dtype=torch.float64)
        self.w[:, 1] += 0.5 * self.w[:, 0]  # so that the posterior is far from diagonal
        self.mu = torch.randn(WIDTH, generator=generator, dtype=torch.float64)
        self.scale = scale
        z = torch.randn(ROWS, CODE, generator=generator, dtype=torch.float64)
        self.x = z @ self.w.T + self.mu + scale * torch.randn(ROWS, WIDTH, generator=generator, dtype=torch.float64)
        covariance = self.w @ self.w.T + scale**2 * torch.eye(WIDTH, dtype=torch.float64)
        known = torch.distributions.MultivariateNormal(self.mu, covariance)
        self.evidence = known.log_prob(self.x).numpy()
        self.precision = torch.eye(CODE, dtype=torch.float64) + self.w.T @ self.w / scale**2
        self.best = torch.linalg.solve(self.precision, self.w.T / scale**2)

    def model(self, location: float = 1.0, spread: float = 1.0) -> Autoencoder:
        """The model with the best diagonal posterior as its encoder, or one that is off by these factors."""
        encoder, decoder = MLP((WIDTH,), (2 * CODE,)), MLP((CODE,), (1, WIDTH))
        found = Autoencoder(encoder, GaussianCode(CODE), decoder, Gaussian((WIDTH,), self.scale), StandardNormal(CODE)).double()
        log_scale = -0.5 * self.precision.diagonal().log() + math.log(spread)
        with torch.no_grad():
            encoder.linears[0].weight.copy_(torch.cat([location * self.best, torch.zeros_like(self.best)]))
            encoder.linears[0].bias.copy_(torch.cat([-location * self.best @ self.mu, log_scale]))
            decoder.linears[0].weight.copy_(self.w)
            decoder.linears[0].bias.copy_(self.mu)
        return found.eval()

    def diagonal_bound(self) -> float:
        """Mean ELBO of the best diagonal posterior: the evidence less half the log of how far the precision is from diagonal."""
        lost = 0.5 * (self.precision.diagonal().log().sum() - torch.logdet(self.precision))
        return float(self.evidence.mean() - lost)


@pytest.fixture(scope="module")
def known() -> Known:
    return Known()


def agrees(found: nll.Estimate, truth: np.ndarray, most: float) -> None:
    """The mean agrees to three standard errors, which are small; and the errors of single rows are of the size told."""
    assert found.error < most
    assert abs(found.mean - truth.mean()) < 3 * found.error
    standard = (found.values - truth) / found.errors
    assert 0.6 < float(np.sqrt(np.mean(np.square(standard)))) < 1.6


def test_importance_sampling_gives_the_known_evidence(known) -> None:
    found = nll.importance(known.model(0.9, 1.3), known.x, 5000, seed=1)
    agrees(found, known.evidence, 0.02)
    assert 100 < found.effective < 5000


def test_annealing_gives_the_known_evidence(known) -> None:
    how = ais.Annealing(chains=128, steps=120)
    agrees(ais.annealed(known.model(), known.x, how, seed=1), known.evidence, 0.02)


def test_annealing_is_right_where_the_encoder_is_useless(known) -> None:
    wrong = known.model(-0.5, 0.3)
    sampled = nll.importance(wrong, known.x, 200, seed=1)
    assert sampled.mean < known.evidence.mean() - 1
    agrees(ais.annealed(wrong, known.x, ais.Annealing(chains=128, steps=120), seed=2), known.evidence, 0.02)


def test_annealing_may_start_from_the_posterior(known) -> None:
    how = ais.Annealing(chains=128, steps=20, start="posterior")
    agrees(ais.annealed(known.model(0.9, 1.3), known.x, how, seed=3), known.evidence, 0.02)


def test_one_draw_has_no_known_error(known) -> None:
    assert np.isnan(nll.importance(known.model(), known.x, 1).errors).all()


def test_memory_is_bounded_and_the_pieces_fit_together(known, monkeypatch) -> None:
    monkeypatch.setattr(latent, "VALUES", 600)
    found = nll.importance(known.model(), known.x, 1000, seed=1)
    assert abs(found.mean - known.evidence.mean()) < 3 * found.error
    assert found.values.shape == (ROWS,)


def test_draws_are_chosen_by_how_well_the_posterior_fits(known) -> None:
    good = nll.choose_draws(known.model(1.0, 1.1), known.x)
    bad = nll.choose_draws(known.model(0.7, 0.8), known.x)
    assert nll.LEAST <= good < bad <= nll.MOST


@pytest.mark.parametrize("draws", [0, -3])
def test_no_draws_are_refused(known, draws) -> None:
    with pytest.raises(ConfigError, match="k must be at least 1"):
        nll.importance(known.model(), known.x, draws)


@pytest.mark.parametrize("wrong", [{"chains": 0}, {"steps": 0}, {"step_size": 0.0}, {"start": "middle"}])
def test_senseless_annealing_is_refused(wrong) -> None:
    with pytest.raises(ConfigError):
        ais.Annealing(**wrong)


@pytest.fixture(scope="module")
def found(known) -> tuple[dict[str, np.ndarray], nll.Estimate]:
    return gap.optimised(known.model(0.8, 1.5), known.x, gap.Tuning(measured=2000), seed=0)


@pytest.fixture(scope="module")
def bounds(found) -> dict[str, np.ndarray]:
    return found[0]


def test_the_evidence_from_optimised_posteriors_is_the_known_one(known, found) -> None:
    # The full Gaussian is the exact posterior here, so that almost nothing is left to chance.
    assert found[1].error < 1e-3
    assert found[1].mean == pytest.approx(known.evidence.mean(), abs=3e-3)


def test_the_elbo_of_the_best_diagonal_posterior_is_the_known_one(known, bounds) -> None:
    best = known.diagonal_bound()
    error = 3 * math.sqrt(2 * CODE / (2000 * ROWS)) + 0.005
    assert bounds["own"].mean() == pytest.approx(best, abs=error)
    assert bounds["diagonal"].mean() == pytest.approx(best, abs=error)
    exact = gap.measure(known.model(), known.x, gap.Own(known.model(), known.model().activate(known.x).detach()), 2000, _noise())
    assert exact.mean() == pytest.approx(best, abs=error)


def test_a_full_gaussian_closes_the_gap(known, bounds) -> None:
    assert bounds["full"].mean() == pytest.approx(known.evidence.mean(), abs=0.01)
    assert bounds["flow"].mean() == pytest.approx(known.evidence.mean(), abs=0.01)


def test_posteriors_are_ordered_as_theory_says(known, bounds) -> None:
    means = [bounds[name].mean() for name in ("encoder", "diagonal", "full")]
    assert means[0] < means[1] - 0.05 < means[2] - 0.1
    assert bounds["flow"].mean() > bounds["full"].mean() - 0.01
    # No posterior may say more than the evidence.
    assert means[2] < known.evidence.mean() + 0.01


def test_a_planar_flow_has_the_density_it_says() -> None:
    full = gap.Full(gap.Diagonal(torch.tensor([[0.3, -0.2]]).double(), torch.tensor([[0.7, 1.4]]).double()))
    flow = gap.Flow(full, seed=1)
    with torch.no_grad():
        full.below += 0.4
        flow.u += 1.5
        flow.b += 0.3
        z, density = flow.draw(200_000, _noise())
    # E_q[p / q] = 1 for any density p that q covers.
    p = torch.distributions.Normal(0.0, 0.6).log_prob(z).sum(1)
    ratio = (p - density).exp()
    assert float(ratio.mean()) == pytest.approx(1, abs=4 * float(ratio.std()) / math.sqrt(len(ratio)))


def _noise():
    from isthmus.distributions import GeneratorNoise

    return GeneratorNoise(torch.Generator().manual_seed(0))


def test_the_gap_is_split() -> None:
    found = gap.Gap(10, -80.0, 0.1, {"encoder": -86.0, "own": -83.0})
    assert (found.total, found.approximation, found.amortisation) == (6.0, 3.0, 3.0)


def test_codes_of_the_prior_are_at_chance_and_others_are_not() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(500, 3, generator=generator), torch.randn(500, 3, generator=generator)
    assert abs(aggregate.discrepancy(a, b)) < 0.01
    assert aggregate.discrepancy(a, b + 1) > 0.1


def test_the_discrepancy_is_the_formula() -> None:
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0]])
    kernel = lambda x, y: sum(2 * s / (2 * s + (x - y) ** 2) for s in aggregate.SCALES)  # noqa: E731
    cross = np.mean([kernel(x, y) for x in (0, 1) for y in (3, 5)])
    assert aggregate.discrepancy(a, b) == pytest.approx(kernel(0, 1) + kernel(3, 5) - 2 * cross)


def test_the_aggregate_finds_dead_units(known) -> None:
    model = known.model()
    with torch.no_grad():
        model.encoder.linears[0].weight[1] = 0
        model.encoder.linears[0].bias[1] = 0
        model.encoder.linears[0].weight[3] = 0
        model.encoder.linears[0].bias[3] = 0
    found = aggregate.aggregate(model, known.x)
    assert found.active.tolist() == [True, False]
    assert found.kl[1] == pytest.approx(0, abs=1e-12)
    assert found.kl[0] > 1
