"""Distributions of mixed columns against SciPy's, and their joint against a loop over rows and parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from isthmus.distributions import Categorical, GeneratorNoise, Joint, NegativeBinomial, Poisson, StudentT, VonMises
from isthmus.distributions.joint import UNSEEN
from isthmus.fields import Part
from isthmus.likelihoods import Columns

RANDOM = np.random.default_rng(0)
NEAR = {"rtol": 1e-10, "atol": 1e-10}


def tensor(values: object) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


def test_student_t() -> None:
    x, location = 5 * RANDOM.normal(size=(40, 3)), RANDOM.normal(size=(40, 3))
    log_scale, freedom = np.array([-1.0, 0.0, 1.3]), np.array([0.7, 3.0, 200.0])
    found = StudentT(tensor(location), tensor(log_scale), tensor(np.log(freedom))).log_probs(tensor(x))
    torch.testing.assert_close(found, tensor(stats.t.logpdf(x, freedom, location, np.exp(log_scale))), **NEAR)


def test_poisson() -> None:
    count, mean = RANDOM.poisson(20, size=(40, 3)), RANDOM.gamma(2, 10, size=(40, 3))
    count[0] = 0, 1, 5000
    torch.testing.assert_close(Poisson(tensor(np.log(mean))).log_probs(tensor(count)), tensor(stats.poisson.logpmf(count, mean)), **NEAR)


def test_negative_binomial() -> None:
    count, mean, size = RANDOM.poisson(20, size=(40, 3)), RANDOM.gamma(2, 10, size=(40, 3)), np.array([0.2, 3.0, 800.0])
    count[0] = 0, 1, 5000
    found = NegativeBinomial(tensor(np.log(mean)), tensor(np.log(size))).log_probs(tensor(count))
    torch.testing.assert_close(found, tensor(stats.nbinom.logpmf(count, size, size / (size + mean))), **NEAR)


def test_von_mises() -> None:
    angle, ahead, kappa = RANDOM.uniform(-np.pi, np.pi, 60), RANDOM.uniform(-np.pi, np.pi, 60), np.geomspace(1e-3, 300, 60)
    natural = tensor(kappa[:, None, None] * np.stack([np.cos(ahead), np.sin(ahead)], -1)[:, None])
    found = VonMises(natural).log_probs(tensor(np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]))[:, 0]
    torch.testing.assert_close(found, tensor(stats.vonmises.logpdf(angle, kappa, ahead)), **NEAR)


def test_the_mean_of_von_mises() -> None:
    kappa = np.array([0.01, 1.0, 30.0, 400.0])
    angles = np.linspace(-np.pi, np.pi, 200_001)[:-1]
    expected = [np.average(np.cos(angles), weights=stats.vonmises.pdf(angles, k)) for k in kappa]
    found = VonMises(tensor(np.stack([0 * kappa, kappa], -1))).mean
    torch.testing.assert_close(found, tensor(np.stack([0 * kappa, expected], -1)), **NEAR)
    assert VonMises(torch.zeros(1, 2)).mean.tolist() == [[0.0, 0.0]]


def test_categorical() -> None:
    logits = RANDOM.normal(size=(40, 5))
    choice = RANDOM.integers(5, size=40)
    expected = logits[np.arange(40), choice] - np.log(np.exp(logits).sum(1))
    torch.testing.assert_close(Categorical(tensor(logits)).log_prob(tensor(np.eye(5)[choice])), tensor(expected), **NEAR)


PARTS = (
    Part("colour", "category", 4, "colour"),
    Part("size", "number", 1, "size"),
    Part("visits", "count", 1, "visits", offset=0.8, divisor=0.6),
    Part("hour", "angle", 2, "time"),
    Part("shape", "category", 7, "shape"),
    Part("paid", "boolean", 1, "paid"),
    Part("trend", "number", 1, "time"),
    Part("kind", "category", 2, "kind"),
    Part("week", "angle", 2, "time"),
    Part("errors", "count", 1, "errors", offset=2.0, divisor=1.5),
    Part("town", "category", 6, "town"),
    Part("old", "boolean", 1, "old"),
)


def observed() -> list[list[object]]:
    """Forty rows of one entry a part: a number, a count, an angle, a category's slot; None where it is missing."""
    draw = {
        "number": RANDOM.normal,
        "count": lambda: int(RANDOM.poisson(4)),
        "boolean": lambda: int(RANDOM.integers(2)),
        "angle": lambda: float(RANDOM.uniform(0, 6)),
    }
    return [
        [
            None if RANDOM.random() < 0.2 else int(RANDOM.integers(part.width)) if part.kind == "category" else draw[part.kind]()
            for part in PARTS
        ]
        for _ in range(40)
    ]


def encoded(rows: list[list[object]]) -> Tensor:
    """The rows as a model sees them."""
    found = []
    for row in rows:
        values: list[float] = []
        for part, entry in zip(PARTS, row):
            if entry is None:
                values += [0.0] * part.width
            elif part.kind == "angle":
                values += [math.cos(entry), math.sin(entry)]
            elif part.kind == "category":
                values += [float(slot == entry) for slot in range(part.width)]
            else:
                values.append((math.log1p(entry) - part.offset) / part.divisor if part.kind == "count" else entry)
        found.append([*values, *(float(entry is not None) for entry in row)])
    return tensor(found)


def expected(joint: Joint, rows: list[list[object]]) -> np.ndarray:
    """Log probabilities by a loop over rows and parts, from the joint's own parameters."""
    plan = joint.layout.plan
    found = np.zeros((len(rows), len(PARTS)))
    for i, row in enumerate(rows):
        for j, (part, entry) in enumerate(zip(PARTS, row)):
            if entry is None:
                continue
            if part.kind == "number":
                k = plan.numbers.index(j)
                found[i, j] = stats.norm.logpdf(entry, joint.numbers.location[i, k], joint.numbers.scale[i, k])
            elif part.kind == "count":
                k = plan.counts.index(j)
                mean, size = float(joint.counts.log_mean[i, k].exp()), float(joint.counts.log_size[k].exp())
                found[i, j] = stats.nbinom.logpmf(entry, size, size / (size + mean))
            elif part.kind == "boolean":
                p = 1 / (1 + math.exp(-joint.booleans.logits[i, plan.booleans.index(j)]))
                found[i, j] = math.log(p if entry else 1 - p)
            elif part.kind == "angle":
                cos, sin = joint.angles.natural[i, plan.angles.index(j)].tolist()
                found[i, j] = stats.vonmises.logpdf(entry, math.hypot(cos, sin), math.atan2(sin, cos))
            else:
                b = next(b for b, bucket in enumerate(plan.buckets) if j in bucket.parts)
                logits = joint.categories[b].logits[i, plan.buckets[b].parts.index(j), : part.width - 1].numpy()
                share = np.exp(logits) / np.exp(logits).sum()
                found[i, j] = math.log(UNSEEN if entry == 0 else share[entry - 1] * (1 - UNSEEN))
    return found


@pytest.mark.parametrize("missingness", [False, True])
def test_joint(missingness: bool) -> None:
    likelihood = Columns(PARTS, missingness=missingness).double()
    with torch.no_grad():
        for parameter in likelihood.parameters():
            parameter.copy_(tensor(RANDOM.normal(size=parameter.shape)))
        rows = observed()
        x = encoded(rows)
        h = tensor(RANDOM.normal(size=(len(rows), *likelihood.shape_in)))
        joint = likelihood(h)
        found = joint.log_probs(x)
        wanted = expected(joint, rows)
        if missingness:
            p = 1 / (1 + np.exp(-joint.flags.logits.numpy()))
            wanted += np.log(np.where(x[:, -len(PARTS) :].numpy() == 1, p, 1 - p))
    torch.testing.assert_close(found, tensor(wanted), **NEAR)
    torch.testing.assert_close(joint.log_prob(x), tensor(wanted.sum(1)), **NEAR)


def test_counts_come_back_from_single_precision() -> None:
    part = Part("n", "count", 1, "n", offset=3.1, divisor=0.7)
    counts = torch.tensor([0, 1, 2, 3, 17, 999, 12_345, 100_000], dtype=torch.float64)
    scaled = ((counts.log1p() - part.offset) / part.divisor).float()
    joint = Columns([part])(torch.zeros(len(counts), 1))
    assert torch.equal(joint._count(scaled[:, None])[:, 0], counts)


def test_draws_follow_their_parts() -> None:
    """Frequencies of 20,000 draws within five standard errors of what the distribution says."""
    likelihood = Columns(PARTS, missingness=True)
    h = torch.randn(1, *likelihood.shape_in, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        joint = likelihood(h.expand(20_000, -1))
        drawn, mean = joint.sample(GeneratorNoise(torch.Generator().manual_seed(1))), joint.mean[0]
    width = joint.layout.width
    flags = drawn[:, width:]
    torch.testing.assert_close(flags.mean(0), joint.flags.mean[0], atol=5 * 0.5 / 141, rtol=0)
    place = 0
    for number, part in enumerate(PARTS):
        values = drawn[flags[:, number] == 1, place : place + part.width]
        assert bool((drawn[flags[:, number] == 0, place : place + part.width] == 0).all())
        if part.kind != "count":
            error = 5 * values.std(0) / len(values) ** 0.5 + 2 * UNSEEN
            assert bool(((values.mean(0) - mean[place : place + part.width]).abs() < error).all()), part.name
        place += part.width


def quantiles_agree(drawn: np.ndarray, cdf: object) -> None:
    assert stats.kstest(drawn, cdf).pvalue > 1e-4


def test_draws_of_numbers_angles_and_counts() -> None:
    noise = GeneratorNoise(torch.Generator().manual_seed(0))
    zeros = torch.zeros(5000, 1, dtype=torch.float64)
    quantiles_agree(StudentT(zeros + 1, 0.5, tensor([math.log(2.5)])).sample(noise)[:, 0].numpy(), stats.t(2.5, 1, math.exp(0.5)).cdf)
    for kappa in (1e-4, 0.5, 8.0, 5000.0):
        drawn = VonMises(torch.cat([zeros, zeros + kappa], 1)).sample(noise)
        torch.testing.assert_close(drawn.square().sum(1), torch.ones(5000, dtype=torch.float64))
        angle = np.arctan2(drawn[:, 1].numpy(), drawn[:, 0].numpy())
        turned = np.mod(angle - np.pi / 2 + np.pi, 2 * np.pi) - np.pi
        quantiles_agree(turned, stats.vonmises(kappa).cdf)
    for mean, size in ((0.05, 0.5), (3.0, 2.0), (40_000.0, 5.0)):
        for law, known in (
            (Poisson(zeros + math.log(mean)), stats.poisson(mean)),
            (NegativeBinomial(zeros + math.log(mean), tensor([math.log(size)])), stats.nbinom(size, size / (size + mean))),
        ):
            drawn = law.sample(noise)[:, 0].numpy()
            assert (drawn == drawn.round()).all()
            assert drawn.min() >= 0
            edges = np.unique(known.ppf(np.linspace(0, 1, 9)[1:-1]))
            counted = np.diff([0, *(np.mean(drawn <= edge) for edge in edges), 1])
            likely = np.diff([0, *known.cdf(edges), 1])
            assert stats.chisquare(5000 * counted[likely > 0], 5000 * likely[likely > 0]).pvalue > 1e-4


def test_modes() -> None:
    mean = np.array([0.3, 2.7, 40.2])
    counts = np.arange(200)[:, None]
    assert Poisson(tensor(np.log(mean))).mode.tolist() == stats.poisson.pmf(counts, mean).argmax(0).tolist()
    size = np.array([3.0, 0.5, 8.0])
    found = NegativeBinomial(tensor(np.log(mean)), tensor(np.log(size))).mode.tolist()
    assert found == stats.nbinom.pmf(counts, size, size / (size + mean)).argmax(0).tolist()
    assert Categorical(tensor([[0.0, 2.0, 1.0]])).mode.tolist() == [[0.0, 1.0, 0.0]]
    torch.testing.assert_close(VonMises(tensor([[3.0, -4.0]])).mode, tensor([[0.6, -0.8]]))
