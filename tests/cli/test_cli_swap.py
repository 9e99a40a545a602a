"""``isthmus swap``: learning from domains, swapping frames, and what is refused."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.artifact.swapping import SwapModel
from isthmus.data import read, read_provenance


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Pictures of two 'people', a model of them, frames, and an archive."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    for i, name in enumerate(("anna", "bert")):
        (folder / name).mkdir()
        for number in range(6):
            Image.fromarray(rng.integers(100 * i, 100 * i + 80, (20, 16), np.uint8)).save(folder / name / f"{number}.png")
    (folder / "frames").mkdir()
    for number in range(3):
        Image.fromarray(rng.integers(0, 200, (30, 40), np.uint8)).save(folder / "frames" / f"{number}.jpg")
    (folder / "huge").mkdir()
    Image.new("1", (12_000, 12_000)).save(folder / "huge" / "bomb.png")
    np.savez(folder / "all.npz", x=rng.integers(0, 200, (5, 32, 32), np.uint8))
    return folder


@pytest.fixture(scope="session")
def learned(people):
    from isthmus.tasks.pictures.swap import Settings, fit
    from isthmus.tasks.pictures.swap_files import Reading, read_domain

    found = {name: read_domain(people / name, Reading((32, 32)))[0] for name in ("anna", "bert")}
    return fit(found, Settings(steps=3, channels=(4, 8), hidden=16, code=6, device="cpu")).save(people / "model")


def domain(people) -> list[str]:
    return [text for name in ("anna", "bert") for text in ("--domain", f"{name}={people / name}")]


SMALL = ("--channels", "4,8", "--code", "5", "--size", "32x32", "--device", "cpu")


def test_a_model_is_learned_with_a_preview_and_used(good, people, tmp_path) -> None:
    out = good("swap", *domain(people), "--save", "m", "--steps", "4", "--preview", "sheet.png", "--mirror", *SMALL)
    assert "learning from anna (6 pictures), bert (6 pictures), 32 x 32 x 1 each" in out
    assert "next: isthmus swap m FRAMES --to bert --out OUT" in out
    assert read_provenance(tmp_path / "sheet.png").operation == "swap"
    assert "wrote out (3 pictures as anna)" in good("swap", "m", people / "frames", "--to", "anna", "-o", "out", "--box", "2,3,20,16")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]
    assert "composed of several pictures" in " ".join(good("info", "out/0.png").split())
    assert SwapModel.load(tmp_path / "m").domains == ("anna", "bert")


def test_a_picture_and_an_archive_are_swapped(good, people, learned, tmp_path) -> None:
    good("swap", learned, people / "frames" / "0.jpg", "--to", "bert", "--mask", "whole", "-o", "one.webp")
    assert read(tmp_path / "one.webp").array.shape == (1, 30, 40, 1)
    assert read_provenance(tmp_path / "one.webp").source_type == "trainedAlgorithmicMedia"
    good("swap", learned, people / "all.npz", "--to", "bert", "--from", "anna", "-o", "all.npz")
    with np.load(tmp_path / "all.npz") as data:
        assert data["data"].shape == (5, 32, 32, 1)
    good("--no-provenance", "swap", learned, people / "all.npz", "--to", "bert", "-o", "sheet.png")
    assert read_provenance(tmp_path / "sheet.png") is None


def test_a_killed_run_is_resumed(started, people, tmp_path) -> None:
    command = ["swap", *domain(people), "--save", "m", "--steps", "600", "--checkpoint", "run.st", *SMALL]
    child = started(*command)
    before = written(tmp_path / "run.st")
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "m").exists()
    running = started(*command, "--resume")
    written(tmp_path / "run.st", before)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=100)
    if running.returncode:  # it may have come to its end before
        assert running.returncode == 130
        assert "interrupted: the best model so far is kept" in out
        assert "--resume --overwrite" in out
    assert SwapModel.load(tmp_path / "m").history[-1]["step"] >= 120  # the second evaluation


def written(path: Path, before: int = 0) -> int:
    """Wait until a file is written anew, and return when it was."""
    for _ in range(1000):
        if path.exists() and (found := path.stat().st_mtime_ns) > before:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


REFUSED = [
    (["--to", "b"], "give MODEL FRAMES --to NAME"),
    ([], "--domain NAME=PATH twice or more"),
    (["model", "frames", "--to", "bert"], "--out PATH"),
    (["model", "frames", "--to", "carl", "-o", "out"], "no domain 'carl' in this model: choose one of anna, bert"),
    (["model", "frames", "--from", "carl", "--to", "bert", "-o", "out"], "no domain 'carl'"),
    (["model", "none", "--to", "bert", "-o", "out"], "no file or folder none"),
    (["none", "frames", "--to", "bert", "-o", "out"], "no saved model at"),
    (["anna", "frames", "--to", "bert", "-o", "out"], "config.json is missing"),
    (["model", "frames", "--to", "bert", "-o", "frames"], "would be replaced"),
    (["model", "frames", "--to", "bert", "-o", "frames/new"], "would be read as a part of it"),
    (["model", "one/a.png", "--to", "bert", "-o", "one/a.png"], "one/a.png is what is read, and would be replaced"),
    (["model", "frames", "--to", "bert", "-o", "x.png"], "x.png is no folder"),
    (["model", "empty/notes.txt", "--to", "bert", "-o", "x.png"], "notes.txt is no picture by its ending"),
    (["model", "frames", "--to", "bert", "-o", "out", "--mirror", "--warp", "0.2"], "--mirror, --warp: for learning"),
    (["model", "frames", "--to", "bert", "-o", "out", "--box", "0,0,90,9"], "0.jpg has 30 x 40 pixels, but the box reaches to 90 x 9"),
    (["model", "frames", "--to", "bert", "-o", "out", "--box", "0,0,9"], "a box is TOP,LEFT,HEIGHT,WIDTH"),
    (["model", "frames", "--to", "bert", "-o", "out", "--mask", "round"], "mask must be ellipse, whole, or a folder"),
    (["model", "frames", "--to", "bert", "-o", "out", "--steps", "5"], "--steps: for learning"),
    (["model", "all.npz", "--to", "bert", "-o", "x.npz", "--box", "0,0,9,9"], "swapped whole"),
    (["model", "all.npz", "--to", "bert", "-o", "x.csv"], "--out must end in"),
    (["model", "wide.npz", "--to", "bert", "-o", "x.npz"], "fitted on 32 x 32 x 1"),
    (["model", "broken", "--to", "bert", "-o", "out"], "'cut.png'"),
    (["model", "huge", "--to", "bert", "-o", "out"], "far beyond a usual picture"),
    (["model", "coloured", "--to", "bert", "-o", "out"], "coloured, but this model was fitted on grey"),
    (["--domain", "anna=anna"], "there is one domain (anna)"),
    (["--domain", "anna=anna", "--domain", "anna=bert"], "given twice"),
    (["--domain", "anna", "--domain", "bert=bert"], "--domain takes NAME=PATH"),
    (["--domain", "anna=anna", "--domain", "bert=bert"], "give --save FOLDER"),
    (["--domain", "anna=anna", "--domain", "bert=none", "--save", "m"], "domain 'bert': there is no file or folder"),
    (["--domain", "anna=anna", "--domain", "bert=empty", "--save", "m"], "domain 'bert': .*no pictures in this folder"),
    (["--domain", "anna=anna", "--domain", "bert=one", "--save", "m"], "'bert' has 1 picture"),
    (
        ["--domain", "anna=anna", "--domain", "bert=coloured", "--save", "m"],
        "64 x 64 x 3.*64 x 64 x 1.*all to RGB .--size 64x64 --colour grey",
    ),
    (["--domain", "anna=all.npz", "--domain", "bert=wide.npz", "--save", "m"], "32 x 48 x 1.*32 x 32 x 1.*--size"),
    (["--domain", "anna=tiny.npz", "--domain", "bert=tiny.npz", "--save", "m"], "1 x 1.*8 to 1024 pixels"),
    (["--domain", "anna=dark.npz", "--domain", "bert=dark.npz", "--save", "m"], "divide by"),
    (["--domain", "anna=broken", "--domain", "bert=bert", "--save", "m"], "domain 'anna': .*'cut.png'"),
    (["--domain", "anna=anna", "--domain", "bert=bert", "--save", "model"], "add --overwrite or choose another --save"),
    (["--domain", "anna=anna", "--domain", "bert=bert", "--save", "m", "--to", "bert"], "leave out --to"),
    (["--domain", "anna=anna", "--domain", "bert=bert", "--save", "m", "--resume"], "--resume needs --checkpoint"),
    (["--domain", "anna=anna", "--domain", "bert=bert", "--save", "m", "--resume", "--checkpoint", "run.st"], "no checkpoint at"),
    (["--domain", "anna=anna", "--domain", "bert=bert", "--save", "m", "--colour", "blue"], "--colour must be auto, grey or rgb"),
    (["--domain", "anna=anna", "--domain", "bert=bert", "--save", "m", "--preview", "a.txt"], "--preview must end in"),
    (["--domain", "anna=anna", "--domain", "bert=bert", "--save", "m", "--size", "2000x2000"], "8 to 1024 pixels"),
]


@pytest.fixture
def trouble(call, people, learned, tmp_path):
    """What is needed for the refusals, in the folder of the call."""
    for name in ("anna", "bert", "frames", "huge", "model", "all.npz"):
        (tmp_path / name).symlink_to(people / name)
    for name in ("empty", "one", "coloured", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("none")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (20, 16), np.uint8)).save(tmp_path / "one" / "a.png")
    for number in range(3):
        Image.fromarray(rng.integers(0, 255, (20, 16, 3), np.uint8)).save(tmp_path / "coloured" / f"{number}.png")
    whole = (people / "anna" / "0.png").read_bytes()
    (tmp_path / "broken" / "cut.png").write_bytes(whole[: len(whole) // 2])
    np.savez(tmp_path / "wide.npz", x=np.zeros((4, 32, 48), np.uint8))
    np.savez(tmp_path / "tiny.npz", x=np.zeros((4, 1, 1), np.uint8))
    np.savez(tmp_path / "dark.npz", x=rng.random((4, 32, 32)) * 9)


@pytest.mark.parametrize("arguments, told", REFUSED, ids=[told for _, told in REFUSED])
@pytest.mark.usefixtures("trouble")
def test_bad_input_is_refused_in_one_line(refused, arguments, told, tmp_path) -> None:
    import re

    line = refused("swap", *arguments)
    pattern = told if ".*" in told else re.escape(told)
    assert re.search(pattern, line), line
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("trouble")
def test_unreadable_frames_are_left_out_if_asked_for(good, tmp_path) -> None:
    (tmp_path / "mixed").mkdir()
    for number in range(2):
        Image.fromarray(np.full((20, 16), 99, np.uint8)).save(tmp_path / "mixed" / f"{number}.png")
    (tmp_path / "mixed" / "cut.png").write_bytes((tmp_path / "broken" / "cut.png").read_bytes())
    out = good("swap", "model", "mixed", "--to", "bert", "-o", "out", "--on-error", "skip")
    assert "wrote out (2 pictures as bert)" in out
    assert len(list((tmp_path / "out").iterdir())) == 2
