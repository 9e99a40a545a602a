"""Folders of pictures of many kinds: what is told, what is refused, and that streaming them gives the same pixels."""

import io

import numpy as np
import pytest
from PIL import Image, features

from isthmus.data import Provenance, open_dataset, read, read_provenance, write
from isthmus.errors import DataError


def streamed(folder, **options):
    dataset = open_dataset(folder, **options)
    blocks = list(dataset.blocks(3))
    array = np.concatenate([block.array for block in blocks])
    assert array.shape == (len(dataset), *dataset.shape)
    assert array.dtype == dataset.dtype
    assert all(block.array.flags.c_contiguous for block in blocks)
    return array, tuple(name for block in blocks for name in block.ids), dataset.notes


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


@pytest.fixture
def motley(folder, paint, rng):
    """Pictures of every kind: colour, grey, alpha, palette, CMYK, turned, 16 bits, animated, 1 x 1."""
    for i, (mode, height, width) in enumerate([("RGB", 8, 6), ("L", 9, 5), ("RGBA", 8, 6), ("LA", 8, 6), ("RGB", 1, 1)]):
        paint(f"{i}.png", height, width, mode)
    photo = Image.fromarray(rng.integers(0, 256, (8, 6, 3), dtype=np.uint8))
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    photo.quantize(5).save(folder / "palette.png", transparency=2)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "turned.jpg", exif=exif)
    photo.save(folder / "film.gif", save_all=True, append_images=[photo.transpose(Image.Transpose.ROTATE_180)])
    Image.fromarray(np.eye(8, 6) > 0).save(folder / "bits.png")
    write(folder / "deep.png", rng.integers(0, 65536, (8, 6, 3), dtype=np.uint16))
    write(folder / "deepgrey.png", rng.integers(0, 65536, (9, 6), dtype=np.uint16)[..., None])
    return folder


@pytest.mark.parametrize("bits", ["auto", 8, 16])
@pytest.mark.parametrize("colour", ["auto", "grey", "rgb", "rgba"])
@pytest.mark.parametrize("size", [None, "5x7"])
def test_streamed_pictures_are_the_same(motley, colour, bits, size):
    options = {"colour": colour, "bits": bits, "size": size}
    source = read(motley, **options)
    array, ids, notes = streamed(motley, **options)
    np.testing.assert_array_equal(array, source.array)
    assert array.dtype == source.array.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert array.shape[-1] == {"grey": 1, "rgba": 4}.get(colour, 3)
    assert ids == source.ids
    assert notes == source.notes


def test_streamed_with_broken_ones(motley):
    content = (motley / "turned.jpg").read_bytes()
    (motley / "cut.jpg").write_bytes(content[: len(content) // 2])
    (motley / "deepcut.png").write_bytes((motley / "deep.png").read_bytes()[:200])
    (motley / "text.png").write_text("no picture")
    for opened in (read, open_dataset):
        with pytest.raises(DataError, match=r"'text\.png': it is no picture"):
            opened(motley)
    source = read(motley, on_error="skip")
    array, ids, notes = streamed(motley, on_error="skip")
    np.testing.assert_array_equal(array, source.array)
    assert ids == source.ids
    assert not {"cut.jpg", "deepcut.png", "text.png"} & set(ids)
    assert sorted(notes) == sorted(source.notes)


@pytest.mark.parametrize("odd", [None, 0, 20])
def test_streamed_grey_saved_as_colour(folder, rng, odd):
    for i in range(21):
        grey = np.repeat(rng.integers(0, 256, (8, 6, 1), dtype=np.uint8), 3, axis=2)
        grey[0, 0, 0] ^= i == odd
        Image.fromarray(grey).save(folder / f"{i:02d}.png")
    source = read(folder)
    array, _, notes = streamed(folder)
    assert array.shape == (21, 8, 6, 1 if odd is None else 3)
    np.testing.assert_array_equal(array, source.array)
    assert notes == source.notes


def test_deep_folder_is_streamed_in_sixteen_bits(folder, rng):
    pictures = rng.integers(0, 65536, (5, 8, 6, 3), dtype=np.uint16)
    write(folder, pictures)
    np.testing.assert_array_equal(streamed(folder)[0], pictures)
    assert open_dataset(folder).fingerprint() != open_dataset(folder, bits=8).fingerprint()


def test_everything_done_is_told(motley):
    (motley / "notes.txt").write_text("x")
    assert read(motley).notes == [
        "left 1 other files in the folder alone",
        "resized 4 of 12 pictures to 8 x 6 (height x width, the median size)",
        "laid 3 pictures that may be transparent on white; colour='rgba' keeps their alpha",
        "reduced 2 pictures of 16 bits to 8; bits=16 keeps them",
        "4 of 12 pictures are grey; all are read as colour (RGB)",
        "took the first of several pictures in 1 animated or many-page files",
    ]


def test_alpha_is_kept_where_asked_for(folder, paint):
    pixels = paint("a.png", mode="RGBA")
    opaque = paint("b.png")
    found = read(folder, colour="rgba")
    np.testing.assert_array_equal(found.array[0], pixels)
    np.testing.assert_array_equal(found.array[1][..., :3], opaque)
    assert (found.array[1][..., 3] == 255).all()
    assert found.notes == []


def test_what_is_transparent_is_white_whatever_colour_it_hides(folder):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2] = (200, 10, 30, 255)
    Image.fromarray(pixels).save(folder / "a.png")
    found = read(folder).array[0]
    assert (found[:2] == (200, 10, 30)).all()
    assert (found[2:] == 255).all()
    assert (read(folder, colour="grey").array[0, 2:] == 255).all()


def test_cmyk(folder):
    Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save(folder / "red.jpg", quality=100)
    assert np.abs(read(folder).array[0].astype(int) - (255, 0, 0)).max() < 8


def test_one_pixel(folder, paint):
    paint("a.png", 1, 1)
    paint("b.png", 1, 1)
    assert read(folder).array.shape == (2, 1, 1, 3)
    assert read(folder, size=3).array.shape == (2, 3, 3, 3)


def test_broken_entries_of_the_camera_do_no_harm(folder, rng):
    pixels = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12")
    Image.fromarray(pixels).save(folder / "b.png", exif=b"nonsense")
    np.testing.assert_array_equal(read(folder).array, np.stack([pixels, pixels]))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif(folder):
    ramp = np.repeat(np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16, 1), 3, axis=2)
    Image.fromarray(ramp).save(folder / "a.avif", quality=100)
    assert np.abs(read(folder, colour="rgb").array[0].astype(int) - ramp).mean() < 4


def test_many_pages(folder, rng):
    pages = [Image.fromarray(rng.integers(0, 256, (8, 6), dtype=np.uint8)) for _ in range(3)]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:])
    source = read(folder)
    np.testing.assert_array_equal(source.array[0, ..., 0], np.asarray(pages[0]))
    assert any("1 animated or many-page" in note for note in source.notes)


def test_a_single_picture_of_a_stream_of_bytes(folder):
    stream = io.BytesIO()
    Image.new("RGB", (6, 8), (1, 2, 3)).save(stream, "WEBP", lossless=True)
    (folder / "a.webp").write_bytes(stream.getvalue())
    source = read(folder / "a.webp", colour="rgb")
    assert (len(source), source.ids) == (1, ("a.webp",))
    assert (source.array == (1, 2, 3)).all()


def test_four_channels_of_an_array(tmp_path, rng):
    np.savez(tmp_path / "x.npz", x=rng.integers(0, 256, (3, 8, 6, 4), dtype=np.uint8))
    assert read(tmp_path / "x.npz", colour="rgba").array.shape == (3, 8, 6, 4)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "avif", "tif", "gif", "bmp"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_whatever_is_broken_is_refused_or_read(folder, rng, ending):
    path, pixels = folder / f"a.{ending}", rng.integers(0, 65536, (9, 7, 3), dtype=np.uint16)
    if ending in ("tif", "gif", "bmp"):
        Image.fromarray((pixels >> 8).astype(np.uint8)).save(path)
    else:
        write(path, pixels, provenance=Provenance("trainedAlgorithmicMedia", "a", "b", "c", "d"))
    whole, refusals = path.read_bytes(), []
    for _ in range(120):
        broken = bytearray(whole)
        for place in rng.integers(0, len(broken), rng.integers(1, 8)):
            broken[place] = rng.integers(0, 256)
        path.write_bytes(broken[: rng.integers(1, len(broken))] if rng.random() < 0.2 else broken)
        for look in (read, read_provenance):
            try:
                look(path)
            except DataError as error:
                refusals.append(str(error))
    assert len(refusals) > 20
    assert all(f"a.{ending}" in told for told in refusals)
