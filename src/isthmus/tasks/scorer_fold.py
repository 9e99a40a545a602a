"""One fold of an anomaly scorer: the autoencoders in it have seen the rows of that fold alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.tasks.scorer_parts import Array, Neighbours, Tail
from isthmus.training.denoisers import Denoisers

Arrays = dict[str, NDArray[Any]]
POINTS = 2000  # rows at most that stand as neighbours
BLOCK = 512  # rows scored at once, always as many, so that a row's score does not depend on how many come with it
LEAST = 1e-4  # variance of a residual that counts as none
RIDGE = 0.1  # of the residuals' correlation, beside its share of columns per row
WIDE = 256  # columns from which correlations of residuals are left out
TINY = 1e-6
_LINALG: Any = torch.linalg


@dataclass
class Fold:
    """Models, neighbours and tails.

    Attributes
    ----------
    nets : Denoisers
    metric : Tensor of shape (d, d) or (d,)
        What residuals are multiplied by: it makes those of healthy rows uncorrelated and of unit size (one number a column where the
        table is wide).
    neighbours : Neighbours
    tails : list of Tail
        Of the residuals and of the distance.
    """

    nets: Denoisers
    metric: Tensor
    neighbours: Neighbours
    tails: list[Tail]

    @classmethod
    def fit(
        cls,
        nets: Denoisers,
        rows: Tensor,
        unseen: Tensor,
        present: Tensor | None,
        trimmed: float,
        seed: int,
        shared: tuple[Neighbours, Tensor] | None = None,
    ) -> Fold:
        """Learn metric, neighbours and tails.

        Parameters
        ----------
        nets : Denoisers
        rows : Tensor of shape (n, d)
            The fold's.
        unseen : Tensor of shape (n,)
            The number of the model that has not learned from the row.
        present : Tensor of shape (n, d), optional
        trimmed : float
            Share of the rows, the worst rebuilt, that counts as polluted: they are nobody's neighbours, and spreads come without them.
        seed : int
        shared : (Neighbours, Tensor of shape (n,)), optional
            Neighbours of every fold, and each row's number among them; the fold's own rows if None.

        Returns
        -------
        Fold
        """
        neighbours, place = shared or _sample(rows, present, torch.arange(len(rows)), seed)
        residuals = _residuals(nets, rows if present is None else _complete(neighbours, rows, present, place), unseen)
        if present is not None:
            residuals.mul_(present)
        if trimmed:
            kept = residuals.square().sum(1).argsort()[: max(1, round(len(rows) * (1 - trimmed)))]
            neighbours, place = _sample(rows, present, kept, seed)
            metric = _metric(residuals[kept])
        else:
            metric = _metric(residuals)
        fold = cls(nets, metric, neighbours, [])
        far = torch.cat([neighbours.nearest(*part) for part in _blocks(rows, present, place)]) / rows.shape[1]
        fold.tails = [Tail.fit(_log(value)) for value in (fold.strangeness(residuals), far)]
        return fold

    def strangeness(self, residuals: Tensor) -> Tensor:
        """Return the mean square of residuals under the metric, shape (..., n)."""
        scaled = residuals @ self.metric if self.metric.ndim > 1 else residuals * self.metric
        return scaled.square_().sum(-1).div_(residuals.shape[-1])

    def residuals(self, whole: Tensor, present: Tensor | None) -> Tensor:
        """Return what each model takes away from rows whose gaps are filled, shape (models, n, d); 0 where missing."""
        residuals = self.nets(whole).sub_(whole)
        return residuals if present is None else residuals.mul_(present)

    def surprises(self, residuals: Tensor, far: Tensor) -> Array:
        """Return both surprises of each row, shape (2, n), by its residuals and its squared distance from the nearest neighbour."""
        statistics = self.strangeness(residuals).mean(0), far / residuals.shape[-1]
        return np.stack([tail(_log(value)) for tail, value in zip(self.tails, statistics)])

    def explain(self, row: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return each column's part of a row's score, and what was expected there, both of shape (d,)."""
        seen = None if present is None else present.unsqueeze(0)
        whole, far = self.neighbours.look(row.unsqueeze(0), seen)
        every = self.residuals(whole, seen)
        residuals = every[:, 0]
        precision = self.metric @ self.metric.t() if self.metric.ndim > 1 else self.metric.square().diag()
        rebuilt = (residuals * (residuals @ precision)).mean(0).clamp_(min=0)
        expected = self.neighbours.alike(row, present)
        apart = (row - expected).square()
        if present is not None:
            apart.mul_(present)
        weights = np.maximum(self.surprises(every, far)[:, 0], 0.0)
        shares = [part / part.sum().clamp(min=TINY) * weight for part, weight in zip((rebuilt, apart), weights)]
        return shares[0] + shares[1], expected

    def state(self) -> Arrays:
        """Return everything as arrays."""
        tensors = {f"weight{k}": w for k, w in enumerate(self.nets.weights)} | {f"bias{k}": b for k, b in enumerate(self.nets.biases)}
        tensors |= {"metric": self.metric, "points": self.neighbours.points}
        if self.neighbours.seen is not None:
            tensors["seen"] = self.neighbours.seen
        tails = np.stack([np.r_[tail.knots, tail.heights, tail.slope] for tail in self.tails])
        return {name: tensor.numpy().copy() for name, tensor in tensors.items()} | {"tails": tails}

    @classmethod
    def from_state(cls, arrays: Arrays, shared: Neighbours | None = None) -> Fold:
        """Make a fold of what `state` gave, with the neighbours of another one where it has none of its own."""
        layers = sum(name.startswith("weight") for name in arrays)
        tensors = {name: torch.tensor(np.asarray(array)) for name, array in arrays.items() if name != "tails"}
        nets = Denoisers([tensors[f"weight{k}"] for k in range(layers)], [tensors[f"bias{k}"] for k in range(layers)])
        tails = [Tail(*np.split(row[:-1], 2), slope=float(row[-1])) for row in np.asarray(arrays["tails"], np.float64)]
        neighbours = Neighbours(tensors["points"], tensors.get("seen")) if shared is None or "points" in tensors else shared
        return cls(nets, tensors["metric"], neighbours, tails)


def score(folds: Sequence[Fold], rows: Tensor, present: Tensor | None, own: Tensor | None = None) -> Array:
    """Return the sum of the surprises by every fold, shape (K, n).

    Parameters
    ----------
    folds : sequence of Fold
        Those that share their neighbours look for them once.
    rows : Tensor of shape (n, d)
    present : Tensor of shape (n, d), optional
    own : Tensor of shape (n,), optional
        Each row's number among the neighbours, -1 where it is none of them.

    Returns
    -------
    ndarray of shape (K, n)
    """
    out = rows.new_empty(BLOCK, max(len(fold.neighbours.points) for fold in folds))
    scores = np.empty((len(folds), len(rows)))
    for i in range(0, len(rows), BLOCK):
        size = min(BLOCK, len(rows) - i)
        block, seen = _filled(rows, i, size), None if present is None else _filled(present, i, size)
        places = None if own is None else torch.cat([own[i : i + size], own.new_full((BLOCK - size,), -1)])
        known: dict[int, tuple[Tensor, Tensor]] = {}
        for k, fold in enumerate(folds):
            key = id(fold.neighbours)
            if key not in known:
                known[key] = fold.neighbours.look(block, seen, places, out[:, : len(fold.neighbours.points)])
            whole, far = known[key]
            scores[k, i : i + size] = fold.surprises(fold.residuals(whole, seen), far).sum(0)[:size]
    return scores


def _blocks(rows: Tensor, present: Tensor | None, place: Tensor) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
    """Yield rows, where they were observed, and their numbers among the points, some rows at a time."""
    for i in range(0, len(rows), BLOCK):
        yield rows[i : i + BLOCK], None if present is None else present[i : i + BLOCK], place[i : i + BLOCK]


def _sample(rows: Tensor, present: Tensor | None, kept: Tensor, seed: int) -> tuple[Neighbours, Tensor]:
    """Return some of the kept rows as neighbours, and each row's number among them, -1 where it is none of them."""
    chosen = kept[torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed))[:POINTS]]
    place = torch.full((len(rows),), -1).scatter_(0, chosen, torch.arange(len(chosen)))
    return Neighbours(rows[chosen], None if present is None else present[chosen]), place


def _complete(neighbours: Neighbours, rows: Tensor, present: Tensor, place: Tensor) -> Tensor:
    """Return the rows with missing values taken from the nearest other row."""
    return torch.cat([neighbours.look(*part)[0] for part in _blocks(rows, present, place)])


def _residuals(nets: Denoisers, rows: Tensor, unseen: Tensor) -> Tensor:
    """Return what the model that has not learned from a row takes away from it, shape (n, d)."""
    residuals = torch.empty_like(rows)
    for model in range(len(nets)):
        own = (unseen == model).nonzero().view(-1)
        residuals[own] = nets.take(slice(model, model + 1))(rows[own])[0] - rows[own]
    return residuals


def _filled(table: Tensor, start: int, size: int) -> Tensor:
    """Return a block of rows, filled up with zeros."""
    block = table[start : start + size]
    return block if size == BLOCK else torch.cat([block, block.new_zeros(BLOCK - size, table.shape[1])])


def _log(values: Tensor) -> Array:
    return np.log(values.double().numpy() + TINY)


def _metric(residuals: Tensor) -> Tensor:
    """Return what makes residuals uncorrelated and of unit size, as far as their number allows."""
    count, width = residuals.shape
    scale = residuals.square().mean(0).add_(LEAST).rsqrt_()
    if width > WIDE:
        return scale
    scaled = (residuals * scale).double()
    correlation = scaled.t() @ scaled / count + (RIDGE + width / count) * torch.eye(width, dtype=torch.float64)
    values, vectors = _LINALG.eigh(correlation)
    return (scale.unsqueeze(1) * (vectors / values.sqrt()).float()).contiguous()
