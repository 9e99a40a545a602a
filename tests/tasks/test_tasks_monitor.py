"""The monitor: its alarms keep the budget, its words are right, and a restart changes nothing."""

from __future__ import annotations

import json
import os
from io import StringIO
from itertools import pairwise

import numpy as np
import pytest

from isthmus.data import Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks import monitor_feed as feed
from isthmus.tasks.conformal import Conformal
from isthmus.tasks.monitor import Look, Monitor
from isthmus.tasks.monitor_budget import Budget
from isthmus.tasks.monitor_evidence import GAP, KAPPAS, Evidence, conditional
from isthmus.tasks.monitor_run import Session
from isthmus.tasks.monitor_state import Memory, digest, told

NAMES = ("heat", "flow", "volt", "amp", "on", "fixed")


def rows(rng: np.random.Generator, n: int, depends: float = 0.0) -> np.ndarray:
    """Healthy rows: four measured columns, a switch that is nearly always 0, a column that never changes."""
    noise = rng.standard_normal((n, 4))
    for i in range(1, n if depends else 0):
        noise[i] = depends * noise[i - 1] + np.sqrt(1 - depends**2) * noise[i]
    return np.column_stack([noise, rng.random(n) < 0.02, np.full(n, 7.0)])


class Known:
    """A detector of those rows whose score is the distance from the middle of the measured columns."""

    def __init__(self, seed: int = 0, calibration: int = 1000, sample: int = 1000) -> None:
        rng = np.random.default_rng([seed, 77])
        self.known = Conformal.of(self.measure(rows(rng, calibration)))
        self.sample = rows(rng, sample) if sample else None

    calibration = property(lambda self: self.known.rows)
    names = NAMES

    def measure(self, values):
        return np.sqrt((np.nan_to_num(values[:, :4]) ** 2).sum(1))

    def look(self, source):
        if source.array.shape[1] != len(NAMES):
            raise DataError(f"{source.name} has no column 'fixed'")
        scores = self.measure(source.array)
        return Look(scores, self.known.p_values(scores), source.array)

    def healthy(self):
        return self.sample

    def why(self, source, rows):
        return [(NAMES[int(np.abs(source.array[row, :4]).argmax())],) for row in rows]


def stream(values: np.ndarray, size: int = 250) -> list[Source]:
    return [Source("table", values[i : i + size], NAMES, name=f"b{i // size}") for i in range(0, len(values), size)]


def watch(values: np.ndarray, budget: str = "1/1000", seed: int = 0, **known) -> tuple[Monitor, list]:
    monitor = Monitor(Known(seed, **known), Budget.parse(budget))
    return monitor, [monitor.update(batch, time=60.0 * i) for i, batch in enumerate(stream(values))]


def kinds(monitor: Monitor) -> list[str]:
    return [alarm.kind for alarm in monitor.alarms]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1/1000", "1/1000 rows"),
        ("2 per 5,000 rows", "2/5000 rows"),
        ("1/day", "1/day"),
        ("0.5/Weeks", "0.5/week"),
        ("3 a month", "3/month"),
    ],
)
def test_a_budget_is_read_and_told(text, told):
    assert str(Budget.parse(text)) == told
    assert Budget.parse(told) == Budget.parse(text)


@pytest.mark.parametrize("text", ["", "often", "1", "1/0", "0/day", "1/5", "1/1.2.3", "-1/day", "1/day/2", "nan/day"])
def test_a_budget_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="budget"):
        Budget.parse(text)


def test_a_budget_of_time_is_spent_by_the_pace():
    assert Budget.parse("1/day").rate(1.0) == pytest.approx(1 / 86400)
    assert Budget.parse("1/hour").rate(10.0) == pytest.approx(1 / 36000)
    assert Budget.parse("1/1000").rate(123.0) == 0.001
    monitor = Monitor(Known(), Budget.parse("1/day"))
    quick, slow = (monitor._pace(100, time, None) for time in (0.0, 50.0))
    assert quick == pytest.approx(100 / 86400)
    assert slow == pytest.approx(2.0)
    assert monitor._pace(100, 60.0, 25.0) == pytest.approx(4.0)


def test_bounds_hold_for_all_ranks_at_once():
    rng, m = np.random.default_rng(1), 200
    # The chance to be stranger than the j-th strangest of m rows is the j-th smallest of m uniform numbers.
    chances = np.sort(rng.random((3000, m)), axis=1)
    bounds = conditional(m)[:m]
    held = (chances <= bounds).all(1).mean()
    assert held >= 0.9 - 3 * np.sqrt(0.09 / 3000)
    assert (chances <= 0.7 * bounds).all(1).mean() < 0.8
    assert np.all(np.diff(bounds) >= 0)
    assert bounds[0] < 6 / m


def test_bets_are_fair():
    # An e-value has a mean of at most 1 under uniform p-values.
    p = (np.arange(200_000) + 0.5) / 200_000
    for kappa in KAPPAS[1:]:
        assert (kappa * p ** (kappa - 1)).mean() <= 1.0
    evidence = Evidence(500)
    assert np.all(np.asarray(evidence._bets).mean(0) <= 1.0)


@pytest.mark.parametrize("calibration", [100, 3000])
def test_healthy_streams_keep_the_budget(calibration):
    alarms, allowed = 0, 0.0
    for seed in range(25):
        monitor, _ = watch(rows(np.random.default_rng(seed), 4000), "1/500", seed, calibration=calibration)
        alarms += monitor.rung
        allowed += 8
    assert alarms <= allowed + 3 * np.sqrt(allowed)
    assert alarms > 0.1 * allowed


def test_rows_that_depend_on_those_before_keep_the_budget():
    found = [kinds(watch(rows(np.random.default_rng(seed), 6000, depends=0.8), "1/500", seed)[0]) for seed in range(8)]
    allowed = 8 * 12
    assert sum(map(len, found)) <= allowed + 3 * np.sqrt(allowed)
    assert sum(kind.count("drift") for kind in found) <= 0.25 * allowed


def test_a_single_strange_row_rings_at_once_where_the_calibration_is_fine_enough():
    values = rows(np.random.default_rng(3), 500)
    values[321, 1] = 40.0
    monitor, healths = watch(values, "1/200")
    [alarm] = [alarm for alarm in monitor.alarms if alarm.start == 321]
    assert (alarm.kind, alarm.batch, alarm.row, alarm.reasons) == ("row", "b1", 71, ("flow",))
    assert alarm.p_value == pytest.approx(1 / 1001)
    assert healths[1].verdict == "anomalies"
    assert alarm in healths[1].alarms


def test_a_row_is_ranked_among_those_watched_where_the_calibration_is_too_coarse():
    values = rows(np.random.default_rng(4), 6000)
    values[[100, 5500], 0] = 60.0, 70.0
    monitor, _ = watch(values, "1/2000", calibration=200)
    starts = [alarm.start for alarm in monitor.alarms]
    assert 100 not in starts
    assert 5500 in starts


def test_a_burst_rings_once_and_is_no_drift():
    delays, found = [], []
    for seed in range(10):
        values = rows(np.random.default_rng(seed), 5000)
        values[2300:2360, :3] += 4.0
        monitor, healths = watch(values, "1/5000", seed, calibration=400)
        burst = [alarm for alarm in monitor.alarms if 2300 <= alarm.start < 2360 + GAP]
        found.append([alarm.kind for alarm in burst])
        delays.append(burst[0].start - 2300)
        assert burst[0].end is not None
        assert 40 <= burst[0].strange <= 61
        assert min(health.lowest for health in healths) == healths[9].lowest < 70
        assert healths[-1].health > 90
    assert max(map(len, found)) == 1
    assert not any("drift" in kind for kind in found)
    assert np.median(delays) <= 10


def test_isolated_outliers_are_no_drift():
    rng, verdicts = np.random.default_rng(8), []
    for seed in range(8):
        values = rows(rng, 4000)
        values[rng.choice(4000, 120, replace=False), :2] += 9.0
        verdicts.append(kinds(watch(values, "1/100", seed)[0]))
    assert all(kind.count("row") > 10 for kind in verdicts)
    assert sum("drift" in kind for kind in verdicts) <= 2


def test_a_shift_of_some_columns_is_drift_in_those_columns():
    delays = []
    for seed in range(10):
        values = rows(np.random.default_rng(seed), 6000)
        values[3000:, [1, 3]] += [0.7, -0.7]
        monitor, healths = watch(values, "1/2000", seed)
        [alarm] = [alarm for alarm in monitor.alarms if alarm.kind == "drift" and alarm.start > 3000]
        assert {"flow higher", "amp lower"} <= {str(shift) for shift in healths[-1].drift}
        assert not {shift.column for shift in healths[-1].drift if shift.how in ("higher", "lower")} & {"heat", "volt", "on", "fixed"}
        assert sum(shift.share for shift in healths[-1].drift) == pytest.approx(1.0)
        assert "drift" in healths[-1].verdict
        delays.append(alarm.start - 3000)
    assert np.median(delays) <= 400


def test_a_slow_drift_is_found_before_rows_are_strange():
    values = rows(np.random.default_rng(5), 8000)
    values[2000:, 2] += np.linspace(0, 1.5, 6000)
    monitor, healths = watch(values, "1/5000", calibration=2000)
    [alarm] = [alarm for alarm in monitor.alarms if alarm.kind == "drift"]
    assert 2000 < alarm.start < 5500
    assert healths[-1].drift[0].column == "volt"


def test_drift_is_over_when_the_rows_are_back():
    values = rows(np.random.default_rng(6), 6000)
    values[1000:3000, 0] += 1.0
    monitor, healths = watch(values, "1/5000")
    [alarm] = [alarm for alarm in monitor.alarms if alarm.kind == "drift"]
    assert 3000 < alarm.end <= 4000
    assert healths[-1].verdict == "healthy"
    assert not healths[-1].drift


def test_a_column_that_came_back_is_not_told_of_while_another_is_away():
    for seed in range(3):
        values = rows(np.random.default_rng(seed), 4000)
        values[1000:2000, 0] += 1.0
        values[1400:, 3] += 1.0
        _, healths = watch(values, "1/5000", seed)
        assert {"heat", "amp"} <= {shift.column for shift in healths[7].drift}
        assert "amp" in {shift.column for shift in healths[-1].drift}
        assert "heat" not in {shift.column for shift in healths[-1].drift}, "whichever way chance has it lie"


def test_a_fault_that_stays_does_not_ring_again_and_again():
    values = rows(np.random.default_rng(7), 9000)
    values[2000:, :3] += 3.0
    monitor, healths = watch(values, "1/5000")
    assert len([alarm for alarm in monitor.alarms if alarm.start >= 2000]) <= 3
    assert "drift" in healths[-1].verdict
    assert healths[-1].health < 60


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v, rng: np.full(len(v), 0.3), "amp narrower"),
        (lambda v, rng: np.where(rng.random(len(v)) < 0.2, np.nan, v), "amp missing"),
        (lambda v, rng: 2.0 * v, "amp wider"),
    ],
)
def test_a_column_that_is_stuck_or_missing_or_noisy_is_named(change, expected):
    rng = np.random.default_rng(9)
    values = rows(rng, 5000)
    values[2000:, 3] = change(values[2000:, 3], rng)
    _, healths = watch(values, "1/5000")
    assert str(healths[-1].drift[0]) == expected


@pytest.mark.parametrize(("column", "share"), [("on", 0.2), ("fixed", 0.1)])
def test_columns_that_hardly_change_are_compared_by_how_often_they_do(column, share):
    rng = np.random.default_rng(10)
    values = rows(rng, 5000)
    j = NAMES.index(column)
    values[2000:, j] = np.where(rng.random(3000) < share, 1.0, values[2000:, j])
    _, healths = watch(values, "1/5000")
    assert str(healths[-1].drift[0]) == f"{column} other values"
    assert healths[-1].drift[0].size == pytest.approx(share, abs=0.06)


def test_without_a_healthy_sample_the_first_rows_are_compared_with():
    values = rows(np.random.default_rng(11), 6000)
    values[3000:, 0] += 1.0
    monitor, healths = watch(values, "1/5000", sample=0)
    assert monitor.windows is not None
    assert str(healths[-1].drift[0]) == "heat higher"


def test_how_the_stream_is_cut_changes_nothing():
    values = rows(np.random.default_rng(12), 3000)
    values[1500:1520, :2] += 6.0
    one, other = (Monitor(Known(), Budget.parse("1/1000")) for _ in range(2))
    for size, monitor in ((3000, one), (77, other)):
        for batch in stream(values, size):
            last = monitor.update(batch)
        assert last.health > 90
    assert [(a.start, a.kind, a.end) for a in one.alarms] == [(a.start, a.kind, a.end) for a in other.alarms]
    assert one.evidence.course == other.evidence.course
    assert one.windows.to_json()["drift"] == other.windows.to_json()["drift"]


@pytest.mark.parametrize("sample", [1000, 0])
def test_a_restart_after_every_batch_changes_nothing(sample):
    values = rows(np.random.default_rng(13), 7000)
    values[3000:3030, :2] += 6.0
    values[5000:, 3] -= 0.8
    _, expected = watch(values, sample=sample)
    state, found = None, []
    for i, batch in enumerate(stream(values)):
        monitor = Monitor(Known(sample=sample), Budget(), state)
        found.append(monitor.update(batch, time=60.0 * i))
        state = json.loads(json.dumps(monitor.to_json()))
    assert found == expected
    assert {"anomalies", "drift", "healthy"} <= {health.verdict for health in found}


def test_the_state_does_not_grow():
    rng = np.random.default_rng(14)
    monitor = Monitor(Known(), Budget.parse("1/20"))
    sizes = []
    for _ in range(60):
        values = rows(rng, 1000)
        values[:: 2 * GAP, 0] = 50.0
        monitor.update(stream(values, 1000)[0])
        sizes.append(len(json.dumps(monitor.to_json())))
    assert monitor.rung > 400
    assert max(sizes) < 200_000
    assert sizes[-1] < 1.1 * sizes[-20]


def test_health_is_what_it_is_said_to_be():
    evidence = Evidence(999)
    assert evidence.health == 100.0
    evidence.feed(np.full(5000, 0.001), np.zeros(5000), 1e-9, 1e-9)
    assert evidence.health == pytest.approx(0.0, abs=1e-6)
    evidence.feed(np.full(50, 0.5), np.zeros(50), 1e-9, 1e-9)
    # Half of the weight lies on the last 50 rows.
    surprise = 0.5 * np.log(1000) + 0.5 * np.log(2)
    assert evidence.health == pytest.approx(100 * (1 - (surprise - 1) / (np.log(1000) - 1)))
    p = (np.random.default_rng(0).integers(1, 1001, 20_000)) / 1000
    assert evidence.feed(p, np.zeros(20_000), 1e-9, 1e-9).lowest < 60
    assert evidence.health > 95


def test_a_batch_that_cannot_be_scored_changes_nothing():
    monitor, _ = watch(rows(np.random.default_rng(15), 1000))
    before = monitor.to_json()
    bad = monitor.update(Source("table", np.zeros((5, 2)), name="bad.csv"))
    assert (bad.verdict, bad.rows, bad.note) == ("not scored", 0, "bad.csv has no column 'fixed'")
    assert monitor.update(Source("table", np.zeros((0, 6)), NAMES, name="none.csv")).note == "none.csv has no rows"
    assert monitor.to_json() == before
    [event] = told(bad)
    assert (event["what"], event["reasons"]) == ("not scored", ["bad.csv has no column 'fixed'"])


def test_a_broken_state_is_refused():
    state = watch(rows(np.random.default_rng(16), 500))[0].to_json()
    for broken in ({}, {**state, "course": 3}, {**state, "alarms": [{"a": 1}]}, {**state, "windows": {"sums": 1}}):
        with pytest.raises(ConfigError, match="state cannot be read"):
            Monitor(Known(), Budget(), broken)


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_events_of_a_batch_that_was_not_finished_are_taken_back(tmp_path, ending):
    out, path = tmp_path / f"events{ending}", tmp_path / "state.json"
    event = dict.fromkeys(("what", "batch", "kind"), "x") | {"reasons": ["a", "b"]}
    memory = Memory.open(path, "m", out)
    memory.save({"n": 1}, "1/1000 rows", [event], ("d1", "one.csv"))
    whole = out.read_bytes()
    # Killed between the two files, or in the middle of the first.
    memory._append([event, event])
    assert len(out.read_bytes()) > len(whole)
    again = Memory.open(path, "m", out)
    assert out.read_bytes() == whole
    assert (again.monitor, again.events, again.seen) == ({"n": 1}, 1, {"d1": "one.csv"})
    again.save({"n": 2}, "1/1000 rows", [event])
    assert len(out.read_text().splitlines()) == 2 + (ending == ".csv")
    out.write_bytes(out.read_bytes() + b"a line of somebody else\n")
    Memory.open(path, "m", out)
    assert out.read_bytes().endswith(b"somebody else\n")


def test_a_state_of_something_else_is_refused(tmp_path):
    path = tmp_path / "state.json"
    Memory.open(path, "one").save({}, "1/day")
    with pytest.raises(ConfigError, match="belongs to another model"):
        Memory.open(path, "two")
    for text in ("{", "[]", '{"format": "isthmus monitor", "version": 1, "model": "one"}', "\x00\x01"):
        path.write_text(text)
        with pytest.raises(ConfigError, match="start afresh"):
            Memory.open(path, "one")


def test_two_monitors_do_not_share_a_state(tmp_path):
    pytest.importorskip("fcntl")
    memory = Memory(tmp_path / "state.json", "m")
    with memory.alone(), pytest.raises(ConfigError, match="another monitor"), Memory(memory.path, "m").alone():
        pass
    with memory.alone():
        assert memory.path.parent.is_dir()


class Schema:
    kind = "table"
    columns = ("a", "b")
    shape = (2,)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n5,6\n",
        "1,2\n3,4\n5,6\n",
        "b,c,a\n2,x,1\n4,y,3\n6,z,5\n",
        '{"a": 1, "b": 2}\n\n{"b": 4, "a": 3}\n{"a": 5, "b": 6, "c": null}\n',
    ],
    ids=["csv", "no header", "other order", "json"],
)
def test_lines_become_batches(text):
    batches = list(feed.lines(StringIO(text), Schema(), rows=2, wait=5.0))
    assert [batch.name for batch in batches] == ["lines 1-2", "lines 3-3"]
    found = np.concatenate([batch.open().array for batch in batches])
    assert found.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n3\n", '{"a": 1, "b": 2}\nnonsense\n', '{"a": 1, "b": [2]}\n', '{"a": 1}\n', '{"a": 1, "b": 2}\n3\n']
)
def test_lines_that_do_not_fit_are_told(text):
    [batch] = feed.lines(StringIO(text), Schema(), rows=10, wait=5.0)
    with pytest.raises(DataError):
        batch.open()


def test_lines_that_are_late_do_not_hold_up_those_before():
    read, write = os.pipe()
    with os.fdopen(read) as stream, os.fdopen(write, "w", buffering=1) as sender:
        sender.write("a,b\n1,2\n3,4\n")
        batches = feed.lines(stream, Schema(), rows=100, wait=0.1)
        assert next(batches).name == "lines 1-2"
        sender.write("5,6\n")
        assert next(batches).name == "lines 3-3"
        sender.close()
        assert list(batches) == []


def test_nothing_on_the_standard_input_is_an_error():
    with pytest.raises(DataError, match="nothing came"):
        next(feed.lines(StringIO(""), Schema(), 1, 1.0))


def test_a_folder_is_followed(tmp_path):
    def add(name: str, age: float) -> None:
        (tmp_path / name).write_text("a,b\n1,2\n")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))

    add("old.csv", 50)
    add("older.csv", 90)
    add(".hidden.csv", 1)
    add("notes.md", 1)
    found = feed.follow(tmp_path, Schema(), every=0.01)
    assert [next(found).name, next(found).name] == ["older.csv", "old.csv"]
    (tmp_path / "fresh.csv").write_text("a,b\n")  # perhaps not whole yet
    add("new.csv", 10)
    assert next(found).name == "new.csv"
    assert [batch.name for batch in feed.files([tmp_path], Schema())][:3] == ["older.csv", "old.csv", "new.csv"]
    with pytest.raises(DataError, match="no folder"):
        next(feed.follow(tmp_path / "nowhere", Schema(), 1.0))


@pytest.fixture(scope="module")
def pump(tmp_path_factory):
    """A folder with a fitted detector of a pump, and the columns' mixing."""
    import pandas as pd

    from isthmus.data import read
    from isthmus.tasks.detector import Detector

    folder = tmp_path_factory.mktemp("pump")
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((5, 5))

    def write(name: str, n: int = 400, strange: int = 0, shift: float = 0.0, drop: str | None = None, time: bool = False) -> None:
        values = rng.standard_normal((n, 5)) @ mixing
        values[100 : 100 + strange] *= 12.0
        values[:, 0] += shift
        frame = pd.DataFrame(values, columns=list("abcde"))
        frame["mode"] = rng.choice(["idle", "run", "rinse"], n)
        frame.drop(columns=[drop] if drop else []).to_csv(folder / name, index=False)

    write("train.csv", 1500)
    Detector.fit(read(folder / "train.csv")).save(folder / "model")
    write("0 fine.csv")
    write("1 strange.csv", strange=12)
    write("2 fine.csv")
    write("3 gap.csv", drop="c")
    write("4 drift.csv", 1600, shift=3.0)
    return folder


def test_a_session_goes_on_where_it_stopped(pump, tmp_path):
    names = sorted(path.name for path in pump.glob("[0-9]*.csv"))
    whole = Session(pump / "model", tmp_path / "whole.json", Budget.parse("1/500"), tmp_path / "whole.jsonl")
    schema = whole.detector.layout.schema
    expected = [health for name in names for health in whole.take(feed.of_file(pump / name, schema))]
    found = []
    for name in names:
        part = Session(pump / "model", tmp_path / "parts.json", None if found else Budget.parse("1/500"), tmp_path / "parts.jsonl")
        found += part.take(feed.of_file(pump / name, schema))
        assert part.take(feed.of_file(pump / name, schema)) == []
    assert found == expected
    assert (tmp_path / "parts.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()
    verdicts = [health.verdict for health in found]
    assert verdicts[1] == "anomalies"
    assert verdicts[3] == "not scored"
    assert "'c'" in found[3].note
    assert verdicts[4].endswith("drift")
    assert found[4].drift[0].column == "a"
    assert found[1].alarms[0].reasons


def test_an_unreadable_file_is_told_and_the_next_one_taken(pump, tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    session = Session(pump / "model", tmp_path / "state.json")
    schema = session.detector.layout.schema
    [bad] = session.take(feed.of_file(tmp_path / "cut.parquet", schema))
    assert bad.verdict == "not scored"
    assert "cut.parquet" in bad.note
    assert session.take(feed.of_file(pump / "0 fine.csv", schema))[0].rows == 400


def test_digests_tell_files_apart(tmp_path):
    paths = [tmp_path / name for name in ("one", "same", "other")]
    for path, text in zip(paths, ("a", "a", "b"), strict=True):
        path.write_text(text)
    one, same, other = map(digest, paths)
    assert one == same != other
    assert all(len(a) == len(b) == 16 for a, b in pairwise([one, same, other]))
