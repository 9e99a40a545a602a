"""Does the false-alarm rate hold? Clean rows are split at random again and again: fit on some, count alarms among the others.

    python benchmarks/false_alarms.py [--splits 200] [--jobs 4] [--only wine glass] [--json false_alarms.json]

Beside the p-values of `isthmus.AnomalyDetector`: the same scores with a threshold at the quantile of the rows trained on, and PyOD's
k-NN and isolation forest at their default contamination of 10 % (`pip install pyod`; left out where it is not there). "Attainable"
is the highest rate up to the level that p-values among so few rows can have. Rows come from scikit-learn and, where ISTHMUS_DATA
names their folder, from the normal rows of ADBench's tables. A fit takes about a second, so 200 splits of the eleven sets about an
hour on one core: --jobs shares them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

ALPHAS = (0.05, 0.01)
MOST_FRESH = 1_000


@dataclass(frozen=True)
class Set:
    """Where clean rows come from, and how many to fit on."""

    name: str
    origin: str
    training: int


SETS = (
    Set("wine", "wine", 89),
    Set("iris", "iris", 75),
    Set("diabetes", "diabetes", 221),
    Set("cancer", "breast_cancer", 178),
    Set("digits", "digits", 900),
    Set("glass", "14_glass.npz", 102),
    Set("vowels", "40_vowels.npz", 700),
    Set("thyroid", "38_thyroid.npz", 1_800),
    Set("PageBlocks", "27_PageBlocks.npz", 2_500),
    Set("pendigits", "28_pendigits.npz", 3_400),
    Set("mammography", "23_mammography.npz", 5_000),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the sets: " + ", ".join(entry.name for entry in SETS))
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser.parse_args()


def folder() -> Path:
    named = os.environ.get("ISTHMUS_DATA")
    return (Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data") / "adbench"


@cache
def rows(entry: Set) -> np.ndarray:
    if entry.origin.endswith(".npz"):
        with np.load(folder() / entry.origin) as found:
            return found["X"][found["y"] == 0].astype(np.float64)
    from sklearn import datasets

    found: Any = getattr(datasets, f"load_{entry.origin}")()
    return found.data[found.target == 1] if entry.origin == "breast_cancer" else found.data


def split(entry: Set, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(rows(entry)))
    found = rows(entry)[order]
    return found[: entry.training], found[entry.training :][:MOST_FRESH]


def shares(task: tuple[Set, int]) -> dict[str, float]:
    """Shares of alarms among fresh rows of one split, by way and level."""
    entry, seed = task
    train, fresh = split(entry, seed)
    return {**ours(train, fresh, seed), **pyod(train, fresh, seed)}


def ours(train: np.ndarray, fresh: np.ndarray, seed: int) -> dict[str, float]:
    from isthmus import AnomalyDetector
    from isthmus.data import from_any

    began = time.perf_counter()
    model = AnomalyDetector(random_state=seed).fit(train)
    seconds = time.perf_counter() - began
    # score_samples would recognise the training rows and not let the models know them.
    (p, new), known = _judged(model.detector_, from_any(fresh)), model.detector_.score(from_any(train)).scores
    found = {f"isthmus {alpha}": float(np.mean(p <= alpha)) for alpha in ALPHAS}
    naive = {f"training quantile {alpha}": float(np.mean(new > np.quantile(known, 1 - alpha))) for alpha in ALPHAS}
    rows_known = model.detector_.calibration.rows
    attainable = {f"attainable {alpha}": float(np.floor(alpha * (rows_known + 1) + 1e-9) / (rows_known + 1)) for alpha in ALPHAS}
    return {**found, **attainable, **naive, "seconds": seconds}


def _judged(detector: Any, source: Any) -> tuple[np.ndarray, np.ndarray]:
    found = detector.score(source)
    return found.p_values, found.scores


def pyod(train: np.ndarray, fresh: np.ndarray, seed: int) -> dict[str, float]:
    try:
        from pyod.models.iforest import IForest
        from pyod.models.knn import KNN
    except ImportError:
        return {}
    spread = train.std(0)
    train, fresh = ((part - train.mean(0)) / np.where(spread > 0, spread, 1.0) for part in (train, fresh))
    peers = {"PyOD KNN": KNN(), "PyOD IForest": IForest(random_state=seed)}
    return {f"{name} (contamination 0.1)": float(np.mean(peer.fit(train).predict(fresh))) for name, peer in peers.items()}


def start() -> None:
    import warnings

    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)


def summary(found: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Mean over splits and its standard error, by way and level."""
    return {
        name: (float(np.mean([row[name] for row in found])), float(np.std([row[name] for row in found], ddof=1) / np.sqrt(len(found))))
        for name in found[0]
    }


def show(name: str, rows_of: str, line: dict[str, tuple[float, float]]) -> None:
    cells = [f"{100 * mean:6.2f} ±{100 * error:4.2f}" for key, (mean, error) in line.items() if key != "seconds"]
    print(f"{name:<13}{rows_of:>14}  " + "  ".join(cells), flush=True)


def main() -> None:
    options = arguments()
    chosen = [entry for entry in SETS if not options.only or entry.name in options.only]
    there = [entry for entry in chosen if not entry.origin.endswith(".npz") or (folder() / entry.origin).is_file()]
    for entry in set(chosen) - set(there):
        print(f"{entry.name} is left out: {folder() / entry.origin} is not there (set ISTHMUS_DATA)", file=sys.stderr)
    report: dict[str, dict[str, tuple[float, float]]] = {}
    began = time.perf_counter()
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), start) as pool:
        for entry in there:
            found = list(pool.map(shares, [(entry, seed) for seed in range(options.splits)], chunksize=4))
            if not report:
                print(f"{'% of fresh rows':<13}{'fit on/fresh':>13}   " + "  ".join(name for name in found[0] if name != "seconds"))
            report[entry.name] = summary(found)
            show(entry.name, f"{entry.training}/{min(MOST_FRESH, len(rows(entry)) - entry.training)}", report[entry.name])
    total = {name: over_sets([line[name] for line in report.values()]) for name in next(iter(report.values()))}
    show("all sets", "", total)
    print(f"{options.splits} splits of {len(there)} sets in {time.perf_counter() - began:.0f} s; a fit took {total['seconds'][0]:.2f} s")
    if options.json:
        options.json.write_text(json.dumps({"splits": options.splits, "sets": report, "all": total}, indent=1))


def over_sets(found: list[tuple[float, float]]) -> tuple[float, float]:
    return float(np.mean([mean for mean, _ in found])), float(np.sqrt(np.sum([error**2 for _, error in found])) / len(found))


if __name__ == "__main__":
    main()
