"""Ways of making a network's input from the picture that it shall give back: lines, holes, half the size."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.errors import ConfigError, DataError
from isthmus.nn.lab import grey

LUMA = (0.299, 0.587, 0.114)
LINE = 0.08  # slope of a line, of the largest there can be
SMOOTH = 1.0  # pixels
BOXES, LARGEST = 2, 0.5
CORNERS, THICKEST = 5, 0.12


class Way:
    """What the network sees, in use and while it learns.

    Attributes
    ----------
    name : str
    residual : bool
        Whether the network only changes what it sees.
    """

    name = "pairs"
    residual = True

    def channels(self, channels: int) -> int:
        """Return how many channels an input has for targets of `channels`."""
        return channels

    def inputs(self, channels: int) -> int:
        """Return how many channels the network sees."""
        return self.channels(channels)

    @abstractmethod
    def spoil(self, target: Tensor, generator: torch.Generator) -> Tensor:
        """Return what the network sees of targets (batch, H, W, C), 0 to 1, while it learns."""

    def see(self, given: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return what the network sees of what is given in use; `mask` (batch, H, W, 1) is 1 where something shall be painted."""
        del mask
        return given


class Pairs(Way):
    """Both pictures are given."""

    def spoil(self, target: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Refuse: nothing is made here.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError("pairs have their inputs already")


class Grey(Way):
    """Black and white, of the same lightness."""

    name, residual = "grey", False

    def channels(self, channels: int) -> int:
        """Return 1; targets have three.

        Raises
        ------
        DataError
            If the targets have another number.
        """
        if channels != 3:
            raise DataError(f"the pictures have {channels} channel(s): a model that colours learns from coloured pictures (3 channels)")
        return 1

    def spoil(self, target: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the grey of the same lightness."""
        return grey(target)


class Edges(Way):
    """White lines on black where the brightness changes most."""

    name, residual = "edges", False

    def channels(self, channels: int) -> int:  # noqa: ARG002
        """Return 1."""
        return 1

    def spoil(self, target: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return lines."""
        return lines(target)


class Half(Way):
    """Half the height and width."""

    name = "half"

    def spoil(self, target: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return targets made small and large again."""
        height, width = target.shape[1:3]
        return resized(half(target), height, width)

    def see(self, given: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return pictures of twice the size."""
        del mask
        return resized(given, 2 * given.shape[1], 2 * given.shape[2])


class Masked(Way):
    """Parts are hidden, and the network is told where."""

    name = "masked"

    def inputs(self, channels: int) -> int:
        """Return one more than the pictures have: the mask."""
        return channels + 1

    def spoil(self, target: Tensor, generator: torch.Generator) -> Tensor:
        """Return targets with holes."""
        batch, height, width = target.shape[:3]
        return self.see(target, torch.stack([hole(height, width, generator) for _ in range(batch)]).to(target.device))

    def see(self, given: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return pictures whose hidden pixels are the mean of the others, and the mask.

        Raises
        ------
        DataError
            If there is no mask.
        """
        if mask is None:
            raise DataError("this model paints what is missing: give masks, not 0 where something shall be painted")
        left = 1 - mask
        mean = (given * left).sum((1, 2), keepdim=True) / left.sum((1, 2), keepdim=True).clamp_min(1)
        return torch.cat([torch.where(mask > 0, mean, given), mask], -1)


WAYS: dict[str, type[Way]] = {"pairs": Pairs, "grey": Grey, "edges": Edges, "masked": Masked, "half": Half}


def make_way(name: str) -> Way:
    """Return a way by its name.

    Raises
    ------
    ConfigError
        If there is none of this name.

    Examples
    --------
    >>> make_way("masked").inputs(3)
    4
    """
    if name not in WAYS:
        raise ConfigError(f"unknown way {name!r}; choose one of {', '.join(WAYS)}")
    return WAYS[name]()


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """Return pictures of another size by cubic interpolation, over larger neighbourhoods where they become smaller.

    Examples
    --------
    >>> resized(torch.ones(1, 4, 4, 1), 8, 8).mean().round()
    tensor(1.)
    """
    found = functional.interpolate(x.permute(0, 3, 1, 2), (height, width), mode="bicubic", align_corners=False, antialias=True)
    return found.permute(0, 2, 3, 1)


def half(x: Tensor) -> Tensor:
    """Return pictures of half the height and width.

    Raises
    ------
    DataError
        If they are one pixel high or wide.
    """
    if min(x.shape[1:3]) < 2:
        raise DataError(f"pictures of {x.shape[1]} x {x.shape[2]} cannot be made half as large: they must be 2 x 2 at least")
    return resized(x, x.shape[1] // 2, x.shape[2] // 2).clamp(0, 1)


def lines(x: Tensor) -> Tensor:
    """Return thin white lines on black where the brightness of pictures changes most, shape (batch, H, W, 1).

    Places whose slope is the steepest along its own direction, after Canny; without following weak lines.

    References
    ----------
    Canny, "A computational approach to edge detection", IEEE TPAMI 8, 1986.

    Examples
    --------
    >>> step = torch.zeros(1, 8, 8, 1)
    >>> step[:, :, 4:] = 1
    >>> lines(step)[0, 4, :, 0].nonzero().flatten().tolist()
    [3, 4]
    """
    bright = x @ x.new_tensor(LUMA).unsqueeze(1) if x.shape[3] == 3 else x.mean(-1, keepdim=True)
    places = torch.arange(-2, 3, device=x.device, dtype=x.dtype)
    bell = torch.exp(-0.5 * (places / SMOOTH).square())
    bell = bell / bell.sum()
    around = functional.pad(bright.permute(0, 3, 1, 2), (3, 3, 3, 3), mode="replicate")
    smooth = functional.conv2d(functional.conv2d(around, bell.view(1, 1, 1, -1)), bell.view(1, 1, -1, 1))
    slope = bell.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    right, down = (functional.conv2d(smooth, kernel.view(1, 1, 3, 3)) for kernel in (slope, slope.T))
    return (_steepest(right, down) > LINE / 2).to(x.dtype).permute(0, 2, 3, 1)


def _steepest(right: Tensor, down: Tensor) -> Tensor:
    """Return the slope where no neighbour along its direction has a larger one, 0 elsewhere."""
    steep = (right.square() + down.square()).sqrt()
    height, width = steep.shape[2:]
    around = functional.pad(steep, (1, 1, 1, 1))
    sector = (torch.atan2(down, right) / (math.pi / 4)).round().long() % 4
    kept = torch.zeros_like(steep, dtype=torch.bool)
    for number, (y, x) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        before = around[:, :, 1 - y : 1 - y + height, 1 - x : 1 - x + width]
        after = around[:, :, 1 + y : 1 + y + height, 1 + x : 1 + x + width]
        kept |= (sector == number) & (steep >= before - 1e-6) & (steep >= after - 1e-6)
    return steep * kept


def hole(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Return a random mask, shape (height, width, 1), 1 where something is missing: one or two boxes, or a free stroke.

    Examples
    --------
    >>> found = hole(32, 32, torch.Generator().manual_seed(0))
    >>> found.shape, bool(0 < found.mean() < 1)
    (torch.Size([32, 32, 1]), True)
    """
    random = [float(share) for share in torch.rand(3 + 4 * BOXES + 2 * CORNERS, generator=generator)]
    mask = torch.zeros(height, width, 1)
    if random[0] < 0.5:
        for box in range(1 + int(BOXES * random[1])):
            u, v, top, left = random[3 + 4 * box : 7 + 4 * box]
            high, wide = (max(1, round((0.15 + (LARGEST - 0.15) * share) * length)) for share, length in ((u, height), (v, width)))
            top, left = round(top * (height - high)), round(left * (width - wide))
            mask[top : top + high, left : left + wide] = 1
        return mask
    corners = torch.tensor(random[-2 * CORNERS :]).view(CORNERS, 2) * torch.tensor([height, width])
    corners = corners[: 2 + int((CORNERS - 1) * random[1])]
    thick = (0.04 + (THICKEST - 0.04) * random[2]) * min(height, width)
    return (_apart(height, width, corners) <= max(thick, 0.71)).float().unsqueeze(2)


def _apart(height: int, width: int, corners: Tensor) -> Tensor:
    """Return how far each pixel's middle is from a line through all corners, shape (height, width)."""
    pixels = torch.cartesian_prod(torch.arange(height) + 0.5, torch.arange(width) + 0.5)
    start, way = corners[:-1], corners[1:] - corners[:-1]
    along = ((pixels.unsqueeze(1) - start) * way).sum(2) / way.square().sum(1).clamp_min(1e-6)
    nearest = start + along.clamp(0, 1).unsqueeze(2) * way
    return (pixels.unsqueeze(1) - nearest).square().sum(2).sqrt().min(1).values.view(height, width)
