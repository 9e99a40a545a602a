"""Fits and uses of data that are read as they are needed: the same results as from memory, in bounded memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest
import torch

import isthmus
from isthmus.artifact import Artifact
from isthmus.data import Source, read
from isthmus.data.dataset import open_dataset
from isthmus.errors import ConfigError, DataError
from isthmus.fields import Field
from isthmus.tasks import codes, memory, opening, output, streamed, survey
from isthmus.tasks import measured as measuring
from isthmus.tasks.choices import choose
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit, hold_out, others, usual_share
from isthmus.tasks.measured import measured
from isthmus.tasks.opening import gathered, open_data, open_for
from isthmus.tasks.reading import digest
from isthmus.tasks.sample import interpolate

NAMES = [f"x{i}" for i in range(30)]
MAKERS = {"codes": codes.encode, "reconstructions": codes.reconstruct, "scores": codes.scores}


@pytest.fixture(scope="module")
def files(tmp_path_factory, cancer) -> Path:
    """The breast cancer table as a folder of four Parquet files with an id column, and as one file."""
    folder = tmp_path_factory.mktemp("streamed")
    frame = pd.DataFrame(cancer.astype(np.float32), columns=NAMES)
    frame.insert(0, "patient", np.arange(len(frame)) * 7 + 1_000_000)
    (folder / "parts").mkdir()
    for i, piece in enumerate(np.array_split(np.arange(len(frame)), 4)):
        frame.iloc[piece].to_parquet(folder / "parts" / f"{i}.parquet", index=False, row_group_size=50)
    frame.to_parquet(folder / "whole.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def dataset(files):
    return open_dataset(files / "parts", ids="patient")


@pytest.fixture(scope="module")
def source(files) -> Source:
    return read(files / "whole.parquet", drop="patient")


@pytest.fixture(scope="module")
def model(source) -> Artifact:
    return fit(source, Config(family="variational", latent=3, steps=60))


def test_it_is_as_good_as_from_memory(dataset, source) -> None:
    config = Config(latent=6, steps=800, evaluate_every=100)
    shares = {name: fit(data, config).facts["figures"]["share of variance explained"] for name, data in (("s", dataset), ("m", source))}
    assert shares["m"] > 0.85
    assert abs(shares["s"] - shares["m"]) < 0.02


def test_all_but_the_order_is_settled_as_in_memory(dataset, source) -> None:
    plans = []
    first, second = (fit(data, Config(steps=5), told=plans.append) for data in (dataset, source))
    assert plans[0].choices == plans[1].choices
    assert np.array_equal(plans[0].held_out, plans[1].held_out)
    assert len(np.intersect1d(plans[0].training, plans[0].held_out)) == 0
    for name, values in first.preprocessor.state()[1].items():
        assert np.allclose(values, second.preprocessor.state()[1][name], rtol=1e-9)
    same = ("rows", "digest", "training rows", "held-out rows", "training")
    assert {name: first.facts[name] for name in same} == {name: second.facts[name] for name in same}
    assert first.facts["digest"] == digest(source)
    assert any("the rows are streamed" in note and "57 random rows are held out" in note for note in first.facts["notes"])


@pytest.mark.parametrize("family", ["linear", "sparse", "denoising", "variational"])
def test_every_family_makes_an_artifact_that_can_be_saved(dataset, source, tmp_path, family) -> None:
    fitted = fit(dataset, Config(family=family, **({} if family == "linear" else {"steps": 30})))
    fitted.save(tmp_path / "model")
    loaded = Artifact.load(tmp_path / "model")
    assert np.array_equal(codes.encode(loaded, source), codes.encode(fitted, source))
    assert set(loaded.facts["figures"]) == {
        "mean squared error (scaled units)",
        "share of variance explained",
        "log likelihood, nats per row",
    }


def test_the_closed_form_takes_one_pass_and_is_exact(files, source, monkeypatch) -> None:
    data = open_dataset(files / "parts", ids="patient")
    opened = []
    original = type(data).chunks
    monkeypatch.setattr(type(data), "chunks", lambda self, piece, *more: opened.append(piece) or original(self, piece, *more))
    first = fit(data, Config(family="linear", latent=5))
    assert sorted(opened) == list(range(len(data.pieces)))
    second = fit(source, Config(family="linear", latent=5))
    for name, tensor in second.model.state_dict().items():
        assert torch.allclose(first.model.state_dict()[name], tensor, atol=2e-4), name
    assert first.facts["training"] == second.facts["training"]
    assert first.history.column("held_out")[0] == pytest.approx(second.history.column("held_out")[0], rel=1e-5)


@pytest.mark.parametrize("scaling", ["standard", "robust", "unit", "none"])
def test_every_scaling_is_that_of_memory(dataset, source, scaling) -> None:
    first, second = (fit(data, Config(family="linear", latent=3, scaling=scaling)) for data in (dataset, source))
    for name, values in second.preprocessor.state()[1].items():
        assert np.allclose(first.preprocessor.state()[1][name], values, rtol=1e-6)
    found, expected = (codes.reconstruct(artifact, source) for artifact in (first, second))
    assert np.allclose(found, expected, atol=1e-3 * source.array.std(0))


def test_moments_far_from_zero_lose_nothing(tmp_path) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4)) + 1e7
    values = values[np.argsort(values[:, 0])]
    np.save(tmp_path / "far.npy", values)
    data = open_dataset(tmp_path / "far.npy")
    found = streamed.plan(data, Config(family="linear", held_out=0.0))[1]
    scaled = (values - values.mean(0)) / values.std(0)
    assert np.allclose(found.mean, 0, atol=1e-6)
    assert np.allclose(found.scatter, scaled.T @ scaled, rtol=1e-6, atol=1e-4)


def test_isthmus_fits_datasets(files) -> None:
    data = isthmus.open_dataset(files / "whole.parquet", ids="patient")
    assert isthmus.fit(data, isthmus.Config(steps=5, seed=3)).facts["rows"] == 569


def test_settings_for_millions_of_rows() -> None:
    field = Field("x", "numbers", (50,), "real")

    def chosen(rows: int, **given) -> dict:
        return {choice.name: choice.value for choice in choose(Config(**given), field, rows, "standard")[1]}

    twenty = chosen(20_000_000)
    assert (twenty["batch"], twenty["steps"], twenty["evaluate_every"]) == (1024, 19_531, 1_953)
    assert chosen(1_000_000)["steps"] == 10_000
    assert chosen(999_999)["batch"] == 256
    assert chosen(20_000_000, batch=256)["steps"] == 78_125
    assert chosen(20_000_000, steps=100)["steps"] == 100
    assert usual_share(1_000_000) * 1_000_000 == 20_000
    assert (usual_share(199_999), usual_share(19)) == (0.1, 0.0)


def test_held_out_rows_of_many_are_random_and_cheap() -> None:
    rows = 3_000_000
    found = hold_out(rows, 20_000 / rows, seed=1)
    assert len(found) == len(np.unique(found)) == 20_000
    assert np.all(np.diff(found) > 0)
    assert abs(found.mean() / rows - 0.5) < 0.02
    assert not np.array_equal(found, hold_out(rows, 20_000 / rows, seed=2))
    assert others(5, np.array([1, 3])).tolist() == [0, 2, 4]


def test_the_share_asked_for_is_kept_unless_memory_is_too_small(dataset, monkeypatch) -> None:
    ready, found = streamed.plan(dataset, Config(held_out=0.5))
    assert len(ready.held_out) == len(found.held_out) == 284
    monkeypatch.setattr(streamed, "free", lambda: 4 * 284 * 30 * 4 - 1)
    with pytest.raises(ConfigError, match=r"held_out \(0.5\) keeps 284 rows in memory"):
        streamed.plan(dataset, Config(held_out=0.5))
    monkeypatch.setattr(streamed, "free", lambda: 1000.0)
    with pytest.raises(ConfigError, match="solver 'closed' needs"):
        streamed.plan(dataset, Config(family="linear", held_out=0.0))
    with pytest.raises(ConfigError, match="held_out must be at least 0"):
        streamed.plan(dataset, Config(held_out=1.5))


def test_rows_are_told_apart_as_they_pass() -> None:
    values = np.arange(20).reshape(10, 2)
    picked = survey._Picked(np.array([0, 4, 5, 9]))
    left = [picked.look(values[i : i + 3], i) for i in range(0, 10, 3)]
    assert np.concatenate(picked.rows)[:, 0].tolist() == [0, 8, 10, 18]
    assert np.concatenate(left)[:, 0].tolist() == [2, 4, 6, 12, 14, 16]


@pytest.mark.parametrize("what", list(MAKERS))
@pytest.mark.parametrize("place", ["folder", "file.parquet", "file.csv", "file.npy"])
def test_every_row_gets_what_it_gets_in_memory(model, dataset, source, tmp_path, what, place) -> None:
    expected = MAKERS[what](model, source)
    done = []
    written = output.write(model, dataset, what, tmp_path / place, ids="patient", watch=done.append)
    assert (written.path, written.shape) == (tmp_path / place, expected.shape)
    assert done[-1] == 569
    if place == "file.npy":
        found = np.load(tmp_path / place)
    else:
        frame = (pd.read_csv if place == "file.csv" else pd.read_parquet)(tmp_path / place)
        assert list(frame.columns) == [
            "patient",
            *{"codes": ["z0", "z1", "z2"], "reconstructions": NAMES, "scores": ["score", "error"]}[what],
        ]
        assert frame["patient"].tolist() == (np.arange(569) * 7 + 1_000_000).tolist()
        found = frame.drop(columns="patient").to_numpy()
    assert np.allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_small_blocks_make_no_difference(model, dataset, source, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(output, "BLOCK", 7)
    monkeypatch.setattr("isthmus.data.parts.LARGEST_PART", 21)
    output.write(model, dataset, "scores", tmp_path / "scores")
    assert len(list((tmp_path / "scores").iterdir())) == 28
    assert np.allclose(pd.read_parquet(tmp_path / "scores").drop(columns="id"), codes.scores(model, source), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("kind", ["dataset", "source"])
def test_an_output_goes_on_where_parts_are_missing(model, dataset, source, tmp_path, monkeypatch, kind) -> None:
    data = dataset if kind == "dataset" else source
    monkeypatch.setattr(output, "BLOCK", 25)
    monkeypatch.setattr("isthmus.data.parts.LARGEST_PART", 100)
    first = output.write(model, data, "scores", tmp_path / "scores")
    assert (first.parts, first.kept) == (6, 0)
    whole = {item.name: item.read_bytes() for item in (tmp_path / "scores").iterdir()}
    for number in (1, 4):
        (tmp_path / "scores" / f"part-0000{number}.parquet").unlink()
    done = []
    again = output.write(model, data, "scores", tmp_path / "scores", watch=done.append)
    assert (again.parts, again.kept) == (6, 4)
    assert done == [125, 150, 175, 200, 425, 450, 475, 500]
    assert {item.name: item.read_bytes() for item in (tmp_path / "scores").iterdir()} == whole
    assert again.summary.told == first.summary.told
    assert again.summary.means == pytest.approx(first.summary.means, rel=1e-9)
    done.clear()
    assert output.write(model, data, "scores", tmp_path / "scores", watch=done.append).kept == 6
    assert done == []


def test_the_summary_finds_the_strangest_rows(model, dataset, source) -> None:
    found = codes.scores(model, source)
    summary = output.write(model, dataset, "scores", None).summary
    order = np.argsort(found[:, 0])[:5]
    assert summary.told == [f"{1_000_000 + 7 * i} ({found[i, 0]:.4g})" for i in order]
    assert summary.means == pytest.approx(found.astype(np.float64).mean(0).tolist(), rel=1e-6)
    assert output.write(model, source, "scores", None).summary.told == [f"{i} ({found[i, 0]:.4g})" for i in order]


def test_parts_of_another_model_or_other_data_are_refused(model, dataset, source, files, tmp_path) -> None:
    output.write(model, dataset, "codes", tmp_path / "codes", ids="patient")
    before = {item.name: item.read_bytes() for item in (tmp_path / "codes").iterdir()}
    other = fit(source, Config(family="variational", latent=3, steps=61))
    with pytest.raises(DataError, match=r"other model"):
        output.write(other, dataset, "codes", tmp_path / "codes", ids="patient")
    with pytest.raises(DataError, match=r"other .*output"):
        output.write(model, dataset, "scores", tmp_path / "codes", ids="patient")
    shutil.copytree(files / "parts", tmp_path / "parts")
    frame = pd.read_parquet(tmp_path / "parts" / "2.parquet")
    frame.loc[3, "x7"] += 1
    frame.to_parquet(tmp_path / "parts" / "2.parquet", index=False, row_group_size=50)
    with pytest.raises(DataError, match=r"other data\)"):
        output.write(model, open_dataset(tmp_path / "parts", ids="patient"), "codes", tmp_path / "codes", ids="patient")
    assert {item.name: item.read_bytes() for item in (tmp_path / "codes").iterdir()} == before


def test_a_changed_row_in_memory_is_other_data(model, source, tmp_path) -> None:
    output.write(model, source, "codes", tmp_path / "codes")
    changed = source.array.copy()
    changed[4, 4] += 1
    with pytest.raises(DataError, match=r"other data\)"):
        output.write(model, Source("table", changed, source.columns), "codes", tmp_path / "codes")


def test_the_model_is_recognised_by_what_decides_its_results(model, source, tmp_path) -> None:
    model.save(tmp_path / "model")
    assert output.fingerprint(Artifact.load(tmp_path / "model")) == output.fingerprint(model)
    moved = Artifact.load(tmp_path / "model")
    with torch.no_grad():
        next(iter(moved.model.parameters())).view(-1)[0] += 1e-3
    assert output.fingerprint(moved) != output.fingerprint(model)


def test_ids_may_not_be_called_like_the_output(model, dataset, tmp_path) -> None:
    with pytest.raises(ConfigError, match="the ids are called 'z1'"):
        output.write(model, dataset, "codes", tmp_path / "codes", ids="z1")


def test_data_that_do_not_fit_are_refused_before_anything_is_written(model, files, tmp_path) -> None:
    frame = pd.read_parquet(files / "whole.parquet")
    frame.drop(columns="x3").to_parquet(tmp_path / "narrow.parquet")
    with pytest.raises(DataError, match="there is no column 'x3'"):
        open_for(model.schema, tmp_path / "narrow.parquet", stream="always")
    with pytest.raises(DataError, match="there is no column 'who'"):
        open_for(model.schema, files / "parts", ids="who")


def test_gaps_in_a_late_piece_are_named_and_leave_the_parts_before(model, files, tmp_path, monkeypatch) -> None:
    frame = pd.read_parquet(files / "whole.parquet")
    frame.loc[400, "x5"] = np.nan
    frame.to_parquet(tmp_path / "gaps.parquet", row_group_size=50)
    data = open_dataset(tmp_path / "gaps.parquet", ids="patient")
    assert fit(data, Config(steps=5)).schema.kind == "columns"
    monkeypatch.setattr(output, "BLOCK", 50)
    monkeypatch.setattr("isthmus.data.parts.LARGEST_PART", 100)
    with pytest.raises(DataError, match="column 'x5'"):
        output.write(model, data, "codes", tmp_path / "codes", ids="patient")
    assert sorted(item.name for item in (tmp_path / "codes").iterdir()) == [f"part-0000{i}.parquet" for i in range(4)]


def test_what_is_streamed_and_what_is_not(files, tmp_path, monkeypatch, digits) -> None:
    np.save(tmp_path / "digits.npy", digits[:50])
    pd.DataFrame(np.eye(30, 3)).to_csv(tmp_path / "t.csv", index=False)

    def kind(path, **options) -> str:
        return "memory" if isinstance(open_data(path, **options), Source) else "stream"

    assert kind(files / "parts") == "stream"
    assert kind(files / "parts", stream="never") == "memory"
    for path in (files / "whole.parquet", tmp_path / "digits.npy", tmp_path / "t.csv"):
        assert kind(path) == "memory"
    assert kind(files / "whole.parquet", stream="always") == "stream"
    assert kind(tmp_path / "digits.npy", stream="always") == "stream"
    size = 569 * 30 * 8
    monkeypatch.setattr(opening, "free", lambda: 3.0 * size - 3)
    assert kind(files / "whole.parquet", drop="patient") == "stream"
    monkeypatch.setattr(opening, "free", lambda: 3.0 * size)
    assert kind(files / "whole.parquet", drop="patient") == "memory"
    assert kind(files / "whole.parquet", ids="patient") == "memory"
    monkeypatch.setattr(opening, "free", lambda: 1.0)
    assert kind(tmp_path / "t.csv") == "memory"
    assert kind(tmp_path / "digits.npy") == "stream"
    with pytest.raises(ConfigError, match="stream must be one of auto, always, never, not 'yes'"):
        open_data(files / "parts", stream="yes")
    with pytest.raises(ConfigError, match=r"key is for .npz files"):
        open_data(files / "parts", key="x")
    with pytest.raises(DataError):
        open_data(tmp_path / "t.csv", stream="always")
    with pytest.raises(DataError, match="there is no file or folder"):
        open_data(tmp_path / "nothing.parquet")


def test_a_folder_in_memory_is_the_table(files, source) -> None:
    found = open_data(files / "parts", stream="never", ids="patient")
    assert isinstance(found, Source)
    assert np.array_equal(found.array, source.array)
    assert (found.columns, found.ids[1]) == (source.columns, "1000007")
    assert gathered(open_dataset(files / "parts", columns=["x2"])).array.shape == (569, 1)


def test_names_of_rows_are_read_from_text_too(model, files, tmp_path) -> None:
    frame = pd.read_parquet(files / "whole.parquet")
    frame["patient"] = [f"00{i}" for i in range(len(frame))]
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = open_for(model.schema, tmp_path / "t.csv", ids="patient")
    assert isinstance(found, Source)
    assert found.ids[:2] == ("000", "001")
    assert open_data(tmp_path / "t.csv", ids="patient").array.shape == (569, 30)
    frame.loc[3, "patient"] = ""
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    with pytest.raises(DataError, match="does not name all 569 rows"):
        open_for(model.schema, tmp_path / "gaps.csv", ids="patient")
    with pytest.raises(DataError, match="no column 'who'"):
        open_for(model.schema, tmp_path / "t.csv", ids="who")


def test_columns_are_found_by_name_and_others_are_ignored(model, files, source, tmp_path) -> None:
    frame = pd.read_parquet(files / "whole.parquet").assign(note="text")
    frame[frame.columns[::-1]].to_parquet(tmp_path / "turned.parquet")
    data = open_for(model.schema, tmp_path / "turned.parquet", stream="always")
    assert np.array_equal(model.schema.align(gathered(data)), source.array)


def test_a_report_measures_the_rows_the_fit_held_out(dataset, source, files, monkeypatch) -> None:
    fitted = fit(dataset, Config(steps=5))
    found = measured(fitted, dataset)
    held_out = hold_out(569, 0.1, 0)
    assert found.told == "the 57 rows that the fit held out"
    assert np.array_equal(found.chosen.array, source.array[held_out])
    assert np.array_equal(found.rest.array, source.array[others(569, held_out)])
    assert measured(fitted, source).told == found.told
    assert np.array_equal(measured(fitted, source).positions, found.positions)
    elsewhere = open_dataset(files / "whole.parquet", ids="patient")
    assert elsewhere.fingerprint() != dataset.fingerprint()
    assert measured(fitted, elsewhere).told == found.told
    monkeypatch.setattr(measuring, "MOST", 20)
    few = measured(fitted, dataset)
    assert few.told == "20 random rows of the 57 rows that the fit held out"
    assert (len(few.chosen), len(few.rest)) == (20, 20)
    assert np.isin(few.positions, held_out).all()
    assert not np.isin(few.rest_positions, held_out).any()
    assert np.array_equal(few.rest.array, source.array[few.rest_positions])
    other = fit(source.take(slice(0, 300)), Config(steps=5))
    assert measured(other, dataset).told == "20 random rows of all 569 rows of parts"
    assert measured(other, dataset).rest is None


def test_paths_go_between_rows_of_a_dataset(model, dataset, source) -> None:
    pairs = [(560, 3), (3, 100)]
    assert np.allclose(interpolate(model, dataset, pairs, 4), interpolate(model, source, pairs, 4), rtol=1e-5)
    with pytest.raises(DataError, match="there is no row 569"):
        interpolate(model, dataset, [(0, 569)])


def test_pictures_in_a_memory_map(tmp_path, digits) -> None:
    pixels = np.rint(digits[:300] * 255).astype(np.uint8)
    np.save(tmp_path / "digits.npy", pixels)
    data = open_data(tmp_path / "digits.npy", stream="always")
    first, second = (fit(d, Config(steps=40, latent=4)) for d in (data, read(tmp_path / "digits.npy")))
    assert first.schema == second.schema
    written = output.write(first, data, "reconstructions", tmp_path / "back.npy")
    assert written.shape == (300, 8, 8, 1)
    assert np.array_equal(np.load(tmp_path / "back.npy"), codes.reconstruct(first, read(tmp_path / "digits.npy")))
    output.write(first, data, "codes", tmp_path / "codes")
    assert list(pd.read_parquet(tmp_path / "codes").columns) == ["z0", "z1", "z2", "z3"]


def test_pictures_are_written_as_pictures_and_go_on(tmp_path, digits, monkeypatch) -> None:
    from PIL import Image

    (tmp_path / "in").mkdir()
    for i, picture in enumerate(np.rint(digits[:30] * 255).astype(np.uint8)):
        Image.fromarray(picture[..., 0]).save(tmp_path / "in" / f"digit{i:02d}.{'png' if i % 2 else 'bmp'}")
    data = open_data(tmp_path / "in", stream="always")
    fitted = fit(data, Config(steps=10, latent=3))
    expected = codes.reconstruct(fitted, gathered(data))
    monkeypatch.setattr(output, "BLOCK_BYTES", 4 * 64 * 8)

    def stop(done: int) -> None:
        if done == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        output.write(fitted, data, "reconstructions", tmp_path / "out", watch=stop)
    assert (tmp_path / "out" / output.PROGRESS).exists()
    before = {item.name: item.stat().st_mtime_ns for item in (tmp_path / "out").iterdir()}
    done = []
    output.write(fitted, data, "reconstructions", tmp_path / "out", watch=done.append)
    assert done[0] > 8
    names = sorted(item.name for item in (tmp_path / "out").iterdir())
    assert names == sorted(f"digit{i:02d}.png" if i % 2 else f"digit{i:02d}.bmp.png" for i in range(30))
    assert (tmp_path / "out" / "digit01.png").stat().st_mtime_ns == before["digit01.png"]
    for i in (0, 1, 29):
        name = f"digit{i:02d}.png" if i % 2 else f"digit{i:02d}.bmp.png"
        with Image.open(tmp_path / "out" / name) as picture:
            assert np.array_equal(np.asarray(picture), expected[i, ..., 0])


def test_free_memory_is_known_and_within_the_machine() -> None:
    assert 0 < memory.free() <= memory.total()


def test_a_container_may_have_less(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    for name, text in (("max", "3000\n"), ("current", "1000\n"), ("stat", "anon 900\nfile 100\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory.free() == 2100
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free() > 2100


def test_row_groups_are_no_limit_of_a_block(model, files, tmp_path) -> None:
    table = parquet.read_table(files / "whole.parquet")
    parquet.write_table(table, tmp_path / "one.parquet", row_group_size=10_000)
    output.write(model, open_dataset(tmp_path / "one.parquet", drop="patient"), "codes", tmp_path / "codes.npy")
    assert np.load(tmp_path / "codes.npy").shape == (569, 3)
