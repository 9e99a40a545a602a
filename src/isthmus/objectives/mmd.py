"""The distance between the codes of a batch and the prior."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.distributions.labelled import bare
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def squared_mmd(a: Tensor, b: Tensor) -> Tensor:
    r"""Return the squared maximum mean discrepancy of two samples, unbiased, so that it may be negative.

    The kernel is inverse multiquadratic, :math:`k(a, b) = \sum_s C_s/(C_s + \lVert a-b\rVert^2)`, :math:`C_s = 2ds`, s from .1 to 10.

    Parameters
    ----------
    a, b : Tensor of shape (n, d), n at least 2

    Returns
    -------
    Tensor of shape ()

    Examples
    --------
    >>> a = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    >>> bool(squared_mmd(a, a + 3) > 0.5)
    True
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        apart = (x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * x @ y.T).clamp_min(0)
        constants = [2.0 * x.shape[1] * scale for scale in SCALES]
        return torch.stack([c / (c + apart) for c in constants]).sum(0)

    n = len(a)
    within = sum((kernel(part, part).sum() - n * len(SCALES)) / (n * (n - 1)) for part in (a, b))
    return within - 2 * kernel(a, b).mean()


@register("objective.mmd")
class MMD(Objective):
    r"""The term ``mmd``: the squared maximum mean discrepancy between the batch's codes and as many of the prior.

    It holds all codes together to the prior, and no single one of them. To be added to `Reconstruction`; the model needs a prior.

    Parameters
    ----------
    weight : float
        Weight of the term.

    Raises
    ------
    ConfigError
        If `weight` is negative, or the model has no prior.

    References
    ----------
    Tolstikhin et al., "Wasserstein auto-encoders", ICLR 2018, algorithm 2; the kernel: their section 4.

    Examples
    --------
    >>> MMD(10.0).weights(Context())
    {'mmd': 10.0}
    """

    def __init__(self, weight: float = 10.0) -> None:
        super().__init__()
        if not weight >= 0:
            raise ConfigError(f"the weight of the term 'mmd' must be at least 0, not {weight}")
        self.weight = float(weight)

    def weights(self, context: Context) -> dict[str, float]:  # noqa: ARG002
        """Return the weight of ``mmd``."""
        return {"mmd": self.weight}

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``mmd``: the same for all rows of a batch, and 0 where nothing may be random."""
        if model.prior is None:
            raise ConfigError("the term 'mmd' needs a model with a prior: pass prior=StandardNormal(latent) to Autoencoder")
        _, z = bare(passage.q, passage.z)
        if context.noise is None or len(z) < 2:
            return {"mmd": torch.zeros_like(z[:, 0]).detach()}
        drawn = model.prior.bare.sample(len(z), context.noise).to(z)
        return {"mmd": squared_mmd(z, drawn).expand(len(z))}
