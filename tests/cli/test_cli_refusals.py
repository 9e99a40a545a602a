"""Bad input: each is refused with exit code 2 and one line that names the thing and the mend."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from isthmus.artifact import Artifact

ROWS = "".join(f"{i},{i * i % 7},{i % 3}\n" for i in range(30))
TABLES = {
    "empty": ("", "is empty. Give a table with at least one row"),
    "only a header": ("a,b,c\n", "no rows"),
    "one row": ("a,b,c\n1,2,3\n", "one row (1 sample): a spread cannot be measured. Give at least 2 rows, or use --scaling none"),
    "all constant": ("a,b,c\n" + 30 * "1,2,3\n", "constant in all 27 rows"),
    "stray text": (f"a,b,c\n{ROWS}red,1,2\n", "column 'a' mixes types: numbers in most rows, but in 1 rows none, such as 'red' in row 30"),
    "infinite": (f"a,b,c\n{ROWS}1,2,inf\n", "column 'c' has 1 infinite"),
    "ragged": ("a,b,c\n1,2,3\n4,5\n", "Row #3: Expected 3 columns, got 2"),
    "a picture": ("\x89PNG\r\n\x1a\n\x00\x00\x00", "binary data"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_cannot_be_used(refused, tmp_path, case) -> None:
    text, told = TABLES[case]
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    line = refused("fit", "t.csv", "--steps", 5)
    assert told in line
    assert "t.csv" in line or "the data" in line or "every column" in line
    assert not (tmp_path / "model").exists()


def test_several_wrong_columns_are_mended_by_the_flags_named(refused, good, tmp_path) -> None:
    rows = "".join(f"{i},inf,-inf,{i % 4}\n" for i in range(30))
    (tmp_path / "t.csv").write_text("a,b,c d,e\n" + rows)
    assert "--drop b --drop 'c d'" in refused("fit", "t.csv", "--steps", 5)
    line = refused("fit", "t.csv", "--steps", 5, "--drop", "b")
    assert "--drop 'c d'" in line
    good("fit", "t.csv", "--steps", 5, "--drop", "b", "--drop", "c d")


def test_one_row_can_be_fitted_if_told_how(good, tmp_path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n")
    assert "too few rows" in good("fit", "t.csv", "--scaling", "none", "--steps", 5)


FLAGS = {
    ("--latent", "0"): "--latent must be at least 1, not 0",
    ("--hidden", "a,b"): "--hidden takes whole numbers such as 256,128, not 'a,b'",
    ("--hidden", "0"): "--hidden must be",
    ("--hidden", "999999999"): "parameters: to train it takes about",
    ("--steps", "0"): "--steps must be a whole number of at least 1, not 0",
    ("--batch", "0"): "--batch must be a whole number of at least 1, not 0",
    ("--devices", "0"): "--devices must be a whole number of at least 1, not 0",
    ("--seed", "-1"): "--seed must be a whole number of at least 0, not -1",
    ("--learning-rate", "nan"): "--learning-rate must be",
    ("--held-out", "1"): "--held-out must be at least 0 and below 1, not 1.0",
    ("--family", "foo"): "unknown family 'foo'; choose one of linear,",
    ("--network", "foo"): "unknown network 'foo'; choose one of mlp,",
    ("--network", "conv"): "--network conv needs pictures",
    ("--activation", "foo"): "unknown activation 'foo'; choose one of elu,",
    ("--likelihood", "foo"): "unknown likelihood 'foo'; choose one of gaussian,",
    ("--likelihood", "bernoulli"): "use --likelihood gaussian",
    ("--likelihood-scale", "foo"): "--likelihood-scale must be a positive number or one of one, per_value, predicted, optimal, not 'foo'",
    ("--likelihood-scale", "-1"): "--likelihood-scale must be a positive number",
    ("--scaling", "foo"): "--scaling must be one of auto, standard, robust, unit, none, not 'foo'",
    ("--optimiser", "foo"): "--optimiser must be one of adam, adamw, not 'foo'",
    ("--schedule", "foo"): "--schedule must be one of cosine, linear, constant, not 'foo'",
    ("--precision", "fp16"): "--precision must be one of fp32, tf32, bf16, not 'fp16'",
    ("--device", "foo"): "use --device cpu",
    ("--beta", "2"): "--beta does not apply to the family 'undercomplete'",
    ("--family", "variational", "--beta", "-2"): "--beta must be at least 0, not -2.0",
    ("--family", "variational", "--free-bits", "-2"): "--free-bits must be at least 0, not -2.0",
    ("--family", "denoising", "--corruption", "foo"): "unknown corruption 'foo'; choose one of gaussian,",
    ("--family", "denoising", "--corruption", "masking", "--level", "7"): "--level must be a share between 0 and 1, not 7.0",
    ("--family", "sparse", "--activity", "3"): "--activity must lie strictly between 0 and 1, not 3.0",
    ("--family", "sparse", "--sparsity", "foo"): "unknown sparsity 'foo'; choose one of topk,",
    ("--family", "linear", "--solver", "foo"): "--solver must be one of closed, gradient, not 'foo'",
    ("--channels", "8"): "--network conv needs pictures",
    ("--network", "linear", "--hidden", "8"): "--hidden does not apply to the network 'linear'; leave it out, or use --network mlp",
    ("--hidden", "8", "--channels", "8"): "--channels does not apply to the network 'mlp'",
    ("--columns", "nope"): "there is no column 'nope'. It has: 'alcohol'",
    ("--drop", "nope"): "there is no column 'nope'",
    ("--shape", "2x3"): "rows of 13 values cannot be pictures of 2x3x1",
    ("--size", "64"): "--size 64x64 is for picture files",
}


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_a_wrong_flag_is_named_before_anything_is_trained(call, files, flags) -> None:
    outcome = call("fit", files / "wine.csv", *flags)
    assert outcome.code == 2
    assert FLAGS[flags] in " ".join(outcome.err.split())
    assert len(outcome.err.strip().splitlines()) == 1
    assert "training" not in outcome.out


def test_flags_that_are_no_numbers_or_unknown_point_to_the_help(call, files) -> None:
    for flags, told in ((("--steps", "ten"), "--steps"), (("--nosuch", "1"), "--nosuch")):
        outcome = call("fit", files / "wine.csv", *flags)
        assert outcome.code == 2
        assert told in outcome.err
        assert "for help" in outcome.err
    assert "Missing argument 'DATA'" in call("fit").err


@pytest.fixture
def broken(tmp_path):
    rng = np.random.default_rng(3)
    folder = tmp_path / "folder"
    folder.mkdir()
    for i in range(25):
        height, width = (10, 12) if i % 2 else (14, 9)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"p{i:02d}.png")
    whole = (folder / "p04.png").read_bytes()
    (folder / "p04.png").write_bytes(whole[: len(whole) // 2])
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff rubbish")
    return folder


def test_broken_pictures_are_named_and_refused_or_skipped(refused, good, broken) -> None:
    line = refused("fit", "folder", "--steps", 5)
    assert "2 picture(s) cannot be read" in line
    assert "'p04.png'" in line
    assert "'torn.jpg'" in line
    assert line.endswith("leave them out with --on-error skip")
    out = good("fit", "folder", "--steps", 5, "--on-error", "skip")
    assert out.startswith("folder: 24 pictures of ")
    assert "left out 2 unreadable picture(s)" in out
    assert "resized" in out
    assert "--on-error skip --out codes.csv" in out
    assert "cannot be read" in refused("encode", "model", "folder")
    assert "(24 x " in good("encode", "model", "folder", "--on-error", "skip")


def test_the_folder_one_stands_in_has_a_name(refused, broken, monkeypatch) -> None:
    monkeypatch.chdir(broken)
    assert refused("fit", ".", "--steps", 5).startswith("error: folder: 2 picture(s)")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--size", "foo"), "--size must be whole numbers such as 64x48"),
        (("--colour", "foo"), "--colour must be one of auto, grey, rgb, rgba, not 'foo'"),
        (("--on-error", "foo"), "--on-error must be one of refuse, skip, not 'foo'"),
        (("--channels", "0"), "--channels must be"),
    ],
)
def test_wrong_flags_for_pictures(refused, files, flags, told) -> None:
    assert told in refused("fit", files / "pictures", "--steps", 5, *flags)


def test_data_of_another_width_columns_or_kind(refused, files, models, tmp_path, wine) -> None:
    np.save(tmp_path / "narrow.npy", wine[0][:, :5])
    assert "has 5 columns without names; 13 are needed" in refused("encode", models / "table", "narrow.npy")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n3,4\n")
    assert "there is no column 'alcohol'" in refused("encode", models / "table", "other.csv")
    assert "holds pictures of shape (8, 8, 1)" in refused("encode", models / "table", files / "pictures")
    assert "needs pictures of shape (8, 8, 1)" in refused("encode", models / "pictures", files / "wine.csv")
    np.save(tmp_path / "large.npy", np.zeros((4, 9, 9), np.uint8))
    assert "the model needs 8 x 8 x 1" in refused("encode", models / "pictures", "large.npy")


def test_folders_that_are_no_model(refused, files, models, tmp_path) -> None:
    assert "no saved model at" in refused("info", "nothing")
    assert "no saved model at" in refused("info", files / "wine.csv")
    assert "is no saved model: give the folder that `isthmus fit --out` wrote" in refused("encode", files, files / "wine.csv")
    (tmp_path / "torn").mkdir()
    for path in (models / "plain").iterdir():
        (tmp_path / "torn" / path.name).write_bytes(path.read_bytes()[:-3] if path.name == "model.safetensors" else path.read_bytes())
    assert "cut off or was replaced" in refused("info", "torn")


def test_a_saved_thing_of_another_kind_is_named(refused, files, models, tmp_path) -> None:
    assert "holds a model of rows (`isthmus fit`), not a detector of tables" in refused("monitor", models / "table", files / "wine.csv")
    for form, told in (("isthmus log detector", "a detector of logs (`isthmus detect --logs`)"), ("isthmus-swapper", "a swapper")):
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / "config.json").write_text(json.dumps({"format": form, "version": 1}))
        line = refused("score", "other", files / "wine.csv")
        assert f"holds {told}" in line
        assert "not a model of rows (`isthmus fit`)" in line
    (tmp_path / "other" / "config.json").write_text('{"format": ["isthmus-swapper"]}')
    assert "is not that of a saved model of isthmus" in refused("score", "other", files / "wine.csv")


@pytest.mark.parametrize(
    "words",
    [
        "encode {model}",
        "score {model}",
        "reconstruct {model}",
        "impute --steps 5",
        "detect",
        "detect --logs",
        "classify {model}",
        "cluster {model}",
        "neighbours {model}",
        "interpolate {model}",
        "traverse {model}",
    ],
)
def test_what_is_read_is_never_written_over(refused, files, models, tmp_path, words) -> None:
    before = (files / "wine.csv").read_bytes()
    (tmp_path / "data.csv").write_bytes(before)
    os.link(tmp_path / "data.csv", tmp_path / "link.csv")
    command = words.format(model=models / "table").split()
    for out in ("data.csv", "link.csv"):
        assert f"{out} is what is read, and would be replaced: choose another --out" in refused(*command, "data.csv", "--out", out)
    assert (tmp_path / "data.csv").read_bytes() == before


def test_outputs_that_cannot_be_written_are_refused_first(refused, files, models, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    for out, told in (
        ("codes.xlsx", "must end in one of .csv,"),
        ("codes.png", "must end in one of .csv,"),
        ("folder.csv", "a folder of that name is there"),
        ("file/codes.csv", "is a file, not a folder"),
    ):
        line = refused("encode", models / "table", "no such data", "--out", out)
        assert told in line
        assert out in line
    assert "must end in one of .html" in refused("report", models / "table", "no such data", "--out", "folder.csv")
    assert "is a file, not a folder" in refused("fit", files / "wine.csv", "--out", "file/model")
    assert "is a file, not a folder" in refused("fit", files / "wine.csv", "--checkpoint", "file/state")
    assert "is no folder" in refused("fit", files / "wine.csv", "--out", "file", "--overwrite")


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user without all rights")
def test_a_folder_without_permission(refused, files, models, tmp_path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "no permission to write into" in refused("encode", models / "table", files / "wine.csv", "--out", "locked/codes.csv")
    assert "no permission to write into" in refused("fit", files / "wine.csv", "--out", "locked/model")


def test_what_a_model_cannot_do(refused, files, models, tmp_path) -> None:
    bare = Artifact.load(models / "plain")
    bare.density = None
    bare.save(tmp_path / "bare")
    assert "Give it one from the data it was fitted on: isthmus density MODEL DATA" in refused("sample", "bare", "--out", "s.csv")
    assert "the family 'undercomplete' has no prior" in refused("sample", models / "plain", "--out", "s.csv", "--density", "prior")
    assert "fit the family 'variational'" in refused("evaluate", models / "plain", files / "wine.csv")
    assert "k must be at least 1, not 0" in refused("evaluate", models / "table", files / "wine.csv", "-k", 0)
    assert "treatment must be one of" in refused("evaluate", models / "table", files / "wine.csv", "--treatment", "rounded")
    assert "for values in [0, 1], which these are not" in refused("evaluate", models / "table", files / "wine.csv", "--treatment", "sample")
    assert "along must be one of line, sphere, decoder" in refused(
        "interpolate", models / "table", files / "wine.csv", "--out", "p.csv", "--along", "curve"
    )
    assert "there is no row 999" in refused("traverse", models / "table", files / "wine.csv", "--out", "t.csv", "--row", 999)
    assert "there is no row 999" in refused("arithmetic", models / "table", files / "wine.csv", "--out", "t.csv", "--plus", 999)
    assert "--rows must be whole numbers such as 0,5,7" in refused("neighbours", models / "table", files / "wine.csv", "--rows", "a")
    assert "--picture is for models of pictures" in refused("cluster", models / "table", files / "wine.csv", "--picture", "c.png")
    assert "are too few for 400 Gaussians" in refused("cluster", models / "table", files / "wine.csv", "--groups", 400)
    assert "labels are needed" in refused("edit", models / "table", files / "wine.csv", "--out", "e.csv")
    assert "cultivar has 3 different labels" in refused(
        "edit", models / "table", files / "wine.csv", "--out", "e.csv", "--labels", files / "labelled.csv", "--labels-key", "cultivar"
    )
    assert "at least 1, not 0" in refused("sample", models / "table", "--out", "s.csv", "-n", 0)
    assert "--pair takes two row numbers such as 0,5, not 5" in refused(
        "interpolate", models / "table", files / "wine.csv", "--out", "p.csv", "--pair", 5
    )
    assert "has rows 0 to 177; there is no row 500" in refused(
        "interpolate", models / "table", files / "wine.csv", "--out", "p.csv", "--pair", "0,500"
    )
    assert "at least 2, not 1" in refused("interpolate", models / "table", files / "wine.csv", "--out", "p.csv", "--steps", 1)


def test_text_that_looks_like_markup_is_printed_as_it_is(refused, good, files, tmp_path) -> None:
    assert "[/].csv" in refused("fit", "[/].csv")
    (tmp_path / "[bold].csv").write_bytes((files / "wine.csv").read_bytes())
    assert "[bold].csv: 178 rows" in good("fit", "[bold].csv", "--steps", 5, "--out", "[red]model")
    assert "data " in good("info", "[red]model")


def test_a_missing_extra_names_its_install(refused, files, monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    line = refused("fit", files / "wine.csv", "--steps", 5, "--tensorboard", "runs")
    assert line.endswith("pip install 'isthmus[tensorboard]'")
    monkeypatch.setitem(sys.modules, "pyarrow.csv", None)
    assert "pip install 'isthmus[table]'" in refused("fit", files / "wine.csv", "--steps", 5)


def test_too_little_memory_is_said(refused, files, monkeypatch) -> None:
    from isthmus.cli import fitting

    def no_memory(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 15999999984 bytes")

    monkeypatch.setattr(fitting, "fit_model", no_memory)
    assert "the memory is not enough. Use a smaller --batch" in refused("fit", files / "wine.csv")


def test_a_fault_of_the_program_is_not_hidden(call, files, monkeypatch) -> None:
    from isthmus.cli import fitting

    def faulty(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(fitting, "fit_model", faulty)
    with pytest.raises(RuntimeError, match="a fault"):
        call("fit", files / "wine.csv")
