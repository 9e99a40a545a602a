"""Mean and scatter of rows that come in parts: what the linear autoencoder's closed form needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Preprocessor, Schema
from isthmus.data.moments import Summary, summarise
from isthmus.data.scales import make_plan
from isthmus.data.source import row_blocks
from isthmus.training import fit_linear_moments

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Moments:
    """Exact statistics of all rows seen, in the data's own units.

    Attributes
    ----------
    summary : Summary
        What the choice of a scaling needs.
    mean : ndarray of shape (d,), float64
    scatter : ndarray of shape (d, d), float64
        Sum over rows of the outer product of their distance from the mean.
    """

    summary: Summary
    mean: Array
    scatter: Array

    @classmethod
    def of(cls, array: Array, schema: Schema) -> Moments:
        """Measure `array` of shape (n, \\*schema.shape)."""
        summary = summarise(array, per_column=schema.kind == "table", moments=True)
        flat = array.reshape(len(array), -1)
        mean = flat.mean(0, dtype=np.float64)
        scatter = np.zeros((len(mean), len(mean)))
        for rows in row_blocks(len(flat), 8 * len(mean), 1 << 23):
            centred = flat[rows] - mean
            scatter += centred.T @ centred
        return cls(summary, mean, scatter)

    def merge(self, other: Moments) -> Moments:
        """Return the statistics of both sets of rows together.

        References
        ----------
        Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American Statistician 37, 1983.
        """
        n, m = self.summary.rows, other.summary.rows
        shift = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(shift, shift) * (n * m / (n + m))
        return Moments(_merge(self.summary, other.summary), self.mean + shift * (m / (n + m)), scatter)


def _merge(a: Summary, b: Summary) -> Summary:
    rows = a.rows + b.rows
    share = b.rows / rows
    shift = b.mean - a.mean
    variance = a.deviation**2 * (1 - share) + b.deviation**2 * share + shift**2 * share * (1 - share)
    low, high = np.minimum(a.low, b.low), np.maximum(a.high, b.high)
    zeros = (a.zero_one and b.zero_one, a.zero_full and b.zero_full)
    return Summary(rows, low, high, a.mean + shift * share, np.sqrt(variance), *zeros)


def refit(artifact: Artifact, moments: Moments, scaling: str) -> None:
    """Give a linear model, in place, the scaling and the weights that a fit on all rows seen would give."""
    plan = make_plan(moments.summary, artifact.schema, scaling)
    divisor = np.broadcast_to(plan.divisor, moments.mean.shape)
    mean = (moments.mean - plan.offset) / divisor
    scatter = moments.scatter / np.outer(divisor, divisor)
    tensors = [torch.from_numpy(values) for values in (mean, scatter)]  # pyright: ignore[reportUnknownMemberType]
    fit_linear_moments(artifact.model, *tensors, rows=moments.summary.rows)
    artifact.preprocessor = Preprocessor(artifact.schema, plan)
    artifact.config["scaling"] = plan.scale
    artifact.facts["rows"] = artifact.facts["training rows"] = moments.summary.rows
