"""Where a training step's time goes: python benchmarks/profile_step.py (one thread)."""

from __future__ import annotations

import time

import torch
from torch.profiler import ProfilerActivity, profile

from isthmus.families import Architecture, get
from isthmus.fields import Field
from isthmus.nn import materialise
from isthmus.objectives import Context
from isthmus.training import TrainingConfig, World, make_step

CASES = (((30, 64, 32, 8), 128), ((784, 512, 256, 16), 128), ((784, 512, 256, 16), 1024))
GROUPS = {"matrix products": ("aten::mm", "aten::addmm"), "Adam": ("aten::_fused_adam_",)}


def main() -> None:
    torch.set_num_threads(1)
    for widths, batch in CASES:
        architecture = Architecture("mlp", widths[1:-1], activation="relu")
        field = Field("x", "numbers", (widths[0],))
        with torch.device("meta"):
            model, objective = get("undercomplete")([field], latent=widths[-1], architecture=architecture, likelihood="gaussian")
        step = make_step(materialise(model, 0), objective, TrainingConfig(), World.join("cpu", 1))
        x, context = torch.randn(batch, widths[0]), Context(training=True)
        for _ in range(20):
            step(x, x, context)
        start, times = time.perf_counter(), 20 if widths[0] > 100 else 500
        for _ in range(times):
            step(x, x, context)
        seconds = (time.perf_counter() - start) / times
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(10):
                step(x, x, context)
        events = profiler.key_averages()
        total = sum(event.self_cpu_time_total for event in events)
        shares = {name: sum(e.self_cpu_time_total for e in events if e.key in keys) / total for name, keys in GROUPS.items()}
        told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        print(f"{'-'.join(map(str, widths))}, batch {batch}: {seconds * 1e6:,.0f} us a step; under the profiler {told}")


if __name__ == "__main__":
    main()
