"""What must hold for mixed columns whatever the numbers."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus.corruptions import HideColumns
from isthmus.distributions import Categorical, GeneratorNoise, NegativeBinomial, Poisson, SharedNoise, StudentT, VonMises
from isthmus.errors import ConfigError
from isthmus.fields import Field, Part, row_width
from isthmus.likelihoods import Columns
from isthmus.spec import from_spec, to_spec

QUICK = settings(max_examples=40, deadline=None)
WIDTHS = {"number": st.just(1), "count": st.just(1), "boolean": st.just(1), "angle": st.just(2), "category": st.integers(2, 9)}


@st.composite
def part(draw: st.DrawFn) -> Part:
    kind = draw(st.sampled_from(sorted(WIDTHS)))
    offset, divisor = draw(st.floats(0, 4)), draw(st.floats(0.1, 3))
    return Part(draw(st.text(max_size=3)), kind, draw(WIDTHS[kind]), draw(st.sampled_from("abc")), offset, divisor)  # pyright: ignore[reportArgumentType]


parts = st.lists(part(), min_size=1, max_size=8).map(tuple)


def rows(found: tuple[Part, ...], count: int, seed: int, share: float = 0.3) -> Tensor:
    """Random rows of these parts, some of their parts missing."""
    generator = torch.Generator().manual_seed(seed)
    likelihood = Columns(found, missingness=True).double()
    h = torch.randn(count, *likelihood.shape_in, generator=generator, dtype=torch.float64)
    h[:, -len(found) :] = math.log((1 - share) / share)
    with torch.no_grad():
        return likelihood(h).sample(GeneratorNoise(generator))


@QUICK
@given(found=parts)
def test_fields_and_likelihoods_come_back_from_text(found: tuple[Part, ...]) -> None:
    field = Field("row", "columns", (row_width(found),), parts=found)
    assert Field.from_json(json.loads(json.dumps(field.to_json()))) == field
    assert field.values + len(found) == field.width
    assert [s.stop - s.start for s in field.slices] == [p.width for p in found]
    likelihood = Columns(found, numbers="student_t", scale="predicted", missingness=True)
    again = from_spec(json.loads(json.dumps(to_spec(likelihood))))
    assert again.plan.parts == found
    assert again.shape_in == likelihood.shape_in
    assert from_spec(json.loads(json.dumps(to_spec(HideColumns(found, 0.2))))).share == 0.2


@QUICK
@given(freedom=st.floats(0.6, 300), location=st.floats(-5, 5), log_scale=st.floats(-2, 2))
def test_student_t_integrates_to_one(freedom: float, location: float, log_scale: float) -> None:
    """By the trapezoid rule on x = location + scale * sinh(t), whose tails fall exponentially."""
    t = torch.linspace(-60, 60, 20_001, dtype=torch.float64)[:, None]
    x = location + math.exp(log_scale) * t.sinh()
    law = StudentT(torch.full_like(x, location), log_scale, torch.tensor([math.log(freedom)], dtype=torch.float64))
    assert float((law.log_prob(x) + t.cosh().log().squeeze(1) + log_scale).exp().sum() * 120 / 20_000) == pytest.approx(1, abs=1e-8)


@QUICK
@given(kappa=st.floats(0, 500), ahead=st.floats(-4, 4))
def test_von_mises_integrates_to_one(kappa: float, ahead: float) -> None:
    angle = torch.linspace(-math.pi, math.pi, 2001, dtype=torch.float64)[:-1]
    natural = torch.tensor([[kappa * math.cos(ahead), kappa * math.sin(ahead)]], dtype=torch.float64).expand(2000, 2)
    density = VonMises(natural).log_prob(torch.stack([angle.cos(), angle.sin()], 1)).exp()
    assert float(density.mean() * 2 * math.pi) == pytest.approx(1, abs=1e-9)


@QUICK
@given(mean=st.floats(0.001, 60), size=st.floats(0.3, 3000))
def test_counts_sum_to_one(mean: float, size: float) -> None:
    count = torch.arange(6000, dtype=torch.float64)[:, None]
    log_mean = torch.full_like(count, math.log(mean))
    for law in (Poisson(log_mean), NegativeBinomial(log_mean, torch.tensor([math.log(size)], dtype=torch.float64))):
        chance = law.log_prob(count).exp()
        assert float(chance.sum()) == pytest.approx(1, abs=1e-8)
        assert float((chance * count[:, 0]).sum()) == pytest.approx(mean, rel=1e-6)


@QUICK
@given(logits=st.lists(st.floats(-40, 40), min_size=1, max_size=12))
def test_categories_sum_to_one_the_unseen_one_included(logits: list[float]) -> None:
    width = len(logits) + 1
    x = torch.cat([torch.eye(width, dtype=torch.float64), torch.ones(width, 1, dtype=torch.float64)], 1)
    likelihood = Columns([Part("c", "category", width, "c")])
    h = torch.zeros(width, *likelihood.shape_in, dtype=torch.float64)
    h[:, : len(logits)] = torch.tensor(logits, dtype=torch.float64)
    joint = likelihood(h)
    assert float(joint.log_prob(x).exp().sum()) == pytest.approx(1, abs=1e-9)
    assert float(joint.mean[0, :width].sum()) == pytest.approx(1, abs=1e-9)
    plain = Categorical(torch.tensor([logits], dtype=torch.float64)).mean
    assert float(plain.sum()) == pytest.approx(1, abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(found=parts, seed=st.integers(0, 2**32), missingness=st.booleans())
def test_what_is_missing_adds_nothing(found: tuple[Part, ...], seed: int, missingness: bool) -> None:
    x = rows(found, 6, seed)
    likelihood = Columns(found, numbers="student_t", missingness=missingness).double()
    h = torch.randn(6, *likelihood.shape_in, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    joint = likelihood(h)
    each = joint.log_probs(x)
    torch.testing.assert_close(joint.log_prob(x), each.sum(1))
    torch.testing.assert_close(joint.nats(x), -each.sum(1))
    if not missingness:
        flags, full = x[:, -len(found) :], torch.cat([x[:, : -len(found)], torch.ones(6, len(found), dtype=torch.float64)], 1)
        assert bool((each[flags == 0] == 0).all())
        (slope,) = torch.autograd.grad(joint.log_prob(x).sum(), h)
        for number in range(len(found)):
            (of_part,) = torch.autograd.grad(likelihood(h).log_probs(full)[:, number].sum(), h)
            assert bool((slope[(of_part != 0) & (flags[:, number : number + 1] == 0)] == 0).all())


@QUICK
@given(found=parts, seed=st.integers(0, 2**32))
def test_a_row_of_gaps_has_no_gradient(found: tuple[Part, ...], seed: int) -> None:
    likelihood = Columns(found).double()
    h = torch.randn(2, *likelihood.shape_in, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    nats = likelihood(h).nats(torch.zeros(2, row_width(found), dtype=torch.float64))
    assert nats.tolist() == [0.0, 0.0]
    nats.sum().backward()
    assert h.grad is not None
    assert bool((h.grad == 0).all())
    assert all(bool((p.grad == 0).all()) for p in likelihood.parameters() if p.grad is not None)


@settings(max_examples=10, deadline=None)
@given(found=parts, seed=st.integers(0, 2**32), numbers=st.sampled_from(["gaussian", "student_t"]), missingness=st.booleans())
def test_gradients(found: tuple[Part, ...], seed: int, numbers: str, missingness: bool) -> None:
    x = rows(found, 3, seed)
    likelihood = Columns(found, numbers=numbers, missingness=missingness).double()
    h = torch.randn(3, *likelihood.shape_in, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    learned = list(likelihood.parameters())
    assert torch.autograd.gradcheck(lambda h, *_: likelihood(h).log_prob(x), (h, *learned), fast_mode=True)
    assert torch.autograd.gradcheck(lambda h, *_: likelihood(h).mean, (h, *learned), fast_mode=True)


@QUICK
@given(found=parts, seed=st.integers(0, 2**32))
def test_rows_keep_their_layout(found: tuple[Part, ...], seed: int) -> None:
    x = rows(found, 30, seed)
    likelihood = Columns(found).double()
    joint = likelihood(torch.randn(30, *likelihood.shape_in, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))
    seen = joint.observed(x)
    assert seen.shape == x.shape
    assert bool((x[:, : -len(found)] * (1 - seen[:, : -len(found)]) == 0).all())
    for made in (joint.mean, joint.mode, joint.sample(SharedNoise(seed))):
        assert made.shape == x.shape
        assert bool((made[:, -len(found) :] == 1).all())
        field = Field("row", "columns", (row_width(found),), parts=found)
        for own, place in zip(found, field.slices):
            values = made[:, place]
            assert bool(values.isfinite().all())
            if own.kind in ("category", "boolean"):
                assert bool(((values >= 0) & (values <= 1)).all())
            if own.kind == "category" and made is not joint.mean:
                torch.testing.assert_close(values.sum(1), torch.ones(30, dtype=torch.float64))
            if own.kind == "angle":
                assert bool((values.square().sum(1) <= 1 + 1e-9).all())
            if own.kind == "count":
                assert bool(((values * own.divisor + own.offset) >= -1e-9).all())


@QUICK
@given(found=parts, seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_hiding_takes_whole_columns(found: tuple[Part, ...], seed: int, share: float) -> None:
    x = rows(found, 50, seed)
    damaged = HideColumns(found, share)(x, GeneratorNoise(torch.Generator().manual_seed(seed)))
    flags, before = damaged[:, -len(found) :], x[:, -len(found) :]
    gone = (flags == 0) & (before == 1)
    for number, place in enumerate(Field("row", "columns", (row_width(found),), parts=found).slices):
        assert bool((damaged[gone[:, number], place] == 0).all())
        assert torch.equal(damaged[~gone[:, number], place], x[~gone[:, number], place])
    for i, a in enumerate(found):
        for j, b in enumerate(found):
            if a.column == b.column:
                both = (before[:, i] == 1) & (before[:, j] == 1)
                assert torch.equal(gone[both, i], gone[both, j])


def test_the_share_hidden_is_kept_and_varies_from_row_to_row() -> None:
    found = [Part(str(i), "number", 1, str(i)) for i in range(40)]
    x = torch.ones(2000, 80)
    for share, reach in ((0.3, 0.3), (0.8, 0.2), (0.0, 0.0), (1.0, 0.0)):
        hidden = 1 - HideColumns(found, share)(x, GeneratorNoise(torch.Generator().manual_seed(0)))[:, 40:].mean(1)
        assert float(hidden.mean()) == pytest.approx(share, abs=0.02)
        expected = math.sqrt(reach**2 / 3 + (share * (1 - share) - reach**2 / 3) / 40)
        assert float(hidden.std()) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"kind": "colour"}, "kind must be one of"),
        ({"kind": "category", "width": 1}, "a width of 1 does not fit"),
        ({"kind": "angle"}, "a width of 1 does not fit"),
        ({"divisor": 0.0}, "divisor above 0"),
        ({"offset": math.nan}, "finite"),
    ],
)
def test_wrong_parts_are_refused(given_: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Part(**{"name": "x", "kind": "number", "width": 1, "column": "x", **given_})  # pyright: ignore[reportArgumentType]


def test_wrong_fields_of_columns_are_refused() -> None:
    one = (Part("x", "number", 1, "x"),)
    for shape, kind, found in (((3,), "columns", one), ((1,), "columns", ()), ((2,), "numbers", one)):
        with pytest.raises(ConfigError, match="do not fit the kind"):
            Field("row", kind, shape, parts=found)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="not a field"):
        Field.from_json({"name": "row", "kind": "columns", "shape": [2], "parts": [{"nonsense": 1}]})
    with pytest.raises(ConfigError, match="not a field"):
        Field.from_json({"name": "row", "kind": "columns", "shape": [2], "parts": [7]})


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"parts": []}, "at least one part"),
        ({"numbers": "laplace"}, "numbers must be one of gaussian, student_t"),
        ({"counts": "binomial"}, "counts must be one of negative_binomial, poisson"),
        ({"scale": "one"}, "scale must be a positive number or one of per_value, predicted"),
        ({"scale": 0.0}, "scale must be a positive number"),
    ],
)
def test_wrong_likelihoods_are_refused(given_: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Columns(**{"parts": [Part("x", "number", 1, "x")], **given_})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="no column to hide"):
        HideColumns([])
