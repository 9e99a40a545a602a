"""Networks of sub-pixel convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from isthmus.errors import ConfigError
from isthmus.estimators import ConditionalVAE, VariationalAutoencoder
from isthmus.families import Architecture, get
from isthmus.fields import Field
from isthmus.nn import SubpixelDecoder, SubpixelEncoder
from isthmus.training.slices import slice_rows

PICTURE = Field("x", "picture", (28, 28, 1), "unit")


@pytest.mark.parametrize("shape", [(28, 28, 1), (19, 30, 3), (5, 4, 2), (1, 1, 1)])
@pytest.mark.parametrize("channels", [(4,), (4, 6), (4, 6, 8)])
@pytest.mark.parametrize("blocks", [0, 2])
def test_any_picture_goes_in_and_comes_out(shape: tuple[int, ...], channels: tuple[int, ...], blocks: int) -> None:
    encoder = SubpixelEncoder(shape, (3,), channels, (8, 7), blocks)
    decoder = SubpixelDecoder((3,), (2, *shape), channels, (8, 7), blocks)
    code = encoder(torch.rand(5, *shape))
    assert code.shape == (5, 3)
    out = decoder(code)
    assert out.shape == (5, 2, *shape)
    assert encoder.gain().shape == (shape[-1],)
    assert decoder.gain().shape == (3,)
    out.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for part in (encoder, decoder) for p in part.parameters())


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    model, _ = get("undercomplete")([PICTURE], latent=4, architecture=Architecture("subpixel", blocks=1))
    rows = torch.rand(6, 28, 28, 1)
    torch.testing.assert_close(model(rows)[2:3], model(rows[2:3]))


def test_the_last_stage_is_a_transposed_convolution_with_kernels_of_six() -> None:
    decoder = SubpixelDecoder((4,), (1, 8, 8, 1), channels=(3,), hidden=())
    conv, dense = decoder.convs[0], decoder.layers[0]
    z = torch.randn(2, 4)
    h = functional.silu(dense(z).view(2, 3, 4, 4))
    kernel = torch.zeros(3, 1, 6, 6)
    for phase in range(4):  # output pixel (2 i + a, 2 j + b) takes kernel phase (a, b) of the 3 x 3 pixels around (i, j)
        a, b = divmod(phase, 2)
        kernel[:, 0, a::2, b::2] = conv.weight[phase].flip(1, 2)
    # A transposed convolution adds input pixel i to outputs 2 i - 2 ... 2 i + 3.
    expected = functional.conv_transpose2d(h, kernel, stride=2, padding=2)
    expected = expected + conv.bias.view(1, 2, 2).repeat(1, 4, 4)
    torch.testing.assert_close(decoder(z)[:, 0, :, :, 0], expected[:, 0], rtol=1e-4, atol=1e-5)


def test_it_is_cut_into_slices_that_fit_the_cache() -> None:
    model, _ = get("undercomplete")([PICTURE], latent=4, architecture=Architecture("subpixel"))
    assert slice_rows(model) == 128


def test_an_estimator_takes_it(digits: np.ndarray) -> None:
    pictures = np.kron(digits.reshape(-1, 8, 8) / digits.max(), np.ones((2, 2))).astype(np.float32)
    model = VariationalAutoencoder(4, network="subpixel", channels=(8,), blocks=1, steps=150, random_state=0).fit(pictures)
    assert model.choices_["hidden"].value == (256,)
    start = VariationalAutoencoder(4, network="subpixel", channels=(8,), blocks=1, steps=1, random_state=0).fit(pictures)
    assert model.score(pictures) > start.score(pictures) + 20
    assert VariationalAutoencoder(4, blocks=1, steps=1).fit(pictures).choices_["network"].value == "subpixel"
    conditional = ConditionalVAE(4, network="subpixel", steps=2, random_state=0).fit(pictures, np.arange(len(pictures)) % 3)
    assert conditional.reconstruct(pictures[:2], [0, 1]).shape == (2, 16, 16)


def test_what_does_not_go_with_it_is_refused(digits: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="network='subpixel' needs pictures"):
        get("vae")([Field("x", "numbers", (5,))], architecture=Architecture("subpixel"))
    with pytest.raises(ConfigError, match="tied weights go with"):
        get("undercomplete")([PICTURE], architecture=Architecture("subpixel", tied=True))
    with pytest.raises(ConfigError, match="blocks does not apply to the network 'mlp'"):
        VariationalAutoencoder(4, network="mlp", blocks=1).fit(digits)
    with pytest.raises(ConfigError, match="at least once"):
        SubpixelEncoder((8, 8, 1), (2,), channels=())
    with pytest.raises(ConfigError, match="blocks must be"):
        SubpixelEncoder((8, 8, 1), (2,), blocks=-1)
