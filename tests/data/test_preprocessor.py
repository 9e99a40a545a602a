"""Scaling and its inverse."""

import json

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from isthmus.data import Preprocessor, Schema, Source, from_any
from isthmus.data.moments import summarise
from isthmus.errors import ConfigError, DataError
from isthmus.fields import Field


def fit(array, scale="auto", columns=()):
    array = np.asarray(array)
    kind = "table" if array.ndim == 2 else "pictures"
    return Preprocessor.fit(array, Schema.infer(Source(kind, array, tuple(columns))), scale)


@pytest.fixture
def cancer():
    return load_breast_cancer().data


def test_standard_is_scikit_learns(cancer):
    scaler = fit(cancer)
    assert (scaler.scale, scaler.support) == ("standard", "real")
    expected = StandardScaler().fit_transform(cancer)
    np.testing.assert_allclose(scaler.transform(cancer), expected, rtol=1e-6, atol=1e-6)


def test_unit_is_scikit_learns(cancer):
    scaler = fit(cancer, "unit")
    assert (scaler.scale, scaler.support) == ("unit", "unit")
    scaled = scaler.transform(cancer)
    np.testing.assert_allclose(scaled, MinMaxScaler().fit_transform(cancer), atol=1e-6)
    assert scaled.min() == 0
    assert scaled.max() == 1


def test_fields_say_what_a_row_is(cancer, rng):
    assert fit(cancer).fields() == (Field("columns", "numbers", (30,), "real"),)
    pictures = rng.integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    assert fit(pictures).fields() == (Field("pictures", "picture", (5, 6, 3), "unit"),)


@pytest.mark.parametrize(
    ("array", "scale", "support", "top"),
    [
        (np.eye(4), "unit", "binary", 1),
        (np.eye(4, dtype=np.int64), "unit", "binary", 1),
        (np.eye(4) > 0, "unit", "binary", 1),
        (np.eye(4, dtype=np.uint8) * 255, "unit", "binary", 1),
        ((np.eye(4, dtype=np.uint8) * 255).reshape(4, 2, 2, 1), "unit", "binary", 1),
        (np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1), "unit", "unit", 11 / 255),
        (np.arange(12, dtype=np.uint16).reshape(3, 2, 2, 1), "unit", "unit", 11 / 65535),
        (np.linspace(0, 255, 12).astype(np.uint8).reshape(4, 3), "unit", "unit", 1),
        (np.linspace(0.25, 0.75, 12).reshape(4, 3), "unit", "unit", 0.75),
        (np.linspace(0.25, 0.75, 12).reshape(3, 2, 2, 1), "unit", "unit", 0.75),
        (np.linspace(-4, 16, 12).reshape(3, 2, 2, 1), "unit", "unit", 1),
        (np.arange(12).reshape(3, 2, 2, 1), "unit", "unit", 1),
        (np.arange(12).reshape(4, 3), "standard", "real", 9 / np.sqrt(45)),
        (np.arange(12, dtype=np.uint8).reshape(4, 3), "standard", "real", 9 / np.sqrt(45)),
        (np.linspace(-1, 1, 12).reshape(4, 3), "standard", "real", 9 / np.sqrt(45)),
    ],
)
def test_auto(array, scale, support, top):
    scaler = fit(array)
    assert (scaler.scale, scaler.support) == (scale, support)
    assert scaler.transform(array).max() == pytest.approx(top, rel=1e-6)
    assert len(scaler.notes) == 1
    back = scaler.inverse_transform(scaler.transform(array))
    np.testing.assert_allclose(back, array, atol=1e-5)


def test_pictures_share_one_scale(rng):
    pictures = rng.normal(5, 3, (50, 6, 4, 3)).astype(np.float32)
    scaled = fit(pictures, "standard").transform(pictures)
    assert scaled.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert scaled.std(dtype=np.float64) == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(scaled, (pictures - pictures.mean()) / pictures.std(), atol=1e-4)


def test_none_keeps_the_values(cancer):
    scaler = fit(cancer, "none")
    assert (scaler.scale, scaler.support) == ("none", "real")
    np.testing.assert_array_equal(scaler.transform(cancer), cancer.astype(np.float32))
    assert fit(np.eye(3), "none").support == "binary"
    assert fit(np.eye(3) / 2, "none").support == "unit"


def test_large_values_that_differ_little(rng):
    small = rng.normal(size=(5000, 3))
    scaled = fit(1e9 + small).transform(1e9 + small)
    np.testing.assert_allclose(scaled, (small - small.mean(0)) / small.std(0), atol=1e-5)


def test_moments_do_not_depend_on_the_blocks(rng):
    # Far more than one block, with a drift that a single-pass sum of squares would lose.
    array = rng.normal(size=(300_000, 3)) + 1e8 + np.linspace(0, 1, 300_000)[:, None]
    found = summarise(array, per_column=True, moments=True)
    exact = array.astype(np.longdouble)
    np.testing.assert_allclose(found.mean, exact.mean(0).astype(float), rtol=1e-15)
    np.testing.assert_allclose(found.deviation, exact.std(0).astype(float), rtol=1e-12)
    np.testing.assert_array_equal(found.low, array.min(0))


def test_constant_columns(rng):
    array = rng.normal(size=(50, 8))
    array[:, 1:7] = 3.5
    array[::2, 1] *= 1 + 1e-15
    for scale in ("standard", "unit"):
        scaler = fit(array, scale, columns="abcdefgh")
        assert any("6 constant columns are only centred: 'b', 'c', 'd', 'e', 'f' and 1 more" in note for note in scaler.notes)
        scaled = scaler.transform(array)
        np.testing.assert_allclose(scaled[:, 1:7], 0, atol=1e-12)
        np.testing.assert_allclose(scaler.inverse_transform(scaled), array, atol=1e-6)
    assert any("constant columns are only centred: 1, 2," in note for note in fit(array, "standard").notes)


@pytest.mark.parametrize(
    "array", [np.full((5, 3), 7.5), np.full((5, 3), 200, np.uint8), np.zeros((5, 4, 4, 1)), np.tile([1.0, 5.0], (4, 1))]
)
@pytest.mark.parametrize("scale", ["auto", "standard", "unit", "none"])
def test_all_constant_is_refused(array, scale):
    with pytest.raises(DataError, match="constant in all"):
        fit(array, scale)


def test_one_row(cancer):
    with pytest.raises(DataError, match=r"1 sample.*at least 2 rows"):
        fit(cancer[:1])
    assert fit(cancer[:1], "none").transform(cancer[:1]).shape == (1, 30)
    assert fit(np.full((1, 2, 2, 1), 8, np.uint8)).scale == "unit"


def test_unknown_scale(cancer):
    with pytest.raises(ConfigError, match=r"scale must be one of .*'standard'"):
        fit(cancer, "logarithmic")


def test_numbers_too_large():
    with pytest.raises(DataError, match="cannot be scaled"):
        fit(np.array([[1e300], [-1e300], [3.0]]))
    with pytest.raises(DataError, match="32-bit"):
        fit(np.array([[1e39], [0.0]]), "none")
    scaler = fit(np.array([[1.0], [2.0]]), "standard")
    with pytest.raises(DataError, match="32-bit"):
        scaler.transform(np.array([[1e60]]))


@pytest.mark.parametrize("layout", ["C", "F", "strided", "read-only"])
def test_transform_leaves_its_input_alone(layout, rng):
    array = np.asarray(rng.normal(size=(300, 8)), order="F" if layout == "F" else "C")
    array = array[::2, 1:] if layout == "strided" else array
    array.flags.writeable = False
    before = array.copy()
    for scale in ("standard", "unit", "none"):
        scaler = fit(array, scale)
        scaled = scaler.transform(array)
        scaler.inverse_transform(scaled)
        assert scaled.dtype == np.float32
        assert scaled.flags.c_contiguous
        assert scaled.flags.writeable
        assert not np.shares_memory(scaled, array)
    np.testing.assert_array_equal(array, before)


def test_channels_that_were_moved(rng):
    source = from_any(rng.integers(0, 256, (5, 3, 8, 6), dtype=np.uint8))
    scaler = Preprocessor.fit(source.array, Schema.infer(source))
    scaled = scaler.transform(source.array)
    assert scaled.flags.c_contiguous
    np.testing.assert_array_equal(scaler.inverse_transform(scaled), source.array)


@pytest.mark.parametrize("shape", [(7,), (2, 5, 7), (0, 7), (2, 0, 7)])
def test_inverse_takes_any_leading_axes(shape, rng):
    array = rng.normal(size=(20, 7)) * 100
    scaler = fit(array)
    scaled = rng.normal(size=shape).astype(np.float32)
    back = scaler.inverse_transform(scaled)
    assert back.shape == shape
    np.testing.assert_allclose(back, scaled * array.std(0) + array.mean(0), rtol=1e-5, atol=1e-5)


def test_inverse_of_pictures_with_leading_axes(rng):
    pictures = rng.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    scaler = fit(pictures)
    back = scaler.inverse_transform(scaler.transform(pictures).reshape(2, 3, 4, 5, 3))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, pictures.reshape(2, 3, 4, 5, 3))


def test_inverse_rounds_and_clips_integers():
    scaler = fit(np.array([[0], [200]], np.uint8), "standard")
    assert scaler.inverse_transform(np.array([[-9.0], [0.004], [0.006], [9.0]])).tolist() == [[0], [100], [101], [255]]
    for dtype in ("int8", "int64", "uint64", "int32"):
        info = np.iinfo(dtype)
        wide = fit(np.array([[0], [100]], dtype), "standard")
        low, high = wide.inverse_transform(np.array([[-1e30], [1e30]])).ravel().tolist()
        assert low == info.min
        assert high == pytest.approx(info.max, rel=1e-15)
        assert high <= info.max


def test_inverse_of_booleans():
    scaler = fit(np.eye(3) > 0)
    back = scaler.inverse_transform(np.array([[0.2, 0.8, 1.7]]))
    assert back.dtype == np.uint8
    assert back.tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
def test_inverse_of_floats_keeps_their_dtype(dtype, cancer):
    scaler = fit(cancer.astype(dtype))
    back = scaler.inverse_transform(scaler.transform(cancer))
    assert back.dtype.name == np.dtype(dtype).name
    np.testing.assert_allclose(back, cancer, rtol=1e-4, atol=1e-4)


def test_other_shapes_are_refused(cancer):
    scaler = fit(cancer)
    for array in (cancer[:, :29], cancer[0], cancer[None]):
        with pytest.raises(DataError, match="do not fit the rows fitted on"):
            scaler.transform(array)
    with pytest.raises(DataError, match="the last axes"):
        scaler.inverse_transform(cancer[:, :29])
    with pytest.raises(DataError, match="the last axes"):
        scaler.inverse_transform(np.array(1.0))
    with pytest.raises(DataError, match="do not fit"):
        Preprocessor.fit(cancer, Schema("table", (), (29,), "float64"))


def arrays(dtypes, shapes):
    return dtypes.flatmap(lambda dtype: shapes.flatmap(lambda shape: hnp.arrays(dtype, shape, elements=_elements(dtype))))


def _elements(dtype):
    if np.dtype(dtype).kind == "f":
        return st.floats(-1e6, 1e6, width=32)
    return None if np.dtype(dtype).itemsize < 4 else st.integers(0 if dtype[0] == "u" else -(10**6), 10**6)


TABLES = st.tuples(st.integers(2, 6), st.integers(1, 4))
PICTURES = st.tuples(st.integers(2, 4), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 3]))
DTYPES = st.sampled_from(["float32", "float64", "uint8", "uint16", "int8", "int32", "int64", "bool"])


def fit_if_not_constant(array, scale):
    try:
        return fit(array, scale)
    except DataError as error:
        if "constant" not in str(error):
            raise
        reject()


@given(arrays(DTYPES, TABLES | PICTURES), st.sampled_from(["auto", "standard", "unit", "none"]))
@settings(max_examples=300, deadline=None)
def test_the_inverse_undoes_the_scaling(array, scale):
    scaler = fit_if_not_constant(array, scale)
    scaled = scaler.transform(array)
    assert np.isfinite(scaled).all()
    if scaler.support != "real":
        assert scaled.min() >= 0
        assert scaled.max() <= 1
    if scaler.support == "binary":
        assert set(np.unique(scaled)) <= {0.0, 1.0}
    back = scaler.inverse_transform(scaled)
    spread = np.abs(array.astype(np.float64)).max() + np.ptp(array.astype(np.float64))
    np.testing.assert_allclose(back.astype(np.float64), array.astype(np.float64), atol=1e-6 * spread + 1e-30)


@given(arrays(DTYPES, TABLES | PICTURES), st.sampled_from(["auto", "standard", "unit", "none"]))
@settings(max_examples=50, deadline=None)
def test_the_state_brings_it_back(array, scale):
    scaler = fit_if_not_constant(array, scale)
    entry, numbers = scaler.state()
    again = Preprocessor.from_state(json.loads(json.dumps(entry)), numbers)
    np.testing.assert_array_equal(again.transform(array), scaler.transform(array))
    assert (again.fields(), again.scale, again.notes, again.schema) == (scaler.fields(), scaler.scale, scaler.notes, scaler.schema)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": "auto"},
        {"scale": None},
        {"support": "whole"},
        {"schema": None},
        {"schema": {"kind": "table"}},
        {"notes": "text"},
        {"notes": [1]},
        {"more": 1},
    ],
)
def test_broken_states_are_refused(change, cancer):
    entry, numbers = fit(cancer).state()
    with pytest.raises(ConfigError):
        Preprocessor.from_state({**entry, **change}, numbers)


@pytest.mark.parametrize(
    "change",
    [
        {"offset": np.zeros(29)},
        {"offset": np.zeros(1)},
        {"offset": np.full(30, np.nan)},
        {"offset": np.zeros(30, np.float32)},
        {"divisor": np.zeros(30)},
        {"divisor": -np.ones(30)},
        {"divisor": np.full(30, np.inf)},
        {"more": np.zeros(30)},
    ],
)
def test_broken_numbers_are_refused(change, cancer):
    entry, numbers = fit(cancer).state()
    with pytest.raises(ConfigError, match="preprocessor"):
        Preprocessor.from_state(entry, {**numbers, **change})
    with pytest.raises(ConfigError, match="preprocessor"):
        Preprocessor.from_state(entry, {"offset": numbers["offset"]})


def test_numbers_of_pictures_are_single():
    entry, numbers = fit(load_digits().images[..., None]).state()
    wide = {name: np.repeat(value, 64) for name, value in numbers.items()}
    with pytest.raises(ConfigError, match="preprocessor"):
        Preprocessor.from_state(entry, wide)


def test_the_state_is_a_copy(cancer):
    scaler = fit(cancer)
    before = scaler.transform(cancer)
    scaler.state()[1]["divisor"][:] = 5
    np.testing.assert_array_equal(scaler.transform(cancer), before)
