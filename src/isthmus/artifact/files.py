"""The folder of an artifact: written whole or not at all, read with suspicion."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, NoReturn, cast
from uuid import uuid4

from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus.errors import ArtifactError
from isthmus.files import hold

CONFIG, MODEL, PREPROCESSOR, README = "config.json", "model.safetensors", "preprocessor.safetensors", "README.md"
TENSORS = (MODEL, PREPROCESSOR)
LARGEST_CONFIG = 64 << 20
_FORMS = {
    "isthmus-artifact": "a model of rows (`isthmus fit`)",
    "isthmus detector": "a detector of tables (`isthmus detect`)",
    "isthmus log detector": "a detector of logs (`isthmus detect --logs`)",
    "isthmus-restorer": "a denoiser (`isthmus denoise`)",
    "isthmus-translation": "a translator (`isthmus translate`)",
    "isthmus-swapper": "a swapper (`isthmus swap`)",
}


def pack(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return all parameters and buffers under the modules' names, on the CPU."""
    return {f"{name}.{key}": t.detach().cpu().contiguous() for name, module in modules.items() for key, t in module.state_dict().items()}


def unpack(path: Path, modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Give modules built on the meta device their tensors.

    Raises
    ------
    ArtifactError
        If names, shapes or types are not those of the modules.
    """
    wanted = {f"{name}.{key}": t for name, module in modules.items() for key, t in module.state_dict().items()}
    if wanted.keys() != tensors.keys():
        raise ArtifactError(f"{path}: {MODEL} does not belong to this {CONFIG}: {_difference(wanted.keys(), tensors.keys())}")
    for key, tensor in wanted.items():
        if tensor.shape != tensors[key].shape or tensor.dtype != tensors[key].dtype:
            found = f"{tuple(tensors[key].shape)} {tensors[key].dtype}"
            raise ArtifactError(f"{path}: the tensor {key!r} is {found}, but {CONFIG} needs {tuple(tensor.shape)} {tensor.dtype}")
    for name, module in modules.items():
        prefix = f"{name}."
        state = {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        module.load_state_dict(state, assign=True)


def _difference(wanted: Set[str], found: Set[str]) -> str:
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    return f"missing {missing[:3]}, unexpected {extra[:3]}"


def write_folder(path: Path, entry: dict[str, Any], tensors: dict[str, Tensor], arrays: dict[str, NDArray[Any]], readme: str) -> Path:
    """Write an artifact's folder beside `path`, then rename it into place; an older one is removed last.

    Raises
    ------
    ArtifactError
        If something else lies at `path`, or it cannot be written.
    """
    from safetensors.numpy import save as save_arrays
    from safetensors.torch import save as save_tensors

    path = Path(os.path.realpath(path))
    contents = {MODEL: save_tensors(tensors), PREPROCESSOR: save_arrays(arrays)}
    digests = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in contents.items()}
    contents[CONFIG] = json.dumps({**entry, "files": digests}, indent=1, allow_nan=False).encode()
    contents[README] = readme.encode()
    beside = path.with_name(f".{path.name}.{uuid4().hex[:12]}.tmp")
    lock: int | None = None
    try:
        recover(path)
        _refuse_foreign(path, entry["format"])
        _sweep(path)
        beside.mkdir(parents=True)
        lock = _lock(beside)
        for name, data in contents.items():
            with (beside / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _swap(beside, path)
    except OSError as error:
        raise ArtifactError(
            f"cannot write {path}: {error.strerror or error}. Free space or choose another folder; nothing was changed"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        if lock is not None:
            os.close(lock)
    return path


def _refuse_foreign(path: Path, name: str) -> None:
    """Refuse to replace anything but a saved model or an empty folder: nobody's files are deleted by a save."""
    if not path.exists():
        return
    found = {item.name for item in path.iterdir()} if path.is_dir() else {path.name}
    foreign = sorted(found - {CONFIG, README, *TENSORS})
    if foreign:
        raise ArtifactError(
            f"{path} holds what is no part of a saved model ({', '.join(foreign[:3])}): it is left as it is; choose another name"
        )
    if found and not _is_ours(path / CONFIG, name):
        raise ArtifactError(f"{path} exists and is no saved model: it is left as it is; choose another name")


def _is_ours(config: Path, name: str) -> bool:
    try:
        entry: Any = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and cast("dict[str, Any]", entry).get("format") == name


def _lock(folder: Path) -> int | None:
    """Hold a folder for as long as the returned handle is open; None if another process holds it, or there are no locks here."""
    try:
        return hold(folder)
    except BlockingIOError:
        return None


def _sweep(path: Path) -> None:
    """Remove what saves that were killed half-way left beside `path`; one that is still being written is held by its process."""
    for stray in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 12}.tmp"):
        handle = _lock(stray)
        if handle is not None:
            shutil.rmtree(stray, ignore_errors=True)
            os.close(handle)


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _swap(beside: Path, path: Path) -> None:
    if path.exists():
        path.rename(_old(path))
    try:
        beside.rename(path)
    except OSError:
        recover(path)
        raise
    shutil.rmtree(_old(path), ignore_errors=True)


def recover(path: Path) -> None:
    """Bring back the older artifact if a process died between the two renames of a save."""
    old = _old(path)
    if not old.is_dir():
        return
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.rename(path)


def read_folder(path: Path, name: str, version: int) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, NDArray[Any]]]:
    """Read an artifact's folder and check all that can be checked before anything is built.

    Raises
    ------
    ArtifactError
        If a file is missing, broken, too large, swapped, or of a newer format.
    """
    path = Path(os.path.realpath(path))
    if not path.exists() and _old(path).is_dir():
        path = _old(path)  # a save died between its two renames; the next one puts the folder back
    if not path.is_dir():
        raise ArtifactError(
            f"no saved model at {path}: give the folder that save(), `isthmus fit --out`, `detect --save`, `denoise --save` ... wrote"
        )
    from safetensors.numpy import load as load_arrays
    from safetensors.torch import load as load_tensors

    entry = _config(path, name, version)
    contents = {file: _checked(path, file, entry) for file in TENSORS}
    tensors = _parsed(path, MODEL, load_tensors, contents[MODEL])
    return entry, tensors, _parsed(path, PREPROCESSOR, load_arrays, contents[PREPROCESSOR])


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def _inside(path: Path, name: str) -> Path:
    """Return a file of the folder, refusing links that lead out of it."""
    file = path / name
    if not file.is_file():
        raise ArtifactError(f"{path}: {name} is missing; the saved model is not complete")
    if Path(os.path.realpath(file)).parent != path:
        raise ArtifactError(f"{path}: {name} is a link that leads out of the folder; refused")
    return file


def _config(path: Path, name: str, version: int) -> dict[str, Any]:
    file = _inside(path, CONFIG)
    if file.stat().st_size > LARGEST_CONFIG:
        raise ArtifactError(f"{path}: {CONFIG} is larger than {LARGEST_CONFIG >> 20} MB; refused")
    try:
        entry: Any = json.loads(file.read_bytes(), parse_constant=_refuse, parse_float=_finite)
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: {CONFIG} is not readable ({error}); the file is broken or cut off") from error
    if not isinstance(entry, dict) or cast("dict[str, Any]", entry).get("format") != name:
        raise ArtifactError(f"{path}{_told(entry, name)}")
    config = cast("dict[str, Any]", entry)
    found: Any = config.get("version")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise ArtifactError(f"{path}: {CONFIG} has no valid version number")
    if found > version:
        raise ArtifactError(f"{path} was saved in format version {found}, but this isthmus reads up to {version}: upgrade isthmus")
    return config


def _told(entry: Any, name: str) -> str:
    """Say that a folder holds another kind of thing than what is opened, or nothing of ours."""
    found: Any = cast("dict[str, Any]", entry).get("format") if isinstance(entry, dict) else None
    if not isinstance(found, str) or found not in _FORMS or name not in _FORMS:
        return f": {CONFIG} is not that of a saved model of isthmus"
    return f" holds {_FORMS[found]}, not {_FORMS[name]}"


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not allowed")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _refuse(text)


def _checked(path: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    file = _inside(path, name)
    try:
        wanted: tuple[str, int] = entry["files"][name]["sha256"], entry["files"][name]["bytes"]
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: {CONFIG} does not say what {name} holds") from error
    if file.stat().st_size != wanted[1]:
        raise ArtifactError(f"{path}: {name} has {file.stat().st_size} bytes instead of {wanted[1]}: it is cut off or was replaced")
    try:
        data = file.read_bytes()
    except (OSError, MemoryError) as error:
        raise ArtifactError(f"{path}: {name} cannot be read ({str(error) or 'not enough memory'})") from error
    if hashlib.sha256(data).hexdigest() != wanted[0]:
        raise ArtifactError(f"{path}: {name} is not the file that was saved with this {CONFIG} (its digest differs)")
    return data


def _parsed(path: Path, name: str, load: Callable[[bytes], dict[str, Any]], data: bytes) -> dict[str, Any]:
    from safetensors import SafetensorError

    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ArtifactError(f"{path}: {name} is not a readable safetensors file ({error})") from error
