"""What every network has, and how weights get their first values."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import ConfigError

M = TypeVar("M", bound=nn.Module)
_LINALG: Any = torch.linalg  # torch leaves it without type hints

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def activations() -> list[str]:
    """Return the names `activation` knows."""
    return sorted(_ACTIVATIONS)


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return the activation function called `name`.

    Parameters
    ----------
    name : str
        One of `activations`.

    Returns
    -------
    callable

    Raises
    ------
    ConfigError
        If there is none of this name.

    Examples
    --------
    >>> activation("relu")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if name not in _ACTIVATIONS:
        raise ConfigError(f"unknown activation {name!r}; choose one of {', '.join(activations())}")
    return _ACTIVATIONS[name]


def through(layers: Iterable[nn.Module], h: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply layers in order, with the activation between them."""
    *inner, last = layers
    for layer in inner:
        h = activation(layer(h))
    return last(h)


class Network(nn.Module):
    """A map from rows of `shape_in` to rows of `shape_out`.

    Attributes
    ----------
    shape_in, shape_out : tuple of int
        Shapes of one row, without the batch axis.
    """

    shape_in: tuple[int, ...]
    shape_out: tuple[int, ...]

    @abstractmethod
    def gain(self) -> Tensor:
        """Euclidean norm of the weights that leave each input unit, shape (inputs,): how loud a unit is for this network."""


@runtime_checkable
class Initialises(Protocol):
    """A module that gives its own parameters and buffers their first values."""

    def initialise(self, generator: torch.Generator) -> None:
        """Fill parameters and buffers in place."""
        ...


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Give every weight its first value from `generator`: uniform within 1/sqrt(fan in), as PyTorch does.

    Other parameters stay as they are, unless their module has a method ``initialise(generator)``.

    Parameters
    ----------
    module : torch.nn.Module
    generator : torch.Generator
        On the CPU, so that every device starts from the same numbers.
    """
    for part in module.modules():
        if isinstance(part, Initialises):
            part.initialise(generator)
        elif isinstance(part, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            _uniform(part, generator)


def _uniform(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, generator: torch.Generator) -> None:
    outputs_first = not isinstance(layer, nn.ConvTranspose2d)
    fan_in = layer.weight[0].numel() if outputs_first else layer.weight[:, 0].numel() // 4
    bound = 1 / math.sqrt(fan_in)
    fill_uniform(layer.weight, bound, generator)
    if layer.bias is not None:
        fill_uniform(layer.bias, bound, generator)


def fill_uniform(parameter: Tensor, bound: float, generator: torch.Generator) -> None:
    """Fill in place, uniform on [-bound, bound)."""
    with torch.no_grad():
        numbers = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.copy_((2 * numbers - 1) * bound)


def materialise(module: M, seed: int) -> M:
    """Turn a module built on the meta device into a real one on the CPU, its weights decided by `seed` alone.

    Parameters and buffers that `initialise` does not fill are zero.

    Parameters
    ----------
    module : torch.nn.Module
        Built under ``with torch.device("meta")``: no memory and no random number was spent on it.
    seed : int

    Returns
    -------
    torch.nn.Module
        The same module.

    Examples
    --------
    >>> with torch.device("meta"):
    ...     layer = nn.Linear(2, 2)
    >>> bool(materialise(layer, 0).weight.isfinite().all())
    True
    """
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            setattr(part, name, nn.Parameter(torch.zeros(parameter.shape, dtype=parameter.dtype), parameter.requires_grad))
        for name, buffer in list(part.named_buffers(recurse=False)):
            setattr(part, name, torch.zeros(buffer.shape, dtype=buffer.dtype))
    initialise(module, torch.Generator().manual_seed(seed))
    return module


def norms(weight: Tensor, dim: int) -> Tensor:
    """Return the Euclidean norms along one axis."""
    return _LINALG.vector_norm(weight, dim=dim)


def check_widths(hidden: Sequence[int], name: str) -> tuple[int, ...]:
    """Return `hidden` as a tuple, or say what is wrong with it.

    Raises
    ------
    ConfigError
        If a width is not a positive whole number or there are more than 64.
    """
    if len(hidden) > 64 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in hidden):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"{name} must be at most 64 whole numbers of at least 1, not {str(list(hidden))[:80]}")
    return tuple(hidden)
