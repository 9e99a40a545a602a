"""Rows that arrive in pieces, and runs that stop between two evaluations."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.errors import ArtifactError, DataError
from isthmus.training import Callback, TrainingConfig, fit
from isthmus.training.order import Order

CONFIG = TrainingConfig(steps=60, batch=32, learning_rate=3e-3, evaluate_every=20, device="cpu")


class Streaming:
    """The same batches as from memory, one by one."""

    def __init__(self, rows: Tensor, name: str = "rows", broken_at: int | None = None) -> None:
        self.rows, self.name, self.broken_at = rows, name, broken_at
        self.shape = tuple(rows.shape[1:])
        self.open = 0
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, batch: int, seed: int, step: int = 0) -> Generator[NDArray[np.float32]]:
        self.open += 1
        self.asked.append(step)
        try:
            for number, index in enumerate(Order(len(self.rows), batch, seed, step), step):
                if number == self.broken_at:
                    raise DataError("part-7.parquet is cut off")
                yield self.rows[index].numpy()
        finally:
            self.open -= 1

    def fingerprint(self) -> str:
        return self.name


class Stop(Callback):
    """Ctrl-C at a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def stepped(self, step: int, terms: dict[str, float]) -> None:
        if step == self.at:
            signal.raise_signal(signal.SIGINT)


def weights(model: torch.nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", ["undercomplete", "denoising", "variational"])
def test_a_stream_trains_as_a_tensor_does(make: Any, rows: Tensor, name: str) -> None:
    one, other = make(name), make(name)
    stream = Streaming(rows[200:])
    a = fit(*one, rows[200:], held_out=rows[:200], config=CONFIG)
    b = fit(*other, stream, held_out=rows[:200], config=CONFIG)
    assert torch.equal(weights(one[0]), weights(other[0]))
    assert a.history.column("held_out") == b.history.column("held_out")
    assert a.history.column("epoch") == b.history.column("epoch")
    assert stream.asked == [0]
    assert stream.open == 0


def test_a_stream_resumes_where_it_was(make: Any, rows: Tensor, tmp_path: Path) -> None:
    whole = fit(*make("variational"), Streaming(rows), config=CONFIG).history
    fit(*make("variational"), Streaming(rows), config=CONFIG, checkpoint=tmp_path / "run", callbacks=[Stop(40)])
    stream = Streaming(rows)
    resumed = fit(*make("variational"), stream, config=CONFIG, checkpoint=tmp_path / "run", resume=True).history
    assert resumed.column("train") == whole.column("train")
    assert stream.asked == [stream.asked[0]]
    assert stream.asked[0] >= 40


def test_another_stream_is_another_run(make: Any, rows: Tensor, tmp_path: Path) -> None:
    fit(*make("undercomplete"), Streaming(rows, "yesterday"), config=CONFIG, checkpoint=tmp_path / "run")
    with pytest.raises(ArtifactError, match="another run"):
        fit(*make("undercomplete"), Streaming(rows, "today"), config=CONFIG, checkpoint=tmp_path / "run", resume=True)


def test_a_broken_stream_leaves_the_best_weights_and_nothing_open(make: Any, rows: Tensor) -> None:
    model, objective = make("undercomplete")
    stream = Streaming(rows, broken_at=45)
    with pytest.raises(DataError, match="cut off"):
        fit(model, objective, stream, config=CONFIG)
    assert stream.open == 0
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    assert not model.training


def test_a_stream_has_no_other_target(make: Any, rows: Tensor) -> None:
    with pytest.raises(DataError, match="a stream is its own target"):
        fit(*make("undercomplete"), Streaming(rows), target=rows, config=CONFIG)


@pytest.mark.parametrize("name", ["undercomplete", "variational"])
def test_a_run_stopped_between_two_evaluations_goes_on_with_the_same_curve(make: Any, rows: Tensor, tmp_path: Path, name: str) -> None:
    settings = dataclasses.replace(CONFIG, steps=180, evaluate_every=60)
    whole, one = make(name), make(name)
    told = fit(*whole, rows[200:], held_out=rows[:200], config=settings)
    stopped = fit(*one, rows[200:], held_out=rows[:200], config=settings, checkpoint=tmp_path / "run", callbacks=[Stop(20)])
    assert stopped.stopped == "interrupted"
    assert stopped.steps < 60, "it must have stopped before its first evaluation"
    again = make(name)
    ended = fit(*again, rows[200:], held_out=rows[:200], config=settings, checkpoint=tmp_path / "run", resume=True)
    for column in ("step", "train", "held_out"):
        assert ended.history.column(column) == told.history.column(column)
    assert torch.equal(weights(whole[0]), weights(again[0]))


def test_a_long_interval_is_saved_in_between(make: Any, rows: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.training.loop.SAVE_AFTER", 0.0)
    seen: list[bool] = []

    class Look(Callback):
        def stepped(self, step: int, terms: dict[str, float]) -> None:
            seen.append((tmp_path / "run").is_file())

    settings = dataclasses.replace(CONFIG, steps=100, evaluate_every=100)
    fit(*make("undercomplete"), rows, config=settings, checkpoint=tmp_path / "run", callbacks=[Look()])
    assert seen == [False, True, True, True, True]
