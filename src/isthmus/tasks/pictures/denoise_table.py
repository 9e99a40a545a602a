"""What a denoiser is worth beside older ways: peak signal-to-noise ratio and structural similarity of each, in one table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from isthmus.artifact.restorer import as_pictures, white
from isthmus.errors import DataError
from isthmus.objectives.similarity import WINDOW, psnr, ssim
from isthmus.tasks.pictures.noise_levels import noise_level

Array = NDArray[Any]
Method = Callable[[list[Array]], Sequence[Array]]
PATCH, SEARCH, STRENGTH = 2, 10, 0.6


@dataclass(frozen=True)
class Figures:
    """How near a method comes to clean pictures.

    Attributes
    ----------
    method : str
    psnr : float
        Mean over the pictures, in decibels.
    ssim : float
        Mean over the pictures; NaN where they are smaller than the window of 11 x 11.
    seconds : float
        For all pictures.
    """

    method: str
    psnr: float
    ssim: float
    seconds: float


def median(picture: Array, size: int = 3) -> Array:
    """Replace each value by the median of the `size` x `size` values around it.

    Examples
    --------
    >>> float(median(np.pad(np.ones((1, 1, 1)), ((2, 2), (2, 2), (0, 0)))).max())
    0.0
    """
    from scipy import ndimage  # pyright: ignore[reportMissingTypeStubs]

    filters: Any = ndimage
    return filters.median_filter(picture, size=(size, size, 1), mode="mirror" if min(picture.shape[:2]) > 1 else "nearest")


def non_local_means(picture: Array, std: float | None = None) -> Array:
    r"""Replace each pixel by a mean of those whose surroundings look alike.

    The weight of a pixel within 10 rows and columns is :math:`e^{-\max(d^2 - 2\sigma^2, 0) / h^2}`, with :math:`d^2` the mean squared
    difference of both surroundings of 5 x 5 and :math:`h = 0.6\,\sigma`.

    Parameters
    ----------
    picture : ndarray of shape (H, W, C)
        Floating-point numbers.
    std : float, optional
        Of the noise; estimated by default.

    Returns
    -------
    ndarray of shape (H, W, C)

    References
    ----------
    Buades, Coll and Morel, "Non-local means denoising", Image Processing On Line 1, 2011.

    Examples
    --------
    >>> non_local_means(np.full((4, 4, 1), 0.5))[0, 0]
    array([0.5])
    """
    x = torch.tensor(picture).movedim(2, 0)[None]
    variance = max(noise_level(picture) if std is None else std, 1e-6) ** 2
    around = functional.pad(x, (SEARCH,) * 4, mode="replicate")
    height, width = x.shape[2:]
    total, weights = torch.zeros_like(x), torch.zeros_like(x[:, :1])
    for down in range(2 * SEARCH + 1):
        for right in range(2 * SEARCH + 1):
            other = around[:, :, down : down + height, right : right + width]
            weight = torch.exp(-(_apart(x, other) - 2 * variance).clamp_min(0) / (STRENGTH**2 * variance))
            total.addcmul_(weight, other)
            weights += weight
    return (total / weights)[0].movedim(0, 2).numpy()


def _apart(x: Tensor, other: Tensor) -> Tensor:
    """Return the mean squared difference of the surroundings of each pixel."""
    squares = (x - other).square().mean(1, keepdim=True)
    return functional.avg_pool2d(squares, 2 * PATCH + 1, 1, PATCH, count_include_pad=False)


def usual_methods(std: float | None = None) -> dict[str, Method]:
    """Return the older ways by name: noisy pictures as they are, the median filter, non-local means.

    Parameters
    ----------
    std : float, optional
        Of the noise, for non-local means; estimated from each picture by default.

    Examples
    --------
    >>> list(usual_methods())
    ['noisy', 'median 3 x 3', 'non-local means']
    """
    means = partial(non_local_means, std=std)
    return {
        "noisy": list,
        "median 3 x 3": lambda noisy: [median(x) for x in noisy],
        "non-local means": lambda noisy: [means(x) for x in noisy],
    }


def compare(clean: Any, noisy: Any, methods: Mapping[str, Method]) -> list[Figures]:
    """Measure methods on pairs of noisy and clean pictures.

    Parameters
    ----------
    clean, noisy : as of `isthmus.tasks.pictures.denoise.fit`
    methods : mapping of str to callable
        Each takes the list of noisy pictures, as floating-point numbers of which white is 1, and returns the list without noise: such as a
        `Restorer`, or one of `usual_methods`. What they return is kept within black and white, but for the method "noisy".

    Returns
    -------
    list of Figures

    Raises
    ------
    DataError
        If pairs do not match.

    Examples
    --------
    >>> picture = np.full((1, 16, 16, 1), 0.5, np.float32)
    >>> compare(picture, picture + 0.1, {"noisy": list})[0].psnr
    20.0
    """
    return judge(clean, noisy, methods).figures


@dataclass(frozen=True)
class Case:
    """What methods make of one picture.

    Attributes
    ----------
    name : str
    clean, noisy : ndarray of shape (H, W, C)
        Floating-point numbers, white being 1.
    found : dict of str to ndarray of shape (H, W, C)
        By method, within black and white.
    psnr : dict of str to float
    """

    name: str
    clean: Array
    noisy: Array
    found: dict[str, Array]
    psnr: dict[str, float]


@dataclass(frozen=True)
class Judgement:
    """Figures of methods, and what they make of each picture.

    Attributes
    ----------
    figures : list of Figures
    cases : list of Case
        The picture on which the first method is best, that in the middle, and that on which it is worst.
    """

    figures: list[Figures]
    cases: list[Case]


def judge(clean: Any, noisy: Any, methods: Mapping[str, Method], names: Sequence[str] = ()) -> Judgement:
    """Measure methods as `compare` does, and show what they make of pictures.

    Parameters
    ----------
    clean, noisy, methods : as of `compare`
    names : sequence of str
        Of the pictures; their numbers by default.

    Returns
    -------
    Judgement

    Raises
    ------
    DataError
        If pairs do not match.

    Examples
    --------
    >>> picture = np.full((1, 16, 16, 1), 0.5, np.float32)
    >>> judge(picture, picture + 0.1, {"noisy": list}).cases[0].psnr
    {'noisy': 20.0}
    """
    wanted, given = _unit(clean, "clean"), _unit(noisy, "noisy")
    if [a.shape for a in wanted] != [b.shape for b in given]:
        raise DataError(f"clean and noisy pictures do not match: {len(wanted)} and {len(given)} pictures, or different sizes")
    trials = {name: _tried(name, method, given, wanted) for name, method in methods.items()}
    order = np.argsort([-value for value in next(iter(trials.values())).psnr]) if trials else np.arange(0)
    shown = dict.fromkeys(int(order[place]) for place in (0, len(order) // 2, len(order) - 1)) if trials else {}
    cases = [_case(i, names[i] if names else str(i), wanted, given, trials) for i in shown]
    return Judgement([trial.figures for trial in trials.values()], cases)


def _unit(pictures: Any, name: str) -> list[Array]:
    return [(picture / white(picture.dtype)).astype(np.float32) for picture in as_pictures(pictures, name)]


@dataclass(frozen=True)
class _Trial:
    """What a method made of the pictures."""

    figures: Figures
    found: list[Array]
    psnr: list[float]


def _tried(name: str, method: Method, noisy: list[Array], clean: list[Array]) -> _Trial:
    start = time.perf_counter()
    found = method(noisy)
    seconds = time.perf_counter() - start
    pairs = [(torch.tensor(a[None]), torch.tensor(b[None])) for a, b in zip(found, clean)]
    pairs = pairs if name == "noisy" else [(a.clamp(0, 1), b) for a, b in pairs]
    large = all(min(b.shape[1:3]) >= WINDOW for _, b in pairs)
    alike = [float(ssim(a, b)) for a, b in pairs] if large else [float("nan")]
    ratios = [round(float(psnr(a, b)), 4) for a, b in pairs]
    figures = Figures(name, round(float(np.mean(ratios)), 4), float(np.mean(alike)), seconds)
    return _Trial(figures, [a[0].clamp(0, 1).numpy() for a, _ in pairs], ratios)


def _case(i: int, name: str, clean: list[Array], noisy: list[Array], trials: Mapping[str, _Trial]) -> Case:
    found = {method: trial.found[i] for method, trial in trials.items()}
    return Case(name, clean[i], noisy[i], found, {method: trial.psnr[i] for method, trial in trials.items()})
