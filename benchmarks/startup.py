"""How long it takes until isthmus is there: a bare interpreter, ``import isthmus``, ``isthmus --help``.

    python benchmarks/startup.py [--runs 20]

Each is a fresh process; the three take turns, so that a busy moment meets all of them. Goals above the bare interpreter, in the
medians: 0.1 s for the import, 0.5 s for the help.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "bare interpreter": ("-c", "pass"),
    "import isthmus": ("-c", "import isthmus"),
    "isthmus --help": ("-m", "isthmus", "--help"),
    "isthmus fit --help": ("-m", "isthmus", "fit", "--help"),
}
GOALS = {"import isthmus": 0.1, "isthmus --help": 0.5}


def seconds(arguments: tuple[str, ...]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(runs: int) -> dict[str, list[float]]:
    """Seconds of each command; the first round only warms the file cache and is left out."""
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs + 1):
        for name, arguments in COMMANDS.items():
            found[name].append(seconds(arguments))
    return {name: values[1:] for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    found = measure(runs)
    bare = statistics.median(found["bare interpreter"])
    print(f"{runs} runs each, Python {sys.version.split()[0]}\n")
    print(f"{'':20} {'median s':>9} {'fastest':>9} {'slowest':>9} {'above bare':>11}  goal")
    for name, values in found.items():
        above = statistics.median(values) - bare
        goal = f"<= {GOALS[name]:.1f}: {'met' if above <= GOALS[name] else 'MISSED'}" if name in GOALS else ""
        print(f"{name:20} {bare + above:9.3f} {min(values):9.3f} {max(values):9.3f} {above:11.3f}  {goal}")


if __name__ == "__main__":
    main()
