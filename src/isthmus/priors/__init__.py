"""Floor 1: distributions over codes."""

from isthmus.priors.base import Prior
from isthmus.priors.discrete import AutoregressiveCodes
from isthmus.priors.ex_post import MixtureDensity
from isthmus.priors.labelled import LabelledPrior
from isthmus.priors.learned import Flow, Mixture, Spline, Vamp
from isthmus.priors.standard_normal import StandardNormal
from isthmus.priors.two_levels import TwoLevelPrior
from isthmus.priors.uniform import UniformCategories, UniformCube, UniformSphere

__all__ = [
    "AutoregressiveCodes",
    "Flow",
    "LabelledPrior",
    "Mixture",
    "MixtureDensity",
    "Prior",
    "Spline",
    "StandardNormal",
    "TwoLevelPrior",
    "UniformCategories",
    "UniformCube",
    "UniformSphere",
    "Vamp",
]
