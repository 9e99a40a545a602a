"""Lines of logs: every one is read and accounted for, whatever bytes are in the file."""

from __future__ import annotations

import gzip
import random
import tracemalloc

import pytest

from isthmus.data.logs import Tally, read_lines
from isthmus.data.logs.lines import LONGEST
from isthmus.errors import DataError


def lines_of(path, tally=None, **options):
    return [line for batch in read_lines(path, tally, **options) for line in batch.lines]


def write(tmp_path, data, name="app.log"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("data, wanted", [(b"a\nb\n", ["a", "b"]), (b"a\r\nb", ["a", "b"]), (b"", []), (b"\n\n", ["", ""]), (b"x", ["x"])])
def test_lines_whatever_their_ends(tmp_path, data, wanted):
    tally = Tally()
    assert lines_of(write(tmp_path, data), tally) == wanted
    assert tally.lines == len(wanted)


def test_mixed_ends_leave_no_carriage_return(tmp_path):
    assert lines_of(write(tmp_path, b"a\nb\r\nc\n")) == ["a", "b", "c"]


def test_undecodable_bytes_are_shown_and_counted(tmp_path):
    tally = Tally()
    assert lines_of(write(tmp_path, b"good\nbad \xff\xfe byte\n\xc3\xa4\n"), tally) == ["good", "bad \\xff\\xfe byte", "ä"]
    assert tally.counts["undecodable"] == 1
    assert tally.examples["undecodable"][0][0] == 2


def test_a_giant_line_is_cut_and_the_next_one_whole(tmp_path):
    tally = Tally()
    data = b"first\n" + b"x" * 5_000_000 + b"\nlast\n"
    batches = list(read_lines(write(tmp_path, data), tally))
    lines = [line for batch in batches for line in batch.lines]
    assert [len(line) for line in lines] == [5, LONGEST, 4]
    assert tally.counts["cut"] == 1
    assert batches[-1].offset == len(data)


def test_offsets_resume_where_a_batch_ended(tmp_path):
    rng = random.Random(0)
    data = "".join(f"line {i} {'y' * rng.randrange(400)}\n" for i in range(20_000)).encode()
    path = write(tmp_path, data)
    batches = list(read_lines(path))
    assert len(batches) > 2
    whole = [line for batch in batches for line in batch.lines]
    first = batches[0]
    assert lines_of(path, offset=first.offset) == whole[len(first.lines) :]
    assert [batch.first for batch in batches] == [1 + sum(len(b.lines) for b in batches[:i]) for i in range(len(batches))]


def test_gzip_gives_the_same_lines_as_plain(tmp_path):
    text = "".join(f"{i} ä\n" for i in range(200_000)).encode()
    packed = gzip.compress(text[:1_000_003]) + gzip.compress(text[1_000_003:]) + b"\0" * 512
    assert lines_of(write(tmp_path, packed, "a.log.gz")) == lines_of(write(tmp_path, text))


def test_gzip_resumes_at_an_offset_of_the_unpacked_bytes(tmp_path):
    assert lines_of(write(tmp_path, gzip.compress(b"one\ntwo\nthree\n")), offset=4) == ["two", "three"]


@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_a_broken_gzip_gives_what_it_has_and_says_so(tmp_path, damage):
    rng = random.Random(1)
    text = "".join(f"{rng.random()}\n" for _ in range(50_000)).encode()
    packed = gzip.compress(text)
    half = len(packed) // 2
    data = packed[:half] if damage == "cut" else packed[:half] + b"\xff" * 100 + packed[half + 100 :]
    tally = Tally()
    found = lines_of(write(tmp_path, data), tally)
    assert 20_000 < len(found) < 60_000
    assert "".join(f"{line}\n" for line in found[:15_000]).encode() == text[: sum(len(line) + 1 for line in found[:15_000])]
    assert "gzip file is broken or ends too early" in tally.told()[-1]


@pytest.mark.parametrize(
    "data, said",
    [
        (bytes(range(256)) * 20, "is no text"),
        (gzip.compress(bytes(range(256)) * 20), "is no text"),
        ("ä line\n".encode("utf-16"), "UTF-16"),
        (random.Random(0).randbytes(5000), "is no text"),
        (random.Random(1).randbytes(300), "is no text"),
        (b"\0" * 5000, "is no text"),
        (b"BZh91AY", "bzip2"),
        (b"PAR1....", "Parquet"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path, data, said):
    with pytest.raises(DataError, match=said):
        lines_of(write(tmp_path, data))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "shift-jis", "koi8-r"])
def test_old_encodings_are_read_and_counted(tmp_path, encoding):
    text = {"latin-1": "Gerät überhitzt, Lüfter läuft"}.get(
        encoding, "警告 ディスク" if encoding == "shift-jis" else "Ошибка диска, сбой чтения"
    )
    tally = Tally()
    assert len(lines_of(write(tmp_path, b"".join(text.encode(encoding) + b"\n" for _ in range(50))), tally)) == 50
    assert tally.counts["undecodable"] == 50


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        lines_of(tmp_path / "none.log")
    with pytest.raises(DataError, match="is a folder"):
        lines_of(tmp_path)


def test_a_live_file_keeps_its_unfinished_line_for_later(tmp_path):
    path = write(tmp_path, b"whole\nunfin")
    batch = next(iter(read_lines(path, live=True)))
    assert (batch.lines, batch.offset) == (["whole"], 6)
    with path.open("ab") as file:
        file.write(b"ished\n")
    assert lines_of(path, offset=batch.offset, live=True) == ["unfinished"]


def test_memory_does_not_grow_with_the_file(tmp_path):
    small, large = (
        write(tmp_path, b"some line of a log\n" * 200_000, "s.log"),
        write(tmp_path, b"some line of a log\n" * 1_600_000, "l.log"),
    )

    def peak(path):
        tracemalloc.start()
        try:
            assert sum(len(batch.lines) for batch in read_lines(path)) == path.stat().st_size // 19
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(large) < 1.2 * peak(small)
