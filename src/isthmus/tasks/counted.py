"""Codes that can be counted, categories and words: chains that draw them anew group by group, and sums over all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.bottlenecks.quantised import Discrete
from isthmus.distributions import GeneratorNoise
from isthmus.distributions.labelled import bare
from isthmus.distributions.quantised import Quantised
from isthmus.distributions.relaxed import RelaxedCategorical
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.priors import AutoregressiveCodes, UniformCategories
from isthmus.tasks.latent import beside, conditions, domain_of, posterior, repeated, room

COUNTED = ("simplex", "codes")
MOST_CODES = 16_384
SWEEPS = 50
SETTLED = 1e-9


@dataclass(frozen=True)
class Book:
    """All codes of a model whose codes can be counted.

    Parameters
    ----------
    model : Autoencoder
        With a prior over categories or over indices.

    Raises
    ------
    ConfigError
        If its codes cannot be counted.
    """

    model: Autoencoder

    def __post_init__(self) -> None:
        if self.model.prior is None or domain_of(self.model) not in COUNTED:
            raise ConfigError("the codes of this model cannot be counted: only categories, vqvae and fsq have such codes")

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of values of each group of code units."""
        prior: Any = self.model.prior
        inner = prior.bare
        if isinstance(inner, UniformCategories):
            return (inner.categories,) * (inner.latent // inner.categories)
        assert isinstance(inner, AutoregressiveCodes)
        return inner.cardinalities

    @property
    def count(self) -> int:
        """Number of codes."""
        return math.prod(self.cardinalities)

    def code(self, indices: Tensor) -> Tensor:
        """Return the codes of indices of shape (n, groups), shape (n, latent)."""
        inner = self.model.bottleneck.bare
        if isinstance(inner, Discrete):
            return inner.lookup(indices).to(next(self.model.parameters()).dtype)
        return functional.one_hot(indices, self.cardinalities[0]).to(next(self.model.parameters()).dtype).flatten(1)

    def log_prior(self, indices: Tensor) -> Tensor:
        """Return the log probability of codes under the prior, shape (n,)."""
        assert self.model.prior is not None
        inner = self.model.prior.bare
        if isinstance(inner, AutoregressiveCodes):
            return inner.of_indices(indices).sum(1)
        return torch.full((len(indices),), -math.log(self.count))

    def draw(self, rows: int, noise: GeneratorNoise) -> Tensor:
        """Draw indices from the prior, shape (rows, groups)."""
        assert self.model.prior is not None
        inner = self.model.prior.bare
        if isinstance(inner, AutoregressiveCodes):
            return inner.draw(rows, noise)
        return self.indices(inner.sample(rows, noise))

    def indices(self, z: Tensor) -> Tensor:
        """Return the indices of one-hot codes, shape (n, groups)."""
        return z.view(len(z), len(self.cardinalities), -1).argmax(2)

    def all(self) -> Tensor:
        """Return the indices of every code, shape (count, groups).

        Raises
        ------
        ConfigError
            If there are more than 16,384 codes.
        """
        if self.count > MOST_CODES:
            raise ConfigError(f"{self.count:,} codes are too many to go through one by one: {MOST_CODES:,} at most")
        places, left = torch.arange(self.count), self.count
        found: list[Tensor] = []
        for size in self.cardinalities:
            left //= size
            found.append(places // left % size)
        return torch.stack(found, dim=1)


def most_values(model: Autoencoder) -> int:
    """Return the largest number of values that a group of code units has."""
    return max(Book(model).cardinalities)


class Switches:
    """Chains of codes that can be counted: log f_t(k) = log f_0(k) + t * (log p(x, k) - log f_0(k)), each group drawn given the others.

    Parameters
    ----------
    model : Autoencoder
    x : Tensor of shape (chains, \\*shape)
        Every row as often as it has chains.
    rows : int
    noise : GeneratorNoise
    h : Tensor of shape (rows, inputs), optional
        The encoder's output, where chains start at the posterior of categories; at the prior if None.

    Raises
    ------
    ConfigError
        If the codes cannot be counted, or chains shall start at a posterior that is one code.
    """

    def __init__(self, model: Autoencoder, x: Tensor, rows: int, noise: GeneratorNoise, h: Tensor | None) -> None:
        self.model, self.x, self.rows, self.noise, self.h = model, x, rows, noise, h
        self.book = Book(model)
        if h is not None and domain_of(model) == "codes":
            raise ConfigError("the encoder of this family gives one code and no posterior that chains could start from: use start='prior'")
        self.condition = conditions(model, x)

    def start(self) -> Tensor:
        """Draw first indices."""
        if self.h is None:
            return self.book.draw(len(self.x), self.noise)
        q = posterior(self.model, self.h, len(self.x) // self.rows)
        return self.book.indices(bare(q, q.sample(self.noise))[1])

    def parts(self, indices: Tensor, values: int = 1) -> tuple[Tensor, Tensor]:
        """Return log f_0, and log p(x, k) - log f_0, each of shape (chains * values,), of `values` codes for each chain."""
        z = beside(self.book.code(indices), repeated(self.condition, values))
        prior, data = self.book.log_prior(indices), self.model.decode(z).log_prob(repeated(self.x, values))
        if self.h is None:
            return prior, data
        first = posterior(self.model, self.h, len(z) // self.rows).log_prob(z)
        return first, prior + data - first

    def move(self, indices: Tensor, t: float, group: int) -> tuple[Tensor, Tensor]:
        """Draw one group given the others; return indices, and log p(x, k) - log f_0 of what was drawn."""
        size = self.book.cardinalities[group]
        tried = repeated(indices, size)
        tried[:, group] = torch.arange(size).repeat(len(indices))
        first, rest = (part.view(-1, size) for part in self.parts(tried, size))
        reached = (first + t * rest).double().softmax(1).cumsum(1)
        u = self.noise.uniform(reached[:, :1])
        drawn = (reached <= u * reached[:, -1:]).sum(1, keepdim=True).clamp_max(size - 1)
        found = indices.clone()
        found[:, group] = drawn[:, 0]
        return found, rest.gather(1, drawn)[:, 0]

    @torch.no_grad()
    def weigh(self, times: list[float]) -> Tensor:
        """Return the log weights, shape (rows, chains)."""
        indices = self.start()
        rest, total = self.parts(indices)[1], torch.zeros(len(indices), dtype=torch.float64)
        for step, (before, t) in enumerate(pairwise(times)):
            total += (t - before) * rest.double()
            indices, rest = self.move(indices, t, step % indices.shape[1])
        return total.reshape(self.rows, -1)


@torch.no_grad()
def joint_table(model: Autoencoder, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of all codes, shape (count, groups), and log p(x, k) of every row and code, shape (n, count), float64.

    Raises
    ------
    ConfigError
        If the codes cannot be counted, or are more than 16,384.
    """
    book = Book(model)
    indices = book.all()
    size = room(model)
    pieces = [(book.code(part), book.log_prior(part)) for part in torch.split(indices, size)]
    condition = conditions(model, rows)

    def one(x: Tensor, known: Tensor) -> Tensor:
        found = [prior + model.decode(beside(z, known.expand(len(z), -1))).log_prob(x.expand(len(z), *x.shape[1:])) for z, prior in pieces]
        return torch.cat(found).double()

    return indices, torch.stack([one(rows[i : i + 1], condition[i : i + 1]) for i in range(len(rows))])


def counted_bounds(model: Autoencoder, rows: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return exact ELBOs of rows, of the encoder's posterior and of the best of its kind, and exact log p(x), by sums over all codes.

    Of categories the best posterior whose groups are independent is found by coordinate ascent from the encoder's, which may end in a local
    optimum; of words the best posterior is the best single code.

    Parameters
    ----------
    model : Autoencoder
    rows : Tensor of shape (n, \\*shape)

    Returns
    -------
    bounds : dict of str to Tensor of shape (n,)
        ``encoder`` and ``own``.
    log_likelihood : Tensor of shape (n,)

    Raises
    ------
    ConfigError
        If the codes cannot be counted, or are more than 16,384.

    References
    ----------
    The ascent: Bishop, "Pattern recognition and machine learning", 2006, equation 10.9.
    """
    indices, table = joint_table(model, rows)
    with torch.no_grad():
        q = model.encode(rows)
        q = bare(q, q.mean)[0]
    if isinstance(q, Quantised):
        book = Book(model)
        place = sum(q.indices[:, g] * math.prod(book.cardinalities[g + 1 :]) for g in range(indices.shape[1]))
        bounds = {"encoder": table.gather(1, torch.as_tensor(place)[:, None])[:, 0], "own": table.amax(1)}
    else:
        assert isinstance(q, RelaxedCategorical)
        logits = q.logits.double()
        bounds = {"encoder": _bound(logits, indices, table), "own": _bound(_ascended(logits, indices, table), indices, table)}
    return bounds, table.logsumexp(1)


def _spread(logits: Tensor, indices: Tensor) -> Tensor:
    """Return log q of every code of independent groups, and that of its groups: shape (n, count, groups)."""
    groups = torch.arange(indices.shape[1])
    return logits[:, groups, indices]


def _bound(logits: Tensor, indices: Tensor, table: Tensor) -> Tensor:
    log_q = _spread(logits, indices).sum(2)
    return (log_q.exp() * (table - log_q)).nan_to_num(0.0).sum(1)


def _ascended(logits: Tensor, indices: Tensor, table: Tensor) -> Tensor:
    """Return the logits of independent groups under which the bound is highest, one group after the other."""
    found, last = logits.clone(), _bound(logits, indices, table)
    for _ in range(SWEEPS):
        for group in range(found.shape[1]):
            each = _spread(found, indices)
            others = (each.sum(2) - each[:, :, group]).exp()
            expected = torch.zeros_like(found[:, group]).index_add_(1, indices[:, group], others * table)
            found[:, group] = expected.log_softmax(1)
        new = _bound(found, indices, table)
        if bool((new - last).max() < SETTLED):
            break
        last = new
    return found
