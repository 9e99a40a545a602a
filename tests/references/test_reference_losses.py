"""Whole losses and their gradients, against models written by hand on the same weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.distributions import GeneratorNoise
from isthmus.families import Architecture, get
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.nn import initialise
from isthmus.objectives import Context, Objective
from isthmus.training.step import weighted

EXACT = {"rtol": 1e-10, "atol": 1e-10}
SEED = 4


def built(family: str, support: str = "real", **options: object) -> tuple[Autoencoder, Objective]:
    field = Field("x", "numbers", (6,), support)  # pyright: ignore[reportArgumentType]
    model, objective = get(family)([field], architecture=Architecture(hidden=(8,), activation="tanh", network="mlp"), **options)
    initialise(model.double(), torch.Generator().manual_seed(3))
    return model, objective.double()


def batch(support: str = "real") -> Tensor:
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randn(10, 6, generator=generator, dtype=torch.float64)
    return {"real": numbers, "unit": numbers.sigmoid(), "binary": (numbers > 0).double()}[support]


def same_loss_and_gradients(model: Autoencoder, objective: Objective, x: Tensor, expected: Tensor) -> None:
    parameters = list(model.parameters())
    wanted = torch.autograd.grad(expected, parameters)
    context = Context(step=7, training=True, noise=GeneratorNoise(torch.Generator().manual_seed(SEED)), corrupt=True)
    means = {name: values.mean() for name, values in objective(model, x, context=context).items()}
    loss = weighted(means, objective.weights(context))
    torch.testing.assert_close(loss, expected, **EXACT)
    for found, gradient in zip(torch.autograd.grad(loss, parameters), wanted):
        torch.testing.assert_close(found, gradient, **EXACT)


def dense(x: Tensor, layers: nn.ModuleList) -> Tensor:
    first, second = layers
    return functional.linear(torch.tanh(functional.linear(x, first.weight, first.bias)), second.weight, second.bias)


@pytest.mark.parametrize(
    ("support", "likelihood"), [("real", "gaussian"), ("binary", "bernoulli"), ("unit", "continuous_bernoulli"), ("real", "laplace")]
)
def test_variational(support: str, likelihood: str) -> None:
    scale = {"likelihood_scale": "one"} if likelihood in ("gaussian", "laplace") else {}
    model, objective = built("variational", support, latent=3, likelihood=likelihood, beta=0.5, kl_warmup=14, **scale)
    x = batch(support)
    mean, log_scale = dense(x, model.encoder.layers).chunk(2, dim=1)
    eps = torch.randn(10, 3, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    out = dense(mean + log_scale.exp() * eps, model.decoder.layers)
    if likelihood == "gaussian":
        log_sigma = model.likelihood.log_scale
        lost = 0.5 * ((x - out) / log_sigma.exp()) ** 2 + log_sigma + 0.5 * math.log(2 * math.pi)
    elif likelihood == "laplace":
        log_b = model.likelihood.log_scale
        lost = (x - out).abs() / log_b.exp() + log_b + math.log(2)
    else:
        p = torch.sigmoid(out)
        lost = -(x * torch.log(p) + (1 - x) * torch.log(1 - p))
        if likelihood == "continuous_bernoulli":
            lost = lost - torch.log(2 * torch.atanh(1 - 2 * p) / (1 - 2 * p))
    kl = -0.5 * (1 + 2 * log_scale - mean**2 - (2 * log_scale).exp())
    expected = lost.sum(1).mean() + 0.5 * (7 / 14) * kl.sum(1).mean()
    same_loss_and_gradients(model, objective, x, expected)


def test_predicted_scale() -> None:
    model, objective = built("undercomplete", latent=3, likelihood="gaussian", likelihood_scale="predicted")
    x = batch()
    mean, log_sigma = dense(dense(x, model.encoder.layers), model.decoder.layers).chunk(2, dim=1)
    lost = 0.5 * ((x - mean) / log_sigma.exp()) ** 2 + log_sigma + 0.5 * math.log(2 * math.pi)
    same_loss_and_gradients(model, objective, x, lost.sum(1).mean())


@pytest.mark.parametrize("corruption", ["gaussian", "masking", "salt_and_pepper"])
def test_denoising(corruption: str) -> None:
    model, objective = built("denoising", latent=3, corruption=corruption, level=0.4)
    x, generator = batch(), torch.Generator().manual_seed(SEED)
    if corruption == "gaussian":
        damaged = x + 0.4 * torch.randn(10, 6, generator=generator, dtype=torch.float64)
    else:
        u = torch.rand(10, 6, generator=generator, dtype=torch.float64)
        damaged = torch.where(u < 0.4, 0.0, x) if corruption == "masking" else torch.where(u < 0.2, -2.0, torch.where(u < 0.4, 2.0, x))
    out = dense(dense(damaged, model.encoder.layers), model.decoder.layers)
    expected = (0.5 * (x - out) ** 2).sum(1).mean() + 3 * math.log(2 * math.pi)
    same_loss_and_gradients(model, objective, x, expected)


@pytest.mark.parametrize("sparsity", ["l1", "kl", "topk"])
def test_sparse(sparsity: str) -> None:
    options = {} if sparsity == "topk" else {"weight": 0.3}
    model, objective = built("sparse", latent=12, sparsity=sparsity, activity=0.2, **options)
    x = batch()
    h = dense(x, model.encoder.layers)
    if sparsity == "kl":
        code = torch.sigmoid(h)
        mean = code.mean(0)
        charge = (0.2 * torch.log(0.2 / mean) + 0.8 * torch.log(0.8 / (1 - mean))).sum()
    elif sparsity == "l1":
        code = torch.relu(h)
        charge = (code * model.decoder.layers[0].weight.square().sum(0).sqrt()).sum(1).mean()
    else:
        threshold = h.sort(dim=1).values[:, [-2]]
        code, charge = torch.relu(h) * (h >= threshold), torch.zeros(())
    out = dense(code, model.decoder.layers)
    expected = (0.5 * (x - out) ** 2).sum(1).mean() + 3 * math.log(2 * math.pi) + 0.3 * charge
    same_loss_and_gradients(model, objective, x, expected)


def test_mean_squared_error_and_unit_gaussian_have_the_same_gradient() -> None:
    model, objective = built("undercomplete", latent=3)
    x, parameters = batch(), list(model.parameters())
    squared = functional.mse_loss(dense(dense(x, model.encoder.layers), model.decoder.layers), x, reduction="sum") / (2 * len(x))
    wanted = torch.autograd.grad(squared, parameters)
    loss = objective(model, x)["reconstruction"].mean()
    assert float((loss - squared).detach()) == pytest.approx(3 * math.log(2 * math.pi), abs=1e-10)
    for found, gradient in zip(torch.autograd.grad(loss, parameters), wanted):
        torch.testing.assert_close(found, gradient, **EXACT)
