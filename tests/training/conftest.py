"""Small models of several families, and rows to train them on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.objectives import AuxK, Objective, Reconstruction
from isthmus.tasks.config import Config
from isthmus.tasks.fit import build

SETTINGS = {
    "undercomplete": Config(family="undercomplete", latent=4, hidden=(16,)),
    "linear": Config(family="linear", latent=4),
    "variational": Config(family="variational", latent=4, hidden=(16,), kl_warmup=30, free_bits=0.1, likelihood_scale="per_value"),
    "denoising": Config(family="denoising", latent=4, hidden=(16,), corruption="masking"),
    "sparse topk": Config(family="sparse", latent=96, activity=0.02),
    "sparse kl": Config(family="sparse", latent=32, sparsity="kl"),
    "sparse l1": Config(family="sparse", latent=32, sparsity="l1"),
    "tied": Config(family="undercomplete", latent=4, hidden=(16,), tied=True),
}

Make = Callable[[str], tuple[Autoencoder, Objective]]


def impatient(objective: Objective) -> Objective:
    """AuxK that counts units as dead soon, so that its term is at work in a short run."""
    for part in objective.modules():
        if isinstance(part, AuxK):
            return Reconstruction() + AuxK(len(part.idle), k=part.k, patience=5)
    return objective


@pytest.fixture(scope="session")
def make() -> Make:
    def built(name: str) -> tuple[Autoencoder, Objective]:
        model, objective = build(Field("x", "numbers", (64,), "real"), SETTINGS[name])
        return model, impatient(objective)

    return built


@pytest.fixture(scope="session")
def rows(digits: np.ndarray) -> Tensor:
    flat = torch.from_numpy(digits.reshape(len(digits), -1))
    return (flat - flat.mean()) / flat.std()
