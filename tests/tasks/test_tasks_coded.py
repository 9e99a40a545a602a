"""What row and code cost, and how codes are used, of families whose codes can be counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from isthmus.data import Source
from isthmus.errors import ConfigError
from isthmus.tasks import coded
from isthmus.tasks.ais import Annealing
from isthmus.tasks.codes import score
from isthmus.tasks.config import Config
from isthmus.tasks.evaluate import Effort, evaluate
from isthmus.tasks.fit import fit


@pytest.fixture(scope="module")
def rows() -> Source:
    return Source("pictures", (load_digits().images / 16).astype(np.float32)[:600, ..., None])


@pytest.fixture(scope="module", params=["vqvae", "fsq"])
def fitted(request, rows):
    more = {"codebook": 8, "latent": 4, "code_width": 2} if request.param == "vqvae" else {"levels": (4, 4, 4)}
    return fit(rows, Config(family=request.param, steps=200, likelihood_scale=0.15, scaling="none", seed=0, **more))


def test_row_and_code_cost_what_the_score_says(fitted, rows) -> None:
    found = coded.evaluate_codes(fitted, rows, Effort(gap_rows=0))
    np.testing.assert_allclose(-(found.reconstruction + found.code), score(fitted, rows), rtol=1e-4, atol=1e-3)
    shown = found.in_units()
    parts = shown["reconstruction"]["nats"] + shown["code"]["nats"]
    assert shown[coded.BOUND]["nats"] == pytest.approx(-found.elbo) == pytest.approx(parts)
    row = shown["code"]
    assert row["nats"] == pytest.approx(row["bits"] * math.log(2)) == pytest.approx(row["bits per dimension"] * 64 * math.log(2))


def test_the_gap_is_exact_and_annealing_agrees(fitted, rows) -> None:
    found = coded.evaluate_codes(fitted, rows, Effort(annealed_rows=16, annealing=Annealing(chains=64, steps=60), gap_rows=16))
    gap, annealed = found.gap, found.annealed
    assert gap.error == 0
    assert gap.approximation > 0 <= gap.amortisation
    assert gap.total == pytest.approx(gap.approximation + gap.amortisation)
    assert gap.bounds["encoder"] == pytest.approx(-float((found.reconstruction + found.code)[found.gap_rows].mean()), abs=1e-3)
    assert (found.annealed_rows == found.gap_rows).all()
    assert abs(annealed.mean - gap.log_likelihood) < 3 * annealed.error
    assert annealed.error < 0.1
    assert "gap" in found.to_json()


def test_usage_is_counted(fitted, rows) -> None:
    found = coded.evaluate_codes(fitted, rows, Effort(gap_rows=0))
    use = found.usage
    assert all(count.sum() == len(rows) for count in use.counts)
    assert (use.perplexities >= 1).all()
    assert all(value <= len(count) for value, count in zip(use.perplexities, use.counts))
    assert use.dead == sum(int((count == 0).sum()) for count in use.counts)
    assert use.distinct <= math.prod(map(len, use.counts))
    # No prior can cost less than the codes' own entropy, and groups apart cost more than that.
    indices = coded.costs(fitted.model, fitted.prepare(rows))[2]
    shares = np.unique(indices, axis=0, return_counts=True)[1] / len(rows)
    entropy = -float((shares * np.log(shares)).sum())
    assert entropy <= use.entropies.sum() + 1e-9 < use.uniform
    assert entropy < found.code.mean()


def test_usage_of_a_known_case() -> None:
    use = coded.used(np.array([[0, 0], [0, 1], [1, 2], [1, 3]]), (4, 4))
    assert use.perplexities.round(6).tolist() == [2, 4]
    assert (use.dead, use.values, use.distinct) == (2, 8, 4)
    assert use.uniform == pytest.approx(2 * math.log(4))


def test_what_is_wrong_is_told() -> None:
    def case(indices: np.ndarray, code: float, size: int = 4) -> list[str]:
        rows = len(indices)
        nothing = np.zeros(0, np.int64)
        use = coded.used(indices, (size,) * indices.shape[1])
        return coded.warned(coded.CodedEvaluation(rows, 9, np.zeros(rows), np.full(rows, code), use, None, nothing, None, nothing, 0.0))

    same, even = np.zeros((100, 2), int), np.arange(200).reshape(100, 2) % 4
    assert "the same for nearly all rows" in case(same, 0.1)[0]
    assert case(even, 2.0) == []
    assert "more than if all were alike" in case(even, 9.0)[0]
    assert "are taken by no row" in case(even, 2.0, 9)[0]


def test_too_many_codes_are_not_gone_through(rows) -> None:
    model = fit(rows, Config(family="fsq", levels=(8,) * 6, steps=20, seed=0))
    found = coded.evaluate_codes(model, rows.take(range(20)), Effort(gap_rows=4))
    assert found.gap is None
    assert any("262,144 codes are too many to go through" in line for line in found.conventions)


def test_each_kind_has_its_own_measure(fitted, rows) -> None:
    with pytest.raises(ConfigError, match="evaluate_codes"):
        evaluate(fitted, rows)
    with pytest.raises(ConfigError, match=r"cannot be counted: use isthmus\.tasks\.evaluate\.evaluate"):
        coded.evaluate_codes(fit(rows, Config(family="vae", steps=5, latent=2)), rows)


def test_a_conditional_model_of_words(rows) -> None:
    labels = load_digits().target[:600]
    known = Source("pictures", rows.array, condition=labels)
    model = fit(known, Config(family="vqvae", latent=4, codebook=6, code_width=2, steps=100, likelihood_scale=0.2, scaling="none", seed=0))
    found = coded.evaluate_codes(model, known.take(range(50)), Effort(gap_rows=6))
    assert found.gap.total >= 0
    assert torch.isfinite(torch.as_tensor(found.code)).all()
