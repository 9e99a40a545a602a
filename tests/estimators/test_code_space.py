"""What fitted estimators do with their codes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from isthmus import Autoencoder, LinearAutoencoder, VariationalAutoencoder
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.evaluate import Effort


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return load_digits().images[:500] / 16


@pytest.fixture(scope="module")
def vae(pictures):
    return VariationalAutoencoder(4, steps=300, random_state=0).fit(pictures)


@pytest.fixture(scope="module")
def plain(pictures):
    return Autoencoder(4, steps=300, random_state=0).fit(pictures)


def test_every_family_can_be_sampled(plain, vae, pictures) -> None:
    for model in (plain, vae):
        drawn = model.sample(20, random_state=0, mean=True)
        assert drawn.shape == (20, 8, 8)
        assert np.abs(drawn.mean() - pictures.mean()) < 0.1
    iris = load_iris().data
    linear = LinearAutoencoder(2).fit(iris)
    np.testing.assert_allclose(linear.sample(3000, random_state=0).mean(0), iris.mean(0), atol=0.15)
    with pytest.raises(ConfigError, match="has no prior"):
        plain.sample(2, density="prior")


def test_results_have_the_layout_of_the_data(vae, pictures) -> None:
    target = load_digits().target[:500]
    assert vae.interpolate(pictures[0], pictures[1], 5, along="decoder").shape == (5, 8, 8)
    assert vae.interpolate(pictures[:3], pictures[3:6], 5).shape == (3, 5, 8, 8)
    assert vae.traverse(pictures, steps=5, top=2).rows.shape == (2, 5, 8, 8)
    vector = vae.attribute_vector(pictures, target % 2, against={"low": target < 5})
    assert vae.edit(pictures[:3], vector).shape == (3, 8, 8)
    assert vae.edit(pictures[:3], vector, [0.0, 1.0]).shape == (3, 2, 8, 8)
    assert vae.arithmetic(pictures, [0, 2], [1]).shape == (1, 8, 8)
    assert vae.cluster(pictures, 4).centres.shape == (4, 8, 8)
    assert vae.neighbours(pictures[:2], pictures, 3)[0].tolist()[0][0] == 0
    assert vae.uncertainty(pictures).spread.shape == (500,)
    with pytest.raises(DataError, match="3 labels for 500 rows"):
        vae.attribute_vector(pictures, [0, 1, 0])


def test_evaluate(vae, plain, pictures) -> None:
    found = vae.evaluate(pictures[:60], Effort(draws=100, gap_rows=0))
    assert found.elbo < found.importance.mean + 0.1
    assert found.elbo == pytest.approx(vae.score(pictures[:60]), abs=1.5)
    with pytest.raises(ConfigError, match="fit the family 'variational'"):
        plain.evaluate(pictures)


def test_a_collapsed_posterior_is_told_with_its_remedy(pictures) -> None:
    model = VariationalAutoencoder(3, beta=1000.0, kl_warmup=0, steps=300, random_state=0).fit(pictures)
    found = model.evaluate(pictures[:100], Effort(draws=10, gap_rows=0))
    assert not found.codes.active.any()
    assert any("posterior collapse" in line and "free_bits" in line for line in found.warnings)
    healthy = VariationalAutoencoder(3, steps=300, beta=0.2, random_state=0).fit(pictures).evaluate(pictures[:100], Effort(gap_rows=0))
    assert not any("collapse" in line for line in healthy.warnings)


def test_units_of_the_figures(vae, pictures) -> None:
    found = vae.evaluate(pictures[:60], Effort(draws=20, gap_rows=0))
    nats = found.in_units()["negative ELBO"]
    assert nats["bits per dimension"] == pytest.approx(nats["nats"] / np.log(2) / 64)
    grey = VariationalAutoencoder(3, steps=30, random_state=0).fit((pictures * 255).astype(np.uint8))
    found = grey.evaluate((pictures[:60] * 255).astype(np.uint8), Effort(draws=20, gap_rows=0), treatment="dequantise")
    assert found.bits_per_dimension == pytest.approx((64 * np.log(256) - found.importance.mean) / 64 / np.log(2))
    assert any("8-bit" in line for line in found.conventions)
