"""``isthmus fit-many``: many tables, grids, ensembles."""

from __future__ import annotations

import csv
import os
import signal
import time

import numpy as np
import pytest
from rich.console import Console

from isthmus.artifact import Artifact
from isthmus.cli import grid
from isthmus.errors import ConfigError

FEW = ("--steps", 40, "--evaluate-every", 20)


def summary(folder) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "summary.csv").read_text(encoding="utf-8").splitlines()))


def test_a_model_for_each_table(good, files, tmp_path) -> None:
    out = good("fit-many", files / "wine.csv", files / "several.npz", "--key", "white", *FEW, "--latent", 2)
    assert "2 models on 2 data sets" in out
    rows = summary(tmp_path / "models")
    assert sorted(row["model"] for row in rows) == ["several", "wine"]
    for row in rows:
        artifact = Artifact.load(tmp_path / "models" / row["model"])
        assert (artifact.config["latent"], row["steps"], row["state"]) == (2, "40", "steps")
        assert "fit-many" in artifact.facts["command"]
    assert Artifact.load(tmp_path / "models/several").facts["reading"] == {"key": "white"}
    good("encode", "models/wine", files / "wine.csv")


def test_a_grid_with_seeds_is_sorted_by_the_held_out_loss(good, files, tmp_path) -> None:
    flags = ("--grid", "latent=2,4", "--grid", "hidden=16x8,12", "--grid", "clip=1,0.5", "--seeds", 2, "--seed", 5)
    out = good("fit-many", files / "wine.csv", *FEW, *flags, "--out", "grid")
    rows = summary(tmp_path / "grid")
    assert len({row["model"] for row in rows}) == 16
    losses = [float(row["held_out_loss"]) for row in rows]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1]
    first = rows[0]
    config = Artifact.load(tmp_path / "grid" / first["model"]).config
    assert first["model"] == f"wine_latent={first['latent']}_hidden={first['hidden']}_clip={first['clip']}_seed={first['seed']}"
    assert [config["latent"], config["seed"]] == [int(first["latent"]), int(first["seed"])]
    assert "x".join(map(str, config["hidden"])) == first["hidden"]
    assert config["clip"] == float(first["clip"])
    assert {row["seed"] for row in rows} == {"5", "6"}
    shown = [line.split()[0] for line in out.splitlines() if line.startswith("wine_")]
    assert shown == [row["model"] for row in rows]


def test_each_is_the_model_that_fit_gives(good, files, tmp_path) -> None:
    good("fit-many", files / "wine.csv", *FEW, "--grid", "latent=2,3", "--family", "variational")
    good("fit", files / "wine.csv", *FEW, "--latent", 3, "--family", "variational", "--out", "alone")
    alone, other = Artifact.load(tmp_path / "alone"), Artifact.load(tmp_path / "models/wine_latent=3")
    assert alone.config == other.config
    assert other.history.column("held_out") == pytest.approx(alone.history.column("held_out"), rel=1e-4)


def test_finished_models_are_not_trained_again(good, files, tmp_path) -> None:
    call = ("fit-many", files / "wine.csv", *FEW, "--grid")
    good(*call, "latent=2,3")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "models").rglob("model.safetensors")}
    out = good(*call, "latent=2,3,4")
    assert "3 models on 1 data set, 2 of them there already" in out
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len(summary(tmp_path / "models")) == 3
    good(*call, "latent=2,3,4", "--overwrite")
    assert all(path.stat().st_mtime_ns > when for path, when in before.items())


def test_models_of_other_settings_or_data_are_not_taken_for_these(good, refused, files, tmp_path) -> None:
    np.savetxt(tmp_path / "wine.csv", np.random.default_rng(0).normal(size=(50, 4)), delimiter=",", header="a,b,c,d", comments="")
    good("fit-many", files / "wine.csv", *FEW, "--latent", 2)
    assert "models/wine holds a model fitted with latent 2, not 3: add --overwrite" in refused(
        "fit-many", files / "wine.csv", *FEW, "--latent", 3
    )
    assert "fitted with other data" in refused("fit-many", "wine.csv", *FEW, "--latent", 2)
    (tmp_path / "models/wine/config.json").unlink()
    assert "is no saved model" in refused("fit-many", files / "wine.csv", *FEW)


def test_tables_of_one_name_are_told_apart(good, refused, files, tmp_path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "wine.csv").write_bytes((files / "wine.csv").read_bytes())
    good("fit-many", "a/wine.csv", "b/wine.csv", *FEW)
    assert {row["model"] for row in summary(tmp_path / "models")} == {"a-wine", "b-wine"}
    assert "the same data are there twice" in refused("fit-many", "a/wine.csv", "a/wine.csv", *FEW)


def test_one_that_diverges_is_told_and_the_others_are_saved(call, files, tmp_path) -> None:
    outcome = call("fit-many", files / "wine.csv", *FEW, "--grid", "learning_rate=1e-3,1e30")
    assert outcome.code == 2
    assert outcome.err.startswith("error: 1 of 2 models diverged (wine_learning-rate=1e+30), the others are saved. ")
    assert len(outcome.err.strip().splitlines()) == 1
    rows = {row["model"]: row for row in summary(tmp_path / "models")}
    assert rows["wine_learning-rate=0.001"]["state"] == "steps"
    assert rows["wine_learning-rate=1e+30"]["state"] == "diverged"
    assert "became" in rows["wine_learning-rate=1e+30"]["error"]
    assert (tmp_path / "models/wine_learning-rate=0.001/config.json").exists()


def test_all_families_and_no_held_out_rows(good, files, tmp_path) -> None:
    out = good("fit-many", files / "wine.csv", *FEW, "--grid", "family=linear,undercomplete,sparse,denoising,variational", "--held-out", 0)
    assert "training" in out
    rows = summary(tmp_path / "models")
    assert len(rows) == 5
    losses = [float(row["training_loss"]) for row in rows]
    assert losses == sorted(losses)
    assert {row["held_out_loss"] for row in rows} == {""}


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_the_best_of_each_and_the_next_call_goes_on(started, process, files, tmp_path, workers) -> None:
    call = ("fit-many", files / "wine.csv", "--grid", "latent=2,3", "--evaluate-every", 20, "--patience", 1_000_000, "--grid", "seed=1,2")
    child = started(*call, "--steps", 3_000_000, "--workers", workers)
    deadline = time.time() + 240
    while child.poll() is None and time.time() < deadline and "training" not in (child.stdout.readline() if child.stdout else ""):
        pass
    time.sleep(2)
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=240)
    assert child.returncode == 130, err
    assert "interrupted: 4 models not trained to the end; run the same command again" in out
    assert [row["state"] for row in summary(tmp_path / "models")] == ["interrupted"] * 4
    assert all(Artifact.load(tmp_path / "models" / row["model"]).facts["training"]["kept step"] > 0 for row in summary(tmp_path / "models"))
    again = process(*call, "--steps", 3_000_000, "--held-out", 0.2)
    assert "holds a model fitted with held_out" in again.stderr


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--grid", "latent"), "--grid takes a setting and its values, such as 'latent=4,8', not 'latent'"),
        (("--grid", "latnt=2"), "unknown setting 'latnt'; did you mean 'latent'?"),
        (("--grid", "latent=two"), "latent must be a whole number, not 'two'"),
        (("--grid", "latent=2", "--grid", "latent=3"), "--grid has latent twice"),
        (("--grid", "latent=2", "--latent", 3), "latent is given both by --grid and by a setting of its own"),
        (("--grid", "seed=1,2", "--seeds", 2), "both vary the seed"),
        (("--grid", "hidden=a"), "takes whole numbers such as 256,128"),
        (("--seeds", 20_000), "that would be 20,000 models"),
        (("--stream", "always"), "fit-many trains on rows in memory"),
    ],
)
def test_what_makes_no_sense_is_refused(refused, files, flags, told) -> None:
    assert told in refused("fit-many", files / "wine.parquet", *flags)


def test_values_of_a_grid_have_the_type_of_the_setting() -> None:
    found = grid.parse_grid(["tied=true,false", "likelihood-scale=0.5,one", "clip=1", "family=linear"])
    assert found == {"tied": [True, False], "likelihood_scale": [0.5, "one"], "clip": [1.0], "family": ["linear"]}
    with pytest.raises(ConfigError, match="tied must be true or false, not 'maybe'"):
        grid.parse_grid(["tied=maybe"])


def test_the_bar_moves_by_models() -> None:
    bar = grid.Bar(Console(quiet=True, force_terminal=True), 2)
    watchers = [grid.Watch(bar), grid.Watch(bar)]
    for watcher in watchers:
        watcher.started(grid.TrainingConfig(steps=40), 0)
        watcher.stepped(20, {})
    assert bar.progress.tasks[0].completed == 1.0
    watchers[0].finished("early")
    watchers[1].finished("interrupted")
    assert bar.progress.tasks[0].completed == 1.5
    bar.close()
