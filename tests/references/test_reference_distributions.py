"""Densities, means, divergences and draws against torch.distributions and against formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

from isthmus.distributions import Bernoulli, ContinuousBernoulli, Delta, Distribution, GeneratorNoise, Laplace, Noise, Normal
from isthmus.priors import StandardNormal

EXACT = {"rtol": 1e-10, "atol": 1e-10}


class Fixed(Noise):
    """Hands out numbers chosen beforehand."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers

    def normal(self, like: Tensor) -> Tensor:
        return self.numbers.to(like.dtype)

    def uniform(self, like: Tensor) -> Tensor:
        return self.numbers.to(like.dtype)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LOCATION, X = random(7, 3, 2, seed=1), random(7, 3, 2, seed=2)
LOG_SCALES = {
    "unit": 0.0,
    "number": 0.7,
    "one": torch.tensor([-0.4], dtype=torch.float64),
    "per value": random(3, 2, seed=3),
    "per row and value": random(7, 3, 2, seed=4),
}


def rows(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)


@pytest.mark.parametrize("log_scale", LOG_SCALES.values(), ids=LOG_SCALES.keys())
@pytest.mark.parametrize(("ours", "theirs"), [(Normal, td.Normal), (Laplace, td.Laplace)])
def test_location_scale_densities(ours: type[Normal], theirs: type[td.Normal], log_scale: Tensor | float) -> None:
    found = ours(LOCATION, log_scale)
    scale = torch.as_tensor(log_scale, dtype=torch.float64).exp().expand_as(LOCATION)
    reference = theirs(LOCATION, scale)
    torch.testing.assert_close(found.log_prob(X), rows(reference.log_prob(X)), **EXACT)
    torch.testing.assert_close(found.mean, reference.mean, **EXACT)
    torch.testing.assert_close(found.scale, scale, **EXACT)


@pytest.mark.parametrize("kind", [Normal, Laplace])
def test_one_row_of_one_value_keeps_its_shape(kind: type[Normal]) -> None:
    location, log_scale = torch.tensor([[0.5]]), torch.tensor([[0.2]])
    assert kind(location, log_scale).log_prob(location).shape == (1,)
    assert kind(location, log_scale[0]).log_prob(location).shape == (1,)
    assert kind(location, log_scale[0, 0]).log_prob(location).shape == (1,)


def test_normal_is_the_squared_error_up_to_a_constant() -> None:
    constant = 0.5 * 6 * math.log(2 * math.pi)
    squared = 0.5 * ((X - LOCATION) ** 2).flatten(1).sum(1)
    torch.testing.assert_close(-Normal(LOCATION).log_prob(X), squared + constant, **EXACT)


def test_bernoulli() -> None:
    logits, x = 3 * random(7, 5, seed=5), (random(7, 5, seed=6) > 0).double()
    reference = td.Bernoulli(logits=logits)
    torch.testing.assert_close(Bernoulli(logits).log_prob(x), rows(reference.log_prob(x)), **EXACT)
    torch.testing.assert_close(Bernoulli(logits).mean, reference.mean, **EXACT)


def test_continuous_bernoulli_against_torch() -> None:
    logits = torch.linspace(-12, 12, 401, dtype=torch.float64)[:, None]
    x = torch.rand(401, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reference = td.ContinuousBernoulli(logits=logits, lims=(0.4999, 0.5001))
    torch.testing.assert_close(ContinuousBernoulli(logits).log_prob(x), rows(reference.log_prob(x)), **EXACT)


def quadrature(function: np.ufunc, logit: float) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(200)
    return float((weights / 2 * function((nodes + 1) / 2, logit)).sum())


@pytest.mark.parametrize("logit", [0.0, 1e-9, -1e-6, 1e-3, 0.0499, -0.0499, 0.0501, 0.3, -4.0, 20.0, -20.0])
def test_continuous_bernoulli_near_and_far_from_zero(logit: float) -> None:
    """The density is exp(l x) over its integral; near 0 a series takes over, which must not show."""
    total = quadrature(lambda x, s: np.exp(s * x), logit)
    mean = quadrature(lambda x, s: x * np.exp(s * x), logit) / total
    found = ContinuousBernoulli(torch.tensor([[logit]], dtype=torch.float64))
    x = torch.tensor([[0.3]], dtype=torch.float64)
    assert float(found.log_prob(x)) == pytest.approx(0.3 * logit - math.log(total), abs=1e-10)
    assert float(found.mean) == pytest.approx(mean, abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logit", [80.0, -80.0, 300.0, -300.0])
def test_continuous_bernoulli_stays_finite_at_large_logits(logit: float, dtype: torch.dtype) -> None:
    logits = torch.full((1, 1), logit, dtype=dtype, requires_grad=True)
    found = ContinuousBernoulli(logits)
    for x in (0.0, 0.5, 1.0):
        expected = x * logit - max(logit, 0.0) + math.log(abs(logit))
        assert float(found.log_prob(torch.full((1, 1), x, dtype=dtype)).detach()) == pytest.approx(expected, rel=1e-5)
    assert float(found.mean.detach()) == pytest.approx((logit > 0) - 1 / logit, abs=1e-6)
    drawn = found.sample(Fixed(torch.tensor([[0.5]])))
    assert 0 <= float(drawn.detach()) <= 1
    gradient = torch.autograd.grad(found.log_prob(torch.full((1, 1), 0.5, dtype=dtype)).sum() + found.mean.sum() + drawn.sum(), logits)[0]
    assert bool(gradient.isfinite().all())


def test_delta() -> None:
    point = Delta(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert point.log_prob(torch.tensor([[1.0, 2.0], [3.0, 5.0]])).tolist() == [0.0, -math.inf]
    assert point.mean is point.value


@pytest.mark.parametrize("log_scale", [0.0, 0.3, "tensor"])
def test_divergence_from_the_standard_normal(log_scale: float | str) -> None:
    location = random(6, 4, seed=7)
    chosen = random(6, 4, seed=8) if log_scale == "tensor" else log_scale
    scale = torch.as_tensor(chosen, dtype=torch.float64).exp().expand_as(location)
    expected = td.kl_divergence(td.Normal(location, scale), td.Normal(0.0, 1.0))
    torch.testing.assert_close(StandardNormal(4).divergence(Normal(location, chosen), location), expected, **EXACT)


DRAWN: dict[str, tuple[Distribution, td.Distribution]] = {
    "normal": (Normal(torch.tensor(1.5).double(), torch.tensor(-0.5).double()), td.Normal(1.5, math.exp(-0.5))),
    "laplace": (Laplace(torch.tensor(-1.0).double(), torch.tensor(0.4).double()), td.Laplace(-1.0, math.exp(0.4))),
    "bernoulli": (Bernoulli(torch.tensor(0.8).double()), td.Bernoulli(logits=torch.tensor(0.8))),
    "continuous bernoulli, high": (ContinuousBernoulli(torch.tensor(3.0).double()), td.ContinuousBernoulli(logits=torch.tensor(3.0))),
    "continuous bernoulli, low": (ContinuousBernoulli(torch.tensor(-1.0).double()), td.ContinuousBernoulli(logits=torch.tensor(-1.0))),
    "continuous bernoulli, flat": (ContinuousBernoulli(torch.tensor(0.0).double()), td.ContinuousBernoulli(logits=torch.tensor(0.0))),
}


def widened(distribution: Distribution, count: int) -> Distribution:
    arguments = {name: value.expand(count, 1) for name, value in vars(distribution).items()}
    return type(distribution)(*arguments.values())


@pytest.mark.parametrize("name", DRAWN)
def test_draws_have_the_moments_of_the_distribution(name: str) -> None:
    """Five standard errors of mean and variance; the fourth moment is estimated from the draws."""
    ours, theirs = DRAWN[name]
    count = 200_000
    draws = widened(ours, count).sample(GeneratorNoise(torch.Generator().manual_seed(11))).flatten()
    centred = draws - float(theirs.mean)
    assert abs(float(centred.mean())) < 5 * math.sqrt(float(theirs.variance) / count)
    spread = math.sqrt(float((centred**4).mean() - centred.square().mean() ** 2) / count)
    assert abs(float(centred.square().mean()) - float(theirs.variance)) < 5 * spread


@pytest.mark.parametrize("logit", [-5.0, -1e-3, -9e-4, -1e-5, 0.0, 1e-5, 9e-4, 1.1e-3, 7.0])
def test_continuous_bernoulli_draws_invert_the_distribution_function(logit: float) -> None:
    u = torch.linspace(0.001, 0.999, 99, dtype=torch.float64)[:, None]
    drawn = ContinuousBernoulli(torch.full_like(u, logit)).sample(Fixed(u))
    found = torch.expm1(logit * drawn) / math.expm1(logit) if logit else drawn
    torch.testing.assert_close(found, 1 - u if logit > 0 else u, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", [Normal, Laplace])
def test_gradients_of_location_and_scale(kind: type[Normal]) -> None:
    location = random(3, 2, seed=9).requires_grad_()
    log_scale = random(3, 2, seed=10).requires_grad_()
    x, noise = random(3, 2, seed=11), Fixed(torch.rand(3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda m, s: kind(m, s).sample(noise), (location, log_scale))
    assert torch.autograd.gradcheck(lambda m, s: kind(m, s).log_prob(x), (location, log_scale))


def test_gradients_of_logits() -> None:
    logits = torch.tensor([[-6.0, -0.5, -0.01, 3e-4, -3e-4, 6.0]], dtype=torch.float64, requires_grad=True)
    u = torch.rand(1, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda raw: ContinuousBernoulli(raw).sample(Fixed(u)), (logits,))
    assert torch.autograd.gradcheck(lambda raw: ContinuousBernoulli(raw).log_prob(u), (logits,))
    assert torch.autograd.gradcheck(lambda raw: ContinuousBernoulli(raw).mean, (logits,))
    assert torch.autograd.gradcheck(lambda raw: Bernoulli(raw).log_prob(u.round()), (logits,))
