"""Floor 1: from the encoder's output to a distribution over codes, with the named terms a bottleneck brings."""

from isthmus.bottlenecks.base import Bottleneck
from isthmus.bottlenecks.deterministic import L1, Deterministic, KLActivity, TopK
from isthmus.bottlenecks.flows import AutoregressiveFlow, PlanarFlow, SplineFlow
from isthmus.bottlenecks.gaussian import Gaussian
from isthmus.bottlenecks.gaussian_full import FullGaussian
from isthmus.bottlenecks.labelled import LabelledCode
from isthmus.bottlenecks.ladder import Ladder
from isthmus.bottlenecks.quantised import FiniteScalar, VectorQuantised
from isthmus.bottlenecks.shapes import Beta, Categories, Kumaraswamy, Laplace, VonMisesFisherCode

__all__ = [
    "AutoregressiveFlow",
    "Beta",
    "Bottleneck",
    "Categories",
    "Deterministic",
    "FiniteScalar",
    "FullGaussian",
    "Gaussian",
    "KLActivity",
    "Kumaraswamy",
    "L1",
    "LabelledCode",
    "Ladder",
    "Laplace",
    "PlanarFlow",
    "SplineFlow",
    "TopK",
    "VectorQuantised",
    "VonMisesFisherCode",
]
