"""How far the ELBO lies below log p(x), and why: what q can express, and what the encoder makes of it."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus.distributions import Distribution, GeneratorNoise
from isthmus.distributions.base import sum_rows
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.tasks.charts import Chart, chart_of
from isthmus.tasks.counted import COUNTED, Book, counted_bounds
from isthmus.tasks.latent import HALF_LOG_2PI, beside, conditions, domain_of, frozen, log_joint, repeated, room, without
from isthmus.tasks.nll import Estimate, joined, summarise

Array = NDArray[Any]
FLOWS = 4
EVIDENCE_DRAWS = 2000


@dataclass(frozen=True)
class Tuning:
    """How posteriors of single rows are optimised.

    Parameters
    ----------
    steps : int
        Adam steps.
    learning_rate : float
        First one; it falls along a cosine to zero.
    draws : int
        Codes a row for each step.
    measured : int
        Codes a row for the value at the end, drawn anew.

    Raises
    ------
    ConfigError
        If a number is below 1.
    """

    steps: int = 300
    learning_rate: float = 0.03
    draws: int = 16
    measured: int = 500

    def __post_init__(self) -> None:
        if min(self.steps, self.draws, self.measured) < 1 or not self.learning_rate > 0:
            raise ConfigError("steps, draws and measured must be at least 1, and learning_rate above 0")


class Local(nn.Module):
    """An approximate posterior of its own for each of `rows` rows, over free numbers of their codes."""

    chart: Chart | None = None

    @abstractmethod
    def draw(self, draws: int, noise: GeneratorNoise) -> tuple[Tensor, Tensor]:
        """Return `draws` times free numbers per row, shape (rows * draws, width), and their log densities, shape (rows * draws,).

        Without a chart these are the codes themselves, followed by their condition.
        """


class Own(Local):
    """The model's own kind of posterior: what the encoder would have to give for each row is free, but for the condition.

    Parameters
    ----------
    model : Autoencoder
    h : Tensor of shape (rows, inputs)
        What the encoder does give.
    """

    def __init__(self, model: Autoencoder, h: Tensor) -> None:
        super().__init__()
        known = h.shape[1] - model.condition
        self.h = nn.Parameter(h[:, :known].clone())
        self.condition = h[:, known:]
        self._bottleneck = [model.bottleneck]  # in a list, so that its weights are not this module's

    def posterior(self, draws: int = 1) -> Distribution:
        """Return the distribution over codes, each row `draws` times."""
        return self._bottleneck[0](repeated(beside(self.h, self.condition), draws))

    def draw(self, draws: int, noise: GeneratorNoise) -> tuple[Tensor, Tensor]:
        """Return codes, followed by the condition, and their log densities."""
        q = self.posterior(draws)
        z = q.sample(noise)
        return z, q.log_prob(z)


class Diagonal(Local):
    """A diagonal Gaussian for each row.

    Parameters
    ----------
    location, scale : Tensor of shape (rows, width)
    chart : Chart, optional
        From free numbers to codes; they are the same if None.
    """

    def __init__(self, location: Tensor, scale: Tensor, chart: Chart | None = None) -> None:
        super().__init__()
        self.chart = chart or Chart()
        self.location = nn.Parameter(location.clone())
        self.log_scale = nn.Parameter(scale.clamp_min(1e-4).log())

    def draw(self, draws: int, noise: GeneratorNoise) -> tuple[Tensor, Tensor]:
        """Return codes and their log densities."""
        location, log_scale = repeated(self.location, draws), repeated(self.log_scale, draws)
        eps = noise.normal(location)
        return location + log_scale.exp() * eps, _standard(eps) - log_scale.sum(1)


class Full(Local):
    """A Gaussian with any covariance for each row, by its Cholesky factor.

    Parameters
    ----------
    start : Diagonal
        Where it starts from.
    """

    def __init__(self, start: Diagonal) -> None:
        super().__init__()
        rows, latent = start.location.shape
        self.chart = start.chart
        self.location = nn.Parameter(start.location.detach().clone())
        self.log_scale = nn.Parameter(start.log_scale.detach().clone())
        self.below = nn.Parameter(torch.zeros(rows, latent, latent, dtype=start.location.dtype))

    def draw(self, draws: int, noise: GeneratorNoise) -> tuple[Tensor, Tensor]:
        """Return codes and their log densities."""
        rows, latent = self.location.shape
        eps = noise.normal(torch.empty(rows * draws, latent, dtype=self.location.dtype)).reshape(rows, draws, latent)
        # Rows of the factor are in units of their own scale, so that one learning rate fits all.
        mixed = eps + eps @ torch.tril(self.below, -1).transpose(1, 2)
        z = self.location[:, None] + self.log_scale.exp()[:, None] * mixed
        density = _standard(eps.reshape(-1, latent)) - repeated(self.log_scale.sum(1), draws)
        return z.reshape(-1, latent), density


class Flow(Local):
    r"""Planar flows on a full Gaussian for each row: :math:`z' = z + \hat u \tanh(w^\top z + b)`, a few times.

    Parameters
    ----------
    start : Full
        Where it starts from; the flows are near the identity at first.
    seed : int

    References
    ----------
    Rezende and Mohamed, "Variational inference with normalizing flows", ICML 2015, section 4.1 and appendix A.1.
    """

    def __init__(self, start: Full, seed: int = 0) -> None:
        super().__init__()
        rows, latent = start.location.shape
        generator = torch.Generator().manual_seed(seed)
        self.base, self.chart = start, start.chart
        shape = (FLOWS, rows, latent)
        like = start.location
        self.w = nn.Parameter(torch.randn(shape, generator=generator, dtype=like.dtype) / math.sqrt(latent))
        self.u = nn.Parameter(torch.zeros(shape, dtype=like.dtype))
        self.b = nn.Parameter(torch.zeros(FLOWS, rows, 1, dtype=like.dtype))

    def draw(self, draws: int, noise: GeneratorNoise) -> tuple[Tensor, Tensor]:
        """Return codes and their log densities."""
        z, density = self.base.draw(draws, noise)
        location, scale = (repeated(part.detach(), draws) for part in (self.base.location, self.base.log_scale.exp()))
        z = (z - location) / scale
        for w, u, b in zip(self.w, self.u, self.b):
            w, u, b = (repeated(part, draws) for part in (w, u, b))
            inner = (w * u).sum(1, keepdim=True)
            # Without this the map could fold and would be no bijection.
            u = u + (torch.nn.functional.softplus(inner + _ZERO) - 1 - inner) * w / w.square().sum(1, keepdim=True)
            bend = ((w * z).sum(1, keepdim=True) + b).tanh()
            density = density - torch.log1p((1 - bend.square()).squeeze(1) * (w * u).sum(1)).clamp_min(-20)
            z = z + u * bend
        return location + scale * z, density


_ZERO = math.log(math.e - 1)  # softplus of it is 1: a zero u stays zero


def _standard(eps: Tensor) -> Tensor:
    return -0.5 * sum_rows(eps.square()) - eps.shape[1] * HALF_LOG_2PI


def bound(model: Autoencoder, x: Tensor, q: Local, draws: int, noise: GeneratorNoise) -> Tensor:
    """Return the ELBO of every row under its posterior, by `draws` draws, shape (rows,).

    Where the model's prior knows the divergence of its own kind of posterior, that is used: it is exact.
    """
    if isinstance(q, Own) and model.prior is not None:
        own = q.posterior(draws)
        z = own.sample(noise)
        value = model.decode(z).log_prob(repeated(x, draws)) - model.prior.divergence(own, z).sum(1)
    else:
        value = _weights(model, x, q, draws, noise)
    return value.reshape(len(x), draws).mean(1)


def optimise(model: Autoencoder, x: Tensor, q: Local, tuning: Tuning, noise: GeneratorNoise) -> Array:
    """Optimise the posterior of every row, and return its ELBO by fresh draws, shape (rows,)."""
    found = [p for p in q.parameters() if p.requires_grad]
    adam: Any = torch.optim.Adam(found, lr=tuning.learning_rate, betas=(0.9, 0.99))
    with torch.enable_grad():
        for step in range(tuning.steps):
            for group in adam.param_groups:
                group["lr"] = tuning.learning_rate * 0.5 * (1 + math.cos(math.pi * step / tuning.steps))
            adam.zero_grad()
            loss = -bound(model, x, q, tuning.draws, noise).sum()
            torch.autograd.backward(loss, inputs=found)
            adam.step()
    return measure(model, x, q, tuning.measured, fresh(noise))


def fresh(noise: GeneratorNoise) -> GeneratorNoise:
    """Return other numbers than were optimised on, the same for every posterior, so that differences are those of the posteriors."""
    return GeneratorNoise(torch.Generator().manual_seed(noise.generator.initial_seed() + 1))


def measure(model: Autoencoder, x: Tensor, q: Local, draws: int, noise: GeneratorNoise) -> Array:
    """Return the ELBO of every row by `draws` draws in bounded memory, shape (rows,), float64."""
    most = max(1, room(model) // len(x))
    sizes = [min(most, draws - i) for i in range(0, draws, most)]
    with torch.no_grad():
        total = torch.stack([bound(model, x, q, size, noise).double() * size for size in sizes]).sum(0)
    return (total / draws).numpy()


def optimised(model: Autoencoder, rows: Tensor, tuning: Tuning | None = None, seed: int = 0) -> tuple[dict[str, Array], Estimate]:
    """Return ELBOs of rows in nats on the same decoder, of the encoder and of posteriors optimised for each single row; and log p(x).

    Parameters
    ----------
    model : Autoencoder
        With a prior that has a density, and a random code whose draws pass gradients; or with codes that can be counted, at most
        16,384, where all is exact.
    rows : Tensor of shape (n, \\*shape)
        Preprocessed; some tens are enough, for each of them is optimised.
    tuning : Tuning, optional
    seed : int

    Returns
    -------
    bounds : dict of str to array of shape (n,)
        ``encoder``; ``own``, the model's kind of posterior; ``diagonal`` and ``full`` Gaussians; ``flow``. Each of the last three
        holds the one before and starts from it. On a sphere they are densities of the stereographic projection around each row's
        direction, in a cube of the logits; codes that can be counted have the first two only.
    log_likelihood : Estimate
        log p(x) by importance sampling from the optimised full Gaussian, which fits better than the encoder's posterior.

    Raises
    ------
    ConfigError
        If the model has no prior, or its codes are too many to go through though they can be counted.

    References
    ----------
    Cremer, Li and Duvenaud, "Inference suboptimality in variational autoencoders", ICML 2018.
    """
    tuning = tuning or Tuning()
    if model.prior is None:
        raise ConfigError("posteriors of single rows are optimised for a model with a prior, which this one has not")
    if domain_of(model) in COUNTED:
        return _counted(model, rows)
    parts = torch.split(rows, max(1, room(model) // tuning.draws))
    with frozen(model):
        found = [_optimised(model, x.clone(), tuning, seed) for x in parts]
    bounds = {name: np.concatenate([part[name] for part, _ in found]) for name in found[0][0]}
    return bounds, joined([estimate for _, estimate in found])


def _counted(model: Autoencoder, rows: Tensor) -> tuple[dict[str, Array], Estimate]:
    bounds, evidence = counted_bounds(model, rows)
    exact = Estimate(evidence.numpy(), np.zeros(len(rows)), Book(model).count, float(Book(model).count))
    return {name: values.numpy() for name, values in bounds.items()}, exact


def _optimised(model: Autoencoder, x: Tensor, tuning: Tuning, seed: int) -> tuple[dict[str, Array], Estimate]:
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        h = model.activate(x)
    own = Own(model, h)
    found = {"encoder": measure(model, x, own, tuning.measured, fresh(noise)), "own": optimise(model, x, own, tuning, noise)}
    with torch.no_grad():
        chart = chart_of(domain_of(model), without(model, own.posterior().mean))
        u = chart.inverse(without(model, own.draw(256, noise)[0])).reshape(len(x), 256, -1)
    diagonal = Diagonal(u.mean(1), u.std(1), chart)
    found["diagonal"] = optimise(model, x, diagonal, tuning, noise)
    full = Full(diagonal)
    found["full"] = optimise(model, x, full, tuning, noise)
    evidence = importance_from(model, x, full, EVIDENCE_DRAWS, fresh(noise))
    found["flow"] = optimise(model, x, Flow(full, seed), tuning, noise)
    return found, evidence


def importance_from(model: Autoencoder, x: Tensor, q: Local, draws: int, noise: GeneratorNoise) -> Estimate:
    """Return log p(x) of every row by importance sampling from posteriors of single rows, in bounded memory."""
    most = max(1, room(model) // len(x))
    with torch.no_grad():
        pieces = [_weights(model, x, q, min(most, draws - i), noise) for i in range(0, draws, most)]
    return summarise(torch.cat(pieces, dim=1))


def _weights(model: Autoencoder, x: Tensor, q: Local, draws: int, noise: GeneratorNoise) -> Tensor:
    z, density = q.draw(draws, noise)
    x_each = repeated(x, draws)
    if q.chart is not None:
        z, volume = q.chart.forward(z)
        z, density = beside(z, conditions(model, x_each)), density - volume
    return (log_joint(model, x_each, z) - density).reshape(len(x), draws)


@dataclass(frozen=True)
class Gap:
    """Where log p(x) - ELBO comes from; means over rows, in nats.

    Attributes
    ----------
    rows : int
        Rows that were optimised.
    log_likelihood, error : float
        Estimated log p(x) of these rows, and its Monte Carlo standard error.
    bounds : dict of str to float
        ELBO of the encoder and of posteriors optimised for each row.
    """

    rows: int
    log_likelihood: float
    error: float
    bounds: dict[str, float]

    @property
    def total(self) -> float:
        """log p(x) - ELBO of the encoder."""
        return self.log_likelihood - self.bounds["encoder"]

    @property
    def approximation(self) -> float:
        """What the best posterior of the model's kind loses."""
        return self.log_likelihood - self.bounds["own"]

    @property
    def amortisation(self) -> float:
        """What the encoder loses against it, because it must serve all rows with one set of weights."""
        return self.bounds["own"] - self.bounds["encoder"]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        split = {"total": self.total, "approximation": self.approximation, "amortisation": self.amortisation}
        return {"rows": self.rows, "log likelihood": self.log_likelihood, **split, "bounds": self.bounds}
