"""A training run on disk: one safetensors file with the loop's state as JSON in its header, never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from isthmus.errors import ArtifactError, ConfigError
from isthmus.files import atomic_path
from isthmus.spec import to_spec
from isthmus.training.config import TrainingConfig

FORMAT = 2


def fingerprint(config: TrainingConfig, data: Sequence[Tensor | str], parts: Sequence[nn.Module]) -> str:
    """Return a digest of what must be the same for a run to go on: settings, data (a sample of the rows, or a text), model, objective."""
    facts = asdict(config) | {"device": None, "devices": None}
    known = [rows if isinstance(rows, str) else list(rows.shape) for rows in data]
    digest = hashlib.sha256(json.dumps([facts, *known, *map(_described, parts)]).encode())
    for rows in (part for part in data if not isinstance(part, str)):
        sample = rows[:: max(1, len(rows) // 256)].contiguous().cpu()
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()


def _described(part: nn.Module) -> object:
    """Return a part as text, or the shapes of its tensors where it is not registered."""
    try:
        return to_spec(part)
    except ConfigError:
        return {name: list(tensor.shape) for name, tensor in part.state_dict().items()}


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint beside and rename it, so that the old one stays whole until the new one is."""
    from safetensors.torch import save as serialise

    packed = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as beside:
        beside.write_bytes(serialise(packed, metadata={"isthmus": json.dumps({**state, "format": FORMAT})}))


def load(path: Path, expected: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint whose fingerprint is `expected`.

    Raises
    ------
    ArtifactError
        If the file is missing, broken, or belongs to another run.
    """
    import safetensors
    from safetensors import SafetensorError

    if not path.is_file():
        raise ArtifactError(f"no checkpoint at {path}: start without resume, or name the right file")
    try:
        with cast("Any", safetensors).safe_open(str(path), framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state: dict[str, Any] = json.loads(metadata["isthmus"])
        known, found = state["format"], state["fingerprint"]
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise ArtifactError(f"{path} is not a checkpoint of isthmus, or is broken ({error}); delete it and start again") from error
    if known != FORMAT:
        raise ArtifactError(f"{path} has the checkpoint format {known}, but this version reads {FORMAT}; start the run again")
    if found != expected:
        raise ArtifactError(f"{path} belongs to another run: settings, data or model differ. Use the same ones, or start without resume")
    return tensors, state


def select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose name starts with `prefix`, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def copy_into(target: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> None:
    """Copy tensors by name in place."""
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])
