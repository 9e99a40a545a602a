"""Lightning's Trainer around the hand-written network, on a loader that takes whole batches from one tensor."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from _loops import Network
from _peers import missing
from _tasks import LEARNING_RATE, Role, Task

if TYPE_CHECKING:
    from torch import Tensor


class TensorLoader:
    """An epoch's batches by index_select: a DataLoader would fetch row by row."""

    def __init__(self, x: Tensor, batch: int) -> None:
        self.x, self.batch = x, batch

    def __len__(self) -> int:
        return len(self.x) // self.batch

    def __iter__(self) -> Iterator[Tensor]:
        import torch

        for index in torch.randperm(len(self.x)).split(self.batch):
            yield self.x.index_select(0, index)


def module(network: Network) -> Any:
    import lightning
    import torch

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.encode, self.decode = network.encode, network.decode

        def training_step(self, batch: Tensor, _index: int) -> Tensor:
            return network.loss(batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)

    return Module()


class Lightning:
    name = "lightning"
    note = "Trainer(barebones=True): no logger, checkpoint, progress bar or checks; the tight loop's network and batches"
    role: Role = "peer"

    def missing(self) -> str | None:
        return missing("lightning")

    def supports(self, _task: Task, /) -> bool:
        return True

    def fit(self, task: Task, epochs: int) -> Network:
        import lightning
        import torch

        torch.manual_seed(0)
        network = Network(task)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", barebones=True)
            trainer.fit(module(network), TensorLoader(torch.from_numpy(task.data), task.batch))
        network.encode.eval()
        return network


LIGHTNING = [Lightning()]
