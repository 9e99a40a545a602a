"""How many threads a step is worth."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

SMALL = 100_000_000  # floating-point operations a step


def small(model: nn.Module, rows: int) -> bool:
    """Say whether a step on `rows` rows is too small to be shared by threads: dense layers only, and few operations."""
    dense = not any(isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)) for part in model.modules())
    return dense and 6 * rows * sum(parameter.numel() for parameter in model.parameters()) < SMALL


@contextmanager
def enough_threads(model: nn.Module, rows: int) -> Generator[None]:
    """Run small steps on one thread, and give torch and NumPy's BLAS their numbers of threads back at the end.

    Threads that share a step of a few microseconds cost more than they save, and on a busy machine, where they wait for one
    another's turn, a hundred times more.
    """
    with threads(1 if small(model, rows) else torch.get_num_threads()):
        if torch.get_num_threads() > 1:
            yield
        else:
            with one_blas_thread():
                yield


@contextmanager
def threads(count: int) -> Generator[None]:
    """Run torch on so many threads, and give it its number back at the end."""
    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_blas_thread() -> Generator[None]:
    """Hold NumPy's BLAS to one thread."""
    pools: Any = importlib.import_module("threadpoolctl")  # comes with scikit-learn
    with pools.ThreadpoolController().limit(limits=1, user_api="blas"):
        yield
