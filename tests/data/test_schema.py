"""What later data have to look like."""

import json

import numpy as np
import pytest

from isthmus.data import Schema, Source, read
from isthmus.errors import ConfigError, DataError


def table(columns, rows=3):
    array = np.arange(rows * len(columns), dtype=float).reshape(rows, -1)
    return Source("table", array, tuple(columns), name="new.csv")


def pictures(*shape, dtype=np.uint8):
    return Source("pictures", np.zeros((2, *shape), dtype), name="new")


def test_infer():
    assert Schema.infer(table("abc")) == Schema("table", ("a", "b", "c"), (3,), "float64")
    assert Schema.infer(pictures(4, 5, 3)) == Schema("pictures", (), (4, 5, 3), "uint8")


def test_same_columns_are_not_copied():
    source = table("abc")
    assert Schema.infer(source).align(source) is source.array


def test_another_order_and_further_columns():
    schema = Schema.infer(table("abc"))
    source = table(["c", "x", "a", "b", "y"])
    np.testing.assert_array_equal(schema.align(source), source.array[:, [2, 3, 0]])
    assert source.notes == ["ignored 2 columns that the model does not use: 'x', 'y'"]


def test_missing_columns_are_named():
    with pytest.raises(DataError, match=r"new.csv: there is no column 'b', 'c'.*It has: 'a', 'd'"):
        Schema.infer(table("abc")).align(table("ad"))


def test_data_without_names_go_by_width():
    schema = Schema.infer(table("abc"))
    for source in (Source("table", np.ones((2, 3))), table(["x", "y", "z"])):
        aligned = Schema("table", (), (3,), "float64") if source.columns else schema
        assert aligned.align(source) is source.array
        assert any("one side only" in note for note in source.notes)
    with pytest.raises(DataError, match="has 4 features, but the model expects 3 features"):
        schema.align(Source("table", np.ones((2, 4))))


def test_pictures_of_another_shape():
    schema = Schema.infer(pictures(28, 20, 1))
    for shape in ((20, 28, 1), (28, 20, 3)):
        with pytest.raises(
            DataError, match=rf"{shape[0]} x {shape[1]} x {shape[2]}; the model needs 28 x 20 x 1.*size=28x20 and colour='grey'"
        ):
            schema.align(pictures(*shape))


def test_pictures_in_other_units_are_told():
    schema = Schema.infer(pictures(4, 4, 1))
    source = pictures(4, 4, 1, dtype=np.float32)
    schema.align(source)
    assert any("same units" in note for note in source.notes)
    same = pictures(4, 4, 1)
    schema.align(same)
    assert same.notes == []


def test_another_kind():
    with pytest.raises(DataError, match="shape=4x4x1"):
        Schema.infer(pictures(4, 4, 1)).align(table("abc"))
    with pytest.raises(DataError, match="the model needs table"):
        Schema.infer(table("abc")).align(pictures(4, 4, 1))


def test_a_label_left_out_at_fitting_does_not_matter_later(save):
    path = save("a.csv", "x,label,y\n1,u,2\n3,,4\n")
    fitted = read(path, drop="label")
    schema = Schema.infer(fitted)
    later = read(save("b.csv", "label,y,x\nv,6,5\n,8,7\n"), columns=schema.columns)
    assert schema.align(later).tolist() == [[5, 6], [7, 8]]
    without = read(save("c.csv", "y,x\n6,5\n8,7\n"), columns=schema.columns)
    assert schema.align(without).tolist() == [[5, 6], [7, 8]]


def test_json_round_trip():
    for schema in (Schema.infer(table(["a", "ü", "c d"])), Schema.infer(pictures(4, 5, 3)), Schema("table", (), (7,), "bool")):
        assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "sound"},
        {"kind": ["table"]},
        {"columns": ["a", "a"]},
        {"columns": ["a"]},
        {"columns": "ab"},
        {"columns": ["a", 1]},
        {"columns": None},
        {"shape": [3]},
        {"shape": [0]},
        {"shape": [2, 1]},
        {"shape": []},
        {"shape": [2.0]},
        {"shape": [True]},
        {"shape": 2},
        {"dtype": "object"},
        {"dtype": 8},
        {"more": 1},
    ],
)
def test_broken_json_is_refused(change):
    entry = {"kind": "table", "columns": ["a", "b"], "shape": [2], "dtype": "float64"}
    assert Schema.from_json(entry).shape == (2,)
    with pytest.raises(ConfigError, match="schema"):
        Schema.from_json({**entry, **change})


def test_json_with_gaps_is_refused():
    with pytest.raises(ConfigError, match="schema"):
        Schema.from_json({"kind": "table"})
