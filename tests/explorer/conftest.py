"""What the tests of the explorer share: small fitted models, and clients of the guarded application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from isthmus.artifact import Artifact
from isthmus.data import Source, from_any
from isthmus.explorer.answers import Answers
from isthmus.explorer.detected import DetectorSubject
from isthmus.explorer.model import ModelSubject
from isthmus.explorer.opening import rows_of
from isthmus.explorer.server import application
from isthmus.tasks.config import Config
from isthmus.tasks.detector import Detector
from isthmus.tasks.fit import fit

PORT, TOKEN = 8123, "secret-of-the-test"
BASE = f"http://127.0.0.1:{PORT}"


class Client:
    """Asks an application without a socket, one question at a time."""

    def __init__(self, app: Any, **headers: str) -> None:
        self.app, self.headers = app, {"X-Isthmus-Token": TOKEN, **headers}

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        import asyncio

        async def one() -> httpx.Response:
            headers = {**self.headers, **options.pop("headers", {})}
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
                return await client.request(method, path, headers=headers, **options)

        return asyncio.run(one())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.ask("POST", path, **({"json": body} if "content" not in options else {}), **options)

    def floats(self, path: str) -> np.ndarray:
        found = self.get(path)
        assert found.status_code == 200, found.text
        return np.frombuffer(found.content, "<f4")


def frame() -> pd.DataFrame:
    """A table of every kind of column, with gaps; the columns depend on each other."""
    random = np.random.default_rng(0)
    size = random.normal(size=240)
    found = pd.DataFrame({"length": 50 + 10 * size + random.normal(size=240), "weight": np.exp(3 * size)})
    found["visits"] = random.poisson(np.exp(0.5 * size + 1))
    found["town"] = np.where(size > 0.5, "Ulm", np.where(size > -0.5, "Bonn", "Trier"))
    found["member"] = size + random.normal(size=240) > 0
    found["since"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.rint(400 + 100 * size), "D")
    found.loc[random.random(240) < 0.1, "length"] = np.nan
    return found


@pytest.fixture(scope="session")
def mixed() -> Source:
    return from_any(frame())


@pytest.fixture(scope="session")
def table_model(mixed) -> Artifact:
    return fit(mixed, Config(family="variational", latent=3, steps=150, seed=0))


@pytest.fixture(scope="session")
def digits_source(digits) -> Source:
    return from_any(np.rint(digits[:300] * 255).astype(np.uint8))


@pytest.fixture(scope="session")
def picture_model(digits_source) -> Artifact:
    return fit(digits_source, Config(family="variational", latent=4, steps=60, seed=0))


@pytest.fixture(scope="session")
def pictures(picture_model, digits_source) -> Answers:
    labels = np.arange(len(digits_source)) % 3
    rows, note = rows_of(picture_model, digits_source, labels)
    return Answers(ModelSubject(picture_model, rows, "digits"), note)


@pytest.fixture(scope="session")
def table(table_model, mixed) -> Answers:
    return Answers(ModelSubject(table_model, rows_of(table_model, mixed)[0], "people"))


@pytest.fixture(scope="session")
def numbers(cancer) -> Answers:
    source = from_any(cancer[:200])
    model = fit(source, Config(latent=2, steps=60, seed=0))
    return Answers(ModelSubject(model, rows_of(model, source)[0], "cells"))


@pytest.fixture(scope="session")
def detected(mixed) -> Answers:
    detector = Detector.fit(mixed, seed=0)
    return Answers(DetectorSubject(detector, rows_of(detector, mixed)[0]))


@pytest.fixture(scope="session")
def client() -> Callable[[Answers], Client]:
    def make(answers: Answers) -> Client:
        answers.subject.prepare()
        return Client(application(answers, None, PORT, TOKEN))

    return make
