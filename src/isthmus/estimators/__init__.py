"""Floor 8: the families as scikit-learn estimators."""

from isthmus.estimators.base import BaseAutoencoder
from isthmus.estimators.classes import (
    Autoencoder,
    DenoisingAutoencoder,
    LinearAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from isthmus.estimators.posterior import Posterior

__all__ = [
    "Autoencoder",
    "BaseAutoencoder",
    "DenoisingAutoencoder",
    "LinearAutoencoder",
    "Posterior",
    "SparseAutoencoder",
    "VariationalAutoencoder",
]
