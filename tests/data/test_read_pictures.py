"""Reading pictures."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from isthmus.data import read
from isthmus.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "pictures"


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "webp", "PNG"])
def test_lossless_pictures_come_as_they_are(folder, paint, ending):
    pixels = [paint(f"{name}.{ending}", lossless=True) for name in ("b", "a", "sub/c")]
    source = read(folder)
    assert source.kind == "pictures"
    assert source.ids == (f"a.{ending}", f"b.{ending}", f"sub/c.{ending}")
    assert source.array.dtype == np.uint8
    np.testing.assert_array_equal(source.array, np.stack([pixels[1], pixels[0], pixels[2]]))
    assert source.notes == []
    assert source.name == "pictures"


def test_jpeg(folder):
    folder.mkdir()
    china, flower = load_sample_images().images
    Image.fromarray(china).save(folder / "china.jpg", quality=95)
    Image.fromarray(flower).save(folder / "flower.jpeg", quality=95)
    source = read(folder)
    assert source.array.shape == (2, 427, 640, 3)
    assert np.abs(source.array[0].astype(float) - china).mean() < 3


def test_all_grey_is_one_channel(folder, paint):
    pixels = [paint("a.png", mode="L"), paint("b.png", mode="L")]
    source = read(folder)
    np.testing.assert_array_equal(source.array[..., 0], pixels)
    assert source.array.shape == (2, 8, 6, 1)
    assert read(folder, colour="rgb").array.shape == (2, 8, 6, 3)


def test_grey_saved_as_colour(folder, rng):
    folder.mkdir()
    grey = rng.integers(0, 256, (8, 6, 1), dtype=np.uint8)
    Image.fromarray(np.repeat(grey, 3, axis=2)).save(folder / "a.png")
    source = read(folder)
    np.testing.assert_array_equal(source.array, grey[None])
    assert any("though saved as colour" in note for note in source.notes)
    assert read(folder, colour="rgb").array.shape == (1, 8, 6, 3)


def test_grey_among_colour(folder, paint):
    grey, colour = paint("a.png", mode="L"), paint("b.png")
    source = read(folder)
    np.testing.assert_array_equal(source.array[0], np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(source.array[1], colour)
    assert any("1 of 2 pictures are grey" in note for note in source.notes)
    assert read(folder, colour="grey").array.shape == (2, 8, 6, 1)


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1)])
def test_transparency_is_laid_on_white(folder, paint, mode, channels):
    pixels = paint("a.png", mode=mode).astype(float)
    source = read(folder)
    share = pixels[..., channels:] / 255
    np.testing.assert_allclose(source.array[0], pixels[..., :channels] * share + 255 * (1 - share), atol=1.01)
    assert source.notes == ["laid 1 pictures that may be transparent on white; colour='rgba' keeps their alpha"]


def test_palettes(folder, paint):
    paint("x.png")
    flat = Image.new("P", (6, 8), 1)
    flat.putpalette([0, 0, 0, 200, 100, 50])
    flat.save(folder / "a.png", transparency=0)
    source = read(folder)
    assert (source.array[0] == (200, 100, 50)).all()
    assert any("laid 1 pictures" in note for note in source.notes)


def test_mixed_sizes(folder, paint):
    for i, (height, width) in enumerate([(8, 6), (8, 6), (8, 6), (30, 40)]):
        paint(f"{i}.png", height, width)
    source = read(folder)
    assert source.array.shape == (4, 8, 6, 3)
    assert source.notes == ["resized 1 of 4 pictures to 8 x 6 (height x width, the median size)"]
    for size in ("5x7", (5, 7), [5, 7]):
        asked = read(folder, size=size)
        assert asked.array.shape == (4, 5, 7, 3)
        assert asked.notes == ["resized 4 of 4 pictures to 5 x 7 (height x width, the size asked for)"]
    assert read(folder, size=9).array.shape == (4, 9, 9, 3)


def test_resizing_keeps_the_picture(folder):
    folder.mkdir()
    china = Image.fromarray(load_sample_images().images[0])
    china.save(folder / "a.png")
    small = read(folder, size=(61, 91)).array[0].astype(float)
    area = np.asarray(china.resize((91, 61), Image.Resampling.BOX)).astype(float)
    assert np.abs(small - area).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_cameras(folder, orientation):
    folder.mkdir()
    upright = np.zeros((8, 16, 3), np.uint8)
    upright[:4, :8] = 255  # white in the upper left
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the turn or flip that the orientation asks to undo
    image = Image.fromarray(upright)
    if orientation > 1:
        image = image.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(folder / "a.png", exif=exif)
    source = read(folder)
    assert source.notes in ([], ["all pictures are grey, though saved as colour; one channel is kept"])
    np.testing.assert_array_equal(source.array[0, ..., 0], upright[..., 0])


def test_sixteen_bits_are_scaled_not_cut(folder):
    folder.mkdir()
    deep = np.linspace(0, 65535, 48).reshape(6, 8).astype(np.uint16)
    Image.fromarray(deep).save(folder / "a.png")
    np.testing.assert_array_equal(read(folder).array[0, ..., 0], deep)
    source = read(folder, bits=8)
    np.testing.assert_array_equal(source.array[0, ..., 0], (deep / 257).round())
    assert any("16 bits" in note for note in source.notes)


def test_black_and_white(folder):
    folder.mkdir()
    bits = np.eye(6, 8) > 0
    Image.fromarray(bits).save(folder / "a.png")
    np.testing.assert_array_equal(read(folder).array[0, ..., 0], bits * 255)


def test_a_single_picture(folder, paint):
    pixels = paint("a.png")
    source = read(folder / "a.png")
    np.testing.assert_array_equal(source.array, pixels[None])
    assert source.ids == ("a.png",)


def test_other_and_hidden_files_are_left_alone(folder, paint):
    paint("a.png")
    paint(".hidden/b.png")
    (folder / "._a.png").write_bytes(b"resource fork")
    (folder / "labels.txt").write_text("x")
    source = read(folder)
    assert source.ids == ("a.png",)
    assert source.notes == ["left 1 other files in the folder alone"]


def test_folder_without_pictures(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"no pictures.*\.png, \.jpg"):
        read(tmp_path)


def _cut(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tiff", "webp", "gif"])
def test_truncated_pictures(folder, paint, ending):
    good = paint(f"good.{ending}", 40, 40)
    paint(f"cut.{ending}", 40, 40)
    _cut(folder, f"cut.{ending}")
    with pytest.raises(DataError, match=rf"1 picture\(s\) cannot be read: 'cut\.{ending}'.*--on-error skip"):
        read(folder)
    source = read(folder, on_error="skip")
    assert source.ids == (f"good.{ending}",)
    assert source.array.shape[1:3] == good.shape[:2]
    assert any(f"left out 1 unreadable picture(s): cut.{ending}" in note for note in source.notes)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", bytes(range(256))])
def test_what_is_no_picture(folder, paint, content):
    paint("a.png")
    (folder / "odd.png").write_bytes(content)
    with pytest.raises(DataError, match=r"'odd\.png'"):
        read(folder)
    assert read(folder, on_error="skip").ids == ("a.png",)
    (folder / "a.png").unlink()
    with pytest.raises(DataError, match="No readable picture is left"):
        read(folder, on_error="skip")


def test_all_truncated(folder, paint):
    paint("cut.jpg", 40, 40)
    _cut(folder, "cut.jpg")
    with pytest.raises(DataError, match="No readable picture is left"):
        read(folder, on_error="skip")


def _png(width, height):
    """A tiny file that promises a picture of this size."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_decompression_bombs(folder, paint, side):
    paint("a.png")
    (folder / "bomb.png").write_bytes(_png(side, side))
    with pytest.raises(DataError, match=r"'bomb\.png': it has more than \d+ pixels"):
        read(folder)
    assert read(folder, on_error="skip").ids == ("a.png",)


def test_floating_point_pictures(folder, paint):
    paint("a.png")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(folder / "f.tiff")
    with pytest.raises(DataError, match=r"'f\.tiff': .*\.npy"):
        read(folder)


def test_wrong_options_are_refused(folder, paint):
    paint("a.png")
    for options in ({"colour": "sepia"}, {"on_error": "ignore"}, {"size": "big"}, {"size": 0}):
        with pytest.raises(ConfigError):
            read(folder, **options)


def test_animations_give_their_first_picture(folder):
    folder.mkdir()
    frames = [Image.new("RGB", (6, 8), colour) for colour in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    (folder / "a.gif").write_bytes(stream.getvalue())
    assert (read(folder).array[0] == (255, 0, 0)).all()
