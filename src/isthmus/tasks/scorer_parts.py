"""What an anomaly score is made of: distances to neighbours, and the tails that put statistics on one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
BODY = np.linspace(0.0, 0.9, 19)  # beyond the last of these quantiles the tail is taken as exponential
RISE = 1e-3  # least slope, so that the map stands still neither below the least value met nor where many values are equal
LONG = 100.0
NARROW = 1e-3  # least mean excess of a tail: statistics are logarithms
CAP = 4.0  # squared difference, in standard deviations, from which a column no longer decides which rows are alike
ALIKE = 10  # rows that say what is expected


@dataclass(frozen=True)
class Tail:
    r"""A map from a statistic to :math:`-\log p`, p being the share of healthy rows that reach it; linear beyond the body.

    Parameters
    ----------
    knots, heights : ndarray of shape (k,)
        Quantiles, and the map there.
    slope : float
        Of the part above the last knot.

    Examples
    --------
    >>> tail = Tail.fit(np.arange(100.0))
    >>> tail(np.array([50.0, 95.0, 1000.0])).round(1).tolist()
    [0.8, 3.5, 171.1]
    """

    knots: Array
    heights: Array
    slope: float

    @classmethod
    def fit(cls, values: Array) -> Tail:
        """Learn the tail from the values of rows that the statistic's makers have not seen.

        Parameters
        ----------
        values : ndarray of shape (n,)

        Returns
        -------
        Tail
        """
        values = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)  # a lone row has no neighbour
        knots = np.quantile(values, BODY)
        excess = values[values > knots[-1]] - knots[-1]
        return cls(knots, -np.log1p(-BODY), 1.0 / max(NARROW, float(excess.mean()) if len(excess) else 1.0))

    def __call__(self, values: Array) -> Array:
        r"""Return :math:`-\log p` of each value; ever rising."""
        over = np.maximum(values - self.knots[-1], 0.0)
        rising = RISE * np.clip(values - self.knots[0], -LONG, LONG)
        return np.interp(values, self.knots, self.heights) + self.slope * over + rising


class Neighbours:
    """Healthy rows kept to compare others with.

    Parameters
    ----------
    points : Tensor of shape (r, d)
    seen : Tensor of shape (r, d), optional
        1 where a value was observed.
    """

    def __init__(self, points: Tensor, seen: Tensor | None = None) -> None:
        self.points, self.seen = points, seen
        self.across = points.t().contiguous()
        self.squares = points.square().sum(1)

    def distances(self, rows: Tensor, present: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """Return squared distances over the columns observed in both, less what is the same for all points of a row.

        Parameters
        ----------
        rows : Tensor of shape (n, d)
            0 where missing.
        present : Tensor of shape (n, d), optional
        out : Tensor of shape (n, r), optional

        Returns
        -------
        Tensor of shape (n, r)
        """
        if present is None and self.seen is None:
            return torch.addmm(self.squares, rows, self.across, alpha=-2.0, out=out)
        here, there = (torch.ones_like(x) if mask is None else mask for x, mask in ((rows, present), (self.points, self.seen)))
        # The row's own square counts only where the point was observed, too.
        squares = torch.mm(here, self.points.square().t(), out=out).addmm_(rows.square(), (there - 1).t())
        return squares.addmm_(rows, self.across, alpha=-2.0)

    def look(
        self, rows: Tensor, present: Tensor | None = None, own: Tensor | None = None, out: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the rows with missing values taken from the nearest point, and the squared distance from it, shape (n,).

        Point number `own` of each row (-1: none) is left out.
        """
        distances = self.distances(rows, present, out)
        if own is not None:
            which = (own >= 0).nonzero().view(-1)
            distances[which, own[which]] = torch.inf
        least, place = (distances.amin(1), None) if present is None else distances.min(1)
        whole = rows if present is None else torch.where(present > 0, rows, self.points[place])
        return whole, least.add_(rows.square().sum(1)).clamp_(min=0)

    def nearest(self, rows: Tensor, present: Tensor | None = None, own: Tensor | None = None) -> Tensor:
        """Return the squared distance to the nearest point, shape (n,), leaving out point number `own` of each row (-1: none)."""
        return self.look(rows, present, own)[1]

    def fill(self, rows: Tensor, present: Tensor, own: Tensor | None = None) -> Tensor:
        """Return the rows with missing values taken from the nearest point, `own` left out."""
        return self.look(rows, present, own)[0]

    def alike(self, row: Tensor, present: Tensor | None) -> Tensor:
        """Return the mean of the points most alike a row, shape (d,), no single column deciding alone."""
        apart = (self.points - row).square_().clamp_(max=CAP)
        for mask in (present, self.seen):
            if mask is not None:
                apart.mul_(mask)
        return self.points[apart.sum(1).topk(min(ALIKE, len(apart)), largest=False).indices].mean(0)
