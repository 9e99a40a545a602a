"""Options of the families, and wrong ones."""

from __future__ import annotations

import re

import pytest
import torch

from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError
from isthmus.families import FAMILIES, LIKELIHOODS, Architecture, get
from isthmus.families.common import NETWORKS
from isthmus.families.denoising import CORRUPTIONS
from isthmus.families.sparse import SPARSITIES
from isthmus.fields import Field, Part, row_width
from isthmus.nn import activations, materialise
from isthmus.objectives import Context
from isthmus.tasks.config import Config
from isthmus.tasks.fit import build
from isthmus.training import TrainingConfig
from isthmus.training import fit as train

NUMBERS = Field("x", "numbers", (12,))
UNIT = Field("x", "numbers", (12,), "unit")
BINARY = Field("x", "numbers", (12,), "binary")
PICTURE = Field("x", "picture", (9, 8, 2), "unit")
MIXED = tuple(Part(name, "number", 1, name) for name in "abcdef")
COLUMNS = Field("x", "columns", (row_width(MIXED),), parts=MIXED)
WITH_LIKELIHOOD = [name for name, family in FAMILIES.items() if "likelihood" in family.options]


def rows(field: Field) -> torch.Tensor:
    numbers = torch.rand(64, *field.shape, generator=torch.Generator().manual_seed(0))
    return numbers.round() if field.support == "binary" or field.kind == "columns" else numbers


def falls(field: Field, config: Config) -> None:
    model, objective = build(field, config)
    x = rows(field)
    history = train(
        model, objective, x, config=TrainingConfig(steps=80, batch=32, learning_rate=3e-3, evaluate_every=10, device="cpu")
    ).history
    assert history[-1]["train"] < history[0]["train"]


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_sparsities(sparsity: str) -> None:
    falls(NUMBERS, Config(family="sparse", sparsity=sparsity))


@pytest.mark.parametrize("corruption", [name for name in CORRUPTIONS if name != "hide"])  # which needs mixed columns
def test_corruptions(corruption: str) -> None:
    falls(NUMBERS, Config(family="denoising", corruption=corruption))


@pytest.mark.parametrize("activation", activations())
def test_activations(activation: str) -> None:
    falls(NUMBERS, Config(family="undercomplete", activation=activation))


@pytest.mark.parametrize("network", NETWORKS)
def test_networks(network: str) -> None:
    falls(COLUMNS if network == "filling" else PICTURE, Config(family="undercomplete", network=network))


@pytest.mark.parametrize("family", WITH_LIKELIHOOD)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_likelihoods(family: str, likelihood: str) -> None:
    falls(BINARY, Config(family=family, likelihood=likelihood, likelihood_scale=None))


@pytest.mark.parametrize("scale", [0.3, "one", "per_value", "predicted"])
@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_scales(likelihood: str, scale: float | str) -> None:
    falls(NUMBERS, Config(family="variational", likelihood=likelihood, likelihood_scale=scale))


@pytest.mark.parametrize("options", [{"beta": 4.0}, {"beta": 0.0}, {"kl_warmup": 40}, {"free_bits": 0.5}])
def test_variational_options(options: dict[str, float]) -> None:
    falls(NUMBERS, Config(family="variational", **options))  # pyright: ignore[reportArgumentType]


def test_a_code_wider_than_the_input() -> None:
    for family in FAMILIES:
        model, objective = build(NUMBERS, Config(family=family, latent=40))
        noise = GeneratorNoise(torch.Generator().manual_seed(0))
        assert objective(model, rows(NUMBERS), context=Context(noise=noise))["reconstruction"].shape == (64,)


WRONG = [
    ("undercomplete", NUMBERS, {"likelihood": "poison"}, "unknown likelihood 'poison'; choose one of gaussian"),
    ("undercomplete", NUMBERS, {"likelihood": "bernoulli"}, "only 0 and 1"),
    ("undercomplete", UNIT, {"likelihood": "bernoulli"}, "only 0 and 1"),
    ("undercomplete", NUMBERS, {"likelihood": "continuous_bernoulli"}, "within [0, 1]"),
    ("undercomplete", NUMBERS, {"likelihood_scale": "huge"}, "scale must be a positive number or one of one, per_value, predicted"),
    ("undercomplete", NUMBERS, {"likelihood_scale": 0.0}, "scale must be a positive number"),
    ("undercomplete", NUMBERS, {"likelihood_scale": float("nan")}, "scale must be a positive number"),
    ("undercomplete", NUMBERS, {"architecture": Architecture(network="conv")}, "needs pictures"),
    ("undercomplete", NUMBERS, {"architecture": Architecture(network="rnn")}, "unknown network 'rnn'; choose one of mlp, conv, linear"),
    ("undercomplete", NUMBERS, {"architecture": Architecture(hidden=(0,))}, "hidden must be"),
    ("undercomplete", NUMBERS, {"architecture": Architecture(hidden=(4,) * 65)}, "at most 64"),
    ("undercomplete", PICTURE, {"architecture": Architecture(network="conv", channels=(-1,))}, "channels must be"),
    ("undercomplete", NUMBERS, {"architecture": Architecture(activation="sine")}, "unknown activation 'sine'"),
    ("variational", NUMBERS, {"architecture": Architecture(tied=True), "likelihood_scale": "predicted"}, "tied weights"),
    ("variational", NUMBERS, {"beta": -1.0}, "beta must be at least 0"),
    ("variational", NUMBERS, {"beta": float("nan")}, "beta must be at least 0"),
    ("variational", NUMBERS, {"free_bits": -1.0}, "free_bits must be at least 0"),
    ("variational", NUMBERS, {"kl_warmup": -1}, "warmup must be at least 0"),
    ("sparse", NUMBERS, {"sparsity": "l0"}, "unknown sparsity 'l0'; choose one of topk, l1, kl"),
    ("sparse", NUMBERS, {"activity": 0.0}, "activity must lie strictly between 0 and 1"),
    ("sparse", NUMBERS, {"activity": 1.0}, "activity must lie strictly between 0 and 1"),
    ("sparse", NUMBERS, {"sparsity": "l1", "weight": -1.0}, "weight of the term 'l1' must be at least 0"),
    ("denoising", NUMBERS, {"corruption": "fire"}, "unknown corruption 'fire'; choose one of gaussian, masking, salt_and_pepper"),
    ("denoising", NUMBERS, {"level": -0.1}, "std must be at least 0"),
    ("denoising", NUMBERS, {"corruption": "masking", "level": 1.1}, "share must lie between 0 and 1"),
    ("denoising", NUMBERS, {"corruption": "salt_and_pepper", "level": float("nan")}, "share must lie between 0 and 1"),
]


@pytest.mark.parametrize(
    ("family", "field", "options", "message"), WRONG, ids=[f"{w[0]} {next(iter(w[2]))} {n}" for n, w in enumerate(WRONG)]
)
def test_wrong_values_are_named(family: str, field: Field, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        get(family)([field], **options)


def test_building_costs_no_memory_until_materialised() -> None:
    with torch.device("meta"):
        model, objective = get("variational")([NUMBERS])
    assert all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers(), *objective.buffers()))
    assert all(bool(tensor.isfinite().all()) for tensor in materialise(model, 0).parameters())


def test_first_weights_depend_on_the_seed_alone() -> None:
    def first(seed: int, draws: int) -> torch.Tensor:
        torch.manual_seed(draws)
        return build(NUMBERS, Config(family="variational", seed=seed))[0].encoder.layers[0].weight

    assert torch.equal(first(0, 1), first(0, 2))
    assert not torch.equal(first(0, 1), first(1, 1))
