"""Pictures on which a denoiser is measured: those held out when it was fitted, and as much of many or large ones as is quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact.restorer import Restorer
from isthmus.corruptions import Corruption
from isthmus.tasks.pictures.denoise import Settings, split
from isthmus.tasks.pictures.noises import spoil
from isthmus.tasks.pictures.shelf import Shelf
from isthmus.training.crops import Picture

Array = NDArray[Any]
MOST, SIDE = 24, 512  # pictures, and pixels of a side: the older ways are slow


@dataclass(frozen=True)
class HeldOut:
    """Pairs to measure on.

    Attributes
    ----------
    clean, noisy : sequence of pictures of shape (H, W, C)
    names : sequence of str
    told : str
        What they are.
    """

    clean: Sequence[Any]
    noisy: Sequence[Any]
    names: Sequence[str]
    told: str


def held_out(
    restorer: Restorer, pictures: Sequence[Picture], targets: Sequence[Picture] | None, noise: Corruption | None
) -> HeldOut | None:
    """Return the pairs that were held out when a denoiser was fitted on these pictures; None if there were none.

    Parameters
    ----------
    restorer : Restorer
    pictures, targets, noise : as given to `isthmus.tasks.pictures.denoise.fit`
    """
    known = Settings(seed=restorer.settings["seed"], held_out=restorer.settings["held_out"])
    held = split(len(pictures), known)[1]
    if not held or (targets is None and noise is None):
        return None
    clean = [np.asarray((pictures if targets is None else targets)[i]) for i in held]
    noisy = [np.asarray(pictures[i]) for i in held] if noise is None else spoil(clean, noise, known.seed + 1)
    names = [pictures.names[i] if isinstance(pictures, Shelf) else str(i) for i in held]
    return HeldOut(clean, noisy, names, f"{len(held)} pictures that were not learned from")


def middle(pairs: HeldOut) -> tuple[HeldOut, list[str]]:
    """Return at most 24 pairs, evenly chosen, and the middle of large pictures, with notes on what was left out."""
    count = len(pairs.clean)
    chosen = sorted({round(place) for place in np.linspace(0, count - 1, min(count, MOST))})
    notes = [f"measured on {len(chosen)} of the {count}"] if len(chosen) < count else []
    clean, noisy = ([np.asarray(part[i]) for i in chosen] for part in (pairs.clean, pairs.noisy))
    large = sum(max(picture.shape[:2]) > SIDE for picture in clean)
    notes += [f"of {large} large picture(s) the middle of {SIDE} x {SIDE} pixels was measured"] if large else []
    parts = [_middle(picture) for picture in clean], [_middle(picture) for picture in noisy]
    return replace(pairs, clean=parts[0], noisy=parts[1], names=[pairs.names[i] for i in chosen]), notes


def _middle(picture: Array) -> Array:
    top, left = (max(0, (length - SIDE) // 2) for length in picture.shape[:2])
    return picture[top : top + SIDE, left : left + SIDE]
