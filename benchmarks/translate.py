"""Translations, each against its trivial baseline, for a budget of CPU seconds.

    ISTHMUS_DATA=folder python benchmarks/translate.py colour --seconds 360 --pictures out    # CIFAR-10, black and white to colour
    python benchmarks/translate.py holes --seconds 420       # faces of 64 x 64 with a random hole
    python benchmarks/translate.py double --seconds 150      # Set12 at half the size, learned from 400 BSD pictures
    python benchmarks/translate.py edges --seconds 90       # Fashion-MNIST from its lines
    python benchmarks/translate.py strokes --seconds 30      # second half of a pen's way from the first (pendigits), rows to rows
    python benchmarks/translate.py colour --validate         # measured on training pictures that were held out: for tuning

Training is measured in CPU seconds of the process. Each command can be given several --seed, and tells mean and standard deviation over
them. Colour is judged by PSNR, by colourfulness (Hasler and Suesstrunk), and by a distance of features, as LPIPS without its learned
weights: the mean squared difference of unit-length features of each place, of a small network that was taught the classes on the coloured
training pictures beforehand. PSNR of a picture counts as 50 dB at most: some pictures are grey.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from isthmus.artifact.translation import Use
from isthmus.nn.lab import rgb_to_lab, shown
from isthmus.objectives.similarity import ssim
from isthmus.tasks.pictures.denoise import Settings
from isthmus.tasks.pictures.translate import fit, make_inputs
from isthmus.tasks.pictures.translate_rows import RowSettings, fit_rows
from isthmus.tasks.pictures.translate_table import colourfulness, each_psnr, r_squared
from isthmus.training import Callback

DRAWS, DRAWN, SEED = 5, 500, 20_000


def folder() -> Path:
    named = os.environ.get("ISTHMUS_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


class Told(Callback):
    def evaluated(self, row, best) -> None:  # noqa: ARG002
        told = f"  held out {row['held_out']:.3f}" if "held_out" in row else ""
        print(f"  {row['seconds']:7.0f} s {row['step']:8.0f} steps  loss {row['train']:.5f}{told}", flush=True)


def parted(x: np.ndarray, validate: bool, test: np.ndarray | None = None, share: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Training and test pictures; every tenth is held out where there is no test part, or for tuning."""
    apart = np.random.default_rng(0).permutation(len(x))
    if test is not None and not validate:
        return x, test
    first, second = apart[: len(x) // share], apart[len(x) // share :]
    if test is None and validate:  # the test part stays out of sight
        first, second = second[: len(x) // share], second[len(x) // share :]
    return x[second], x[first]


# Colour


class Judge(nn.Module):
    """Tells the classes; its features tell how alike pictures look."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 128)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.Conv2d(b, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()
            )
            for a, b in pairwise(widths)
        )
        self.out = nn.Linear(widths[-1], 10)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        found, h = [], (x.permute(0, 3, 1, 2) - 0.5) * 4
        for layer in self.layers:
            h = layer(h)
            found.append(h)
            h = functional.max_pool2d(h, 2)
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.features(x)[-1].amax((2, 3)))

    @torch.no_grad()
    def apart(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Distance of each pair of pictures (n, H, W, 3) of bytes."""
        found = []
        for i in range(0, len(a), 250):
            pairs = zip(*(self.features(torch.tensor(x[i : i + 250]).float() / 255) for x in (a, b)))
            parts = [(functional.normalize(f, dim=1) - functional.normalize(g, dim=1)).square().sum(1).mean((1, 2)) for f, g in pairs]
            found.append(torch.stack(parts).mean(0))
        return torch.cat(found).numpy()


def judge(x: np.ndarray, y: np.ndarray, seconds: float, test: np.ndarray, labels: np.ndarray) -> Judge:
    torch.manual_seed(0)
    model = Judge()
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-2)
    start, random = time.process_time(), np.random.default_rng(0)
    while (spent := (time.process_time() - start) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - spent)
        chosen = random.integers(len(x), size=64)
        batch = torch.tensor(x[chosen]).float() / 255
        batch = batch.flip(2) if random.random() < 0.5 else batch
        optimiser.zero_grad()
        functional.cross_entropy(model(batch), torch.tensor(y[chosen]).long()).backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        right = (model(torch.tensor(test[:1000]).float() / 255).argmax(1).numpy() == labels[:1000]).mean()
    print(f"judge: {100 * right:.1f} % of test pictures told right after {seconds:.0f} CPU seconds")
    return model


def with_colour(inputs: np.ndarray, ab: torch.Tensor) -> np.ndarray:
    """Black and white pictures with given a and b."""
    lightness = rgb_to_lab((torch.tensor(inputs).float() / 255).expand(*inputs.shape[:3], 3))[..., :1]
    return (shown(torch.cat([lightness, ab], -1)).numpy() * 255).round().astype(np.uint8)


def neighbours(train: np.ndarray, inputs: np.ndarray) -> torch.Tensor:
    """Colours of the training picture whose black and white picture is nearest."""
    lab = torch.cat([rgb_to_lab(torch.tensor(train[i : i + 500]).float() / 255) for i in range(0, len(train), 500)])
    known = functional.avg_pool2d(torch.tensor(np.stack(make_inputs(train, "grey")[0])).float().permute(0, 3, 1, 2), 2).flatten(1)
    asked = functional.avg_pool2d(torch.tensor(inputs).float().permute(0, 3, 1, 2), 2).flatten(1)
    nearest = torch.cat([torch.cdist(part, known).argmin(1) for part in asked.split(250)])
    return lab[nearest][..., 1:]


def colour(options) -> tuple[dict, dict]:
    data = np.load(folder() / "images" / "cifar10_subset.npz")
    if options.validate:
        apart = np.random.default_rng(0).permutation(len(data["x_train"]))
        x, y = data["x_train"][apart[1000:]], data["y_train"].ravel()[apart[1000:]]
        test, labels = data["x_train"][apart[:1000]], data["y_train"].ravel()[apart[:1000]]
    else:
        x, y = data["x_train"], data["y_train"].ravel()
        order = np.random.default_rng(0).permutation(len(data["x_test"]))
        test, labels = data["x_test"][order], data["y_test"].ravel()[order]
    sees = judge(x, y, options.judge, test, labels)
    inputs = np.stack(make_inputs(test, "grey")[0])
    model, spent = fitted(options, lambda settings, **how: fit(x, way="grey", settings=settings, **how))
    mean = torch.stack([rgb_to_lab(torch.tensor(p).float() / 255)[..., 1:] for p in x[::5]]).mean((0, 1, 2))
    start = time.process_time()
    drawn = model.sample(inputs[:DRAWN], DRAWS, seed=SEED)
    each = (time.process_time() - start) / (DRAWN * DRAWS)
    found = {
        "original": test,
        "black and white": np.repeat(inputs, 3, 3),
        "mean colour": with_colour(inputs, mean.expand(*inputs.shape[:3], 2)),
        "nearest neighbour": with_colour(inputs, neighbours(x, inputs)),
        "network": model(inputs),
        "network, mean of all colours": model(inputs, use=Use(temperature=1.0, vivid=0.0)),
        "network, vivid 0": model(inputs, use=Use(vivid=0.0)),
        "network, vivid 0.6": model(inputs, use=Use(vivid=0.6)),
        "one draw": drawn[:, 0],
    }
    rows = {}
    for name, pictures in found.items():
        original = test[: len(pictures)]
        psnr = float(each_psnr(pictures, original).clip(max=50).mean()) if name != "original" else float("nan")
        rows[name] = {
            "PSNR": psnr,
            "colourfulness": float(colourfulness(pictures).mean()),
            "distance of features": float(sees.apart(pictures, original).mean()),
        }
    every = np.stack([each_psnr(drawn[:, k], test[:DRAWN]) for k in range(DRAWS)])
    features = np.stack([sees.apart(drawn[:, k], test[:DRAWN]) for k in range(DRAWS)])
    rows["best of 5 draws (knowing the answer)"] = {
        "PSNR": float(every.max(0).mean()),
        "distance of features": float(features.min(0).mean()),
    }
    between = np.mean([sees.apart(drawn[:, a], drawn[:, b]).mean() for a in range(DRAWS) for b in range(a)])
    rows["between two draws"] = {"distance of features": float(between)}
    lightness = [
        np.abs(np.stack(make_inputs(found[name], "grey")[0]).astype(int) - inputs[: len(found[name])]).max()
        for name in ("network", "one draw")
    ]
    facts = {"cpu seconds": spent, "largest change of the grey level": int(max(lightness)), "cpu seconds a draw": each}
    if options.pictures:
        order = np.argsort(features.mean(0))
        shown_rows = [*range(24)], order[[*range(6), *range(len(order) // 2 - 3, len(order) // 2 + 3), *range(-6, 0)]]
        for name, chosen in zip(("colour", "colour_best_median_worst"), shown_rows):
            parts = [
                np.repeat(inputs, 3, 3)[chosen],
                test[chosen],
                found["nearest neighbour"][chosen],
                found["network"][chosen],
                *(drawn[chosen, k] for k in range(DRAWS)),
            ]
            sheet(options.pictures / f"{name}.png", parts)
    return rows, facts


def sheet(path: Path, columns, times: int = 2) -> None:
    """One row for each picture, one column for each way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shaped = [
        np.stack([p if p.shape[-1] == 3 else np.repeat(p, 3, -1) for p in (np.asarray(q).reshape(*np.shape(q)[:2], -1) for q in part)])
        for part in columns
    ]
    grid = np.concatenate(
        [np.concatenate(list(np.pad(part, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)), 0) for part in shaped], 1
    )
    Image.fromarray(np.kron(grid, np.ones((times, times, 1), np.uint8))).save(path)


# The other ways


def holes(options) -> tuple[dict, dict]:
    data = np.load(folder() / "images" / "smiles.npz")
    x, test = parted(data[options.array or "x"], options.validate)
    inputs, masks = make_inputs(test, "masked", SEED)
    inputs, masks = np.stack(inputs), np.stack(masks)
    model, spent = fitted(options, lambda settings, **how: fit(x, way="masked", settings=settings, **how))
    found = {"mean of the rest": mean_fill(inputs, masks), "smooth surface": smooth_fill(inputs, masks), "network": model(inputs, masks)}
    wanted = test.reshape(inputs.shape)
    rows = {name: {"PSNR in the hole": in_hole(p, wanted, masks), "SSIM": mean_ssim(p, wanted)} for name, p in found.items()}
    kept = bool((found["network"][~masks] == inputs[~masks]).all())
    if options.pictures:
        error = np.square((found["network"].astype(float) - wanted) * masks[..., None]).sum((1, 2, 3)) / masks.sum((1, 2)).clip(1)
        order = np.argsort(error)
        chosen = [*range(12), *order[:4], *order[len(order) // 2 : len(order) // 2 + 4], *order[-4:]]
        sheet(options.pictures / "holes.png", [inputs[chosen], found["smooth surface"][chosen], found["network"][chosen], wanted[chosen]])
    return rows, {"cpu seconds": spent, "unmasked pixels as they were": kept, "pictures": len(test)}


def in_hole(found: np.ndarray, wanted: np.ndarray, masks: np.ndarray) -> float:
    """Mean over pictures of the PSNR of hidden pixels alone."""
    apart = np.square((found.astype(float) - wanted) / 255).mean(-1) * masks
    error = apart.sum((1, 2)) / masks.sum((1, 2)).clip(1)
    return float(np.mean(-10 * np.log10(error[masks.any((1, 2))].clip(1e-10))))


def mean_fill(inputs: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Hidden pixels become the mean of the others."""
    mean = (inputs * ~masks[..., None]).sum((1, 2), keepdims=True) / (~masks).sum((1, 2)).reshape(-1, 1, 1, 1)
    return np.where(masks[..., None], mean.round(), inputs).astype(np.uint8)


def smooth_fill(inputs: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Hidden pixels become the mean of their neighbours (Laplace's equation), from coarse to fine."""
    where = torch.tensor(masks)[:, None]
    x = torch.tensor(mean_fill(inputs, masks)).float().permute(0, 3, 1, 2)
    for _ in range(1500):
        around = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
        x = torch.where(where, around, x)
    return x.round().permute(0, 2, 3, 1).numpy().astype(np.uint8)


def mean_ssim(found, wanted) -> float:
    pairs = [
        (torch.tensor(np.asarray(a)[None]).float() / 255, torch.tensor(np.asarray(b)[None]).float() / 255) for a, b in zip(found, wanted)
    ]
    return float(np.mean([float(ssim(a, b)) for a, b in pairs]))


def double(options) -> tuple[dict, dict]:
    data = np.load(folder() / "images" / "bsd_train400.npz")
    train = data[data.files[0]]
    if options.validate:
        train, test = train[:-20], list(train[-20:])
    else:
        loaded = np.load(folder() / "images" / "set12.npz")
        test = [loaded[name] for name in sorted(loaded.files)]
    test = [np.atleast_3d(picture) for picture in test]
    inputs = make_inputs(test, "half")[0]
    model, spent = fitted(options, lambda settings, **how: fit(train, way="half", settings=settings, **how))
    modes = {"nearest pixel": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS}
    found = {name: [enlarged(picture, mode) for picture in inputs] for name, mode in modes.items()} | {"network": model(inputs)}
    rows = {name: {"PSNR": float(each_psnr(p, test).mean()), "SSIM": mean_ssim(p, test)} for name, p in found.items()}
    gains = each_psnr(found["network"], test) - each_psnr(found["bicubic"], test)
    if options.pictures:
        cuts = [p[60:188, 60:188] for p in test][:12]
        parts = [[q[60:188, 60:188] for q in found[name]][:12] for name in ("bicubic", "network")]
        sheet(options.pictures / "double.png", [*parts, cuts], 1)
    return rows, {
        "cpu seconds": spent,
        "least and most gained over bicubic, dB": [round(float(gains.min()), 2), round(float(gains.max()), 2)],
    }


def enlarged(picture: np.ndarray, mode: Image.Resampling) -> np.ndarray:
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture[..., 0]).resize((2 * width, 2 * height), mode))[..., None]


def edges(options) -> tuple[dict, dict]:
    data = np.load(folder() / "images" / "fashion_mnist.npz")
    x, test = parted(data["x_train"], options.validate, data["x_test"])
    test = test[:2000]
    inputs = np.stack(make_inputs(test, "edges")[0])
    model, spent = fitted(options, lambda settings, **how: fit(x, way="edges", settings=settings, **how))
    known = x[:20000]
    drawn = functional.avg_pool2d(torch.tensor(np.stack(make_inputs(known, "edges")[0])).float().permute(0, 3, 1, 2), 2).flatten(1)
    asked = functional.avg_pool2d(torch.tensor(inputs).float().permute(0, 3, 1, 2), 2).flatten(1)
    nearest = torch.cat([torch.cdist(part, drawn).argmin(1) for part in asked.split(250)]).numpy()
    wanted = test[..., None]
    found = {
        "the lines themselves": inputs,
        "mean of all": np.repeat(x.mean(0).round().astype(np.uint8)[None, ..., None], len(test), 0),
        "nearest neighbour of 20,000": known[nearest][..., None],
        "network": model(inputs).reshape(wanted.shape),
    }
    rows = {name: {"PSNR": float(each_psnr(p, wanted).mean()), "SSIM": mean_ssim(p, wanted)} for name, p in found.items()}
    if options.pictures:
        order = np.argsort(each_psnr(found["network"], wanted))
        chosen = [*range(12), *order[-4:], *order[len(order) // 2 : len(order) // 2 + 4], *order[:4]]
        sheet(options.pictures / "edges.png", [p[chosen] for p in (inputs, found["nearest neighbour of 20,000"], found["network"], wanted)])
    return rows, {"cpu seconds": spent}


def strokes(options) -> tuple[dict, dict]:
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor

    x = np.load(folder() / "adbench" / "28_pendigits.npz")["X"].astype(np.float64)
    train, test = parted(x, options.validate)
    a, b, c, d = train[:, :8], train[:, 8:], test[:, :8], test[:, 8:]
    start = time.process_time()
    settings = RowSettings(seconds=options.seconds, seed=options.run, device="cpu")
    model = fit_rows(a, b, settings=settings, callbacks=[Told()] if options.verbose else [], clock=time.process_time)
    spent = time.process_time() - start
    drawn = model.sample(c, 20, seed=SEED)
    found = {
        "mean": np.repeat(b.mean(0)[None], len(d), 0),
        "ridge": Ridge().fit(a, b).predict(c),
        "5 nearest": KNeighborsRegressor(5).fit(a, b).predict(c),
        "network": model(c),
    }
    rows = {name: {"R squared": r_squared(p, d)} for name, p in found.items()}
    inside = ((drawn.min(1) <= d) & (d <= drawn.max(1))).mean()
    nearest = np.square(drawn - d[:, None]).mean(2).min(1)
    rows["best of 20 draws (knowing the answer)"] = {"R squared": 1 - float(nearest.sum() / np.square(d - d.mean(0)).mean(1).sum())}
    return rows, {"cpu seconds": spent, "values within 20 draws": float(inside), "to be expected": 19 / 21}


def fitted(options, make):
    """Fit with the budget and the settings asked for; return the model and the CPU seconds that it took."""
    given = dict(entry.split("=", 1) for entry in options.set)
    given = {name: tuple(v) if isinstance(v := json.loads(text), list) else v for name, text in given.items()}
    settings = Settings(**{"seconds": options.seconds, "seed": options.run, "device": "cpu", **given})
    start = time.process_time()
    model = make(settings, callbacks=[Told()] if options.verbose else [], clock=time.process_time)
    spent = time.process_time() - start
    count = sum(p.numel() for p in model.network.parameters())
    print(f"  {count:,} parameters, {model.history[-1]['step']:,.0f} steps, {spent:.0f} CPU seconds", flush=True)
    return model, spent


TASKS = {"colour": (colour, 360), "holes": (holes, 420), "double": (double, 150), "edges": (edges, 90), "strokes": (strokes, 30)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--judge", type=float, default=100.0, help="CPU seconds for the network that judges colours")
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--seed", type=int, nargs="*", default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="settings, such as widths=[64,128]")
    parser.add_argument("--array", help="array of smiles.npz")
    parser.add_argument("--pictures", type=Path, help="folder for pictures to look at")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    run, usual = TASKS[options.task]
    options.seconds = options.seconds or usual
    found = []
    for seed in options.seed:
        options.run = seed
        found.append(run(options))
        options.pictures = None  # of the first seed only
    rows = {name: {key: [r[name][key] for r, _ in found] for key in figures} for name, figures in found[0][0].items()}
    print(f"{options.task}, seeds {options.seed}: {found[0][1]}")
    for name, figures in rows.items():
        told = "   ".join(f"{key} {np.mean(v):8.4f}" + (f" +- {np.std(v, ddof=1):.4f}" if len(v) > 1 else "") for key, v in figures.items())
        print(f"  {name:40} {told}")
    if options.json:
        options.json.write_text(
            json.dumps({"task": options.task, "seeds": options.seed, "rows": rows, "facts": [f for _, f in found]}, indent=1)
        )


if __name__ == "__main__":
    main()
