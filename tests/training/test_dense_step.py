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
COINS = Field("x", "numbers", (7,), "unit")
WORLD = World(0, 1, torch.device("cpu"))
CASES = [
    (family, activation, scale)
    for family in ("undercomplete", "variational")
    for activation in ("relu", "silu", "gelu", "tanh", "sigmoid")
    for scale in (1.0, 0.3, "one", "per_value")
]


def coins_trained(step: type, family: str, options: dict, precision: str = "fp32", dtype: torch.dtype = torch.float64) -> tuple:
    field = COINS if options else Field("x", "numbers", (7,), "binary")
    model, objective = get(family)([field], latent=3, architecture=Architecture("mlp", (16, 12), activation="silu"), **options)
    materialise(model, 1).to(dtype)
    config = TrainingConfig(steps=12, warmup=3, precision=precision)
    rows = torch.rand(40, 7, generator=torch.Generator().manual_seed(0), dtype=dtype)
    if not options:
        rows = rows.round()
    model.likelihood.begin(rows)
    engine = step(model, objective, config, WORLD)
    noise = GeneratorNoise(torch.Generator().manual_seed(2))
    terms = [engine(rows[i : i + 20], rows[i : i + 20], Context(step=i, training=True, noise=noise, corrupt=True)) for i in range(12)]
    return model, [{name: float(value) for name, value in entry.items()} for entry in terms]


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


@pytest.mark.parametrize(
    "family, options", [("variational", {"binarise": "dynamic"}), ("undercomplete", {}), ("vae", {"binarise": "dynamic"})]
)
def test_coins_same_as_autograd(family: str, options: dict) -> None:
    by_hand, terms = coins_trained(DenseStep, family, options)
    by_autograd, wanted = coins_trained(AutogradStep, family, options)
    for mine, theirs in zip(by_hand.parameters(), by_autograd.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)
    for mine, theirs in zip(terms, wanted, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-10)


def test_bfloat16_follows_autograd() -> None:
    """Both round the same products to 8 bits, so they differ by far less than bfloat16 differs from float32."""
    runs = [
        coins_trained(step, "variational", {"binarise": "dynamic"}, precision, torch.float32)
        for step, precision in ((DenseStep, "bf16"), (AutogradStep, "bf16"), (AutogradStep, "fp32"))
    ]
    by_hand, by_autograd, exact = (torch.cat([p.detach().flatten() for p in model.parameters()]) for model, _ in runs)
    assert by_hand.dtype == torch.float32
    assert 0 < float((by_autograd - exact).norm()) < 0.05 * float(exact.norm())
    assert float((by_hand - exact).norm()) < 2 * float((by_autograd - exact).norm())
    assert [entry["loss"] for entry in runs[0][1]] == pytest.approx([entry["loss"] for entry in runs[1][1]], rel=0.01)


def test_what_goes_to_which_step() -> None:
    model, objective = get("undercomplete")([FIELD], latent=3)
    assert fits(model, objective, TrainingConfig(), WORLD)
    assert fits(model, objective, TrainingConfig(precision="bf16"), WORLD)
    assert not fits(model.double(), objective, TrainingConfig(precision="bf16"), WORLD)
    model, objective = get("variational")([COINS], latent=3, binarise="dynamic")
    assert fits(model, objective, TrainingConfig(), WORLD)
    assert isinstance(make_step(model, objective, TrainingConfig(precision="bf16"), WORLD), DenseStep)
