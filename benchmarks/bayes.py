"""Class probabilities by Bayes on MNIST and Fashion-MNIST: one VAE for each class gives p(x | class), hence p(class | x) and p(x).

    ISTHMUS_DATA=folder python benchmarks/bayes.py                 # minutes
    python benchmarks/bayes.py --data mnist --steps 1000 --rows 2000 --json bayes.json

Accuracy, calibration error (15 bins) and log loss on test pictures, by Bayes' rule as it is and with a temperature found on 2,000 training
pictures that no model saw; logistic regression on the pixels stands beside. Then which pictures get a low p(x): noise, and the
other data set, as the area under the ROC curve of several scores. Likelihood alone fails where pictures are simpler (all black ones are as
likely as real ones); the ratio to a compressor's length and the typicality of that ratio are the remedies.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from isthmus.data import Source
from isthmus.tasks import bayes
from isthmus.tasks.config import Config

FILES = {"mnist": "mnist.npz", "fashion": "fashion_mnist.npz"}


def folder() -> Path:
    named = os.environ.get("ISTHMUS_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def evidence(model: bayes.Bayes, pictures: np.ndarray) -> np.ndarray:
    return model.log_evidence(model.log_likelihoods(Source("pictures", pictures)))


def unfamiliar(model: bayes.Bayes, known: np.ndarray, others: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Areas under the ROC curve of strange against known test pictures, for each score."""
    half = len(known) // 2
    usual, bits = evidence(model, known), bayes.compressed_bits(known)
    base = bayes.strangeness(usual[half:], usual[:half], bits[half:], bits[:half])
    found = {}
    for name, pictures in others.items():
        scores = bayes.strangeness(evidence(model, pictures), usual[:half], bayes.compressed_bits(pictures), bits[:half])
        found[name] = {score: bayes.detection(scores[score], base[score]) for score in scores}
    return found


def run(name: str, steps: int, rows: int, draws: int, seed: int) -> dict[str, dict[str, float]]:
    from sklearn.linear_model import LogisticRegression

    data = {key: np.load(folder() / "images" / file) for key, file in FILES.items()}
    train, labels, test, truth = (data[name][part] for part in ("x_train", "y_train", "x_test", "y_test"))
    train, test = train[..., None], test[..., None]
    order = np.random.default_rng(seed).permutation(len(train))
    fitted, spare = order[2000:], order[:2000]
    config = Config(family="variational", network="mlp", hidden=(256, 128), latent=16, steps=steps, batch=128, seed=seed)
    start = time.process_time()
    model = bayes.Bayes.fit(Source("pictures", train[fitted]), labels[fitted], config)
    seconds = time.process_time() - start
    some = np.random.default_rng(seed).permutation(len(test))[:rows]
    calibrated = model.calibrate(model.log_likelihoods(Source("pictures", train[spare]), draws), labels[spare])
    likelihoods = model.log_likelihoods(Source("pictures", test[some]), draws)
    found = {
        "Bayes' rule": bayes.figures(model, likelihoods, truth[some]) | {"CPU seconds": seconds},
        f"temperature {calibrated.temperature:.2g}": bayes.figures(calibrated, likelihoods, truth[some]),
    }
    flat = lambda pictures: pictures.reshape(len(pictures), -1) / 255  # noqa: E731
    peer = LogisticRegression(max_iter=100, tol=1e-2).fit(flat(train[fitted[:10_000]]), labels[fitted[:10_000]])
    chances = peer.predict_proba(flat(test[some]))
    loss = -float(np.log(chances[np.arange(len(some)), truth[some]].clip(1e-12)).mean())
    error = bayes.calibration_error(chances, truth[some])
    accuracy = float((chances.argmax(1) == truth[some]).mean())
    found["logistic regression (10,000 rows)"] = {"accuracy": accuracy, "calibration error": error, "log loss": loss}
    other = next(key for key in FILES if key != name)
    noise = np.random.default_rng(seed).integers(0, 256, (500, 28, 28, 1)).astype(np.uint8)
    strange = {f"{other} test pictures": data[other]["x_test"][:1000, ..., None], "uniform noise": noise, "all black": noise[:50] * 0}
    found |= {f"unfamiliar: {key} (area under ROC)": areas for key, areas in unfamiliar(model, test[some], strange).items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist,fashion", help="names, separated by commas: mnist, fashion")
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps of each class's model")
    parser.add_argument("--rows", type=int, default=2000, help="test pictures, at random")
    parser.add_argument("--draws", type=int, default=1, help="importance samples a row and class; 1: the ELBO")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results = {}
    for name in args.data.split(","):
        results[name] = run(name, args.steps, args.rows, args.draws, args.seed)
        print(f"\n{name}, {args.rows} test pictures, seed {args.seed}")
        for line, figures in results[name].items():
            print(f"  {line:<52}" + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
