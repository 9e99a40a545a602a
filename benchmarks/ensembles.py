"""Many small models at once: one batched model beside one model alone, all in turn, and a pool of processes.

    python benchmarks/ensembles.py [--models 16] [--threads 1 2]

Every model is 30-64-32-8-32-64-30 on a table of its own, batch 128; "mixed" tables have 12 to 42 columns. The goal: one batched
model takes at most 3 times as long as one model alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from _peak import best_float32, gemm_peaks, tell
from _process import pin, spawn
from _tasks import LEARNING_RATE, Task

GOAL = 3.0
ROWS = 16_384
BATCH = 128


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=int, default=16)
    parser.add_argument("--steps", type=int, default=1000, help="each model trains for so many steps and for three times as many")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts, one process each, on as many cores")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


@dataclass(frozen=True)
class Table:
    """One model's data."""

    columns: int
    seed: int


def tables(kind: str, models: int) -> list[Table]:
    columns = np.linspace(12, 42, models).astype(int).tolist() if kind == "mixed" else [30] * models
    return [Table(width, seed) for seed, width in enumerate(columns)]


@cache
def rows(table: Table) -> Any:
    """The columns in another order for each table, so that no two models see the same."""
    import torch

    task = Task("", "ae", (table.columns, 64, 32, 8), BATCH, ROWS)
    return torch.from_numpy(np.random.default_rng(table.seed).permuted(task.data, axis=1))


def arithmetic(found: Sequence[Table], peak: float) -> float:
    """Seconds that the matrix products of 1000 steps take at a rate in FLOP/s."""
    return 1000 * BATCH * sum(Task("", "ae", (table.columns, 64, 32, 8), BATCH, ROWS).training_flops for table in found) / peak


def build(table: Table, steps: int) -> tuple[Any, Any, Any, Any]:
    """Model, objective, rows, configuration."""
    import torch

    from isthmus.families import Architecture, get
    from isthmus.fields import Field
    from isthmus.nn import materialise
    from isthmus.training import TrainingConfig

    field, architecture = Field("x", "numbers", (table.columns,)), Architecture("mlp", (64, 32), activation="relu")
    with torch.device("meta"):
        model, objective = get("undercomplete")([field], latent=8, architecture=architecture, likelihood="gaussian", likelihood_scale=1.0)
    settings: dict[str, Any] = {"batch": BATCH, "learning_rate": LEARNING_RATE, "schedule": "constant", "device": "cpu"}
    config = TrainingConfig(steps=steps, evaluate_every=steps, seed=table.seed, **settings)
    return materialise(model, table.seed), objective, rows(table), config


def alone(table: Table, steps: int) -> float:
    """The loss of the run, nats per row."""
    from isthmus.training import fit

    model, objective, x, config = build(table, steps)
    return fit(model, objective, x, config=config).history[-1]["train"]


def in_turn(found: Sequence[Table], steps: int) -> list[float]:
    return [alone(table, steps) for table in found]


def batched(found: Sequence[Table], steps: int) -> list[float]:
    from isthmus.training.many import fit_many

    models, objectives, data, configs = zip(*(build(table, steps) for table in found), strict=True)
    return [result.history[-1]["train"] for result in fit_many(models, objectives, data, configs=configs)]


def warm(found: Sequence[Table]) -> None:
    """In a process of the pool: imports and data, and one thread, for the processes share the cores."""
    import torch

    torch.set_num_threads(1)
    in_turn(found, 1)


def clock(function: Callable[[int], Any], steps: int) -> float:
    """Seconds for 1000 steps, from the difference of a long and a short run, so that set-up drops out."""
    spent: list[float] = []
    for count in (steps, 3 * steps):
        start = time.perf_counter()
        function(count)
        spent.append(time.perf_counter() - start)
    return (spent[1] - spent[0]) * 1000 / (2 * steps)


def measure(kind: str, options: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Medians over rounds in which every way runs once."""
    found = tables(kind, options.models)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(threads, mp_context=context, initializer=warm, initargs=(found,)) as pool:
        ways: dict[str, Callable[[int], Any]] = {
            "one alone": lambda steps: alone(found[-1], steps),
            "batched": lambda steps: batched(found, steps),
            "in turn": lambda steps: in_turn(found, steps),
            "pool": lambda steps: list(pool.map(alone, found, [steps] * len(found))),
        }
        losses = {name: ways[name](options.steps) for name in ("batched", "in turn", "pool")}
        rounds = {name: list[float]() for name in ways}
        for number in range(options.rounds):
            for name in np.random.default_rng(number).permutation(list(ways)).tolist():
                rounds[name].append(clock(ways[name], options.steps))
    # a step is followed by others, in which rounding grows
    apart = float(np.max(np.abs(np.divide(losses["batched"], losses["in turn"]) - 1)))
    return {"kind": kind, "rounds": rounds, "apart": apart}


def show(found: dict[str, Any], models: int, products: float) -> None:
    one = np.asarray(found["rounds"]["one alone"])
    print(f"\n{found['kind']}: {models} models; final losses, batched and in turn, differ by {found['apart']:.0e} at most")
    print(f"{'':<12}{'s per 1000 steps':>18}{'x one alone':>14}")
    for name, spent in found["rounds"].items():
        ratio = float(np.median(np.asarray(spent) / one))
        goal = f"  <= {GOAL:.1f}: {'met' if ratio <= GOAL else 'MISSED'}" if name == "batched" else ""
        print(f"{name:<12}{np.median(spent):>18.3f}{ratio:>14.2f}{goal}")
    print(f"{'at GEMM rate':<12}{products:>18.3f}{products / np.median(one):>14.2f}  (the products of all models alone)", flush=True)


def work(options: argparse.Namespace) -> None:
    """One thread count, in a process of its own."""
    (threads,) = options.threads
    place, peaks = pin(threads), gemm_peaks()
    print(f"\n=== {threads} thread{'s' * (threads > 1)}, {place}: {tell(peaks)} ===", flush=True)
    results = [measure(kind, options, threads) for kind in ("alike", "mixed")]
    for found in results:
        show(found, options.models, arithmetic(tables(found["kind"], options.models), best_float32(peaks)))
    options.worker.write_text(json.dumps({"threads": threads, "cases": results}))


def main() -> None:
    options = arguments()
    if options.worker:
        work(options)
        return
    results = [spawn(__file__, threads) for threads in options.threads]
    load = os.getloadavg()[0]
    print(f"\nload over the last minute {load:.1f} on {os.cpu_count()} processors")
    if options.json:
        options.json.write_text(json.dumps({"load": load, "runs": results}, indent=1))


if __name__ == "__main__":
    main()
