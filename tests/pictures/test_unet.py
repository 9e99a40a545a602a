"""The U-shaped network: any size, tiles without seams, no checkerboard, gradients everywhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus.errors import ConfigError
from isthmus.nn import UNet, initialise, materialise, tiled
from isthmus.spec import from_spec, to_spec


def busy(network: UNet, seed: int = 0) -> UNet:
    """Give every weight a random value, so that blocks and the whole are no longer the identity."""
    generator = torch.Generator().manual_seed(seed)
    initialise(network, generator)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data.copy_(torch.randn(part.weight.shape, generator=generator) / part.weight[0].numel() ** 0.5)
    return network


def picture(height: int, width: int, channels: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, height, width, channels, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (16, 24), (33, 50)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(size, channels) -> None:
    x = picture(*size, channels)
    assert busy(UNet(channels, (4, 8, 8), 1))(x).shape == x.shape


def test_it_begins_as_the_identity_and_every_weight_learns() -> None:
    network = materialise(UNet(1, (4, 8), 1), 0)
    x = picture(16, 16)
    assert torch.equal(network(x), x)
    without = materialise(UNet(1, (4, 8), 1, residual=False), 0)
    assert torch.equal(without(x), torch.zeros_like(x))
    busy(network)(x).square().sum().backward()
    assert all(bool((p.grad != 0).any()) for p in network.parameters())


@pytest.mark.parametrize(("widths", "blocks"), [((4,), 1), ((4, 6), 2), ((4, 6, 8), 1)])
def test_reach_is_how_far_a_pixel_is_felt(widths, blocks) -> None:
    network = busy(UNet(1, widths, blocks, activation="silu")).double()
    side = 2 * (network.reach + 2 * network.multiple)
    x = picture(side, side).double()
    farthest = 0
    for place in range(side // 2, side // 2 + network.multiple):
        other = x.clone()
        other[0, place, place] += 1
        moved = (network(other) != network(x))[0, ..., 0].nonzero()
        farthest = max(farthest, int((moved - place).abs().max()))
    assert farthest <= network.reach
    assert farthest >= network.reach - 2 * network.multiple


@pytest.mark.parametrize("size", [(150, 131), (64, 300), (257, 64)])
def test_tiles_leave_no_seam(size) -> None:
    network = busy(UNet(1, (4, 6, 8), 1))
    x = picture(*size)
    whole = network(x)
    for tile in (30, 64, 100):
        torch.testing.assert_close(tiled(network, x, tile), whole, rtol=1e-5, atol=1e-5)


def test_narrower_margins_would_leave_seams() -> None:
    class Short(UNet):
        @property
        def reach(self) -> int:
            return 4

    network = busy(Short(1, (4, 6, 8), 1))
    x = picture(150, 150)
    assert float((tiled(network, x, 64) - network(x)).detach().abs().max()) > 1e-3


def test_flat_pictures_stay_free_of_checkerboards_at_the_start() -> None:
    network = materialise(UNet(1, (8, 16), 1, residual=False), 0)
    generator = torch.Generator().manual_seed(0)
    kernels = torch.randn(1, 8, 3, 3, generator=generator)
    network.tail.weight.data.copy_(kernels.expand(4, -1, -1, -1))
    inner = network(torch.full((1, 96, 96, 1), 0.7))[0, 40:56, 40:56, 0].detach()
    assert float(inner.abs().max()) > 1e-3
    torch.testing.assert_close(inner, inner[:1, :1].expand_as(inner), rtol=1e-4, atol=1e-5)


def test_text_and_back() -> None:
    network = UNet(3, (4, 8), 1, residual=False)
    entry = to_spec(network)
    assert entry["type"] == "network.unet"
    assert to_spec(from_spec(entry)) == entry


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="widths"):
        UNet(1, ())
    with pytest.raises(ConfigError, match="channels and blocks"):
        UNet(0)
    with pytest.raises(ConfigError, match="tile"):
        tiled(UNet(1, (4,), 1), picture(8, 8), 0)
