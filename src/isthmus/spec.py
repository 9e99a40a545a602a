"""Parts of a model as JSON, and back: only registered types, never code.

A part is a class decorated with `register`. Its constructor arguments are remembered, so that `to_spec` can write
the part (and the parts inside it) as plain JSON and `from_spec` can build an equal one.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from isthmus.errors import ConfigError

T = TypeVar("T")
_TYPES: dict[str, type] = {}
_DEPTH = 8
_ATTRIBUTE = "_spec_arguments"


def register(name: str) -> Callable[[type[T]], type[T]]:
    """Make a class known under `name`, so that artifacts can hold it.

    Parameters
    ----------
    name : str
        Unique name, ``"floor.part"`` by custom, such as ``"bottleneck.topk"``.

    Returns
    -------
    callable
        A class decorator.

    Raises
    ------
    ConfigError
        If another class already has this name.

    Examples
    --------
    >>> @register("example.scale")
    ... class Scale:
    ...     def __init__(self, by: float = 2.0) -> None:
    ...         self.by = by
    >>> to_spec(Scale(3.0))
    {'type': 'example.scale', 'by': 3.0}
    >>> from_spec({"type": "example.scale", "by": 5.0}).by
    5.0
    """

    def decorate(cls: type[T]) -> type[T]:
        known = _TYPES.get(name)
        if known is not None and known.__qualname__ != cls.__qualname__:
            raise ConfigError(f"the part name {name!r} is taken by {known.__qualname__}; choose another")
        _TYPES[name] = cls
        _remember_arguments(cls, name)
        return cls

    return decorate


def _remember_arguments(cls: type, name: str) -> None:
    original: Callable[..., None] = cls.__init__
    signature = inspect.signature(original)

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        original(self, *args, **kwargs)
        if type(self) is cls:
            arguments = dict(list(bound.arguments.items())[1:])
            object.__setattr__(self, _ATTRIBUTE, (name, arguments))

    cls.__init__ = __init__


def known(prefix: str = "") -> dict[str, type]:
    """Return the registered types whose name starts with `prefix`, sorted by name."""
    return {name: _TYPES[name] for name in sorted(_TYPES) if name.startswith(prefix)}


def to_spec(part: Any) -> dict[str, Any]:
    """Write a registered part as plain JSON types.

    Raises
    ------
    ConfigError
        If the part, or one inside it, is not registered or has an argument that JSON cannot hold.
    """
    if not hasattr(part, _ATTRIBUTE):
        raise ConfigError(f"{type(part).__name__} cannot be saved: decorate the class with @isthmus.spec.register('your.name')")
    name, arguments = getattr(part, _ATTRIBUTE)
    return {"type": name, **{key: _plain(value, f"{name}.{key}") for key, value in arguments.items()}}


def _plain(value: Any, where: str) -> Any:
    if hasattr(value, _ATTRIBUTE):
        return to_spec(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} is {value}: only finite numbers can be saved")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item, where) for item in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, where) for key, item in cast("Mapping[Any, Any]", value).items()}
    raise ConfigError(f"{where} is a {type(value).__name__}, which cannot be saved as text")


def from_spec(entry: Any, depth: int = 0) -> Any:
    """Build the part that `entry` describes.

    Parameters
    ----------
    entry : dict
        What `to_spec` wrote.
    depth : int
        How deep this entry lies in another one; nesting is limited.

    Raises
    ------
    ConfigError
        If a type is unknown, an argument does not fit, or the nesting is too deep.
    """
    arguments = dict(_mapping(entry) or {})
    name = arguments.pop("type", None)
    if not isinstance(name, str):
        raise ConfigError(f"not a part: {str(entry)[:80]!r} (an object with a 'type' is needed)")
    if name not in _TYPES:
        raise ConfigError(f"unknown part {name[:80]!r}; import the module that registers it first, or use one of {sorted(_TYPES)}")
    if depth > _DEPTH:
        raise ConfigError(f"part {name!r} is nested deeper than {_DEPTH} levels")
    values = {key: _build(value, depth) for key, value in arguments.items()}
    try:
        return _TYPES[name](**values)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
        raise ConfigError(f"part {name!r} cannot be built: {error}") from error


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def _build(value: Any, depth: int) -> Any:
    if "type" in (_mapping(value) or ()):
        return from_spec(value, depth + 1)
    if isinstance(value, list):
        return [_build(item, depth) for item in cast("list[Any]", value)]
    return value
