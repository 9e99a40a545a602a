"""Tied decoders are the encoder's transposes."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.bottlenecks import Gaussian
from isthmus.errors import ConfigError
from isthmus.likelihoods import Gaussian as GaussianLikelihood
from isthmus.models import Autoencoder
from isthmus.nn import MLP, ConvDecoder, ConvEncoder, TiedConv, TiedMLP, initialise
from isthmus.priors import StandardNormal

EXACT = {"rtol": 1e-10, "atol": 1e-10}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ready(encoder: nn.Module, decoder: TiedMLP | TiedConv) -> None:
    initialise(encoder.double(), torch.Generator().manual_seed(1))
    decoder.double().bind(encoder)
    for number, bias in enumerate(decoder.biases):
        with torch.no_grad():
            bias.copy_(random(*bias.shape, seed=100 + number))


def test_dense_layers_against_explicit_transposes() -> None:
    encoder, decoder = MLP((7,), (3,), (5, 4), "tanh"), TiedMLP((3,), (1, 7), (5, 4), "tanh")
    ready(encoder, decoder)
    first, second, third = (layer.weight for layer in encoder.linears)
    c1, c2, c3 = decoder.biases
    z = random(6, 3)
    expected = torch.tanh(torch.tanh(z @ third + c1) @ second + c2) @ first + c3
    torch.testing.assert_close(decoder(z), expected.view(6, 1, 7), **EXACT)
    torch.testing.assert_close(decoder.gain(), third.square().sum(1).sqrt(), **EXACT)


def test_only_the_location_of_a_gaussian_code_is_tied() -> None:
    encoder, decoder = MLP((7,), (6,)), TiedMLP((3,), (1, 7))
    ready(encoder, decoder)
    z = random(6, 3)
    expected = z @ encoder.linears[0].weight[:3] + decoder.biases[0]
    torch.testing.assert_close(decoder(z), expected.view(6, 1, 7), **EXACT)


def linear_part(encoder: ConvEncoder, x: Tensor) -> Tensor:
    """The encoder without its biases and activations, written out."""
    h = x.permute(0, 3, 1, 2)
    for conv in encoder.convolutions:
        h = functional.pad(h, (0, h.shape[3] % 2, 0, h.shape[2] % 2))
        h = functional.conv2d(h, conv.weight, stride=2, padding=1)
    return functional.linear(h.flatten(1), encoder.dense.weight)


@pytest.mark.parametrize("shape", [(8, 8, 1), (11, 9, 3), (5, 16, 2), (7, 7, 1), (1, 3, 1)])
@pytest.mark.parametrize("channels", [(4,), (4, 6)])
def test_transposed_convolutions_are_the_adjoint(
    shape: tuple[int, ...], channels: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """<A x, z> = <x, A' z>, without biases and activations."""
    encoder, decoder = ConvEncoder(shape, (5,), channels), TiedConv((5,), (1, *shape), channels)
    ready(encoder, decoder)
    for bias in decoder.biases:
        nn.init.zeros_(bias)
    monkeypatch.setattr(decoder, "activation", lambda h: h)
    x, z = random(4, *shape), random(4, 5, seed=1)
    forward = (linear_part(encoder, x) * z).flatten(1).sum(1)
    backward = (x * decoder(z)[:, 0]).flatten(1).sum(1)
    torch.testing.assert_close(forward, backward, **EXACT)


def test_convolutions_are_computed_as_written() -> None:
    encoder = ConvEncoder((11, 9, 3), (5,), (4, 6), "tanh")
    initialise(encoder.double(), torch.Generator().manual_seed(1))
    h = random(4, 11, 9, 3).permute(0, 3, 1, 2)
    for conv in encoder.convolutions:
        h = functional.pad(h, (0, h.shape[3] % 2, 0, h.shape[2] % 2))
        h = torch.tanh(functional.conv2d(h, conv.weight, conv.bias, stride=2, padding=1))
    torch.testing.assert_close(encoder(random(4, 11, 9, 3)), encoder.dense(h.flatten(1)), **EXACT)


@pytest.mark.parametrize("parameters", [1, 2])
def test_picture_layout_of_the_decoder(parameters: int) -> None:
    """The last convolution's channels are (parameter, colour); the output is (parameter, height, width, colour)."""
    decoder = ConvDecoder((5,), (parameters, 7, 10, 3), (4,)).double()
    initialise(decoder, torch.Generator().manual_seed(1))
    raw: list[Tensor] = []
    decoder.convs[-1].register_forward_hook(lambda module, given, out: raw.append(out))
    out = decoder(random(2, 5))
    assert out.shape == (2, parameters, 7, 10, 3)
    for parameter in range(parameters):
        for colour in range(3):
            assert torch.equal(out[:, parameter, :, :, colour], raw[0][:, 3 * parameter + colour, :7, :10])


def test_gain_of_plain_networks() -> None:
    dense, decoder = MLP((4,), (1, 6), (5,)).double(), ConvDecoder((4,), (1, 8, 8, 1)).double()
    torch.testing.assert_close(dense.gain(), dense.linears[0].weight.square().sum(0).sqrt(), **EXACT)
    torch.testing.assert_close(decoder.gain(), decoder.dense.weight.square().sum(0).sqrt(), **EXACT)
    encoder = ConvEncoder((8, 8, 3), (4,)).double()
    torch.testing.assert_close(encoder.gain(), encoder.convolutions[0].weight.square().sum((0, 2, 3)).sqrt(), **EXACT)
    assert ConvEncoder((8, 8, 3), (4,), channels=()).gain().shape == (3,)


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        (MLP((7,), (3,), (5,)), TiedMLP((3,), (1, 7), (6,))),
        (MLP((7,), (3,), (5,)), TiedMLP((3,), (1, 7))),
        (MLP((7,), (4,)), TiedMLP((3,), (1, 7))),
        (ConvEncoder((8, 8, 1), (3,), (4,)), TiedConv((3,), (1, 8, 8, 1), (5,))),
        (ConvEncoder((8, 8, 1), (3,), (4,)), TiedConv((3,), (1, 9, 8, 1), (4,))),
        (MLP((8, 8, 1), (3,)), TiedConv((3,), (1, 8, 8, 1), (4,))),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(encoder: MLP | ConvEncoder, decoder: TiedMLP | TiedConv) -> None:
    with pytest.raises(ConfigError, match="their layers differ"):
        decoder.bind(encoder)


def test_a_tied_decoder_must_be_bound() -> None:
    with pytest.raises(ConfigError, match="not bound"):
        TiedMLP((3,), (1, 7))(torch.zeros(2, 3))


def test_tied_weights_are_counted_once_and_get_both_gradients() -> None:
    encoder, decoder = MLP((7,), (6,), (5,)), TiedMLP((3,), (1, 7), (5,))
    model = Autoencoder(encoder, Gaussian(3), decoder, GaussianLikelihood((7,)), StandardNormal(3))
    sizes = [a * b + b for a, b in pairwise((7, 5, 6))]
    assert sum(p.numel() for p in model.parameters()) == sum(sizes) + 5 + 7
    assert len(set(map(id, model.parameters()))) == len(list(model.parameters()))
