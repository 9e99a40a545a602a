"""A training that can be watched: told as it goes, to whoever looks, and stopped from the page."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus import __version__
from isthmus.artifact import Artifact
from isthmus.data.provenance import TRAINED, Provenance
from isthmus.distributions import GeneratorNoise
from isthmus.explorer.contents import Contents, kind_of
from isthmus.explorer.maps import pca, plain
from isthmus.explorer.model import ranges
from isthmus.explorer.subject import Array
from isthmus.tasks.examine import pictures, spread
from isthmus.training import Callback, TrainingConfig, decode, encode, reconstruct
from isthmus.training.history import Row

MAPPED, PAIRS, SAMPLES = 1_000, 8, 8
BRIEF, POLL, QUIET = 0.25, 0.1, 10.0  # seconds between short news, between looks for news, and without news
SHARE = 20  # pictures take at most one part in so many of the time
CARRIES, ACTIVE = 0.01, 1e-6  # variance of a mean code from which its unit carries something
PARTS = ("pairs", "samples", "dead_units", "units", "map", "labels")
State = dict[str, Any]
NO_PARTS: State = dict.fromkeys(PARTS)


@dataclass(frozen=True)
class News:
    """What is known of a training at one moment.

    Attributes
    ----------
    version : int
        Counts the news.
    brief : dict
        Step, losses, the best so far.
    seen : int
        Version of the last news with pictures.
    parts : dict
        Those pictures, the map, dead units.
    """

    version: int = 0
    brief: State = field(default_factory=dict[str, Any])
    seen: int = 0
    parts: State = field(default_factory=lambda: dict(NO_PARTS))


class Live(Callback):
    """Watches a training for a page; costs next to nothing as long as nobody looks.

    Parameters
    ----------
    name : str
        What the model is called.
    marked : bool
        Whether pictures that the model makes say so in their metadata.
    clock : callable
        Seconds.
    """

    def __init__(self, name: str, marked: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.marked, self.clock = name, marked, clock
        self.news = News()
        self.history: list[State] = []
        self.viewers = 0
        self.ended = False
        self._asked, self._lock = Event(), Lock()
        self._view: View | None = None
        self._steps: int | None = None
        self._terms: dict[str, float] = {}
        self._best: State | None = None
        self._step, self._began, self._told, self._cost, self._shown = 0, clock(), -1e9, 0.0, -1e9

    def met(self, artifact: Artifact, rows: Tensor) -> None:
        """Take note of the model that is to be trained, and of rows, as it sees them, to show it by."""
        some = rows[torch.from_numpy(spread(len(rows), MAPPED))]  # pyright: ignore[reportUnknownMemberType]
        self._view = View(artifact, some, self.marked)

    @property
    def stops(self) -> bool:
        """Whether the page asked the run to end."""
        return self._asked.is_set()

    def stop(self) -> State:
        """Ask the run to end: the best weights are kept, as after Ctrl-C."""
        self._asked.set()
        return {"stopping": True}

    def started(self, config: TrainingConfig, step: int) -> None:
        """Training begins."""
        self._steps, self._step, self._began = None if config.seconds is not None else config.steps, step, self.clock()

    def stepped(self, step: int, terms: dict[str, float]) -> None:
        """A few steps were made: short news now and then, if anyone looks."""
        self._step, self._terms = step, terms
        self._tell_soon()

    def evaluated(self, row: Row, best: bool) -> None:
        """Held-out rows were measured."""
        self._step = int(row["step"])
        self.history.append(_losses(row))
        if best:
            self._best = {"step": int(row["step"]), "value": row.get("held_out", row["train"])}
        self._tell_soon()

    def _tell_soon(self) -> None:
        """Tell, if anyone looks and the last news are not quite new; show the model where that does not cost too much of the time."""
        now = self.clock()
        if self.viewers and now - self._told >= BRIEF:
            self._tell(now - self._shown >= max(2 * BRIEF, SHARE * self._cost))

    def finished(self, stopped: str) -> None:
        """Training ended; the model holds its best weights."""
        self.ended = True
        self._tell(bool(self.viewers), stopped)

    def close(self) -> None:
        """Say that it is over, also to those who watch a run that was never started, or failed."""
        if not self.ended:
            self.finished("failed")

    def about(self) -> State:
        """Return what is trained."""
        found: State = {"name": self.name, "version": __version__, "live": True, "provenance": True, "anomalies": False, "maps": []}
        found |= {"maps_missing": {}, "colours": [], "columns": [], "note": "", "score": None, "output": {"draws": False, "name": ""}}
        return found | (View.nothing() if self._view is None else self._view.about())

    def _tell(self, pictures: bool, stopped: str = "") -> None:
        """Make news; in the thread that trains, so that no weight changes meanwhile."""
        start = self.clock()
        version = self.news.version + 1
        seen, parts = self.news.seen, self.news.parts
        if pictures and self._view is not None:
            seen, parts = version, self._view.parts()
            self._shown = self.clock()
            self._cost = self._shown - start
        self.news = News(version, self._brief(stopped), seen, parts)
        self._told = self.clock()

    def _brief(self, stopped: str) -> State:
        last = self.history[-1] if self.history else {}
        losses = {"train": self._terms.get("loss", last.get("train")), "held_out": last.get("held_out"), "terms": self._named()}
        return {
            "step": self._step,
            "steps": self._steps,
            "seconds": self.clock() - self._began,
            "losses": losses | {"held_out_terms": last.get("held_out_terms", {})},
            "best": self._best,
            "done": bool(stopped),
            "stopped": stopped == "interrupted",
            "why": stopped,
        }

    def _named(self) -> dict[str, float]:
        return {name: value for name, value in self._terms.items() if name not in ("loss", "lr")}

    async def events(self) -> AsyncGenerator[str]:
        """Yield server-sent events to one who looks, from what was so far to the end."""
        with self._lock:
            self.viewers += 1
        try:
            version, seen, rows, quiet = -1, 0, 0, 0.0
            while True:
                news, count = self.news, len(self.history)
                if news.version != version or count != rows:
                    yield _event(news, seen, self.history[rows:count], self._brief(""))
                    version, seen, rows, quiet = news.version, news.seen, count, 0.0
                    if news.brief.get("done"):
                        return
                await asyncio.sleep(POLL)
                quiet += POLL
                if quiet >= QUIET:
                    quiet = 0.0
                    yield ": still here\n\n"
        finally:
            with self._lock:
                self.viewers -= 1


def _event(news: News, seen: int, rows: list[State], beginning: State) -> str:
    """Return news as an event: pictures only where they are new."""
    parts = news.parts if news.seen != seen else NO_PARTS
    return f"data: {json.dumps({**(news.brief or beginning), **parts, 'history': rows})}\n\n"


def _losses(row: Row) -> State:
    """Return a row of the history with the terms of both losses apart."""
    found: State = {"step": int(row["step"]), "seconds": row["seconds"], "train": row["train"], "held_out": row.get("held_out")}
    for key, prefix in (("terms", "train_"), ("held_out_terms", "held_out_")):
        found[key] = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    return found


class View:
    """A model in training, seen through some rows.

    Parameters
    ----------
    artifact : Artifact
    rows : Tensor of shape (n, \\*shape)
        As the model sees them.
    marked : bool
        Whether pictures that the model makes say so in their metadata.
    """

    def __init__(self, artifact: Artifact, rows: Tensor, marked: bool = True) -> None:
        self.artifact, self.rows = artifact, rows
        self._axes: Array | None = None
        schema = artifact.schema
        if schema.kind == "pictures":
            made = Provenance(TRAINED, f"isthmus {__version__}", f"isthmus {artifact.family}", operation="fit")
            self.contents = Contents(schema, brightness=lambda x: pictures(artifact, x), xmp=made.to_xmp() if marked else b"")
        else:
            self.contents = Contents(schema, ranges(artifact.preprocessor, artifact.restore(rows)))

    @staticmethod
    def nothing() -> State:
        """Return what is told of a model before it is built."""
        return {"family": "", "kind": "numbers", "shape": [], "rows": 0, "rows_total": 0, "code": {"size": 0, "dims": [], "order": []}}

    def about(self) -> State:
        """Return what the model is."""
        artifact = self.artifact
        code = {"name": "code", "size": artifact.model.latent, "dims": [], "order": list(range(artifact.model.latent))}
        found = {"family": artifact.family, "kind": kind_of(artifact.schema), "shape": list(artifact.schema.shape), "code": code}
        return found | {"rows": len(self.rows), "rows_total": artifact.facts.get("rows", len(self.rows))}

    def parts(self) -> State:
        """Return reconstructions, samples, dead units and the map of this moment; the model trains on as if nothing had been."""
        model = self.artifact.model
        training = model.training
        model.eval()
        try:
            codes = encode(model, self.rows).numpy()
            return {
                "pairs": self._pairs(),
                "samples": self._samples(),
                "dead_units": dead(self.artifact, codes),
                "units": codes.shape[1],
                "map": base64.b64encode(self._map(codes).astype("<f4").tobytes()).decode("ascii"),
                "labels": None,
            }
        finally:
            model.train(training)

    def _pairs(self) -> list[list[Any]]:
        some = self.rows[:: max(1, len(self.rows) // PAIRS)][:PAIRS]
        before = self.contents.of(self.artifact.restore(some))
        after = self.contents.of(self.artifact.restore(reconstruct(self.artifact.model, some), within=True), made=True)
        return [list(pair) for pair in zip(before, after)]

    def _samples(self) -> list[Any] | None:
        model = self.artifact.model
        if model.prior is None:
            return None
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        noise = GeneratorNoise(torch.Generator(device).manual_seed(0))  # the same codes each time: one sees what becomes of them
        with torch.inference_mode():
            codes = model.prior.sample(SAMPLES, noise).cpu()
        return self.contents.of(self.artifact.restore(decode(model, codes), within=True), made=True)

    def _map(self, codes: Array) -> Array:
        if codes.shape[1] <= 2:
            return plain(codes)
        found, self._axes = pca(codes, self._axes)
        return found


def dead(artifact: Artifact, codes: Array) -> int:
    """Return how many units carry nothing: of a variational code those whose mean does not vary, else those that never change."""
    variance = codes.var(0, dtype=np.float64)
    return int((variance <= (CARRIES if artifact.model.prior is not None else ACTIVE * variance.max(initial=0.0))).sum())
