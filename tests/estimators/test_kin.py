"""The estimators of the variational kin: fitted, used, copied, pickled, saved and opened."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris

from isthmus.errors import ConfigError, DataError
from isthmus.estimators import ConditionalVAE, VariationalAutoencoder, kin
from isthmus.estimators.base import BaseAutoencoder

X, Y = load_iris(return_X_y=True)
CLASSES = [
    item for item in vars(kin).values() if isinstance(item, type) and issubclass(item, BaseAutoencoder) and item.__module__ == kin.__name__
]
QUICK = {"steps": 20, "random_state": 0, "device": "cpu"}


def conditions(cls: type) -> tuple[Any, ...]:
    return (Y,) if cls is ConditionalVAE else ()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_fit_use_copy_and_keep(cls: Any, tmp_path: Path) -> None:
    known = conditions(cls)
    model = cls(2, **QUICK).fit(X, *known)
    codes = model.transform(X, *known)
    assert codes.shape == (150, model.latent_)
    assert model.reconstruct(X, *known).shape == X.shape
    scores = model.score_samples(X, *known)
    assert scores.shape == (150,)
    assert np.isfinite(scores).all()
    assert model.sample(4, random_state=1).shape == (4, 4)
    np.testing.assert_array_equal(model.sample(4, random_state=1), model.sample(4, random_state=1))
    for other in (clone(model).fit(X, *known), pickle.loads(pickle.dumps(model)), cls.load(model.save(tmp_path / "model"))):
        np.testing.assert_array_equal(other.transform(X, *known), codes)
        np.testing.assert_array_equal(other.score_samples(X, *known), scores)
        np.testing.assert_array_equal(other.sample(4, random_state=1), model.sample(4, random_state=1))
    assert model.choices_["family"].value == cls.family


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_training_goes_on_call_by_call(cls: Any) -> None:
    model = cls(2, **QUICK)
    for part in (slice(0, None, 2), slice(1, None, 2)):
        model.partial_fit(X[part], *(known[part] for known in conditions(cls)))
    assert model.n_iter_ > 1


def test_pictures_with_a_class() -> None:
    digits = load_digits()
    model = ConditionalVAE(3, network="conv", channels=(4,), **QUICK).fit(digits.images[:200], digits.target[:200])
    assert model.sample(3, y=[0, 1, 2], random_state=0).shape == (3, 8, 8)
    flat = ConditionalVAE(3, picture_shape=(8, 8, 1), **QUICK).fit(digits.data[:200], digits.target[:200])
    assert flat.reconstruct(digits.data[:5], digits.target[:5]).shape == (5, 64)


def test_codes_beside_a_condition_are_walked_through() -> None:
    model = ConditionalVAE(2, **QUICK).fit(X, Y)
    known = model.beside(X, Y)
    assert model.traverse(known, steps=3).rows.shape == (2, 3, 4), "the condition is no unit of the code"
    direction = model.attribute_vector(known, Y == 2)
    assert model.edit(model.beside(X[:4], Y[:4]), direction).shape == (4, 4)
    ends = model.beside(X[:2], Y[:2]), model.beside(X[-2:], Y[-2:])
    for along in ("line", "sphere", "decoder"):
        path = model.interpolate(*ends, steps=3, along=along)
        assert path.shape == (2, 3, 4)
        np.testing.assert_allclose(path[:, 0], model.reconstruct(X[:2], Y[:2]), rtol=1e-4, atol=1e-4)
    assert model.cluster(known, 2).labels.shape == (150,)
    assert np.isfinite(model.evaluate(known).elbo)


def test_what_is_wrong_with_conditions_is_told() -> None:
    with pytest.raises(DataError, match="needs the class of each row"):
        ConditionalVAE(2, **QUICK).fit(X)
    with pytest.raises(DataError, match="150 rows but 3 conditions"):
        ConditionalVAE(2, **QUICK).fit(X, Y[:3])
    model = ConditionalVAE(2, **QUICK).fit(X, Y)
    with pytest.raises(DataError, match="this model is conditional"):
        model.transform(X)
    with pytest.raises(DataError, match="the class '7'"):
        model.transform(X, np.full(150, 7))
    with pytest.raises(ConfigError, match="carries no density"):
        model.sample(2, density="ex_post")
    plain = VariationalAutoencoder(2, **QUICK).fit(X, Y)
    assert plain.transform(X).shape == (150, 2), "other estimators ignore y, as scikit-learn's pipelines need"
