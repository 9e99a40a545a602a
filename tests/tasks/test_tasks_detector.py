"""Detectors: rates that hold, reasons that name the column, mixed tables, streams, folders, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from isthmus.data import Schema, Source, from_any, open_dataset
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.tasks.alarm_table import Lines, alarm_table
from isthmus.tasks.detect import detect
from isthmus.tasks.detector import Detector, Scores, sample
from isthmus.tasks.layout import Layout, Seen
from isthmus.tasks.own_rows import hashed
from isthmus.tasks.reasons import nearest
from isthmus.tasks.values import told, values_of


def numbers(rows: int, seed: int, columns: int = 6) -> np.ndarray:
    """Correlated columns: the last is the sum of the others, and a little noise."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(rows, columns)) * np.arange(1, columns + 1) + 10
    found[:, -1] = found[:, :-1].sum(1) + 0.1 * rng.normal(size=rows)
    return found


def trips(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    kind = rng.choice(["car", "bike", "train"], rows, p=[0.6, 0.3, 0.1])
    frame = pd.DataFrame(
        {
            "kind": kind,
            "km": np.where(kind == "bike", rng.gamma(2, 3, rows), rng.gamma(3, 30, rows)),
            "stops": rng.poisson(3, rows),
            "paid": rng.random(rows) < 0.9,
            "when": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 86400 * 300, rows), unit="s"),
            "site": "A",
        }
    )
    frame["price"] = frame.km * np.where(kind == "train", 0.1, 0.5) + rng.normal(0, 1, rows)
    frame.loc[rng.random(rows) < 0.1, "price"] = np.nan
    return frame


@pytest.fixture(scope="module")
def plain() -> Detector:
    return Detector.fit(from_any(pd.DataFrame(numbers(400, 0), columns=list("abcdef"))))


@pytest.fixture(scope="module")
def mixed() -> Detector:
    return Detector.fit(from_any(trips(800, 0)))


def frame(rows: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame(numbers(rows, seed), columns=list("abcdef"))


# --- scores and alarms --------------------------------------------------------------------------------------------------


def test_scores_are_the_same_each_time_and_whatever_stands_beside(plain):
    source = from_any(frame(300, 1))
    found = plain.score(source)
    np.testing.assert_array_equal(found.scores, plain.score(source).scores)
    part = plain.score(source.take([7, 3]))
    np.testing.assert_allclose(part.scores, found.scores[[7, 3]], rtol=1e-3)
    assert len(found) == 300


def test_scores_are_the_scorers_own(plain):
    source = from_any(frame(50, 1))
    seen = plain.see(source)
    np.testing.assert_allclose(plain.score(source).scores, plain.scorer.score(seen.rows, seen.present), rtol=1e-6)


def test_like_rows_are_seldom_alarms_and_a_broken_one_always(plain):
    rates = [plain.alarms(from_any(frame(500, seed)), alpha=0.05).mean() for seed in range(1, 5)]
    assert 0.01 < np.mean(rates) < 0.1
    broken = frame(3, 9)
    broken.loc[1, "f"] += 60
    assert plain.alarms(from_any(broken)).tolist() == [False, True, False]


def test_two_fits_with_one_seed_are_one(plain):
    again = Detector.fit(from_any(pd.DataFrame(numbers(400, 0), columns=list("abcdef"))))
    source = from_any(frame(20, 1))
    np.testing.assert_array_equal(plain.p_values(source), again.p_values(source))


def test_alarms_by_alpha_and_by_false_discovery_rate():
    scores = Scores(np.arange(4.0), np.array([0.9, 0.04, 0.02, 0.005]))
    assert scores.alarms().tolist() == [False, False, False, True]
    assert scores.alarms(alpha=0.05).tolist() == [False, True, True, True]
    assert scores.alarms(fdr=0.03).tolist() == [False, False, False, True]
    with pytest.raises(ConfigError, match="not both"):
        scores.alarms(alpha=0.1, fdr=0.1)
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        scores.alarms(alpha=0.0)


def test_no_rows_have_no_scores(plain):
    assert len(plain.score(from_any(frame(5, 1)).take(slice(0, 0)))) == 0


def test_a_known_contamination_leaves_the_strangest_rows_out_of_the_calibration():
    rows = numbers(300, 0)
    rows[:30] += 40 * np.random.default_rng(1).normal(size=(30, 6))
    fitted = [Detector.fit(from_any(rows), polluted=True, contamination=share) for share in (None, 0.1)]
    assert [detector.calibration.rows for detector in fitted] == [300, 270]
    strange = from_any(rows[:30])
    assert fitted[1].p_values(strange).max() <= 0.05
    assert np.median(fitted[0].p_values(strange)) > np.median(fitted[1].p_values(strange))


def test_rows_fitted_on_are_scored_by_models_that_have_not_seen_them(plain):
    training = from_any(pd.DataFrame(numbers(400, 0), columns=list("abcdef")))
    own, plainly = plain.own_scores(training), plain.score(training).scores
    known = np.sort(np.concatenate(plain.calibration.folds))
    np.testing.assert_allclose(np.sort(own), known, rtol=0.05, atol=0.2)
    assert np.median(own) > np.median(plainly)
    fresh = from_any(frame(50, 1))
    np.testing.assert_array_equal(plain.own_scores(fresh), plain.score(fresh).scores)


def test_equal_rows_have_one_hash_and_others_do_not():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, (3000, 6)).astype(np.float32)
    present = rng.random((3000, 6)) < 0.9
    for seen, plain in ((Seen(rows), rows), (Seen(rows, present), np.concatenate([rows, present], axis=1))):
        keys = hashed(seen)
        assert len(np.unique(keys)) == len(np.unique(plain, axis=0))
        np.testing.assert_array_equal(hashed(seen.take(slice(5, 9))), keys[5:9])
    assert hashed(Seen(np.zeros((1, 2), np.float32)))[0] == hashed(Seen(-np.zeros((1, 2), np.float32)))[0]


# --- reasons ------------------------------------------------------------------------------------------------------------


def test_reasons_name_the_column_and_what_was_expected(plain):
    broken = frame(20, 3)
    usual = broken.loc[4, "f"]
    broken.loc[4, "f"] += 40
    found = plain.reasons(from_any(broken), [4])[0]
    cause = found.causes[0]
    assert found.row == 4
    assert cause.column == "f"
    assert cause.observed == broken.loc[4, "f"]
    assert abs(cause.expected - usual) < abs(cause.observed - usual)
    assert 0 < cause.share <= 1
    assert str(found).startswith("f: ")


def test_the_nearest_row_is_one_of_those_fitted_on(plain):
    training = numbers(400, 0)
    found = plain.reasons(from_any(frame(5, 3)))
    for reasons in found:
        assert np.any(np.all(np.isclose(training, list(reasons.nearest.values())), axis=1))
    own = plain.reasons(from_any(pd.DataFrame(plain.references[:2], columns=list("abcdef"))))
    assert own[0].distance < 0.01


def test_nearest_is_its_definition():
    rng = np.random.default_rng(0)
    rows, known = (Seen(rng.normal(size=(n, 4)).astype(np.float32), rng.random((n, 4)) < 0.7) for n in (6, 9))
    places, distances = nearest(rows, known)
    for i in range(6):
        here = rows.present[i]
        found = []
        for j in range(9):
            gap = (rows.rows[i] - np.where(known.present[j], known.rows[j], 0)) ** 2 + ~known.present[j]
            found.append(np.sqrt(gap[here].sum() / max(1, here.sum())))
        assert places[i] == np.argmin(found)
        assert distances[i] == pytest.approx(min(found), abs=1e-3)


def test_rows_out_of_reach_are_refused(plain):
    with pytest.raises(ConfigError, match="rows must lie within"):
        plain.reasons(from_any(frame(5, 1)), [5])
    with pytest.raises(ConfigError, match="top must be"):
        plain.reasons(from_any(frame(5, 1)), [0], top=0)


# --- mixed tables -------------------------------------------------------------------------------------------------------


def test_mixed_columns_in_their_own_terms(mixed):
    new = trips(60, 5)
    new.loc[3, "km"] = 9000
    new.loc[5, "kind"] = "rocket"
    new.loc[9, "stops"] = 80
    source = from_any(new)
    assert (mixed.p_values(source)[[3, 5, 9]] < 0.05).all()
    far, unknown, many = mixed.reasons(source, [3, 5, 9])
    assert (far.causes[0].column, far.causes[0].observed) == ("km", 9000)
    assert (unknown.causes[0].column, unknown.causes[0].observed) == ("kind", "rocket")
    assert unknown.causes[0].expected in ("car", "bike", "train")
    assert many.causes[0].column == "stops"
    assert "left out as constant: 'site'" in mixed.facts["notes"]
    assert set(far.nearest) == {"kind", "km", "stops", "paid", "when", "price"}


def test_rates_of_mixed_columns_hold(mixed):
    rates = [mixed.alarms(from_any(trips(400, seed)), alpha=0.05).mean() for seed in range(1, 5)]
    assert 0.01 < np.mean(rates) < 0.1


def test_a_missing_value_adds_nothing_unless_it_tells_something():
    healthy = trips(500, 0)
    healthy["price"] = healthy["price"].fillna(20.0)
    healthy.loc[0, "price"] = None
    gap = trips(40, 1)
    gap["price"] = gap["price"].fillna(20.0)
    empty = gap.copy()
    empty["price"] = np.nan
    silent, telling = (Detector.fit(from_any(healthy), missingness=flag) for flag in (False, True))
    assert np.median(silent.p_values(from_any(empty))) > 0.2
    assert np.median(telling.p_values(from_any(empty))) < 0.05
    assert {reasons.causes[0].column for reasons in telling.reasons(from_any(empty))} == {"price"}
    assert all("price" not in [c.column for c in reasons.causes] for reasons in silent.reasons(from_any(empty)))


def test_a_table_of_numbers_takes_gaps_when_it_is_used(plain):
    new = frame(30, 2)
    new.loc[::2, "a"] = np.nan
    assert np.isfinite(plain.score(from_any(new)).scores).all()
    assert (plain.p_values(from_any(new)) > 0.01).mean() > 0.7


def test_a_schema_decides():
    source = from_any(frame(60, 0).round())
    detector = Detector.fit(source, schema=Schema.infer(source, {"a": "category", "b": "identifier"}))
    assert detector.columns == ("a", "c", "d", "e", "f")


# --- other columns, other data ------------------------------------------------------------------------------------------


def test_columns_are_found_by_name(plain):
    new = frame(20, 1)
    turned = from_any(new[list("fcbade")].assign(more=1.0))
    np.testing.assert_allclose(plain.score(turned).scores, plain.score(from_any(new)).scores, rtol=1e-4)


def test_missing_columns_are_named(plain, mixed):
    with pytest.raises(DataError, match="'c'"):
        plain.score(from_any(frame(5, 1).drop(columns="c")))
    with pytest.raises(DataError, match="'stops'"):
        mixed.score(from_any(trips(5, 1).drop(columns="stops")))


def test_text_where_numbers_were_is_refused(plain):
    with pytest.raises(DataError, match="'b' holds text"):
        plain.score(from_any(frame(5, 1).assign(b="much")))


def test_infinity_is_refused(plain):
    rows = numbers(5, 1)
    rows[2, 1] = np.inf
    with pytest.raises(DataError, match="infinity"):
        plain.score(Source("table", rows, tuple("abcdef")))


def test_a_value_beyond_float32_is_refused(plain):
    rows = numbers(5, 1)
    rows[2, 1] = 1e300
    with pytest.raises(DataError, match="32-bit"):
        plain.score(from_any(pd.DataFrame(rows, columns=list("abcdef"))))


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_too_few_rows_are_refused(rows):
    with pytest.raises(DataError, match="at least 5 healthy rows"):
        Detector.fit(from_any(numbers(rows, 0)))


def test_five_rows_and_one_column_do():
    detector = Detector.fit(from_any(np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])))
    found = detector.score(from_any(np.array([[3.0], [99.0]])))
    assert found.scores[1] > found.scores[0]
    assert found.p_values[1] == detector.calibration.smallest == 1 / 6
    assert not detector.alarms(from_any(np.array([[99.0]]))).any(), "five rows are too few for an alarm at 0.01"


def test_a_constant_column_is_no_trouble_and_a_change_of_it_is_strange():
    rows = np.column_stack([numbers(200, 0), np.full(200, 7.0)])
    detector = Detector.fit(from_any(rows))
    new = rows[:3].copy()
    new[1, -1] = 8.0
    found = detector.score(from_any(new))
    assert np.isfinite(found.scores).all()
    assert found.scores[1] > found.scores[[0, 2]].max()
    assert detector.reasons(from_any(new), [1])[0].causes[0].column == "c6"


def test_nothing_but_constants_is_refused():
    with pytest.raises(DataError):
        Detector.fit(from_any(np.ones((50, 3))))


def test_all_missing_is_refused():
    with pytest.raises(DataError):
        Detector.fit(from_any(np.full((50, 3), np.nan)))


def test_pictures_are_refused():
    with pytest.raises(DataError, match="anomalies are sought in tables"):
        Detector.fit(from_any(np.random.default_rng(0).random((20, 8, 8))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.0}, "alpha must lie"),
        ({"contamination": 0.1}, "polluted=True"),
        ({"polluted": True, "contamination": 0.7}, "below 0.5"),
        ({"most": 2}, "most must be at least"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Detector.fit(from_any(numbers(50, 0)), **options)


# --- folders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["plain", "mixed"])
def test_a_folder_keeps_everything(which, tmp_path, request):
    detector = request.getfixturevalue(which)
    source = from_any(frame(40, 1) if which == "plain" else trips(40, 1))
    detector.save(tmp_path / "model")
    again = Detector.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score(source).scores, detector.score(source).scores)
    np.testing.assert_array_equal(again.p_values(source), detector.p_values(source))
    assert list(map(str, again.reasons(source))) == list(map(str, detector.reasons(source)))
    assert again.alpha == detector.alpha
    assert again.facts == json.loads(json.dumps(detector.facts))
    assert again.training is None
    assert not list(tmp_path.rglob("*.pkl"))


def test_a_folder_of_something_else_is_refused(plain, tmp_path, cancer):
    from isthmus import LinearAutoencoder

    LinearAutoencoder(2).fit(cancer).save(tmp_path / "autoencoder")
    with pytest.raises(ArtifactError, match="isthmus detect"):
        Detector.load(tmp_path / "autoencoder")
    with pytest.raises(ArtifactError, match="no saved model"):
        Detector.load(tmp_path / "nothing")
    with pytest.raises(ArtifactError, match="no saved model"):
        plain.save(tmp_path / "autoencoder")


@pytest.mark.parametrize("entry", ["layout", "scorer", "facts", "alpha"])
@pytest.mark.parametrize("value", [None, ["x"], 7, "x"])
def test_a_hostile_config_is_refused(plain, tmp_path, entry, value):
    folder = plain.save(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {entry: value}))
    with pytest.raises(ArtifactError, match=r"config\.json"):
        Detector.load(folder)


def test_cut_off_arrays_are_refused(plain, tmp_path):
    folder = plain.save(tmp_path / "model")
    other = shutil.copytree(folder, tmp_path / "other")
    for name in ("model.safetensors", "preprocessor.safetensors"):
        data = (folder / name).read_bytes()
        (other / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(ArtifactError, match="cut off"):
            Detector.load(other)
        (other / name).write_bytes(data)
    Detector.load(other)


# --- data larger than memory --------------------------------------------------------------------------------------------


def test_a_dataset_gives_what_memory_gives(plain, tmp_path):
    new = frame(40_000, 1)
    new.to_parquet(tmp_path / "new.parquet", row_group_size=7_000)
    data = open_dataset(tmp_path / "new.parquet")
    done: list[int] = []
    found = plain.score(data, done.append)
    np.testing.assert_allclose(found.scores, plain.score(from_any(new)).scores, rtol=1e-3)
    assert done[-1] == 40_000
    rows = [39_999, 5, 5, 20_000]
    assert list(map(str, plain.reasons(data, rows))) == list(map(str, plain.reasons(from_any(new), rows)))


def test_a_dataset_with_gaps_is_scored(plain, tmp_path):
    new = frame(40_000, 1)
    new.loc[30_000, "c"] = None
    new.to_parquet(tmp_path / "new.parquet", row_group_size=7_000)
    found = plain.score(open_dataset(tmp_path / "new.parquet"))
    assert len(found) == 40_000
    assert np.isfinite(found.scores).all()


def test_of_many_rows_a_sample_is_learned(tmp_path):
    rows = frame(5_000, 0)
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=1_000)
    data = open_dataset(tmp_path / "rows.parquet")
    taken = [sample(data, 500, seed) for seed in (0, 0, 1)]
    assert len(taken[0]) == 500
    np.testing.assert_array_equal(taken[0].array, taken[1].array)
    assert not np.array_equal(taken[0].array, taken[2].array)
    detector = Detector.fit(data, most=500)
    assert (detector.facts["rows"], detector.facts["training rows"]) == (5_000, 500)
    assert "learned from a random sample of 500 of the 5,000 rows" in detector.facts["notes"]


# --- the table of alarms ------------------------------------------------------------------------------------------------


@pytest.fixture
def broken() -> pd.DataFrame:
    new = frame(300, 1)
    new.loc[[10, 200], "f"] += 60
    return new


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_every_row_is_written_with_its_reasons(plain, broken, tmp_path, ending):
    path = tmp_path / f"alarms.{ending}"
    found = detect(plain, from_any(broken), alpha=0.01, out=path)
    table = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path, sep="\t" if ending == "tsv" else ",", keep_default_na=False)
    scores = plain.score(from_any(broken))
    assert list(table.columns) == ["row", "score", "p_value", "alarm", "reasons"]
    np.testing.assert_allclose(table.score, scores.scores, rtol=1e-8)
    np.testing.assert_array_equal(table.alarm.astype(bool), scores.p_values <= 0.01)
    assert table.reasons[10].startswith("f: ")
    assert all((reason != "") == alarm for reason, alarm in zip(table.reasons, table.alarm.astype(bool)))
    assert (found.rows, found.alarms) == (300, table.alarm.sum())
    assert found.expected == 3.0
    assert {found.top[0].row, found.top[1].row} == {10, 200}
    assert found.causes["f"] >= 2
    assert found.counts.sum() == found.p_counts.sum() == 300
    assert found.healthy.sum() == plain.calibration.rows


def test_names_of_rows_and_only_alarms(plain, broken, tmp_path):
    source = from_any(broken)
    source.ids = tuple(f'row "{i}", of many' for i in range(300))
    found = detect(plain, source, out=tmp_path / "alarms.csv", ids="name", only_alarms=True)
    table = pd.read_csv(tmp_path / "alarms.csv")
    assert table.columns[0] == "name"
    assert len(table) == found.alarms
    assert 'row "10", of many' in set(table.name)
    assert found.top[0].name in set(table.name)


def test_a_false_discovery_rate_takes_all_rows_together(plain, tmp_path):
    new = frame(20, 1)
    new.loc[:9, "f"] += 60
    found = detect(plain, from_any(new), fdr=0.1, out=tmp_path / "alarms.csv")
    expected = plain.score(from_any(new)).alarms(fdr=0.1)
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "alarms.csv").alarm.astype(bool), expected)
    assert found.alarms >= 10
    assert found.expected == pytest.approx(0.1 * found.alarms)
    assert "false discovery rate" in found.level


def test_too_few_calibration_rows_are_told():
    detector = Detector.fit(from_any(numbers(30, 0)))
    found = detect(detector, from_any(numbers(10, 1)), alpha=0.01)
    assert found.alarms == 0
    assert "99 healthy rows" in found.notes[0]


def test_a_drifting_stream_keeps_its_share_of_alarms(plain):
    new = frame(6_000, 1) + np.linspace(0, 12, 6_000)[:, None] * np.array([1, 1, 1, 1, 1, 5])
    plainly = detect(plain, from_any(new), alpha=0.02)
    followed = detect(plain, from_any(new), alpha=0.02, drifting=True)
    assert plainly.alarms / 6_000 > 0.1
    assert abs(followed.alarms / 6_000 - 0.02) < (0.98 + 0.005) / (0.005 * 6_000)


def test_arguments_that_do_not_go_together(plain, broken, tmp_path):
    for options in ({"alpha": 0.1, "fdr": 0.1}, {"fdr": 0.1, "drifting": True}):
        with pytest.raises(ConfigError, match="alpha"):
            detect(plain, from_any(broken), **options)
    with pytest.raises(DataError, match=r"\.csv, \.tsv, \.parquet"):
        detect(plain, from_any(broken), out=tmp_path / "alarms.txt")


def test_a_table_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "alarms.csv"
    path.write_text("old")
    line = Lines(np.array([0]), np.array([1.0]), np.array([0.5]), np.array([False]), [""])

    def fail() -> None:
        with alarm_table(path) as table:
            table.add(line)
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["alarms.csv"]


# --- small parts --------------------------------------------------------------------------------------------------------


def test_layout_there_and_back(mixed):
    source = from_any(trips(100, 2))
    matrix = mixed.layout.matrix(source)
    seen = mixed.layout.see(matrix)
    back = mixed.layout.restore(seen.rows)
    there = ~np.isnan(matrix)
    there[:, mixed.layout.dates] = False  # only their cycles are seen
    np.testing.assert_allclose(back[there], matrix[there], rtol=1e-3, atol=1e-3)
    assert seen.present is not None
    assert (~seen.present).sum() == np.isnan(matrix).sum()


def test_a_later_date_is_not_strange_for_being_later():
    def measured(start, seed):
        rng = np.random.default_rng(seed)
        times = pd.date_range(start, periods=400, freq="53min")
        return from_any(pd.DataFrame({"time": times, "load": 10 + 5 * np.sin(times.hour / 24 * 2 * np.pi) + rng.normal(size=400)}))

    detector = Detector.fit(measured("2024-01-01", 0))
    assert any("'time' only what comes again" in note for note in detector.facts["notes"])
    later = detector.score(measured("2024-06-03", 1))
    assert (later.p_values <= 0.05).mean() < 0.12
    night = from_any(pd.DataFrame({"time": pd.to_datetime(["2024-06-04 18:00"]), "load": [15.0]}))
    assert detector.score(night).p_values[0] < 0.05  # the day's shape is still known


def test_what_lies_far_out_stays_far_out_beside_other_kinds_of_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"town": rng.choice(["Ulm", "Bonn"], 600), "a": rng.normal(size=600), "b": rng.normal(size=600)})
    frame.loc[7, "a"] = 1e4  # makes the column's tails heavy
    assert Schema.infer(from_any(frame)).types[1].kind == "heavy"
    found = Detector.fit(from_any(frame), polluted=True).score(from_any(frame))
    assert found.scores.argmax() == 7


def test_layout_sums_by_column(mixed):
    values = np.random.default_rng(0).random((4, len(mixed.layout.owner)))
    found = mixed.layout.by_column(values)
    assert found.shape == (4, len(mixed.columns))
    np.testing.assert_allclose(found.sum(1), values.sum(1))
    place = mixed.columns.index("kind")
    np.testing.assert_allclose(found[:, place], values[:, mixed.layout.owner == place].sum(1))


def test_layout_of_another_schema_is_refused(plain, mixed):
    entry, arrays = plain.layout.state()
    other, _ = mixed.layout.state()
    with pytest.raises(ConfigError):
        Layout.from_state(entry | {"schema": other["schema"]}, arrays)


def test_values_are_plain(mixed):
    source = from_any(trips(20, 2).assign(kind="rocket"))
    found = values_of(mixed.layout.schema, mixed.layout.matrix(source), source)
    assert set(found["kind"]) == {"rocket"}
    assert any(value is None for value in found["price"])
    assert all(type(value) is int for value in found["stops"])
    assert set(map(type, found["paid"])) == {bool}


def test_values_are_told_shortly():
    assert told(0.1 + 0.2) == "0.3"
    assert told(float("inf")) == "inf"
    assert told("x" * 100).endswith("...")
    assert told(pd.Timestamp("2025-01-02 03:04").to_pydatetime()) == "2025-01-02 03:04"
    assert told(pd.Timestamp("2025-01-02").date()) == "2025-01-02"
