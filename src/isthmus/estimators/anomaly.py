"""Anomaly detection with scikit-learn's outlier interface."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin  # pyright: ignore[reportMissingTypeStubs]

from isthmus.data import Schema, Source, from_any
from isthmus.errors import ArtifactError, ConfigError
from isthmus.estimators.border import RandomState, check_columns, draw_seed, require_fitted
from isthmus.estimators.shown import Shown
from isthmus.tasks.conformal import check_share
from isthmus.tasks.detector import MOST, Detector, Scores
from isthmus.tasks.reasons import Reasons

Array = NDArray[Any]
_FACT = "estimator"


@dataclass(eq=False, repr=False)
class AnomalyDetector(Shown, OutlierMixin, BaseEstimator):
    """Anomalies: rows unlike those fitted on, with p-values that keep the false-alarm rate asked for, and with reasons.

    Parameters
    ----------
    polluted : bool, default=False
        Whether anomalies may be among the rows that `fit` is given: then what cannot be rebuilt well is left out while training.
    contamination : "auto" or float, default="auto"
        A share, at most 0.5, says how many of the rows fitted on are anomalies (so they are polluted); `predict` then calls this
        share of them so. With "auto" it goes by `alpha`.
    alpha : float, default=0.05
        Share of healthy rows that `predict` may call anomalies, where it is not given one itself.
    missingness : bool, default=False
        Whether it tells something that a value is missing.
    schema : Schema, optional
        What the columns are; by default what they look like.
    most : int, default=20000
        Rows to learn from at most; of more a random sample is taken.
    random_state : int, RandomState instance or None, default=0
        Decides everything random. None gives another result at each fit.

    Attributes
    ----------
    detector_ : Detector
        The fitted detector.
    offset_ : float
        ``decision_function`` is ``score_samples`` less this. With "auto" it is the score that a share `alpha` of the calibration
        rows falls below: rows scored by models that have not seen them.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names; only where X had some.

    Notes
    -----
    `predict` goes by the score, as scikit-learn asks for; ``predict(X, alpha=...)`` and `p_values` by its rank among the calibration
    rows, for which the rate is proven (see `isthmus.tasks.conformal`). Rows fitted on are no fresh ones: scores recognise them (of up
    to 2,000) and come from the models that have not seen them; their p-values are larger than those of rows like them.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from isthmus import AnomalyDetector
    >>> wine = load_wine(as_frame=True)
    >>> model = AnomalyDetector().fit(wine.data[wine.target == 0])
    >>> other = wine.data[wine.target == 2]
    >>> float((model.predict(other, alpha=0.05) == -1).mean()) > 0.9
    True
    """

    polluted: bool = False
    _: KW_ONLY
    contamination: float | Literal["auto"] = "auto"
    alpha: float = 0.05
    missingness: bool = False
    schema: Schema | None = None
    most: int = MOST
    random_state: RandomState = 0

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002
        """Learn what healthy rows look like.

        Parameters
        ----------
        X : array, tensor or frame of shape (n, d)
            NumPy, torch, pandas, polars, Arrow or nested lists; frames may hold categories, booleans, dates and gaps.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the data cannot be used, or are too few.
        ConfigError
            If a parameter is wrong.
        """
        share = _share(self.contamination)
        source = self._read(X, reset=True)
        self.detector_ = Detector.fit(
            source,
            polluted=bool(self.polluted) or share is not None,
            contamination=share,
            seed=draw_seed(self.random_state),
            schema=self.schema,
            missingness=self.missingness,
            alpha=self.alpha,
            most=self.most,
        )
        self.offset_ = self._auto_offset() if share is None else float(np.percentile(self._score(source), 100.0 * share))
        return self

    def _auto_offset(self) -> float:
        known = self.detector_.calibration
        limit = known.threshold(self.alpha)
        # Too few rows for this alpha: what is stranger than all of them.
        return -(limit if isfinite(limit) else max(float(scores[-1]) for scores in known.folds if len(scores)))

    def score_samples(self, X: Any) -> Array:
        """Return how healthy every row is: the higher, the more so. The same row gets the same score each time.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        ndarray of shape (n,)
        """
        return self._score(self._ready(X))

    def decision_function(self, X: Any) -> Array:
        """Return `score_samples` less `offset_`: negative for anomalies.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        ndarray of shape (n,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any, *, alpha: float | None = None, fdr: float | None = None) -> NDArray[np.int64]:
        """Return -1 for anomalies and 1 for all others.

        Parameters
        ----------
        X : as for `fit`
        alpha : float, optional
            Share of healthy rows that may be called anomalies, by p-values; by default `decision_function` decides.
        fdr : float, optional
            Share of false ones among the rows of this batch that are called anomalies (Benjamini-Hochberg), instead.

        Returns
        -------
        ndarray of int of shape (n,)

        Raises
        ------
        ConfigError
            If both are given, or one is not between 0 and 1.
        """
        if alpha is None and fdr is None:
            return np.where(self.decision_function(X) >= 0, 1, -1)
        return np.where(self._judged(X).alarms(alpha, fdr), -1, 1)

    def p_values(self, X: Any) -> Array:
        """Return the share of healthy rows that are at least as strange as each row.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        ndarray of shape (n,)
            Never below ``1 / (m + 1)`` for m calibration rows.
        """
        return self._judged(X).p_values

    def explain(self, X: Any, top: int = 3) -> list[Reasons]:
        """Say why each row is as strange as it is.

        Parameters
        ----------
        X : as for `fit`
        top : int, default=3
            Columns a row at most.

        Returns
        -------
        list of Reasons
            For each row the columns that made it strange, with what was observed and what was expected, and the nearest healthy row.
        """
        source = self._ready(X)
        return self.detector_.reasons(source, top=top)

    def save(self, path: str | Path) -> Path:
        """Write the fitted detector as a folder of text and tensors, without pickle.

        Parameters
        ----------
        path : path
            The folder.

        Returns
        -------
        Path

        Raises
        ------
        ArtifactError
            If something else lies there, or it cannot be written.
        """
        require_fitted(self, "detector_")
        kept = {"contamination": _plain(self.contamination), "offset": self.offset_, "named": hasattr(self, "feature_names_in_")}
        self.detector_.facts[_FACT] = kept
        return self.detector_.save(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Open a folder that `save` or ``isthmus detect --save`` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        AnomalyDetector
            Fitted.

        Raises
        ------
        ArtifactError
            If it cannot be opened.
        """
        detector = Detector.load(path)
        facts = detector.facts
        kept: dict[str, Any] = facts.get(_FACT) or {}
        try:
            model = cls(
                bool(facts["polluted"]),
                contamination=_plain(kept.get("contamination", "auto")),
                alpha=detector.alpha,
                missingness=detector.layout.missingness,
                random_state=int(facts["seed"]),
            )
            model.detector_ = detector
            model.offset_ = float(kept["offset"]) if "offset" in kept else model._auto_offset()
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path}: config.json does not describe a detector: {error}") from error
        learned: dict[str, Any] = {"n_features_in_": len(detector.columns)}
        if detector.layout.schema.columns and kept.get("named", True):
            learned["feature_names_in_"] = np.array(detector.layout.schema.columns, dtype=object)
        for name, value in learned.items():
            setattr(model, name, value)
        return model

    def __sklearn_tags__(self) -> Any:
        inherited: Any = super()
        tags = inherited.__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _read(self, X: Any, reset: bool = False) -> Source:
        source = from_any(X)
        check_columns(self, source.array if isinstance(X, Source) else X, reset=reset, flat=True)
        return source

    def _ready(self, X: Any) -> Source:
        require_fitted(self, "detector_")
        return self._read(X)

    def _judged(self, X: Any) -> Scores:
        source = self._ready(X)
        return self.detector_.score(source)

    def _score(self, source: Source) -> Array:
        return -self.detector_.own_scores(source)


def _share(contamination: Any) -> float | None:
    if isinstance(contamination, str) and contamination == "auto":
        return None
    if isinstance(contamination, str):
        raise ConfigError(f"contamination must be 'auto' or a share between 0 and 0.5, not {contamination!r}")
    return check_share("contamination", contamination)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else float(value)
