"""A training that is watched: what is told, how it is stopped, and that nothing changes by it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time

import httpx
import numpy as np
import pytest
import torch

from isthmus.explorer import serve
from isthmus.explorer.live import Live
from isthmus.explorer.server import application
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.training import Callback

QUICK = Config(family="variational", latent=3, steps=120, evaluate_every=20, seed=0)


async def heard(live: Live) -> list[dict]:
    """Everything that one hears who looks from the beginning."""
    return [json.loads(text[6:]) async for text in live.events() if text.startswith("data: ")]


class Watched:
    """Fits in this thread while another one looks."""

    def __init__(self, source, config=QUICK, live=None, **options):
        self.time = 0.0
        self.live = live or Live("model", clock=self.clock)
        self.events: list[dict] = []
        looking = threading.Thread(target=lambda: self.events.extend(asyncio.run(heard(self.live))))
        looking.start()
        while not self.live.viewers:
            time.sleep(0.001)
        self.artifact = fit(source, config, callbacks=[self.live, *options.pop("callbacks", [])], met=self.live.met, **options)
        looking.join(5)
        assert not looking.is_alive()

    def clock(self) -> float:
        """Seconds that pass whenever someone asks: news at every occasion."""
        self.time += 1.0
        return self.time


def test_a_run_tells_losses_pictures_and_its_end(digits_source):
    watched = Watched(digits_source)
    rows = [row for event in watched.events for row in event["history"]]
    history = watched.artifact.history
    assert [row["step"] for row in rows] == [int(row["step"]) for row in history]
    assert rows[-1]["held_out"] == pytest.approx(history[-1]["held_out"])
    assert rows[-1]["held_out_terms"]["kl"] == pytest.approx(history[-1]["held_out_kl"])
    last = watched.events[-1]
    assert last["done"]
    assert not last["stopped"]
    assert last["step"] == 120
    assert last["best"]["value"] == pytest.approx(min(row["held_out"] for row in history))
    assert len(last["pairs"]) == len(last["samples"]) == 8
    assert last["pairs"][0][0]["kind"] == "picture"
    assert 0 <= last["dead_units"] <= last["units"] == 3
    assert len(np.frombuffer(base64.b64decode(last["map"]), "<f4")) == 2 * 30
    json.dumps(last, allow_nan=False)


def test_nothing_changes_by_being_watched(digits_source):
    watched = Watched(digits_source).artifact
    alone = fit(digits_source, QUICK)
    for name, tensor in alone.model.state_dict().items():
        assert torch.equal(tensor, watched.model.state_dict()[name]), name
    assert [row["held_out"] for row in alone.history] == [row["held_out"] for row in watched.history]


def test_without_anyone_who_looks_nothing_is_made(digits_source):
    live = Live("model")
    fit(digits_source, QUICK, callbacks=[live], met=live.met)
    assert live.news.seen == 0
    assert live.news.version == 1  # that it ended
    assert live.history


def test_one_who_comes_late_hears_all_there_was(digits_source):
    live = Live("model")
    fit(digits_source, QUICK, callbacks=[live], met=live.met)
    events = asyncio.run(heard(live))
    assert len(events) == 1
    assert events[0]["done"]
    assert len(events[0]["history"]) == 6


def test_a_table_is_shown_as_cards_and_a_family_without_prior_draws_nothing(mixed):
    last = Watched(mixed, QUICK.override(family="undercomplete")).events[-1]
    assert last["pairs"][0][1]["kind"] == "table"
    assert last["samples"] is None


class StopsAt(Callback):
    """Presses the button of the page during a run."""

    def __init__(self, live: Live, step: int) -> None:
        self.live, self.step = live, step

    def evaluated(self, row, best) -> None:
        if row["step"] == self.step:
            self.live.stop()


def test_the_page_stops_a_run_and_the_best_is_kept(digits_source):
    live = Live("model")
    watched = Watched(digits_source, QUICK.override(steps=100_000, evaluate_every=20), live, callbacks=[StopsAt(live, 60)])
    training = watched.artifact.facts["training"]
    assert training["stopped"] == "interrupted"
    assert training["steps"] == 61  # like Ctrl-C: after the step at hand
    best = min(watched.artifact.history, key=lambda row: row["held_out"])
    assert training["kept step"] == best["step"]
    assert watched.events[-1]["stopped"]


def test_questions_of_a_training(digits_source):
    live = Live("digits")

    async def ask(method: str, path: str, **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=application(None, live, 8123, "t"))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8123") as client:
            return await client.request(method, path, headers={"X-Isthmus-Token": "t", **headers})

    before = asyncio.run(ask("GET", "/api/about")).json()
    assert before["live"]
    assert before["rows"] == 0
    fit(digits_source, QUICK, callbacks=[live], met=live.met)
    about = asyncio.run(ask("GET", "/api/about")).json()
    assert (about["name"], about["family"], about["kind"]) == ("digits", "variational", "picture")
    assert asyncio.run(ask("GET", "/api/map?method=pca")).status_code == 409
    stream = asyncio.run(ask("GET", "/api/live"))
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert '"done": true' in stream.text
    assert asyncio.run(ask("POST", "/api/stop")).json() == {"stopping": True}
    assert live.stops


def test_a_page_that_closes_leaves_the_run_alone(digits_source):
    """Over a real socket: the page goes away in the middle, the run ends as planned."""
    live, place = Live("model"), serve.Place.free()
    url = place.url
    came, gone = threading.Event(), threading.Event()

    def look() -> None:
        headers = {"X-Isthmus-Token": place.token}
        with httpx.stream("GET", f"http://127.0.0.1:{place.port}/api/live", headers=headers, timeout=10) as stream:
            next(line for line in stream.iter_lines() if line.startswith("data: "))
            came.set()
            while len(live.history) < 2:
                time.sleep(0.001)
        gone.set()

    class Waits(Callback):
        def evaluated(self, row, best) -> None:
            if row["step"] == 80:
                assert gone.wait(10)

    with serve.beside(place, live):
        thread = threading.Thread(target=look)
        thread.start()
        assert came.wait(10)
        artifact = fit(digits_source, QUICK, callbacks=[live, Waits()], met=live.met)
        thread.join(10)
    assert artifact.facts["training"]["stopped"] == "steps"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_run_that_fails_is_over_for_the_page():
    live = Live("model")
    live.close()
    event = asyncio.run(heard(live))[0]
    assert event["done"]
    assert event["why"] == "failed"
    assert not event["stopped"]
