"""Floor 1: what is done to the input, never to the target."""

from isthmus.corruptions.columns import HideColumns
from isthmus.corruptions.core import AdditiveGaussian, Corruption, Masking, SaltAndPepper
from isthmus.corruptions.jpeg import Jpeg
from isthmus.corruptions.pictures import Blur, Clipped, GaussianRange, Shot, Speckle

__all__ = [
    "AdditiveGaussian",
    "Blur",
    "Clipped",
    "Corruption",
    "GaussianRange",
    "HideColumns",
    "Jpeg",
    "Masking",
    "SaltAndPepper",
    "Shot",
    "Speckle",
]
