"""In which order the rows are seen."""

from __future__ import annotations

import torch
from torch import Tensor


class Order:
    """Batches of row numbers: each epoch is a new permutation, decided by the seed and the epoch alone.

    A last batch that would not be full is left out; its rows come in other epochs.

    Parameters
    ----------
    rows, batch, seed : int
    step : int
        Step to go on from.
    device : torch.device, optional

    Examples
    --------
    >>> order = Order(rows=5, batch=2, seed=0)
    >>> [len(next(order)) for _ in range(3)]
    [2, 2, 2]
    """

    def __init__(self, rows: int, batch: int, seed: int, step: int = 0, device: torch.device | None = None) -> None:
        self.rows = rows
        self.batch = min(batch, rows)
        self.per_epoch = rows // self.batch
        self.seed = seed
        self.device = device
        self.step = step
        self._permutation = self._permute()

    @property
    def epoch(self) -> int:
        """The epoch of the next batch, counted from 0."""
        return self.step // self.per_epoch

    def _permute(self) -> Tensor:
        generator = torch.Generator().manual_seed((self.seed << 20) ^ self.epoch)
        return torch.randperm(self.rows, generator=generator).to(self.device)

    def __iter__(self) -> Order:
        return self

    def __next__(self) -> Tensor:
        place = self.step % self.per_epoch
        if place == 0 and self.step:
            self._permutation = self._permute()
        self.step += 1
        return self._permutation[place * self.batch : (place + 1) * self.batch]
