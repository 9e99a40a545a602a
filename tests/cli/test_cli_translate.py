"""``isthmus translate``: learning, using, measuring, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.artifact.translation import Translation
from isthmus.data import Provenance, read, read_provenance, write
from isthmus.data.provenance import COMPOSITE, TRAINED
from isthmus.tasks.pictures.denoise import Settings
from isthmus.tasks.pictures.translate import fit, make_inputs

STEPS = ("--steps", 2, "--widths", "4", "--device", "cpu")


def pixels(n: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 12, 16, 3)).astype(np.uint8)


@pytest.fixture(scope="session")
def album(tmp_path_factory):
    """Folders of coloured and grey pictures, and models that colour, paint and double."""
    folder = tmp_path_factory.mktemp("album")
    for name in ("colour", "grey"):
        (folder / name).mkdir()
    for i, picture in enumerate(pixels()):
        Image.fromarray(picture).save(folder / "colour" / f"p{i:02d}.png")
    for i, picture in enumerate(make_inputs(pixels(4), "grey")[0]):
        Image.fromarray(picture[..., 0]).save(folder / "grey" / f"p{i:02d}.png")
    (folder / "grey" / "notes.txt").write_text("not a picture")
    hole = np.zeros((12, 16), np.uint8)
    hole[3:7, 4:9] = 255
    Image.fromarray(hole).save(folder / "hole.png")
    Image.fromarray(hole[:5]).save(folder / "small.png")
    for way in ("grey", "masked", "half"):
        fit(pixels(), way=way, settings=Settings(steps=2, widths=(4,), device="cpu")).save(folder / f"model-{way}")
    return folder


def test_learns_draws_and_keeps(good, album, tmp_path):
    learning = ("--examples", album / "colour", "--way", "grey", "--save", "kept", *STEPS)
    told = good("translate", album / "grey", "--out", "made", "--draws", 2, *learning)
    assert "learning to colour black and white pictures: 24 pictures" in told
    assert "wrote made (4 pictures, 2 draws of each)" in told
    assert "left 1 other files" in told
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [f"p{i:02d}-{k}.png" for i in range(4) for k in (1, 2)]
    drawn = np.asarray(Image.open(tmp_path / "made" / "p01-2.png"))
    np.testing.assert_array_equal(make_inputs(drawn[None], "grey")[0][0], make_inputs(pixels(4), "grey")[0][1])
    assert Translation.load(tmp_path / "kept").way == "grey"
    assert read_provenance(tmp_path / "made" / "p00-1.png").source_type == COMPOSITE


def test_what_was_learned_in_a_run_is_what_is_used_later(good, album, tmp_path):
    good("translate", album / "grey", "--examples", album / "colour", "--way", "grey", "--out", "first", "--save", "kept", *STEPS)
    good("translate", album / "grey", "--model", "kept", "--out", "second", "--device", "cpu")
    for path in (tmp_path / "first").iterdir():
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(tmp_path / "second" / path.name)))


def test_pairs_of_folders_are_matched_by_name(good, album, tmp_path):
    (tmp_path / "targets").mkdir()
    for i, picture in enumerate(pixels(4)):
        Image.fromarray(picture).save(tmp_path / "targets" / f"p{i:02d}.webp", lossless=True)
    told = good(
        "translate", album / "grey", "--examples", album / "grey", "--targets", "targets", "--truth", "targets", "--out", "o", *STEPS
    )
    assert "learning from pairs of pictures: 4 pictures and what they are to become" in told
    assert "against the right answers" in told
    made = read_provenance(tmp_path / "o" / "p00.png")
    assert (made.source_type, made.system, made.operation) == (TRAINED, "isthmus translator (pairs)", "translate")


def test_holes_are_painted_and_all_else_stays(good, album, tmp_path):
    good("translate", album / "colour", "--model", album / "model-masked", "--masks", album / "hole.png", "--out", "o", "--device", "cpu")
    found, hole = np.asarray(Image.open(tmp_path / "o" / "p03.png")), np.asarray(Image.open(album / "hole.png")) > 0
    np.testing.assert_array_equal(found[~hole], pixels()[3][~hole])
    assert (found[hole] != pixels()[3][hole]).any()


def test_right_answers_are_measured_and_shown(good, album, tmp_path):
    arguments = ("translate", album / "colour", "--model", album / "model-grey", "--known", "--draws", 3)
    told = good(*arguments, "--out", "o.npy", "--report", "r.html", "--device", "cpu")
    assert "PSNR" in told
    assert np.load(tmp_path / "o.npy").shape == (24, 3, 12, 16, 3)
    page = (tmp_path / "r.html").read_text()
    for part in ("Best", "Median", "Worst", "the input, 3 draws, the picture as it was", "colourfulness", "p00.png"):
        assert part in page


def test_a_single_picture_and_one_of_a_pixel(good, album, tmp_path):
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(tmp_path / "one.png")
    good("translate", "one.png", "--model", album / "model-grey", "--out", "one-made.png", "--device", "cpu")
    assert np.asarray(Image.open(tmp_path / "one-made.png")).shape == (1, 1, 3)
    good("translate", album / "colour" / "p00.png", "--model", album / "model-half", "--out", "large.webp", "--device", "cpu")
    assert np.asarray(Image.open(tmp_path / "large.webp")).shape == (24, 32, 3)
    assert read_provenance(tmp_path / "large.webp").source_type == "algorithmicallyEnhanced"


def test_what_a_model_made_still_says_so_at_twice_the_size(good, album, tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "drawn.png", pixels(1)[0], provenance=Provenance(TRAINED, "isthmus", "a family", "1234", "sample"))
    good("translate", "in", "--model", album / "model-half", "--out", "out", "--device", "cpu")
    found = read_provenance(tmp_path / "out" / "drawn.png")
    assert (found.source_type, found.system) == (TRAINED, "a family, isthmus translator (half)")


def test_provenance_can_be_left_out(good, album, tmp_path):
    good("--no-provenance", "translate", album / "grey" / "p00.png", "--model", album / "model-grey", "--out", "a.png", "--device", "cpu")
    assert read_provenance(tmp_path / "a.png") is None


def test_rows_become_rows(good, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", header="a,b,c", comments="")
    np.save(tmp_path / "y.npy", x[:, :2])
    told = good("translate", "x.csv", "--examples", "x.csv", "--targets", "y.npy", "--draws", 3, "--out", "o.csv", *STEPS)
    assert "learning from pairs of rows: 60 rows" in told
    table = read(tmp_path / "o.csv")
    assert table.columns == ("draw", "c0", "c1")
    assert table.array.shape == (180, 3)
    assert table.array[:4, 0].tolist() == [0, 1, 2, 0]


def test_a_run_goes_on(good, refused, album):
    arguments = ("translate", "--examples", album / "colour", "--way", "half", "--save", "kept", "--checkpoint", "state", *STEPS)
    good(*arguments)
    good(*arguments, "--resume", "--overwrite")
    assert "holds a model already" in refused(*arguments)
    assert "--resume needs --checkpoint" in refused("translate", "--examples", album / "colour", "--way", "half", "--save", "k", "--resume")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("A/colour", "--model", "A/model-grey", "--out", "o"), "black and white pictures are translated, and these are coloured: p00.png"),
        (("A/colour", "--examples", "A/colour", "--way", "grey", "--out", "o"), "these are coloured: p00.png"),
        (("A/grey", "--examples", "A/grey", "--way", "grey", "--out", "o"), "learns from coloured pictures"),
        (("A/colour", "--model", "A/model-masked", "--out", "o"), "this model paints what is missing: say with masks where"),
        (("A/colour", "--examples", "A/colour", "--way", "masked", "--out", "o"), "say with --masks where"),
        (("A/colour", "--model", "A/model-masked", "--masks", "A/grey", "--out", "o"), "has no mask for p04.png"),
        (
            ("A/colour", "--model", "A/model-masked", "--masks", "A/small.png", "--out", "o"),
            "its mask has 5 x 16 pixels, the picture 12 x 16",
        ),
        (("A/colour", "--examples", "A/colour", "--way", "half", "--out", "o.png", "--save", "o"), "24 pictures do not go into o.png"),
        (
            ("A/colour", "--examples", "A/colour", "--way", "half", "--out", "o", "--truth", "A/grey", "--save", "o"),
            "no true picture for p04.png",
        ),
        (
            ("A/colour", "--examples", "A/grey", "--way", "half", "--out", "o", "--save", "o"),
            "a model that learned from such, and these are coloured",
        ),
        (("A/grey", "--model", "A/model-half", "--out", "A/grey/new"), "would be read as a part of it"),
        (("--examples", "A/colour", "--way", "grey", "--save", "A/model-half"), "choose another --save"),
        (("A/colour", "--model", "A/model-half", "--draws", 2, "--out", "o"), "a model of --way half knows one answer"),
        (("A/colour", "--model", "A/model-half", "--out", "A/colour"), "would be replaced"),
        (("A/colour", "--model", "A/model-half", "--out", "o.png"), "24 pictures do not go into o.png"),
        (("A/grey", "--model", "A/model-grey", "--out", "o.doc"), "--out must end in one of"),
        (("A/grey", "--model", "A/model-grey", "--out", "o", "--steps", 3), "leave out --steps"),
        (("A/grey", "--model", "A/model-grey", "--out", "o", "--vivid", 2), "--vivid must lie between 0 and 1"),
        (("A/grey", "--model", "A/colour", "--out", "o"), "A/colour"),
        (("A/grey", "--out", "o"), "give --model FOLDER, or --examples PATH"),
        (("A/grey", "--examples", "A/grey", "--out", "o"), "give either --targets PATH, or --way"),
        (("A/grey", "--examples", "A/colour", "--way", "fog", "--out", "o"), "--way must be one of grey, edges"),
        (("A/grey", "--examples", "A/colour", "--targets", "A/grey", "--out", "o"), "without a partner of the same name, only in"),
        (("A/nothing", "--model", "A/model-grey", "--out", "o"), "there is no file or folder"),
        (("--examples", "A/colour", "--way", "half"), "translate needs DATA and --out, or --save"),
        (("A/grey",), "give --model FOLDER"),
    ],
)
def test_refuses(refused, album, arguments, told):
    found = refused("translate", *(str(part).replace("A/", f"{album}/") for part in arguments))
    assert told.replace("A/", f"{album}/") in found
    assert not Path("o").exists()


def test_refuses_files_that_cannot_be_used(refused, album, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"not a picture")
    Image.fromarray(pixels(1)[0, ..., 0]).save(tmp_path / "broken" / "b.png")
    np.save(tmp_path / "bright.npy", pixels(3)[..., :1] / 50)
    np.save(tmp_path / "rows.npy", np.zeros((5, 2)))
    for i, name in enumerate(("first", "second")):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels(1)[0][: 12 - i]).save(tmp_path / name / "same.png")
    use = ("--model", album / "model-grey", "--out", "o")
    assert "'a.png': it is no picture" in refused("translate", "broken", *use)
    assert "divide by 255" in refused("translate", "bright.npy", *use)
    assert "rows.npy holds rows, but the model was fitted on pictures" in refused("translate", "rows.npy", *use)
    pairs = ("--examples", "first", "--targets", "second", "--out", "o")
    assert "pairs of different sizes: same ((12, 16) and (11, 16))" in refused("translate", "first", *pairs)
    assert "--way half is for pictures" in refused("translate", "rows.npy", "--examples", "rows.npy", "--way", "half", "--out", "o.npy")


def test_unreadable_pictures_can_be_left_out(good, album, tmp_path):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "a.png").write_bytes(b"not a picture")
    Image.fromarray(pixels(1)[0, ..., 0]).save(tmp_path / "some" / "b.png")
    told = good("translate", "some", "--model", album / "model-grey", "--out", "o", "--on-error", "skip", "--device", "cpu")
    assert "left out 1 unreadable picture(s): a.png" in told
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["b.png"]
