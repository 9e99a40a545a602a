"""Anomalies in a log: which windows are unlike those of a healthy machine, how sure that is, and which lines say so."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus import __version__
from isthmus.artifact import files
from isthmus.data.logs import Format, Miner, Parser, Tally, find_format, read_log
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.tasks.conformal import Conformal, check_share
from isthmus.tasks.log_alarms import Cause, Verdict, strangest
from isthmus.tasks.log_features import EXTRAS, Features, Novelty
from isthmus.tasks.log_watch import Keys, Reservoir, Watch, of_lines, of_sequence
from isthmus.tasks.log_windows import END, START, Plan, Window

if TYPE_CHECKING:
    from isthmus.tasks.scorer import Scorer

FORMAT, VERSION = "isthmus log detector", 1
ALPHA = 0.01
LEAST = 5
MOST = 20_000
BLOCK = 512
WIDEST = 200  # characters of a template in a reason
CAUSES, WORTH = 5, 0.02  # reasons at most, and the least share of the strangeness that is worth one
Place = str | os.PathLike[str]
Array = NDArray[np.float64]


@dataclass(eq=False)
class LogDetector:
    """Knows the templates of a healthy log, what its windows look like, and how strange healthy windows get.

    Made by `fit`, `fit_sequences`, `fit_groups` or `load`.

    Attributes
    ----------
    plan : Plan
        How a log is cut into windows.
    form : Format or None
        Format of its lines; None for ready sequences.
    keys : Keys
        Templates of training.
    features : Features
    scorer : Scorer
    novelty : Novelty
        What new templates add to its score.
    calibration : Conformal
        Scores of training windows by models that have not seen them.
    facts : dict
        What is worth knowing, in plain JSON types.
    alpha : float
        The level of alarm where none is given.
    ranks : ndarray of shape (m,)
        Scores of the training windows by the models that have seen them, sorted: among these a window of training has its rank.

    Examples
    --------
    >>> healthy = [["open", "read", "close"], ["open", "read", "read", "close"]] * 20
    >>> detector = LogDetector.fit_sequences(healthy)
    >>> fine, strange = detector.score_sequences([["open", "read", "close"], ["open", "panic"]])
    >>> bool(strange.p_value < 0.05 < fine.p_value)
    True
    """

    plan: Plan
    form: Format | None
    keys: Keys
    features: Features
    scorer: Scorer
    novelty: Novelty
    calibration: Conformal
    facts: dict[str, Any]
    alpha: float = ALPHA
    ranks: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def fit(
        cls,
        logs: Place | Sequence[Place],
        plan: Plan | None = None,
        *,
        form: str | None = None,
        polluted: bool = False,
        seed: int = 0,
        alpha: float = ALPHA,
        most: int = MOST,
    ) -> LogDetector:
        """Learn from one log, or from several that follow one another.

        Parameters
        ----------
        logs : path or sequence of paths
            Plain, gzip or JSON lines; read once, as a stream.
        plan : Plan, optional
            How to cut it into windows; 100 lines each by default.
        form : str, optional
            Name of the format, or a regular expression; recognised by default.
        polluted : bool
            Whether the log may hold anomalies.
        seed : int
        alpha : float
            The level of alarm where none is given.
        most : int
            Windows to learn from at most; of more a random sample is taken.

        Returns
        -------
        LogDetector

        Raises
        ------
        DataError
            If a log cannot be read, or has too few windows.
        ConfigError
            If an argument is wrong.
        """
        check_share("alpha", alpha)
        plan, keys, kept = plan or Plan(), Keys(Miner()), Reservoir(most, seed)
        places = [logs] if isinstance(logs, (str, os.PathLike)) else list(logs)
        if not places:
            raise ConfigError("logs must name at least one file to learn from")
        watch: Watch | None = None
        for place in places:
            reading = read_log(place, form, watch.tally if watch else None)
            if watch is None:
                watch = Watch(keys, plan, reading.parser, learn=True)
            else:
                watch.parser.form = reading.parser.form
            reading.parser = watch.parser
            for records, _ in reading:
                kept.add(watch.feed(records))
        assert watch is not None
        kept.add(watch.windows.end())
        told = {"data": ", ".join(Path(place).name for place in places), "read": watch.tally.told()}
        return cls._learn(kept, (plan, watch.parser.form, keys), told, polluted, seed, alpha)

    @classmethod
    def fit_sequences(
        cls, sequences: Iterable[Sequence[object]], *, polluted: bool = False, seed: int = 0, alpha: float = ALPHA, most: int = MOST
    ) -> LogDetector:
        """Learn from sessions that are sequences of keys already.

        Parameters
        ----------
        sequences : iterable of sequences
            Keys of each session in their order, anything that has a text.
        polluted, seed, alpha, most
            As for `fit`.

        Returns
        -------
        LogDetector
        """
        keys, kept = Keys(Miner()), Reservoir(most, seed)
        for number, sequence in enumerate(sequences, 1):
            kept.add([of_sequence(keys, sequence, f"session {number}", learn=True)])
        return cls._learn(kept, (Plan("session"), None, keys), {"data": "sequences", "read": []}, polluted, seed, alpha)

    @classmethod
    def fit_groups(
        cls,
        groups: Iterable[Sequence[str]],
        *,
        form: str | None = None,
        polluted: bool = False,
        seed: int = 0,
        alpha: float = ALPHA,
        most: int = MOST,
    ) -> LogDetector:
        """Learn from lines that are grouped into windows already.

        Parameters
        ----------
        groups : iterable of sequences of str
            The lines of each window.
        form, polluted, seed, alpha, most
            As for `fit`.

        Returns
        -------
        LogDetector
        """
        keys, kept, parser = Keys(Miner()), Reservoir(most, seed), None
        for number, lines in enumerate(groups, 1):
            parser = parser or Parser(find_format(form, lines))
            kept.add([of_lines(keys, lines, parser, f"window {number}", learn=True)])
        tally = parser.tally if parser else Tally()
        return cls._learn(
            kept, (Plan(), parser and parser.form, keys), {"data": "groups of lines", "read": tally.told()}, polluted, seed, alpha
        )

    @classmethod
    def _learn(
        cls, kept: Reservoir, head: tuple[Plan, Format | None, Keys], told: dict[str, Any], polluted: bool, seed: int, alpha: float
    ) -> LogDetector:
        from isthmus.tasks.scorer import Scorer

        check_share("alpha", alpha)
        windows = kept.windows
        if len(windows) < LEAST:
            raise DataError(
                f"{told['data']} has only {len(windows)} whole windows of {head[0].told()}: give at least {LEAST}, better some hundred. "
                "Use smaller windows, or a longer log"
            )
        features = Features.fit(windows, kept.support, kept.seen + len(kept.partial))
        rows = features.rows(windows, own=True)
        scorer = Scorer.fit(rows, polluted=polluted, seed=seed)
        new = features.new_lines(windows, own=True)
        novelty = Novelty(np.sort(new))
        scores, fold = scorer.calibration
        calibration = Conformal.of(scores + novelty(new[scorer.held]), fold)
        facts = {"isthmus": __version__, "windows": kept.seen, "training windows": len(windows), "polluted": polluted, "seed": seed}
        ranks = np.sort(scorer.score(rows) + novelty(new)) if polluted else np.zeros(0)
        return cls(*head, features, scorer, novelty, calibration, {**told, **facts}, float(alpha), ranks)

    @property
    def fingerprint(self) -> str:
        """Tell this detector from others."""
        return hashlib.sha256(
            self.features.mean.tobytes() + self.features.spread.tobytes() + repr(self.calibration.folds).encode()
        ).hexdigest()

    def watch(self, parser: Parser | None = None) -> Watch:
        """Return what turns the lines of one log into windows, with templates of its own for what is new.

        Raises
        ------
        ConfigError
            If the detector learned from ready sequences.
        """
        if self.form is None:
            raise ConfigError("this detector learned from sequences of keys: give it such, not lines")
        return Watch(replace(self.keys, novel=Miner()), self.plan, parser or Parser(self.form))

    def scored(self, log: Place, alpha: float | None = None, own: bool = False, tally: Tally | None = None) -> Iterator[Verdict]:
        """Judge the windows of a log, as a stream.

        Parameters
        ----------
        log : path
        alpha : float, optional
            The level of alarm.
        own : bool
            Whether the detector learned from this very log: then what only one window has counts as new there.
        tally : Tally, optional
            Counts the lines.

        Yields
        ------
        Verdict
            One for each window, in the order in which they end.
        """
        form = self.form
        reading = read_log(log, None, tally)
        watch = self.watch(Parser(form, reading.parser.tally) if form else None)
        reading.parser = watch.parser
        held: list[Window] = []
        for records, _ in reading:
            held += watch.feed(records)
            while len(held) >= BLOCK:
                yield from self.judge(held[:BLOCK], watch.keys, alpha, own)
                held = held[BLOCK:]
        yield from self.judge(held + watch.windows.end(), watch.keys, alpha, own)

    def score_sequences(self, sequences: Iterable[Sequence[object]], alpha: float | None = None) -> list[Verdict]:
        """Judge sessions that are sequences of keys, one verdict each."""
        keys = replace(self.keys)
        windows = [of_sequence(keys, sequence, f"session {i}", learn=False) for i, sequence in enumerate(sequences, 1)]
        return self.judge(windows, keys, alpha)

    def score_groups(self, groups: Iterable[Sequence[str]], alpha: float | None = None) -> list[Verdict]:
        """Judge lines that are grouped into windows already, one verdict each."""
        watch = self.watch()
        windows = [of_lines(watch.keys, lines, watch.parser, f"window {i}", learn=False) for i, lines in enumerate(groups, 1)]
        return self.judge(windows, watch.keys, alpha)

    def judge(self, windows: Sequence[Window], keys: Keys, alpha: float | None = None, own: bool = False) -> list[Verdict]:
        """Judge windows whose templates are numbered by `keys`.

        Parameters
        ----------
        windows : sequence of Window
        keys : Keys
        alpha : float, optional
            The level of alarm, by default the detector's own; partial windows are judged, but raise no alarm.
        own : bool
            Whether these are windows of a polluted training: then the p-value is the share of those windows that are at least
            as strange, all scored by the models that have seen them.

        Returns
        -------
        list of Verdict

        Raises
        ------
        ConfigError
            If `own` is asked of a detector that was not fitted with ``polluted=True``.
        """
        level = check_share("alpha", self.alpha if alpha is None else alpha)
        if not windows:
            return []
        rows = self.features.rows(windows, own)
        new = self.novelty(self.features.new_lines(windows, own))
        scores = self.scorer.score_folds(rows) + new
        p_values = self._own_shares(scores.mean(0)) if own else self.calibration.p_values(scores)
        alarms = [i for i, window in enumerate(windows) if p_values[i] <= level and not window.partial]
        causes = dict(zip(alarms, self._causes(rows[alarms], new[alarms], [windows[i] for i in alarms], keys, own))) if alarms else {}
        mean = scores.mean(0)
        return [Verdict(w, float(mean[i]), float(p_values[i]), i in causes, causes.get(i, ())) for i, w in enumerate(windows)]

    def _own_shares(self, scores: Array) -> Array:
        if not len(self.ranks):
            raise ConfigError("own needs a detector that was fitted with polluted=True: the windows of training have no rank in this one")
        stranger = len(self.ranks) - np.searchsorted(self.ranks, scores)
        return np.maximum(stranger, 1) / len(self.ranks)

    def _causes(self, rows: NDArray[np.float32], new: Array, windows: Sequence[Window], keys: Keys, own: bool) -> list[tuple[Cause, ...]]:
        shares, expected = self.scorer.explain(rows)
        shares[:, len(self.features.columns) + list(EXTRAS).index("unseen")] += new
        shares /= np.maximum(shares.sum(1, keepdims=True), 1e-12)
        seen, usual = self.features.amounts(rows.astype(np.float64)).round(4), self.features.amounts(expected)
        return [self._why(shares[i], seen[i], usual[i], window, keys, own) for i, window in enumerate(windows)]

    def _why(self, shares: Array, seen: Array, usual: Array, window: Window, keys: Keys, own: bool) -> tuple[Cause, ...]:
        columns = self.features.columns
        found = [
            Cause(_named(keys, key), float(window.counts.get(key, 0)), float(usual[j]), float(shares[j]), (key,))
            for j, key in enumerate(columns)
        ]
        extra = {name: len(columns) + j for j, name in enumerate(EXTRAS)}
        found += self._rare(float(shares[extra["unseen"]] + shares[extra["rarity"]]), window, keys, own)
        found += self._order(float(shares[extra["order"]]), window, keys, own)
        for name in ("lines", "loosened", "duration"):
            place = extra[name]
            found.append(Cause(EXTRAS[name], float(seen[place]), float(usual[place]), float(shares[place])))
        return tuple(strangest(((cause.share, cause) for cause in found if cause.share >= WORTH), CAUSES))

    def _rare(self, share: float, window: Window, keys: Keys, own: bool) -> list[Cause]:
        """Return the templates without a column: each has a part of what is strange about them all."""
        rarities = {key: value for key, value in self.features.rarities(window, own).items() if not self.features.known(key)}
        total, new = sum(rarities.values()), set(self.features.unseen(window, own))
        return [
            Cause(
                f"{'never seen' if key in new else 'rare'}: {_named(keys, key)}",
                float(window.counts[key]),
                0.0,
                share * value / total,
                (key,),
            )
            for key, value in rarities.items()
            if total > 0
        ]

    def _order(self, share: float, window: Window, keys: Keys, own: bool) -> list[Cause]:
        """Return the most surprising transition as the cause of all that is unusual in the order of lines."""
        surprises = self.features.surprises(window, own)
        if not surprises:
            return []
        pair = max(surprises, key=lambda p: surprises[p])
        names = [{START: "the beginning", END: "the end"}.get(key) or _named(keys, key) for key in pair]
        usual = float(np.exp(-surprises[pair])) * sum(n for (a, _), n in window.pairs.items() if a == pair[0])
        about = tuple(key for key in pair if key not in (START, END))
        return [Cause(f"{names[0]} followed by {names[1]}", float(window.pairs[pair]), usual, share, about)]

    def save(self, path: Place) -> Path:
        """Write the folder `path`, whole or not at all.

        Raises
        ------
        ArtifactError
            If `path` is something else than a log detector, or cannot be written.
        """
        scorer, weights = self.scorer.state()
        entry = {
            "format": FORMAT,
            "version": VERSION,
            "plan": self.plan.state(),
            "form": self.form.state() if self.form else None,
            "miner": self.keys.miner.state(),
            "names": self.keys.names,
            "scorer": scorer,
            "facts": self.facts,
            "alpha": self.alpha,
        }
        tensors = {name: torch.from_numpy(np.array(values)) for name, values in weights.items()}  # pyright: ignore[reportUnknownMemberType]
        arrays: dict[str, NDArray[Any]] = {f"features.{name}": np.ascontiguousarray(v) for name, v in self.features.state().items()}
        arrays |= {"ranks": self.ranks, "novelty": self.novelty.known}
        arrays |= {f"calibration.{name}": scores for name, scores in self.calibration.state().items()}
        return files.write_folder(Path(path), entry, tensors, arrays, _card(self, Path(path)))

    @classmethod
    def load(cls, path: Place) -> LogDetector:
        """Open the folder `path`. Nothing in it can run code.

        Raises
        ------
        ArtifactError
            If the folder is missing, broken, from a newer version, or holds no log detector.
        """
        from isthmus.tasks.scorer import Scorer

        entry, tensors, arrays = files.read_folder(Path(path), FORMAT, VERSION)
        try:
            plan, form = Plan(**entry["plan"]), Format.from_state(entry["form"]) if entry["form"] else None
            names = {str(name): int(number) for name, number in cast("dict[str, Any]", entry["names"]).items()}
            features = Features.from_state(files.under("features.", arrays))
            scorer = Scorer.from_state(entry["scorer"], {name: tensor.numpy() for name, tensor in tensors.items()})
            if scorer.width != features.width:
                raise ConfigError("scorer and features have different widths")
            calibration = Conformal.from_state(files.under("calibration.", arrays))
            keys, alpha = Keys(Miner.from_state(entry["miner"]), names), check_share("alpha", entry["alpha"])
            novelty = Novelty(arrays["novelty"].astype(np.float64))
            return cls(plan, form, keys, features, scorer, novelty, calibration, dict(entry["facts"]), alpha, arrays["ranks"])
        except (ConfigError, DataError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise ArtifactError(f"{path}: config.json does not describe a log detector: {str(error)[:500]}") from error


def _named(keys: Keys, key: int) -> str:
    text = keys.text(key)
    return repr(text if len(text) <= WIDEST else f"{text[:WIDEST]}...")


def _card(detector: LogDetector, path: Path) -> str:
    facts = detector.facts
    return (
        f"# {path.name}\n\nAnomaly detector for logs cut into {detector.plan.told()}, fitted on {facts.get('training windows', 0):,} "
        f"windows of {facts.get('data', '')}, with {len(detector.keys.miner.templates) - 1:,} templates. "
        f"Made by isthmus {facts.get('isthmus', '')}.\n\nUse it with `isthmus detect --logs NEW.log --model {path.name}`, "
        f"or `isthmus.tasks.logs.LogDetector.load({str(path.name)!r})`.\n"
    )
