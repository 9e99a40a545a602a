"""Gaps filled on the command line: every kind of column in its own form, models kept and used again, streams, and flaws told."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

N = 240


@pytest.fixture(scope="module")
def holed() -> pd.DataFrame:
    random = np.random.default_rng(0)
    size = random.normal(size=N).round(3)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 200, N), unit="D")
    found = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(N)],
            "size": size,
            "weight": (2 * size + 0.05 * random.normal(size=N)).round(3),
            "calls": random.poisson(3, N),
            "member": np.where(size > 0, "yes", "no"),
            "town": random.choice(["Ulm", "Bonn", "Köln"], N),
            "joined": pd.Series(day).dt.strftime("%d.%m.%Y"),
            "left": day.strftime("%Y-%m-%d"),
            "country": "DE",
            "floors": 2,
        }
    )
    gone = random.random(found.shape) < 0.15
    gone[:, 0] = False
    return found.astype(object).mask(gone)


@pytest.fixture(scope="module")
def folder(holed, tmp_path_factory):
    place = tmp_path_factory.mktemp("holed")
    holed.to_csv(place / "holed.csv", index=False)
    (place / "parts").mkdir()
    for i in range(3):
        part = holed[i * 80 : i * 80 + 80].astype({"size": float, "weight": float, "calls": float, "floors": float})
        part.to_parquet(place / "parts" / f"{i}.parquet", row_group_size=20)
    return place


def lines(path) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_one_command_fills_every_kind_in_its_own_form(good, folder, tmp_path):
    out = good("impute", folder / "holed.csv", "-o", "filled.csv", "--steps", 60)
    assert "wrote filled.csv (240 rows)" in out
    assert "joined" in out
    assert "days" in out
    assert "chosen with probability" in out
    before, after = lines(folder / "holed.csv"), lines(tmp_path / "filled.csv")
    assert list(before[0]) == list(after[0])
    for old, new in zip(before, after):
        assert all(new.values())
        for name, value in old.items():
            if value and name in ("size", "weight", "calls", "floors"):
                assert float(new[name]) == float(value), name
            elif value:
                assert new[name] == value, name
        assert new["member"] in ("yes", "no")
        assert new["town"] in ("Ulm", "Bonn", "Köln")
        assert new["country"] == "DE"
        assert float(new["floors"]) == 2
        assert new["calls"] == str(int(new["calls"]))
        assert pd.to_datetime(new["joined"], format="%d.%m.%Y").year == 2024
        assert pd.to_datetime(new["left"], format="%Y-%m-%d").year == 2024


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_whole_numbers_that_lose_their_last_digits_are_told(good, tmp_path, ending):
    size = np.random.default_rng(0).normal(size=60)
    table = pd.DataFrame({"account": 2**53 + 1 + 2 * np.arange(60), "size": size, "far": 3e17 * size + 0.5, "few": np.arange(60) % 7})
    table["size"] = table["size"].mask(np.arange(60) % 5 == 0)
    path = tmp_path / f"table{ending}"
    table.to_csv(path, index=False) if ending == ".csv" else table.to_parquet(path)
    out = " ".join(good("impute", path, "-o", "filled.csv", "--steps", 5).split())
    assert "whole numbers beyond 9,007,199,254,740,992 in 'account' have lost their last digits" in out
    assert "--drop account" in out
    assert "lost" not in good("impute", path, "-o", "other.csv", "--steps", 5, "--drop", "account,far")


def test_a_model_is_kept_and_used_again(good, folder, tmp_path):
    good("impute", folder / "holed.csv", "-o", "first.csv", "--steps", 40, "--save", "model", "--seed", 3)
    good("impute", folder / "holed.csv", "-o", "second.csv", "--model", "model")
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
    rows = lines(folder / "holed.csv")
    with (tmp_path / "mixed.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*reversed(rows[0]), "more"])
        writer.writeheader()
        writer.writerows({**row, "more": 1, "town": "Wien" if i == 0 else row["town"]} for i, row in enumerate(rows[:20]))
    good("impute", "mixed.csv", "-o", "mixed_filled.csv", "--model", "model")
    other = lines("mixed_filled.csv")
    assert list(other[0]) == [*reversed(rows[0]), "more"]
    assert other[0]["town"] == "Wien"
    assert all(all(row.values()) for row in other)
    assert other[5]["size"] == lines("first.csv")[5]["size"]


def test_draws_are_repeated_by_their_seed(good, folder, tmp_path):
    good("impute", folder / "holed.csv", "-o", "one.csv", "--steps", 20, "--save", "model")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        good("impute", folder / "holed.csv", "-o", f"{name}.csv", "--model", "model", "--draws", 2, "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    drawn = lines("a.csv")
    assert len(drawn) == 2 * N
    assert [row["draw"] for row in drawn[:4]] == ["1", "2", "1", "2"]


def test_a_folder_of_parquet_is_streamed(good, folder, tmp_path):
    good("impute", folder / "parts", "-o", "filled.parquet", "--steps", 20, "--stream", "always")
    found = pd.read_parquet(tmp_path / "filled.parquet")
    assert len(found) == N
    assert not found.isna().any().any()
    assert found["joined"].str.fullmatch(r"\d\d\.\d\d\.2024").all()


def test_kinds_and_schema_decide(good, folder):
    out = good("impute", folder / "holed.csv", "-o", "f.csv", "--steps", 5, "--kind", "calls=category", "--drop", "joined,left")
    assert "calls    category" in out
    good("schema", folder / "holed.csv", "-o", "s.toml")
    good("impute", folder / "holed.csv", "-o", "g.csv", "--steps", 5, "--schema", "s.toml")


def test_nothing_missing_is_said(good, tmp_path):
    random = np.random.default_rng(0)
    pd.DataFrame(random.normal(size=(40, 3)).round(3), columns=list("abc")).to_csv(tmp_path / "whole.csv", index=False)
    out = good("impute", "whole.csv", "-o", "same.csv", "--steps", 5)
    assert "no gap was there to fill" in out
    assert lines("same.csv") == lines("whole.csv")


def test_whole_numbers_that_end_within_a_stream_are_named(good, refused, tmp_path) -> None:
    random = np.random.default_rng(0)
    ages = random.integers(20, 70, 20_000).astype(float)
    ages[::5] = np.nan
    table = pd.DataFrame({"age": ages, "size": random.normal(size=20_000).round(3)})
    table[:200].to_csv("some.csv", index=False)
    good("impute", "some.csv", "-o", "filled.csv", "--steps", 5, "--save", "model")
    table.loc[19_001, "age"] = 33.5
    table.to_parquet("all.parquet")
    told = refused("impute", "all.parquet", "-o", "filled.parquet", "--model", "model")
    assert "column 'age' was written as int64 in the rows before" in told
    assert not (tmp_path / "filled.parquet").exists()
    good("impute", "all.parquet", "-o", "filled.csv", "--model", "model")
    assert float(lines("filled.csv")[19_001]["age"]) == 33.5


PEAK = """
import re, sys
from pathlib import Path
from isthmus.cli import main
try:
    main()
finally:
    sys.stderr.write("peak " + re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is asked of Linux")
def test_the_peak_of_memory_does_not_grow_with_the_rows(good, tmp_path) -> None:
    random, peaks = np.random.default_rng(0), {}
    for rows in (50_000, 1_000_000):
        values = random.normal(size=(rows, 20)) + random.normal(size=(rows, 1))
        values[random.random(values.shape) < 0.2] = np.nan
        data = tmp_path / f"{rows}.parquet"
        pd.DataFrame(values, columns=[f"x{j}" for j in range(20)]).to_parquet(data, row_group_size=50_000)
        if not peaks:
            good("impute", data, "-o", "first.parquet", "--steps", 20, "--save", "model")
        command = ["impute", data, "-o", f"filled{rows}.parquet", "--model", "model", "--stream", "always"]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, "-c", PEAK, *map(str, command)], capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stderr
        peaks[rows] = int(done.stderr.rsplit("peak ", 1)[1]) // 1024
    assert peaks[1_000_000] < peaks[50_000] + 100, peaks  # in megabytes; all rows take 160
    assert not pd.read_parquet(tmp_path / "filled1000000.parquet").isna().any().any()


WRONG = {
    "all gaps": ("a,b\n,\n,\n,\n", "no column is left to model"),
    "one row": ("a,b\n1,\n", "Give at least 2 rows"),
    "two a": ("a,a\n1,2\n3,\n", "'a'"),
    "inf": ("a,b\n1,inf\n2,\n3,4\n5,6\n", "infinit"),
    "mixed": ("a,b\n1,x\n2,3\n,4\n4,5\n5,6\n6,7\n", "mixes types"),
}


@pytest.mark.parametrize("name", WRONG)
def test_flaws_are_told_in_one_line(refused, tmp_path, name):
    text, message = WRONG[name]
    (tmp_path / "wrong.csv").write_text(text)
    assert message in refused("impute", "wrong.csv", "-o", "f.csv", "--steps", 5)
    assert not (tmp_path / "f.csv").exists()


def test_wrong_requests_are_told_before_anything_is_read(refused, good, folder, tmp_path):
    assert "must end in one of .csv, .tsv, .parquet" in refused("impute", folder / "holed.csv", "-o", "f.npy")
    assert "nowhere.csv" in refused("impute", "nowhere.csv", "-o", "f.csv")
    (tmp_path / "cut.parquet").write_bytes((folder / "parts" / "0.parquet").read_bytes()[:900])
    assert "may be cut off" in refused("impute", "cut.parquet", "-o", "f.csv")
    assert "--model brings its own" in refused("impute", folder / "holed.csv", "-o", "f.csv", "--model", "m", "--steps", 5)
    good("impute", folder / "holed.csv", "-o", "f.csv", "--steps", 5, "--save", "model")
    assert "--overwrite" in refused("impute", folder / "holed.csv", "-o", "f.csv", "--steps", 5, "--save", "model")
    rows = pd.read_csv(folder / "holed.csv").drop(columns="town")
    rows.to_csv("less.csv", index=False)
    assert "town" in refused("impute", "less.csv", "-o", "g.csv", "--model", "model")
    rows.assign(town="Ulm", size="big").to_csv("other.csv", index=False)
    assert "size" in refused("impute", "other.csv", "-o", "g.csv", "--model", "model")
    assert not (tmp_path / "g.csv").exists()
