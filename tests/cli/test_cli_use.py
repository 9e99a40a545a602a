"""The commands that use a model: what they write, in every format, and what they print."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from isthmus.artifact import Artifact
from isthmus.data import read
from isthmus.tasks import codes


def table(path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    return rows[0], rows[1:]


def values(path) -> np.ndarray:
    import pyarrow.parquet as parquet

    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return archive["data"]
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pandas().to_numpy()
    return np.loadtxt(path, delimiter="\t" if path.suffix == ".tsv" else ",", skiprows=1, ndmin=2)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "npy", "npz"])
def test_codes_follow_the_ending(good, files, models, tmp_path, ending) -> None:
    artifact = Artifact.load(models / "table")
    expected = codes.encode(artifact, read(files / "wine.csv"))
    out = good("encode", models / "table", files / "wine.csv", "--out", f"codes.{ending}")
    assert out == f"wrote codes.{ending} (178 x 2)\n"
    assert np.array_equal(values(tmp_path / f"codes.{ending}").astype(np.float32), expected)


def test_columns_are_found_by_name_wherever_they_stand(good, files, models, tmp_path) -> None:
    head, rows = table(files / "labelled.csv")
    with (tmp_path / "turned.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([row[::-1] for row in [head, *rows]])
    good("encode", models / "table", files / "wine.csv", "--out", "a.npy")
    assert "read 13 of the 14 columns" in good("encode", models / "table", "turned.csv", "--out", "b.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_reconstructions_come_in_the_units_and_columns_of_the_data(good, files, models, tmp_path, wine) -> None:
    good("reconstruct", models / "table", files / "wine.csv", "--out", "back.csv")
    head, rows = table(tmp_path / "back.csv")
    assert head == wine[1]
    found = np.asarray(rows, dtype=float)
    assert np.square(found - wine[0]).mean(0).sum() < wine[0].var(0).sum()


def test_pictures_are_written_as_a_sheet_or_a_folder(good, files, models, tmp_path) -> None:
    for out in ("back.png", "back.jpg", "folder", "back.npy"):
        assert "(40 x 8 x 8 x 1)" in good("reconstruct", models / "pictures", files / "pictures", "--out", out)
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == sorted(path.name for path in (files / "pictures").iterdir())
    with Image.open(tmp_path / "folder/digit00.png") as picture:
        assert picture.size == (8, 8)
        assert np.array_equal(np.asarray(picture), np.load(tmp_path / "back.npy")[0, ..., 0])
    good("encode", models / "pictures", files / "pictures")
    head, rows = table(tmp_path / "codes.csv")
    assert head == ["id", "z0", "z1", "z2"]
    assert rows[3][0] == "digit03.png"


def test_scores_name_the_strangest_rows(good, files, models, tmp_path, wine) -> None:
    odd = np.vstack([wine[0], 50 * wine[0].max(0)])
    np.savetxt(tmp_path / "odd.csv", odd, delimiter=",", header=",".join(wine[1]), comments="")
    out = good("score", models / "table", "odd.csv", "--out", "scores.csv")
    assert "strangest rows (score)" in out
    assert out.split("strangest rows (score)")[1].split()[0] == "178"
    head, rows = table(tmp_path / "scores.csv")
    assert head == ["score", "error"]
    assert int(np.argmin([float(score) for score, _ in rows])) == 178
    assert "digit" in good("score", models / "pictures", files / "pictures")


def test_the_same_row_always_gets_the_same_score(good, files, models, tmp_path) -> None:
    for out in ("a.npy", "b.npy"):
        good("score", models / "table", files / "wine.csv", "--out", out)
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_samples_are_decided_by_the_seed(good, models, tmp_path, wine) -> None:
    for out, seed in (("a.csv", 1), ("b.csv", 1), ("c.csv", 2)):
        good("sample", models / "table", "--out", out, "-n", 5, "--seed", seed)
    head, rows = table(tmp_path / "a.csv")
    assert (head, len(rows)) == (wine[1], 5)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text() != (tmp_path / "c.csv").read_text()


def test_sampled_pictures_are_smooth_unless_draws_are_asked_for(good, models, tmp_path) -> None:
    for out, more in (("plain.npy", ()), ("mean.npy", ("--mean",)), ("draw.npy", ("--draw",))):
        good("sample", models / "pictures", "--out", out, "-n", 9, *more)
    plain, mean, draw = (np.load(tmp_path / f"{name}.npy") for name in ("plain", "mean", "draw"))
    assert np.array_equal(plain, mean)
    assert not np.array_equal(plain, draw)
    good("sample", models / "pictures", "--out", "sheet.png", "-n", 9)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) >= 3 * 8


def test_paths_begin_and_end_at_the_reconstructions(good, files, models, tmp_path) -> None:
    good("reconstruct", models / "table", files / "wine.csv", "--out", "back.csv")
    assert "(12 x 13)" in good(
        "interpolate", models / "table", files / "wine.csv", "--out", "path.csv", "--pair", "3,7", "--pair", "1,2", "--steps", 6
    )
    back, path = values(tmp_path / "back.csv"), values(tmp_path / "path.csv")
    assert np.allclose(path[[0, 5, 6, 11]], back[[3, 7, 1, 2]], rtol=1e-5)
    assert "(1 x 8 x 8 x 8 x 1)" in good("interpolate", models / "pictures", files / "pictures", "--out", "path.png", "--spherical")
    good("interpolate", models / "pictures", files / "pictures", "--out", "pixels.csv", "--pair", "0,1", "--pair", "1,2", "--steps", 3)
    assert values(tmp_path / "pixels.csv").shape == (6, 64)


def test_info_shows_what_is_known(good, files, models, tmp_path) -> None:
    out = good("info", models / "table", "--history", "curve.csv")
    config = json.loads((models / "table/config.json").read_text())
    for name in config["settings"]:
        assert f"\n{name.replace('_', '-')} " in out
    for line in ("family ", "variational", "Held-out figures", "share of variance explained", "kept step"):
        assert line in out
    head, rows = table(tmp_path / "curve.csv")
    assert {"step", "train", "held_out", "samples_per_second"} <= set(head)
    assert float(rows[-1][head.index("step")]) == 60


def test_list_tells_every_part_in_a_line(good) -> None:
    from isthmus.cli.fitting import catalogue

    out = good("list")
    for title, entries in catalogue().items():
        assert f"\n{title}" in out
        for name in filter(None, entries):
            assert f"\n{name} " in out
    assert ":math:" not in out
    assert "`" not in out


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_printed_is_wider_than_the_terminal(good, monkeypatch, files, models, width) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    calls = (("list",), ("info", models / "table"), ("score", models / "pictures", files / "pictures"))
    calls += (("report", models / "table", files / "labelled.csv", "--labels-key", "cultivar"), ("--help",), ("fit", "--help"))
    for arguments in calls:
        out = good(*arguments)
        assert max(map(len, out.splitlines())) <= width
        assert "…" not in out


def test_the_report_measures_the_rows_held_out(good, files, models, tmp_path) -> None:
    out = good("report", models / "table", files / "wine.csv")
    assert out.startswith("Measured on the 18 rows that the fit held out")
    assert "PCA" in out
    assert "k-NN" not in out
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_report_knows_the_data_again_whatever_they_are_called(good, files, models, tmp_path, wine) -> None:
    (tmp_path / "renamed.csv").write_bytes((files / "wine.csv").read_bytes())
    assert "18 rows that the fit held out" in good("report", models / "table", "renamed.csv")
    changed = wine[0].copy()
    changed[0, 0] += 1
    np.savetxt(tmp_path / "wine.csv", changed, delimiter=",", header=",".join(wine[1]), comments="")
    assert "Measured on all 178 rows of wine.csv" in good("report", models / "table", "wine.csv")


def test_the_report_takes_labels_from_the_data_or_beside_them(good, refused, files, models, tmp_path, wine) -> None:
    (tmp_path / "beside.txt").write_text("\n".join(wine[2]) + "\n")
    one = good("report", models / "table", files / "labelled.csv", "--labels-key", "cultivar")
    other = good("report", models / "table", files / "wine.csv", "--labels", "beside.txt")
    assert "raw values" in one
    assert one.split("reconstruction", 1)[1] == other.split("reconstruction", 1)[1]
    told = refused("report", models / "table", files / "labelled.csv", "--labels", files / "labelled.csv")
    assert "Say which one holds the labels (--labels-key NAME)" in told
    (tmp_path / "few.txt").write_text("a\nb\n")
    assert "has 2 labels, but the data have 178 rows" in refused("report", models / "table", files / "wine.csv", "--labels", "few.txt")


def test_the_report_of_pictures_shows_them(good, files, models, tmp_path) -> None:
    good("report", models / "pictures", files / "pictures", "--out", "p.html")
    page = (tmp_path / "p.html").read_text()
    assert page.count("data:image/png;base64,") >= 4
    for heading in ("Originals and reconstructions", "New pictures", "Learning curves"):
        assert heading in page
