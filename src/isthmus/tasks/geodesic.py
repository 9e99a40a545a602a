"""Paths between codes along the decoder's geometry: short where they are short in the data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.models import Autoencoder
from isthmus.tasks.latent import frozen

Array = NDArray[Any]
ITERATIONS = 400


def geodesic(model: Autoencoder, starts: Array, ends: Array, steps: int, iterations: int = ITERATIONS) -> Array:
    r"""Return paths that take even steps in the data: the discrete curve of least energy under the decoder.

    :math:`E = \tfrac{S}{2} \sum_s \lVert g(z_{s+1}) - g(z_s) \rVert^2` over the decoded means g is lowered from a straight line by Adam,
    both ends kept. A path that is no better than the straight line is not taken.

    Parameters
    ----------
    model : Autoencoder
    starts, ends : arrays of shape (paths, latent)
    steps : int
        Codes on each path, both ends included.
    iterations : int

    Returns
    -------
    array of shape (paths, steps, latent)

    References
    ----------
    Shao, Kumar and Fletcher, "The Riemannian geometry of deep generative models", CVPR workshops 2018, equation 4.
    """
    first, last = (torch.from_numpy(np.ascontiguousarray(part, np.float32)) for part in (starts, ends))  # pyright: ignore[reportUnknownMemberType]
    t = torch.linspace(0, 1, steps)[None, 1:-1, None]
    straight = (1 - t) * first[:, None] + t * last[:, None]
    if steps < 3:
        return torch.stack([first, last], dim=1).numpy()
    inner = straight.clone().requires_grad_()
    rate = 0.05 * max(float((last - first).abs().mean()), 1e-6)
    adam: Any = torch.optim.Adam([inner], lr=rate)
    with frozen(model), torch.enable_grad():
        for step in range(iterations):
            adam.param_groups[0]["lr"] = rate * math.cos(0.5 * math.pi * step / iterations)
            (inner.grad,) = torch.autograd.grad(energy(model, _whole(first, inner, last)).sum(), inner)
            adam.step()
    with torch.no_grad():
        better = energy(model, _whole(first, inner, last)) < energy(model, _whole(first, straight, last))
        return _whole(first, torch.where(better[:, None, None], inner, straight), last).numpy()


def _whole(first: torch.Tensor, inner: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    return torch.cat([first[:, None], inner, last[:, None]], dim=1)


def energy(model: Autoencoder, paths: torch.Tensor) -> torch.Tensor:
    """Return the energy of paths of shape (paths, steps, latent) in the data, shape (paths,)."""
    count, steps, latent = paths.shape
    decoded = model.decode(paths.reshape(-1, latent)).mean.reshape(count, steps, -1)
    return 0.5 * (steps - 1) * (decoded[:, 1:] - decoded[:, :-1]).square().sum((1, 2))
