"""What every family in the table must do, on every kind of data. A new family is covered by being in the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus.artifact import Artifact
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError
from isthmus.families import FAMILIES, get
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.objectives import Context, Objective
from isthmus.tasks import codes
from isthmus.tasks.config import Config
from isthmus.tasks.fit import build, fit
from isthmus.tasks.sample import sample
from isthmus.training import TrainingConfig
from isthmus.training import fit as train
from isthmus.training.step import weighted

QUICK = {"steps": 20, "batch": 32, "evaluate_every": 10, "device": "cpu"}


def built(case: Any, family: str, seed: int = 0) -> tuple[Autoencoder, Objective]:
    return build(case.field, Config(family=family, seed=seed, **case.settings(family)))


def test_builds_and_maps_rows_to_codes_and_back(case: Any, family: str) -> None:
    model, _ = built(case, family)
    rows = case.rows[:7]
    assert model.encode(rows).mean.shape == (7, model.latent)
    assert model.reconstruct(rows).shape == rows.shape
    assert model.shape == case.field.shape


def test_terms_are_named_finite_and_one_a_row(case: Any, family: str) -> None:
    model, objective = built(case, family)
    noise = GeneratorNoise(torch.Generator().manual_seed(0))
    for context in (Context(), Context(training=True, noise=noise, corrupt=True)):
        terms = objective(model, case.rows[:7], context=context)
        assert set(objective.nats) <= set(terms)
        for name, values in terms.items():
            assert values.shape == (7,), name
            assert bool(values.isfinite().all()), name
        assert set(objective.weights(context)) & set(terms) or not (set(terms) - set(objective.nats))


def test_gradient_reaches_every_parameter(case: Any, family: str) -> None:
    model, objective = built(case, family)
    model, objective = model.train(), objective.train()
    context = Context(step=10**6, training=True, noise=GeneratorNoise(torch.Generator().manual_seed(0)), corrupt=True)
    means = {name: values.mean() for name, values in objective(model, case.rows[:64], context=context).items()}
    weighted(means, objective.weights(context)).backward()
    for part in (model, objective):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name
            assert float(parameter.grad.abs().sum()) > 0, name


def test_training_lowers_the_held_out_loss(case: Any, family: str) -> None:
    model, objective = built(case, family)
    rows = case.rows
    config = TrainingConfig(steps=300, batch=64, learning_rate=5e-3, evaluate_every=10, device="cpu")
    history = train(model, objective, rows[100:], held_out=rows[:100], config=config).history
    assert min(history.column("held_out")) < history[0]["held_out"]
    assert history[-1]["train"] < history[0]["train"]
    with torch.no_grad():
        rebuilt = (model.reconstruct(rows[:100]) - rows[:100]).square().mean()
    assert rebuilt < (rows[:100] - rows[100:].mean(0)).square().mean(), "it rebuilds held-out rows better than the mean row does"


def artifact(case: Any, family: str, **settings: object) -> Artifact:
    return fit(case.source, Config(family=family, **{**QUICK, **case.settings(family), **settings}))


def test_saves_and_loads_bit_equal(case: Any, family: str, tmp_path: Path) -> None:
    fitted = artifact(case, family)
    loaded = Artifact.load(fitted.save(tmp_path / "model"))
    probe = case.source.take(slice(0, 40))
    for use in (codes.encode, codes.reconstruct, codes.score):
        np.testing.assert_array_equal(use(loaded, probe), use(fitted, probe))
    assert loaded.family == family
    assert loaded.history.rows == fitted.history.rows
    assert loaded.config == fitted.config
    assert loaded.facts == fitted.facts
    second = loaded.save(tmp_path / "again")
    for name in ("model.safetensors", "preprocessor.safetensors"):
        assert (second / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_uses_keep_the_data_s_shape_and_type(case: Any, family: str) -> None:
    fitted, probe = artifact(case, family), case.source.take(slice(0, 9))
    rebuilt = codes.reconstruct(fitted, probe)
    assert rebuilt.shape == probe.array.shape
    assert rebuilt.dtype == probe.array.dtype
    assert codes.encode(fitted, probe).shape == (9, fitted.model.latent)
    assert codes.score(fitted, probe).shape == codes.errors(fitted, probe).shape == (9,)
    mean, spread = codes.posterior(fitted, probe)
    # Other numbers of threads, other libraries: sums of some hundred terms, each rounded to 6e-8, in another order.
    np.testing.assert_allclose(mean, codes.encode(fitted, probe), rtol=1e-5, atol=1e-5 * np.abs(mean).max())
    assert (spread >= 0).all()
    np.testing.assert_array_equal(codes.decode(fitted, mean).shape, probe.array.shape)


def test_scores_are_the_same_each_time(case: Any, family: str) -> None:
    fitted, probe = artifact(case, family), case.source.take(slice(0, 50))
    np.testing.assert_array_equal(codes.score(fitted, probe), codes.score(fitted, probe))


def weights(fitted: Artifact) -> dict[str, torch.Tensor]:
    return fitted.model.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_seed_decides_everything(case: Any, family: str) -> None:
    torch.manual_seed(1)
    first = artifact(case, family, seed=3)
    torch.manual_seed(2)
    second = artifact(case, family, seed=3)
    assert same(weights(first), weights(second))
    keep = [name for name in first.history.names if name not in ("seconds", "samples_per_second")]
    assert [first.history.column(n) for n in keep] == [second.history.column(n) for n in keep]
    assert not same(weights(first), weights(artifact(case, family, seed=4)))


def test_samples(case: Any, family: str) -> None:
    fitted = artifact(case, family)
    if fitted.density is None and not FAMILIES[family].generative:
        with pytest.raises(ConfigError, match=f"{family!r} has no prior to draw codes from.*density"):
            sample(fitted, 5)
        return
    for mean in (False, True):
        drawn = sample(fitted, 25, seed=1, mean=mean)
        assert drawn.shape == (25, *case.source.array.shape[1:])
        assert drawn.dtype == case.source.array.dtype
        assert np.isfinite(drawn).all()
        np.testing.assert_array_equal(drawn, sample(fitted, 25, seed=1, mean=mean))
        assert not np.array_equal(drawn, sample(fitted, 25, seed=2, mean=mean))
        if case.field.support == "binary":
            assert set(np.unique(drawn)) <= {0, 1}
    with pytest.raises(ConfigError, match="at least 1"):
        sample(fitted, 0)


@pytest.mark.parametrize("kind", ["unit vectors", "grey pictures"])
@pytest.mark.parametrize("family", [name for name, entry in FAMILIES.items() if entry.generative])
def test_samples_stay_within_the_support_of_the_likelihood(cases: Any, family: str, kind: str) -> None:
    fitted = artifact(cases[kind].known(family), family, likelihood="continuous_bernoulli")
    drawn, top = sample(fitted, 200, seed=1), 1 if kind == "unit vectors" else 255
    assert drawn.min() >= 0
    assert drawn.max() <= top
    assert 0.02 * top < drawn.mean() < 0.98 * top


def test_unknown_options_are_named(family: str) -> None:
    field = Field("x", "numbers", (5,))
    with pytest.raises(ConfigError, match=rf"{family}.*does not take nonsense, other; it takes .*latent"):
        get(family)([field], nonsense=1, other=2)


def test_unknown_settings_are_named(cases: Any, family: str) -> None:
    with pytest.raises(ConfigError, match="unknown setting 'nonsense'"):
        Config.from_mapping({"family": family, "nonsense": 1})
    foreign = next(name for name in ("beta", "corruption") if name not in FAMILIES[family].options)
    with pytest.raises(ConfigError, match=rf"{foreign} does not apply to the family '{family}'"):
        artifact(cases["real table"], family, **{foreign: {"beta": 2.0, "corruption": "masking"}[foreign]})


@pytest.mark.parametrize("latent", [0, -3])
def test_impossible_widths_are_refused(family: str, latent: int) -> None:
    with pytest.raises(ConfigError, match=str(latent)):
        get(family)([Field("x", "numbers", (5,))], latent=latent)


def test_one_field_is_needed(family: str) -> None:
    with pytest.raises(ConfigError, match="one field"):
        get(family)([Field("a", "numbers", (5,)), Field("b", "numbers", (5,))])


@pytest.mark.parametrize("shape", [(1,), (2,), (500,)])
def test_any_width(family: str, shape: tuple[int, ...]) -> None:
    rows = torch.rand(20, *shape, generator=torch.Generator().manual_seed(0))
    model, objective = build(Field("x", "numbers", shape), Config(family=family, seed=0))
    train(model, objective, rows, config=TrainingConfig(steps=2, batch=8, device="cpu"))
    assert bool(model.reconstruct(rows).isfinite().all())
    assert objective(model, rows[:1])["reconstruction"].shape == (1,)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 3), (3, 2, 1), (17, 30, 3)])
def test_any_picture(family: str, shape: tuple[int, ...]) -> None:
    rows = torch.rand(20, *shape, generator=torch.Generator().manual_seed(0))
    settings = {"network": "conv"} if "architecture" in FAMILIES[family].options else {}
    model, objective = build(Field("x", "picture", shape, "unit"), Config(family=family, seed=0, **settings))
    train(model, objective, rows, config=TrainingConfig(steps=2, batch=8, device="cpu"))
    assert model.reconstruct(rows).shape == rows.shape
    assert bool(model.reconstruct(rows).isfinite().all())


def test_tied_weights_train_too(case: Any, family: str) -> None:
    model, objective = build(case.field, Config(family=family, tied=True, likelihood_scale=None, **case.settings(family)))
    untied, _ = built(case, family)
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in untied.parameters())
    config = TrainingConfig(steps=60, batch=64, learning_rate=3e-3, evaluate_every=20, device="cpu")
    history = train(model, objective, case.rows, config=config).history
    assert history[-1]["train"] < history[0]["train"]


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown family 'quantum'; choose one of .*variational"):
        get("quantum")
