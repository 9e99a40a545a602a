"""What pictures say of their making: the mark that commands leave in them, and ``isthmus info PICTURE``."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.artifact import Artifact
    from isthmus.data import Provenance

# Commands whose sheets show originals beside what the model made of them, and those that show originals only.
_COMPOSITE = ("arithmetic", "cluster", "report", "compare")
_ORIGINALS = ("neighbours", "uncertainty")

# The command that runs, and whether it marks pictures.
_RUNNING: ContextVar[tuple[str, bool]] = ContextVar("_RUNNING", default=("", True))


def begin(command: str | None, marked: bool) -> None:
    """Take note of the command that runs, and whether it is to mark pictures."""
    _RUNNING.set((command or "", marked))


def wanted() -> bool:
    """Say whether pictures are to be marked: yes, unless ``isthmus --no-provenance`` was called."""
    return _RUNNING.get()[1]


def made_by(artifact: Artifact, composite: bool = False) -> Provenance | None:
    """Return what the pictures of the running command are to say of themselves; None if they are not to, or need not.

    Parameters
    ----------
    artifact : Artifact
    composite : bool
        Whether originals are among them, or within them.
    """
    from isthmus.tasks.provenance import provenance

    command, marked = _RUNNING.get()
    if artifact.schema.kind != "pictures" or command in _ORIGINALS or not marked:
        return None
    return provenance(artifact, command, composite=composite or command in _COMPOSITE)


def is_picture(path: Path) -> bool:
    """Say whether ``isthmus info`` is asked about a picture."""
    from isthmus.data.pictures import PICTURE_ENDINGS

    return path.suffix.lower() in PICTURE_ENDINGS and not path.is_dir()


def tell(path: Path, console: Console) -> None:
    """Tell what a picture is, and what it says of its making."""
    from rich.text import Text

    from isthmus.cli.show import facts
    from isthmus.data.provenance import look

    found, made = look(path)
    console.print(facts({"picture": path.name, **found}))
    if made is None:
        told = "No provenance: its metadata do not say how it was made, which proves nothing either way."
        console.print(Text(f"\n{told}"), soft_wrap=not console.is_terminal)
        return
    entries = {"source type": made.source_type, "meaning": made.meaning, "software": made.software, "made by": made.system}
    entries |= {"model": made.model, "operation": made.operation}
    console.print(facts({name: text for name, text in entries.items() if text}, "\nProvenance"))
    console.print(Text("Metadata are no proof: anyone can change or remove them.", style="dim"), soft_wrap=not console.is_terminal)
