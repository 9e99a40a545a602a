"""Denoisers: fitted in each of the three ways, better than the older ways, saved and opened, and honest about bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus.artifact.restorer import Restorer, as_pictures
from isthmus.data import read
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.estimators import Denoiser
from isthmus.nn import UNet, materialise
from isthmus.tasks.pictures.denoise import Settings, fit, settle
from isthmus.tasks.pictures.denoise_files import denoise_folder
from isthmus.tasks.pictures.denoise_table import compare, median, non_local_means, usual_methods
from isthmus.tasks.pictures.noise_levels import estimated_level, noise_level, recognised
from isthmus.tasks.pictures.noises import NOISES, make_noise, spoil
from isthmus.tasks.pictures.opening import Opening, open_pictures

QUICK = Settings(widths=(16, 32), blocks=1, crop=32, batch=8, steps=300, learning_rate=1e-2, average=0.98, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    """Parts of two photographs, grey, 64 x 96 bytes each; the last four serve as tests."""
    from sklearn.datasets import load_sample_images

    grey = [picture.mean(2).round().astype(np.uint8) for picture in load_sample_images().images]
    return [g[top : top + 64, left : left + 96, None] for g in grey for top in range(0, 384, 64) for left in range(0, 576, 96)]


@pytest.fixture(scope="module")
def parts(photos) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return photos[:30] + photos[36:66], photos[30:36] + photos[66:]


@pytest.fixture(scope="module")
def supervised(parts) -> Restorer:
    return fit(parts[0], noise=make_noise("gaussian", 0.1), settings=replace(QUICK, steps=800))


def decibels(model: Restorer, test: list[np.ndarray], noisy: list[np.ndarray]) -> dict[str, float]:
    return {row.method: row.psnr for row in compare(test, noisy, {"network": model, **usual_methods(0.1)})}


def test_clean_pictures_and_noise(parts, supervised) -> None:
    noisy = spoil(parts[1], make_noise("gaussian", 0.1), seed=9)
    found = decibels(supervised, parts[1], noisy)
    assert found["noisy"] == pytest.approx(20, abs=0.1)
    assert found["network"] > found["median 3 x 3"] + 3
    assert found["network"] > found["non-local means"] - 0.5
    assert supervised.facts["learned from"] == "clean pictures and noise"
    assert supervised.history[-1]["held_out"] > supervised.history[0]["held_out"] - 0.1
    assert supervised.facts["held-out pictures"] == 3


def test_turning_the_picture_about_helps_a_little(parts, supervised) -> None:
    noisy = spoil(parts[1], make_noise("gaussian", 0.1), seed=9)
    rows = compare(parts[1], noisy, {"once": supervised, "eight": lambda x: supervised(x, turns=8)})
    assert 0 < rows[1].psnr - rows[0].psnr < 1


def test_pairs(parts) -> None:
    noise = make_noise("gaussian", 0.1)
    model = fit(spoil(parts[0], noise), [(p / 255).astype(np.float32) for p in parts[0]], settings=QUICK)
    rows = decibels(model, parts[1], spoil(parts[1], noise, seed=9))
    assert rows["network"] > rows["median 3 x 3"] + 1
    assert model.facts["learned from"] == "pairs"


def test_noisy_pictures_alone(parts, supervised) -> None:
    noise = make_noise("gaussian", 0.1)
    model = fit(spoil(parts[0], noise), settings=QUICK)
    noisy = spoil(parts[1], noise, seed=9)
    blind, seeing = decibels(model, parts[1], noisy), decibels(supervised, parts[1], noisy)
    assert blind["network"] > blind["median 3 x 3"] + 1
    assert blind["network"] > seeing["network"] - 4
    assert model.facts["learned from"] == "noisy pictures alone"
    assert not model.network.residual


def test_noisy_pictures_alone_of_known_noise_are_worth_more(parts) -> None:
    """Split in two, they teach what hiding pixels cannot: at equal steps the network comes nearer to the clean pictures."""
    noise = make_noise("gaussian", 0.1)
    noisy, test = spoil(parts[0], noise), spoil(parts[1], noise, seed=9)
    rows = [decibels(fit(noisy, settings=QUICK, **how), parts[1], test)["network"] for how in ({}, {"noise": noise, "alone": True})]
    assert rows[1] > rows[0] + 0.5


def test_photons_alone(parts) -> None:
    noise = make_noise("poisson", 30.0)
    model = fit(spoil(parts[0], noise), noise=noise, alone=True, settings=replace(QUICK, steps=150))
    found = decibels(model, parts[1], spoil(parts[1], noise, seed=9))
    assert found["network"] > found["noisy"] + 4
    assert model.facts["learned from"] == "noisy pictures alone, of known Poisson noise"


def test_pictures_on_a_shelf_are_learned_from_alike(parts, tmp_path) -> None:
    """Decoded when they are looked at, with room for all, or for two at a time: crops of one picture then, but as good a network."""
    for i, picture in enumerate(parts[0]):
        Image.fromarray(picture[..., 0]).save(tmp_path / f"{i:02d}.png")
    few = replace(QUICK, steps=10)
    noise = make_noise("gaussian", 0.1)
    whole = fit(parts[0], noise=noise, settings=few)
    shelf, _ = open_pictures(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(fit(shelf, noise=noise, settings=few).network.parameters(), whole.network.parameters()))
    small, _ = open_pictures(tmp_path, Opening(room=2 * parts[0][0].nbytes))
    assert not small.fits
    fit(small, noise=noise, settings=few)
    assert len(small.held) <= 2
    assert small.bytes <= small.room
    np.testing.assert_array_equal(np.asarray(small[7]), parts[0][7])


def test_one_network_for_a_range_of_levels(parts) -> None:
    model = fit(parts[0], noise=make_noise("gaussian", 0.03, 0.2), settings=QUICK)
    for level in (0.05, 0.15):
        found = compare(parts[1], spoil(parts[1], make_noise("gaussian", level), seed=9), {"network": model, "noisy": list})
        assert found[0].psnr > found[1].psnr + 1


@pytest.mark.parametrize("name", NOISES)
def test_each_noise_by_name(name, parts) -> None:
    model = fit(parts[0][:4], noise=make_noise(name, clip=True), settings=Settings(widths=(8,), blocks=1, steps=3, device="cpu"))
    assert model.facts["held-out pictures"] == 0
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in spoil(parts[1][:1], make_noise(name, clip=True)))


def test_same_seed_same_network(parts) -> None:
    few = Settings(widths=(8,), blocks=1, steps=5, device="cpu")
    one, two = (fit(parts[0][:4], noise=make_noise("speckle"), settings=few) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.network.parameters(), two.network.parameters()))


def test_saved_and_opened(parts, supervised, tmp_path) -> None:
    again = Restorer.load(supervised.save(tmp_path / "model"))
    noisy = spoil(parts[1], make_noise("gaussian", 0.1))
    assert all(np.array_equal(a, b) for a, b in zip(supervised(noisy), again(noisy)))
    assert (again.settings["widths"], again.facts) == ([16, 32], supervised.facts)
    assert again.history.rows == supervised.history.rows
    supervised.save(tmp_path / "model")


def test_what_is_no_model_is_refused(supervised, tmp_path) -> None:
    with pytest.raises(ArtifactError, match="no saved model"):
        Restorer.load(tmp_path / "none")
    path = supervised.save(tmp_path / "model")
    config = path / "config.json"
    config.write_text(config.read_text().replace("network.unet", "network.mlp"))
    with pytest.raises(ArtifactError, match="network"):
        Restorer.load(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "float16"])
def test_types_and_shapes_come_back(dtype, supervised) -> None:
    top = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    pictures = (np.random.default_rng(0).random((2, 20, 30)) * top).astype(dtype)
    found = supervised(pictures)
    assert [(x.shape, x.dtype) for x in found] == [((20, 30), np.dtype(dtype))] * 2
    scaled = supervised(pictures.astype(np.float64) / top)
    np.testing.assert_allclose(
        found[0].astype(float) / top, scaled[0], atol=2e-3 if dtype == "float16" else 0.51 / min(top, 65535) if top > 1 else 1e-6
    )


def test_of_any_size_and_in_tiles(supervised) -> None:
    pictures = [np.random.default_rng(i).random((h, w, 1)) for i, (h, w) in enumerate([(1, 1), (5, 200), (150, 90)])]
    whole, tiles = supervised(pictures), supervised(pictures, tile=40)
    assert [x.shape for x in whole] == [(1, 1, 1), (5, 200, 1), (150, 90, 1)]
    for a, b in zip(whole, tiles):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_all_turns_agree_on_a_network_that_does_nothing() -> None:
    model = Restorer(materialise(UNet(1, (4,), 1), 0))
    picture = np.random.default_rng(0).random((1, 9, 14, 1))
    np.testing.assert_allclose(model(picture, turns=8)[0], picture[0], atol=1e-6)


@pytest.mark.parametrize(
    ("pictures", "told"),
    [
        ([], "no picture"),
        (np.zeros((4, 4)), "picture 0 has the shape"),
        (np.zeros((2, 0, 4, 1)), "picture 0 has the shape"),
        ([np.zeros((4, 4, 1)), np.zeros((4, 4, 3))], "picture 1 differs"),
        (np.full((1, 4, 4, 1), 200.0), "divide by 255"),
        (np.full((1, 4, 4, 1), np.nan), "NaN"),
        (np.zeros((1, 4, 4, 1), np.int64), "uint8"),
        (np.zeros((1, 4, 4, 3)), "3 channel"),
    ],
)
def test_bad_pictures_are_told(pictures, told, supervised) -> None:
    with pytest.raises(DataError, match=told):
        supervised(pictures)


def test_bad_fits_are_told() -> None:
    bright, noise = np.zeros((3, 16, 16), np.uint8), make_noise("gaussian")
    with pytest.raises(ConfigError, match="not both"):
        fit(bright, bright, noise=noise)
    with pytest.raises(DataError, match="3 noisy pictures, but 2"):
        fit(bright, bright[:2])
    with pytest.raises(DataError, match=r"different sizes: 1 \("):
        fit([bright[0], bright[1]], [bright[0], bright[1][:9]])
    with pytest.raises(DataError, match="one type"):
        fit(bright, bright / 255)
    with pytest.raises(ConfigError, match="unknown noise"):
        make_noise("fog")
    with pytest.raises(ConfigError, match="no range"):
        make_noise("salt_and_pepper", 0.1, 0.2)
    with pytest.raises(ConfigError, match="hidden"):
        fit(bright, settings=Settings(hidden=0.0))
    with pytest.raises(ConfigError, match="held_out"):
        fit(bright, noise=noise, settings=Settings(held_out=1.0))


def test_settings_follow_the_pictures() -> None:
    small, large = (settle(Settings(), as_pictures(np.zeros((30, side, side)))) for side in (28, 180))
    assert (len(small.widths), small.turns, small.steps) == (2, "mirror", 5000)
    assert (len(large.widths), large.turns, large.held_out) == (3, "all", 0.05)
    assert settle(Settings(seconds=5.0), as_pictures(np.zeros((30, 28, 28)))).steps > 10**9


def slow_means(x: np.ndarray, std: float) -> np.ndarray:
    """Non-local means pixel by pixel; beyond the border its nearest pixel stands, and surroundings are cut off there."""
    height, width = x.shape
    around, out = np.pad(x, 10, mode="edge"), np.zeros_like(x)
    for i in range(height):
        for j in range(width):
            rows, columns = slice(max(0, i - 2), min(height, i + 3)), slice(max(0, j - 2), min(width, j + 3))
            total = weights = 0.0
            for down in range(-10, 11):
                for right in range(-10, 11):
                    other = around[10 + down : 10 + down + height, 10 + right : 10 + right + width]
                    apart = np.mean((x[rows, columns] - other[rows, columns]) ** 2)
                    weight = np.exp(-max(apart - 2 * std**2, 0) / (0.6 * std) ** 2)
                    total, weights = total + weight * other[i, j], weights + weight
            out[i, j] = total / weights
    return out


def test_non_local_means_are_those_of_the_formula() -> None:
    random = np.random.default_rng(0)
    x = np.linspace(0, 1, 9)[:, None] * np.ones(7) + 0.1 * random.normal(size=(9, 7))
    np.testing.assert_allclose(non_local_means(x[..., None], 0.1)[..., 0], slow_means(x, 0.1), atol=1e-12)


def test_the_level_of_noise_is_estimated(photos) -> None:
    for level in (0.05, 0.1, 0.2):
        noisy = spoil(photos, make_noise("gaussian", level))
        assert estimated_level("gaussian", noisy) == pytest.approx(level, rel=0.05)
        whole = np.block([[p[..., 0] for p in noisy[i : i + 6]] for i in range(0, 36, 6)])[..., None]
        assert noise_level(whole) == pytest.approx(level, rel=0.15)
    for photons in (5.0, 30.0, 100.0):
        assert estimated_level("poisson", spoil(photos, make_noise("poisson", photons))) == pytest.approx(photons, rel=0.1)
    assert noise_level(np.zeros((1, 1, 1))) == 0


def test_a_tiny_picture_among_others_does_not_change_the_estimate(photos) -> None:
    noisy = spoil(photos, make_noise("gaussian", 0.1))
    assert estimated_level("gaussian", [*noisy, np.full((3, 3, 1), 0.5)]) == estimated_level("gaussian", noisy)
    assert estimated_level("gaussian", [*noisy, np.full((1, 40, 1), 0.5)]) == estimated_level("gaussian", noisy)


def test_values_cut_off_at_black_do_not_count() -> None:
    dark = [np.zeros((64, 64, 1)), np.full((64, 64, 1), 0.5)] * 20
    noisy = [np.round(255 * picture).astype(np.uint8) for picture in spoil(dark, make_noise("gaussian", 0.1, clip=True))]
    assert estimated_level("gaussian", noisy) == pytest.approx(0.1, rel=0.05)


def test_a_level_that_cannot_be_estimated_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="jpeg noise is not seen"):
        estimated_level("jpeg", [np.zeros((8, 8, 1))])
    with pytest.raises(DataError, match="too dark, or too much"):
        estimated_level("poisson", [np.zeros((8, 8, 1))])
    with pytest.raises(DataError, match="no noise"):
        estimated_level("gaussian", [np.full((8, 8, 1), 0.5)])
    with pytest.raises(DataError, match="one pixel"):
        estimated_level("gaussian", [np.full((1, 1, 1), 0.5)])


@pytest.mark.parametrize(
    ("name", "level", "found"),
    [
        ("gaussian", 0.05, "gaussian"),
        ("gaussian", 0.15, "gaussian"),
        ("poisson", 10.0, "poisson"),
        ("poisson", 60.0, "poisson"),
        ("speckle", 0.2, None),
        ("salt_and_pepper", 0.1, None),
        ("jpeg", 20.0, None),
        ("blur", 1.5, None),
    ],
)
def test_noise_is_recognised_or_left_open(photos, name, level, found) -> None:
    assert recognised(spoil(photos, make_noise(name, level))) == found


def test_noise_that_cannot_be_told_is_left_open(photos) -> None:
    assert recognised(photos) is None, "they are clean"
    assert recognised(spoil(photos[:2], make_noise("gaussian", 0.1))) is None, "they are few"
    assert recognised([np.zeros((1, 1, 1))]) is None


def test_a_denoiser_that_is_told_nothing_recognises_the_noise(parts) -> None:
    noisy = [spoil(parts[0], make_noise(name, level)) for name, level in (("gaussian", 0.1), ("speckle", 0.2))]
    ways = [Denoiser(alone=True, steps=5, widths=(8,)).fit(pictures).restorer_.facts["learned from"] for pictures in noisy]
    assert ways == ["noisy pictures alone, of known Gaussian noise", "noisy pictures alone"]


@pytest.mark.parametrize("noise", [None, "gaussian"])
def test_alone_and_pairs_do_not_go_together(parts, noise) -> None:
    with pytest.raises(ConfigError):
        Denoiser(noise, alone=True, steps=2).fit(parts[0], parts[0])


def test_a_denoiser_that_is_not_told_the_level_finds_it(parts) -> None:
    noisy = spoil(parts[0], make_noise("gaussian", 0.1))
    model = Denoiser(noise="gaussian", alone=True, steps=5, widths=(8,)).fit(noisy)
    kind, level = model.restorer_.facts["noise"].split()
    assert (kind, float(level)) == ("gaussian", pytest.approx(0.1, rel=0.05))


def test_median_takes_off_single_pixels() -> None:
    picture = np.full((8, 8, 2), 0.5)
    picture[3, 3] = 1
    assert np.array_equal(median(picture), np.full((8, 8, 2), 0.5))
    assert median(np.ones((1, 1, 1))).shape == (1, 1, 1)


def test_figures_of_small_pictures_have_no_ssim() -> None:
    assert np.isnan(compare(np.zeros((1, 8, 8)), np.ones((1, 8, 8)), {"noisy": list})[0].ssim)
    with pytest.raises(DataError, match="do not match"):
        compare(np.zeros((1, 8, 8)), np.ones((2, 8, 8)), {"noisy": list})


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_colour_of_each_depth(dtype) -> None:
    from sklearn.datasets import load_sample_image

    top = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    picture = load_sample_image("china.jpg")[:192, :192] / 255
    tiles = [(picture[i : i + 64, j : j + 64] * top).astype(dtype) for i in (0, 64, 128) for j in (0, 64, 128)]
    model = fit(tiles, noise=make_noise("gaussian", 0.15), settings=replace(QUICK, steps=150))
    found = {
        row.method: row.psnr for row in compare(tiles, spoil(tiles, make_noise("gaussian", 0.15), 9), {"network": model, "noisy": list})
    }
    assert found["network"] > found["noisy"] + 4


def test_a_folder_of_pictures(supervised, photos, tmp_path) -> None:
    (tmp_path / "in" / "inner").mkdir(parents=True)
    Image.fromarray(photos[0][..., 0]).save(tmp_path / "in" / "a.png")
    Image.fromarray(photos[1][:20, :70, 0]).save(tmp_path / "in" / "inner" / "b.jpg")
    Image.fromarray(photos[2][..., 0].astype(np.uint16) * 257).save(tmp_path / "in" / "deep.png")
    (tmp_path / "in" / "note.txt").write_text("no picture")
    written = list(denoise_folder(supervised, tmp_path / "in", tmp_path / "out"))
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == ["a.png", "deep.png", "inner/b.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(written[0])), supervised(photos[:1])[0][..., 0])
    deep = np.asarray(Image.open(written[1])).astype(float)
    np.testing.assert_allclose(deep, supervised([photos[2] / 255])[0][..., 0] * 65535, atol=1)
    assert read(written[2]).array.shape == (1, 20, 70, 1)
    assert b"algorithmicallyEnhanced" in written[0].read_bytes()


def test_folders_that_cannot_be_done(supervised, photos, tmp_path) -> None:
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    for name in ("a.png", "a.bmp"):
        Image.fromarray(photos[0][..., 0]).save(noisy / name)
    with pytest.raises(DataError, match="different names"):
        list(denoise_folder(supervised, noisy, tmp_path / "out"))
    with pytest.raises(DataError, match="another place"):
        list(denoise_folder(supervised, noisy, noisy))
    with pytest.raises(DataError, match="lies in the folder"):
        list(denoise_folder(supervised, noisy, noisy / "out"))
    (noisy / "a.bmp").write_bytes(b"broken")
    (noisy / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.bmp"):
        list(denoise_folder(supervised, noisy, tmp_path / "out"))
