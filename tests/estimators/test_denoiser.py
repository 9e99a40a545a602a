"""The denoiser as an estimator."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from isthmus.artifact.restorer import Restorer
from isthmus.errors import ConfigError, DataError
from isthmus.estimators import Denoiser

QUICK = {"steps": 150, "widths": (8, 16), "device": "cpu"}


@pytest.fixture(scope="module")
def pair(digits) -> tuple[np.ndarray, np.ndarray]:
    """Digits with Gaussian noise of 0.3, and without."""
    clean = digits[..., 0]
    return (clean + 0.3 * np.random.default_rng(0).normal(size=clean.shape)).astype(np.float32), clean


@pytest.mark.parametrize("way", ["clean", "pairs", "alone"])
def test_three_ways(way, pair) -> None:
    noisy, clean = pair
    model = Denoiser("gaussian", 0.3, **QUICK) if way == "clean" else Denoiser(**QUICK)
    model.fit(clean[:1500] if way == "clean" else noisy[:1500], clean[:1500] if way == "pairs" else None)
    before = -10 * np.log10(np.mean((noisy[1500:] - clean[1500:]) ** 2))
    assert model.score(noisy[1500:], clean[1500:]) > before + (1 if way == "alone" else 4)


def test_copies_files_and_shapes(pair, tmp_path) -> None:
    noisy, clean = pair
    model = Denoiser("gaussian", 0.1, 0.5, clip=True, steps=5, widths=(4,), turns=8, device="cpu").fit(clean[:50])
    found = model.transform(noisy[:9])
    assert (found.shape, found.dtype) == ((9, 8, 8), np.float32)
    for other in (clone(model).fit(clean[:50]), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.transform(noisy[:9]), found)
    opened = Restorer.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(np.stack(opened(noisy[:9], turns=8)), found)
    several = model.transform([np.zeros((5, 9), np.float32), np.zeros((30, 7), np.float32)])
    assert [picture.shape for picture in several] == [(5, 9), (30, 7)]


def test_refusals(pair) -> None:
    noisy, clean = pair
    with pytest.raises(NotFittedError):
        Denoiser().transform(noisy)
    with pytest.raises(ConfigError, match="say which one"):
        Denoiser(level=0.1).fit(noisy)
    with pytest.raises(ConfigError, match="not both"):
        Denoiser("gaussian").fit(noisy, clean)
    with pytest.raises(ConfigError, match="unknown noise"):
        Denoiser("fog").fit(clean)
    with pytest.raises(DataError, match="3 noisy pictures, but 2"):
        Denoiser().fit(noisy[:3], clean[:2])
