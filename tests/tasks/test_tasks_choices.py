"""What the data decide where the user did not."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.data import Source
from isthmus.errors import ConfigError
from isthmus.families import FAMILIES, get
from isthmus.fields import Field
from isthmus.tasks.choices import check, choose
from isthmus.tasks.config import Config
from isthmus.tasks.fit import plan

TABLE = Field("columns", "numbers", (30,), "real")
SMALL = Field("pictures", "picture", (8, 8, 1), "unit")
LARGE = Field("pictures", "picture", (28, 28, 3), "unit")
COINS = Field("columns", "numbers", (30,), "binary")


def chosen(field: Field, rows: int = 500, **given) -> dict[str, object]:
    return {choice.name: choice.value for choice in choose(Config(**given), field, rows, "standard")[1]}


def test_the_network_follows_the_kind_of_data() -> None:
    assert [chosen(field)["network"] for field in (TABLE, SMALL, LARGE)] == ["mlp", "mlp", "conv"]
    assert "hidden" not in chosen(LARGE)
    assert "channels" not in chosen(TABLE)


def test_given_widths_decide_the_network() -> None:
    assert chosen(LARGE, hidden=(16,))["network"] == "mlp"
    assert chosen(SMALL, channels=(4,))["network"] == "conv"
    assert chosen(TABLE, family="sparse")["network"] == "linear"
    assert chosen(LARGE, family="sparse", hidden=(16,))["network"] == "mlp"
    with pytest.raises(ConfigError, match=r"^channels does not apply to the network 'mlp'"):
        chosen(TABLE, network="mlp", channels=(4,))
    with pytest.raises(ConfigError, match=r"^hidden does not apply to the network 'linear'"):
        chosen(TABLE, network="linear", hidden=(4,))


def test_the_likelihood_follows_the_values() -> None:
    assert chosen(TABLE)["likelihood"] == "gaussian"
    assert chosen(TABLE, family="variational")["likelihood_scale"] == "per_value"
    assert chosen(SMALL, family="variational")["likelihood_scale"] == "one"
    coins = chosen(COINS)
    assert coins["likelihood"] == "bernoulli"
    assert "likelihood_scale" not in coins
    with pytest.raises(ConfigError, match="likelihood_scale does not apply to the likelihood 'bernoulli'"):
        chosen(COINS, likelihood_scale=0.5)


def test_batch_and_steps_follow_the_rows() -> None:
    assert [chosen(TABLE, rows)["batch"] for rows in (10, 500, 5_000, 50_000)] == [10, 32, 128, 256]
    assert [chosen(TABLE, rows)["steps"] for rows in (10, 50_000, 5_000_000)] == [2000, 3900, 10_000]
    assert chosen(TABLE, 10)["held_out"] == 0.0
    for devices in (2, 3, 5):
        assert chosen(TABLE, 500, devices=devices)["batch"] % devices == 0
        assert chosen(TABLE, 501, family="linear", solver="gradient", devices=devices)["batch"] % devices == 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("field", [TABLE, SMALL, LARGE, COINS], ids=["table", "small", "large", "coins"])
def test_every_choice_has_a_reason_and_stands_in_the_settings(family, field) -> None:
    config, choices = choose(Config(family=family), field, 500, "standard")
    assert [choice.name for choice in choices] == [name for name in Config.help() if name in {choice.name for choice in choices}]
    for choice in choices:
        assert choice.why
        assert getattr(config, choice.name) == choice.value
    again, repeated = choose(config, field, 500, "standard")
    assert again == config
    assert {choice.why for choice in repeated} == {"given"}


def test_the_closed_form_takes_no_steps() -> None:
    assert "steps" not in chosen(TABLE, family="linear")
    assert chosen(TABLE, family="linear", solver="gradient")["steps"] == 2000
    why = {choice.name: choice.why for choice in choose(Config(family="linear", steps=5), TABLE, 500, "standard")[1]}
    assert why["steps"] == "not used by the closed form"


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_of_other_families_are_refused(family) -> None:
    foreign = next(name for name in ("activity", "beta") if name not in get(family).options)
    with pytest.raises(ConfigError, match=rf"^{foreign} does not apply to the family '{family}', which takes "):
        chosen(TABLE, family=family, **{foreign: 0.5})
    if family != "denoising":
        with pytest.raises(ConfigError, match=r"^corruption does not apply"):
            chosen(TABLE, family=family, corruption="masking")


@pytest.mark.parametrize(
    "wrong",
    [
        {"family": "foo"},
        {"scaling": "foo"},
        {"solver": "foo"},
        {"likelihood_scale": "foo"},
        {"likelihood_scale": 0.0},
        {"held_out": 1.0},
        {"held_out": float("nan")},
        {"level": -1.0},
        {"level": 1.5, "corruption": "masking"},
    ],
    ids=str,
)
def test_what_is_wrong_for_any_data_is_refused_by_name(wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        check(Config(**wrong))


def test_a_plan_checks_settings_before_it_looks_at_the_data() -> None:
    source = Source("table", np.full((3, 2), np.nan))
    for wrong in ({"seed": -1}, {"devices": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"schedule": "foo"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            plan(source, Config(**wrong))


def test_a_plan_warns_of_a_code_that_can_copy() -> None:
    source = Source("table", np.random.default_rng(0).normal(size=(40, 3)))
    wide = plan(source, Config(latent=5))
    assert len(wide.warnings) == 1
    assert set(wide.warnings) <= set(wide.notes)
    assert plan(source, Config(latent=5, family="sparse")).warnings == []
    assert plan(source, Config(latent=2)).warnings == []
