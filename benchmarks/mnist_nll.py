"""Negative log likelihood of small pictures by variational models, against the processor time they were trained for.

    ISTHMUS_DATA=folder python benchmarks/mnist_nll.py --models vae --minutes 1              # 1 minute of training, then the test set
    python benchmarks/mnist_nll.py --models vae,iwae,vamp,ladder --minutes 1,5 --results nll.json
    python benchmarks/mnist_nll.py --results nll.json --summary                              # tables of what was measured
    python benchmarks/mnist_nll.py --data frey --likelihood gaussian --minutes 1             # bits per dimension of grey faces

Dynamic binarisation: each pixel is a coin of its grey value, in training a new one at each step, in measuring one from a fixed seed.
Importance sampling with `--draws` codes a picture, in nats, constants kept. Of all 10,000 pictures it takes 5 to 15 minutes a model:
`--rows` does it for so many, spread over the set (its first 500 are 2 nats easier than the rest), and adds by how much all of them differ
from these in the ELBO; the error told is that of this estimate. `--tune` trains without the last 10,000 training pictures and measures on
1,000 of them: every choice of settings here was made so, none on the test set. What the results file holds is not done again.

`--likelihood` other than coins takes the grey values themselves, and tells bits per dimension: of the 8-bit values with logistic_mixture,
which gives their probabilities; with gaussian, a density of (v + u) / 256 with uniform u (dequantisation), new in training at each step and
in measuring from a fixed seed, a bound on those: NLL / (d log 2) + 8. They are measured in float32. The Frey faces have no test set: a
fifth of them, drawn with the seed `--split`, is one, and a tenth of the others says which weights to keep. They are frames of one film,
so that neighbours of most test pictures were trained on.

Time is the processor time of training from the first step on, on `OMP_NUM_THREADS` threads (1 if it is not set); that which passed on the
clock is told beside it. Every budget is a run of its own, whose learning rate falls to 0 at its end.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Generator
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
from isthmus.training.order import Order

FILES = {"mnist": "mnist.npz", "fashion": "fashion_mnist.npz", "frey": "frey_faces.npz"}
LIKELIHOODS: dict[str, dict[str, Any]] = {
    "coins": {},
    "logistic_mixture": {"likelihood": "logistic_mixture", "batch": 64, "clip": None},
    # Chosen on the last 10,000 training pictures of Fashion-MNIST: with a clip of 2,000 this rate diverges.
    "gaussian": {"likelihood": "gaussian", "likelihood_scale": "predicted", "batch": 64, "clip": 500.0, "learning_rate": 8e-3},
}
# Where there are few pictures, of which some tell which weights to keep.
FEW: dict[str, Any] = {"batch": 32, "evaluate_every": 200, "clip": None, "learning_rate": 4e-3}
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
    "iwae": {"family": "iwae", "draws": 5, "one_draw": 0.5},
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


class Dequantised:
    """Rows of 8-bit values whose every batch has uniform noise of its own, as a stream of batches."""

    def __init__(self, rows: Tensor) -> None:
        self.rows, self.shape = rows, tuple(rows.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, batch: int, seed: int, step: int = 0) -> Generator[np.ndarray]:
        for count, index in enumerate(Order(len(self.rows), batch, seed, step), step):
            yield treated(self.rows[index], "dequantise", (seed << 32) + count).numpy()

    def fingerprint(self) -> str:
        return f"dequantised {tuple(self.rows.shape)} {float(self.rows.double().sum())}"


def pictures(data: str, tune: bool, split: int) -> tuple[Tensor, Tensor, Tensor]:
    """Grey training pictures, those that say which weights to keep, if any, and those to measure on."""
    stored = np.load(folder() / "images" / FILES[data])
    parts = {name: torch.from_numpy(stored[name]).float().div(255).unsqueeze(-1) for name in stored if not name.startswith("y")}
    if data != "frey":
        train, test = parts["x_train"], parts["x_test"]
        return (train[:-10000], train[:0], train[-10000::10]) if tune else (train, train[:0], test)
    (faces,) = parts.values()
    faces = faces[torch.randperm(len(faces), generator=torch.Generator().manual_seed(split))]
    test, rest = faces[: len(faces) // 5], faces[len(faces) // 5 :]
    if tune:
        test, rest = rest[: len(rest) // 5], rest[len(rest) // 5 :]
    return rest[len(rest) // 10 :], rest[: len(rest) // 10], test


def protocol(args: argparse.Namespace) -> str:
    """Name of the data and of what is done to them."""
    if args.likelihood != "coins":
        told = [args.data, args.likelihood] + (["tuning"] if args.tune else [])
    else:
        told = ["tuning" if args.tune and args.static is None else "dynamic" if args.static is None else f"static, seed {args.static}"]
        told = [args.data, *told] if args.data != "mnist" else told
    return ", ".join([*told, f"split {args.split}"] if args.data == "frey" else told)


def prepared(args: argparse.Namespace) -> tuple[Tensor | Dequantised, Tensor, Tensor, dict[str, Any]]:
    """Training rows, those to choose weights by and those to measure on, as the model sees them, and the settings this asks for."""
    train, held, test = pictures(args.data, args.tune, args.split)
    entries = {**LIKELIHOODS[args.likelihood], **(FEW if len(held) else {})}
    if args.likelihood == "gaussian":
        return Dequantised(train), treated(held, "dequantise", 1) if len(held) else held, treated(test, "dequantise", 0), entries
    if args.likelihood == "logistic_mixture":
        return train, held, test, entries
    if args.static is None:
        return train, held, treated(test, "sample", 0), {**entries, "binarise": "dynamic"}
    once = [treated(part, "sample", args.static + i) if len(part) else part for i, part in enumerate((train, test, held))]
    return once[0], once[2], once[1], entries


def settings(model: str, minutes: float, seed: int, changes: dict[str, Any]) -> Config:
    longer = {name: value for after, more in LONGER.items() if minutes >= after for name, value in more.items()}
    entries = {**COMMON, **longer, **MODELS[model]}
    entries["kl_warmup"] = int(min(2000, entries["kl_warmup"] * minutes))
    entries |= {"seconds": 60 * minutes, "seed": seed, **changes}
    return Config.from_mapping({name: value for name, value in entries.items() if name != "kl_warmup" or entries["family"] != "iwae"})


def trained(rows: Tensor | Dequantised, held: Tensor, config: Config, kept: Path | None) -> tuple[Autoencoder, dict[str, Any]]:
    """A model, and what its training took; read from the file `kept` if it is there, else written to it."""
    grey = Field("picture", "picture", tuple(rows.shape[1:]) if isinstance(rows, Tensor) else rows.shape, "unit")
    model, objective = build(grey if config.binarise or config.likelihood else replace(grey, support="binary"), config)
    if kept is not None and kept.exists():
        with safe_open(str(kept), framework="pt") as file:
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            return model.eval(), json.loads(file.metadata()["took"])
    first = rows if isinstance(rows, Tensor) else treated(rows.rows, "dequantise", 2)
    model.likelihood.begin(first)
    if model.prior is not None:
        model.prior.begin(first)
    wall = time.perf_counter()
    result = fit(model, objective, rows, held_out=held, config=training_config(config), clock=time.process_time)
    took = {"cpu seconds": result.seconds, "wall seconds": time.perf_counter() - wall, "steps": result.steps, "kept step": result.best_step}
    took |= {"epochs": result.steps * (config.batch or 1) / len(rows), "parameters": sum(p.numel() for p in model.parameters())}
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, kept, {"took": json.dumps(took)})
    return model, took


def measured(model: Autoencoder, rows: Tensor, some: int, draws: int, seed: int, low: bool) -> dict[str, Any]:
    """ELBO of rows as the model sees them, and log likelihood of some of them; the networks run in bfloat16 if `low`.

    The log likelihood of all is that of some and the difference between all and some in the ELBO, which follows it closely.
    """
    start, chosen = time.process_time(), np.arange(some) * len(rows) // some
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        reconstruction, kl = parts(model, rows, seed, draws=4)
        found = importance(model, rows[torch.from_numpy(chosen)], draws, seed)
    bound = reconstruction + kl
    gap = bound[chosen] + found.values
    chance = float(gap.std(ddof=1) / some**0.5 * (1 - some / len(rows)) ** 0.5)  # by the choice of rows; 0 where all are measured
    figures = {"nll": float(bound.mean() - gap.mean()), "error": math.hypot(chance, found.error)}
    figures |= {"nll of some": -found.mean, "draws": draws, "rows": some, "effective draws": found.effective, "elbo": float(-bound.mean())}
    figures |= {"reconstruction": float(reconstruction.mean()), "kl": float(kl.mean()), "measured in": "bfloat16" if low else "float32"}
    return {**figures, "measuring, cpu seconds": time.process_time() - start}


def bits(figures: dict[str, Any], likelihood: str, dimensions: int) -> dict[str, float]:
    """NLL, its error and the negative ELBO in bits for each 8-bit value; nothing for coins."""
    if likelihood == "coins":
        return {}
    one, more = dimensions * math.log(2), 8 if likelihood == "gaussian" else 0
    return {"bits": figures["nll"] / one + more, "bits error": figures["error"] / one, "elbo bits": more - figures["elbo"] / one}


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
    ("bits/dim", ">9"),
    ("-ELBO", ">10"),
    ("KL", ">7"),
    ("k", ">7"),
    ("rows", ">8"),
    ("CPU s", ">8"),
    ("wall s", ">8"),
    ("steps", ">9"),
    ("epochs", ">8"),
)
HEAD = "".join(f"{name:{form}}" for name, form in COLUMNS) + "  protocol"


def line(run: dict[str, Any]) -> str:
    """One run as a row of the table."""
    found = run["figures"]
    numbers = [f"{found['nll']:.2f}", f"{found['error']:.2f}", f"{found['bits']:.3f}" if "bits" in found else ""]
    numbers += [f"{-found['elbo']:.2f}", f"{found['kl']:.2f}"]
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
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="vae", help="names, separated by commas: " + ", ".join(MODELS))
    parser.add_argument("--minutes", default="1", help="processor minutes of training, separated by commas")
    parser.add_argument("--seeds", default="0", help="separated by commas")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another setting for all models (may be repeated)")
    parser.add_argument("--data", choices=FILES, default="mnist")
    parser.add_argument("--likelihood", choices=LIKELIHOODS, default="coins", help="coins: pictures of zeros and ones")
    parser.add_argument("--split", type=int, default=0, metavar="SEED", help="which fifth of the Frey faces is measured on")
    parser.add_argument(
        "--tune", action="store_true", help="measure on 1,000 of the last 10,000 training pictures (Frey: a fifth), held out"
    )
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
    if args.static is not None and args.likelihood != "coins":
        parser.error("--static is for --likelihood coins")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    changes = {name: value(text) for name, _, text in (entry.partition("=") for entry in args.set)}
    kind, (train, held, test, entries) = protocol(args), prepared(args)
    low = args.likelihood == "coins" and not args.precise
    rows = min(args.rows or len(test), len(test))
    print(HEAD, flush=True)
    for minutes in (float(m) for m in args.minutes.split(",")):
        for name in args.models.split(","):
            for seed in (int(s) for s in args.seeds.split(",")):
                run = Run(name, minutes, seed, kind, changes)
                if any(run.same(other, args.draws, rows) for other in stored(args.results)):
                    continue
                config = settings(name, minutes, seed, {**entries, **changes})
                label = kind.replace(", seed ", "-").replace(", ", "-").replace(" ", "-")
                kept = args.keep / f"{name}-{minutes:g}-{seed}-{label}.safetensors" if args.keep and not changes else None
                model, run.figures = trained(train, held, config, kept)
                run.figures |= measured(model, test, rows, args.draws, 0, low)
                run.figures |= bits(run.figures, args.likelihood, math.prod(test.shape[1:]))
                store(args.results, run)
                print(line(asdict(run)), flush=True)
    return None


if __name__ == "__main__":
    main()
