"""Share work among processes forked from this one: they see its memory as it is, and tell what they find over pipes."""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import current_process, get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from isthmus.errors import TrainingError

POLL = 0.05  # seconds between looks at whether to stop


class Line:
    """What a process has to speak with the one it was forked from.

    Parameters
    ----------
    connection : multiprocessing.connection.Connection
    stop : mmap
        One byte, shared by all: whether to stop.
    """

    def __init__(self, connection: Connection, stop: mmap.mmap) -> None:
        self.connection, self.stop = connection, stop
        self.parent = os.getpid()

    def asked(self) -> bool:
        """Say whether to stop: asked to, or alone in the world."""
        return self.stop[0] != 0 or os.getppid() != self.parent

    def send(self, message: dict[str, Any], payload: bytes = b"") -> None:
        """Send a message of plain JSON types, and bytes with it."""
        self.connection.send_bytes(json.dumps(message).encode())
        self.connection.send_bytes(payload)


Work = Callable[[Line], None]
Hear = Callable[[dict[str, Any], bytes], None]


def forks() -> bool:
    """Say whether processes may be forked here: on Linux (other systems' libraries do not bear it), from the main thread."""
    return sys.platform == "linux" and threading.current_thread() is threading.main_thread() and not current_process().daemon


def in_processes(works: Sequence[Work], workers: int, hear: Hear, asked: Callable[[], bool]) -> None:
    """Do each piece of work in a process of its own, so many at a time.

    Parameters
    ----------
    works : sequence of callable
        Called in the new process.
    workers : int
    hear : callable
        Called here with what they send.
    asked : callable
        Whether they shall stop, which they have to ask themselves.

    Raises
    ------
    TrainingError
        If a process dies.
    """
    waiting, running = list(works), dict[Connection, Any]()
    with mmap.mmap(-1, 1) as stop:
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    connection, process = _start(waiting.pop(0), stop)
                    running[connection] = process
                for connection in wait(list(running), POLL):
                    if isinstance(connection, Connection) and not _listen(connection, hear):
                        _end(running.pop(connection))
                stop[0] = asked()
        finally:
            for connection, process in running.items():
                process.kill()
                process.join()
                connection.close()


def _start(work: Work, stop: mmap.mmap) -> tuple[Connection, Any]:
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    line = Line(theirs, stop)
    process: Any = context.Process(target=_do, args=(work, line), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the threads of the libraries hold no lock that the work needs
        process.start()
    theirs.close()
    return ours, process


def _do(work: Work, line: Line) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it too, and asks to stop
    with suppress(BrokenPipeError):
        work(line)


def _listen(connection: Connection, hear: Hear) -> bool:
    """Pass on one message; return False at the end of all."""
    try:
        message = connection.recv_bytes()
        hear(json.loads(message), connection.recv_bytes())
    except EOFError:
        connection.close()
        return False
    return True


def _end(process: Any) -> None:
    process.join()
    if process.exitcode:
        raise TrainingError(
            f"a process that trained models ended with code {process.exitcode} (-9: killed, often for want of memory). "
            "Use fewer workers, or one: then all is done in this process"
        )
