"""Floor 1: what is done to the input, never to the target."""

from isthmus.corruptions.columns import HideColumns
from isthmus.corruptions.core import AdditiveGaussian, Corruption, Masking, SaltAndPepper
from isthmus.corruptions.jpeg import Jpeg
from isthmus.corruptions.pictures import Blur, Clipped, GaussianRange, Shot, Speckle
from isthmus.corruptions.warps import Move, Tint, Warp

__all__ = [
    "AdditiveGaussian",
    "Blur",
    "Clipped",
    "Corruption",
    "GaussianRange",
    "HideColumns",
    "Jpeg",
    "Masking",
    "Move",
    "SaltAndPepper",
    "Shot",
    "Speckle",
    "Tint",
    "Warp",
]
