"""Floor 8: the families as scikit-learn estimators."""

from isthmus.estimators.anomaly import AnomalyDetector
from isthmus.estimators.base import BaseAutoencoder
from isthmus.estimators.classes import (
    Autoencoder,
    DenoisingAutoencoder,
    LinearAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from isthmus.estimators.denoiser import Denoiser
from isthmus.estimators.imputer import IsthmusImputer
from isthmus.estimators.kin import (
    VQVAE,
    BetaVAE,
    ConditionalVAE,
    FSQAutoencoder,
    HypersphericalVAE,
    ImportanceWeightedAutoencoder,
    LadderVAE,
    RegularisedAutoencoder,
    TotalCorrelationVAE,
    VampVAE,
    WassersteinAutoencoder,
)
from isthmus.estimators.posterior import Posterior

__all__ = [
    "AnomalyDetector",
    "Autoencoder",
    "BaseAutoencoder",
    "BetaVAE",
    "ConditionalVAE",
    "Denoiser",
    "DenoisingAutoencoder",
    "FSQAutoencoder",
    "HypersphericalVAE",
    "ImportanceWeightedAutoencoder",
    "IsthmusImputer",
    "LadderVAE",
    "LinearAutoencoder",
    "Posterior",
    "RegularisedAutoencoder",
    "SparseAutoencoder",
    "TotalCorrelationVAE",
    "VQVAE",
    "VampVAE",
    "VariationalAutoencoder",
    "WassersteinAutoencoder",
]
