"""Import an optional dependency where it is used, or say which ``pip install`` brings it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from isthmus.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> Any:
    """Import `module`, which the extra `extra` installs.

    Parameters
    ----------
    module : str
        Dotted name of the module, such as ``"pyarrow.csv"``.
    extra : str
        Name of the extra of isthmus that installs it.
    purpose : str
        What it is needed for, as it should stand in the message.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        If the module is not installed.

    Examples
    --------
    >>> require("json", "table", "reading JSON").__name__
    'json'
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise MissingExtraError(
            f"{purpose} needs the package {package!r}, which is not installed. Install it with: pip install 'isthmus[{extra}]'"
        ) from error
