"""How products and convolutions may round while a model trains."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, cast

import torch


def _settings(device: torch.device) -> list[Any]:
    """Return torch's settings for float32 arithmetic on the device."""
    backends = cast("Any", torch.backends)
    with suppress(AttributeError):
        return [backends.mkldnn.matmul] if device.type == "cpu" else [backends.cuda.matmul, backends.cudnn.conv]
    return []


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Generator[None]:
    """Allow TensorFloat-32 only if it is asked for, and put torch's settings back at the end.

    Torch's convolutions on GPUs would use it unasked: 10 bits of mantissa instead of 23.

    Parameters
    ----------
    precision : {"fp32", "tf32", "bf16"}
    device : torch.device
    """
    wanted = "tf32" if precision == "tf32" else "ieee"
    changed = [(setting, setting.fp32_precision) for setting in _settings(device)]
    try:
        for setting, _ in changed:
            setting.fp32_precision = wanted
        yield
    finally:
        for setting, before in changed:
            setting.fp32_precision = before
