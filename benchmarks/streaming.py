"""Data larger than memory: the same fit in memory on a part of the rows and streamed from all of them; codes streamed to Parquet.

    python benchmarks/streaming.py                                  # 20 million x 50 float32: 4 GB in a temporary folder
    python benchmarks/streaming.py --rows 2000000 --folder /data/x  # smaller; the folder's rows are written once and kept

Every stage is a process of its own, and its peak memory is what the kernel says at its end (ru_maxrss).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = 50
FACTORS = 8
CHUNK = 100_000
FILES = 8
HELD_OUT = 50_000
GOALS = {"memory": 1200.0, "share": 0.85}
MEGABYTE = 1 << 20


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000_000, help=f"rows in {FILES} files; the fit in memory takes the first file")
    parser.add_argument("--row-group", type=int, default=1 << 20, help="rows of a row group (default: pyarrow's own, 1,048,576)")
    parser.add_argument("--folder", type=Path, help="where rows, models and codes go; rows that are there are taken as they are")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, help="of both fits (default: one pass over all rows)")
    parser.add_argument("--hidden", type=int, nargs="+", help="hidden widths (default: what isthmus chooses)")
    parser.add_argument("--cores", type=int, default=2, help="cores of every stage: one trains while another reads")
    parser.add_argument("--rounds", type=int, default=3, help="fits in memory and streamed take turns so often (default: 3)")
    parser.add_argument("--stages", nargs="+", default=["memory", "stream", "encode"], choices=["memory", "stream", "encode"])
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.steps = options.steps or options.rows // options.batch
    return options


class Spent(NamedTuple):
    """What a process took."""

    seconds: float
    peak: float  # MB


def run(command: list[str], cores: int, log: Path | None = None) -> Spent:
    """Run to the end on so many cores; this process itself stays small, for a child's peak includes what it was forked from."""
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
        for stream in (1, 2) if log else ():
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        os.execve(command[0], command, os.environ | {"OMP_NUM_THREADS": "1"})
    _, status, used = os.wait4(child, 0)
    if status:
        told = log.read_text() if log else ""
        raise SystemExit(f"{told}\n{' '.join(command)} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return Spent(time.perf_counter() - start, used.ru_maxrss * unit / MEGABYTE)


def write_rows(options: argparse.Namespace) -> None:
    """Files of a chunk after another, and held-out rows beside them: columns of variance 1, half of it noise in some, little in others."""
    share = -(-options.rows // FILES)
    rows = options.folder / "rows"
    rows.mkdir()
    for number in range(FILES):
        write_file(rows / f"part-{number:02d}.parquet", range(number * share, min(options.rows, (number + 1) * share)), options.row_group)
    write_file(options.folder / "held_out.parquet", range(-HELD_OUT, 0), HELD_OUT)


def write_file(path: Path, ids: range, row_group: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("id", pa.int64()), *((f"x{i:02d}", pa.float32()) for i in range(COLUMNS))])
    with pq.ParquetWriter(path, schema) as writer:
        for group in range(ids.start, ids.stop, row_group):
            stop = min(group + row_group, ids.stop)
            chunks = [make_chunk(range(start, min(start + CHUNK, stop))) for start in range(group, stop, CHUNK)]
            writer.write_table(pa.Table.from_batches([pa.record_batch(chunk, schema=schema) for chunk in chunks]), row_group_size=row_group)


def make_chunk(ids: range) -> list[Any]:
    """The id, and tanh of mixed factors with noise: a column's signal has 50 to 95 % of its variance."""
    import numpy as np

    fixed, generator = np.random.default_rng(0), np.random.default_rng((1, ids.start % (1 << 32)))
    mixing = fixed.standard_normal((FACTORS, COLUMNS), dtype=np.float32)
    mixing /= np.linalg.norm(mixing, axis=0)
    signal = np.linspace(0.5, 0.95, COLUMNS, dtype=np.float32)
    factors = generator.standard_normal((len(ids), FACTORS), dtype=np.float32)
    spread = 0.6279  # standard deviation of tanh of a standard normal
    noise = generator.standard_normal((len(ids), COLUMNS), dtype=np.float32)
    values = np.tanh(factors @ mixing) * (np.sqrt(signal) / spread) + noise * np.sqrt(1 - signal)
    return [np.arange(ids.start, ids.stop), *np.ascontiguousarray(values.T)]


class Watch:
    """How a stream's consumer, the trainer, spends its time from the second batch on: waiting for batches, on a processor, in all."""

    def __init__(self) -> None:
        self.first = self.waited = self.processor = self.whole = 0.0

    def over(self, source: Generator[Any]) -> Generator[Any]:
        before = time.perf_counter()
        yield next(source)
        start, processor = time.perf_counter(), time.thread_time()
        self.first = start - before
        try:
            while True:
                before = time.perf_counter()
                rows = next(source)
                self.waited += time.perf_counter() - before
                yield rows
        finally:
            self.whole, self.processor = time.perf_counter() - start, time.thread_time() - processor
            source.close()

    def shares(self) -> dict[str, float]:
        whole = self.whole or 1.0
        return {"first wait": self.first, "waited": self.waited / whole, "processor": self.processor / whole}


@contextmanager
def watched() -> Generator[Watch]:
    """Watch every stream that is read meanwhile."""
    from isthmus.data.stream import Stream

    before, watch = Stream.batches, Watch()
    Stream.batches = lambda self, batch, seed, step=0: watch.over(before(self, batch, seed, step))
    try:
        yield watch
    finally:
        Stream.batches = before


def fit(options: argparse.Namespace, source: Any, name: str) -> dict[str, Any]:
    """Train, keep the model, and tell its error on rows that neither fit has seen; the columns' variance is 1."""
    import numpy as np

    from isthmus import read
    from isthmus.tasks import codes
    from isthmus.tasks.config import Config
    from isthmus.tasks.fit import fit as train

    hidden = tuple(options.hidden) if options.hidden else None
    every = max(1, options.steps // 4)
    config = Config(steps=options.steps, batch=options.batch, latent=FACTORS, hidden=hidden, evaluate_every=every, device="cpu", seed=0)
    start = time.perf_counter()
    artifact = train(source, config)
    spent, last = time.perf_counter() - start, artifact.history[-1]
    artifact.save(options.folder / name)
    held = read(options.folder / "held_out.parquet", drop=("id",))
    error = float(np.mean((codes.reconstruct(artifact, held) - held.array) ** 2))
    found = {"rows": len(source), "steps": int(last["step"]), "rate": last["step"] * options.batch / last["seconds"], "error": error}
    return found | {"training": last["seconds"], "besides": spent - last["seconds"]}


def fit_in_memory(options: argparse.Namespace) -> dict[str, Any]:
    from isthmus import read

    start = time.perf_counter()
    source = read(options.folder / "rows" / "part-00.parquet", drop=("id",))
    reading = time.perf_counter() - start
    found = fit(options, source, "memory.model")
    return found | {"besides": found["besides"] + reading}


def fit_streamed(options: argparse.Namespace) -> dict[str, Any]:
    from isthmus.data.dataset import open_dataset

    with watched() as watch:
        found = fit(options, open_dataset(options.folder / "rows", ids="id"), "stream.model")
    return found | watch.shares()


def stage(options: argparse.Namespace) -> None:
    if options.stage == "write":
        write_rows(options)
        return
    found = (fit_in_memory if options.stage == "memory" else fit_streamed)(options)
    (options.folder / f"{options.stage}.json").write_text(json.dumps(found))


def spawn(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Run a stage of this script."""
    command = [sys.executable, __file__, *sys.argv[1:], "--folder", str(options.folder), "--stage", name]
    spent = run(command, options.cores)
    found = options.folder / f"{name}.json"
    return {"seconds": spent.seconds, "peak": spent.peak} | (json.loads(found.read_text()) if found.exists() else {})


def encode(options: argparse.Namespace) -> dict[str, Any]:
    """Codes of all rows beside their ids, by the command line."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        out = Path(folder) / "codes"
        names = [str(path) for path in (options.folder / "stream.model", options.folder / "rows", "--out", out)]
        spent = run([sys.executable, "-m", "isthmus", "encode", *names, "--ids", "id"], options.cores, Path(folder) / "log")
        size = sum(path.stat().st_size for path in out.iterdir())
    return {
        "seconds": spent.seconds,
        "peak": spent.peak,
        "rows": options.rows,
        "rate": options.rows / spent.seconds,
        "written": size / MEGABYTE,
    }


def show_fit(name: str, found: dict[str, Any]) -> None:
    print(
        f"{name:<10}{found['rows']:>12,} rows{found['steps']:>8,} steps{found['rate']:>12,.0f} rows/s  error {found['error']:.4f}  "
        f"peak {found['peak']:,.0f} MB  {found['training']:.0f} s training, {found['besides']:.0f} s before and after"
    )
    if "waited" in found:
        told = f"waited {found['waited']:.1%} of the time for batches (first one {found['first wait']:.1f} s)"
        print(f"{'':<10}the trainer {told} and was on a processor {found['processor']:.0%}", flush=True)


def verdict(what: str, value: float, goal: float, style: str, met: bool) -> None:
    print(f"  {what} {goal:{style}}: {value:{style}} {'met' if met else 'MISSED'}")


def show_goals(results: dict[str, dict[str, Any]]) -> None:
    print("\ngoals")
    peak = max(results[name]["peak"] for name in ("stream", "encode") if name in results)
    verdict("peak memory in MB <=", peak, GOALS["memory"], ",.0f", peak <= GOALS["memory"])
    if "memory" in results and "stream" in results:
        share = results["stream"]["rate"] / results["memory"]["rate"]
        verdict("rows/s over those in memory >=", share, GOALS["share"], ".0%", share >= GOALS["share"])
        ratio = results["stream"]["error"] / results["memory"]["error"]
        print(f"  held-out error over that in memory: {ratio:.4f}")


def middle(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The round of the median rate (of two, the slower), with the highest peak of all."""
    chosen = sorted(found, key=lambda each: each["rate"])[(len(found) - 1) // 2]
    return chosen | {"peak": max(each["peak"] for each in found), "rounds": [each["rate"] for each in found]}


def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    if not (options.folder / "held_out.parquet").exists():
        print(f"writing {options.rows:,} x {COLUMNS}: {spawn(options, 'write')['seconds']:.0f} s", flush=True)
    size = sum(path.stat().st_size for path in (options.folder / "rows").iterdir())
    print(f"{options.rows:,} x {COLUMNS} float32 in {FILES} Parquet files, {size / MEGABYTE:,.0f} MB; {options.cores} core(s) each\n")
    fits = [name for name in ("memory", "stream") if name in options.stages]
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in fits}
    for name in fits * options.rounds:
        rounds[name].append(spawn(options, name))
        show_fit(name, rounds[name][-1])
    results |= {name: middle(found) for name, found in rounds.items()}
    if "encode" in options.stages:
        results["encode"] = found = encode(options)
        written = f"peak {found['peak']:,.0f} MB  {found['written']:,.0f} MB written"
        print(f"{'encode':<10}{found['rows']:>12,} rows{found['rate']:>26,.0f} rows/s  {written}", flush=True)
    if {"stream", "encode"} & results.keys():
        show_goals(results)
    return results


def main() -> None:
    options = arguments()
    if options.stage:
        stage(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.folder = (options.folder or Path(folder)).resolve()
        options.folder.mkdir(parents=True, exist_ok=True)
        results = measure(options)
    load = os.getloadavg()[0]
    print(f"load over the last minute {load:.1f} on {os.cpu_count()} processors")
    if options.json:
        options.json.write_text(json.dumps({"load": load, "stages": results}, indent=1))


if __name__ == "__main__":
    main()
