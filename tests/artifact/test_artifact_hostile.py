"""Broken and hostile folders: each is refused in words, costs little, and runs nothing."""

from __future__ import annotations

import ast
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

import isthmus
from isthmus.artifact import VERSION, Artifact
from isthmus.artifact import files as artifact_files
from isthmus.errors import ArtifactError

resource = pytest.importorskip("resource")
MODEL, CONFIG, PREPROCESSOR = "model.safetensors", "config.json", "preprocessor.safetensors"


def refused(folder: Path, *told: str) -> str:
    with pytest.raises(ArtifactError) as caught:
        Artifact.load(folder)
    message = str(caught.value)
    assert str(folder) in message
    for text in told:
        assert text in message, message
    assert len(message) < 2000, "a message is for people"
    return message


def test_no_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "no saved model")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "no saved model")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", CONFIG, "missing")


@pytest.mark.parametrize("name", [MODEL, CONFIG, PREPROCESSOR])
def test_a_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    refused(saved, name, "missing")


def test_the_model_card_is_not_needed(saved: Path) -> None:
    (saved / "README.md").unlink()
    Artifact.load(saved)


@pytest.mark.parametrize("name", [MODEL, PREPROCESSOR])
@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_cut_off_tensors(saved: Path, name: str, keep: int) -> None:
    (saved / name).write_bytes((saved / name).read_bytes()[:keep])
    refused(saved, name, "cut off")


@pytest.mark.parametrize("keep", [0, 1, 50, -1])
def test_cut_off_config(saved: Path, keep: int) -> None:
    (saved / CONFIG).write_bytes((saved / CONFIG).read_bytes()[:keep])
    refused(saved, CONFIG, "broken or cut off")


@pytest.mark.parametrize("name", [MODEL, PREPROCESSOR])
def test_one_flipped_bit(saved: Path, name: str) -> None:
    data = bytearray((saved / name).read_bytes())
    data[-5] ^= 1
    (saved / name).write_bytes(bytes(data))
    refused(saved, name, "digest")


def huge_header(length: int) -> bytes:
    return length.to_bytes(8, "little") + b"{}" + bytes(100)


OVERLAPPING = json.dumps(
    {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}
).encode()
BEYOND = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
UNKNOWN = json.dumps({"a": {"dtype": "PYOBJECT", "shape": [1], "data_offsets": [0, 8]}}).encode()
GARBAGE = {
    "nothing": b"",
    "noise": np.random.default_rng(0).bytes(5000),
    "header of 2^63 bytes": huge_header(2**63),
    "header of 2^64 - 1 bytes": huge_header(2**64 - 1),
    "header longer than the file": huge_header(1000),
    "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "overlapping tensors": len(OVERLAPPING).to_bytes(8, "little") + OVERLAPPING + bytes(12),
    "tensor beyond the end": len(BEYOND).to_bytes(8, "little") + BEYOND + bytes(8),
    "unknown type": len(UNKNOWN).to_bytes(8, "little") + UNKNOWN + bytes(8),
}


@pytest.mark.parametrize("name", [MODEL, PREPROCESSOR])
@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_with_a_right_digest(saved: Path, tamper: Any, name: str, data: bytes) -> None:
    tamper.replace(name, data)
    refused(saved, name, "not a readable safetensors file")


def test_swapped_model_files(first: Artifact, second: Artifact, tmp_path: Path) -> None:
    # Without densities of their codes, whose sizes may differ, the files differ in nothing but their content.
    saved, other = (replace(model, density=None).save(tmp_path / name) for name, model in (("saved", first), ("other", second)))
    (saved / MODEL).write_bytes((other / MODEL).read_bytes())
    refused(saved, MODEL, "not the file that was saved with this config.json")


def test_files_of_one_model_swapped(saved: Path) -> None:
    one, two = (saved / MODEL).read_bytes(), (saved / PREPROCESSOR).read_bytes()
    (saved / MODEL).write_bytes(two)
    (saved / PREPROCESSOR).write_bytes(one)
    refused(saved, MODEL)


@pytest.mark.parametrize("version", [VERSION + 1, 999, 10**30])
def test_a_newer_version(saved: Path, tamper: Any, version: int) -> None:
    tamper.config(lambda entry: entry.update(version=version))
    refused(saved, f"format version {version}", f"reads up to {VERSION}", "upgrade isthmus")


@pytest.mark.parametrize("version", [None, True, False, "1", 1.0, 0, -1, [1], {}])
def test_no_version(saved: Path, tamper: Any, version: object) -> None:
    tamper.config(lambda entry: entry.update(version=version))
    refused(saved, CONFIG, "no valid version")


def test_a_missing_version(saved: Path, tamper: Any) -> None:
    tamper.config(lambda entry: entry.pop("version"))
    refused(saved, CONFIG, "no valid version")


@pytest.mark.parametrize(
    "text", ["", "hello", "[]", "3", "null", '"isthmus-artifact"', '{"format": "other", "version": 1}', "\x00\xff", "{" * 10, "1" * 5000]
)
def test_no_config_of_ours(saved: Path, text: str) -> None:
    (saved / CONFIG).write_text(text, encoding="latin-1")
    refused(saved, CONFIG)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("key", ["beta", "free_bits"])
def test_numbers_that_are_none(saved: Path, number: str, key: str) -> None:
    text = (saved / CONFIG).read_text()
    assert f'"{key}": ' in text
    start = text.index(f'"{key}": ') + len(key) + 4
    end = min(text.index(mark, start) for mark in ",\n")
    (saved / CONFIG).write_text(text[:start] + number + text[end:])
    refused(saved, CONFIG, "not allowed")


def test_a_number_too_long_for_a_float(saved: Path, tamper: Any) -> None:
    tamper.config(lambda entry: entry["history"].append({"train": 10**400}))
    refused(saved, CONFIG)


@pytest.mark.parametrize("depth", [500, 5000, 200_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"type": "objective.sum", "parts": [', "]}"), ('{"x": ', "}")])
def test_deep_nesting(saved: Path, depth: int, left: str, right: str) -> None:
    text = (saved / CONFIG).read_text()
    head, tail = text.split('"objective": {', 1)
    assert tail
    deep = left * depth + "1" + right * depth
    (saved / CONFIG).write_text(f'{head}"objective": {deep}, "unused": {{{tail}')
    refused(saved, CONFIG)


def walk(entry: Any) -> list[dict[str, Any]]:
    found = [entry] if isinstance(entry, dict) and "type" in entry else []
    inner = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else []
    return found + [part for value in inner for part in walk(value)]


@pytest.mark.parametrize(
    "name", ["os.system", "builtins.eval", "subprocess.Popen", "network.unheard_of", "__class__", "", "torch.nn.Linear"]
)
@pytest.mark.parametrize("number", range(7))
def test_unknown_parts(saved: Path, tamper: Any, name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        raise AssertionError("code of the artifact was run")

    monkeypatch.setattr(os, "system", never)

    def edit(entry: dict[str, Any]) -> None:
        parts = walk(entry["model"]) + walk(entry["objective"])
        assert len(parts) == 7, "model, encoder, bottleneck, decoder, likelihood, prior and objective"
        parts[number]["type"] = name

    tamper.config(edit)
    refused(saved, CONFIG, "unknown part", repr(name))


ENTRIES = ["model", "objective", "schema", "preprocessor", "history", "settings", "facts", "files"]
WRONG = [None, 3, "text", [], [3], {}, {"type": "corruption.masking"}, "missing"]
FREE = {"history": (list,), "settings": (dict,), "facts": (dict,)}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k in ENTRIES for v in WRONG if v == [3] or not isinstance(v, FREE.get(k, ()))])
def test_entries_that_do_not_belong(saved: Path, tamper: Any, key: str, value: object) -> None:
    tamper.config(lambda entry: entry.pop(key) if value == "missing" else entry.update({key: value}))
    refused(saved, CONFIG)


@pytest.mark.parametrize("name", ["figures", "training", "reading"])
def test_facts_of_another_kind(saved: Path, tamper: Any, name: str) -> None:
    tamper.config(lambda entry: entry["facts"].update({name: [3]}))
    refused(saved, CONFIG, f"the entry {name!r} must be a dict")


def test_every_entry_of_the_model_taken_out(saved: Path, tamper: Any) -> None:
    """Whatever argument is missing or wrong, the answer is an error in words or a model of the same shapes."""
    original = (saved / CONFIG).read_text()
    count = len(walk(json.loads(original)["model"]))
    for number in range(count):
        for key in list(walk(json.loads(original)["model"])[number]):
            for value in ("missing", None, -1, 0, 1e300, 10**30, "x", [], {}, True, [[]], {"type": "prior.standard_normal", "latent": 3}):
                entry = json.loads(original)
                part = walk(entry["model"])[number]
                if value == "missing":
                    del part[key]
                else:
                    part[key] = value
                (saved / CONFIG).write_text(json.dumps(entry))
                with suppress(ArtifactError):  # any other error fails
                    model = Artifact.load(saved).model
                    assert (model.shape, model.latent) == ((10,), 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden", [3 * 10**7]),
        ("hidden", [10**9]),
        ("hidden", [10**9] * 60),
        ("hidden", [10**18]),
        ("hidden", [10**40]),
        ("hidden", [1] * 10**6),
        ("shape_out", [10**12]),
    ],
    ids=["two gigabytes", "wide", "wide and deep", "wider than memory", "wider than an integer", "a million layers", "a wide code"],
)
def test_absurd_sizes_cost_nothing(saved: Path, tamper: Any, key: str, value: list[int]) -> None:
    tamper.config(lambda entry: entry["model"]["encoder"].update({key: value}))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    refused(saved)
    assert time.perf_counter() - start < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "kilobytes"


@pytest.mark.parametrize("part", ["bottleneck", "prior", "likelihood", "decoder"])
def test_absurd_sizes_elsewhere(saved: Path, tamper: Any, part: str) -> None:
    key, value = {
        "bottleneck": ("latent", 10**12),
        "prior": ("latent", 10**12),
        "likelihood": ("shape", [10**12]),
        "decoder": ("hidden", [10**12]),
    }[part]
    tamper.config(lambda entry: entry["model"][part].update({key: value}))
    refused(saved)


def test_a_config_of_gigabytes(saved: Path) -> None:
    os.truncate(saved / CONFIG, 1 << 32)
    refused(saved, CONFIG, "larger than")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory")
def test_tensors_of_terabytes(saved: Path, tamper: Any) -> None:
    os.truncate(saved / MODEL, 1 << 42)
    refused(saved, MODEL)
    tamper.config(lambda entry: entry["files"][MODEL].update(bytes=1 << 42))
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 37, before[1]))  # also where the system promises more memory than there is
    try:
        refused(saved, MODEL, "not enough memory")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("name", [MODEL, CONFIG, PREPROCESSOR])
def test_links_that_lead_out(saved: Path, tmp_path: Path, name: str) -> None:
    (saved / name).rename(tmp_path / "outside")
    (saved / name).symlink_to(tmp_path / "outside")
    refused(saved, name, "link that leads out")


def test_links_to_nowhere_and_devices(saved: Path) -> None:
    (saved / MODEL).unlink()
    (saved / MODEL).symlink_to("/dev/zero")
    refused(saved, MODEL)
    (saved / MODEL).unlink()
    (saved / MODEL).symlink_to(saved / MODEL)
    refused(saved, MODEL)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", [MODEL, CONFIG, PREPROCESSOR])
def test_a_pipe_does_not_hang(saved: Path, name: str) -> None:
    (saved / name).unlink()
    os.mkfifo(saved / name)
    refused(saved, name)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..\\secret", "model.safetensors/../../secret"])
def test_names_of_files_are_never_taken_from_the_config(saved: Path, tamper: Any, tmp_path: Path, name: str) -> None:
    """An entry for another path changes nothing; without its own entry a file is not trusted."""
    (tmp_path / "secret").write_text("secret")
    tamper.config(lambda entry: entry["files"].update({name: entry["files"][MODEL]}))
    Artifact.load(saved)
    tamper.config(lambda entry: entry["files"].pop(MODEL))
    refused(saved, CONFIG, MODEL)


def edited(saved: Path, tamper: Any, edit: Any) -> None:
    tensors = load_tensors((saved / MODEL).read_bytes())
    edit(tensors)
    tamper.replace(MODEL, save_tensors(tensors))


FIRST = "model.encoder.layers.0.weight"


def test_tensors_of_the_wrong_shape(saved: Path, tamper: Any) -> None:
    edited(saved, tamper, lambda t: t.update({FIRST: t[FIRST].T.contiguous()}))
    refused(saved, FIRST, "(10, 8)", "(8, 10)", CONFIG)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int32, torch.bool])
def test_tensors_of_the_wrong_type(saved: Path, tamper: Any, dtype: torch.dtype) -> None:
    edited(saved, tamper, lambda t: t.update({FIRST: t[FIRST].to(dtype)}))
    refused(saved, FIRST, str(dtype), "torch.float32")


def test_missing_and_unexpected_tensors(saved: Path, tamper: Any) -> None:
    edited(saved, tamper, lambda t: t.update({"model.__reduce__": t.pop(FIRST)}))
    refused(saved, MODEL, f"missing ['{FIRST}']", "unexpected ['model.__reduce__']")


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"offset": np.zeros(10)},
        {"offset": np.zeros(9), "divisor": np.ones(9)},
        {"offset": np.zeros((10, 1)), "divisor": np.ones((10, 1))},
        {"offset": np.zeros(10), "divisor": np.zeros(10)},
        {"offset": np.zeros(10), "divisor": -np.ones(10)},
        {"offset": np.full(10, np.nan), "divisor": np.ones(10)},
        {"offset": np.zeros(10), "divisor": np.full(10, np.inf)},
        {"offset": np.zeros(10, np.float32), "divisor": np.ones(10, np.float32)},
        {"offset": np.zeros(10), "divisor": np.ones(10), "extra": np.ones(1)},
    ],
    ids=["none", "one", "short", "two axes", "zero", "negative", "nan", "inf", "float32", "extra"],
)
def test_preprocessing_that_does_not_fit(saved: Path, tamper: Any, arrays: dict[str, np.ndarray]) -> None:
    tamper.replace(PREPROCESSOR, save_arrays(arrays))
    refused(saved, PREPROCESSOR)


def test_preprocessing_of_another_width(saved: Path, tamper: Any) -> None:
    def edit(entry: dict[str, Any]) -> None:
        for schema in (entry["schema"], entry["preprocessor"]["schema"]):
            schema.update(shape=[9], columns=list("abcdefghi"))

    tamper.config(edit)
    tamper.replace(PREPROCESSOR, save_arrays({"offset": np.zeros(9), "divisor": np.ones(9)}))
    refused(saved, "rows of shape (10,)")


def test_a_schema_of_another_width(saved: Path, tamper: Any) -> None:
    tamper.config(lambda entry: entry["schema"].update(shape=[9], columns=list("abcdefghi")))
    refused(saved, CONFIG)


def test_nothing_is_built_before_the_files_are_checked(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (saved / MODEL).write_bytes(b"broken")
    monkeypatch.setattr("isthmus.artifact.artifact.from_spec", lambda entry: pytest.fail("built"))
    refused(saved, MODEL)


FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
FORBIDDEN_CALLS = {"torch.load", "torch.save", "joblib.load", "yaml.load", "eval", "exec", "os.system", "__import__"}


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


@pytest.mark.parametrize("file", sorted(Path(next(iter(isthmus.__path__))).rglob("*.py")), ids=lambda file: file.name)
def test_no_pickle_and_no_code_from_text(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        assert not {name.split(".")[0] for name in names} & FORBIDDEN_MODULES
        if isinstance(node, ast.Call):
            assert called(node) not in FORBIDDEN_CALLS
            allowed = [k.value for k in node.keywords if k.arg == "allow_pickle"]
            assert all(isinstance(value, ast.Constant) and value.value is False for value in allowed)


def test_the_format_s_version_is_promised() -> None:
    """A release opens what the same or an older version saved; raise VERSION with every change that an older release cannot read."""
    assert VERSION == 1
    assert "Compatibility promise" in (Artifact.__doc__ or "")
    assert artifact_files.LARGEST_CONFIG <= 64 << 20
