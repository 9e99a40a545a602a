"""Shared fixtures: small real data, and the folder of larger real data where there is one."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

# Processes that share the tests share the cores too: one thread each, set before anything makes threads.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what it puts into the background deaf to Ctrl-C; the programs that the tests start and interrupt are not to inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from hypothesis import settings

# A check that passed passes again: the same examples each time. `--hypothesis-profile=search` draws new ones.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile("same")


def data_folder() -> Path | None:
    """Return the folder named by ISTHMUS_DATA, or the one beside the checkout, if it is there."""
    named = os.environ.get("ISTHMUS_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """What is measured of the machine stays in a folder of the tests, and is the same for all of them."""
    before = os.environ.get("ISTHMUS_CACHE")
    os.environ["ISTHMUS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ["ISTHMUS_CACHE"]
    if before is not None:
        os.environ["ISTHMUS_CACHE"] = before


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = data_folder()
    if folder is None:
        pytest.skip("needs the real data sets: set ISTHMUS_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """scikit-learn's digits as pictures in [0, 1], shape (1797, 8, 8, 1)."""
    from sklearn.datasets import load_digits

    return (load_digits().images / 16)[..., None].astype(np.float32)


@pytest.fixture(scope="session")
def cancer() -> np.ndarray:
    """scikit-learn's breast cancer table, shape (569, 30)."""
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer().data


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with certificates made up for the tests: chains with their keys, and roots."""
    pytest.importorskip("cryptography")
    from certificates import make

    return make(tmp_path_factory.mktemp("certificates"))
