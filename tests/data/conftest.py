"""What the tests of reading and writing share."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def save(tmp_path):
    """Write text or bytes to a file of the given name."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return path

    return write


@pytest.fixture
def paint(tmp_path, rng):
    """Write a picture of random pixels, and return them."""

    def make(name, height=8, width=6, mode="RGB", **options):
        depth = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}[mode]
        pixels = rng.integers(0, 256, (height, width, *depth), dtype=np.uint8)
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return pixels

    return make
