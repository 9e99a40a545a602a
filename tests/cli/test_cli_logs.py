"""The command line on logs: ``isthmus detect --logs``."""

from __future__ import annotations

import csv
import json

import pytest

LINE = "2024-05-01 {:02d}:{:02d}:{:02d} INFO store: {}"
TEXTS = ("open file 7 for reading", "read 512 bytes", "close file 7")


def write(path, count, strange=(), start=0):
    numbers = range(start, start + count)
    texts = ["kernel panic, giving up" if i in strange else TEXTS[i * 7 // 5 % 3] for i in numbers]
    path.write_text("".join(LINE.format(i // 1800 % 24, i // 30 % 60, i % 30 * 2, text) + "\n" for i, text in zip(numbers, texts)))
    return path


@pytest.fixture
def logs(tmp_path):
    return write(tmp_path / "healthy.log", 3000), write(tmp_path / "app.log", 600, strange=(3310, 3312), start=3000)


def test_a_log_alone(good, tmp_path):
    log = write(tmp_path / "app.log", 3000, strange=(1510,))
    said = good("detect", "--logs", log, "--window", 20, "--out", "windows.csv", "--report", "alarms.html")
    assert "learned from app.log (log4j lines): 150 windows of 20 lines" in said
    assert "3,000 lines read" in said
    assert "kernel panic, giving up" in said
    assert "kernel panic" in (tmp_path / "alarms.html").read_text()
    rows = list(csv.DictReader((tmp_path / "windows.csv").read_text().splitlines(keepends=True)))
    assert len(rows) == 150
    strange = max(rows, key=lambda row: float(row["score"]))
    assert (strange["first_line"], strange["alarm"]) == ("1501", "True")


def test_learn_from_healthy_logs_keep_the_model_and_use_it(good, refused, logs, tmp_path):
    healthy, log = logs
    first = good("detect", healthy, "--logs", log, "--window", 20, "--save", "model", "--out", "a.json")
    assert "never seen" in first
    assert "saved" in first
    again = good("detect", "--logs", log, "--model", "model", "--out", "b.json")
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads((tmp_path / "b.json").read_text())
    assert "learned" not in again
    assert "model was fitted on windows of 20 lines" in refused("detect", "--logs", log, "--model", "model", "--window", 50)
    assert "--overwrite" in refused("detect", healthy, "--logs", log, "--window", 20, "--save", "model")


def test_follow_goes_on_where_it_stopped(good, logs, tmp_path):
    healthy, log = logs
    good("detect", healthy, "--logs", log, "--window", 20, "--save", "model", "--out", "a.csv")
    lines = log.read_text().splitlines(keepends=True)
    live = tmp_path / "live.log"
    for part in (lines[:250], lines[250:]):
        with live.open("a") as file:
            file.writelines(part)
        said = good("detect", "--logs", live, "--model", "model", "--follow", "--idle", 0, "--out", "live.csv")
    assert "kernel panic, giving up" in said
    rows = list(csv.DictReader((tmp_path / "live.csv").read_text().splitlines(keepends=True)))
    assert [int(row["first_line"]) for row in rows] == list(range(1, 600, 20))
    assert (tmp_path / "model.state.json").exists()


def test_a_short_log_alone_shows_its_strangest_window(good, tmp_path):
    said = good("detect", "--logs", write(tmp_path / "app.log", 600, strange=(310,)), "--window", 20)
    assert "nothing healthy to compare with" in said
    assert "30 windows, 1 alarms" in said
    assert "kernel panic, giving up" in said


def test_too_few_healthy_windows_are_told_with_what_to_do(good, tmp_path):
    said = good("detect", write(tmp_path / "healthy.log", 600), "--logs", write(tmp_path / "app.log", 100), "--window", 20)
    assert "with 30 calibration windows no p-value is below 0.0323" in said
    assert "--alpha 0.033" in said
    again = good("detect", tmp_path / "healthy.log", "--logs", tmp_path / "app.log", "--window", 20, "--alpha", 0.033)
    assert "calibration windows" not in again


def test_following_tells_of_lines_without_the_format(good, refused, logs, tmp_path):
    healthy, log = logs
    good("detect", healthy, "--logs", log, "--window", 20, "--save", "model", "--out", "a.csv")
    with log.open("a") as file:
        file.write("what is this\n")
    follow = ("detect", "--logs", log, "--model", "model", "--follow", "--idle", 0)
    said = good(*follow, "--out", "live.csv")
    assert "601 lines read since following began" in said
    assert "(line 601: 'what is this')" in said
    (tmp_path / "table.csv").write_text("row,score\n1,2\n")
    assert "something else than windows" in refused(*follow, "--out", "table.csv")


def test_clear_refusals(refused, logs, tmp_path):
    healthy, log = logs
    junk = tmp_path / "junk.log"
    junk.write_bytes(bytes(range(256)) * 50)
    (tmp_path / "empty.log").write_bytes(b"")
    assert "is no text" in refused("detect", "--logs", junk)
    assert "0 whole windows" in refused("detect", "--logs", "empty.log")
    assert "0 whole windows" in refused("detect", "--logs", write(tmp_path / "one.log", 1))
    assert "cannot read" in refused("detect", "--logs", "none.log")
    assert "no regular expression" in refused("detect", "--logs", log, "--session", "(")
    assert "no group" in refused("detect", "--logs", log, "--format", "sylog")
    assert "must end in one of" in refused("detect", "--logs", log, "--out", "a.xlsx")
    assert "follow needs a model" in refused("detect", "--logs", log, "--follow")
    assert "standard input" in refused("detect", "--logs", "-")
    assert "no saved model" in refused("detect", "--logs", log, "--model", "nowhere")
    assert "between 0 and 1" in refused("detect", "--logs", log, "--alpha", 2)
    assert healthy.exists()
