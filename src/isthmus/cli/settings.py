"""Settings from a file and from flags, without anything heavy: needed before processes are started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isthmus.cli.flags import READING, parse_reading
from isthmus.tasks.config import Config


def merge(path: Path | None, flags: Mapping[str, Any], reading: Mapping[str, Any]) -> tuple[dict[str, Any], Config]:
    """Merge a config file and flags; flags win.

    Parameters
    ----------
    path : path, optional
        TOML or YAML file.
    flags : mapping
        Settings given as flags.
    reading : mapping
        Options for reading the data given as flags.

    Returns
    -------
    reading : dict
    config : Config

    Raises
    ------
    ConfigError
        If the file or an entry is wrong.
    """
    found = Config.parse(path) if path else {}
    mine = {name: found.pop(name) for name in list(found) if name in READING}
    config = Config.from_mapping({**found, **flags}, str(path) if path else "flags")
    return {**parse_reading(mine, str(path)), **reading}, config
