"""Bottlenecks and terms of objectives, written once more straight from their formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from isthmus.bottlenecks import L1, Bottleneck, Deterministic, Gaussian, KLActivity, TopK
from isthmus.corruptions import AdditiveGaussian, Masking, SaltAndPepper
from isthmus.distributions import GeneratorNoise, Normal
from isthmus.likelihoods import Gaussian as GaussianLikelihood
from isthmus.models import Autoencoder
from isthmus.nn import MLP, initialise
from isthmus.objectives import ELBO, AuxK, Context, Reconstruction
from isthmus.priors import StandardNormal

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def autoencoder(bottleneck: Bottleneck, features: int = 6, prior: bool = False) -> Autoencoder:
    latent = bottleneck.latent
    encoder, decoder = MLP((features,), (bottleneck.multiplier * latent,)), MLP((latent,), (1, features))
    model = Autoencoder(encoder, bottleneck, decoder, GaussianLikelihood((features,)), StandardNormal(latent) if prior else None).double()
    initialise(model, torch.Generator().manual_seed(3))
    return model


def weights(model: Autoencoder) -> tuple[np.ndarray, ...]:
    first, second = model.encoder.layers[0], model.decoder.layers[0]
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    return tuple(t.detach().numpy() for t in (first.weight, first.bias, second.weight, second.bias))


def test_l1_weighs_each_unit_by_its_decoder() -> None:
    model, x = autoencoder(L1(9)), random(5, 6)
    w1, b1, w2, _ = weights(model)
    code = np.maximum(x.numpy() @ w1.T + b1, 0)
    expected = sum(np.abs(code[:, j]) * np.sqrt((w2[:, j] ** 2).sum()) for j in range(9))
    torch.testing.assert_close(Reconstruction()(model, x)["l1"], torch.from_numpy(expected), **EXACT)


def test_l1_cannot_be_cheated_by_shrinking_the_code() -> None:
    """Half the code and twice the decoder's weights: the same reconstruction, the same charge."""
    model, x = autoencoder(L1(9)), random(5, 6)
    before = Reconstruction()(model, x)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.mul_(0.5)
        model.decoder.layers[0].weight.mul_(2)
    after = Reconstruction()(model, x)
    for name in before:
        torch.testing.assert_close(after[name], before[name], **EXACT)


def test_activity_is_the_divergence_from_the_target() -> None:
    model, x = autoencoder(KLActivity(9, activity=0.1)), random(5, 6)
    w1, b1, _, _ = weights(model)
    found = (1 / (1 + np.exp(-(x.numpy() @ w1.T + b1)))).mean(0)
    expected = (0.1 * np.log(0.1 / found) + 0.9 * np.log(0.9 / (1 - found))).sum()
    torch.testing.assert_close(Reconstruction()(model, x)["activity"], torch.full((5,), expected, dtype=torch.float64), **EXACT)


def test_activity_is_zero_at_the_target() -> None:
    code = torch.full((4, 3), 0.2, dtype=torch.float64)
    found = KLActivity(3, activity=0.2).terms(code, lambda: torch.ones(3), lambda values: values.mean(0))
    assert found["activity"].abs().max() < 1e-12


def test_topk_keeps_the_largest() -> None:
    h = random(20, 8)
    code = TopK(8, k=3)(h).mean.numpy()
    for row, kept in zip(h.numpy(), code):
        largest = np.argsort(row)[-3:]
        expected = np.zeros(8)
        expected[largest] = np.maximum(row[largest], 0)
        np.testing.assert_array_equal(kept, expected)


def test_topk_gradient_reaches_only_the_kept_units() -> None:
    h = random(1, 6).requires_grad_()
    TopK(6, k=2)(h).mean.sum().backward()
    assert h.grad is not None
    assert int((h.grad != 0).sum()) == int((h.detach().topk(2).values > 0).sum())


def test_gaussian_bottleneck_splits_location_and_log_scale() -> None:
    h = 30 * random(4, 6)
    q = Gaussian(3)(h)
    assert isinstance(q, Normal)
    torch.testing.assert_close(q.mean, h[:, :3], **EXACT)
    torch.testing.assert_close(q.scale, h[:, 3:].clamp(-10, 10).exp(), **EXACT)


def test_aux_k() -> None:
    """Dead units rebuild the residual; the decoder's bias is not counted twice."""
    model, x, objective = autoencoder(TopK(8, k=2)), random(5, 6), AuxK(8, k=3, patience=10)
    objective.idle[[1, 2, 4, 6]] = 10
    w1, b1, w2, b2 = weights(model)
    h = x.numpy() @ w1.T + b1
    code = TopK(8, k=2)(torch.from_numpy(h)).mean.numpy()
    residual = x.numpy() - (code @ w2.T + b2)
    revived = np.zeros_like(h)
    for row in range(5):
        dead = sorted([1, 2, 4, 6], key=lambda j, row=row: h[row, j])[-3:]
        revived[row, dead] = h[row, dead]
    expected = 0.5 * ((residual - revived @ w2.T) ** 2).sum(1)
    found = objective(model, x, context=Context(training=True))["aux_k"]
    torch.testing.assert_close(found, torch.from_numpy(expected), **EXACT)


def test_aux_k_counts_idle_steps() -> None:
    model, x, objective = autoencoder(TopK(8, k=2)), random(5, 6), AuxK(8, k=3)
    objective(model, x, context=Context(training=True))
    fired = (model.encode(x).mean != 0).any(0)
    assert torch.equal(objective.idle, (~fired).long())
    objective(model, x, context=Context(training=False))
    assert torch.equal(objective.idle, (~fired).long()), "only training counts"
    objective(model, x, context=Context(training=True))
    assert torch.equal(objective.idle, 2 * (~fired).long())


def test_aux_k_trains_dead_units_only() -> None:
    model, x, objective = autoencoder(TopK(8, k=2)), random(5, 6), AuxK(8, k=3, patience=10)
    objective.idle[[1, 2]] = 10
    objective(model, x, context=Context(training=True))["aux_k"].sum().backward()
    gradient = model.encoder.layers[0].weight.grad
    assert gradient is not None
    assert set(gradient.abs().sum(1).nonzero().flatten().tolist()) <= {1, 2}
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("free_bits", [0.0, 0.05])
def test_elbo(free_bits: float) -> None:
    model, x = autoencoder(Gaussian(4), prior=True), random(5, 6)
    noise = GeneratorNoise(torch.Generator().manual_seed(5))
    found = ELBO(free_bits=free_bits)(model, x, context=Context(training=True, noise=noise))
    eps = torch.randn(5, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64).numpy()
    w1, b1, w2, b2 = weights(model)
    mean, log_scale = np.split(x.numpy() @ w1.T + b1, 2, axis=1)
    rebuilt = (mean + np.exp(log_scale) * eps) @ w2.T + b2
    kl = 0.5 * (mean**2 + np.exp(2 * log_scale) - 1 - 2 * log_scale)
    charged = np.where(kl.mean(0) < free_bits, free_bits, kl)
    torch.testing.assert_close(found["kl"], torch.from_numpy(charged.sum(1)), **EXACT)
    expected = 0.5 * ((x.numpy() - rebuilt) ** 2).sum(1) + 3 * np.log(2 * np.pi)
    torch.testing.assert_close(found["reconstruction"], torch.from_numpy(expected), **EXACT)


def test_free_bits_leave_units_below_them_alone() -> None:
    model, x = autoencoder(Gaussian(4), prior=True), random(50, 6)
    per_unit = StandardNormal(4).divergence(model.encode(x), x).mean(0).detach()
    threshold = float(per_unit.sort().values[1:3].mean())
    ELBO(free_bits=threshold)(model, x, context=Context(training=True))["kl"].sum().backward()
    gradient = model.encoder.layers[0].weight.grad
    assert gradient is not None
    charged = (gradient[:4].abs().sum(1) > 0) | (gradient[4:].abs().sum(1) > 0)
    assert torch.equal(charged, per_unit >= threshold)


def test_held_out_losses_know_no_free_bits_and_no_warmup() -> None:
    model, x = autoencoder(Gaussian(4), prior=True), random(5, 6)
    plain, eased = ELBO(beta=3.0), ELBO(beta=3.0, warmup=100, free_bits=5.0)
    assert torch.equal(eased(model, x)["kl"], plain(model, x)["kl"])
    assert eased.weights(Context(step=10)) == plain.weights(Context(step=10)) == {"kl": 3.0}


@pytest.mark.parametrize(("step", "weight"), [(0, 0.0), (5, 1.25), (10, 2.5), (1000, 2.5)])
def test_warmup_rises_linearly(step: int, weight: float) -> None:
    assert ELBO(beta=2.5, warmup=10).weights(Context(step=step, training=True)) == {"kl": weight}


def test_terms_are_taken_at_the_deterministic_code_without_noise() -> None:
    model, x = autoencoder(Deterministic(4)), random(5, 6)
    w1, b1, w2, b2 = weights(model)
    rebuilt = (x.numpy() @ w1.T + b1) @ w2.T + b2
    expected = 0.5 * ((x.numpy() - rebuilt) ** 2).sum(1) + 3 * np.log(2 * np.pi)
    torch.testing.assert_close(Reconstruction()(model, x)["reconstruction"], torch.from_numpy(expected), **EXACT)


def test_corruptions() -> None:
    x = random(40, 5)
    u = torch.rand(40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    eps = torch.randn(40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def noise() -> GeneratorNoise:
        return GeneratorNoise(torch.Generator().manual_seed(1))

    assert torch.equal(Masking(0.4, value=-9.0)(x, noise()), torch.where(u < 0.4, -9.0, x))
    torch.testing.assert_close(AdditiveGaussian(0.7)(x, noise()), x + 0.7 * eps, **EXACT)
    expected = torch.where(u < 0.15, -2.0, torch.where(u < 0.3, 2.0, x))
    assert torch.equal(SaltAndPepper(0.3, low=-2.0, high=2.0)(x, noise()), expected)
