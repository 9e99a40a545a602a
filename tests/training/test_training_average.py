"""Averaged weights are what a run evaluates and keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from isthmus.errors import ConfigError
from isthmus.estimators import Autoencoder
from isthmus.models import Autoencoder as Model
from isthmus.objectives import Context, Objective
from isthmus.training import AutogradStep, Callback, TrainingConfig, World, fit
from isthmus.training.average import Average
from isthmus.training.dense import DenseStep
from isthmus.training.engines import make_step
from isthmus.training.history import Row

CONFIG = TrainingConfig(steps=60, batch=32, learning_rate=3e-3, evaluate_every=20, average=0.9, seed=3, device="cpu")


class PowerCutError(Exception):
    pass


class Stops(Callback):
    def evaluated(self, row: Row, best: bool) -> None:
        if row["step"] == 40:
            raise PowerCutError


class Recorder:
    """A step that keeps the weights after each one."""

    def __init__(self, kind: Any) -> None:
        self.kind, self.seen = kind, list[list[Tensor]]()

    def __call__(self, model: Model, objective: Objective, config: TrainingConfig, world: World) -> Any:
        inner, seen = self.kind(model, objective, config, world), self.seen

        class Recorded:
            def __call__(self, x: Tensor, target: Tensor, context: Context) -> Any:
                found = inner(x, target, context)
                seen.append([p.detach().clone() for p in model.parameters()])
                return found

            state, load_state = inner.state, inner.load_state

        return Recorded()


def parameters(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("kind", [AutogradStep, DenseStep])
def test_what_is_kept_is_the_average_by_its_formula(make: Any, rows: Tensor, kind: Any) -> None:
    model, objective = make("undercomplete")
    expected = [p.double() for p in parameters(model)]
    recorder = Recorder(kind)
    fit(model, objective, rows, config=CONFIG, engine=recorder)
    for step, weights in enumerate(recorder.seen, start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = [decay * a + (1 - decay) * w.double() for a, w in zip(expected, weights)]
    assert len(recorder.seen) == 60
    for mine, average, last in zip(parameters(model), expected, recorder.seen[-1]):
        torch.testing.assert_close(mine.double(), average, rtol=1e-5, atol=1e-6)
        assert not torch.equal(mine, last)


def test_the_average_does_not_change_the_steps(make: Any, rows: Tensor) -> None:
    seen = []
    for average in (0.0, 0.9):
        recorder = Recorder(make_step)
        fit(
            *make("variational"),
            rows[200:],
            held_out=rows[:200],
            config=TrainingConfig(**{**vars(CONFIG), "average": average}),
            engine=recorder,
        )
        seen.append(recorder.seen)
    assert all(torch.equal(a, b) for one, two in zip(*seen) for a, b in zip(one, two))


def test_held_out_losses_are_those_of_the_average(make: Any, rows: Tensor) -> None:
    model, objective = make("undercomplete")
    result = fit(model, objective, rows[200:], held_out=rows[:200], config=CONFIG)
    loss = objective(model, rows[:200], rows[:200], Context())["reconstruction"].mean().detach()
    assert result.best_loss == pytest.approx(float(loss), rel=1e-5)


def test_resume_is_exact(make: Any, rows: Tensor, tmp_path: Path) -> None:
    model, objective = make("variational")
    fit(model, objective, rows[200:], held_out=rows[:200], config=CONFIG)
    again, its_objective = make("variational")
    options = {"held_out": rows[:200], "config": CONFIG, "checkpoint": tmp_path / "run"}
    with pytest.raises(PowerCutError):
        fit(*make("variational"), rows[200:], callbacks=[Stops()], **options)
    fit(again, its_objective, rows[200:], resume=True, **options)
    assert all(torch.equal(a, b) for a, b in zip(parameters(again), parameters(model)))


def test_weights_come_back_after_an_error() -> None:
    layer = nn.Linear(2, 2)
    average = Average([layer], 0.5)
    before = parameters(layer)
    nn.init.zeros_(layer.weight)

    def cut_off() -> None:
        with average.shown():
            assert torch.equal(layer.weight.detach(), before[0])
            raise PowerCutError

    with pytest.raises(PowerCutError):
        cut_off()
    assert not layer.weight.any()


def test_what_does_not_learn_is_left_alone() -> None:
    layer = nn.BatchNorm1d(2)
    layer.bias.requires_grad_(False)
    assert len(Average([layer], 0.5).weights) == 1
    assert not Average([layer], 0.0).weights


@pytest.mark.parametrize("average", [1.0, -0.1, float("nan"), True, "much"])
def test_wrong_decays_are_refused(average: Any) -> None:
    with pytest.raises(ConfigError, match="average must be"):
        TrainingConfig(average=average)


def test_averaging_helps_where_steps_are_noisy(rows: Tensor) -> None:
    flat = rows.numpy()
    settings = {"steps": 200, "batch": 16, "schedule": "constant", "learning_rate": 2e-2, "warmup": 0, "held_out": 0.0}
    scores = [Autoencoder(4, hidden=(32,), average=average, random_state=0, **settings).fit(flat).score(flat) for average in (0.0, 0.98)]
    assert scores[1] > scores[0] + 0.3


def test_partial_fit_goes_on_from_the_weights_themselves(rows: Tensor) -> None:
    model = Autoencoder(4, hidden=(16,), average=0.9, seconds=5.0, random_state=0).partial_fit(rows.numpy()[:300])
    again = Autoencoder(4, hidden=(16,), random_state=0).partial_fit(rows.numpy()[:300])
    assert model.choices_["average"].value == 0
    assert all(torch.equal(a, b) for a, b in zip(parameters(model.artifact_.model), parameters(again.artifact_.model)))
