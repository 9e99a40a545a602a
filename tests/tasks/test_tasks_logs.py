"""Windows, features, alarms and state of the log detector."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from isthmus.data.logs import Miner, Record, Tally
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.tasks.log_alarms import COLUMNS, Cause, Verdict, appended, opened, report
from isthmus.tasks.log_features import RARE, RISE, WEIGHT, Features, Novelty
from isthmus.tasks.log_follow import Follower, follow
from isthmus.tasks.log_watch import NOVEL, Keys, Reservoir
from isthmus.tasks.log_windows import END, START, Plan, Window, Windows, of_keys
from isthmus.tasks.logs import LogDetector
from isthmus.tasks.scorer import Scorer

HEALTHY = ["open file {} for reading", "read {} bytes", "close file {}"]


def lines_of(count, seed=0, start=0, strange=()):
    """A healthy service, a line every two seconds; `strange` lines have other messages."""
    rng = random.Random(seed)
    found = []
    for i in range(start, start + count):
        text = "disk sector {} unreadable" if i in strange else HEALTHY[i % 3] if rng.random() < 0.95 else rng.choice(HEALTHY)
        moment = f"{i // 1800:02d}:{i // 30 % 60:02d}:{i % 30 * 2:02d}"
        found.append(f"2024-05-01 {moment} {'ERROR' if i in strange else 'INFO'} store: {text.format(rng.randrange(9999))}")
    return found


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    log = write(tmp_path_factory.mktemp("healthy") / "healthy.log", lines_of(4000))
    return LogDetector.fit(log, Plan.of("20"))


@pytest.fixture(scope="module")
def sick(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sick") / "sick.log", lines_of(1000, 1, 4000, strange=(4510, 4512, 4515)))


def windows_of(plan, records, tally=None):
    windows = Windows(plan, tally or Tally())
    return [window for record in records for window in windows.add(record, 1)] + windows.end()


def record(number, time=float("nan"), line=""):
    return Record(number, time, "", "x", line or "x")


class TestWindows:
    def test_by_count(self):
        found = windows_of(Plan.of("3"), [record(i) for i in range(1, 8)])
        assert [(w.first, w.last, w.partial) for w in found] == [(1, 3, False), (4, 6, False), (7, 7, True)]

    def test_by_time_the_edges_are_partial_and_late_lines_stay(self):
        tally = Tally()
        found = windows_of(Plan.of("10s"), [record(i, t) for i, t in enumerate([101, 109, 112, 109.5, 118, 125, 131], 1)], tally)
        assert [(w.lines, w.partial) for w in found] == [(2, True), (3, False), (1, False), (1, True)]
        assert tally.counts["late"] == 1

    def test_a_clock_that_jumps_back_begins_a_new_window(self):
        found = windows_of(Plan.of("10s"), [record(1, 1000.0), record(2, 500.0), record(3, 501.0)])
        assert [w.lines for w in found] == [1, 2]

    def test_lines_without_time_belong_to_the_next_known(self):
        found = windows_of(Plan.of("10s"), [record(1), record(2, 5.0), record(3, 25.0)])
        assert [(w.first, w.last) for w in found] == [(1, 2), (3, 3)]

    def test_no_time_at_all_is_refused(self):
        with pytest.raises(DataError, match="has a time"):
            windows_of(Plan.of("10s"), [record(i) for i in range(2000)])
        with pytest.raises(DataError, match="has a time"):
            windows_of(Plan.of("10s"), [record(1)])

    def test_by_session_lines_may_belong_to_several_or_none(self):
        tally = Tally()
        lines = ["a id=1", "b id=2", "c id=1 id=2", "d"]
        found = windows_of(Plan.of(session=r"id=(\d+)"), [record(i, 0.0, line) for i, line in enumerate(lines, 1)], tally)
        assert {w.name: (w.first, w.last, w.lines) for w in found} == {"1": (1, 3, 2), "2": (2, 3, 2)}
        assert tally.counts["outside"] == 1
        assert all(w.pairs == {(START, 1): 1, (1, 1): 1, (1, END): 1} for w in found)

    def test_an_idle_session_is_over(self):
        windows = Windows(Plan.of(session=r"id=\d", gap="1m"), Tally())
        assert windows.add(record(1, 0.0, "id=1"), 1) == []
        assert [w.name for w in windows.add(record(2, 61.0, "id=2"), 1)] == ["id=1"]

    def test_open_sessions_are_bounded(self, monkeypatch):
        monkeypatch.setattr("isthmus.tasks.log_windows.MOST_OPEN", 3)
        windows = Windows(Plan.of(session=r"id=\d+"), Tally())
        over = [w.name for i in range(5) for w in windows.add(record(i, 0.0, f"id={i}"), 1)]
        assert over == ["id=0", "id=1"]

    def test_state_goes_on_in_the_middle_of_a_window(self):
        records = [record(i, float(i), f"id={i % 3} line") for i in range(40)]
        for plan in (Plan.of("7"), Plan.of("5s"), Plan.of(session=r"id=\d")):
            whole = windows_of(plan, records)
            first = Windows(plan, Tally())
            found = [w for r in records[:17] for w in first.add(r, 1)]
            second = Windows(plan, Tally())
            second.restore(json.loads(json.dumps(first.state())))
            found += [w for r in records[17:] for w in second.add(r, 1)] + second.end()
            assert found == whole

    @pytest.mark.parametrize("text, kind, size", [("100", "count", 100), ("90s", "time", 90), ("5m", "time", 300), ("1.5 h", "time", 5400)])
    def test_sizes_are_read(self, text, kind, size):
        assert (Plan.of(text).kind, Plan.of(text).size) == (kind, size)

    @pytest.mark.parametrize(
        "wrong", [{"window": "soon"}, {"window": "0"}, {"window": "1.5"}, {"session": "("}, {"session": "x*"}, {"gap": "5m"}]
    )
    def test_wrong_plans_are_refused(self, wrong):
        with pytest.raises(ConfigError):
            Plan.of(**wrong)

    def test_window_and_session_together_are_refused(self):
        with pytest.raises(ConfigError, match="not both"):
            Plan.of("5", "x")


class TestFeatures:
    def test_what_only_one_window_has_is_new_there_and_known_to_nobody_else(self):
        windows = [of_keys(iter([1, 2])) for _ in range(20)] + [of_keys(iter([1, 9]))]
        features = Features.fit(windows)
        assert features.unseen(windows[-1], own=True) == [9]
        assert features.unseen(of_keys(iter([1, 9])), own=False) == []
        assert features.unseen(of_keys(iter([1, 8])), own=False) == [8]

    def test_what_is_rare_in_training_is_judged_by_the_other_windows(self):
        rng = random.Random(0)
        windows = [of_keys(iter([rng.choice([1, 1, 1, 2, 2, 3, 4, rng.randrange(50)]) for _ in range(6)])) for _ in range(80)]
        features = Features.fit(windows)
        for i in (0, 17, 79):
            others = [window for j, window in enumerate(windows) if j != i]
            support = Counter(key for window in others for key in window.counts)
            steps = Counter(pair for window in others for pair in window.pairs)
            assert set(features.unseen(windows[i], own=True)) == {key for key in windows[i].counts if not support[key]}
            rarities, surprises = features.rarities(windows[i], own=True), features.surprises(windows[i], own=True)
            for key, n in windows[i].counts.items():
                seen = support[key] if support[key] < RARE else support[key] + 1
                assert rarities[key] == pytest.approx(np.log1p(n) * np.log(81 / (seen + 0.5)))
            leaving = {pair: sum(n for w in windows for (a, _), n in w.pairs.items() if a == pair[0]) for pair in surprises}
            for pair in set(surprises) - set(steps):
                assert surprises[pair] == pytest.approx(np.log((leaving[pair] + 1) * (len(features.support) + 2)))

    def test_two_windows_alike_give_the_same_row(self):
        windows = [of_keys(iter([1, 2, 2, 3] if i % 3 else [1, 2, 3])) for i in range(90)]
        features = Features.fit(windows)
        assert (features.rows(windows[:2], own=True) == features.rows(windows[:2])).all()

    def test_rare_templates_have_no_column_and_more_rarity(self):
        windows = [of_keys(iter([1, 2])) for _ in range(40)] + [of_keys(iter([1, 3])) for _ in range(RARE)]
        features = Features.fit(windows)
        assert features.columns == [1, 2]
        rare, common = (features.rarities(of_keys(iter([key])), own=False)[key] for key in (3, 1))
        never = features.rarities(of_keys(iter([7])), own=False)[7]
        assert never > rare > common

    def test_a_column_that_never_varied_has_a_spread_and_new_values_are_finite(self):
        features = Features.fit([of_keys(iter([1, 1, 2])) for _ in range(50)])
        usual, strange = features.rows([of_keys(iter([1, 1, 2])), of_keys(iter([1] * 500 + [99]))])
        assert np.isfinite(strange).all()
        assert np.abs(usual[: len(features.columns)]).max() < 1e-6
        assert np.abs(strange).max() > 10

    def test_new_templates_are_as_surprising_as_they_were_rare_in_training(self):
        known = np.sort(np.log1p([0.0] * 90 + [1.0] * 8 + [4.0]))
        none, one, many, more = Novelty(known)(np.log1p([0.0, 1.0, 4.0, 400.0]))
        assert none == 0.0
        assert one == pytest.approx(WEIGHT * (np.log(100 / 10) + RISE * np.log(2)))
        assert many == pytest.approx(WEIGHT * (np.log(100 / 2) + RISE * np.log(5)))
        assert more > many

    def test_new_lines_of_a_window_of_training_are_those_no_other_has(self):
        windows = [of_keys(iter([1, 2])) for _ in range(20)] + [of_keys(iter([1, 9, 9]))]
        features = Features.fit(windows)
        assert features.new_lines(windows, own=True) == pytest.approx([0.0] * 20 + [np.log(3)])
        assert features.new_lines(windows[-1:], own=False) == pytest.approx([0.0])

    def test_amounts_undo_rows(self):
        windows = [of_keys(iter([1] * (1 + i % 4) + [2])) for i in range(50)]
        features = Features.fit(windows)
        amounts = features.amounts(features.rows(windows[:4]).astype(float))
        assert amounts[:, 0] == pytest.approx([1, 2, 3, 4], abs=1e-3)


class TestDetector:
    def test_alarms_name_the_lines_and_templates(self, detector, sick):
        verdicts = list(detector.scored(sick))
        alarms = [verdict for verdict in verdicts if verdict.alarm]
        assert [(v.window.first, v.window.last) for v in alarms if v.causes[0].text.startswith("never seen")] == [(501, 520)]
        alarm = next(v for v in alarms if v.window.first == 501)
        assert alarm.causes[0].text == "never seen: 'ERROR store: disk sector <#> unreadable'"
        assert (alarm.causes[0].seen, alarm.causes[0].expected) == (3, 0)
        shown = [number for number, text in alarm.lines() if "unreadable" in text]
        assert shown == [511, 513]
        assert [number for number, _ in alarm.lines()] == sorted(number for number, _ in alarm.lines())
        assert sum(v.window.lines for v in verdicts) == 1000

    def test_few_healthy_windows_are_alarms(self, detector, tmp_path):
        log = write(tmp_path / "more.log", lines_of(20_000, 7, 5000))
        p_values = np.array([v.p_value for v in detector.scored(log)])
        assert (p_values <= 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 / len(p_values)) + 2 * np.sqrt(0.05 / 200)

    def test_an_unusual_order_of_usual_lines_is_strange(self):
        healthy = [["open", "read", "read", "close"], ["open", "read", "close"]] * 100
        fitted = LogDetector.fit_sequences(healthy)
        usual, turned = fitted.score_sequences([["open", "read", "read", "close"], ["close", "read", "read", "open"]], alpha=0.02)
        assert turned.alarm
        assert not usual.alarm
        assert any("followed by" in cause.text for cause in turned.causes)

    def test_scores_do_not_depend_on_other_windows(self, detector, sick, tmp_path):
        lines = sick.read_text().splitlines()
        alone = write(tmp_path / "alone.log", lines[500:520])
        together = {v.window.first: v.score for v in detector.scored(sick)}
        assert [v.score for v in detector.scored(alone)] == pytest.approx([together[501]], rel=1e-4)

    def test_saved_and_loaded_it_says_the_same(self, detector, sick, tmp_path):
        again = LogDetector.load(detector.save(tmp_path / "model"))
        assert [v.row() for v in again.scored(sick)] == [v.row() for v in detector.scored(sick)]
        assert again.fingerprint == detector.fingerprint

    def test_scoring_does_not_change_what_was_learned(self, detector, sick):
        before = detector.keys.miner.state()
        first = [v.score for v in detector.scored(sick)]
        assert [v.score for v in detector.scored(sick)] == first
        assert detector.keys.miner.state() == before

    def test_a_log_judged_by_itself(self, tmp_path):
        log = write(tmp_path / "own.log", lines_of(3000, strange=(1510, 1511)))
        fitted = LogDetector.fit(log, Plan.of("20"), polluted=True)
        verdicts = list(fitted.scored(log, own=True))
        strangest = max(verdicts, key=lambda v: v.score)
        assert (strangest.window.first, strangest.window.last) == (1501, 1520)
        assert strangest.p_value == 1 / len(verdicts)
        assert sum(v.p_value <= 0.1 for v in verdicts) <= 15

    def test_a_sample_of_the_windows_is_judged_like_all_of_them(self, tmp_path):
        log = write(tmp_path / "long.log", lines_of(6000))
        fitted = LogDetector.fit(log, Plan.of("20"), most=60)
        assert (fitted.facts["windows"], fitted.facts["training windows"]) == (300, 60)
        assert fitted.features.windows == 300
        p_values = [v.p_value for v in fitted.scored(write(tmp_path / "more.log", lines_of(4000, 3)))]
        assert np.mean(np.array(p_values) <= 0.1) < 0.2
        assert np.mean(p_values) == pytest.approx(0.5, abs=0.12)

    def test_a_giant_line_makes_no_giant_reason(self, detector, tmp_path):
        log = write(tmp_path / "giant.log", [*lines_of(19), "x" * 1_000_000, *lines_of(20)])
        first = next(iter(detector.scored(log)))
        assert first.alarm
        assert len(first.told()) < 4000

    def test_own_needs_a_polluted_fit(self, detector, sick):
        with pytest.raises(ConfigError, match="polluted"):
            list(detector.scored(sick, own=True))

    def test_gzip_and_several_logs_teach_the_same_as_one(self, tmp_path):
        lines = lines_of(1000)
        whole = LogDetector.fit(write(tmp_path / "a.log", lines), Plan.of("20"))
        first = tmp_path / "a.log.1.gz"
        first.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines[:333]).encode()))
        parts = LogDetector.fit([first, write(tmp_path / "rest.log", lines[333:])], Plan.of("20"))
        assert parts.fingerprint == whole.fingerprint

    @pytest.mark.parametrize("polluted", [False, True])
    def test_calibration_scores_belong_to_their_rows(self, polluted):
        rows = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
        rows[17] = 50.0
        scorer = Scorer.fit(rows, polluted=polluted)
        assert sorted(scorer.held) == list(range(100))
        assert scorer.held[scorer.calibration[0].argmax()] == 17

    def test_what_is_new_in_no_window_of_training_is_an_alarm_however_many_templates_there_are(self):
        rng = random.Random(0)
        usual = [f"t{i}" for i in range(120)]
        healthy = [rng.sample(usual, 30) for _ in range(300)]
        fitted = LogDetector.fit_sequences(healthy)
        keys = rng.sample(usual, 30)
        fine, strange = fitted.score_sequences([keys, [*keys[:15], "never", *keys[15:]]])
        assert strange.p_value == fitted.calibration.smallest
        assert fine.p_value > 0.01
        assert strange.causes[0].text == "never seen: 'never'"

    def test_too_few_windows_are_refused(self, tmp_path):
        with pytest.raises(DataError, match="only 2 whole windows of 100 lines"):
            LogDetector.fit(write(tmp_path / "short.log", lines_of(250)))
        with pytest.raises(DataError, match="only 0 whole windows"):
            LogDetector.fit(write(tmp_path / "empty.log", []))

    def test_lines_for_a_detector_of_sequences_are_refused(self, sick):
        with pytest.raises(ConfigError, match="sequences of keys"):
            list(LogDetector.fit_sequences([["a", "b"]] * 9).scored(sick))

    @pytest.mark.parametrize("entry", ["plan", "features", "miner", "form"])
    def test_broken_models_are_refused(self, detector, tmp_path, entry):
        path = detector.save(tmp_path / "model")
        config = json.loads((path / "config.json").read_text())
        config[entry] = {"kind": "none"}
        config["scorer"] = config["scorer"] if entry != "features" else {}
        (path / "config.json").write_text(json.dumps(config))
        with pytest.raises(ArtifactError):
            LogDetector.load(path)

    def test_research_sequences(self, real_data):
        with gzip.open(real_data / "logs" / "hdfs_key_sequences.jsonl.gz", "rt") as file:
            entries = [json.loads(line) for line in file]
        healthy, strange = ([e["keys"] for e in entries if e["anomaly"] == label] for label in (0, 1))
        fitted = LogDetector.fit_sequences(healthy[:1000])
        found = {
            name: np.array([v.p_value for v in fitted.score_sequences(part)])
            for name, part in (("h", healthy[1000:1800]), ("s", strange[::10]))
        }
        assert (found["h"] <= 0.01).mean() < 0.025
        assert (found["s"] <= 0.01).mean() > 0.95

    def test_memory_does_not_grow_with_the_log(self, detector, tmp_path, monkeypatch):
        monkeypatch.setattr("isthmus.data.logs.lines.BLOCK", 1 << 16)
        lines = lines_of(2000, 3)
        small, large = (write(tmp_path / f"{n}.log", lines * n) for n in (8, 32))

        def peak(path, lines):
            tracemalloc.start()
            try:
                assert sum(v.window.lines for v in detector.scored(path)) == lines
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        assert peak(large, 64_000) < 1.3 * peak(small, 16_000)


@pytest.mark.slow
def test_200_megabytes_in_bounded_memory(tmp_path):
    """Fit and score a log of 200 MB in processes of their own: the peak is within 100 MB of that for 2 MB."""
    import resource
    import subprocess
    import sys

    code = (
        "import sys, resource; from isthmus.tasks.logs import LogDetector; from isthmus.tasks.log_windows import Plan\n"
        "d = LogDetector.fit(sys.argv[1], Plan.of('100'), most=2000); n = sum(v.window.lines for v in d.scored(sys.argv[1]))\n"
        "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    lines = "".join(f"{line}\n" for line in lines_of(30_000))
    peaks = []
    for size in (2e6, 200e6):
        log = tmp_path / "big.log"
        with log.open("w") as file:
            for _ in range(int(size / len(lines)) + 1):
                file.write(lines)
        done = subprocess.run([sys.executable, "-c", code, str(log)], capture_output=True, text=True, check=True)
        count, peak = map(int, done.stdout.split())
        assert count == 30_000 * (int(size / len(lines)) + 1)
        peaks.append(peak * (1 if sys.platform == "darwin" else 1024))
    assert resource.getpagesize() > 0
    assert peaks[1] < peaks[0] + 100e6


class TestKeys:
    def test_templates_of_later_have_numbers_of_their_own(self):
        keys = Keys(Miner())
        keys.learn("disk ok now")
        assert keys.find("disk ok now") == (1, False)
        assert keys.find("panic") == (NOVEL + 1, False)
        assert keys.find("panic") == (NOVEL + 1, False)
        assert keys.find("disk ok later") == (1, True)

    def test_a_reservoir_is_a_fair_sample_and_knows_all_templates(self):
        counts = Counter()
        for seed in range(300):
            kept = Reservoir(5, seed)
            kept.add([Window(str(i), counts={i: 1}) for i in range(20)])
            assert (len(kept.windows), len(kept.support), kept.seen) == (5, 20, 20)
            counts.update(window.name for window in kept.windows)
        assert min(counts.values()) > 40
        assert max(counts.values()) < 115


class TestTables:
    @pytest.mark.parametrize("ending", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
    def test_all_formats_hold_the_same(self, detector, sick, tmp_path, ending):
        verdicts = list(detector.scored(sick))
        path = tmp_path / f"windows{ending}"
        with opened(path) as table:
            for verdict in verdicts:
                table.add(verdict)
        rows = self.read(path)
        assert [list(row) for row in rows] == [list(COLUMNS)] * len(verdicts)
        assert [float(row["score"]) for row in rows] == pytest.approx([v.score for v in verdicts])
        assert [str(row["alarm"]) for row in rows] == [str(v.alarm) for v in verdicts]
        assert any("unreadable" in row["shown_lines"] for row in rows)

    def read(self, path):
        if path.suffix == ".parquet":
            import pyarrow.parquet as parquet

            return parquet.read_table(path).to_pylist()
        text = path.read_text()
        if path.suffix in (".csv", ".tsv"):
            return list(csv.DictReader(text.splitlines(keepends=True), delimiter="," if path.suffix == ".csv" else "\t"))
        return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]

    @pytest.mark.parametrize("name, text", [("a.csv", "row,score\n1,2\n"), ("a.tsv", ",".join(COLUMNS)), ("a.jsonl", "[1]\n")])
    def test_a_file_with_something_else_is_not_gone_on_with(self, tmp_path, name, text):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(DataError, match="something else"), appended(path):
            pass
        assert path.read_text() == text

    @pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
    def test_what_was_appended_is_gone_on_with(self, tmp_path, detector, sick, name):
        verdicts = list(detector.scored(sick))
        for part in (verdicts[:3], verdicts[3:]):
            with appended(tmp_path / name) as table:
                for verdict in part:
                    table.add(verdict)
        with opened(tmp_path / f"whole{(tmp_path / name).suffix}") as table:
            for verdict in verdicts:
                table.add(verdict)
        assert (tmp_path / name).read_text() == (tmp_path / f"whole{(tmp_path / name).suffix}").read_text()

    def test_what_a_terminal_would_obey_is_escaped(self):
        window = Window("w", 1, 1)
        window.add(1, 1, text="\x1b[2Jgone\ttab ä")
        told = Verdict(window, 1.0, 0.01, True, (Cause("\x1b[31m", 1, 0, 1.0, (1,)),)).told()
        assert "\x1b" not in told
        assert "\\x1b[2Jgone    tab ä" in told

    def test_an_empty_json_table_is_json(self, tmp_path):
        with opened(tmp_path / "none.json"):
            pass
        assert json.loads((tmp_path / "none.json").read_text()) == []

    def test_pages_escape_what_logs_say(self, tmp_path):
        log = write(tmp_path / "x.log", ["<script>alert(1)</script> happened"] * 40)
        verdict = LogDetector.fit_sequences([["a", "b"]] * 200).score_sequences([["<script>", "b"]], alpha=0.5)[0]
        page = report(log.name, ["<b>"], [verdict], page=True)
        assert verdict.alarm
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert 'name="viewport"' in page, "read on a phone"
        assert "color-scheme:light dark" in page


class TestFollowing:
    def run(self, detector, log, state):
        return [(v.window.first, v.window.last) for v in follow(detector, log, state, idle=0.0)]

    def test_it_goes_on_where_it_stopped(self, detector, tmp_path):
        lines, log, state = lines_of(200, 5), tmp_path / "app.log", tmp_path / "state.json"
        write(log, lines[:50])
        assert self.run(detector, log, state) == [(1, 20), (21, 40)]
        assert self.run(detector, log, state) == []
        with log.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines[50:75]) + lines[75][:9])
        assert self.run(detector, log, state) == [(41, 60)]
        with log.open("a") as file:
            file.write(lines[75][9:] + "\n" + "".join(f"{line}\n" for line in lines[76:100]))
        assert self.run(detector, log, state) == [(61, 80), (81, 100)]

    def test_pieces_give_the_same_scores_as_the_whole(self, detector, sick, tmp_path):
        lines, log, state = sick.read_text().splitlines(), tmp_path / "app.log", tmp_path / "state.json"
        found = []
        for start in range(0, 1000, 130):
            with log.open("a") as file:
                file.write("".join(f"{line}\n" for line in lines[start : start + 130]))
            found += [(v.window.first, v.score) for v in follow(detector, log, state, idle=0.0)]
        whole = list(detector.scored(sick))
        assert [first for first, _ in found] == [v.window.first for v in whole]
        assert [score for _, score in found] == pytest.approx([v.score for v in whole], rel=1e-4)

    def test_a_rotated_log_is_read_to_its_end_first(self, detector, tmp_path):
        lines, log, state = lines_of(200, 5), tmp_path / "app.log", tmp_path / "state.json"
        write(log, lines[:50])
        self.run(detector, log, state)
        with log.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines[50:70]))
        log.replace(tmp_path / "app.log.1")
        write(log, lines[70:100])
        assert self.run(detector, log, state) == [(41, 60), (61, 80), (81, 100)]
        assert Follower(detector, log, state).watch.tally.lines == 100

    def test_two_rotations_between_two_looks_lose_nothing(self, detector, tmp_path):
        lines, log, state = lines_of(200, 5), tmp_path / "app.log", tmp_path / "state.json"
        write(log, lines[:50])
        self.run(detector, log, state)
        with log.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines[50:70]))
        log.replace(tmp_path / "app.log.2")
        write(log, lines[70:90]).replace(tmp_path / "app.log.1")
        write(log, lines[90:120])
        write(tmp_path / "app.log.bak", ["what is not a rotated log"])
        for age, name in ((30, "app.log.2"), (20, "app.log.1")):
            moment = log.stat().st_mtime - age
            os.utime(tmp_path / name, (moment, moment))
        assert self.run(detector, log, state) == [(41, 60), (61, 80), (81, 100), (101, 120)]
        assert Follower(detector, log, state).watch.tally.lines == 120

    @pytest.mark.parametrize("packed", [False, True])
    def test_a_rotated_copy_is_known_by_what_it_begins_with(self, detector, tmp_path, packed):
        lines, log, state = lines_of(200, 5), tmp_path / "app.log", tmp_path / "state.json"
        write(log, lines[:50])
        self.run(detector, log, state)
        text = "".join(f"{line}\n" for line in lines[:70]).encode()
        (tmp_path / f"app.log-20240501{'.gz' * packed}").write_bytes(gzip.compress(text) if packed else text)
        write(log, lines[70:100])  # in its old place: copied, then cut short
        assert self.run(detector, log, state) == [(41, 60), (61, 80), (81, 100)]
        follower = Follower(detector, log, state)
        assert follower.watch.tally.lines == 100
        assert len(follower.watch.tally.notes) == 1

    def test_a_run_that_is_killed_leaves_no_window_out(self, detector, tmp_path, monkeypatch):
        monkeypatch.setattr("isthmus.data.logs.lines.BLOCK", 1 << 12)
        monkeypatch.setattr("isthmus.tasks.log_follow.SAVED", 0.0)
        lines, log, state = lines_of(1000, 5), tmp_path / "app.log", tmp_path / "state.json"
        write(log, lines)
        found = []
        for _ in range(3):
            run = follow(detector, log, state, idle=0.0)
            found += [next(run).window.first for _ in range(9)]
            run.close()  # what comes behind a kill: nothing
        found += [first for first, _ in self.run(detector, log, state)]
        assert sorted(set(found)) == list(range(1, 1000, 20))
        assert len(found) < 50 + 3 * 9  # it did not begin from the start each time

    def test_a_rotated_log_that_is_gone_is_told(self, detector, tmp_path):
        lines, log, state = lines_of(200, 5), tmp_path / "app.log", tmp_path / "state.json"
        write(log, lines[:50])
        self.run(detector, log, state)
        write(tmp_path / "other.log", lines[50:100])
        (tmp_path / "other.log").replace(log)
        self.run(detector, log, state)
        assert any("was rotated" in note for note in Follower(detector, log, state).watch.tally.notes)

    def test_a_truncated_log_begins_anew(self, detector, tmp_path):
        lines, log, state = lines_of(200, 5), tmp_path / "app.log", tmp_path / "state.json"
        write(log, lines[:60])
        self.run(detector, log, state)
        inode = log.stat().st_ino
        write(log, lines[60:90])
        assert log.stat().st_ino == inode
        assert self.run(detector, log, state) == [(61, 80)]
        assert any("cut short" in note for note in Follower(detector, log, state).watch.tally.notes)

    def test_new_templates_keep_their_numbers(self, detector, tmp_path):
        log, state = tmp_path / "app.log", tmp_path / "state.json"
        write(log, ["2024-05-01 00:00:00 FATAL store: all is lost"])
        self.run(detector, log, state)
        follower = Follower(detector, log, state)
        assert [t.text for t in follower.watch.keys.novel.templates.values()][1:] == ["FATAL store: all is lost"]

    def test_state_of_another_detector_or_log_is_refused(self, detector, tmp_path):
        log, state = write(tmp_path / "app.log", lines_of(30)), tmp_path / "state.json"
        self.run(detector, log, state)
        with pytest.raises(ArtifactError, match="belongs to the log"):
            Follower(detector, write(tmp_path / "b.log", ["x"]), state)
        other = LogDetector.fit(write(tmp_path / "c.log", lines_of(3000, 9)), Plan.of("20"))
        with pytest.raises(ArtifactError, match="another detector"):
            Follower(other, log, state)
        state.write_text("{")
        with pytest.raises(ArtifactError, match="not readable"):
            Follower(detector, log, state)

    def test_what_cannot_be_followed_is_refused(self, detector, tmp_path):
        with pytest.raises(DataError, match="not there"):
            self.run(detector, tmp_path / "none.log", tmp_path / "state.json")
        packed = tmp_path / "a.log.gz"
        packed.write_bytes(gzip.compress(b"x\n"))
        with pytest.raises(DataError, match="gzip"):
            self.run(detector, packed, tmp_path / "state.json")
        with pytest.raises(ConfigError, match="negative"):
            next(follow(detector, packed, tmp_path / "s.json", idle=-1.0))
