"""Floor 0: what a bottleneck or a likelihood returns, and where random numbers come from."""

from isthmus.distributions.base import Delta, Distribution
from isthmus.distributions.bernoulli import Bernoulli, ContinuousBernoulli
from isthmus.distributions.noise import GeneratorNoise, Noise, SharedNoise
from isthmus.distributions.real import Laplace, Normal

__all__ = ["Bernoulli", "ContinuousBernoulli", "Delta", "Distribution", "GeneratorNoise", "Laplace", "Noise", "Normal", "SharedNoise"]
