"""Tables in Parquet and Arrow files, read piece by piece: the same rows as from memory, and every flaw named."""

import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest
from sklearn.datasets import load_breast_cancer

from isthmus.data import Dataset, open_dataset, read
from isthmus.errors import ConfigError, DataError

NAMES = [f"x{j}" for j in range(30)]


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(as_frame=True).data.set_axis(NAMES, axis=1).astype(np.float32)


def write_arrow(table, path, rows=100, compression=None):
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)


def as_table(frame):
    return pa.Table.from_pandas(frame, preserve_index=False)


WRITERS = {
    "parquet": lambda table, path: parquet.write_table(table, path.with_suffix(".parquet"), row_group_size=100),
    "plain": lambda table, path: parquet.write_table(
        table, path.with_suffix(".pq"), row_group_size=70, use_dictionary=False, compression="zstd"
    ),
    "arrow": lambda table, path: write_arrow(table, path.with_suffix(".arrow")),
    "lz4": lambda table, path: write_arrow(table, path.with_suffix(".arrow"), compression="lz4"),
    "feather": lambda table, path: feather.write_feather(table, path.with_suffix(".feather"), chunksize=128),
}


@pytest.fixture(params=WRITERS)
def folder(request, tmp_path, cancer):
    """The table in three files of a folder, with names for the rows."""
    frame = cancer.assign(name=[f"patient {i}" for i in range(len(cancer))])
    for i, rows in enumerate(np.array_split(np.arange(len(frame)), 3)):
        WRITERS[request.param](as_table(frame.iloc[rows]), tmp_path / f"part-{i}")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".hidden.parquet").write_bytes(b"no table")
    (tmp_path / "_metadata.parquet").write_bytes(b"no table")
    return tmp_path


def all_rows(dataset, **options):
    return np.concatenate([block.array for block in dataset.blocks(**options)])


def test_a_folder_is_one_table(folder, cancer):
    dataset = open_dataset(folder, ids="name")
    assert isinstance(dataset, Dataset)
    assert (dataset.kind, dataset.columns, dataset.shape, dataset.dtype) == ("table", tuple(NAMES), (30,), np.float32)
    assert len(dataset) == dataset.pieces.sum() == len(cancer)
    assert len(dataset.pieces) >= 3
    np.testing.assert_array_equal(all_rows(dataset), cancer)
    np.testing.assert_array_equal(np.concatenate(list(dataset.scan())), cancer)
    assert dataset.notes == ["the rows lie in 3 files"]


def test_other_files_of_a_folder_are_told(folder, cancer):
    cancer.to_csv(folder / "more.csv")
    assert "left 1 other files in the folder alone" in open_dataset(folder, ids="name").notes
    for path in (*folder.glob("part-*"),):
        path.unlink()
    with pytest.raises(DataError, match=r"no pictures.*Text tables such as more\.csv are read one by one"):
        open_dataset(folder)


def test_pieces_are_consecutive_and_may_be_entered_anywhere(folder, cancer):
    dataset = open_dataset(folder, drop="name")
    ends = np.cumsum(dataset.pieces)
    for piece, (size, end) in enumerate(zip(dataset.pieces, ends)):
        for start in (0, 1, size // 2, size - 1):
            chunks = list(dataset.open(piece, start, 13))
            assert all(1 <= len(chunk) <= 13 for chunk in chunks)
            np.testing.assert_array_equal(np.concatenate(chunks), cancer[end - size + start : end])
        assert list(dataset.open(piece, int(size))) == []


@pytest.mark.parametrize(("rows", "start"), [(1, 500), (64, 0), (100, 7), (10**6, 0), (50, 568), (50, 569)])
def test_blocks_have_exactly_the_rows_asked_for_with_names(folder, cancer, rows, start):
    blocks = list(open_dataset(folder, ids="name").blocks(rows, start))
    assert [len(block) for block in blocks[:-1]] == [rows] * (len(blocks) - 1)
    assert sum(map(len, blocks)) == 569 - start
    for i, block in enumerate(blocks):
        first = start + i * rows
        np.testing.assert_array_equal(block.array, cancer[first : first + rows])
        assert block.ids == tuple(f"patient {k}" for k in range(first, first + len(block)))
        assert block.columns == tuple(NAMES)


def test_rows_are_picked_from_anywhere(folder, cancer, rng):
    dataset = open_dataset(folder, ids="name")
    for positions in ([], [0], [568], [0, 1, 2, 300, 301, 568], np.sort(rng.choice(569, 200, replace=False)), [5, 5, 6]):
        positions = np.array(positions, np.int64)
        source = dataset.take(positions)
        np.testing.assert_array_equal(source.array, cancer.to_numpy()[positions])
        assert source.ids == tuple(f"patient {k}" for k in positions)
    np.testing.assert_array_equal(dataset.head(7).array, cancer[:7])
    assert len(dataset.head(10_000)) == 569
    for wrong in ([-1], [569], [3, 2]):
        with pytest.raises(DataError, match="positions must be sorted"):
            dataset.take(np.array(wrong))


def test_only_columns_asked_for_are_read(folder, cancer):
    dataset = open_dataset(folder, columns=["x7", "x2"])
    assert dataset.columns == ("x7", "x2")
    np.testing.assert_array_equal(all_rows(dataset), cancer[["x7", "x2"]])
    assert "read 2 of the 31 columns" in dataset.notes
    dropped = open_dataset(folder, drop=["name", "x0"])
    assert dropped.columns == tuple(NAMES[1:])
    with pytest.raises(DataError, match=r"there is no column 'x99' \(did you mean 'x9"):
        open_dataset(folder, columns=["x99"])


def test_a_single_file_is_what_reading_it_gives(tmp_path, cancer):
    frame = cancer.assign(x0=np.arange(len(cancer)), x1=cancer.x1 > 10, x2=cancer.x2.astype(np.float64))
    path = tmp_path / "t.parquet"
    frame.to_parquet(path, row_group_size=99)
    dataset, source = open_dataset(path), read(path)
    assert dataset.dtype == source.array.dtype == np.float64
    assert dataset.columns == source.columns
    np.testing.assert_array_equal(all_rows(dataset), source.array)


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (pa.array([True, False, True]), np.bool_),
        (pa.array([1, 2, 3], pa.uint8()), np.uint8),
        (pa.array([1, 2, 3], pa.int64()), np.int64),
        (pa.array([1, 2, 3], pa.float16()), np.float32),
        (pa.array([Decimal("1.5"), Decimal("2.5"), Decimal("3.5")]), np.float64),
        (pa.array([1.5, 2.5, 1.5]).dictionary_encode(), np.float64),
    ],
    ids=str,
)
@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_numbers_of_every_kind(tmp_path, column, dtype, ending):
    WRITERS[ending](pa.table({"a": column}), tmp_path / "t")
    dataset = open_dataset(tmp_path)
    assert dataset.dtype == dtype
    assert all_rows(dataset)[:, 0].tolist() == [float(value) for value in column.to_pylist()]


def test_names_keep_their_type(tmp_path, cancer):
    for kind, dtype in ((np.int32, np.int32), (str, None)):
        cancer.assign(key=np.arange(569).astype(kind)).to_parquet(tmp_path / "t.parquet")
        dataset = open_dataset(tmp_path / "t.parquet", ids="key")
        assert dataset.ids_dtype == dtype
        assert dataset.head(3).ids == ("0", "1", "2")
    assert open_dataset(tmp_path / "t.parquet", drop="key").ids_dtype is None


def test_rows_without_a_name_are_refused(tmp_path, cancer):
    cancer.assign(key=pd.array([1, None] + [2] * 567, "Int64")).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: the column 'key' has rows without a name"):
        open_dataset(tmp_path / "t.parquet", ids="key").head(3)


def test_names_and_features_are_told_apart(folder):
    with pytest.raises(ConfigError, match="'name' is also in columns"):
        open_dataset(folder, columns=["name", "x1"], ids="name")
    with pytest.raises(DataError, match="there is no column 'nam'"):
        open_dataset(folder, ids="nam")


@pytest.fixture
def hive(tmp_path, cancer):
    for year in (2019, 2020):
        for site in ("A%20b", "c"):
            part = tmp_path / f"year={year}" / f"site={site}" / "part-0.parquet"
            part.parent.mkdir(parents=True)
            cancer[year - 2019 :: 2][: 20 if site == "c" else 30].to_parquet(part, index=False)
    return tmp_path


def test_the_folders_of_a_hive_partition_are_no_features(hive):
    dataset = open_dataset(hive)
    assert dataset.columns == tuple(NAMES)
    assert len(dataset) == 100
    assert any("the folders' names ('year', 'site') are not taken as columns" in note for note in dataset.notes)


def test_the_folders_of_a_hive_partition_are_columns_if_asked_for(hive):
    dataset = open_dataset(hive, columns=["year", "x3"])
    assert dataset.columns == ("year", "x3")
    assert all_rows(dataset)[:, 0].tolist() == [2019] * 50 + [2020] * 50
    sites = open_dataset(hive, columns=["site", "x3"])
    assert sites.types == ("text", "number")
    assert "A b" in sites.head().vocabularies["site"]
    assert open_dataset(hive, drop="year").columns == tuple(NAMES)
    (hive / "year=2019").rename(hive / "year=__HIVE_DEFAULT_PARTITION__")
    with pytest.raises(DataError, match="the folder gives 'year' no value"):
        open_dataset(hive, columns=["year", "x3"])


def test_numbers_and_rows_of_pictures(tmp_path, digits):
    flat = (digits * 16).astype(np.uint8).reshape(len(digits), 64)
    pd.DataFrame(flat, columns=[f"p{j}" for j in range(64)]).to_parquet(tmp_path / "d.parquet", row_group_size=500)
    dataset = open_dataset(tmp_path / "d.parquet", shape="8x8")
    assert (dataset.kind, dataset.columns, dataset.shape, dataset.dtype) == ("pictures", (), (8, 8, 1), np.uint8)
    np.testing.assert_array_equal(all_rows(dataset), flat.reshape(-1, 8, 8, 1))
    with pytest.raises(DataError, match="cannot be pictures of 7x8x1"):
        open_dataset(tmp_path / "d.parquet", shape="7x8")
    with pytest.raises(ConfigError, match=r"size=.* is for picture files"):
        open_dataset(tmp_path / "d.parquet", size=8)


def spoil(tmp_path, cancer, **columns):
    """Three files, the second one with other columns."""
    for i in range(3):
        frame = cancer.assign(**columns) if i == 1 else cancer
        frame.to_parquet(tmp_path / f"part-{i}.parquet", index=False, row_group_size=200)
    return tmp_path


def at(row, value, dtype=float):
    column = np.ones(569).astype(object)
    column[row] = value
    return pd.array(column, pd.Float32Dtype()) if value is None else column.astype(dtype)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-np.inf, r"part-1\.parquet, rows 400 to 568, contains infinity.*column 'x4' has 1 infinite, the first in row 450"),
    ],
)
def test_infinite_numbers_are_named_when_they_pass(tmp_path, cancer, value, message):
    dataset = open_dataset(spoil(tmp_path, cancer, x4=at(450, value)))
    with pytest.raises(DataError, match=message + ".*drop="):
        all_rows(dataset)
    np.testing.assert_array_equal(dataset.take(np.arange(569 + 400)).array[569:], cancer.assign(x4=np.float32(1))[:400])
    assert len(all_rows(open_dataset(tmp_path, drop="x4"))) == 3 * 569


def test_gaps_make_mixed_columns(tmp_path, cancer):
    dataset = open_dataset(spoil(tmp_path, cancer, x4=at(450, None)))
    assert (dataset.kind, set(dataset.types)) == ("columns", {"number"})
    rows = all_rows(dataset)
    assert np.argwhere(np.isnan(rows)).tolist() == [[569 + 450, 4]]


def test_gaps_that_no_footer_tells_of_are_named_until_they_are_allowed(tmp_path, cancer):
    table = as_table(cancer.assign(x4=np.float32(1)))
    values = np.ones(569, np.float32)
    values[450] = np.nan
    write_arrow(table.set_column(4, "x4", pa.array(values)), tmp_path / "a.arrow")
    dataset = open_dataset(tmp_path)
    with pytest.raises(DataError, match=r"a\.arrow, rows 400 to 499, contains NaN.*column 'x4' has 1 missing.*row 450.*drop="):
        all_rows(dataset)
    assert np.isnan(all_rows(dataset.with_gaps())[450, 4])
    assert dataset.kind == "table"


def test_text_in_one_of_the_files_is_named_at_once(tmp_path, cancer):
    told = r"column 'x4' mixes types: number in part-0\.parquet, but text in part-1\.parquet.*--drop x4"
    with pytest.raises(DataError, match=told):
        open_dataset(spoil(tmp_path, cancer, x4=["high"] * 569))


def test_lists_are_named_at_once(tmp_path, cancer):
    with pytest.raises(DataError, match=r"part-1\.parquet: neither numbers nor text, dates, true or false: column 'x4' holds .*--drop x4"):
        open_dataset(spoil(tmp_path, cancer, x4=[[1, 2]] * 569))


def test_missing_columns_are_named_at_once(tmp_path, cancer):
    spoil(tmp_path, cancer)
    cancer.drop(columns="x4").to_parquet(tmp_path / "part-1.parquet")
    with pytest.raises(DataError, match=r"part-1\.parquet: there is no column 'x4'"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, drop="x4")) == 3 * 569


def test_other_types_widen_the_whole_and_are_told(tmp_path, cancer):
    dataset = open_dataset(spoil(tmp_path, cancer, x4=np.arange(569)))
    assert dataset.dtype == np.float64
    assert any("the files differ in the type of 'x4'; all are read as float64" in note for note in dataset.notes)
    assert all_rows(dataset)[569 : 2 * 569, 4].tolist() == list(range(569))


def test_more_columns_and_another_order_do_no_harm(tmp_path, cancer):
    spoil(tmp_path, cancer)
    cancer[NAMES[::-1]].assign(extra=1.0).to_parquet(tmp_path / "part-1.parquet")
    dataset = open_dataset(tmp_path)
    np.testing.assert_array_equal(all_rows(dataset), np.concatenate([cancer] * 3))
    assert any("part-1.parquet has columns that part-0.parquet has not; they are left out: 'extra'" in note for note in dataset.notes)


def test_files_and_row_groups_without_rows_do_no_harm(tmp_path, cancer):
    spoil(tmp_path, cancer)
    cancer[:0].to_parquet(tmp_path / "part-1.parquet")
    assert len(open_dataset(tmp_path)) == 2 * 569
    for i in (0, 2):
        cancer[:0].to_parquet(tmp_path / f"part-{i}.parquet")
    with pytest.raises(DataError, match="no rows"):
        open_dataset(tmp_path)


def cut(path, keep):
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])


def scribble(path, first, last):
    content = bytearray(path.read_bytes())
    content[int(first * len(content)) : int(last * len(content))] = b"\xff" * (int(last * len(content)) - int(first * len(content)))
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "lz4"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_cut_files_are_named_at_once(tmp_path, cancer, kind, keep):
    for i in range(3):
        WRITERS[kind](as_table(cancer), tmp_path / f"part-{i}")
    cut(next(tmp_path.glob("part-1.*")), keep)
    with pytest.raises(DataError, match=r"part-1\.\w+ cannot be read as (Parquet|Arrow).*cut off; write or fetch it again") as found:
        open_dataset(tmp_path)
    assert ".. " not in str(found.value)


@pytest.mark.parametrize("kind", ["parquet", "lz4"])
def test_files_broken_in_the_middle_are_named(tmp_path, cancer, kind):
    for i in range(3):
        WRITERS[kind](as_table(cancer), tmp_path / f"part-{i}")
    scribble(next(tmp_path.glob("part-1.*")), 0.3, 0.5)
    with pytest.raises(DataError, match=r"part-1\.\w+( cannot be read as|, rows)"):
        all_rows(open_dataset(tmp_path))


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_files_that_vanish_are_named(tmp_path, cancer, kind):
    for i in range(2):
        WRITERS[kind](as_table(cancer), tmp_path / f"part-{i}")
    dataset = open_dataset(tmp_path)
    next(tmp_path.glob("part-1.*")).unlink()
    with pytest.raises(DataError, match=r"cannot open .*part-1.*Check that it is there"):
        all_rows(dataset)
    with pytest.raises(DataError, match=r"cannot open .*part-1"):
        dataset.fingerprint()


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_files_that_change_are_noticed(tmp_path, cancer, kind):
    WRITERS[kind](as_table(cancer), tmp_path / "part-0")
    dataset = open_dataset(tmp_path)
    WRITERS[kind](as_table(cancer[:250]), tmp_path / "part-0")
    with pytest.raises(DataError, match=r"part-0\.\w+ (has changed since|cannot be read)"):
        all_rows(dataset)


def test_what_cannot_be_streamed_is_refused(tmp_path, cancer):
    cancer.to_csv(tmp_path / "t.csv")
    for path, message in [
        (tmp_path / "none", "there is no file or folder"),
        (tmp_path / "t.csv", "cannot be streamed"),
        (tmp_path, "no pictures in this folder"),
    ]:
        with pytest.raises(DataError, match=message):
            open_dataset(path)
    WRITERS["parquet"](as_table(cancer), tmp_path / "a")
    WRITERS["arrow"](as_table(cancer), tmp_path / "b")
    with pytest.raises(DataError, match="both Parquet and Arrow"):
        open_dataset(tmp_path)
    with pytest.raises(ConfigError, match="colour must be one of"):
        open_dataset(tmp_path, colour="blue")


def test_data_are_recognised_wherever_they_lie(folder, tmp_path_factory):
    known = open_dataset(folder, ids="name").fingerprint()
    copy = tmp_path_factory.mktemp("copy") / "again"
    shutil.copytree(folder, copy)
    assert open_dataset(copy, ids="name").fingerprint() == known
    assert open_dataset(copy, drop="name").fingerprint() != known
    assert open_dataset(copy, ids="name", drop="x0").fingerprint() != known
    part = next(copy.glob("part-1*"))
    part.rename(part.with_stem("part-9"))
    assert open_dataset(copy, ids="name").fingerprint() != known


def test_other_values_are_other_data(tmp_path, cancer):
    for kind in ("parquet", "arrow"):
        WRITERS[kind](as_table(cancer), tmp_path / "t")
        path = next(tmp_path.glob("t.*"))
        known = open_dataset(path).fingerprint()
        WRITERS[kind](as_table(cancer.assign(x5=cancer.x5[::-1].to_numpy() * 2)), tmp_path / "t")
        assert open_dataset(path).fingerprint() != known
        path.unlink()


def test_a_row_group_of_many_rows_is_read_a_few_pages_at_a_time(tmp_path, rng):
    columns = {f"c{j}": rng.standard_normal(400_000).astype(np.float32) for j in range(20)}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=400_000)
    dataset = open_dataset(tmp_path / "t.parquet")
    pool = pa.default_memory_pool()
    before, most = pool.bytes_allocated(), 0
    for chunk in dataset.open(0):
        most = max(most, pool.bytes_allocated() - before)
        assert len(chunk) <= 16384
    assert most < 1.2 * dataset.held() + 2 * 16384 * 80 < 0.6 * dataset.row_bytes * len(dataset) * 3
    assert 20 << 20 < dataset.held() < 60 << 20


def test_long_batches_of_an_arrow_file_are_cut(tmp_path, rng, monkeypatch):
    from isthmus.data import dataset_ipc

    monkeypatch.setattr(dataset_ipc, "_PIECE", 8 * 100)
    values = rng.integers(0, 2, (1050, 2)).astype(np.float32)
    table = pa.table({"a": values[:, 0], "b": values[:, 1]})
    for compression, pieces in ((None, [100] * 10 + [50]), ("zstd", [1050])):
        write_arrow(table, tmp_path / "t.arrow", 10**6, compression)
        dataset = open_dataset(tmp_path / "t.arrow")
        assert dataset.pieces.tolist() == pieces
        np.testing.assert_array_equal(all_rows(dataset), values)


def test_nothing_is_left_open(tmp_path, cancer):
    listed = Path("/proc/self/fd")
    if not listed.is_dir():
        pytest.skip("needs a system that lists open files")
    for kind in ("parquet", "arrow"):
        WRITERS[kind](as_table(cancer), tmp_path / "t")
        path = next(tmp_path.glob("t.*"))
        before = len(list(listed.iterdir()))
        dataset = open_dataset(path)
        reader = dataset.open(0, rows=7)
        next(reader)
        reader.close()
        blocks = dataset.blocks(10)
        next(blocks)
        blocks.close()
        assert len(list(listed.iterdir())) == before
        path.unlink()


def test_few_large_pieces_are_told(tmp_path, cancer, monkeypatch):
    from isthmus.data import dataset_tables

    monkeypatch.setattr(dataset_tables, "LARGE", 569 * 30 * 4 - 1)
    for rows, told in ((100, True), (50, False)):
        parquet.write_table(as_table(cancer), tmp_path / "t.parquet", row_group_size=rows)
        notes = open_dataset(tmp_path / "t.parquet").notes
        assert any("write them in smaller row groups" in note for note in notes) == told


def test_memory_is_given_back_after_a_pass(tmp_path, cancer, monkeypatch):
    WRITERS["parquet"](as_table(cancer), tmp_path / "t")
    dataset = open_dataset(tmp_path)
    released = []
    monkeypatch.setattr(dataset, "release", lambda: released.append(True))
    assert sum(map(len, dataset.scan())) == 569
    scan = dataset.scan()
    next(scan)
    scan.close()
    assert released == [True, True]
