"""Measures of likeness against slow ones written straight from the papers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.errors import ConfigError, DataError
from isthmus.objectives.similarity import ms_ssim, psnr, ssim

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def slow_maps(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Means of luminance, of contrast times structure, and of their product over all windows of one channel."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            luminance = (2 * ma * mb + 0.01**2) / (ma**2 + mb**2 + 0.01**2)
            contrast = (2 * cov + 0.03**2) / (va + vb + 0.03**2)
            found.append((luminance, contrast, luminance * contrast))
    return tuple(np.mean(found, axis=0))


def halved(x: np.ndarray) -> np.ndarray:
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3))


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A coloured photograph and a noisy copy, shape (1, 48, 48, 3), float64."""
    from sklearn.datasets import load_sample_image

    clean = load_sample_image("china.jpg")[150:198, 250:298] / 255
    noisy = clean + np.random.default_rng(0).normal(scale=0.1, size=clean.shape)
    return torch.from_numpy(noisy)[None], torch.from_numpy(clean)[None]


def test_psnr(pair) -> None:
    x, y = pair
    assert float(psnr(x, y)) == pytest.approx(-10 * np.log10(np.mean((x.numpy() - y.numpy()) ** 2)), abs=1e-10)
    assert float(psnr(255 * x, 255 * y, span=255)) == pytest.approx(float(psnr(x, y)), abs=1e-9)
    assert float(psnr(y, y)) == float("inf")


def test_ssim_is_that_of_the_paper(pair) -> None:
    x, y = pair
    wanted = np.mean([slow_maps(x[0, ..., c].numpy(), y[0, ..., c].numpy())[2] for c in range(3)])
    assert float(ssim(x, y)) == pytest.approx(wanted, abs=1e-10)
    assert 0.3 < wanted < 0.95


def test_ms_ssim_is_that_of_the_paper(pair) -> None:
    x, y = pair
    wanted = []
    for c in range(3):
        a, b = x[0, ..., c].numpy(), y[0, ..., c].numpy()
        total, weights = 1.0, np.array(WEIGHTS[:3]) / sum(WEIGHTS[:3])
        for scale, weight in enumerate(weights):
            _, contrast, both = slow_maps(a, b)
            total *= (both if scale == 2 else contrast) ** weight
            a, b = halved(a), halved(b)
        wanted.append(total)
    assert float(ms_ssim(x, y, scales=3)) == pytest.approx(np.mean(wanted), abs=1e-10)


def test_all_five_scales_take_the_smallest_picture_that_is_allowed() -> None:
    picture = torch.rand(1, 161, 161, 1, generator=torch.Generator().manual_seed(0))
    assert float(ms_ssim(picture, picture)) == pytest.approx(1.0, abs=1e-5)
    assert 0 <= float(ms_ssim(picture, 1 - picture)) < 0.1


@pytest.mark.parametrize("measure", [ssim, lambda x, y: ms_ssim(x, y, scales=2)], ids=["ssim", "ms_ssim"])
def test_a_picture_can_be_learned_by_it(measure, pair) -> None:
    x, y = pair[0][:, :32, :32, :1], pair[1][:, :32, :32, :1]
    x = x.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda part: measure(torch.cat([part, x[:, :, 3:].detach()], 2), y), (x[:, :, :3].detach().requires_grad_(),)
    )
    optimiser = torch.optim.Adam([x], lr=0.02)
    before = float(measure(x, y).detach())
    for _ in range(60):
        optimiser.zero_grad()
        (1 - measure(x, y)).mean().backward()
        optimiser.step()
    assert float(measure(x, y).detach()) > before + 0.5 * (1 - before)


def test_refusals() -> None:
    with pytest.raises(DataError, match="one shape"):
        psnr(torch.zeros(1, 4, 4, 1), torch.zeros(1, 4, 5, 1))
    with pytest.raises(DataError, match="needs 11 x 11"):
        ssim(torch.zeros(1, 10, 20, 1), torch.zeros(1, 10, 20, 1))
    with pytest.raises(DataError, match="needs 161 x 161"):
        ms_ssim(torch.zeros(1, 160, 200, 1), torch.zeros(1, 160, 200, 1))
    with pytest.raises(ConfigError, match="scales"):
        ms_ssim(torch.zeros(1, 20, 20, 1), torch.zeros(1, 20, 20, 1), scales=6)
