"""Rational-quadratic splines and their coupling layers: exact inverses, and log slopes and determinants that are those of autograd."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from isthmus.bottlenecks import SplineFlow
from isthmus.distributions import GeneratorNoise
from isthmus.distributions.splines import MOST, SLOPE_ONE, SplineCoupling, bounded, rational_quadratic
from isthmus.errors import ConfigError
from isthmus.nn import materialise
from isthmus.priors import Spline

BOUND = 3.0


def numbers(*shape: int, seed: int = 0, size: float = 1.0) -> Tensor:
    return size * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 10_000), st.integers(2, 12), st.floats(0.1, 4.0))
def test_a_spline_is_inverted_and_its_slope_is_its_derivative(seed: int, bins: int, size: float) -> None:
    x = numbers(40, seed=seed, size=2.0).requires_grad_()
    free = numbers(40, 3 * bins - 1, seed=seed + 1, size=size)
    y, log_slope = rational_quadratic(x, free, BOUND)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_slope.exp(), slope, rtol=1e-6, atol=1e-9)
    back, again = rational_quadratic(y.detach(), free, BOUND, inverse=True)
    torch.testing.assert_close(back, x.detach(), rtol=0, atol=1e-6)
    torch.testing.assert_close(again, log_slope.detach(), rtol=0, atol=1e-4)
    assert bool((slope > 0).all())
    outside = x.detach().abs() >= BOUND
    assert torch.equal(y.detach()[outside], x.detach()[outside])


def test_a_spline_is_the_one_of_the_formula() -> None:
    """Two bins with a knot at (0, 1), slope 1/2 there: by hand."""
    wanted_free = torch.tensor([0.0, 0.0, math.log(2), 0.0, math.log(math.expm1(0.5)) - SLOPE_ONE], dtype=torch.float64)
    x, free = torch.tensor([1.5], dtype=torch.float64), (wanted_free / (1 - wanted_free.abs() / MOST))[None]
    torch.testing.assert_close(bounded(free)[0], wanted_free)
    y, _ = rational_quadratic(x, free, BOUND)
    xi, s, first, second = 0.5, 2 / 3, 0.5, 1.0
    wanted = 1 + 2 * (s * xi**2 + first * xi * (1 - xi)) / (s + (first + second - 2 * s) * xi * (1 - xi))
    assert float(y) == pytest.approx(wanted, abs=1e-9)


def test_it_is_smooth_at_its_knots_and_at_its_ends() -> None:
    free = numbers(1, 23, seed=3).expand(20_001, -1)
    x = torch.linspace(-1.2 * BOUND, 1.2 * BOUND, 20_001, dtype=torch.float64)
    y, log_slope = rational_quadratic(x, free, BOUND)
    rises = y.diff() / x.diff()
    assert float((rises - 0.5 * (log_slope.exp()[1:] + log_slope.exp()[:-1])).abs().max()) < 5e-3
    assert bool((rises > 0).all())


@pytest.mark.parametrize("context", [0, 2])
def test_coupling_layers_are_inverted_and_their_determinant_is_that_of_autograd(context: int) -> None:
    layer = materialise(SplineCoupling(3, 1, hidden=6, bins=5, bound=BOUND, context=context), 0).double()
    with torch.no_grad():
        layer.second.weight.mul_(20)
    z, told = numbers(5, 3, seed=1), numbers(5, context, seed=2) if context else None
    with torch.no_grad():
        image, log_det = layer(z, told)
    back, again = (part.detach() for part in layer.inverse(image, told))
    torch.testing.assert_close(back, z, rtol=0, atol=1e-8)
    torch.testing.assert_close(again, log_det, rtol=0, atol=1e-7)
    assert not torch.allclose(image, z)
    for row in range(len(z)):
        own = None if told is None else told[row : row + 1]
        jacobian = torch.autograd.functional.jacobian(lambda v, own=own: layer(v[None], own)[0][0], z[row])
        assert float(log_det[row]) == pytest.approx(float(torch.linalg.slogdet(jacobian).logabsdet), abs=1e-8)


def test_the_posterior_has_the_density_of_its_draws() -> None:
    bottleneck = materialise(SplineFlow(2, maps=3, hidden=8, bins=5), 0).double()
    h = numbers(1, bottleneck.inputs, seed=4)
    with torch.no_grad():
        for layer in bottleneck.layers:
            layer.second.weight.mul_(10)
        eps = numbers(1, 2, seed=5)
        q = bottleneck(h)
    jacobian = torch.autograd.functional.jacobian(lambda v: q.push(v[None])[0][0], eps[0])
    wanted = q.base.log_prob(eps) - torch.linalg.slogdet(jacobian).logabsdet
    with torch.no_grad():
        torch.testing.assert_close(bottleneck(h).log_prob(q.push(eps)[0]), wanted, rtol=0, atol=1e-8)


def test_the_prior_integrates_to_one_and_draws_as_it_says() -> None:
    prior = materialise(Spline(2, layers=3, hidden=8), 0).double()
    with torch.no_grad():
        for layer in prior.layers:
            layer.second.weight.mul_(2)
        line = torch.linspace(-6, 6, 400, dtype=torch.float64)
        density = prior.log_prob(torch.cartesian_prod(line, line)).exp()
        assert float(density.sum()) * (12 / 399) ** 2 == pytest.approx(1, abs=5e-3)
        drawn = prior.sample(40_000, GeneratorNoise(torch.Generator().manual_seed(0)))
        for power in (1, 2):
            grid = torch.cartesian_prod(line, line) ** power
            wanted = (density[:, None] * grid).sum(0) / density.sum()
            found, error = (drawn**power).mean(0), (drawn**power).std(0) / 200
            assert bool(((found - wanted).abs() < 4 * error).all())


def test_float32_is_inverted_far_out_too() -> None:
    layer = materialise(SplineCoupling(4, 0), 0)
    with torch.no_grad():
        layer.second.weight.mul_(2)
        z = 4 * torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
        back = layer.inverse(layer(z)[0])[0]
    assert float((back - z).abs().max()) < 2e-3


@pytest.mark.parametrize("wrong", [{"latent": 1}, {"latent": 2, "bins": 1}, {"latent": 2, "maps": 0}])
def test_senseless_splines_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        SplineFlow(**wrong)
    with pytest.raises(ConfigError):
        Spline(1)
