"""The rate of matrix products on this process's threads, by every road that a Python program has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FLOAT32_ERROR = 1e-5  # relative; bfloat16 products of these sizes are off by some 1e-3
SIZES = (512, 1024, 2048)


class Peak(NamedTuple):
    """Best rate in FLOP/s over a few square sizes, and the relative error of a product."""

    rate: float
    error: float

    @property
    def float32(self) -> bool:
        return self.error < FLOAT32_ERROR


@contextmanager
def medium() -> Iterator[None]:
    """torch.set_float32_matmul_precision("medium"), by which torch takes oneDNN instead of MKL; the setting is put back."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _fastest(function: Callable[[], Any], seconds: float) -> float:
    function()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def _torch_product(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any]) -> Callable[[], Any]:
    import torch

    x, y, z = torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(out)
    return lambda: torch.mm(x, y, out=z)


def _numpy_product(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any]) -> Callable[[], Any]:
    return lambda: np.matmul(a, b, out=out)


def _measure(product: Callable[..., Callable[[], Any]], seconds: float, sizes: Sequence[int]) -> Peak:
    generator, rates, error = np.random.default_rng(0), list[float](), 0.0
    for n in sizes:
        a, b = (generator.standard_normal((n, n), dtype=np.float32) for _ in range(2))
        out = np.empty((n, n), np.float32)
        rates.append(2 * n**3 / _fastest(product(a, b, out), seconds))
        exact = a[:16].astype(np.float64) @ b
        error = max(error, float(np.linalg.norm(out[:16] - exact) / np.linalg.norm(exact)))
    return Peak(max(rates), error)


def gemm_peaks(seconds: float = 0.3, sizes: Sequence[int] = SIZES) -> dict[str, Peak]:
    """Square products of float32 matrices by torch.mm, by torch.mm with oneDNN, and by NumPy."""
    found = {"torch.mm": _measure(_torch_product, seconds, sizes), "numpy": _measure(_numpy_product, seconds, sizes)}
    with medium():
        found["oneDNN"] = _measure(_torch_product, seconds, sizes)
    return found


def best_float32(peaks: dict[str, Peak]) -> float:
    """The best rate that kept float32's accuracy: on a chip with AMX tiles "medium" multiplies in bfloat16 and does not count."""
    return max(peak.rate for peak in peaks.values() if peak.float32)


def tell(peaks: dict[str, Peak]) -> str:
    """One line for the head of a run."""
    parts = [f"{name} {p.rate / 1e9:.0f}{'' if p.float32 else f' (not float32: off by {p.error:.0e})'}" for name, p in peaks.items()]
    return f"{', '.join(parts)} GFLOP/s in float32"
