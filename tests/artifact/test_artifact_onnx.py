"""Models as ONNX files: every family gives in ONNX Runtime what it gives in torch, on every kind of data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from isthmus.artifact import Artifact
from isthmus.artifact import onnx as graphs
from isthmus.artifact.onnx import rewritten
from isthmus.artifact.onnx.graphs import Draws, Encoder
from isthmus.artifact.onnx.tracing import CLOSE, checked, difference, opened, written
from isthmus.data import Schema, Source, from_any
from isthmus.errors import ArtifactError, MissingExtraError
from isthmus.families import FAMILIES
from isthmus.tasks import codes
from isthmus.tasks.config import Config
from isthmus.tasks.fit import begin, plan, untrained


def table(rows: int = 60, dates: bool = False) -> pd.DataFrame:
    """Columns of every kind, with gaps."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "length": rng.normal(size=rows),
            "income": rng.lognormal(0, 3, rows),
            "visits": rng.poisson(3, rows),
            "colour": rng.choice(list("xyz"), rows),
            "member": rng.random(rows) < 0.3,
        }
    )
    if dates:
        frame["seen"] = pd.date_range("2020-01-01", periods=rows, freq="7h")
    frame.loc[::7, "length"] = None
    frame.loc[::5, "colour"] = None
    return frame


@pytest.fixture(scope="module")
def sources(digits: np.ndarray, cancer: np.ndarray) -> dict[str, Source]:
    return {
        "pictures": Source("pictures", (digits[:60] * 255).astype(np.uint8)),
        "numbers": Source("table", cancer[:60, :10]),
        "columns": from_any(table()),
    }


def fitted(source: Source, family: str, **settings: Any) -> tuple[Artifact, Source]:
    given = replace(source, condition=np.array(["a", "b", "c"])[np.arange(len(source)) % 3]) if FAMILIES[family].conditional else source
    schema = Schema.infer(given)
    given = schema.coded(given)
    artifact = untrained(given, plan(given, Config(family=family, device="cpu", **settings), schema))
    begin(artifact, {"train": artifact.prepare(given)})
    artifact.model.eval()
    return artifact, given


def run(data: bytes, inputs: dict[str, Any]) -> np.ndarray:
    return opened(data)(inputs)


def same(artifact: Artifact, source: Source, count: int = 17) -> dict[str, float]:
    """How far each graph's results on real rows are from torch's; the number of rows is none that was seen in writing them."""
    found, some = graphs.to_bytes(artifact), source.take(np.arange(count))
    rows, width = artifact.prepare(some), artifact.model.condition
    condition = {"condition": rows[:, -width:].numpy()} if width else {}
    inner, code = artifact.bare(rows).numpy(), codes.encode(artifact, some)
    bare = code[:, : code.shape[1] - width]
    with torch.no_grad():
        means = artifact.bare(artifact.model.decode(torch.from_numpy(code)).mean).numpy()
    return {
        "encoder": difference(run(found["encoder"], {"rows": inner, **condition}), bare),
        "decoder": difference(run(found["decoder"], {"codes": bare, **condition}), means),
        "score": difference(run(found["score"], {"rows": inner, **condition}), codes.score(artifact, some)),
    }


@pytest.mark.parametrize("kind", ["pictures", "numbers", "columns"])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_gives_what_torch_gives(sources: dict[str, Source], kind: str, family: str) -> None:
    artifact, source = fitted(sources[kind], family)
    assert max(same(artifact, source).values()) <= CLOSE


OPTIONS = [
    *[("pictures", {"posterior": name}) for name in ("full", "laplace", "planar", "iaf", "sphere", "cube", "beta", "categories")],
    *[("pictures", {"likelihood": name}) for name in ("continuous_bernoulli", "logistic_mixture")],
    *[("pictures", {"prior": name}) for name in ("mixture", "flow")],
    ("numbers", {"likelihood": "student_t"}),
    ("numbers", {"likelihood": "laplace", "likelihood_scale": "predicted"}),
    ("columns", {"likelihood": "student_t", "missingness": True}),
]


@pytest.mark.parametrize(
    ("kind", "options"), OPTIONS, ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value
)
def test_options_do_so_too(sources: dict[str, Source], kind: str, options: dict[str, Any]) -> None:
    artifact, source = fitted(sources[kind], "variational", **options)
    assert max(same(artifact, source).values()) <= CLOSE


def test_dates_and_filled_gaps() -> None:
    artifact, source = fitted(from_any(table(dates=True)), "denoising", network="filling")
    assert max(same(artifact, source).values()) <= CLOSE


@pytest.mark.parametrize("settings", [{"network": "conv"}, {"network": "subpixel"}, {"network": "conv", "tied": True}], ids=str)
def test_convolutions_of_odd_colour_pictures(settings: dict[str, Any]) -> None:
    pictures = Source("pictures", np.random.default_rng(0).integers(0, 256, (20, 11, 9, 3), dtype=np.uint8))
    artifact, source = fitted(pictures, "undercomplete", **settings)
    assert max(same(artifact, source).values()) <= CLOSE


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial", "multinomial"])
def test_counts(likelihood: str) -> None:
    counts = Source("table", np.random.default_rng(0).poisson(3, (60, 6)).astype(float))
    artifact, source = fitted(counts, "variational", likelihood=likelihood, scaling="none")
    assert max(same(artifact, source).values()) <= CLOSE


def test_scores_do_not_depend_on_the_rows_beside(first: Artifact, source: Source) -> None:
    score, rows = graphs.to_bytes(first)["score"], first.prepare(source.take(np.arange(9))).numpy()
    score_of = opened(score)
    alone = np.concatenate([score_of({"rows": rows[i : i + 1]}) for i in range(9)])
    assert difference(score_of({"rows": rows}), alone) <= 1e-6


def test_writing_twice_gives_the_same_bytes(first: Artifact) -> None:
    assert graphs.to_bytes(first) == graphs.to_bytes(first)


def test_files_and_their_description(first: Artifact, tmp_path: Path) -> None:
    found = graphs.export(first, tmp_path / "new" / "folder")
    entry = json.loads((tmp_path / "new" / "folder" / "model.json").read_text())
    assert {name: path.name for name, path in found.items() if path} == {name: f"{name}.onnx" for name in ("encoder", "decoder", "score")}
    assert entry["graphs"]["encoder"]["inputs"] == [{"name": "rows", "type": "float32", "shape": ["n", 10]}]
    assert entry["graphs"]["decoder"]["output"] == {"name": "means", "type": "float32", "shape": ["n", 10]}
    for name, path in found.items():
        assert path is not None
        assert path.stat().st_size == entry["graphs"][name]["bytes"]
    preparing = entry["rows"]["preparing"]
    values = np.arange(10.0) + 5
    by_hand = (values - preparing["offset"]) / preparing["divisor"]
    assert np.allclose(by_hand, first.preprocessor.transform(values[None])[0], atol=1e-5), "the description prepares rows as the model does"
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir() if p.name.startswith(".")] == []


def test_no_word_of_this_machine_in_a_file(first: Artifact) -> None:
    here = str(Path(torch.__file__).parents[1]).encode()
    assert all(here not in data and b"site-packages" not in data for data in graphs.to_bytes(first).values())


def test_a_file_of_another_model_is_noticed(first: Artifact, second: Artifact) -> None:
    rows = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    data = written(Encoder(first).eval(), (rows,))
    assert checked(Encoder(first).eval(), data, (rows,)) <= CLOSE
    with pytest.raises(ArtifactError, match="other results"):
        checked(Encoder(second).eval(), data, (rows,))


def test_a_score_without_words_is_left_out_and_said(first: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "score.onnx").write_bytes(b"of an older model")
    monkeypatch.setattr("isthmus.artifact.onnx.files.checked", _refuse_scores)
    found = graphs.export(first, tmp_path)
    assert found["score"] is None
    assert found["encoder"] is not None
    assert not (tmp_path / "score.onnx").exists()
    assert "nothing of scores" in json.loads((tmp_path / "model.json").read_text())["score"]


def _refuse_scores(graph: Any, data: bytes, inputs: Any) -> float:
    if type(graph).__name__ == "Score":
        raise ArtifactError("ONNX knows nothing of scores")
    return 0.0


def test_what_onnx_has_no_words_for_is_refused_in_a_line(first: Artifact, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(Encoder, "compute", lambda graph, x: torch.special.ndtri(x.sigmoid()))
    with pytest.raises(ArtifactError, match=r"the encoder of this model cannot be written as ONNX: .*special_ndtri") as error:
        graphs.to_bytes(first)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_missing_package_is_told(first: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isthmus\[export\]'"):
        graphs.to_bytes(first)


def test_draws_are_those_of_a_score() -> None:
    from isthmus.distributions import SharedNoise

    noise, like = Draws(4), torch.empty(8, 3)
    found, uniform = noise.normal(like), noise.uniform(torch.empty(8))
    assert bool((found[2:4] == SharedNoise(0, mirrored=True).normal(torch.empty(2, 3))).all())
    second = SharedNoise(1)
    assert bool((found[4:6] == second.normal(torch.empty(2, 3))).all())
    assert bool((uniform[4:6] == second.uniform(torch.empty(2))).all())
    noise.again()
    assert bool((noise.normal(torch.empty(4, 3)) == found[::2]).all()), "the same numbers for another number of rows"


X = torch.logspace(-3, 4, 200, dtype=torch.float64)
PAIRS: dict[str, tuple[Any, Any]] = {
    "lgamma": (rewritten.lgamma, torch.lgamma),
    "digamma": (rewritten.digamma, torch.digamma),
    "i0e": (rewritten.i0e, torch.special.i0e),
    "i1e": (rewritten.i1e, torch.special.i1e),
    "log1p": (rewritten.log1p, torch.log1p),
    "logaddexp": (lambda x: rewritten.logaddexp(x, 2 - x), lambda x: torch.logaddexp(x, 2 - x)),
    "expm1": (lambda x: rewritten.expm1(-x), lambda x: torch.expm1(-x)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_functions_made_of_simpler_ones(name: str) -> None:
    mine, theirs = PAIRS[name]
    assert torch.allclose(mine(X), theirs(X), rtol=2e-6, atol=1e-12)


def test_places_among_edges() -> None:
    edges = torch.tensor([[0.0, 1.0, 2.0], [0.0, 5.0, 9.0]])
    values = torch.tensor([[1.0], [6.0]])
    assert torch.equal(rewritten.searchsorted(edges, values), torch.searchsorted(edges, values))
