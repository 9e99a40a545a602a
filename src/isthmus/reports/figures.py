"""The figures of a report for Matplotlib: each function returns a figure, which can be changed, shown or saved.

They need the extra ``figures``. Nothing of Matplotlib is changed for the process: figures are made without its pyplot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data import Provenance
from isthmus.data.provenance import png_info
from isthmus.errors import ConfigError, DataError
from isthmus.extras import require
from isthmus.files import atomic_path
from isthmus.reports import scatter
from isthmus.reports.closer import heat
from isthmus.reports.pictures import to_bytes
from isthmus.tasks.evidence import RANKS, Difference, Evidence, Ranked, Usage

Array = NDArray[Any]
Figure = Any  # matplotlib.figure.Figure

PAPER, INK, MUTED, LINE, ACCENT, WARM, GREY = "#fbfaf7", "#1c2127", "#646c75", "#e4e2dc", "#0b7a75", "#d1632a", "#c3c1bb"
COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#5fbfcf")
ENDINGS = (".png", ".svg", ".pdf")
DPI = 150
MADE_UP = ("reconstructions", "samples", "interpolation", "traversal")
SHOWN_UNITS, SHOWN_COLUMNS, SHOWN_CLASSES = 40, 30, 20


def _figure(width: float, height: float, title: str) -> Figure:
    made = require("matplotlib.figure", "figures", "figures").Figure(figsize=(width, height), facecolor=PAPER, layout="constrained")
    if title:
        made.suptitle(title, color=INK, fontsize=12, fontweight="bold", x=0.02, ha="left")
    return made


def _axes(figure: Figure, *place: int, across: str = "", up: str = "") -> Any:
    axes = figure.add_subplot(*place)
    axes.set_facecolor("white")
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.set_xlabel(across, color=MUTED, fontsize=10)
    axes.set_ylabel(up, color=MUTED, fontsize=10)
    return axes


def _sized(count: int) -> tuple[int, int]:
    columns = min(count, max(4, int(np.ceil(np.sqrt(1.5 * count)))))
    return -(-count // columns), columns


def _show(axes: Any, picture: Array) -> None:
    pixels = to_bytes(picture)
    axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _sheet(pictures: Array, titles: Sequence[str], title: str) -> Figure:
    """Lay out pictures of shape (lines, columns, H, W, C), each line with its name."""
    lines, columns = pictures.shape[:2]
    ratio = pictures.shape[2] / pictures.shape[3]
    made = _figure(0.9 * columns + 1.6, 0.9 * ratio * lines + 0.6, title)
    grid = made.subplots(lines, columns, squeeze=False)
    for i in range(lines):
        for j in range(columns):
            _show(grid[i][j], pictures[i, j])
        if i < len(titles):
            grid[i][0].set_ylabel(titles[i], color=MUTED, fontsize=9, rotation=0, ha="right", va="center")
    return made


def curves(history: Sequence[Mapping[str, float]], best_step: int | None = None, title: str = "Learning curves") -> Figure:
    """Draw the losses of a training.

    Parameters
    ----------
    history : sequence of mapping
        A `History`, or its rows.
    best_step : int, optional
        The step whose weights were kept.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> rows = [{"step": 1.0, "train": 3.0, "held_out": 3.1}, {"step": 2.0, "train": 2.0, "held_out": 2.5}]
    >>> [line.get_label() for line in curves(rows).axes[0].lines]
    ['train', 'held out']
    """
    made = _figure(6.4, 4, title)
    axes = _axes(made, 111, across="step", up="nats per row")
    steps = [row.get("step", float(i)) for i, row in enumerate(history)]
    lowest, highest = np.inf, -np.inf
    for name, colour in (("train", WARM), ("held_out", ACCENT)):
        values = np.array([row.get(name, np.nan) for row in history], np.float64)
        if np.isfinite(values).any():
            axes.plot(steps, values, color=colour, linewidth=1.8, label=name.replace("_", " "))
            lowest, highest = min(lowest, float(np.nanmin(values))), max(highest, float(np.nanmax(values)))
    if lowest > 0 and highest / lowest > 10:
        axes.set_yscale("log")
    if best_step is not None:
        axes.axvline(best_step, color=MUTED, linestyle=":", linewidth=1, label=f"_kept: step {best_step:,}")
    if axes.lines:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    return made


def reconstructions(found: Ranked, title: str = "Best, median and worst") -> Figure:
    """Draw the rows that come back best, in the middle and worst, each above what comes back.

    Parameters
    ----------
    found : Ranked
        Of pictures, or of a table: then a bar for each column of the first row of each rank, in the column's own unit.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    if found.originals.ndim < 4:
        return _cells(found, title)
    lines = np.stack([part[i] for i in range(3) for part in (found.originals, found.reconstructions)])
    told = [name for i, rank in enumerate(RANKS) for name in (f"{rank}\nerror {found.errors[i].mean():.3g}", "comes back as")]
    return _sheet(lines, told, title)


def _cells(found: Ranked, title: str) -> Figure:
    made = _figure(8, 1.2 + 0.26 * min(SHOWN_COLUMNS, len(found.names)), title)
    for i, rank in enumerate(RANKS):
        axes = _axes(made, 1, 3, i + 1)
        axes.set_title(f"{rank}, error {float(found.errors[i, 0]):.3g}", color=MUTED, fontsize=10)
        axes.set_axis_off()
        names = found.names[:SHOWN_COLUMNS]
        for j, name in enumerate(names):
            y = 1 - (j + 0.5) / len(names)
            told = f"{_told(found.originals[i, 0, j])} -> {_told(found.reconstructions[i, 0, j])}"
            axes.text(0, y, f"{name[:18]}: {told}", transform=axes.transAxes, fontsize=8, color=INK, va="center")
    return made


def _told(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:12]


def code_usage(found: Usage, title: str = "What the code carries") -> Figure:
    """Draw what each unit of a code carries, the most used first; units that do not change are grey.

    Parameters
    ----------
    found : Usage
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    made = _figure(6.4, 3.6, title)
    axes = _axes(made, 111, across="unit of the code", up=found.measure)
    order = found.order[:SHOWN_UNITS]
    axes.bar(range(len(order)), found.carried[order], color=[ACCENT if found.active[unit] else GREY for unit in order])
    axes.set_xticks(range(len(order)), [str(unit) for unit in order], fontsize=8 if len(order) < 25 else 6)
    return made


def correlation(found: Usage, title: str = "Correlation of the units") -> Figure:
    """Draw how far units of a code go together, in the order of `code_usage`.

    Parameters
    ----------
    found : Usage
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    made = _figure(4.6, 4.4, title)
    axes = _axes(made, 111, across="unit of the code")
    order = found.varying[:SHOWN_UNITS]
    axes.imshow(heat(found.correlation[np.ix_(order, order)]), interpolation="nearest")
    for ticks in (axes.set_xticks, axes.set_yticks):
        ticks(range(len(order)), [str(unit) for unit in order], fontsize=8 if len(order) < 25 else 5)
    return made


def code_map(points: Array, labels: Array | None = None, title: str = "Map of the code") -> Figure:
    """Draw a 2-D map of codes.

    Parameters
    ----------
    points : array of shape (n, 2)
    labels : array of shape (n,), optional
        Known classes, by which the points are coloured.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the points are not two-dimensional.
    """
    places = np.asarray(points)
    if places.ndim != 2 or places.shape[1] != 2:
        raise DataError(f"a map needs points of shape (n, 2), not {places.shape}: use isthmus.tasks.examine.map_codes first")
    made = _figure(5.6, 5.2, title)
    axes = _axes(made, 111)
    known = scatter.classes(labels, len(places))
    size = float(np.clip(6000 / max(1, len(places)), 2, 18))
    for group in map(int, np.unique(known.of)):
        name = known.names[group] if group >= 0 else "no label"
        colour = COLOURS[group % len(COLOURS)] if group >= 0 else (GREY if known.names else ACCENT)
        chosen = places[known.of == group]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=size, color=colour, linewidths=0, label=name)
    axes.set_xticks([])
    axes.set_yticks([])
    if 0 < len(known.names) <= SHOWN_CLASSES:
        axes.legend(frameon=False, labelcolor=INK, fontsize=8, markerscale=1.6, loc="center left", bbox_to_anchor=(1, 0.5))
    return made


def samples(pictures: Array, title: str = "New samples") -> Figure:
    """Draw pictures side by side.

    Parameters
    ----------
    pictures : array of shape (n, H, W, C)
        Floats in [0, 1], or 8-bit.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    lines, columns = _sized(len(pictures))
    blank = np.ones((lines * columns - len(pictures), *pictures.shape[1:]), pictures.dtype) * (255 if pictures.dtype == np.uint8 else 1)
    whole = np.concatenate([pictures, blank]) if len(blank) else pictures
    return _sheet(whole.reshape(lines, columns, *pictures.shape[1:]), (), title)


def interpolation(pictures: Array, title: str = "From one picture to another") -> Figure:
    """Draw paths from picture to picture.

    Parameters
    ----------
    pictures : array of shape (paths, steps, H, W, C)
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _sheet(pictures, (), title)


def traversal(pictures: Array, units: Sequence[int] = (), title: str = "What single units do") -> Figure:
    """Draw what units of the code do, a line for each.

    Parameters
    ----------
    pictures : array of shape (units, steps, H, W, C)
        As `isthmus.tasks.space.traverse` gives them.
    units : sequence of int, optional
        Their numbers.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _sheet(pictures, [f"unit {unit}" for unit in units], title)


def score_distribution(
    values: Array, across: str = "log likelihood, nats", threshold: float | None = None, title: str = "Scores"
) -> Figure:
    """Draw how scores are spread over rows.

    Parameters
    ----------
    values : array of shape (n,)
    across : str
        What they are.
    threshold : float, optional
        A line to draw.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    made = _figure(6.4, 3.6, title)
    axes = _axes(made, 111, across=across, up="rows")
    there = np.asarray(values, np.float64)[np.isfinite(values)]
    axes.hist(there, bins=int(np.clip(np.sqrt(len(there)), 5, 60)), color=ACCENT)
    axes.axvline(float(np.median(there)), color=INK, linestyle=":", linewidth=1)
    if threshold is not None:
        axes.axvline(threshold, color=WARM, linewidth=1.5)
    return made


def column_errors(columns: Sequence[tuple[str, float, float]], title: str = "How well each column comes back") -> Figure:
    """Draw the share of each column's variance that comes back, the worst above.

    Parameters
    ----------
    columns : sequence of (str, float, float)
        Name, error, share explained, as `Evidence.columns`.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    ordered = sorted((found for found in columns if np.isfinite(found[2])), key=lambda found: -found[2])[-SHOWN_COLUMNS:]
    made = _figure(6.4, 1.2 + 0.24 * len(ordered), title)
    axes = _axes(made, 111, across="share explained")
    axes.barh(range(len(ordered)), [max(0.0, found[2]) for found in ordered], color=ACCENT)
    axes.set_yticks(range(len(ordered)), [found[0][:28] for found in ordered])
    axes.set_xlim(0, 1)
    return made


def differences(found: Sequence[Difference], title: str = "Row by row") -> Figure:
    """Draw mean paired differences with their 95 % intervals.

    Parameters
    ----------
    found : sequence of Difference
        Of one measure.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ConfigError
        If there is none, or they are of several measures.
    """
    measures = {each.measure for each in found}
    if len(measures) != 1:
        raise ConfigError(f"differences of one measure can stand on one axis, not of {len(measures)}")
    made = _figure(6.4, 1.4 + 0.4 * len(found), title)
    axes = _axes(made, 111, across=f"difference of the {found[0].measure}")
    means = np.array([each.mean for each in found])
    reach = np.array([[each.mean - each.low, each.high - each.mean] for each in found]).T
    axes.errorbar(means, range(len(found)), xerr=reach, fmt="o", color=ACCENT, ecolor=ACCENT, capsize=3)
    axes.axvline(0, color=MUTED, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(found)), [f"{each.name} less {each.reference}" for each in found])
    axes.set_ylim(-0.6, len(found) - 0.4)
    return made


def of(evidence: Evidence) -> dict[str, Figure]:
    """Return all figures that a model's evidence has something for.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        By a name that can be a file's.
    """
    found: dict[str, Figure] = {}
    if len(evidence.history) > 1:
        found["curves"] = curves(evidence.history, evidence.best_step)
    if evidence.ranked is not None and evidence.ranked.rows.size:
        found["reconstructions"] = reconstructions(evidence.ranked)
    if evidence.usage is not None and evidence.usage.variance.size:
        found["code-usage"] = code_usage(evidence.usage)
        found |= {"correlation": correlation(evidence.usage)} if len(evidence.usage.varying) else {}
    if evidence.map.size:
        found["map"] = code_map(evidence.map, evidence.labels)
    if evidence.columns:
        found["columns"] = column_errors(evidence.columns)
    for name, values, told in (("scores", evidence.scores, "log likelihood, nats"), ("errors", evidence.errors, "error of a row")):
        if values is not None and np.isfinite(values).any():
            found[name] = score_distribution(values, told, title=name.capitalize())
    return {**found, **_made_up(evidence)}


def _made_up(evidence: Evidence) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    if evidence.samples is not None and evidence.samples.size:
        found["samples"] = samples(evidence.samples)
    if evidence.interpolation is not None and evidence.interpolation.size:
        found["interpolation"] = interpolation(evidence.interpolation)
    if evidence.traversal is not None and evidence.traversal.size:
        order: list[int] = [] if evidence.usage is None else evidence.usage.order.tolist()
        found["traversal"] = traversal(evidence.traversal, order[: len(evidence.traversal)])
    return found


def save(figure: Figure, path: str | Path, provenance: Provenance | None = None) -> Path:
    """Write a figure, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or Path
        Its ending decides: .png, .svg or .pdf.
    provenance : Provenance, optional
        What a PNG's metadata say of pictures in it that a model made.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        If the ending is another.
    DataError
        If the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in ENDINGS:
        raise ConfigError(f"a figure's file must end in one of {', '.join(ENDINGS)}, not {target.name!r}")
    # Without a date and random names the same figure gives the same file.
    kept: dict[str, Any] = (
        {"pil_kwargs": {"pnginfo": png_info(provenance.to_xmp())}} if provenance and target.suffix.lower() == ".png" else {}
    )
    metadata: dict[str, Any] = (
        {} if target.suffix.lower() == ".png" else {"Date" if target.suffix.lower() == ".svg" else "CreationDate": None}
    )
    with require("matplotlib", "figures", "figures").rc_context({"svg.hashsalt": "isthmus"}), atomic_path(target) as beside:
        figure.savefig(beside, dpi=DPI, metadata=metadata, facecolor=figure.get_facecolor(), **kept)
    return target
