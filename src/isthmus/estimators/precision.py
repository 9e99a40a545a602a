"""Models are fitted in float32; rows given in float64 are answered in float64."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.data import Source


class _Double(Artifact):
    """A fitted model that computes in float64."""

    def prepare(self, source: Source) -> Tensor:
        return super().prepare(source).double()


def at_precision(artifact: Artifact, dtype: np.dtype[Any]) -> Artifact:
    """Return `artifact`, or for float64 a copy that computes in it.

    In float32 the last bits of a row's result depend on how many rows stand beside it, because matrix products of other sizes
    are added up in another order. Whoever asks in float64 gets results that do not.
    """
    if dtype != np.float64:
        return artifact
    model, objective = (copy.deepcopy(part).to(torch.float64) for part in (artifact.model, artifact.objective))
    return _Double(model, objective, artifact.schema, artifact.preprocessor, artifact.config, artifact.history, artifact.facts)  # pyright: ignore[reportArgumentType]
