"""scikit-learn's own checks of an estimator, all of them for every class."""

from __future__ import annotations

import os
import subprocess
import sys

import sklearn.utils.estimator_checks as checks

import isthmus
from isthmus.estimators import kin

# All but ConditionalVAE, which needs y wherever it gets rows.
KIN = [
    "BetaVAE",
    "FSQAutoencoder",
    "HypersphericalVAE",
    "ImportanceWeightedAutoencoder",
    "LadderVAE",
    "RegularisedAutoencoder",
    "TotalCorrelationVAE",
    "VQVAE",
    "VampVAE",
    "WassersteinAutoencoder",
]
ESTIMATORS = [
    isthmus.LinearAutoencoder(),
    isthmus.LinearAutoencoder(solver="gradient", steps=30),
    isthmus.Autoencoder(steps=30),
    isthmus.SparseAutoencoder(steps=30),
    isthmus.DenoisingAutoencoder(steps=30),
    isthmus.VariationalAutoencoder(steps=30),
    isthmus.IsthmusImputer(steps=5),
    isthmus.IsthmusImputer(steps=5, add_indicator=True, keep_empty_features=True),
    *(getattr(kin, name)(steps=20) for name in KIN),
]


@checks.parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_check(estimator, check):
    check(estimator)


ARRAY_API = """
import warnings
warnings.simplefilter("error")
import isthmus
from sklearn.utils.estimator_checks import check_array_api_input
for name in (*(f"{kind}Autoencoder" for kind in ("Linear", "", "Sparse", "Denoising", "Variational")), "IsthmusImputer"):
    check_array_api_input(name, getattr(isthmus, name)(steps=30), array_namespace="numpy", expect_only_array_outputs=False)
"""


def test_array_api_check_where_scipy_is_set_to_it():
    """scikit-learn skips this check unless the variable was set before SciPy's import: so in a process of its own."""
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", ARRAY_API], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
