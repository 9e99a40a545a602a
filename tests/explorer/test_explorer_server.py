"""What the server answers: every question, for every kind of data."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from isthmus.data.provenance import look
from isthmus.explorer.answers import thinned
from isthmus.tasks import codes as coding
from isthmus.tasks.space import attribute_vector

KINDS = ("pictures", "table", "numbers", "detected")


@pytest.fixture(params=KINDS)
def asked(request, client):
    answers = request.getfixturevalue(request.param)
    return answers, client(answers)


def pixels(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_about_tells_what_there_is(asked):
    answers, page = asked
    about = page.get("/api/about").json()
    assert about["rows"] == len(answers.subject)
    assert about["code"]["size"] == answers.subject.width == len(about["code"]["dims"])
    carried = [about["code"]["dims"][j]["carries"] for j in about["code"]["order"]]
    assert carried == sorted(carried, reverse=True)
    assert about["kind"] == answers.subject.contents.kind
    assert not about["live"]
    assert len(page.floats("/api/codes")) == about["rows"] * about["code"]["size"]
    for name in about["maps"]:
        assert np.isfinite(page.floats(f"/api/map?method={name}")).all()
    for entry in about["colours"]:
        values = page.get("/api/colour", params={"name": entry["name"]})
        found = np.frombuffer(values.content, "<f4")
        assert len(found) == about["rows"]
        if entry["kind"] == "category":
            known = found[~np.isnan(found)]
            assert set(known.astype(int)) <= set(range(len(entry["levels"])))


def test_a_point_is_its_row_and_what_the_model_makes_of_it(asked):
    answers, page = asked
    found = page.get("/api/point?index=7").json()
    subject = answers.subject
    np.testing.assert_allclose(found["code"], subject.codes[7], rtol=1e-6)
    assert found["score"] == pytest.approx(float(subject.scores[7]))
    assert 0 < found["p_value"] <= 1
    assert not found["scoring"]
    distances = np.linalg.norm(subject.codes - subject.codes[7], axis=1)
    distances[7] = np.inf
    assert found["neighbours"][0]["index"] == distances.argmin()
    assert {found[part]["kind"] for part in ("input", "reconstruction", "difference")} == {subject.contents.kind}


def test_scores_are_those_of_the_model(pictures, table, detected, picture_model, table_model, digits_source, mixed):
    np.testing.assert_allclose(pictures.subject.scores, -coding.score(picture_model, digits_source), rtol=1e-4)
    np.testing.assert_allclose(table.subject.scores, -coding.score(table_model, mixed), rtol=1e-4, atol=1e-4)
    detector = detected.subject.detector
    np.testing.assert_allclose(detected.subject.p_all, detector.p_values(mixed))


def test_pictures_are_the_models_own_and_say_so(pictures, client, picture_model, tmp_path):
    page = client(pictures)
    code = [0.3, -0.2, 0.1, 0.5]
    item = page.post("/api/decode", {"codes": [code]}).json()["items"][0]
    assert (item["width"], item["height"]) == (8, 8)
    np.testing.assert_array_equal(pixels(item["png"]), coding.decode(picture_model, np.array([code]))[0, ..., 0])
    for name, index in (("reconstruction", 3), ("input", 3)):
        file = tmp_path / f"{name}.png"
        file.write_bytes(base64.b64decode(page.get(f"/api/point?index={index}").json()[name]["png"].partition(",")[2]))
        assert (look(file)[1] is not None) == (name == "reconstruction")
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(page.get("/api/thumb?index=3").content))), pictures.subject.matrix[3, ..., 0]
    )


def test_a_draw_is_another_one_each_time(pictures, client):
    page = client(pictures)
    body = {"codes": [[0.0] * 4], "draw": True}
    first, again, other = (page.post("/api/decode", {**body, "seed": seed}).json()["items"][0]["png"] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_sheet_holds_the_rows(pictures, client):
    page = client(pictures)
    told = page.get("/api/sheet").json()
    sheet = np.asarray(Image.open(io.BytesIO(page.get(told["url"]).content)))
    i, (height, width) = 70, told["size"]
    y, x = i // told["columns"] * height, i % told["columns"] * width
    np.testing.assert_array_equal(sheet[y : y + height, x : x + width], pictures.subject.matrix[i, ..., 0])


def test_tables_have_no_sheet(table, client):
    page = client(table)
    assert page.get("/api/sheet").json() == {"size": None}
    assert page.get("/api/thumb?index=0").status_code == 400


def test_cells_are_in_the_tables_own_units(table, client, mixed):
    cells = {cell["name"]: cell for cell in client(table).get("/api/inputs?indices=4").json()["items"][0]["cells"]}
    assert list(cells) == list(mixed.columns)
    assert cells["length"]["number"] == pytest.approx(mixed.array[4, 0])
    assert cells["town"]["text"] in ("Ulm", "Bonn", "Trier")
    assert cells["town"]["number"] is None
    assert cells["since"]["text"].startswith("202")
    assert cells["weight"]["low"] < cells["weight"]["high"]


def test_a_strange_value_is_the_reason(table_model, mixed, client):
    from dataclasses import replace

    from isthmus.explorer.answers import Answers
    from isthmus.explorer.model import ModelSubject
    from isthmus.explorer.opening import rows_of

    array = mixed.array.copy()
    array[11, mixed.columns.index("visits")] = 400
    rows, _ = rows_of(table_model, replace(mixed, array=array), healthy=mixed)
    page = client(Answers(ModelSubject(table_model, rows)))
    listed = page.get("/api/anomalies?limit=3").json()
    assert listed["rows"][0]["index"] == 11
    assert listed["rows"][0]["reasons"][0]["column"] == "visits"
    assert listed["rows"][0]["reasons"][0]["observed"] == "400"
    assert listed["rows"][0]["p_value"] == pytest.approx(1 / 241)
    assert listed["calibrated"]


def test_anomalies_come_in_order_with_healthy_scores(asked):
    answers, page = asked
    found = page.get("/api/anomalies?limit=20").json()
    scores = [row["score"] for row in found["rows"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(answers.subject.scores.max())
    assert len(np.frombuffer(base64.b64decode(found["scores"]), "<f4")) == len(answers.subject)
    assert found["healthy"] == sorted(found["healthy"])
    assert len(found["healthy"]) == answers.subject.calibration.rows
    assert "not learned from" in found["note"]


def test_without_rows_held_out_there_are_no_p_values(picture_model, digits_source, client):
    from isthmus.explorer.answers import Answers
    from isthmus.explorer.model import ModelSubject
    from isthmus.explorer.opening import rows_of

    others = digits_source.take(slice(0, 50))
    found = client(Answers(ModelSubject(picture_model, rows_of(picture_model, others)[0]))).get("/api/anomalies").json()
    assert not found["calibrated"]
    assert found["rows"][0]["p_value"] is None
    assert "--healthy" in found["note"]


def test_a_point_comes_before_the_scores_are_reckoned(picture_model, digits_source):
    from isthmus.explorer.answers import Answers
    from isthmus.explorer.model import ModelSubject
    from isthmus.explorer.opening import rows_of

    answers = Answers(ModelSubject(picture_model, rows_of(picture_model, digits_source)[0]))
    early = answers.point(5)
    answers.subject.prepare()
    assert early["scoring"]
    assert early["score"] is None
    assert answers.point(5)["score"] == pytest.approx(float(answers.subject.scores[5]))


def test_the_held_out_rows_calibrate(pictures, picture_model):
    from isthmus.tasks.fit import hold_out

    held = hold_out(300, picture_model.config["held_out"], 0)
    np.testing.assert_array_equal(pictures.subject.rows.held, held)
    np.testing.assert_allclose(pictures.subject.calibration.folds[0], np.sort(pictures.subject.scores[held]), rtol=1e-5)


def test_samples_come_from_the_named_density(pictures, client):
    page = client(pictures)
    found = page.post("/api/sample", {"count": 3, "seed": 2}).json()
    assert len(found["items"]) == len(found["codes"]) == 3
    assert "prior" in found["density"] or "Gaussian" in found["density"]
    assert found["codes"] == page.post("/api/sample", {"count": 3, "seed": 2}).json()["codes"]


def test_a_walk_begins_and_ends_at_its_rows(pictures, client):
    page, codes = client(pictures), pictures.subject.codes
    for way in ("linear", "spherical"):
        found = page.post("/api/interpolate", {"from": 2, "to": 9, "count": 5, "way": way}).json()
        np.testing.assert_allclose(found["codes"][0], codes[2], atol=1e-5)
        np.testing.assert_allclose(found["codes"][-1], codes[9], atol=1e-5)
        assert len(found["items"]) == 5


def test_an_attribute_goes_from_one_group_to_the_other(pictures, client):
    found = client(pictures).post("/api/attribute", {"a": [0, 1, 2], "b": [10, 11]}).json()
    codes = pictures.subject.codes[[0, 1, 2, 10, 11]]
    np.testing.assert_allclose(found["vector"], attribute_vector(codes, np.array([0, 0, 0, 1, 1])), rtol=1e-6)
    assert found["norm"] == pytest.approx(np.linalg.norm(found["vector"]))
    assert found["separation"] > 0


def test_a_detector_tells_its_own_level_and_draws_nothing(detected, client):
    page = client(detected)
    about = page.get("/api/about").json()
    scores = np.concatenate(detected.subject.detector.calibration.folds)
    assert (scores > about["threshold"]).mean() == pytest.approx(0.01, abs=0.01)
    assert not about["output"]["draws"]
    assert page.post("/api/sample", {"count": 1}).status_code == 400
    assert page.post("/api/decode", {"codes": [[0.0] * about["code"]["size"]], "draw": True}).status_code == 400


def test_components_of_a_detector_lead_back_to_rows(detected, client):
    subject = detected.subject
    assert subject.width == len(subject.axes[1])
    full = subject.decode(subject.codes)
    there = ~np.isnan(subject.matrix[:, 0])
    assert np.corrcoef(full[there, 0], subject.matrix[there, 0])[0, 1] > 0.95


def test_many_healthy_scores_are_thinned():
    found = thinned(np.arange(10_000.0)[::-1])
    assert len(found) == 2_000
    assert (found[0], found[-1]) == (0, 9_999)
