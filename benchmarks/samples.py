"""How good samples are on MNIST: prior, ex-post density, plain autoencoders, each beside what real digits get in their place.

    ISTHMUS_DATA=folder python benchmarks/samples.py                      # every model, about 5 CPU minutes each
    python benchmarks/samples.py --models undercomplete --minutes 2 --json samples.json
    python benchmarks/samples.py --models subpixel --minutes 11           # about 290 CPU seconds: its start is slower than the rest

Each model is trained on the 60,000 training pictures for about the CPU minutes that are asked for (its steps are set by a timed
start; the CPU seconds really used are printed). Samples are means of the decoder. The judge is a small classifier trained here on the
training pictures; the reference is one half of the test pictures, the floor the other half, so neither model nor judge has seen them.
Goal: Frechet distance of at most 0.5 where real/real lies at 0.14-0.35, coverage of at least 0.95, two-sample accuracy of at most 0.56.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.tasks.config import Config
from isthmus.tasks.density import attach
from isthmus.tasks.fit import fit
from isthmus.tasks.judge import Judge
from isthmus.tasks.quality import compare, memorised
from isthmus.tasks.sample import sample
from isthmus.training import reconstruct

BATCH = 256
MODELS = {
    "variational": {"family": "variational", "latent": 16},
    "undercomplete": {"family": "undercomplete", "latent": 16, "optimiser": "adamw", "weight_decay": 0.1},
    "subpixel": {
        "family": "undercomplete",
        "latent": 16,
        "network": "subpixel",
        "channels": (16, 32),
        "hidden": (256,),
        "batch": 128,
        "optimiser": "adamw",
        "weight_decay": 0.05,
        "learning_rate": 4e-3,
        "average": 0.999,
        "precision": "bf16",
    },
}
SHORT = ("Frechet distance", "coverage", "precision", "two-sample accuracy")


def folder() -> Path:
    named = os.environ.get("ISTHMUS_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def trained(source: Source, options: dict, minutes: float, seed: int) -> tuple[Artifact, float]:
    """A model after about `minutes` of CPU time, and the CPU seconds it took."""
    common = {"network": "mlp", "hidden": (512, 256), "batch": BATCH, "seed": seed, "patience": 10**6, "learning_rate": 1e-3, **options}
    start = time.process_time()
    fit(source, Config(steps=300, **common))
    rate = 300 / (time.process_time() - start)
    start = time.process_time()
    artifact = fit(source, Config(steps=max(300, int(60 * minutes * rate)), **common))
    return artifact, time.process_time() - start


def told(name: str, found: dict[str, float]) -> None:
    print(f"{name:<52}" + "".join(f"{found[key]:>20.3f}" for key in SHORT), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS), help="names, separated by commas: " + ", ".join(MODELS))
    parser.add_argument("--saved", action="append", default=[], help="folder of a saved model to measure as well (may be repeated)")
    parser.add_argument("--minutes", type=float, default=5.0, help="CPU minutes for each model")
    parser.add_argument("--components", default="50,100,200", help="Gaussians of the ex-post densities to show")
    parser.add_argument("--latent", type=int, help="width of the code")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    data = np.load(folder() / "images" / "mnist.npz")
    train, test = (data[name][..., None] for name in ("x_train", "x_test"))
    unit = lambda rows: (rows / np.float32(255)).astype(np.float32)  # noqa: E731
    judge = Judge.train(unit(train), data["y_train"], args.seed)
    order = np.random.default_rng(args.seed).permutation(len(test))
    reference, other = judge.features(unit(test[order[:5000]])), judge.features(unit(test[order[5000:]]))
    print(f"judge: accuracy {judge.accuracy:.3f}; 5,000 samples against 5,000 test pictures\n")
    print(" " * 52 + "".join(f"{key:>20}" for key in SHORT))
    results: dict[str, dict[str, float]] = {"real digits (floor)": compare(reference, other, args.seed)}
    told("real digits (floor)", results["real digits (floor)"])
    source = Source("pictures", train, name="mnist")
    models = {name: None for name in args.models.split(",") if name} | {path: Artifact.load(path) for path in args.saved}
    for name, artifact in models.items():
        seconds = 0.0
        if artifact is None:
            options = MODELS[name] | ({"latent": args.latent} if args.latent else {})
            artifact, seconds = trained(source, options, args.minutes, args.seed)
        rebuilt = unit(artifact.restore(reconstruct(artifact.model, artifact.prepare(Source("pictures", test[order[5000:]])))))
        shown = {f"{name} ({seconds:.0f} CPU s): test pictures rebuilt": compare(reference, judge.features(rebuilt), args.seed)}
        told(*next(iter(shown.items())))
        rows = artifact.prepare(source)
        kinds = [("prior", None)] if artifact.model.prior is not None else []
        kinds += [("ex_post", None), *(("ex_post", int(k)) for k in args.components.split(",") if k)]
        for density, components in kinds:
            start = time.process_time()
            label = density
            if density == "ex_post":
                found = attach(artifact, rows[6000:], rows[:6000], components and [components], args.seed)
                chosen = "chosen: " if components is None else ""
                label = f"{chosen}{found.density.components} Gaussians, {time.process_time() - start:.0f} CPU s"
            drawn = unit(sample(artifact, 5000, seed=args.seed, mean=True, density=density))
            figures = compare(reference, judge.features(drawn), args.seed)
            figures |= memorised(drawn[:1000], unit(train), unit(test[order[:1000]]))
            shown[f"{name}: {label}"] = figures
            told(f"{name}: {label}", figures)
        results |= shown
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
