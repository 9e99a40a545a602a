"""Disentanglement on sprites with known factors: MIG, DCI and the FactorVAE score of several families, with seeds.

    python benchmarks/disentanglement.py                          # minutes
    python benchmarks/disentanglement.py --families vae,beta_vae --seeds 3 --steps 3000 --json disentanglement.json

The sprites are made on the spot (isthmus.data.sprites: shape, size, angle, x, y). PCA of the same width stands beside; figures are
mean +- standard deviation over the seeds, measured on 5,000 sprites that were not trained on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from isthmus.data import Source, sprites
from isthmus.tasks import codes as coding
from isthmus.tasks.config import Config
from isthmus.tasks.disentanglement import disentanglement
from isthmus.tasks.fit import fit

FAMILIES = {
    "linear (PCA)": {"family": "linear"},
    "vae": {"family": "variational", "beta": 1.0},
    "beta_vae, beta = 4": {"family": "variational", "beta": 4.0},
    "beta_vae, beta = 12": {"family": "variational", "beta": 12.0},
    "tc_vae": {"family": "tc_vae"},
}


def measured(options: dict, seed: int, steps: int, rows: int) -> dict[str, float]:
    source, _ = sprites.sprites(rows, seed)
    linear = options["family"] == "linear"
    more = {} if linear else {"steps": steps, "network": "mlp", "hidden": (256, 128), "likelihood": "continuous_bernoulli", "batch": 128}
    start = time.process_time()
    artifact = fit(source, Config(latent=8, seed=seed, **more, **options))
    seconds = time.process_time() - start
    held, factors = sprites.sprites(5000, 1000 + seed)

    def make(factor: int, draw: int) -> np.ndarray:
        drawn = sprites.draw_factors(64, 10**6 + draw)
        drawn[:, factor] = drawn[0, factor]
        return coding.encode(artifact, Source("pictures", sprites.render(drawn)))

    found = disentanglement(coding.encode(artifact, held), factors, make, seed)
    return {**found.figures(), "CPU seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", default=",".join(FAMILIES), help="parts of names, separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    wanted = args.families.split(",") if args.families != parser.get_default("families") else list(FAMILIES)
    results: dict[str, list[dict[str, float]]] = {}
    for name, options in FAMILIES.items():
        if not any(part.strip() in name for part in wanted):
            continue
        results[name] = [measured(options, seed, args.steps, args.rows) for seed in range(args.seeds)]
        if len(results) == 1:
            print(f"seeds 0 to {args.seeds - 1}\n" + " " * 22 + "".join(f"{key:>22}" for key in results[name][0]))
        columns = np.array([list(row.values()) for row in results[name]])
        cells = [f"{mean:.2f} +- {spread:.2f}" for mean, spread in zip(columns.mean(0), columns.std(0))]
        print(f"{name:<22}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
