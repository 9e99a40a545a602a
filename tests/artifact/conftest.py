"""Two small fitted models and ways to tamper with a saved one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit


@pytest.fixture(scope="session")
def source(cancer: np.ndarray) -> Source:
    return Source("table", cancer[:200, :10], tuple("abcdefghij"), name="cancer")


def small(source: Source, **settings: Any) -> Artifact:
    quick = {"steps": 10, "batch": 32, "evaluate_every": 5, "hidden": (8,), "latent": 3, "device": "cpu"}
    return fit(source, Config(**{**quick, **settings}))


@pytest.fixture(scope="session")
def first(source: Source) -> Artifact:
    return small(source, family="variational", seed=1)


@pytest.fixture(scope="session")
def second(source: Source) -> Artifact:
    return small(source, family="variational", seed=2)


@pytest.fixture
def saved(first: Artifact, tmp_path: Path) -> Path:
    return first.save(tmp_path / "model")


Edit = Callable[[dict[str, Any]], None]


class Tamper:
    """Changes a saved model the way an attacker would: the digests are brought up to date."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def config(self, edit: Edit) -> None:
        file = self.folder / "config.json"
        entry = json.loads(file.read_text())
        edit(entry)
        file.write_text(json.dumps(entry))

    def replace(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)
        self.config(lambda entry: entry["files"].update({name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}}))


@pytest.fixture
def tamper(saved: Path) -> Tamper:
    return Tamper(saved)
