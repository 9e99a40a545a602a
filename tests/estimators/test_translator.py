"""The translator as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from isthmus.artifact.translation import Translation
from isthmus.errors import ConfigError, DataError
from isthmus.estimators import Translator

QUICK = {"steps": 3, "widths": (4,), "device": "cpu"}


def pictures(n: int = 24, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 12, 14, channels)).astype(np.uint8)


def test_colours_in_and_out(tmp_path):
    model = Translator("grey", **QUICK).fit(pictures())
    found = model.transform(pictures(2, 1)[..., 0])
    assert found.shape == (2, 12, 14, 3)
    np.testing.assert_array_equal(model.predict(pictures(2, 1)), found)
    assert model.sample(pictures(2, 1), 3).shape == (2, 3, 12, 14, 3)
    assert 5 < model.score(pictures(4, 1), pictures(4)) < 40
    assert Translation.load(model.save(tmp_path / "model")).way == "grey"


def test_holes_are_told_by_masks():
    model, masks = Translator("masked", **QUICK).fit(pictures()), np.zeros((3, 12, 14), bool)
    masks[:, 2:5, 2:9] = True
    found = model.transform(pictures(3), masks)
    np.testing.assert_array_equal(found[~masks], pictures(3)[~masks])


def test_series_of_several_values_are_rows_when_asked():
    x = np.random.default_rng(0).normal(size=(300, 5, 2))
    model = Translator(kind="rows", answers=2, steps=300, widths=(32,), device="cpu").fit(x, x[:, ::-1])
    assert model.predict(x[:3]).shape == (3, 5, 2)
    assert model.sample(x[:3], 4).shape == (3, 4, 5, 2)
    assert model.score(x, x[:, ::-1]) > 0.5


def test_same_seed_same_result_and_parameters_are_kept():
    first, second = (Translator("half", random_state=seed, **QUICK).fit(pictures()).transform(pictures(2)) for seed in (1, 1))
    np.testing.assert_array_equal(first, second)
    assert clone(Translator("grey", vivid=0.7)).get_params()["vivid"] == 0.7


def test_refuses():
    with pytest.raises(NotFittedError):
        Translator().transform(pictures())
    with pytest.raises(ConfigError, match="way must be one of"):
        Translator("fog").fit(pictures())
    with pytest.raises(ConfigError, match="needs targets"):
        Translator().fit(pictures())
    with pytest.raises(ConfigError, match="rows are learned from pairs"):
        Translator("grey").fit(np.zeros((5, 3)), np.zeros((5, 3)))
    with pytest.raises(DataError, match="4 pictures, but 3 targets"):
        Translator(**QUICK).fit(pictures(4), pictures(3))
    with pytest.raises(ConfigError, match="knows one answer"):
        Translator("half", **QUICK).fit(pictures()).sample(pictures(1))
