"""Floor 1: from the decoder's output to a distribution over the data. MSE and BCE are two of them."""

from isthmus.likelihoods.base import Likelihood
from isthmus.likelihoods.columns import Columns
from isthmus.likelihoods.counts import NegativeBinomial, Poisson
from isthmus.likelihoods.labelled import LabelledRows
from isthmus.likelihoods.multinomial import Multinomial
from isthmus.likelihoods.pixels import DiscretisedLogistic, PixelLevels
from isthmus.likelihoods.real import Gaussian, Laplace, StudentT
from isthmus.likelihoods.unit import Bernoulli, ContinuousBernoulli

__all__ = [
    "Bernoulli",
    "Columns",
    "ContinuousBernoulli",
    "DiscretisedLogistic",
    "Gaussian",
    "LabelledRows",
    "Laplace",
    "Likelihood",
    "Multinomial",
    "NegativeBinomial",
    "PixelLevels",
    "Poisson",
    "StudentT",
]
