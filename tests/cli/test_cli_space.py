"""The commands that measure a model and walk through its codes: on real files, with pictures to look at."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from isthmus.artifact import Artifact


def sheet(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def table(path) -> tuple[list[str], np.ndarray]:
    lines = path.read_text().splitlines()
    return lines[0].split(","), np.array([[float(v) for v in line.split(",")] for line in lines[1:]])


def test_evaluate_prints_nats_with_their_conventions(good, files, models, tmp_path) -> None:
    arguments = ("--gap-rows", 4, "--ais-rows", 2, "--ais-steps", 10, "-k", 50, "--out", "figures.json")
    out = good("evaluate", models / "table", files / "wine.csv", *arguments)
    assert "18 rows: the 18 rows that the fit held out" in out
    for line in ("reconstruction", "negative ELBO", "negative log likelihood (k = 50)", "active units", "approximation", "every constant"):
        assert line in out
    found = json.loads((tmp_path / "figures.json").read_text())
    parts = {name: row["nats"] for name, row in found["figures"].items()}
    assert parts["negative ELBO"] == pytest.approx(parts["reconstruction"] + parts["KL"])
    assert parts["negative log likelihood (k = 50)"] < parts["negative ELBO"] + 0.05
    row = found["figures"]["KL"]
    assert row["nats"] == pytest.approx(row["bits"] * np.log(2)) == pytest.approx(row["bits per dimension"] * 13 * np.log(2))


def test_evaluate_treats_grey_pictures(good, files, models) -> None:
    out = good("evaluate", models / "pictures", files / "pictures", "--gap-rows", 0, "-k", 20, "--treatment", "dequantise", "--rows", 3)
    assert "bits per dimension bound those of the 8-bit values" in out
    assert "3 rows" in out


def test_a_plain_model_is_sampled_and_told_how(good, models, tmp_path) -> None:
    out = good("sample", models / "plain", "--out", "rows.csv", "-n", 7)
    assert "codes drawn from a" in out
    assert "fitted to the codes" in out
    assert table(tmp_path / "rows.csv")[1].shape == (7, 13)


def test_density_is_fitted_to_a_saved_model(good, refused, files, models, tmp_path) -> None:
    bare = Artifact.load(models / "plain")
    bare.density = None
    bare.facts.pop("density", None)
    bare.save(tmp_path / "bare")
    out = good("density", "bare", files / "wine.csv", "--components", 3)
    assert "sampling now draws codes from: mixture of 3 Gaussians" in out
    assert Artifact.load(tmp_path / "bare").density.components == 3
    good("sample", "bare", "--out", "rows.csv")
    assert "components must be at least 1" in refused("density", "bare", files / "wine.csv", "--components", 0)


def test_quality_stands_beside_the_floor(good, refused, files, models, tmp_path) -> None:
    from isthmus.data import read
    from isthmus.tasks.config import Config
    from isthmus.tasks.fit import fit

    data = ("quality", "half", files / "digits.npz", "--key", "x_train", "--labels-key", "y_train", "-n", 50)
    fit(read(files / "digits.npz", key="x_train"), Config(steps=50, latent=4, held_out=0.5)).save(tmp_path / "half")
    out = good(*data, "--out", "quality.json")
    found = json.loads((tmp_path / "quality.json").read_text())
    assert found["figures"].keys() == found["floor"].keys() >= {"Frechet distance", "coverage", "two-sample accuracy"}
    assert "samples  real rows" in out
    assert "labels are needed" in refused(*data[:5])


def test_traverse_edit_and_arithmetic_make_sheets(good, files, models, tmp_path) -> None:
    out = good("traverse", models / "pictures", files / "pictures", "--out", "traverse.png", "--steps", 5)
    assert "KL (nats)" in out
    assert "(3 x 5 x 8 x 8 x 1)" in out
    np.savez(tmp_path / "classes.npz", odd=np.arange(40) % 2, low=np.arange(40) < 20)
    labels = ("--labels", "classes.npz", "--labels-key", "odd", "--against", "low", "--no-original")
    out = good("edit", models / "pictures", files / "pictures", "--out", "edit.png", *labels, "--rows", "0,3", "--vector", "odd.npy")
    assert "(2 x 5 x 8 x 8 x 1)" in out
    assert np.load(tmp_path / "odd.npy").shape == (3,)
    good("arithmetic", models / "pictures", files / "pictures", "--out", "sum.png", "--plus", "1,2", "--minus", "3")
    good("interpolate", models / "pictures", files / "pictures", "--out", "path.png", "--pair", "0,9", "--along", "decoder")
    for name in ("traverse", "edit", "sum", "path"):
        assert len(np.unique(sheet(tmp_path / f"{name}.png"))) > 10


def test_tables_are_traversed_too(good, files, models, tmp_path) -> None:
    good("traverse", models / "table", files / "wine.csv", "--out", "traverse.csv", "--steps", 5)
    head, rows = table(tmp_path / "traverse.csv")
    assert rows.shape == (10, 13)
    assert head[0] == "alcohol"


def test_groups_neighbours_and_uncertainty_make_tables_and_sheets(good, files, models, tmp_path) -> None:
    pictures = models / "pictures", files / "pictures"
    assert "3 groups" in good("cluster", *pictures, "--groups", 3, "--picture", "groups.png")
    head, rows = table(tmp_path / "clusters.csv")
    assert head == ["group", "probability", "distance"]
    assert set(rows[:, 0]) == {0, 1, 2}
    good("neighbours", *pictures, "--rows", "4,7", "--count", 3, "--picture", "near.png")
    head, rows = table(tmp_path / "neighbours.csv")
    assert head == ["row", "neighbour", "distance"]
    assert rows[:, 0].tolist() == [4, 4, 4, 7, 7, 7]
    assert (rows[:, 1] != rows[:, 0]).all()
    good("uncertainty", *pictures, "--picture", "sure.png")
    assert table(tmp_path / "uncertainty.csv")[1].shape == (40, 3)
    for name in ("groups", "near", "sure"):
        assert sheet(tmp_path / f"{name}.png").std() > 20


def test_nothing_is_written_where_something_cannot_be(refused, good, files, models, tmp_path) -> None:
    pictures = models / "pictures", files / "pictures"
    for command in ("cluster", "neighbours", "uncertainty"):
        assert "--picture must end in one of .png" in refused(command, *pictures, "--out", "new.csv", "--picture", "new.txt")
        assert "for models of pictures" in refused(
            command, models / "table", files / "wine.csv", "--out", "new.csv", "--picture", "new.png"
        )
    np.save(tmp_path / "odd.npy", np.arange(40) % 2)
    assert "--strength must be numbers" in refused("edit", *pictures, "--labels", "odd.npy", "--strength", "nan", "--out", "new.png")
    assert "--count must be below" in refused("neighbours", *pictures, "--count", 40, "--out", "new.csv")
    assert "--out must end in one of .json" in refused("quality", *pictures, "--labels", "odd.npy", "--out", "new.txt")
    assert not list(tmp_path.glob("new.*"))
    good("evaluate", *pictures, "--gap-rows", 0, "-k", 5, "--out", "not/there/figures.json")
    assert (tmp_path / "not" / "there" / "figures.json").exists()
