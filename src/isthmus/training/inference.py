"""Passes over data without training: codes, reconstructions, nats."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.bottlenecks import Deterministic, Gaussian
from isthmus.distributions import Delta, Distribution, SharedNoise
from isthmus.models import Autoencoder
from isthmus.nn import MLP
from isthmus.objectives import Context, Objective
from isthmus.training.probe import choose
from isthmus.training.slices import slice_rows
from isthmus.training.threads import threads

DRAWS = 16
ROWS = 4096
SHARED = 4_000_000  # floating-point operations of a slice from which threads pay
CHOSEN = 20_000_000  # those of a product from which the choice of a library pays


def in_batches(function: Callable[[Tensor], Tensor], rows: Tensor, device: torch.device | None = None, size: int | None = None) -> Tensor:
    """Apply `function` to slices of `rows` and join the results on the CPU; no gradient is kept.

    Parameters
    ----------
    function : callable
    rows : Tensor of shape (n, ...)
    device : torch.device, optional
        Where slices are moved to before.
    size : int, optional
        Rows a slice; chosen so that a slice holds at most some four million values if None.

    Returns
    -------
    Tensor of shape (n, ...)

    Examples
    --------
    >>> in_batches(lambda x: 2 * x, torch.ones(5, 1), size=2).flatten()
    tensor([2., 2., 2., 2., 2.])
    """
    if size is None:
        size = max(1, min(ROWS, 4_000_000 // max(1, rows[:1].numel())))
    with torch.inference_mode():
        slices = torch.split(rows, size)
        if device is None or device.type == "cpu":
            parts = [function(part) for part in slices]
        else:
            parts = [function(part.to(device)).cpu() for part in slices]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _device(model: torch.nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def encode(model: Autoencoder, rows: Tensor, size: int | None = None) -> Tensor:
    """Return the mean code of every row.

    Parameters
    ----------
    model : Autoencoder
    rows : Tensor of shape (n, \\*shape)
        Preprocessed.
    size : int, optional
        Rows a slice; chosen by their width if None.

    Returns
    -------
    Tensor of shape (n, latent)
    """
    encoder = _dense_encoder(model)
    if encoder is None:
        return in_batches(lambda x: model.encode(x).mean, rows, _device(model), size or slice_rows(model))
    work = 2 * min(len(rows), size or ROWS) * sum(p.numel() for p in model.encoder.parameters())
    with threads(1 if work < SHARED else torch.get_num_threads()):
        return in_batches(encoder, rows, _device(model), size)


def _dense_encoder(model: Autoencoder) -> Callable[[Tensor], Tensor] | None:
    """Return the mean code as bare products, for dense encoders with a plain or Gaussian code: modules cost more than small layers."""
    encoder = model.encoder
    if type(encoder) is not MLP or type(model.bottleneck) not in (Deterministic, Gaussian):
        return None
    *inner, (weight, bias) = [(layer.weight.detach(), layer.bias.detach()) for layer in encoder.linears]
    activation = torch.relu_ if encoder.activation is functional.relu else encoder.activation
    latent = model.latent

    def run(x: Tensor) -> Tensor:
        h = x.flatten(1) if x.ndim > 2 else x
        for w, b in inner:
            h = activation(_product(h, w, b))
        code = _product(h, weight, bias)
        return code if code.shape[1] == latent else code[:, :latent]

    return run


def _product(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``h @ weight.T + bias``, made by the library that is quickest here."""
    if 2 * len(h) * weight.numel() < CHOSEN or h.device.type != "cpu":
        return torch.addmm(bias, h, weight.t())
    out = h.new_empty(len(h), len(bias))
    for call in choose("forward", len(h), h.shape[1], len(bias), h.dtype, without=("numpy",)).forward(h, weight, bias, out):
        call()
    return out


def decode(model: Autoencoder, codes: Tensor, draw: Callable[[Distribution], Tensor] | None = None) -> Tensor:
    """Return the mean of the data for each code.

    Parameters
    ----------
    model : Autoencoder
    codes : Tensor of shape (n, latent)
    draw : callable, optional
        What to make of each batch's distribution instead of its mean.

    Returns
    -------
    Tensor of shape (n, \\*shape)
    """
    take = draw or _mean
    size = slice_rows(model) or max(1, min(ROWS, 4_000_000 // max(1, int(torch.Size(model.shape).numel()))))
    return in_batches(lambda z: take(model.decode(z)), codes, _device(model), size)


def reconstruct(model: Autoencoder, rows: Tensor) -> Tensor:
    """Return the mean of the data given the mean code of each row.

    Parameters
    ----------
    model : Autoencoder
    rows : Tensor of shape (n, \\*shape)
        Preprocessed.

    Returns
    -------
    Tensor of shape (n, \\*shape)
    """
    return in_batches(model.reconstruct, rows, _device(model), slice_rows(model))


def _mean(distribution: Distribution) -> Tensor:
    return distribution.mean


def nats(model: Autoencoder, objective: Objective, rows: Tensor, draws: int = DRAWS, seed: int = 0) -> Tensor:
    """Return (a bound on) the log likelihood of each row, the higher the more familiar.

    The code is drawn `draws` times with the same noise for every row, in mirrored pairs, so that a row always gets the same
    score whatever rows stand beside it. A deterministic code is decoded once.

    Parameters
    ----------
    model : Autoencoder
    objective : Objective
        Its terms in nats are summed, each with weight 1, nothing corrupted.
    rows : Tensor of shape (n, \\*shape)
    draws : int
    seed : int

    Returns
    -------
    Tensor of shape (n,), float32, nats
    """

    def score(x: Tensor) -> Tensor:
        count = 1 if isinstance(model.encode(x[:1]), Delta) else draws
        total = torch.zeros(len(x), device=x.device)
        for draw in range(count):
            noise = SharedNoise(seed + draw // 2, mirrored=bool(draw % 2)) if count > 1 else None
            terms = objective(model, x, x, Context(noise=noise))
            total = total - torch.stack([terms[name] for name in objective.nats]).sum(0)
        return total / count

    return in_batches(score, rows, _device(model), slice_rows(model))
