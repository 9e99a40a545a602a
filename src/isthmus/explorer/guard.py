"""Who may ask: requests of this page on this machine, and no others."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 1 << 20
TOKEN = b"x-isthmus-token"
# The page's map compiles its drawing functions ('unsafe-eval'); no text from outside ever becomes a script of the page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses what does not come from the page itself, and limits what comes.

    The host must be this machine's own name with the port, which no name of the internet that is made to point here has (DNS rebinding);
    the origin, where a browser names one, must be the page's; and questions must carry the token of the address that was printed.

    Parameters
    ----------
    app : callable
        The ASGI application behind.
    port : int
    token : str
    """

    def __init__(self, app: App, port: int, token: str) -> None:
        self.app, self.token = app, token
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        headers = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
        refused = self.refusal(scope["method"], scope["path"], scope.get("query_string", b""), headers)
        if refused:
            await answer(_guarded(send), *refused)
            return
        body = await _body(receive) if scope["method"] == "POST" else b""
        if body is None:
            await answer(_guarded(send), 413, f"a question may have at most {LARGEST_BODY:,} bytes")
            return
        await self.app(scope, _replayed(body, receive) if scope["method"] == "POST" else receive, _guarded(send))

    def refusal(self, method: str, path: str, query: bytes, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """Return status and text with which a request is refused, or nothing.

        Parameters
        ----------
        method, path : str
        query : bytes
        headers : dict of bytes to bytes
            Names in small letters.
        """
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if host not in self.hosts:
            return 403, f"this explorer answers on its own address only, not on {host[:80]!r}: open the address that was printed"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() not in self.origins:
            return 403, "this explorer answers its own page only, no other site"
        if not path.startswith("/api/"):
            return None if method in ("GET", "HEAD") else (405, "there is nothing to be written here")
        if headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
            return 403, "this explorer answers its own page only, no other site"
        if not self.knows(method, query, headers):
            return 401, "the token is missing or wrong: open the address that was printed when the explorer started"
        return None

    def knows(self, method: str, query: bytes, headers: dict[bytes, bytes]) -> bool:
        """Say whether a request carries the token: in its header, or in the address of what is only read."""
        given = headers.get(TOKEN, b"")
        if not given and method == "GET":
            given = parse_qs(query.decode("latin-1")).get("token", [""])[0].encode("latin-1", "replace")
        return hmac.compare_digest(given, self.token.encode())


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request; None if it is too long."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_BODY:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already once more, and then what comes after."""
    left = [body]

    async def again() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return again


def _guarded(send: Send) -> Send:
    """Return `send` with headers that keep the page's contents to itself."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {bytes(name).lower() for name, _ in message.get("headers", [])}
            more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in own]
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return guarded


async def answer(send: Send, status: int, text: str) -> None:
    """Send an error as JSON."""
    body = json.dumps({"error": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
