"""Gaps in real tables: isthmus beside what scikit-learn offers, same gaps, same run.

    python benchmarks/imputation.py --results figures.json [--seeds 5] [--tables wine diabetes] [--methods isthmus knn] [--forest]
    python benchmarks/imputation.py --results figures.json --summary
    python benchmarks/imputation.py --speed          # on one core: OMP_NUM_THREADS=1 taskset -c 0 before it

Of each table 20 % of all entries are removed, at random (MCAR) or the more likely the larger they are (MNAR: the chance rises with the
rank from 0 to 40 %), and filled again by a model fitted on the table with the gaps. Numbers: root mean squared error in standard
deviations of the whole column. Categories: share of them that is right. Means over the seeds, and their standard deviation; a seed
changes gaps and models. The tables: wine, breast cancer and diabetes as scikit-learn has them, with their classes as a category; breast-w
(four columns as numbers, five and the class as categories) and 4,000 rows of donors (seven categories and three numbers) as ADBench has
them. Every method gets the same columns, standardised, and those that know no categories get them one-hot: k-NN all slots, the chained
equations all but the first, since slots that add up to one would predict each other. `--forest` adds chained trees, which take long. The
defaults of isthmus were chosen on ten other tables of ADBench, and are the same for all.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SHARE = 0.2
ROWS = 4000
Array = np.ndarray[Any, np.dtype[Any]]
Method = Callable[[Array, list[int], int], Array]  # rows with NaN, categories of each column (0: a number), seed -> rows without


def tables() -> dict[str, Callable[[], tuple[Array, str]]]:
    """Return the tables by name: values, and a letter for each column: n a number, c a category."""

    def of_sklearn(name: str, letters: str) -> tuple[Array, str]:
        from sklearn import datasets

        found = getattr(datasets, f"load_{name}")()
        return np.column_stack([found.data, found.target]), letters

    def of_adbench(name: str, letters: str) -> tuple[Array, str]:
        folder = Path(os.environ.get("ISTHMUS_DATA", "../shared/data")) / "adbench"
        found = np.load(folder / name)
        rows = np.column_stack([found["X"], found["y"]]).astype(float)
        return rows[np.random.default_rng(0).permutation(len(rows))[:ROWS]], letters

    return {
        "wine": lambda: of_sklearn("wine", 13 * "n" + "c"),
        "breast cancer": lambda: of_sklearn("breast_cancer", 30 * "n" + "c"),
        "diabetes": lambda: of_sklearn("diabetes", "nc" + 9 * "n"),
        "breast-w": lambda: of_adbench("4_breastw.npz", 4 * "n" + 6 * "c"),
        "donors": lambda: of_adbench("11_donors.npz", 7 * "c" + "nnnc"),
    }


def prepared(rows: Array, letters: str) -> tuple[Array, list[int]]:
    """Return numbers standardised, categories as codes, and how many categories each column has (0 for numbers)."""
    out, sizes = rows.copy(), []
    for j, letter in enumerate(letters):
        if letter == "c":
            names, codes = np.unique(rows[:, j], return_inverse=True)
            out[:, j] = codes
            sizes.append(len(names))
        else:
            out[:, j] = (rows[:, j] - rows[:, j].mean()) / rows[:, j].std()
            sizes.append(0)
    return out, sizes


def removed(rows: Array, mode: str, seed: int) -> Array:
    """Return which entries are removed; no row loses all of them."""
    random = np.random.default_rng(1000 + seed)
    if mode == "mcar":
        gone = random.random(rows.shape) < SHARE
    else:
        ranks = (np.argsort(np.argsort(rows + 1e-9 * random.random(rows.shape), 0), 0) + 0.5) / len(rows)
        gone = random.random(rows.shape) < 2 * SHARE * ranks
    gone[gone.all(1), 0] = False
    return gone


def one_hot(rows: Array, sizes: Sequence[int], drop: bool) -> Array:
    columns = []
    for j, size in enumerate(sizes):
        if not size:
            known = rows[~np.isnan(rows[:, j]), j]
            columns.append(((rows[:, j] - known.mean()) / (known.std() or 1.0))[:, None])
            continue
        slots, there = np.full((len(rows), size), np.nan), ~np.isnan(rows[:, j])
        slots[there] = np.eye(size)[rows[there, j].astype(int)]
        columns.append(slots[:, int(drop) :])
    return np.concatenate(columns, 1)


def undone(filled: Array, rows: Array, sizes: Sequence[int], drop: bool) -> Array:
    """Return one-hot rows as codes and numbers in the units they had."""
    out, start = rows.copy(), 0
    for j, size in enumerate(sizes):
        if not size:
            known = rows[~np.isnan(rows[:, j]), j]
            out[:, j] = filled[:, start] * (known.std() or 1.0) + known.mean()
            start += 1
            continue
        slots = filled[:, start : start + size - int(drop)]
        start += size - int(drop)
        out[:, j] = np.column_stack([1 - slots.sum(1), slots]).argmax(1) if drop else slots.argmax(1)
    return out


def most_frequent(rows: Array, sizes: list[int], seed: int) -> Array:  # noqa: ARG001
    out = rows.copy()
    for j, size in enumerate(sizes):
        known = rows[~np.isnan(rows[:, j]), j]
        out[np.isnan(rows[:, j]), j] = np.bincount(known.astype(int)).argmax() if size else known.mean()
    return out


def knn(rows: Array, sizes: list[int], seed: int) -> Array:  # noqa: ARG001
    from sklearn.impute import KNNImputer

    return undone(KNNImputer(keep_empty_features=True).fit_transform(one_hot(rows, sizes, False)), rows, sizes, False)


def chained(rows: Array, sizes: list[int], seed: int, **settings: Any) -> Array:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    imputer = IterativeImputer(random_state=seed, keep_empty_features=True, **settings)
    return undone(imputer.fit_transform(one_hot(rows, sizes, True)), rows, sizes, True)


def forest(rows: Array, sizes: list[int], seed: int) -> Array:
    from sklearn.ensemble import ExtraTreesRegressor

    return chained(rows, sizes, seed, estimator=ExtraTreesRegressor(30, random_state=seed, min_samples_leaf=2), max_iter=5)


def isthmus(rows: Array, sizes: list[int], seed: int) -> Array:
    import pandas as pd

    from isthmus import IsthmusImputer

    frame = pd.DataFrame({f"column {j}": _column(rows[:, j], size) for j, size in enumerate(sizes)})
    filled = IsthmusImputer(random_state=seed).fit_transform(frame)
    return np.column_stack([_codes(filled.iloc[:, j].to_numpy(), size) for j, size in enumerate(sizes)])


def _column(values: Array, size: int) -> Any:
    """Return categories by names that do not look like numbers, so that ours is told what the others are told."""
    return [None if np.isnan(value) else f"level {int(value)}" for value in values] if size else values


def _codes(values: Array, size: int) -> Array:
    return np.array([float(value.removeprefix("level ")) for value in values]) if size else values.astype(float)


METHODS: dict[str, Method] = {"mean/mode": most_frequent, "knn": knn, "chained": chained, "isthmus": isthmus}


def figures(rows: Array, filled: Array, gone: Array, sizes: Sequence[int]) -> tuple[float, float]:
    """Return the error of numbers and the share of categories that are right."""
    numbers = gone & (np.array(sizes) == 0)
    names = gone & (np.array(sizes) > 0)
    return float(np.sqrt(np.mean((rows - filled)[numbers] ** 2))), float(np.mean((rows == filled)[names]))


def run(options: argparse.Namespace) -> dict[str, list[float]]:
    path = Path(options.results)
    found: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}
    methods = {**METHODS, **({"trees": forest} if options.forest else {})}
    for name in options.tables or tables():
        rows, sizes = prepared(*tables()[name]())
        for mode in ("mcar", "mnar"):
            for seed in range(options.seeds):
                gone = removed(rows, mode, seed)
                for method in options.methods or methods:
                    key = f"{name}|{mode}|{method}|{seed}"
                    if key in found or options.summary:
                        continue
                    start = time.perf_counter()
                    filled = methods[method](np.where(gone, np.nan, rows), sizes, seed)
                    spent = time.perf_counter() - start
                    found[key] = [*figures(rows, filled, gone, sizes), spent]
                    path.write_text(json.dumps(found, indent=1))
                    print(f"{key}: RMSE {found[key][0]:.3f}, right {found[key][1]:.1%}, {spent:.1f} s", flush=True)
    return found


def summary(found: dict[str, list[float]]) -> None:
    """Print a table for each way of removing: error of numbers, share of categories right, seconds."""
    entries = [(*key.split("|"), value) for key, value in found.items()]
    methods = list(dict.fromkeys(entry[2] for entry in entries))
    names = list(dict.fromkeys(entry[0] for entry in entries))
    for mode in ("mcar", "mnar"):
        print(f"\n| {mode.upper()} | " + " | ".join(methods) + " |\n|---|" + "---|" * len(methods))
        means: dict[str, list[Array]] = {method: [] for method in methods}
        for name in names:
            cells = []
            for method in methods:
                values = np.array([entry[4] for entry in entries if entry[:3] == (name, mode, method)])
                mean, spread = values.mean(0), values.std(0)
                means[method].append(mean)
                cells.append(f"{mean[0]:.3f} ± {spread[0]:.3f}, {mean[1]:.1%} ± {spread[1]:.1%}, {mean[2]:.1f} s")
            print(f"| {name} | " + " | ".join(cells) + " |")
        average = {method: np.mean(values, 0) for method, values in means.items()}
        print("| mean | " + " | ".join(f"**{a[0]:.3f}, {a[1]:.1%}**, {a[2]:.1f} s" for a in average.values()) + " |")
        ratios(found, mode, [method for method in methods if method != "isthmus"])


def ratios(found: dict[str, list[float]], mode: str, others: Sequence[str]) -> None:
    """Print how isthmus compares with each other method, gaps by gaps."""
    ours = {tuple(key.split("|")): value for key, value in found.items() if f"|{mode}|isthmus|" in key}
    for other in others:
        pairs = [
            (value, found[f"{name}|{mode}|{other}|{seed}"])
            for (name, _, _, seed), value in ours.items()
            if f"{name}|{mode}|{other}|{seed}" in found
        ]
        if pairs:
            a, b = np.array(pairs)[:, 0], np.array(pairs)[:, 1]
            print(
                f"isthmus / {other}: error x {np.exp(np.log(a[:, 0] / b[:, 0]).mean()):.3f} (smaller in {(a[:, 0] < b[:, 0]).sum()} of "
                f"{len(pairs)}), categories {100 * (a - b)[:, 1].mean():+.1f} points (not worse in {(a[:, 1] >= b[:, 1]).sum()})"
            )


def clocked(rows: int, work: Callable[[], Any]) -> str:
    """Run `work` once to warm up and three times more; return the best rate, by processor time and by the clock."""
    work()
    own, wall = np.inf, np.inf
    for _ in range(3):
        before = time.process_time(), time.perf_counter()
        work()
        own, wall = min(own, time.process_time() - before[0]), min(wall, time.perf_counter() - before[1])
    return f"{rows / own:,.0f} rows a second of processor time ({rows / wall:,.0f} by the clock)"


def speed() -> None:
    """Print how many rows a second one core fills: 30 columns of numbers, a fifth of all entries missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch

    from isthmus.data import Source, open_dataset
    from isthmus.tasks.completed import write
    from isthmus.tasks.config import Config
    from isthmus.tasks.impute import fit, impute

    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    random, count, names = np.random.default_rng(0), 200_000, tuple(f"column {j}" for j in range(30))
    hidden = random.normal(size=(count, 5))
    rows = np.tanh(hidden @ random.normal(size=(5, 30))) + 0.1 * random.normal(size=(count, 30))
    rows[random.random(rows.shape) < SHARE] = np.nan
    source = Source("columns", rows, names, types=("number",) * 30)
    artifact = fit(source.take(slice(0, 5000)), Config(steps=200))
    print("products of the network alone:", clocked(count, lambda: products(count)))
    print("in memory:", clocked(count, lambda: impute(artifact, source)))
    print("in memory, and one draw:", clocked(count, lambda: impute(artifact, source, draws=1)))
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "given.parquet", Path(folder) / "filled.parquet"
        table = {name: pa.array(rows[:, j], from_pandas=True) for j, name in enumerate(names)}
        pq.write_table(pa.table(table), given, row_group_size=20_000)
        print("Parquet to Parquet:", clocked(count, lambda: write(artifact, open_dataset(given), out)))


def products(rows: int, members: int = 4, block: int = 512) -> None:
    """Make the products of matrices that a network for 30 columns needs, and nothing else."""
    import torch

    shapes = [(30, 30)] * 4 + [(60, 64), (64, 32), (32, 64), (64, 30)]
    layers = [(torch.ones(members, block, a), torch.ones(members, a, b)) for a, b in shapes]
    for _ in range(0, rows, block):
        for h, weight in layers:
            torch.bmm(h, weight)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", default="imputation.json", help="what is in this file is not computed again")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tables", nargs="*", choices=list(tables()))
    parser.add_argument("--methods", nargs="*", choices=[*METHODS, "trees"])
    parser.add_argument("--forest", action="store_true")
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*(did not converge|Early stopping).*")
    if options.speed:
        speed()
    else:
        summary(run(options))


if __name__ == "__main__":
    main()
