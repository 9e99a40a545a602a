"""What a user can reach by hand in PyTorch: data in one tensor, a permutation per epoch, index_select, torch.optim.Adam."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from _peak import medium
from _tasks import LEARNING_RATE, Array, ConvTask, Role, Task

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

Setting = Callable[[], AbstractContextManager[None]]


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with ReLU between them and none at the end."""
    from torch import nn

    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def conv_encoder(task: ConvTask) -> nn.Sequential:
    """(batch, H, W, C) to (batch, code)."""
    import torch
    from torch import nn

    class ChannelsFirst(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.movedim(x, -1, 1)

    layers: list[nn.Module] = [ChannelsFirst()]
    for (a, b), side in zip(pairwise((task.shape[-1], *task.channels)), task.sides, strict=False):
        layers += [nn.ZeroPad2d((0, 1, 0, 1))] * (side % 2) + [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.SiLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(task.inner, task.code))


def conv_decoder(task: ConvTask) -> nn.Sequential:
    """(batch, code) to (batch, H, W, C)."""
    import torch
    from torch import nn

    class Crop(nn.Module):
        def __init__(self, side: int) -> None:
            super().__init__()
            self.side = side

        def forward(self, h: Tensor) -> Tensor:
            return h[:, :, : self.side, : self.side]

    class ChannelsLast(nn.Module):
        def forward(self, h: Tensor) -> Tensor:
            return torch.movedim(h, 1, -1)

    layers: list[nn.Module] = [nn.Linear(task.code, task.inner), nn.Unflatten(1, (task.channels[-1], *task.sides[-1:] * 2))]
    for (b, a), side in zip(pairwise((*task.channels[::-1], task.shape[-1])), task.sides[-2::-1], strict=True):
        layers += [nn.SiLU(), nn.ConvTranspose2d(b, a, 4, stride=2, padding=1)] + [Crop(side)] * (side % 2)
    return nn.Sequential(*layers, ChannelsLast())


def encoder_layers(task: Task) -> nn.Sequential:
    """The VAE's encoder gives mean and log-variance from one layer of twice the width."""
    return conv_encoder(task) if isinstance(task, ConvTask) else mlp((*task.widths[:-1], task.code * (2 if task.kind == "vae" else 1)))


def decoder_layers(task: Task) -> nn.Sequential:
    return conv_decoder(task) if isinstance(task, ConvTask) else mlp(task.widths[::-1])


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for m in modules for p in m.parameters())


def encode_slices(function: Callable[[Tensor], Tensor], x: Array, batch: int, setting: Setting = nullcontext) -> Callable[[], Tensor]:
    """Encoding as one would write it: slices of one tensor, results joined."""
    import torch

    tensor = torch.from_numpy(x)

    def run() -> Tensor:
        with torch.inference_mode(), setting():
            return torch.cat([function(part) for part in tensor.split(batch)])

    return run


class Network:
    """Encoder, decoder and loss of a task."""

    def __init__(self, task: Task, setting: Setting = nullcontext) -> None:
        self.code, self.setting = task.code, setting
        self.encode, self.decode = encoder_layers(task), decoder_layers(task)
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
        return encode_slices(self.mean, x, batch, self.setting)


def autocast() -> AbstractContextManager[None]:
    import torch

    return torch.autocast("cpu", dtype=torch.bfloat16)


@dataclass
class TightLoop:
    """The loop itself; `setting` is a context around the run, `forward` one around each loss."""

    name: str
    note: str
    fused: bool = True
    setting: Setting = nullcontext
    forward: Setting = nullcontext
    role: Role = "floor"

    def missing(self) -> str | None:
        return None

    def supports(self, _task: Task, /) -> bool:
        return True

    def fit(self, task: Task, epochs: int) -> Network:
        import torch

        torch.manual_seed(0)
        network = Network(task, self.forward if self.setting is nullcontext else self.setting)
        parameters = [*network.encode.parameters(), *network.decode.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True if self.fused else None)
        with self.setting():
            self.train(network, optimizer, torch.from_numpy(task.data), task.batch, epochs)
        return network

    def train(self, network: Network, optimizer: Optimizer, x: Tensor, batch: int, epochs: int) -> None:
        import torch

        for _ in range(epochs):
            for index in torch.randperm(len(x)).split(batch):
                with self.forward():
                    loss = network.loss(x.index_select(0, index))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()


LOOPS = [
    TightLoop("tight loop", "hand-written PyTorch, torch.optim.Adam as it comes", fused=False),
    TightLoop("tight loop, fused Adam", "the same with Adam(fused=True)"),
    TightLoop("tight loop, medium", 'fused Adam and torch.set_float32_matmul_precision("medium"), put back after the run', setting=medium),
    TightLoop("autocast bf16", "fused Adam, losses under torch.autocast(bfloat16); not ranked", forward=autocast, role="reference"),
]
