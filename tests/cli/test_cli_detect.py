"""``isthmus detect``: from files to a table of alarms, a page, and a detector that is used again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isthmus.tasks.detector import Detector


def rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    kind = rng.choice(["car", "bike"], count)
    km = np.where(kind == "bike", rng.gamma(2, 3, count), rng.gamma(3, 30, count))
    found = pd.DataFrame(
        {"id": [f"trip {seed}-{i}" for i in range(count)], "kind": kind, "km": km, "price": km / 2 + rng.normal(0, 1, count)}
    )
    found.loc[rng.random(count) < 0.05, "price"] = np.nan
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Healthy trips, new ones of which three are strange, and the same with labels."""
    folder = tmp_path_factory.mktemp("trips")
    rows(400, 0).to_csv(folder / "train.csv", index=False)
    new = rows(120, 1)
    new.loc[3, "km"], new.loc[5, "kind"], new.loc[[7], ["km", "price"]] = 5000, "rocket", [300, 2]
    new.to_csv(folder / "new.csv", index=False)
    new["broken"] = [int(i in (3, 5, 7)) for i in range(120)]
    new.to_csv(folder / "labelled.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def kept(folder):
    """A detector kept by the command line."""
    import os
    import subprocess
    import sys

    command = [sys.executable, "-m", "isthmus", "detect", "train.csv", "new.csv", "--ids", "id", "--save", "kept", "--alpha", "0.02"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    return folder / "kept", done.stdout


def test_it_tells_all_that_matters(kept):
    _, out = kept
    assert "train.csv: 400 rows, taken as healthy" in out
    assert "calibrated on 400 rows that the models had not seen" in out
    assert re.search(r"new\.csv: 120 rows, \d+ alarms \([\d.]+ %\) at alpha = 0\.02", out)
    assert "false alarms to be expected: at most 2.4" in out
    for told in ("trip 1-3", "km: 5000 (expected", "kind: rocket (expected", "columns that alarm most:"):
        assert told in out
    for name in ("isthmus", "PCA residual", "k-NN distance", "isolation forest"):
        assert re.search(rf"^{name} +[\d.]+ ", out, re.M)
    assert "a test made by hand" in out
    assert re.search(r"(is as good here|is better here)", out)
    assert "isthmus detect --model kept DATA" in out
    assert "wrote alarms.csv (120 lines)" in out


def test_the_table_has_a_line_a_row(folder, kept):
    table = pd.read_csv(folder / "alarms.csv", keep_default_na=False)
    assert list(table.columns) == ["id", "row", "score", "p_value", "alarm", "reasons"]
    assert len(table) == 120
    assert table.alarm[[3, 5]].all()
    assert table.reasons[5].startswith("kind: rocket")
    np.testing.assert_array_equal(table.alarm == 1, table.p_value <= 0.02)


def test_a_kept_detector_gives_the_same(good, folder, kept, tmp_path):
    model, _ = kept
    out = good("detect", "--model", model, folder / "new.csv", "--alpha", 0.02, "--ids", "id", "-o", "again.csv")
    assert (tmp_path / "again.csv").read_text() == (folder / "alarms.csv").read_text()
    assert "a detector fitted on 400 rows of train.csv" in out
    assert "a test made by hand" in out, "what was found at the fit is told again"
    assert "not on these rows, but when the detector was made" in " ".join(out.split())
    assert Detector.load(model).facts["reading"] == {}


def test_labels_measure_and_are_never_shown(good, folder):
    out = good("detect", folder / "train.csv", folder / "labelled.csv", "--labels", "broken", "--no-baselines", "--save", "m")
    assert "rows labelled '0' count as healthy" in out
    assert "broken" not in Detector.load("m").columns
    out = good("detect", "--model", "m", folder / "labelled.csv", "--labels", "broken")
    assert "120 rows, of which the labels call 3 anomalies" in out
    assert "when the detector was made" not in " ".join(out.split()), "these rows are what it was measured on"
    assert "average precision" in out


def test_labels_of_the_rows_learned_from(good, folder):
    out = good("detect", folder / "labelled.csv", "--labels", "broken", "--kind", "id=identifier", "--save", "m")
    assert "in which there may be anomalies" in out
    assert "p-values are rather too large" in out
    detector = Detector.load("m")
    assert set(detector.columns) == {"kind", "km", "price"}
    assert detector.facts["polluted"]


def test_a_page(good, folder, kept, tmp_path):
    model, _ = kept
    good("detect", "--model", model, folder / "new.csv", "--report", "page.html", "--only-alarms", "-o", "a.parquet")
    page = (tmp_path / "page.html").read_text()
    assert "Anomalies in new.csv" in page
    assert "rocket" in page
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert table.alarm.all()


def test_a_false_discovery_rate(good, folder, kept):
    model, _ = kept
    out = good("detect", "--model", model, folder / "new.csv", "--fdr", 0.2)
    assert "false discovery rate 0.2" in out
    out = good("detect", "--model", model, folder / "new.csv", "--fdr", 0.0001)
    assert "warning: with 400 calibration rows and 120 rows at once" in out


def test_a_stream(good, folder, kept, tmp_path):
    model, _ = kept
    (tmp_path / "parts").mkdir()
    new = pd.read_csv(folder / "new.csv")
    new.iloc[:50].to_parquet(tmp_path / "parts" / "a.parquet")
    new.iloc[50:].to_parquet(tmp_path / "parts" / "b.parquet")
    good("detect", "--model", model, "parts", "--alpha", 0.02, "--ids", "id", "--stream", "always", "-o", "streamed.csv")
    streamed, read = (pd.read_csv(path, keep_default_na=False) for path in (tmp_path / "streamed.csv", folder / "alarms.csv"))
    assert list(streamed.id) == list(read.id)
    np.testing.assert_allclose(streamed.score, read.score, rtol=1e-4)
    np.testing.assert_array_equal(streamed.alarm, read.alarm)
    assert "at alpha = 0.05, on a drifting" not in good("detect", "--model", model, "parts", "--drifting", "--alpha", 0.05)


def test_learning_from_a_stream(good, folder, tmp_path):
    for name in ("train", "new"):
        pd.read_csv(folder / f"{name}.csv").to_parquet(tmp_path / f"{name}.parquet")
    out = good(
        "detect", "train.parquet", "new.parquet", "--stream", "always", "--rows", 200, "--drop", "id", "--no-baselines", "--save", "m"
    )
    assert "learned from a random sample of 200 of the 400 rows" in out
    assert Detector.load("m").facts["reading"] == {"drop": ["id"]}


def test_arrays_and_options_of_reading(good, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", X=rng.normal(size=(100, 4)), y=np.arange(100) % 20 == 0)
    out = good("detect", "data.npz", "--key", "X", "--labels", "y", "--contamination", 0.05, "--seed", 3)
    assert "the labels call 5 anomalies" in out


def test_a_schema_file(good, folder, tmp_path):
    good("schema", folder / "train.csv", "-o", "schema.toml", "--kind", "id=identifier", "--kind", "price=heavy")
    good("detect", folder / "train.csv", folder / "new.csv", "--schema", "schema.toml", "--save", "m", "--no-baselines")
    kinds = {column.name: column.kind for column in Detector.load("m").layout.schema.types}
    assert kinds["price"] == "heavy"
    assert kinds["id"] == "identifier"


def test_logs(good, real_data):
    out = good("detect", "--logs", real_data / "logs" / "Apache_2k.log", "--window", "50", "--save", "m", "--alpha", 0.05)
    assert "templates" in out
    assert json.loads(Path("m/config.json").read_text())["format"] == "isthmus log detector"
    assert "alarms at alpha = 0.05" in good("detect", "--logs", real_data / "logs" / "Apache_2k.log", "--model", "m", "--alpha", 0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "detect needs data"),
        (["train.csv", "new.csv", "--model", "kept"], "give only the rows to judge"),
        (["new.csv", "--model", "kept", "--save", "other"], "--save keeps a detector that was just fitted"),
        (["train.csv", "--alpha", "0.1", "--fdr", "0.1"], "--alpha or --fdr, not both"),
        (["train.csv", "--alpha", "1.5"], "alpha must lie between 0 and 1"),
        (["train.csv", "--alpha", "0"], "alpha must lie between 0 and 1"),
        (["train.csv", "--fdr", "2", "new.csv"], "fdr must lie between 0 and 1"),
        (["train.csv", "-o", "alarms.txt"], "must end in one of .csv, .tsv, .parquet"),
        (["train.csv", "--report", "page.pdf"], "must end in one of .html"),
        (["train.csv", "--save", "kept"], "--overwrite"),
        (["train.csv", "--healthy", "--contamination", "0.7"], "contamination must be below 0.5"),
        (["nothing.csv"], "there is no file or folder nothing.csv"),
        (["--model", "nothing", "new.csv"], "no saved model"),
        (["train.csv", "--kind", "km=colour"], "the kind must be one of"),
        (["train.csv", "--labels", "km"], "different labels"),
        (["train.csv", "--labels", "nobody"], "'nobody'"),
        (["train.csv", "--window", "5m"], "go with --logs"),
        (["app.log", "train.csv"], "The lines of a log go to `isthmus detect --logs`"),
        (["--logs", "train.csv", "--fdr", "0.1"], "leave out --fdr"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(refused, folder, kept, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    Path("app.log").touch()
    assert message in refused("detect", *arguments)


@pytest.mark.parametrize(("rows", "labels"), [(["train.csv"], "nobody"), (["train.csv", "new.csv"], "km")])
def test_labels_that_cannot_be_are_refused_before_the_learning(refused, folder, monkeypatch, rows, labels):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("isthmus.cli.detecting._fit", lambda *_: pytest.fail("it learned first"))
    refused("detect", *rows, "--labels", labels)


def test_two_rows_and_one_column(refused, good, tmp_path):
    (tmp_path / "two.csv").write_text("a,b\n1,2\n3,4\n")
    assert "at least 5 healthy rows" in refused("detect", "two.csv")
    pd.DataFrame({"a": np.random.default_rng(0).normal(size=60)}).to_csv(tmp_path / "one.csv", index=False)
    assert "60 rows" in good("detect", "one.csv")


def test_columns_missing_in_new_rows(refused, folder, kept, tmp_path):
    pd.read_csv(folder / "new.csv").drop(columns="km").to_csv(tmp_path / "new.csv", index=False)
    assert "'km'" in refused("detect", "--model", kept[0], "new.csv")
