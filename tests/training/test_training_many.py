"""Many small models trained as one come out as each does alone."""

from __future__ import annotations

import math
import os
import signal
import threading
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from isthmus.bottlenecks import Gaussian as GaussianCode
from isthmus.errors import ConfigError, DataError, TrainingError
from isthmus.families import Architecture, get
from isthmus.fields import Field
from isthmus.nn import materialise
from isthmus.training import Callback, TrainingConfig, fit, fit_many
from isthmus.training import many as module
from isthmus.training.stack import Stack

CONFIG = TrainingConfig(steps=130, batch=16, learning_rate=5e-3, warmup=7, patience=4, evaluate_every=30)


@pytest.fixture(autouse=True, params=["numpy"])
def engine(request, monkeypatch) -> None:
    """Products by NumPy, where no test asks for torch's."""
    monkeypatch.setenv("ISTHMUS_ENGINE", request.param)


def built(family: str, width: int, seed: int, hidden: tuple[int, ...] = (6, 5), activation: str = "silu", **options):
    architecture = Architecture("mlp", hidden, activation=activation)
    options = {"latent": 3, "likelihood": "gaussian", "likelihood_scale": 1.0, **options}
    with torch.device("meta"):
        model, objective = get(family)([Field("x", "numbers", (width,))], architecture=architecture, **options)
    return materialise(model, seed).double(), objective


def table(width: int, seed: int, rows: int = 70) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, width, generator=generator, dtype=torch.float64) * torch.linspace(0.5, 1.5, width)


class Case:
    """The same models twice: to be trained one by one, and together."""

    def __init__(self, families, widths, configs=None, **options) -> None:
        count = len(widths)
        each = [{name: value[k] if isinstance(value, list) else value for name, value in options.items()} for k in range(count)]
        families = [families] * count if isinstance(families, str) else families
        self.singly, self.jointly = ([built(families[k], widths[k], k, **each[k]) for k in range(count)] for _ in range(2))
        self.rows = [table(width, k, 70 + 9 * k) for k, width in enumerate(widths)]
        self.held = [table(width, 100 + k, 20) for k, width in enumerate(widths)]
        self.configs = configs or [replace(CONFIG, seed=k) for k in range(count)]

    def alone(self) -> list:
        entries = zip(self.singly, self.rows, self.held, self.configs)
        return [fit(model, objective, rows, held_out=held, config=config) for (model, objective), rows, held, config in entries]

    def together(self, **more):
        models, objectives = zip(*self.jointly)
        return fit_many(models, objectives, self.rows, held_out=self.held, configs=self.configs, **more)

    def same(self, stacks, monkeypatch, **more) -> list:
        """Insist on equal results, and on how many models were in each stack."""
        sizes = []
        real = Stack.__init__

        def spy(self, members, batch, room=None):
            sizes.append(len(members)) if room is None else None
            real(self, members, batch, room)

        monkeypatch.setattr(Stack, "__init__", spy)
        wanted, found = self.alone(), self.together(**{"workers": 1, **more})
        assert stacks is None or sorted(sizes) == sorted(stacks)
        for (model, _), (other, _), mine, theirs in zip(self.singly, self.jointly, wanted, found, strict=True):
            assert (mine.steps, mine.best_step, mine.stopped) == (theirs.steps, theirs.best_step, theirs.stopped)
            assert theirs.best_loss == pytest.approx(mine.best_loss, rel=1e-9)
            for name, values in model.state_dict().items():
                torch.testing.assert_close(other.state_dict()[name], values, rtol=1e-9, atol=1e-9)
            assert mine.history.names == theirs.history.names
            for name in set(mine.history.names) - {"seconds", "samples_per_second"}:
                assert theirs.history.column(name) == pytest.approx(mine.history.column(name), rel=1e-9, abs=1e-9)
            assert all(p.is_contiguous() and p.grad is None and not other.training for p in other.parameters())
        return found


@pytest.mark.parametrize("engine", ["numpy", "plain"], indirect=True)
@pytest.mark.parametrize("activation", ["relu", "silu", "gelu", "tanh", "sigmoid"])
@pytest.mark.parametrize(("family", "scale"), [("undercomplete", 0.7), ("variational", "one"), ("variational", "per_value")])
def test_each_model_comes_out_as_alone(family, activation, scale, monkeypatch) -> None:
    Case(family, [7, 7, 7], activation=activation, likelihood_scale=scale).same([3], monkeypatch)


@pytest.mark.parametrize("corruption", ["gaussian", "masking", "salt_and_pepper"])
def test_each_model_has_its_own_noise(corruption, monkeypatch) -> None:
    case = Case("denoising", [7, 7, 7], corruption=corruption, level=[0.1, 0.2, 0.3])
    case.jointly[1][1].corruption = case.singly[1][1].corruption = None
    case.same([3], monkeypatch)


def test_each_model_has_its_own_settings(monkeypatch) -> None:
    changes = [
        {"learning_rate": 1e-2, "clip": 0.5},
        {"schedule": "linear", "steps": 77, "evaluate_every": 25},
        {"schedule": "constant", "warmup": 0, "optimiser": "adamw", "weight_decay": 0.1},
        {"weight_decay": 0.02, "patience": None, "evaluate_every": None},
    ]
    case = Case("variational", [7] * 4, [replace(CONFIG, seed=k, **change) for k, change in enumerate(changes)], beta=[0.1, 1.0, 2.0, 1.0])
    for k, (_, objective) in enumerate(case.singly + case.jointly):
        objective.warmup = (0, 10, 50, 500)[k % 4]
    case.same([4], monkeypatch)


def test_alike_settings_share_one_adam(monkeypatch) -> None:
    config = replace(CONFIG, optimiser="adamw", weight_decay=0.1, clip=0.3)
    Case("undercomplete", [7] * 3, [replace(config, seed=k) for k in range(3)]).same([3], monkeypatch)


@pytest.mark.parametrize("family", ["undercomplete", "variational", "denoising"])
@pytest.mark.parametrize("scale", [0.7, "one", "per_value"])
def test_narrower_models_are_padded_and_come_out_the_same(family, scale, monkeypatch) -> None:
    options = {"corruption": "masking"} if family == "denoising" else {}
    config = replace(CONFIG, weight_decay=0.05, clip=0.5)
    configs = [replace(config, seed=k, learning_rate=(1 + k) * 1e-3) for k in range(4)]
    Case(family, [7, 11, 5, 7], configs, likelihood_scale=scale, hidden=[(6, 5), (6, 5), (8, 4), (9, 9)], **options).same([4], monkeypatch)


def test_codes_of_several_widths_are_padded(monkeypatch) -> None:
    Case("undercomplete", [7] * 3, latent=[2, 3, 4]).same([3], monkeypatch)


@pytest.mark.parametrize("family", ["undercomplete", "variational"])
def test_what_is_padded_stays_zero(family) -> None:
    case = Case(family, [5, 9], likelihood_scale="per_value")
    jobs = module._jobs(*zip(*case.jointly), case.rows, case.held, [replace(CONFIG, weight_decay=0.1)] * 2, None)
    lanes = [module._Lane(job) for job in jobs]
    stack = Stack([lane.member for lane in lanes], 16)
    for step in range(30):
        stack.step(step)
        if step == 15:
            stack.read()
    used = torch.zeros_like(stack.buffers.values)
    for k, lane in enumerate(lanes):
        for parameter in lane.member.model.parameters():
            start = parameter.storage_offset()
            torch.as_strided(used, parameter.shape, parameter.stride(), start).fill_(1)
        assert used[k].sum() == sum(p.numel() for p in lane.member.model.parameters())
    moments = [value for name, value in stack.adam.kernel.state().items() if value.shape == used.shape]
    assert len(moments) == 2
    for part in (stack.buffers.values, stack.buffers.gradients, *moments):
        assert not part[used == 0].any()
        assert part[used == 1].count_nonzero() > 0.9 * used.sum()


def test_what_cannot_be_stacked_is_trained_alone(monkeypatch) -> None:
    case = Case(
        ["undercomplete", "undercomplete", "variational", "variational", "undercomplete", "variational", "undercomplete"],
        [7] * 7,
        activation=["silu", "silu", "silu", "silu", "elu", "silu", "relu"],
        likelihood_scale=[1.0, 1.0, 1.0, 1.0, 1.0, "predicted", 1.0],
    )
    case.same([2, 2], monkeypatch)


@pytest.mark.parametrize("change", [{"precision": "bf16"}, {"precision": "tf32"}, {"batch": 5000}, {"average": 0.9}, {"seconds": 9.0}])
def test_other_settings_are_trained_alone(change) -> None:
    width = 64 if "batch" in change else 7
    model, objective = built("undercomplete", width, 0, hidden=(64, 32))
    jobs = module._jobs([model], [objective], [table(width, 0, 5000)], None, [replace(CONFIG, **change)], None)
    assert not jobs[0].stackable()
    assert replace(jobs[0], config=CONFIG).stackable()


def test_units_that_are_not_silent_are_not_padded(monkeypatch) -> None:
    hidden = [(6, 5), (6, 5), (7, 5)]
    Case("undercomplete", [7, 5, 7], activation="sigmoid", hidden=hidden).same([2], monkeypatch)


def test_padding_must_pay(monkeypatch) -> None:
    def sizes(widths):
        models = [built("undercomplete", width, 0, hidden=(64,)) for width in widths]
        config = [TrainingConfig(batch=128)] * len(widths)
        jobs = module._jobs(*zip(*models), [table(width, 0, 200) for width in widths], None, config, None)
        return sorted(len(stack) for stack in module._stacks(jobs, workers=1))

    assert sizes([10, 12, 14] * 3) == [9]
    assert sizes([10] * 8 + [400] * 8) == [8, 8]
    assert sizes([10] * 40) == [13, 13, 14]


def test_models_that_stop_early_leave_the_stack(monkeypatch) -> None:
    kept = []
    real = Stack.keep
    monkeypatch.setattr(Stack, "keep", lambda self, which: kept.append(len(which)) or real(self, which))
    changes = [{"patience": 1, "evaluate_every": 3, "learning_rate": 0.03}, {}, {"patience": 1, "evaluate_every": 2}, {"steps": 40}]
    configs = [replace(CONFIG, seed=k, clip=0.5, **change) for k, change in enumerate(changes)]
    case = Case("undercomplete", [5, 7, 9, 7], configs)
    case.held[2] = -5 * case.held[2]
    stopped = [result.stopped for result in case.same([4], monkeypatch)]
    assert (stopped.count("early"), stopped[3]) == (2, "steps")
    assert kept == [3, 2, 1]


@pytest.mark.parametrize("forks", [True, False])
def test_workers_change_nothing(forks, monkeypatch) -> None:
    monkeypatch.setattr(module, "LITTLE", 1)
    monkeypatch.setattr(module, "forks", lambda: forks)
    divided = []
    real = module._Pack.divide
    monkeypatch.setattr(module._Pack, "divide", lambda self, workers: divided.extend(real(self, workers)) or real(self, workers))
    case = Case("variational", [7, 7, 7, 9, 7, 5, 7], likelihood_scale="per_value")
    before = set(threading.enumerate())
    case.same(None, monkeypatch, workers=3)
    assert sorted(map(len, divided)) == [2, 2, 3]
    assert set(threading.enumerate()) <= before


class Writing(Callback):
    """Writes down all it is told."""

    def __init__(self) -> None:
        self.told: list = []

    def started(self, config, step) -> None:
        self.told.append((config.seed, step))

    def stepped(self, step, terms) -> None:
        self.told.append((step, sorted(terms), math.isfinite(terms["loss"])))

    def evaluated(self, row, best) -> None:
        self.told.append((row["step"], round(row["held_out"], 6), best))

    def finished(self, stopped) -> None:
        self.told.append(stopped)


@pytest.mark.parametrize("workers", [1, 2])
def test_callbacks_see_the_same_however_many_work(workers, monkeypatch) -> None:
    monkeypatch.setattr(module, "LITTLE", 1)
    configs = [replace(CONFIG, seed=k, evaluate_every=20) for k in range(4)]
    case, done = Case("undercomplete", [7] * 4, configs), []
    seen, wanted = [Writing() for _ in range(4)], [Writing() for _ in range(4)]
    case.together(workers=workers, callbacks=[[watcher] for watcher in seen], told=lambda number, result: done.append((number, result)))
    for watcher, (model, objective), rows, held, config in zip(wanted, case.singly, case.rows, case.held, case.configs):
        fit(model, objective, rows, held_out=held, config=config, callbacks=[watcher])
    assert [watcher.told for watcher in seen] == [watcher.told for watcher in wanted]
    assert sorted(number for number, _ in done) == [0, 1, 2, 3]


def test_a_process_that_dies_is_told(monkeypatch) -> None:
    monkeypatch.setattr(module, "LITTLE", 1)
    monkeypatch.setattr(Stack, "step", lambda self, step: os._exit(7))
    with pytest.raises(TrainingError, match=r"ended with code 7 .* Use fewer workers"):
        Case("undercomplete", [7] * 4).together(workers=2)


def test_without_held_out_rows_the_last_weights_stay() -> None:
    case = Case("undercomplete", [7, 7])
    case.held = [None, case.held[1][:0]]
    wanted, found = case.alone(), case.together()
    assert [result.best_step for result in found] == [result.best_step for result in wanted] == [130, 130]
    for (mine, _), (theirs, _) in zip(case.singly, case.jointly):
        torch.testing.assert_close(list(theirs.parameters()), list(mine.parameters()), rtol=1e-9, atol=1e-9)


def test_float32_gives_the_same_up_to_rounding() -> None:
    case = Case("variational", [7, 7, 7])
    for model, _ in case.singly + case.jointly:
        model.float()
    case.rows, case.held = [part.float() for part in case.rows], [part.float() for part in case.held]
    for mine, theirs in zip(case.alone(), case.together()):
        assert theirs.best_loss == pytest.approx(mine.best_loss, rel=1e-4)


@pytest.mark.parametrize("when", ["in a step", "from the start", "without held-out rows"])
def test_one_that_diverges_does_not_stop_the_others(when) -> None:
    rates = [5e-3, 1e30 if when == "in a step" else 5e-3, 5e-3]
    case = Case("undercomplete", [7] * 3, [replace(CONFIG, seed=k, learning_rate=rate) for k, rate in enumerate(rates)])
    if when != "in a step":
        case.rows[1][3] = math.nan
        case.held = case.held if when == "from the start" else [None] * 3
    done = {}
    with pytest.raises(TrainingError, match=r"1 of 3 models diverged.* model 1: .* became (nan|inf)") as caught:
        case.together(told=done.__setitem__)
    with pytest.raises(TrainingError) as single:
        case.alone()
    outcomes = caught.value.result
    assert isinstance(outcomes, list)
    assert str(outcomes[1]) == str(single.value)
    assert outcomes[1] is done[1]
    assert [outcomes[k].stopped for k in (0, 2)] == ["steps", "steps"]
    assert all(p.isfinite().all() for model, _ in case.jointly for p in model.parameters())
    model, objective = case.singly[2]
    fit(model, objective, case.rows[2], held_out=case.held[2], config=case.configs[2])
    torch.testing.assert_close(list(case.jointly[2][0].parameters()), list(model.parameters()), rtol=1e-9, atol=1e-9)


class Interrupting(Callback):
    """Sends Ctrl-C to the process after some steps."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.told: list[str] = []

    def started(self, config, step) -> None:
        self.told.append("started")

    def stepped(self, step, terms) -> None:
        if step >= self.after and "asked" not in self.told:
            self.told.append("asked")
            os.kill(os.getpid(), signal.SIGINT)

    def finished(self, stopped) -> None:
        self.told.append(stopped)


@pytest.mark.parametrize(("workers", "forks"), [(1, True), (2, True), (2, False)])
def test_ctrl_c_keeps_the_best_of_each(workers, forks, monkeypatch) -> None:
    monkeypatch.setattr(module, "forks", lambda: forks)
    case = Case(["undercomplete"] * 4 + ["sparse"], [7] * 5, [replace(CONFIG, steps=200_000, patience=None, seed=k) for k in range(5)])
    watcher = Interrupting(2000)
    before = signal.getsignal(signal.SIGINT)
    results = case.together(workers=workers, callbacks=[[watcher], [], [], [], []])
    assert [result.stopped for result in results] == ["interrupted"] * 5
    assert watcher.told == ["started", "asked", "interrupted"]
    assert all(0 < result.best_step <= result.steps < 200_000 for result in results[:4])
    assert (results[4].steps, results[4].best_step, len(results[4].history)) == (0, 0, 0)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("forks", [True, False])
def test_an_error_in_between_leaves_whole_models(forks, monkeypatch) -> None:
    monkeypatch.setattr(module, "LITTLE", 1)
    monkeypatch.setattr(module, "forks", lambda: forks)

    class Failing(Callback):
        def evaluated(self, row, best) -> None:
            raise RuntimeError("the disk is full")

    case = Case("undercomplete", [7] * 4)
    with pytest.raises(RuntimeError, match="the disk is full"):
        case.together(workers=2, callbacks=[[Failing()], [], [], []])
    assert all(p.is_contiguous() and p.untyped_storage().size() == 8 * p.numel() for model, _ in case.jointly for p in model.parameters())


def test_the_code_is_gaussian_in_a_stack_of_variational_models() -> None:
    assert isinstance(built("variational", 7, 0)[0].bottleneck, GaussianCode)


def test_wrong_lists_are_refused() -> None:
    case = Case("undercomplete", [7, 7])
    models, objectives = zip(*case.jointly)
    with pytest.raises(ConfigError, match="2 models, but 1 entries in rows"):
        fit_many(models, objectives, case.rows[:1])
    with pytest.raises(ConfigError, match="same model is there twice"):
        fit_many([models[0]] * 2, objectives, case.rows)
    with pytest.raises(DataError, match="no row to train model 1"):
        fit_many(models, objectives, [case.rows[0], case.rows[1][:0]])
    assert fit_many([], [], []) == []
