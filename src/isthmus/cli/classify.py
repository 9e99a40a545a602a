"""The command ``classify``; everything heavy is imported inside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import kit
from isthmus.cli.measuring import figures_table

if TYPE_CHECKING:
    from isthmus.artifact import Artifact
    from isthmus.data import Source
    from isthmus.tasks.classify import Classified

_ENDINGS = (".csv", ".tsv", ".parquet")


def classify(
    model: kit.Model,
    data: kit.Data,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where a line a row goes: .csv, .tsv or .parquet.", metavar="PATH")
    ] = None,
    labels: kit.Labels = None,
    labels_key: kit.LabelsKey = None,
    usual: Annotated[
        Path | None,
        typer.Option(help="Rows of the kind trained on, not trained on: tells which rows of DATA are unfamiliar.", metavar="FILE"),
    ] = None,
    draws: Annotated[
        int, typer.Option("--draws", "-k", help="Importance samples a row and class; 1: the bound trained with.", min=1, metavar="K")
    ] = 1,
    temperature: Annotated[
        float | None, typer.Option(help="Above 1 where probabilities are too sure; found with labels if left out.", metavar="X")
    ] = None,
    seed: kit.Seed = 0,
    key: kit.Key = None,
) -> None:
    """Tell the class of rows by Bayes' rule with a conditional model: p(class | x), p(x), and which rows are unfamiliar."""
    from dataclasses import replace

    from isthmus.artifact import Artifact
    from isthmus.cli.places import check_apart, check_file
    from isthmus.data import write
    from isthmus.tasks.classify import classify as judge
    from isthmus.tasks.classify import measured_by
    from isthmus.tasks.measured import measured

    if out is not None:
        check_file(out, _ENDINGS)
        check_apart(out, data, labels, usual)
    artifact = Artifact.load(model)
    source = _rows(artifact, data, key)
    known = _labels(artifact, labels, labels_key, data, source)
    found = judge(artifact, source, None if usual is None else _rows(artifact, usual, key), draws, temperature or 1.0, seed)
    kit.say(f"{len(source):,} rows of {source.name}, {len(found.bayes.classes)} classes")
    if known is not None:
        taken = measured(artifact, source)
        figures, cooled = measured_by(found.take(taken.positions), known[taken.positions], seed)
        kit.console().print(figures_table(figures))
        halved = len(figures) > 1
        more = "; the temperature was found on the other half" if halved else ": too few to find a temperature with"
        kit.say(f"measured on {'half of ' if halved else ''}{taken.told}{more}")
        found = replace(found, bayes=cooled) if temperature is None else found
    _tell(found)
    if out is not None:
        kit.say(f"wrote {write(out, found.columns())} ({len(source)} rows, temperature {found.bayes.temperature:.3g})")


def _rows(artifact: Artifact, data: Path, key: str | None) -> Source:
    """Open rows without their condition, which is what is asked for."""
    from isthmus.cli.places import named
    from isthmus.data import Source
    from isthmus.tasks.opening import open_for

    reading = {name: value for name, value in artifact.facts.get("reading", {}).items() if name != "condition"}
    options: dict[str, Any] = {} if key is None else {"key": key}
    found = open_for(artifact.schema, named(data), reading, **options)
    return found if isinstance(found, Source) else found.head(len(found))


def _labels(artifact: Artifact, labels: Path | None, key: str | None, data: Path, source: Source) -> Any:
    """Return known classes: those named, or those in the column of the data that held them at the fit."""
    from isthmus.errors import DataError
    from isthmus.tasks.conditions import known_columns
    from isthmus.tasks.labels import read_labels

    if labels is not None or key is not None:
        return read_labels(labels or data, key, len(source))
    column = known_columns(artifact.facts.get("reading"))
    try:
        return read_labels(data, column[0], len(source)) if column else None
    except DataError:
        return None  # rows whose class is not known


def _tell(found: Classified) -> None:
    from isthmus.cli.show import facts

    counts = {str(name): int((found.probabilities.argmax(1) == i).sum()) for i, name in enumerate(found.bayes.classes)}
    told = {"rows by class": ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)}
    evidence = found.evidence
    told["log p(x), nats"] = f"mean {evidence.mean():.2f}, lowest {evidence.min():.2f} (row {int(evidence.argmin())})"
    for name, level in found.levels.items():
        share = float((found.strange[name] > level).mean())
        told[f"unfamiliar by {name}"] = f"{share:.1%} of rows (5 % of usual ones); area under ROC {found.areas[name]:.3f}"
    kit.console().print(facts(told))
    if found.levels:
        kit.say(
            "note: a likelihood alone can be higher for rows that are simpler than those trained on: look at typicality and, of pictures, "
            "at the typicality of the ratio to a compressor's length"
        )
