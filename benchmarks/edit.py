"""Plain faces made to smile through the code of a model, measured by networks trained on other real faces.

    ISTHMUS_DATA=folder OMP_NUM_THREADS=1 python benchmarks/edit.py                  # three seeds, about 12 CPU minutes
    python benchmarks/edit.py --seeds 1 --faces dev --strips strips.png              # what to tune on; the final faces stay unseen

6,500 real faces of 64 x 64 with the labels smiling and plain, cut once (seed 20) into parts that share no picture:

    fit     1,800 plain + 1,800 smiling, and their mirror images: models, PCA and directions are fitted on them
    judge     900 plain +   900 smiling: judges and embedding are trained on them
    check     200 plain +   300 smiling: the judges' area under the ROC curve
    dev       200 plain: strengths are chosen on them, with a judge of their own
    final     400 plain: edited once, for the table

The collection has several pictures of some people, who may be in more than one part.

Judge: a convolutional net of four stages with random shifts, turns, blur and brightness; "smiling" is a logit above 0. Embedding: a net of
the same form trained without labels to recognise a face under such changes (InfoNCE); identity is kept where the edited face is nearer
(cosine) to its own original than to a random other face of its part, the mean over 20 others each; "first" says how often it is nearer than
to all others. Change is the mean squared difference in [0, 1] from the same method with strength 0, sharpness the variance of the Laplacian
relative to that, and "of original" relative to the picture itself. The strength of each method is the smallest on a grid at which the judge
of the dev faces calls 92 % of those smiling; "PCA there" is what plain PCA arithmetic gets on the final faces at the same change.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from samples import folder
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from isthmus import __version__
from isthmus.data import Provenance, Source, write
from isthmus.data.provenance import COMPOSITE
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.tasks.pictures.attributes import as_attribute
from isthmus.tasks.pictures.editing import find_direction, sharpness
from isthmus.tasks.space import attribute_vector, edit, traverse

GRID = tuple(np.round(np.arange(0.25, 6.01, 0.25), 2))
SHOWN = (-2.0, -1.0, 0.0, 1.0, 1.5, 2.0)
CHANGES = (0.001, 0.002, 0.004, 0.008)
WANTED = 0.92
NETWORK = {"network": "mlp", "hidden": (512,), "batch": 64, "learning_rate": 1e-3}
MODELS = {
    "vae": {"family": "variational", "latent": 64, "beta": 0.5, **NETWORK},
    # A wide code would hold the smile itself, and the label would change nothing.
    "conditional": {"family": "conditional_vae", "latent": 32, "beta": 1.0, **NETWORK},
}
RIDGE = 1.0


def unit(pictures: np.ndarray) -> np.ndarray:
    return (pictures / np.float32(255)).astype(np.float32)


@dataclass
class Faces:
    """The parts of the data: pictures of uint8, and labels."""

    x: np.ndarray
    y: np.ndarray
    parts: dict[str, np.ndarray]

    @classmethod
    def load(cls) -> Faces:
        with np.load(folder() / "images" / "smiles.npz") as data:
            x, y = data["x"], data["y"].astype(int)
        random = np.random.default_rng(20)
        plain, smiling = (random.permutation(np.flatnonzero(y == kind)) for kind in (0, 1))
        both = {"fit": slice(0, 1800), "judge": slice(1800, 2700)}
        parts = {name: np.concatenate([plain[cut], smiling[cut]]) for name, cut in both.items()}
        parts["check"] = np.concatenate([plain[2700:2900], smiling[2700:]])
        return cls(x, y, parts | {"dev": plain[2900:3100], "final": plain[3100:]})

    def of(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        rows = self.parts[part]
        return self.x[rows][..., None], self.y[rows]


class Net(nn.Module):
    """Four stages of convolutions with batch normalisation, the first and the pooling halving the picture, and one dense layer."""

    def __init__(self, out: int, widths: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, widths[0], 5, 2, 2), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for a, b in pairwise(widths):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]
        self.body, self.drop, self.head = nn.Sequential(*layers), nn.Dropout(0.3), nn.Linear(16 * widths[-1], out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.body((x - 0.5) * 4).flatten(1)))


def changed(x: torch.Tensor, g: torch.Generator, turn: float, shift: float) -> torch.Tensor:
    """Mirror, turn, scale, shift, light and blur pictures at random."""
    n = len(x)
    x = torch.where(torch.rand(n, 1, 1, 1, generator=g) < 0.5, x.flip(3), x)
    scale, angle = (1 + size * (2 * torch.rand(n, generator=g) - 1) - at for size, at in ((shift, 0), (turn, 1)))
    rows = torch.stack([torch.cos(angle), -torch.sin(angle), torch.sin(angle), torch.cos(angle)], 1).view(n, 2, 2) * scale[:, None, None]
    moved = shift * (2 * torch.rand(n, 2, 1, generator=g) - 1)
    places = functional.affine_grid(torch.cat([rows, moved], 2), list(x.shape), align_corners=False)
    x = functional.grid_sample(x, places, padding_mode="reflection", align_corners=False)
    light = 0.5 * torch.rand(n, 1, 1, 1, generator=g) + 0.75, 0.2 * torch.rand(n, 1, 1, 1, generator=g) - 0.1
    x = (x - 0.5) * light[0] + 0.5 + light[1]
    soft = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)
    return torch.where(torch.rand(n, 1, 1, 1, generator=g) < 0.3, soft, x)


def train(out: int, x: np.ndarray, y: np.ndarray, seed: int, epochs: int) -> Net:
    """Train a judge (out = 1: smiling or not) or an embedding (out > 1: which face is it?)."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # of the first weights, and of dropout
    net, rows = Net(out), torch.from_numpy(unit(x)).permute(0, 3, 1, 2)
    labels, size = torch.from_numpy(y.astype(np.float32)), 64 if out == 1 else 128
    adam = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2)
    steps = epochs * (len(x) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 3e-3, total_steps=steps)
    for step in range(steps):
        if step % (len(x) // size) == 0:
            order = torch.randperm(len(x), generator=generator)
        some = order[step % (len(x) // size) * size :][:size]
        if out == 1:
            logits = net(changed(rows[some], generator, 0.12, 0.08))[:, 0]
            loss = functional.binary_cross_entropy_with_logits(logits, 0.96 * labels[some] + 0.02)
        else:
            a, b = (functional.normalize(net(changed(rows[some], generator, 0.2, 0.15))) for _ in range(2))
            alike = a @ b.T / 0.1
            own = torch.arange(size)
            loss = (functional.cross_entropy(alike, own) + functional.cross_entropy(alike.T, own)) / 2
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def look(net: Net, pictures: np.ndarray) -> np.ndarray:
    parts = torch.from_numpy(np.ascontiguousarray(pictures, np.float32)).permute(0, 3, 1, 2).split(256)
    return torch.cat([net(part) for part in parts]).numpy()


def kept(embedding: Net, originals: np.ndarray, edited: np.ndarray) -> tuple[float, float]:
    """How often an edited face is nearer to its own original than to a random other, and than to all others."""
    a, b = (look(embedding, part) for part in (edited, originals))
    a, b = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (a, b))
    alike, rows = a @ b.T, np.arange(len(a))
    steps = np.random.default_rng(0).choice(np.arange(1, len(a)), 20, replace=False)
    others = (rows + steps[:, None]) % len(a)
    return float((np.diag(alike) > alike[rows, others]).mean()), float((alike.argmax(1) == rows).mean())


Editor = Callable[[np.ndarray, float], np.ndarray]  # pictures of uint8 and a strength to pictures in [0, 1]


def pca_editors(x: np.ndarray, y: np.ndarray) -> dict[str, Editor]:
    flat = unit(x).reshape(len(x), -1)
    pca = PCA(150, svd_solver="randomized", random_state=0).fit(flat)
    codes = pca.transform(flat)
    vectors = {"means": attribute_vector(codes, y), "Fisher": attribute_vector(codes, y, ridge=RIDGE)}

    def plain(some: np.ndarray, strength: float, vector: np.ndarray) -> np.ndarray:
        moved = pca.transform(unit(some).reshape(len(some), -1)) + strength * vector
        return np.clip(pca.inverse_transform(moved), 0, 1).astype(np.float32).reshape(some.shape)

    def residual(some: np.ndarray, strength: float, vector: np.ndarray) -> np.ndarray:
        return np.clip(unit(some) + plain(some, strength, vector) - plain(some, 0, vector), 0, 1)

    ways = {"": plain, ", residual": residual}
    return {f"PCA, {name}{more}": partial(way, vector=vector) for name, vector in vectors.items() for more, way in ways.items()}


def model_editors(kind: str, x: np.ndarray, y: np.ndarray, steps: int, seed: int) -> tuple[dict[str, Editor], float]:
    """Fit a model on the pictures and their mirror images; return what it can do, and the CPU seconds of the fit."""
    begin = time.process_time()
    told = kind == "conditional"
    both, labels = np.concatenate([x, x[:, :, ::-1]]), np.concatenate([y, y])
    source = Source("pictures", np.ascontiguousarray(both), name="faces", condition=labels if told else None)
    artifact = fit(source, Config(**MODELS[kind], steps=steps, seed=seed, evaluate_every=max(1, steps // 4)))
    seconds = time.process_time() - begin
    bright = as_attribute(both.mean((1, 2, 3)) > np.median(both.mean((1, 2, 3))), "bright")
    smile = as_attribute(labels, "smile")
    if told:
        vectors = {"label swapped": find_direction(artifact, source, smile)}
    else:
        vectors = {"means": find_direction(artifact, source, smile), "Fisher": find_direction(artifact, source, smile, ridge=RIDGE)}
        vectors["Fisher, brightness still"] = find_direction(artifact, source, smile, [bright], ridge=RIDGE)
        print(f"   AUC of the directions on rows of the fit they were not found on: {[round(v.separation, 3) for v in vectors.values()]}")
    made: dict[str, Editor] = {}
    for name, found in vectors.items():
        for residual in (False, True):

            def change(some: np.ndarray, strength: float, vector: np.ndarray = found.vector, residual: bool = residual) -> np.ndarray:
                rows = Source("pictures", some, condition=np.zeros(len(some), int) if told else None)
                return unit(edit(artifact, rows, vector, strength, residual))

            made[f"{'CVAE' if told else 'VAE'}, {name}{', residual' if residual else ''}"] = change
    if not told:
        made["_units"] = lambda some, count: unit(traverse(artifact, Source("pictures", some), steps=9, top=int(count)).rows)
    return made, seconds


@dataclass
class Panel:
    """Who judges: a net for smiles, one for identity, and what they compare with."""

    judge: Net
    embedding: Net
    faces: np.ndarray

    def figures(self, editor: Editor, strength: float) -> dict[str, float]:
        originals = unit(self.faces)
        still, edited = editor(self.faces, 0.0), editor(self.faces, strength)
        identity, first = kept(self.embedding, originals, edited)
        return {
            "strength": float(strength),
            "change": float(np.square(edited - still).mean()),
            "smiling": self.smiling(edited),
            "identity": identity,
            "first": first,
            "sharpness": float(np.median(sharpness(edited) / sharpness(still))),
            "of original": float(np.median(sharpness(edited) / sharpness(originals))),
            "brightness": float((edited - still).mean()),
        }

    def smiling(self, pictures: np.ndarray) -> float:
        return float((look(self.judge, pictures)[:, 0] > 0).mean())


def chosen(panel: Panel, editor: Editor, wanted: float = WANTED) -> float:
    """The smallest strength of the grid at which enough faces are judged smiling, else the last."""
    return next((s for s in GRID if panel.smiling(editor(panel.faces, s)) >= wanted), GRID[-1])


def at_change(panel: Panel, editor: Editor, change: float) -> float:
    """The strength that changes the faces by this mean squared difference."""
    still, strength = editor(panel.faces, 0.0), 1.0
    for _ in range(4):  # the root of the change is all but linear in the strength
        found = float(np.square(editor(panel.faces, strength) - still).mean())
        strength *= (change / found) ** 0.5
    return strength


STRIPS = ("PCA, means", "VAE, Fisher", "VAE, Fisher, residual", "CVAE, label swapped")


def strips(path: Path, editors: dict[str, Editor], panel: Panel, strength: float) -> None:
    """Lines for the two faces that smile most when the VAE has edited them, and the two that do least: one for each method."""
    order = np.argsort(-look(panel.judge, editors["VAE, Fisher"](panel.faces, strength))[:, 0])
    names = [name for name in STRIPS if name in editors]
    faces = panel.faces[[*order[:2], *order[-2:]]]
    lines = [np.concatenate([unit(face[None]), *(editors[name](face[None], s) for s in SHOWN)]) for face in faces for name in names]
    made = Provenance(COMPOSITE, f"isthmus {__version__}", "isthmus variational, conditional_vae and PCA", operation="edit")
    sheet = np.stack(lines).repeat(2, axis=2).repeat(2, axis=3)
    print(f"wrote {write(path, sheet, provenance=made)}: the original, then strengths {SHOWN}; of each face {'; '.join(names)}")


def told(name: str, runs: list[dict[str, float]]) -> None:
    cells = []
    for key, form in (("strength", "{:.2f}"), ("change", "{:.5f}"), ("smiling", "{:.1%}"), ("PCA there", "{:.1%}"), ("identity", "{:.1%}"),
                      ("first", "{:.1%}"), ("sharpness", "{:.2f}"), ("of original", "{:.2f}"), ("brightness", "{:+.3f}")):  # fmt: skip
        values = np.array([run.get(key, np.nan) for run in runs])
        spread = f" ({values.std(ddof=1):.3f})" if len(values) > 1 and key in ("smiling", "identity") else ""
        cells.append(form.format(values.mean()) + spread)
    print(f"{name:44s}" + "  ".join(f"{cell:>14s}" for cell in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--epochs", type=int, default=10, help="of judges and embedding")
    parser.add_argument("--faces", choices=("dev", "final"), default="final")
    parser.add_argument("--models", default="vae,conditional")
    parser.add_argument("--strips", type=Path)
    parser.add_argument("--units", type=Path, help="sheet of what the most used units do")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    faces = Faces.load()
    fitted, labels = faces.of("fit")
    begin = time.process_time()
    judges = [train(1, *faces.of("judge"), seed, args.epochs) for seed in (0, 1)]
    embedding = train(64, *faces.of("judge"), 2, args.epochs)
    check, truth = faces.of("check")
    scores = [look(judge, unit(check))[:, 0] for judge in judges]
    for name, found in zip(("dev", "final"), scores):
        real = [float((found[truth == kind] > 0).mean()) for kind in (0, 1)]
        print(f"judge of the {name} faces: AUC {roc_auc_score(truth, found):.3f}; calls {real[0]:.1%} of real plain faces and", end=" ")
        print(f"{real[1]:.1%} of real smiling faces smiling")
    dev = Panel(judges[0], embedding, faces.of("dev")[0])
    panel = dev if args.faces == "dev" else Panel(judges[1], embedding, faces.of("final")[0])
    print(f"judges and embedding: {time.process_time() - begin:.0f} CPU s; {len(panel.faces)} {args.faces} faces, "
          f"{panel.smiling(unit(panel.faces)):.1%} of them judged smiling as they are\n", flush=True)  # fmt: skip
    pca = pca_editors(fitted, labels)
    runs: dict[str, list[dict[str, float]]] = {}
    equal: dict[str, list[list[float]]] = {}
    for seed in range(args.seeds):
        editors = dict(pca) if seed == 0 else {}
        for kind in args.models.split(","):
            made, seconds = model_editors(kind, fitted, labels, args.steps, seed)
            print(f"   {kind}, seed {seed}: {seconds:.0f} CPU s", flush=True)
            editors |= made
        for name, editor in editors.items():
            if name.startswith("_"):
                continue
            figures = panel.figures(editor, chosen(dev, editor))
            figures["PCA there"] = panel.smiling(pca["PCA, means"](panel.faces, at_change(panel, pca["PCA, means"], figures["change"])))
            runs.setdefault(name, []).append(figures)
            told(name, [figures])
            same = [panel.smiling(editor(panel.faces, at_change(panel, editor, change))) for change in CHANGES]
            equal.setdefault(name, []).append(same)
        if seed == 0 and args.strips and "VAE, Fisher" in editors:
            strips(args.strips, editors, panel, runs["VAE, Fisher"][0]["strength"])
        if args.json:
            args.json.write_text(json.dumps({"chosen": runs, "equal": equal}, indent=1))
        if seed == 0 and args.units and "_units" in editors:
            print(f"wrote {write(args.units, editors['_units'](fitted, 24))}: the 24 most used units, from -3 to +3 standard deviations")
    head = ("strength", "change", "smiling", "PCA there", "identity", "first", "sharpness", "of original", "brightness")
    print("\n" + " " * 44 + "  ".join(f"{key:>14s}" for key in head))
    for name, found in runs.items():
        told(name, found)
    print("\njudged smiling at equal mean squared change" + "".join(f"{change:>10.3f}" for change in CHANGES))
    for name, found in equal.items():
        print(f"{name:43s}" + "".join(f"{share:>10.1%}" for share in np.mean(found, 0)))


if __name__ == "__main__":
    main()
