"""Noise taken off on the command line: learned in each way, applied to files of each kind, measured, gone on with, and flaws told."""

from __future__ import annotations

import errno
import struct
import sys
import zlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.artifact.restorer import Restorer
from isthmus.data import Provenance, read, read_provenance, write
from isthmus.data.provenance import TRAINED

QUICK = ("--steps", 30, "--widths", 8, "--device", "cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Folders of clean and noisy parts of a photograph, and a quick model of grey and of coloured pictures."""
    from sklearn.datasets import load_sample_image

    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    photo = load_sample_image("china.jpg")
    for name in ("clean", "noisy", "coloured"):
        (folder / name).mkdir()
    for i in range(24):
        top, left = 48 * (i // 8), 64 * (i % 8)
        colour = photo[top : top + 48, left : left + 64]
        grey = colour.mean(2).round().astype(np.uint8)
        Image.fromarray(colour).save(folder / "coloured" / f"p{i:02d}.png")
        Image.fromarray(grey).save(folder / "clean" / f"p{i:02d}.png")
        noise = 25 * random.normal(size=grey.shape)
        Image.fromarray((grey + noise).round().clip(0, 255).astype(np.uint8)).save(folder / "noisy" / f"p{i:02d}.png")
    return folder


@pytest.fixture(scope="module")
def models(place):
    """Networks that were fitted a little."""
    from isthmus.tasks.pictures.denoise import Settings, fit
    from isthmus.tasks.pictures.noises import make_noise

    found = {}
    for name, folder in (("grey", "clean"), ("rgb", "coloured")):
        settings = Settings(steps=30, widths=(8,), device="cpu", precision="fp32")
        found[name] = fit(read(place / folder).array, noise=make_noise("gaussian", 0.1), settings=settings).save(place / f"{name}.model")
    return found


def test_clean_pictures_and_noise_a_table_a_report_and_files(place, good, tmp_path) -> None:
    arguments = (
        "--clean",
        place / "clean",
        "--noise",
        "gaussian",
        "--level",
        "25/255",
        "--clip",
        "--save",
        "model",
        "--truth",
        place / "clean",
    )
    told = good("denoise", place / "noisy", "-o", "out", *arguments, "--report", "r.html", *QUICK)
    assert "dB on 1 held-out pictures" in told
    rows = {line.split("  ")[0].strip(): line.split() for line in told.splitlines() if "0." in line}
    assert {"network", "noisy", "median 3 x 3", "non-local means"} <= rows.keys()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"p{i:02d}.png" for i in range(24)]
    assert read_provenance(tmp_path / "out" / "p00.png").source_type == "algorithmicallyEnhanced"
    assert Restorer.load(tmp_path / "model").facts["learned from"] == "clean pictures and noise"
    page = (tmp_path / "r.html").read_text()
    assert page.count("<figure") == 15
    assert "gaussian 0.0980392, clipped" in page
    assert ": best" in page
    assert ": worst" in page


def test_pairs_by_name_whatever_their_endings(place, good, tmp_path) -> None:
    (tmp_path / "clean").mkdir()
    for path in sorted((place / "clean").iterdir()):
        Image.open(path).save(tmp_path / "clean" / f"{path.stem}.bmp")
    told = good("denoise", place / "noisy", "-o", "out", "--noisy", place / "noisy", "--clean", "clean", *QUICK)
    assert "with their clean partners" in told
    assert "1 pictures that were not learned from" in told


@pytest.mark.parametrize(
    "known", [(), ("--noise", "gaussian", "--level", "0.1"), ("--noise", "poisson", "--level", "60"), ("--noise", "gaussian")]
)
def test_noisy_pictures_alone(known, place, good, tmp_path) -> None:
    told = good("denoise", place / "noisy", "-o", "out", "--save", "model", *known, *QUICK)
    assert "noisy, alone" in told
    way = Restorer.load(tmp_path / "model").facts["learned from"]
    assert ("say it with --level" in told) == (len(known) == 2)
    assert ("pixels are hidden" in told) == (not known)
    assert way == "noisy pictures alone" + (f", of known {known[1].title()} noise" if known else "")


def test_many_kinds_of_pictures(models, good, tmp_path) -> None:
    """Each comes back in its size, depth, colour and transparency, upright, whatever the model was fitted on."""
    random, folder = np.random.default_rng(0), tmp_path / "in"
    folder.mkdir()

    def pixels(*shape, top=255):
        return random.integers(0, top, shape).astype(np.uint8 if top == 255 else np.uint16)

    Image.fromarray(pixels(20, 30)).save(folder / "grey.png")
    Image.fromarray(pixels(20, 30, 3)).save(folder / "rgb.webp")
    Image.fromarray(pixels(20, 30, 4)).save(folder / "rgba.png")
    Image.fromarray(pixels(20, 30, top=65535)).save(folder / "deep.png")
    Image.fromarray(pixels(1, 1)).save(folder / "one.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels(20, 30, 3)).save(folder / "turned.jpg", exif=turned)
    (folder / "note.txt").write_text("no picture")
    modes = {
        "grey": ("L", (30, 20)),
        "rgb": ("RGB", (30, 20)),
        "rgba": ("RGBA", (30, 20)),
        "deep": ("I;16", (30, 20)),
        "one": ("L", (1, 1)),
    }
    modes["turned"] = ("RGB", (20, 30))
    for name in ("grey", "rgb"):
        assert "left 1 other files" in good("denoise", folder, "-o", name, "--model", models[name], "--device", "cpu")
        for stem, (mode, size) in modes.items():
            with Image.open(tmp_path / name / f"{stem}.png") as image:
                assert (image.mode, image.size) == (mode, size)
        before, after = (np.asarray(Image.open(path)) for path in (folder / "rgba.png", tmp_path / name / "rgba.png"))
        np.testing.assert_array_equal(before[..., 3], after[..., 3])
        assert not np.array_equal(before, after)


def test_a_picture_and_arrays(models, place, good, tmp_path) -> None:
    good("denoise", place / "noisy" / "p00.png", "-o", "one.jpg", "--model", models["grey"], "--turns", 8, "--tile", 16, "--device", "cpu")
    assert read(tmp_path / "one.jpg").array.shape == (1, 48, 64, 1)
    np.savez(tmp_path / "x.npz", a=read(place / "noisy").array[..., 0], b=np.zeros(3))
    good("denoise", "x.npz", "--key", "a", "-o", "y.npz", "--model", models["grey"], "--device", "cpu")
    assert np.load(tmp_path / "y.npz")["data"].shape == (24, 48, 64, 1)
    good("--no-provenance", "denoise", "x.npz", "--key", "a", "-o", "y", "--model", models["grey"], "--device", "cpu")
    assert len(list((tmp_path / "y").iterdir())) == 24
    assert read_provenance(tmp_path / "y" / "00000.png") is None


def test_the_noise_of_noisy_pictures_is_recognised(good, tmp_path) -> None:
    random = np.random.default_rng(0)
    shades = np.clip(np.linspace(0.2, 0.8, 40)[:, None, None] + 0.02 * random.normal(size=(40, 64, 64)), 0, 1)
    np.save(tmp_path / "noisy.npy", random.poisson(30 * shades) / 30)
    told = good("denoise", "noisy.npy", "-o", "out.npy", "--save", "model", *QUICK)
    assert "noise: poisson" in told
    assert "--noise unknown" in told
    assert Restorer.load(tmp_path / "model").facts["learned from"] == "noisy pictures alone, of known Poisson noise"
    assert "poisson" not in good("denoise", "noisy.npy", "-o", "out.npy", "--noise", "unknown", "--save", "other", *QUICK)
    assert Restorer.load(tmp_path / "other").facts["learned from"] == "noisy pictures alone"


def test_ctrl_c_while_a_folder_is_worked_on_says_how_far_it_came(place, call, good, tmp_path, monkeypatch) -> None:
    good("denoise", "--clean", place / "clean", "--noise", "speckle", "--save", "model", *QUICK)
    from isthmus.cli import denoising

    def two(*given, **named):
        yield from islice(real(*given, **named), 2)
        raise KeyboardInterrupt

    real = denoising.denoise_folder
    monkeypatch.setattr(denoising, "denoise_folder", two)
    found = call("denoise", place / "noisy", "-o", "out", "--model", "model")
    assert found.code == 130
    assert "stopped after 2 of 24 pictures; what is written is whole" in found.out
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_checkpoint_of_other_noise_is_not_gone_on_with(place, good, refused) -> None:
    arguments = ("denoise", "--clean", place / "clean", "--checkpoint", "state", *QUICK)
    good(*arguments, "--noise", "speckle", "--level", 0.1, "--save", "one")
    assert "belongs to another run" in refused(*arguments, "--noise", "speckle", "--level", 0.2, "--save", "two", "--resume")


def test_training_goes_on_from_a_checkpoint(place, call, good, tmp_path, monkeypatch) -> None:
    arguments = ("denoise", "--clean", place / "clean", "--noise", "speckle", "--checkpoint", "state", *QUICK)
    good(*arguments, "--save", "whole")
    (tmp_path / "state").unlink()

    from isthmus.tasks.pictures import denoise

    def interrupted(*given):
        lesson = real(*given)
        count.append(1)
        if len(count) == 11:
            raise KeyboardInterrupt
        return lesson

    real, count = denoise.Crops.__call__, []
    with monkeypatch.context() as patch:
        patch.setattr(denoise.Crops, "__call__", interrupted)
        assert call(*arguments, "--save", "part").code == 130
    good(*arguments, "--save", "part", "--resume")
    assert (tmp_path / "part" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_what_a_model_made_still_says_so_when_it_is_enhanced(models, place, good, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    pixels = read(place / "noisy" / "p00.png").array[0]
    write(tmp_path / "in" / "drawn.png", pixels, provenance=Provenance(TRAINED, "isthmus", "a family", "1234", "sample"))
    write(tmp_path / "in" / "taken.png", pixels, provenance=Provenance("digitalCapture", "a camera"))
    use = ("--model", models["grey"], "--device", "cpu")
    good("denoise", "in", "-o", "out", *use)
    good("denoise", "in/drawn.png", "-o", "drawn.jpg", *use)
    for file in ("out/drawn.png", "drawn.jpg"):
        found = read_provenance(tmp_path / file)
        assert (found.source_type, found.system) == (TRAINED, "a family, isthmus denoiser")
        assert found.model.startswith("1234, ")
    assert read_provenance(tmp_path / "out" / "taken.png").source_type == "algorithmicallyEnhanced"


def bomb(path: Path) -> None:
    """A PNG of a few bytes that says it has 50,000 x 50,000 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))


def test_broken_and_huge_pictures(models, place, refused, good, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    whole = (place / "noisy" / "p00.png").read_bytes()
    (tmp_path / "in" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "fine.png").write_bytes(whole)
    bomb(tmp_path / "in" / "bomb.png")
    use = ("denoise", "in", "-o", "out", "--model", models["grey"], "--device", "cpu")
    told = refused(*use)
    assert "bomb.png" in told
    assert "far beyond a usual picture" in told
    assert "--on-error skip" in told
    good(*use, "--on-error", "skip")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fine.png"]
    assert "bomb.png" in refused("denoise", "--clean", "in", "--noise", "gaussian", "--save", "m", *QUICK)


def test_what_does_not_go_together(models, place, refused, tmp_path) -> None:
    noisy, clean, model = place / "noisy", place / "clean", ("--model", models["grey"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    random = np.random.default_rng(0)
    np.save(tmp_path / "bright.npy", 255 * random.random((3, 9, 9)))
    for name, side in (("few", 9), ("small", 8)):
        (tmp_path / name).mkdir()
        for stem in "abc":
            Image.fromarray(np.zeros((9, side), np.uint8)).save(tmp_path / name / f"{stem}.png")
    np.save(tmp_path / "table.npy", random.random((3, 9)))
    np.save(tmp_path / "whole.npy", np.zeros((3, 9, 9), np.int64))
    tries = {
        "denoise needs pictures": (),
        "say with --out": (noisy,),
        "no pictures in this folder": ("empty", "-o", "o", *model),
        "there is no file or folder": ("nowhere", "-o", "o", *model),
        "divide by 255": ("bright.npy", "-o", "o.npy", *model),
        "table of shape": ("table.npy", "-o", "o.npy", "--noise", "gaussian"),
        "uint8 (0 to 255)": ("whole.npy", "-o", "o.npy", *model),
        "would be replaced": (noisy, "-o", noisy, *model),
        "is no folder": (noisy, "-o", "o.png", *model),
        "--out must end in": (noisy / "p00.png", "-o", "o.txt", *model),
        "table.csv is no picture by its ending": ("table.csv", "-o", "o.csv", *model),
        "is what is read": ("bright.npy", "-o", "./bright.npy", *model),
        "and would be read as a part of it": (tmp_path, "-o", tmp_path / "o", *model),
        "leave out --steps": (noisy, "-o", "o", *model, "--steps", 3),
        "leave out --seconds, --widths, --ssim": (noisy, "-o", "o", *model, "--seconds", 3, "--widths", 4, "--ssim", 0.1),
        "of fewer than 20 pictures none": ("few", "-o", "o", "--clean", "few", "--noise", "jpeg", "--report", "r.html", *QUICK),
        "the noisy ones: a, b, c": ("few", "-o", "o", "--clean", clean, "--noise", "jpeg", "--truth", "small", "--save", "o", *QUICK),
        "there is nothing to take off": (noisy, "-o", "o", "--noise", "gaussian", "--level", 0, *QUICK),
        "choose another --save": (noisy, "-o", "o", "--save", models["grey"], *QUICK),
        "not complete": (noisy, "-o", "o", "--model", clean),
        "add --noise": (noisy, "-o", "o", "--clean", clean),
        "--level": (noisy, "-o", "o", "--level", "0.1"),
        "leave one of them out": (noisy, "-o", "o", "--clean", clean, "--noisy", noisy, "--noise", "gaussian"),
        "unknown noise": (noisy, "-o", "o", "--clean", clean, "--noise", "fog"),
        "give 0.098": (noisy, "-o", "o", "--clean", clean, "--noise", "gaussian", "--level", 25),
        "such as 0.1 or 25/255": (noisy, "-o", "o", "--clean", clean, "--noise", "gaussian", "--level", "much"),
        "pixels are then hidden": (noisy, "-o", "o", "--noise", "jpeg"),
        "one strength": (noisy, "-o", "o", "--noise", "gaussian", "--highest", 0.2),
        "only noisy ones": (noisy, "-o", "o", "--ssim", 0.1),
        "add --truth": (noisy, "-o", "o", "--report", "r.html"),
        "--resume needs": (noisy, "-o", "o", "--resume"),
        "--turns must be": (noisy, "-o", "o", *model, "--turns", 3),
        "divides the": (noisy, "-o", "o", "--attention", 3, *QUICK),
        "--colour must be one of auto, grey and rgb, not 'blue'": (noisy, "-o", "o", "--colour", "blue"),
        "not 'rgba'": (noisy, "-o", "o", "--colour", "rgba"),
        "no checkpoint at": (noisy, "-o", "o", "--resume", "--checkpoint", "none", *QUICK),
    }
    for told, arguments in tries.items():
        assert told in " ".join(refused("denoise", *arguments).split()), told
    assert not (tmp_path / "o").exists()


def test_pairs_that_do_not_match_are_named(place, refused, tmp_path) -> None:
    for name, stems in (("a", ("x", "y", "z")), ("b", ("x", "y", "w"))):
        (tmp_path / name).mkdir()
        for stem in stems:
            Image.fromarray(np.zeros((20, 30 if name + stem == "by" else 20), np.uint8)).save(tmp_path / name / f"{stem}.png")
    pairs = ("denoise", "--noisy", "a", "--clean", "b", "--save", "m", *QUICK)
    told = refused(*pairs)
    assert "only in a: z" in told
    assert "only in b: w" in told
    (tmp_path / "a" / "z.png").unlink()
    (tmp_path / "b" / "w.png").unlink()
    assert "different sizes: y (" in refused(*pairs)
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "a" / "x.bmp")
    assert "several pictures are called x" in refused(*pairs)


def test_a_full_disk_is_told_and_leaves_no_half_picture(models, place, refused, tmp_path, monkeypatch) -> None:
    def full(*given) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys.modules["isthmus.data.write"], "save_picture", full)
    told = refused("denoise", place / "noisy", "-o", "out", "--model", models["grey"], "--device", "cpu")
    assert "No space left" in told
    assert "has room" in told
    assert list((tmp_path / "out").iterdir()) == []
