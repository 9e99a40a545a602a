"""The ways to make a product agree, are chosen by what was measured, and leave nothing changed."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus.errors import ConfigError
from isthmus.training import AutogradStep, TrainingConfig, fit, probe
from isthmus.training.kernels import KERNELS, PRODUCTS, relative_error
from isthmus.training.threads import threads

RATES = {product: {"plain": [1.0] * len(probe.SIZES), "numpy": [2.0] * 3 + [1.0] * (len(probe.SIZES) - 3)} for product in PRODUCTS}


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine of which nothing is known."""
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ISTHMUS_ENGINE", raising=False)
    monkeypatch.setattr(probe, "SECONDS", 1e-5)
    monkeypatch.setattr(probe, "SIZES", probe.SIZES[:3])
    for known in (probe.findings, probe.usable):
        known.cache_clear()
    yield tmp_path / "cache" / "engine.json"
    for known in (probe.findings, probe.usable):
        known.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows, a, b", [(1, 1, 1), (7, 5, 3), (128, 30, 64), (130, 257, 129)])
@pytest.mark.parametrize("name", KERNELS)
def test_products_are_those_of_the_formula(name: str, rows: int, a: int, b: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    h, gradient, weight, bias = (torch.randn(*s, generator=generator, dtype=dtype) for s in ((rows, a), (rows, b), (b, a), (b,)))
    out, of_h, of_weight = (torch.full(s, torch.nan, dtype=dtype) for s in ((rows, b), (rows, a), (b, a)))
    kernel = KERNELS[name]
    calls = kernel.forward(h, weight, bias, out) + kernel.of_input(gradient, weight, of_h) + kernel.of_weight(gradient, h, of_weight)
    of_bias = torch.full((b,), torch.nan, dtype=dtype)
    calls += kernel.of_bias(gradient, of_bias)
    before = torch.backends.mkldnn.matmul.fp32_precision
    for _ in range(2):
        for call in calls:
            call()
    exact = (h.double() @ weight.double().T + bias.double(), gradient.double() @ weight.double(), gradient.double().T @ h.double())
    limit = 3e-6 if dtype == torch.float32 else 1e-14
    exact = (*exact, gradient.double().sum(0))
    for found, wanted in zip((out, of_h, of_weight, of_bias), exact, strict=True):
        assert float((found.double() - wanted).norm() / wanted.norm()) < limit
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_the_setting_of_onednn_is_put_back_after_an_error() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    call = KERNELS["onednn"].of_input(torch.ones(2, 3), torch.ones(4, 5), torch.ones(2, 5))[0]
    with pytest.raises(RuntimeError):
        call()
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_threads_that_multiply_at_once_leave_the_setting_as_it_was() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    inside = threading.Barrier(2)

    def product() -> None:
        for call in KERNELS["onednn"].of_input(torch.ones(8, 8), torch.ones(8, 8), torch.ones(8, 8)):
            for _ in range(50):
                inside.wait()
                call()

    others = [threading.Thread(target=product) for _ in range(2)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_a_second_thread_that_leaves_last_puts_it_back() -> None:
    from isthmus.training.kernels import _ALLOWED

    before = torch.backends.mkldnn.matmul.fp32_precision
    _ALLOWED.__enter__()
    _ALLOWED.__enter__()
    _ALLOWED.__exit__()
    assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    _ALLOWED.__exit__()
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_a_kernel_that_rounds_coarsely_is_refused(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Coarse:
        name = "onednn"

        def forward(self, h: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> list[Any]:
            return [lambda: out.copy_((h.bfloat16() @ weight.bfloat16().T).float() + bias)]

    assert relative_error(Coarse()) > 1e-3
    monkeypatch.setitem(KERNELS, "onednn", Coarse())
    assert "onednn" not in probe.usable()
    monkeypatch.setenv("ISTHMUS_ENGINE", "onednn")
    assert probe.choose("forward", 128, 512, 512, torch.float32).name == "plain"


def test_a_torch_without_the_setting_gives_plain_products(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(call: object) -> None:
        raise AttributeError("module 'torch.backends.mkldnn' has no attribute 'matmul'")

    monkeypatch.setattr("isthmus.training.kernels._through_onednn", missing)
    assert relative_error(KERNELS["onednn"]) == float("inf")
    assert probe.usable() == ("plain", "numpy")
    assert set(probe.findings(1).rates["forward"]) == {"plain", "numpy"}


def test_measured_once_then_read(fresh: Path) -> None:
    first = probe.findings(1)
    assert first.origin == "measured"
    assert fresh.is_file()
    probe.findings.cache_clear()
    again = probe.findings(1)
    assert again.origin == "stored"
    assert again.rates == first.rates
    probe.forget()
    assert not fresh.exists()
    assert probe.findings(1).origin == "measured"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"KEY": {"1": {"forward": {}}}}', '{"KEY": {"1": {"forward": {"plain": ["x"]}}}}', '{"KEY": 3}']
)
def test_a_broken_file_is_measured_anew(fresh: Path, text: str) -> None:
    fresh.parent.mkdir()
    fresh.write_text(text.replace("KEY", probe.key()))
    assert probe.findings(1).origin == "measured"
    assert "1" in json.loads(fresh.read_text())[probe.key()]


def test_another_processor_does_not_count(fresh: Path) -> None:
    fresh.parent.mkdir()
    fresh.write_text(json.dumps({"another machine": {"1": RATES}}))
    assert probe.findings(1).origin == "measured"
    assert set(json.loads(fresh.read_text())) == {"another machine", probe.key()}


def test_where_nothing_can_be_stored_a_rule_decides(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_CACHE", str(Path("/dev/null") / "cache"))
    monkeypatch.setattr(probe, "processor", lambda: "AMD EPYC")
    with threads(1):
        found = probe.findings(1)
    assert found.origin == "assumed"
    assert found.best("forward", 1e5) == "numpy"
    monkeypatch.setattr(probe, "processor", lambda: "Intel Xeon")
    assert probe.assumed().best("forward", 1e8) in ("plain", "numpy")


def test_plain_unless_clearly_beaten() -> None:
    rates = {"plain": [100.0] * len(probe.SIZES), "onednn": [104.0] * (len(probe.SIZES) - 1) + [106.0]}
    found = probe.Findings({"forward": rates}, "measured")
    assert found.best("forward", probe.operations(probe.SIZES[0])) == "plain"
    assert found.best("forward", 1e12) == "onednn"


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_ENGINE", "mkl")
    with pytest.raises(ConfigError, match="ISTHMUS_ENGINE must be auto or one of plain, numpy, onednn, not 'mkl'"):
        probe.choose("forward", 1, 1, 1, torch.float32)


@pytest.mark.parametrize("family", ["undercomplete", "variational", "denoising"])
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_trains_the_same_model(make: Any, rows: Tensor, monkeypatch: pytest.MonkeyPatch, name: str, family: str) -> None:
    """30 steps of Adam in float32 against autograd: losses agree to 1e-4, some hundred roundings."""
    settings = TrainingConfig(steps=30, batch=64, evaluate_every=10, device="cpu")
    losses = []
    for engine in ({}, {"engine": AutogradStep}):
        monkeypatch.setenv("ISTHMUS_ENGINE", name)
        losses.append(fit(*make(family), rows[200:], held_out=rows[:200], config=settings, **engine).history.column("held_out"))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_numbers_that_are_none_are_told_by_the_loop_alone(make: Any, rows: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy would warn of each product, and warnings are errors here."""
    from isthmus.errors import TrainingError

    monkeypatch.setenv("ISTHMUS_ENGINE", "numpy")
    spoilt = rows.clone()
    spoilt[:, 0] = torch.inf
    with pytest.raises(TrainingError, match="became"):
        fit(*make("undercomplete"), spoilt, config=TrainingConfig(steps=5, batch=64, device="cpu"))


def test_parameters_stay_apart_in_one_buffer(make: Any, rows: Tensor) -> None:
    model, objective = make("variational")
    names = list(model.state_dict())
    fit(model, objective, rows, config=TrainingConfig(steps=2, batch=64, device="cpu"))
    assert list(model.state_dict()) == names
    starts = sorted((p.data_ptr(), p.data_ptr() + 4 * p.numel()) for p in model.parameters())
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(starts))
    copied = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(copied)
    assert np.isfinite(fit(model, objective, rows, config=TrainingConfig(steps=2, batch=64, device="cpu")).best_loss)
