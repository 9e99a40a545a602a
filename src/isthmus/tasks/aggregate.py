"""The codes of many rows against the prior: units that carry something, moments, and a kernel distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.distributions import GeneratorNoise
from isthmus.models import Autoencoder
from isthmus.priors import Prior, StandardNormal
from isthmus.tasks.latent import some
from isthmus.training import in_batches

Array = NDArray[Any]
COMPARED = 2000
ACTIVE = 0.01
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, eq=False)
class Aggregate:
    """What the codes of many rows look like, one code drawn for each.

    Attributes
    ----------
    kl : array of shape (groups,)
        Mean KL(q || prior) of each group of units that the prior splits it into, in nats.
    active : array of bool, shape (latent,)
        Units whose mean code varies by more than 0.01 over the rows (Burda et al., 2016, section 5.1.1).
    mean, deviation : array of shape (latent,)
        Of the codes, q's own spread included.
    prior_mean, prior_deviation : array of shape (latent,)
    discrepancy, floor : float
        Squared kernel distance (MMD) of the codes from draws of the prior, and of the prior from itself: what chance gives.
    """

    kl: Array
    active: Array
    mean: Array
    deviation: Array
    prior_mean: Array
    prior_deviation: Array
    discrepancy: float
    floor: float


def discrepancy(a: Tensor, b: Tensor) -> float:
    r"""Return the unbiased squared maximum mean discrepancy of two sets of codes.

    The kernel is a sum of inverse multiquadratics :math:`C / (C + \lVert x - y \rVert^2)` with :math:`C = 2 d s`, s from 0.1 to 10.

    Parameters
    ----------
    a, b : Tensor of shape (n, d) and (m, d)

    Returns
    -------
    float

    References
    ----------
    Gretton et al., "A kernel two-sample test", JMLR 2012, lemma 6; the kernel: Tolstikhin et al., "Wasserstein auto-encoders", 2018.

    Examples
    --------
    >>> a = torch.arange(4.0)[:, None]
    >>> discrepancy(a, a + 50) > 1
    True
    """
    a, b = a.double(), b.double()
    n, m = len(a), len(b)
    within = (_kernel(a, a).sum() - n * len(SCALES)) / (n * (n - 1)) + (_kernel(b, b).sum() - m * len(SCALES)) / (m * (m - 1))
    return float(within - 2 * _kernel(a, b).mean())


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    square = torch.cdist(a, b).square()
    sizes = [2 * a.shape[1] * scale for scale in SCALES]
    return torch.stack([size / (size + square) for size in sizes]).sum(0)


def aggregate(model: Autoencoder, rows: Tensor, seed: int = 0) -> Aggregate:
    """Compare the codes of rows with the prior.

    Parameters
    ----------
    model : Autoencoder
        With a prior and a random code.
    rows : Tensor of shape (n, \\*shape)
        Preprocessed; of more than 2,000 the kernel distance takes 2,000.
    seed : int

    Returns
    -------
    Aggregate
    """
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))
    prior = model.prior
    assert prior is not None

    # The condition that follows the codes of conditional models is none of them.
    latent = model.encode(rows[:1]).mean.shape[1] - model.condition

    def look(x: Tensor) -> Tensor:
        q = model.encode(x)
        z = q.sample(noise)
        return torch.cat([q.mean[:, :latent], z[:, :latent], prior.divergence(q, z)], dim=1)

    found = in_batches(look, rows)
    mean, codes, kl = found[:, :latent], found[:, latent : 2 * latent], found[:, 2 * latent :]
    shown = some(codes, COMPARED, seed)
    first, second = (prior.sample(len(shown), noise).detach()[:, :latent] for _ in range(2))
    centre, width = _moments(prior, torch.cat([first, second]))
    return Aggregate(
        kl=kl.double().mean(0).numpy(),
        active=(mean.double().var(0) > ACTIVE).numpy() if len(rows) > 1 else np.zeros(latent, dtype=bool),
        mean=codes.double().mean(0).numpy(),
        deviation=codes.double().std(0, correction=0).numpy(),
        prior_mean=centre,
        prior_deviation=width,
        discrepancy=discrepancy(shown, first),
        floor=abs(discrepancy(second, first)),
    )


def _moments(prior: Prior, draws: Tensor) -> tuple[Array, Array]:
    if isinstance(prior, StandardNormal):
        return np.zeros(prior.latent), np.ones(prior.latent)
    return draws.double().mean(0).numpy(), draws.double().std(0).numpy()
