"""``isthmus edit``: an attribute of rows changed through the code; everything heavy is imported inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import kit
from isthmus.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.artifact import Artifact
    from isthmus.data import Source
    from isthmus.tasks.pictures.attributes import Attribute
    from isthmus.tasks.pictures.editing import Direction, Edits

FEW = "0,1,2,3,4,5"
UNITS, UNIT_STEPS = 10, 7


@dataclass(frozen=True)
class _Wanted:
    """Where the direction of an attribute comes from."""

    attribute: str | None
    examples: Path | None
    labels: Path | None
    labels_key: str | None
    against: Sequence[str]
    saved: Path | None
    ridge: float | None


def edit(
    model: kit.Model,
    data: kit.Data,
    out: kit.Out,
    attribute: Annotated[
        str | None,
        typer.Option(
            help="What to change: a column or array of labels, of --labels or else of the data; one of their labels, also as "
            "COLUMN=LABEL; or a folder within a folder of pictures.",
            metavar="NAME",
        ),
    ] = None,
    strength: Annotated[
        str, typer.Option(help="How much of it to add, such as 1.5 or -1,0,1; 1 is as much as the labels differ.", metavar="X,Y,...")
    ] = "-2,-1,0,1,2",
    residual: Annotated[
        bool, typer.Option("--residual", help="Add the change to the rows themselves, which keeps detail that the code does not hold.")
    ] = False,
    rows: Annotated[
        str | None, typer.Option(help="Row numbers, such as 0,5,7; if left out, the first six for a sheet, else all.", metavar="I,J,...")
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="Labelled data from which the direction is found, if DATA has no labels.", metavar="PATH")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="File with one label per row, or a table that names picture files and their labels.", metavar="FILE"),
    ] = None,
    labels_key: kit.LabelsKey = None,
    against: Annotated[
        list[str] | None, typer.Option(help="Another attribute that must not change along; may be repeated.", metavar="NAME")
    ] = None,
    ridge: Annotated[
        float | None,
        typer.Option(
            help="Direction by Fisher's discriminant with this ridge, such as 1, instead of the difference of the means.", metavar="X"
        ),
    ] = None,
    original: Annotated[
        bool | None, typer.Option("--original/--no-original", help="Whether strips on a sheet begin with the row as it is.", metavar="")
    ] = None,
    vector: Annotated[Path | None, typer.Option(help="Also write the attribute's direction to this .npy file.", metavar="FILE")] = None,
    direction: Annotated[Path | None, typer.Option(help="Direction that --vector wrote, instead of labels.", metavar="FILE")] = None,
    report: Annotated[Path | None, typer.Option(help="Also write strips and figures to this .html file.", metavar="FILE")] = None,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Change an attribute of rows, such as the smile of faces: labels of some rows give its direction in the code."""
    from isthmus.cli.places import check_file
    from isthmus.data import write
    from isthmus.tasks.pictures.editing import make_edits

    artifact, source = kit.opened(model, data, key, condition)
    _check(out, data, artifact, report)
    if vector is not None:
        check_file(vector, (".npy",), flag="--vector")
    strengths = kit.numbers(strength, "--strength", whole=False)
    sheet = _is_sheet(out, artifact)
    numbers, some = kit.chosen(source, rows or (FEW if sheet and len(source) > 6 else ",".join(map(str, range(len(source))))))
    wanted = _Wanted(attribute, examples, labels, labels_key, against or (), direction, ridge)
    found, told = _direction(artifact, source, data, wanted, key, condition, model)
    if vector is not None:
        kit.say(f"wrote {write(vector, found.vector)}")
    edits = make_edits(artifact, some, found.vector, strengths, residual)
    _tell(edits)
    first = sheet and (len(numbers) > 1 or len(strengths) > 1) if original is None else original
    some = some if some.ids else replace(some, ids=tuple(f"{number:05d}.png" for number in numbers))
    _write(out, artifact, edits, some, data, first, residual)
    if report is not None:
        _report(report, artifact, source, edits, told, residual)


def _is_sheet(out: Path, artifact: Artifact) -> bool:
    from isthmus.cli.places import SHEETS

    return artifact.schema.kind == "pictures" and out.suffix.lower() in SHEETS


def _check(out: Path, data: Path, artifact: Artifact, report: Path | None) -> None:
    """Refuse early what could not be written later."""
    from isthmus.cli.places import check_file
    from isthmus.cli.using import check

    if artifact.schema.kind == "pictures" and not out.suffix:
        check(out, data)
    else:
        kit.check(out, artifact, data)
    if report is not None:
        if artifact.schema.kind != "pictures":
            raise ConfigError("--report shows strips of pictures, and this model was not fitted on pictures: leave it out")
        check_file(report, (".html", ".htm"), flag="--report")


def _direction(
    artifact: Artifact, source: Source, data: Path, wanted: _Wanted, key: str | None, condition: str | None, model: Path
) -> tuple[Direction, dict[str, str]]:
    """Return the direction of the attribute, and what is known of it."""
    from isthmus.tasks.pictures.editing import find_direction

    if wanted.saved is not None:
        if wanted.attribute or wanted.labels or wanted.labels_key or wanted.against or wanted.ridge:
            raise ConfigError("--direction is found already: leave --attribute, --labels, --against and --ridge out")
        return _saved(wanted.saved), {"direction": wanted.saved.name}
    place = wanted.examples or data
    known = source if wanted.examples is None else kit.opened(model, wanted.examples, key, condition)[1]
    attribute = _attribute(wanted, known, place)
    others = [_read(name, known, place, wanted.labels) for name in wanted.against]
    kit.say(attribute.told)
    found = find_direction(artifact, known, attribute, others, ridge=wanted.ridge)
    told = "the model is told it, so it is swapped" if found.swapped else _told(found.separation)
    if told:
        kit.say(f"direction: {told}")
    names = {"attribute": attribute.told, **({"held still": ", ".join(wanted.against)} if others else {})}
    return found, {**names, **({"direction": told} if told else {})}


def _told(separation: float) -> str:
    """Say how well a direction tells rows apart."""
    if separation != separation:
        return ""
    weak = "; the code hardly holds this attribute" if separation < 0.65 else ""
    return f"tells rows it was not found on apart with an area under the ROC curve of {separation:.3f} (chance is 0.5){weak}"


def _attribute(wanted: _Wanted, source: Source, place: Path) -> Attribute:
    """Read the labels of the attribute.

    Raises
    ------
    ConfigError
        If nothing names it.
    """
    from isthmus.tasks.labels import read_columns
    from isthmus.tasks.pictures.attributes import read_attribute

    name = wanted.attribute or wanted.labels_key
    if name is None and wanted.labels is not None:
        columns = list(read_columns(wanted.labels, len(source)))
        name = columns[-1] if len(columns) == 1 else None
    if name is None:
        raise ConfigError(
            "which attribute? labels are needed: give --attribute NAME, a column or array with labels or a folder within a folder of "
            "pictures, and --labels FILE if they lie in a file of their own"
        )
    return read_attribute(name, source, place, wanted.labels)


def _read(name: str, source: Source, place: Path, labels: Path | None) -> Attribute:
    from isthmus.tasks.pictures.attributes import read_attribute

    return read_attribute(name, source, place, labels)


def _saved(path: Path) -> Direction:
    """Read a direction that ``--vector`` wrote.

    Raises
    ------
    DataError
        If there is none.
    """
    import numpy as np

    from isthmus.tasks.pictures.editing import Direction

    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read a direction from {path}: {error}. Give an .npy file that --vector wrote") from error
    if hasattr(found, "files"):
        raise DataError(f"{path} holds several arrays, no direction. Give an .npy file that --vector wrote")
    if found.ndim != 1 or found.dtype.kind != "f" or not np.isfinite(found).all():
        raise DataError(f"{path} holds no direction but an array of shape {found.shape}. Give an .npy file that --vector wrote")
    return Direction(found, float("nan"))


def _tell(edits: Edits) -> None:
    """Tell what each strength changes."""
    from isthmus.tasks.pictures.editing import signed

    for strength, change, sharp in zip(edits.strengths, edits.change.tolist(), edits.sharpness.tolist()):
        soft = f", sharpness {sharp:.2f} times that of strength 0" if sharp == sharp else ""
        kit.say(f"strength {signed(strength)}: changes rows by {100 * change:.1f} % of their range (root mean square){soft}")


def _write(out: Path, artifact: Artifact, edits: Edits, some: Source, data: Path, first: bool, residual: bool) -> None:
    """Write a strip for each row, or a picture for each row and strength into a folder."""
    import numpy as np

    from isthmus.tasks.pictures.editing import signed

    alone = not first and edits.rows.shape[:2] == (1, 1) and _is_sheet(out, artifact)
    if artifact.schema.kind == "pictures" and (not out.suffix or (alone and residual and _of_files(data))):
        _write_pictures(out, artifact, edits, some, data, residual)
        return
    shown = np.concatenate([edits.originals[:, None], edits.rows], axis=1) if first else edits.rows
    kit.write_rows(out, artifact, shown, composite=first or residual)
    if _is_sheet(out, artifact) and shown.shape[1] > 1:
        kit.say(f"columns from left to right: {', '.join([*(['original'] if first else []), *map(signed, edits.strengths)])}")


def _write_pictures(out: Path, artifact: Artifact, edits: Edits, some: Source, data: Path, residual: bool) -> None:
    """Write single pictures; changes that are added to picture files are added at these files' own size."""
    from isthmus.cli.marks import made_by
    from isthmus.data import write

    flat = edits.rows.reshape(-1, *edits.rows.shape[2:])
    names = [str(out)] if out.suffix else _names(edits.strengths, some.ids)
    mark = made_by(artifact, residual)
    if not (residual and _of_files(data)):
        kit.say(f"wrote {write(out, flat, ids=names, provenance=mark)} ({len(flat)} pictures)")
        return
    for number, name in enumerate(names):
        row, column = divmod(number, len(edits.strengths))
        whole = _at_own_size(artifact, data / some.ids[row] if data.is_dir() else data, edits, row, column)
        write(out if out.suffix else out / name, whole, provenance=mark)
    kit.say(f"wrote {out} ({len(names)} {'pictures' if len(names) > 1 else 'picture'}, as large as the originals)")


def _of_files(data: Path) -> bool:
    """Say whether rows are picture files."""
    from isthmus.cli.marks import is_picture

    return data.is_dir() or is_picture(data)


def _at_own_size(artifact: Artifact, file: Path, edits: Edits, row: int, column: int) -> kit.Array:
    """Return one edited picture at the size of its file."""
    from isthmus.data import read
    from isthmus.tasks.pictures.editing import enlarge
    from isthmus.tasks.reading import picture_options

    options = {name: value for name, value in picture_options(artifact.schema).items() if name != "size"}
    whole = read(file, **options).array[0]
    return enlarge(whole, edits.rows[row, column].astype(float) - edits.originals[row])


def _names(strengths: Sequence[float], ids: Sequence[str]) -> list[str]:
    """Return a file's name for each row and strength: the row's own where there is one, with its ending where two share the rest."""
    from isthmus.tasks.pictures.editing import signed

    plain = [Path(name).with_suffix("").as_posix() for name in ids]
    stems = plain if len(set(plain)) == len(plain) else list(ids)
    if len(strengths) == 1:
        return [f"{stem}.png" for stem in stems]
    return [f"{stem}_{signed(strength)}.png" for stem in stems for strength in strengths]


def _report(path: Path, artifact: Artifact, source: Source, edits: Edits, told: dict[str, str], residual: bool) -> None:
    """Write the page with strips and figures."""
    from isthmus.cli.marks import wanted
    from isthmus.reports.edits import EditReport, write_html
    from isthmus.tasks.examine import pictures
    from isthmus.tasks.space import traverse

    walked = traverse(artifact, source, steps=UNIT_STEPS, top=UNITS)
    moved, unit = pictures(artifact, walked.rows), " nats" if "nats" in walked.measure else ""
    units = [(f"unit {number}: {value:.2g}{unit}", rows) for number, value, rows in zip(walked.dimensions, walked.importance, moved)]
    edits = replace(edits, originals=pictures(artifact, edits.originals), rows=pictures(artifact, edits.rows))
    known = {"model": artifact.family, "data": f"{source.name}, {len(source):,} pictures", **told, "units ranked by": walked.measure}
    kept = "The difference is added to the pictures" if residual else "Pictures are decoded from the changed codes"
    page = EditReport("Edits", kept, known, edits, artifact.family if wanted() else "", units)
    kit.say(f"wrote {write_html(page, path)}")
