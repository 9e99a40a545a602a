"""Pictures bent, moved and tinted: what changes, what stays, and how far."""

from __future__ import annotations

import pytest
import torch

from isthmus.corruptions import Move, Tint, Warp
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError


def noise(seed: int = 0) -> GeneratorNoise:
    return GeneratorNoise(torch.Generator().manual_seed(seed))


def ramp(height: int = 24, width: int = 32) -> torch.Tensor:
    """Each pixel's place across, as a share of the width."""
    return ((torch.arange(width) + 0.5) / width).view(1, 1, width, 1).expand(200, height, width, 1)


@pytest.mark.parametrize("part", [Warp(0.0), Move(0.0, 0.0, 0.0), Tint(0.0, 0.0, 0.0)])
def test_nothing_asked_for_changes_nothing(part) -> None:
    x = torch.rand(3, 9, 12, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(part(x, noise()), x, atol=1e-5, rtol=0)


def test_a_warp_moves_the_knots_by_its_reach() -> None:
    moved = Warp(0.05, 3)(ramp(), noise()) - ramp()
    at_knot = moved[:, 12, 16, 0]  # the middle knot of three
    assert 0.04 < float(at_knot.std()) < 0.06
    assert float((moved[0] - moved[1]).abs().max()) > 0.01  # each picture in its own way


def test_a_warp_is_smooth() -> None:
    bent = Warp(0.05, 4)(ramp(), noise())[..., 0]
    steps = bent.diff(dim=2)[:, :, 4:-4]
    assert float((steps - 1 / 32).abs().mean()) < 1 / 32


def test_moving_stays_within_what_was_asked_for() -> None:
    shifted = Move(0.1, 0.0, 0.0)(ramp(), noise())[:, :, 8:24] - ramp()[:, :, 8:24]
    assert float(shifted.abs().max()) <= 0.1 + 1e-4
    assert float(shifted.abs().max()) > 0.08
    zoomed = Move(0.0, 0.0, 0.2)(ramp(), noise())[:, 12, :, 0].diff(dim=1)[:, 8:24] * 32
    assert float(zoomed.min()) >= 0.8 - 1e-3
    assert float(zoomed.max()) <= 1.2 + 1e-3


def test_turning_keeps_lengths_also_where_sides_differ() -> None:
    down, across = torch.meshgrid(torch.arange(24.0), torch.arange(48.0), indexing="ij")
    places = torch.stack([down, across], 2).expand(20, 24, 48, 2) / 48
    turned = Move(0.0, 30.0, 0.0)(places, noise()) * 48
    middle = turned[:, 11:13, 23:25]
    for axis in (1, 2):
        step = middle.diff(dim=axis).square().sum(3).sqrt()
        torch.testing.assert_close(step, torch.ones_like(step), atol=1e-3, rtol=0)


def test_half_of_the_pictures_are_mirrored() -> None:
    found = Move(0.0, 0.0, 0.0, mirror=0.5)(ramp(), noise())[:, 0, 0, 0] > 0.5
    assert 0.4 < float(found.float().mean()) < 0.6


def test_a_tint_keeps_within_black_and_white_and_alpha_alone() -> None:
    x = torch.rand(50, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    found = Tint(0.5, 0.5, 0.5)(x, noise())
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert float((found[..., :3] - x[..., :3]).abs().mean()) > 0.1
    torch.testing.assert_close(found[..., 3], x[..., 3])


@pytest.mark.parametrize(
    "make", [lambda: Warp(-0.1), lambda: Warp(0.1, 1), lambda: Move(zoom=1.0), lambda: Move(mirror=2.0), lambda: Tint(2.0)]
)
def test_wrong_numbers_are_refused(make) -> None:
    with pytest.raises(ConfigError, match=r"must|needs"):
        make()
