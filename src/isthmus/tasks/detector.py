"""Anomalies in a table: which rows are unlike the healthy ones, how sure that is, and why."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus import __version__
from isthmus.artifact import files
from isthmus.data import Dataset, Schema, Source
from isthmus.data.checks import GapsError
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.tasks.conformal import Conformal, Mask, benjamini_hochberg, check_share
from isthmus.tasks.layout import Array, Floats, Layout, Seen
from isthmus.tasks.own_rows import OwnRows
from isthmus.tasks.reasons import Reasons, explain
from isthmus.tasks.scorer import Scorer

VERSION = 1
FORMAT = "isthmus detector"
ALPHA = 0.01
LEAST = 5
MOST = 20_000
REFERENCES = 2_000
BLOCK = 16_384
Watch = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Scores:
    """How strange rows are.

    Attributes
    ----------
    scores : ndarray of shape (n,), float64
        The higher, the stranger.
    p_values : ndarray of shape (n,), float64
        The share of healthy rows that are at least as strange.
    """

    scores: Floats
    p_values: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def alarms(self, alpha: float | None = None, fdr: float | None = None) -> Mask:
        """Return which rows are alarms.

        Parameters
        ----------
        alpha : float, optional
            Share of healthy rows that may be called alarms; 0.01 if `fdr` is not given either.
        fdr : float, optional
            Share of false ones among the alarms of this batch instead.

        Returns
        -------
        ndarray of bool of shape (n,)

        Raises
        ------
        ConfigError
            If both are given, or one is not between 0 and 1.
        """
        if fdr is None:
            return self.p_values <= check_share("alpha", ALPHA if alpha is None else alpha)
        if alpha is not None:
            raise ConfigError("give alpha or fdr, not both: alpha limits alarms among healthy rows, fdr false ones among alarms")
        return benjamini_hochberg(self.p_values, fdr)


@dataclass(eq=False)
class Detector:
    """A scorer of rows with all it needs to judge tables: columns, scaling, calibration, healthy rows to compare with.

    Made by `fit` or `load`.

    Attributes
    ----------
    layout : Layout
        Columns and their scaling.
    scorer : Scorer
    calibration : Conformal
        Scores of training rows by models that have not seen them.
    references : ndarray of shape (r, c)
        Some healthy rows, in the data's own units.
    facts : dict
        What is worth knowing, in plain JSON types: data, rows, notes.
    alpha : float
        The level of alarm where none is given.
    own : OwnRows, optional
        The rows fitted on, where each has a model that has not seen it: up to 2,000.
    training : Seen, optional
        The rows fitted on, as the scorer sees them; None after `load`.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from isthmus.data import from_any
    >>> wine = load_wine(as_frame=True)
    >>> healthy = from_any(wine.data[wine.target == 0])
    >>> detector = Detector.fit(healthy)
    >>> other = from_any(wine.data[wine.target == 2])
    >>> bool(detector.score(other).p_values.max() < 0.1)
    True
    """

    layout: Layout
    scorer: Scorer
    calibration: Conformal
    references: Array
    facts: dict[str, Any]
    alpha: float = ALPHA
    own: OwnRows | None = None
    training: Seen | None = None

    @classmethod
    def fit(
        cls,
        data: Source | Dataset,
        *,
        polluted: bool = False,
        contamination: float | None = None,
        seed: int = 0,
        schema: Schema | None = None,
        missingness: bool = False,
        alpha: float = ALPHA,
        most: int = MOST,
        watch: Callable[[int, int], None] | None = None,
    ) -> Detector:
        """Learn what healthy rows look like.

        Parameters
        ----------
        data : Source or Dataset
            Healthy rows, or mostly healthy ones with `polluted`.
        polluted : bool
            Whether anomalies may be among them: then what cannot be rebuilt well is left out while training.
        contamination : float, optional
            Share of anomalies among polluted rows, if it is known: so many of the strangest rows do not calibrate.
        seed : int
            Decides everything random.
        schema : Schema, optional
            What the columns are; by default what they look like.
        missingness : bool
            Whether it tells something that a value is missing.
        alpha : float
            The level of alarm where none is given.
        most : int
            Rows to learn from at most; of more a random sample is taken.
        watch : callable, optional
            Called with the number of training steps made, and of all.

        Returns
        -------
        Detector

        Raises
        ------
        DataError
            If there are too few rows, or the data cannot be used.
        ConfigError
            If an argument is wrong.
        """
        check_share("alpha", alpha)
        _check_contamination(polluted, contamination)
        _refuse_few(len(data), data.name)
        source = sample(data, most, seed)
        layout = Layout.fit(source, schema, missingness)
        matrix = layout.matrix(source)
        seen = layout.see(matrix)
        scorer = Scorer.fit(seen.rows, present=seen.present, polluted=polluted, contamination=contamination, seed=seed, watch=watch)
        facts = {
            "isthmus": __version__,
            "data": data.name,
            "rows": len(data),
            "training rows": len(source),
            "polluted": polluted,
            "contamination": contamination,
            "seed": seed,
            "notes": _notes(data, source, layout),
        }
        references = matrix[_healthy(scorer, seen, polluted, contamination, seed)]
        return cls(layout, scorer, _calibrate(scorer, polluted, contamination), references, facts, float(alpha), _own(scorer, seen), seen)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the data's columns."""
        return self.layout.columns

    def see(self, source: Source) -> Seen:
        """Return rows as the scorer sees them.

        Raises
        ------
        DataError
            If columns are missing or a value cannot be used.
        """
        return self.layout.see(self.layout.matrix(source))

    def score(self, data: Source | Dataset, watch: Watch | None = None) -> Scores:
        """Return score and p-value of every row.

        Parameters
        ----------
        data : Source or Dataset
            Of a dataset only the results are held in memory.
        watch : callable, optional
            Called with the number of rows done.

        Returns
        -------
        Scores
        """
        found = [scores for _, scores in self.scored(data, watch)]
        if not found:
            return Scores(np.empty(0), np.empty(0))
        return Scores(np.concatenate([part.scores for part in found]), np.concatenate([part.p_values for part in found]))

    def scored(self, data: Source | Dataset, watch: Watch | None = None) -> Generator[tuple[Source, Scores]]:
        """Yield rows in blocks, in their order, each with its scores.

        Parameters
        ----------
        data : Source or Dataset
        watch : callable, optional
            Called with the number of rows done.

        Yields
        ------
        Source
            The next rows.
        Scores
            Theirs.
        """
        done = 0
        for block in blocks(data):
            seen = self.see(block)
            yield block, self.judge(seen)
            done += len(block)
            if watch:
                watch(done)

    def judge(self, seen: Seen) -> Scores:
        """Return score and p-value of rows as the scorer sees them."""
        folds = self.scorer.score_folds(seen.rows, seen.present)
        return Scores(folds.mean(0), self.calibration.p_values(folds))

    def own_scores(self, data: Source) -> Floats:
        """Return the score of every row, shape (n,); that of a row fitted on (of up to 2,000) by the models that have not seen it."""
        found: list[Floats] = [np.empty(0)]
        for block in blocks(data):
            seen = self.see(block)
            scores = self.judge(seen).scores
            found.append(scores if self.own is None else self.own.replaced(seen, scores))
        return np.concatenate(found)

    def p_values(self, data: Source | Dataset) -> Floats:
        """Return the p-value of every row, shape (n,): the share of healthy rows that are at least as strange."""
        return self.score(data).p_values

    def alarms(self, data: Source | Dataset, alpha: float | None = None, fdr: float | None = None) -> Mask:
        """Return which rows are alarms; parameters and errors as for `Scores.alarms`, by default at the detector's own `alpha`."""
        return self.score(data).alarms(self.alpha if alpha is None and fdr is None else alpha, fdr)

    def reasons(self, data: Source | Dataset, rows: Sequence[int] | Array | None = None, top: int = 3) -> list[Reasons]:
        """Say why rows are strange.

        Parameters
        ----------
        data : Source or Dataset
        rows : sequence of int, optional
            Which rows; all by default.
        top : int
            How many columns at most for each.

        Returns
        -------
        list of Reasons
            One for each row, in the order of `rows`.

        Raises
        ------
        ConfigError
            If a row is not there, or `top` is below 1.
        """
        chosen = np.arange(len(data)) if rows is None else np.asarray(rows, np.int64)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(data):
            raise ConfigError(f"rows must lie within the {len(data):,} rows of {data.name}, not {chosen.min()} to {chosen.max()}")
        if top < 1:
            raise ConfigError(f"top must be at least 1, not {top!r}")
        found: list[Reasons] = []
        for start in range(0, len(chosen), BLOCK):
            part = chosen[start : start + BLOCK]
            found += explain(self.layout, self.scorer, self.references, take(data, part), part, top)
        return found

    def save(self, path: str | Path) -> Path:
        """Write the folder `path`, whole or not at all.

        The folder holds a sample of the healthy rows as they are, to compare others with.

        Raises
        ------
        ArtifactError
            If `path` is something else than a detector, or cannot be written.
        """
        scorer, weights = self.scorer.state()
        layout, arrays = self.layout.state()
        entry = {"format": FORMAT, "version": VERSION, "layout": layout, "scorer": scorer, "facts": self.facts, "alpha": self.alpha}
        tensors = {name: torch.from_numpy(np.array(values)) for name, values in weights.items()}  # pyright: ignore[reportUnknownMemberType]
        kept = {f"layout.{name}": np.ascontiguousarray(values) for name, values in arrays.items()}
        folds = {f"calibration.{name}": scores for name, scores in self.calibration.state().items()}
        place, rest = Path(path), {"references": np.ascontiguousarray(self.references)}
        if self.own is not None:
            rest |= {"own.keys": self.own.keys, "own.scores": self.own.scores}
        return files.write_folder(place, entry, tensors, {**kept, **folds, **rest}, _card(self, place))

    @classmethod
    def load(cls, path: str | Path) -> Detector:
        """Open the folder `path`. Nothing in it can run code.

        Raises
        ------
        ArtifactError
            If the folder is missing, broken, from a newer version, or holds no detector.
        """
        place = Path(path)
        try:
            entry, tensors, arrays = files.read_folder(place, FORMAT, VERSION)
        except ArtifactError as error:
            raise ArtifactError(f"{error}. Detectors are written by Detector.save or `isthmus detect --save`") from error
        try:
            layout = Layout.from_state(entry["layout"], files.under("layout.", arrays))
            scorer = Scorer.from_state(entry["scorer"], {name: tensor.numpy() for name, tensor in tensors.items()})
            references = arrays["references"]
            if references.shape[1:] != (len(layout.columns),):
                raise ConfigError("the healthy rows have other columns than the schema")
            alpha, own = check_share("alpha", entry["alpha"]), files.under("own.", arrays)
            calibration = Conformal.from_state(files.under("calibration.", arrays))
            return cls(layout, scorer, calibration, references, dict(entry["facts"]), alpha, OwnRows(**own) if own else None)
        except (ConfigError, DataError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise ArtifactError(f"{path}: config.json does not describe a detector: {str(error)[:500]}") from error


def blocks(data: Source | Dataset) -> Generator[Source]:
    """Yield rows in their order, in blocks that fit the caches."""
    if isinstance(data, Source):
        yield from (data.take(slice(start, start + BLOCK)) for start in range(0, len(data), BLOCK))
        return
    done = 0
    try:
        for block in data.blocks(BLOCK):
            yield block
            done += len(block)
    except GapsError:
        if data.with_gaps() is data:
            raise
        yield from data.with_gaps().blocks(BLOCK, done)


def take(data: Source | Dataset, rows: Array) -> Source:
    """Return rows in any order, in memory."""
    if isinstance(data, Source):
        return data.take(rows)
    unique, places = np.unique(rows, return_inverse=True)
    try:
        return data.take(unique).take(places)
    except GapsError:
        if data.with_gaps() is data:
            raise
        return data.with_gaps().take(unique).take(places)


def sample(data: Source | Dataset, most: int, seed: int) -> Source:
    """Return all rows, or a random sample of `most` of them in their order.

    Raises
    ------
    ConfigError
        If `most` is too few to learn from.
    """
    if most < LEAST:
        raise ConfigError(f"most must be at least {LEAST} rows, not {most!r}")
    if isinstance(data, Source) and len(data) <= most:
        return data
    rng = np.random.default_rng(seed)
    rows = np.arange(len(data)) if len(data) <= most else np.sort(rng.choice(len(data), most, replace=False, shuffle=False))
    return take(data, rows)


def _check_contamination(polluted: bool, contamination: float | None) -> None:
    if contamination is None:
        return
    if not polluted:
        raise ConfigError("contamination is the share of anomalies among polluted rows: give polluted=True too, or leave it out")
    if check_share("contamination", contamination) >= 0.5:
        raise ConfigError(f"contamination must be below 0.5, not {contamination!r}: what most rows are is not strange")


def _refuse_few(rows: int, name: str) -> None:
    if rows < LEAST:
        many = "1 sample" if rows == 1 else f"{rows} rows"
        raise DataError(f"{name} has only {many}: give at least {LEAST} healthy rows, better some hundred")


def _notes(data: Source | Dataset, source: Source, layout: Layout) -> list[str]:
    notes = [*data.notes, *layout.preprocessor.notes, *layout.notes]
    if len(source) < len(data):
        notes.append(f"learned from a random sample of {len(source):,} of the {len(data):,} rows")
    return list(dict.fromkeys(notes))


def _calibrate(scorer: Scorer, polluted: bool, contamination: float | None) -> Conformal:
    """Return the calibration, without the strangest rows of a polluted fit as far as their share is known."""
    scores, fold = scorer.calibration
    keep = len(scores)
    if polluted and contamination is not None:
        keep = max(1, len(scores) - round(contamination * len(scores)))
    kept = np.sort(np.argsort(scores, kind="stable")[:keep])
    return Conformal(tuple(np.sort(scores[kept][fold[kept] == k]) for k in range(int(fold.max()) + 1)))


def _own(scorer: Scorer, seen: Seen) -> OwnRows | None:
    """Return the score of each row by the fold that has not seen it, where every row has one."""
    scores, fold = scorer.calibration
    if len(np.unique(fold)) < 2:
        return None
    return OwnRows.of(seen, scores[np.argsort(scorer.held)])


def _healthy(scorer: Scorer, seen: Seen, polluted: bool, contamination: float | None, seed: int) -> NDArray[np.int64]:
    """Return positions of healthy rows to compare others with: random ones, without the strangest of a polluted fit."""
    rng = np.random.default_rng(seed)
    count = len(seen)
    rows = np.sort(rng.choice(count, min(count, 2 * REFERENCES), replace=False))
    if polluted:
        scores = np.concatenate(
            [scorer.score(part.rows, part.present) for part in (seen.take(rows[i : i + BLOCK]) for i in range(0, len(rows), BLOCK))]
        )
        healthy = max(1, len(rows) - round((0.1 if contamination is None else contamination) * len(rows)))
        rows = rows[np.argsort(scores, kind="stable")[:healthy]]
    return np.sort(rng.permutation(rows)[:REFERENCES])


def _card(detector: Detector, path: Path) -> str:
    facts = detector.facts
    lines = [
        f"# {path.name}",
        "",
        f"Anomaly detector for tables of {len(detector.columns)} columns, fitted on {facts.get('training rows', 0):,} rows of "
        f"{facts.get('data', '')}, calibrated on {detector.calibration.rows:,} rows that the scoring models have not seen. "
        f"Made by isthmus {facts.get('isthmus', '')}. It holds {len(detector.references):,} of the rows as they are.",
        "",
        f"Use it with `isthmus detect --model {path.name} NEW.csv`, or `isthmus.tasks.detector.Detector.load({str(path.name)!r})`.",
    ]
    return "\n".join(lines) + "\n"
