"""Reading data the way a fitted model needs them, and knowing them again."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from isthmus.data import Schema, Source, read
from isthmus.errors import DataError
from isthmus.tasks.reading import digest, read_for


def test_a_table_gives_the_columns_of_the_model(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("c,label,a,b\n3,x,1,2\n6,y,4,5\n")
    source = read_for(Schema("table", ("a", "b", "c"), (3,), "int64"), tmp_path / "t.csv")
    assert source.array.tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(DataError, match="there is no column 'd'"):
        read_for(Schema("table", ("a", "d"), (2,), "int64"), tmp_path / "t.csv")


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_pictures_come_in_the_size_and_colour_of_the_model(tmp_path, channels, mode) -> None:
    for i, size in enumerate(((10, 12), (5, 5))):
        Image.new("RGB" if i else "L", size, color=(10, 200, 30) if i else 90).save(tmp_path / f"{i}.png")
    source = read_for(Schema("pictures", (), (6, 4, channels), "uint8"), tmp_path)
    assert source.array.shape == (2, 6, 4, channels)


def test_the_columns_that_the_fit_took_are_taken_again(tmp_path) -> None:
    schema, fitted = Schema("table", (), (2,), "float64"), {"drop": ["1"]}
    np.save(tmp_path / "whole.npy", np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "part.npy", np.arange(6.0).reshape(2, 3)[:, [0, 2]])
    np.save(tmp_path / "other.npy", np.ones((2, 5)))
    assert read_for(schema, tmp_path / "whole.npy", fitted).array.tolist() == [[0, 2], [3, 5]]
    assert read_for(schema, tmp_path / "part.npy", fitted).array.tolist() == [[0, 2], [3, 5]]
    with pytest.raises(DataError, match="5 features, but the model expects 2"):
        schema.align(read_for(schema, tmp_path / "other.npy", fitted))


def test_rows_of_numbers_become_pictures_again(tmp_path) -> None:
    schema = Schema("pictures", (), (2, 2, 1), "int64")
    (tmp_path / "t.csv").write_text("label,a,b,c,d\nx,1,2,3,4\ny,5,6,7,8\n")
    source = read_for(schema, tmp_path / "t.csv", {"drop": ["label"]})
    assert source.array[1, :, :, 0].tolist() == [[5, 6], [7, 8]]
    np.save(tmp_path / "flat.npy", np.arange(8).reshape(2, 4))
    assert read_for(schema, tmp_path / "flat.npy").array.shape == (2, 2, 2, 1)


def test_the_digest_knows_values_not_names(tmp_path, cancer) -> None:
    np.save(tmp_path / "a.npy", cancer)
    first = digest(read(tmp_path / "a.npy"))
    assert first == digest(Source("table", cancer.copy(), name="other"))
    changed = cancer.copy()
    changed[0, 0] += 1e-9
    assert first != digest(Source("table", changed))
    assert first != digest(Source("table", cancer[:-1]))
    assert first != digest(Source("table", cancer.astype(np.float32)))
    assert digest(Source("table", np.zeros((1000, 3)))) != digest(Source("table", np.zeros((1001, 3))))
