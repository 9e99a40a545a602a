"""Floor 1: what is done to the input, never to the target."""

from isthmus.corruptions.columns import HideColumns
from isthmus.corruptions.core import AdditiveGaussian, Corruption, Masking, SaltAndPepper

__all__ = ["AdditiveGaussian", "Corruption", "HideColumns", "Masking", "SaltAndPepper"]
