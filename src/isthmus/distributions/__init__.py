"""Floor 0: what a bottleneck or a likelihood returns, and where random numbers come from."""

from isthmus.distributions.angle import VonMises
from isthmus.distributions.base import Delta, Distribution, Valuewise
from isthmus.distributions.bernoulli import Bernoulli, ContinuousBernoulli
from isthmus.distributions.categorical import Categorical
from isthmus.distributions.counts import NegativeBinomial, Poisson
from isthmus.distributions.joint import Joint, Layout, Plan
from isthmus.distributions.noise import GeneratorNoise, Noise, SharedNoise
from isthmus.distributions.real import Laplace, Normal, StudentT

__all__ = [
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "Delta",
    "Distribution",
    "GeneratorNoise",
    "Joint",
    "Laplace",
    "Layout",
    "NegativeBinomial",
    "Noise",
    "Normal",
    "Plan",
    "Poisson",
    "SharedNoise",
    "StudentT",
    "Valuewise",
    "VonMises",
]
