"""Real processes: pipes, terminals, interruptions, sudden death, several devices."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from isthmus.artifact import Artifact

LONG = ("--steps", 2_000_000, "--patience", 1_000_000, "--evaluate-every", 200)
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and terminals")


def wait_for(there, seconds: float = 60.0) -> None:
    """Wait until `there()` is true."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def test_help_needs_no_data_and_names_every_command(process) -> None:
    for arguments in (("--help",), ("-h",), ()):
        done = process(*arguments)
        assert "Usage: isthmus" in done.stdout + done.stderr
        for name in ("demo", "fit", "encode", "reconstruct", "score", "sample", "interpolate", "report", "info", "list"):
            assert f" {name} " in done.stdout + done.stderr
    assert re.fullmatch(r"isthmus \d+\.\d+\.\d+\n", process("--version").stdout)


def test_the_way_from_data_to_codes(process, files, tmp_path) -> None:
    (tmp_path / "wine.csv").write_bytes((files / "wine.csv").read_bytes())
    for arguments in (
        ("fit", "wine.csv", "--steps", 30),
        ("encode", "model", "wine.csv"),
        ("reconstruct", "model", "wine.csv", "--out", "back.parquet"),
        ("score", "model", "wine.csv", "--out", "scores.npy"),
        ("report", "model", "wine.csv"),
        ("info", "model"),
    ):
        done = process(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert "\x1b" not in done.stdout
        assert max(len(line) for line in done.stdout.splitlines() if not line.startswith("note: ")) <= 80
    for name in ("codes.csv", "back.parquet", "scores.npy", "report.html"):
        assert (tmp_path / name).stat().st_size > 0
    assert "training ..." in process("fit", "wine.csv", "--steps", 5, "--out", "other").stdout


def test_an_error_is_one_line_and_code_two(process) -> None:
    done = process("fit", "nothing.csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no file or folder nothing.csv. Check the path\n"


@posix
def test_a_reader_that_stops_reading_is_no_error(tmp_path) -> None:
    done = subprocess.run(f"{sys.executable} -m isthmus list | head -n 1", shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said(tmp_path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "isthmus", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "error: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@posix
def test_an_interruption_keeps_the_best_so_far(started, files, tmp_path) -> None:
    child = started("fit", files / "wine.csv", *LONG, "--checkpoint", "state")
    wait_for((tmp_path / "state").exists)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=240)
    assert (child.returncode, err) == (130, "")
    assert "interrupted: the best model so far is kept; to go on, run the same command with --resume" in out
    kept = Artifact.load(tmp_path / "model")
    assert kept.facts["training"]["stopped"] == "interrupted"
    held_out = kept.history.column("held_out")
    assert kept.facts["training"]["kept step"] == kept.history[int(np.argmin(held_out))]["step"]


@posix
def test_a_killed_fit_goes_on_where_it_was(started, process, files, tmp_path) -> None:
    fixed = ("--steps", 4000, "--patience", 1000, "--evaluate-every", 100)
    child = started("fit", files / "wine.csv", *fixed, "--checkpoint", "state")
    wait_for((tmp_path / "state").exists)
    child.kill()
    child.wait()
    assert not (tmp_path / "model").exists()
    resumed = process("fit", files / "wine.csv", *fixed, "--checkpoint", "state", "--resume", "--out", "resumed")
    assert resumed.returncode == 0, resumed.stderr
    whole = process("fit", files / "wine.csv", *fixed, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    assert (tmp_path / "resumed/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    curves = [Artifact.load(tmp_path / name).history.column("held_out") for name in ("resumed", "whole")]
    assert curves[0] == curves[1]


def test_two_devices_fit_what_one_does(process, files, tmp_path) -> None:
    both = ("fit", files / "wine.csv", "--steps", 40, "--batch", 32, "--device", "cpu")
    (tmp_path / "two.toml").write_text("devices = 2\n")
    two = process(*both, "--config", "two.toml", "--out", "two")
    assert (two.returncode, two.stderr) == (0, "")
    assert two.stdout.count("Saved two") == 1
    one = process(*both, "--out", "one")
    assert one.returncode == 0
    curves = [Artifact.load(tmp_path / name).history.column("held_out") for name in ("two", "one")]
    assert np.allclose(curves[0], curves[1], rtol=1e-4)


def test_an_error_on_several_devices_is_said_once(process) -> None:
    done = process("fit", "nothing.csv", "--devices", 2)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no file or folder nothing.csv. Check the path\n"


@posix
def test_an_interruption_reaches_every_device(started, files, tmp_path) -> None:
    child = started("fit", files / "wine.csv", *LONG, "--devices", 2, "--checkpoint", "state", "--batch", 32)
    wait_for((tmp_path / "state").exists)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=240)
    assert (child.returncode, err) == (130, "")
    assert out.count("interrupted: the best model so far is kept") == 1
    assert Artifact.load(tmp_path / "model").facts["training"]["stopped"] == "interrupted"


def on_terminal(arguments: list[str], folder: Path, width: int) -> str:
    """Run a command on a terminal of its own and return everything it wrote."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "TERM")} | {
        "TERM": "xterm-256color",
        "OMP_NUM_THREADS": "1",
    }
    child = subprocess.Popen([sys.executable, "-m", "isthmus", *arguments], stdout=follower, stderr=follower, cwd=folder, env=env)
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 1 << 16)
        except OSError:
            break
        if not part:
            break
        written += part
    os.close(leader)
    assert child.wait() == 0, written.decode()
    return written.decode()


@posix
def test_a_terminal_shows_a_bar_that_fits_and_goes_away(files, tmp_path) -> None:
    written = on_terminal(["fit", str(files / "wine.csv"), "--family", "sparse", "--steps", "3000", "--patience", "99"], tmp_path, 80)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    frames = [line for line in re.split(r"[\r\n]+", plain) if "/3000 steps" in line]
    assert len(frames) >= 3
    assert any(re.search(r"\d+/3000 steps \S+ left", frame) for frame in frames)
    terms = [line for line in re.split(r"[\r\n]+", plain) if "samples/s" in line]
    assert any("held-out" in line and "reconstruction" in line and "aux_k" in line for line in terms)
    assert max(len(line.rstrip()) for line in frames + terms) <= 80
    assert "training ..." not in plain
    # The two lines of the bar are erased before the figures are printed.
    assert written.rindex("samples/s") < written.rindex("\x1b[2K") < written.rindex("Held-out figures")
