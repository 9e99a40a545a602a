"""Posteriors, priors and bounds against short implementations written straight from the formulas, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isthmus.bottlenecks import FiniteScalar, FullGaussian, Gaussian, Ladder, VectorQuantised
from isthmus.distributions import GeneratorNoise, Normal
from isthmus.distributions.cube import Kumaraswamy
from isthmus.distributions.full_normal import FullNormal
from isthmus.distributions.pixels import LogisticMixture, Multinomial
from isthmus.distributions.relaxed import RelaxedCategorical
from isthmus.distributions.sphere import VonMisesFisher
from isthmus.errors import ConfigError
from isthmus.likelihoods import Bernoulli
from isthmus.likelihoods import Gaussian as GaussianLikelihood
from isthmus.models import Autoencoder
from isthmus.nn import MLP, materialise
from isthmus.objectives import ELBO, IWAE, Capacity, Context, Renyi, TotalCorrelation
from isthmus.objectives.mmd import squared_mmd
from isthmus.objectives.total_correlation import decompose
from isthmus.priors import AutoregressiveCodes, Mixture, StandardNormal, TwoLevelPrior, UniformSphere, Vamp

TIGHT = {"rtol": 1e-10, "atol": 1e-10}


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noise(seed: int = 0) -> GeneratorNoise:
    return GeneratorNoise(torch.Generator().manual_seed(seed))


def close(found: Tensor, wanted: Tensor | float) -> None:
    torch.testing.assert_close(found, torch.as_tensor(wanted, dtype=torch.float64).expand_as(found), **TIGHT)


def model(bottleneck: nn.Module, prior: nn.Module, width: int = 5) -> Autoencoder:
    encoder, decoder = MLP((width,), (bottleneck.inputs,), (7,)), MLP((bottleneck.latent,), (1, width), (7,))
    return materialise(Autoencoder(encoder, bottleneck, decoder, Bernoulli((width,)), prior), 0).double()


def binary(rows: int, width: int = 5) -> Tensor:
    return (numbers(rows, width, seed=3) > 0).double()


# Posteriors


@pytest.mark.parametrize("dimension", [2, 3, 10, 50])
@pytest.mark.parametrize("kappa", [0.5, 7.0, 300.0])
def test_von_mises_fisher_is_that_of_the_bessel_functions(dimension: int, kappa: float) -> None:
    special = pytest.importorskip("scipy.special")
    order = dimension / 2 - 1
    bessel = np.log(special.ive(order, kappa)) + kappa
    log_c = order * math.log(kappa) - (order + 1) * math.log(2 * math.pi) - bessel
    ratio = special.ive(order + 1, kappa) / special.ive(order, kappa)
    mu = torch.nn.functional.normalize(numbers(1, dimension), dim=1)
    z = torch.nn.functional.normalize(numbers(1, dimension, seed=1), dim=1)
    q = VonMisesFisher(mu, torch.tensor([kappa], dtype=torch.float64))
    close(q.log_prob(z), log_c + kappa * float((mu * z).sum()))
    area = math.log(2) + dimension / 2 * math.log(math.pi) - math.lgamma(dimension / 2)
    close(UniformSphere(dimension).divergence(q, z), log_c + kappa * ratio + area)


def test_full_gaussian_and_its_divergence() -> None:
    q = FullGaussian(4)(numbers(3, 14))
    z = numbers(3, 4, seed=2)
    covariance = q.factor @ q.factor.transpose(1, 2)
    wanted = torch.distributions.MultivariateNormal(q.mean, covariance)
    close(q.log_prob(z), wanted.log_prob(z))
    standard = torch.distributions.MultivariateNormal(torch.zeros(4).double(), torch.eye(4).double())
    close(StandardNormal(4).divergence(q, z).sum(1), torch.distributions.kl_divergence(wanted, standard))
    close(q.variances, covariance.diagonal(dim1=1, dim2=2))
    close(FullNormal.of_covariance(q.mean, covariance).log_prob(z), q.log_prob(z))


def test_kumaraswamy() -> None:
    a, b = numbers(3, 2).exp(), numbers(3, 2, seed=1).exp()
    q, x = Kumaraswamy(a.log(), b.log()), torch.rand(3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = (a * b * x ** (a - 1) * (1 - x**a) ** (b - 1)).log().sum(1)
    close(q.log_prob(x), wanted)
    grid = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    one = Kumaraswamy(torch.full((200_000, 1), 0.4).double(), torch.full((200_000, 1), 0.9).double())
    density = one.log_prob(grid[:, None]).exp()
    torch.testing.assert_close(one.mean[0, 0], (density * grid).mean(), rtol=1e-7, atol=0)
    torch.testing.assert_close(one.entropies[0, 0], -(density * density.log()).mean(), rtol=1e-5, atol=0)


def test_concrete_density() -> None:
    logits = numbers(2, 1, 3).log_softmax(2)
    q = RelaxedCategorical(logits, temperature=0.7)
    x = q.sample(noise())
    tau, p = 0.7, logits[:, 0].exp()
    powers = p * x ** (-tau - 1)
    wanted = math.log(math.factorial(2) * tau**2) + powers.log().sum(1) - 3 * (p * x**-tau).sum(1).log()
    close(q.log_prob(x), wanted)


def test_ladder_merges_by_precision() -> None:
    ladder = materialise(Ladder(5, top=2, hidden=6), 0).double()
    q = ladder(numbers(3, 10))
    z = numbers(3, 5, seed=1)
    lower, top = z[:, :3], z[:, 3:]
    prior = ladder.descend(top)
    a, b = 1 / q.evidence.scale**2, 1 / prior.scale**2
    mean, variance = (q.evidence.location * a + prior.location * b) / (a + b), 1 / (a + b)
    merged = torch.distributions.Normal(mean, variance.sqrt())
    upper = torch.distributions.Normal(q.top.location, q.top.scale)
    close(q.log_prob(z), merged.log_prob(lower).sum(1) + upper.log_prob(top).sum(1))
    p = TwoLevelPrior(5)
    p.bind(lambda x: Normal(x), ladder)
    first = torch.distributions.kl_divergence(merged, torch.distributions.Normal(prior.location, prior.scale))
    second = torch.distributions.kl_divergence(upper, torch.distributions.Normal(0.0, 1.0))
    close(p.divergence(q, z), torch.cat([first, second], dim=1))


def test_finite_scalars() -> None:
    levels = [3, 4, 8]
    h = numbers(50, 3)
    q = FiniteScalar(levels)(h)
    for j, count in enumerate(levels):
        half, offset = (count - 1) * 1.001 / 2, 0.5 * (count % 2 == 0)
        wanted = np.round(np.tanh(h[:, j].numpy() * count / half + math.atanh(offset / half)) * half - offset)
        np.testing.assert_allclose(q.mean[:, j].numpy(), wanted / (count // 2), atol=1e-12)
        assert set(q.indices[:, j].tolist()) <= set(range(count))
    close(FiniteScalar(levels).lookup(q.indices).double(), q.mean)


def test_codebooks_follow_their_cells() -> None:
    quantiser = materialise(VectorQuantised(2, codebook=3, width=2, decay=0.9), 0).double()
    quantiser.ready.fill_(1)
    before, counts, h = quantiser.codebook.clone(), quantiser.counts.clone(), numbers(40, 2)
    q = quantiser(h)
    apart = (h[:, None] - before[0]).square().sum(2)
    assert torch.equal(q.indices[:, 0], apart.argmin(1))
    quantiser.update(q, lambda values: values.mean(0), step=1)
    for k in range(3):
        mine = h[q.indices[:, 0] == k]
        share, total = len(mine) / 40, mine.sum(0) / 40
        wanted = (0.9 * counts[0, k] * before[0, k] + 0.1 * total) / (0.9 * counts[0, k] + 0.1 * share)
        close(quantiser.codebook[0, k], wanted)


# Priors


def test_mixture_and_vamp() -> None:
    prior, z = materialise(Mixture(3, components=4), 0).double(), numbers(6, 3)
    parts = torch.distributions.Independent(torch.distributions.Normal(prior.location, prior.log_scale.exp()), 1)
    wanted = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=prior.logits), parts)
    close(prior.log_prob(z), wanted.log_prob(z))
    net = model(Gaussian(3), Vamp(3, (5,), components=4, unit=True))
    q = net.encode(net.prior.rows)
    each = torch.stack([torch.distributions.Normal(q.location[k], q.scale[k]).log_prob(z).sum(1) for k in range(4)])
    close(net.prior.log_prob(z), (each.logsumexp(0) - math.log(4)))


def test_autoregressive_prior_is_a_chain_of_conditionals() -> None:
    prior = materialise(AutoregressiveCodes(3, (2, 3, 2)), 0).double()
    every = torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(2))
    close(prior.of_indices(every).sum(1).exp().sum(), 1.0)
    first = torch.tensor([[1, 0, 0], [1, 2, 1]])
    shares = prior.of_indices(first).detach()
    assert float(shares[0, 0]) == pytest.approx(float(shares[1, 0]), abs=1e-12), "the first group knows of none after it"


# Bounds


def log_weights(net: Autoencoder, x: Tensor, draws: int, seed: int) -> Tensor:
    q, source = net.encode(x), noise(seed)
    found = []
    for _ in range(draws):
        z = q.location + q.scale * source.normal(q.location)
        logits = net.decoder(z)[:, 0]
        likelihood = (x * torch.nn.functional.logsigmoid(logits) + (1 - x) * torch.nn.functional.logsigmoid(-logits)).sum(1)
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        found.append(likelihood + prior - torch.distributions.Normal(q.location, q.scale).log_prob(z).sum(1))
    return torch.stack(found)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0])
def test_renyi_and_importance_weighted_bounds(alpha: float) -> None:
    net, x = model(Gaussian(2), StandardNormal(2)), binary(6)
    logs = log_weights(net, x, 4, seed=5)
    wanted = logs.mean(0) if alpha == 1 else (((1 - alpha) * logs).exp().mean(0)).log() / (1 - alpha)
    found = Renyi(4, alpha)(net, x, context=Context(noise=noise(5)))
    close(-found["reconstruction"] - found["kl"], wanted)
    if alpha == 0:
        for doubly in (True, False):
            terms = IWAE(4, doubly)(net, x, context=Context(training=True, noise=noise(5)))
            close(-terms["reconstruction"] - terms["kl"], wanted)


@pytest.mark.parametrize("objective", [IWAE(4, one_draw=0.5), Renyi(4, 0.5, one_draw=0.5)])
def test_one_draw_is_the_elbo_until_its_share_is_done(objective: Renyi) -> None:
    net, x = model(Gaussian(2), StandardNormal(2)), binary(6)
    several = IWAE(4) if isinstance(objective, IWAE) else Renyi(4, 0.5)
    cases = [(0.49, True, ELBO()), (0.5, True, several), (0.0, False, several)]  # held-out losses are always those of several draws
    for done, training, wanted in cases:
        found = objective(net, x, context=Context(training=training, done=done, noise=noise(5)))
        expected = wanted(net, x, context=Context(training=training, noise=noise(5)))
        for name in ("reconstruction", "kl"):
            close(found[name], expected[name].detach())
    with pytest.raises(ConfigError, match="one_draw is a share of the training"):
        IWAE(4, one_draw=1.5)


def test_doubly_reparameterised_gradient_is_tucker_s() -> None:
    net, x = model(Gaussian(2), StandardNormal(2)), binary(6)
    loss = sum(IWAE(4)(net, x, context=Context(training=True, noise=noise(5))).values())
    loss.sum().backward()
    q, source = net.encode(x), noise(5)
    location, scale = q.location.detach(), q.scale.detach()
    eps = [source.normal(location) for _ in range(4)]
    zs = [(location + scale * e).requires_grad_() for e in eps]
    logs = torch.stack(
        [
            -net.decode(z).nats(x)
            + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
            - torch.distributions.Normal(location, scale).log_prob(z).sum(1)
            for z in zs
        ]
    )
    shares = logs.softmax(0).detach()
    slopes = torch.autograd.grad(logs.sum(), zs)
    # d z / d mu = 1, d z / d log sigma = sigma eps; equation 8 weighs them by the squares of the normalised weights.
    of_mean = sum(-(shares[i] ** 2)[:, None] * slopes[i] for i in range(4))
    of_log_scale = sum(-(shares[i] ** 2)[:, None] * slopes[i] * scale * eps[i] for i in range(4))
    h = net.encoder(x)
    wanted = torch.autograd.grad(h, net.encoder.linears[0].weight, torch.cat([of_mean, of_log_scale], dim=1))[0]
    close(net.encoder.linears[0].weight.grad, wanted)
    # The decoder's gradient is the plain one of the bound.
    again = torch.stack([-net.decode(z.detach()).nats(x) for z in zs])
    wanted = torch.autograd.grad(-(shares * again).sum(), net.decoder.linears[0].weight)[0]
    close(net.decoder.linears[0].weight.grad, wanted)


@pytest.mark.parametrize("rows", [None, 50])
def test_total_correlation_decomposes_the_divergence(rows: int | None) -> None:
    q, z = Normal(numbers(8, 3), 0.3 * numbers(8, 3, seed=1)), numbers(8, 3, seed=2)
    information, correlation, units = decompose(q, z, rows)
    log_q = torch.distributions.Normal(q.location, q.scale)
    pairs = torch.stack([log_q.log_prob(z[i]) for i in range(8)])
    weights = torch.full((8, 8), (49 / 7) / 50 if rows else 1 / 8, dtype=torch.float64)
    if rows:
        weights.fill_diagonal_(1 / 50)
    each = (weights[..., None] * pairs.exp()).sum(1).log()
    whole = (weights * pairs.sum(2).exp()).sum(1).log()
    close(units, each)
    close(correlation, whole - each.sum(1))
    close(information + correlation + units.sum(1), log_q.log_prob(z).sum(1))
    net, x = model(Gaussian(2), StandardNormal(2)), binary(6)
    terms = (ELBO() + TotalCorrelation(3.0))(net, x, context=Context(training=True, noise=noise()))
    assert set(terms) == {"reconstruction", "kl", "total_correlation"}


def test_maximum_mean_discrepancy() -> None:
    a, b = numbers(5, 2), numbers(5, 2, seed=1) + 1

    def kernel(x: Tensor, y: Tensor) -> float:
        square = float((x - y).square().sum())
        return sum(4 * s / (4 * s + square) for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0))

    within = sum(kernel(p[i], p[j]) for p in (a, b) for i in range(5) for j in range(5) if i != j) / 20
    across = sum(kernel(a[i], b[j]) for i in range(5) for j in range(5)) / 25
    close(squared_mmd(a, b), within - 2 * across)


def test_capacity_and_cycles() -> None:
    net, x = model(Gaussian(2), StandardNormal(2)), binary(6)
    context = Context(step=30, training=True, noise=noise())
    objective = Capacity(4.0, weight=7.0, rise=60)
    terms = objective(net, x, context=context)
    close(terms["capacity"], abs(float(terms["kl"].detach().mean()) - 2.0))
    assert objective.weights(context) == {"kl": 0.0, "capacity": 7.0}
    weight = [ELBO(warmup=10, cycles=2).weights(Context(step=step, training=True))["kl"] for step in range(0, 70, 5)]
    assert weight == [0, 0.5, 1, 1, 0, 0.5, 1, 1, 0, 0.5, 1, 1, 1, 1]


# Likelihoods


def test_discretised_logistics() -> None:
    # Wide enough that the difference of two sigmoids, as it stands in the formula, loses no digits.
    logits, location, log_scale = numbers(1, 2, 3), 0.5 + 0.2 * numbers(1, 2, 3, seed=1), 0.3 * numbers(1, 2, 3, seed=2) - 1
    x = torch.tensor([[0.0, 100 / 255, 1.0]], dtype=torch.float64)
    total = 0.0
    for i, value in enumerate(x[0].tolist()):
        chance = 0.0
        for k, share in enumerate(logits[0, :, i].softmax(0).tolist()):
            mu, s = float(location[0, k, i]), math.exp(float(log_scale[0, k, i]))
            up = 1.0 if value == 1 else 1 / (1 + math.exp(-(value + 0.5 / 255 - mu) / s))
            low = 0.0 if value == 0 else 1 / (1 + math.exp(-(value - 0.5 / 255 - mu) / s))
            chance += share * (up - low)
        total += math.log(chance)
    assert float(LogisticMixture(logits, location, log_scale).log_prob(x)) == pytest.approx(total, abs=1e-10)


def test_multinomial_keeps_its_coefficient() -> None:
    logits, x = numbers(2, 4), torch.tensor([[1.0, 0, 2, 3], [0, 0, 0, 5]], dtype=torch.float64)
    for i in range(2):
        wanted = torch.distributions.Multinomial(int(x[i].sum()), logits=logits[i]).log_prob(x[i])
        close(Multinomial(logits).log_prob(x)[i], wanted)


def test_optimal_scale_is_the_best_one() -> None:
    likelihood, h, x = GaussianLikelihood((3,), "optimal").double(), numbers(9, 1, 3), numbers(9, 3, seed=1)
    found = likelihood.train()(h).nats(x).mean()
    others = torch.stack([Normal(h[:, 0], s).nats(x).mean() for s in torch.linspace(-1, 1, 2001).double()])
    assert float(found) <= float(others.min()) + 1e-12
    assert float(others.min() - found) < 1e-5
    for _ in range(600):
        likelihood(h).nats(x)
    assert float(likelihood.eval()(h).nats(x).mean()) == pytest.approx(float(found), abs=1e-4)


def test_a_learned_scale_begins_at_the_spread_of_rows_that_are_not_standardised() -> None:
    rows = numbers(500, 3) * torch.tensor([0.1, 1.0, 0.0])
    each = materialise(GaussianLikelihood((3,), "per_value"), 0).double()
    each.begin(rows)
    close(each.log_scale[:1], rows[:, 0].std(correction=0).log())
    assert each.log_scale[1:].tolist() == [0.0, 0.0], "standardised values and constant ones keep 1"
    one = materialise(GaussianLikelihood((3,), "one"), 0).double()
    one.begin(0.2 * rows)
    close(one.log_scale, 0.5 * (0.2 * rows).var(0, correction=0).mean().log())
