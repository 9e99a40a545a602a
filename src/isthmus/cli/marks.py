"""What pictures say of their making: the mark that commands leave in them, and ``isthmus info PICTURE``."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import typer
    from rich.console import Console

    from isthmus.artifact import Artifact
    from isthmus.data import Provenance

# Commands whose sheets show originals beside what the model made of them, and those that show originals only.
_COMPOSITE = ("arithmetic", "cluster", "report", "compare")
_ORIGINALS = ("neighbours", "uncertainty")

_STATES = {
    "trusted": "Signed by somebody whom the given certificates vouch for, and not changed since.",
    "valid": "Not changed since it was signed. Whether the signer is to be trusted, nobody said: give root certificates with --trust.",
    "unknown": "Not changed since it was signed, by somebody whom none of the given certificates vouches for.",
    "invalid": "The signature does not hold: the picture, or what it says of itself, was changed after it was signed.",
}

# The command that runs, and whether it marks pictures.
_RUNNING: ContextVar[tuple[str, bool]] = ContextVar("_RUNNING", default=("", True))


def begin(context: typer.Context, marked: bool, certificate: Path | None, key: Path | None) -> None:
    """Take note of the command that runs, and whether it is to mark pictures and to sign them.

    Raises
    ------
    ConfigError
        If there is a certificate without a key, a key without a certificate, or nothing to sign.
    """
    _RUNNING.set((context.invoked_subcommand or "", marked))
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise ConfigError("signing needs both --certificate and --key (or ISTHMUS_CERTIFICATE and ISTHMUS_KEY)")
    if not marked:
        raise ConfigError("--certificate signs what --no-provenance leaves out. Leave one of them out")
    from isthmus.data.credentials import Signer, signing

    context.with_resource(signing(Signer(certificate, key)))


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


def tell(path: Path, console: Console, trust: Path | None = None) -> None:
    """Tell what a picture is, and what it says of its making."""
    from isthmus.cli.show import facts
    from isthmus.data.credentials import has_credentials
    from isthmus.data.provenance import look

    found, made = look(path)
    signed = has_credentials(path)
    console.print(facts({"picture": path.name, **found}))
    if made is None and not signed:
        _note(console, "\nNo provenance: its metadata do not say how it was made, which proves nothing either way.")
        return
    if made is not None:
        console.print(facts(_entries(made), "\nProvenance"))
        _note(console, "Metadata are no proof: anyone can change or remove them.", "dim")
    if signed:
        _tell_signature(path, console, trust)


def _entries(made: Provenance) -> dict[str, str]:
    entries = {"source type": made.source_type, "meaning": made.meaning, "software": made.software, "made by": made.system}
    entries |= {"model": made.model, "operation": made.operation}
    return {name: text for name, text in entries.items() if text}


def _note(console: Console, text: str, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(text, style=style), soft_wrap=not console.is_terminal)


def _tell_signature(path: Path, console: Console, trust: Path | None) -> None:
    from isthmus.cli.show import facts
    from isthmus.data.credentials import read_credentials

    try:
        found = read_credentials(path, trust)
    except MissingExtraError as error:
        _note(console, f"\nIt carries Content Credentials (C2PA). {error}")
        return
    if found is None:
        return
    signature = {"signature": found.state, "signed by": found.signer, "vouched for by": found.issuer, "time": found.time}
    entries = {name: text for name, text in signature.items() if text} | (_entries(found.provenance) if found.provenance else {})
    console.print(facts(entries, "\nContent Credentials (C2PA)"))
    state = "unknown" if found.state == "valid" and trust is not None else found.state
    _note(console, _STATES[state] + "".join(f"\n- {problem}" for problem in found.problems), "" if found.problems else "dim")
