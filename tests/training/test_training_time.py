"""A run that is given a time: it ends then, and its learning rate falls by the share that is used up."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from itertools import pairwise
from math import cos, pi
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from isthmus.errors import ConfigError
from isthmus.estimators import Autoencoder, VariationalAutoencoder
from isthmus.training import TrainingConfig, fit

TIMED = TrainingConfig(seconds=10.0, steps=1000, batch=32, evaluate_every=10, learning_rate=1e-2, device="cpu")


def ticking(by: float) -> Callable[[], float]:
    """A clock that goes on by so many seconds each time it is read."""
    return itertools.count(0.0, by).__next__


def config(**changes: Any) -> TrainingConfig:
    return TrainingConfig(**{**vars(TIMED), **changes})


@pytest.mark.parametrize("name", ["variational", "sparse kl"])
def test_a_run_ends_with_its_time(make: Any, rows: Tensor, name: str) -> None:
    result = fit(*make(name), rows, config=TIMED, clock=ticking(0.25))
    assert result.stopped == "time"
    assert 20 < result.steps < 40, "the clock is read once a step, and some times more"
    last = result.history[-1]
    assert last["step"] == result.best_step == result.steps
    assert 10.0 <= last["seconds"] < 11.0


def test_the_rate_falls_by_the_time_used(make: Any, rows: Tensor) -> None:
    history = fit(*make("undercomplete"), rows, config=TIMED, clock=ticking(0.25)).history
    # Read before the first step, after each, and twice at each evaluation; the rate of a step is that of the time before it.
    first = history[0]["learning_rate"]
    assert first == pytest.approx(1e-2 * 0.5 * (1 + cos(pi * 9 * 0.25 / 10)), rel=1e-6)
    rates = [row["learning_rate"] for row in history]
    assert all(later < before for before, later in pairwise(rates))
    assert rates[-1] < 1e-3


def test_steps_end_a_run_that_has_time_left(make: Any, rows: Tensor) -> None:
    result = fit(*make("undercomplete"), rows, config=config(steps=15), clock=ticking(0.01))
    assert (result.stopped, result.steps) == ("steps", 15)
    assert result.history[-1]["learning_rate"] == config(steps=15).rate(14)


def test_the_further_of_both_decides() -> None:
    assert config(steps=100).rate(50, 0.1) == config(steps=100).rate(50)
    assert config(steps=100).rate(10, 0.5) == config(steps=100).rate(50)
    assert config(steps=100, warmup=20).rate(10, 0.5) == pytest.approx(1e-2 * 11 / 20)


def test_a_run_that_goes_on_has_the_time_that_was_left(make: Any, rows: Tensor, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    from isthmus.training import Callback

    class Stops(Callback):
        def evaluated(self, row: Any, best: bool) -> None:
            if row["step"] == 20:
                raise StopError

    path = tmp_path / "run"
    with pytest.raises(StopError):
        fit(*make("undercomplete"), rows, config=TIMED, clock=ticking(0.25), callbacks=[Stops()], checkpoint=path)
    result = fit(*make("undercomplete"), rows, config=TIMED, clock=ticking(0.25), checkpoint=path, resume=True)
    assert result.stopped == "time"
    assert 10.0 <= result.history[-1]["seconds"] < 11.0
    assert result.steps < 40
    done = fit(*make("undercomplete"), rows, config=TIMED, clock=ticking(0.25), checkpoint=path, resume=True)
    assert (done.stopped, done.steps) == ("time", result.steps)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), "long", True])
def test_wrong_times_are_refused(seconds: Any) -> None:
    with pytest.raises(ConfigError, match="seconds must be a finite number above 0"):
        TrainingConfig(seconds=seconds)


def test_an_estimator_takes_a_time(rows: Tensor) -> None:
    model = VariationalAutoencoder(4, hidden=(16,), seconds=0.3, random_state=0).fit(rows.numpy())
    assert model.artifact_.facts["training"]["stopped"] == "time"
    assert model.choices_["steps"].why == "the time decides"
    assert model.choices_["kl_warmup"].value == 0
    assert "patience" not in model.choices_
    both = Autoencoder(4, hidden=(16,), seconds=100.0, steps=20, random_state=0).fit(rows.numpy())
    assert both.artifact_.facts["training"]["stopped"] == "steps"
