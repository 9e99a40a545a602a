"""How a run ends, what is kept, and what it leaves untouched."""

from __future__ import annotations

import math
import os
import random as python_random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus.errors import ConfigError, DataError, MissingExtraError, TrainingError
from isthmus.models import Autoencoder
from isthmus.training import AutogradStep, Callback, TensorBoard, TrainingConfig, World, choose_device, fit, nats
from isthmus.training.history import Row

QUICK = TrainingConfig(steps=60, batch=32, learning_rate=3e-3, evaluate_every=20, device="cpu")
FAMILIES = ["undercomplete", "linear", "variational", "denoising", "sparse topk", "sparse kl", "sparse l1", "tied"]


def config(**changes: Any) -> TrainingConfig:
    return TrainingConfig(**{**vars(QUICK), **changes})


def copy(model: Autoencoder) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def loss_of(model: Autoencoder, rows: Tensor) -> float:
    with torch.no_grad():
        return float(-model.decode(model.encode(rows).mean).log_prob(rows).mean())


class Watch(Callback):
    """Remembers everything it is told, and runs a function at an evaluation."""

    def __init__(self, act: Callable[[Row, bool], object] | None = None) -> None:
        self.told: list[str] = []
        self.rows: list[tuple[Row, bool]] = []
        self.terms: list[dict[str, float]] = []
        self.act = act

    def started(self, config: TrainingConfig, step: int) -> None:
        self.told.append(f"started {step}")

    def stepped(self, step: int, terms: dict[str, float]) -> None:
        self.terms.append(terms)

    def evaluated(self, row: Row, best: bool) -> None:
        self.rows.append((row, best))
        if self.act:
            self.act(row, best)

    def finished(self, stopped: str) -> None:
        self.told.append(f"finished {stopped}")


def test_callbacks_hear_everything(make: Any, rows: Tensor) -> None:
    watch = Watch()
    result = fit(*make("variational"), rows[200:], held_out=rows[:200], config=QUICK, callbacks=[watch])
    assert watch.told == ["started 0", "finished steps"]
    assert [row for row, _ in watch.rows] == result.history.rows
    assert set(watch.terms[-1]) == {"reconstruction", "kl", "loss"}
    assert [row["step"] for row in result.history] == [20, 40, 60]
    best = [row["held_out"] for row, kept in watch.rows if kept]
    assert best == sorted(best, reverse=True)
    assert result.best_loss == best[-1]


def test_a_callback_may_stay_silent(make: Any, rows: Tensor, capfd: pytest.CaptureFixture[str]) -> None:
    fit(*make("undercomplete"), rows, config=QUICK, callbacks=[Callback()])
    assert capfd.readouterr() == ("", "")


def test_the_history_adds_up(make: Any, rows: Tensor) -> None:
    result = fit(*make("variational"), rows[200:], held_out=rows[:200], config=QUICK)
    for row in result.history:
        for part in ("train", "held_out"):
            assert row[part] == pytest.approx(row[f"{part}_reconstruction"] + row[f"{part}_kl"])
        assert row["epoch"] == pytest.approx(row["step"] / (1597 // 32))
        assert row["samples_per_second"] > 0
    assert result.history[-1]["learning_rate"] == QUICK.rate(59)


def test_training_losses_are_the_mean_over_the_steps_between(make: Any, rows: Tensor) -> None:
    every = fit(*make("undercomplete"), rows, config=config(evaluate_every=1)).history
    some = fit(*make("undercomplete"), rows, config=QUICK).history
    for number, row in enumerate(some):
        assert row["train"] == pytest.approx(np.mean(every.column("train")[20 * number : 20 * number + 20]), rel=1e-9)


def test_held_out_losses_are_those_of_the_weights(make: Any, rows: Tensor) -> None:
    model, objective = make("undercomplete")
    result = fit(model, objective, rows[200:], held_out=rows[:200], config=QUICK)
    assert loss_of(model, rows[:200]) == pytest.approx(result.best_loss, rel=1e-6)
    assert not model.training


def test_a_last_evaluation_comes_at_the_end(make: Any, rows: Tensor) -> None:
    assert fit(*make("undercomplete"), rows, config=config(steps=50)).history.column("step") == [20, 40, 50]


def test_early_stopping_restores_the_best(make: Any, rows: Tensor) -> None:
    """Sixteen rows are learnt by heart, and the held-out loss turns."""
    model, objective = make("undercomplete")
    kept: dict[int, dict[str, Tensor]] = {}
    watch = Watch(lambda row, best: kept.update({int(row["step"]): copy(model)}))
    patient = config(steps=5000, batch=16, learning_rate=1e-2, schedule="constant", evaluate_every=10, patience=4)
    result = fit(model, objective, rows[:16], held_out=rows[200:400], config=patient, callbacks=[watch])
    held = result.history.column("held_out")
    assert result.stopped == "early"
    assert result.steps < 5000
    assert result.steps == result.best_step + 40
    assert result.best_loss == min(held)
    assert result.history.column("step")[held.index(min(held))] == result.best_step
    assert same(copy(model), kept[result.best_step])
    assert result.history[-1]["train"] < result.history.column("train")[held.index(min(held))], "it went on learning by heart"


def test_patience_begins_anew_with_every_better_loss(make: Any, rows: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([5.0, 6.0, 6.0, 4.0, 5.0, 5.0, 3.0, 3.0, 3.0, 3.0, 1.0])
    monkeypatch.setattr("isthmus.training.loop.Run.evaluate", lambda run: {"reconstruction": next(losses)})
    result = fit(*make("undercomplete"), rows, config=config(steps=5000, evaluate_every=10, patience=3))
    assert (result.stopped, result.best_step, result.steps, result.best_loss) == ("early", 70, 100, 3.0)


def test_without_held_out_rows_the_newest_weights_are_kept(make: Any, rows: Tensor) -> None:
    model, objective = make("undercomplete")
    last: dict[str, Tensor] = {}
    result = fit(model, objective, rows, config=QUICK, callbacks=[Watch(lambda row, best: last.update(copy(model)))])
    assert result.best_step == 60
    assert same(copy(model), last)
    assert "held_out" not in result.history.names


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_interruption_keeps_the_best(make: Any, rows: Tensor) -> None:
    model, objective = make("undercomplete")
    kept: dict[int, dict[str, Tensor]] = {}

    def interrupt(row: Row, best: bool) -> None:
        kept[int(row["step"])] = copy(model)
        if row["step"] == 40:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    watch = Watch(interrupt)
    long = config(steps=100_000, evaluate_every=20)
    result = fit(model, objective, rows[200:], held_out=rows[:200], config=long, callbacks=[watch])
    assert result.stopped == "interrupted"
    assert watch.told[-1] == "finished interrupted"
    assert 41 <= result.steps <= 60
    assert same(copy(model), kept[result.best_step])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_second_interruption_is_not_held_back(make: Any, rows: Tensor) -> None:
    def twice(row: Row, best: bool) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(*make("undercomplete"), rows, config=QUICK, callbacks=[Watch(twice)])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_an_interrupted_run_resumes_exactly(make: Any, rows: Tensor, tmp_path: Path) -> None:
    """The row of the interruption itself is no part of the checkpoint, so that the curve stays that of a whole run."""
    whole = fit(*make("denoising"), rows, config=QUICK).history
    interrupt = Watch(lambda row, best: os.kill(os.getpid(), signal.SIGINT) if row["step"] == 20 else None)
    path = tmp_path / "run"
    assert fit(*make("denoising"), rows, config=QUICK, checkpoint=path, callbacks=[interrupt]).stopped == "interrupted"
    resumed = fit(*make("denoising"), rows, config=QUICK, checkpoint=path, resume=True).history
    assert resumed.column("step") == whole.column("step")
    assert resumed.column("train") == whole.column("train")


def test_another_thread_may_train(make: Any, rows: Tensor) -> None:
    """Only the main thread can listen for Ctrl-C; elsewhere training goes without."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(fit(*make("undercomplete"), rows, config=QUICK).stopped))
    thread.start()
    thread.join()
    assert found == ["steps"]


def finite(model: Autoencoder) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


@pytest.mark.parametrize("name", ["undercomplete", "variational", "sparse kl", "tied"])
def test_divergence_stops_with_step_term_and_mend(make: Any, rows: Tensor, name: str) -> None:
    model, objective = make(name)
    wild = config(steps=1000, learning_rate=1e25, schedule="constant", evaluate_every=10, warmup=900)
    with pytest.raises(TrainingError, match=r"the (held-out )?term '\w+' became (nan|inf|-inf) at step \d+") as caught:
        fit(model, objective, rows[200:], held_out=rows[:200], config=wild)
    assert "the first weights are put back" in str(caught.value)
    assert same(copy(model), copy(make(name)[0]))
    assert "Lower the learning rate (now 1e+25), clip the gradient (clip=1.0), add warm-up steps, or scale the data" in str(caught.value)


def test_divergence_keeps_the_best_weights(make: Any, rows: Tensor) -> None:
    model, objective = make("undercomplete")
    kept: dict[str, Tensor] = {}

    def spoil(row: Row, best: bool) -> None:
        kept.update(copy(model) if best else {})
        if row["step"] == 40:
            with torch.no_grad():
                next(model.parameters()).fill_(math.nan)

    with pytest.raises(
        TrainingError, match=r"the term 'reconstruction' became nan at step 40; the best weights so far \(step 40\) are kept"
    ):
        fit(model, objective, rows[200:], held_out=rows[:200], config=QUICK, callbacks=[Watch(spoil)])
    assert same(copy(model), kept)
    assert finite(model)


class Poison(AutogradStep):
    """Leaves weights that are no numbers behind after a step whose terms were fine."""

    at = 20

    def __call__(self, x: Tensor, target: Tensor, context: Any) -> dict[str, Tensor]:
        terms = super().__call__(x, target, context)
        if context.step == self.at - 1:
            with torch.no_grad():
                next(self.model.parameters()).fill_(math.nan)
        return terms


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("at", [20, 60])
def test_weights_that_are_no_numbers_are_never_kept(
    make: Any, rows: Tensor, held_out: bool, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step before an evaluation spoils the weights: its own terms were still finite."""
    monkeypatch.setattr(Poison, "at", at)
    model, objective = make("undercomplete")
    with pytest.raises(TrainingError, match=rf"became nan at step {at}"):
        fit(model, objective, rows[200:], held_out=rows[:200] if held_out else None, config=QUICK, engine=Poison)
    assert finite(model)


def test_clipping_takes_effect(make: Any, rows: Tensor) -> None:
    """With a tiny bound on the gradient, plain steps of Adam still move; the gradient's norm is at most the bound."""
    norms: list[float] = []

    class Norms(AutogradStep):
        def __call__(self, x: Tensor, target: Tensor, context: Any) -> dict[str, Tensor]:
            found = super().__call__(x, target, context)
            norms.append(math.sqrt(sum(float(p.grad.square().sum()) for p in self.parameters if p.grad is not None)))
            return found

    fit(*make("undercomplete"), rows, config=QUICK, engine=Norms)
    assert min(norms) > 0.01
    norms.clear()
    fit(*make("undercomplete"), rows, config=config(clip=0.01), engine=Norms)
    assert max(norms) <= 0.01 * (1 + 1e-5)


@pytest.mark.parametrize(
    "change",
    [{"schedule": "constant"}, {"schedule": "linear"}, {"warmup": 30}, {"optimiser": "adamw", "weight_decay": 0.1}, {"weight_decay": 0.1}],
)
def test_settings_take_effect(make: Any, rows: Tensor, change: dict[str, Any]) -> None:
    first, second = make("undercomplete"), make("undercomplete")
    fit(*first, rows, config=QUICK)
    fit(*second, rows, config=config(**change))
    assert not same(copy(first[0]), copy(second[0]))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_engine_makes_the_same_steps(make: Any, rows: Tensor, name: str) -> None:
    """The default engine against autograd in float64: 40 steps agree to 1e-9, the rest is rounding in another order."""
    found = []
    for engine in ({}, {"engine": AutogradStep}):
        model, objective = make(name)
        result = fit(
            model.double(),
            objective.double(),
            rows[200:].double(),
            held_out=rows[:200].double(),
            config=config(steps=40, clip=20.0),
            **engine,
        )
        found.append((copy(model), result.history))
    (weights, history), (expected, reference) = found
    for key in expected:
        torch.testing.assert_close(weights[key], expected[key], rtol=1e-9, atol=1e-9)
    for column in ("train", "held_out"):
        assert history.column(column) == pytest.approx(reference.column(column), rel=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_stays_close(make: Any, rows: Tensor, name: str) -> None:
    """Eight bits of mantissa: after 60 steps the loss is within 5 % of float32's fall from the first evaluation."""
    results = {}
    for precision in ("fp32", "bf16"):
        model, objective = make(name)
        results[precision] = fit(model, objective, rows[200:], held_out=rows[:200], config=config(precision=precision))
        assert all(p.dtype == torch.float32 for p in model.parameters())
        assert nats(model, objective, rows[:5]).dtype == torch.float32
    exact, low = (results[p].history.column("held_out") for p in ("fp32", "bf16"))
    start = loss_of(make(name)[0], rows[:200])
    assert low != exact, "otherwise nothing ran in bfloat16"
    assert abs(low[-1] - exact[-1]) < 0.05 * abs(start - exact[-1])


def test_targets_other_than_the_input(make: Any, rows: Tensor) -> None:
    model, objective = make("undercomplete")
    result = fit(
        model, objective, rows[200:], target=-rows[200:], held_out=rows[:200], held_out_target=-rows[:200], config=config(steps=300)
    )
    with torch.no_grad():
        rebuilt = model.reconstruct(rows[:200])
    assert (rebuilt + rows[:200]).square().mean() < (rebuilt - rows[:200]).square().mean()
    assert result.best_loss == pytest.approx(
        float(-model.decode(model.encode(rows[:200]).mean).log_prob(-rows[:200]).mean().detach()), rel=1e-6
    )


def test_rows_are_not_changed(make: Any, rows: Tensor) -> None:
    before = rows.clone()
    for name in FAMILIES:
        fit(*make(name), rows, config=config(steps=5))
    assert torch.equal(rows, before)


def process_state() -> dict[str, Any]:
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),
        "python": python_random.getstate(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "gradients": torch.is_grad_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "products": [part.fp32_precision for part in (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul, torch.backends.cudnn.conv)],
        "autocast": torch.is_autocast_enabled("cpu"),
        "anomaly": torch.is_anomaly_enabled(),
        "handler": signal.getsignal(signal.SIGINT),
        "environment": dict(os.environ),
        "folder": Path.cwd(),
    }


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("name", ["undercomplete", "variational", "denoising", "sparse topk"])
def test_a_fit_changes_no_state_of_the_process(make: Any, rows: Tensor, name: str, precision: str) -> None:
    model, objective = make(name)
    before = process_state()
    fit(model, objective, rows[200:], held_out=rows[:200], config=config(precision=precision, steps=25))
    nats(model, objective, rows[:10])
    after = process_state()
    for key, value in before.items():
        assert after[key] == value, key


def test_the_process_wide_seed_does_not_matter(make: Any, rows: Tensor) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model, objective = make("variational")
        fit(model, objective, rows, config=QUICK)
        found.append(copy(model))
    assert same(*found)


def test_no_rows(make: Any, rows: Tensor) -> None:
    with pytest.raises(DataError, match="no row to train on"):
        fit(*make("undercomplete"), rows[:0], config=QUICK)


@pytest.mark.parametrize("count", [1, 2, 31])
def test_fewer_rows_than_a_batch(make: Any, rows: Tensor, count: int) -> None:
    assert fit(*make("variational"), rows[:count], held_out=rows[50:51], config=QUICK).stopped == "steps"


def test_no_held_out_row_is_the_same_as_none(make: Any, rows: Tensor) -> None:
    assert "held_out" not in fit(*make("undercomplete"), rows, held_out=rows[:0], config=QUICK).history.names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        ({"batch": 2.5}, "batch must be a whole number"),
        ({"steps": True}, "steps must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"seed": 1 << 50}, "seed must be below"),
        ({"patience": 0}, "patience must be a whole number"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0"),
        ({"learning_rate": math.inf}, "learning_rate must be a finite number above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number above 0"),
        ({"learning_rate": "fast"}, "learning_rate must be a finite number above 0, not 'fast'"),
        ({"weight_decay": -0.1}, "weight_decay must be a finite number of at least 0"),
        ({"clip": 0.0}, "clip must be a finite number above 0"),
        ({"optimiser": "sgd"}, "optimiser must be one of adam, adamw, not 'sgd'"),
        ({"schedule": "zigzag"}, "schedule must be one of cosine, linear, constant"),
        ({"precision": "fp8"}, "precision must be one of fp32, tf32, bf16"),
        ({"batch": 33, "devices": 2}, r"batch \(33\) must be a multiple of devices \(2\)"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**settings)


def test_numbers_of_numpy_are_numbers() -> None:
    settings = TrainingConfig(steps=np.int64(5), seed=np.uint32(3), learning_rate=np.float32(0.5))  # pyright: ignore[reportArgumentType]
    assert (settings.steps, settings.seed, settings.learning_rate) == (5, 3, 0.5)
    assert type(settings.steps) is int


@pytest.mark.parametrize("name", ["cuda:99", "nonsense", "tpu"])
def test_a_device_that_is_not_there(make: Any, rows: Tensor, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"device '{name}' is not available here; use device='cpu' or 'auto'"):
        fit(*make("undercomplete"), rows, config=config(device=name))


def test_several_devices_need_torchrun(make: Any, rows: Tensor) -> None:
    with pytest.raises(ConfigError, match="torchrun --nproc-per-node 2"):
        fit(*make("undercomplete"), rows, config=config(devices=2))


def test_a_half_set_environment_is_named(make: Any, rows: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="WORLD_SIZE is 2 but RANK is not set: start with `torchrun`, or unset WORLD_SIZE"):
        fit(*make("undercomplete"), rows, config=config())


def test_automatic_device() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert World.join("cpu", 1) == World(0, 1, torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_gpu(make: Any, rows: Tensor, name: str, precision: str, tmp_path: Path) -> None:
    model, objective = make(name)
    result = fit(
        model, objective, rows[200:], held_out=rows[:200], config=config(device="cuda", precision=precision), checkpoint=tmp_path / "run"
    )
    assert next(model.parameters()).is_cuda
    assert result.history[-1]["held_out"] < result.history[0]["held_out"]
    reference, its_objective = make(name)
    expected = fit(reference, its_objective, rows[200:], held_out=rows[:200], config=QUICK)
    if name in ("undercomplete", "linear", "tied", "sparse l1", "sparse kl") and precision == "fp32":
        assert result.history.column("held_out") == pytest.approx(expected.history.column("held_out"), rel=1e-2)
    again, again_objective = make(name)
    resumed = fit(
        again,
        again_objective,
        rows[200:],
        held_out=rows[:200],
        config=config(device="cuda", precision=precision),
        checkpoint=tmp_path / "run",
        resume=True,
    )
    assert resumed.history.column("held_out") == result.history.column("held_out")
    assert nats(model, objective, rows[:10]).device.type == "cpu"


def test_tensorboard_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(
        MissingExtraError, match=r"writing TensorBoard files needs the package 'tensorboard'.*pip install 'isthmus\[tensorboard\]'"
    ):
        TensorBoard(tmp_path)


def test_tensorboard_writes(make: Any, rows: Tensor, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    result = fit(*make("variational"), rows[200:], held_out=rows[:200], config=QUICK, callbacks=[TensorBoard(tmp_path / "events")])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert {"train", "held_out", "held_out_kl", "learning_rate"} <= set(events.Tags()["scalars"])
    found = events.Scalars("held_out")
    assert [event.step for event in found] == [20, 40, 60]
    assert [event.value for event in found] == pytest.approx(result.history.column("held_out"), rel=1e-6)


def test_tensorboard_is_told_every_row(make: Any, rows: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TensorBoard itself: a writer that remembers."""

    class Writer:
        closed = False

        def __init__(self, folder: str) -> None:
            self.scalars: list[tuple[str, float, int]] = []

        def add_scalar(self, name: str, value: float, step: int) -> None:
            self.scalars.append((name, value, step))

        def close(self) -> None:
            self.closed = True

    module = type("Module", (), {"SummaryWriter": Writer})
    monkeypatch.setattr("isthmus.training.callbacks.require", lambda name, extra, purpose: module)
    board = TensorBoard(tmp_path)
    assert board.writer is None  # other processes than the first one make the board too, and must write nothing
    result = fit(*make("undercomplete"), rows, config=QUICK, callbacks=[board])
    expected = [(name, value, row["step"]) for row in result.history for name, value in row.items() if name != "step"]
    assert board.writer.scalars == expected
    assert board.writer.closed
