"""Convolutions in the form a CPU computes quickest give what the plain ones give."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from isthmus.families import Architecture, get
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.nn import conv, materialise, strided, tied
from isthmus.objectives import Objective
from isthmus.training import TrainingConfig, encode, fit
from isthmus.training.memory import memory_at_hand
from isthmus.training.slices import slice_rows

onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
SHAPES = [(8, 8, 1), (9, 12, 3), (7, 5, 2)]


@contextmanager
def form(quick: bool, least: int = 0) -> Iterator[None]:
    """Take one form whatever the size and the precision; `least` decides between the two forms of a transposed convolution."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (conv, tied):
            patch.setattr(module, "quick", lambda *_: quick)
        patch.setattr(strided, "LEAST", least)
        yield


def build(
    shape: tuple[int, ...], family: str = "undercomplete", latent: int = 3, channels: tuple[int, ...] = (4, 18), **options: object
) -> tuple[Autoencoder, Objective]:
    tied_weights = bool(options.pop("tied", False))
    architecture = Architecture("conv", channels=channels, tied=tied_weights)
    model, objective = get(family)([Field("x", "picture", shape, "unit")], latent=latent, architecture=architecture, **options)
    return materialise(model, 1), objective


def rows(count: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def passed(model: Autoencoder, objective: Objective, x: Tensor) -> dict[str, Tensor]:
    """Code, reconstruction and gradients by name."""
    model.zero_grad()
    sum(term.mean() for term in objective(model, x).values()).backward()
    found = {"code": model.encode(x).mean.detach(), "rebuilt": model.reconstruct(x).detach()}
    return found | {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("least", [0, 10**9])
@pytest.mark.parametrize(
    "family, options",
    [
        ("undercomplete", {}),
        ("undercomplete", {"tied": True}),
        ("undercomplete", {"latent": 30}),
        ("variational", {"likelihood_scale": "predicted"}),
        ("sparse", {"latent": 20, "sparsity": "l1"}),
        ("denoising", {"likelihood": "continuous_bernoulli"}),
    ],
)
def test_same_as_plain(shape: tuple[int, ...], least: int, family: str, options: dict) -> None:
    model, objective = build(shape, family, **options)
    model.double()
    x = rows(11, shape, torch.float64)
    with form(False):
        wanted = passed(model, objective, x)
    with form(True, least):
        found = passed(model, objective, x)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert tensor.abs().max() > 0, name
        torch.testing.assert_close(found[name], tensor, rtol=1e-10, atol=1e-12, msg=name)


@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
@pytest.mark.parametrize("least", [0, 10**9])
def test_gradients_by_differences(size: tuple[int, int], least: int) -> None:
    draw = torch.Generator().manual_seed(0)
    h, weight, bias = (torch.randn(s, generator=draw, dtype=torch.float64).requires_grad_() for s in ((2, 3, 3, 4), (3, 2, 4, 4), (2,)))
    with form(True, least):
        assert torch.autograd.gradcheck(lambda *a: strided.up(*a, size), (h, weight, bias))
        assert torch.autograd.gradgradcheck(lambda *a: strided.up(*a, size), (h, weight, bias))


@pytest.mark.parametrize("least", [0, 10**9])
def test_per_row_gradients(least: int) -> None:
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 2, 4, 4, generator=draw, dtype=torch.float64)
    pictures = torch.randn(5, 1, 3, 4, 4, generator=draw, dtype=torch.float64)

    def each(double: Callable[..., Tensor]) -> Tensor:
        gradient = torch.func.grad(lambda w, h: double(h, w, None, (8, 7)).square().sum())
        return torch.func.vmap(gradient, in_dims=(None, 0))(weight, pictures)

    with form(True, least):
        torch.testing.assert_close(each(strided.up), each(strided.transposed), rtol=1e-10, atol=1e-12)


@onednn
@pytest.mark.parametrize("shape, count", [((28, 28, 1), 70), ((32, 32, 3), 60)])
def test_float32_rounds_no_worse_than_plain(shape: tuple[int, ...], count: int) -> None:
    model, objective = build(shape, channels=(16, 32, 64))
    x = rows(count, shape)
    assert conv.quick(x, *shape[:2])
    found = passed(model, objective, x)
    with form(False):
        plain = passed(model, objective, x)
        exact = passed(model.double(), objective, x.double())
    for name, tensor in exact.items():
        scale = float(tensor.abs().max())
        mine, theirs = (float((other[name].double() - tensor).abs().max()) / scale for other in (found, plain))
        assert mine < max(3e-6, 4 * theirs), name


@onednn
def test_the_quick_form_is_left_where_it_does_not_pay_or_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(100, 28, 28, 1)
    assert strided.quick(x, 28, 28)
    assert not strided.quick(x[:10], 28, 28)
    assert not strided.quick(x.double(), 28, 28)
    assert not strided.quick(x.to("meta"), 28, 28)
    with torch.autocast("cpu", torch.bfloat16):
        assert not strided.quick(x, 28, 28)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not strided.quick(x, 28, 28)


def test_the_size_decides_the_form() -> None:
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("transposed", "_interleaved"):
            real = getattr(strided, name)
            patch.setattr(strided, name, lambda *a, real=real, name=name: calls.append(name) or real(*a))
        for inputs, channels, count in ((20, 1, 100), (20, 16, 100), (20, 15, 100), (20, 1, 10)):
            strided.up(torch.zeros(count, inputs, 7, 7), torch.zeros(inputs, channels, 4, 4), None, (14, 14))
    assert calls == ["_interleaved", "transposed", "_interleaved", "transposed"]


@onednn
def test_encoding_first_does_not_hinder_training() -> None:
    strided._order.cache_clear()
    model, objective = build((16, 16, 1))
    x = rows(200, (16, 16, 1))
    assert conv.quick(x, 16, 16)
    with torch.inference_mode():
        before = model.reconstruct(x)
    passed(model, objective, x)
    torch.testing.assert_close(model.reconstruct(x), before)


@pytest.mark.parametrize("tied_weights", [False, True])
def test_runs_repeat_to_the_bit_and_leave_plain_tensors(tied_weights: bool) -> None:
    shape, x = (16, 16, 1), rows(400, (16, 16, 1))
    states = []
    for _ in range(2):
        model, objective = build(shape, tied=tied_weights)
        fit(model, objective, x, config=TrainingConfig(steps=6, batch=200))
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    untrained = build(shape, tied=tied_weights)[0].state_dict()
    assert list(states[0]) == list(untrained)
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
        assert not torch.equal(tensor, untrained[name]), name
        assert tensor.is_contiguous(), name
        assert tensor.stride() == untrained[name].stride(), name


def test_training_takes_the_same_way_as_plain() -> None:
    shape, x = (16, 16, 1), rows(400, (16, 16, 1))
    found = []
    for quick in (True, False):
        model, objective = build(shape)
        with form(quick, least=0):
            found.append(fit(model, objective, x, config=TrainingConfig(steps=20, batch=200, evaluate_every=5)).history.rows)
    for mine, theirs in zip(*found, strict=True):
        assert mine["train"] == pytest.approx(theirs["train"], rel=1e-5)


def test_slices() -> None:
    expected = {(28, 28, 1): 128, (64, 64, 3): 32, (256, 256, 3): 16}
    for shape, wanted in expected.items():
        channels = (64,) if shape[0] == 64 else (16, 32)
        assert slice_rows(build(shape, channels=channels)[0]) == wanted
    assert slice_rows(get("undercomplete")([Field("x", "numbers", (5,))], latent=2)[0]) is None
    assert slice_rows(build((28, 28, 1))[0].to("meta")) is None


def test_slices_do_not_change_codes() -> None:
    model, _ = build((28, 28, 1))
    x = rows(300, (28, 28, 1))
    torch.testing.assert_close(encode(model, x, slice_rows(model)), encode(model, x, 7), rtol=1e-4, atol=1e-6)


FAULTS = """
import resource, torch
from contextlib import nullcontext
from isthmus.training.memory import memory_at_hand

def faults(context):
    with context:
        for i in range(30):
            if i == 10:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            parts = [torch.ones(500_000) for _ in range(5)]
            del parts
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(nullcontext()), faults(memory_at_hand()))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep memory by rules of their own")
def test_memory_stays_at_hand() -> None:
    for _ in range(8):  # where the system puts the first blocks is chance: about every second process keeps its memory by itself
        done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
        without, with_it = map(int, done.stdout.split())
        assert with_it < 500
        if without > 10_000:
            return
    pytest.skip("here memory stays at hand by itself")


def test_no_memory_left_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "empty", refuse)
    with memory_at_hand():
        assert functional.relu(torch.ones(2)).sum() == 2
