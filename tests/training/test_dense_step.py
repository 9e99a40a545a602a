"""The step with hand-written gradients gives what autograd gives."""

from __future__ import annotations

import pytest
import torch

from isthmus.distributions import GeneratorNoise
from isthmus.families import Architecture, get
from isthmus.fields import Field
from isthmus.nn import materialise
from isthmus.objectives import Context
from isthmus.training import AutogradStep, TrainingConfig, World, make_step
from isthmus.training.dense import DenseStep, fits

FIELD = Field("x", "numbers", (7,))
WORLD = World(0, 1, torch.device("cpu"))
CASES = [
    (family, activation, scale)
    for family in ("undercomplete", "variational")
    for activation in ("relu", "silu", "gelu", "tanh", "sigmoid")
    for scale in (1.0, 0.3, "one", "per_value")
]


def trained(step: type, family: str, activation: str, scale: float | str, clip: float | None = None) -> tuple:
    options = {"corruption": "masking"} if family == "denoising" else {}
    model, objective = get(family)(
        [FIELD],
        latent=3,
        architecture=Architecture("mlp", (6, 5), activation=activation),
        likelihood_scale=scale,
        likelihood="gaussian",
        **options,
    )
    materialise(model, 1).double()
    config = TrainingConfig(steps=12, warmup=3, clip=clip, weight_decay=0.01)
    engine = step(model, objective, config, WORLD)
    rows = torch.randn(40, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = GeneratorNoise(torch.Generator().manual_seed(2))
    terms = [engine(rows[i : i + 20], rows[i : i + 20], Context(step=i, training=True, noise=noise, corrupt=True)) for i in range(12)]
    return model, [{name: float(value) for name, value in entry.items()} for entry in terms]


@pytest.mark.parametrize("family, activation, scale", CASES)
def test_same_as_autograd(family: str, activation: str, scale: float | str) -> None:
    by_hand, terms = trained(DenseStep, family, activation, scale)
    by_autograd, wanted = trained(AutogradStep, family, activation, scale)
    for mine, theirs in zip(by_hand.parameters(), by_autograd.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)
    for mine, theirs in zip(terms, wanted, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-10)


def test_same_with_corruption_and_clipping() -> None:
    by_hand, _ = trained(DenseStep, "denoising", "silu", 1.0, 0.1)
    by_autograd, _ = trained(AutogradStep, "denoising", "silu", 1.0, 0.1)
    free, _ = trained(DenseStep, "denoising", "silu", 1.0)
    for mine, theirs, other in zip(by_hand.parameters(), by_autograd.parameters(), free.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)
        assert not torch.equal(mine, other)


@pytest.mark.parametrize(
    "family, options",
    [
        ("undercomplete", {"architecture": Architecture("mlp", (4,), activation="elu")}),
        ("undercomplete", {"architecture": Architecture("mlp", (4,), tied=True)}),
        ("undercomplete", {"likelihood": "laplace"}),
        ("variational", {"likelihood_scale": "predicted"}),
        ("variational", {"free_bits": 0.1}),
        ("sparse", {}),
    ],
)
def test_all_else_goes_to_autograd(family: str, options: dict) -> None:
    model, objective = get(family)([FIELD], latent=3, **options)
    assert not fits(model, objective, TrainingConfig(), WORLD)
    assert isinstance(make_step(model, objective, TrainingConfig(), WORLD), AutogradStep)


def test_bfloat16_goes_to_autograd() -> None:
    model, objective = get("undercomplete")([FIELD], latent=3)
    assert fits(model, objective, TrainingConfig(), WORLD)
    assert not fits(model, objective, TrainingConfig(precision="bf16"), WORLD)
