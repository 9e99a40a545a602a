"""Anomaly scores on ADBench's classical tables: isthmus beside its peers, same splits, one set of defaults for every table.

    python benchmarks/adbench.py --results figures.json [--protocol one-class] [--tables wine glass] [--seeds 5] [--methods isthmus knn]

Protocols: *one-class* (fit on half of the normal rows, score the other half and all anomalies) and *unsupervised* (fit on a random
70 % of all rows, anomalies among them, score the other 30 %). Rows are capped at 10,000 by a random draw; columns are standardised by
the rows fitted on, for everybody. Scores of a table are means over the seeds, which change draw, split and model. What is in the
results file is not computed again, so a run may be cut off and gone on with; with --summary nothing is computed at all.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

CAP = 10_000
WIDE = 300
PROTOCOLS = ("one-class", "unsupervised")
Array = np.ndarray[Any, np.dtype[Any]]
Method = Callable[..., Array]  # rows to fit on, rows to score, seed=, polluted= -> scores


def isthmus(train: Array, test: Array, *, seed: int, polluted: bool) -> Array:
    from isthmus.tasks.scorer import Scorer

    return Scorer.fit(train, seed=seed, polluted=polluted).score(test)


def knn(train: Array, test: Array, **_: Any) -> Array:
    """Mean distance to the 5 nearest rows."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=min(5, len(train))).fit(train).kneighbors(test)[0].mean(1)


def lof(train: Array, test: Array, **_: Any) -> Array:
    from sklearn.neighbors import LocalOutlierFactor

    return -LocalOutlierFactor(n_neighbors=min(20, len(train) - 1), novelty=True).fit(train).score_samples(test)


def ocsvm(train: Array, test: Array, **_: Any) -> Array:
    from sklearn.svm import OneClassSVM

    return -OneClassSVM().fit(train).score_samples(test)


def iforest(train: Array, test: Array, *, seed: int, **_: Any) -> Array:
    from sklearn.ensemble import IsolationForest

    return -IsolationForest(random_state=seed).fit(train).score_samples(test)


def mahalanobis(train: Array, test: Array, **_: Any) -> Array:
    from sklearn.covariance import EmpiricalCovariance

    return EmpiricalCovariance().fit(train).mahalanobis(test)


def mcd(train: Array, test: Array, *, seed: int, **_: Any) -> Array:
    from sklearn.covariance import MinCovDet

    if train.shape[1] > WIDE:
        raise ValueError(f"more than {WIDE} columns: MCD would take hours")
    return MinCovDet(random_state=seed).fit(train).mahalanobis(test)


def pca(train: Array, test: Array, **_: Any) -> Array:
    """Residual beside the components that hold 90 % of the variance."""
    from sklearn.decomposition import PCA

    model = PCA(0.9, svd_solver="full").fit(train)
    return ((test - model.inverse_transform(model.transform(test))) ** 2).sum(1)


def ecod(train: Array, test: Array, **_: Any) -> Array:
    from pyod.models.ecod import ECOD

    return ECOD().fit(train).decision_function(test)


def pyod_autoencoder(train: Array, test: Array, *, seed: int, **_: Any) -> Array:
    from pyod.models.auto_encoder import AutoEncoder

    return AutoEncoder(random_state=seed, verbose=0).fit(train).decision_function(test)


def pyod_vae(train: Array, test: Array, *, seed: int, **_: Any) -> Array:
    from pyod.models.vae import VAE

    return VAE(random_state=seed, verbose=0).fit(train).decision_function(test)


METHODS: dict[str, Method] = {
    "isthmus": isthmus,
    "knn": knn,
    "lof": lof,
    "ocsvm": ocsvm,
    "iforest": iforest,
    "mahalanobis": mahalanobis,
    "mcd": mcd,
    "pca": pca,
    "ecod": ecod,
    "pyod-autoencoder": pyod_autoencoder,
    "pyod-vae": pyod_vae,
}


def folder() -> Path:
    """The folder of tables: ISTHMUS_DATA/adbench, else the one beside the checkout."""
    named = os.environ.get("ISTHMUS_DATA")
    return (Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data") / "adbench"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=folder(), help="folder of .npz files with X and y")
    parser.add_argument("--tables", nargs="+", help="parts of file names; all if left out")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--protocol", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--reference", choices=list(METHODS), default="knn", help="whom the others are compared with")
    parser.add_argument("--jobs", type=int, default=1, help="processes, one thread each")
    parser.add_argument(
        "--seconds", type=float, default=300.0, help="what takes longer on a table's first seed is not asked for the others"
    )
    parser.add_argument("--results", type=Path, default=Path("adbench.json"))
    parser.add_argument("--redo", nargs="+", default=[], help="methods whose results are forgotten first")
    parser.add_argument("--summary", action="store_true", help="only show what the results file holds")
    return parser.parse_args()


def split(path: Path, seed: int, protocol: str) -> tuple[Array, Array, Array]:
    """Rows to fit on, rows to score and the latter's labels."""
    with np.load(path, allow_pickle=False) as file:
        rows, labels = file["X"].astype(np.float64), file["y"].astype(int).ravel()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))[:CAP]
    rows, labels = rows[order], labels[order]
    if protocol == "one-class":
        normal = np.flatnonzero(labels == 0)
        fitted, scored = normal[: len(normal) // 2], np.r_[normal[len(normal) // 2 :], np.flatnonzero(labels)]
    else:
        middle = int(0.7 * len(rows))
        fitted, scored = np.arange(middle), np.arange(middle, len(rows))
    mean, spread = rows[fitted].mean(0), rows[fitted].std(0)
    table = ((rows - mean) / np.where(spread > 0, spread, 1.0)).astype(np.float32)
    return table[fitted], table[scored], labels[scored]


def measure(path: Path, seed: int, protocol: str, method: str) -> dict[str, Any]:
    """AUROC and average precision of one method on one split, x 100."""
    import torch
    from sklearn.metrics import average_precision_score, roc_auc_score

    torch.set_num_threads(1)
    train, test, labels = split(path, seed, protocol)
    if labels.sum() == 0:
        return {"note": "no anomaly among the rows to score"}
    np.random.seed(seed)
    torch.manual_seed(seed)
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores = np.nan_to_num(np.asarray(METHODS[method](train, test, seed=seed, polluted=protocol != "one-class"), np.float64))
    except Exception as error:  # noqa: BLE001 -- one peer's failure must not end the run; it is shown
        return {"note": f"{type(error).__name__}: {error}"}
    seconds = time.perf_counter() - start
    return {"auroc": 100 * roc_auc_score(labels, scores), "ap": 100 * average_precision_score(labels, scores), "seconds": seconds}


def run(jobs: Sequence[tuple[Path, int, str, str]], found: dict[str, Any], options: argparse.Namespace) -> None:
    """Compute what is missing; the file is written after each result."""
    with ProcessPoolExecutor(options.jobs) as pool:
        futures = {pool.submit(measure, *job): job for job in jobs}
        for done, future in enumerate(as_completed(futures), 1):
            path, seed, protocol, method = futures[future]
            found["|".join((protocol, path.stem, method, str(seed)))] = future.result()
            options.results.write_text(json.dumps(found, indent=0))
            print(f"\r{done} of {len(jobs)}", end="", flush=True)
    if jobs:
        print()


def slow(key: tuple[Path, int, str, str], found: dict[str, Any], seconds: float) -> bool:
    path, _, protocol, method = key
    return found.get("|".join((protocol, path.stem, method, "0")), {}).get("seconds", 0.0) > seconds


def collect(found: dict[str, Any], protocol: str, methods: Iterable[str], tables: Sequence[str], figure: str) -> Array:
    """Figures of every table, method and seed, NaN where there is none: shape (tables, methods, seeds)."""
    seeds = 1 + max((int(key.rsplit("|", 1)[1]) for key in found), default=0)
    keys = [[["|".join((protocol, table, method, str(seed))) for seed in range(seeds)] for method in methods] for table in tables]
    return np.array([[[found.get(key, {}).get(figure, np.nan) for key in row] for row in block] for block in keys])


def ranks(figures: Array) -> Array:
    """Mean rank of each method over tables, 1 being best; what failed comes last."""
    from scipy.stats import rankdata

    return np.mean([rankdata(-np.nan_to_num(row, nan=-1.0)) for row in figures], axis=0)


def summary(found: dict[str, Any], protocol: str, reference: str) -> None:
    """Each table's figures, then for each method: means, spread over seeds (a table's, on average), mean rank, and the reference's."""
    from scipy.stats import wilcoxon

    asked = [key.split("|") for key in found if key.startswith(f"{protocol}|")]
    tables, methods = sorted({key[1] for key in asked}), [m for m in METHODS if any(key[2] == m for key in asked)]
    if not tables:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing: shown as nan
        per_seed = {figure: collect(found, protocol, methods, tables, figure) for figure in ("auroc", "ap", "seconds")}
        means = {figure: np.nanmean(values, 2) for figure, values in per_seed.items()}
        spread = {figure: np.nanmean(np.nanstd(values, 2), 0) for figure, values in per_seed.items()}
    print(f"\n{protocol}: AUROC x 100, {len(tables)} tables")
    print(f"{'':18s}" + " ".join(f"{method[:11]:>11s}" for method in methods))
    for table, row in zip(tables, means["auroc"]):
        print(f"{table[:18]:18s}" + " ".join(f"{value:11.1f}" for value in row))
    order = {figure: ranks(means[figure]) for figure in ("auroc", "ap")}
    print(
        f"\n{'method':18s}{'AUROC':>7s}{'+-':>6s}{'rank':>6s}{'AP':>8s}{'+-':>6s}{'rank':>6s}   beside {reference}: AUROC, AP      seconds"
    )
    for k, method in enumerate(methods):
        line = f"{method:18s}"
        for figure in ("auroc", "ap"):
            line += f"{np.nanmean(means[figure][:, k]):7.2f}{spread[figure][k]:6.2f}{order[figure][k]:6.2f} "
        if reference in methods and method != reference:
            pairs = [means[figure][:, k] - means[figure][:, methods.index(reference)] for figure in ("auroc", "ap")]
            for pair in (pair[np.isfinite(pair)] for pair in pairs):
                p = wilcoxon(pair).pvalue if np.any(pair) else 1.0
                line += f" {pair.mean():+6.2f} p={p:.3f}"
        print(f"{line:87s}{np.nanmean(means['seconds'][:, k]):8.2f}")
    missing = sum("note" in value for key, value in found.items() if key.startswith(f"{protocol}|"))
    if missing:
        print(f"{missing} splits gave no figure: {sorted({value['note'] for value in found.values() if 'note' in value})}")


def main() -> None:
    options = arguments()
    found: dict[str, Any] = json.loads(options.results.read_text()) if options.results.exists() else {}
    found = {key: value for key, value in found.items() if key.split("|")[2] not in options.redo}
    files = sorted(p for p in options.data.glob("*.npz") if not options.tables or any(part in p.stem for part in options.tables))
    if not files:
        raise SystemExit(f"no tables in {options.data}: set ISTHMUS_DATA, or give --data")
    for seed in range(0 if options.summary else options.seeds):
        jobs = [(path, seed, protocol, method) for path in files for protocol in options.protocol for method in options.methods]
        jobs = [job for job in jobs if "|".join((job[2], job[0].stem, job[3], str(seed))) not in found]
        run([job for job in jobs if not slow(job, found, options.seconds)], found, options)
    for protocol in options.protocol:
        summary(found, protocol, options.reference)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
