"""``isthmus monitor`` with real files and processes: batches, streams of lines, restarts, sudden death."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isthmus.data import read
from isthmus.tasks.detector import Detector

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
BATCHES = 6


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """A folder with a detector, healthy and faulty batches in a folder ``in``, and single ones beside it."""
    folder = tmp_path_factory.mktemp("machine")
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((5, 5))

    def write(name: str, n: int, age: int, strange: int = 0, drop: str | None = None) -> None:
        values = rng.standard_normal((n, 5)) @ mixing
        values[30 : 30 + strange] *= 15.0
        frame = pd.DataFrame(values, columns=["heat", "flow", "volt", "amp", "oil"])
        frame["mode"] = rng.choice(["idle", "run"], n)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        frame.drop(columns=[drop] if drop else []).to_csv(path, index=False)
        os.utime(path, (1.7e9 - 3600 * age, 1.7e9 - 3600 * age))

    write("train.csv", 1500, 100)
    Detector.fit(read(folder / "train.csv")).save(folder / "model")
    for i in range(BATCHES):
        write(f"in/batch{i}.csv", 300, 50 - i, strange=10 if i == 2 else 0)
    write("fine.csv", 200, 5)
    write("gap.csv", 50, 4, drop="oil")
    return folder


@pytest.fixture
def place(machine, tmp_path) -> Path:
    """A copy of the model in the folder of the test, so that the state lies beside it."""
    shutil.copytree(machine / "model", tmp_path / "model")
    return tmp_path


def lines(text: str) -> list[str]:
    """The lines of batches: those that begin with a date."""
    return [line for line in text.splitlines() if line[:2] == "20"]


def events(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_batches_are_judged_one_by_one(machine, place, call):
    done = call("monitor", "model", machine / "in", machine / "gap.csv", "--budget", "1/2000", "--out", "found.jsonl")
    assert done.code == 1
    told = lines(done.out)
    assert len(told) == BATCHES + 1
    assert [line.split()[2] for line in told[:3]] == ["batch0.csv", "batch1.csv", "batch2.csv"]
    assert told[0].endswith("healthy")
    assert told[2].endswith("anomalies")
    assert told[-1].endswith("not scored")
    assert "warning: gap.csv: there is no column 'oil'" in done.out
    assert "1/2000 rows" in done.out
    assert "strange row" in done.out
    assert " (expected " in done.out
    alarms = [event for event in events(place / "found.jsonl") if event["what"] == "alarm"]
    assert [(alarm["batch"], alarm["row"] in range(30, 40)) for alarm in alarms] == [("batch2.csv", True)]
    assert alarms[0]["time"].startswith("2023-11-")
    assert alarms[0]["reasons"]
    assert (place / "model.monitor.json").is_file()
    assert not list(place.glob(".*"))


def test_files_that_were_taken_are_left_out(machine, place, call):
    first = call("monitor", "model", machine / "fine.csv")
    assert (first.code, len(lines(first.out))) == (0, 1)
    again = call("monitor", "model", machine / "fine.csv", machine / "in" / "batch0.csv")
    assert (again.code, len(lines(again.out))) == (0, 1)
    assert "1 taken before" in again.out
    assert "going on after 200 rows" in again.out


def test_a_healthy_machine_ends_with_0_an_alarm_with_1_a_gap_with_2(machine, place, process):
    fine = process("monitor", "model", machine / "fine.csv", "--state", "a.json")
    strange = process("monitor", "model", machine / "in" / "batch2.csv", "--state", "b.json")
    gap = process("monitor", "model", machine / "gap.csv", machine / "fine.csv", "--state", "c.json")
    assert [fine.returncode, strange.returncode, gap.returncode] == [0, 1, 2]
    assert fine.stderr + strange.stderr + gap.stderr == ""
    assert "\x1b" not in fine.stdout + strange.stdout
    assert len(lines(gap.stdout)) == 2


@pytest.mark.parametrize("form", ["csv", "json"])
def test_lines_on_the_standard_input_are_judged(machine, place, started, form):
    frame = pd.read_csv(machine / "in" / "batch2.csv")
    text = frame.to_csv(index=False) if form == "csv" else frame.to_json(orient="records", lines=True)
    child = fed(place, "monitor", "model", "-", "--batch", 100, "--out", "out.csv")
    out, err = child.communicate(text, timeout=120)
    assert (child.returncode, err) == (1, "")
    assert [line.split("  ")[1] for line in lines(out)] == ["lines 1-100", "lines 101-200", "lines 201-300"]
    assert lines(out)[0].endswith("anomalies")
    found = pd.read_csv(place / "out.csv")
    assert found.what.tolist() == ["alarm", "over"]
    assert found.row[0] in range(30, 40)


def fed(place: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start the command line as a process that reads what it is sent."""
    pipe, env = subprocess.PIPE, {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
    command = [sys.executable, "-u", "-m", "isthmus", *map(str, arguments)]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=place, env=env)


def test_lines_that_come_slowly_are_judged_when_they_come(machine, place):
    child = fed(place, "monitor", "model", "-", "--wait", 0.2)
    try:
        head, *rest = (machine / "fine.csv").read_text().splitlines(keepends=True)
        child.stdin.writelines([head, *rest[:40]])
        child.stdin.flush()
        told = iter(child.stdout.readline, "")
        assert "lines 1-40" in next(line for line in told if line[:2] == "20")
        child.stdin.writelines(rest[40:60])
        child.stdin.flush()
        assert "lines 41-60" in next(line for line in told if line[:2] == "20")
        child.stdin.close()
        assert child.wait(60) == 0
        assert json.loads((place / "model.monitor.json").read_text())["monitor"]["course"]["rows"] == 60
    finally:
        child.kill()
        child.stdout.close()
        child.stderr.close()


@posix
def test_a_monitor_killed_at_any_moment_goes_on_as_if_nothing_had_been(machine, place, process, started):
    whole = process("monitor", "model", machine / "in", "--state", "whole.json", "--out", "whole.jsonl")
    assert whole.returncode == 1
    rng, told, kills = np.random.default_rng(0), [], 0
    for wait in [*rng.uniform(0.0, 0.02, BATCHES), None]:
        child = started("monitor", "model", machine / "in", "--state", "parts.json", "--out", "parts.jsonl")
        if wait is not None:
            line = next((line for line in iter(child.stdout.readline, "") if line[:2] == "20"), None)
            time.sleep(wait)
            kills += child.poll() is None
            child.send_signal(signal.SIGKILL)
            told.append(line)
        child.communicate(timeout=240)
    assert kills >= 2
    states = [json.loads((place / name).read_text()) for name in ("whole.json", "parts.json")]
    assert states[0]["monitor"] == states[1]["monitor"]
    assert states[0]["seen"] == states[1]["seen"]
    assert (place / "whole.jsonl").read_text() == (place / "parts.jsonl").read_text()


@posix
def test_a_followed_folder_is_watched_until_interrupted(machine, place, started):
    folder = place / "arrivals"
    folder.mkdir()
    child = started("monitor", "model", "--follow", folder, "--every", 0.1)
    told = iter(child.stdout.readline, "")
    next(line for line in told if line.startswith("time"))

    def arrive(name: str) -> str:
        part = folder / f"{name}.part"
        part.write_bytes((machine / "in" / name).read_bytes())
        os.utime(part, (1.7e9, 1.7e9))
        part.rename(folder / name)
        return next(line for line in told if line[:2] == "20")

    assert "batch0.csv" in arrive("batch0.csv")
    assert arrive("batch2.csv").rstrip().endswith("anomalies")
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=240)
    assert child.returncode == 130
    assert "the state is kept in" in out
    assert err == ""
    state = json.loads((place / "model.monitor.json").read_text())
    assert list(state["seen"].values()) == ["batch0.csv", "batch2.csv"]


def test_once_takes_what_is_there(machine, place, call):
    done = call("monitor", "model", "--follow", machine / "in", "--once")
    assert (done.code, len(lines(done.out))) == (1, BATCHES)


def test_a_budget_of_time_goes_by_the_times_of_the_files(machine, place, call):
    done = call("monitor", "model", machine / "in", "--budget", "1/day")
    assert "1/day" in done.out
    told = lines(done.out)
    assert told[2].endswith("anomalies")
    assert all(line.endswith("healthy") for line in told[3:])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["model"], "monitor needs data"),
        (["model", "-", "fine.csv"], "cannot be mixed"),
        (["model", "fine.csv", "--follow", "in"], "not both"),
        (["model", "fine.csv", "--once"], "--once goes with --follow"),
        (["model", "nothing.csv"], "there is no file or folder nothing.csv"),
        (["model", "fine.csv", "--budget", "sometimes"], "budget must be alarms per rows or time"),
        (["model", "fine.csv", "--out", "found.txt"], "must end in one of .jsonl, .csv"),
        (["model", "fine.csv", "--time", "clock"], "no column 'clock'"),
        (["model", "fine.csv", "--state", "fine.csv"], "is not the state of a monitor"),
        (["nowhere", "fine.csv"], "no saved model at"),
        (["model", "--follow", "nowhere"], "there is no folder nowhere"),
        (["model", "."], "holds no tables"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(machine, place, refused, arguments, told):
    if "holds no tables" not in told:
        (place / "fine.csv").write_bytes((machine / "fine.csv").read_bytes())
    assert told in refused("monitor", *arguments)


def test_a_state_of_another_model_is_refused(machine, place, call, refused):
    assert call("monitor", "model", machine / "fine.csv").code == 0
    Detector.fit(read(machine / "train.csv"), seed=1).save(place / "model")
    assert "belongs to another model" in refused("monitor", "model", machine / "fine.csv")


def test_binary_junk_is_warned_of_and_does_not_stop(machine, place, call):
    (place / "junk.csv").write_bytes(bytes(range(256)) * 10)
    (place / "cut.parquet").write_bytes(b"PAR1")
    done = call("monitor", "model", "junk.csv", "cut.parquet", machine / "fine.csv")
    assert done.code == 2
    assert [line.split("  ")[-1] for line in lines(done.out)] == ["not scored", "not scored", "healthy"]
    assert done.out.count("warning: ") == 2
