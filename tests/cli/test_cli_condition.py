"""A model that knows the class of each row, from the command line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris


def columns(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", skiprows=1)


@pytest.fixture
def flowers(good, tmp_path) -> Path:
    frame = load_iris(as_frame=True)
    table = frame.data.assign(species=np.asarray(frame.target_names)[frame.target])
    table.to_csv(tmp_path / "flowers.csv", index=False)
    table.drop(columns="species").to_csv(tmp_path / "bare.csv", index=False)
    good("fit", "flowers.csv", "--family", "conditional_vae", "--condition", "species", "--steps", 300, "--out", "model")
    return tmp_path


def test_rows_of_a_wanted_class_are_drawn(flowers, good) -> None:
    means = {}
    for species in ("setosa", "virginica"):
        good("sample", "model", "-n", 200, "--condition", species, "--out", f"{species}.csv")
        means[species] = columns(flowers / f"{species}.csv").mean(0)
    data = load_iris()
    real = {name: data.data[data.target == k].mean(0) for k, name in enumerate(data.target_names)}
    apart = np.abs(real["virginica"] - real["setosa"])
    for species, mean in means.items():
        assert (np.abs(mean - real[species]) < 0.4 * apart.max()).all()
    assert means["virginica"][2] - means["setosa"][2] > 0.6 * apart[2]  # petals' length


def test_all_commands_that_read_rows_read_their_condition(flowers, good) -> None:
    good("encode", "model", "flowers.csv", "--out", "codes.csv")
    good("reconstruct", "model", "flowers.csv", "--out", "rebuilt.csv")
    good("score", "model", "flowers.csv", "--out", "scores.csv")
    assert "log p(x)" in good("evaluate", "model", "flowers.csv")
    with (flowers / "rebuilt.csv").open() as file:
        assert next(csv.reader(file)) == load_iris().feature_names
    assert {len(columns(flowers / name)) for name in ("codes.csv", "rebuilt.csv", "scores.csv")} == {150}
    # A row beside a class that is not its own is less familiar.
    lines = (flowers / "flowers.csv").read_text()
    swapped = lines.replace("setosa", "?").replace("virginica", "setosa").replace("?", "virginica")
    (flowers / "swapped.csv").write_text(swapped)
    good("score", "model", "swapped.csv", "--out", "others.csv")
    own, other = (columns(flowers / name)[:, 0] for name in ("scores.csv", "others.csv"))
    assert (other < own)[load_iris().target != 1].mean() > 0.9


def test_a_condition_that_is_missing_or_new_is_named(flowers, refused) -> None:
    assert "class 'tulip', which was not there in training; known are setosa, versicolor, virginica" in refused(
        "sample", "model", "-n", 3, "--condition", "tulip", "--out", "new.csv"
    )
    assert "there is no column 'species'" in refused("encode", "model", "bare.csv", "--out", "codes.csv")
    assert "there is no column 'petal'" in refused(
        "fit", "flowers.csv", "--family", "conditional_vae", "--condition", "petal", "--out", "other"
    )
    assert "needs the class of each row" in refused("fit", "flowers.csv", "--family", "conditional_vae", "--out", "other")
    assert not (flowers / "other").exists()
    assert not (flowers / "codes.csv").exists()


def test_a_condition_in_a_file_of_its_own_goes_to_every_command(good, refused, files, tmp_path) -> None:
    data = files / "digits.npz", "--key", "x_train"
    (tmp_path / "y.txt").write_text("\n".join(str(i % 10) for i in range(200)))
    known = ("--condition", "y.txt")
    good("fit", *data, "--family", "conditional_vae", *known, "--steps", 20, "--latent", 3, "--out", "model")
    assert "give the condition of each row" in refused("encode", "model", *data, "--out", "codes.csv")
    for command in ("encode", "score", "uncertainty", "cluster", "neighbours"):
        good(command, "model", *data, *known, "--out", f"{command}.csv")
        assert (tmp_path / f"{command}.csv").exists()
    for command, *more in (("traverse",), ("arithmetic", "--plus", "0,2"), ("interpolate", "--along", "decoder"), ("reconstruct",)):
        good(command, "model", *data, *known, "--out", f"{command}.npy", *more)
    # The condition is no unit of the code, so it is not traversed.
    assert np.load(tmp_path / "traverse.npy").shape == (3, 9, 8, 8, 1)
    out = good("evaluate", "model", *data, *known, "-k", 20)
    assert "likelihood Gaussian" in out
    assert "approximation" in out
    good("sample", "model", "-n", 4, "--condition", 3, "--out", "threes.png")


def test_several_columns_and_numbers_are_a_condition(good, refused, files, tmp_path) -> None:
    data = files / "labelled.csv"
    good("fit", data, "--family", "iwae", "--condition", "cultivar,alcohol", "--steps", 400, "--latent", 2, "--out", "model")
    good("sample", "model", "-n", 50, "--condition", "class_0,14.5", "--out", "strong.csv")
    good("sample", "model", "-n", 50, "--condition", "class_0,12.5", "--out", "weak.csv")
    strong, weak = (columns(tmp_path / f"{name}.csv") for name in ("strong", "weak"))
    assert strong.shape == (50, 12)
    assert strong[:, -1].mean() > weak[:, -1].mean() + 50, "more alcohol, more proline, within the class"
    assert "the condition has 1 columns" in refused("sample", "model", "--condition", "class_0", "--out", "new.csv")
    assert "'much' is none" in refused("sample", "model", "--condition", "class_0,much", "--out", "new.csv")
    assert "knows no condition: use --solver gradient" in refused(
        "fit", data, "--family", "linear", "--condition", "cultivar", "--out", "pca"
    )
