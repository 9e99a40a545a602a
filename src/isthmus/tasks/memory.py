"""How much memory there is for data."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def free() -> float:
    """Return the bytes of memory that can be had now: what the machine has free, within what the process may use.

    Infinite where the system does not say.

    Examples
    --------
    >>> free() > 0
    True
    """
    return min(_machine(), _group())


def total() -> float:
    """Return the bytes of memory the machine has; infinite where the system does not say."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else math.inf


def _machine() -> float:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return total() / 2


def _group() -> float:
    """Return what a container's limit leaves; the files that the system keeps in memory can be let go."""
    try:
        limit, used, *lines = (
            line for name in ("max", "current", "stat") for line in (_CGROUP / f"memory.{name}").read_text().splitlines()
        )
        files = next(float(line.split()[1]) for line in lines if line.startswith("file "))
        return math.inf if limit == "max" else max(0.0, float(limit) - float(used) + files)
    except (OSError, ValueError, StopIteration, IndexError):
        return math.inf
