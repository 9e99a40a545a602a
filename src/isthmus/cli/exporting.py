"""``isthmus export``: a saved model in formats that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import kit

if TYPE_CHECKING:
    from isthmus.artifact.onnx import Exported


def export(
    model: kit.Model,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files; made if it is not there.", metavar="FOLDER")],
    onnx: Annotated[bool, typer.Option("--onnx", help="As ONNX: encoder, decoder and score, for any number of rows.", metavar="")] = False,
) -> None:
    """Write a model for other programs: its encoder, decoder and score as ONNX files, compared with the model before."""
    from isthmus.artifact import Artifact
    from isthmus.artifact.onnx import exported, write
    from isthmus.errors import ConfigError, DataError

    if not onnx:
        raise ConfigError("say in which format: --onnx")
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; give --out a folder")
    artifact = Artifact.load(model)
    found = exported(artifact)
    write(found, out)
    _tell(found, out)


def _tell(found: Exported, out: Path) -> None:
    graphs: dict[str, Any] = found.entry["graphs"]
    for told in graphs.values():
        takes = ", ".join(_shaped(part) for part in told["inputs"])
        size, apart = f"{told['bytes'] / 1000:,.0f} kB", told["largest difference from torch"]
        kit.say(f"{told['file']:<14}{takes} -> {_shaped(told['output'])}, {size}, within {apart:.1g} of torch")
    if "score" not in graphs:
        kit.say(f"note: no score: {found.entry['score']}")
    kit.say(f"wrote {out} (model.json says how rows are prepared, and what the results are)")


def _shaped(part: dict[str, Any]) -> str:
    return f"{part['name']} [{', '.join(map(str, part['shape']))}]"
