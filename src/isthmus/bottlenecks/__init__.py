"""Floor 1: from the encoder's output to a distribution over codes, with the named terms a bottleneck brings."""

from isthmus.bottlenecks.base import Bottleneck
from isthmus.bottlenecks.deterministic import L1, Deterministic, KLActivity, TopK
from isthmus.bottlenecks.gaussian import Gaussian

__all__ = ["L1", "Bottleneck", "Deterministic", "Gaussian", "KLActivity", "TopK"]
