"""Pictures bent, moved and tinted at random, each picture of a batch in a way of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.corruptions.core import Corruption, check_share
from isthmus.distributions import Noise
from isthmus.errors import ConfigError
from isthmus.spec import register


def _sampled(x: Tensor, grid: Tensor) -> Tensor:
    """Return pictures (batch, H, W, C) at the places of `grid`, the border going on outside."""
    found = functional.grid_sample(x.permute(0, 3, 1, 2), grid.to(x), padding_mode="border", align_corners=False)
    return found.permute(0, 2, 3, 1)


def _even(noise: Noise, like: Tensor, reach: float) -> Tensor:
    """Return numbers drawn evenly from -reach to reach."""
    return (2 * noise.uniform(like) - 1) * reach


@register("corruption.warp")
class Warp(Corruption):
    """Bend pictures smoothly: the knots of a coarse grid are displaced at random, and all between them follows.

    Parameters
    ----------
    reach : float
        Standard deviation of a knot's displacement, as a share of the picture's side; at least 0.
    knots : int
        Of the grid, along each side; at least 2.

    Raises
    ------
    ConfigError
        If a number is out of its range.

    References
    ----------
    Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document analysis", ICDAR 2003.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> Warp()(torch.ones(2, 8, 6, 1), GeneratorNoise(torch.Generator())).shape
    torch.Size([2, 8, 6, 1])
    """

    def __init__(self, reach: float = 0.03, knots: int = 5) -> None:
        super().__init__()
        if not 0 <= reach <= 1 or knots < 2:
            raise ConfigError(f"a warp needs a reach between 0 and 1 and at least 2 knots, not {reach} and {knots}")
        self.reach, self.knots = float(reach), knots

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return bent pictures, shape (batch, H, W, C)."""
        size = (x.shape[1], x.shape[2])
        # The grid of a picture goes from -1 to 1, twice its side.
        moved = 2 * self.reach * noise.normal(x.new_empty(len(x), 2, self.knots, self.knots))
        moved = functional.interpolate(moved, size, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
        still = torch.eye(2, 3, device=x.device).expand(len(x), 2, 3)
        return _sampled(x, functional.affine_grid(still, [len(x), 1, *size], align_corners=False) + moved)


@register("corruption.move")
class Move(Corruption):
    """Shift, turn, zoom and mirror pictures.

    Parameters
    ----------
    shift : float
        At most so far, as a share of the side.
    turn : float
        At most so many degrees either way.
    zoom : float
        At most by the factor 1 + zoom or 1 - zoom.
    mirror : float
        Probability that left and right are exchanged.

    Raises
    ------
    ConfigError
        If a number is out of its range.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> Move(0.0, 0.0, 0.0, mirror=1.0)(torch.tensor([[[[0.0], [1.0]]]]), GeneratorNoise(torch.Generator())).flatten()
    tensor([1., 0.])
    """

    def __init__(self, shift: float = 0.03, turn: float = 5.0, zoom: float = 0.08, mirror: float = 0.0) -> None:
        super().__init__()
        if not (0 <= shift <= 1 and 0 <= turn <= 180 and 0 <= zoom < 1):
            raise ConfigError(f"shift must be 0 to 1, turn 0 to 180 degrees and zoom 0 to below 1, not {shift}, {turn}, {zoom}")
        self.shift, self.turn, self.zoom = float(shift), float(turn), float(zoom)
        self.mirror = check_share(mirror, "mirror")

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return moved pictures, shape (batch, H, W, C)."""
        one = x.new_empty(len(x), 1)
        angle, scale = _even(noise, one, math.radians(self.turn)), 1 + _even(noise, one, self.zoom)
        aside = torch.where(noise.uniform(one) < self.mirror, -1.0, 1.0)
        # Angles are those of the picture, whose sides may differ.
        ratio = x.shape[1] / x.shape[2]
        first = torch.stack([aside * scale * angle.cos(), -scale * angle.sin() * ratio, 2 * _even(noise, one, self.shift)], 2)
        second = torch.stack([aside * scale * angle.sin() / ratio, scale * angle.cos(), 2 * _even(noise, one, self.shift)], 2)
        shape = [len(x), 1, x.shape[1], x.shape[2]]
        return _sampled(x, functional.affine_grid(torch.cat([first, second], 1), shape, align_corners=False))


@register("corruption.tint")
class Tint(Corruption):
    """Change contrast and brightness, and the share of each colour; pictures lie between 0 and 1, and a fourth channel stays as it is.

    Parameters
    ----------
    contrast : float
        Values are multiplied by a factor between 1 - contrast and 1 + contrast.
    brightness : float
        A number between -brightness and brightness is added.
    colour : float
        Each colour is multiplied by a factor of its own between 1 - colour and 1 + colour; grey pictures have none.

    Raises
    ------
    ConfigError
        If a number does not lie between 0 and 1.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> Tint(0.0, 0.0, 0.0)(torch.ones(1, 1, 2, 1), GeneratorNoise(torch.Generator())).flatten()
    tensor([1., 1.])
    """

    def __init__(self, contrast: float = 0.1, brightness: float = 0.05, colour: float = 0.05) -> None:
        super().__init__()
        self.contrast, self.brightness = check_share(contrast, "contrast"), check_share(brightness, "brightness")
        self.colour = check_share(colour, "colour")

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return tinted pictures, shape (batch, H, W, C), within 0 and 1."""
        colours = 3 if x.shape[3] == 4 else x.shape[3]
        colour, alpha = x[..., :colours], x[..., colours:]
        one = x[:, :1, :1, :1]
        factor = 1 + _even(noise, one, self.contrast)
        if colours > 1:
            factor = factor * (1 + _even(noise, colour[:, :1, :1], self.colour))
        return torch.cat([(colour * factor + _even(noise, one, self.brightness)).clamp(0, 1), alpha], 3)
