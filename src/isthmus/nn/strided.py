"""Convolutions with kernels of 4 at stride 2, down and up, in the form a CPU computes quickest.

On a CPU the values of a pixel lie side by side in memory (channels last), which is how oneDNN reads them without reordering. A
transposed convolution to few channels, such as the last one of a decoder, is computed as a plain one: oneDNN takes up to thirty times
as long for the transposed one as for its products.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

LANES = 16  # float32 values in a register: with fewer channels than this, oneDNN's transposed convolution leaves the rest idle
LEAST = 2000  # pixels in a batch from which the plain one pays, on one thread and on two
WORTH = 50_000  # pixels of all pictures in a batch from which the time in Python is made good, on one thread and on two
_ATEN: Any = torch.ops.aten


def quick(like: Tensor, height: int, width: int) -> bool:
    """Say whether pictures of this size, as many as `like` has rows, pass quicker with channels last: float32 by oneDNN on a CPU.

    Under autocast and where operations are followed, not computed, they take the plain way.
    """
    plain = like.device.type == "cpu" and like.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    followed = torch.compiler.is_compiling() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return plain and not followed and len(like) * height * width >= WORTH and torch.backends.mkldnn.is_available()


def channels_last(h: Tensor) -> Tensor:
    """Return `h`, shape (batch, C, H, W), with the values of a pixel side by side.

    The strides say so also for one channel, where torch would otherwise take the pictures for channels first.
    """
    batch, channels, height, width = h.shape
    return h.permute(0, 2, 3, 1).reshape(-1).view(batch, height, width, channels).permute(0, 3, 1, 2)


def from_pixels(h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a dense layer to pictures, shape (batch, C, H, W) to (batch, outputs); its weights count the values channel by channel.

    The smaller of both is brought into the other's order: the weights or the pictures.
    """
    if len(weight) > len(h):
        return functional.linear(h.flatten(1), weight, bias)
    return functional.linear(h.permute(0, 2, 3, 1).flatten(1), _by_pixel(weight, h.shape[1]), bias)


def to_pixels(z: Tensor, weight: Tensor, bias: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Apply a dense layer that gives pictures of `shape` (C, H, W): (batch, inputs) to (batch, C, H, W), channels last."""
    channels, height, width = shape
    if weight.shape[1] > len(z):
        return channels_last(functional.linear(z, weight, bias).view(-1, *shape))
    h = functional.linear(z, _by_pixel(weight.t(), channels).t(), _by_pixel(bias.unsqueeze(0), channels).squeeze(0))
    return h.view(-1, height, width, channels).permute(0, 3, 1, 2)


def _by_pixel(weight: Tensor, channels: int) -> Tensor:
    """Bring the second axis from channel by channel to pixel by pixel."""
    return weight.reshape(len(weight), channels, -1).transpose(1, 2).flatten(1)


def evened(h: Tensor, height: int | None = None, width: int | None = None) -> Tensor:
    """Pad pictures with rows below and columns on the right, of zeros, up to `height` and `width` (their own), both made even."""
    height, width = height or h.shape[2], width or h.shape[3]
    below, right = height + height % 2 - h.shape[2], width + width % 2 - h.shape[3]
    return functional.pad(h, (0, right, 0, below)) if below or right else h


def up(h: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Double pictures by a transposed convolution with kernels of 4 at stride 2, padding 1, and keep the first rows and columns.

    Parameters
    ----------
    h : Tensor of shape (batch, D, H, W)
        Channels last.
    weight : Tensor of shape (D, C, 4, 4)
    bias : Tensor of shape (C,), optional
    size : tuple of int
        Height and width, at most 2 H and 2 W.

    Returns
    -------
    Tensor of shape (batch, C, height, width)

    Examples
    --------
    >>> up(torch.zeros(2, 3, 4, 4), torch.zeros(3, 1, 4, 4), torch.zeros(1), (7, 8)).shape
    torch.Size([2, 1, 7, 8])
    """
    return cast("Any", _Up).apply(h, weight, bias, size)


def transposed(h: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Do the same as torch does it."""
    height, width = size
    return functional.conv_transpose2d(h, weight, bias, stride=2, padding=1)[:, :, :height, :width]


def _interleaved(h: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Compute the same by a plain convolution with kernels of 2 to four times the channels, one set for each of a block's four pixels.

    Blocks are counted from one pixel outside the picture, because there each block depends on the same 2 x 2 pixels of `h`.
    """
    inputs, channels = weight.shape[:2]
    batch, _, rows, columns = h.shape
    kernel = weight.reshape(-1).index_select(0, _order(inputs, channels)).view(4 * channels, 2, 2, inputs).permute(0, 3, 1, 2)
    blocks = functional.conv2d(h, kernel, None if bias is None else bias.repeat(4), padding=1).permute(0, 2, 3, 1)
    blocks = blocks.reshape(batch, rows + 1, columns + 1, 2, 2, channels).permute(0, 1, 3, 2, 4, 5)
    padded = blocks.reshape(batch, 2 * rows + 2, 2 * columns + 2, channels)
    return padded[:, 1 : 1 + size[0], 1 : 1 + size[1]].permute(0, 3, 1, 2)


@cache
def _order(inputs: int, channels: int) -> Tensor:
    """Places of the entries of a (inputs, channels, 4, 4) kernel in `_interleaved`'s (2, 2, channels, 2, 2, inputs)."""
    places = torch.arange(16 * inputs * channels, device="cpu").view(inputs, channels, 2, 2, 2, 2)
    return places.permute(3, 5, 1, 2, 4, 0).flip(3, 4).reshape(-1)


class _Up(torch.autograd.Function):
    """`up` with gradients that skip what oneDNN is slow at: it sums those of the bias slower than torch does."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int]) -> Tensor:
        few = weight.shape[1] < LANES and h.shape[0] * h.shape[2] * h.shape[3] >= LEAST
        return (_interleaved if few else transposed)(h, weight, bias, size)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(inputs[0], inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        h, weight = ctx.saved_tensors
        whole = channels_last(evened(gradient, 2 * h.shape[2], 2 * h.shape[3]))
        of_h = functional.conv2d(whole, weight, stride=2, padding=1) if ctx.needs_input_grad[0] else None
        mask = [False, True, False]
        of_weight = _ATEN.convolution_backward(whole, h, weight, None, [2, 2], [1, 1], [1, 1], True, [0, 0], 1, mask)[1]
        return of_h, of_weight, gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, None
