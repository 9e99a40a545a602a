"""What lower precision costs in quality: held-out error on real handwritten digits against float32, after the same steps."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.data import Source
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit

ERROR = "mean squared error (scaled units)"


def error(pictures: np.ndarray, precision: str, network: str, seed: int) -> float:
    family = "variational" if network == "mlp" else "undercomplete"
    source = Source("pictures", pictures) if network == "conv" else Source("table", pictures.reshape(len(pictures), -1))
    channels = (16, 32) if network == "conv" else None
    config = Config(family=family, latent=8, network=network, channels=channels, steps=300, batch=64, precision=precision, seed=seed)
    return fit(source, config).facts["figures"][ERROR]


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_bfloat16_costs_less_than_another_seed_does(digits: np.ndarray, network: str) -> None:
    exact = [error(digits, "fp32", network, seed) for seed in (0, 1)]
    low = [error(digits, "bf16", network, seed) for seed in (0, 1)]
    assert low != exact, "otherwise nothing ran in bfloat16"
    assert all(abs(a / b - 1) < 0.01 for a, b in zip(low, exact, strict=True)), (low, exact)


def test_tensorfloat_is_float32_where_the_processor_has_none(digits: np.ndarray) -> None:
    """bfloat16 products would show in the third digit."""
    assert error(digits, "tf32", "mlp", 0) == pytest.approx(error(digits, "fp32", "mlp", 0), rel=1e-3)
