"""Several processes that share each batch, started as torchrun would start them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

GRACE = 5.0
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP")
Process = subprocess.Popen[bytes]


def wanted(devices: int | None) -> bool:
    """Say whether processes must be started: several devices are asked for, and no launcher has done it."""
    return (devices or 1) > 1 and "WORLD_SIZE" not in os.environ


def several(devices: int, arguments: Sequence[str]) -> int:
    """Run ``isthmus`` with these arguments once per device and return the exit code.

    The first process speaks; the others are heard only if one of them fails alone. Signals are passed on to all.

    Parameters
    ----------
    devices : int
    arguments : sequence of str
        What follows ``isthmus`` on the command line.
    """
    shared = {**os.environ, "WORLD_SIZE": str(devices), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    shared.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))
    command = [sys.executable, "-m", "isthmus", *arguments]
    with ExitStack() as stack:
        silent = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, devices)]
        processes = [
            # A process group of its own: a Ctrl-C then reaches each process once, through this one.
            subprocess.Popen(command, env={**shared, "RANK": str(i), "LOCAL_RANK": str(i)}, stderr=stderr, start_new_session=True)
            for i, stderr in enumerate([None, *silent])
        ]
        with _forwarding(processes):
            alone = _wait(processes)
        if alone:
            silent[alone - 1].seek(0)
            sys.stderr.write(silent[alone - 1].read().decode(errors="replace"))
        return _code(processes[alone or 0])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _code(process: Process) -> int:
    """Return the exit code as a shell tells it."""
    code = process.returncode or 0
    return code if code >= 0 else 128 - code


@contextmanager
def _forwarding(processes: Sequence[Process]) -> Generator[None]:
    def forward(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before: dict[int, Any] = {}
    for name in FORWARDED:
        if (number := getattr(signal, name, None)) is not None:
            before[number] = signal.signal(number, forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _end(processes)


def _wait(processes: Sequence[Process]) -> int | None:
    """Wait for all, or for the first failure and then a little for the first process to speak; return the one that failed alone."""
    while True:
        codes = [process.poll() for process in processes]
        if None not in codes or any(codes):
            break
        time.sleep(0.05)
    deadline = time.monotonic() + GRACE
    while processes[0].poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    failed = [i for i, process in enumerate(processes) if process.poll()]
    return failed[0] if failed and 0 not in failed else None


def _end(processes: Sequence[Process]) -> None:
    """End those that still run: kindly, then by force."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
