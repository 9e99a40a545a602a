"""The linear autoencoder's best weights without a loop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.nn import MLP
from isthmus.nn.tied import TiedMLP

_LINALG: Any = torch.linalg  # torch leaves it without type hints


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
    encoder, decoder = _linear_parts(model)
    flat = rows.flatten(1)
    mean = _mean(flat)
    vectors, shares = _leading(flat, mean, model.latent)
    _install(encoder, decoder, mean, vectors)
    return shares


def fit_linear_moments(model: Autoencoder, mean: Tensor, scatter: Tensor, rows: int) -> Tensor:
    r"""Do as `fit_linear` where only the moments of the rows are known.

    Parameters
    ----------
    model : Autoencoder
        From the family ``linear``; changed in place.
    mean : Tensor of shape (d,), float64
        Mean :math:`m` of the rows.
    scatter : Tensor of shape (d, d), float64
        :math:`\sum_i (x_i - m)(x_i - m)^\top`.
    rows : int
        How many rows there were.

    Returns
    -------
    Tensor of shape (min(latent, rows, d),)
        Share of the variance each code unit explains.

    Raises
    ------
    ConfigError
        If the model is not linear.
    """
    encoder, decoder = _linear_parts(model)
    vectors, shares = _of_scatter(scatter, min(model.latent, rows, len(mean)))
    _install(encoder, decoder, mean, vectors)
    return shares


def _linear_parts(model: Autoencoder) -> tuple[MLP, MLP | TiedMLP]:
    encoder, decoder = model.encoder, model.decoder
    if not isinstance(encoder, MLP) or not isinstance(decoder, (MLP, TiedMLP)) or len(encoder.layers) != 1:
        raise ConfigError("a closed form exists only for the family 'linear' (one linear map each way)")
    return encoder, decoder


def _mean(flat: Tensor) -> Tensor:
    """Mean over rows in float64; float32 rows are summed by thousands first, which is quick and loses nothing."""
    whole = len(flat) // 1024 * 1024
    sums = flat[:whole].view(-1, 1024, flat.shape[1]).sum(1).double().sum(0) + flat[whole:].double().sum(0)
    return sums / len(flat)


def _install(encoder: MLP, decoder: MLP | TiedMLP, mean: Tensor, vectors: Tensor) -> None:
    """Give a linear model the directions `vectors` (d, k) through `mean` (d,)."""
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


def _leading(flat: Tensor, mean: Tensor, latent: int) -> tuple[Tensor, Tensor]:
    """Leading eigenvectors of the covariance (d, k) and their shares of the variance."""
    n, d = flat.shape
    k = min(latent, n, d)
    values: Tensor
    vectors: Tensor
    left: Tensor
    if n >= d:
        centred = flat - mean.to(flat.dtype)
        matrix = centred.numpy()
        # NumPy sees the symmetry and does half the work.
        scatter = torch.from_numpy(matrix.T @ matrix)  # pyright: ignore[reportUnknownMemberType]
        return _of_scatter(scatter.double(), k)
    centred = flat.double() - mean
    values, left = _LINALG.eigh(centred @ centred.T)
    vectors, _ = _LINALG.qr(centred.T @ left[:, -k:].flip(1))
    return _fix_signs(vectors), _shares(values, k)


def _of_scatter(scatter: Tensor, k: int) -> tuple[Tensor, Tensor]:
    values: Tensor
    vectors: Tensor
    values, vectors = _LINALG.eigh(scatter)
    return _fix_signs(vectors[:, -k:].flip(1)), _shares(values, k)


def _fix_signs(vectors: Tensor) -> Tensor:
    """Make the largest entry of each column positive."""
    top = vectors.abs().argmax(0)
    return vectors * vectors[top, torch.arange(vectors.shape[1])].sign()


def _shares(values: Tensor, k: int) -> Tensor:
    return (values.flip(0)[:k] / values.sum().clamp_min(1e-300)).clamp_min(0)
