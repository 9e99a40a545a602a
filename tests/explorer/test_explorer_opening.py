"""Models, detectors and rows, opened; maps and colours."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus.artifact import Artifact
from isthmus.data import from_any
from isthmus.errors import ArtifactError, ConfigError, DataError, MissingExtraError
from isthmus.explorer import colours, maps, opening, serve
from isthmus.explorer.answers import Answers
from isthmus.explorer.detected import principal
from isthmus.explorer.model import ModelSubject
from isthmus.tasks.config import Config
from isthmus.tasks.detector import Detector
from isthmus.tasks.fit import fit


def test_models_and_detectors_are_told_apart(table_model, detected, tmp_path):
    table_model.save(tmp_path / "model")
    detected.subject.detector.save(tmp_path / "detector")
    assert isinstance(opening.load(tmp_path / "model"), Artifact)
    assert isinstance(opening.load(tmp_path / "detector"), Detector)
    with pytest.raises(ArtifactError, match="no saved model"):
        opening.load(tmp_path)


def test_of_many_rows_a_sample_is_shown_in_order_with_its_labels(table_model, mixed):
    labels = np.arange(240)
    rows, note = opening.rows_of(table_model, mixed, labels, most=100)
    assert len(rows.source) == 100
    assert rows.total == 240
    assert "100 of the 240" in note
    assert (np.diff(rows.labels) > 0).all()
    np.testing.assert_array_equal(rows.source.array, mixed.array[rows.labels])
    with pytest.raises(DataError, match="no rows"):
        opening.rows_of(table_model, mixed.take([]))


def test_without_data_a_model_draws_rows_and_a_detector_keeps_some(table_model, detected):
    drawn = opening.drawn_rows(table_model, 20)
    subject = ModelSubject(table_model, opening.rows_of(table_model, drawn)[0])
    assert subject.codes.shape == (20, 3)
    assert Answers(subject).point(3)["input"]["cells"][0]["name"] == "length"
    assert len(opening.kept_rows(detected.subject.detector)) > 100
    plain = fit(from_any(np.random.default_rng(0).normal(size=(40, 3))), Config(latent=2, steps=3))
    plain.density = None
    with pytest.raises(ConfigError, match="give DATA"):
        opening.drawn_rows(plain, 20)


def test_maps_there_are_and_how_to_get_more(monkeypatch):
    codes = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    monkeypatch.setattr(maps, "find_spec", lambda name: None)
    assert maps.available(5) == ["pca"]
    assert set(maps.missing(5)) == {"umap", "pacmap"}
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"isthmus\[maps\]"):
        maps.make("umap", codes)
    with pytest.raises(ConfigError, match="no map"):
        maps.make("umap", codes[:, :2])


def test_an_embedding_is_asked_for_once(pictures, monkeypatch):
    calls = []

    class UMAP:
        def __init__(self, **options):
            calls.append(options)

        def fit_transform(self, codes):
            return np.asarray(codes[:, :2], np.float64)

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    answers = Answers(pictures.subject)
    first, again = answers.map("umap"), answers.map("umap")
    assert first == again
    assert len(calls) == 1
    assert len(first) == 4 * 2 * len(pictures.subject)


def test_a_map_of_components_shows_the_largest_and_does_not_spin():
    random = np.random.default_rng(0)
    codes = random.normal(size=(200, 4)) * [3, 1, 0.2, 0.1]
    found, axes = maps.pca(codes)
    assert np.abs(np.corrcoef(found[:, 0], codes[:, 0])[0, 1]) > 0.999
    turned = maps.pca(codes[:, [1, 0, 2, 3]] * [1.0, -1.0, 1.0, 1.0], axes)[0]
    assert turned.shape == found.shape
    again = maps.pca(codes * [1.0, 1.01, 1.0, 1.0], -axes)[0]
    np.testing.assert_allclose(again, -found, atol=0.1)


def test_codes_of_one_and_two_units_are_their_own_map():
    codes = np.array([[3.0], [1.0], [2.0]], np.float32)
    np.testing.assert_allclose(maps.make("codes", codes), [[3, 1], [1, 0], [2, 0.5]])
    both = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.testing.assert_array_equal(maps.make("codes", both), both)


def test_principal_components_are_scikit_learns(cancer):
    from sklearn.decomposition import PCA

    values = (cancer - cancer.mean(0)) / cancer.std(0)
    reference = PCA(3).fit(values)
    centre, axes, variances = principal(values, 3)
    np.testing.assert_allclose(np.abs(axes), np.abs(reference.components_), atol=1e-8)
    np.testing.assert_allclose(variances, reference.explained_variance_ * 568 / 569)
    np.testing.assert_allclose(centre, 0, atol=1e-10)


@pytest.mark.parametrize(
    ("labels", "kind", "first"),
    [(["b", "a", "b"], "category", 1.0), ([3, 7, 3], "category", 0.0), ([0.5, 1.5, 2.5], "number", 0.5), (list(range(100)), "number", 0.0)],
)
def test_labels_are_classes_or_measures(labels, kind, first):
    source = from_any(np.random.default_rng(0).normal(size=(100, 4)))
    model = fit(source, Config(latent=2, steps=5))
    given = np.resize(np.array(labels), 100) if len(labels) < 100 else np.array(labels)
    subject = ModelSubject(model, opening.rows_of(model, source, given)[0])
    assert colours.listed(subject)[0]["kind"] == kind
    assert colours.values(subject, "label")[0] == first


def test_dates_are_coloured_by_the_year(table, mixed):
    years = colours.values(table.subject, "since")
    assert years.min() > 2020
    assert years.max() < 2023


def test_a_taken_port_is_told():
    place = serve.Place.free()
    with pytest.raises(ConfigError, match="--port"):
        serve.Place.free(place.port)
    assert place.listener.getsockname()[0] == "127.0.0.1"
    assert place.token in place.url
    other = serve.Place.free()
    assert other.token != place.token
    assert len(other.token) >= 32
    for one in (place, other):
        one.listener.close()


def test_a_served_page_answers_until_it_is_ended(pictures):
    import threading

    import httpx

    place = serve.Place.free()
    found = serve.server(place, pictures)
    thread = threading.Thread(target=found.run, kwargs={"sockets": [place.listener]}, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{place.port}", headers={"X-Isthmus-Token": place.token}) as client:
        assert client.get("/api/about").json()["rows"] == 300
        assert client.get("/api/about", headers={"Host": "evil.example"}).status_code == 403
        assert "server" not in client.get("/").headers
    found.should_exit = True
    thread.join(10)
    place.listener.close()
    assert not thread.is_alive()
