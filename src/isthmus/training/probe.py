"""Which kernel makes which product: measured once on a machine, kept in a file, so that the same fit rounds the same way every time."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from isthmus.errors import ConfigError, DataError
from isthmus.files import atomic_path
from isthmus.training.kernels import KERNELS, PRODUCTS, Call, Kernel, bind, relative_error
from isthmus.training.threads import one_blas_thread

VARIABLE = "ISTHMUS_ENGINE"
FOLDER = "ISTHMUS_CACHE"
# Products (rows, width in, width out) of some 0.06 to 200 million operations.
SIZES = ((128, 32, 8), (128, 30, 64), (128, 64, 128), (128, 128, 256), (128, 256, 512), (128, 784, 512), (512, 784, 512))
ROUNDS = 5
SECONDS = 0.002  # a round of one product
WIN = 1.05  # how much quicker than plain a kernel must be
ACCURATE = 2e-6  # relative; float32 gives some 3e-7, bfloat16 3e-3
VERSION = 1


@dataclass(frozen=True)
class Findings:
    """What was measured on this machine with so many threads.

    Attributes
    ----------
    rates : dict
        Floating-point operations a second by product and kernel, one for each of `SIZES`.
    origin : {"measured", "stored", "assumed"}
        "assumed" where nothing can be stored: then a rule by the processor's maker stands in, the same in every run.
    """

    rates: dict[str, dict[str, list[float]]]
    origin: str

    def best(self, product: str, operations: float) -> str:
        """Return the kernel's name for a product of so many operations: of the nearest size, and plain unless clearly beaten."""
        place = nearest(operations)
        rates = {name: values[place] for name, values in self.rates[product].items()}
        name = max(rates, key=rates.__getitem__)
        return name if rates[name] > WIN * rates["plain"] else "plain"


def operations(size: Sequence[int]) -> float:
    """Return the floating-point operations of a product of `size` (rows, width in, width out)."""
    return 2.0 * math.prod(size)


def nearest(wanted: float) -> int:
    """Return the place in `SIZES` of the size nearest in operations, on a logarithmic scale."""
    return min(range(len(SIZES)), key=lambda i: abs(math.log(operations(SIZES[i]) / max(wanted, 1.0))))


def choose(product: str, rows: int, width_in: int, width_out: int, dtype: torch.dtype, without: Sequence[str] = ()) -> Kernel:
    """Return the kernel for one product of a dense layer, with as many threads as torch has now.

    Parameters
    ----------
    product : {"forward", "of_input", "of_weight"}
    rows, width_in, width_out : int
    dtype : torch.dtype
        Only float32 is measured; bfloat16 is plain, and so is all else unless ISTHMUS_ENGINE says otherwise.
    without : sequence of str
        Kernels that are not to be taken.

    Returns
    -------
    Kernel

    Raises
    ------
    ConfigError
        If the environment variable ISTHMUS_ENGINE names no kernel.
    """
    name = asked()
    if name == "auto" and dtype == torch.float32:
        name = findings(torch.get_num_threads()).best(product, operations((rows, width_in, width_out)))
    fitting = name in usable() and name not in without and dtype != torch.bfloat16
    return KERNELS[name if fitting else "plain"]


def asked() -> str:
    """Return the kernel that the environment variable ISTHMUS_ENGINE asks for, or auto.

    Raises
    ------
    ConfigError
        If it names none.
    """
    name = os.environ.get(VARIABLE, "auto")
    if name not in ("auto", *KERNELS):
        raise ConfigError(f"{VARIABLE} must be auto or one of {', '.join(KERNELS)}, not {name!r}")
    return name


@cache
def usable() -> tuple[str, ...]:
    """Return the kernels that run here and compute in float32."""
    return tuple(name for name, kernel in KERNELS.items() if name == "plain" or relative_error(kernel) < ACCURATE)


@cache
def findings(threads: int) -> Findings:
    """Return what is known of this machine with so many threads: stored, else measured (about half a second) and stored.

    Parameters
    ----------
    threads : int
        Torch's number of threads; it must be set so now.

    Returns
    -------
    Findings
    """
    stored = _stored().get(str(threads))
    if stored is not None:
        return Findings(stored, "stored")
    if not _writable():
        return assumed()
    rates = measure(threads)
    try:
        _store(threads, rates)
    except DataError:
        return assumed()
    return Findings(rates, "measured")


def measure(threads: int) -> dict[str, dict[str, list[float]]]:
    """Measure all products; NumPy's take part only on one thread, because its number of threads is not torch's."""
    names = [name for name in usable() if name != "numpy" or threads == 1]
    found: dict[str, dict[str, list[float]]] = {}
    with one_blas_thread() if threads == 1 else nullcontext():
        for product in PRODUCTS:
            columns = [_rates(product, size, names) for size in SIZES]
            found[product] = {name: [column[name] for column in columns] for name in names}
    return found


def _rates(product: str, size: tuple[int, int, int], names: Sequence[str]) -> dict[str, float]:
    """Return the best rate of each kernel, in turns so that a busy moment meets all alike."""
    calls = {name: bind(KERNELS[name], product, *size) for name in names}
    best = dict.fromkeys(names, math.inf)
    for _ in range(ROUNDS):
        for name in names:
            best[name] = min(best[name], _seconds(calls[name]))
    return {name: operations(size) / seconds for name, seconds in best.items()}


def _seconds(calls: Sequence[Call]) -> float:
    """Return the seconds of the quickest of some runs."""
    best, end = math.inf, time.perf_counter() + SECONDS
    while True:
        start = time.perf_counter()
        for call in calls:
            call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


def assumed() -> Findings:
    """Return a rule in place of figures: NumPy for small products, oneDNN for large ones on processors of AMD."""
    amd = "amd" in processor().lower()
    rates = {name: [1.0] * len(SIZES) for name in usable()}
    for place, size in enumerate(SIZES):
        large = operations(size) > 2e6
        if amd and large and "onednn" in rates:
            rates["onednn"][place] = 2.0
        if not large and "numpy" in rates and torch.get_num_threads() == 1:
            rates["numpy"][place] = 2.0
    return Findings(dict.fromkeys(PRODUCTS, rates), "assumed")


@cache
def processor() -> str:
    """Return the processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def key() -> str:
    """Return what the figures depend on, as text."""
    return f"{VERSION} | {processor()} | {os.cpu_count()} | torch {torch.__version__} | numpy {np.__version__}"


def path() -> Path:
    """Return the file that keeps the figures: in the folder ISTHMUS_CACHE, else in the user's cache."""
    folder = os.environ.get(FOLDER) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus"
    return Path(folder) / "engine.json"


def _stored() -> dict[str, Any]:
    entry = _file().get(key())
    if isinstance(entry, dict) and all(_sound(rates) for rates in cast("dict[str, Any]", entry).values()):
        return cast("dict[str, Any]", entry)
    return {}


def _file() -> dict[str, Any]:
    with suppress(OSError, ValueError):
        entries = json.loads(path().read_text(encoding="utf-8"))
        return entries if isinstance(entries, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    return {}


def _sound(rates: Any) -> bool:
    """Say whether a stored entry is what `measure` gives, with kernels that still run here."""
    with suppress(TypeError, AttributeError, KeyError):
        known = all("plain" in rates[product] and set(rates[product]) <= set(usable()) for product in PRODUCTS)
        return known and all(len(v) == len(SIZES) and min(v) > 0 for product in PRODUCTS for v in rates[product].values())
    return False


def _writable() -> bool:
    with suppress(OSError):
        path().parent.mkdir(parents=True, exist_ok=True)
        return os.access(path().parent, os.W_OK)
    return False


def _store(threads: int, rates: dict[str, dict[str, list[float]]]) -> None:
    entries = {**_file(), key(): {**_stored(), str(threads): rates}}
    with atomic_path(path()) as beside:
        beside.write_text(json.dumps(entries, indent=1), encoding="utf-8")


def forget() -> None:
    """Drop what is known of this machine, so that it is measured again.

    Raises
    ------
    OSError
        If the file is there and cannot be removed.
    """
    path().unlink(missing_ok=True)
    findings.cache_clear()
