"""Attributes of rows: which labels name them, their direction in the code, and what edits change."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks import codes as coding
from isthmus.tasks import space
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.tasks.pictures.attributes import as_attribute, read_attribute
from isthmus.tasks.pictures.editing import find_direction, make_edits, sharpness


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    from sklearn.datasets import load_digits

    target = load_digits().target
    return target[target < 2] == 1


@pytest.fixture(scope="module")
def source(digits) -> Source:
    from sklearn.datasets import load_digits

    return Source("pictures", np.rint(digits[load_digits().target < 2] * 255).astype(np.uint8), name="digits")


@pytest.fixture(scope="module")
def vae(source) -> Artifact:
    return fit(source, Config(family="variational", latent=6, steps=400, seed=0))


@pytest.mark.parametrize(
    ("values", "name", "value", "has"),
    [
        ([1, 0, 0, 1], "smile", None, [1, 0, 0, 1]),
        ([-1, 1, 1, -1], "smile", None, [0, 1, 1, 0]),
        ([False, True, True, False], "smile", None, [0, 1, 1, 0]),
        ([1.0, 0.0, np.nan, 1.0], "smile", None, [1, 0, 0, 1]),
        (["no", "yes", "", "yes"], "smile", None, [0, 1, 0, 1]),
        (["plain", "plain", "smile", "?"], "plain", None, [1, 1, 0, 0]),
        ([10, 9, 9, 10], "size", None, [1, 0, 0, 1]),
        ([3, 1, 2, 3], "class", "2", [0, 0, 1, 0]),
    ],
)
def test_labels_of_many_kinds_say_who_has_it(values, name, value, has) -> None:
    assert as_attribute(values, name, value).has.tolist() == [bool(entry) for entry in has]


@pytest.mark.parametrize(
    ("values", "value", "told"),
    [
        ([1, 1, 1], None, "all 3 labelled rows are '1'"),
        ([1, None, None], None, "all 1 labelled rows are '1'"),
        (["", "na", "?"], None, "no row has a label"),
        ([0, 1, 2], None, "3 different labels .* such as smile=2"),
        ([0, 1, 1], "5", "no row has the label '5'. It has: '0', '1'"),
    ],
)
def test_labels_that_leave_it_open_are_refused(values, value, told) -> None:
    with pytest.raises(DataError, match=told):
        as_attribute(values, "smile", value)


@pytest.fixture
def named(tmp_path) -> Source:
    ids = ("a/one.png", "a/two.png", "b/one.png", "b/three.png")
    return Source("pictures", np.zeros((4, 4, 4, 1), np.uint8), ids=ids, name="photos")


def test_folders_are_labels(named, tmp_path) -> None:
    found = read_attribute("b", named, tmp_path)
    assert found.has.tolist() == [False, False, True, True]
    assert "2 rows have it (by their folder), 2 do not" in found.told
    with pytest.raises(DataError, match=r"no folder is called 'smile'; its folders are 'a', 'b'"):
        read_attribute("smile", named, tmp_path)


def test_a_table_that_names_files_is_matched_by_name(named, tmp_path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("file,smile,mood\nthree.png,1,glad\nb/one.png,0,sad\ntwo.png,1,\nother.png,0,sad\n")
    found = read_attribute("smile", named, tmp_path, table)
    assert found.known.tolist() == [False, True, True, True]  # one.png is named within its folder, and there are two
    assert found.has.tolist() == [False, True, False, True]
    assert read_attribute("glad", named, tmp_path, table).known.tolist() == [False, False, True, True]
    assert read_attribute("mood=sad", named, tmp_path, table).has.tolist() == [False, False, True, False]


def test_without_names_the_order_counts_and_the_number_must_fit(named, tmp_path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("smile,hat\n1,0\n0,0\n1,1\n0,1\n")
    assert read_attribute("smile", named, tmp_path, table).has.tolist() == [True, False, True, False]
    with pytest.raises(DataError, match=r"no labels called 'smlie'. It has: 'smile', 'hat'"):
        read_attribute("smlie", named, tmp_path, table)
    table.write_text("smile,hat\n1,0\n0,0\n1,1\n")
    with pytest.raises(DataError, match=r"'smile' has 3 labels, but the data have 4 rows.*name each picture's file"):
        read_attribute("smile", named, tmp_path, table)


@pytest.mark.parametrize(("text", "has"), [("glad\nsad\nglad\nsad\n", [1, 0, 1, 0]), ("label\n1\n0\n1\n0\n", [1, 0, 1, 0])])
def test_one_column_has_a_heading_or_none(named, tmp_path, text, has) -> None:
    (tmp_path / "labels.txt").write_text(text)
    name = "glad" if "glad" in text else "label"
    assert read_attribute(name, named, tmp_path, tmp_path / "labels.txt").has.tolist() == [bool(entry) for entry in has]


def test_arrays_of_an_archive_are_labels(tmp_path) -> None:
    rows = Source("pictures", np.zeros((4, 4, 4, 1), np.uint8))
    np.savez(tmp_path / "faces.npz", x=rows.array, y=np.array([0, 1, 1, 0]), mood=np.array(["glad", "sad", "glad", "calm"]))
    assert read_attribute("y", rows, tmp_path / "faces.npz").has.tolist() == [False, True, True, False]
    assert read_attribute("calm", rows, tmp_path / "faces.npz").has.tolist() == [False, False, False, True]
    with pytest.raises(DataError, match=r"no labels called 'x'. It has: 'y', 'mood'"):
        read_attribute("x", rows, tmp_path / "faces.npz")


def test_a_direction_tells_rows_apart_that_it_was_not_found_on(vae, source, labels) -> None:
    found = find_direction(vae, source, as_attribute(labels, "one"))
    assert found.separation > 0.95
    assert not found.swapped
    chance = np.random.default_rng(0).permutation(labels)
    assert abs(find_direction(vae, source, as_attribute(chance, "chance")).separation - 0.5) < 0.1


def test_rows_without_a_label_are_left_aside(vae, source, labels) -> None:
    some = np.arange(len(labels)) % 3 > 0
    texts = np.where(some, np.where(labels, "1", "0"), "")
    found = find_direction(vae, source, as_attribute(texts, "one"))
    alone = space.attribute_vector(coding.encode(vae, source.take(some)), labels[some])
    np.testing.assert_allclose(found.vector, alone, atol=1e-5)
    other = as_attribute(np.where(labels, "", np.arange(len(labels)) % 2), "other")  # known only where nothing is a one
    with pytest.raises(DataError, match="all have it or none has"):
        find_direction(vae, source, as_attribute(labels, "one"), [other])


def test_the_condition_of_a_conditional_model_is_swapped(source, labels) -> None:
    given = Source("pictures", source.array, condition=labels.astype(int))
    model = fit(given, Config(family="conditional_vae", latent=4, steps=300, seed=0))
    found = find_direction(model, given, as_attribute(labels, "one"))
    assert found.swapped
    assert found.vector.tolist() == [0, 0, 0, 0, -1, 1]
    zeros = given.take(~labels)
    edited = space.edit(model, zeros, found.vector)
    one, zero = (source.array[labels == kind].mean(0) for kind in (True, False))
    assert (np.square(edited - one).sum((1, 2, 3)) < np.square(edited - zero).sum((1, 2, 3))).mean() > 0.9
    mixed = find_direction(model, given, as_attribute(np.arange(len(labels)) % 2, "even"))
    assert not mixed.swapped
    assert np.abs(mixed.vector[:4]).max() > 0


def test_a_residual_edit_keeps_what_the_code_does_not_hold(vae, source, labels) -> None:
    vector = find_direction(vae, source, as_attribute(labels, "one")).vector
    some = source.take(np.flatnonzero(~labels)[:20])
    kept = space.edit(vae, some, vector, [0.0, 0.5], residual=True)
    assert kept.dtype == np.uint8
    np.testing.assert_array_equal(kept[:, 0], some.array)
    plain = space.edit(vae, some, vector, [0.0, 0.5]).astype(int)
    expected = np.clip(some.array + plain[:, 1] - plain[:, 0], 0, 255)
    assert np.abs(kept[:, 1] - expected).max() <= 1  # whole numbers are rounded once or twice
    assert space.edit(vae, some, vector, 0.5, residual=True).shape == some.array.shape


def test_mixed_columns_have_no_residual() -> None:
    import pandas as pd

    from isthmus.data import from_any

    rows = from_any(pd.DataFrame({"a": np.arange(40.0), "b": ["x", "y"] * 20}))
    model = fit(rows, Config(steps=5, latent=2))
    with pytest.raises(ConfigError, match="leave residual out"):
        space.edit(model, rows, np.zeros(2), residual=True)


def test_edits_are_measured(vae, source, labels) -> None:
    vector = find_direction(vae, source, as_attribute(labels, "one")).vector
    found = make_edits(vae, source.take(range(10)), vector, [-1.0, 0.0, 0.5, 1.0])
    assert found.change[1] == 0
    assert found.sharpness[1] == 1
    assert 0 < found.change[2] < found.change[3] < 1
    edited = space.edit(vae, source.take(range(10)), vector, [0.0, 1.0]).astype(float)
    assert found.change[3] == pytest.approx(np.sqrt(np.square(edited[:, 1] - edited[:, 0]).mean()) / 255)


def test_blur_is_less_sharp() -> None:
    picture = np.random.default_rng(0).random((3, 16, 16, 3))
    blurred = (picture + np.roll(picture, 1, 1) + np.roll(picture, 1, 2)) / 3
    assert (sharpness(blurred) < 0.6 * sharpness(picture)).all()
    assert sharpness(2 * picture) == pytest.approx(4 * sharpness(picture))


def test_a_discriminant_leaves_what_varies_anyway(vae, source, labels) -> None:
    random = np.random.default_rng(0)
    has = random.random(4000) < 0.5
    light = 5 * random.normal(size=4000) + 0.4 * has  # varies widely, and comes along a little
    codes = np.stack([1.0 * has + 0.3 * random.normal(size=4000), light], axis=1)
    means, fisher = space.attribute_vector(codes, has), space.attribute_vector(codes, has, ridge=0.1)
    assert abs(means[1] / means[0]) > 0.2
    assert abs(fisher[1] / fisher[0]) < 0.1
    assert np.linalg.norm(fisher) == pytest.approx(np.linalg.norm(means))
    np.testing.assert_allclose(space.attribute_vector(codes, has, ridge=1e9), means, rtol=1e-6)
    attribute = as_attribute(labels, "one")
    assert find_direction(vae, source, attribute, ridge=1.0).separation >= find_direction(vae, source, attribute).separation - 0.005
    with pytest.raises(ConfigError, match="ridge must be above 0"):
        space.attribute_vector(codes, has, ridge=0.0)
