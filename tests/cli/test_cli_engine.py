"""``isthmus info --engine``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(*arguments: str, cache: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ISTHMUS_CACHE": str(cache), "COLUMNS": "100", "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-c", "from isthmus.cli import main; main()", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_it_is_measured_once_and_told(tmp_path: Path) -> None:
    first = run("info", "--engine", cache=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "measured now" in first.stdout
    assert "gradient: weight" in first.stdout
    assert "*" in first.stdout
    figures = (tmp_path / "engine.json").read_text()
    second = run("info", "--engine", cache=tmp_path)
    assert "measured before" in second.stdout
    assert (tmp_path / "engine.json").read_text() == figures
    again = run("info", "--engine", "--measure", cache=tmp_path)
    assert "measured now" in again.stdout


def test_a_kernel_can_be_forced_and_a_wrong_name_is_refused(tmp_path: Path) -> None:
    assert "ISTHMUS_ENGINE is set to plain" in run("info", "--engine", cache=tmp_path, ISTHMUS_ENGINE="plain").stdout.replace("\n", " ")
    wrong = run("info", "--engine", cache=tmp_path, ISTHMUS_ENGINE="mkl")
    assert wrong.returncode == 2
    assert "ISTHMUS_ENGINE must be auto or one of plain, numpy, onednn, not 'mkl'" in wrong.stderr.replace("\n", " ")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = run("info", "--engine", cache=tmp_path / "file")
    assert told.returncode == 0, told.stderr
    assert "assumed" in told.stdout


def test_info_without_a_model_says_what_it_needs(tmp_path: Path) -> None:
    told = run("info", cache=tmp_path)
    assert told.returncode == 2
    assert "info needs the folder of a saved model, or --engine" in told.stderr
