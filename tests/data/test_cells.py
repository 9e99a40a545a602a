"""Cells of text tables that are not what they look like at first: codes with leading zeros, and decimal commas."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.data import Schema, read, to_table


@pytest.fixture
def table(tmp_path):
    def read_back(text, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(path, **options)

    return read_back


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_leading_zeros_make_codes(table, sign, end, quote):
    codes = [f"{quote}{code}{quote}" for code in ("10115", "01067", "80331", "01067")]
    rows = [sign.join(["n", "zip"]), *(sign.join([str(i), code]) for i, code in enumerate(codes, 5))]
    source = table(end.join(rows))
    assert source.types == ("number", "text")
    assert source.array[:, 0].tolist() == [5, 6, 7, 8]
    schema = Schema.infer(source)
    assert to_table(schema.align(source), schema)["zip"] == ["10115", "01067", "80331", "01067"]


def test_a_leading_zero_far_down_is_found(table):
    source = table("\n".join(["zip,n", *(f"{10_000 + i},1.5" for i in range(3000)), "01067,2.5"]))
    assert source.types == ("text", "number")
    assert source.vocabularies["zip"][-1] == "01067"


def test_other_zeros_are_numbers(table):
    for cells in ("0\n10\n-7", "0.5\n00.25\n3", "08:30\n10:00\n11:15", "10\n100\n200"):
        source = table("a,b\n" + "\n".join(f"{cell},1" for cell in cells.splitlines()))
        assert "text" not in source.types or ":" in cells
    assert table("c,p,q\n07,00,12\n08,13,14\n", columns=["p", "q"], shape="1x2").kind == "pictures"
    assert table("a,b\n0,x\n1,\n".encode("utf-16")).types == ("number", "text")
    assert table("a,b\n01067,1.5\n10115,2.5\n".encode("utf-16")).types == ("text", "number")


def test_codes_of_a_single_row_are_those_of_training(table):
    schema = Schema.infer(table("zip,n\n" + "01067,1.5\n10115,2.5\n" * 30))
    assert schema.align(table("zip,n\n10115,3.5\n")).tolist() == schema.align(table("zip,n\n01067,0\n10115,3.5\n"))[1:].tolist()


def test_decimal_commas_beside_commas(table):
    source = table('a,b,c\n"1,5",x,1\n"-1.234,75",y,2\n3,z,3\n')
    assert source.array[:, 0].tolist() == [1.5, -1234.75, 3.0]
    assert "numbers with a decimal comma are read in 'a'" in source.notes


def test_decimal_commas_beside_decimal_points(table):
    source = table("a;b\n1,5;0.25\n;0.5\n12,25;1.5\n")
    np.testing.assert_array_equal(source.array, [[1.5, 0.25], [np.nan, 0.5], [12.25, 1.5]])


@pytest.mark.parametrize("cells", [("1,234", "5,678"), ("1,5", "a,b"), ("1,5", "1,5,0")])
def test_commas_that_may_mean_something_else_stay(table, cells):
    source = table("a,b\n" + "".join(f'"{cell}",1\n' for cell in cells))
    assert source.types == ("text", "number")
    assert source.vocabularies["a"] == cells


def test_codes_that_lost_their_zeros_are_recognised(table):
    schema = Schema.infer(table("zip,n\n" + "01067,1.5\n10115,2.5\n" * 30))
    text, numbers = table("zip,n\n10115,3.5\n01067,0.5\n"), table("zip,n\n10115,3.5\n1067,0.5\n1,2.5\n")
    assert numbers.types in ((), ("number", "number"))
    assert schema.align(numbers)[:2].tolist() == schema.align(text).tolist()
    assert schema.align(numbers)[2, 0] == -1
