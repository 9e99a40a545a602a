"""Denoising, in decibels for a budget of CPU seconds: Fashion-MNIST with the tutorial's noise, and Set12 at sigma 25 from 400 BSD pictures.

    ISTHMUS_DATA=folder python benchmarks/denoise.py fashion --seconds 75
    python benchmarks/denoise.py set12 --seconds 3600 --json set12.json
    python benchmarks/denoise.py set12 --blind --seconds 600           # learned from noisy pictures alone, their noise known
    python benchmarks/denoise.py set12 --blind guess --seconds 600     # ... nothing told: kind and level are recognised
    python benchmarks/denoise.py set12 --blind hide --seconds 600      # ... by hiding pixels, whatever noise it is
    python benchmarks/denoise.py set12 --validate --seconds 120        # measured on training pictures that were held out: for tuning

Training is measured in CPU seconds of the process, evaluations during it included. Fashion-MNIST: normal noise times 0.2 on pictures in
0 to 1, then clipped, as in TensorFlow's tutorial on autoencoders; all 10,000 test pictures. PSNR is the mean over pictures, and beside it
the PSNR of the mean squared error of all, which is the lower of both. Set12: noise of 25/255, not clipped.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from isthmus.tasks.pictures.denoise import Settings, fit
from isthmus.tasks.pictures.denoise_table import compare, usual_methods
from isthmus.tasks.pictures.noise_levels import estimated_level, recognised
from isthmus.tasks.pictures.noises import make_noise, spoil
from isthmus.training import Callback

SEED = 20_000  # of the noise on test pictures
FEW = 200  # test pictures for the older ways


def folder() -> Path:
    named = os.environ.get("ISTHMUS_DATA")
    return (Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data") / "images"


class Told(Callback):
    """Prints each evaluation, and knows how long was trained, by runs before included."""

    seconds = 0.0

    def evaluated(self, row, best) -> None:  # noqa: ARG002
        self.seconds = row["seconds"]
        print(
            f"  {row['seconds']:7.0f} s {row['step']:8.0f} steps  loss {row['train']:.5f}  held out {row.get('held_out', math.nan):.3f} dB",
            flush=True,
        )


class Curve:
    """Measures the test pictures on the way, for looking at afterwards: its own time does not count, and nothing is chosen by it."""

    def __init__(self, times, clean, noisy, told) -> None:
        self.times, self.clean, self.noisy, self.told, self.away, self.rows = sorted(times), clean, noisy, told, 0.0, []

    def clock(self) -> float:
        return time.process_time() - self.away

    def __call__(self, restorer) -> None:
        start, spent = time.process_time(), self.told.seconds
        if self.times and spent >= self.times[0]:
            self.times = [at for at in self.times if at > spent]
            found = compare(self.clean, self.noisy, {"network": restorer, "8 turns": lambda x: restorer(x, turns=8)})
            self.rows.append(
                {"cpu seconds": spent, **{f"{row.method} {name}": getattr(row, name) for row in found for name in ("psnr", "ssim")}}
            )
            print(f"  test pictures at {spent:.0f} s: {found[0].psnr:.2f} dB, with 8 turns {found[1].psnr:.2f}", flush=True)
        self.away += time.process_time() - start


def pictures(task: str, validate: bool) -> tuple[np.ndarray, list[np.ndarray], float, bool]:
    """Training pictures, test pictures, noise level, whether it is clipped."""
    if task == "fashion":
        data = np.load(folder() / "fashion_mnist.npz")
        train, test = data["x_train"], list(data["x_test"])
        train, test = (train[:-2000], list(train[-2000:])) if validate else (train, test)
        return train, test, 0.2, True
    data = np.load(folder() / "bsd_train400.npz")
    train = data[data.files[0]]
    if validate:
        return train[:-20], list(train[-20:]), 25 / 255, False
    test = np.load(folder() / "set12.npz")
    return train, [test[name] for name in sorted(test.files)], 25 / 255, False


def aggregate(clean: list[np.ndarray], found: list[np.ndarray]) -> float:
    """PSNR of the mean squared error of all pictures."""
    return -10 * math.log10(float(np.mean([np.mean((a.squeeze() - b / 255) ** 2) for a, b in zip(found, clean)])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["fashion", "set12"])
    parser.add_argument("--seconds", type=float, default=75.0)
    parser.add_argument("--validate", action="store_true")
    parser.add_argument(
        "--blind",
        nargs="?",
        default="",
        const="split",
        choices=["split", "guess", "hide"],
        help="learn from noisy pictures alone: split, whose noise is known, or recognised (guess), or hide pixels of any noise",
    )
    parser.add_argument("--usual", action="store_true", help="also the median filter and non-local means (slow)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="settings, such as widths=[64,128]")
    parser.add_argument("--at", type=float, nargs="*", default=[], help="CPU seconds at which the test pictures are measured too")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="file that keeps the training's state")
    parser.add_argument("--resume", action="store_true", help="go on from --checkpoint")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    train, test, level, clip = pictures(options.task, options.validate)
    noise = make_noise("gaussian", level, clip=clip)
    given = dict(entry.split("=", 1) for entry in options.set)
    given = {name: tuple(v) if isinstance(v := json.loads(text), list) else v for name, text in given.items()}
    settings = Settings(seconds=options.seconds, seed=options.seed, held_out=0.0 if options.blind else 10 / len(train), device="cpu")
    settings = Settings(**{**asdict(settings), **given})
    way = {"": "clean", "hide": "hidden", "guess": "split", "split": "split"}[options.blind]
    source = spoil(train, noise, seed=SEED + 1) if options.blind else train
    noisy = spoil(test, noise, seed=SEED)
    if options.blind == "guess":
        kind = recognised(source)
        level = estimated_level("gaussian", source)
        print(f"  noise recognised: {kind}; its level estimated: {255 * level:.2f} of 255", flush=True)
        noise = make_noise("gaussian", level)
        assert kind == "gaussian"
    told = Told()
    curve = Curve(options.at, test, noisy, told)
    start = curve.clock()
    model = fit(
        source,
        noise=None if way == "hidden" else noise,
        alone=way == "split",
        settings=settings,
        callbacks=[told],
        watch=curve,
        clock=curve.clock,
        checkpoint=options.checkpoint,
        resume=options.resume,
    )
    spent = curve.clock() - start
    if options.save:
        model.save(options.save)
    methods = {"network": model} | ({"network, 8 turns": lambda x: model(x, turns=8)} if options.task == "set12" else {})
    usual = usual_methods(level)
    rows = [asdict(row) for row in compare(test, noisy, {**methods, "noisy": usual.pop("noisy")})]
    rows[0]["psnr of the mean"], rows[-1]["psnr of the mean"] = aggregate(test, model(noisy)), aggregate(test, noisy)
    rows += [asdict(row) for row in compare(test[:FEW], noisy[:FEW], usual)] if options.usual else []
    count = sum(p.numel() for p in model.network.parameters())
    print(f"{options.task}: {spent:.0f} CPU seconds, {count:,} parameters, settings {model.settings}")
    for row in rows:
        mean = f"   {row['psnr of the mean']:.2f} dB of the mean error" if "psnr of the mean" in row else ""
        print(f"  {row['method']:20} {row['psnr']:6.2f} dB   SSIM {row['ssim']:.4f}   {row['seconds']:6.1f} s{mean}")
    if options.json:
        entry = {
            "task": options.task,
            "cpu seconds": spent,
            "settings": model.settings,
            "rows": rows,
            "history": model.history.rows,
            "curve": curve.rows,
        }
        options.json.write_text(json.dumps(entry, indent=1))


if __name__ == "__main__":
    main()
