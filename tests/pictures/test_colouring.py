"""Lab, the distribution over colours, draws that agree with themselves, and lightness that stays to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.artifact.rounding import as_grey
from isthmus.artifact.translation import Use
from isthmus.errors import ConfigError
from isthmus.nn import Colouring, materialise
from isthmus.nn.colouring import SIDE, around, draw_colours, grid, hints, paint, repeated
from isthmus.nn.lab import grey, lab_to_rgb, rgb_to_lab, shown
from isthmus.tasks.pictures.denoise import Settings
from isthmus.tasks.pictures.translate import fit, make_inputs


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def colouring(colours: int = 40, widths: tuple[int, ...] = (4, 6)) -> Colouring:
    """A network with random weights, also in its last layer, that knows `colours` colours."""
    network = materialise(Colouring(colours, widths, 1), 0)
    torch.nn.init.normal_(network.tail.weight, generator=generator())
    share = torch.rand(SIDE**2, generator=generator()) * (grid(torch.zeros(1)).abs().amax(1) < 50)
    network.know(share)
    return network.eval()


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [  # as colour science tells them, D65 and 2 degrees
        ((1.0, 0.0, 0.0), (53.24, 80.09, 67.20)),
        ((0.0, 1.0, 0.0), (87.73, -86.18, 83.18)),
        ((0.0, 0.0, 1.0), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0.0, 0.0)),
    ],
)
def test_lab_of_known_colours(rgb, lab):
    np.testing.assert_allclose(rgb_to_lab(torch.tensor(rgb)).numpy(), lab, atol=0.05)


def test_lab_and_back():
    rgb = torch.rand(500, 3, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=1e-6, rtol=0)


def test_colours_beyond_the_screen_keep_lightness_and_hue():
    lab = torch.rand(500, 3, generator=generator(), dtype=torch.float64) * torch.tensor([90.0, 220, 220]) + torch.tensor([5.0, -110, -110])
    found = rgb_to_lab(shown(lab))
    assert float((found[:, 0] - lab[:, 0]).abs().max()) < 0.05
    share = found[:, 1:].norm(dim=1) / lab[:, 1:].norm(dim=1)
    assert float((found[:, 1:] - share[:, None] * lab[:, 1:]).abs().max()) < 0.5
    assert bool((share < 1.01).all())
    assert bool((share < 0.9).any())


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255.0), (np.uint16, 65535.0)])
def test_whole_numbers_keep_the_grey_to_the_last_bit(dtype, top):
    given = np.random.default_rng(0).integers(0, int(top) + 1, (2000, 1)).astype(dtype)
    lightness = rgb_to_lab(torch.tensor(given / top).expand(-1, 3))[:, :1]
    colour = torch.rand(2000, 2, generator=generator(), dtype=torch.float64) * 160 - 80
    found = shown(torch.cat([lightness, colour], 1)).numpy() * top
    whole = as_grey(found, given, top)
    np.testing.assert_array_equal(as_bytes(whole, top), given)
    assert np.abs(whole - found).max() <= 1


def as_bytes(colours: np.ndarray, top: float) -> np.ndarray:
    return (grey(torch.tensor(colours / top)).numpy() * top).round()


def test_dark_blue_must_be_rounded_with_care():
    found, given = np.array([[2.36322338, 0.494329986, 40.4359323]]), np.array([[6]])
    assert as_bytes(found.round(), 255.0) != 6
    assert as_bytes(as_grey(found, given, 255.0), 255.0) == 6


def test_the_four_colours_around_have_the_colour_as_their_mean():
    colour = torch.rand(300, 2, generator=generator()) * 200 - 100
    points, parts = around(colour)
    torch.testing.assert_close((grid(parts)[points] * parts.unsqueeze(-1)).sum(1), colour, atol=1e-3, rtol=0)
    torch.testing.assert_close(parts.sum(1), torch.ones(300))
    assert bool((parts >= 0).all())


def test_mean_and_draws_follow_the_distribution():
    network = colouring()
    logits = torch.randn(1, 40, generator=generator()) * 2
    share = torch.softmax(logits, 1)
    torch.testing.assert_close(network.mean(logits, 1.0, 0.0), share @ network.centres)
    torch.testing.assert_close(network.mean(logits, 0.01, 0.0), network.centres[logits.argmax(1)], atol=1e-2, rtol=0)
    drawn = network.drawn(logits.expand(20000, -1), torch.rand(20000, generator=generator()))
    counts = (drawn.unsqueeze(1) == network.centres).all(2).float().mean(0)
    assert float((counts - share[0]).abs().max()) < 0.015


def test_vivid_colours_are_those_that_are_rare():
    network = colouring()
    rare = network.share.argmin()
    logits = torch.log(network.share).unsqueeze(0)
    apart = [float((network.mean(logits, 0.38, vivid) - network.centres[rare]).norm()) for vivid in (0.0, 0.5, 1.0)]
    assert apart[0] != apart[1] != apart[2]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 8), (40, 52)])
def test_pictures_of_any_size_keep_their_lightness(height, width):
    network, given = colouring(), torch.rand(2, height, width, 1, generator=generator())
    for known in (None, draw_colours(network, given, generator())):
        found = paint(network, given, known)
        assert found.shape == (2, height, width, 3)
        assert float((grey(found) - given).abs().max()) < 1e-3


def test_tiles_leave_no_seams_in_colours_and_draws():
    network, given = colouring(widths=(4,)), torch.rand(1, 90, 70, 1, generator=generator())
    torch.testing.assert_close(paint(network, given, tile=32), paint(network, given, tile=512), atol=1e-4, rtol=0)
    parts, whole = (draw_colours(network, given, generator(), tile=tile) for tile in (32, 512))
    torch.testing.assert_close(parts, whole)
    assert int(whole[..., 2].sum()) == 12 * 9  # one of each block of 4 x 4 places, at half the size


def test_hints_are_true_colours_at_some_places():
    colour = torch.rand(64, 16, 16, 2, generator=generator()) * 100
    found = hints(colour, generator())
    where = found[..., 2:] > 0
    torch.testing.assert_close(found[..., :2], torch.where(where, colour / 110, torch.zeros(())))
    counts = where.flatten(1).sum(1)
    assert 20 <= int((counts == 0).sum()) <= 45
    assert int(counts.max()) > 16


@pytest.fixture(scope="module")
def two_colours():
    """Plain pictures that are either red or blue, of the same lightness; and a model that has seen many."""
    random = np.random.default_rng(0)
    red, blue = (lab_to_rgb(torch.tensor([50.0, a, b])).numpy() for a, b in ((45.0, 25.0), (5.0, -40.0)))
    pictures = np.stack([np.broadcast_to((red, blue)[random.integers(2)], (16, 16, 3)) for _ in range(200)])
    pictures = (pictures * random.uniform(0.9, 1.0, (200, 1, 1, 1)) * 255).round().astype(np.uint8)
    settings = Settings(steps=400, learning_rate=5e-3, widths=(24, 32), blocks=1, batch=16, held_out=0.0, device="cpu")
    return fit(pictures, way="grey", settings=settings), pictures


def test_draws_agree_within_a_picture_and_differ_between_draws(two_colours):
    model, pictures = two_colours
    inputs = np.stack(make_inputs(pictures[:6], "grey")[0])
    drawn = model.sample(inputs, 8, seed=1)
    assert drawn.shape == (6, 8, 16, 16, 3)
    redder = (drawn[..., 0].astype(int) > drawn[..., 2]).mean((2, 3))  # share of each drawn picture's pixels that are rather red
    assert np.mean((redder < 0.1) | (redder > 0.9)) > 0.85
    assert 0.2 < (redder > 0.5).mean() < 0.8
    np.testing.assert_array_equal(model.sample(inputs, 8, seed=1), drawn)
    assert (model.sample(inputs, 8, seed=2) != drawn).any()
    again = np.stack([np.stack(make_inputs(drawn[:, k], "grey")[0]) for k in range(8)], 1)
    np.testing.assert_array_equal(again, np.repeat(inputs[:, None], 8, 1))


def test_mean_of_all_colours_lies_between_them(two_colours):
    model, pictures = two_colours
    inputs = np.stack(make_inputs(pictures[:6], "grey")[0])
    mean = rgb_to_lab(torch.tensor(model(inputs, use=Use(temperature=1.0, vivid=0.0))).float() / 255)[..., 1:].mean((0, 1, 2))
    assert 10 < float(mean[0]) < 40
    assert -30 < float(mean[1]) < 15


def test_a_saved_model_draws_the_same(two_colours, tmp_path):
    model, pictures = two_colours
    inputs = np.stack(make_inputs(pictures[:2], "grey")[0])
    again = type(model).load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.sample(inputs, 2), model.sample(inputs, 2))
    np.testing.assert_array_equal(again(inputs), model(inputs))


def test_repeated_is_the_inverse_of_taking_every_second():
    x = torch.rand(1, 3, 4, 2)
    torch.testing.assert_close(repeated(x, 5, 8)[:, ::2, ::2], x)


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"boldness": -1.0}, {"vivid": 1.5}])
def test_use_refuses(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Use(**wrong)


def test_no_colours_are_refused():
    with pytest.raises(ConfigError, match="colours must be 1 to 529"):
        Colouring(0)
