"""The total correlation of the code, estimated within a batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus.distributions import Normal
from isthmus.distributions.labelled import bare
from isthmus.distributions.mixture import pairwise
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register


def decompose(q: Normal, z: Tensor, rows: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    r"""Split the KL to a prior, but for the prior's density: index-code mutual information, total correlation, and log q of each unit.

    With `rows`, the batch is taken as a sample of so many rows by stratified weights; without, it is taken for all there are.

    Parameters
    ----------
    q : Normal
        Posteriors of a batch.
    z : Tensor of shape (batch, latent)
        A draw of each.
    rows : int, optional
        Number of training rows N.

    Returns
    -------
    mutual_information : Tensor of shape (batch,)
        :math:`\log q(z|x) - \log q(z)`.
    total_correlation : Tensor of shape (batch,)
        :math:`\log q(z) - \sum_j\log q(z_j)`.
    units : Tensor of shape (batch, latent)
        :math:`\log q(z_j)`.

    References
    ----------
    Chen et al., "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018, equation 2 and appendix C.
    """
    log_scale = torch.as_tensor(q.log_scale, dtype=z.dtype, device=z.device).expand_as(q.location)
    logs = pairwise(z, q.location, log_scale)
    weights = _log_shares(len(z), rows, z)[..., None]
    units = (logs + weights).logsumexp(1)
    joint = (logs.sum(2) + weights[..., 0]).logsumexp(1)
    return q.log_prob(z) - joint, joint - units.sum(1), units


def _log_shares(batch: int, rows: int | None, like: Tensor) -> Tensor:
    """Log of the weight of every row's posterior in the estimate of q(z) at every row's draw, shape (batch, batch)."""
    if rows is None or batch < 2 or rows <= batch:
        return like.new_full((batch, batch), -math.log(batch))
    # The row's own posterior counts 1 / N; the others stand for the N - 1 rows that are left.
    weights = like.new_full((batch, batch), (rows - 1) / (rows * (batch - 1)))
    return weights.fill_diagonal_(1 / rows).log()


@register("objective.total_correlation")
class TotalCorrelation(Objective):
    r"""The term ``total_correlation`` :math:`= \log q(z) - \sum_j\log q(z_j)`: how far the units of the code depend on each other.

    To be added to the ELBO, of whose KL it is a part: with the weight :math:`\beta - 1` it is charged :math:`\beta` times. It is estimated
    from the batch's own posteriors, so it is charged in training only and enters no score.

    Parameters
    ----------
    weight : float
        Weight of the term.
    rows : int, optional
        Number of training rows, for stratified weights; without it the batch is taken for all rows.

    Raises
    ------
    ConfigError
        If a number is negative, or the bottleneck is not Gaussian.

    References
    ----------
    Chen et al., "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018.

    Examples
    --------
    >>> TotalCorrelation(5.0).weights(Context(training=True))
    {'total_correlation': 5.0}
    """

    def __init__(self, weight: float = 5.0, rows: int | None = None) -> None:
        super().__init__()
        if not weight >= 0 or (rows is not None and rows < 1):
            raise ConfigError(f"the weight of the total correlation must be at least 0 and rows at least 1; got {weight} and {rows}")
        self.weight, self.rows = float(weight), rows

    def weights(self, context: Context) -> dict[str, float]:
        """Return the weight of the term: none outside training."""
        return {"total_correlation": self.weight if context.training else 0.0}

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:  # noqa: ARG002
        """Return ``total_correlation``."""
        q, z = bare(passage.q, passage.z)
        if not isinstance(q, Normal):
            raise ConfigError(f"the total correlation needs a Gaussian bottleneck, not one that returns {type(q).__name__}")
        if not context.training:
            return {"total_correlation": torch.zeros_like(z[:, 0]).detach()}
        return {"total_correlation": decompose(q, z, self.rows)[1]}
