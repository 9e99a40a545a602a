"""Training and encoding throughput beside other libraries; see README.md here. Run: python benchmarks/throughput.py [--quick]"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _summary as summary
from _process import pin, spawn

if TYPE_CHECKING:
    from _measure import Lane
    from _tasks import Contender, Task

QUICK_TASKS = ("image-ae-128", "table-ae-128")
PACKAGES = ("isthmus", "torch", "numpy", "jax", "keras", "lightning", "scikit-learn", "pythae", "pyod")
COLUMNS = ("contender", "train rows/s", "+-", "x loop", "of GEMM", "encode rows/s", "+-", "x loop", "of GEMM", "error: 1 epoch", "end")
FORMAT = "{:<24}{:>13}{:>6}{:>8}{:>9}{:>15}{:>6}{:>8}{:>9}{:>16}{:>8}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two tasks, fewer rows, fewer rounds")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts, one process each (default: 1 2)")
    parser.add_argument("--rounds", type=int, help="least number of interleaved repeats (default: 5, quick: 3)")
    parser.add_argument("--seconds", type=float, help="repeat until a task has used so many (default: 20, quick: 3)")
    parser.add_argument("--tasks", nargs="+", help="only tasks whose name contains one of these, e.g. vae-128")
    parser.add_argument("--contenders", nargs="+", help="only contenders whose name contains one of these; the tight loop always runs")
    parser.add_argument("--json", type=Path, help="write every figure and each round to this file")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rounds, seconds = (3, 3.0) if options.quick else (5, 20.0)
    options.rounds, options.seconds = options.rounds or rounds, options.seconds or seconds
    return options


def chosen(name: str, parts: list[str] | None) -> bool:
    return not parts or any(part in name for part in parts)


def chosen_tasks(options: argparse.Namespace) -> list[Task]:
    from _tasks import tasks

    found = tasks(1024, 4096) if options.quick else tasks(2048, 16384)
    if options.quick and not options.tasks:
        return [task for task in found if task.name in QUICK_TASKS]
    return [task for task in found if chosen(task.name, options.tasks)]


def chosen_contenders(options: argparse.Namespace) -> list[Contender]:
    """The tight loop first: it is the floor of every ratio."""
    from _jax import JAX
    from _keras import KERAS
    from _lightning import LIGHTNING
    from _loops import LOOPS
    from _ours import OURS
    from _peers import PEERS

    wanted = [c for c in (*LOOPS[1:], *JAX, *OURS, *PEERS, *LIGHTNING, *KERAS) if chosen(c.name, options.contenders)]
    present: list[Contender] = [LOOPS[0]]
    for contender in wanted:
        reason = contender.missing()
        if reason:
            print(f"skipped {contender.name}: {reason}")
        else:
            present.append(contender)
    return present


def rows(lanes: list[Lane], peak: float) -> list[dict[str, Any]]:
    from _measure import figure

    found: list[dict[str, Any]] = []
    for lane in lanes:
        task, floor = lane.task, lanes[0]
        found.append(
            {
                "contender": lane.contender.name,
                "role": lane.contender.role,
                "parameters": lane.parameters,
                "short_epochs": lane.epochs,
                "training": asdict(figure(lane.training, floor.training, task.training_flops, peak)),
                "encoding": asdict(figure(lane.encoding, floor.encoding, task.encoding_flops, peak)),
                "error": lane.errors,
            }
        )
    return found


def show(task: Task, found: list[dict[str, Any]]) -> None:
    repeats = len(found[0]["training"]["rounds"])
    print(f"\n{task.name}: {task.label}, batch {task.batch}, {task.rows} rows, {task.parameters:,} parameters each, {repeats} rounds")
    print(FORMAT.format(*COLUMNS))
    for row in found:
        cells = [row["contender"]]
        for key in ("training", "encoding"):
            f = row[key]
            cells += [f"{f['rate']:,.0f}", f"{f['spread']:.0%}", f"{f['ratio']:.2f}", f"{f['share']:.0%}"]
        learns = "" if row["error"][1] < row["error"][0] else " !"
        print(FORMAT.format(*cells, f"{row['error'][0]:.3f}", f"{row['error'][1]:.3f}") + learns, flush=True)


def work(options: argparse.Namespace) -> None:
    """One thread count, in a process of its own."""
    import logging

    from _measure import Plan, race
    from _peak import best_float32, gemm_peaks, tell

    logging.disable(logging.WARNING)
    (threads,) = options.threads
    place, peaks = pin(threads), gemm_peaks()
    peak = best_float32(peaks)
    print(f"\n=== {threads} thread{'s' * (threads > 1)}, {place}: {tell(peaks)} ===", flush=True)
    contenders = chosen_contenders(options)
    plan = Plan(options.rounds, options.seconds, run=0.06 if options.quick else 0.15)
    results: list[dict[str, Any]] = []
    for task in chosen_tasks(options):
        found = rows(race(contenders, task, plan), peak)
        show(task, found)
        results.append({"task": task.name, "batch": task.batch, "rows": task.rows, "contenders": found})
    notes = {c.name: c.note for c in contenders}
    rates = {name: found._asdict() for name, found in peaks.items()}
    options.worker.write_text(json.dumps({"threads": threads, "gemm_flops": rates, "notes": notes, "tasks": results}))


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def main() -> None:
    options = arguments()
    if options.worker:
        work(options)
        return
    start, known = time.perf_counter(), versions()
    print(", ".join(f"{name} {number}" for name, number in known.items()), flush=True)
    results = [spawn(__file__, threads) for threads in options.threads]
    summary.show(results)
    print("\nnotes")
    for name, note in results[0]["notes"].items():
        print(f"  {name}: {note}")
    load = os.getloadavg()[0]
    print(f"took {time.perf_counter() - start:.0f} s; load over the last minute {load:.1f} on {os.cpu_count()} processors")
    if options.json:
        options.json.write_text(json.dumps({"versions": known, "load": load, "runs": results}, indent=1))


if __name__ == "__main__":
    main()
