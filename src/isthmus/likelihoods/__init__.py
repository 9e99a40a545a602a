"""Floor 1: from the decoder's output to a distribution over the data. MSE and BCE are two of them."""

from isthmus.likelihoods.base import Likelihood
from isthmus.likelihoods.real import Gaussian, Laplace
from isthmus.likelihoods.unit import Bernoulli, ContinuousBernoulli

__all__ = ["Bernoulli", "ContinuousBernoulli", "Gaussian", "Laplace", "Likelihood"]
