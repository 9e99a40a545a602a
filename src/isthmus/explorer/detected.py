"""A fitted anomaly detector, explored: it has no code of its own, so its rows are laid out by their principal components."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from isthmus.data import Source
from isthmus.errors import ConfigError
from isthmus.explorer.contents import Contents
from isthmus.explorer.model import ranges
from isthmus.explorer.subject import Array, Floats, Rows, Subject
from isthmus.tasks.conformal import Conformal
from isthmus.tasks.detector import Detector, Scores
from isthmus.tasks.values import told

WIDEST = 16
Axes = tuple[Array, Array, Array]


def principal(values: Array, most: int) -> Axes:
    """Return mean, axes of shape (k, d) and variances of shape (k,) of the largest principal components, k at most `most`.

    Examples
    --------
    >>> principal(np.array([[0.0, 0.0], [2.0, 0.0]]), 1)[2].tolist()
    [1.0]
    """
    centre = values.mean(0, dtype=np.float64)
    covariance = np.cov(values, rowvar=False, bias=True).reshape(values.shape[1], -1)
    variances, vectors = np.linalg.eigh(covariance)
    order = np.argsort(-variances, kind="stable")[:most]
    axes = vectors[:, order].T
    axes = axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]  # eigenvectors have no sign
    return centre, axes, np.maximum(variances[order], 0.0)


class DetectorSubject(Subject):
    """An anomaly detector and rows of its table.

    Parameters
    ----------
    detector : Detector
    rows : Rows
    name : str
    """

    code_name: ClassVar[str] = "principal components of the scaled rows"

    def __init__(self, detector: Detector, rows: Rows, name: str = "detector") -> None:
        super().__init__(name, rows)
        self.detector = detector

    @property
    def family(self) -> str:
        """Name of the kind of model."""
        return "anomaly detector"

    def find_matrix(self) -> Array:
        """Return the rows in the data's own units, shape (n, c)."""
        return self.detector.layout.matrix(self.rows.source)

    def find_contents(self) -> Contents:
        """Return how rows are shown."""
        layout = self.detector.layout
        return Contents(layout.schema, ranges(layout.preprocessor, self.matrix))

    @cached_property
    def axes(self) -> Axes:
        """Mean, axes and variances of the principal components."""
        return principal(self.detector.layout.see(self.matrix).rows, WIDEST)

    def find_codes(self) -> Array:
        """Return the principal components of every row as the detector sees it."""
        centre, axes, _ = self.axes
        return (self.detector.layout.see(self.matrix).rows - centre) @ axes.T

    def carried(self) -> tuple[Array, str]:
        """Return the variance of each component."""
        return self.axes[2], "variance"

    def unit_names(self) -> list[str]:
        """Return what the components are called."""
        return [f"component {j + 1}" for j in range(self.width)]

    def decode(self, codes: Array, draw: bool = False, seed: int = 0) -> Array:  # noqa: ARG002
        """Return rows in the data's own units.

        Raises
        ------
        ConfigError
            If a draw is asked for: there is no distribution.
        """
        if draw:
            raise ConfigError("a detector has no distribution of rows to draw from: ask for the mean")
        centre, axes, _ = self.axes
        return self.detector.layout.restore(np.asarray(self.check(codes) @ axes + centre, np.float32))

    def rebuild(self, rows: list[int]) -> Array:
        """Return what the other columns let expect of each column, by healthy rows alike."""
        seen = self.detector.layout.see(self.matrix[rows])
        expected = self.detector.scorer.explain(seen.rows, seen.present)[1]
        return self.detector.layout.restore(np.asarray(expected, np.float32))

    def sample(self, count: int, seed: int) -> tuple[Array, str]:
        """Refuse: a detector draws no rows.

        Raises
        ------
        ConfigError
            Always.
        """
        del count, seed
        raise ConfigError("a detector has no density to draw rows from: fit a model for that, such as the family 'variational'")

    def strangeness(self, source: Source) -> Floats:
        """Return the detector's score."""
        return self.detector.score(source).scores

    @cached_property
    def p_all(self) -> Floats | None:
        """The p-value of every row: each fold's scores are compared with that fold's own."""
        return self._judged.p_values

    @cached_property
    def scores(self) -> Floats:
        """How strange every row is."""
        return self._judged.scores

    @cached_property
    def _judged(self) -> Scores:
        return self.detector.score(self.rows.source)

    def threshold(self) -> dict[str, Any]:
        """Return the score from which a row is an alarm at the detector's own level."""
        alpha = self.detector.alpha
        limit = self.detector.calibration.threshold(alpha)
        note = self.detector.calibration.doubt(alpha) or f"the detector's own level: one healthy row in {1 / alpha:,.0f} is an alarm"
        return {"threshold": limit if np.isfinite(limit) else None, "threshold_note": note}

    def find_calibration(self) -> Conformal | None:
        """Return the detector's calibration."""
        return self.detector.calibration

    def reasons(self, rows: list[int], top: int = 5) -> list[list[dict[str, Any]]]:
        """Return the columns that made each row strange."""
        found = self.detector.reasons(self.rows.source, rows, top)
        return [
            [{"column": c.column, "observed": told(c.observed), "expected": told(c.expected), "share": c.share} for c in each.causes]
            for each in found
        ]

    @property
    def draws(self) -> bool:
        """Whether the decoder gives a distribution: it does not."""
        return False

    @property
    def output(self) -> str:
        """Name of the decoder's distribution."""
        return "none"

    @property
    def score_told(self) -> str:
        """What the score is."""
        return "the detector's score: the higher, the stranger"
