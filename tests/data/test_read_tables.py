"""Reading CSV and Parquet."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_iris

from isthmus.data import read
from isthmus.errors import ConfigError, DataError


@pytest.fixture
def iris():
    return load_iris(as_frame=True).data


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(tmp_path, iris, delimiter, ending):
    path = tmp_path / f"iris.{ending}"
    iris.to_csv(path, sep=delimiter, index=False)
    source = read(path)
    assert source.kind == "table"
    assert source.columns == tuple(iris.columns)
    assert source.name == path.name
    np.testing.assert_array_equal(source.array, iris.to_numpy())


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_without_header(tmp_path, iris, delimiter):
    iris.to_csv(tmp_path / "iris.csv", sep=delimiter, index=False, header=False)
    source = read(tmp_path / "iris.csv")
    assert source.columns == ("c0", "c1", "c2", "c3")
    assert any("no header" in note for note in source.notes)
    np.testing.assert_array_equal(source.array, iris.to_numpy())


@pytest.mark.parametrize("header", [True, False])
def test_decimal_comma(tmp_path, iris, header):
    iris.to_csv(tmp_path / "iris.csv", sep=";", decimal=",", index=False, header=header)
    source = read(tmp_path / "iris.csv")
    np.testing.assert_array_equal(source.array, iris.to_numpy())
    assert any("decimal comma" in note for note in source.notes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_encodings(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes("Größe,Höhe\n1.5,2\n2.5,3\n".encode(encoding))
    source = read(tmp_path / "a.csv")
    assert source.columns == ("Größe", "Höhe")
    assert source.array.tolist() == [[1.5, 2], [2.5, 3]]


def test_byte_order_mark_without_header(save):
    assert read(save("a.csv", "\ufeff1,2\n3,4\n")).array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_blank_lines_and_quotes(tmp_path, end):
    text = end.join(["", "", '"a, long","b', 'two lines"', '"1.5",2', "", "3,4"])
    (tmp_path / "a.csv").write_bytes(text.encode())
    source = read(tmp_path / "a.csv")
    assert source.array.tolist() == [[1.5, 2], [3, 4]]
    assert source.columns[0] == "a, long"


def test_dtypes(save):
    assert read(save("i.csv", "a,b\n1,2\n3,4\n")).array.dtype == np.int64
    assert read(save("b.csv", "a,b\ntrue,false\nfalse,true\n")).array.dtype == bool
    mixed = read(save("m.csv", "a,b,c\ntrue,2,0.5\nfalse,3,1.5\n")).array
    assert mixed.dtype == np.float64
    assert mixed.tolist() == [[1, 2, 0.5], [0, 3, 1.5]]


def test_a_late_decimal_does_not_break_integers(save):
    rows = ["a,b"] + ["1,2"] * 400_000 + ["1.5,2"]
    source = read(save("late.csv", "\n".join(rows)))
    assert source.array[-1].tolist() == [1.5, 2]
    assert len(source) == 400_001


def test_rows_longer_than_a_block(save):
    width = 150_000
    text = ",".join(f"column{j}" for j in range(width)) + "\n" + ",".join(["1.25"] * width) + "\n"
    source = read(save("wide.csv", text), columns=["column7", "column149999"])
    assert source.array.tolist() == [[1.25, 1.25]]


def test_columns_and_drop(save):
    path = save("a.csv", "a,label,b\n1,x,2\n3,y,4\n")
    dropped = read(path, drop="label")
    assert dropped.columns == ("a", "b")
    assert any("left out 1 of the 3" in note for note in dropped.notes)
    chosen = read(path, columns=["b", "a"])
    assert chosen.columns == ("b", "a")
    assert chosen.array.tolist() == [[2, 1], [4, 3]]
    assert read(path, drop=[1]).columns == ("a", "b")
    assert read(path, columns=["a", "b"], drop=["gone"]).columns == ("a", "b")
    assert read(path, columns="a").columns == ("a",)


def test_rows_as_pictures(save):
    source = read(save("p.csv", "y,p0,p1,p2,p3\na,1,2,3,4\nb,5,6,7,8\n"), drop="y", shape="2x2")
    assert source.kind == "pictures"
    assert source.columns == ()
    assert source.array.shape == (2, 2, 2, 1)
    assert source.array[1, 1, 0, 0] == 7


def test_nameless_columns_get_a_name(tmp_path, iris):
    iris.to_csv(tmp_path / "a.csv")
    source = read(tmp_path / "a.csv")
    assert source.columns[0] == "c0"
    assert any("without a name" in note and "--drop c0" in note for note in source.notes)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("empty.csv", "", "is empty"),
        ("blank.csv", "\n\n \n", "is empty"),
        ("header.csv", "a,b\n", "no rows"),
        ("twins.csv", "a,b,a\n1,2,3\n", r"same name: 'a'.*--drop a"),
        ("inf.csv", "a,b\n1,2\n3,inf\n", "infinity.*column 'b' has 1 infinite, the first in row 1"),
        ("inf_and_gaps.csv", "a,b\n1,2\n3,inf\n,4\n", "infinity.*column 'b' has 1 infinite, the first in row 1"),
        ("ragged.csv", "a,b\n1,2\n3,4,5\n6,7\n", "2 columns separated by commas.*#3.*got 3"),
    ],
)
def test_trouble_is_named(save, name, text, told):
    with pytest.raises(DataError, match=rf"(?s)^{name}.*{told}"):
        read(save(name, text))


def test_trouble_in_a_late_row_is_counted(save):
    rows = ["a,b"] + ["1,2"] * 700_000 + ["1,2,3"]
    with pytest.raises(DataError, match="#700002"):
        read(save("late.csv", "\n".join(rows)))


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("a,species\n1,setosa\n2,virginica\n", ("number", "text")),
        ("a,b\n1,5\n2,-\n", ("number", "text")),
        ("a,day\n1,2024-01-05\n2,2024-01-06\n", ("number", "date")),
        ("a,t\n1,2024-01-05 10:00:00\n2,\n", ("number", "date")),
        ("a,t\n1,2024-01-05\n2,5.1.2024\n", ("number", "text")),
        ("a,b\n1,true\n2,\n", ("number", "boolean")),
        ("a,b\n1,\n3,\n", ("number", "number")),
        ("a,b\n1,10:30\n3,11:00\n", ("number", "number")),
    ],
)
def test_columns_of_other_types(save, text, types):
    source = read(save("a.csv", text))
    assert (source.kind, source.types) == ("columns", types)
    assert source.array.dtype == np.float64


@pytest.mark.parametrize("sign", ["", "?", "NA", "NaN", "null", "N/A"])
def test_missing_signs(save, sign):
    source = read(save("a.csv", f"a,word,flag,day\n1,x,true,2024-01-05\n{sign},{sign},{sign},{sign}\n3,y,false,2024-01-07\n"))
    assert source.types == ("number", "text", "boolean", "date")
    assert np.isnan(source.array).tolist() == [[False] * 4, [True] * 4, [False] * 4]
    assert source.array[2].tolist() == [3, 1, 0, 1704585600]


def test_rows_as_pictures_hold_neither_text_nor_gaps(save):
    with pytest.raises(DataError, match=r"column 'b' holds 'x'.*drop=\['b'\].*--drop b"):
        read(save("a.csv", "a,b\n1,x\n2,y\n"), shape="1x2")
    with pytest.raises(DataError, match=r"NaN.*column 'a' has 1 missing \(NaN\), the first in row 1.*--drop a"):
        read(save("b.csv", "a,b\n1,2\n,4\n"), shape="1x2")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", bytes(range(256)) * 20, b"\x93NUMPY\x01\x00"])
def test_binary_data_is_no_csv(save, content):
    with pytest.raises(DataError, match="is no text table"):
        read(save("junk.csv", content))


def test_unknown_columns_are_named(save):
    path = save("a.csv", "petal,sepal\n1,2\n")
    with pytest.raises(DataError, match=r"no column 'petals' .did you mean 'petal'.*It has: 'petal', 'sepal'"):
        read(path, drop="petals")
    with pytest.raises(DataError, match="no column 'x'"):
        read(path, columns=["petal", "x"])
    with pytest.raises(DataError, match="no column is left"):
        read(path, drop=["petal", "sepal"])


def test_picture_options_are_refused_for_tables(save):
    with pytest.raises(ConfigError, match="size"):
        read(save("a.csv", "a,b\n1,2\n"), size=8)


def test_parquet(tmp_path, iris):
    iris.to_parquet(tmp_path / "iris.parquet")
    source = read(tmp_path / "iris.parquet")
    assert source.columns == tuple(iris.columns)
    np.testing.assert_array_equal(source.array, iris.to_numpy())
    two = read(tmp_path / "iris.parquet", columns=iris.columns[2:0:-1])
    np.testing.assert_array_equal(two.array, iris.to_numpy()[:, 2:0:-1])


def test_parquet_row_labels_of_pandas_are_left_out(tmp_path, iris):
    iris.sample(10, random_state=0).to_parquet(tmp_path / "iris.parquet")
    source = read(tmp_path / "iris.parquet")
    assert source.columns == tuple(iris.columns)
    assert any("row labels" in note for note in source.notes)


def test_parquet_types(tmp_path):
    columns = {
        "small": pa.array([1, 2], pa.int8()),
        "money": pa.array([1, 2]).cast(pa.decimal128(20, 1)),
        "flag": pa.array([True, False]),
        "coded": pa.array([7, 8]).dictionary_encode(),
        "half": pa.array(np.array([0.5, 1.5], np.float16)),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").array.tolist() == [[1, 1, 1, 7, 0.5], [2, 2, 0, 8, 1.5]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"], "text"),
        ([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], "date"),
        (pd.Categorical(["x", "y"]), "text"),
        ([datetime.datetime(2024, 1, 1, 7), None], "date"),
        ([datetime.timedelta(hours=1), datetime.timedelta(hours=2)], "number"),
    ],
)
def test_parquet_without_numbers(tmp_path, values, kind):
    pq.write_table(pa.table({"ok": [1.0, 2.0], "odd": pa.array(values)}), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").types == ("number", kind)
    assert read(tmp_path / "t.parquet", drop="odd").array.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize("values", [[[1], [2, 3]], [{"k": 1}, {"k": 2}], [b"x", b"y"]])
def test_parquet_columns_that_are_none(tmp_path, values):
    pq.write_table(pa.table({"ok": [1.0, 2.0], "odd": pa.array(values)}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"column 'odd' holds .*--drop odd"):
        read(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", drop="odd").array.tolist() == [[1.0], [2.0]]


def test_parquet_gaps(tmp_path):
    table = pa.table({"f": [1.0, None], "i": [None, 2], "b": pa.array([None, True]), "ok": [1, 2]})
    pq.write_table(table, tmp_path / "t.parquet")
    source = read(tmp_path / "t.parquet")
    assert source.types == ("number", "number", "boolean", "number")
    np.testing.assert_array_equal(source.array, [[1, np.nan, np.nan, 1], [np.nan, 2, 1, 2]])


def test_broken_parquet(tmp_path, iris, save):
    iris.to_parquet(tmp_path / "iris.parquet")
    whole = (tmp_path / "iris.parquet").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"PAR1", whole[:4] + b"\x00" * 400 + whole[-400:]):
        with pytest.raises(DataError, match=r"cut\.parquet cannot be read as Parquet"):
            read(save("cut.parquet", content))


def test_parquet_without_rows_or_columns(tmp_path):
    pq.write_table(pa.table({"a": pa.array([], pa.float64())}), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="no rows"):
        read(tmp_path / "rows.parquet")
    pq.write_table(pa.table({}), tmp_path / "columns.parquet")
    with pytest.raises(DataError, match="no column is left"):
        read(tmp_path / "columns.parquet")


def test_parquet_twins(tmp_path):
    pq.write_table(pa.table([[1.0], [2.0], [3.0]], names=["a", "a", "b"]), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="same name: 'a'"):
        read(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", drop="a").array.tolist() == [[3.0]]


def test_an_endless_field_is_no_table(save):
    with pytest.raises(DataError, match="cannot be read as a table"):
        read(save("a.csv", '"' + "x" * 200_000 + '",b\n1,2\n'))
