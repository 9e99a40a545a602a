"""The space of codes: what a dimension does, directions, groups, neighbours, uncertainty, paths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks import codes as coding
from isthmus.tasks import space
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.tasks.geodesic import energy, geodesic
from isthmus.tasks.sample import interpolate, path


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    from sklearn.datasets import load_digits

    return load_digits().target


@pytest.fixture(scope="module")
def source(digits) -> Source:
    return Source("pictures", digits, name="digits")


@pytest.fixture(scope="module")
def vae(source) -> Artifact:
    return fit(source, Config(family="variational", latent=6, steps=900, seed=0))


def test_units_are_ranked_by_kl_and_moved_alone(vae, source) -> None:
    found = space.traverse(vae, source, row=3, steps=5, top=4)
    assert found.measure == "KL (nats)"
    assert found.rows.shape == (4, 5, 8, 8, 1)
    assert (np.diff(found.importance) <= 0).all()
    moved = np.abs(found.rows - found.rows[:, 2:3]).mean((1, 2, 3, 4))
    assert moved[0] > 0.02
    codes = coding.encode(vae, source).astype(np.float64)
    unit = found.dimensions[0]
    expected = codes[3].copy()
    expected[unit] = codes[:, unit].mean() + 3 * codes[:, unit].std()
    np.testing.assert_allclose(found.rows[0, -1], coding.decode(vae, expected[None])[0], atol=1e-5)


def test_a_deterministic_code_is_ranked_by_variance(source) -> None:
    plain = fit(source, Config(latent=4, steps=100, seed=0))
    found = space.traverse(plain, source, steps=3)
    assert found.measure == "variance"
    np.testing.assert_allclose(np.sort(found.importance), np.sort(coding.encode(plain, source).astype(np.float64).var(0)))


@pytest.mark.parametrize(("more", "error"), [({"steps": 1}, ConfigError), ({"top": 0}, ConfigError), ({"row": 5000}, DataError)])
def test_senseless_traversals_are_refused(vae, source, more, error) -> None:
    with pytest.raises(error):
        space.traverse(vae, source, **more)


def test_an_attribute_is_added_and_taken_away(vae, source, labels) -> None:
    some = np.flatnonzero((labels == 0) | (labels == 1))
    codes = coding.encode(vae, source.take(some))
    vector = space.attribute_vector(codes, labels[some] == 0)
    ones = source.take(np.flatnonzero(labels == 1)[:40])
    edited = space.edit(vae, ones, vector, [0.0, 1.0])
    assert edited.shape == (40, 2, 8, 8, 1)
    np.testing.assert_allclose(edited[:, 0], coding.reconstruct(vae, ones), atol=1e-4)
    zero, one = (source.array[labels == k].mean(0) for k in (0, 1))
    nearer = np.square(edited[:, 1] - zero).sum((1, 2, 3)) < np.square(edited[:, 1] - one).sum((1, 2, 3))
    assert nearer.mean() > 0.8


def test_a_direction_may_leave_others_alone() -> None:
    random = np.random.default_rng(0)
    has, other = random.random(500) < 0.5, random.random(500) < 0.5
    other = np.where(random.random(500) < 0.6, has, other)  # the attributes come together more often than not
    codes = np.stack([2.0 * has, 3.0 * other, np.zeros(500)], axis=1) + 0.1 * random.normal(size=(500, 3))
    entangled = space.attribute_vector(codes, has)
    alone = space.attribute_vector(codes, has, {"other": other})
    along = space.attribute_vector(codes, other)
    assert abs(entangled @ along) > 1
    assert alone @ along == pytest.approx(0, abs=1e-9)
    assert alone[0] > 0.5


@pytest.mark.parametrize(
    ("values", "against", "told"),
    [
        ([0, 1], None, "y: 2 labels for 4 rows"),
        ([0, 1, 2, 1], None, "y must hold two different values"),
        ([0, 1, 0, 1], {"hat": np.array([0, 1, 1])}, "hat: 3 labels for 4 rows"),
        ([0, 1, 0, 1], {"hat": np.array([0, 1, 0, 1])}, "lies wholly along hat"),
    ],
)
def test_wrong_attributes_are_refused(values, against, told) -> None:
    with pytest.raises(DataError, match=told):
        space.attribute_vector(np.arange(8.0).reshape(4, 2), np.array(values), against)


def test_a_vector_of_another_width_is_refused(vae, source) -> None:
    with pytest.raises(DataError, match="a code has 6 units"):
        space.edit(vae, source.take([0]), np.zeros(5))


def test_arithmetic_of_codes(vae, source) -> None:
    codes = coding.encode(vae, source.take([1, 2, 5])).astype(np.float64)
    expected = coding.decode(vae, (codes[0] + codes[2] - codes[1])[None])
    np.testing.assert_allclose(space.arithmetic(vae, source, [1, 5], [2]), expected, atol=1e-5)
    with pytest.raises(DataError, match="there is no row 9999"):
        space.arithmetic(vae, source, [9999])
    with pytest.raises(DataError, match="no row was given to add"):
        space.arithmetic(vae, source, [], [1])


def test_groups_of_codes_are_classes_more_often_than_not(vae, source, labels) -> None:
    found = space.cluster(vae, source, 15)
    assert found.centres.shape == (15, 8, 8, 1)
    np.testing.assert_array_equal(found.labels, found.probabilities.argmax(1))
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    purity = sum(np.bincount(labels[found.labels == k]).max() for k in np.unique(found.labels)) / len(labels)
    assert purity > 0.55
    # In six dimensions the squared distance from one's own centre has a mean of about six.
    assert 3 < np.square(found.distances).mean() < 9
    assert 1 <= len(np.unique(space.cluster(vae, source).labels)) <= 100


def test_noise_is_uncertain(vae, source) -> None:
    noise = Source("pictures", np.random.default_rng(0).random((50, 8, 8, 1)).astype(np.float32))
    real, strange = space.uncertainty(vae, source), space.uncertainty(vae, noise)
    assert (real.spread > 0).all()
    assert np.median(strange.spread) > np.median(real.spread)
    assert 1 < np.median(real.distance) < 4
    plain = fit(source, Config(latent=4, steps=60, seed=0))
    assert not space.uncertainty(plain, noise).spread.any()
    with pytest.raises(ConfigError, match="draws must be at least 2"):
        space.uncertainty(vae, noise, draws=1)


def test_neighbours_share_the_class(vae, source, labels) -> None:
    found, distances = space.neighbours(vae, source.take(range(100)), source, 4)
    assert found[:, 0].tolist() == list(range(100))
    assert (np.diff(distances, axis=1) >= 0).all()
    assert (labels[found[:, 1:]] == labels[:100, None]).mean() > 0.6
    with pytest.raises(ConfigError, match="count must lie between 1 and"):
        space.neighbours(vae, source, source.take([0]), 2)


def test_a_path_along_the_decoder_is_shorter_in_the_data(vae, source) -> None:
    codes = coding.encode(vae, source.take(range(12)))
    found = geodesic(vae.model, codes[:6], codes[6:], 8)
    straight = np.stack([path(a, b, 8) for a, b in zip(codes[:6], codes[6:])])
    np.testing.assert_allclose(found[:, [0, -1]], straight[:, [0, -1]], atol=1e-6)
    with torch.no_grad():
        bent, direct = (energy(vae.model, torch.from_numpy(p).float()).numpy() for p in (found, straight))
    assert (bent <= direct * (1 + 1e-6)).all()
    assert bent.mean() < 0.98 * direct.mean()
    steps = interpolate(vae, source, [(0, 6)], 8, along="decoder")[0]
    length = np.sqrt(np.square(np.diff(steps, axis=0)).sum((1, 2, 3)))
    assert length.max() < 2.5 * length.min()
    np.testing.assert_allclose(geodesic(vae.model, codes[:1], codes[1:2], 2)[0], codes[:2], atol=1e-6)


def test_the_ways_of_a_path(vae, source) -> None:
    np.testing.assert_array_equal(interpolate(vae, source, [(0, 1)], spherical=True), interpolate(vae, source, [(0, 1)], along="sphere"))
    with pytest.raises(ConfigError, match="along must be one of"):
        interpolate(vae, source, [(0, 1)], along="curve")


def test_constants_made_without_gradients_do_for_a_pass_with_them(source, tmp_path) -> None:
    """A loaded model scores first, which keeps nothing for gradients, and is asked for gradients then."""
    for family, options in (("fsq", {}), ("vae", {"posterior": "iaf"})):
        fit(source, Config(family=family, latent=4, steps=10, seed=0, **options)).save(tmp_path / family)
        again = Artifact.load(tmp_path / family)
        coding.score(again, source.take(range(20)))
        assert space.traverse(again, source.take(range(20)), steps=2, top=1).rows.shape == (1, 2, 8, 8, 1)
        assert again.model.encode(again.prepare(source.take(range(2)))).mean.requires_grad
