"""Use a fitted model: codes, reconstructions, scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.distributions.posterior import variances
from isthmus.tasks.distance import squared_errors
from isthmus.training import decode as decode_rows
from isthmus.training import encode as encode_rows
from isthmus.training import in_batches, nats
from isthmus.training import reconstruct as reconstruct_rows

Array = NDArray[Any]


def encode(artifact: Artifact, source: Source) -> Array:
    """Return the (mean) code of every row, shape (n, latent), float32."""
    return encode_rows(artifact.model, artifact.prepare(source)).numpy()


def posterior(artifact: Artifact, source: Source) -> tuple[Array, Array]:
    """Return mean and standard deviation of the code of every row, each of shape (n, latent).

    The standard deviation is zero where the code is a function of the row.
    """

    def both(x: torch.Tensor) -> torch.Tensor:
        q = artifact.model.encode(x)
        return torch.stack([q.mean, variances(q).sqrt()], dim=1)

    found = in_batches(both, artifact.prepare(source)).numpy()
    return found[:, 0], found[:, 1]


def decode(artifact: Artifact, codes: Array) -> Array:
    """Return the mean of the data of every code, in the data's own units, shape (n, \\*shape)."""
    rows = torch.as_tensor(np.ascontiguousarray(codes, dtype=np.float32))
    return artifact.restore(decode_rows(artifact.model, rows))


def reconstruct(artifact: Artifact, source: Source) -> Array:
    """Return every row rebuilt, in the data's own units, shape (n, \\*shape)."""
    return artifact.restore(reconstruct_rows(artifact.model, artifact.prepare(source)))


def explicable(artifact: Artifact, rows: torch.Tensor) -> torch.Tensor:
    """Return preprocessed rows, or refuse those to which the model's likelihood can give no probability, such as grey values for coins.

    A model whose coins are drawn anew at each step takes the chances themselves.

    Raises
    ------
    DataError
        If a value lies outside the likelihood's support.
    """
    if not artifact.config.get("binarise"):
        artifact.model.likelihood.check(rows)
    return rows


def score(artifact: Artifact, source: Source) -> Array:
    """Return the log likelihood of every row (a lower bound for a variational model), in nats of the scaled data, shape (n,).

    Higher is more familiar. The same row always gets the same score.
    """
    return nats(artifact.model, artifact.objective, explicable(artifact, artifact.prepare(source))).numpy()


def errors(artifact: Artifact, source: Source) -> Array:
    """Return the mean squared reconstruction error of every row, in scaled units and over what is observed, shape (n,)."""
    rows = artifact.prepare(source)
    return squared_errors(artifact.field, artifact.bare(reconstruct_rows(artifact.model, rows)), artifact.bare(rows)).numpy()


def scores(artifact: Artifact, source: Source) -> Array:
    """Return `score` and `errors` of every row, shape (n, 2), float32: the rows are prepared once."""
    rows = explicable(artifact, artifact.prepare(source))
    found = squared_errors(artifact.field, artifact.bare(reconstruct_rows(artifact.model, rows)), artifact.bare(rows))
    return torch.stack([nats(artifact.model, artifact.objective, rows), found], dim=1).numpy()
