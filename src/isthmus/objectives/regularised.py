"""Smooth decoders and short codes without noise."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.distributions.labelled import bare
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register

PENALTIES = {
    "l2": "half the squared weights of the decoder",
    "gradient": "half the squared gradient of the decoder's mean by the code",
}


@register("objective.regularised")
class Regularised(Objective):
    r"""The terms ``code`` :math:`= \tfrac12\lVert z\rVert^2` and ``decoder``: what a VAE's noise does, without noise.

    ``decoder`` keeps the decoder smooth. It is :math:`\tfrac12\lVert\theta\rVert^2` over the decoder's weights, or
    :math:`\tfrac12\lVert\nabla_z D(z)\rVert^2`, estimated along one random direction of the output. To be added to `Reconstruction`.

    Parameters
    ----------
    code : float
        Weight of ``code``.
    decoder : float
        Weight of ``decoder``.
    penalty : {"l2", "gradient"}

    Raises
    ------
    ConfigError
        If a weight is negative or the penalty is unknown.

    References
    ----------
    Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020, equations 11 and 12.

    Examples
    --------
    >>> Regularised(code=0.1, decoder=0.01).weights(Context())
    {'code': 0.1, 'decoder': 0.01}
    """

    def __init__(self, code: float = 0.01, decoder: float = 1e-4, penalty: str = "l2") -> None:
        super().__init__()
        if not (code >= 0 and decoder >= 0):
            raise ConfigError(f"the weights of the code and of the decoder must be at least 0, not {code} and {decoder}")
        if penalty not in PENALTIES:
            raise ConfigError(f"unknown penalty {penalty!r}; choose one of {', '.join(PENALTIES)}")
        self.code, self.decoder, self.penalty = float(code), float(decoder), penalty

    def weights(self, context: Context) -> dict[str, float]:  # noqa: ARG002
        """Return the weights of both terms."""
        return {"code": self.code, "decoder": self.decoder}

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``code`` and ``decoder``."""
        _, z = bare(passage.q, passage.z)
        smooth = self._gradient(model, passage, context) if self.penalty == "gradient" else self._weights(model, z)
        return {"code": 0.5 * z.square().sum(1), "decoder": smooth}

    @staticmethod
    def _weights(model: Autoencoder, z: Tensor) -> Tensor:
        total = sum((p.square().sum() for p in model.decoder.parameters() if p.ndim > 1), torch.zeros_like(z[0, 0]))
        return (0.5 * total).expand(len(z))

    @staticmethod
    def _gradient(model: Autoencoder, passage: Passage, context: Context) -> Tensor:
        if not context.training or context.noise is None:
            return torch.zeros_like(passage.z[:, 0]).detach()
        z = passage.z if passage.z.requires_grad else passage.z.detach().requires_grad_()
        mean = model.decode(z).mean
        along = (mean * context.noise.normal(mean)).sum()
        (slope,) = torch.autograd.grad(along, z, create_graph=True)
        return 0.5 * slope.square().sum(1)
