"""Run every experiment of tests/claims and write ``docs/claims.rst`` with its figures: ``python docs/make_claims.py``.

It takes some minutes. The two experiments on larger pictures need the folder named by ``ISTHMUS_DATA``.
"""

from __future__ import annotations

import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "claims"), str(HERE.parent / "src")]

import experiments as e  # noqa: E402

Array = NDArray[Any]
FIGURES = HERE / "figures"
BLUE, ORANGE, GREY = "#2a6fbb", "#d9782d", "#9aa3ad"
HEAD = """
.. Written by make_claims.py; change that, and run it again.

What is said of autoencoders
============================

Each claim below is an experiment that can fail: ``pytest tests/claims`` holds the library to it, and ``python docs/make_claims.py``
ran all of them and wrote this page. Where a cell has brackets, it is the mean over the seeds, and in brackets the smallest and the
largest. Seeds are 0, 1 and 2 unless said; a seed decides the split of the rows, the first weights, the order of the rows and every
noise. All errors are those of rows that no model saw, as squared error per value in the data's own units, unless said; settings that
are not named are the automatic ones.
"""


@dataclass
class Table:
    """Which rows and figures of some findings a table shows: one line for each combination of `by`."""

    found: e.Findings
    by: Sequence[str]
    figures: Sequence[str]
    caption: str = ""


@dataclass
class Section:
    """One claim: what is said, how it was tried, what came out."""

    title: str
    protocol: str
    tables: list[Table]
    reading: str
    image: str = ""
    alt: str = ""


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def cell(values: Array) -> str:
    """Return the mean, and where the values differ their range."""
    if len(values) == 1 or np.ptp(values) == 0:
        return number(values[0])
    return f"{number(values.mean())} ({number(values.min())} to {number(values.max())})"


def lines(table: Table) -> list[str]:
    """Return a list-table."""
    keys = list(dict.fromkeys(tuple(row.get(name, "") for name in table.by) for row in table.found.rows))
    out = [f".. list-table:: {table.caption}".rstrip(), "   :header-rows: 1", ""]
    for entries in [(*table.by, *table.figures), *(_line(table, key) for key in keys)]:
        out += [f"   {'* -' if index == 0 else '  -'} {entry}".rstrip() for index, entry in enumerate(entries)]
    return [*out, ""]


def _line(table: Table, key: tuple[Any, ...]) -> tuple[str, ...]:
    rows = [row for row in table.found.rows if tuple(row.get(name, "") for name in table.by) == key]
    return tuple(map(str, key)) + tuple(cell(np.array([row[name] for row in rows], dtype=float)) for name in table.figures)


def paragraphs(text: str) -> list[str]:
    return [part for piece in textwrap.dedent(text).strip().split("\n\n") for part in (textwrap.fill(piece, 128), "")]


def write(sections: Sequence[Section]) -> None:
    out = [HEAD.strip("\n"), ""]
    for number, section in enumerate(sections, 1):
        title = f"{number}. {section.title}"
        out += [title, "-" * len(title), "", *paragraphs(section.protocol)]
        if section.image:
            out += [f".. image:: figures/{section.image}.png", f"   :alt: {section.alt}", ""]
        for table in section.tables:
            out += lines(table)
        out += paragraphs(section.reading) if section.reading else []
    (HERE / "claims.rst").write_text("\n".join(out).rstrip("\n") + "\n", encoding="utf-8")


def axes(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    made = figure.subplots(rows, columns, squeeze=False)
    for ax in made.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, made


def save(figure: Figure, name: str) -> None:
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / f"{name}.png", dpi=110, metadata={"Software": None})


def strips(name: str, rows: Sequence[tuple[str, Array]], dark: bool = False) -> None:
    """Draw rows of pictures with their names before them; `dark` draws 0 black."""
    before, side, gap = 2.0, 0.52, 0.08
    width, height = before + side * len(rows[0][1]), (side + gap) * len(rows)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for index, (label, some) in enumerate(rows):
        bottom = 1 - (index + 1) * (side + gap) / height
        ax = figure.add_axes((before / width, bottom, 1 - before / width, side / height))
        padded = np.pad(some[..., 0].astype(float), ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
        ax.imshow(np.concatenate(list(padded), axis=1), cmap="gray" if dark else "gray_r", vmin=0, vmax=1)
        ax.set_axis_off()
        ax.text(-0.02, 0.5, label, transform=ax.transAxes, ha="right", va="center", fontsize=9)
    save(figure, name)


def linear() -> Section:
    lengths = (250, 500, 1000, 2000)
    found, speed = e.linear_is_pca(latents=(5, 8, 10, 16), lengths=lengths, mini_batches=True), e.closed_form_speed(times=9)
    shown = [row for row in found.rows if row["model"] in ("gradient, 1000 steps", "closed form", "gradient, automatic settings", e.SMALL)]
    figure, made = axes(5.6, 3.2)
    ax: Axes = made[0, 0]
    for latent, colour in zip((5, 8, 10, 16), ("#16437a", BLUE, ORANGE, GREY)):
        worst = [found.of("decoder, degrees", model=f"gradient, {steps} steps", latent=latent).max() for steps in lengths]
        ax.plot(lengths, worst, "o-", color=colour, label=f"{latent} units")
    ax.axhline(1, color="black", lw=0.8, ls=":")
    ax.set(xscale="log", yscale="log", xlabel="steps", ylabel="largest angle, degrees", xticks=lengths, xticklabels=lengths)
    ax.minorticks_off()
    ax.legend(frameon=False)
    save(figure, "linear")
    return Section(
        "Without non-linearities it is PCA, up to a change of basis",
        """
        The family ``linear`` on scikit-learn's 1797 digits as 64 columns, each standardised, against PCA of the same rows. The decoder's
        columns, and the encoder's rows, span a space; measured is the largest principal angle between it and that of the leading
        components. By gradient: all rows in every step, ``learning_rate=0.03``. Three columns of the digits never vary, and what the
        encoder does with them is free, so they are left out of its angle.
        """,
        [
            Table(e.Findings(shown), ("latent", "model"), ("decoder, degrees", "encoder, degrees")),
            Table(
                speed,
                ("data",),
                ("PCA, ms", "closed form, ms", "whole fit, ms", "closed form / PCA", "whole fit / PCA"),
                f"Best of 9, 16 units, {torch.get_num_threads()} thread(s). The whole fit has checks, scaling and figures in it.",
            ),
        ],
        """
        By gradient the angle falls below a degree within 1000 steps for every width tried; the nearer the variance of the first
        component left out is to the last one kept, the longer it takes. The automatic settings of ``solver="gradient"`` take up to 4,096
        rows in every step for the same reason: with batches of 128 and ``learning_rate=0.003`` the noise blurs components of nearly equal
        variance. The closed form, which ``linear`` uses unless told otherwise, gives the space itself.
        """,
        "linear",
        "Largest principal angle to the leading components against the number of steps, for codes of 5, 8, 10 and 16 units",
    )


def bend() -> Section:
    found = e.bent_curve(range(10))
    automatic = e.bent_curve(range(10), {})
    for row in (*found.rows, *automatic.rows):
        row["settings"] = "as named" if row in found.rows else "automatic"
    both = e.Findings(found.rows + automatic.rows)
    T, line, rebuilt = (found.arrays[name][:1500] for name in ("points", "line", "rebuilt"))
    figure, made = axes(5.6, 3.2)
    ax: Axes = made[0, 0]
    ax.plot(*T.T, ".", ms=2, color=GREY, label="points")
    ax.plot(*line.T, ".", ms=2, color=ORANGE, label="PCA, one component")
    ax.plot(*rebuilt.T, ".", ms=2, color=BLUE, label="isthmus, one unit")
    ax.set(xlabel="x", ylabel="y")
    ax.legend(frameon=False, markerscale=4)
    save(figure, "bend")
    bad = int((automatic.of("isthmus / floor") > 1.5).sum())
    return Section(
        "A bent line fits into one number, which PCA cannot do",
        """
        x is uniform on (-1, 1), y = x² + noise of variance 0.0001. PCA with one component and the family ``undercomplete`` with one unit
        are fitted on 2000 points and measured on 5000 others, ten seeds. The floor is the least any line through the plane can leave that
        does not know the noise: the distance of the points to the true curve, found by solving for the nearest point of each. Settings:
        ``scaling="none"`` (both columns have one unit), ``activation="gelu"``, ``learning_rate=0.01``, ``steps=4000``.
        """,
        [Table(both, ("settings",), ("PCA", "isthmus", "floor", "PCA / isthmus", "isthmus / floor"))],
        f"""
        With the automatic settings {bad} of 10 seeds stay above 1.5 times the floor. Standardising makes x and y, which are uncorrelated,
        equally loud, so nothing tells a code of one unit in which direction to begin, and often it ends with a piece of the curve laid
        over or cut from another: a local optimum that 10,000 steps seldom leave. Kept in their own unit, x is the louder column, and every
        seed unrolls the curve. Where columns share a unit, say ``scaling="none"``; else fit from several seeds and keep the best
        held-out loss.
        """,
        "bend",
        "Points around a parabola; PCA's answer is a straight line, the autoencoder's the parabola",
    )


def copy() -> Section:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the code .* is wider than a row")
        found = e.copying(models=e.WIDE | e.MORE_WIDE)
    names = {"plain, 256 units": "plain", "sparse (top-k), 256 units": "sparse", "denoising, 256 units": "denoising"}
    rows: list[tuple[str, Array]] = []
    for kind in ("digits", "shuffled pixels"):
        rows += [(kind, found.arrays[kind])] + [(f"{short}, 256 units", found.arrays[f"{kind}, {model}"]) for model, short in names.items()]
    strips("copy", rows)
    return Section(
        "A code as wide as the input learns to copy; sparsity or corruption prevents it",
        """
        1400 digits to fit on, 397 to measure. To copy is to rebuild anything, also what has nothing of a digit: the same 397 pictures with
        every pixel's values dealt out anew among them, so that each pixel keeps its distribution and all structure is gone. Measured is
        the share of the variance that is kept of both. A row has 64 values; the codes have 64 or four times as many. Plain, denoising and
        narrow models have ``hidden=(256,)``; the sparse ones are as the library chooses them, one linear map each way.
        """,
        [Table(found, ("model",), ("kept of digits", "kept of shuffled pixels", "most units active"))],
        """
        The plain models rebuild pictures that cannot be told from noise almost as well as digits: they learned no digits, they learned to
        copy. At the same width, with no picture using more than 5 % of the units, or with a noisy input, most of the digits stays
        and most of the rest does not get through. The penalty of ``l1`` does the same, but holds no exact share of units.
        """,
        "copy",
        "Digits and shuffled pixels, each rebuilt by a plain, a sparse and a denoising model of 256 units",
    )


def clean(folder: Path | None) -> Section:
    found = e.denoising()
    tables = [Table(found, ("noise",), ("noisy", "plain", "denoising", "pictures brought nearer"), "Digits")]
    if folder:
        X = e.fashion(folder, 4000).astype(np.float32) / 255
        more = e.denoising(e.SEEDS, X, 3000, **e.MLP)
        tables.append(Table(more, tables[0].by, tables[0].figures, "Fashion-MNIST, 3000 pictures to fit on and 1000 to measure"))
        found.arrays |= {f"fashion {name}": some for name, some in more.arrays.items()}
    rows: list[tuple[str, Array]] = []
    for noise in e.NOISES:
        rows += [(f"{noise.replace('_and_', ' and ')}", found.arrays[f"noisy, {noise}"])]
        rows += [(name, found.arrays[f"{name}, {noise}"]) for name in ("plain", "denoising")]
    strips("clean", [("clean", found.arrays["clean, gaussian"]), *rows])
    return Section(
        "Denoising returns something nearer the clean picture than the noisy one, and than a plain autoencoder does",
        """
        Noise of three kinds on pictures no model saw: Gaussian of deviation 0.3 (white is 1), 30 % of the pixels set to black, 20 % of them
        set to black or white. For each kind a model of the family ``denoising`` with that corruption; against it the same network
        without a corruption. Measured is the squared distance to the clean picture. Fashion-MNIST: ``network="mlp"``, ``steps=800``.
        """,
        tables,
        """
        On 8 x 8 digits the plain model passes most of the noise on. On Fashion-MNIST its 32 units for 784 values leave little room for
        noise that looks like nothing, so with Gaussian noise the gain over it is small; with hidden pixels it is large. With hidden pixels,
        one garment in twelve, mostly black and so hardly damaged, loses more by the narrow code than it gains.
        """,
        "clean",
        "Clean digits, noisy ones of three kinds, and what a plain and a denoising model make of them",
    )


def turn() -> Section:
    found = e.overfit()
    figure, made = axes(5.6, 3.2)
    ax: Axes = made[0, 0]
    ax.plot(found.arrays["step"], found.arrays["train"], color=GREY, label="training")
    ax.plot(found.arrays["step"], found.arrays["held out"], color=BLUE, label="held out")
    ax.axvline(found.arrays["kept"][0], color=ORANGE, lw=1, label="weights kept by early stopping")
    ax.set(xlabel="steps", ylabel="mean squared error", ylim=(0, None))
    ax.legend(frameon=False)
    save(figure, "turn")
    return Section(
        "Training error falls while held-out error turns, and early stopping finds the turn",
        """
        100 digits to fit on, 900 held out (``held_out=0.9``), 797 that nothing looks at before the end. Once 3000 steps without stopping,
        once with the automatic patience, a quarter of the evaluations. The last column is of the weights after all 3000 steps.
        """,
        [
            Table(found, (), ("train at turn", "train at end", "held out at turn", "held out at end")),
            Table(
                found,
                (),
                ("turn at step", "kept step", "stopped at step", "held out, stopped early", "unseen, stopped early", "unseen, at end"),
            ),
        ],
        "",
        "turn",
        "The training error falls to nothing while the held-out error rises after a few hundred steps",
    )


def kind(folder: Path | None) -> Section:
    found = e.photographs_and_digits()
    figures = ("mean squared error", "kept")
    tables = [Table(found, ("shown", "fitted"), figures, "Digits and pieces of photographs")]
    if folder:
        tables.append(Table(e.clothing_and_digits(folder), ("shown", "fitted"), figures, "MNIST and Fashion-MNIST"))
    pairs = [(shown, fitted) for shown in ("digits", "photographs") for fitted in ("digits", "photographs")]
    rows = {shown: [(shown, found.arrays[shown])] for shown, _ in pairs}
    for shown, fitted in pairs:
        rows[shown].append((f"by the model of {fitted}", found.arrays[f"{shown} by {fitted}"]))
    strips("kind", [row for some in rows.values() for row in some], dark=True)
    return Section(
        "Trained on one kind of picture, it rebuilds another badly",
        """
        A model for each kind, shown unseen pictures of both. Digits against pieces of 8 x 8 pixels cut from the two photographs that come
        with scikit-learn (1400 of each to fit on, 397 to measure), and MNIST against Fashion-MNIST (3000 and 1000 of each,
        ``network="mlp"``, ``steps=800``). "Kept" is the share of the variance of what is shown; below 0 the answer is worse than
        a single mean picture. White is 1.
        """,
        tables,
        "",
        "kind",
        "Digits and pieces of photographs, each rebuilt by the model of its own and of the other kind",
    )


def between() -> Section:
    found = e.continuous_code(latents=(2, 8, 16))
    brief = ("half-way", "drawn from the prior", "drawn from a fitted normal")
    shown = [row for row in found.rows if row.get("latent", 8) == 8 or row["kind"] in brief]
    shown.sort(key=lambda row: (row.get("latent", 0), row["kind"][:5]))
    halves = [("a digit", "digits, one"), ("another", "digits, other"), ("half-way, variational", "variational 8, half-way")]
    halves += [("half-way, plain", "undercomplete 8, half-way"), ("half-way, pixels", "pixel averages")]
    paths = [(label, found.arrays[name]) for label, name in halves]
    drawn = [
        ("drawn, variational", found.arrays["variational 8, drawn from the prior"]),
        ("drawn, plain: normals", found.arrays["undercomplete 8, drawn from scaled normals"]),
        ("drawn, plain: box", found.arrays["undercomplete 8, drawn from the bounding box"]),
    ]
    strips("between", [*paths, *drawn])
    return Section(
        "The variational code is continuous",
        """
        1400 digits to fit on, 397 to measure. Half-way points: the codes of two unseen pictures of different digits are averaged and
        decoded, some 1300 pairs. Drawn: codes from the prior; for the plain model, which has none, from normals with the mean and
        deviation of each unit, from the bounding box of its codes, or from a normal with their covariance. The decoder's mean is taken.
        Both families have the same network.

        The judge knows the 1400 digits: the distance to the nearest of them; the share of the ten nearest that show the same digit, which
        is low between two kinds; and the Frechet distance between normals fitted to 20 principal components, to the unseen pictures.
        """,
        [Table(e.Findings(shown), ("latent", "model", "kind"), ("to nearest digit", "neighbours agree", "Frechet"))],
        """
        With 8 and 16 units, half-way between two codes the variational model is within a fifth as near to real digits as unseen digits are
        to each other; the plain one is on the way to a plain average of pixels. That is not blur alone: the way from each model's own
        reconstructions to its half-way points is shorter too. Pictures drawn from the
        prior lie nearer to real digits than those half-way points, those from around the plain model's codes much farther away.

        Two limits. With 2 units the plain code has little room for holes, and half-way points are as good in both. And the
        Frechet distance sees means and covariances only: a normal with the covariance of the plain codes gets those right, and at 16 units
        comes near the prior in it, with pictures much farther from any digit.
        """,
        "between",
        "Half-way between two digits through the variational code, the plain code and pixels; and pictures drawn from both codes",
    )


def main() -> None:
    named = os.environ.get("ISTHMUS_DATA")
    folder = Path(named) if named else None
    runs: list[Callable[[], Section]] = [linear, bend, copy, lambda: clean(folder), turn, lambda: kind(folder), between]
    sections: list[Section] = []
    for run in runs:
        sections.append(run())
        print(sections[-1].title, flush=True)
    write(sections)


if __name__ == "__main__":
    main()
