"""Quantiles and scalings from blocks, in one pass."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import RobustScaler

from isthmus.data import Preprocessor, Schema, Source
from isthmus.data.sketch import Sketch, usual_size
from isthmus.errors import ConfigError, DataError

QUARTERS = (0.25, 0.5, 0.75)


def schema_of(array):
    return Schema.infer(Source("table" if array.ndim == 2 else "pictures", array))


def rank_errors(values, found, shares):
    """By which share of the rows the rank of each quantile is off, column by column."""
    ordered = np.sort(values, axis=0)
    ranks = np.stack([np.searchsorted(ordered[:, j], found[:, j]) for j in range(values.shape[1])], axis=1)
    return np.abs(ranks / len(values) - np.array(shares)[:, None])


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 60), st.integers(1, 4)), elements=st.floats(-1e6, 1e6)), st.integers(1, 20))
@settings(max_examples=100, deadline=None)
def test_few_rows_are_exact(rows, step):
    sketch = Sketch(rows.shape[1], 64)
    for start in range(0, len(rows), step):
        sketch.add(rows[start : start + step])
    assert sketch.error == 0
    np.testing.assert_array_equal(sketch.quantiles(QUARTERS), np.quantile(rows, QUARTERS, axis=0))


@pytest.mark.parametrize("order", ["random", "sorted", "falling", "waves"])
def test_ranks_are_within_the_error_told(order, rng):
    values = np.stack([rng.standard_normal(300_000), rng.pareto(1.1, 300_000)], axis=1).astype(np.float32)
    if order != "random":
        values.sort(axis=0)
    values = {"falling": values[::-1], "waves": values.reshape(300, 1000, 2).swapaxes(0, 1).reshape(-1, 2)}.get(order, values)
    sketch = Sketch(2, 256)
    for block in np.array_split(values, 37):
        sketch.add(block)
    shares = np.linspace(0.01, 0.99, 99)
    errors = rank_errors(values, sketch.quantiles(shares), shares)
    assert sketch.error < 2 / 256
    assert errors.max() < 4 * sketch.error
    # The bound would be worth little if it were far from what happens.
    assert errors.max() > 0.05 * sketch.error


def test_the_error_told_falls_as_the_docstring_says(rng):
    sketch = Sketch(1)
    seen = {}
    for count in (4095, 5000, 20_000, 3_000_000):
        sketch.add(rng.standard_normal((count - sketch.count, 1)).astype(np.float32))
        seen[count] = sketch.error
    assert seen[4095] == 0
    assert seen[5000] < 0.0025
    assert seen[20_000] < 0.0015
    assert seen[3_000_000] < 0.0004


def test_sketches_merge(rng):
    values = rng.standard_normal((200_000, 3))
    parts = [Sketch(3, 256) for _ in range(5)]
    for sketch, block in zip(parts, np.array_split(values, 5)):
        sketch.add(block)
    whole = parts[0]
    for sketch in parts[1:]:
        whole.merge(sketch)
    assert whole.count == 200_000
    assert rank_errors(values, whole.quantiles(QUARTERS), QUARTERS).max() < 4 * whole.error < 4 * 2 / 256


def test_its_memory_does_not_grow_with_the_rows(rng):
    sketch = Sketch(4, 128)
    sizes = []
    for _ in range(60):
        sketch.add(rng.standard_normal((10_000, 4)))
        sizes.append(sum(level.nbytes for level in sketch._levels))
    assert max(sizes) < 13 * 128 * 4 * 8


def test_wide_tables_get_smaller_levels():
    assert usual_size(1) == usual_size(50) == 4096
    assert usual_size(3072) == 256
    assert usual_size(10**6) == 128


@pytest.fixture
def cancer():
    return load_breast_cancer().data


def test_robust_is_scikit_learns(cancer):
    expected = RobustScaler().fit_transform(cancer)
    in_memory = Preprocessor.fit(cancer, schema_of(cancer), "robust")
    in_blocks = Preprocessor.fit_blocks(np.array_split(cancer, 7), schema_of(cancer), "robust")
    assert in_memory.scale == in_blocks.scale == "robust"
    assert in_memory.support == "real"
    for scaler in (in_memory, in_blocks):
        np.testing.assert_allclose(scaler.transform(cancer), expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(cancer)), cancer, rtol=1e-5, atol=1e-5)
    assert in_blocks.notes == in_memory.notes == ["scale robust: median taken off and divided by the interquartile range of each column"]


def test_robust_heeds_no_outliers(cancer):
    spoilt = cancer.copy()
    spoilt[:5] = 1e12
    for scale, change in (("robust", (0, 0.05)), ("standard", (0.5, np.inf))):
        clean, other = (Preprocessor.fit(array, schema_of(array), scale).transform(cancer[5:]) for array in (cancer[5:], spoilt))
        assert change[0] <= np.abs(clean - other).mean() < change[1]


def test_robust_of_many_rows_says_how_exact_it_is(rng):
    values = rng.standard_normal((40_000, 2)).astype(np.float32)
    scaler = Preprocessor.fit_blocks(np.array_split(values, 9), schema_of(values), "robust")
    exact = Preprocessor.fit(values, schema_of(values), "robust")
    assert any("the quartiles are estimates" in note for note in scaler.notes)
    np.testing.assert_allclose(scaler.transform(values), exact.transform(values), atol=0.02)
    assert not any("estimates" in note for note in exact.notes)


def test_columns_of_mostly_one_value_are_divided_by_their_deviation(rng):
    rare = np.where(rng.random(1000) < 0.1, 500.0, 0.0)
    array = np.stack([rng.standard_normal(1000), rare, np.full(1000, 3.0)], axis=1)
    scaler = Preprocessor.fit(array, schema_of(array), "robust")
    scaled = scaler.transform(array)
    assert scaled[:, 1].std() == pytest.approx(1, rel=1e-5)
    assert np.all(scaled[:, 2] == 0)
    assert any("their quartiles are equal: 1" in note for note in scaler.notes)
    assert any("1 constant columns are only centred: 2" in note for note in scaler.notes)


def test_robust_pictures_share_one_scale(rng):
    pictures = rng.integers(0, 200, (50, 4, 4, 1), dtype=np.uint8)
    in_memory = Preprocessor.fit(pictures, schema_of(pictures), "robust")
    in_blocks = Preprocessor.fit_blocks([pictures[:20], pictures[20:]], schema_of(pictures), "robust")
    expected = (pictures - np.median(pictures)) / np.subtract(*np.quantile(pictures, [0.75, 0.25]))
    for scaler in (in_memory, in_blocks):
        np.testing.assert_allclose(scaler.transform(pictures), expected, rtol=1e-6, atol=1e-6)


def test_a_robust_scaling_is_kept(cancer):
    scaler = Preprocessor.fit(cancer, schema_of(cancer), "robust")
    entry, arrays = scaler.state()
    again = Preprocessor.from_state(entry, arrays)
    assert again.scale == "robust"
    np.testing.assert_array_equal(again.transform(cancer), scaler.transform(cancer))


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int16, np.uint8]),
        st.tuples(st.integers(2, 50), st.integers(1, 4)),
        elements=st.integers(0, 200),
    ),
    st.sampled_from(["auto", "standard", "robust", "unit", "none"]),
    st.integers(1, 60),
)
@settings(max_examples=200, deadline=None)
def test_blocks_give_what_the_whole_gives(array, scale, step):
    blocks = [array[start : start + step] for start in range(0, len(array), step)]
    try:
        whole = Preprocessor.fit(array, schema_of(array), scale)
    except DataError as error:
        with pytest.raises(DataError, match=str(error)[:20]):
            Preprocessor.fit_blocks(blocks, schema_of(array), scale)
        return
    parts = Preprocessor.fit_blocks(iter(blocks), schema_of(array), scale)
    assert (parts.scale, parts.support, parts.notes) == (whole.scale, whole.support, whole.notes)
    for name, values in whole.state()[1].items():
        np.testing.assert_allclose(parts.state()[1][name], values, rtol=1e-12, atol=1e-12)


def test_blocks_that_do_not_fit_are_refused(cancer):
    schema = schema_of(cancer)
    with pytest.raises(DataError, match="rows of shape"):
        Preprocessor.fit_blocks([cancer, cancer[:, :5]], schema)
    with pytest.raises(DataError, match="no rows"):
        Preprocessor.fit_blocks([], schema)
    with pytest.raises(DataError, match="no rows"):
        Preprocessor.fit_blocks([], schema, "robust")
    with pytest.raises(ConfigError, match="scale must be one of"):
        Preprocessor.fit_blocks([cancer], schema, "logarithmic")


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, np.int64, np.float64])
@pytest.mark.parametrize("scale", ["standard", "robust", "unit"])
@pytest.mark.parametrize("centre", [0.0, 3.0, 1e7])
def test_scaling_in_single_precision_is_as_good_as_in_double(dtype, scale, centre, rng):
    values = rng.normal(centre, 50, (5000, 7)).clip(0, 2e8 if np.dtype(dtype).itemsize > 2 else 250).astype(dtype)
    if np.ptp(values) == 0:
        pytest.skip("the dtype does not hold these")
    scaler = Preprocessor.fit(values, schema_of(values), scale)
    arrays = scaler.state()[1]
    exact = (values.astype(np.longdouble) - arrays["offset"]) / arrays["divisor"]
    scaled = scaler.transform(values)
    error = np.abs(scaled - exact)
    assert np.all(error <= 2.0**-22 * (np.abs(exact) + np.abs(arrays["offset"] * 2.0**-24 / arrays["divisor"])) + 1e-12)
    np.testing.assert_array_equal(scaler.transform(np.asfortranarray(values)), scaled)
    np.testing.assert_array_equal(scaler.transform(values[::-1])[::-1], scaled)
    out = np.full(values.shape, np.nan, np.float32)
    assert scaler.transform(values, out) is out
    np.testing.assert_array_equal(out, scaled)


def test_numbers_near_the_end_of_the_range_are_still_scaled():
    values = np.array([[-3e38, 1e-38], [0.0, 2e-38], [3e38, 4e-38]], np.float32)
    scaler = Preprocessor.fit(values, schema_of(values), "standard")
    expected = (values.astype(np.float64) - values.mean(0, dtype=np.float64)) / values.std(0, dtype=np.float64)
    np.testing.assert_allclose(scaler.transform(values), expected, rtol=1e-5, atol=1e-6)
