"""Commands that measure: codes that can be counted, classes by Bayes' rule, disentanglement."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.datasets import load_iris

from isthmus.cli.measuring import by_figure


def test_evaluate_tells_what_words_cost_and_how_they_are_used(good, files, tmp_path) -> None:
    data = files / "digits.npz", "--key", "x_train"
    good("fit", *data, "--family", "vqvae", "--latent", 4, "--code-width", 2, "--codebook", 6, "--steps", 60, "--out", "words")
    out = good("evaluate", "words", *data, "--ais-rows", 2, "--ais-steps", 12, "--gap-rows", 4, "--out", "figures.json")
    for line in ("reconstruction", "code", "bound on -log p(x)", "perplexity of groups", "dead values", "(exact)", "best single code"):
        assert line in out
    found = json.loads((tmp_path / "figures.json").read_text())
    parts = {name: row["nats"] for name, row in found["figures"].items()}
    assert parts["bound on -log p(x)"] == pytest.approx(parts["reconstruction"] + parts["code"])
    assert found["gap"]["total"] >= 0
    assert len(found["perplexity of groups"]) == 2
    good("fit", *data, "--family", "fsq", "--latent", 8, "--steps", 20, "--out", "levels")
    assert "codes are too many to go through" in good("evaluate", "levels", *data)


def test_evaluate_measures_what_lies_elsewhere_than_in_all_of_space(good, files) -> None:
    data = files / "digits.npz", "--key", "x_train"
    effort = ("--ais-rows", 2, "--ais-steps", 10, "--gap-rows", 2, "-k", 20, "--rows", 8)
    for posterior, told in (("sphere", "stereographic"), ("beta", "logits"), ("categories", "(exact)")):
        good("fit", *data, "--family", "vae", "--posterior", posterior, "--latent", 4, "--steps", 20, "--out", posterior)
        out = good("evaluate", posterior, *data, *effort)
        assert "approximation" in out
        assert "log p(x), annealed, 2 rows" in out
        assert told in out


@pytest.fixture
def flowers(good, tmp_path):
    frame = load_iris(as_frame=True)
    table = frame.data.assign(species=np.asarray(frame.target_names)[frame.target])
    table.to_csv(tmp_path / "flowers.csv", index=False)
    table.drop(columns="species").to_csv(tmp_path / "bare.csv", index=False)
    table[::2].drop(columns="species").to_csv(tmp_path / "usual.csv", index=False)
    (table[:40].drop(columns="species") * 3).to_csv(tmp_path / "huge.csv", index=False)
    good("fit", "flowers.csv", "--family", "conditional_vae", "--condition", "species", "--latent", 2, "--steps", 400, "--out", "model")
    return tmp_path


def test_rows_are_classified_with_and_without_known_classes(flowers, good, refused) -> None:
    out = good("classify", "model", "flowers.csv", "--out", "classes.csv")
    assert "Bayes' rule" in out
    assert "measured on the 15 rows that the fit held out: too few to find a temperature with" in out
    with (flowers / "classes.csv").open() as file:
        lines = list(csv.DictReader(file))
    names = np.asarray(load_iris().target_names)[load_iris().target]
    assert np.mean([line["class"] == name for line, name in zip(lines, names)]) > 0.9
    for line in lines[:5]:
        chances = [float(line[f"p({name})"]) for name in ("setosa", "versicolor", "virginica")]
        assert sum(chances) == pytest.approx(1)
        assert max(chances) == float(line["probability"])
    bare = good("classify", "model", "bare.csv", "--out", "others.csv")
    assert "Bayes' rule" not in bare
    assert (flowers / "others.csv").read_text() == (flowers / "classes.csv").read_text()
    shuffled = good("classify", "model", "bare.csv", "--labels", "flowers.csv", "--labels-key", "species")
    assert "Bayes' rule" in shuffled


def test_a_temperature_is_found_on_one_half_and_measured_on_the_other(flowers, good) -> None:
    (flowers / "flowers.csv").write_text("\n".join((flowers / "flowers.csv").read_text().splitlines()[:-1]) + "\n")  # other data
    out = good("classify", "model", "flowers.csv", "--out", "classes.csv")
    assert "measured on half of all 149 rows" in out
    assert "temperature" in out.splitlines()[3]
    fixed = good("classify", "model", "bare.csv", "--temperature", 3, "--out", "classes.csv")
    assert "temperature 3)" in fixed


def test_unfamiliar_rows_are_told_beside_usual_ones(flowers, good) -> None:
    out = good("classify", "model", "huge.csv", "--usual", "usual.csv", "--out", "classes.csv")
    line = next(line for line in out.splitlines() if line.startswith("unfamiliar by likelihood"))
    assert "100.0%" in line
    assert "typicality" in (flowers / "classes.csv").read_text().splitlines()[0]
    assert "unfamiliar" not in good("classify", "model", "huge.csv")


def test_what_cannot_be_classified_is_said(flowers, good, refused, files, models) -> None:
    assert "it must be told one class" in refused("classify", models / "table", files / "wine.csv")
    good("fit", "flowers.csv", "--condition", "species", "--family", "undercomplete", "--steps", 10, "--out", "plain")
    assert "has no prior" in refused("classify", "plain", "flowers.csv")
    assert "fitted to the codes" in good("sample", "plain", "--condition", "setosa", "-n", 5, "--out", "rows.csv")
    (flowers / "wrong.txt").write_text("tulip\n" * 150)
    assert "the label 'tulip' was not among those fitted on" in refused("classify", "model", "bare.csv", "--labels", "wrong.txt")
    (flowers / "few.txt").write_text("setosa\n" * 9)
    assert "9 labels, but the data have 150 rows" in refused("classify", "model", "bare.csv", "--labels", "few.txt")
    assert "temperature must be a positive number" in refused("classify", "model", "bare.csv", "--temperature", -1)


def test_disentanglement_on_sprites(good, refused, tmp_path, models) -> None:
    assert "needs a MODEL" in refused("disentanglement")
    good("disentanglement", "--write", "sprites.npz", "--rows", 400)
    with np.load(tmp_path / "sprites.npz") as archive:
        assert archive["pictures"].shape == (400, 32, 32, 1)
        assert set(archive.files) == {"pictures", "shape", "size", "angle", "x", "y"}
    good("fit", "sprites.npz", "--key", "pictures", "--family", "linear", "--latent", 4, "--out", "a")
    out = good("disentanglement", "a", "--rows", 300, "--votes", 40, "--out", "figures.json")
    found = json.loads((tmp_path / "figures.json").read_text())["models"]
    assert 0 <= found["a"]["MIG"] <= 1
    assert f"{found['a']['FactorVAE score']:.4g}" in next(line for line in out.splitlines() if line.startswith("FactorVAE score"))
    several = by_figure({"a": {"MIG": 0.2}, "b": {"MIG": 0.4}})
    assert several == {"MIG": {"mean": pytest.approx(0.3), "deviation": pytest.approx(0.1414, abs=1e-4)}}
    assert "not the sprites of 32 x 32 x 1" in refused("disentanglement", models / "table")
