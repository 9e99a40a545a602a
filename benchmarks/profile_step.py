"""Where a training step's time goes: python benchmarks/profile_step.py [--tasks table conv] (one thread, one core).

Per task: the step as it is trained; what its matrix products would take at the best rate of square ones; and, under torch's
profiler (which makes everything slower), the operators that take most, and what lies between them.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from _process import THREAD_VARIABLES, pin

if TYPE_CHECKING:
    from _tasks import Task

SECONDS = 1.0
PROFILED = 20
SHOWN = 6


@contextmanager
def quiet() -> Iterator[None]:
    """The profiler writes of its start and stop to the error stream from below Python."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def make(task: Task) -> Callable[[], Any]:
    """A step on rows that stay the same."""
    import torch
    from _ours import build

    from isthmus.objectives import Context
    from isthmus.training import TrainingConfig, World, make_step

    model, objective = build(task)
    step = make_step(model, objective, TrainingConfig(batch=task.batch, device="cpu"), World.join("cpu", 1))
    x, context = torch.from_numpy(task.data[: task.batch]), Context(training=True)
    return lambda: step(x, x, context)


def seconds(step: Callable[[], Any]) -> float:
    for _ in range(PROFILED):
        step()
    start, times = time.perf_counter(), 0
    while time.perf_counter() < start + SECONDS:
        step()
        times += 1
    return (time.perf_counter() - start) / times


def shares(step: Callable[[], Any]) -> list[tuple[str, float]]:
    """The operators' shares of the time under the profiler, the largest first; last what is in none."""
    from torch.profiler import ProfilerActivity, profile

    with quiet(), profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        for _ in range(PROFILED):
            step()
        whole = 1e6 * (time.perf_counter() - start)
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    within = sum(event.self_cpu_time_total for event in events)
    return [(event.key, event.self_cpu_time_total / whole) for event in events[:SHOWN]] + [
        ("outside operators", max(0.0, 1 - within / whole))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=["-ae-"], help="only tasks whose name contains one of these (default: -ae-)")
    wanted = parser.parse_args().tasks
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    place = pin(1)
    from _peak import best_float32, gemm_peaks, tell
    from _tasks import tasks

    peaks = gemm_peaks()
    print(f"{place}: {tell(peaks)}")
    for task in tasks(1024, 1024):
        if any(part in task.name for part in wanted):
            step = make(task)
            spent, least = seconds(step), task.batch * task.training_flops / best_float32(peaks)
            told = ", ".join(f"{name} {share:.0%}" for name, share in shares(step))
            print(
                f"{task.name}: {spent * 1e6:,.0f} us a step, its products {least * 1e6:,.0f} at GEMM rate ({least / spent:.0%})\n  {told}"
            )


if __name__ == "__main__":
    main()
