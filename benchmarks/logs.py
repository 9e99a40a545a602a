"""Logs: speed and grouping of the template miner, and how well strange sessions and windows are told from healthy ones.

    python benchmarks/logs.py --data FOLDER            # FOLDER holds the folder logs/
    python benchmarks/logs.py --data FOLDER --only hdfs --splits 20

parsing    Of each raw log: every line is in a record (lines = records, parsed or not, which is checked), lines a second from raw text to
           templates, peak memory of the miner, and agreement of the groups with drain3 where that is installed (on the same
           messages, with the same masks, and without any): grouping accuracy (the share of lines whose group is the same set of lines
           in both) and the adjusted Rand index. Lines of a log repeat each other once numbers are masked, and the miner remembers what it
           decided: --repeat 1 shows each line once.
hdfs       Session key sequences. Learned from 2,000 healthy sessions, threshold by cross-conformal p-values of the same sessions at
           --alpha; judged on the other 1,200 healthy ones and on the half of the anomalous sessions that took no part in choosing
           features. F1 at the true prevalence of 2.95 %: precision = pi TPR / (pi TPR + (1 - pi) FPR). The default --alpha was chosen among
           .0005, .001, .0015 and .002 with the other half, on the same healthy sessions. Peers: standardised log counts of keys (and our
           own features, where that is said) with the same five-fold thresholds; and a next-key model (the share of next keys that are not
           among the 9 most frequent after the last two keys, as DeepLog alarms, from counts instead of an LSTM).
bgl        BGL's 2,000 raw labelled lines in windows of 10; labels are the first words, which no model sees. Learned from half of the
           windows without an alert, judged on the rest: drawn at random, and the first half in time. A window is the anomaly if it has a
           line with an alert; judged are those of them, every other one, that took no part in choosing features; `lines found` is the share
           of their lines with an alert that lie in an alarm. Peers get our features.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.logs import Miner, read_log
from isthmus.data.logs.drain import mask
from isthmus.tasks.baselines import auroc, average_precision, fit_baselines
from isthmus.tasks.conformal import Conformal
from isthmus.tasks.log_watch import of_lines, of_sequence
from isthmus.tasks.logs import LogDetector

SYSTEMS = ("Apache", "BGL", "HDFS", "Linux", "OpenSSH", "Spark", "Thunderbird")
PREVALENCE = 0.0295
Floats = np.ndarray
Score = Callable[[Any], Floats]
FOLDS = 5


def grouping_accuracy(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    groups: list[dict[Hashable, set[int]]] = [defaultdict(set), defaultdict(set)]
    for i, pair in enumerate(zip(a, b)):
        for group, key in zip(groups, pair):
            group[key].add(i)
    return sum(len(lines) for lines in groups[0].values() if groups[1][b[next(iter(lines))]] == lines) / len(a)


def rand_index(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    pairs = [sum(v * (v - 1) / 2 for v in Counter(keys).values()) for keys in (list(zip(a, b)), a, b)]
    chance = pairs[1] * pairs[2] / (len(a) * (len(a) - 1) / 2)
    top, full = pairs[0] - chance, (pairs[1] + pairs[2]) / 2 - chance
    return top / full if full else 1.0


def timed(work: Callable[[], Any], rounds: int = 3) -> tuple[Any, float]:
    """Return what the work gives and the least seconds of some rounds."""
    best, found = float("inf"), None
    for _ in range(rounds):
        start = time.perf_counter()
        found = work()
        best = min(best, time.perf_counter() - start)
    return found, best


def peak(work: Callable[[], Any]) -> float:
    tracemalloc.start()
    kept = work()
    held = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    del kept
    return held


def ours(messages: list[str]) -> list[int]:
    miner = Miner()
    return [miner.add(message)[0] for message in messages]


def theirs(messages: list[str], masked: bool) -> list[int]:
    from drain3.drain import Drain

    drain = Drain()
    return [drain.add_log_message(mask(message) if masked else message)[0].cluster_id for message in messages]


def parsing(folder: Path, repeat: int) -> None:
    try:
        import drain3
    except ImportError:
        drain3 = None
    print(f"\nparsing: each log {repeat} times over; lines/s of the miner alone, and from the raw file to templates")
    print(f"{'log':12} {'format':12} {'unparsed':>8} {'templates':>9} {'miner/s':>9} {'file/s':>9} {'MB':>5}", end="")
    head = f" | drain3 {'masked/s':>9} {'plain/s':>9} {'MB':>5} {'templates':>9}  same groups: masked ARI, plain ARI"
    print(head if drain3 else " | drain3 is not installed")
    ratios: list[float] = []
    for system in SYSTEMS:
        path = folder / "logs" / f"{system}_2k.log"
        reading = read_log(path)
        once = [record.message for records, _ in reading for record in records]
        messages = once * repeat
        assert reading.parser.tally.lines == len(once) == 2000  # a line that is not parsed is a record, too
        keys, seconds = timed(lambda messages=messages: ours(messages))
        _, whole = timed(lambda path=path: ours([r.message for records, _ in read_log(path) for r in records]))
        unparsed = reading.parser.tally.counts["unparsed"]
        speeds = f"{len(messages) / seconds:9,.0f} {len(once) / whole:9,.0f} {peak(lambda messages=messages: ours(messages)):5.1f}"
        print(f"{system:12} {reading.parser.form.name:12} {unparsed:8} {len(set(keys)):9} {speeds}", end="")
        if drain3:
            (other, masked), (bare, plain) = (timed(lambda m=m, messages=messages: theirs(messages, m)) for m in (True, False))
            memory = peak(lambda messages=messages: theirs(messages, True))
            print(f" |        {len(messages) / masked:9,.0f} {len(messages) / plain:9,.0f} {memory:5.1f} {len(set(other)):9}", end="")
            ratios.append(masked / seconds)
            same = [f"{grouping_accuracy(keys, k):.3f} {rand_index(keys, k):.4f}" for k in (other, bare)]
            print(f"  {'   '.join(same)}", end="")
        print(flush=True)
    if ratios:
        print(f"the miner is {np.exp(np.mean(np.log(ratios))):.2f} times as fast as drain3 with the same masks (geometric mean over logs)")


def f1(true: float, false: float) -> float:
    hits, errors = PREVALENCE * true, (1 - PREVALENCE) * false
    precision = hits / (hits + errors) if hits else 0.0
    return 2 * precision * true / (precision + true) if hits else 0.0


def next_keys(sequences: list[list[int]], top: int = 9) -> Callable[[list[list[int]]], Floats]:
    after: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    for keys in sequences:
        for a, b, c in zip([-2, -1, *keys], [-1, *keys], [*keys, -3]):
            after[a, b][c] += 1
    best = {pair: {key for key, _ in counts.most_common(top)} for pair, counts in after.items()}

    def score(new: list[list[int]]) -> Floats:
        return np.array([sum(c not in best.get((a, b), ()) for a, b, c in zip([-2, -1, *k], [-1, *k], [*k, -3])) / len(k) for k in new])

    return score


def counts(sequences: list[list[int]], keys: list[int]) -> Floats:
    return np.log1p([[sequence.count(key) for key in keys] + [sum(k not in keys for k in sequence)] for sequence in sequences])


def fit_network(rows: Floats, seed: int) -> dict[str, Score]:
    """Return PyOD's autoencoder with its defaults, if it is installed."""
    try:
        from pyod.models.auto_encoder import AutoEncoder
    except ImportError:
        return {}
    model = AutoEncoder(random_state=seed, verbose=0, device="cpu")
    model.fit(rows)
    return {"PyOD AutoEncoder": model.decision_function}


def crossed(fit: Callable[[Any], dict[str, Score]], train: Any, new: Any, seed: int) -> dict[str, tuple[Floats, Floats]]:
    """Return scores (by the model of all) and cross-conformal p-values of new rows, for each peer that `fit` gives."""
    parts = np.array_split(np.random.default_rng(seed).permutation(len(train)), FOLDS)
    pick = (lambda at: train[at]) if isinstance(train, np.ndarray) else (lambda at: [train[i] for i in at])
    held: dict[str, list[Floats]] = defaultdict(list)
    judged: dict[str, list[Floats]] = defaultdict(list)
    for part in parts:
        for name, score in fit(pick(np.setdiff1d(np.arange(len(train)), part))).items():
            held[name].append(score(pick(part)))
            judged[name].append(score(new))
    fold = np.repeat(np.arange(FOLDS), list(map(len, parts)))
    return {name: (np.mean(judged[name], 0), Conformal.of(np.concatenate(held[name]), fold).p_values(judged[name])) for name in held}


def hdfs(folder: Path, splits: int, alpha: float) -> None:
    with gzip.open(folder / "logs" / "hdfs_key_sequences.jsonl.gz", "rt") as file:
        entries = [json.loads(line) for line in file]
    healthy, strange = ([e["keys"] for e in entries if e["anomaly"] == label] for label in (0, 1))
    strange = strange[1::2]
    found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(healthy))
        train, rest = ([healthy[i] for i in part] for part in (order[:2000], order[2000:]))
        for name, (scores, p, seconds) in judged_sessions(train, rest + strange, split).items():
            n = len(rest)
            true, false = float((p[n:] <= alpha).mean()), float((p[:n] <= alpha).mean())
            found[name].append((100 * auroc(scores[:n], scores[n:]), f1(true, false), true, false, seconds))
    print(f"\nhdfs: {splits} splits, 2,000 healthy sessions to learn from, alpha = {alpha:g}; mean +- spread over splits")
    for name, rows in found.items():
        mean, spread = np.mean(rows, 0), np.std(rows, 0)
        pooled = f1(mean[2], mean[3])
        print(
            f"{name:30} AUROC {mean[0]:6.2f} +- {spread[0]:.2f}   F1 {mean[1]:.3f} +- {spread[1]:.3f} (of the mean rates {pooled:.3f})"
            f"   found {100 * mean[2]:6.2f} %   false alarms {100 * mean[3]:.3f} %" + (f"   fit {mean[4]:.1f} s" if mean[4] else "")
        )
    best = max((name for name in found if name != "isthmus"), key=lambda name: np.mean(found[name], 0)[1])
    errors = [1 - np.mean(found[name], 0)[1] for name in ("isthmus", best)]
    print(f"1 - F1 of isthmus is {errors[0] / errors[1]:.2f} of that of the best peer ({best})")


def judged_sessions(train: list[list[int]], new: list[list[int]], seed: int) -> dict[str, tuple[Floats, Floats, float]]:
    start = time.perf_counter()
    detector = LogDetector.fit_sequences(train, seed=seed)
    seconds = time.perf_counter() - start
    verdicts = detector.score_sequences(new)
    found = {"isthmus": (np.array([v.score for v in verdicts]), np.array([v.p_value for v in verdicts]), seconds)}
    keys = sorted({key for sequence in train for key in sequence})
    raw = counts(train, keys)
    mean, spread = raw.mean(0), np.sqrt((np.square(raw - raw.mean(0)).sum(0) + np.log(2) ** 2) / (len(raw) + 1))
    plain = [((counts(part, keys) - mean) / spread).astype(np.float32) for part in (train, new)]
    fits = (lambda rows: fit_baselines(rows, seed) | fit_network(rows, seed), lambda rows: {"next of 9 keys": next_keys(rows)})
    for fit, tables in zip(fits, (plain, (train, new))):
        found |= {name: (*judged, 0.0) for name, judged in crossed(fit, *tables, seed).items()}
    own = [detector.features.rows(windows_of(detector, part), own=part is train) for part in (train, new)]
    found |= {f"{name}, our features": (*j, 0.0) for name, j in crossed(lambda rows: fit_baselines(rows, seed), *own, seed).items()}
    return found


def windows_of(detector: LogDetector, sequences: list[list[int]]) -> list[Any]:
    keys = replace(detector.keys)
    return [of_sequence(keys, sequence, "", learn=False) for sequence in sequences]


def bgl(folder: Path, size: int, splits: int, alpha: float) -> None:
    lines = (folder / "logs" / "BGL_2k.log").read_text().splitlines()
    groups = [lines[i : i + size] for i in range(0, len(lines), size)]
    alerts = np.array([sum(line.split()[0] != "-" for line in group) for group in groups])
    strange, healthy = np.flatnonzero(alerts), np.flatnonzero(alerts == 0)
    told = f"windows of {size} lines: {len(strange)} with (half of them judged), {len(healthy)} without; alpha = {alpha:g}"
    print(f"\nbgl: {int(alerts.sum())} lines with an alert; {told}")
    strange = strange[1::2]
    half = len(healthy) // 2
    drawn = [np.random.default_rng(split).permutation(healthy) for split in range(splits)]
    for told, orders in ((f"{splits} random splits", drawn), ("learned from the first half", [healthy])):
        found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for seed, order in enumerate(orders):
            train, rest = np.sort(order[:half]), np.sort(order[half:])
            at = np.r_[rest, strange]
            for name, (scores, p) in judged_groups([groups[i] for i in train], [groups[i] for i in at], seed).items():
                found[name].append(measured(scores, p, alerts[at], alpha))
        print(told)
        for name, rows in found.items():
            mean, spread = np.mean(rows, 0), np.std(rows, 0)
            print(
                f"  {name:18} AUROC {mean[0]:5.1f} +- {spread[0]:.1f}  AP {mean[1]:5.1f}  best F1 {mean[2]:.3f}  "
                f"at alpha: F1 {mean[3]:.3f} +- {spread[3]:.3f}  precision {mean[4]:.2f}  windows found {100 * mean[5]:.0f} %  "
                f"lines found {100 * mean[6]:.0f} %  false alarms {100 * mean[7]:.1f} %"
            )


def judged_groups(train: list[list[str]], new: list[list[str]], seed: int) -> dict[str, tuple[Floats, Floats]]:
    detector = LogDetector.fit_groups(train, seed=seed)
    verdicts = detector.score_groups(new)
    found = {"isthmus": (np.array([v.score for v in verdicts]), np.array([v.p_value for v in verdicts]))}
    watches = [detector.watch() for _ in range(2)]
    windows = [[of_lines(watch.keys, group, watch.parser, "", learn=False) for group in part] for watch, part in zip(watches, (train, new))]
    tables = [detector.features.rows(part, own=own) for part, own in zip(windows, (True, False))]
    found |= crossed(lambda rows: fit_baselines(rows, seed) | fit_network(rows, seed), *tables, seed)
    unseen = [detector.features.new_lines(part, own=own) for part, own in zip(windows, (True, False))]
    return found | {"unseen lines alone": (unseen[1], Conformal.of(unseen[0]).p_values(unseen[1]))}


def measured(scores: Floats, p: Floats, alerts: Floats, alpha: float) -> tuple[float, ...]:
    strange, alarm = alerts > 0, p <= alpha
    h, s = scores[~strange], scores[strange]
    best = max(2 * (s >= t).sum() / ((s >= t).sum() + (h >= t).sum() + len(s)) for t in np.unique(scores))
    hits, called = float((alarm & strange).sum()), float(alarm.sum())
    precision = hits / called if called else 0.0
    at = 2 * hits / (called + len(s))
    lines = float(alerts[alarm].sum() / alerts.sum())
    return 100 * auroc(h, s), 100 * average_precision(h, s), float(best), at, precision, hits / len(s), lines, float(alarm[~strange].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=("parsing", "hdfs", "bgl"))
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--alpha", type=float, default=0.001, help="of hdfs; 0.05 for the few windows of bgl")
    parser.add_argument("--repeat", type=int, default=10)
    chosen = parser.parse_args()
    if chosen.only in (None, "parsing"):
        parsing(chosen.data, chosen.repeat)
    if chosen.only in (None, "hdfs"):
        hdfs(chosen.data, chosen.splits, chosen.alpha)
    if chosen.only in (None, "bgl"):
        bgl(chosen.data, 10, 5, 0.05)


if __name__ == "__main__":
    main()
