"""isthmus: learn a narrow code of any data without labels, then use it.

Everything heavy loads when it is first used; ``import isthmus`` itself stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from isthmus.artifact import Artifact
    from isthmus.data import open_dataset, read
    from isthmus.estimators import (
        AnomalyDetector,
        Autoencoder,
        Denoiser,
        DenoisingAutoencoder,
        IsthmusImputer,
        LinearAutoencoder,
        SparseAutoencoder,
        Swapper,
        Translator,
        VariationalAutoencoder,
    )
    from isthmus.tasks.config import Config
    from isthmus.tasks.fit import fit

    load = Artifact.load

_WHERE = {
    "AnomalyDetector": "isthmus.estimators",
    "Artifact": "isthmus.artifact",
    "Autoencoder": "isthmus.estimators",
    "Config": "isthmus.tasks.config",
    "Denoiser": "isthmus.estimators",
    "DenoisingAutoencoder": "isthmus.estimators",
    "IsthmusImputer": "isthmus.estimators",
    "LinearAutoencoder": "isthmus.estimators",
    "SparseAutoencoder": "isthmus.estimators",
    "Swapper": "isthmus.estimators",
    "Translator": "isthmus.estimators",
    "VariationalAutoencoder": "isthmus.estimators",
    "fit": "isthmus.tasks.fit",
    "open_dataset": "isthmus.data",
    "read": "isthmus.data",
}

__all__ = [
    "AnomalyDetector",
    "Artifact",
    "Autoencoder",
    "Config",
    "Denoiser",
    "DenoisingAutoencoder",
    "IsthmusImputer",
    "LinearAutoencoder",
    "SparseAutoencoder",
    "Swapper",
    "Translator",
    "VariationalAutoencoder",
    "__version__",
    "fit",
    "load",
    "open_dataset",
    "read",
]


def __getattr__(name: str) -> Any:
    if name == "load":
        return import_module("isthmus.artifact").Artifact.load
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'isthmus' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
