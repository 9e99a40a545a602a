"""Processes of a fixed number of threads, on as many cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def pin(threads: int) -> str:
    """Keep this process on as many cores as it has threads, whatever its libraries think; to be called before they load."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned (this system cannot)"
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        raise SystemExit(f"{threads} threads were asked for, but this process may use {len(allowed)} core(s) only; give --threads")
    os.sched_setaffinity(0, allowed[:threads])
    return f"pinned to core{'s' * (threads > 1)} {', '.join(map(str, allowed[:threads]))}"


def spawn(script: str, threads: int) -> dict[str, Any]:
    """Run this script again as a worker whose libraries see the thread count from their start; it writes its figures to --worker."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        # of a repeated option, argparse keeps the last
        command = [sys.executable, script, *sys.argv[1:], "--threads", str(threads), "--worker", str(out)]
        subprocess.run(command, env=environment, check=True)
        return json.loads(out.read_text())
