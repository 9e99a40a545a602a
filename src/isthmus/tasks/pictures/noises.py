"""Noise by name, and pictures made noisy by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray

from isthmus.artifact.restorer import as_pictures, white
from isthmus.corruptions import Blur, Clipped, Corruption, GaussianRange, Jpeg, SaltAndPepper, Shot, Speckle
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError
from isthmus.spec import to_spec

Array = NDArray[Any]
NOISES: dict[str, Callable[..., Corruption]] = {
    "gaussian": GaussianRange,
    "poisson": Shot,
    "speckle": Speckle,
    "salt_and_pepper": SaltAndPepper,
    "jpeg": Jpeg,
    "blur": Blur,
}
BRIGHT = 4.0  # beyond which nobody can mean the standard deviation of noise
LEVELS = {"gaussian": 25 / 255, "poisson": 30.0, "speckle": 0.2, "salt_and_pepper": 0.1, "jpeg": 20.0, "blur": 1.5}


def make_noise(name: str, level: float | None = None, highest: float | None = None, clip: bool = False) -> Corruption:
    """Return what makes pictures noisy.

    Parameters
    ----------
    name : {"gaussian", "poisson", "speckle", "salt_and_pepper", "jpeg", "blur"}
    level : float, optional
        Strength: standard deviation (white is 1) of Gaussian noise and of speckle's factor, photons of white, share of the pixels, JPEG's
        quality, standard deviation of the blur in pixels.
    highest : float, optional
        With it, each picture has a strength of its own from `level` to `highest`, which the network is not told.
    clip : bool
        Whether noisy values are kept within black and white, as in a file.

    Raises
    ------
    ConfigError
        If there is no noise of this name, or the strength is out of its range.

    Examples
    --------
    >>> make_noise("gaussian", 0.1, 0.3).highest
    0.3
    """
    if name not in NOISES:
        raise ConfigError(f"unknown noise {name!r}; choose one of {', '.join(NOISES)}")
    strength = LEVELS[name] if level is None else level
    if highest is not None and name == "salt_and_pepper":
        raise ConfigError("salt_and_pepper takes one level, no range: leave out highest")
    if name in ("gaussian", "speckle") and strength > BRIGHT:
        raise ConfigError(f"a level of {strength:g} is far beyond white, which is 1: of values up to 255 give {strength / 255:.3g}")
    found = NOISES[name](strength, *(() if highest is None else (highest,)))
    return Clipped(found) if clip else found


def described(noise: Corruption) -> str:
    """Return a noise in words: its name and strength.

    Examples
    --------
    >>> described(make_noise("poisson", 10, 20, clip=True))
    'poisson 10 to 20, clipped'
    """
    inner = noise.inner if isinstance(noise, Clipped) else noise
    name = next((name for name, kind in NOISES.items() if type(inner) is kind), type(inner).__name__)
    strengths = [f"{value:g}" for entry, value in to_spec(inner).items() if entry != "type" and isinstance(value, (int, float))]
    return f"{name} {' to '.join(strengths)}{', clipped' if inner is not noise else ''}"


def spoil(pictures: Any, noise: Corruption, seed: int = 0) -> list[Array]:
    """Return noisy copies of pictures as floating-point numbers, white being 1; each has noise of its own, the same for the same seed.

    Examples
    --------
    >>> import numpy as np
    >>> spoil(np.zeros((1, 4, 4, 1), np.uint8), make_noise("speckle"))[0].max()
    np.float32(0.0)
    """
    source = GeneratorNoise(torch.Generator().manual_seed(seed))
    found = as_pictures(pictures)
    top = white(found[0].dtype)
    return [noise(torch.tensor(picture[None]).float() / top, source)[0].numpy() for picture in found]
