"""What is known of one fitted model on held-out rows: the figures and pictures that tables and reports show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


RANKS = ("best", "median", "worst")


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows that a model rebuilds best, in the middle and worst.

    Attributes
    ----------
    rows : array of int, shape (3, k)
        Their numbers in the data, for each of `RANKS`.
    errors : array of shape (3, k)
        Their errors, in the measure of `Evidence.errors`.
    originals, reconstructions : arrays of shape (3, k, H, W, C) or (3, k, c)
        Pictures, or cells of a table in the columns' own units.
    names : list of str
        Column names of a table; empty for pictures.
    """

    rows: Array
    errors: Array
    originals: Array
    reconstructions: Array
    names: list[str]


@dataclass(frozen=True, eq=False)
class Usage:
    """What the units of a code carry.

    Attributes
    ----------
    variance : array of shape (units,)
        Of the mean code over the rows.
    kl : array of shape (units,), optional
        Mean KL of each unit in nats, where the prior splits it by units.
    active : array of bool, shape (units,)
    correlation : array of shape (units, units)
        Of the mean codes; NaN where a unit does not vary.
    """

    variance: Array
    kl: Array | None
    active: Array
    correlation: Array

    @property
    def carried(self) -> Array:
        """KL of each unit where it is known, and its variance otherwise, shape (units,)."""
        return self.variance if self.kl is None else self.kl

    @property
    def measure(self) -> str:
        """What `carried` is."""
        return "variance" if self.kl is None else "KL (nats)"

    @property
    def order(self) -> Array:
        """Units, those that carry most first, shape (units,)."""
        return (-self.carried).argsort(kind="stable")

    @property
    def varying(self) -> Array:
        """Those of `order` whose mean codes differ from row to row."""
        return self.order[self.variance[self.order] > 0]


@dataclass
class Evidence:
    """Figures and arrays of one fitted model, ready to be shown. Pictures are float in [0, 1], shaped (..., H, W, C).

    Attributes
    ----------
    family : str
        Name of the family, such as ``"variational"``.
    title : str
        One line for people.
    facts : dict of str to str
        Choices and sizes worth showing: network, code width, likelihood, parameters, steps.
    metrics : dict of str to float
        Held-out figures by name; NaN where one does not apply.
    history : list of dict
        One row an evaluation: ``step``, ``epoch``, ``train``, ``held_out`` (loss, nats a row), ``seconds``, loss terms by name
        (``train_reconstruction``, ``held_out_kl`` ...).
    best_step : int
        Step whose weights were kept.
    codes : array of shape (n, latent)
    map : array of shape (n, 2)
        2-D map of the codes.
    labels : array of shape (n,), optional
        Known classes of the mapped rows (never used in training), or None.
    thumbnails : array of shape (n, H, W, C), optional
        Pictures of the mapped rows.
    originals, reconstructions : arrays of shape (k, H, W, C), optional
    noisy, denoised, clean : arrays of shape (k, H, W, C), optional
    samples : array of shape (k, H, W, C), optional
    interpolation : array of shape (rows, steps, H, W, C), optional
        Each row goes from one held-out picture's code to another's.
    columns : list of (str, float, float), optional
        For tables: column name, held-out root mean squared error in the column's own unit, R squared.
    sample_rows : tuple of (list of str, array (k, d)), optional
        For tables: column names and sampled rows.
    ranked : Ranked, optional
    usage : Usage, optional
    scores : array of shape (n,), optional
        Log likelihood of every measured row in nats (a lower bound for a variational model).
    errors : array of shape (n,), optional
        Squared error of every measured row, as `isthmus.tasks.closer.row_errors` counts it: alike for all models of the same data.
    traversal : array of shape (units, steps, H, W, C), optional
        What single units of the code do, the most used first.
    """

    family: str
    title: str
    facts: dict[str, str]
    metrics: dict[str, float]
    history: list[dict[str, float]]
    best_step: int
    codes: Array
    map: Array
    labels: Array | None = None
    thumbnails: Array | None = None
    originals: Array | None = None
    reconstructions: Array | None = None
    noisy: Array | None = None
    denoised: Array | None = None
    clean: Array | None = None
    samples: Array | None = None
    interpolation: Array | None = None
    columns: list[tuple[str, float, float]] | None = None
    sample_rows: tuple[list[str], Array] | None = None
    ranked: Ranked | None = None
    usage: Usage | None = None
    scores: Array | None = None
    errors: Array | None = None
    traversal: Array | None = None


@dataclass(frozen=True)
class Difference:
    """How far a model's figure of each row is from another model's of the same row.

    Attributes
    ----------
    name, reference : str
        Whose figures less whose.
    measure : str
        What is compared.
    lower_is_better : bool
    rows : int
    mean, low, high : float
        Mean difference, and its 95 % interval by Student's t.
    spread : float
        Standard deviation of the rows' differences.
    better : float
        Share of rows in which `name` is better, ties counted half.
    """

    name: str
    reference: str
    measure: str
    lower_is_better: bool
    rows: int
    mean: float
    low: float
    high: float
    spread: float
    better: float

    @property
    def verdict(self) -> str:
        """Which is better, as far as the interval can tell."""
        if self.low <= 0 <= self.high:
            return "no difference that the rows can show"
        return f"{self.name if (self.mean < 0) == self.lower_is_better else self.reference} is better"


@dataclass
class ReportData:
    """Everything one HTML report shows.

    Attributes
    ----------
    title, subtitle : str
    data : dict of str to str
        Facts about the data: name, rows, shape, split.
    baselines : dict of str to dict of str to float
        The same metrics for what needs no training of ours, such as raw pixels and PCA.
    models : list of Evidence
    commands : list of str
        Shell lines to go on with.
    schema : list of dict of str to object
        A line for each column of the data, or one for pictures.
    made : dict of str to str
        How the page came to be: the exact command, versions.
    differences : list of Difference
        Of models side by side, row by row.
    notes : list of str
        What the differences leave out, and why.
    """

    title: str
    subtitle: str
    data: dict[str, str]
    baselines: dict[str, dict[str, float]]
    models: list[Evidence]
    commands: list[str] = field(default_factory=list[str])
    schema: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    made: dict[str, str] = field(default_factory=dict[str, str])
    differences: list[Difference] = field(default_factory=list[Difference])
    notes: list[str] = field(default_factory=list[str])
