"""``isthmus explore`` and ``isthmus fit --live`` as real commands, asked over HTTP."""

from __future__ import annotations

import re
import signal
import socket

import httpx
import numpy as np
import pytest

from isthmus.artifact import Artifact
from isthmus.explorer import serve
from isthmus.explorer.server import STATIC
from isthmus.tasks.detector import Detector


def address(process) -> tuple[httpx.Client, str]:
    """A client of the page that a process serves, and its address."""
    url = next(match[0] for line in process.stdout if (match := re.search(r"http://\S+", line)))
    base, _, token = url.partition("/?token=")
    return httpx.Client(base_url=base, headers={"X-Isthmus-Token": token}, timeout=30), url


def test_a_model_is_served_until_ctrl_c(started, files, models):
    process = started("explore", models / "pictures", files / "pictures", "--no-open")
    client, url = address(process)
    with client:
        about = client.get("/api/about").json()
        assert (about["name"], about["rows"], about["kind"]) == ("pictures", 40, "picture")
        assert client.post("/api/decode", json={"codes": [[0.0] * 3]}).json()["items"][0]["png"].startswith("data:image/png")
        assert client.get("/", headers={"X-Isthmus-Token": ""}).status_code == 200
        assert client.get("/api/about", headers={"X-Isthmus-Token": ""}).status_code == 401
    assert url.startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert "Traceback" not in process.stderr.read()


@pytest.fixture
def shown(good, monkeypatch):
    """Call the command, and return what it would serve."""
    served = []
    monkeypatch.setattr(serve, "run", lambda place, answers, started: served.append((answers, started)))

    def run(*arguments):
        out = good("explore", *arguments)
        return served[-1][0], out, served[-1][1]

    return run


def test_labels_and_a_sample_of_the_rows(shown, files, models):
    answers, out, opens = shown(models / "table", files / "labelled.csv", "--labels-key", "cultivar", "--rows", 50, "--no-open")
    about = answers.about()
    assert (about["rows"], about["rows_total"]) == (50, 178)
    assert about["colours"][0]["levels"] == ["class_0", "class_1", "class_2"]
    assert "50 of the 178" in about["note"]
    assert "this machine only" in out
    assert opens is None


def test_the_page_is_opened_in_the_browser(shown, files, models, monkeypatch):
    addresses = []
    monkeypatch.setattr("webbrowser.open", addresses.append)
    _, out, opens = shown(models / "table", files / "wine.csv")
    opens()
    assert addresses[0] in out


def test_a_detector_without_data_shows_the_rows_it_keeps(shown, good, files, tmp_path):
    good("detect", files / "wine.csv", "--healthy", "--save", "found", "--no-baselines")
    answers, _, _ = shown(tmp_path / "found")
    assert answers.about()["family"] == "anomaly detector"
    assert len(answers.subject) == len(Detector.load(tmp_path / "found").references)
    assert answers.anomalies("1")["rows"][0]["reasons"]


def test_healthy_rows_calibrate(shown, files, models):
    answers, _, _ = shown(models / "table", files / "wine.csv", "--healthy", files / "wine.parquet")
    assert answers.subject.calibration.rows == 178


@pytest.mark.skipif(not (STATIC / "page.html").is_file(), reason="the front end is not built")
def test_a_page_is_exported(good, files, models, tmp_path):
    out = good("explore", models / "table", files / "wine.csv", "--export", "page.html")
    assert "opens without a server" in out
    assert "whoever has the page can read both" in out
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "__ISTHMUS_DATA__" not in text
    assert re.search(r"<title>table", text)
    assert good("explore", models / "pictures", "--export", "drawn.html")


def test_what_cannot_be_explored_is_refused(refused, files, models, tmp_path):
    assert "no saved model" in refused("explore", tmp_path, files / "wine.csv", "--no-open")
    assert "--export must end" in refused("explore", models / "table", files / "wine.csv", "--export", "page.pdf")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = refused("explore", models / "table", files / "wine.csv", "--no-open", "--port", taken.getsockname()[1])
    assert "--port" in line
    assert "free one" in line


def test_a_training_is_stopped_from_the_page(started, files, tmp_path):
    command = ("fit", files / "wine.csv", "--family", "variational", "--steps", 10_000_000, "--patience", 100_000, "--out", "model")
    process = started(*command, "--live", "--no-open")
    client, _ = address(process)
    with client, client.stream("GET", "/api/live") as stream:
        events = (line for line in stream.iter_lines() if line.startswith("data: "))
        next(events)
        assert client.post("/api/stop").json() == {"stopping": True}
        assert '"stopped": true' in list(events)[-1]
    assert process.wait(30) == 130
    assert "the best model so far is kept" in process.stdout.read()
    assert np.isfinite(Artifact.load(tmp_path / "model").facts["figures"]["log likelihood, nats per row"])


def test_a_training_that_nobody_watches_ends_by_itself(good, files):
    out = good("fit", files / "wine.csv", "--steps", 40, "--out", "model", "--live", "--no-open")
    assert "this machine only" in out
    assert "Saved model" in out
