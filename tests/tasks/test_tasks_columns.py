"""Mixed tables through a whole fit: from memory and streamed alike, and saved as text and tensors."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from isthmus.artifact import Artifact
from isthmus.data import ColumnsPreprocessor, Schema, from_any, open_dataset
from isthmus.errors import ArtifactError
from isthmus.fields import Field, Part
from isthmus.tasks import codes, output, streamed
from isthmus.tasks.config import Config
from isthmus.tasks.distance import figures, squared_errors
from isthmus.tasks.fit import fit, hold_out
from isthmus.tasks.measured import measured
from isthmus.tasks.opening import gathered, open_data, open_for

N = 3000


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "who": [f"u{i}" for i in range(N)],
            "size": pd.Series(rng.normal(size=N)).where(rng.random(N) < 0.9),
            "price": np.exp(rng.normal(size=N) * 1.6),
            "colour": pd.Series(rng.choice(["red", "green", "blue"], N, p=[0.6, 0.3, 0.1])).where(rng.random(N) < 0.9, None),
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**8, N), unit="s"),
            "good": rng.random(N) < 0.5,
        }
    )


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    place = tmp_path_factory.mktemp("table")
    table.to_parquet(place / "whole.parquet", row_group_size=300)
    (place / "parts").mkdir()
    for i in range(3):
        table[i * 1000 : (i + 1) * 1000].to_parquet(place / "parts" / f"{i}.parquet", row_group_size=130)
    return place


SETTINGS = Config(steps=30, latent=3)


@pytest.fixture(scope="module")
def model(table) -> Artifact:
    return fit(from_any(table), SETTINGS)


def test_streamed_and_from_memory_know_the_same(model, folder, table):
    dataset = open_dataset(folder / "parts")
    assert (dataset.kind, dataset.types) == ("columns", ("text", "number", "number", "text", "date", "boolean"))
    found = streamed.fit(dataset, SETTINGS)
    assert found.schema == model.schema
    assert found.facts["digest"] == model.facts["digest"]
    source = from_any(table)
    np.testing.assert_allclose(found.prepare(source), model.prepare(source), rtol=1e-5, atol=1e-5)
    one, two = (artifact.facts["figures"]["log likelihood, nats per row"] for artifact in (model, found))
    assert abs(one - two) < 0.5


def test_the_preprocessing_knows_training_rows_only(table):
    source = from_any(table[["size", "colour"]].assign(colour=[*(["red", "blue"] * 1499), "red", "rare"]))
    schema = Schema.infer(source)
    held = [N - 1 in hold_out(N, 0.5, seed) for seed in range(20)]
    for unseen in (True, False):
        artifact = fit(source, Config(steps=2, seed=held.index(unseen), held_out=0.5))
        assert artifact.schema == schema
        assert artifact.field.parts[1].width == (3 if unseen else 4)


def test_coded_datasets_give_the_rows_of_memory(model, folder, table):
    whole = model.schema.align(from_any(table))
    for data in (open_for(model.schema, folder / "parts"), open_for(model.schema, folder / "whole.parquet", stream="always")):
        assert data.columns == model.schema.columns
        np.testing.assert_array_equal(np.concatenate([block.array for block in data.blocks(700)]), whole)
        picked = np.array([0, 5, 1200, 2999])
        np.testing.assert_array_equal(data.take(picked).array, whole[picked])
    np.testing.assert_array_equal(model.schema.align(gathered(open_dataset(folder / "parts"))), whole)
    np.testing.assert_array_equal(model.schema.align(open_data(folder / "whole.parquet", "never")), whole)


def test_texts_keep_their_numbers_over_pieces(folder, table):
    data = open_dataset(folder / "parts")
    blocks = list(data.blocks(500))
    words = blocks[-1].vocabularies["colour"]
    rows = np.concatenate([block.array[:, 3] for block in blocks])
    texts = table["colour"].astype(object)
    assert [None if np.isnan(code) else words[int(code)] for code in rows] == texts.where(texts.notna(), None).tolist()


def test_gaps_that_come_late_in_a_stream(table, tmp_path):
    import pyarrow as pa

    rng = np.random.default_rng(0)
    numbers = pa.table({"a": rng.normal(size=3000), "b": np.r_[rng.normal(size=2500), [np.nan], rng.normal(size=499)]})
    with pa.ipc.new_file(str(tmp_path / "t.arrow"), numbers.schema) as writer:
        writer.write_table(numbers, max_chunksize=500)
    data = open_dataset(tmp_path / "t.arrow")
    assert data.kind == "table"
    artifact = fit(data, Config(steps=30, latent=1))
    assert artifact.schema.kind == "columns"
    assert np.isfinite(codes.score(artifact, gathered(open_for(artifact.schema, tmp_path / "t.arrow")))).all()


def test_held_out_rows_are_recognised(model, folder, table):
    for data in (from_any(table), open_for(model.schema, folder / "parts")):
        assert "the 300 rows that the fit held out" in measured(model, data).told
    assert "all" in measured(model, from_any(table[::-1])).told


def test_saved_and_opened_again(model, table, tmp_path):
    again = Artifact.load(model.save(tmp_path / "m"))
    source = from_any(table)
    assert isinstance(again.preprocessor, ColumnsPreprocessor)
    np.testing.assert_array_equal(codes.scores(again, source), codes.scores(model, source))
    np.testing.assert_array_equal(codes.reconstruct(again, source), codes.reconstruct(model, source))
    entry = json.loads((tmp_path / "m" / "config.json").read_text(encoding="utf-8"))
    entry["schema"]["types"][1]["kind"] = "count"
    (tmp_path / "m" / "config.json").write_text(json.dumps(entry), encoding="utf-8")
    with pytest.raises(ArtifactError):
        Artifact.load(tmp_path / "m")


def test_scores_do_not_depend_on_other_rows(model, table):
    source = from_any(table)
    all_scores = codes.score(model, source)
    some = [3, 700, 2999]
    np.testing.assert_allclose(codes.score(model, source.take(some)), all_scores[some], rtol=1e-5)


def test_a_cut_off_output_goes_on(model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.data.parts.LARGEST_PART", 1000)
    monkeypatch.setattr(output, "BLOCK", 500)
    data = open_for(model.schema, folder / "parts")
    output.write(model, data, "reconstructions", tmp_path / "r")
    whole = pd.read_parquet(tmp_path / "r")
    (tmp_path / "r" / "part-00001.parquet").unlink()
    written = output.write(model, data, "reconstructions", tmp_path / "r")
    assert (written.parts, written.kept) == (3, 2)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "r"), whole)


def test_errors_count_what_is_observed():
    field = Field("row", "columns", (5,), parts=(Part("a", "number", 1, "a"), Part("c", "category", 2, "c")))
    rows = torch.tensor([[1.0, 0, 1, 1, 1], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]])
    rebuilt = torch.tensor([[3.0, 0, 0, 1, 1], [9, 0, 0, 1, 1], [9, 9, 9, 1, 1]])
    assert squared_errors(field, rebuilt, rows).tolist() == pytest.approx([5 / 3, 0.5, 0])
    error, explained = figures(field, rebuilt, rows)
    assert error == pytest.approx(6 / 5)
    assert explained < 0
