"""What is used of scikit-learn, which comes without type hints."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import utils  # pyright: ignore[reportMissingTypeStubs]
from sklearn.utils import validation  # pyright: ignore[reportMissingTypeStubs]

_UTILS: Any = utils
_VALIDATION: Any = validation
RandomState = int | np.random.RandomState | None


def draw_seed(random_state: RandomState) -> int:
    """Return an int as it is, else draw one from a generator, NumPy's own if None."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(_UTILS.check_random_state(random_state).randint(np.iinfo(np.int32).max))


def require_fitted(estimator: object, attribute: str = "artifact_") -> None:
    """Raise scikit-learn's NotFittedError if there is no model yet."""
    _VALIDATION.check_is_fitted(estimator, attribute)


def check_columns(estimator: object, X: Any, *, reset: bool, flat: bool) -> None:
    """Compare names and (of a table) number of the columns of `X` with those fitted on, or remember them."""
    _VALIDATION.validate_data(estimator, X, reset=reset, skip_check_array=True, ensure_2d=flat)
