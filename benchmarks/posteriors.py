"""How near the ELBO comes to log p(x) with each kind of posterior, on one and the same decoder, on MNIST.

    ISTHMUS_DATA=folder python benchmarks/posteriors.py            # about 8 minutes on one core
    python benchmarks/posteriors.py --posteriors gaussian,full --seeds 1 --json posteriors.json

A small VAE with a diagonal Gaussian posterior is trained, and its decoder frozen. To it new encoders are fitted from scratch, with the
same steps, learning rate and noise: diagonal again (the control), full covariance, planar flows, inverse autoregressive flows and splines.
Theory bounds what the best posterior of a kind can reach: a full covariance holds the diagonal one, and so do the flows. Encoders are
fitted and share their weights over all rows, so the order of their gaps is measured here, not implied.

Measured on held-out rows: the ELBO of each; log p(x) of each row, which is the same for all, from the importance weights of all encoders
together (`--draws` codes from each; the mean over encoders of unbiased estimates of p(x) is unbiased, and their greatest is not); the
gap log p(x) - ELBO; and its difference from the control's, paired over rows. Its error holds the choice of rows and that of seeds. At the
end, posteriors that are optimised for each single row: what a kind can reach without an encoder; log p(x) by them
tells how far that from the encoders lies too low.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.families import Architecture, get
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.tasks.evaluate import parts, treated
from isthmus.tasks.gap import optimised
from isthmus.tasks.latent import some
from isthmus.tasks.nll import importance
from isthmus.training import TrainingConfig, fit

FIELD = Field("digit", "numbers", (784,), "unit")
NAMES = {"gaussian": "diagonal", "full": "full covariance", "planar": "planar flow", "iaf": "IAF", "spline": "spline flow"}
CONTROL = "gaussian"
FROZEN_SEED = 100  # of the model whose decoder is kept: none of the encoders' seeds


@dataclass(frozen=True)
class Fitted:
    """An encoder on the frozen decoder, and what was measured of it: arrays of shape (rows,), in nats."""

    posterior: str
    seed: int
    elbo: np.ndarray
    evidence: np.ndarray
    effective: float
    seconds: float


@dataclass(frozen=True)
class Line:
    """One kind of posterior: means over rows and seeds, in nats."""

    posterior: str
    elbo: float
    evidence: float
    effective: float
    gap: float
    gap_error: float
    gaps: list[float]
    difference: float
    difference_error: float
    seconds: float


def folder() -> Path:
    named = os.environ.get("ISTHMUS_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def digits(rows: int) -> tuple[Tensor, Tensor]:
    """Grey training pictures, and held-out ones as zeros and ones."""
    data = np.load(folder() / "images" / "mnist.npz")
    train, test = (torch.from_numpy(data[name]).float().div(255).flatten(1) for name in ("x_train", "x_test"))
    return train, treated(some(test, rows), "sample")


def trained(
    posterior: str, rows: Tensor, steps: int, seed: int, args: argparse.Namespace, decoder: Autoencoder | None = None
) -> Autoencoder:
    """A model whose binarisation is dynamic; with `decoder`, that one's is kept as it is and only the way to the code is fitted."""
    torch.manual_seed(seed)
    look = Architecture(network="mlp", hidden=(args.hidden, args.hidden))
    model, objective = get("vae")([FIELD], latent=args.latent, posterior=posterior, architecture=look, binarise="dynamic")
    if decoder is not None:
        model.decoder.load_state_dict(decoder.decoder.state_dict())
        model.decoder.requires_grad_(False)
    fit(model, objective, rows, config=TrainingConfig(steps=steps, batch=128, learning_rate=args.rate, seed=seed, evaluate_every=steps))
    if decoder is not None and not same_decoder(model, decoder):
        raise RuntimeError("the decoder was changed: the gaps would not be on the same model")
    return model


def same_decoder(model: Autoencoder, other: Autoencoder) -> bool:
    return all(torch.equal(a, b) for a, b in zip(model.decoder.parameters(), other.decoder.parameters(), strict=True))


def fitted(
    posterior: str, seed: int, base: Autoencoder, train: Tensor, test: Tensor, args: argparse.Namespace
) -> tuple[Autoencoder, Fitted]:
    start = time.process_time()
    model = trained(posterior, train, args.steps, seed, args, base)
    seconds = time.process_time() - start
    reconstruction, kl = parts(model, test, seed=0, draws=args.elbo_draws)
    found = importance(model, test, args.draws, seed=seed)
    return model, Fitted(posterior, seed, -(reconstruction + kl), found.values, found.effective, seconds)


def together(runs: list[Fitted]) -> np.ndarray:
    """log p(x) of each row from the weights of all encoders."""
    return np.logaddexp.reduce([run.evidence for run in runs]) - math.log(len(runs))


def error(values: np.ndarray) -> float:
    """Standard error of the mean of values of shape (seeds, rows): by the rows and by the seeds."""
    seeds, rows = values.shape
    by_rows = values.mean(0).var(ddof=1) / rows
    by_seeds = values.mean(1).var(ddof=1) / seeds if seeds > 1 else 0.0
    return math.sqrt(by_rows + by_seeds)


def summarised(runs: list[Fitted]) -> list[Line]:
    evidence, lines = together(runs), []
    control = np.stack([run.elbo for run in runs if run.posterior == CONTROL])
    for name in dict.fromkeys(run.posterior for run in runs):
        own = [run for run in runs if run.posterior == name]
        gaps = np.stack([evidence - run.elbo for run in own])
        less = control - np.stack([run.elbo for run in own])
        means = [float(np.mean([getattr(run, what).mean() for run in own])) for what in ("elbo", "evidence")]
        effective, seconds = (float(np.mean([getattr(run, what) for run in own])) for what in ("effective", "seconds"))
        gap = [float(gaps.mean()), error(gaps), [float(value) for value in gaps.mean(1)]]
        lines.append(Line(name, *means, effective, *gap, float(less.mean()), error(less), seconds))
    return lines


def verdict(line: Line) -> str:
    """Whether the gap is at most the control's, at two standard errors."""
    if line.posterior == CONTROL:
        return "control"
    if abs(line.difference) <= 2 * line.difference_error:
        return "not told apart"
    return "holds" if line.difference < 0 else "VIOLATED"


def show(lines: list[Line], evidence: np.ndarray, args: argparse.Namespace) -> None:
    spread = evidence.std(ddof=1) / math.sqrt(len(evidence))
    print(f"\nlog p(x) = {evidence.mean():.3f} +- {spread:.3f} nats (by rows), {len(evidence)} held-out rows, {args.seeds} seeds")
    head = {"ELBO": 9, "IS alone": 10, "eff.": 7, "gap": 8, "+-": 7, "gap - control": 15, "+- ": 7, "CPU s": 7}
    print(f"{'posterior':<17}" + "".join(f"{name:>{width}}" for name, width in head.items()) + "  order; gap by seed")
    for line in lines:
        cells = f"{line.elbo:>9.3f}{line.evidence:>10.3f}{line.effective:>7.0f}{line.gap:>8.3f}{line.gap_error:>7.3f}"
        cells += f"{line.difference:>15.3f}{line.difference_error:>7.3f}{line.seconds:>7.0f}"
        seeds = " ".join(f"{gap:.3f}" for gap in line.gaps)
        print(f"{NAMES[line.posterior]:<17}{cells}  {verdict(line)}; {seeds}")


def single(model: Autoencoder, test: Tensor, shared: np.ndarray, rows: int) -> dict[str, Any]:
    """Gaps of posteriors optimised for each single row, and their differences from the diagonal one's, with errors."""
    chosen = some(torch.arange(len(test)), rows)
    bounds, evidence = optimised(model, test[chosen])
    found: dict[str, Any] = {"rows": len(chosen), "log p(x)": evidence.mean, "Monte Carlo error": evidence.error}
    found["log p(x) from the encoders"] = float(shared[chosen.numpy()].mean())
    for name, values in bounds.items():
        gap, less = evidence.values - values, bounds["diagonal"] - values
        found[name] = {"gap": float(gap.mean()), "gap error": error(gap[None])}
        found[name] |= {"difference": float(less.mean()), "difference error": error(less[None])}
    return found


def show_single(found: dict[str, Any]) -> None:
    evidence = f"{found['log p(x)']:.3f} (Monte Carlo error {found['Monte Carlo error']:.3f})"
    print(
        f"\noptimised for each of {found['rows']} rows; log p(x) = {evidence}, {found['log p(x) from the encoders']:.3f} from the encoders"
    )
    print(f"{'posterior':<17}{'gap':>8}{'+-':>7}{'gap - diagonal':>16}{'+-':>7}")
    labels = {"encoder": "control's encoder", "diagonal": "diagonal", "full": "full covariance", "flow": "full, then planar"}
    for name, label in labels.items():
        one = found[name]
        print(f"{label:<17}{one['gap']:>8.3f}{one['gap error']:>7.3f}{one['difference']:>16.3f}{one['difference error']:>7.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posteriors", default=",".join(NAMES), help=f"besides the control, some of {', '.join(NAMES)}")
    parser.add_argument("--latent", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=200, help="width of the two hidden layers each way")
    parser.add_argument("--base-steps", type=int, default=8000, help="steps of the model whose decoder is kept")
    parser.add_argument("--steps", type=int, default=4000, help="steps of each encoder")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=500, help="held-out rows")
    parser.add_argument("--draws", type=int, default=1000, help="importance samples a row and encoder")
    parser.add_argument("--elbo-draws", type=int, default=100, help="codes a row for the ELBO")
    parser.add_argument("--single", type=int, default=64, help="rows whose posterior is optimised; 0 for none")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    names = list(dict.fromkeys([CONTROL, *args.posteriors.split(",")]))
    train, test = digits(args.rows)
    start = time.process_time()
    base = trained(CONTROL, train, args.base_steps, FROZEN_SEED, args)
    print(f"decoder: {args.base_steps} steps, {time.process_time() - start:.0f} CPU s", flush=True)
    runs, control = [], base
    for seed in range(args.seeds):
        for name in names:
            model, run = fitted(name, seed, base, train, test, args)
            control = model if name == CONTROL and seed == 0 else control
            runs.append(run)
            print(f"  {NAMES[name]}, seed {seed}: ELBO {run.elbo.mean():.3f}, {run.seconds:.0f} CPU s", flush=True)
    lines = summarised(runs)
    show(lines, together(runs), args)
    alone = single(control, test, together(runs), args.single) if args.single else {}
    if alone:
        show_single(alone)
    if args.json:
        found = {"settings": vars(args) | {"json": str(args.json)}, "encoders": [asdict(line) for line in lines], "single rows": alone}
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
