"""One process, or several that share each batch (started by torchrun)."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from isthmus.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; ``"auto"`` is a GPU where there is one.

    Parameters
    ----------
    name : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` ...

    Returns
    -------
    torch.device

    Raises
    ------
    ConfigError
        If there is no such device on this machine.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {name!r} is not available here; use device='cpu' or 'auto' ({str(error).splitlines()[0]})") from error
    return device


@dataclass(frozen=True)
class World:
    """The processes that train together.

    Attributes
    ----------
    rank, size : int
        This process and how many there are.
    device : torch.device
        Where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls, device: str, devices: int) -> World:
        """Join the processes torchrun started, or stand alone.

        Raises
        ------
        ConfigError
            If `devices` is not the number of processes that torchrun started, or WORLD_SIZE was set by something else.
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if devices != size and devices > 1:
            raise ConfigError(
                f"devices={devices} needs as many processes, but {size} run: start with "
                f"`torchrun --nproc-per-node {devices} your_script.py`, or use `isthmus fit --devices {devices}`"
            )
        if size == 1:
            return cls(0, 1, choose_device(device))
        if "RANK" not in os.environ:
            raise ConfigError(f"WORLD_SIZE is {size} but RANK is not set: start with `torchrun`, or unset WORLD_SIZE to use one process")
        rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
        chosen = choose_device(device if device not in ("auto", "cuda") or not torch.cuda.is_available() else f"cuda:{local}")
        if not _dist().is_initialized():
            _dist().init_process_group("nccl" if chosen.type == "cuda" else "gloo")
            atexit.register(_leave)
        return cls(rank, size, chosen)

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean over processes of a tensor without gradient."""
        if self.size == 1:
            return tensor
        total = tensor.detach().clone()
        _dist().all_reduce(total)
        return total / self.size

    def mean_in_place(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over processes, in one exchange."""
        if self.size == 1 or not tensors:
            return
        flat = self.mean(torch.cat([tensor.reshape(-1) for tensor in tensors]))
        for tensor, mine in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors])):
            tensor.copy_(mine.view_as(tensor))

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the tensors of the first one."""
        if self.size > 1:
            for tensor in tensors:
                _dist().broadcast(tensor, 0)

    def batch_mean(self, values: Tensor) -> Tensor:
        """Mean over the rows of all processes; gradients pass."""
        mean = values.mean(0)
        if self.size == 1:
            return mean
        return cast("Tensor", cast("Any", _Total).apply(mean)) / self.size

    def agreed(self, value: float) -> float:
        """Return the value of the first process."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        self.share([shared])
        return float(shared)

    def any(self, flag: bool) -> bool:
        """Say whether `flag` is set in any process."""
        return flag if self.size == 1 else bool(self.mean(torch.tensor(float(flag), device=self.device)) > 0)

    def mine(self, index: Tensor) -> Tensor:
        """Return this process's equal part of a batch."""
        if self.size == 1:
            return index
        rows = len(index) // self.size
        return index[self.rank * rows : (self.rank + 1) * rows]


class _Total(torch.autograd.Function):
    """Sum over processes. Each one's loss depends on it, so the gradient is the sum of theirs.

    `torch.distributed.nn.functional.all_reduce` does the same, but its graph holds the group beyond its end: the group's threads
    then outlive the interpreter and abort the process.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004
        total = values.detach().clone()
        _dist().all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004  # pyright: ignore[reportIncompatibleMethodOverride]
        return _Total.forward(None, gradient)


def _leave() -> None:
    """End the group before the interpreter goes: its threads would abort the process otherwise."""
    if _dist().is_initialized():
        _dist().destroy_process_group()


def _dist() -> Any:
    import torch.distributed

    return torch.distributed
