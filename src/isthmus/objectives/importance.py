"""Bounds from several draws of the code: importance weighted, and Renyi's."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.distributions import Distribution, Laplace, Normal
from isthmus.distributions.full_normal import FullNormal
from isthmus.distributions.labelled import bare
from isthmus.distributions.posterior import frozen
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register


@register("objective.renyi")
class Renyi(Objective):
    r"""Negative of Renyi's bound :math:`L_\alpha = \tfrac1{1-\alpha}\log\tfrac1k\sum_{i=1}^k w_i^{1-\alpha}`.

    :math:`w_i = p(x, z_i)/q(z_i|x)`; :math:`\alpha = 0` is the importance weighted bound and :math:`\alpha = 1` the mean of the ELBO
    over the draws. The bound is told in two terms that add up to it: ``reconstruction``, the mean of :math:`-\log p(x|z_i)` under the
    normalised weights, and ``kl``, the rest. Without a source of noise the terms are the ELBO's at the code's mean.

    Parameters
    ----------
    draws : int
        Codes drawn for each row, k.
    alpha : float
        :math:`\alpha`, any finite number.
    one_draw : float
        Share of the training made with the ELBO of a single draw before `draws` are taken: a step with one costs a fraction, and the
        tighter bound matters once the model is near its end.

    Raises
    ------
    ConfigError
        If `draws` is below 1, `alpha` is not finite, `one_draw` is outside [0, 1], or the model has no prior.

    References
    ----------
    Li and Turner, "Renyi divergence variational inference", NeurIPS 2016, equation 13.

    Examples
    --------
    >>> Renyi(draws=5, alpha=0.5).nats
    ('reconstruction', 'kl')
    """

    nats: ClassVar[tuple[str, ...]] = ("reconstruction", "kl")

    def __init__(self, draws: int = 5, alpha: float = 0.5, one_draw: float = 0.0) -> None:
        super().__init__()
        if draws < 1 or not math.isfinite(alpha):
            raise ConfigError(f"the number of draws k must be at least 1, and alpha finite; got k={draws}, alpha={alpha}")
        if not 0 <= one_draw <= 1:
            raise ConfigError(f"one_draw is a share of the training, from 0 to 1, not {one_draw}")
        self.draws, self.alpha, self.one_draw = int(draws), float(alpha), float(one_draw)

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``reconstruction`` and ``kl``."""
        if model.prior is None:
            raise ConfigError("a bound from several draws needs a model with a prior: pass prior=StandardNormal(latent) to Autoencoder")
        early = context.training and context.done < self.one_draw
        if context.noise is None or early:
            return {"reconstruction": passage.p.nats(passage.target), "kl": model.prior.divergence(passage.q, passage.z).sum(1)}
        q, codes = passage.q, [passage.z]
        densities = [q.log_prob(passage.z)]  # each at once: a flow knows the density of its newest draw
        for _ in range(self.draws - 1):
            codes.append(q.sample(context.noise))
            densities.append(q.log_prob(codes[-1]))
        return self.bound(model, q, codes, torch.stack(densities), passage.target)

    def bound(self, model: Autoencoder, q: Distribution, codes: list[Tensor], densities: Tensor, target: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the terms at given draws, whose log densities are of shape (draws, batch)."""
        likelihood, prior = joint(model, codes, target)
        logs = likelihood + prior - densities
        if self.alpha == 1:
            value = logs.mean(0)
        else:
            power = 1 - self.alpha
            value = ((power * logs).logsumexp(0) - math.log(len(codes))) / power
        shares = ((1 - self.alpha) * logs).softmax(0).detach()
        reconstruction = -(shares * likelihood).sum(0)
        return {"reconstruction": reconstruction, "kl": -value - reconstruction}


@register("objective.iwae")
class IWAE(Renyi):
    r"""Negative of the importance weighted bound :math:`L_k = \log\tfrac1k\sum_i w_i`, with the doubly reparameterised gradient.

    The encoder's gradient is :math:`\sum_i\tilde w_i^2\,\partial\log w_i/\partial z_i\;\partial z_i/\partial\phi` with normalised weights
    :math:`\tilde w_i`: unbiased, and its signal does not vanish as k grows, as that of the plain gradient does. It needs posteriors
    that are Gaussian or Laplace; others get the plain one.

    Parameters
    ----------
    draws : int
        Codes drawn for each row, k.
    doubly : bool
        Whether the gradient is the doubly reparameterised one.
    one_draw : float
        Share of the training made with the ELBO of a single draw before `draws` are taken.

    Raises
    ------
    ConfigError
        If `draws` is below 1, `one_draw` is outside [0, 1], or the model has no prior.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016; Tucker et al., "Doubly reparameterized gradient
    estimators for Monte Carlo objectives", ICLR 2019, equation 8.

    Examples
    --------
    >>> IWAE(draws=5).draws
    5
    """

    def __init__(self, draws: int = 5, doubly: bool = True, one_draw: float = 0.0) -> None:
        super().__init__(draws, 0.0, one_draw)
        self.doubly = doubly

    def bound(self, model: Autoencoder, q: Distribution, codes: list[Tensor], densities: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the terms at given draws, whose log densities are of shape (draws, batch)."""
        if not self.doubly or not codes[0].requires_grad or not isinstance(bare(q, codes[0])[0], (Normal, Laplace, FullNormal)):
            return super().bound(model, q, codes, densities, target)
        fixed, shares = frozen(q), _Shares()
        codes = [shares.weigh(z, i) for i, z in enumerate(codes)]
        likelihood, prior = joint(model, codes, target)
        logs = likelihood + prior - torch.stack([fixed.log_prob(z) for z in codes])
        shares.values = logs.detach().softmax(0)
        value = (logs.logsumexp(0) - math.log(len(codes))).detach()
        reconstruction = -(shares.values * likelihood).sum(0).detach()
        pulled = (shares.values * logs).sum(0)
        # The value is the bound's, the gradient that of the weighted sum.
        return {"reconstruction": reconstruction, "kl": -value - reconstruction - (pulled - pulled.detach())}


class _Shares:
    """Multiplies the gradient that reaches a draw by the draw's normalised weight once more."""

    def __init__(self) -> None:
        self.values: Tensor | None = None

    def weigh(self, z: Tensor, number: int) -> Tensor:
        """Return `z` so that its gradient is weighed on the way back."""

        def weighed(gradient: Tensor) -> Tensor:
            return gradient if self.values is None else gradient * self.values[number][:, None]

        copy = z * 1
        copy.register_hook(weighed)  # pyright: ignore[reportUnknownMemberType]
        return copy


def joint(model: Autoencoder, codes: list[Tensor], target: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x | z) and log p(z) of each draw, shape (draws, batch), decoded in one pass."""
    assert model.prior is not None
    flat = torch.cat(codes)
    repeated = target.repeat(len(codes), *[1] * (target.ndim - 1))
    shape = (len(codes), target.shape[0])
    return model.decode(flat).log_prob(repeated).view(shape), model.prior.log_prob(flat).view(shape)
