"""Dynamic binarisation: zeros and ones drawn anew at each step, the same ones for input and target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from isthmus.artifact import Artifact
from isthmus.cli.app import app
from isthmus.data import from_any
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError
from isthmus.estimators import Autoencoder, ConditionalVAE, ImportanceWeightedAutoencoder, VariationalAutoencoder
from isthmus.families import FAMILIES, as_coins, get
from isthmus.fields import Field, Part
from isthmus.likelihoods import Bernoulli
from isthmus.models import Autoencoder as Model
from isthmus.objectives import ELBO, Binarised, Context, Objective
from isthmus.tasks.evaluate import Effort, evaluate
from isthmus.training import TrainingConfig, fit

FIELD = Field("digit", "picture", (8, 8, 1), "unit")


class Remembers(Objective):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor | None, bool]] = []

    def forward(self, model: Model, x: Tensor, target: Tensor | None = None, context: Context | None = None) -> dict[str, Tensor]:
        context = context or Context()
        self.seen.append((x.clone(), None if target is None else target.clone(), context.training))
        return ELBO()(model, x, target, context)


@pytest.fixture
def grey(digits: np.ndarray) -> Tensor:
    return torch.from_numpy(digits).reshape(-1, 8, 8, 1) / digits.max()


def built() -> tuple[Model, Objective]:
    return get("vae")([FIELD], latent=4, binarise="dynamic")


def test_input_and_target_are_one_draw_and_new_each_step(grey: Tensor) -> None:
    model, inner = built()[0], Remembers()
    config = TrainingConfig(steps=20, batch=len(grey) - 100, evaluate_every=10, device="cpu")
    fit(model, Binarised(inner), grey[100:], held_out=grey[:100], config=config)
    steps = [x for x, target, training in inner.seen if training and target is not None and torch.equal(x, target)]
    assert len(steps) == 20
    assert all(set(x.unique().tolist()) == {0.0, 1.0} for x in steps)
    assert len({float(x.sum()) for x in steps}) == 20
    mean = torch.stack([x.mean() for x in steps]).mean()
    assert float(mean) == pytest.approx(float(grey[100:].mean()), abs=2e-3)
    held = [x for x, _, training in inner.seen if not training]
    assert torch.equal(held[0], held[1])
    assert set(held[0].unique().tolist()) == {0.0, 1.0}


def test_each_value_is_a_coin_of_its_own_probability() -> None:
    model, inner = built()[0], Remembers()
    rows = torch.linspace(0, 1, 64).view(1, 8, 8, 1).expand(4000, 8, 8, 1)
    noise = GeneratorNoise(torch.Generator().manual_seed(0))
    Binarised(inner)(model, rows, rows, Context(noise=noise, corrupt=True))
    found = inner.seen[0][0].mean(0).flatten()
    assert float((found - rows[0].flatten()).abs().max()) < 0.04
    assert found[0] == 0
    assert found[-1] == 1


def test_scores_take_values_as_they_are(grey: Tensor) -> None:
    model, objective = built()
    assert isinstance(objective, Binarised)
    mine = objective(model, grey, grey, Context())
    plain = ELBO()(model, grey, grey, Context())
    assert all(torch.equal(mine[name], plain[name]) for name in plain)
    assert objective.nats == ("reconstruction", "kl")


def test_a_target_of_its_own_is_drawn_apart(grey: Tensor) -> None:
    model, inner = built()[0], Remembers()
    noise = GeneratorNoise(torch.Generator().manual_seed(0))
    Binarised(inner)(model, grey, 1 - grey, Context(noise=noise, corrupt=True))
    x, target, _ = inner.seen[0]
    assert target is not None
    assert set(target.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(x, 1 - target)


def test_a_condition_is_left_as_it_is(digits: np.ndarray) -> None:
    numbers = np.linspace(-1, 1, len(digits))
    model = ConditionalVAE(2, binarise="dynamic", scaling="unit", hidden=(16,), steps=3, random_state=0).fit(digits, numbers)
    inner = Remembers()
    rows = torch.rand(5, model.artifact_.model.shape[0])
    noise = GeneratorNoise(torch.Generator().manual_seed(0))
    Binarised(inner)(model.artifact_.model, rows, rows, Context(noise=noise, corrupt=True))
    assert torch.equal(inner.seen[0][0][:, -1], rows[:, -1])
    assert set(inner.seen[0][0][:, :-1].unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.learned_scale])
def test_every_family_with_a_distribution_takes_it(name: str, grey: Tensor) -> None:
    model, objective = get(name)([FIELD], latent=4, binarise="dynamic")
    noise = GeneratorNoise(torch.Generator().manual_seed(0))
    terms = objective(model, grey[:5], grey[:5], Context(noise=noise, corrupt=True, training=True))
    assert isinstance(model.likelihood, Bernoulli)
    assert all(values.isfinite().all() for values in terms.values())


def test_weights_and_parameters_are_the_inner_ones() -> None:
    _, objective = get("vae")([FIELD], latent=4, binarise="dynamic", adversarial=0.5, kl_warmup=10)
    context = Context(step=5, training=True)
    assert objective.weights(context)["kl"] == 0.5
    groups = objective.groups()
    assert groups
    assert sum(len(group) for group, _ in groups) == len(list(objective.parameters()))


def test_it_is_saved_with_the_model(digits: np.ndarray, tmp_path: Any) -> None:
    model = ImportanceWeightedAutoencoder(3, draws=2, binarise="dynamic", steps=3, random_state=0).fit(digits / digits.max())
    model.save(tmp_path / "model")
    again = Artifact.load(tmp_path / "model")
    assert isinstance(again.objective, Binarised)
    assert again.config["binarise"] == "dynamic"
    assert again.objective.nats == ("reconstruction", "kl")


def test_a_decoder_begins_at_the_log_odds_of_each_pixel(grey: Tensor) -> None:
    likelihood = Bernoulli((8, 8, 1), offset=True)
    likelihood.begin(grey)
    drawn = likelihood(torch.zeros(1, 1, 8, 8, 1)).mean[0]
    assert torch.allclose(drawn, grey.mean(0).clamp(1e-3, 0.999), atol=1e-6)
    fitted = VariationalAutoencoder(2, binarise="dynamic", steps=1, learning_rate=1e-9, random_state=0).fit(grey.numpy())
    offset = fitted.artifact_.model.likelihood.offset
    assert float((offset.detach().sigmoid() - grey.mean(0)).abs().max()) < 0.02


def test_what_has_no_probabilities_is_refused(rows: Tensor) -> None:
    with pytest.raises(ConfigError, match="scaling='unit'"):
        VariationalAutoencoder(2, binarise="dynamic").fit(rows.numpy())
    with pytest.raises(ConfigError, match="must be 'dynamic'"):
        as_coins(FIELD, "static")
    with pytest.raises(ConfigError, match="has others"):
        as_coins(Field("mixed", "columns", (2,), "binary", (Part("a", "boolean", 1, "a"),)), "dynamic")
    with pytest.raises(ConfigError, match="does not take binarise"):
        get("sparse")([FIELD], binarise="dynamic")


def test_a_family_without_a_distribution_has_no_such_parameter() -> None:
    assert "binarise" not in Autoencoder().get_params()


def test_the_command_line_takes_all_three(digits: np.ndarray, tmp_path: Any) -> None:
    np.save(tmp_path / "digits.npy", (digits.reshape(-1, 8, 8) / digits.max()).astype(np.float32))
    command = ["fit", str(tmp_path / "digits.npy"), "--family", "vae", "--out", str(tmp_path / "model")]
    command += ["--binarise", "dynamic", "--average", "0.9", "--seconds", "0.5", "--seed", "1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    artifact = Artifact.load(tmp_path / "model")
    assert isinstance(artifact.objective, Binarised)
    assert artifact.facts["training"]["stopped"] == "time"
    assert artifact.config["average"] == 0.9


def test_it_is_measured_on_coins(grey: Tensor) -> None:
    model = VariationalAutoencoder(2, binarise="dynamic", hidden=(16,), steps=30, random_state=0).fit(grey.numpy())
    source, effort = from_any(grey.numpy()[:50]), Effort(draws=5, gap_rows=0)
    found = evaluate(model.artifact_, source, effort, seed=1)
    asked = evaluate(model.artifact_, source, effort, treatment="sample", seed=1)
    assert found.importance.mean == asked.importance.mean
    assert any("dynamic binarisation" in told for told in found.conventions)
