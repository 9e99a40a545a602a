"""Known classes, read from files of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.errors import DataError
from isthmus.tasks.labels import read_labels

CLASSES = np.asarray(["red", "blue", "red", "green"])


def test_arrays(tmp_path) -> None:
    np.save(tmp_path / "y.npy", np.arange(4))
    np.savez(tmp_path / "y.npz", y=CLASSES, x=np.eye(4))
    assert read_labels(tmp_path / "y.npy", rows=4).tolist() == [0, 1, 2, 3]
    assert read_labels(tmp_path / "y.npz", "y").tolist() == CLASSES.tolist()
    with pytest.raises(DataError, match=r"has the arrays 'y', 'x'\. Say which one"):
        read_labels(tmp_path / "y.npz")
    with pytest.raises(DataError, match=r"there is no array 'z'\. It has: 'y', 'x'"):
        read_labels(tmp_path / "y.npz", "z")
    with pytest.raises(DataError, match=r"not an array of shape \(4, 4\)"):
        read_labels(tmp_path / "y.npz", "x")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables(tmp_path, ending) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1.5, 2.5, 3.5, 4.5], "y": CLASSES})
    path = tmp_path / f"t.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    assert read_labels(path, "y", 4).tolist() == CLASSES.tolist()
    with pytest.raises(DataError, match=r"there is no column 'z'\. It has: 'a', 'y'"):
        read_labels(path, "z")
    with pytest.raises(DataError, match="Say which one"):
        read_labels(path)


def test_a_label_a_line_with_and_without_heading(tmp_path) -> None:
    path = tmp_path / "y.txt"
    for text, expected in (
        ("red\nblue\nred\ngreen\n", CLASSES.tolist()),
        ("colour\nred\nblue\nred\ngreen\n", CLASSES.tolist()),
        ("0\n1\n10\n2\n", [0, 1, 10, 2]),
        ("label\n0\n1\n10\n2\n", [0, 1, 10, 2]),
        ("-1\n1\n-1\n1\n", [-1, 1, -1, 1]),
    ):
        path.write_text(text)
        assert read_labels(path, rows=4).tolist() == expected
    path.write_text("colour;y\n1,5;a\n2,5;b\n")
    assert read_labels(path, "y").tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("red\nblue\n", "has 2 labels, but the data have 4 rows"),
        ("", "is empty"),
        ("a,b\n1\n", "do not all have 2 column"),
        ("\x00\x01\x02", "binary data"),
    ],
)
def test_files_that_hold_none(tmp_path, text, told) -> None:
    (tmp_path / "y.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        read_labels(tmp_path / "y.csv", rows=4)


def test_missing_labels_and_missing_files(tmp_path) -> None:
    np.save(tmp_path / "y.npy", np.asarray([1.0, np.nan]))
    (tmp_path / "y.csv").write_text("a,y\n1,red\n2,\n")
    for path, key in ((tmp_path / "y.npy", None), (tmp_path / "y.csv", "y")):
        with pytest.raises(DataError, match="some labels are missing"):
            read_labels(path, key)
    with pytest.raises(DataError, match="there is no file"):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(DataError, match=r"cannot read labels from .*torn\.npy"):
        read_labels(tmp_path / "torn.npy")


def test_objects_are_not_opened(tmp_path) -> None:
    np.save(tmp_path / "y.npy", np.asarray([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot read labels"):
        read_labels(tmp_path / "y.npy")
