"""Measures of disentanglement on codes whose answer is known, and the sprites."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.data import sprites
from isthmus.errors import ConfigError, DataError
from isthmus.tasks import disentanglement as measures


@pytest.fixture(scope="module")
def factors() -> np.ndarray:
    return sprites.draw_factors(3000, seed=0)[:, [0, 3, 4]]


def make(mixing: np.ndarray):
    """Codes that are a linear function of the factors, and the same of rows that share one."""

    def codes(positions: np.ndarray, seed: int = 0) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(size=positions.shape)
        return (positions / positions.max(0).clip(1)) @ mixing + 0.01 * noise

    def fixed(factor: int, seed: int) -> np.ndarray:
        drawn = sprites.draw_factors(64, seed)[:, [0, 3, 4]]
        drawn[:, factor] = drawn[0, factor]
        return codes(drawn, seed)

    return codes, fixed


def test_one_unit_a_factor_is_perfect(factors) -> None:
    codes, fixed = make(np.eye(3))
    found = measures.disentanglement(codes(factors), factors, fixed)
    assert found.factor_vae == 1
    assert min(found.mig, found.disentanglement, found.completeness) > 0.9
    assert found.informativeness > 0.95


def test_mixed_units_are_not(factors) -> None:
    turned = np.array([[1, 1, 1], [1, -1, 1], [1, 1, -1]]) / np.sqrt(3)
    codes, fixed = make(turned)
    found = measures.disentanglement(codes(factors), factors, fixed)
    assert found.mig < 0.2
    assert found.disentanglement < 0.5
    assert found.factor_vae < 0.95


def test_mutual_information_of_a_copy_is_the_entropy(factors) -> None:
    found = measures.mutual_information(factors.astype(float), factors)
    assert found[0, 0] == pytest.approx(np.log(3), abs=0.01)
    assert found[0, 1] < 0.02
    assert measures.mig(found, factors) == pytest.approx(1, abs=0.05)


def test_a_matrix_of_importance() -> None:
    assert measures._dci(np.eye(3)) == pytest.approx((1, 1))
    assert measures._dci(np.ones((3, 3))) == pytest.approx((0, 0))
    # Two units for one factor: each serves one factor, but the factor is not complete in one unit.
    disentangled, complete = measures._dci(np.array([[1.0, 0], [1.0, 0], [0, 2.0]]))
    assert disentangled == pytest.approx(1)
    assert complete < 0.9


def test_too_few_or_unequal_rows(factors) -> None:
    with pytest.raises(DataError, match="as many rows"):
        measures.disentanglement(np.zeros((5, 2)), factors, lambda k, s: np.zeros((2, 2)))
    with pytest.raises(DataError, match="too few"):
        measures.disentanglement(np.zeros((5, 2)), factors[:5], lambda k, s: np.zeros((2, 2)))


def test_sprites_show_their_factors() -> None:
    source, factors = sprites.sprites(200, seed=3)
    assert source.array.shape == (200, 32, 32, 1)
    assert source.array.dtype == np.uint8
    assert (source.array.reshape(200, -1).max(1) == 255).all()
    np.testing.assert_array_equal(source.array, sprites.render(factors))
    assert source.array[:, 0].max() == source.array[:, :, 0].max() == 0, "none is cut off at the edge"
    weight = source.array[..., 0] / source.array.sum((1, 2, 3), keepdims=False)[:, None, None]
    centre = (weight * np.linspace(-1, 1, 32)).sum((1, 2))
    assert np.corrcoef(centre, factors[:, 3])[0, 1] > 0.97
    area = (source.array > 127).sum((1, 2, 3))
    assert area[factors[:, 1] == 5].mean() > 2 * area[factors[:, 1] == 0].mean()


def test_every_factor_changes_the_picture_and_all_differ() -> None:
    base = np.array([[1, 3, 4, 8, 8]])
    for number, factor in enumerate(sprites.FACTORS):
        many = np.repeat(base, len(factor.values), axis=0)
        many[:, number] = np.arange(len(factor.values))
        pictures = sprites.render(many).reshape(len(many), -1)
        assert len(np.unique(pictures, axis=0)) == len(factor.values)
    assert sprites.COUNT == 3 * 6 * 12 * 16 * 16


def test_fixed_factors_and_no_sprites() -> None:
    assert set(sprites.draw_factors(50, fixed={2: 7})[:, 2]) == {7}
    with pytest.raises(ConfigError, match="at least 1"):
        sprites.draw_factors(0)
