"""Negative log likelihood of MNIST by variational models, against the processor time they were trained for.

    ISTHMUS_DATA=folder python benchmarks/mnist_nll.py --models vae --minutes 1              # 1 minute of training, then the test set
    python benchmarks/mnist_nll.py --models vae,iwae,vamp,ladder --minutes 1,5 --results nll.json
    python benchmarks/mnist_nll.py --results nll.json --summary                              # tables of what was measured

Dynamic binarisation: each pixel is a coin of its grey value, in training a new one at each step, in measuring one from a fixed seed.
Importance sampling with `--draws` codes a picture, in nats, constants kept. Of all 10,000 pictures it takes 5 to 15 minutes a model:
`--rows` does it for so many, spread over the set (its first 500 are 2 nats easier than the rest), and adds by how much all of them differ
from these in the ELBO; the error told is that of this estimate. `--tune` trains without the last 10,000 training pictures and measures on
1,000 of them: every choice of settings here was made so, none on the test set. What the results file holds is not done again.

Time is the processor time of training from the first step on, on `OMP_NUM_THREADS` threads (1 if it is not set); that which passed on the
clock is told beside it. Every budget is a run of its own, whose learning rate falls to 0 at its end.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.tasks.config import Config
from isthmus.tasks.evaluate import parts, treated
from isthmus.tasks.fit import build, training_config
from isthmus.tasks.nll import importance
from isthmus.training import fit

FIELD = Field("digit", "picture", (28, 28, 1), "unit")
COMMON: dict[str, Any] = {
    "family": "vae",
    "latent": 40,
    "network": "subpixel",
    "channels": (16, 32),
    "hidden": (256,),
    "batch": 128,
    "optimiser": "adamw",
    "weight_decay": 1e-4,
    "learning_rate": 4e-3,
    "clip": 200.0,
    "warmup": 100,
    "average": 0.999,
    "precision": "bf16",
    "steps": 1_000_000_000,
    "evaluate_every": 1000,
    "kl_warmup": 0,
}
RISING = {"kl_warmup": 400}  # steps for each minute, 2,000 at most: learned priors otherwise follow codes that say nothing
MODELS: dict[str, dict[str, Any]] = {
    "vae": {},
    "iwae": {"family": "iwae", "draws": 5},
    "vamp": {"family": "vamp", "components": 100, **RISING},
    "flow_prior": {"prior": "flow", **RISING},
    "flow_posterior": {"posterior": "iaf"},
    "ladder": {"family": "ladder", "top": 20, **RISING},
}
LONGER: dict[float, dict[str, Any]] = {5.0: {"channels": (32, 32), "blocks": 1}, 20.0: {"blocks": 2}}  # from so many minutes on
GOALS = {1.0: 91.0, 5.0: 87.5, 20.0: 85.5}
LITERATURE = (
    ("VAE, one level, dense", "86.8-87.8"),
    ("IWAE, k = 50, one level; two levels", "84.6-84.8; 82.9-83.3"),
    ("ladder", "78.3-81.7"),
    ("learned RealNVP prior, residual networks", "78.5-80"),
    ("pythae's reproductions: VAE, VampPrior, PIWAE", "89.8, 85.8, 84.6"),
)


@dataclass
class Run:
    """One trained and measured model."""

    model: str
    minutes: float
    seed: int
    binarisation: str
    changes: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def same(self, other: dict[str, Any], draws: int, rows: int) -> bool:
        """Whether a stored run is this one, measured as well."""
        mine = json.loads(json.dumps(asdict(self)))
        alike = all(other[name] == mine[name] for name in ("model", "minutes", "seed", "binarisation", "changes"))
        return alike and (other["figures"]["draws"], other["figures"]["rows"]) == (draws, rows)


def folder() -> Path:
    named = os.environ.get("ISTHMUS_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def pictures(tune: bool) -> tuple[Tensor, Tensor]:
    """Grey training pictures, and those to measure on."""
    data = np.load(folder() / "images" / "mnist.npz")
    train, test = (torch.from_numpy(data[name]).float().div(255).unsqueeze(-1) for name in ("x_train", "x_test"))
    return (train[:-10000], train[-10000::10]) if tune else (train, test)


def settings(model: str, minutes: float, seed: int, changes: dict[str, Any]) -> Config:
    longer = {name: value for after, more in LONGER.items() if minutes >= after for name, value in more.items()}
    entries = {**COMMON, **longer, **MODELS[model]}
    entries["kl_warmup"] = int(min(2000, entries["kl_warmup"] * minutes))
    entries |= {"seconds": 60 * minutes, "seed": seed, **changes}
    return Config.from_mapping({name: value for name, value in entries.items() if name != "kl_warmup" or entries["family"] != "iwae"})


def trained(rows: Tensor, config: Config, kept: Path | None) -> tuple[Autoencoder, dict[str, Any]]:
    """A model, and what its training took; read from the file `kept` if it is there, else written to it."""
    model, objective = build(FIELD if config.binarise else replace(FIELD, support="binary"), config)
    if kept is not None and kept.exists():
        with safe_open(str(kept), framework="pt") as file:
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            return model.eval(), json.loads(file.metadata()["took"])
    model.likelihood.begin(rows)
    if model.prior is not None:
        model.prior.begin(rows)
    wall = time.perf_counter()
    result = fit(model, objective, rows, config=training_config(config), clock=time.process_time)
    took = {"cpu seconds": result.seconds, "wall seconds": time.perf_counter() - wall, "steps": result.steps}
    took |= {"epochs": result.steps * (config.batch or 1) / len(rows), "parameters": sum(p.numel() for p in model.parameters())}
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, kept, {"took": json.dumps(took)})
    return model, took


def measured(model: Autoencoder, rows: Tensor, some: int, draws: int, seed: int, low: bool) -> dict[str, Any]:
    """ELBO of rows of zeros and ones, and log likelihood of some of them; the networks run in bfloat16 if `low`.

    The log likelihood of all is that of some and the difference between all and some in the ELBO, which follows it closely.
    """
    start, chosen = time.process_time(), np.arange(some) * len(rows) // some
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        reconstruction, kl = parts(model, rows, seed, draws=4)
        found = importance(model, rows[torch.from_numpy(chosen)], draws, seed)
    bound = reconstruction + kl
    gap = bound[chosen] + found.values
    figures = {"nll": float(bound.mean() - gap.mean()), "error": float(gap.std(ddof=1) / some**0.5 * (1 - some / len(rows)) ** 0.5)}
    figures |= {"nll of some": -found.mean, "draws": draws, "rows": some, "effective draws": found.effective, "elbo": float(-bound.mean())}
    figures |= {"reconstruction": float(reconstruction.mean()), "kl": float(kl.mean()), "measured in": "bfloat16" if low else "float32"}
    return {**figures, "measuring, cpu seconds": time.process_time() - start}


def store(path: Path | None, run: Run) -> None:
    if path is not None:
        stored = json.loads(path.read_text()) if path.exists() else []
        path.write_text(json.dumps([*stored, asdict(run)], indent=1))


def stored(path: Path | None) -> list[dict[str, Any]]:
    return json.loads(path.read_text()) if path is not None and path.exists() else []


COLUMNS = (
    ("model", "<15"),
    ("min", ">6"),
    ("seed", ">5"),
    ("NLL", ">9"),
    ("+-", ">6"),
    ("-ELBO", ">8"),
    ("KL", ">7"),
    ("k", ">7"),
    ("rows", ">8"),
    ("CPU s", ">8"),
    ("wall s", ">8"),
    ("steps", ">9"),
    ("epochs", ">8"),
)
HEAD = "".join(f"{name:{form}}" for name, form in COLUMNS) + "  binarisation"


def line(run: dict[str, Any]) -> str:
    """One run as a row of the table."""
    found = run["figures"]
    numbers = [f"{found['nll']:.2f}", f"{found['error']:.2f}", f"{-found['elbo']:.2f}", f"{found['kl']:.2f}"]
    numbers += [f"{found[name]:,}" for name in ("draws", "rows")] + [f"{found[f'{name} seconds']:.0f}" for name in ("cpu", "wall")]
    cells = [run["model"], f"{run['minutes']:g}", str(run["seed"]), *numbers, f"{found['steps']:,}", f"{found['epochs']:.1f}"]
    changed = " ".join(f"{name}={value}" for name, value in run["changes"].items())
    return "".join(f"{cell:{form}}" for cell, (_, form) in zip(cells, COLUMNS)) + f"  {run['binarisation']} {changed}"


def summary(runs: list[dict[str, Any]]) -> None:
    """Print what was measured, by time, and the literature beside it."""
    print(HEAD)
    for run in sorted(runs, key=lambda run: (run["binarisation"], run["minutes"], run["model"], run["seed"])):
        print(line(run))
    test = [run for run in runs if run["binarisation"] == "dynamic"]
    if test:
        print("\nNLL in nats against CPU minutes, dynamic binarisation, test set (mean over seeds)")
        minutes = sorted({run["minutes"] for run in test})
        print(f"{'':<52}" + "".join(f"{m:>9g}" for m in minutes))
        for model in dict.fromkeys(run["model"] for run in test):
            found = [[run["figures"]["nll"] for run in test if run["model"] == model and run["minutes"] == m] for m in minutes]
            print(f"{model:<52}" + "".join(f"{np.mean(values):>9.2f}" if values else f"{'':>9}" for values in found))
        print(f"{'goal of a plain Gaussian VAE':<52}" + "".join(f"{GOALS.get(m, float('nan')):>9.1f}" for m in minutes))
    print("\nliterature, after hours to days of training:")
    for name, value in LITERATURE:
        print(f"{name:<58}{value}")


def value(text: str) -> Any:
    return json.loads(text) if text[:1] in "0123456789[-tf." else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="vae", help="names, separated by commas: " + ", ".join(MODELS))
    parser.add_argument("--minutes", default="1", help="processor minutes of training, separated by commas")
    parser.add_argument("--seeds", default="0", help="separated by commas")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another setting for all models (may be repeated)")
    parser.add_argument("--tune", action="store_true", help="hold out the last 10,000 training pictures and measure on 1,000 of them")
    parser.add_argument("--static", type=int, metavar="SEED", help="draw training and test pictures once, with this seed")
    parser.add_argument("--draws", type=int, default=1000, help="codes a picture in importance sampling")
    parser.add_argument("--rows", type=int, help="pictures to measure on, spread over the set; all by default")
    parser.add_argument("--precise", action="store_true", help="measure in float32 instead of bfloat16")
    parser.add_argument("--results", type=Path, help="JSON file that runs are added to")
    parser.add_argument("--keep", type=Path, help="folder for the weights: a run whose weights lie there is only measured")
    parser.add_argument("--summary", action="store_true", help="only print what the results file holds")
    args = parser.parse_args()
    if args.summary:
        return summary(stored(args.results))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    changes = {name: value(text) for name, _, text in (entry.partition("=") for entry in args.set)}
    train, test = pictures(args.tune)
    kind = "tuning" if args.tune else "dynamic"
    if args.static is not None:
        kind, train = f"static, seed {args.static}", treated(train, "sample", args.static)
    coins = treated(test, "sample", 0 if args.static is None else args.static + 1)
    rows = min(args.rows or len(coins), len(coins))
    print(HEAD, flush=True)
    for minutes in (float(m) for m in args.minutes.split(",")):
        for name in args.models.split(","):
            for seed in (int(s) for s in args.seeds.split(",")):
                run = Run(name, minutes, seed, kind, changes)
                if any(run.same(other, args.draws, rows) for other in stored(args.results)):
                    continue
                config = settings(name, minutes, seed, {**changes, **({} if args.static is not None else {"binarise": "dynamic"})})
                kept = (
                    args.keep / f"{name}-{minutes:g}-{seed}-{kind.replace(', seed ', '-')}.safetensors"
                    if args.keep and not changes
                    else None
                )
                model, run.figures = trained(train, config, kept)
                run.figures |= measured(model, coins, rows, args.draws, 0, not args.precise)
                store(args.results, run)
                print(line(asdict(run)), flush=True)
    return None


if __name__ == "__main__":
    main()
