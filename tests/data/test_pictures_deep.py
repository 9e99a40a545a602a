"""Pictures of 16 bits a pixel: read whole, brought to 8 bits and back, and written."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from isthmus.data import Schema, Source, open_dataset, read, write
from isthmus.errors import ConfigError, DataError

COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(pixels, *more):
    """A PNG of 16 bits, written from the format's description, without filters."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, COLOURS[channels], 0, 0, 0)
    parts = [chunk(b"IHDR", head), *more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(pixels, order="<", packed=False):
    """A TIFF of 16 bits in one strip."""
    height, width, channels = pixels.shape
    data = pixels.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if packed else data
    bits, start = 8 + len(data), 8 + len(data) + 2 * channels
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, bits), (259, 3, 1, 8 if packed else 1)]
    entries += [(262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(data))]
    entries += [(338, 3, 1, 2)] if channels == 4 else []
    table = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        small = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        table += struct.pack(f"{order}HHI", tag, kind, count) + small
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", start)
    return head + data + struct.pack(f"{order}{channels}H", *[16] * channels) + table + bytes(4)


def unpacked(content, channels):
    """Pixels of a PNG of 16 bits whose rows are kept as they are or as differences from the row above."""
    place, data, head = 8, b"", b""
    while place < len(content):
        size, name = struct.unpack(">I4s", content[place : place + 8])
        body = content[place + 8 : place + 8 + size]
        assert struct.unpack(">I", content[place + 8 + size : place + 12 + size])[0] == zlib.crc32(name + body)
        head, data = (body, data) if name == b"IHDR" else (head, data + body if name == b"IDAT" else data)
        place += 12 + size
    width, height, bits, colour = struct.unpack(">IIBB", head[:10])
    assert (bits, colour) == (16, COLOURS[channels])
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 2).all()
    found = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint64).astype(np.uint8)
    return np.ascontiguousarray(found).view(">u2").reshape(height, width, channels)


@pytest.fixture
def pixels(rng):
    return lambda channels, height=5, width=7: rng.integers(0, 65536, (height, width, channels), dtype=np.uint16)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_all_bits(save, pixels, channels):
    one, two = pixels(channels), pixels(channels)
    save("p/a.png", png(one))
    save("p/b.png", png(two))
    source = read(save("p/readme.txt", "x").parent)
    assert source.array.dtype == np.uint16
    np.testing.assert_array_equal(source.array, np.stack([one, two]))
    assert source.notes == ["left 1 other files in the folder alone"]


@pytest.mark.parametrize("channels", [2, 4])
def test_png_with_alpha(save, pixels, channels):
    picture = pixels(channels)
    path = save("p/a.png", png(picture)).parent
    kept = read(path, colour="rgba").array[0]
    np.testing.assert_array_equal(kept[..., :3], np.broadcast_to(picture[..., :-1], (5, 7, 3)))
    np.testing.assert_array_equal(kept[..., 3], picture[..., -1])
    laid, share = read(path).array[0], picture[..., -1:] / 65535
    assert laid.shape[-1] == channels - 1
    np.testing.assert_allclose(laid, picture[..., :-1] * share + 65535 * (1 - share), atol=0.51)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_with_one_transparent_colour(save, pixels, channels):
    picture = pixels(channels)
    key = chunk(b"tRNS", picture[2, 3].astype(">u2").tobytes())
    source = read(save("p/a.png", png(picture, key)).parent)
    expected = picture.copy()
    expected[(picture == picture[2, 3]).all(axis=2)] = 65535
    np.testing.assert_array_equal(source.array[0], expected)
    assert any("laid 1" in note for note in source.notes)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_tiff_keeps_all_bits(save, pixels, order, packed, channels):
    picture = pixels(channels)
    path = save("p/a.tif", tiff(picture, order, packed)).parent
    np.testing.assert_array_equal(read(path, colour="rgba" if channels == 4 else "auto").array[0], picture)


@pytest.mark.parametrize("ending", ["tif", "png", "pgm"])
def test_grey_from_another_writer(tmp_path, pixels, ending):
    picture = pixels(1)[..., 0]
    Image.fromarray(picture).save(tmp_path / f"a.{ending}")
    np.testing.assert_array_equal(read(tmp_path / f"a.{ending}").array[0, ..., 0], picture)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_cameras(save, pixels, orientation):
    picture = pixels(3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save("p/a.png", png(picture, chunk(b"eXIf", exif.tobytes()[6:]))).parent
    found = read(path).array[0]
    turned = {1: picture, 2: picture[:, ::-1], 3: picture[::-1, ::-1], 4: picture[::-1], 5: picture.swapaxes(0, 1)}
    turned |= {6: np.rot90(picture, -1), 7: picture[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(picture)}
    np.testing.assert_array_equal(found, turned[orientation])


def test_eight_bits_are_rounded_and_come_back(save, pixels):
    picture = pixels(3)
    path = save("p/a.png", png(picture)).parent
    source = read(path, bits=8)
    assert source.array.dtype == np.uint8
    np.testing.assert_array_equal(source.array[0], np.rint(picture / 257))
    assert source.notes == ["reduced 1 pictures of 16 bits to 8"]
    grey = read(path, colour="grey").array[0, ..., 0]
    np.testing.assert_allclose(grey, picture @ [0.299, 0.587, 0.114], atol=1)


def test_mixed_depths(save, paint, pixels, tmp_path):
    deep, flat = pixels(3, 8, 6), paint("b.png")
    save("pictures/a.png", png(deep))
    source = read(tmp_path / "pictures")
    assert source.array.dtype == np.uint8
    assert source.notes == ["reduced 1 pictures of 16 bits to 8; bits=16 keeps them"]
    source = read(tmp_path / "pictures", bits="16")
    np.testing.assert_array_equal(source.array, np.stack([deep, flat.astype(np.uint16) * 257]))
    assert source.notes == ["brought 1 pictures of 8 bits to 16 (times 257)"]


def test_resizing_agrees_with_eight_bits(save, rng):
    small = rng.integers(80, 176, (12, 15, 3)).astype(np.uint16)  # far from the ends, where 8 bits are cut off between two passes
    path = save("p/a.png", png(small * 257)).parent
    for colour, size in (("rgb", (5, 4)), ("rgba", (6, 9)), ("grey", (7, 7))):
        fine, coarse = (read(path, colour=colour, size=size, bits=bits).array.astype(float) for bits in (16, 8))
        assert fine.shape == (1, *size, {"rgb": 3, "rgba": 4, "grey": 1}[colour])
        np.testing.assert_allclose(fine / 257, coarse, atol=1.01)


def test_transparent_pixels_do_not_colour_their_neighbours(save):
    picture = np.zeros((8, 8, 4), np.uint16)
    picture[:, :4] = (65535, 0, 0, 65535)
    picture[:, 4:] = (0, 65535, 0, 0)
    found = read(save("p/a.png", png(picture)).parent, colour="rgba", size=4).array[0]
    assert found[..., 1].max() == 0
    assert (found[:, :2, 0] > 65000).all()


def test_whole_numbers_beyond_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((3, 3), 70000, np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"'a\.tif': pixels are whole numbers from 70000 to 70000.*\.npy"):
        read(tmp_path)


@pytest.mark.parametrize("bits", [4, "deep", True])
def test_wrong_bits(tmp_path, bits):
    for opened in (read, open_dataset):
        with pytest.raises(ConfigError, match="bits must be auto, 8 or 16"):
            opened(tmp_path, bits=bits)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_written_as_sixteen_bits(tmp_path, pixels, channels):
    picture = pixels(channels, 40, 30)
    path = write(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(unpacked(path.read_bytes(), channels), picture)
    np.testing.assert_array_equal(read(path, colour={1: "grey", 3: "rgb", 4: "rgba"}[channels]).array[0], picture)


def test_written_in_bands(tmp_path, pixels, monkeypatch):
    monkeypatch.setattr("isthmus.data.picture_files._BANDS", 100)
    picture = pixels(3, 40, 30)
    np.testing.assert_array_equal(unpacked(write(tmp_path / "a.png", picture).read_bytes(), 3), picture)


def test_sheets_and_folders_of_sixteen_bits(tmp_path, pixels):
    pictures = np.stack([pixels(3) for _ in range(4)])
    np.testing.assert_array_equal(read(write(tmp_path / "folder", pictures)).array, pictures)
    sheet = read(write(tmp_path / "sheet.png", pictures[None])).array[0]
    np.testing.assert_array_equal(sheet[1:6, 9:16], pictures[1])
    assert (sheet[0] == 65535).all()


@pytest.mark.parametrize("ending", ["jpg", "webp", "avif"])
def test_other_formats_have_eight(tmp_path, ending):
    ramp = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8, 1).repeat(8, 0).repeat(8, 1), 3, axis=2)
    found = read(write(tmp_path / f"a.{ending}", ramp), colour="rgb").array[0]
    assert found.dtype == np.uint8
    assert np.abs(found - ramp / 257).mean() < 4


def test_models_refuse_pixels_of_another_depth():
    small, large = (Source("pictures", np.full((2, 3, 3, 1), value, dtype)) for value, dtype in ((9, np.uint8), (900, np.uint16)))
    with pytest.raises(DataError, match="pixels of 8 bits; the model was fitted on 16"):
        Schema.infer(large).align(small)
    with pytest.raises(DataError, match="values from 900 to 900; the model was fitted on pixels from 0 to 255"):
        Schema.infer(small).align(large)
    harmless = Source("pictures", np.full((2, 3, 3, 1), 200, np.int64))
    np.testing.assert_array_equal(Schema.infer(small).align(harmless), harmless.array)


@pytest.mark.parametrize(("high", "doubted"), [(1.0, True), (255.0, False), (0.0, False)])
def test_floats_given_to_a_model_of_bytes_are_noted(high, doubted):
    schema = Schema.infer(Source("pictures", np.zeros((2, 3, 3, 1), np.uint8)))
    source = Source("pictures", np.full((2, 3, 3, 1), high))
    schema.align(source)
    assert "taken to be in the same units" in source.notes[0]
    assert ("lie within 0 and 1" in source.notes[0]) == doubted
