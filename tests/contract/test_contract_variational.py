"""Options of the variational kin, conditions, and what is refused."""

from __future__ import annotations

import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus.artifact import Artifact
from isthmus.bottlenecks import Deterministic, FullGaussian, Gaussian, VectorQuantised, VonMisesFisherCode
from isthmus.data import Condition, Source
from isthmus.distributions import Delta, GeneratorNoise, Normal
from isthmus.distributions.full_normal import FullNormal
from isthmus.errors import ConfigError, DataError
from isthmus.families import FAMILIES, Architecture, conditioned, get
from isthmus.families.latents import POSTERIORS, PRIORS
from isthmus.fields import Field
from isthmus.likelihoods import Bernoulli, Multinomial
from isthmus.models import Autoencoder
from isthmus.nn import MLP, materialise
from isthmus.objectives import ELBO, IWAE, MMD, Adversarial, Commitment, Context, Regularised, Renyi, TotalCorrelation
from isthmus.priors import AutoregressiveCodes, Mixture, StandardNormal, TwoLevelPrior, UniformSphere, Vamp
from isthmus.tasks import codes
from isthmus.tasks.config import Config
from isthmus.tasks.evaluate import evaluate
from isthmus.tasks.fit import build, fit
from isthmus.tasks.sample import sample
from isthmus.training import TrainingConfig
from isthmus.training import fit as train

NUMBERS = Field("x", "numbers", (12,))
UNIT = Field("x", "numbers", (12,), "unit")
PICTURE = Field("x", "picture", (9, 8, 2), "unit")
QUICK = {"steps": 20, "batch": 32, "evaluate_every": 10, "device": "cpu"}


def rows(field: Field) -> torch.Tensor:
    return torch.rand(64, *field.shape, generator=torch.Generator().manual_seed(0))


def falls(model: Any, objective: Any, x: torch.Tensor) -> None:
    config = TrainingConfig(steps=80, batch=32, learning_rate=3e-3, evaluate_every=10, device="cpu")
    history = train(model, objective, x, config=config).history
    assert history[-1]["train"] < history[0]["train"]


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_posteriors(posterior: str) -> None:
    falls(*build(NUMBERS, Config(family="vae", posterior=posterior, latent=4)), rows(NUMBERS))


@pytest.mark.parametrize("prior", PRIORS)
def test_priors(prior: str) -> None:
    falls(*build(NUMBERS, Config(family="vae", prior=prior, components=5)), rows(NUMBERS))


OPTIONS = [
    ("vae", {"adversarial": 1.0}),
    ("vae", {"kl_warmup": 20, "cycles": 2}),
    ("beta_vae", {"capacity": 2.0, "beta": 5.0}),
    ("iwae", {"alpha": 0.5, "draws": 3}),
    ("iwae", {"posterior": "iaf"}),
    ("iwae", {"posterior": "sphere", "latent": 3}),
    ("vqvae", {"latent": 6, "code_width": 3, "codebook": 5}),
    ("fsq", {"levels": (3, 4, 5)}),
    ("ladder", {"latent": 5, "top": 2, "free_bits": 0.1}),
    ("rae", {"penalty": "gradient", "smoothness": 0.01}),
    ("wae", {"weight": 50.0}),
    ("vamp", {"components": 3}),
]


@pytest.mark.parametrize(("family", "options"), OPTIONS, ids=[f"{name} {next(iter(options))}" for name, options in OPTIONS])
def test_options(family: str, options: dict[str, Any]) -> None:
    model, objective = build(UNIT, Config(family=family, **options))
    falls(model, objective, rows(UNIT))
    if "levels" in options:
        assert model.latent == 3


WRONG = [
    ("vae", {"posterior": "banana"}, "unknown posterior 'banana'; choose one of gaussian"),
    ("vae", {"prior": "banana"}, "unknown prior 'banana'; choose one of normal"),
    ("vae", {"posterior": "sphere", "prior": "flow"}, "has a uniform prior of its own"),
    ("vae", {"posterior": "full", "prior": "vamp"}, "prior='vamp' needs posterior='gaussian'"),
    ("vae", {"posterior": "sphere", "latent": 1}, "at least 2"),
    ("vae", {"posterior": "categories", "latent": 7, "architecture": Architecture()}, None),
    ("vae", {"posterior": "categories", "latent": 11}, "multiple of categories"),
    ("vae", {"prior": "flow", "latent": 1}, "latent of at least 2"),
    ("vae", {"prior": "mixture", "components": 0}, "components must lie between 1"),
    ("vae", {"cycles": -1}, "cycles must be at least 0"),
    ("vae", {"adversarial": -1.0}, "must be at least 0"),
    ("beta_vae", {"capacity": -1.0}, "capacity, weight and rise must be at least 0"),
    ("tc_vae", {"beta": 0.5}, "beta must be at least 1"),
    ("iwae", {"draws": 0}, "number of draws k must be at least 1"),
    ("iwae", {"alpha": float("inf")}, "alpha finite"),
    ("wae", {"weight": -1.0}, "'mmd' must be at least 0"),
    ("vqvae", {"latent": 5, "code_width": 2}, "multiple of the width"),
    ("vqvae", {"codebook": 1}, "codebook must be at least 2"),
    ("vqvae", {"commitment": -1.0}, "'commitment' must be at least 0"),
    ("fsq", {"levels": (1,)}, "levels must be at least 2"),
    ("fsq", {"levels": (3, 3), "latent": 3}, "levels must be one number, or one for each of the 3"),
    ("hyperspherical", {"latent": 1}, "at least 2 for a code on the sphere"),
    ("ladder", {"latent": 4, "top": 4}, "top must lie between 1 and latent - 1 (3)"),
    ("ladder", {"latent": 1}, "a ladder needs two levels"),
    ("rae", {"penalty": "l7"}, "unknown penalty 'l7'; choose one of l2, gradient"),
    ("rae", {"weight": -1.0}, "must be at least 0"),
]


@pytest.mark.parametrize(("family", "options", "message"), WRONG, ids=[f"{w[0]} {next(iter(w[1]))} {n}" for n, w in enumerate(WRONG)])
def test_wrong_values_are_named(family: str, options: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert get(family)([NUMBERS], **options)[0].latent == 7
        return
    with pytest.raises(ConfigError, match=re.escape(message)):
        get(family)([NUMBERS], **options)


def plain(bottleneck: Any, prior: Any) -> Autoencoder:
    return materialise(
        Autoencoder(MLP((5,), (bottleneck.inputs,)), bottleneck, MLP((bottleneck.latent,), (1, 5)), Bernoulli((5,)), prior), 0
    )


UNFIT = [
    (Deterministic(3), StandardNormal(3), ELBO(), "needs a bottleneck that is a distribution, not one that returns Delta"),
    (Gaussian(3), UniformSphere(3), ELBO(), "lies on the domain 'sphere', but the bottleneck's codes on 'real'"),
    (VonMisesFisherCode(3), StandardNormal(3), ELBO(), "lies on the domain 'real'"),
    (FullGaussian(3), Vamp(3, (5,), 2), ELBO(), "the VampPrior needs a Gaussian bottleneck"),
    (FullGaussian(3), StandardNormal(3), ELBO() + TotalCorrelation(), "the total correlation needs a Gaussian bottleneck"),
    (Gaussian(3), StandardNormal(3), ELBO() + Commitment(), "needs the bottleneck VectorQuantised"),
    (Gaussian(3), None, ELBO(), "needs a model with a prior"),
    (Gaussian(3), None, IWAE(), "needs a model with a prior"),
    (Gaussian(3), None, Renyi(), "needs a model with a prior"),
    (Gaussian(3), None, MMD(), "needs a model with a prior"),
]


@pytest.mark.parametrize(("bottleneck", "prior", "objective", "message"), UNFIT)
def test_parts_that_do_not_go_together_say_so(bottleneck: Any, prior: Any, objective: Any, message: str) -> None:
    context = Context(training=True, noise=GeneratorNoise(torch.Generator().manual_seed(0)))
    with pytest.raises(ConfigError, match=re.escape(message)):
        objective(plain(bottleneck, prior), torch.ones(4, 5), context=context)


def test_priors_that_need_a_model_say_so() -> None:
    with pytest.raises(ConfigError, match="not bound to a bottleneck"):
        AutoregressiveCodes(2, (3,)).sample(2, GeneratorNoise(torch.Generator()))
    with pytest.raises(ConfigError, match="not bound to a ladder"):
        TwoLevelPrior(2).log_prob(torch.zeros(1, 2))
    with pytest.raises(ConfigError, match="not bound to an encoder"):
        Vamp(2, (3,)).log_prob(torch.zeros(1, 2))
    with pytest.raises(ConfigError, match="needs a bottleneck of"):
        plain(Gaussian(2), AutoregressiveCodes(2, (3, 3)))
    with pytest.raises(ConfigError, match="needs the bottleneck Ladder"):
        plain(Gaussian(2), TwoLevelPrior(2))
    with pytest.raises(ConfigError, match="by its indices"):
        AutoregressiveCodes(2, (3, 3)).log_prob(torch.zeros(1, 2))
    quantising = plain(VectorQuantised(2, codebook=3, width=1), AutoregressiveCodes(2, (3, 3)))
    with pytest.raises(ConfigError, match="needs a quantising bottleneck"):
        quantising.prior.divergence(Normal(torch.zeros(1, 2)), torch.zeros(1, 2))
    assert isinstance(quantising.encode(torch.ones(1, 5)), Delta)


def test_singular_covariances_are_refused() -> None:
    with pytest.raises(ConfigError, match="covariance of row 1 is singular"):
        FullNormal.of_covariance(torch.zeros(2, 2), torch.stack([torch.eye(2), torch.ones(2, 2)]))


def test_scores_of_a_bound_of_many_draws_are_the_same_each_time() -> None:
    digits = Source("table", np.random.default_rng(0).random((80, 6)))
    fitted = fit(digits, Config(family="iwae", latent=2, **QUICK))
    np.testing.assert_array_equal(codes.score(fitted, digits), codes.score(fitted, digits))
    np.testing.assert_allclose(codes.score(fitted, digits.take(slice(0, 1))), codes.score(fitted, digits)[:1], atol=1e-4)


# The critic


def test_the_critic_learns_at_its_own_rate_and_both_sides_keep_their_gradients(tmp_path: Path) -> None:
    def parts(rate: float) -> tuple[Any, Any]:
        model, _ = get("undercomplete")([UNIT], latent=2)
        objective = ELBO() + Adversarial((12,), hidden=(8,), weight=1.0, rate=rate)
        model = Autoencoder(MLP((12,), (4,)), Gaussian(2), MLP((2,), (1, 12)), model.likelihood, StandardNormal(2))
        return materialise(model, 0), materialise(objective, 1)

    context = Context(training=True, noise=GeneratorNoise(torch.Generator().manual_seed(0)))
    model, objective = parts(1.0)
    terms = objective(model, rows(UNIT), context=context)
    terms["adversarial"].mean().backward(retain_graph=True)
    assert all(p.grad is None for p in objective.parameters())
    assert model.decoder.linears[0].weight.grad.abs().sum() > 0
    model.zero_grad()
    terms["critic"].mean().backward()
    assert all(p.grad is not None for p in objective.parameters())
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    moved = {}
    config = TrainingConfig(steps=5, batch=32, learning_rate=1e-3, schedule="constant", device="cpu")
    for rate in (1.0, 0.1):
        model, objective = parts(rate)
        before = objective.parts[1].critic.linears[0].weight.clone()
        train(model, objective, rows(UNIT), config=config, checkpoint=tmp_path / f"run{rate}")
        moved[rate] = float((objective.parts[1].critic.linears[0].weight - before).detach().abs().mean())
    assert 5 < moved[1.0] / moved[0.1] < 20


def test_a_run_with_a_critic_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    def run(steps: int, resume: bool = False) -> Any:
        torch.manual_seed(0)
        objective = materialise(ELBO() + Adversarial((12,), hidden=(8,), rate=0.5), 1)
        model = materialise(get("vae")([UNIT], latent=2)[0], 0)
        config = TrainingConfig(steps=60, batch=32, evaluate_every=20, device="cpu")
        stop = [Stops(steps)]
        train(model, objective, rows(UNIT), config=config, callbacks=stop, checkpoint=tmp_path / "run", resume=resume)
        return model, objective

    run(20)
    halves = run(60, resume=True)
    (tmp_path / "run").unlink()
    whole = run(60)
    for a, b in zip(halves, whole):
        for name, tensor in a.state_dict().items():
            assert torch.equal(tensor, b.state_dict()[name]), name


class Stops:
    """Interrupts a run, as Ctrl-C does, at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def started(self, config: Any, step: int) -> None: ...

    def stepped(self, step: int, terms: Any) -> None: ...

    def evaluated(self, row: Any, better: bool) -> None:
        if row["step"] == self.step < 60:
            signal.raise_signal(signal.SIGINT)

    def finished(self, stopped: str) -> None: ...


# Conditions


def labelled(count: int = 240) -> Source:
    random = np.random.default_rng(0)
    y = random.integers(0, 3, count)
    return Source("table", random.normal(size=(count, 4)) * 0.3 + y[:, None] * 2.0, condition=np.array(["a", "b", "c"])[y])


def test_a_condition_becomes_numbers_and_text_again() -> None:
    known = Condition.fit(np.array([["x", 1.5], ["y", 2.5]], dtype=object))
    assert known.width == 3
    mixed = Condition.fit(np.array([0.5, 1.5, 4.0]))
    np.testing.assert_allclose(mixed.transform([2.0]).ravel(), [(2.0 - 2.0) / np.std([0.5, 1.5, 4.0])], atol=1e-6)
    again = Condition.from_json(known.to_json())
    assert again == known
    whole = Condition.fit(np.array([0.0, 1.0, 2.0]))
    assert whole.transform(np.array([1])).tolist() == [[0, 1, 0]], "0, 1, 2 are classes, as floats too"


BAD = [
    (np.array(["a", "d"]), "the class 'd', which was not there in training; known are a, b, c"),
    (np.array(["a"]), "2 rows but 1 conditions"),
    (np.array(["a", None], dtype=object), "missing in 1 of 2 rows"),
    (np.zeros((2, 2)), "2 columns, but 1 in training"),
    (np.zeros((2, 2, 2)), "one value per row"),
    (None, "this model is conditional"),
]


@pytest.mark.parametrize(("condition", "message"), BAD)
def test_wrong_conditions_are_named(condition: Any, message: str) -> None:
    fitted = fit(labelled(), Config(family="conditional_vae", latent=2, **QUICK))
    with pytest.raises(DataError, match=re.escape(message)):
        fitted.beside(torch.zeros(2, 4), condition)
    with pytest.raises(DataError, match="not there in training"):
        sample(fitted, 3, condition="z")
    with pytest.raises(ConfigError, match="not a condition"):
        Condition.from_json([{"name": 1}])


def test_a_conditional_family_needs_a_condition_and_others_do_not() -> None:
    without = replace(labelled(), condition=None)
    with pytest.raises(DataError, match=r"'conditional_vae' needs the class of each row.*give y"):
        fit(without, Config(family="conditional_vae", **QUICK))
    fitted = fit(without, Config(family="vae", latent=2, **QUICK))
    with pytest.raises(ConfigError, match="knows no condition"):
        sample(fitted, 2, density="prior", condition="a")
    with pytest.raises(DataError, match="rows but"):
        fit(replace(labelled(), condition=np.array(["a"] * 7)), Config(family="conditional_vae", **QUICK))
    with pytest.raises(DataError, match="missing in 1"):
        fit(replace(labelled(), condition=np.array([None, *["a"] * 239], dtype=object)), Config(family="conditional_vae", **QUICK))


def test_rows_are_drawn_for_a_wanted_class_and_classes_found_by_bayes(tmp_path: Path) -> None:
    source = labelled()
    fitted = fit(source, Config(family="conditional_vae", latent=2, steps=400, seed=0, device="cpu"))
    again = Artifact.load(fitted.save(tmp_path / "model"))
    for place, name in enumerate("abc"):
        drawn = sample(again, 200, condition=name, seed=1)
        assert abs(drawn.mean() - 2 * place) < 0.4
    each = np.stack([codes.score(again, replace(source, condition=np.full(len(source), name))) for name in "abc"])
    assert (np.array(list("abc"))[each.argmax(0)] == source.condition).mean() > 0.9
    assert codes.reconstruct(again, source).shape == (240, 4)
    assert np.isfinite(sample(again, 5)).all()


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "linear"])
@pytest.mark.parametrize("field", [UNIT, PICTURE], ids=["vectors", "pictures"])
def test_every_family_takes_a_condition(family: str, field: Field) -> None:
    settings = {"network": "conv"} if field is PICTURE else {}
    model, objective = build(field, Config(family=family, **settings), condition=3, kept=6)
    y = torch.eye(3)[torch.arange(64) % 3]
    x = torch.cat([rows(field).flatten(1), y], dim=1)
    context = Context(step=1, training=True, noise=GeneratorNoise(torch.Generator().manual_seed(0)), corrupt=False)
    terms = objective(model, x, context=context)
    assert all(values.shape == (64,) and bool(values.isfinite().all()) for values in terms.values())
    rebuilt = model.reconstruct(x)
    assert torch.equal(rebuilt[:, -3:], y), "the condition passes unchanged"
    other = model.reconstruct(torch.cat([x[:, :-3], y.roll(1, 1)], dim=1))
    assert not torch.equal(rebuilt[:, :-3], other[:, :-3]), "the condition matters"
    falls(model, objective, x)


@pytest.mark.parametrize("family", ["wae", "vqvae", "fsq"])
def test_points_beside_a_condition_have_no_posterior_to_measure(family: str) -> None:
    fitted = fit(labelled(), Config(family=family, latent=2, **QUICK))
    with pytest.raises(ConfigError, match="is a function of the row"):
        evaluate(fitted, labelled())


def test_codes_and_conditions_are_drawn_together_where_there_is_no_prior() -> None:
    fitted = fit(labelled(), Config(family="rae", latent=2, steps=300, seed=0, device="cpu"))
    drawn = sample(fitted, 300, seed=1, mean=True)
    middle = drawn.mean(1)
    assert (np.abs(middle[:, None] - [0, 2, 4]).min(1) < 0.7).mean() > 0.9, "rows of the three classes, not of mixed ones"
    assert set(np.rint(middle / 2).astype(int).tolist()) == {0, 1, 2}
    one = sample(fitted, 100, seed=1, mean=True, condition="b").mean(1)
    assert (np.abs(one - 2) < 0.7).mean() > 0.9, "rows of one class"


def test_a_bound_of_many_draws_keeps_its_gradient_beside_a_condition() -> None:
    model, objective = build(NUMBERS, Config(family="iwae", latent=2), condition=3, kept=6)
    x = torch.cat([rows(NUMBERS), torch.eye(3)[torch.arange(64) % 3]], dim=1)
    found: list[torch.Tensor] = []
    for doubly in (True, False):
        objective.doubly = doubly
        context = Context(training=True, noise=GeneratorNoise(torch.Generator().manual_seed(0)))
        terms = objective(model, x, context=context)
        loss = (terms["reconstruction"] + terms["kl"]).mean()
        found += [loss.detach(), *torch.autograd.grad(loss, [next(model.encoder.parameters()), next(model.decoder.parameters())])]
    torch.testing.assert_close(found[0], found[3])
    torch.testing.assert_close(found[2], found[5], msg="the decoder's gradient is the same")
    assert not torch.allclose(found[1], found[4], rtol=1e-3), "the encoder's is another estimate"


def test_a_column_of_numbers_beside_one_of_text_stays_numbers() -> None:
    known = Condition.fit(np.array([["x", 1.5], ["y", 2.5], ["x", 9.5]], dtype=object))
    assert [column.width for column in known.columns] == [2, 1]
    assert known.transform([["y", "4.5"]])[0, :2].tolist() == [0, 1]
    np.testing.assert_allclose(known.transform([["y", "4.5"]])[0, 2], 0, atol=1e-6)


def test_a_condition_needs_networks_of_its_own() -> None:
    tied = get("vae")([UNIT], architecture=Architecture(tied=True), likelihood_scale=1.0)[0]
    with pytest.raises(ConfigError, match="leave tied out"):
        conditioned(tied, 2)


def test_pseudo_rows_begin_with_the_conditions_of_rows(tmp_path: Path) -> None:
    fitted = fit(labelled(), Config(family="vamp", latent=2, components=6, steps=300, seed=0, device="cpu"))
    again = Artifact.load(fitted.save(tmp_path / "model"))
    assert again.model.prior.inner.rows.shape == (6, 4 + 3)
    for place, name in enumerate("abc"):
        assert abs(sample(again, 200, condition=name, seed=1).mean() - 2 * place) < 0.6


# Likelihoods


def counts(count: int = 120) -> Source:
    random = np.random.default_rng(0)
    return Source("table", random.multinomial(20, [0.5, 0.2, 0.2, 0.1], size=count).astype(np.float64))


def test_rows_of_counts() -> None:
    fitted = fit(counts(), Config(family="vae", likelihood="multinomial", latent=1, **QUICK))
    drawn = sample(fitted, 50, seed=1, density="prior")
    assert (drawn.sum(1) == 20).all()
    assert (drawn >= 0).all()
    assert np.isfinite(codes.score(fitted, counts())).all()


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
def test_independent_counts_are_explained_and_drawn(likelihood: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    scattered = random.gamma(2.0, 0.5, (400, 1)) if likelihood == "negative_binomial" else 1.0
    source = Source("table", random.poisson(scattered * np.array([0.5, 4.0, 30.0]), (400, 3)).astype(np.float64))
    fitted = fit(source, Config(family="vae", likelihood=likelihood, latent=1, steps=150, seed=0, device="cpu"))
    again = Artifact.load(fitted.save(tmp_path / "model"))
    drawn = sample(again, 400, seed=1)
    assert (drawn == drawn.round()).all()
    assert (drawn >= 0).all()
    np.testing.assert_allclose(drawn.mean(0), source.array.mean(0), rtol=0.25)
    assert np.isfinite(codes.score(again, source)).all()


@pytest.mark.parametrize("likelihood", ["multinomial", "poisson", "negative_binomial"])
def test_what_is_no_count_is_refused(likelihood: str) -> None:
    bad = counts()
    bad.array[3, 1] = -2
    with pytest.raises(DataError, match=rf"'{likelihood}' explains counts, but row \d+ has -2"):
        fit(bad, Config(family="vae", likelihood=likelihood, **QUICK))


def test_likelihoods_of_pictures_and_of_counts_know_their_rows() -> None:
    with pytest.raises(ConfigError, match="rows of counts, not pictures"):
        Multinomial((3, 3, 1))
    for likelihood in ("logistic_mixture", "levels"):
        with pytest.raises(ConfigError, match=r"within \[0, 1\]"):
            get("vae")([NUMBERS], likelihood=likelihood)


def test_the_optimal_scale_is_kept_with_the_model(tmp_path: Path) -> None:
    source = labelled()
    fitted = fit(replace(source, condition=None), Config(family="vae", likelihood_scale="optimal", latent=2, steps=300, device="cpu"))
    again = Artifact.load(fitted.save(tmp_path / "model"))
    np.testing.assert_array_equal(codes.score(again, source), codes.score(fitted, source))
    assert float(again.model.likelihood.log_variance) < -0.5, "it fell below the unit it began with"
    with pytest.raises(ConfigError, match="one, per_value, predicted"):
        get("vae")([NUMBERS], likelihood="laplace", likelihood_scale="optimal")


def test_regularisers_and_mixtures_say_what_they_are() -> None:
    assert Regularised(0.5, 0.25).weights(Context()) == {"code": 0.5, "decoder": 0.25}
    assert materialise(Mixture(2, 3), 0).location.shape == (3, 2)
