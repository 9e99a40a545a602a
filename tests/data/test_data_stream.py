"""Streams: every row once an epoch, the same from any step, well mixed, and no thread left behind."""

import signal
import subprocess
import sys
import threading
import time
from itertools import islice

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from isthmus.data import Preprocessor, Schema, Stream, dataset_arrays, open_dataset
from isthmus.data import stream as stream_module
from isthmus.errors import ConfigError, DataError

ROWS = 3000


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch):
    monkeypatch.setattr(dataset_arrays, "_PIECE", 2000)
    monkeypatch.setattr(dataset_arrays, "_RUN", 400)


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    late = time.monotonic() + 30
    while set(threading.enumerate()) - before and time.monotonic() < late:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


@pytest.fixture
def table(rng):
    """Rows whose first column is their number."""
    values = rng.standard_normal((ROWS, 6)).astype(np.float32)
    values[:, 0] = np.arange(ROWS)
    return pd.DataFrame(values, columns=list("nabcde"))


def parquet(table, path):
    for i, rows in enumerate(np.array_split(np.arange(len(table)), 4)):
        table.iloc[rows].to_parquet(path / f"{i}.parquet", row_group_size=190, index=False)


def hive(table, path):
    for i, rows in enumerate(np.array_split(np.arange(len(table)), 3)):
        (path / f"k={i}").mkdir()
        table.iloc[rows].to_parquet(path / f"k={i}" / "x.parquet", index=False)


def arrow(table, path):
    content = pa.Table.from_pandas(table, preserve_index=False)
    with pa.ipc.new_file(str(path / "x.arrow"), content.schema) as writer:
        writer.write_table(content, max_chunksize=333)


def npy(table, path):
    np.save(path / "x.npy", np.ascontiguousarray(table))


def columns_first(table, path):
    np.save(path / "x.npy", np.asfortranarray(table.to_numpy()))


def pictures(table, path):
    for n in range(260):
        Image.fromarray(np.full((3, 4), n % 256, np.uint8) + np.arange(4, dtype=np.uint8)).save(path / f"{n:04}.png")


KINDS = {"parquet": parquet, "hive": hive, "arrow": arrow, "npy": npy, "columns": columns_first, "pictures": pictures}


@pytest.fixture(params=KINDS)
def dataset(request, table, tmp_path):
    KINDS[request.param](table, tmp_path)
    return open_dataset(next(tmp_path.glob("*.npy"), tmp_path))


def scaler_of(dataset, scale="auto"):
    head = dataset.head(10**6)
    return Preprocessor.fit(head.array, Schema.infer(head), scale)


def make(dataset, left_out=(), windows=12, **options):
    """A stream with about so many windows an epoch."""
    rows = -(-len(dataset) // windows)
    left_out = np.array(left_out, np.int64) if len(left_out) else None
    return Stream(dataset, scaler_of(dataset), left_out, buffer=2 * 4 * rows * int(np.prod(dataset.shape)), **options)


def collect(stream, batch, seed, count, step=0):
    batches = stream.batches(batch, seed, step)
    try:
        return list(islice(batches, count))
    finally:
        batches.close()


def as_rows(batches):
    return np.concatenate([batch.reshape(len(batch), -1) for batch in batches])


def multiset(rows):
    return sorted(map(bytes, np.ascontiguousarray(rows)))


@pytest.mark.parametrize("batch", [1, 7, 64, 200])
def test_every_row_comes_once_an_epoch(dataset, batch, rng):
    left_out = np.sort(rng.choice(len(dataset), len(dataset) // 10, replace=False))
    stream = make(dataset, left_out)
    per_epoch = len(stream) // batch
    scaled = scaler_of(dataset).transform(dataset.head(10**6).array).reshape(len(dataset), -1)
    allowed = np.delete(scaled, left_out, axis=0)
    assert len(stream) == len(allowed)
    batches = collect(stream, batch, 3, 2 * per_epoch)
    assert all(found.shape == (batch, *dataset.shape) for found in batches)
    assert all(found.dtype == np.float32 and found.flags.c_contiguous for found in batches)
    for epoch in (batches[:per_epoch], batches[per_epoch:]):
        given, expected = multiset(as_rows(epoch)), multiset(allowed)
        if batch == 1 or len(stream) % batch == 0:
            assert given == expected
        left = list(expected)
        for row in given:
            left.remove(row)
        assert len(left) == len(stream) % batch


@pytest.mark.parametrize("batch", [7, 64])
def test_any_step_goes_on_as_if_never_stopped(dataset, batch, rng):
    left_out = np.sort(rng.choice(len(dataset), 20, replace=False))
    stream = make(dataset, left_out)
    per_epoch = len(stream) // batch
    whole = collect(stream, batch, 5, 2 * per_epoch + 5)
    steps = {0, 1, per_epoch - 1, per_epoch, per_epoch + 1, 2 * per_epoch, *rng.integers(0, 2 * per_epoch, 6).tolist()}
    for step in steps:
        later = collect(make(dataset, left_out), batch, 5, min(8, len(whole) - step), step)
        for found, expected in zip(later, whole[step:]):
            np.testing.assert_array_equal(found, expected)


def test_a_far_epoch_is_reached_at_once(dataset):
    stream = make(dataset)
    per_epoch = len(stream) // 32
    started = time.monotonic()
    far = collect(stream, 32, 0, 3, 10**6 * per_epoch + 2)
    assert time.monotonic() - started < 60, "a walk through a million epochs takes many minutes"
    assert not np.array_equal(far[0], collect(stream, 32, 0, 1, 2)[0])


def test_seeds_and_epochs_have_their_own_order(dataset):
    stream = make(dataset)
    per_epoch = len(stream) // 20
    first, second = collect(stream, 20, 0, per_epoch), collect(stream, 20, 0, per_epoch, per_epoch)
    other, again = collect(stream, 20, 1, per_epoch), collect(stream, 20, 0, per_epoch)
    assert not np.array_equal(as_rows(first), as_rows(second))
    assert not np.array_equal(as_rows(first), as_rows(other))
    np.testing.assert_array_equal(as_rows(first), as_rows(again))


def test_batches_are_the_callers_own(dataset):
    batches = make(dataset).batches(16, 0)
    kept = [next(batches) for _ in range(60)]
    copies = [batch.copy() for batch in kept]
    for batch in islice(batches, 60):
        batch[:] = 7
    for batch, copy in zip(kept, copies):
        np.testing.assert_array_equal(batch, copy)
    batches.close()


def test_a_window_larger_than_all_is_a_full_shuffle(table, tmp_path):
    npy(table, tmp_path)
    stream = make(open_dataset(tmp_path / "x.npy"), windows=1)
    order = as_rows(collect(stream, 1, 0, ROWS))[:, 0].argsort()
    # The correlation of two independent orders has the deviation 1 / sqrt(n).
    assert abs(np.corrcoef(order, np.arange(ROWS))[0, 1]) < 4 / ROWS**0.5
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 4 / ROWS**0.5


def test_batches_of_a_sorted_file_are_like_the_whole(tmp_path, rng, monkeypatch):
    """20 row groups, 5 open at once: of a uniform sorted column, batch means deviate by at most 5**-1.5 + 1.73 / 20 + batch**-0.5."""
    values = np.sort(rng.random((100_000, 2)), axis=0).astype(np.float32)
    pd.DataFrame(values, columns=["a", "b"]).to_parquet(tmp_path / "t.parquet", row_group_size=5000)
    dataset = open_dataset(tmp_path / "t.parquet")
    monkeypatch.setattr(stream_module, "MOST_OPEN", 5)
    stream = Stream(dataset, scaler_of(dataset, "standard"), None, buffer=2 * 8 * 3000)
    batches = collect(stream, 500, 0, 3 * 200)
    means = np.array([batch.mean(axis=0) for batch in batches])
    assert np.sqrt(np.mean(means**2)) < 5**-1.5 + 1.73 / 20 + 500**-0.5
    # And so they stay spread out: each holds low, middle and high rows.
    deviations = np.array([batch.std(axis=0) for batch in batches])
    assert np.abs(deviations - 1).max() < 0.35


def test_pictures_sorted_by_class_are_mixed(tmp_path):
    for n in range(400):
        Image.fromarray(np.full((4, 4), 60 * (n // 100), np.uint8)).save(tmp_path / f"{n:04}.png")
    stream = make(open_dataset(tmp_path), windows=4)
    classes = np.stack(
        [np.bincount((batch[:, 0, 0, 0] * 255 / 60).round().astype(int), minlength=4) for batch in collect(stream, 40, 0, 10)]
    )
    assert classes.min() >= 2


def test_as_many_files_are_open_as_memory_allows(table, tmp_path, monkeypatch):
    parquet(table, tmp_path)
    dataset = open_dataset(tmp_path)
    opened, most = set(), []
    original = dataset.batches

    def watched(part, *arguments):
        opened.add(part)
        most.append(len(opened))
        try:
            yield from original(part, *arguments)
        finally:
            opened.discard(part)

    monkeypatch.setattr(dataset, "batches", watched)
    chunk = int(dataset.pieces.max()) * dataset.row_bytes
    for fits in (1, 3, 6):
        most.clear()
        monkeypatch.setattr(stream_module, "OPEN_BYTES", fits * (dataset.held() + 2 * chunk))
        collect(make(dataset, windows=30), 50, 0, ROWS // 50)
        assert max(most) <= fits
        assert max(most) >= min(fits, 2)
    assert not opened


def test_nothing_is_read_that_has_gone_by(table, tmp_path, monkeypatch):
    npy(table, tmp_path)
    dataset = open_dataset(tmp_path / "x.npy")
    monkeypatch.setattr(stream_module, "MOST_OPEN", 3)
    stream = make(dataset)
    seen = []
    original = dataset.chunks
    monkeypatch.setattr(dataset, "chunks", lambda piece, *rest: (seen.append(piece), original(piece, *rest))[1])
    collect(stream, 50, 0, 1, 55)
    # Three pieces make a window: the last one or two windows, and two of the next epoch, which are read ahead.
    assert len(seen) <= 12 < len(dataset.pieces) / 3


class Trouble(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("after", [0, 10, 25])
def test_errors_reach_the_one_who_waits(dataset, monkeypatch, after):
    calls = []
    original = dataset.chunks

    def broken(*arguments):
        calls.append(arguments)
        if len(calls) > after:
            raise Trouble("no more")
        return original(*arguments)

    stream = make(dataset)
    monkeypatch.setattr(dataset, "chunks", broken)
    batches = stream.batches(16, 0)
    with pytest.raises(Trouble, match="no more"):
        list(islice(batches, 10**4))
    with pytest.raises(StopIteration):
        next(batches)


@pytest.mark.parametrize("spoil", ["cut", "gone", "gap"])
def test_a_file_that_breaks_in_the_middle_is_named(table, tmp_path, spoil):
    parquet(table, tmp_path)
    stream = make(open_dataset(tmp_path))
    bad = tmp_path / "2.parquet"
    if spoil == "cut":
        bad.write_bytes(bad.read_bytes()[:2000])
    elif spoil == "gone":
        bad.unlink()
    else:
        table[1500:2250].assign(a=np.nan).to_parquet(bad, row_group_size=190, index=False)
    with pytest.raises(DataError, match=r"2\.parquet"):
        collect(stream, 16, 0, 10**4)


def test_closing_early_stops_the_reading(dataset, monkeypatch):
    stream = make(dataset, windows=1)
    original = dataset.chunks
    monkeypatch.setattr(dataset, "chunks", lambda *a: (time.sleep(0.02), original(*a))[1])
    batches = stream.batches(10, 0)
    next(batches)
    batches.close()
    # The fixture sees to it that the thread is gone.
    with pytest.raises(StopIteration):
        next(batches)
    del batches
    forgotten = stream.batches(10, 0)
    next(forgotten)
    del forgotten


LEFT = """
import sys, numpy as np
from isthmus.data import Preprocessor, Schema, Stream, open_dataset
data = open_dataset(sys.argv[1])
batches = Stream(data, Preprocessor.fit(data.head().array, Schema.infer(data.head())), buffer=20000).batches(7, 0)
next(batches)
print("ready", flush=True)
if len(sys.argv) > 2:
    for _ in batches:
        pass
"""


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_program_ends_with_a_stream_left_open(table, tmp_path, interrupted):
    parquet(table, tmp_path)
    arguments = [sys.executable, "-c", LEFT, str(tmp_path), *(["on"] if interrupted else [])]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        if interrupted:
            process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == (-signal.SIGINT if interrupted else 0)
    assert ("KeyboardInterrupt" in errors) == interrupted
    assert "Exception ignored" not in errors


def test_an_unstarted_stream_reads_nothing(dataset, monkeypatch):
    stream = make(dataset)
    monkeypatch.setattr(dataset, "chunks", None)
    stream.batches(10, 0).close()


def test_reading_goes_on_while_a_batch_is_used(table, tmp_path, monkeypatch):
    npy(table, tmp_path)
    stream = make(open_dataset(tmp_path / "x.npy"), windows=10)
    original, windows = stream._fill, threading.Semaphore(0)
    monkeypatch.setattr(stream, "_fill", lambda *a: (windows.release(), original(*a)))
    batches = stream.batches(50, 0)
    next(batches)
    assert windows.acquire(timeout=30)
    assert windows.acquire(timeout=30), "the second window waits until somebody asks for it"
    batches.close()


def test_rows_of_another_kind_are_refused(table, tmp_path):
    parquet(table, tmp_path)
    dataset = open_dataset(tmp_path)
    scaler = scaler_of(dataset)
    for other in (open_dataset(tmp_path, drop="a"), open_dataset(tmp_path, columns=list("edcban"))):
        with pytest.raises(DataError, match="not the rows fitted on"):
            Stream(other, scaler)


@pytest.mark.parametrize("left_out", [[3, 2], [2, 2], [-1], [ROWS]])
def test_impossible_positions_are_refused(table, tmp_path, left_out):
    npy(table, tmp_path)
    dataset = open_dataset(tmp_path / "x.npy")
    with pytest.raises(ConfigError, match="left_out must be sorted"):
        make(dataset, left_out)


def test_impossible_numbers_are_refused(table, tmp_path):
    npy(table, tmp_path)
    dataset = open_dataset(tmp_path / "x.npy")
    with pytest.raises(DataError, match="all 3000 rows are left out"):
        make(dataset, np.arange(ROWS))
    with pytest.raises(ConfigError, match="buffer must be"):
        Stream(dataset, scaler_of(dataset), buffer=0)
    for batch in (0, ROWS + 1):
        with pytest.raises(ConfigError, match="batch must lie between 1 and the 3000 rows"):
            make(dataset).batches(batch, 0)
    assert len(collect(make(dataset), ROWS, 0, 2)[1]) == ROWS


def test_streams_are_recognised(table, tmp_path):
    parquet(table, tmp_path)
    dataset = open_dataset(tmp_path)
    known = make(dataset, [5, 9]).fingerprint()
    assert make(open_dataset(tmp_path), [5, 9]).fingerprint() == known
    assert make(dataset, [5, 10]).fingerprint() != known
    assert make(dataset, [5, 9], windows=3).fingerprint() != known
    assert (
        Stream(dataset, scaler_of(dataset, "unit"), np.array([5, 9])).fingerprint()
        != Stream(dataset, scaler_of(dataset), np.array([5, 9])).fingerprint()
    )
    table.assign(a=1 - table.a)[:750].to_parquet(tmp_path / "0.parquet", row_group_size=190, index=False)
    assert make(open_dataset(tmp_path), [5, 9]).fingerprint() != known
