"""What must hold for all inputs, tried on many."""

from __future__ import annotations

import csv
import io
import json
import math
from contextlib import suppress
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus.bottlenecks import TopK
from isthmus.distributions import ContinuousBernoulli, Distribution, GeneratorNoise, Laplace, Normal, SharedNoise
from isthmus.errors import ConfigError
from isthmus.families import FAMILIES, Architecture, get
from isthmus.fields import Field
from isthmus.nn import MLP, ConvDecoder, ConvEncoder, initialise
from isthmus.nn.conv import sizes
from isthmus.spec import from_spec, to_spec
from isthmus.training import History, TrainingConfig, nats
from isthmus.training.order import Order

QUICK = settings(max_examples=40, deadline=None)
reals = st.floats(-5, 5)


def integral(distribution: Distribution, low: float, high: float) -> float:
    """Simpson's rule on 4,001 points for a distribution with one value a row."""
    x = torch.linspace(low, high, 4001, dtype=torch.float64)
    density = distribution.log_prob(x[:, None]).exp()
    weights = torch.ones_like(x)
    weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
    return float((density * weights).sum() * (high - low) / 4000 / 3)


def wide(value: float) -> Tensor:
    return torch.full((4001, 1), value, dtype=torch.float64)


@QUICK
@given(location=reals, log_scale=st.floats(-2, 2))
def test_normal_integrates_to_one(location: float, log_scale: float) -> None:
    reach = 12 * math.exp(log_scale)
    assert integral(Normal(wide(location), log_scale), location - reach, location + reach) == pytest.approx(1, abs=1e-9)


@QUICK
@given(location=reals, log_scale=st.floats(-2, 2))
def test_laplace_integrates_to_one(location: float, log_scale: float) -> None:
    """Over each side of its kink, on which Simpson's rule is exact to 1e-8."""
    reach, distribution = 40 * math.exp(log_scale), Laplace(wide(location), wide(log_scale))
    total = integral(distribution, location - reach, location) + integral(distribution, location, location + reach)
    assert total == pytest.approx(1, abs=1e-7)


@QUICK
@given(logit=st.one_of(st.floats(-60, 60), st.floats(-0.1, 0.1)))
def test_continuous_bernoulli_integrates_to_one(logit: float) -> None:
    assert integral(ContinuousBernoulli(wide(logit)), 0, 1) == pytest.approx(1, abs=1e-8)


@QUICK
@given(logits=st.lists(st.floats(-90, 90, width=32), min_size=1, max_size=20), seed=st.integers(0, 2**32))
def test_continuous_bernoulli_draws_lie_within_zero_and_one(logits: list[float], seed: int) -> None:
    distribution = ContinuousBernoulli(torch.tensor([logits]))
    for noise in (GeneratorNoise(torch.Generator().manual_seed(seed)), SharedNoise(seed), SharedNoise(seed, mirrored=True)):
        draw = distribution.sample(noise)
        assert bool(((draw >= 0) & (draw <= 1)).all())
    assert bool(((distribution.mean >= 0) & (distribution.mean <= 1)).all())


@QUICK
@given(seed=st.integers(0, 2**40), shape=st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_mirrored_noise_is_opposite_and_within_range(seed: int, shape: list[int]) -> None:
    like = torch.empty(shape, dtype=torch.float64)
    assert torch.equal(SharedNoise(seed).normal(like), -SharedNoise(seed, mirrored=True).normal(like))
    low, high = SharedNoise(seed).uniform(like), SharedNoise(seed, mirrored=True).uniform(like)
    torch.testing.assert_close(low + high, torch.ones_like(like))
    assert bool(((low >= 0) & (low < 1) & (high >= 0) & (high < 1)).all())
    assert bool((low == low[:1]).all())


def test_uniform_numbers_stay_below_one_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the mirror image of 0 nor rounding may give 1."""
    for drawn in (0.0, 1 - 1e-15):
        monkeypatch.setattr(torch, "rand", lambda *a, drawn=drawn, **k: torch.full((1, 2), drawn, dtype=torch.float64))
        for mirrored in (False, True):
            found = SharedNoise(0, mirrored).uniform(torch.empty(3, 2))
            assert found.dtype == torch.float32
            assert float(found.max()) < 1


@QUICK
@given(rows=st.integers(1, 6), parts=st.integers(1, 5), seed=st.integers(0, 2**40), width=st.integers(1, 4))
def test_parts_of_a_batch_get_the_numbers_of_the_whole(rows: int, parts: int, seed: int, width: int) -> None:
    whole = GeneratorNoise(torch.Generator().manual_seed(seed))
    like = torch.empty(rows, width)
    for draw in ("normal", "uniform"):
        pieces = [getattr(GeneratorNoise(torch.Generator().manual_seed(seed), part, parts), draw)(like) for part in range(parts)]
        expected = getattr(GeneratorNoise(torch.Generator().manual_seed(seed)), draw)(torch.empty(rows * parts, width))
        assert torch.equal(torch.cat(pieces), expected)
    assert whole.normal(like).shape == like.shape


fields = st.one_of(
    st.builds(Field, st.text(max_size=5), st.just("numbers"), st.tuples(st.integers(1, 40)), st.sampled_from(["real", "unit", "binary"])),
    st.builds(
        Field,
        st.text(max_size=5),
        st.just("picture"),
        st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4)),
        st.sampled_from(["real", "unit", "binary"]),
    ),
)


@QUICK
@given(field=fields)
def test_fields_come_back_from_json(field: Field) -> None:
    assert Field.from_json(json.loads(json.dumps(field.to_json()))) == field


SMALLEST_CODE = {"ladder": 2, "hyperspherical": 2}  # two levels; a sphere


@QUICK
@given(
    field=fields,
    family=st.sampled_from(sorted(FAMILIES)),
    latent=st.integers(1, 30),
    hidden=st.lists(st.integers(1, 20), max_size=3),
    tied=st.booleans(),
)
def test_models_come_back_from_their_text(field: Field, family: str, latent: int, hidden: list[int], tied: bool) -> None:
    latent = max(latent, SMALLEST_CODE.get(family, 1))
    options = {"latent": latent, "tied": tied, "architecture": Architecture(hidden=tuple(hidden), tied=tied, network="mlp")}
    with torch.device("meta"):
        parts = get(family)([field], **{name: value for name, value in options.items() if name in get(family).options})
        for part in parts:
            text = json.dumps(to_spec(part))
            again = from_spec(json.loads(text))
            assert json.dumps(to_spec(again)) == text
            assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in part.state_dict().items()}


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["type", "latent", "shape_in", "parts", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)
NAMES = [
    "model.autoencoder",
    "network.mlp",
    "network.tied_conv",
    "network.conv_encoder",
    "bottleneck.topk",
    "objective.sum",
    "likelihood.gaussian",
    "os.system",
]


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    arguments=st.dictionaries(
        st.sampled_from(["latent", "k", "shape_in", "shape_out", "channels", "hidden", "parts", "shape", "scale", "encoder"]),
        json_values,
        max_size=5,
    ),
)
def test_text_that_describes_no_part_is_refused_in_words(name: str, arguments: dict[str, object]) -> None:
    """Any other error than a ConfigError fails."""
    with torch.device("meta"), suppress(ConfigError):
        from_spec({"type": name, **arguments})


@QUICK
@given(rows=st.integers(1, 60), batch=st.integers(1, 70), seed=st.integers(0, 2**32), start=st.integers(0, 30))
def test_an_epoch_shows_no_row_twice_and_resumes_anywhere(rows: int, batch: int, seed: int, start: int) -> None:
    order = Order(rows, batch, seed)
    used, per_epoch = min(rows, batch), rows // min(rows, batch)
    batches = [next(order) for _ in range(start + 2 * per_epoch)]
    assert all(len(found) == used for found in batches)
    for epoch in range(len(batches) // per_epoch):
        seen = torch.cat(batches[epoch * per_epoch : (epoch + 1) * per_epoch])
        assert len(set(seen.tolist())) == per_epoch * used
        assert set(seen.tolist()) <= set(range(rows))
        if rows % used == 0:
            assert sorted(seen.tolist()) == list(range(rows)), "each row exactly once"
    resumed = Order(rows, batch, seed, step=start)
    assert all(torch.equal(next(resumed), expected) for expected in batches[start:])


@QUICK
@given(seed=st.integers(0, 2**42))
def test_epochs_differ(seed: int) -> None:
    order = Order(100, 100, seed)
    assert not torch.equal(next(order), next(order))
    assert order.epoch == 2


def test_left_out_rows_come_in_other_epochs() -> None:
    order = Order(7, 3, seed=0)
    assert set(torch.cat([next(order) for _ in range(20)]).tolist()) == set(range(7))


rows_of_numbers = st.lists(
    st.dictionaries(st.sampled_from(["step", "train", "held_out", "kl"]), st.floats(allow_nan=False), max_size=4), max_size=8
)


@QUICK
@given(rows=rows_of_numbers)
def test_history_is_a_table(rows: list[dict[str, float]]) -> None:
    history = History(rows)
    assert len(history) == len(rows)
    assert list(history) == rows
    for name in history.names:
        found = history.column(name)
        assert all((name not in row and math.isnan(value)) or row.get(name) == value for row, value in zip(rows, found))
    read = list(csv.DictReader(io.StringIO(history.to_csv())))
    if history.names:
        assert [{k: float(v) for k, v in row.items() if v} for row in read] == rows


def test_history_as_a_data_frame() -> None:
    pytest.importorskip("pandas")
    frame = History([{"step": 1.0, "train": 2.0}, {"step": 2.0, "train": 1.0, "kl": 0.5}]).to_pandas()
    assert list(frame.columns) == ["step", "train", "kl"]
    assert frame["kl"].isna().tolist() == [True, False]


configs = st.builds(
    TrainingConfig,
    steps=st.integers(1, 200),
    warmup=st.integers(0, 250),
    schedule=st.sampled_from(["cosine", "linear", "constant"]),
    learning_rate=st.floats(1e-6, 1.0),
)


@QUICK
@given(config=configs)
def test_rates_rise_to_the_peak_and_never_again(config: TrainingConfig) -> None:
    rates = [config.rate(step) for step in range(config.steps)]
    assert all(0 < rate <= config.learning_rate * (1 + 1e-12) for rate in rates)
    rising, falling = rates[: config.warmup], rates[config.warmup :]
    assert all(a < b for a, b in pairwise(rising))
    assert all(a >= b for a, b in pairwise(falling))
    if falling:
        assert falling[0] == pytest.approx(config.learning_rate)


@pytest.mark.parametrize(("schedule", "half"), [("cosine", 0.5), ("linear", 0.5), ("constant", 1.0)])
def test_rates_half_way(schedule: str, half: float) -> None:
    config = TrainingConfig(steps=110, warmup=10, schedule=schedule, learning_rate=2.0)
    assert config.rate(4) == pytest.approx(1.0)
    assert config.rate(60) == pytest.approx(2 * half)
    assert config.rate(110) == pytest.approx(0.0 if schedule != "constant" else 2.0)


@QUICK
@given(side=st.integers(1, 3000), stages=st.integers(0, 12))
def test_sizes_halve_and_round_up(side: int, stages: int) -> None:
    assert sizes(side, stages) == [math.ceil(side / 2**k) for k in range(stages + 1)]


@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4)), channels=st.lists(st.integers(1, 5), max_size=3))
def test_convolutions_take_any_picture(shape: tuple[int, int, int], channels: list[int]) -> None:
    z = ConvEncoder(shape, (3,), channels)(torch.zeros(2, *shape))
    assert ConvDecoder((3,), (2, *shape), channels)(z).shape == (2, 2, *shape)


@QUICK
@given(rows=st.lists(st.lists(st.floats(-10, 10, width=32), min_size=6, max_size=6), min_size=1, max_size=5), k=st.integers(1, 6))
def test_topk_activates_at_most_k(rows: list[list[float]], k: int) -> None:
    h = torch.tensor(rows)
    code = TopK(6, k)(h).mean
    assert int((code != 0).sum(1).max()) <= k
    assert bool((code >= 0).all())
    assert bool(((code == 0) | (code == h)).all())


SCORED = {family: get(family)([Field("x", "numbers", (8,))], latent=5) for family in FAMILIES}
for number, (scored, _) in enumerate(SCORED.values()):
    initialise(scored.double().eval(), torch.Generator().manual_seed(number))


@settings(max_examples=15, deadline=None)
@given(family=st.sampled_from(sorted(FAMILIES)), rows=st.integers(2, 40), seed=st.integers(0, 2**32))
def test_scores_do_not_depend_on_the_neighbours(family: str, rows: int, seed: int) -> None:
    """Permuted, split or alone: within 1e-12 in float64, because a matrix product may round by its size."""
    model, objective = SCORED[family]
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 8, generator=generator, dtype=torch.float64)
    order = torch.randperm(rows, generator=generator)
    together = nats(model, objective, x)
    cut = rows // 2
    exact = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(nats(model, objective, x[order]), together[order], **exact)
    torch.testing.assert_close(torch.cat([nats(model, objective, x[:cut]), nats(model, objective, x[cut:])]), together, **exact)
    torch.testing.assert_close(nats(model, objective, x[-1:]), together[-1:], **exact)
    assert torch.equal(nats(model, objective, x), together)


def test_scores_of_a_distribution_are_averaged_over_draws() -> None:
    """More draws come nearer to the exact expectation, and mirrored pairs are used."""
    model, objective = SCORED["variational"]
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    best = nats(model, objective, x, draws=4000, seed=99)
    errors = [float((nats(model, objective, x, draws=draws) - best).abs().mean()) for draws in (2, 16, 256)]
    assert errors[0] > errors[1] > errors[2]


def test_numbers_never_come_from_the_process_wide_generator() -> None:
    layers = MLP((3,), (2,))
    before = torch.get_rng_state()
    GeneratorNoise(torch.Generator().manual_seed(0)).normal(torch.empty(3, 2))
    SharedNoise(0).uniform(torch.empty(3, 2))
    initialise(layers, torch.Generator().manual_seed(0))
    next(Order(5, 2, seed=0))
    assert torch.equal(torch.get_rng_state(), before)
