"""What the tests of the command line share: a caller, real files, and small fitted models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from isthmus.cli import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch, capsys, tmp_path) -> Callable[..., Outcome]:
    """Call the command line in this process, in a folder of its own, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return Outcome(int(code), captured.out, captured.err)

    return run


@pytest.fixture
def good(call):
    """Call the command line and insist that it succeeds; return what it printed."""

    def run(*arguments: object) -> str:
        outcome = call(*arguments)
        assert outcome.code == 0, outcome.err
        return outcome.out

    return run


@pytest.fixture
def refused(call):
    """Call the command line and insist on one clear line of error and exit code 2; return the line."""

    def run(*arguments: object) -> str:
        outcome = call(*arguments)
        assert outcome.code == 2, outcome
        lines = outcome.err.strip().splitlines()
        assert len(lines) == 1, outcome.err
        assert lines[0].startswith("error: ")
        return lines[0]

    return run


def environment(**more: str) -> dict[str, str]:
    """The environment of a real process: one thread, 80 columns."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", "TERM": "xterm-256color", **more}


@pytest.fixture
def process(tmp_path):
    """Run the command line as a real process to its end."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "isthmus", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(**more), timeout=120, check=False)

    return run


@pytest.fixture
def started(tmp_path):
    """Start the command line as a real process; what is left of it at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-m", "isthmus", *map(str, arguments)]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path, env=environment()))
        return running[-1]

    yield start
    for child in running:
        child.kill()
        child.communicate()


@pytest.fixture(scope="session")
def wine() -> tuple[np.ndarray, list[str], np.ndarray]:
    """scikit-learn's wine: values (178, 13), column names, and classes as text."""
    from sklearn.datasets import load_wine

    found: Any = load_wine()
    return found.data, list(found.feature_names), np.asarray([str(found.target_names[t]) for t in found.target])


@pytest.fixture(scope="session")
def files(tmp_path_factory, wine, digits) -> Path:
    """A folder with the wine as CSV, Parquet, npy and npz, with and without the class, and digits as npz and as pictures."""
    import pandas as pd

    folder = tmp_path_factory.mktemp("files")
    values, names, classes = wine
    frame = pd.DataFrame(values, columns=names)
    frame.to_csv(folder / "wine.csv", index=False)
    frame.to_parquet(folder / "wine.parquet")
    frame.assign(cultivar=classes).to_csv(folder / "labelled.csv", index=False)
    np.save(folder / "wine.npy", values)
    np.savez(folder / "several.npz", red=values, white=values[:30])
    pixels = np.rint(digits[:200] * 255).astype(np.uint8)
    np.savez(folder / "digits.npz", x_train=pixels[..., 0], y_train=np.arange(200) % 10)
    (folder / "pictures").mkdir()
    for i, picture in enumerate(pixels[:40]):
        Image.fromarray(picture[..., 0]).save(folder / "pictures" / f"digit{i:02d}.png")
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory, files) -> Path:
    """A folder with small models: ``table`` (variational, wine), ``plain`` (undercomplete, wine), ``pictures`` (variational, digits)."""
    from isthmus.data import read
    from isthmus.tasks.config import Config
    from isthmus.tasks.fit import fit

    folder = tmp_path_factory.mktemp("models")
    fit(read(files / "wine.csv"), Config(family="variational", steps=60, latent=2)).save(folder / "table")
    fit(read(files / "wine.csv"), Config(steps=60, latent=2)).save(folder / "plain")
    fit(read(files / "pictures"), Config(family="variational", steps=30, latent=3)).save(folder / "pictures")
    return folder
