"""A run that was stopped goes on as if it never had been."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from isthmus.errors import ArtifactError
from isthmus.objectives import ELBO, Objective
from isthmus.training import Callback, History, TrainingConfig, fit
from isthmus.training.history import Row

CONFIG = TrainingConfig(steps=90, batch=32, learning_rate=3e-3, evaluate_every=15, warmup=10, clip=5.0, seed=5, device="cpu")
CLOCK = ("seconds", "samples_per_second")


class PowerCutError(Exception):
    pass


class StopsAfter(Callback):
    """Raises at the evaluation after the given number of them, when the newest checkpoint is one evaluation old."""

    def __init__(self, evaluations: int) -> None:
        self.left = evaluations

    def evaluated(self, row: Row, best: bool) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCutError


def table(history: History) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in history]


def tensors(*modules: torch.nn.Module) -> dict[str, Tensor]:
    return {f"{number}.{name}": tensor for number, module in enumerate(modules) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("name", ["undercomplete", "variational", "denoising", "sparse topk", "sparse kl", "tied"])
def test_resume_is_exact(make: Any, rows: Tensor, tmp_path: Path, name: str, held_out: bool) -> None:
    held = rows[:200] if held_out else None
    model, objective = make(name)
    whole = fit(model, objective, rows[200:700], held_out=held, config=CONFIG)
    path = tmp_path / "run.safetensors"
    for evaluations, resume in ((1, False), (2, True)):
        with pytest.raises(PowerCutError):
            fit(
                *make(name),
                rows[200:700],
                held_out=held,
                config=CONFIG,
                checkpoint=path,
                resume=resume,
                callbacks=[StopsAfter(evaluations)],
            )
    again, its_objective = make(name)
    ended = fit(again, its_objective, rows[200:700], held_out=held, config=CONFIG, checkpoint=path, resume=True)
    assert table(ended.history) == table(whole.history)
    assert len(ended.history) == 6
    assert (ended.best_step, ended.best_loss, ended.steps, ended.stopped) == (whole.best_step, whole.best_loss, 90, "steps")
    expected = tensors(model, objective)
    for key, tensor in tensors(again, its_objective).items():
        assert torch.equal(tensor, expected[key]), key
    if name == "sparse topk":
        assert max(whole.history.column("train_aux_k")) > 0, "otherwise dead units are not tested"


def test_resuming_a_finished_run_changes_nothing(make: Any, rows: Tensor, tmp_path: Path) -> None:
    path, (model, objective) = tmp_path / "run", make("variational")
    first = fit(model, objective, rows[:300], config=CONFIG, checkpoint=path)
    again, its_objective = make("variational")
    second = fit(again, its_objective, rows[:300], config=CONFIG, checkpoint=path, resume=True)
    assert second.history.rows == first.history.rows
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values()))


def test_time_goes_on(make: Any, rows: Tensor, tmp_path: Path) -> None:
    with pytest.raises(PowerCutError):
        fit(*make("undercomplete"), rows, config=CONFIG, checkpoint=tmp_path / "run", callbacks=[StopsAfter(3)])
    result = fit(*make("undercomplete"), rows, config=CONFIG, checkpoint=tmp_path / "run", resume=True)
    seconds = result.history.column("seconds")
    assert seconds == sorted(seconds)
    assert result.seconds >= seconds[-1]


def stopped(make: Any, rows: Tensor, path: Path) -> None:
    with pytest.raises(PowerCutError):
        fit(*make("undercomplete"), rows, config=CONFIG, checkpoint=path, callbacks=[StopsAfter(2)])


def test_a_missing_checkpoint(make: Any, rows: Tensor, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no checkpoint at .*nothing: start without resume"):
        fit(*make("undercomplete"), rows, config=CONFIG, checkpoint=tmp_path / "nothing", resume=True)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_broken_checkpoint(make: Any, rows: Tensor, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "run"
    stopped(make, rows, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match=r"run is not a checkpoint of isthmus, or is broken .*delete it"):
        fit(*make("undercomplete"), rows, config=CONFIG, checkpoint=path, resume=True)


@pytest.mark.parametrize("metadata", [None, {"isthmus": "no json"}, {"isthmus": "[]"}, {"isthmus": "{}"}, {"other": "{}"}])
def test_a_file_of_others(make: Any, rows: Tensor, tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "run", metadata=metadata)
    with pytest.raises(ArtifactError, match="is not a checkpoint of isthmus"):
        fit(*make("undercomplete"), rows, config=CONFIG, checkpoint=tmp_path / "run", resume=True)


def test_a_checkpoint_of_another_format(make: Any, rows: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "run"
    stopped(make, rows, path)
    with safe_open(str(path), framework="pt") as file:
        held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = json.loads(file.metadata()["isthmus"])
    save_file(held, path, metadata={"isthmus": json.dumps({**state, "format": 99})})
    with pytest.raises(ArtifactError, match="checkpoint format 99"):
        fit(*make("undercomplete"), rows, config=CONFIG, checkpoint=path, resume=True)


def test_a_checkpoint_of_another_run(make: Any, rows: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "run"
    stopped(make, rows, path)

    def refused(model_name: str = "undercomplete", data: Tensor = rows, objective: Objective | None = None, **changes: object) -> None:
        model, own = make(model_name)
        config = TrainingConfig(**{**vars(CONFIG), **changes})  # pyright: ignore[reportArgumentType]
        with pytest.raises(ArtifactError, match="belongs to another run: settings, data or model differ"):
            fit(model, objective or own, data, config=config, checkpoint=path, resume=True)

    refused(learning_rate=1e-4)
    refused(seed=6)
    refused(steps=100)
    refused("denoising")
    refused("variational")
    refused(data=rows[1:])
    refused(data=rows + 1)
    with pytest.raises(PowerCutError):
        fit(*make("variational"), rows, config=CONFIG, checkpoint=path, callbacks=[StopsAfter(2)])
    refused("variational", objective=ELBO(beta=7.0))


def test_held_out_rows_belong_to_the_run(make: Any, rows: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(PowerCutError):
        fit(*make("undercomplete"), rows[200:], held_out=rows[:200], config=CONFIG, checkpoint=path, callbacks=[StopsAfter(2)])
    with pytest.raises(ArtifactError, match="belongs to another run"):
        fit(*make("undercomplete"), rows[200:], held_out=rows[:100], config=CONFIG, checkpoint=path, resume=True)


def test_a_checkpoint_that_cannot_be_written_keeps_the_old_one(
    make: Any, rows: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    stopped(make, rows, path)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match="No space left on device"):
        fit(*make("undercomplete"), rows, config=CONFIG, checkpoint=path, resume=True)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["run"]
