"""Pictures of one domain shown as those of another: does the result belong to the target, and is the content kept?

    ISTHMUS_DATA=folder python benchmarks/swap.py bold --seconds 300 --seeds 3      # thin and bold digits
    python benchmarks/swap.py slant --seconds 300 --seeds 3                         # digits that lean left and right
    python benchmarks/swap.py people --seconds 300 --seeds 3                        # four people of ORL
    python benchmarks/swap.py frey --seconds 600 --seeds 3                          # a film of one person, and the four people
    python benchmarks/swap.py bold --validate                                       # measured on training pictures: for tuning

Seconds are CPU seconds of the process.

Digits. Real MNIST digits, sorted by a measure: the thickness of the stroke (mean distance of ink from the background, on the picture
enlarged four times, in quarters of a pixel; of a stroke of even width, the width in pixels), or the slant (the shear that the second
moments show). The lowest and the highest third are the domains, by limits from the pictures trained on. The swapper learns from the
first 20,000 training pictures; the judges (convolutional: one for the domain, one for the class) from those from 40,000 to 55,000;
sources are test pictures, or with --validate training pictures 20,000 to 23,000. The class of a swapped picture is what the judge says,
and must be the label of its source. The limit is held to the swapped picture as well.

Faces, at 64 x 64. Of each person of ORL the odd pictures are learned from, the even ones are sources (with --validate the odd ones). The
judge of the domain knows all forty people and the film, and was trained on even pictures alone (discriminant analysis of principal
components, pictures shifted and mirrored); what it says of odd ones is given first. The film is learned from in its first 1,400 frames;
the rest, after a gap of 65, is the judge's and the sources. The pose probe sees where a face turns: the first principal component of
pictures minus their mirror images, over people who are not swapped; given is its rank correlation between source and swapped picture.
The film shows no more than a face; for it ORL's pictures, judge's and probe's too, are cropped to about the same frame, all alike (FRAME).

Baselines: the target's nearest picture, by pixels and by principal components of the source's and target's pictures, each domain
standardised by itself; and autoencoders of their own for each domain (encoder of one, decoder of the other).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage, stats
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn
from torch.nn import functional

from isthmus.tasks.pictures.swap import Settings, fit

LEARNED, SOURCES, JUDGED = 20_000, slice(20_000, 23_000), slice(40_000, 55_000)
PEOPLE = (4, 11, 18, 31)
FRAME = (0.26, 0.985, 0.167, 0.833)  # top, bottom, left and right of the face in ORL's pictures, as shares
FILMED = 1_400
GAP = 65
# Digits must lean as they do; what is bent cannot be relied on to tell thickness and slant.
DIGITS = {"warp": 0.06, "shift": 0.0, "turn": 0.0, "zoom": 0.0, "ssim": 1.0, "learning_rate": 2e-3}
FACES = {"mirror": True}


def folder() -> Path:
    named = os.environ.get("ISTHMUS_DATA")
    return (Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data") / "images"


def thickness(pictures: np.ndarray) -> np.ndarray:
    found = [ndimage.distance_transform_edt(ndimage.zoom(p.astype(np.float32), 4, order=1) > 127) for p in pictures]
    return np.array([distance[distance > 0].mean() if (distance > 0).any() else 0.0 for distance in found])


def slant(pictures: np.ndarray) -> np.ndarray:
    down, right = np.mgrid[: pictures.shape[1], : pictures.shape[2]].reshape(2, -1)
    ink = pictures.reshape(len(pictures), -1) + 1e-6
    total = ink.sum(1)
    down = down - (ink * down).sum(1, keepdims=True) / total[:, None]
    right = right - (ink * right).sum(1, keepdims=True) / total[:, None]
    return -(ink * right * down).sum(1) / (ink * down * down).sum(1)


MEASURES = {"bold": (thickness, slant, ("thin", "bold")), "slant": (slant, thickness, ("left", "right"))}


def as_tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.tensor(pictures)[:, None].float() / 255


def judge(pictures: np.ndarray, labels: np.ndarray, epochs: int = 4) -> nn.Module:
    """A small convolutional classifier."""
    torch.manual_seed(0)
    x, y, classes = as_tensor(pictures), torch.tensor(labels).long(), int(labels.max()) + 1
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, classes))
    optimiser, steps = torch.optim.Adam(net.parameters()), epochs * len(x) // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        optimiser.zero_grad()
        functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def kept(place: Path | None, name: str, make):
    """What `make` gives, or what is left of it from a run before."""
    file = None if place is None else place / f"{name}.pt"
    if file is None or not file.exists():
        found = make()
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(found, file)
        return found
    return torch.load(file, weights_only=False)


def said(net: nn.Module, pictures: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.cat([net(part).argmax(1) for part in as_tensor(pictures).split(1000)]).numpy()


def nearest(source: np.ndarray, target: np.ndarray, components: int = 0):
    """The nearest picture of the target, by pixels or by components, in which each domain is standardised."""
    flat = [x.reshape(len(x), -1) / 255.0 for x in (source, target)]
    mean = spread = [0.0, 1.0]
    pca = None
    if components:
        pca = PCA(min(components, len(target) - 1, len(source) - 1), random_state=0).fit(np.concatenate(flat))
        flat = [pca.transform(x) for x in flat]
        mean, spread = [x.mean(0) for x in flat], [x.std(0) + 1e-9 for x in flat]
    else:
        mean, spread = [0.0, 0.0], [1.0, 1.0]
    known = torch.tensor((flat[1] - mean[1]) / spread[1]).float()

    def found(x: np.ndarray) -> np.ndarray:
        rows = x.reshape(len(x), -1) / 255.0
        rows = ((pca.transform(rows) if pca else rows) - mean[0]) / spread[0]
        return target[torch.cdist(torch.tensor(rows).float(), known).argmin(1).numpy()]

    return found


def separate(domains: dict[str, np.ndarray], settings: Settings):
    """An autoencoder for each domain, trained for equal shares of `settings.seconds`: encoder of one, decoder of the other."""
    settings = replace(settings, seconds=settings.seconds / len(domains))
    models = {}
    for name, x in domains.items():  # two halves of one domain have one encoder and two decoders of the same
        models[name] = fit({"one": x[::2], "two": x[1::2]}, settings, clock=time.process_time)

    def found(x: np.ndarray, source: str, target: str) -> np.ndarray:
        codes = torch.tensor(models[source].encode(x, "one"))
        with torch.no_grad():
            return as_bytes(models[target].network.decode(codes, 0))

    return found


def as_bytes(pictures: torch.Tensor) -> np.ndarray:
    return (pictures.clamp(0, 1) * 255).round().byte().numpy()[..., 0]


def methods(domains: dict[str, np.ndarray], settings: Settings, baselines: bool, components: int, apart: float):
    """Name -> swapped pictures from (pictures, source, target), with CPU seconds and the model."""
    start = time.process_time()
    model = fit(domains, settings, clock=time.process_time)
    spent = time.process_time() - start
    found = {"swapper": lambda x, a, b: model.swap(x, b, a)}
    if baselines:
        found["nearest, pixels"] = lambda x, a, b: nearest(domains[a], domains[b])(x)
        found["nearest, components"] = lambda x, a, b: nearest(domains[a], domains[b], components)(x)
        found["separate autoencoders"] = separate(domains, replace(settings, seconds=apart))
    return found, model, spent


def digits(options: argparse.Namespace, settings: Settings) -> list[dict]:
    data = np.load(folder() / "mnist.npz")
    measure, other, names = MEASURES[options.task]
    train, labels = data["x_train"], data["y_train"]
    learned, judged, others = train[:LEARNED], train[JUDGED], data["x_test"]
    values = kept(options.cache, f"{options.task}-values", lambda: [measure(x) for x in (learned, judged)])
    limits = np.quantile(values[0], [1 / 3, 2 / 3])
    sides = [np.where(x < limits[0], 0, np.where(x > limits[1], 1, -1)) for x in values]
    domains = {name: learned[sides[0] == i] for i, name in enumerate(names)}
    chosen = sides[1] >= 0
    of_domain = kept(options.cache, f"{options.task}-domain", lambda: judge(judged[chosen], sides[1][chosen], 2))
    of_class = kept(options.cache, "class", lambda: judge(judged, labels[JUDGED], 5))
    sources, known = (train[SOURCES], labels[SOURCES]) if options.validate else (others, data["y_test"])
    measured = measure(sources)
    rows = [measured < limits[0], measured > limits[1]]
    real = {
        "domain": np.mean([(said(of_domain, sources[rows[i]]) == i).mean() for i in (0, 1)]),
        "class": (said(of_class, sources) == known).mean(),
    }
    print(
        f"{options.task}: judges on real pictures: domain {real['domain']:.3f}, class {real['class']:.3f}; limits {limits.round(3)}",
        flush=True,
    )
    found = []
    for seed in range(options.first, options.first + options.seeds):
        ways, model, spent = methods(domains, replace(settings, seed=seed), options.baselines and seed == options.first, 50, options.apart)
        for name, way in ways.items():
            for a, b in ((0, 1), (1, 0)):
                x = sources[rows[a]][: options.sources]
                y = way(x, names[a], names[b])
                held = measure(y) < limits[0] if b == 0 else measure(y) > limits[1]
                entry = {
                    "method": name,
                    "seed": seed,
                    "from": names[a],
                    "to": names[b],
                    "cpu seconds": spent,
                    "steps": model.history[-1]["step"],
                }
                entry |= {
                    "domain": (said(of_domain, y) == b).mean(),
                    "class": (said(of_class, y) == known[rows[a]][: options.sources]).mean(),
                }
                entry |= {"by the rule": held.mean(), "other style": stats.spearmanr(other(x), other(y)).statistic}
                found.append(entry)
                tell(entry)
                if options.sheet and name == "swapper":
                    right = (said(of_domain, y) == b) & (said(of_class, y) == known[rows[a]][: options.sources])
                    sheet(options.sheet, f"{options.task}-{names[a]}-{names[b]}-{seed}", x, model.reconstruct(x, names[a]), y, right)
        if options.save:
            model.save(f"{options.save}-{seed}")
    return found


def sheet(place: Path, name: str, x: np.ndarray, rebuilt: np.ndarray, y: np.ndarray, right: np.ndarray) -> None:
    """Pictures, rebuilt, swapped: the first twelve, and twelve that a judge took amiss."""
    place.mkdir(parents=True, exist_ok=True)
    chosen = [*range(min(12, len(x))), *np.flatnonzero(~right)[:12]]
    lines = [np.concatenate(list(part[chosen]), 1) for part in (x, rebuilt, y)]
    picture = Image.fromarray(np.concatenate(lines))
    picture.resize((picture.width * 2, picture.height * 2)).save(place / f"{name}.png")


def large(pictures: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(p).resize((64, 64), Image.Resampling.BICUBIC)) for p in pictures])


def moved(pictures: np.ndarray) -> np.ndarray:
    """Each picture shifted by up to two pixels either way, and mirrored."""
    shifted = [np.roll(pictures, (down, right), (1, 2)) for down in (-2, 0, 2) for right in (-2, 0, 2)]
    return np.concatenate([*shifted, *(x[:, :, ::-1] for x in shifted)])


class Faces:
    """Forty people and a film: who is learned from, who judges."""

    def __init__(self, validate: bool, frame=(0.0, 1.0, 0.0, 1.0)) -> None:
        data, film = np.load(folder() / "orl_faces.npz"), large(np.load(folder() / "frey_faces.npz")["x"])
        height, width = data["x"].shape[1:3]
        top, bottom, left, right = (round(share * side) for share, side in zip(frame, (height, height, width, width)))
        faces = large(data["x"][:, top:bottom, left:right])
        person = np.array([int(name.split("/")[-2].lstrip("s")) for name in data["person"]])
        odd = np.array([int(name.split("/")[-1].split(".")[0]) % 2 for name in data["person"]], bool)
        self.train = {f"s{i}": faces[(person == i) & odd] for i in range(1, 41)} | {"frey": film[:FILMED]}
        self.rest = {f"s{i}": faces[(person == i) & ~odd] for i in range(1, 41)} | {"frey": film[FILMED + GAP :: 10]}
        self.sources = self.train if validate else self.rest
        names = list(self.rest)
        x = np.concatenate([moved(self.rest[name]) for name in names])
        y = np.concatenate([[name] * 18 * len(self.rest[name]) for name in names])
        self.pca = PCA(120, whiten=False, random_state=0).fit(x[::3].reshape(len(x[::3]), -1) / 255.0)
        self.lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(self._codes(x), y)
        real = [(self.who(self.train[name][:50]) == name).mean() for name in names]
        print(f"judge on real pictures it was not trained on: {np.mean(real):.3f} of 41", flush=True)

    def _codes(self, x: np.ndarray) -> np.ndarray:
        return self.pca.transform(x.reshape(len(x), -1) / 255.0)

    def who(self, x: np.ndarray) -> np.ndarray:
        return self.lda.predict(self._codes(x))

    def among(self, x: np.ndarray, names: list[str]) -> np.ndarray:
        scores = self.lda.decision_function(self._codes(x))[:, [list(self.lda.classes_).index(name) for name in names]]
        return np.array(names)[scores.argmax(1)]

    def pose(self, swapped: list[str]):
        x = np.concatenate([self.train[f"s{i}"] for i in range(1, 41) if f"s{i}" not in swapped]).astype(float)
        turned = (x - x[:, :, ::-1]).reshape(len(x), -1)
        direction = PCA(1, random_state=0).fit(turned).components_[0]
        return lambda y: (y.astype(float) - y[:, :, ::-1]).reshape(len(y), -1) @ direction


def faces(options: argparse.Namespace, settings: Settings) -> list[dict]:
    film, people = options.task == "frey", [f"s{i}" for i in options.people]
    known = Faces(options.validate, FRAME) if film else Faces(options.validate)
    names = ["frey", *people] if film else people
    ways_there = {("each", "each other"): [(a, b) for a in names for b in names if a != b]}
    if film:
        ways_there = {("frey", "each person"): [("frey", b) for b in people], ("each person", "frey"): [(a, "frey") for a in people]}
    domains, pose, found = {name: known.train[name] for name in names}, known.pose(people), []
    for seed in range(options.first, options.first + options.seeds):
        ways, model, spent = methods(domains, replace(settings, seed=seed), options.baselines and seed == options.first, 20, options.apart)
        about = {"seed": seed, "cpu seconds": spent, "steps": model.history[-1]["step"]}
        for name, way in ways.items():
            for (source, target), pairs in ways_there.items():
                x = [known.sources[a] for a, _ in pairs]
                y = [way(rows, a, b) for rows, (a, b) in zip(x, pairs)]
                goal = np.concatenate([[b] * len(rows) for rows, (_, b) in zip(x, pairs)])
                every, swapped = np.concatenate(x), np.concatenate(y)
                right = known.among(swapped, names) == goal
                each = [stats.spearmanr(pose(a), pose(b)).statistic for a, b in zip(x, y)]
                entry = {"method": name, "from": source, "to": target, **about, "pictures": len(every)}
                entry |= {"domain": right.mean(), "of 41": (known.who(swapped) == goal).mean()}
                entry |= {"pose": stats.spearmanr(pose(every), pose(swapped)).statistic, "pose within pairs": np.nanmean(each)}
                found.append(entry)
                tell(entry)
                if film:
                    print(
                        "    pose of each pair: " + "  ".join(f"{a} to {b} {value:.2f}" for (a, b), value in zip(pairs, each)), flush=True
                    )
                if options.sheet and name == "swapper":
                    rebuilt = np.concatenate([model.reconstruct(rows, a) for rows, (a, _) in zip(x, pairs)])
                    sheet(options.sheet, f"{options.task}-{source}-{seed}", every, rebuilt, swapped, right)
        if options.save:
            model.save(f"{options.save}-{seed}")
    return found


def tell(entry: dict) -> None:
    print(
        "  " + "  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in entry.items()), flush=True
    )


def summary(rows: list[dict]) -> None:
    """Mean and spread over the seeds."""
    for method in dict.fromkeys(row["method"] for row in rows):
        for way in dict.fromkeys((row["from"], row["to"]) for row in rows):
            those = [row for row in rows if row["method"] == method and (row["from"], row["to"]) == way]
            if not those:
                continue
            figures = {key: [float(row[key]) for row in those] for key, value in those[0].items() if isinstance(value, float)}
            told = "  ".join(f"{key} {np.mean(v):.3f} ({min(v):.3f} to {max(v):.3f})" for key, v in figures.items())
            print(f"{method}, {way[0]} to {way[1]}, {len(those)} seed(s): {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["bold", "slant", "people", "frey"])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--sources", type=int, default=1000, help="digits of each domain that are swapped")
    parser.add_argument("--people", type=int, nargs="+", default=PEOPLE)
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--baselines", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=JSON", help="settings, such as code=32")
    parser.add_argument("--sheet", type=Path, help="folder for pictures")
    parser.add_argument("--save", help="where models are saved, a number is added")
    parser.add_argument("--apart", type=float, default=60.0, help="seconds for separate autoencoders")
    parser.add_argument("--cache", type=Path, help="folder where the digits' measures and judges are kept for the next run")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    given = {name: json.loads(text) for name, text in (entry.split("=", 1) for entry in options.set)}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    people = options.task in ("people", "frey")
    settings = replace(Settings(seconds=options.seconds, device="cpu"), **((FACES if people else DIGITS) | given))
    rows = (faces if people else digits)(options, settings)
    summary(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1, default=float))


if __name__ == "__main__":
    main()
