"""Data larger than memory on the command line: real files, real processes, sudden death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest

from isthmus.artifact import Artifact
from isthmus.tasks import codes
from isthmus.tasks.opening import gathered, open_for

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and terminals")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, wine) -> Path:
    """The wine, each row a little moved, 6,000 times, as a Hive partition of Parquet files with an id column."""
    rng = np.random.default_rng(0)
    values = wine[0][rng.integers(0, len(wine[0]), 6000)]
    frame = pd.DataFrame(values * (1 + 0.05 * rng.standard_normal(values.shape)), columns=wine[1]).astype(np.float32)
    frame.insert(0, "bottle", [f"b{i:05d}" for i in range(len(frame))])
    path = tmp_path_factory.mktemp("wine") / "bottles"
    for i in range(3):
        (path / f"cellar={i}").mkdir(parents=True)
        frame.iloc[i * 2000 : (i + 1) * 2000].to_parquet(path / f"cellar={i}" / "rows.parquet", index=False, row_group_size=500)
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, folder) -> Path:
    from isthmus.data.dataset import open_dataset
    from isthmus.tasks.config import Config
    from isthmus.tasks.fit import fit

    model = tmp_path_factory.mktemp("model") / "wine"
    fit(open_dataset(folder, ids="bottle"), Config(steps=60, latent=2)).save(model)
    return model


# Runs the command line with small blocks and parts, and a little slower, so that a test can step in.
SLOW = """
import sys, time
from isthmus.data import parts
from isthmus.tasks import output
output.BLOCK, parts.LARGEST_PART = 100, 500
make = output._MAKERS["codes"]
output._MAKERS["codes"] = lambda *given: (time.sleep(0.02), make(*given))[1]
from isthmus.cli import main
main()
"""


@pytest.fixture
def slowly(tmp_path):
    """Start the command line as a process that takes its time; what is left of it at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SLOW, *map(str, arguments)]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=tmp_path, env=env))
        return running[-1]

    yield start
    for child in running:
        child.kill()
        child.communicate()


def parts_in(path: Path) -> list[str]:
    return sorted(item.name for item in path.iterdir() if not item.name.startswith(".")) if path.is_dir() else []


def wait_for(there, child: subprocess.Popen[str]) -> None:
    """Wait until `there()` is true, as long as the process lives."""
    end = time.monotonic() + 240
    while not there():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def wait_for_parts(path: Path, count: int, child: subprocess.Popen[str]) -> None:
    wait_for(lambda: len(parts_in(path)) >= count, child)


def expected(fitted: Path, folder: Path) -> np.ndarray:
    artifact = Artifact.load(fitted)
    return codes.encode(artifact, gathered(open_for(artifact.schema, folder)))


def test_the_way_from_a_folder_of_parquet_to_codes_and_scores(good, folder, tmp_path) -> None:
    out = good("fit", folder, "--ids", "bottle", "--steps", 40, "--latent", 2)
    assert "bottles: 6,000 rows of 13 (float32)" in out
    assert "note: the rows are streamed: 0.00031 GB in memory; 600 random rows are held out" in out
    assert "--ids bottle" in out
    assert "wrote codes (6000 x 2) in 1 parts" in good("encode", "model", folder, "--ids", "bottle", "--out", "codes")
    found = pd.read_parquet(tmp_path / "codes")
    assert list(found.columns) == ["bottle", "z0", "z1"]
    assert found["bottle"].tolist() == [f"b{i:05d}" for i in range(6000)]
    assert np.allclose(found[["z0", "z1"]], expected(tmp_path / "model", folder), rtol=1e-5, atol=1e-6)
    out = good("score", "model", folder, "--ids", "bottle", "--out", "scores.parquet")
    scores = parquet.read_table(tmp_path / "scores.parquet").to_pandas()
    assert scores["bottle"][scores["score"].argmin()] in out.split("strangest rows (score)")[1].splitlines()[0]
    assert "wrote scores.parquet (6000 x 2)" in out
    good("reconstruct", "model", folder, "--out", "back.csv")
    assert pd.read_csv(tmp_path / "back.csv").shape == (6000, 13)
    good("encode", "model", folder)
    assert pd.read_csv(tmp_path / "codes.csv").shape == (6000, 2)


def test_always_and_never_are_heeded_and_make_no_difference(good, refused, folder, fitted, files, tmp_path) -> None:
    for stream in ("always", "never"):
        good("encode", fitted, folder, "--stream", stream, "--out", f"{stream}.npy")
    assert np.allclose(np.load(tmp_path / "always.npy"), np.load(tmp_path / "never.npy"), rtol=1e-5, atol=1e-6)
    assert "--stream must be one of auto, always, never" in refused("encode", fitted, folder, "--stream", "yes")
    assert "wine.csv cannot be streamed" in refused("fit", files / "wine.csv", "--stream", "always")
    assert "the rows are streamed" in good("fit", files / "wine.parquet", "--stream", "always", "--steps", 5)
    assert "the rows are streamed" not in good("fit", folder, "--stream", "never", "--ids", "bottle", "--steps", 5, "--out", "other")
    assert Artifact.load(tmp_path / "model").facts["reading"] == {"stream": "always"}


def test_codes_of_data_in_memory_can_be_parts_too(good, files, models, tmp_path) -> None:
    good("encode", models / "table", files / "wine.csv", "--out", "codes")
    assert "1 of them there before" in good("encode", models / "table", files / "wine.csv", "--out", "codes")
    good("encode", models / "table", files / "wine.csv", "--out", "codes.npy")
    assert np.array_equal(pd.read_parquet(tmp_path / "codes").to_numpy(), np.load(tmp_path / "codes.npy"))
    names = good("score", models / "table", files / "labelled.csv", "--ids", "cultivar", "--out", "scores.csv")
    assert "class_" in names
    assert (tmp_path / "scores.csv").read_text().startswith("cultivar,score,error\nclass_0,")


def test_what_is_wrong_is_said_in_one_line(refused, good, folder, fitted, files, models, tmp_path) -> None:
    assert "there is no column 'name'" in refused("fit", folder, "--ids", "name")
    assert "there is no column 'name'" in refused("encode", fitted, folder, "--ids", "name")
    assert "left out as identifier: 'bottle'" in good("fit", folder, "--steps", 5, "--out", "named")
    assert "codes.npz block by block" in refused("encode", fitted, folder, "--out", "codes.npz")
    frame = pd.read_parquet(folder / "cellar=0" / "rows.parquet")
    (tmp_path / "narrow").mkdir()
    frame.drop(columns="alcohol").to_parquet(tmp_path / "narrow" / "a.parquet")
    assert "there is no column 'alcohol'" in refused("encode", fitted, "narrow", "--out", "codes")
    assert not (tmp_path / "codes").exists()
    good("encode", fitted, folder, "--out", "codes")
    line = refused("encode", models / "plain", folder, "--out", "codes")
    assert "part-00000.parquet is no part of this output (other model): it is left as it is; choose another folder" in line
    assert "other columns, output" in refused("score", fitted, folder, "--out", "codes")
    inside = folder / "cellar=0" / "codes"
    assert "would be read as data the next time" in refused("encode", fitted, folder, "--out", inside)
    assert not inside.exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    assert "holds what is no part of this output (notes.txt)" in refused("encode", fitted, folder, "--out", "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_gaps_and_broken_files_are_named(refused, folder, fitted, tmp_path) -> None:
    (tmp_path / "rows").mkdir()
    frame = pd.read_parquet(folder / "cellar=1" / "rows.parquet")
    frame.to_parquet(tmp_path / "rows" / "a.parquet", index=False)
    frame.loc[1700, "ash"] = np.nan
    frame.to_parquet(tmp_path / "rows" / "b.parquet", index=False)
    line = refused("encode", fitted, "rows", "--ids", "bottle", "--out", "codes")
    assert "b.parquet, rows " in line
    assert "column 'ash' has 1 missing (NaN), the first in row 1700" in line
    cut = (tmp_path / "rows" / "a.parquet").read_bytes()[:-100]
    (tmp_path / "rows" / "b.parquet").write_bytes(cut)
    assert "b.parquet cannot be read as Parquet" in refused("encode", fitted, "rows", "--out", "codes")
    assert not (tmp_path / "model").exists()


@posix
def test_a_killed_output_goes_on_where_it_was(slowly, folder, fitted, good, tmp_path) -> None:
    call = ("encode", fitted, folder, "--ids", "bottle", "--out", "codes")
    child = slowly(*call)
    wait_for_parts(tmp_path / "codes", 3, child)
    child.kill()
    child.communicate()
    kept = {name: (tmp_path / "codes" / name).stat().st_mtime_ns for name in parts_in(tmp_path / "codes")}
    assert 3 <= len(kept) < 12
    again = slowly(*call)
    out, err = again.communicate(timeout=240)
    assert (again.returncode, err) == (0, "")
    assert f"wrote codes (6000 x 2) in 12 parts, {len(kept)} of them there before" in out
    assert all((tmp_path / "codes" / name).stat().st_mtime_ns == when for name, when in kept.items())
    assert [item.name for item in sorted((tmp_path / "codes").iterdir())] == [f"part-{i:05d}.parquet" for i in range(12)]
    found = pd.read_parquet(tmp_path / "codes")
    assert found["bottle"].tolist() == [f"b{i:05d}" for i in range(6000)]
    assert np.allclose(found[["z0", "z1"]], expected(fitted, folder), rtol=1e-5, atol=1e-6)


@posix
def test_an_interrupted_output_keeps_what_is_whole_and_says_so(slowly, folder, fitted, tmp_path) -> None:
    child = slowly("encode", fitted, folder, "--out", "codes")
    wait_for_parts(tmp_path / "codes", 2, child)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=240)
    assert (child.returncode, err) == (130, "")
    assert "interrupted: what is whole in codes is kept; the same command goes on from there" in out
    assert 2 <= len(parts_in(tmp_path / "codes")) < 12
    assert parts_in(tmp_path / "codes") == sorted(item.name for item in (tmp_path / "codes").iterdir())


@posix
def test_a_killed_single_file_leaves_the_old_one(slowly, folder, fitted, tmp_path) -> None:
    (tmp_path / "codes.csv").write_text("old\n")
    child = slowly("encode", fitted, folder, "--out", "codes.csv")
    wait_for(lambda: list(tmp_path.glob(".codes.*")), child)
    child.kill()
    child.communicate()
    assert (tmp_path / "codes.csv").read_text() == "old\n"


@posix
def test_two_at_once_do_not_write_to_one_folder(slowly, folder, fitted, tmp_path) -> None:
    child = slowly("encode", fitted, folder, "--out", "codes")
    wait_for_parts(tmp_path / "codes", 1, child)
    child.send_signal(signal.SIGSTOP)
    second = slowly("encode", fitted, folder, "--out", "codes")
    _, err = second.communicate(timeout=240)
    assert second.returncode == 2
    assert "another process is writing to codes" in err
    child.send_signal(signal.SIGCONT)
    child.communicate(timeout=240)
    assert child.returncode == 0
    assert len(parts_in(tmp_path / "codes")) == 12


@posix
@pytest.mark.parametrize("family", ["undercomplete", pytest.param("variational", marks=pytest.mark.slow)])
def test_a_fit_killed_in_the_middle_of_an_epoch_goes_on(started, process, folder, tmp_path, family) -> None:
    # An epoch has 168 steps: no checkpoint lies at the end of one.
    fixed = ("--ids", "bottle", "--family", family, "--batch", 32, "--steps", 1500, "--patience", 1000, "--evaluate-every", 25)
    child = started("fit", folder, *fixed, "--checkpoint", "state")
    wait_for(lambda: (tmp_path / "state").exists(), child)
    time.sleep(0.2)
    child.kill()
    child.wait()
    assert not (tmp_path / "model").exists()
    resumed = process("fit", folder, *fixed, "--checkpoint", "state", "--resume", "--out", "resumed")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    whole = process("fit", folder, *fixed, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    assert (tmp_path / "resumed/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
    curves = [Artifact.load(tmp_path / name).history.column("held_out") for name in ("resumed", "whole")]
    assert curves[0] == curves[1]


@posix
def test_an_interrupted_fit_keeps_the_best_so_far(started, folder, tmp_path) -> None:
    long = ("--steps", 2_000_000, "--patience", 1_000_000, "--evaluate-every", 50)
    child = started("fit", folder, "--ids", "bottle", *long, "--checkpoint", "state")
    wait_for(lambda: (tmp_path / "state").exists(), child)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=240)
    assert (child.returncode, err) == (130, "")
    assert "interrupted: the best model so far is kept" in out
    assert Artifact.load(tmp_path / "model").facts["training"]["stopped"] == "interrupted"


def test_a_report_of_streamed_data(good, folder, fitted, tmp_path) -> None:
    out = good("report", fitted, folder)
    assert "Measured on the 600 rows that the fit held out" in out
    assert "PCA" in out
    assert (tmp_path / "report.html").stat().st_size > 10_000
    labelled = tmp_path / "labelled"
    labelled.mkdir()
    for i, file in enumerate(sorted(folder.rglob("*.parquet"))):
        frame = pd.read_parquet(file)
        frame.assign(cellar=f"cellar {i}").to_parquet(labelled / f"{i}.parquet", index=False)
    out = good("report", fitted, labelled, "--labels-key", "cellar", "--out", "l.html")
    assert "k-NN" in out
    assert "Measured on the 600 rows that the fit held out" in out


def test_paths_between_rows_of_a_folder(good, folder, fitted, tmp_path) -> None:
    good("interpolate", fitted, folder, "--pair", "5990,3", "--steps", 4, "--out", "path.npy")
    assert np.load(tmp_path / "path.npy").shape == (1, 4, 13)


PEAK = """
import resource, sys
from isthmus.cli import main
try:
    main()
finally:
    sys.stderr.write(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}")
"""


@posix
@pytest.mark.slow
def test_the_peak_of_memory_does_not_grow_with_the_rows(tmp_path) -> None:
    import pyarrow as pa

    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((8, 50)).astype(np.float32)
    peaks = {}
    for rows in (200_000, 2_000_000):
        data = tmp_path / f"{rows}.parquet"
        with parquet.ParquetWriter(data, pa.schema([("key", pa.int64()), *((f"x{j}", pa.float32()) for j in range(50))])) as writer:
            for start in range(0, rows, 100_000):
                values = rng.standard_normal((100_000, 8), np.float32) @ mixing + rng.standard_normal((100_000, 50), np.float32)
                columns = [pa.array(np.arange(start, start + 100_000)), *(pa.array(values[:, j].copy()) for j in range(50))]
                writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))
        model = f"model{rows}"
        for name, call in {
            "fit": ("fit", data, "--ids", "key", "--stream", "always", "--steps", 2500, "--batch", 1024, "--out", model),
            "encode": ("encode", model, data, "--ids", "key", "--stream", "always", "--out", f"codes{rows}"),
            "score": ("score", model, data, "--stream", "always", "--out", f"scores{rows}.parquet"),
        }.items():
            command = [sys.executable, "-c", PEAK, *map(str, call)]
            env = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, check=False)
            assert done.returncode == 0, done.stderr
            peaks[name, rows] = int(done.stderr.rsplit("peak ", 1)[1])
        frame = parquet.read_table(tmp_path / f"codes{rows}", columns=["key"])
        assert np.array_equal(frame.column("key").to_numpy(), np.arange(rows))
    assert max(peaks.values()) < 1200, peaks
    # A fit opens more row groups at once where there are more, up to a limit; what follows reads one after the other.
    for name in ("encode", "score"):
        assert peaks[name, 2_000_000] - peaks[name, 200_000] < 100, peaks


@posix
def test_a_terminal_shows_how_many_rows_are_done(folder, fitted, tmp_path) -> None:
    from test_cli_processes import on_terminal

    written = on_terminal(["fit", str(folder), "--ids", "bottle", "--steps", "5"], tmp_path, 80)
    assert "reading bottles" in written
    assert written.rindex("reading bottles") < written.rindex("Settings")
    assert "6,000 rows" in on_terminal(["encode", str(fitted), str(folder), "--out", "codes"], tmp_path, 80)
