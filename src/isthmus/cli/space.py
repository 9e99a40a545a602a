"""The commands that walk through the codes of a model; everything heavy is imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import kit

if TYPE_CHECKING:
    from isthmus.artifact import Artifact
    from isthmus.data import Source
    from isthmus.tasks.space import Clusters

MEMBERS = 9
Picture = Annotated[Path | None, typer.Option(help="Also write a sheet of pictures to this .png file.", metavar="FILE")]


def traverse(
    model: kit.Model,
    data: kit.Data,
    out: kit.Out,
    row: Annotated[int | None, typer.Option(help="Row whose code the others stay at; the mean code if left out.", metavar="I")] = None,
    steps: kit.Steps = 9,
    top: Annotated[int, typer.Option(help="How many code units, the most used first.", min=1, metavar="N")] = 10,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Show what each unit of the code does: moved alone, the most used ones (by KL) first."""
    from isthmus.tasks.space import traverse as go

    artifact, source = kit.opened(model, data, key, condition)
    kit.check(out, artifact, data)
    found = go(artifact, source, row, steps, top)
    for unit, value in zip(found.dimensions, found.importance):
        kit.say(f"unit {unit}: {found.measure} {value:.3g}")
    kit.write_rows(out, artifact, found.rows)


def cluster(
    model: kit.Model,
    data: kit.Data,
    out: kit.Out = Path("clusters.csv"),
    groups: Annotated[int | None, typer.Option(help="How many groups; chosen by held-out codes if left out.", min=1, metavar="N")] = None,
    picture: Picture = None,
    seed: kit.Seed = 0,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Group rows by their codes: group, how surely, and the distance from the group's centre."""
    import numpy as np

    from isthmus.tasks.space import cluster as group

    artifact, source = _opened(model, data, key, condition, out, picture)
    found = group(artifact, source, groups, seed)
    kit.say(f"{len(np.unique(found.labels))} groups of {np.bincount(found.labels, minlength=len(found.centres)).tolist()} rows")
    sure = found.probabilities.max(1)
    kit.write_table(out, {"group": found.labels.astype(np.float64), "probability": sure, "distance": found.distances})
    if picture is not None:
        kit.write_rows(picture, artifact, _sheet(found, source))


def _sheet(found: Clusters, source: Source) -> kit.Array:
    """Return a line for each group: its decoded centre, then the rows nearest to it; groups without rows are left out."""
    import numpy as np

    lines: list[kit.Array] = []
    for number, centre in enumerate(found.centres):
        rows = np.flatnonzero(found.labels == number)
        if len(rows):
            nearest = rows[np.argsort(found.distances[rows])][:MEMBERS]
            lines.append(np.concatenate([centre[None], np.resize(source.array[nearest], (MEMBERS, *source.array.shape[1:]))]))
    return np.stack(lines)


def _opened(model: Path, data: Path, key: str | None, condition: str | None, out: Path, picture: Path | None) -> tuple[Artifact, Source]:
    """Open model and data, and refuse early a table or a sheet that could not be written later."""
    from isthmus.cli.places import SHEETS, TABLES, check_apart, check_file
    from isthmus.errors import ConfigError

    artifact, source = kit.opened(model, data, key, condition)
    check_apart(out, data)
    check_file(out, TABLES)
    if picture is not None:
        if artifact.schema.kind != "pictures":
            raise ConfigError("--picture is for models of pictures: leave it out")
        check_apart(picture, data, flag="--picture")
        check_file(picture, SHEETS, flag="--picture")
    return artifact, source


def neighbours(
    model: kit.Model,
    data: kit.Data,
    out: kit.Out = Path("neighbours.csv"),
    among: Annotated[
        Path | None, typer.Option(help="Data to look among; DATA itself, without the row, if left out.", metavar="FILE")
    ] = None,
    rows: kit.Rows = "0,1,2,3,4,5",
    count: Annotated[int, typer.Option(help="Neighbours a row.", min=1, metavar="N")] = 8,
    picture: Picture = None,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Find the rows whose codes are nearest to those of some rows."""
    import numpy as np

    from isthmus.errors import ConfigError
    from isthmus.tasks.space import neighbours as find

    artifact, source = _opened(model, data, key, condition, out, picture)
    numbers, some = kit.chosen(source, rows)
    there = source if among is None else kit.opened(model, among, key, condition)[1]
    own = int(among is None)  # a row is the nearest to itself
    if own and count >= len(source):
        raise ConfigError(f"--count must be below the number of rows to look among ({len(source)}), not {count}")
    found, distances = (part[:, own:] for part in find(artifact, some, there, count + own))
    asked = np.repeat(np.asarray(numbers, dtype=np.float64), count)
    kit.write_table(out, {"row": asked, "neighbour": found.ravel().astype(np.float64), "distance": distances.ravel()})
    if picture is not None:
        near = there.array[found.ravel()].reshape(*found.shape, *there.array.shape[1:])
        kit.write_rows(picture, artifact, np.concatenate([some.array[:, None], near], axis=1))


def uncertainty(
    model: kit.Model,
    data: kit.Data,
    out: kit.Out = Path("uncertainty.csv"),
    picture: Picture = None,
    seed: kit.Seed = 0,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Write how sure the code of every row is: spread of the posterior, distance from known codes, spread of the reconstruction."""
    import numpy as np

    from isthmus.tasks.space import uncertainty as measure

    artifact, source = _opened(model, data, key, condition, out, picture)
    found = measure(artifact, source, seed=seed)
    kit.write_table(out, {"posterior spread": found.spread, "distance": found.distance, "reconstruction spread": found.rebuilt})
    if picture is not None:
        by = found.rebuilt if found.rebuilt.any() else found.distance
        order = np.argsort(by, kind="stable")
        size = min(12, len(order))
        kit.write_rows(picture, artifact, source.array[np.stack([order[:size], order[-size:]])])
        kit.say(f"{picture}: the {size} surest rows above, the {size} least sure below")


def arithmetic(
    model: kit.Model,
    data: kit.Data,
    out: kit.Out,
    plus: Annotated[str, typer.Option(help="Row numbers to add, such as 1,3.", metavar="I,J,...")],
    minus: Annotated[str | None, typer.Option(help="Row numbers to take away.", metavar="I,J,...")] = None,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Add and subtract the codes of rows, and decode: the rows in question, then the result."""
    import numpy as np

    from isthmus.tasks.space import arithmetic as compute

    artifact, source = kit.opened(model, data, key, condition)
    kit.check(out, artifact, data)
    added, taken = kit.numbers(plus, "--plus"), kit.numbers(minus, "--minus") if minus else []
    found = compute(artifact, source, added, taken)
    shown = artifact.schema.align(source.take([*added, *taken]))
    kit.write_rows(out, artifact, np.concatenate([shown, found])[None])
