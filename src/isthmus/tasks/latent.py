"""What every measure of a model with a prior needs: log p(x, z), and draws of codes for rows."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.distributions import Delta, Distribution, Noise
from isthmus.distributions.labelled import bare
from isthmus.distributions.posterior import Domain
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.priors import Prior

VALUES = 4_000_000  # numbers of a batch of decoded rows: what bounds the memory
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def require_prior(artifact: Artifact) -> Prior:
    """Return the prior of a model, or say what to do without one.

    Raises
    ------
    ConfigError
        If the model has no prior, or its code is a function of the row.
    """
    model = artifact.model
    if model.prior is None:
        raise ConfigError(
            f"the family {artifact.family!r} has no prior, so it gives no probability to a row: fit the family 'variational', or measure "
            "its samples from an ex-post density of its codes (isthmus.tasks.quality)"
        )
    if is_point(model.encode(torch.zeros(1, *model.shape))):
        other = ": its codes can be counted, use isthmus.tasks.coded.evaluate_codes" if model.prior.bare.domain == "codes" else ""
        raise ConfigError(
            f"the code of the family {artifact.family!r} is a function of the row: there is no posterior to measure"
            f"{other or '. Its samples can be measured (isthmus.tasks.quality)'}"
        )
    return model.prior


def is_point(q: Distribution) -> bool:
    """Say whether a code is a function of its row, whatever condition follows it.

    Examples
    --------
    >>> is_point(Delta(torch.zeros(1, 2)))
    True
    """
    return isinstance(bare(q, q.mean)[0], Delta)


def log_joint(model: Autoencoder, x: Tensor, z: Tensor) -> Tensor:
    """Return log p(x, z) = log p(x | z) + log p(z) in nats, shape (batch,)."""
    assert model.prior is not None
    return model.decode(z).log_prob(x) + model.prior.log_prob(z)


def domain_of(model: Autoencoder) -> Domain:
    """Return where the codes of a model with a prior lie, whatever condition follows them."""
    assert model.prior is not None
    return model.prior.bare.domain


def conditions(model: Autoencoder, x: Tensor) -> Tensor:
    """Return the condition that follows each row, shape (n, width); of width 0 where the model knows none."""
    return x[:, x.shape[1] - model.condition :] if model.condition else x.new_zeros(len(x), 0)


def beside(z: Tensor, condition: Tensor) -> Tensor:
    """Return codes followed by the condition of their rows."""
    return torch.cat([z, condition], dim=1) if condition.shape[1] else z


def without(model: Autoencoder, z: Tensor) -> Tensor:
    """Return codes without the condition that may follow them."""
    return z[:, : z.shape[1] - model.condition]


def repeated(values: Tensor, times: int) -> Tensor:
    """Return every row `times` times in a row, shape (times * n, ...)."""
    return values.repeat_interleave(times, 0)


def posterior(model: Autoencoder, h: Tensor, draws: int) -> Distribution:
    """Return the distribution over codes given the encoder's output, each row `draws` times."""
    return model.bottleneck(repeated(h, draws))


def log_weights(model: Autoencoder, x: Tensor, h: Tensor, draws: int, noise: Noise) -> Tensor:
    """Return log p(x, z) - log q(z | x) of `draws` codes per row, shape (n, draws), in nats."""
    q = posterior(model, h, draws)
    z = q.sample(noise)
    found = log_joint(model, repeated(x, draws), z) - q.log_prob(z)
    return found.reshape(len(x), draws)


def some(rows: Tensor, most: int, seed: int = 0) -> Tensor:
    """Return at most `most` rows, drawn at random: every second row of a data set may come from one of two sources, as MNIST's do.

    Examples
    --------
    >>> some(torch.arange(5), 3).shape, some(torch.arange(5), 9).tolist()
    (torch.Size([3]), [0, 1, 2, 3, 4])
    """
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:most].sort().values]


def room(model: Autoencoder) -> int:
    """Return how many codes may be decoded at once."""
    width = max((p.shape[0] for p in model.parameters() if p.ndim), default=1)
    return max(1, VALUES // max(math.prod(model.shape), width))


@contextmanager
def frozen(model: Autoencoder) -> Generator[None]:
    """Ask for no gradient of the weights within the block: only of codes."""
    before = {p: p.requires_grad for p in model.parameters()}
    for p in before:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p, wanted in before.items():
            p.requires_grad_(wanted)
