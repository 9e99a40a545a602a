"""Pictures on the command line: what they say of their making, and in which formats and depths they come."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.artifact import Artifact
from isthmus.cli.places import SHEETS
from isthmus.data import read, read_credentials, read_provenance
from isthmus.data.picture_files import PICTURE_OUTPUTS
from isthmus.data.provenance import COMPOSITE, TRAINED
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.tasks.provenance import fingerprint


@pytest.fixture(scope="module")
def model(models):
    return models / "pictures"


@pytest.fixture(scope="module")
def deep(tmp_path_factory, digits):
    """A folder of pictures of 16 bits, and a small model of them."""
    folder = tmp_path_factory.mktemp("deep")
    (folder / "data").mkdir()
    for i, picture in enumerate(digits[:40, ..., 0]):
        Image.fromarray(np.rint(picture * 65535).astype(np.uint16)).save(folder / "data" / f"{i:02d}.png")
    fit(read(folder / "data"), Config(steps=20, latent=3)).save(folder / "model")
    return folder


@pytest.mark.parametrize("ending", SHEETS)
def test_samples_say_that_a_model_made_them(good, model, tmp_path, ending):
    good("sample", model, "--out", f"s{ending}", "-n", 4)
    made = read_provenance(tmp_path / f"s{ending}")
    assert (made.source_type, made.system, made.operation) == (TRAINED, "isthmus variational", "sample")
    assert made.model == fingerprint(Artifact.load(model))
    told = good("info", f"s{ending}")
    for part in ("trainedAlgorithmicMedia", "made by a model trained on data", made.software, made.model, "anyone can change"):
        assert part in told


def test_the_sheets_are_those_that_are_written():
    assert set(SHEETS) == set(PICTURE_OUTPUTS)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("interpolate",), TRAINED),
        (("traverse",), TRAINED),
        (("edit", "--labels", "labels.npy"), COMPOSITE),
        (("edit", "--labels", "labels.npy", "--no-original"), TRAINED),
        (("arithmetic", "--plus", "0,1", "--minus", "2"), COMPOSITE),
    ],
)
def test_every_command_marks_its_pictures(good, model, files, tmp_path, arguments, expected):
    np.save(tmp_path / "labels.npy", np.arange(40) % 2)
    command, *options = arguments
    good(command, model, files / "pictures", "--out", "a.png", *options)
    made = read_provenance(tmp_path / "a.png")
    assert (made.source_type, made.operation) == (expected, command)


@pytest.mark.parametrize(("command", "expected"), [("cluster", COMPOSITE), ("neighbours", None), ("uncertainty", None)])
def test_sheets_beside_a_table(good, model, files, tmp_path, command, expected):
    good(command, model, files / "pictures", "--picture", "a.png")
    made = read_provenance(tmp_path / "a.png")
    assert (made and made.source_type) == expected


@pytest.mark.parametrize("stream", ["never", "always"])
def test_folders_of_reconstructions(good, model, files, tmp_path, stream):
    good("reconstruct", model, files / "pictures", "--out", "out", "--stream", stream)
    found = {read_provenance(path).source_type for path in (tmp_path / "out").glob("*.png")}
    assert found == {TRAINED}
    good("--no-provenance", "reconstruct", model, files / "pictures", "--out", "plain", "--stream", stream)
    for path in (tmp_path / "plain").glob("*.png"):
        assert read_provenance(path) is None
        np.testing.assert_array_equal(read(path).array, read(tmp_path / "out" / path.name).array)


def test_it_can_be_left_out(good, model, tmp_path):
    good("--no-provenance", "sample", model, "--out", "a.png", "-n", 4)
    assert read_provenance(tmp_path / "a.png") is None
    assert "No provenance" in good("info", "a.png")
    good("sample", model, "--out", "a.png", "-n", 4)
    assert read_provenance(tmp_path / "a.png") is not None


def test_pictures_in_reports(good, model, files, tmp_path):
    good("report", model, files / "pictures", "--out", "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    marked = {}
    for source, told in re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]*)"', page):
        marked[told] = TRAINED.encode() in base64.b64decode(source)
    made = ["4 pictures: variational", "40 pictures made up by variational", "2 rows of pictures gliding into one another"]
    made.append("3 units of variational moved one at a time")
    given = ["", *(f"4 pictures: {told}" for told in ("original", "best", "median", "worst"))]
    given.append("Correlation of 3 units of variational, in the order beside")
    assert {re.sub(r" \(error .*\)", "", told): mark for told, mark in marked.items()} == {
        **dict.fromkeys(given, False),
        **dict.fromkeys(made, True),
    }


@pytest.mark.parametrize("command", [("sample", "-n", 4), ("interpolate",), ("reconstruct",)])
def test_pictures_are_signed(good, model, files, certificates, tmp_path, monkeypatch, command):
    signed = ("--certificate", certificates / "chain.pem", "--key", certificates / "key.pem")
    data = () if command[0] == "sample" else (files / "pictures",)
    good(*signed, command[0], model, *data, "--out", "a.png", *command[1:])
    told = good("info", "a.png")
    for part in ("Provenance", "Content Credentials (C2PA)", "valid", "A signer", "A studio", "--trust", "trainedAlgorithmicMedia"):
        assert part in told
    assert "given certificates vouch for" in good("info", "a.png", "--trust", certificates / "root.pem")
    told = " ".join(good("info", "a.png", "--trust", certificates / "stranger.pem").split())
    assert "none of the given certificates vouches for" in told
    assert "nobody said" not in told
    monkeypatch.setenv("ISTHMUS_CERTIFICATE", str(certificates / "chain.pem"))
    monkeypatch.setenv("ISTHMUS_KEY", str(certificates / "key.pem"))
    good(command[0], model, *data, "--out", "pictures", *command[1:])
    assert all(read_credentials(file).state == "valid" for file in (tmp_path / "pictures").iterdir())
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[content.rindex(b"IDAT") + 30] ^= 1
    (tmp_path / "b.png").write_bytes(content)
    told = good("info", "b.png")
    assert "The signature does not hold" in told
    assert "dataHash.mismatch" in told


def test_signing_needs_both_files_and_something_to_sign(refused, model, certificates):
    chain, key = certificates / "chain.pem", certificates / "key.pem"
    sample = ("sample", model, "--out", "a.png")
    assert "both --certificate and --key" in refused("--certificate", chain, *sample)
    assert "both --certificate and --key" in refused("--key", key, *sample)
    assert "--no-provenance leaves out" in refused("--no-provenance", "--certificate", chain, "--key", key, *sample)
    assert "Give the key of this certificate" in refused("--certificate", chain, "--key", certificates / "rsa-key.pem", *sample)
    assert not Path("a.png").exists()


def test_a_signed_picture_where_nothing_reads_signatures(good, model, certificates, monkeypatch):
    good("--certificate", certificates / "chain.pem", "--key", certificates / "key.pem", "sample", model, "--out", "a.png")
    monkeypatch.setitem(sys.modules, "c2pa", None)
    told = " ".join(good("info", "a.png").split())
    assert "It carries Content Credentials (C2PA)" in told
    assert "pip install 'isthmus[c2pa]'" in told


def test_info_of_other_pictures(good, files, refused, tmp_path):
    told = good("info", files / "pictures" / "digit00.png")
    assert "PNG" in told
    assert "8 x 8 (height x width)" in told
    assert "No provenance" in told
    assert "there is no file none.png" in refused("info", "none.png")
    (tmp_path / "text.png").write_text("text")
    assert "text.png cannot be read as a picture" in refused("info", "text.png")


def test_sixteen_bits_all_the_way(good, deep, tmp_path):
    good("reconstruct", deep / "model", deep / "data", "--out", "out")
    found = read(tmp_path / "out")
    assert found.array.dtype == np.uint16
    assert len(np.unique(found.array)) > 256
    good("reconstruct", deep / "model", deep / "data", "--out", "again", "--stream", "always")
    np.testing.assert_array_equal(read(tmp_path / "again").array, found.array)


def test_models_read_pictures_in_the_depth_they_know(good, deep, model, files, tmp_path):
    told = good("score", model, deep / "data", "--out", "shallow.csv")
    assert "reduced 40 pictures of 16 bits to 8" in told
    good("score", model, files / "pictures", "--out", "own.csv")
    np.testing.assert_allclose(*(read(tmp_path / name, drop="id").array for name in ("shallow.csv", "own.csv")))
    told = good("score", deep / "model", files / "pictures")
    assert "brought 40 pictures of 8 bits to 16" in told


def test_bits_and_transparency_are_asked_for(good, refused, deep, tmp_path):
    good("fit", deep / "data", "--bits", 8, "--colour", "rgba", "--steps", 2, "--out", "small")
    schema = Artifact.load(tmp_path / "small").schema
    assert (schema.dtype, schema.shape) == ("uint8", (8, 8, 4))
    good("reconstruct", "small", deep / "data", "--out", "out")
    with Image.open(tmp_path / "out" / "00.png") as image:
        assert image.mode == "RGBA"
    assert "bits must be auto, 8 or 16" in refused("fit", deep / "data", "--bits", 12, "--out", "none")
    (tmp_path / "settings.toml").write_text("bits = 8\nsteps = 2\n")
    good("fit", deep / "data", "--config", "settings.toml", "--out", "told")
    assert Artifact.load(tmp_path / "told").schema.dtype == "uint8"


def test_one_pixel(good, tmp_path):
    (tmp_path / "dots").mkdir()
    for i in range(30):
        Image.new("L", (1, 1), 8 * i).save(tmp_path / "dots" / f"{i:02d}.png")
    good("fit", "dots", "--steps", 5, "--out", "m")
    good("reconstruct", "m", "dots", "--out", "out")
    assert read(tmp_path / "out").array.shape == (30, 1, 1, 1)
