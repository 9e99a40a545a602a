"""How many threads a step is worth."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

SMALL = 100_000_000  # floating-point operations a step


def small(model: nn.Module, rows: int) -> bool:
    """Say whether a step on `rows` rows is too small to be shared by threads: dense layers only, and few operations."""
    dense = not any(isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)) for part in model.modules())
    return dense and 6 * rows * sum(parameter.numel() for parameter in model.parameters()) < SMALL


@contextmanager
def enough_threads(model: nn.Module, rows: int) -> Generator[None]:
    """Run small steps on one thread, and give torch its number of threads back at the end.

    Threads that share a step of a few microseconds cost more than they save, and on a busy machine, where they wait for one
    another's turn, a hundred times more.
    """
    before = torch.get_num_threads()
    if before == 1 or not small(model, rows):
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
