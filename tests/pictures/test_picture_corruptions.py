"""What is done to pictures: strengths as asked for, the same for the same numbers, JPEG as Pillow writes it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus.corruptions import AdditiveGaussian, Blur, Clipped, Corruption, GaussianRange, Jpeg, Shot, Speckle
from isthmus.distributions import GeneratorNoise, SharedNoise
from isthmus.errors import ConfigError
from isthmus.spec import from_spec, to_spec

EACH = [GaussianRange(0.1, 0.3), Speckle(0.1, 0.5), Shot(5, 50), Blur(0.5, 2.0), Jpeg(10, 60), Clipped(GaussianRange(0.4))]
ROUGH = [Clipped, GaussianRange, Shot, Speckle]


def fresh(seed: int = 0) -> GeneratorNoise:
    return GeneratorNoise(torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    """Two coloured photographs, shape (2, 96, 128, 3)."""
    from sklearn.datasets import load_sample_images

    return torch.from_numpy(np.stack([picture[100:196, 200:328] for picture in load_sample_images().images]) / np.float32(255))


@pytest.mark.parametrize("corruption", EACH, ids=lambda c: type(c).__name__)
def test_same_numbers_same_damage_and_text_and_back(corruption: Corruption, photos: torch.Tensor) -> None:
    before = photos.clone()
    once = corruption(photos, fresh())
    assert torch.equal(photos, before)
    assert once.shape == photos.shape
    assert once.dtype == photos.dtype
    assert not torch.equal(once, photos)
    assert torch.equal(from_spec(to_spec(corruption))(photos, fresh()), once)


@pytest.mark.parametrize("corruption", EACH, ids=lambda c: type(c).__name__)
def test_each_picture_has_its_own_strength(corruption: Corruption, photos: torch.Tensor) -> None:
    same = photos[:1].expand(2, -1, -1, -1)
    first, second = corruption(same, fresh())
    assert not torch.equal(first, second)
    first, second = corruption(same, SharedNoise(0))
    assert torch.equal(first, second)


@pytest.mark.parametrize("corruption", EACH, ids=lambda c: type(c).__name__)
def test_no_picture(corruption: Corruption) -> None:
    assert corruption(torch.zeros(0, 8, 8, 1), fresh()).shape == (0, 8, 8, 1)


def test_gaussian_of_one_level_is_the_known_one(photos: torch.Tensor) -> None:
    torch.testing.assert_close(GaussianRange(0.1)(photos, fresh()), AdditiveGaussian(0.1)(photos, fresh()))


def test_gaussian_levels_fill_the_range() -> None:
    stds = GaussianRange(0.1, 0.3)(torch.zeros(500, 20, 20, 1), fresh()).flatten(1).std(1)
    assert 0.09 < float(stds.min()) < 0.12
    assert 0.28 < float(stds.max()) < 0.33
    assert abs(float(stds.mean()) - 0.2) < 0.01


def test_speckle_grows_with_brightness() -> None:
    grey = torch.tensor([0.2, 0.8]).view(2, 1, 1, 1).expand(2, 100, 100, 1)
    errors = (Speckle(0.25)(grey, fresh()) - grey).flatten(1).std(1)
    torch.testing.assert_close(errors, torch.tensor([0.05, 0.2]), rtol=0.05, atol=0)


@pytest.mark.parametrize("peak", [1.0, 30.0])
def test_shot_noise_has_the_mean_and_variance_of_counts(peak: float) -> None:
    counts = Shot(peak)(torch.full((4, 100, 100, 1), 0.6), fresh()) * peak
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-4)
    assert abs(float(counts.mean()) / (0.6 * peak) - 1) < 0.03
    assert abs(float(counts.var()) / (0.6 * peak) - 1) < 0.05


def test_blur_is_scipys(photos: torch.Tensor) -> None:
    from scipy.ndimage import gaussian_filter

    found = Blur(1.5)(photos, fresh())[0].numpy()
    wanted = gaussian_filter(photos[0].numpy().astype(float), (1.5, 1.5, 0), mode="mirror", truncate=4)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_blur_of_nothing_and_of_one_pixel() -> None:
    picture = torch.rand(1, 5, 6, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Blur(0.0)(picture, fresh()), picture)
    assert torch.equal(Blur(2.0)(picture[:, :1, :1], fresh()), picture[:, :1, :1])


def saved(levels: np.ndarray, quality: int) -> np.ndarray:
    """What Pillow reads after writing a JPEG."""
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).astype(float)


@pytest.mark.parametrize("quality", [5, 30, 75, 95])
def test_jpeg_of_grey_is_pillows(quality: int, photos: torch.Tensor) -> None:
    levels = (photos[0, :90, :101, 1] * 255).round().byte()
    found = Jpeg(quality)(levels[None, ..., None] / 255, fresh())[0, ..., 0].numpy() * 255
    wanted = saved(levels.numpy(), quality)
    # libjpeg's cosines are of whole numbers, so that a value on the edge may fall to the other side.
    assert np.abs(found - wanted).mean() < 0.1 * np.abs(wanted - levels.numpy()).mean()


@pytest.mark.parametrize("quality", [10, 75])
def test_jpeg_of_colour_is_nearly_pillows(quality: int, photos: torch.Tensor) -> None:
    levels = (photos[0] * 255).round().byte()
    found = Jpeg(quality)(levels[None] / 255, fresh())[0].numpy() * 255
    wanted = saved(levels.numpy(), quality)
    assert np.abs(found - wanted).mean() < 0.15 * np.abs(wanted - levels.numpy()).mean()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: GaussianRange(-0.1), "std"),
        (lambda: GaussianRange(0.3, 0.1), "std"),
        (lambda: GaussianRange(0.1, float("inf")), "std"),
        (lambda: Speckle(float("nan")), "std"),
        (lambda: Shot(0.0), "peak"),
        (lambda: Blur(51.0), "std"),
        (lambda: Jpeg(0), "quality"),
        (lambda: Jpeg(50, 101), "quality"),
    ],
)
def test_impossible_strengths_are_refused(make, name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be"):
        make()
