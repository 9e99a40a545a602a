"""Run the server on this machine's own address, in this thread or beside it."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.errors import ConfigError
from isthmus.explorer.server import PURPOSE, application
from isthmus.extras import require

if TYPE_CHECKING:
    from isthmus.explorer.answers import Answers
    from isthmus.explorer.live import Live

HOST = "127.0.0.1"
PATIENCE, GRACE = 10.0, 1.0


@dataclass(frozen=True)
class Place:
    """Where the page is.

    Attributes
    ----------
    listener : socket
        Bound to this machine's own address, which no other machine reaches.
    token : str
    """

    listener: socket.socket
    token: str

    @classmethod
    def free(cls, port: int = 0) -> Place:
        """Take a port, a free one for 0, and draw a token.

        Raises
        ------
        ConfigError
            If the port is taken.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or an answer in two parts waits 40 ms for its second
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen()  # from now on who comes waits for the server instead of being turned away
        except OSError as error:
            listener.close()
            raise ConfigError(f"--port {port} cannot be used ({error.strerror}): choose another, or leave it out for a free one") from error
        return cls(listener, secrets.token_urlsafe(24))

    @property
    def port(self) -> int:
        """The port."""
        return int(self.listener.getsockname()[1])

    def close(self) -> None:
        """Give the port back."""
        self.listener.close()

    @property
    def url(self) -> str:
        """The address of the page, token included."""
        return f"http://{HOST}:{self.port}/?token={self.token}"


def server(place: Place, answers: Answers | None = None, live: Live | None = None) -> Any:
    """Return a server of answers, or of a training that is watched."""
    uvicorn = require("uvicorn", "explorer", PURPOSE)
    config = uvicorn.Config(
        application(answers, live, place.port, place.token),
        log_level="critical",  # faults are told by the application itself
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def run(place: Place, answers: Answers, started: Callable[[], None] | None = None) -> None:
    """Serve until Ctrl-C, and then end the process: nothing is to be kept, and what is still reckoned in threads would hold it up.

    Parameters
    ----------
    place : Place
    answers : Answers
    started : callable, optional
        Called in a thread once the server answers.
    """
    found = server(place, answers)
    threading.Thread(target=answers.subject.prepare, daemon=True).start()
    if started is not None:
        threading.Thread(target=_once_started, args=(found, started), daemon=True).start()
    with suppress(KeyboardInterrupt):
        found.run(sockets=[place.listener])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@contextmanager
def beside(place: Place, live: Live) -> Generator[None]:
    """Serve a training that is watched in a thread, as long as the block runs."""
    found = server(place, live=live)
    thread = threading.Thread(target=found.run, kwargs={"sockets": [place.listener]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end = time.monotonic() + GRACE
        while live.viewers and time.monotonic() < end:
            time.sleep(0.02)  # those who look hear of the end
        found.should_exit = True
        thread.join(PATIENCE)
        place.close()


def _once_started(found: Any, started: Callable[[], None]) -> None:
    end = time.monotonic() + PATIENCE
    while not found.started and time.monotonic() < end:
        time.sleep(0.02)
    started()


def open_browser(url: str) -> None:
    """Open a page in the browser, if there is one."""
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(url)
