"""How quickly the explorer answers: 100,000 points, one slider, one point; and what watching costs a training.

    python benchmarks/explorer.py [--rows 100000] [--asked 200] [--runs 5] [--steps 3000] [--data FOLDER]

MNIST and Fashion-MNIST together, 28 x 28, a variational model with convolutions and 8 code units, fitted for a few steps: speed does not
depend on how good it is. The real command serves over real HTTP on this machine, one client asks it over one connection, as a page
does; what a browser draws is not in these times. Goals: all that a page needs of 100,000 points within 3 s, a code decoded to a PNG
within 50 ms at the median, also while the scores of all rows are being reckoned.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np

DATA = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
GOALS = {"page of all points": 3000.0, "slider to picture": 50.0, "slider while scores are reckoned": 50.0}
DENSE = ("--family", "variational", "--latent", "8", "--key", "x", "--seed", "0")
FIT = ("--family", "variational", "--network", "conv", "--latent", "8", "--key", "x", "--seed", "0")


def prepare(folder: Path, data: Path, rows: int) -> Path:
    """Write the pictures of both sets, and their classes."""
    sets = [np.load(data / "images" / f"{name}.npz") for name in ("mnist", "fashion_mnist")]
    x, y = (np.concatenate([part[f"{name}_{side}"] for part in sets for side in ("train", "test")]) for name in ("x", "y"))
    chosen = np.random.default_rng(0).permutation(len(x))[:rows]
    np.savez(folder / "data.npz", x=x[chosen][..., None])
    np.save(folder / "labels.npy", y[chosen])
    return folder / "data.npz"


def isthmus(*arguments: object) -> list[str]:
    return [sys.executable, "-u", "-m", "isthmus", *map(str, arguments)]


def serve(model: Path, data: Path) -> tuple[subprocess.Popen[str], str, float]:
    """Start the command; return process, address and the seconds until it answers."""
    start = time.perf_counter()
    command = isthmus("explore", model, data, "--key", "x", "--labels", data.with_name("labels.npy"), "--no-open")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = next(match for line in process.stdout if (match := re.search(r"http://\S+", line)))
    return process, found[0], time.perf_counter() - start


def milliseconds(ask: Callable[[], httpx.Response]) -> float:
    start = time.perf_counter()
    ask().raise_for_status()
    return 1000 * (time.perf_counter() - start)


def page(client: httpx.Client) -> float:
    """All that a page asks for before it shows the points: itself, about, map, codes, labels, thumbnails."""
    paths = ["/", "/api/about", "/api/map?method=pca", "/api/codes", "/api/colour?name=label", "/api/sheet", "/api/sheet.png"]
    return sum(milliseconds(lambda path=path: client.get(path)) for path in paths)


def slider(client: httpx.Client, count: int) -> list[float]:
    """One unit of the code moved in small steps, each decoded."""
    codes = np.zeros((count, 8))
    codes[:, 0] = np.linspace(-3, 3, count)
    return [milliseconds(lambda code=code: client.post("/api/decode", json={"codes": [code]})) for code in codes.tolist()]


def points(client: httpx.Client, count: int) -> list[float]:
    return [milliseconds(lambda i=i: client.get(f"/api/point?index={i}")) for i in range(count)]


def answers(model: Path, data: Path, asked: int) -> dict[str, list[float]]:
    process, url, seconds = serve(model, data)
    base, token = url.split("/?token=")
    try:
        with httpx.Client(base_url=base, headers={"X-Isthmus-Token": token}, timeout=600) as client:
            found = {"start of the command": [1000 * seconds], "page of all points": [page(client)]}
            found["slider while scores are reckoned"] = slider(client, asked)
            assert client.get("/api/point?index=0").json()["scoring"], "the scores came too early to measure beside them"
            found["scores of all rows"] = [milliseconds(lambda: client.get("/api/colour?name=score"))]
            found["page again"] = [page(client)]
            found["slider to picture"] = slider(client, asked)
            found["point with its neighbours"] = points(client, asked)
            found["list of anomalies"] = [milliseconds(lambda: client.get("/api/anomalies"))]
    finally:
        process.terminate()
        process.wait()
    return found


def look(url: str) -> subprocess.Popen[bytes]:
    """Someone who watches a training to its end."""
    code = "import sys, httpx\nwith httpx.stream('GET', sys.argv[1], timeout=60) as s:\n    all(True for _ in s.iter_bytes())"
    return subprocess.Popen([sys.executable, "-c", code, url.replace("/?", "/api/live?")], stderr=subprocess.DEVNULL)


def training(data: Path, folder: Path, how: str, steps: int) -> tuple[float, float]:
    """Seconds of a run as its history tells them, and the processor's seconds of the whole command."""
    live = () if how == "not watched" else ("--live", "--no-open")
    command = isthmus("fit", data, *DENSE, "--steps", steps, "--patience", steps, "--out", folder / "watched", "--overwrite", *live)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told, viewer = [], None
    for line in process.stdout:
        told.append(line)
        if how == "watched" and viewer is None and (match := re.search(r"http://\S+", line)):
            viewer = look(match[0])
    used = os.wait4(process.pid, 0)[2]
    if viewer is not None:
        viewer.wait()
    seconds = float(re.search(r"steps in ([\d.,]+) s", "".join(told))[1].replace(",", ""))
    return seconds, used.ru_utime + used.ru_stime


def trainings(folder: Path, data: Path, runs: int, steps: int) -> None:
    """Train a dense model, whose steps are short, with --live and without, and tell what it takes."""
    smaller = prepare(folder, data, 10_000)
    ways: dict[str, list[tuple[float, float]]] = {"not watched": [], "nobody looks": [], "watched": []}
    for _ in range(runs):
        for how, found in ways.items():
            found.append(training(smaller, folder, how, steps))
    print(f"\nfit of {steps} steps, 10,000 pictures, dense networks; seconds, {runs} runs taking turns: median (least to most)\n")
    print(f"{'':20} {'training':>26} {'processor, all in all':>26}")
    for how, found in ways.items():
        cells = (f"{statistics.median(part):.2f} ({min(part):.2f} to {max(part):.2f})" for part in zip(*found, strict=True))
        print(f"{how:20} " + " ".join(f"{cell:>26}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="0 for the trainings alone")
    parser.add_argument("--asked", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--data", type=Path, default=DATA)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not wanted.rows:
            trainings(folder, wanted.data, wanted.runs, wanted.steps)
            return
        data = prepare(folder, wanted.data, wanted.rows)
        model = folder / "model"
        subprocess.run(
            isthmus("fit", data, *FIT, "--steps", 50, "--held-out", "0.02", "--out", model), check=True, stdout=subprocess.DEVNULL
        )
        found = answers(model, data, wanted.asked)
        print(f"{wanted.rows:,} pictures of 28 x 28, code of 8; milliseconds\n")
        print(f"{'':34} {'median':>9} {'95 %':>9} {'most':>9}  goal")
        for what, values in found.items():
            goal = f"<= {GOALS[what]:.0f}: {'met' if statistics.median(values) <= GOALS[what] else 'MISSED'}" if what in GOALS else ""
            print(f"{what:34} {statistics.median(values):9.1f} {np.percentile(values, 95):9.1f} {max(values):9.1f}  {goal}")
        trainings(folder, wanted.data, wanted.runs, wanted.steps)


if __name__ == "__main__":
    main()
