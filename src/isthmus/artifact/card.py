"""The model card, written from the facts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.artifact.artifact import Artifact


def text(artifact: Artifact, name: str) -> str:
    """Return the model card of `artifact`, saved as `name`, in Markdown."""
    facts = artifact.facts
    parameters = sum(p.numel() for p in artifact.model.parameters())
    shape = " x ".join(map(str, artifact.schema.shape))
    parts = [
        f"# {name}",
        f"Autoencoder of the family `{artifact.family}`, fitted on {artifact.schema.kind} with rows of {shape} values: a code of width "
        f"{artifact.model.latent}, {parameters:,} parameters. Made by isthmus {facts.get('isthmus', '')}.",
        _section("Data", {key: facts[key] for key in ("data", "rows", "training rows", "held-out rows") if key in facts}),
        _section("Held-out figures", facts.get("figures", {})),
        _section("Training", facts.get("training", {})),
        _section("Settings", {key: value for key, value in artifact.config.items() if value is not None}),
        _notes(facts.get("notes", [])),
        _command(facts.get("command"), name),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, entries: dict[str, Any]) -> str:
    if not entries:
        return ""
    return "\n".join([f"## {title}", "", "| what | value |", "|---|---|", *(f"| {k} | {_told(v)} |" for k, v in entries.items())])


def _told(value: object) -> str:
    shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    return shown.replace("|", "\\|").replace("\n", " ")


def _notes(notes: list[str]) -> str:
    return "\n".join(["## Notes", "", *(f"- {_told(note)}" for note in notes)]) if notes else ""


def _command(command: str | None, name: str) -> str:
    made = f"Made with:\n\n```\n{command}\n```\n\n" if command else ""
    opened = f'```python\nimport isthmus\n\nmodel = isthmus.load("{name}")\n```'
    return f"## Use\n\n{made}Open it with:\n\n{opened}"
