"""The web application: questions of the page, and the page's own files."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.errors import ConfigError, IsthmusError
from isthmus.explorer.guard import App, Guard
from isthmus.extras import require

if TYPE_CHECKING:
    from isthmus.explorer.answers import Answers
    from isthmus.explorer.live import Live

STATIC = Path(__file__).with_name("static")
PURPOSE = "the explorer in the browser"
TEMPLATE = "page.html"
NO_PAGE = "<!doctype html><title>isthmus</title><p>The page of the explorer is not built: see explorer/README.md in the sources."
TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".css": "text/css", ".html": "text/html; charset=utf-8"}
LONG = ("map", "colour", "anomalies", "sheet")
Handler = Callable[[Any], Awaitable[Any]]
Asked = Mapping[str, Any]


class Desk:
    """Turns requests into questions, what may take long in threads of its own, so that it does not keep sliders waiting.

    Parameters
    ----------
    answers : Answers, optional
    live : Live, optional
        A training that is watched instead.
    """

    def __init__(self, answers: Answers | None = None, live: Live | None = None) -> None:
        self.answers, self.live = answers, live
        self.quick, self.slow = ThreadPoolExecutor(1, "explorer"), ThreadPoolExecutor(3, "explorer-slow")
        self.responses = require("starlette.responses", "explorer", PURPOSE)

    def routes(self) -> list[Any]:
        """Return all routes."""
        route = require("starlette.routing", "explorer", PURPOSE).Route
        read: dict[str, Callable[[Any], Any]] = {
            "about": self._about,
            "map": lambda query: self._known.map(query.get("method", "")),
            "codes": lambda _: self._known.codes(),
            "colour": lambda query: self._known.colour(query.get("name", "")),
            "thumb": lambda query: self._known.thumb(query.get("index")),
            "inputs": lambda query: self._known.inputs(query.get("indices", "")),
            "sheet": lambda _: self._known.sheet_told(),
            "sheet.png": lambda _: self._known.sheet.whole,
            "point": lambda query: self._known.point(query.get("index")),
            "anomalies": lambda query: self._known.anomalies(query.get("limit")),
        }
        told: dict[str, Callable[[Asked], Any]] = {
            "decode": lambda body: self._known.decode(body),
            "sample": lambda body: self._known.sample(body),
            "interpolate": lambda body: self._known.interpolate(body),
            "attribute": lambda body: self._known.attribute(body),
            "stop": lambda _: self._stop(),
        }
        found = [route(f"/api/{name}", self._reading(name, ask), methods=["GET"]) for name, ask in read.items()]
        found += [route(f"/api/{name}", self._telling(ask), methods=["POST"]) for name, ask in told.items()]
        found.append(route("/api/live", self._stream, methods=["GET"]))
        return [*found, route("/{path:path}", self.page, methods=["GET"])]

    @property
    def _known(self) -> Answers:
        if self.answers is None:
            raise _ElsewhereError("a training is watched here: there is a model to explore when it has ended")
        return self.answers

    def _about(self, query: Asked) -> Any:
        del query
        return self.live.about() if self.live is not None else self._known.about()

    def _stop(self) -> Any:
        if self.live is None:
            raise _ElsewhereError("no training is going on here, so there is nothing to stop")
        return self.live.stop()

    def _reading(self, name: str, ask: Callable[[Any], Any]) -> Handler:
        pool = self.slow if name.partition(".")[0] in LONG else self.quick

        async def handle(request: Any) -> Any:
            return await self._answered(pool, partial(ask, request.query_params), "image/png" if name in ("thumb", "sheet.png") else None)

        return handle

    def _telling(self, ask: Callable[[Any], Any]) -> Handler:
        async def handle(request: Any) -> Any:
            body = await request.body()
            return await self._answered(self.quick, lambda: ask(_parsed(body)))

        return handle

    async def _answered(self, pool: ThreadPoolExecutor, ask: Callable[[], Any], kind: str | None = None) -> Any:
        """Ask in a thread, and return the answer as a response: bytes as they are, all else as JSON."""
        import asyncio

        try:
            found = await asyncio.get_running_loop().run_in_executor(pool, ask)
        except _ElsewhereError as error:
            return self.responses.JSONResponse({"error": str(error)}, 409)
        except IsthmusError as error:
            return self.responses.JSONResponse({"error": str(error)}, 400)
        if isinstance(found, bytes):
            return self.responses.Response(found, media_type=kind or "application/octet-stream")
        return self.responses.JSONResponse(found)

    async def _stream(self, request: Any) -> Any:
        del request
        if self.live is None:
            return self.responses.JSONResponse({"error": "no training is going on here"}, 409)
        return self.responses.StreamingResponse(self.live.events(), media_type="text/event-stream")

    async def page(self, request: Any) -> Any:
        """Return a file of the page: one of those that lie in its folder, and nothing else."""
        path = request.path_params["path"] or "index.html"
        found = static_files().get(path)
        if found is None and path == "index.html":
            return self.responses.HTMLResponse(NO_PAGE)
        if found is None:
            return self.responses.JSONResponse({"error": f"there is no {path[:80]!r} here"}, 404)
        kind = TYPES.get(found.suffix) or guess_type(found.name)[0] or "application/octet-stream"
        return self.responses.Response(found.read_bytes(), media_type=kind)


class _ElsewhereError(Exception):
    """What is asked belongs to another kind of page."""


def static_files() -> dict[str, Path]:
    """Return the page's own files by the path in their address: looked up by name, so that no path leads out of the folder."""
    files = (file for file in STATIC.rglob("*") if file.is_file() and not file.is_symlink())
    return {file.relative_to(STATIC).as_posix(): file for file in files if file.name != TEMPLATE}


def _parsed(body: bytes) -> Asked:
    try:
        found = json.loads(body or b"{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the question is no JSON of finite numbers: {str(error)[:120]}") from error
    if not isinstance(found, dict):
        raise ConfigError("the question must be a JSON object with named entries")
    return found  # pyright: ignore[reportUnknownVariableType]


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number that can be used")


def application(answers: Answers | None, live: Live | None, port: int, token: str) -> App:
    """Return the application, guarded.

    Parameters
    ----------
    answers : Answers, optional
    live : Live, optional
        Of a training to watch; then there are no answers.
    port : int
    token : str

    Returns
    -------
    callable
        An ASGI application.
    """
    desk = Desk(answers, live)
    starlette = require("starlette.applications", "explorer", PURPOSE).Starlette
    return Guard(starlette(routes=desk.routes(), exception_handlers={Exception: _failed, 404: _nothing, 405: _nothing}), port, token)


async def _failed(request: Any, error: Exception) -> Any:
    logging.getLogger("isthmus.explorer").error("%s", request.url.path, exc_info=error)
    json_response = require("starlette.responses", "explorer", PURPOSE).JSONResponse
    return json_response({"error": f"the explorer failed at this ({type(error).__name__}); the terminal tells more"}, 500)


async def _nothing(request: Any, error: Any) -> Any:
    json_response = require("starlette.responses", "explorer", PURPOSE).JSONResponse
    return json_response({"error": f"{request.method} {request.url.path[:80]}: there is no such question"}, error.status_code)
