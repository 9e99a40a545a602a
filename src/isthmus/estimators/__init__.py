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
from isthmus.estimators.swapper import Swapper
from isthmus.estimators.translator import Translator

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
    "Swapper",
    "TotalCorrelationVAE",
    "Translator",
    "VQVAE",
    "VampVAE",
    "VariationalAutoencoder",
    "WassersteinAutoencoder",
]
