"""The pieces of the command line: flags, errors in its own language, tables, places, launching."""

from __future__ import annotations

import doctest
import importlib
import io
import math
import re

import pytest
from rich.console import Console

from isthmus.cli import flags, launch, places, show
from isthmus.cli.border import spoken
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.tasks.choices import Choice
from isthmus.training import TrainingConfig


def rendered(table, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(table)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["border", "fitting", "flags", "launch", "places", "reporting", "settings", "show"])
def test_examples_run(name) -> None:
    result = doctest.testmod(importlib.import_module(f"isthmus.cli.{name}"))
    assert result.failed == 0


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("steps must be a whole number", "--steps must be a whole number"),
        ("held_out must be at least 0", "--held-out must be at least 0"),
        ("a bad\n  thing\n ^", "a bad thing ^"),
        ("use scale='none', or clip=1.0.", "use --scaling none, or --clip 1.0."),
        ("read it with size=28x28 and colour='grey'", "read it with --size 28x28 and --colour grey"),
        ("size=(64, 48) is for files", "--size 64x48 is for files"),
        ("column 'steps=3' holds 'x'", "column 'steps=3' holds 'x'"),
        (
            "Leave them out with drop=['a b', 'c'] (command line: --drop 'a b' --drop c), or",
            "Leave them out with --drop 'a b' --drop c, or",
        ),
        ("Leave it out with drop=['a (cm)'] (command line: --drop 'a (cm)')", "Leave it out with --drop 'a (cm)'"),
        ("Name one with key (command line: --key NAME). It has", "Name one with --key NAME. It has"),
        ("colour must be one of ('auto', 'grey'), not 1", "--colour must be one of auto, grey, not 1"),
    ],
)
def test_errors_speak_of_flags(message, said) -> None:
    assert spoken(message) == said


def test_names_may_be_given_together_or_one_by_one() -> None:
    assert flags.parse_reading({"drop": ["a, b", "c"], "columns": []}) == {"drop": ("a", "b", "c")}
    assert flags.parse_reading({"drop": ["a, b", "c"]}, "c.toml") == {"drop": ("a, b", "c")}
    assert flags.parse_reading({"drop": "a,b"}, "c.toml") == {"drop": ("a", "b")}
    assert flags.parse_reading({"columns": [0, 2]}, "c.toml") == {"columns": (0, 2)}
    with pytest.raises(ConfigError, match=r"c\.toml: shape must be text such as 64x64 or whole numbers, not \[1\.5\]"):
        flags.parse_reading({"shape": [1.5]}, "c.toml")


def test_the_comparison_marks_the_best_of_each_column() -> None:
    rows = {"a": {"reconstruction error": 0.1, "clustering": 0.5}, "b": {"reconstruction error": 0.2, "clustering": 0.9, "code width": 3.0}}
    stream = io.StringIO()
    Console(file=stream, width=80, force_terminal=True, color_system="standard", highlight=False).print(
        show.comparison(rows, "[red] title")
    )
    out = stream.getvalue()
    assert "[red] title" in out
    for cell in ("0.1", "0.9"):
        assert re.search(rf"\x1b\[1;32m *{cell}\x1b", out)
    for cell in ("0.2", "0.5", "3"):
        assert not re.search(rf"\x1b\[1;32m *{cell}\x1b", out)
    assert rendered(show.comparison(rows, "")).splitlines()[-2].split() == ["a", "0.1", "-", "0.5"]


def test_equal_figures_are_equally_good() -> None:
    assert show._best("clustering", {"a": {"clustering": 0.98761}, "b": {"clustering": 0.98762}, "c": {"clustering": math.nan}}) == {
        "a",
        "b",
    }
    assert show._best("clustering", {"a": {"clustering": 0.9}}) == set()


def test_the_widest_comparison_fits_80_columns() -> None:
    figures = {"reconstruction error": 0.0123456, "code width": 1024.0, "active units": 1024.0, "k-NN accuracy": 0.98765}
    figures |= {"clustering": 0.98765, "log likelihood (nats)": -12345.678}
    rows = {"undercomplete": figures, "raw pixels": figures}
    out = rendered(show.comparison(rows, "title"))
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    assert "-12,346" in out


def test_settings_stand_in_groups() -> None:
    out = rendered(show.choices([Choice("latent", 3, "given"), Choice("hidden", (8, 4), "a reason"), Choice("steps", 2000, "default")]))
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[2:] == ["latent   3      given", "hidden   8,4    a reason", "", "steps    2000   default"]


def test_the_bar_is_silent_without_a_terminal() -> None:
    stream = io.StringIO()
    bar = show.Bar(Console(file=stream))
    bar.started(TrainingConfig(steps=3), 0)
    bar.stepped(1, {"loss": 1.0})
    bar.evaluated({"step": 1.0, "held_out": 2.0}, True)
    bar.finished("steps")
    assert stream.getvalue() == ""


def test_figures_are_short() -> None:
    shown = [show.number(value) for value in (0.00123456, 12.3456, 1234.56, 1e7, -3.0, math.nan, math.inf)]
    assert shown == ["0.00123", "12.3", "1,235", "10,000,000", "-3", "-", "inf"]


def test_places(tmp_path) -> None:
    (tmp_path / "model").mkdir()
    places.check_folder(tmp_path / "model", overwrite=False)
    (tmp_path / "model/config.json").write_text("{}")
    places.check_folder(tmp_path / "model", overwrite=True)
    with pytest.raises(ArtifactError, match="--overwrite"):
        places.check_folder(tmp_path / "model", overwrite=False)
    places.check_file(tmp_path / "new/deep/a.csv", places.TABLES)
    assert not (tmp_path / "new").exists()
    places.check_file(tmp_path / "folder", places.PICTURES, folder=True)
    with pytest.raises(DataError, match="must end in one of"):
        places.check_file(tmp_path / "folder", places.PICTURES)


def test_every_ending_told_can_be_written() -> None:
    from isthmus.data import write

    assert set(places.PICTURES) == set(importlib.import_module(write.__module__)._WRITERS)


def test_processes_are_started_only_where_no_launcher_did(monkeypatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert launch.wanted(2)
    assert not launch.wanted(1)
    assert not launch.wanted(None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not launch.wanted(2)


def test_the_device_that_fails_alone_is_heard(monkeypatch, capfd) -> None:
    import sys

    script = "import os, sys, time; rank = os.environ['RANK']; time.sleep(0 if rank == '1' else 30); sys.exit('device 1 is broken')"
    before = launch.subprocess.Popen
    monkeypatch.setattr(launch.subprocess, "Popen", lambda command, **how: before([sys.executable, "-c", script], **how))
    monkeypatch.setattr(launch, "GRACE", 0.5)
    assert launch.several(2, ["fit"]) == 1
    assert "device 1 is broken" in capfd.readouterr().err
