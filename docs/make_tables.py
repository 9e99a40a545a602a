"""Reference tables made from the code itself, so that they cannot drift from it: commands, settings, parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def write(folder: Path) -> None:
    """Write every table into `folder`; files that would not change are left alone, so that Sphinx need not read them again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"commands": commands(), "settings": settings(), "parts": parts(), "families": families()}.items():
        path = folder / f"{name}.inc"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], widths: str) -> str:
    lines = [".. list-table::", f"   :widths: {widths}", "   :header-rows: 1", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _title(text: str, mark: str) -> str:
    return f"{text}\n{mark * len(text)}\n"


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("`", "\\`").replace("|", "\\|")


def commands() -> str:
    """Every command of the command line, with its arguments and options."""
    from typer.main import get_command

    from isthmus.cli.app import app

    root: Any = get_command(app)
    blocks: list[str] = []
    for name, command in root.commands.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = " ".join(["isthmus", name, *(p.metavar or p.name.upper() for p in arguments), "[OPTIONS]"])
        blocks += [
            f".. _command-{name}:\n",
            _title(f"isthmus {name}", "-"),
            _plain(command.help) + "\n",
            f".. code-block:: none\n\n   {usage}\n",
        ]
        blocks += [_options(group, command.params) for group in _groups(command.params)]
    return "\n".join(blocks)


def _groups(params: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(getattr(p, "rich_help_panel", None) or "" for p in params if p.param_type_name == "option"))


def _options(group: str, params: Sequence[Any]) -> str:
    mine = [p for p in params if p.param_type_name == "option" and (p.rich_help_panel or "") == group]
    title = f".. rubric:: {group}\n\n" if group else ""
    return title + _table(("option", "meaning"), [(_flags(p), _meaning(p)) for p in mine], "35 65")


def _flags(param: Any) -> str:
    value = "" if param.is_flag else f" {_metavar(param)}"
    names = ", ".join([*param.opts, *param.secondary_opts])
    return f"``{names}{value}``"


def _metavar(param: Any) -> str:
    return param.metavar or {int: "N", float: "X"}.get(type(param.default), "TEXT")


def _meaning(param: Any) -> str:
    default = "" if param.is_flag or param.default in (None, "") else f" Default: ``{param.default}``."
    return _plain(param.help or "") + (" Must be given." if param.required else default)


def settings() -> str:
    """Every setting of a fit: the flag, the key of the config file and the estimators' parameter are the same word."""
    from isthmus.tasks.config import Config

    kinds = Config.kinds()
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for name, (group, text) in Config.help().items():
        groups.setdefault(group, []).append((f"``{name}``", _told(kinds[name]), _plain(text)))
    return "\n".join(_title(group, "-") + "\n" + _table(("setting", "type", "meaning"), rows, "22 18 60") for group, rows in groups.items())


def _told(kinds: tuple[type, ...]) -> str:
    words = {int: "whole number", float: "number", str: "text", bool: "true or false", tuple: "list of whole numbers"}
    return " or ".join(words[kind] for kind in kinds)


def parts() -> str:
    """Every named part, as ``isthmus list`` tells it."""
    from isthmus.cli.fitting import catalogue

    blocks = [".. rubric:: " + title + "\n\n" + _definitions(entries) for title, entries in catalogue().items()]
    return "\n".join(blocks)


def families() -> str:
    """Every family: what to take it for, and what it minimises, from its recipe's own words."""
    from isthmus.families import FAMILIES

    rows = [(f"``{name}``", _plain(family.use), _minimised(family.build.__doc__)) for name, family in FAMILIES.items()]
    return _table(("family", "take it for", "it minimises"), rows, "16 38 46")


def _minimised(text: str) -> str:
    first = text.strip().partition("\n\n")[0].replace("\n", " ")
    return " ".join(first.removeprefix("Minimise ").split())


def _definitions(entries: dict[str, str]) -> str:
    rows = [(f"``{name}``" if name else "", text.replace("r:math:", ":math:")) for name, text in entries.items()]
    if rows and not rows[0][0]:
        return rows[0][1] + "\n"
    return _table(("name", "what it is"), rows, "25 75")
