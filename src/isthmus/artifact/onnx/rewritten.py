"""Functions that formats of graphs do not know, made of functions they do know."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_TORCH: Any = torch  # torch leaves some of it without type hints
_TENSOR: Any = Tensor
_SPECIAL: Any = torch.special
# Lanczos' series for g = 7 (Numerical Recipes, section 6.1): 15 digits.
_G = 7.0
_FIRST, *_REST = (
    0.99999999999980993,
    676.5203681218851,
    -1259.1392167224028,
    771.32342877765313,
    -176.61502916214059,
    12.507343278686905,
    -0.13857109526572012,
    9.9843695780195716e-6,
    1.5056327351493116e-7,
)
# Abramowitz and Stegun, "Handbook of mathematical functions", 9.8.1 to 9.8.4: 7 digits, below and above 3.75.
_I0_LOW = (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
_I0_HIGH = (0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633, 0.00392377)
_I1_LOW = (0.5, 0.87890594, 0.51498869, 0.15084934, 0.02658733, 0.00301532, 0.00032411)
_I1_HIGH = (0.39894228, -0.03988024, -0.00362018, 0.00163801, -0.01031555, 0.02282967, -0.02895312, 0.01787654, -0.00420059)
_EDGE = 3.75


def lgamma(x: Tensor) -> Tensor:
    """Return the logarithm of the gamma function of positive numbers, with 15 digits in float64.

    Examples
    --------
    >>> x = torch.tensor([1e-3, 0.5, 1.0, 7.0, 1e6], dtype=torch.float64)
    >>> bool(torch.allclose(lgamma(x), x.lgamma(), rtol=1e-14, atol=1e-14))
    True
    """
    z = x.double()
    places = torch.arange(1.0, len(_REST) + 1, dtype=z.dtype, device=z.device)
    series = _FIRST + (z.new_tensor(_REST) / (z.unsqueeze(-1) + places)).sum(-1)
    t = z + (_G + 0.5)
    # Of z + 1, less log z, so that numbers near 0 are served too.
    return ((z + 0.5) * t.log() - t + series.log() + (0.5 * math.log(2 * math.pi)) - z.log()).to(x.dtype)


def _polynomial(t: Tensor, coefficients: Sequence[float]) -> Tensor:
    found = torch.full_like(t, coefficients[-1])
    for c in coefficients[-2::-1]:
        found = found * t + c
    return found


def _bessel(x: Tensor, low: Sequence[float], high: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return both branches, scaled by exp(-x), for x of at least 0: within the edge, and beyond it."""
    inner, outer = x.clamp_max(_EDGE), x.clamp_min(_EDGE)
    return _polynomial((inner / _EDGE).square(), low) * (-inner).exp(), _polynomial(_EDGE / outer, high) / outer.sqrt()


def i0e(x: Tensor) -> Tensor:
    """Return the modified Bessel function of order 0, scaled by exp(-x), of numbers of at least 0.

    Examples
    --------
    >>> x = torch.linspace(0, 50, 101)
    >>> bool(torch.allclose(i0e(x), torch.special.i0e(x), atol=5e-7))
    True
    """
    below, above = _bessel(x.double(), _I0_LOW, _I0_HIGH)
    return torch.where(x < _EDGE, below, above).to(x.dtype)


def i1e(x: Tensor) -> Tensor:
    """Return the modified Bessel function of order 1, scaled by exp(-x), of numbers of at least 0.

    Examples
    --------
    >>> x = torch.linspace(0, 50, 101)
    >>> bool(torch.allclose(i1e(x), torch.special.i1e(x), atol=5e-7))
    True
    """
    below, above = _bessel(x.double(), _I1_LOW, _I1_HIGH)
    return torch.where(x < _EDGE, x * below, above).to(x.dtype)


def searchsorted(edges: Tensor, values: Tensor) -> Tensor:
    """Return how many of the edges of each row, shape (n, e), lie below its value, shape (n, 1).

    Examples
    --------
    >>> searchsorted(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[1.5]])).tolist()
    [[2]]
    """
    return (edges < values).long().sum(1, keepdim=True)


def expm1(x: Tensor) -> Tensor:
    """Return exp(x) - 1 by way of float64.

    Examples
    --------
    >>> expm1(torch.tensor([0.0, 1e-6]))
    tensor([0.0000e+00, 1.0000e-06])
    """
    return (x.double().exp() - 1).to(x.dtype)


def log1p(x: Tensor) -> Tensor:
    """Return log(1 + x) by way of float64.

    Examples
    --------
    >>> log1p(torch.tensor([0.0, 1e-6]))
    tensor([0.0000e+00, 1.0000e-06])
    """
    return (x.double() + 1).log().to(x.dtype)


def digamma(x: Tensor) -> Tensor:
    """Return the logarithmic derivative of the gamma function of positive numbers: its asymptotic series, eight steps further up.

    Examples
    --------
    >>> x = torch.tensor([0.01, 1.0, 30.0])
    >>> bool(torch.allclose(digamma(x), x.digamma(), rtol=1e-6))
    True
    """
    z = x.double()
    steps = torch.arange(8.0, dtype=z.dtype, device=z.device)
    far = z + len(steps)
    square = far.square().reciprocal()
    series = far.log() - 0.5 / far - square * (1 / 12 - square * (1 / 120 - square / 252))
    return (series - (z.unsqueeze(-1) + steps).reciprocal().sum(-1)).to(x.dtype)


def l1_loss(x: Tensor, y: Tensor, **_: Any) -> Tensor:
    """Return absolute differences.

    Examples
    --------
    >>> l1_loss(torch.zeros(2), torch.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """
    return (x - y).abs()


def no_slope(x: Tensor, *shapes: Tensor) -> Tensor:  # noqa: ARG001
    """Return zeros for the slope of a draw, which nobody asks for where nothing is trained.

    Examples
    --------
    >>> no_slope(torch.ones(2))
    tensor([0., 0.])
    """
    return torch.zeros_like(x)


def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """Return log(exp(a) + exp(b)), without overflow.

    Examples
    --------
    >>> round(float(logaddexp(torch.tensor(800.0), torch.tensor(800.0))), 3)
    800.693
    """
    return torch.maximum(a, b) + ((-(a - b).abs()).exp() + 1).log()


def split(x: Tensor, size: int | Tensor | Sequence[int], dim: int = 0) -> Sequence[Tensor]:
    """Split by sizes as torch does, but not into equal blocks: how many blocks there are would depend on how many rows there are.

    Examples
    --------
    >>> len(split(torch.zeros(5, 4), 2)), len(split(torch.zeros(5, 4), [1, 3], 1))
    (1, 2)
    """
    return torch.split(x, list(size), dim) if isinstance(size, Sequence) else (x,)


_KNOWN: dict[Any, Callable[..., Any]] = {
    torch.lgamma: lgamma,
    torch.Tensor.lgamma: lgamma,
    torch.digamma: digamma,
    functional.l1_loss: l1_loss,
    _TORCH._dirichlet_grad: no_slope,
    torch.log1p: log1p,
    torch.Tensor.log1p: log1p,
    torch.expm1: expm1,
    torch.Tensor.expm1: expm1,
    _SPECIAL.i0e: i0e,
    _SPECIAL.i1e: i1e,
    torch.searchsorted: searchsorted,
    torch.logaddexp: logaddexp,
    torch.split: split,
    _TENSOR.split: split,
}


class Rewritten(TorchFunctionMode):
    """Within this context the functions above stand for torch's own.

    Examples
    --------
    >>> with Rewritten():
    ...     round(float(torch.lgamma(torch.tensor(4.0)).exp()), 4)
    6.0
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known: Any = _KNOWN[func] if func in _KNOWN else func  # noqa: SIM401
        return known(*args, **(kwargs or {}))
