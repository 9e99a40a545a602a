"""A network that knows, for each place of a grey picture, how likely each colour is; and colours drawn from it that go together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.errors import ConfigError
from isthmus.nn.lab import rgb_to_lab, shown
from isthmus.nn.strided import channels_last
from isthmus.nn.tiling import TILE, tiled
from isthmus.nn.unet import EVEN, PlainConv, UNet
from isthmus.spec import register

STEP = 10.0  # between neighbouring colours, in units of Lab
SIDE = 23  # colours along each of both axes, -110 to 110
SPAN = 110.0
ANNEALED, VIVID = 0.38, 0.3  # temperature of the mean over colours, and how far frequent colours lose their lead in it
BLOCK = 4  # of so many places in height and width, each gets one drawn colour
ROWS = 256  # of pixels that are brought within what screens show together, for the memory they take
FAR = 256  # blocks to each of which there is one colour from the start
A_ROUND = 4  # rounds in which as many colours are drawn as in the first, before they double


@register("network.colouring")
class Colouring(UNet):
    """A U-net from lightness, and colours where these are known, to a distribution over colours at each place.

    Colours are points of a grid in Lab's a and b, 10 apart, of which those are kept that occur. They are told at half the height and
    width, as in JPEG and in video, whose colours are no finer.

    Parameters
    ----------
    colours : int
        How many of the grid's 529 points are kept.
    widths, blocks, activation : sequence of int, int, str
        As of `UNet`.

    Attributes
    ----------
    centres : Tensor of shape (colours, 2)
        Their a and b.
    numbers : Tensor of shape (529,)
        Which of them stands for each point of the grid.
    share : Tensor of shape (colours,)
        How frequent each was where the network was fitted.

    Raises
    ------
    ConfigError
        If there are no such numbers.

    References
    ----------
    Zhang, Isola and Efros, "Colorful image colorization", ECCV 2016; colours that are known at some places: Zhang et al., "Real-time
    user-guided image colorization", SIGGRAPH 2017.

    Examples
    --------
    >>> Colouring(7, widths=(4, 6), blocks=1)(torch.zeros(2, 9, 8, 4)).shape
    torch.Size([2, 5, 4, 7])
    """

    centres: Tensor
    numbers: Tensor
    share: Tensor

    def __init__(self, colours: int, widths: Sequence[int] = (64, 128, 192), blocks: int = 2, activation: str = "relu") -> None:
        super().__init__(1, widths, blocks, activation, residual=False)
        if not 1 <= colours <= SIDE**2:
            raise ConfigError(f"colours must be 1 to {SIDE**2}, not {colours}")
        self.head = PlainConv(4 + 3, self.widths[0], scale=EVEN)
        self.tail = PlainConv(self.widths[0], colours, 1, scale=0.0)
        self.register_buffer("centres", torch.zeros(colours, 2))
        self.register_buffer("numbers", torch.zeros(SIDE**2, dtype=torch.long))
        self.register_buffer("share", torch.zeros(colours))

    def forward(self, x: Tensor) -> Tensor:
        """Map lightness and what is known of colours to logits.

        Parameters
        ----------
        x : Tensor of shape (batch, H, W, 4)
            L / 100, a / 110, b / 110, and 1 where these two are known, else 0.

        Returns
        -------
        Tensor of shape (batch, H / 2, W / 2, colours)
            H / 2 and W / 2 rounded up.
        """
        height, width = (-(-length // 2) for length in x.shape[1:3])
        h = self.filled(x)
        h = torch.cat([functional.pixel_unshuffle(h[:, :1] - 0.5, 2), h[:, 1:, ::2, ::2]], 1)
        return self.through(channels_last(h))[:, :, :height, :width].permute(0, 2, 3, 1)

    def know(self, share: Tensor) -> None:
        """Keep the colours of the grid that occur, as many as the network has outputs, by the share of each, shape (529,)."""
        points = grid(share)
        kept = share.topk(len(self.share)).indices.sort().values
        with torch.no_grad():
            self.centres.copy_(points[kept])
            self.numbers.copy_(torch.cdist(points, points[kept]).argmin(1))
            self.share.copy_(share[kept] / share[kept].sum())

    def log_likelihood(self, logits: Tensor, colour: Tensor) -> Tensor:
        """Return the log probability of colours, shape (..., 2), each shared among the four around it on the grid; shape (...)."""
        points, parts = around(colour)
        return (functional.log_softmax(logits, -1).gather(-1, self.numbers[points]) * parts).sum(-1)

    def mean(self, logits: Tensor, temperature: float = ANNEALED, vivid: float = VIVID) -> Tensor:
        """Return the mean colour of distributions made more pointed, shape (..., 2).

        Parameters
        ----------
        logits : Tensor of shape (..., colours)
        temperature : float
            1 for the mean itself, near 0 for the likeliest colour.
        vivid : float
            0 for the distribution as it is; 1 as if all colours were equally frequent, half of each in between.
        """
        even = -vivid * torch.log((self.share + 1 / len(self.share)) / 2)
        return torch.softmax((logits + even) / temperature, -1) @ self.centres

    def drawn(self, logits: Tensor, chance: Tensor, temperature: float = 1.0) -> Tensor:
        """Return a colour drawn at each place by evenly distributed numbers, shape (...), between 0 and 1; shape (..., 2)."""
        total = torch.softmax(logits / temperature, -1).cumsum(-1)
        number = torch.searchsorted(total, chance.unsqueeze(-1) * total[..., -1:]).squeeze(-1)
        return self.centres[number.clamp_max(len(self.centres) - 1)]


def grid(like: Tensor) -> Tensor:
    """Return a and b of the grid's points, shape (529, 2)."""
    axis = (torch.arange(SIDE, device=like.device) - SIDE // 2) * STEP
    return torch.cartesian_prod(axis, axis)


def around(colour: Tensor) -> tuple[Tensor, Tensor]:
    """Return the grid's four points around each colour, and the shares by which their mean is the colour; both of shape (..., 4).

    Examples
    --------
    >>> points, parts = around(torch.tensor([12.0, -5.0]))
    >>> (grid(parts)[points] * parts[:, None]).sum(0).round()
    tensor([12., -5.])
    """
    place = (colour / STEP + SIDE // 2).clamp(0, SIDE - 1.001)
    low = place.floor()
    (a, b), (u, v) = low.long().unbind(-1), (place - low).unbind(-1)
    points = torch.stack([a * SIDE + b, a * SIDE + b + 1, (a + 1) * SIDE + b, (a + 1) * SIDE + b + 1], -1)
    return points, torch.stack([(1 - u) * (1 - v), (1 - u) * v, u * (1 - v), u * v], -1)


def halved(colour: Tensor) -> Tensor:
    """Return colours at half the height and width, rounded up: the mean of each 2 x 2 block; shape (batch, H / 2, W / 2, C)."""
    return functional.avg_pool2d(colour.permute(0, 3, 1, 2), 2, ceil_mode=True, count_include_pad=False).permute(0, 2, 3, 1)


def repeated(colour: Tensor, height: int, width: int) -> Tensor:
    """Return each place of `halved` as a 2 x 2 block again."""
    return colour.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width]


class _Means:
    """The mean colour at each pixel, as `tiled` needs it."""

    def __init__(self, network: Colouring, temperature: float, vivid: float) -> None:
        self.network, self.multiple, self.reach = network, network.multiple, network.reach
        self.temperature, self.vivid = temperature, vivid

    def __call__(self, x: Tensor, /) -> Tensor:
        return repeated(self.network.mean(self.network(x), self.temperature, self.vivid), *x.shape[1:3])


class _Draws(_Means):
    """A colour drawn at each pixel, by the chance in a fifth channel."""

    def __call__(self, x: Tensor, /) -> Tensor:
        return repeated(self.network.drawn(self.network(x[..., :4]), x[:, ::2, ::2, 4], self.temperature), *x.shape[1:3])


@torch.no_grad()
def paint(
    network: Colouring, grey: Tensor, known: Tensor | None = None, *, temperature: float = ANNEALED, vivid: float = VIVID, tile: int = TILE
) -> Tensor:
    """Colour grey pictures in the likeliest way; the lightness of each pixel stays.

    Parameters
    ----------
    network : Colouring
    grey : Tensor of shape (batch, H, W, 1)
        0 to 1.
    known : Tensor of shape (batch, H / 2, W / 2, 3), optional
        a / 110, b / 110 and 1 where these are known, else three zeros.
    temperature, vivid
        As of `Colouring.mean`.
    tile : int
        As of `tiled`.

    Returns
    -------
    Tensor of shape (batch, H, W, 3)
        sRGB, 0 to 1.

    Examples
    --------
    >>> paint(Colouring(7, widths=(4, 6), blocks=1), torch.zeros(2, 9, 8, 1)).shape
    torch.Size([2, 9, 8, 3])
    """
    lightness = _lightness(grey)
    known = _unknown(grey) if known is None else known
    seen = torch.cat([lightness / 100, repeated(known, *grey.shape[1:3])], -1)
    found = tiled(_Means(network, temperature, vivid), seen, tile)[:, ::2, ::2]
    fine = functional.interpolate(found.permute(0, 3, 1, 2), scale_factor=2.0, mode="bilinear", align_corners=False)
    lab = torch.cat([lightness, fine.permute(0, 2, 3, 1)[:, : grey.shape[1], : grey.shape[2]]], -1)
    return torch.cat([shown(lab[:, top : top + ROWS]) for top in range(0, lab.shape[1], ROWS)], 1)


def _lightness(grey: Tensor) -> Tensor:
    return rgb_to_lab(grey.expand(*grey.shape[:3], 3))[..., :1]


def _unknown(grey: Tensor) -> Tensor:
    return grey.new_zeros(len(grey), -(-grey.shape[1] // 2), -(-grey.shape[2] // 2), 3)


@torch.no_grad()
def draw_colours(network: Colouring, grey: Tensor, generator: torch.Generator, *, temperature: float = 1.0, tile: int = TILE) -> Tensor:
    """Draw colours for grey pictures: a few places at a time, each knowing what was drawn before, so that what belongs together agrees.

    Parameters
    ----------
    network : Colouring
        Fitted with colours known at some places.
    grey : Tensor of shape (batch, H, W, 1)
        0 to 1.
    generator : torch.Generator
        On the CPU.
    temperature : float
        1 to draw from what was learned, less for likelier colours.
    tile : int

    Returns
    -------
    Tensor of shape (batch, H / 2, W / 2, 3)
        For `paint`: the drawn colours, a sixteenth of all places, and 1 where they are.

    References
    ----------
    An order-agnostic autoregressive model: Uria, Murray and Larochelle, "A deep and tractable density estimator", ICML 2014.
    """
    lightness, known = _lightness(grey) / 100, _unknown(grey)
    order = _order(known, generator)
    start = 0
    for count in _counts(order.shape[1]):
        places = order[:, start : start + count]
        chance = torch.rand(known.shape[:3], generator=generator).to(grey.device)
        seen = torch.cat([lightness, repeated(torch.cat([known, chance.unsqueeze(-1)], -1), *grey.shape[1:3])], -1)
        found = tiled(_Draws(network, temperature, 0.0), seen, tile)[:, ::2, ::2] / SPAN
        drawn = torch.cat([found, torch.ones_like(found[..., :1])], -1).flatten(1, 2)
        where = places.unsqueeze(-1).expand(-1, -1, 3)
        known.view(len(known), -1, 3).scatter_(1, where, drawn.gather(1, where))
        start += count
    return known


def _order(known: Tensor, generator: torch.Generator) -> Tensor:
    """Return one place of each block, the blocks in random order: shape (batch, blocks)."""
    batch, height, width = known.shape[:3]
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    block = torch.rand(batch, rows * columns, generator=generator).argsort(1)
    down, right = (torch.randint(BLOCK, block.shape, generator=generator) for _ in range(2))
    row, column = (block // columns * BLOCK + down).clamp_max(height - 1), (block % columns * BLOCK + right).clamp_max(width - 1)
    return (row * width + column).to(known.device)


def _counts(total: int) -> list[int]:
    """Return how many places are drawn together, round by round: 1, 1, 1, 1, 2, 2, 2, 2, 4 ... In large pictures more from the start.

    Examples
    --------
    >>> _counts(9)
    [1, 1, 1, 1, 2, 2, 1]
    >>> sum(_counts(100_000)), len(_counts(100_000))
    (100000, 25)
    """
    found, first = list[int](), max(1, total // FAR)
    while (left := total - sum(found)) > 0:
        found.append(min(first * 2 ** (len(found) // A_ROUND), left))
    return found


def hints(colour: Tensor, generator: torch.Generator) -> Tensor:
    """Return colours at random places of each picture, as a network that draws must have learned to use: none in half the pictures.

    Parameters
    ----------
    colour : Tensor of shape (batch, H / 2, W / 2, 2)

    Returns
    -------
    Tensor of shape (batch, H / 2, W / 2, 3)
        As `paint` takes it.
    """
    batch, height, width = colour.shape[:3]
    most = max(1.0, height * width / 6)
    count = torch.exp(torch.rand(batch, generator=generator) * math.log(most)) * (torch.rand(batch, generator=generator) < 0.5)
    chosen = torch.rand(batch, height, width, 1, generator=generator) < (count / (height * width)).view(-1, 1, 1, 1)
    return torch.cat([colour / SPAN, torch.ones_like(colour[..., :1])], -1) * chosen
