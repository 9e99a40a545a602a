"""Bottlenecks whose code is a function of the input: plain, and three ways to keep few units active."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.bottlenecks.base import Bottleneck, Mean
from isthmus.distributions import Delta
from isthmus.errors import ConfigError
from isthmus.spec import register


@register("bottleneck.deterministic")
class Deterministic(Bottleneck):
    """The encoder's output is the code.

    Parameters
    ----------
    latent : int
        Width of the code.

    Examples
    --------
    >>> Deterministic(2)(torch.ones(1, 2)).mean
    tensor([[1., 1.]])
    """

    def forward(self, h: Tensor) -> Delta:
        """Return the point `h`."""
        return Delta(h)


@register("bottleneck.l1")
class L1(Bottleneck):
    r"""Non-negative code with the term ``l1`` :math:`= \sum_j |z_j| \, \lVert w_j \rVert`.

    :math:`w_j` are the decoder's weights from unit j: without them the network would shrink the code and grow the weights instead
    of becoming sparse.

    Parameters
    ----------
    latent : int
        Width of the code; may exceed the input's.

    References
    ----------
    Olshausen and Field, Nature 1996; the weighting by the decoder's norm: Conerly et al., "Update on how we train SAEs", 2024.

    Examples
    --------
    >>> L1(2)(torch.tensor([[-1.0, 3.0]])).mean
    tensor([[0., 3.]])
    """

    sparse = True

    def forward(self, h: Tensor) -> Delta:
        """Return the rectified `h`."""
        return Delta(functional.relu(h))

    def terms(self, code: Tensor, gain: Callable[[], Tensor], batch_mean: Mean) -> dict[str, Tensor]:  # noqa: ARG002
        """Return ``l1``, shape (batch,)."""
        return {"l1": (code.abs() * gain()).sum(1)}


@register("bottleneck.kl_activity")
class KLActivity(Bottleneck):
    r"""Code in (0, 1) with the term ``activity`` :math:`= \sum_j \mathrm{KL}(\rho \,\Vert\, \hat\rho_j)`.

    :math:`\hat\rho_j` is unit j's mean activity over the batch, so the term is the same for all its rows.

    Parameters
    ----------
    latent : int
        Width of the code.
    activity : float
        Target mean activity of every unit, within (0, 1).

    Raises
    ------
    ConfigError
        If `activity` is not within (0, 1).

    References
    ----------
    Ng, "Sparse autoencoder", CS294A lecture notes, 2011; equation for :math:`J_{sparse}`.

    Examples
    --------
    >>> KLActivity(2)(torch.zeros(1, 2)).mean
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, latent: int, activity: float = 0.05) -> None:
        super().__init__(latent)
        if not 0 < activity < 1:
            raise ConfigError(f"activity must lie strictly between 0 and 1, not {activity}")
        self.activity = float(activity)

    def forward(self, h: Tensor) -> Delta:
        """Return the sigmoid of `h`."""
        return Delta(h.sigmoid())

    def terms(self, code: Tensor, gain: Callable[[], Tensor], batch_mean: Mean) -> dict[str, Tensor]:  # noqa: ARG002
        """Return ``activity``, shape (batch,)."""
        rho = self.activity
        found = batch_mean(code).clamp(1e-6, 1 - 1e-6)
        divergence = rho * (rho / found).log() + (1 - rho) * ((1 - rho) / (1 - found)).log()
        return {"activity": divergence.sum().expand(len(code))}


@register("bottleneck.topk")
class TopK(Bottleneck):
    """Keep the k largest units of each row, rectified, and set the others to zero.

    Parameters
    ----------
    latent : int
        Width of the code; may exceed the input's.
    k : int
        Units that may be active per row, at most `latent`.

    Raises
    ------
    ConfigError
        If `k` is not between 1 and `latent`.

    References
    ----------
    Makhzani and Frey, "k-sparse autoencoders", 2013; rectified as in Gao et al., "Scaling and evaluating sparse autoencoders", 2024.

    Examples
    --------
    >>> TopK(3, k=1)(torch.tensor([[1.0, 5.0, 2.0]])).mean
    tensor([[0., 5., 0.]])
    """

    sparse = True

    def __init__(self, latent: int, k: int) -> None:
        super().__init__(latent)
        if not 1 <= k <= latent:
            raise ConfigError(f"k must lie between 1 and latent ({latent}), not {k}")
        self.k = int(k)

    def forward(self, h: Tensor) -> Delta:
        """Return the sparse code."""
        values, indices = h.topk(self.k, dim=1, sorted=False)
        return Delta(torch.zeros_like(h).scatter(1, indices, functional.relu(values)))
