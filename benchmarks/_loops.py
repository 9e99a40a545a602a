"""The floor that a user can reach by hand: data in one tensor, a permutation per epoch, index_select, torch.optim.Adam."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from _tasks import LEARNING_RATE, Array, Task

if TYPE_CHECKING:
    from torch import Tensor, nn


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with ReLU between them and none at the end."""
    from torch import nn

    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for m in modules for p in m.parameters())


def encode_slices(function: Callable[[Tensor], Tensor], x: Array, batch: int) -> Callable[[], Tensor]:
    """Encoding as one would write it: slices of one tensor, results joined."""
    import torch

    tensor = torch.from_numpy(x)

    def run() -> Tensor:
        with torch.inference_mode():
            return torch.cat([function(part) for part in tensor.split(batch)])

    return run


class Network:
    """Encoder and decoder; the VAE's encoder gives mean and log-variance from one layer of twice the width."""

    def __init__(self, task: Task) -> None:
        self.code = task.code
        self.encode = mlp((*task.widths[:-1], task.code * (2 if task.kind == "vae" else 1)))
        self.decode = mlp(task.widths[::-1])
        self.loss = self.elbo if task.kind == "vae" else self.squared_error

    def parameters(self) -> int:
        return count(self.encode, self.decode)

    def squared_error(self, x: Tensor) -> Tensor:
        from torch.nn.functional import mse_loss

        return mse_loss(self.decode(self.encode(x)), x)

    def elbo(self, x: Tensor) -> Tensor:
        import torch

        mean, logvar = self.encode(x).chunk(2, dim=1)
        z = torch.addcmul(mean, torch.randn_like(mean), (0.5 * logvar).exp())
        squares = torch.nn.functional.mse_loss(self.decode(z), x, reduction="sum")
        kl = (mean.square() + logvar.exp() - logvar - 1).sum()
        return (squares + kl) * (0.5 / len(x))

    def mean(self, x: Tensor) -> Tensor:
        return self.encode(x)[:, : self.code]

    def reconstruct(self, x: Array) -> Array:
        import torch

        with torch.inference_mode():
            return self.decode(self.mean(torch.from_numpy(x))).numpy()

    def encoder(self, x: Array, batch: int) -> Callable[[], Tensor]:
        return encode_slices(self.mean, x, batch)


class TightLoop:
    """The loop itself, with plain or fused Adam."""

    def __init__(self, name: str, fused: bool) -> None:
        self.name, self.fused = name, fused
        self.note = f"hand-written PyTorch, Adam(fused={fused})"

    def missing(self) -> str | None:
        return None

    def supports(self, _task: Task, /) -> bool:
        return True

    def fit(self, task: Task, epochs: int) -> Network:
        import torch

        torch.manual_seed(0)
        network, x = Network(task), torch.from_numpy(task.data)
        parameters = [*network.encode.parameters(), *network.decode.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True if self.fused else None)
        for _ in range(epochs):
            for index in torch.randperm(len(x)).split(task.batch):
                loss = network.loss(x.index_select(0, index))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
        return network


LOOPS = [TightLoop("tight loop", fused=False), TightLoop("tight loop, fused Adam", fused=True)]
