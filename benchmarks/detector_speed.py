"""Speed of the anomaly score: fitting beside PyOD's AutoEncoder, scoring beside the matrix products it is made of.

    python benchmarks/detector_speed.py [--rows 10000] [--columns 30] [--threads 1 2]

Both fit with their defaults on the same rows, in turn, after a warm-up. Goals at 10,000 x 30: a fifth of PyOD's time, and 200,000
rows scored in a second on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _peak import best_float32, gemm_peaks, tell
from _process import pin, spawn

FIT_GOAL = 0.2
SCORE_GOAL = 200_000
Array = np.ndarray[Any, np.dtype[Any]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--scored", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts, one process each, on as many cores")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def table(rows: int, columns: int, seed: int) -> Array:
    """Standardised columns, most of whose variance a code of a few numbers explains."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(6, columns))
    rng = np.random.default_rng(seed)
    values = np.tanh(rng.normal(size=(rows, 6)) @ loadings / 2) + 0.2 * rng.normal(size=(rows, columns))
    return ((values - values.mean(0)) / values.std(0)).astype(np.float32)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def operations(scorer: Any) -> int:
    """Floating-point operations of the products behind a row's score."""
    fold = scorer.folds[0]
    nets = sum(weight.numel() for weight in fold.nets.weights) + len(fold.nets) * fold.metric.numel()
    return 2 * len(scorer.folds) * (nets + fold.neighbours.points.numel())


def work(options: argparse.Namespace) -> dict[str, Any]:
    pinned = pin(options.threads[-1])
    import torch
    from pyod.models.auto_encoder import AutoEncoder

    from isthmus.tasks.scorer import Scorer

    torch.set_num_threads(options.threads[-1])
    fitted, scored = table(options.rows, options.columns, 1), table(options.scored, options.columns, 2)
    AutoEncoder(epoch_num=1, verbose=0).fit(fitted[:500])
    Scorer.fit(fitted[:500])
    times: dict[str, list[float]] = {"isthmus": [], "pyod": [], "score": [], "pyod score": []}
    for seed in range(options.rounds):
        seconds, scorer = timed(lambda seed=seed: Scorer.fit(fitted, seed=seed))
        times["isthmus"].append(seconds)
        seconds, peer = timed(lambda seed=seed: AutoEncoder(random_state=seed, verbose=0).fit(fitted))
        times["pyod"].append(seconds)
        times["score"].append(timed(lambda scorer=scorer: scorer.score(scored))[0])
        times["pyod score"].append(timed(lambda peer=peer: peer.decision_function(scored))[0])
    peaks = gemm_peaks()
    return {
        "pinned": pinned,
        "times": times,
        "peaks": tell(peaks),
        "floor": operations(scorer) / best_float32(peaks),
        "load": os.getloadavg()[0],
    }


def show(threads: int, found: dict[str, Any], options: argparse.Namespace) -> None:
    median = {name: statistics.median(values) for name, values in found["times"].items()}
    ratio = statistics.median(a / b for a, b in zip(found["times"]["isthmus"], found["times"]["pyod"]))
    rate = options.scored / median["score"]
    print(f"\n{threads} thread{'s' * (threads > 1)}, {found['pinned']}; {found['peaks']}; load {found['load']:.1f}")
    print(f"fit {options.rows:,} x {options.columns}: isthmus {median['isthmus']:.2f} s, PyOD AutoEncoder {median['pyod']:.2f} s: ", end="")
    print(f"{ratio:.3f} of its time (goal {FIT_GOAL})")
    print(f"score: {rate:,.0f} rows/s (goal {SCORE_GOAL:,} on one core), PyOD {options.scored / median['pyod score']:,.0f}; ", end="")
    print(f"products alone at the best rate: {1 / found['floor']:,.0f}, so {rate * found['floor']:.0%} of it")


def main() -> None:
    options = arguments()
    if options.worker:
        options.worker.write_text(json.dumps(work(options)))
        return
    found = {threads: spawn(__file__, threads) for threads in options.threads}
    for threads, figures in found.items():
        show(threads, figures, options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
