"""Ways to make a dense layer's three products: plain torch, NumPy's BLAS, oneDNN. Each gives calls on fixed buffers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

Call = Callable[[], object]


class Kernel(Protocol):
    """One library's matrix products. The calls it returns read and write the tensors given, each time they are called."""

    name: str

    def forward(self, h: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``h @ weight.T + bias`` into `out`, shapes (n, a), (b, a), (b,) and (n, b)."""
        ...

    def of_input(self, gradient: Tensor, weight: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``gradient @ weight`` into `out`, shapes (n, b), (b, a) and (n, a)."""
        ...

    def of_weight(self, gradient: Tensor, h: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``gradient.T @ h`` into `out`, shapes (n, b), (n, a) and (b, a)."""
        ...

    def of_bias(self, gradient: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put the sums of the columns of `gradient` into `out`, shapes (n, b) and (b,)."""
        ...


class Plain:
    """`torch.mm` as it comes, MKL on most processors."""

    name = "plain"

    def forward(self, h: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``h @ weight.T + bias`` into `out`."""
        return [partial(torch.addmm, bias, h, weight.t(), out=out)]

    def of_input(self, gradient: Tensor, weight: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``gradient @ weight`` into `out`."""
        return [partial(torch.mm, gradient, weight, out=out)]

    def of_weight(self, gradient: Tensor, h: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``gradient.T @ h`` into `out`."""
        return [partial(torch.mm, gradient.t(), h, out=out)]

    def of_bias(self, gradient: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put the sums of the columns of `gradient` into `out`."""
        return [lambda: torch.sum(gradient, 0, out=out)]


class NumPy:
    """`numpy.matmul` on the same memory: less work a call, which counts where the products are small."""

    name = "numpy"

    def forward(self, h: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``h @ weight.T + bias`` into `out`."""
        return [partial(np.matmul, h.numpy(), weight.numpy().T, out.numpy()), partial(torch.add, out, bias, out=out)]

    def of_input(self, gradient: Tensor, weight: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``gradient @ weight`` into `out`."""
        return [partial(np.matmul, gradient.numpy(), weight.numpy(), out.numpy())]

    def of_weight(self, gradient: Tensor, h: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``gradient.T @ h`` into `out`."""
        return [partial(np.matmul, gradient.numpy().T, h.numpy(), out.numpy())]

    def of_bias(self, gradient: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put the sums of the columns of `gradient` into `out`."""
        ones = torch.ones(len(gradient), dtype=gradient.dtype).numpy()
        return [partial(np.matmul, ones, gradient.numpy(), out.numpy())]


class OneDNN:
    """`torch.mm` sent to oneDNN, which torch does for float32 only while lower precision is allowed for its products.

    On processors with float32 units alone oneDNN then still computes in float32, quicker than MKL on those of AMD. Others would round to
    bfloat16: `isthmus.training.probe` refuses the kernel there. The setting holds during one product and is put back.
    """

    name = "onednn"

    def __init__(self) -> None:
        self.plain = Plain()

    def forward(self, h: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``h @ weight.T + bias`` into `out`."""
        return [partial(_through_onednn, call) for call in self.plain.forward(h, weight, bias, out)]

    def of_input(self, gradient: Tensor, weight: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``gradient @ weight`` into `out`."""
        return [partial(_through_onednn, call) for call in self.plain.of_input(gradient, weight, out)]

    def of_weight(self, gradient: Tensor, h: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put ``gradient.T @ h`` into `out`."""
        return [partial(_through_onednn, call) for call in self.plain.of_weight(gradient, h, out)]

    def of_bias(self, gradient: Tensor, out: Tensor) -> list[Call]:
        """Return calls that put the sums of the columns of `gradient` into `out`."""
        return self.plain.of_bias(gradient, out)


class _Allowed:
    """Lower precision allowed for oneDNN while at least one thread is inside."""

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, ""

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                setting = cast("Any", torch.backends.mkldnn).matmul
                self.before = setting.fp32_precision
                setting.fp32_precision = "bf16"
            self.inside += 1

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                cast("Any", torch.backends.mkldnn).matmul.fp32_precision = self.before


_ALLOWED = _Allowed()


def _through_onednn(call: Call) -> None:
    with _ALLOWED:
        call()


KERNELS: dict[str, Kernel] = {"plain": Plain(), "numpy": NumPy(), "onednn": OneDNN()}
PRODUCTS = ("forward", "of_input", "of_weight")


def bind(kernel: Kernel, product: str, rows: int, width_in: int, width_out: int, dtype: torch.dtype = torch.float32) -> list[Call]:
    """Return the calls of one product on buffers of its own, filled with fixed numbers; the last buffer is what `result` finds."""
    generator = torch.Generator().manual_seed(0)
    h, gradient, weight = (
        torch.randn(shape, generator=generator, dtype=dtype) for shape in ((rows, width_in), (rows, width_out), (width_out, width_in))
    )
    if product == "forward":
        return kernel.forward(h, weight, torch.zeros(width_out, dtype=dtype), gradient)
    return kernel.of_input(gradient, weight, h) if product == "of_input" else kernel.of_weight(gradient, h, weight)


def relative_error(kernel: Kernel, rows: int = 64, width_in: int = 512, width_out: int = 96) -> float:
    """Return the root mean square error of ``h @ weight.T`` against float64, over that of the product; infinite where it cannot run."""
    generator = torch.Generator().manual_seed(1)
    h, weight = torch.randn(rows, width_in, generator=generator), torch.randn(width_out, width_in, generator=generator)
    out = torch.full((rows, width_out), torch.nan)
    with suppress(RuntimeError, AttributeError, TypeError):
        for call in kernel.forward(h, weight, torch.zeros(width_out), out):
            call()
    exact = h.double() @ weight.double().t()
    error = float((out.double() - exact).square().mean().sqrt() / exact.square().mean().sqrt())
    return error if error == error else float("inf")
