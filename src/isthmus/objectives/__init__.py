"""Floor 3: what is minimised, as named terms."""

from isthmus.objectives.adversarial import Adversarial
from isthmus.objectives.base import Context, Objective, Passage, Sum
from isthmus.objectives.binarised import Binarised
from isthmus.objectives.capacity import Capacity
from isthmus.objectives.commitment import Commitment
from isthmus.objectives.elbo import ELBO
from isthmus.objectives.filling import Filling
from isthmus.objectives.importance import IWAE, Renyi
from isthmus.objectives.mmd import MMD
from isthmus.objectives.reconstruction import AuxK, Reconstruction
from isthmus.objectives.regularised import Regularised
from isthmus.objectives.total_correlation import TotalCorrelation

__all__ = [
    "ELBO",
    "IWAE",
    "MMD",
    "Adversarial",
    "AuxK",
    "Binarised",
    "Capacity",
    "Commitment",
    "Context",
    "Filling",
    "Objective",
    "Passage",
    "Reconstruction",
    "Regularised",
    "Renyi",
    "Sum",
    "TotalCorrelation",
]
