"""Flags made from the table of settings, so that flag, config file and estimator parameter never drift apart."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, cast

import typer

from isthmus.errors import ConfigError
from isthmus.tasks.config import Config

READING: dict[str, tuple[str, str]] = {
    "key": ("text", "which array of an .npz file"),
    "columns": ("names", "columns to use, such as a,b,c; all others are left out"),
    "drop": ("names", "columns to leave out, such as id,label"),
    "size": ("numbers", "height x width to which picture files are resized, such as 64x64"),
    "colour": ("text", "how picture files are read: auto, grey, rgb or rgba (with transparency)"),
    "bits": ("numbers", "bits of a pixel of picture files: auto, 8 or 16"),
    "on_error": ("text", "what to do about unreadable pictures: refuse or skip"),
    "shape": ("numbers", "turns the rows of a table into pictures, such as 28x28x1"),
    "schema": ("text", "file that says what each column is, such as `isthmus schema` writes"),
    "kind": ("names", "what a column is, such as zip=category or id=identifier; wins over --schema"),
    "ids": ("text", "column with the rows' names, which is left out"),
    "condition": ("names", "columns, or a file with a value for each row, that conditional models are told of and do not explain"),
    "stream": ("text", "whether rows are read as they are needed, for data larger than memory: auto, always or never"),
}
_METAVARS = {int: "N", float: "X", str: "TEXT", list[str]: "NAMES", bool: ""}


def _option(name: str, kind: Any, group: str, text: str) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    flags = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
    option = typer.Option(flags, help=f"{text[0].upper()}{text[1:]}.", rich_help_panel=group, metavar=_METAVARS[kind])
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])


def _kind(kinds: tuple[type, ...]) -> type:
    return kinds[0] if len(kinds) == 1 and kinds[0] is not tuple else str


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command with ``**settings`` one flag per setting and per reading option."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    kinds = Config.kinds()
    reading = [_option(name, list[str] if kind == "names" else str, "Reading the data", text) for name, (kind, text) in READING.items()]
    settings = [_option(name, _kind(kinds[name]), group, text) for name, (group, text) in Config.help().items()]
    parameters = [*own, *reading, *settings]
    command.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def parse_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return given flags with their text parsed: ``256,128`` becomes a list, a scale that is a number becomes one.

    Raises
    ------
    ConfigError
        If a list of numbers is not one.
    """
    kinds = Config.kinds()
    return {name: _parse(name, value, kinds[name]) for name, value in values.items() if value is not None and name in kinds}


def _parse(name: str, value: Any, kinds: tuple[type, ...]) -> Any:
    if tuple in kinds:
        try:
            return tuple(int(part) for part in value.split(",") if part.strip())
        except ValueError as error:
            raise ConfigError(f"{name} takes whole numbers such as 256,128, not {value!r}") from error
    if kinds == (float, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def parse_reading(values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return the given reading options; lists of names become tuples.

    Parameters
    ----------
    values : mapping
        From flags or from a config file.
    where : str
        The config file, for the message.

    Raises
    ------
    ConfigError
        If an option is of the wrong type.
    """
    given = {name: values[name] for name in READING if values.get(name) is not None and values[name] != []}
    return {name: _reading(name, value, READING[name][0], f"{where}: " if where else "") for name, value in given.items()}


def _reading(name: str, value: Any, kind: str, where: str) -> Any:
    parts: Sequence[Any] = cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else [value]
    if kind == "names" and all(type(part) in (str, int) for part in parts):
        # A list in a file holds whole names; commas stand between names in a flag or a single text.
        whole = isinstance(value, (list, tuple)) and bool(where)
        return tuple(parts) if whole else tuple(entry for part in parts for entry in _names(str(part)))
    if kind == "numbers" and (isinstance(value, str) or all(type(part) is int for part in parts)):
        return cast("Any", value)
    if kind == "text" and isinstance(value, str):
        return value
    wanted = {"names": "names", "numbers": "text such as 64x64 or whole numbers", "text": "text"}[kind]
    raise ConfigError(f"{where}{name} must be {wanted}, not {value!r}")


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
