"""Translations of pictures: how inputs are made, what is learned, what stays as it is, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from isthmus.artifact.translation import Translation, Use
from isthmus.artifact.ways import Half, Masked, hole, lines, make_way
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.nn import Answers, UNet, materialise
from isthmus.tasks.pictures.denoise import Settings
from isthmus.tasks.pictures.translate import fit, make_inputs
from isthmus.tasks.pictures.translate_table import colourfulness, each_psnr, mean_psnr, r_squared

QUICK = Settings(steps=3, widths=(4,), blocks=1, batch=4, device="cpu")


def pictures(n: int = 24, height: int = 16, width: int = 16, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, channels)).astype(np.uint8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_lines_are_where_brightness_changes_and_nowhere_else():
    flat, box = torch.full((1, 20, 20, 3), 0.4), torch.zeros(1, 20, 20, 3)
    box[:, 5:15, 5:15] = 1.0
    assert float(lines(flat).sum()) == 0
    found = lines(box)[0, ..., 0]
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert float(found[8:12, 8:12].sum()) == 0
    assert float(found[:2].sum()) == 0
    rows = found[10].nonzero().flatten().tolist()
    assert rows
    assert all(min(abs(x - 4.5), abs(x - 14.5)) <= 1.5 for x in rows)


def test_holes_are_boxes_and_strokes_of_all_kinds():
    found = [hole(30, 40, generator(seed)) for seed in range(60)]
    shares = np.array([float(mask.mean()) for mask in found])
    assert all(set(mask.unique().tolist()) <= {0.0, 1.0} for mask in found)
    assert shares.min() > 0
    assert shares.max() < 0.6
    assert len(np.unique(shares)) > 40


def test_one_pixel_can_be_hidden():
    assert hole(1, 1, generator()).shape == (1, 1, 1)


def test_masked_pictures_hide_what_they_must():
    x, mask = torch.rand(2, 8, 8, 3, generator=generator()), torch.zeros(2, 8, 8, 1)
    mask[:, 2:5, 3:6] = 1
    seen = Masked().see(x, mask)
    changed = x.clone()
    changed[:, 2:5, 3:6] = 0.5
    assert torch.equal(Masked().see(changed, mask), seen)  # what is hidden has no part in it
    assert torch.equal(seen[..., 3:], mask)
    assert torch.equal(seen[..., :3][mask.expand(-1, -1, -1, 3) == 0], x[mask.expand(-1, -1, -1, 3) == 0])


def test_everything_may_be_hidden():
    seen = Masked().see(torch.rand(1, 4, 4, 1), torch.ones(1, 4, 4, 1))
    assert bool(seen.isfinite().all())


def test_half_sees_in_training_what_it_sees_in_use():
    x = torch.rand(2, 16, 12, 1, generator=generator())
    small, _ = make_inputs(x.numpy(), "half")
    torch.testing.assert_close(Half().see(torch.tensor(np.stack(small))), Half().spoil(x, generator()))


@pytest.mark.parametrize("way", ["grey", "edges", "masked", "half"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_way_with_every_type(way, dtype):
    found = pictures(22)
    given = found if dtype == "uint8" else found.astype(np.uint16) * 257 if dtype == "uint16" else (found / 255).astype(np.float32)
    model = fit(given, way=way, settings=QUICK)
    inputs, masks = make_inputs(given[:3], way, seed=1)
    made = model(np.stack(inputs), masks)
    assert made.shape == (3, 16, 16, 3)
    assert made.dtype == given.dtype
    if way == "masked":
        np.testing.assert_array_equal(made[~np.stack(masks)], given[:3][~np.stack(masks)])
    if way == "grey" and dtype != "float32":
        np.testing.assert_array_equal(np.stack(make_inputs(made, "grey")[0]), np.stack(inputs))


@pytest.mark.parametrize(("way", "masked"), [("edges", False), ("half", False), ("masked", True)])
def test_saved_and_opened_again(tmp_path, way, masked):
    given = pictures()
    model = fit(given, way=way, settings=QUICK)
    again = Translation.load(model.save(tmp_path / "model"))
    inputs, masks = make_inputs(given, way)
    np.testing.assert_array_equal(again(inputs, masks), model(inputs, masks))
    assert (again.way, again.channels, again.facts) == (way, model.channels, model.facts)
    assert (masks is not None) == masked


def test_a_changed_folder_is_refused(tmp_path):
    path = fit(pictures(), way="edges", settings=QUICK).save(tmp_path / "model")
    entry = json.loads((path / "config.json").read_text())
    for changed in ({"way": "grey"}, {"way": "fog"}, {"channels": [3, 3]}, {"channels": "many"}, {"way": None}):
        (path / "config.json").write_text(json.dumps({**entry, **changed}))
        with pytest.raises(ArtifactError, match="does not describe a network that translates"):
            Translation.load(path)


def test_pairs_of_different_channels_are_learned():
    grey = pictures(40, channels=1)
    wanted = np.concatenate([255 - grey, grey, grey // 2], 3)
    settings = Settings(steps=250, widths=(24,), blocks=1, batch=16, learning_rate=5e-3, device="cpu")
    model = fit(grey, wanted, settings=settings)
    before = mean_psnr(np.repeat(grey, 3, 3), wanted)
    assert mean_psnr(model(grey), wanted) > before + 8


def test_pictures_of_several_sizes_come_back_in_theirs():
    given = [pictures(1, 16 + i % 3, 20)[0] for i in range(24)]
    model = fit(given, way="half", settings=QUICK)
    found = model([picture[..., :] for picture in given[:4]])
    assert [picture.shape for picture in found] == [(2 * picture.shape[0], 40, 3) for picture in given[:4]]


def test_tiles_leave_no_seams():
    network = materialise(UNet(2, (6,), 1, residual=True, outputs=1), 0)
    torch.nn.init.normal_(network.tail.weight, std=0.1, generator=generator())
    model = Translation(network.eval(), "masked", (1, 1))
    given, masks = pictures(1, 90, 70, 1), np.zeros((1, 90, 70), bool)
    masks[:, 30:60, 20:50] = True
    np.testing.assert_array_equal(model(given, masks, Use(tile=32)), model(given, masks, Use(tile=512)))


def test_arrays_that_run_backwards_are_fine():
    given = pictures()
    model = fit(given[:, ::-1], way="half", settings=QUICK)
    np.testing.assert_array_equal(model(given[:2, ::-1]), model(given[:2, ::-1].copy()))


def test_one_mask_serves_all_and_may_have_colours():
    model, given = fit(pictures(), way="masked", settings=QUICK), pictures(3)
    mask = np.zeros((16, 16), np.uint8)
    mask[3:9, 4:7] = 255
    found = model(given, [mask])
    np.testing.assert_array_equal(found, model(given, np.repeat(mask[None, ..., None], 3, 0).repeat(3, 3)))
    assert (found != given).any()


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    settings = Settings(steps=12, widths=(4,), blocks=1, batch=4, device="cpu", precision="fp32")
    whole = fit(pictures(), way="grey", settings=settings, checkpoint=tmp_path / "state")
    again = fit(pictures(), way="grey", settings=settings, checkpoint=tmp_path / "state", resume=True)
    inputs = make_inputs(pictures(), "grey")[0]
    np.testing.assert_array_equal(whole(inputs), again(inputs))
    with pytest.raises(ArtifactError):
        fit(pictures(seed=1), way="grey", settings=settings, checkpoint=tmp_path / "state", resume=True)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"way": "fog"}, ConfigError, "unknown way 'fog'; choose one of pairs, grey, edges, masked, half"),
        ({"way": "pairs"}, ConfigError, "needs targets"),
        ({"way": "grey", "targets": pictures(4)}, ConfigError, "targets are for way='pairs'"),
        ({"targets": pictures(3)}, DataError, "4 pictures, but 3 targets"),
        ({"targets": pictures(4, 15)}, DataError, r"pairs of different sizes: 0 \(\(16, 16\) and \(15, 16\)\)"),
        ({"targets": pictures(4) / 255}, DataError, "pictures are uint8, their targets float64"),
        ({"targets": pictures(4).astype(float)}, DataError, "divide by 255"),
        ({"pictures": pictures(4, channels=1), "way": "grey"}, DataError, "learns from coloured pictures"),
        ({"pictures": pictures(4, channels=1).repeat(3, 3), "way": "grey"}, DataError, "grey, though they have three channels"),
        ({"pictures": pictures(4) / 100, "way": "half"}, DataError, "0 to 1: divide by 255"),
        ({"pictures": pictures(4, 1), "way": "half"}, DataError, "2 x 2 at least"),
        ({"pictures": [], "way": "half"}, DataError, "no picture"),
    ],
)
def test_fit_refuses(arguments, error, told):
    with pytest.raises(error, match=told):
        fit(arguments.pop("pictures", pictures(4)), settings=QUICK, **arguments)


@pytest.mark.parametrize(
    ("way", "given", "more", "error", "told"),
    [
        ("grey", pictures(2), {}, DataError, "fitted on grey ones .* these are coloured ones"),
        ("half", pictures(2, channels=1), {}, DataError, "fitted on coloured ones .* these are grey ones"),
        ("half", pictures(2) / 50, {}, DataError, "divide by 255"),
        ("half", np.full((2, 4, 4, 3), np.nan), {}, DataError, "NaN"),
        ("half", pictures(2), {"masks": np.ones((2, 16, 16))}, ConfigError, "masks are for models of way='masked'"),
        ("masked", pictures(2), {}, DataError, "give masks"),
        ("masked", pictures(3), {"masks": np.ones((2, 16, 16))}, DataError, "3 pictures, but 2 masks"),
        ("masked", pictures(2), {"masks": np.ones((2, 16, 15))}, DataError, r"0 \(\(16, 16\) and \(16, 15\)\)"),
    ],
)
def test_use_refuses(way, given, more, error, told):
    channels = 1 if way == "grey" else 3
    model = (
        fit(pictures(), way=way, settings=QUICK)
        if way == "grey"
        else Translation(UNet(channels + (way == "masked"), (4,), 1, outputs=3), way, (3, 3))
    )
    with pytest.raises(error, match=told):
        model(given, **more)


def test_sample_refuses_where_there_is_one_answer():
    model = Translation(UNet(1, (4,), 1), "half", (1, 1))
    with pytest.raises(ConfigError, match="knows one answer"):
        model.sample(pictures(1, channels=1))
    with pytest.raises(ConfigError, match="draws must be at least 1"):
        Translation(Answers((2,), (1,))).sample(np.zeros((1, 2)), 0)


def test_pairs_have_no_inputs_to_be_made():
    with pytest.raises(ConfigError, match="have their inputs already"):
        make_inputs(pictures(1), "pairs")
    assert make_way("edges").channels(3) == 1


def test_figures():
    black, white = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 255, np.uint8)
    np.testing.assert_allclose(each_psnr(black, white), [0, 0])
    assert r_squared(np.ones((3, 1)), np.array([[0.0], [1.0], [2.0]])) == 0.0
    red = black.copy()
    red[..., 0] = 255
    np.testing.assert_allclose(colourfulness(red), 0.3 * np.hypot(255, 127.5))
    half = red.copy()
    half[:, :2] = [0, 255, 0]  # rg = -255 and 255, yb the same in both
    np.testing.assert_allclose(colourfulness(half), 255 + 0.3 * 127.5)
    with pytest.raises(DataError, match="three channels"):
        colourfulness(black[..., :1])
    with pytest.raises(DataError, match="pairs do not match"):
        each_psnr(black, white[:1])
    with pytest.raises(DataError, match="pairs do not match"):
        r_squared(np.ones(3), np.ones((3, 2)))
