"""What the figures say beside the goals: per task, this library over the loop, the best peer, pythae and Keras on JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

GOALS = {
    "image": {128: {"loop": 2.2, "keras-jax": 1.0}, 1024: {"loop": 1.9, "keras-jax": 1.0}},
    "table": {128: {"loop": 3.0, "pythae": 8.0}, 1024: {"loop": 2.0, "pythae": 8.0}},
}
ENCODED = {"image": 170_000}  # rows/s per core
ENCODED_SHARE = 0.8  # of the best float32 matrix product
COLUMNS = ("task", "threads", "x loop", "x best by hand", "x best peer", "x pythae", "x keras-jax", "encode rows/s a core", "of GEMM")
FORMAT = "{:<16}{:>8}{:>8}  {:<28}{:<22}{:>9}{:>12}{:>22}{:>9}"


def over(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Ratios are taken within a round, then their median."""
    return float(np.nanmedian(np.asarray(ours) / np.asarray(theirs)))


def _rounds(row: dict[str, Any]) -> list[float]:
    return row["training"]["rounds"]


def _best(ours: dict[str, Any], rows: list[dict[str, Any]], role: str) -> tuple[str, float] | None:
    """The quickest contender of a role that learns, and our ratio to it."""
    found = {
        row["contender"]: over(_rounds(ours), _rounds(row)) for row in rows if row["role"] == role and row["error"][1] < row["error"][0]
    }
    return min(found.items(), key=lambda item: item[1]) if found else None


def line(task: dict[str, Any], threads: int) -> dict[str, Any] | None:
    """Ratios of one task, or None where this library did not run."""
    rows: list[dict[str, Any]] = task["contenders"]
    ours = next((row for row in rows if row["role"] == "ours"), None)
    if ours is None:
        return None
    named = {row["contender"]: over(_rounds(ours), _rounds(row)) for row in rows}
    encoding = ours["encoding"]
    found: dict[str, Any] = {"task": task["task"], "batch": task["batch"], "threads": threads, "loop": named["tight loop"]}
    found |= {"by_hand": _best(ours, rows, "floor"), "peer": _best(ours, rows, "peer")}
    found |= {name: named.get(name) for name in ("pythae", "keras-jax")}
    found |= {"encode": encoding["rate"] / threads, "share": encoding["share"]}
    return found | {"whole": {"loop": found["loop"] / ours["training"]["share"], "encode": found["encode"] / found["share"]}}


def verdicts(found: dict[str, Any]) -> list[str]:
    """Each goal of a task with what was reached, and what the processor's whole rate of float32 products would give."""
    group = found["task"].split("-")[0]
    goals = GOALS.get(group, {}).get(found["batch"], {})
    told = [_verdict(f"x {name}", found[name], goal, ".2f", found["whole"].get(name)) for name, goal in goals.items()]
    if group in ENCODED:
        told.append(_verdict("encode rows/s a core", found["encode"], ENCODED[group], ",.0f", found["whole"]["encode"]))
        told.append(_verdict("encode of GEMM", found["share"], ENCODED_SHARE, ".0%"))
    return told


def _verdict(what: str, value: float | None, goal: float, style: str, whole: float | None = None) -> str:
    if value is None:
        return f"{what} >= {goal:{style}}: not measured"
    reached = "met" if value >= goal else "MISSED"
    ceiling = f" (100% of GEMM here: {whole:{style}})" if whole is not None and reached == "MISSED" else ""
    return f"{what} >= {goal:{style}}: {value:{style}} {reached}{ceiling}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _named(pair: tuple[str, float] | None) -> str:
    return "-" if pair is None else f"{pair[1]:.2f} ({pair[0]})"


def show(runs: Sequence[dict[str, Any]]) -> None:
    """A table over all tasks and thread counts, then the goals."""
    lines = [found for run in runs for task in run["tasks"] if (found := line(task, run["threads"]))]
    if not lines:
        return
    print("\n=== isthmus over the others: training rows/s within a round, medians ===")
    print(FORMAT.format(*COLUMNS))
    for x in lines:
        ratios = (_number(x["loop"]), _named(x["by_hand"]), _named(x["peer"]), _number(x["pythae"]), _number(x["keras-jax"]))
        print(FORMAT.format(x["task"], x["threads"], *ratios, f"{x['encode']:,.0f}", f"{x['share']:.0%}"))
    print("\ngoals")
    for x in lines:
        for told in verdicts(x):
            print(f"  {x['task']}, {x['threads']} thread{'s' * (x['threads'] > 1)}: {told}")
