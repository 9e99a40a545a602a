"""The log likelihood of rows by importance sampling, with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.tasks.latent import log_weights, room, some

Array = NDArray[Any]
PILOT_ROWS, PILOT_DRAWS = 64, 256
LEAST, MOST = 100, 5000
BIAS = 0.02


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimated log p(x) of rows.

    Attributes
    ----------
    values : array of shape (n,)
        Nats.
    errors : array of shape (n,)
        Monte Carlo standard error of each value, by the delta method.
    draws : int
        Draws (or chains) a row.
    effective : float
        Mean effective number of draws; where it is near 1, the values lie below the truth by an unknown amount.
    """

    values: Array
    errors: Array
    draws: int
    effective: float

    @property
    def mean(self) -> float:
        """Mean over the rows."""
        return float(self.values.mean())

    @property
    def error(self) -> float:
        """Monte Carlo standard error of the mean: how far it is from that of endless draws for the same rows."""
        return float(np.sqrt(np.square(self.errors).sum()) / len(self.errors))

    @property
    def spread(self) -> float:
        """Standard error of the mean by the choice of rows."""
        return float(self.values.std(ddof=1) / math.sqrt(len(self.values))) if len(self.values) > 1 else math.nan


def summarise(weights: Tensor) -> Estimate:
    """Return the estimate of log weights of shape (n, k).

    Examples
    --------
    >>> found = summarise(torch.zeros(3, 5))
    >>> found.values.tolist(), found.errors.round(6).tolist(), round(found.effective, 6)
    ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 5.0)
    """
    weights = weights.double()
    draws = weights.shape[1]
    values = torch.logsumexp(weights, 1) - math.log(draws)
    shares = (weights.softmax(1)).square().sum(1)
    # With one draw nothing is known of the spread.
    variance = (shares - 1 / draws).clamp_min(0) * draws / (draws - 1) if draws > 1 else torch.full_like(shares, math.nan)
    return Estimate(values.numpy(), variance.sqrt().numpy(), draws, float((1 / shares).mean()))


def choose_draws(model: Autoencoder, rows: Tensor, seed: int = 0) -> int:
    """Choose k so that the estimate lies below the truth by about 0.02 nats: between 100 and 5,000.

    The bias of log mean w is about minus half the relative variance of a weight over k; that variance is measured on a few rows.

    Parameters
    ----------
    model : Autoencoder
    rows : Tensor of shape (n, \\*shape)
    seed : int

    Returns
    -------
    int
    """
    pilot = importance(model, some(rows, PILOT_ROWS, seed), PILOT_DRAWS, seed)
    relative = float(np.mean(np.square(pilot.errors) * pilot.draws))
    return int(min(MOST, max(LEAST, 100 * math.ceil(relative / (2 * BIAS) / 100))))


def importance(model: Autoencoder, rows: Tensor, draws: int = 1000, seed: int = 0) -> Estimate:
    r"""Estimate log p(x) as :math:`\log \frac1k \sum_i p(x, z_i) / q(z_i | x)` with :math:`z_i \sim q(z | x)`.

    On average it lies below log p(x), the less the more draws. The memory does not grow with `draws` nor with the rows.

    Parameters
    ----------
    model : Autoencoder
        With a prior that has a density, and a random code.
    rows : Tensor of shape (n, \\*shape)
        Preprocessed.
    draws : int
        k, at least 1.
    seed : int

    Returns
    -------
    Estimate

    Raises
    ------
    ConfigError
        If `draws` is below 1.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, equation 8.
    """
    if draws < 1:
        raise ConfigError(f"the number of draws k must be at least 1, not {draws}: 1 gives the ELBO of one draw, 1000 is customary")
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))
    many = room(model)
    at_once = max(1, many // draws)
    with torch.inference_mode():
        parts = [summarise(_weights(model, x, draws, many, noise)) for x in torch.split(rows, at_once)]
    return joined(parts)


def _weights(model: Autoencoder, x: Tensor, draws: int, many: int, noise: GeneratorNoise) -> Tensor:
    h = model.activate(x)
    pieces = [min(many, draws - i) for i in range(0, draws, many)]
    return torch.cat([log_weights(model, x, h, piece, noise) for piece in pieces], dim=1)


def joined(parts: list[Estimate]) -> Estimate:
    """Return the estimate of several sets of rows as one."""
    values, errors = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "errors"))
    effective = float(np.average([part.effective for part in parts], weights=[len(part.values) for part in parts]))
    return Estimate(values, errors, parts[0].draws, effective)
