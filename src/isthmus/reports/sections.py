"""The sections of a report; each is empty where the data have nothing to show in it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from isthmus.reports import curves, pictures, scatter, tables
from isthmus.reports.markup import Markup, counted, join, number, tag
from isthmus.tasks.evidence import Array, Evidence, ReportData

Models = dict[str, Evidence]
SHOWN_PICTURES, SHOWN_SAMPLES, SHOWN_PATHS = 16, 64, 8

NOTES = (
    ("error", "Errors are means over the measured rows."),
    ("active", "A unit of the code is active when it changes from row to row; the others carry nothing."),
    ("k-nn", "k-NN accuracy: how often the nearest neighbours of a row in the code share its label."),
    ("cluster", "Clustering: how well groups found in the code agree with the labels; 1 is perfect."),
    ("accuracy", "Labels serve only to measure: no model saw them in training."),
)


@dataclass(frozen=True)
class Section:
    """One section: its address in the page, heading, a line of explanation and contents."""

    anchor: str
    heading: str
    lead: str
    body: Markup

    def markup(self) -> Markup:
        """Write the section."""
        lead = tag("p", self.lead, class_="lead") if self.lead else Markup()
        return tag("section", tag("h2", self.heading), lead, self.body, id=self.anchor)


def named(models: list[Evidence]) -> Models:
    """Give each model a name of its own: its family, with a number where families repeat.

    Parameters
    ----------
    models : list of Evidence

    Returns
    -------
    dict of str to Evidence
    """
    found: Models = {}
    for model in models:
        name, times = model.family, 1
        while name in found:
            times += 1
            name = f"{model.family} {times}"
        found[name] = model
    return found


def rows_of(data: ReportData, models: Models) -> list[tables.Row]:
    """List models and baselines as rows of the comparison."""
    own = [tables.Row(name, model.metrics) for name, model in models.items()]
    return own + [tables.Row(name, metrics, baseline=True) for name, metrics in data.baselines.items()]


def _having(models: Models, *names: str) -> Models:
    """Keep the models that have every one of the named arrays, none of them empty."""
    return {name: model for name, model in models.items() if all(_filled(getattr(model, field)) for field in names)}


def _filled(value: Array | None) -> bool:
    return value is not None and value.size > 0


def _alike(models: Models, names: tuple[str, ...]) -> list[Models]:
    """Put models with the same named arrays together, so that those are shown once."""
    groups: list[Models] = []
    for name, model in models.items():
        for group in groups:
            first = next(iter(group.values()))
            if all(pictures.same(getattr(first, field), getattr(model, field)) for field in names):
                group[name] = model
                break
        else:
            groups.append({name: model})
    return groups


def facts(entries: dict[str, str], class_: str = "facts") -> Markup:
    """Write a list of facts."""
    return tag("dl", *(tag("div", tag("dt", key), tag("dd", value)) for key, value in entries.items()), class_=class_)


def tiles(entries: Iterable[tuple[str, str, str]]) -> Markup:
    """Write figures in large type: for each its name, the figure and a word on it."""
    each = (
        tag("div", tag("span", name), tag("strong", value), tag("p", about, class_="muted"), class_="tile")
        for name, value, about in entries
    )
    return tag("div", *each, class_="tiles")


def remarks(notes: Iterable[str]) -> Section | None:
    """List what is to be known, if there is anything."""
    lines = [tag("li", note) for note in notes]
    return Section("notes", "Notes", "", tag("ul", *lines, class_="notes")) if lines else None


def headlines(data: ReportData, models: Models) -> Markup:
    """Say the best figure of up to four columns in large type, beside the best baseline."""
    rows = rows_of(data, models)
    names = [name for name in tables.metric_names(rows) if tables.direction(name) and "second" not in name]
    found = [tile for name in names if (tile := _tile(name, rows, alone=len(models) == 1))]
    return tag("div", *found[:4], class_="tiles") if found else Markup()


def _winner(metric: str, rows: Iterable[tables.Row]) -> tables.Row | None:
    there = [row for row in rows if math.isfinite(row.metrics.get(metric, math.nan))]
    return max(there, key=lambda row: tables.direction(metric) * row.metrics[metric], default=None)


def _tile(metric: str, rows: list[tables.Row], alone: bool) -> Markup | None:
    model = _winner(metric, (row for row in rows if not row.baseline))
    other = _winner(metric, (row for row in rows if row.baseline))
    if model is None:
        return None
    way = "lowest " if tables.direction(metric) < 0 else "highest "
    against = f"{other.name}: {number(other.metrics[metric])}" if other else ""
    name = tag("b", model.name) if not alone else Markup()
    figure = tag("strong", number(model.metrics[metric]))
    return tag(
        "div", tag("span", ("" if alone else way) + metric), figure, tag("p", name, tag("span", against, class_="muted")), class_="tile"
    )


def _summary(family: str) -> str:
    """Look up what a family is, as a sentence; empty where the name is of no known family."""
    from isthmus.families import FAMILIES

    line = FAMILIES[family].summary if family in FAMILIES else ""
    return line[:1].upper() + line[1:] + ("" if not line or line.endswith(".") else ".")


def what(_data: ReportData, models: Models) -> Section | None:
    """Say what each model is."""
    rows: list[Markup] = []
    for name, model in models.items():
        title = model.title if model.title.lower() not in (name.lower(), _summary(model.family).lower().rstrip(".")) else ""
        sentence = _summary(model.family) or title
        rows.append(tag("div", tag("dt", tag("b", name), tag("span", title if title != sentence else "")), tag("dd", sentence)))
    return Section("models", "The models" if len(rows) > 1 else "The model", "", tag("dl", *rows, class_="models")) if rows else None


def figures(data: ReportData, models: Models) -> Section | None:
    """Compare models and baselines."""
    rows = rows_of(data, models)
    names = tables.metric_names(rows)
    if not names:
        return None
    notes = [note for key, note in NOTES if any(key in name.lower() for name in names)]
    where = data.data.get("measured on", "held-out rows, which no model was trained on")
    lead = f"Measured on {where}." + (" The best value of each column is marked." if len(rows) > 1 else "")
    return Section(
        "figures",
        "Comparison" if len(rows) > 1 else "Figures",
        lead,
        tables.comparison(rows) + tag("p", " ".join(notes), class_="muted notes"),
    )


def strip(label: str, shown: Array, kind: str = "") -> Markup:
    """Show pictures in a row, with what they are before them."""
    shown = shown[:SHOWN_PICTURES]
    made_by = "" if kind == "given" else label
    drawn = pictures.grid(shown, len(shown), f"{counted(len(shown), 'picture')}: {label}", made_by)
    return tag("span", label, class_=f"label {kind}") + drawn


def strips(rows: Iterable[Markup]) -> Markup:
    """Set rows of pictures below one another."""
    return tag("div", *rows, class_="strips")


def reconstructions(_data: ReportData, models: Models) -> Section | None:
    """Show originals beside what each model makes of them."""
    blocks: list[Markup] = []
    for group in _alike(_having(models, "originals", "reconstructions"), ("originals",)):
        first = next(iter(group.values())).originals
        rows = [strip(name, model.reconstructions) for name, model in group.items() if model.reconstructions is not None]
        blocks.append(strips([strip("original", first, "given"), *rows] if first is not None else rows))
    lead = "Pictures, and what comes back through the narrow code."
    return Section("reconstructions", "Originals and reconstructions", lead, join(blocks)) if blocks else None


def denoised(_data: ReportData, models: Models) -> Section | None:
    """Show clean, noisy and denoised pictures."""
    blocks: list[Markup] = []
    for group in _alike(_having(models, "noisy", "denoised"), ("clean", "noisy")):
        first = next(iter(group.values()))
        given = [("clean", first.clean), ("noisy", first.noisy)]
        rows = [strip(label, shown, "given") for label, shown in given if shown is not None and shown.size]
        alone = len(group) == 1
        rows += [strip("denoised" if alone else name, model.denoised) for name, model in group.items() if model.denoised is not None]
        blocks.append((tag("h3", next(iter(group))) if alone and len(models) > 1 else Markup()) + strips(rows))
    lead = "Each model here sees only the noisy pictures; the clean ones are there to judge it by."
    return Section("denoising", "Noisy and denoised", lead, join(blocks)) if blocks else None


@dataclass
class _Points:
    """What the page's script knows of the maps: classes of rows, and sheets of thumbnails, each kept once."""

    groups: list[list[int]] = field(default_factory=list[list[int]])
    sheets: list[pictures.Sheet] = field(default_factory=list[pictures.Sheet])
    seen: list[tuple[Array, int]] = field(default_factory=list[tuple[Array, int]])

    def group(self, of: list[int]) -> int:
        """Number a list of classes."""
        if of not in self.groups:
            self.groups.append(of)
        return self.groups.index(of)

    def sheet(self, thumbnails: Array | None) -> int | None:
        """Number a sheet of thumbnails."""
        if thumbnails is None or not thumbnails.size:
            return None
        for known, index in self.seen:
            if pictures.same(known, thumbnails):
                return index
        self.sheets.append(pictures.sheet(thumbnails))
        self.seen.append((thumbnails, len(self.sheets) - 1))
        return len(self.sheets) - 1

    def markup(self) -> Markup:
        """Write sheets and classes where the script finds them."""
        images = [tag("img", src=each.uri, alt="", hidden=True, class_="sheet", data_columns=each.columns, data_width=each.width,
                      data_height=each.height, data_stride=each.stride) for each in self.sheets]  # fmt: skip
        groups = Markup(json.dumps(self.groups, separators=(",", ":")))
        return join([*images, tag("script", groups, type="application/json", id="groups")])


def _several(figures: list[Markup], class_: str) -> Markup:
    """Set figures side by side; one alone may be larger."""
    return tag("div", *figures, class_=class_ + (" single" if len(figures) == 1 else ""))


def _map(name: str, model: Evidence, known: scatter.Classes, points: _Points) -> Markup:
    rows = len(model.map)
    drawing, of = scatter.scatter(model.map, known, f"Map of {counted(rows, 'code')} of {name}")
    width = model.codes.shape[1] if model.codes.ndim > 1 else 1
    caption = tag("figcaption", tag("b", name), tag("span", counted(width, "unit"), class_="muted"),
                  tag("button", "Enlarge", type="button", class_="enlarge"))  # fmt: skip
    return tag("figure", caption, drawing, class_="map", data_groups=points.group(of), data_sheet=points.sheet(model.thumbnails),
               data_names=json.dumps(known.names), data_stride=scatter.stride(rows))  # fmt: skip


def _maps(group: Models, points: _Points) -> Markup:
    known = {name: scatter.classes(model.labels, len(model.map)) for name, model in group.items()}
    figures = [_map(name, model, known[name], points) for name, model in group.items()]
    return tag("div", scatter.legend(next(iter(known.values()))), _several(figures, "maps"), class_="atlas")


def maps(_data: ReportData, models: Models) -> Section | None:
    """Show the 2-D map of each model's codes."""
    there = _having(models, "map")
    if not there:
        return None
    points = _Points()
    blocks = [_maps(group, points) for group in _alike(there, ("labels",))]
    rows = max(len(model.map) for model in there.values())
    some = f"; one in {scatter.stride(rows)} is drawn" if scatter.stride(rows) > 1 else ""
    lead = f"Each dot is one of {counted(rows, 'row')}{some}. Near one another means: alike to the model."
    where = ", here and in every other map" if len(there) > 1 else ""
    hint = tag(
        "p", f"Point at a dot to see its row{where}. Enlarge a map to zoom with the wheel and move by dragging.", class_="muted hint"
    )
    return Section("maps", "Maps of the code", lead, hint + join(blocks) + points.markup())


def samples(_data: ReportData, models: Models) -> Section | None:
    """Show pictures that models made up, and pictures that glide into one another."""
    blocks: list[Markup] = []
    for name, model in models.items():
        made = [_samples(name, model.samples), _paths(name, model.interpolation)]
        if any(made):
            blocks.append(tag("div", *made, class_="pair"))
    lead = "Pictures decoded from codes that no row had."
    return Section("samples", "New pictures", lead, join(blocks)) if blocks else None


def _columns(count: int) -> int:
    """Choose the columns of a grid somewhat wider than high, and without a gap at its end where that can be."""
    wide = math.sqrt(count * 1.4)
    even = [columns for columns in range(4, 11) if count % columns == 0]
    return min(even, key=lambda columns: abs(columns - wide)) if even else min(count, math.ceil(wide), 10)


def _samples(name: str, shown: Array | None) -> Markup:
    if shown is None or not shown.size:
        return Markup()
    shown = shown[:SHOWN_SAMPLES]
    caption = tag("figcaption", tag("b", name), tag("span", "new samples", class_="muted"))
    return tag("figure", caption, pictures.grid(shown, _columns(len(shown)), f"{counted(len(shown), 'picture')} made up by {name}", name))


def _paths(name: str, shown: Array | None) -> Markup:
    if shown is None or not shown.size:
        return Markup()
    shown = shown[:SHOWN_PATHS]
    flat = shown.reshape(-1, *shown.shape[2:])
    caption = tag("figcaption", tag("b", name), tag("span", "from one picture to another", class_="muted"))
    told = f"{counted(len(shown), 'row')} of pictures gliding into one another"
    return tag("figure", caption, pictures.grid(flat, shown.shape[1], told, name))


def learning(_data: ReportData, models: Models) -> Section | None:
    """Show the learning curves."""
    rows = {name: curves.evaluations(model) for name, model in models.items()}
    charts = [curves.chart(models[name], name) for name in rows if rows[name] > 1]
    single = [
        tag("p", tag("b", name), " was evaluated once: ", curves.kept(models[name]), " nats per row.") for name in rows if rows[name] == 1
    ]
    if not charts:
        return Section("learning", "Learning", "", join(single)) if single else None
    keys = ("train", "held out", "kept step")
    key = tag("div", *(tag("span", tag("i", class_="key-" + name.split(" ")[0]), name) for name in keys), class_="keys")
    lead = "Loss on training and on held-out rows. The weights of the kept step are the model; its losses stand beside each name."
    return Section("learning", "Learning curves", lead, key + _several(charts, "curves") + join(single))


def columns(_data: ReportData, models: Models) -> Section | None:
    """Show the error of each column of a table."""
    there = {name: model for name, model in models.items() if model.columns}
    lead = (
        "How well each column is rebuilt, the worst first. R² is 1 when perfect and 0 when no better than the "
        "column's mean; RMSE is the root mean square error in the column's own unit."
    )
    return Section("columns", "Columns", lead, tables.column_errors(there)) if there else None


def sampled(_data: ReportData, models: Models) -> Section | None:
    """Show rows of a table that models made up."""
    there = {name: model for name, model in models.items() if model.sample_rows and len(model.sample_rows[1])}
    blocks = [tag("h3", name) + tables.sampled_rows(model) for name, model in there.items()]
    return Section("sampled", "New rows", "Rows decoded from sampled codes.", join(blocks)) if blocks else None


def choices(_data: ReportData, models: Models) -> Section | None:
    """List the facts of each model."""
    there = {name: model.facts for name, model in models.items() if model.facts}
    return Section("choices", "Choices", "", tables.side_by_side(there)) if there else None


def commands(data: ReportData, _models: Models) -> Section | None:
    """List the commands to go on with."""
    copy = tag("button", "Copy", type="button", class_="copy")
    lines = [tag("div", tag("code", line), copy, class_="command") for line in data.commands]
    return Section("commands", "Go on", "", tag("div", *lines, class_="commands")) if lines else None
