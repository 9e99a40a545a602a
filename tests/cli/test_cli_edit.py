"""``isthmus edit`` from labels of every kind to strips, folders and pages."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from isthmus.data import read, read_provenance
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit


@pytest.fixture(scope="session")
def faces(tmp_path_factory):
    """Zeros and ones as pictures in folders, in an archive, and labels of them; a model of them, and a conditional one."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("faces")
    digits = load_digits()
    some = np.flatnonzero(digits.target < 2)[:120]
    pixels, y = np.rint(digits.images[some] * 255 / 16).astype(np.uint8), digits.target[some]
    np.savez(folder / "faces.npz", x=pixels, y=y, dark=pixels.mean((1, 2)) < np.median(pixels.mean((1, 2))))
    lines = ["file,round,hat"]
    for number, (picture, label) in enumerate(zip(pixels, y)):
        place = folder / "photos" / ("zero" if label == 0 else "one")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"p{number:03d}.png")
        lines.insert(1, f"p{number:03d}.png,{'yes' if label == 0 else 'no'},")  # the other way round
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    fit(read(folder / "photos"), Config(family="variational", latent=5, steps=300, seed=0)).save(folder / "model")
    return folder


def nearer_to_one(pictures: np.ndarray, faces) -> np.ndarray:
    """Say which pictures are nearer to the mean one than to the mean zero."""
    with np.load(faces / "faces.npz") as data:
        one, zero = (data["x"][data["y"] == kind].mean(0) for kind in (1, 0))
    return np.square(pictures - one).sum((1, 2)) < np.square(pictures - zero).sum((1, 2))


def test_a_folder_is_edited_into_a_folder_of_the_same_names(good, faces, tmp_path) -> None:
    out = good("edit", faces / "model", faces / "photos", "--attribute", "one", "--strength", 1.2, "-o", "edited")
    assert "rows have it (by their folder)" in out
    assert "area under the ROC curve of 0.9" in out or "area under the ROC curve of 1.0" in out
    given, made = (sorted(p.relative_to(base) for p in base.rglob("*.png")) for base in (faces / "photos", tmp_path / "edited"))
    assert made == given
    found = read(tmp_path / "edited" / "zero").array[..., 0]
    assert nearer_to_one(found, faces).mean() > 0.9
    assert read_provenance(tmp_path / "edited" / made[0]).source_type == "trainedAlgorithmicMedia"


def test_several_strengths_make_strips_beside_the_original(good, faces, tmp_path) -> None:
    arguments = ("edit", faces / "model", faces / "faces.npz", "--attribute", "y", "--rows", "0,5,7", "--strength", "-1,0,1.5")
    out = good(*arguments, "-o", "strip.png")
    assert "columns from left to right: original, -1, 0, +1.5" in out
    assert "(3 x 4 x 8 x 8 x 1)" in out
    assert read_provenance(tmp_path / "strip.png").source_type == "compositeWithTrainedAlgorithmicMedia"
    assert "(3 x 3 x 8 x 8 x 1)" in good(*arguments, "--no-original", "-o", "bare.png")
    assert read_provenance(tmp_path / "bare.png").source_type == "trainedAlgorithmicMedia"
    good(*arguments, "-o", "many", "--residual")
    assert sorted(p.name for p in (tmp_path / "many").iterdir())[:3] == ["00000_+1.5.png", "00000_-1.png", "00000_0.png"]
    first = np.asarray(Image.open(tmp_path / "many" / "00000_0.png"))
    np.testing.assert_array_equal(first, read(faces / "faces.npz").array[0, ..., 0])  # nothing of the picture itself is lost
    assert read_provenance(tmp_path / "many" / "00000_-1.png").source_type == "compositeWithTrainedAlgorithmicMedia"


def test_labels_are_matched_to_files_by_name(good, faces, tmp_path) -> None:
    common = ("edit", faces / "model", faces / "photos", "--strength", 1, "-o")
    good(*common, "named.npy", "--labels", faces / "labels.csv", "--attribute", "round")
    good(*common, "folders.npy", "--attribute", "zero")
    np.testing.assert_array_equal(np.load(tmp_path / "named.npy"), np.load(tmp_path / "folders.npy"))


def test_one_photo_is_edited_with_examples_or_a_saved_direction(good, refused, faces, tmp_path) -> None:
    photo = next((faces / "photos" / "zero").iterdir())
    common = ("edit", faces / "model", photo, "--strength", 1.5)
    good(*common, "--examples", faces / "faces.npz", "--attribute", "y", "--vector", "one.npy", "-o", "a.png")
    good(*common, "--direction", "one.npy", "-o", "b.png")
    before = (tmp_path / "b.png").read_bytes()
    again = ("edit", faces / "model", "b.png", "--direction", "one.npy", "-o", "b.png")
    assert "would be replaced" in refused(*again)
    assert (tmp_path / "b.png").read_bytes() == before
    a, b = (np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    assert a.shape == (8, 8)  # one picture, not a sheet
    np.testing.assert_array_equal(a, b)
    assert nearer_to_one(a[None], faces).all()


def test_the_page_shows_strips_figures_and_units(good, faces, tmp_path) -> None:
    arguments = ("--attribute", "y", "--against", "dark", "--strength", "-2,2", "-o", "strip.png", "--report", "edits.html")
    out = good("edit", faces / "model", faces / "faces.npz", *arguments)
    page = (tmp_path / "edits.html").read_text()
    assert "wrote edits.html" in out
    for part in ("original, -2, +2", "held still", "What else the code holds", "unit ", "KL (nats)", "ROC curve", "data:image/png"):
        assert part in page


def test_a_conditional_model_swaps_what_it_is_told(good, faces, tmp_path) -> None:
    good("fit", faces / "faces.npz", "--condition", "y", "--family", "conditional_vae", "--latent", 4, "--steps", 300, "-o", "told")
    out = good("edit", "told", faces / "faces.npz", "--attribute", "y", "--strength", 1, "-o", "swapped.npy")
    assert "swapped" in out
    with np.load(faces / "faces.npz") as data:
        zeros = data["y"] == 0
    assert nearer_to_one(np.load(tmp_path / "swapped.npy")[zeros, 0, ..., 0], faces).mean() > 0.9


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), "which attribute?"),
        (("--attribute", "smile"), "no labels called 'smile'. It has: 'y', 'dark'"),
        (("--attribute", "y", "--labels", "few.csv"), "no labels called 'y'. It has: 'smile'"),
        (("--attribute", "smile", "--labels", "few.csv"), "'smile' has 3 labels, but the data have 120 rows"),
        (("--attribute", "y", "--labels", "none.csv"), "there is no file none.csv"),
        (("--attribute", "all", "--labels", "alike.npz"), "all 120 labelled rows are '1'"),
        (("--attribute", "many", "--labels", "alike.npz"), "many has 3 different labels"),
        (("--attribute", "y", "--against", "y"), "lies wholly along y"),
        (("--attribute", "y", "--strength", "much"), "--strength must be numbers"),
        (("--attribute", "y", "--rows", "500"), "there is no row 500"),
        (("--attribute", "y", "--direction", "wide.npy"), "--direction is found already"),
        (("--direction", "wide.npy"), "a code has 5 units"),
        (("--direction", "few.csv"), "cannot read a direction from few.csv"),
        (("--direction", "alike.npz"), "alike.npz holds several arrays, no direction"),
        (("--attribute", "y", "--ridge", "-1"), "ridge must be above 0"),
        (("--attribute", "y", "--vector", "direction.txt"), "--vector must end in one of .npy"),
        (("--attribute", "y", "--report", "edits.txt"), "--report must end in one of .html"),
        (("--attribute", "y", "--examples", "large.npz"), "the model needs 8 x 8 x 1"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(refused, faces, tmp_path, more, told) -> None:
    (tmp_path / "few.csv").write_text("smile\n1\n0\n1\n")
    np.savez(tmp_path / "alike.npz", all=np.ones(120), many=np.arange(120) % 3)
    np.savez(tmp_path / "large.npz", x=np.zeros((10, 16, 16), np.uint8), y=np.arange(10) % 2)
    np.save(tmp_path / "wide.npy", np.ones(7))
    assert told in refused("edit", faces / "model", faces / "faces.npz", *more, "-o", "new.png")
    assert not (tmp_path / "new.png").exists()


def test_pictures_of_another_size_and_places_among_the_data_are_refused(refused, good, faces, models, files, tmp_path) -> None:
    np.savez(tmp_path / "large.npz", x=np.zeros((10, 16, 16), np.uint8), y=np.arange(10) % 2)
    assert "the model needs 8 x 8 x 1" in refused("edit", faces / "model", "large.npz", "--attribute", "y", "-o", "new.png")
    inside = faces / "photos" / "new"
    assert "lies in the folder" in refused("edit", faces / "model", faces / "photos", "--attribute", "one", "-o", inside)
    told = refused("edit", models / "table", files / "wine.csv", "--direction", "wide.npy", "-o", "new.csv", "--report", "new.html")
    assert "not fitted on pictures" in told
    for place in (faces / "photos" / "one").glob("*.png"):
        (tmp_path / "larger").mkdir(exist_ok=True)
        Image.open(place).resize((20, 20)).save(tmp_path / "larger" / place.name)
    assert "resized" in good("edit", faces / "model", "larger", "--examples", faces / "faces.npz", "--attribute", "y", "-o", "new.png")


@pytest.mark.parametrize("more", [(), ("--residual",)])
def test_pictures_that_share_a_name_but_for_the_ending_are_all_kept(good, faces, tmp_path, more) -> None:
    (tmp_path / "photos").mkdir()
    for ending, place in zip(("png", "bmp"), (faces / "photos" / "zero").iterdir()):
        Image.open(place).save(tmp_path / "photos" / f"a.{ending}")
    common = ("edit", faces / "model", "photos", "--examples", faces / "faces.npz", "--attribute", "y", *more, "--strength")
    good(*common, "1", "-o", "one")
    good(*common, "1,2", "-o", "two")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["a.bmp.png", "a.png.png"]
    assert len(list((tmp_path / "two").iterdir())) == 4


def test_residual_edits_of_files_are_as_large_as_the_files(good, faces, tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    for number, place in enumerate(sorted((faces / "photos" / "zero").iterdir())[:3]):
        Image.open(place).resize((30 + number, 24), Image.Resampling.BICUBIC).save(tmp_path / "photos" / f"{number}.png")
    common = ("--examples", faces / "faces.npz", "--attribute", "y", "--residual", "--strength")
    out = good("edit", faces / "model", "photos", *common, "0,1.2", "-o", "out")
    assert "6 pictures, as large as the originals" in out
    for number in range(3):
        given, still, edited = (
            np.asarray(Image.open(tmp_path / name)).astype(float)
            for name in (f"photos/{number}.png", f"out/{number}_0.png", f"out/{number}_+1.2.png")
        )
        np.testing.assert_array_equal(still, given)
        small = np.asarray(Image.fromarray(edited.astype(np.uint8)).resize((8, 8), Image.Resampling.LANCZOS)).astype(float)
        assert nearer_to_one(small[None], faces).all()
    good("edit", faces / "model", tmp_path / "photos" / "2.png", *common, 1.2, "-o", "one.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "one.png")), np.asarray(Image.open(tmp_path / "out" / "2_+1.2.png")))
    assert read_provenance(tmp_path / "one.png").source_type == "compositeWithTrainedAlgorithmicMedia"
