"""The linear autoencoder's best weights without a loop."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.nn import MLP
from isthmus.nn.tied import TiedMLP


def fit_linear(model: Autoencoder, rows: Tensor) -> Tensor:
    r"""Set a linear model's weights to the best ones for squared error.

    With the leading eigenvectors :math:`V` of the covariance and the mean :math:`m`: :math:`z = V^\top (x - m)`,
    :math:`\hat x = V z + m`. The smaller of the covariance (d x d) and the Gram matrix (n x n) is decomposed, in float64.

    Parameters
    ----------
    model : Autoencoder
        From the family ``linear``; changed in place.
    rows : Tensor of shape (n, ...)

    Returns
    -------
    Tensor of shape (min(latent, n, d),)
        Share of the variance each code unit explains.

    Raises
    ------
    ConfigError
        If the model is not linear.

    References
    ----------
    Baldi and Hornik, Neural Networks 2, 1989.
    """
    encoder, decoder = model.encoder, model.decoder
    if not isinstance(encoder, MLP) or not isinstance(decoder, (MLP, TiedMLP)) or len(encoder.layers) != 1:
        raise ConfigError("a closed form exists only for the family 'linear' (one linear map each way)")
    flat = rows.flatten(1)
    mean = flat.mean(0, dtype=torch.float64)
    vectors, shares = _leading(flat, mean, model.latent)
    count = vectors.shape[1]
    with torch.no_grad():
        first = encoder.linears[0]
        for parameter in (*encoder.parameters(), *decoder.parameters()):
            parameter.zero_()
        first.weight[:count] = vectors.T
        first.bias[:count] = -(mean @ vectors)
        if isinstance(decoder, MLP):
            decoder.linears[0].weight[:, :count] = vectors
        (decoder.linears[0].bias if isinstance(decoder, MLP) else decoder.biases[0]).copy_(mean)
    return shares


def _leading(flat: Tensor, mean: Tensor, latent: int) -> tuple[Tensor, Tensor]:
    """Leading eigenvectors of the covariance (d, k), signs fixed by the largest entry, and their shares of the variance."""
    n, d = flat.shape
    k = min(latent, n, d)
    values: Tensor
    vectors: Tensor
    left: Tensor
    if n >= d:
        centred = flat - mean.to(flat.dtype)
        values, vectors = torch.linalg.eigh((centred.T @ centred).double())  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        vectors = vectors[:, -k:].flip(1)
    else:
        centred = flat.double() - mean
        values, left = torch.linalg.eigh(centred @ centred.T)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        vectors, _ = torch.linalg.qr(centred.T @ left[:, -k:].flip(1))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    top = vectors.abs().argmax(0)
    vectors = vectors * vectors[top, torch.arange(k)].sign()
    return vectors, (values.flip(0)[:k] / values.sum().clamp_min(1e-300)).clamp_min(0)
