"""A save is whole or nothing: other processes, kills, full disks, folders of others."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from isthmus.artifact import Artifact
from isthmus.artifact.files import _lock
from isthmus.data import Source
from isthmus.errors import ArtifactError
from isthmus.tasks import codes

NAMES = ["README.md", "config.json", "model.safetensors", "preprocessor.safetensors"]


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_folder_of_text_and_tensors(saved: Path) -> None:
    assert sorted(item.name for item in saved.iterdir()) == NAMES
    card = (saved / "README.md").read_text()
    assert card.startswith("# model\n")
    for told in ("variational", "code of width 3", "rows of 10 values", "cancer", "isthmus.load"):
        assert told in card


def test_bit_equal_in_another_process(first: Artifact, saved: Path, source: Source, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", source.array)
    code = """
import sys, numpy as np
from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.tasks import codes
model = Artifact.load(sys.argv[1])
source = Source("table", np.load(sys.argv[2]), tuple("abcdefghij"))
np.savez(sys.argv[3], codes=codes.encode(model, source), rebuilt=codes.reconstruct(model, source), score=codes.score(model, source))
"""
    done = run(code, saved, tmp_path / "rows.npy", tmp_path / "out.npz")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_array_equal(out["codes"], codes.encode(first, source))
        np.testing.assert_array_equal(out["rebuilt"], codes.reconstruct(first, source))
        np.testing.assert_array_equal(out["score"], codes.score(first, source))


def test_saving_again_replaces(first: Artifact, second: Artifact, saved: Path, source: Source) -> None:
    assert second.save(saved) == saved
    np.testing.assert_array_equal(codes.encode(Artifact.load(saved), source), codes.encode(second, source))
    assert [item.name for item in saved.parent.iterdir()] == ["model"]


def test_missing_parents_are_made_and_links_are_followed(first: Artifact, tmp_path: Path) -> None:
    first.save(tmp_path / "a" / "b" / "model")
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b" / "model")
    first.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert Artifact.load(tmp_path / "link").family == "variational"


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from isthmus.artifact import Artifact
target, other, where, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
model = Artifact.load(other)
holder, name = {"fsync": (os, "fsync"), "rename": (Path, "rename"), "rmtree": (shutil, "rmtree"), "mkdir": (Path, "mkdir")}[where]
original, calls = getattr(holder, name), []
def patched(*args, **kwargs):
    calls.append(args)
    if len(calls) == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
setattr(holder, name, patched)
model.save(target)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("where", "count", "survives"),
    [
        ("fsync", 1, "first"),
        ("fsync", 3, "first"),
        ("rename", 1, "first"),
        ("rename", 2, "first"),
        ("rmtree", 1, "second"),
    ],
    ids=["during the first file", "during the third file", "before the renames", "between the renames", "before the old one is removed"],
)
def test_killed_while_saving(
    first: Artifact, second: Artifact, source: Source, tmp_path: Path, where: str, count: int, survives: str
) -> None:
    home = tmp_path / "home"
    target, other = first.save(home / "model"), second.save(tmp_path / "other")
    done = run(KILLED, target, other, where, count)
    assert done.returncode == -signal.SIGKILL, done.stderr
    whole = {"first": first, "second": second}[survives]
    np.testing.assert_array_equal(codes.encode(Artifact.load(target), source), codes.encode(whole, source))
    second.save(target)
    np.testing.assert_array_equal(codes.encode(Artifact.load(target), source), codes.encode(second, source))
    assert [item.name for item in home.iterdir()] == ["model"], "nothing is left behind"
    assert sorted(item.name for item in target.iterdir()) == NAMES


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_while_saving_for_the_first_time(first: Artifact, tmp_path: Path) -> None:
    home, other = tmp_path / "home", first.save(tmp_path / "other")
    done = run(KILLED, home / "model", other, "fsync", 2)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with pytest.raises(ArtifactError, match="no saved model"):
        Artifact.load(home / "model")
    first.save(home / "model")
    assert [item.name for item in home.iterdir()] == ["model"]


def test_loading_changes_nothing(first: Artifact, saved: Path) -> None:
    """Between the renames of another process a load must not get in its way."""
    saved.rename(saved.with_name(".model.old"))
    assert Artifact.load(saved).facts == first.facts
    assert [item.name for item in saved.parent.iterdir()] == [".model.old"]


@pytest.mark.skipif(os.name != "posix", reason="needs advisory locks")
def test_a_save_that_is_still_going_on_is_not_swept_away(first: Artifact, saved: Path) -> None:
    foreign = saved.with_name(".model.0123456789ab.tmp")
    foreign.mkdir()
    handle = _lock(foreign)
    assert handle is not None
    first.save(saved)
    assert foreign.is_dir()
    os.close(handle)
    first.save(saved)
    assert not foreign.exists()


def test_two_saves_at_once_leave_one_whole(first: Artifact, second: Artifact, tmp_path: Path) -> None:
    refused: list[BaseException] = []

    def save(model: Artifact) -> None:
        for _ in range(8):
            try:
                model.save(tmp_path / "home" / "model")
            except ArtifactError as error:
                refused.append(error)

    threads = [threading.Thread(target=save, args=(model,)) for model in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Artifact.load(tmp_path / "home" / "model").config["seed"] in (1, 2)
    first.save(tmp_path / "home" / "model")
    assert [item.name for item in (tmp_path / "home").iterdir()] == ["model"]


@pytest.mark.parametrize("call", [1, 2, 4])
def test_a_full_disk(first: Artifact, second: Artifact, saved: Path, source: Source, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    original, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        ArtifactError, match=r"cannot write .*model: No space left on device\. Free space or choose another folder; nothing was changed"
    ):
        second.save(saved)
    monkeypatch.undo()
    np.testing.assert_array_equal(codes.encode(Artifact.load(saved), source), codes.encode(first, source))
    assert [item.name for item in saved.parent.iterdir()] == ["model"]


def test_a_failing_second_rename_brings_the_old_one_back(
    first: Artifact, second: Artifact, saved: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Path.rename, []

    def failing(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ArtifactError, match="cannot write"):
        second.save(saved)
    monkeypatch.undo()
    np.testing.assert_array_equal(codes.encode(Artifact.load(saved), source), codes.encode(first, source))
    assert [item.name for item in saved.parent.iterdir()] == ["model"]


def test_a_small_disk_for_real(first: Artifact, second: Artifact, source: Source, tmp_path: Path) -> None:
    """On a file system that holds one model, but not two."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True, check=False).returncode
    ):
        pytest.skip("no small file system can be mounted here")
    try:
        first.save(disk / "model")
        filler = disk / "filler"
        filler.write_bytes(bytes(max(0, shutil.disk_usage(disk).free - 8192)))
        with pytest.raises(ArtifactError, match="No space left"):
            second.save(disk / "model")
        np.testing.assert_array_equal(codes.encode(Artifact.load(disk / "model"), source), codes.encode(first, source))
        assert sorted(item.name for item in disk.iterdir()) == ["filler", "model"]
        filler.unlink()
        second.save(disk / "model")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_impossible_folder(first: Artifact, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ArtifactError, match=r"cannot write .*file.model"):
        first.save(tmp_path / "file" / "model")
    with pytest.raises(ArtifactError, match=r"left as it is; choose another name"):
        first.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_unwritable_folder(first: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ArtifactError, match=r"Permission denied\. Free space or choose another folder"):
        first.save(tmp_path / "model")


@pytest.mark.parametrize(
    "contents",
    [
        {"thesis.txt": "years of work"},
        {"config.json": '{"model_type": "bert"}'},
        {"config.json": "no JSON"},
        {"config.json": '{"format": "isthmus-artifact", "version": 1}', "thesis.txt": "years of work"},
        {"README.md": "mine"},
    ],
    ids=["a file", "a model of others", "a broken one", "a file beside a model", "a readme"],
)
def test_a_folder_with_other_contents_is_left_alone(first: Artifact, tmp_path: Path, contents: dict[str, str]) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in contents.items():
        (folder / name).write_text(text)
    with pytest.raises(ArtifactError, match=r"left as it is; choose another name"):
        first.save(folder)
    assert {item.name: item.read_text() for item in folder.iterdir()} == contents
    assert [item.name for item in tmp_path.iterdir()] == ["mine"]


def test_an_empty_folder_may_be_used(first: Artifact, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    first.save(tmp_path / "empty")
    assert Artifact.load(tmp_path / "empty").family == "variational"
