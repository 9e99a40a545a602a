"""``isthmus info`` of saved things other than models of rows: detectors, denoisers, translators, swappers."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from isthmus.training import History

_KINDS = {
    "isthmus detector": ("detector", "tasks.detector.Detector", "detect"),
    "isthmus log detector": ("log detector", "tasks.logs.LogDetector", "detect --logs"),
    "isthmus-restorer": ("denoiser", "artifact.restorer.Restorer", "denoise"),
    "isthmus-translation": ("translator", "artifact.translation.Translation", "translate"),
    "isthmus-swapper": ("swapper", "artifact.swapping.SwapModel", "swap"),
}


def knows(folder: Path) -> str:
    """Return the form of a folder if it is one of those told of here, else nothing."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("format")
    except (OSError, ValueError, AttributeError):
        return ""
    return found if found in _KINDS else ""


def tell(folder: Path, form: str, console: Console) -> History | None:
    """Tell what a folder holds, and return the curve of its training, if it has one.

    Raises
    ------
    ArtifactError
        If the folder is broken, or from a newer version.
    """
    from isthmus.cli.show import facts

    name, place, command = _KINDS[form]
    module, _, kind = place.rpartition(".")
    found: Any = getattr(import_module(f"isthmus.{module}"), kind).load(folder)
    head: dict[str, Any] = {"kind": name, "used by": f"isthmus {command}"}
    network = getattr(found, "network", None)
    if network is not None:
        head["parameters"] = f"{sum(p.numel() for p in network.parameters()):,}"
    if hasattr(found, "domains"):
        head["domains"] = ", ".join(found.domains)
    if hasattr(found, "alpha"):
        head["share of false alarms"] = found.alpha
    learned = {key: value for key, value in found.facts.items() if key != "trial"}
    titled = {"": head, "Facts": _plain(learned), "Settings": _plain(_limited(getattr(found, "settings", {})))}
    width = max(len(key) for entries in titled.values() for key in entries)
    for title, entries in titled.items():
        if entries:
            console.print(facts(entries, f"\n{title}" if title else "", width=width))
    return getattr(found, "history", None)


def _limited(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out the steps where the time alone was to end the training."""
    from isthmus.training.restoring import UNLIMITED

    return {key: value for key, value in settings.items() if key != "steps" or value < UNLIMITED}


def _plain(entries: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is empty, and write what is inside other entries as one text."""
    shown = {key.replace("_", " "): value for key, value in entries.items() if value not in (None, "", [], {}, ())}
    return {key: _one(value) for key, value in shown.items()}


def _one(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_one(each)}" for key, each in value.items())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, (list, tuple)):
        return ", ".join(str(_one(each)) for each in value)  # pyright: ignore[reportUnknownVariableType]
    return f"{value:.6g}" if isinstance(value, float) else value
