"""A fitted network as a folder, with how it was fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from isthmus.artifact import files
from isthmus.errors import ArtifactError, ConfigError
from isthmus.spec import from_spec, to_spec
from isthmus.training import History

N = TypeVar("N", bound=nn.Module)
T = TypeVar("T")


@dataclass(frozen=True)
class Form:
    """What a kind of folder is called.

    Parameters
    ----------
    name : str
        Stands in the folder.
    version : int
    told : str
        What it holds, such as "a network for pictures".
    opens : str
        With what it is opened.

    Examples
    --------
    >>> Form("isthmus-example", 1, "an example", "nothing").version
    1
    """

    name: str
    version: int
    told: str
    opens: str


def save(
    path: str | Path, form: Form, network: nn.Module, settings: dict[str, Any], history: History, facts: dict[str, Any], **more: Any
) -> Path:
    """Write a network as the folder `path`, whole or not at all.

    Raises
    ------
    ArtifactError
        If something else lies at `path`, or it cannot be written.
    """
    entry = {"format": form.name, "version": form.version, "network": to_spec(network), "settings": settings}
    entry |= {"history": history.rows, "facts": facts, **more}
    readme = f"# {Path(path).name}\n\n{form.told[0].upper()}{form.told[1:]}, made by isthmus; open it with `{form.opens}`.\n"
    return files.write_folder(Path(path), entry, files.pack({"network": network}), {}, readme)


def load(path: str | Path, form: Form, kinds: tuple[type[N], ...]) -> tuple[N, dict[str, Any], History, dict[str, Any], dict[str, Any]]:
    """Open the folder `path`: its network, settings, history, facts, and the whole entry. Nothing in it can run code.

    Raises
    ------
    ArtifactError
        If the folder is missing, broken, from a newer version, or not what it says.
    """
    entry, tensors, _ = files.read_folder(Path(path), form.name, form.version)
    network, settings, history, facts = described(path, form, lambda: _parts(entry, form, kinds))
    files.unpack(Path(path), {"network": network}, tensors)
    return network.eval(), settings, history, facts, entry


def _parts(entry: dict[str, Any], form: Form, kinds: tuple[type[N], ...]) -> tuple[N, dict[str, Any], History, dict[str, Any]]:
    with torch.device("meta"):
        network = from_spec(entry["network"])
    if not isinstance(network, kinds):
        raise ConfigError(f"a {type(network).__name__} stands where {form.told} belongs")
    history = History([{str(k): float(v) for k, v in row.items()} for row in entry["history"]])
    return network, dict(entry["settings"]), history, dict(entry["facts"])


def described(path: str | Path, form: Form, read: Callable[[], T]) -> T:
    """Return what `read` makes of an entry.

    Raises
    ------
    ArtifactError
        If it is not what belongs there.
    """
    try:
        return read()
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{path}: config.json does not describe {form.told}: {str(error)[:500]}") from error
