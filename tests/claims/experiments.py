"""What is said of autoencoders, as experiments. Each returns its figures row by row, and arrays to draw.

Used by the tests beside this file and by docs/make_claims.py, which writes the page of results.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.tasks.codes import decode, encode, reconstruct
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.tasks.sample import sample

Array = NDArray[Any]
SEEDS = (0, 1, 2)
LONG = 3000
MLP: dict[str, Any] = {"network": "mlp", "steps": 800}
NOISES = ("gaussian", "masking", "salt_and_pepper")


@dataclass
class Findings:
    """Figures of an experiment, one row for each model and seed, and arrays to draw."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)

    def add(self, **figures: Any) -> None:
        self.rows.append(figures)

    def of(self, figure: str, **where: Any) -> Array:
        """Return one figure of the rows that match, in the order of the rows."""
        found = [row[figure] for row in self.rows if figure in row and all(row.get(name) == value for name, value in where.items())]
        assert found, f"no row has {figure} for {where}"
        return np.array(found, dtype=float)


def table(X: Array) -> Source:
    return Source("table", X, name="table")


def pictures(X: Array) -> Source:
    return Source("pictures", X, name="pictures")


def mse(a: Array, b: Array) -> float:
    return float(np.mean((a.astype(float) - b) ** 2))


def flat(X: Array) -> Array:
    return X.reshape(len(X), -1)


def digits() -> tuple[Array, Array]:
    """Return scikit-learn's digits, (1797, 8, 8, 1) within [0, 1], and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images / 16).astype(np.float32)[..., None], data.target


def parts(X: Array, training: int, seed: int) -> tuple[Array, Array]:
    """Split rows at random into those to fit on and those no model sees."""
    order = np.random.default_rng(seed).permutation(len(X))
    return X[order[:training]], X[order[training:]]


# 1. Without non-linearities an autoencoder is PCA.


def degrees(a: Array, b: Array) -> float:
    """Return the largest principal angle between two column spaces."""
    from scipy.linalg import subspace_angles

    return float(np.degrees(subspace_angles(a.astype(float), b.astype(float)).max()))


def linear_maps(artifact: Artifact) -> tuple[Array, Array]:
    """Return the weights of encoder and decoder, both of shape (columns, latent)."""
    encoder, decoder = (part.layers[0].weight.detach().numpy() for part in (artifact.model.encoder, artifact.model.decoder))  # type: ignore[union-attr, index]
    return encoder.T, decoder


SMALL = "gradient, batches of 128"
SMALL_BATCHES: dict[str, Any] = {"solver": "gradient", "batch": 128, "learning_rate": 3e-3}


def linear_is_pca(
    seeds: Iterable[int] = SEEDS, latents: Iterable[int] = (5, 16), lengths: Iterable[int] = (1000,), mini_batches: bool = False
) -> Findings:
    """Compare the subspace of the linear family with PCA's: digits, 64 columns, each standardised; all rows in every step."""
    from sklearn.decomposition import PCA

    found, X = Findings(), np.round(flat(digits()[0]) * 16)
    for latent in latents:
        kinds: dict[str, dict[str, Any]] = {
            f"gradient, {steps} steps": {"solver": "gradient", "steps": steps, "batch": len(X), "learning_rate": 0.03} for steps in lengths
        }
        kinds |= {"closed form": {}} | (
            {"gradient, automatic settings": {"solver": "gradient"}, SMALL: SMALL_BATCHES} if mini_batches else {}
        )
        for (kind, settings), seed in ((item, seed) for item in kinds.items() for seed in seeds):
            artifact = fit(table(X), Config(family="linear", latent=latent, held_out=0.0, seed=seed, **settings))
            Z = artifact.preprocessor.transform(X)
            axes = PCA(latent, svd_solver="full").fit(Z).components_.T
            encoder, decoder = linear_maps(artifact)
            moving = Z.std(0) > 0  # a constant column leaves its weights in the encoder free
            figures = {"decoder, degrees": degrees(decoder, axes), "encoder, degrees": degrees(encoder[moving], axes[moving])}
            found.add(model=kind, latent=latent, seed=seed, **figures)
    return found


def quickest(function: Callable[[], object], times: int = 5) -> float:
    """Return the least seconds of several calls."""
    seconds: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def closed_form_speed(times: int = 5) -> Findings:
    """Time the closed form against scikit-learn's PCA: the solver alone, and the whole fit with checks, scaling and figures."""
    import torch
    from sklearn.decomposition import PCA

    from isthmus.tasks.fit import build
    from isthmus.training import fit_linear

    found, generator = Findings(), np.random.default_rng(0)
    wide = (generator.normal(size=(20_000, 200)) @ generator.normal(size=(200, 200))).astype(np.float32)
    for name, X in (("digits, 1797 x 64", np.round(flat(digits()[0]) * 16)), ("random, 20000 x 200", wide)):
        config = Config(family="linear", latent=16, held_out=0.0)
        artifact = fit(table(X), config)
        Z = artifact.preprocessor.transform(X)
        rows, model = torch.from_numpy(Z), build(artifact.field, config)[0]
        pca = quickest(lambda Z=Z: PCA(16).fit(Z), times)
        alone = quickest(lambda model=model, rows=rows: fit_linear(model, rows), times)
        whole = quickest(lambda X=X, config=config: fit(table(X), config), times)
        found.add(data=name, **{"PCA, ms": pca * 1e3, "closed form, ms": alone * 1e3, "whole fit, ms": whole * 1e3})
        found.rows[-1] |= {"closed form / PCA": alone / pca, "whole fit / PCA": whole / pca}
    return found


# 2. A curve in the plane.


def curve(rows: int, seed: int) -> Array:
    """Draw x ~ U(-1, 1), y = x^2 + eps, eps ~ N(0, 1e-4)."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, rows)
    return np.stack([x, x * x + generator.normal(0, 0.01, rows)], axis=1)


def nearest_on_parabola(points: Array) -> Array:
    """Return the nearest point (t, t^2) of each point: the root of 2 t^3 + (1 - 2 y) t - x = 0 with the least distance."""
    found: list[tuple[float, float]] = []
    for x, y in points:
        roots = np.roots([2, 0, 1 - 2 * y, -x])
        t = roots[np.abs(roots.imag) < 1e-9].real
        best = t[np.argmin((x - t) ** 2 + (y - t * t) ** 2)]
        found.append((best, best * best))
    return np.array(found)


CURVE = {"scaling": "none", "activation": "gelu", "learning_rate": 0.01, "steps": 4000}


def bent_curve(seeds: Iterable[int] = SEEDS, settings: dict[str, Any] | None = None) -> Findings:
    """Compare PCA and an autoencoder with one unit of code; held-out error per value, in the data's own units."""
    from sklearn.decomposition import PCA

    T = curve(5000, seed=1_000_003)
    floor = mse(nearest_on_parabola(T), T)
    found = Findings(arrays={"points": T})
    for seed in seeds:
        X = curve(2000, seed)
        pca = PCA(1).fit(X)
        line = pca.inverse_transform(pca.transform(T))
        artifact = fit(table(X), Config(latent=1, seed=seed, **(CURVE if settings is None else settings)))
        rebuilt = reconstruct(artifact, table(T))
        pca_error, ours = mse(line, T), mse(rebuilt, T)
        ratios = {"PCA / isthmus": pca_error / ours, "isthmus / floor": ours / floor}
        found.add(seed=seed, PCA=pca_error, isthmus=ours, floor=floor, **ratios)
        found.arrays |= {"line": line, "rebuilt": rebuilt}
    return found


# 3. A wide code copies, unless it is sparse or its input corrupted.


def shuffled_pixels(X: Array, seed: int) -> Array:
    """Return pictures without structure: each pixel's values dealt out anew among the pictures, so that its distribution stays."""
    generator = np.random.default_rng(seed)
    return np.stack([generator.permutation(column) for column in flat(X).T], axis=1).reshape(X.shape)


WIDE: dict[str, dict[str, Any]] = {
    "plain, 64 units": {"latent": 64, "hidden": (256,)},
    "plain, 256 units": {"latent": 256, "hidden": (256,)},
    "sparse (top-k), 256 units": {"family": "sparse", "latent": 256},
    "denoising, 256 units": {"family": "denoising", "latent": 256, "hidden": (256,)},
}
MORE_WIDE: dict[str, dict[str, Any]] = {
    "narrow, 16 units": {"latent": 16, "hidden": (256,)},
    "sparse (L1), 256 units": {"family": "sparse", "sparsity": "l1", "latent": 256},
    "denoising, 64 units": {"family": "denoising", "latent": 64, "hidden": (256,)},
    "denoising (masking), 256 units": {"family": "denoising", "corruption": "masking", "latent": 256, "hidden": (256,)},
}


def copying(seeds: Iterable[int] = SEEDS, models: dict[str, dict[str, Any]] | None = None) -> Findings:
    """Measure what share of the variance a model keeps: of unseen digits, and of pictures that have no structure to learn."""
    found, X = Findings(), digits()[0]
    for seed in seeds:
        T, H = parts(X, 1400, seed)
        odd = shuffled_pixels(H, seed)
        found.arrays |= {"digits": H[:8], "shuffled pixels": odd[:8]}
        for model, settings in (WIDE if models is None else models).items():
            artifact = fit(pictures(T), Config(seed=seed, **settings))
            rebuilt, rebuilt_odd = (reconstruct(artifact, pictures(part)) for part in (H, odd))
            active = (encode(artifact, pictures(H)) != 0).mean(1)
            found.add(
                model=model,
                seed=seed,
                **{
                    "kept of digits": 1 - mse(rebuilt, H) / mse(T.mean(0), H),
                    "kept of shuffled pixels": 1 - mse(rebuilt_odd, odd) / mse(T.mean(0), odd),
                    "most units active": float(active.max()),
                },
            )
            found.arrays |= {f"digits, {model}": rebuilt[:8], f"shuffled pixels, {model}": rebuilt_odd[:8]}
    return found


# 4. Denoising.


def damaged(X: Array, noise: str, seed: int) -> Array:
    """Return noisy pictures: Gaussian of deviation 0.3, 30 % of the pixels hidden, or 20 % of them black or white."""
    generator = np.random.default_rng(seed)
    if noise == "gaussian":
        return (X + 0.3 * generator.normal(size=X.shape)).astype(np.float32)
    u = generator.uniform(size=X.shape)
    return (np.where(u < 0.3, 0, X) if noise == "masking" else np.where(u < 0.1, 0, np.where(u < 0.2, 1, X))).astype(np.float32)


def denoising(
    seeds: Iterable[int] = SEEDS, X: Array | None = None, training: int = 1400, noises: Iterable[str] = NOISES, **settings: Any
) -> Findings:
    """Compare, by distance to the clean picture: the noisy picture, a plain autoencoder's answer, a denoising one's."""
    found, X = Findings(), digits()[0] if X is None else X
    for seed in seeds:
        T, H = parts(X, training, seed)
        plain = fit(pictures(T), Config(seed=seed, **settings))
        for noise in noises:
            N = damaged(H, noise, seed + 100)
            ours = fit(pictures(T), Config(family="denoising", corruption=noise, seed=seed, **settings))
            answers = {"noisy": N, "plain": reconstruct(plain, pictures(N)), "denoising": reconstruct(ours, pictures(N))}
            found.add(noise=noise, seed=seed, **{name: mse(answer, H) for name, answer in answers.items()})
            nearer = flat((answers["denoising"] - H) ** 2).mean(1) < flat((N - H) ** 2).mean(1)
            found.rows[-1]["pictures brought nearer"] = float(nearer.mean())
            found.arrays |= {f"clean, {noise}": H[:8]} | {f"{name}, {noise}": answer[:8] for name, answer in answers.items()}
    return found


# 5. Overfit and early stopping.


def squared_error(losses: Sequence[float], values: int) -> Array:
    """Return mean squared errors from the nats of a Gaussian of unit scale over `values` values."""
    return 2 / values * (np.array(losses) - values / 2 * np.log(2 * np.pi))


def overfit(seeds: Iterable[int] = SEEDS, steps: int = LONG) -> Findings:
    """Train long on 100 digits, 900 held out, 797 never shown; then again with early stopping."""
    found, X = Findings(), digits()[0]
    for seed in seeds:
        shown, unseen = parts(X, 1000, seed)
        base = Config(held_out=0.9, steps=steps, seed=seed)
        long = fit(pictures(shown), base.override(patience=steps))
        held, train = (squared_error(long.history.column(name), 64) for name in ("held_out", "train"))
        turn = int(held.argmin())
        early = fit(pictures(shown), base)
        last = fit(pictures(_training_part(shown, seed)), base.override(held_out=0.0, patience=steps))
        curve_steps = np.array(long.history.column("step"))
        found.add(
            seed=seed,
            **{
                "turn at step": curve_steps[turn],
                "kept step": early.facts["training"]["kept step"],
                "stopped at step": early.facts["training"]["steps"],
                "train at turn": train[turn],
                "train at end": train[-1],
                "held out at turn": held[turn],
                "held out at end": held[-1],
                "held out, stopped early": squared_error(early.history.column("held_out"), 64).min(),
                "unseen, stopped early": mse(reconstruct(early, pictures(unseen)), unseen),
                "unseen, at end": mse(reconstruct(last, pictures(unseen)), unseen),
            },
        )
        found.arrays |= {"step": curve_steps, "held out": held, "train": train, "kept": np.array([found.rows[-1]["kept step"]])}
    return found


def _training_part(shown: Array, seed: int) -> Array:
    from isthmus.tasks.fit import split

    return shown[split(len(shown), 0.9, seed)[0]]


# 6. One kind of picture against another.


def patches(count: int, seed: int, side: int = 8) -> Array:
    """Return grey pieces of scikit-learn's two sample photographs, (count, side, side, 1) within [0, 1]."""
    from sklearn.datasets import load_sample_images

    photographs = [photograph.mean(2) / 255 for photograph in load_sample_images().images]
    generator = np.random.default_rng(seed)
    found: list[Array] = []
    for index in range(count):
        photograph = photographs[index % len(photographs)]
        top, left = (generator.integers(0, size - side) for size in photograph.shape)
        found.append(photograph[top : top + side, left : left + side])
    return np.stack(found).astype(np.float32)[..., None]


def kinds(
    one: tuple[str, Array], other: tuple[str, Array], training: int = 1400, seeds: Iterable[int] = SEEDS, **settings: Any
) -> Findings:
    """Fit a model on each kind and rebuild unseen pictures of both."""
    found = Findings()
    for seed in seeds:
        split = {name: parts(X, training, seed) for name, X in (one, other)}
        models = {name: fit(pictures(T), Config(seed=seed, **settings)) for name, (T, _) in split.items()}
        for shown, (T, H) in split.items():
            scale = 255.0 if H.dtype == np.uint8 else 1.0
            for fitted, model in models.items():
                rebuilt = reconstruct(model, pictures(H))
                error = mse(rebuilt / scale, H / scale)
                kept = 1 - error / mse(T.mean(0) / scale, H / scale)
                found.add(fitted=fitted, shown=shown, seed=seed, **{"mean squared error": error, "kept": kept})
                found.arrays |= {shown: H[:8], f"{shown} by {fitted}": rebuilt[:8]}
    return found


def photographs_and_digits(seeds: Iterable[int] = SEEDS) -> Findings:
    return kinds(("digits", digits()[0]), ("photographs", patches(1797, seed=7)), seeds=seeds)


def fashion(folder: Path, rows: int) -> Array:
    """Return the first `rows` pictures of Fashion-MNIST, (rows, 28, 28, 1) uint8."""
    with np.load(folder / "images" / "fashion_mnist.npz", allow_pickle=False) as data:
        return data["x_train"][:rows, ..., None]


def mnist(folder: Path, rows: int) -> Array:
    with np.load(folder / "images" / "mnist.npz", allow_pickle=False) as data:
        return data["x_train"][:rows, ..., None]


def clothing_and_digits(folder: Path, seeds: Iterable[int] = SEEDS) -> Findings:
    return kinds(("digits", mnist(folder, 4000)), ("clothing", fashion(folder, 4000)), 3000, seeds, **MLP)


# 7. The variational code is continuous.


@dataclass
class Judge:
    """What knows the real pictures: the training part with its labels, and its principal components."""

    X: Array
    labels: Array

    def __post_init__(self) -> None:
        from sklearn.decomposition import PCA
        from sklearn.neighbors import KNeighborsClassifier

        self.components = PCA(20).fit(flat(self.X))
        self.neighbours = KNeighborsClassifier(n_neighbors=10).fit(flat(self.X), self.labels)

    def distance(self, pictures: Array) -> float:
        """Mean Euclidean distance to the nearest real picture."""
        return float(self.neighbours.kneighbors(flat(pictures), 1)[0].mean())

    def agreement(self, pictures: Array) -> float:
        """Mean share of the 10 nearest real pictures that show the same digit: how much a picture is of one kind."""
        return float(self.neighbours.predict_proba(flat(pictures)).max(1).mean())

    def frechet(self, pictures: Array, real: Array) -> float:
        """Frechet distance of two Gaussians fitted to the first 20 principal components."""
        from scipy.linalg import sqrtm

        a, b = (self.components.transform(flat(part)) for part in (pictures, real))
        first, second = np.cov(a.T), np.cov(b.T)
        between = np.real(sqrtm(first @ second))
        return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(first + second - 2 * between))

    def of(self, pictures: Array, real: Array) -> dict[str, float]:
        return {
            "to nearest digit": self.distance(pictures),
            "neighbours agree": self.agreement(pictures),
            "Frechet": self.frechet(pictures, real),
        }


def continuous_code(seeds: Iterable[int] = SEEDS, latents: Iterable[int] = (8,)) -> Findings:
    """Decode half-way points between unseen digits of different labels, and random codes; let a judge measure them."""
    found = Findings()
    X, y = digits()
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(X))
        train, rest = order[:1400], order[1400:]
        H, judge = X[rest], Judge(X[train], y[train])
        pairs = np.random.default_rng(seed).integers(0, len(rest), (2, 1500))
        a, b = pairs[:, y[rest][pairs[0]] != y[rest][pairs[1]]]
        found.arrays |= {"digits, one": H[a[:10]], "digits, other": H[b[:10]], "pixel averages": (H[a[:10]] + H[b[:10]]) / 2}
        found.add(model="unseen digits", kind="real", seed=seed, **judge.of(H, X[train]))
        found.add(model="pixel averages", kind="half-way", seed=seed, **judge.of((H[a] + H[b]) / 2, H))
        for family, latent in ((family, latent) for latent in latents for family in ("undercomplete", "variational")):
            artifact = fit(pictures(X[train]), Config(family=family, latent=latent, seed=seed))
            codes = encode(artifact, pictures(H))
            made = {"half-way": decode(artifact, (codes[a] + codes[b]) / 2), "rebuilt": decode(artifact, codes)}
            for kind, drawn in (made | _drawn(artifact, encode(artifact, pictures(X[train])), len(train), seed)).items():
                found.add(model=family, latent=latent, kind=kind, seed=seed, **judge.of(drawn, H))
                found.arrays[f"{family} {latent}, {kind}"] = drawn[:10]
    return found


def _drawn(artifact: Artifact, codes: Array, rows: int, seed: int) -> dict[str, Array]:
    """Decode random codes: from the prior where there is one, else from simple distributions around the codes of the training part."""
    if artifact.family == "variational":
        return {"drawn from the prior": sample(artifact, rows, seed=seed, mean=True)}
    generator = np.random.default_rng(seed + 1)
    drawn = {
        "drawn from scaled normals": codes.mean(0) + codes.std(0) * generator.normal(size=(rows, codes.shape[1])),
        "drawn from the bounding box": generator.uniform(codes.min(0), codes.max(0), (rows, codes.shape[1])),
        "drawn from a fitted normal": generator.multivariate_normal(codes.mean(0), np.cov(codes.T), rows),
    }
    return {kind: decode(artifact, some) for kind, some in drawn.items()}
