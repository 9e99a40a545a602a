"""Monotone rational-quadratic splines, and coupling layers made of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

MOST = 0.5 * math.log(1000)  # of what the free numbers become: neighbouring bins differ a thousandfold at most, and inverses stay exact
SLOPE_ONE = math.log(math.expm1(1.0))  # softplus of it is 1


def bounded(free: Tensor) -> Tensor:
    """Return free numbers as ones between -3.45 and 3.45, hardly changed where they are small.

    Examples
    --------
    >>> bounded(torch.tensor([0.0, 1e9]))
    tensor([0.0000, 3.4539])
    """
    return free / (1 + free.abs() / MOST)


def _knots(free: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Return the knots from -bound to bound, one more than bins, and the bins' sizes."""
    sizes = 2 * bound * free.softmax(-1)
    return functional.pad(sizes.cumsum(-1) - bound, (1, 0), value=-bound), sizes


def _at(values: Tensor, place: Tensor) -> Tensor:
    return values.gather(-1, place).squeeze(-1)


def rational_quadratic(x: Tensor, free: Tensor, bound: float, inverse: bool = False) -> tuple[Tensor, Tensor]:
    r"""Map each number by a monotone spline of its own on [-bound, bound]; outside nothing is changed.

    Between two knots :math:`y = y_k + \frac{h\,[s\xi^2 + d_k\xi(1-\xi)]}{s + (d_{k+1} + d_k - 2s)\,\xi(1-\xi)}`, with
    :math:`\xi = (x - x_k)/w`, the bin's width w, height h and mean slope :math:`s = h/w`, and slopes d at the knots, 1 at both ends.

    Parameters
    ----------
    x : Tensor of shape (\\*shape)
    free : Tensor of shape (\\*shape, 3 * bins - 1)
        Free numbers: of widths, of heights, of the slopes at inner knots. Zeros give the identity.
    bound : float
    inverse : bool
        Map back. The log slopes are those of the map itself in both cases.

    Returns
    -------
    y : Tensor of shape (\\*shape)
    log_slopes : Tensor of shape (\\*shape)

    References
    ----------
    Durkan et al., "Neural spline flows", NeurIPS 2019, equations 4 to 8; the splines: Gregory and Delbourgo, 1982.

    Examples
    --------
    >>> y, log_slopes = rational_quadratic(torch.tensor([0.5, 9.0]), torch.zeros(2, 5), bound=3.0)
    >>> y.round(decimals=5).tolist(), log_slopes.abs().max().item() < 1e-5
    ([0.5, 9.0], True)
    """
    bins = (free.shape[-1] + 1) // 3
    free = bounded(free)
    lefts, widths = _knots(free[..., :bins], bound)
    bottoms, heights = _knots(free[..., bins : 2 * bins], bound)
    slopes = functional.pad(functional.softplus(free[..., 2 * bins :] + SLOPE_ONE), (1, 1), value=1.0)
    inside = x.abs() < bound
    held = x.clamp(-bound, bound)
    place = (held[..., None] >= (bottoms if inverse else lefts)[..., 1:-1]).sum(-1, keepdim=True)
    w, h, left, bottom = _at(widths, place), _at(heights, place), _at(lefts, place), _at(bottoms, place)
    first, second, mean = _at(slopes, place), _at(slopes, place + 1), h / w
    bend = first + second - 2 * mean
    if inverse:
        up = held - bottom
        a, b, c = h * (mean - first) + up * bend, h * first - up * bend, -mean * up
        xi = (2 * c / (-b - (b.square() - 4 * a * c).clamp_min(0).sqrt())).clamp(0, 1)
        y = left + xi * w
    else:
        xi = (held - left) / w
        y = bottom + h * (mean * xi.square() + first * xi * (1 - xi)) / (mean + bend * xi * (1 - xi))
    top = second * xi.square() + 2 * mean * xi * (1 - xi) + first * (1 - xi).square()
    log_slope = 2 * mean.log() + top.log() - 2 * (mean + bend * xi * (1 - xi)).log()
    return torch.where(inside, y, x), torch.where(inside, log_slope, torch.zeros_like(x))


class SplineCoupling(nn.Module):
    """Every other unit goes through a spline that a network makes of the rest, and of a context if there is one.

    Parameters
    ----------
    latent : int
        At least 2.
    parity : {0, 1}
        Which units stay.
    hidden : int
        Width of the network's hidden layer.
    bins : int
        Of each spline.
    bound : float
        Units beyond it are left alone.
    context : int
        Width of what the network also knows; 0 for nothing.

    References
    ----------
    Durkan et al., "Neural spline flows", NeurIPS 2019, section 3.

    Examples
    --------
    >>> layer, z = SplineCoupling(3, 0), torch.ones(1, 3)
    >>> bool((layer.inverse(layer.forward(z)[0])[0] - z).abs().max() < 1e-5)
    True
    """

    def __init__(self, latent: int, parity: int, hidden: int = 64, bins: int = 8, bound: float = 5.0, context: int = 0) -> None:
        super().__init__()
        self.stay = [i for i in range(latent) if i % 2 == parity]
        self.move = [i for i in range(latent) if i % 2 != parity]
        order = [*self.stay, *self.move]
        self.back = [order.index(i) for i in range(latent)]
        self.bound = float(bound)
        self.first = nn.Linear(len(self.stay) + context, hidden)
        self.second = nn.Linear(hidden, (3 * bins - 1) * len(self.move))

    def _bent(self, z: Tensor, context: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        stay, move = z[:, self.stay], z[:, self.move]
        seen = stay if context is None else torch.cat([stay, context], dim=1)
        free = self.second(functional.silu(self.first(seen))).view(len(z), len(self.move), -1)
        moved, log_slopes = rational_quadratic(move, free, self.bound, inverse)
        return torch.cat([stay, moved], dim=1)[:, self.back], log_slopes.sum(1)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return image and log determinant."""
        return self._bent(z, context, inverse=False)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the origin and the log determinant of the map there."""
        return self._bent(z, context, inverse=True)


class Told:
    """A coupling layer with its context.

    Parameters
    ----------
    layer : SplineCoupling
    context : Tensor of shape (batch, width)
    """

    def __init__(self, layer: SplineCoupling, context: Tensor) -> None:
        self.layer, self.context = layer, context

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return image and log determinant."""
        return self.layer(z, self.context)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the origin and the log determinant of the map there."""
        return self.layer.inverse(z, self.context)


class Affine:
    r"""Each unit of each row stretched and moved, :math:`z' = \mu + \sigma z`.

    Parameters
    ----------
    location, log_scale : Tensor of shape (batch, latent)
    """

    def __init__(self, location: Tensor, log_scale: Tensor) -> None:
        self.location, self.log_scale = location, log_scale

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return image and log determinant."""
        return self.location + self.log_scale.exp() * z, self.log_scale.sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the origin and the log determinant of the map there."""
        return (z - self.location) * (-self.log_scale).exp(), self.log_scale.sum(1)
