"""``isthmus fit``: every kind of data, what it tells, config files, and that flags win."""

from __future__ import annotations

import re

import numpy as np
import pytest

from isthmus.artifact import Artifact
from isthmus.errors import TrainingError
from isthmus.tasks.config import Config


@pytest.mark.parametrize("name", ["wine.csv", "wine.parquet", "wine.npy", "digits.npz", "pictures"])
def test_every_kind_of_data_is_fitted_and_told(good, files, name) -> None:
    out = good("fit", files / name, "--steps", 20)
    rows = {"digits.npz": 200, "pictures": 40}.get(name, 178)
    assert out.startswith(f"{name}: {rows} ")
    assert Artifact.load("model").facts["rows"] == rows
    assert "Held-out figures" in out
    for line in ("isthmus encode model", "isthmus score model", "isthmus report model"):
        assert f"{line} {files / name}" in out


def test_an_array_of_several_is_named(good, refused, files) -> None:
    assert refused("fit", files / "several.npz").endswith("Name one with --key NAME. It has: 'red' (178, 13), 'white' (30, 13)")
    out = good("fit", files / "several.npz", "--key", "white", "--steps", 5)
    assert "several.npz --key white --out codes.csv" in out


def test_each_setting_that_applies_is_told_with_its_reason(good, files) -> None:
    out = good("fit", files / "wine.csv", "--family", "variational", "--steps", 20)
    table = {line.split()[0]: line for line in out.splitlines() if line and not line.startswith(" ")}
    for name in Artifact.load("model").config:
        assert name.replace("_", "-") in table
    assert table["family"].split() == ["family", "variational", "given"]
    assert "learned" in table["likelihood-scale"]


def test_each_setting_can_be_given_by_a_flag(good, files) -> None:
    given = {"family": "undercomplete", "latent": 3, "hidden": "16,8", "activation": "tanh", "likelihood": "laplace"}
    given |= {"likelihood-scale": 0.5, "scaling": "unit", "steps": 12, "batch": 16, "learning-rate": 0.01, "optimiser": "adamw"}
    given |= {"weight-decay": 0.1, "schedule": "linear", "warmup": 2, "clip": 1.0, "patience": 3, "evaluate-every": 6, "held-out": 0.2}
    given |= {"seed": 4, "device": "cpu", "precision": "fp32", "network": "mlp"}
    out = good("fit", files / "wine.csv", "--no-tied", *(part for name, value in given.items() for part in (f"--{name}", value)))
    config = Artifact.load("model").config
    assert config["hidden"] == [16, 8]
    assert config["tied"] is False
    for name, value in given.items():
        assert name == "hidden" or config[name.replace("-", "_")] == value
        assert re.search(rf"^{name} .* given", out, re.MULTILINE)


def test_linear_takes_no_steps_and_says_so(good, files) -> None:
    out = good("fit", files / "wine.csv", "--family", "linear", "--steps", 7)
    assert re.search(r"^steps +7 +not used by the closed form", out, re.MULTILINE)
    assert "learning-rate" not in out
    assert "solved in closed form" in out


@pytest.mark.parametrize("ending", ["toml", "yaml", "yml"])
def test_a_saved_config_gives_the_same_model_bit_for_bit(good, files, tmp_path, ending) -> None:
    flags = ("--family", "variational", "--steps", 30, "--columns", "alcohol,ash", "--columns", "hue", "--save-config", f"c.{ending}")
    good("fit", files / "wine.csv", *flags, "--out", "first")
    out = good("fit", files / "wine.csv", "--config", f"c.{ending}", "--out", "second")
    assert "read 3 of the 13 columns" in out
    assert (tmp_path / "first/model.safetensors").read_bytes() == (tmp_path / "second/model.safetensors").read_bytes()


def test_flags_win_over_the_file(good, files, tmp_path) -> None:
    (tmp_path / "c.toml").write_text('latent = 5\nsteps = 9\ncolumns = ["ash", "hue", "alcohol"]\n')
    good("fit", files / "wine.csv", "--config", "c.toml", "--latent", 2, "--columns", "ash,hue")
    loaded = Artifact.load("model")
    assert (loaded.config["latent"], loaded.config["steps"], loaded.schema.columns) == (2, 9, ("ash", "hue"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('latent = "a"', "latent must be a whole number, not 'a'"),
        ("latnt = 3", "unknown setting 'latnt'; did you mean 'latent'?"),
        ("zzz = 3", "unknown setting 'zzz'; known are family, latent"),
        ("latent = ", "is not valid TOML"),
        ("key = 5", "key must be text, not 5"),
        ("columns = 1.5", "columns must be names, not 1.5"),
        ("hidden = [true]", "hidden must be a list of whole numbers"),
    ],
)
def test_a_wrong_config_file_is_named_with_its_entry(refused, files, tmp_path, text, told) -> None:
    (tmp_path / "c.toml").write_text(text)
    assert f"c.toml{'' if told.startswith('is') else ':'} {told}" in refused("fit", files / "wine.csv", "--config", "c.toml")


def test_config_files_end_in_toml_or_yaml(refused, files, tmp_path) -> None:
    for text, name in (("- 1", "list.yaml"), ("a: [", "open.yaml")):
        (tmp_path / name).write_text(text)
        assert name in refused("fit", files / "wine.csv", "--config", name)
    assert "no.toml" in refused("fit", files / "wine.csv", "--config", "no.toml")
    assert "ends in .toml, .yaml or .yml" in refused("fit", files / "wine.csv", "--config", "c.json")
    assert "ends in .toml, .yaml or .yml" in refused("fit", files / "wine.csv", "--save-config", "c.ini")


def test_an_empty_config_file_changes_nothing(good, files, tmp_path) -> None:
    (tmp_path / "empty.yaml").write_text("\n")
    good("fit", files / "wine.csv", "--steps", 5, "--config", "empty.yaml")
    assert Artifact.load("model").config["steps"] == 5


def test_a_model_is_replaced_only_if_told_to(good, refused, files, tmp_path) -> None:
    good("fit", files / "wine.csv", "--steps", 5)
    assert refused("fit", files / "wine.csv", "--steps", 6).endswith("model holds a model already; add --overwrite or choose another --out")
    good("fit", files / "wine.csv", "--steps", 6, "--overwrite")
    assert Artifact.load("model").config["steps"] == 6
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    assert "is no saved model: it is left as it is" in refused("fit", files / "wine.csv", "--out", "mine", "--overwrite")
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"


def test_a_code_wider_than_a_row_is_allowed_with_a_warning(good, files) -> None:
    out = good("fit", files / "wine.csv", "--latent", 20, "--steps", 5)
    assert "warning: the code (20) is wider than a row (13)" in out
    assert Artifact.load("model").model.latent == 20
    assert "warning" not in good("fit", files / "wine.csv", "--family", "sparse", "--steps", 5, "--out", "sparse")


def test_a_fit_that_diverges_says_how_to_mend_it(call, files, tmp_path) -> None:
    outcome = call("fit", files / "wine.csv", "--learning-rate", 1e6, "--steps", 50)
    assert outcome.code == 2
    assert "at step" in outcome.err
    assert "clip the gradient (--clip 1.0)" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_what_a_diverged_fit_left_is_saved(call, files, monkeypatch) -> None:
    from isthmus.cli import fitting
    from isthmus.tasks.fit import fit

    def diverging(source, config, **_):
        error = TrainingError("the term 'kl' became nan at step 120; the best weights so far (step 100) are kept")
        error.artifact = fit(source, Config(steps=5))
        raise error

    monkeypatch.setattr(fitting, "fit_model", diverging)
    outcome = call("fit", files / "wine.csv")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "Saved model after 5 steps" in outcome.out
    assert Artifact.load("model").config["steps"] == 5


def test_resume_needs_a_checkpoint_of_the_same_run(good, refused, files, tmp_path) -> None:
    assert "--resume needs --checkpoint FILE" in refused("fit", files / "wine.csv", "--resume")
    assert "no checkpoint" in refused("fit", files / "wine.csv", "--resume", "--checkpoint", "none")
    good("fit", files / "wine.csv", "--steps", 60, "--checkpoint", "state")
    more = ("--resume", "--checkpoint", "state", "--overwrite")
    assert "belongs to another run" in refused("fit", files / "wine.csv", "--steps", 61, *more)
    good("fit", files / "wine.csv", "--steps", 60, *more)


def test_columns_without_names_are_found_again(good, refused, files, tmp_path) -> None:
    good("fit", files / "wine.npy", "--drop", "0,12", "--steps", 5)
    assert "took 11 of the 13 columns" in good("encode", "model", files / "wine.npy")
    np.save(tmp_path / "less.npy", np.load(files / "wine.npy")[:, 1:12])
    first = (tmp_path / "codes.csv").read_text()
    good("encode", "model", "less.npy")
    assert (tmp_path / "codes.csv").read_text() == first
    np.save(tmp_path / "other.npy", np.ones((3, 5)))
    assert "5 features, but the model expects 11" in refused("encode", "model", "other.npy")


def test_rows_of_a_table_become_pictures(good, files, tmp_path, digits) -> None:
    np.save(tmp_path / "flat.npy", digits[:60].reshape(60, 64))
    out = good("fit", "flat.npy", "--shape", "8x8", "--steps", 5)
    assert "60 pictures of 8 x 8 x 1" in out
    assert "64 x 3" not in good("encode", "model", "flat.npy")


def test_every_setting_is_a_flag(call) -> None:
    shown = call("fit", "--help").out
    for name in Config.help():
        assert f"--{name.replace('_', '-')}" in shown
