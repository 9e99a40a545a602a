"""Every flaw of a table, through every command that learns from one: a line that names it and its mend, and nothing left behind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

N = 120
COMMANDS = {
    "schema": ("schema", "-o", "out.toml"),
    "fit": ("fit", "--steps", 3, "--family", "variational", "--out", "model"),
    "detect": ("detect", "--out", "alarms.csv"),
    "impute": ("impute", "--steps", 3, "--out", "filled.csv"),
}


def table(**columns) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x": rng.normal(size=N).round(3), "g": rng.choice(["a", "b"], N), **columns})


BAD = {
    "twins": (lambda: table().set_axis(["x", "x"], axis=1), "twins.csv: columns of the same name: 'x'", "--drop x"),
    "types": (lambda: table(m=["7.5"] * 90 + ["odd"] * 30), "types.csv: column 'm' mixes types", "--kind m=category"),
    "dates": (lambda: table(d=["2024-01-05", "03/04/2024"] * (N // 2)), "dates.csv: column 'd' holds dates in two formats", "YYYY-MM-DD"),
    "infinite": (lambda: table(y=[np.inf] + [1.5] * (N - 1)), "infinite.csv contains infinity: column 'y' has 1 infinite", "--drop y"),
    "gone": (lambda: table(x=None)[["x"]], "gone.csv: no column is left to model: 'x' is constant (no value", "values that differ"),
    "flat": (lambda: table(x="k")[["x"]], "flat.csv: no column is left to model: 'x' is constant (always 'k')", "values that differ"),
    "names": (lambda: table(x=[f"n{i}" for i in range(N)])[["x"]], "'x' is identifier", "--kind x=category"),
    "one": (lambda: table()[:1], "one.csv", "Give at least"),
    "void": (lambda: table()[:0], "void.csv: no rows", "Give at least one row"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flaw", BAD)
def test_flaws_of_tables(refused, tmp_path, flaw, command):
    make, told, mend = BAD[flaw]
    make().to_csv(tmp_path / f"{flaw}.csv", index=False)
    name, *arguments = COMMANDS[command]
    line = refused(name, f"{flaw}.csv", *arguments)
    assert told in line
    assert mend.lower() in line.lower()
    assert [path.name for path in tmp_path.iterdir()] == [f"{flaw}.csv"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("folder", [False, True])
def test_a_file_cut_in_half(refused, tmp_path, command, folder):
    place = tmp_path / "parts" if folder else tmp_path
    place.mkdir(exist_ok=True)
    table().to_parquet(place / "a.parquet")
    whole = (place / "a.parquet").read_bytes()
    (place / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    name, *arguments = COMMANDS[command]
    before = sorted(tmp_path.rglob("*"))
    line = refused(name, "parts" if folder else "cut.parquet", *arguments)
    assert "cut.parquet cannot be read as Parquet" in line
    assert "cut off; write or fetch it again" in line
    assert sorted(tmp_path.rglob("*")) == before


SCHEMAS = {
    "no text": (b"\xff\x00\x01", "not valid TOML"),
    "no schema": (b"latent = 4\n", "it has the entries latent"),
    "empty": (b"", "it has no [[columns]]"),
    "another kind": (b"[[columns]]\nname = 'x'\nkind = 'numbr'\n", "column 'x': the kind must be one of number"),
    "another table": (b"[[columns]]\nname = 'width'\nkind = 'number'\n", "there is no column 'width'"),
    "twice": (b"[[columns]]\nname = 'x'\nkind = 'number'\n[[columns]]\nname = 'x'\nkind = 'count'\n", "the column 'x' stands there twice"),
    "nothing in it": (b"[[columns]]\nname = 'x'\nkind = 'identifier'\n", "no column is left to model"),
}


@pytest.mark.parametrize("command", ["fit", "detect", "impute"])
@pytest.mark.parametrize("flaw", SCHEMAS)
def test_wrong_schema_files(refused, tmp_path, flaw, command):
    text, told = SCHEMAS[flaw]
    (tmp_path / "s.toml").write_bytes(text)
    table().to_csv(tmp_path / "t.csv", index=False)
    name, *arguments = COMMANDS[command]
    assert told in refused(name, "t.csv", "--schema", "s.toml", *arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.toml", "t.csv"]


ODD = {
    "leak": lambda: table(id=[f"X{i}" for i in range(N)], target=7),
    "giant": lambda: table(y=np.r_[1e300, -1e300, np.random.default_rng(1).normal(size=N - 2)]),
    "one column": lambda: table()[["x"]],
    "void column": lambda: table(v=None),
    "many": lambda: pd.concat([table()] * 167, ignore_index=True).assign(k=[f"k{i % 10_000}" for i in range(167 * N)]),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_tables_are_learned_and_written(good, tmp_path, odd):
    data = ODD[odd]()
    data.to_csv(tmp_path / "t.csv", index=False)
    assert "columns are modelled" in good("schema", "t.csv")
    good("fit", "t.csv", "--steps", 3, "--out", "model")
    good("score", "model", "t.csv", "--out", "s.csv")
    good("reconstruct", "model", "t.csv", "--out", "r.csv")
    assert np.isfinite(pd.read_csv(tmp_path / "s.csv")["score"]).all()
    rebuilt = pd.read_csv(tmp_path / "r.csv")
    assert set(rebuilt.columns) <= set(data.columns) - {"id", "target", "v"}
    assert rebuilt.notna().all().all()


def test_two_rows(good, tmp_path):
    pd.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"]}).to_csv(tmp_path / "t.csv", index=False)
    assert "2 rows, 2 of 2 columns are modelled" in good("schema", "t.csv")
    assert "2 rows of 2" in good("fit", "t.csv", "--steps", 3)


def test_gaps_that_tell_something(good, refused, tmp_path):
    rng = np.random.default_rng(0)
    sick = rng.random(600) < 0.5
    frame = pd.DataFrame({"sick": np.where(sick, "yes", "no"), "x": rng.normal(size=600), "dose": rng.normal(size=600)})
    frame.loc[~sick, "dose"] = None
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert "missingness" in good(
        "fit", "t.csv", "--family", "variational", "--latent", 2, "--steps", 500, "--missingness", "--out", "telling"
    )
    good("fit", "t.csv", "--family", "variational", "--latent", 2, "--steps", 5, "--out", "silent")
    frame.assign(dose=np.where(sick, None, 0.0)).to_csv(tmp_path / "turned.csv", index=False)
    good("score", "telling", "t.csv", "--out", "usual.csv")
    good("score", "telling", "turned.csv", "--out", "odd.csv")
    usual, odd = (pd.read_csv(tmp_path / name)["score"].median() for name in ("usual.csv", "odd.csv"))
    assert odd < usual - 0.5
    for model, gaps in (("telling", (0.2, 0.8)), ("silent", (0.0, 0.0))):
        good("sample", model, "--out", f"{model}.csv", "-n", 300)
        drawn = pd.read_csv(tmp_path / f"{model}.csv")
        assert gaps[0] <= drawn["dose"].isna().mean() <= gaps[1]
    assert drawn["sick"].notna().all()
    frame[["x"]].to_csv(tmp_path / "plain.csv", index=False)
    assert "--missingness does not apply to these rows" in refused("fit", "plain.csv", "--missingness", "--steps", 3)
