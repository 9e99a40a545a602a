"""Floor 3: what is minimised, as named terms."""

from isthmus.objectives.base import Context, Objective, Passage, Sum
from isthmus.objectives.elbo import ELBO
from isthmus.objectives.reconstruction import AuxK, Reconstruction

__all__ = ["ELBO", "AuxK", "Context", "Objective", "Passage", "Reconstruction", "Sum"]
