"""What is known of one fitted model on held-out rows: the figures and pictures that tables and reports show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


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
    """

    title: str
    subtitle: str
    data: dict[str, str]
    baselines: dict[str, dict[str, float]]
    models: list[Evidence]
    commands: list[str] = field(default_factory=list[str])
