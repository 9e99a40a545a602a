"""Floor 1: what is done to the input, never to the target."""

from isthmus.corruptions.core import AdditiveGaussian, Corruption, Masking, SaltAndPepper

__all__ = ["AdditiveGaussian", "Corruption", "Masking", "SaltAndPepper"]
