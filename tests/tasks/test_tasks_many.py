"""Many models fitted at once are those that are fitted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.artifact import Artifact
from isthmus.data import Source, from_any
from isthmus.errors import ConfigError, DataError, TrainingError
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.tasks.many import fit_many
from isthmus.training import Callback

SHORT = Config(latent=2, steps=60, evaluate_every=20)


@pytest.fixture(scope="module")
def tables(cancer: np.ndarray) -> list[Source]:
    """Four tables of different widths, cut from one."""
    return [from_any(cancer[k::2, : 8 + 3 * k]) for k in range(4)]


def same(one: Artifact, other: Artifact) -> None:
    assert one.config == other.config
    assert one.schema == other.schema
    rounded = ("figures", "density")
    assert {k: v for k, v in one.facts.items() if k not in rounded} == {k: v for k, v in other.facts.items() if k not in rounded}
    codes = "held-out codes, nats"
    assert other.facts["density"][codes] == pytest.approx(one.facts["density"][codes], abs=0.1)
    for name, value in one.facts["figures"].items():
        assert other.facts["figures"][name] == pytest.approx(value, rel=1e-3, abs=1e-4)
    for mine, theirs in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(theirs, mine, rtol=1e-2, atol=2e-4)
    assert one.history.column("held_out") == pytest.approx(other.history.column("held_out"), rel=1e-4)


@pytest.mark.parametrize("family", ["undercomplete", "variational", "denoising", "sparse", "linear"])
def test_one_model_on_each_table(tables, family) -> None:
    config = SHORT.override(family=family) if family != "linear" else Config(family="linear", latent=2)
    config = config.override(latent=40) if family == "sparse" else config
    for source, artifact in zip(tables, fit_many(tables, config), strict=True):
        same(fit(source, config), artifact)


def test_a_grid_on_one_table(tables) -> None:
    configs = [
        SHORT.override(latent=latent, learning_rate=rate, seed=seed) for latent in (2, 3) for rate in (1e-3, 3e-3) for seed in (0, 1)
    ]
    for config, artifact in zip(configs, fit_many(tables[0], configs), strict=True):
        same(fit(tables[0], config), artifact)


def test_what_is_fitted_works_after_saving(tables, tmp_path) -> None:
    for k, artifact in enumerate(fit_many(tables, SHORT)):
        artifact.save(tmp_path / str(k))
        loaded = Artifact.load(tmp_path / str(k))
        rows = artifact.prepare(tables[k])
        assert torch.equal(loaded.model.reconstruct(rows), artifact.model.reconstruct(rows))


def test_each_is_told_as_soon_as_it_is_done(tables) -> None:
    told = []
    found = fit_many(
        tables[0], [SHORT.override(steps=steps) for steps in (60, 20, 40)], told=lambda k, artifact: told.append((k, artifact))
    )
    assert [number for number, _ in told] == [1, 2, 0]
    assert all(found[number] is artifact for number, artifact in told)


def test_one_that_diverges_is_named_and_the_others_are_there(tables) -> None:
    configs = [SHORT, SHORT.override(learning_rate=1e20), Config(family="linear", latent=2)]
    with pytest.raises(TrainingError, match=r"1 of 3 models diverged.*\(model 1\)") as caught:
        fit_many(tables[0], configs)
    outcomes = caught.value.result
    assert isinstance(outcomes, list)
    assert [type(outcome) for outcome in outcomes] == [Artifact, TrainingError, Artifact]
    same(fit(tables[0], SHORT), outcomes[0])


def test_data_that_cannot_be_used_are_named_before_any_training(tables) -> None:
    broken = Source("table", np.full((30, 3), np.nan), name="broken.csv")
    with pytest.raises(DataError, match=r"broken.csv \(model 2\): "):
        fit_many([*tables[:2], broken], SHORT, told=lambda *_: pytest.fail("nothing may be trained"))
    with pytest.raises(ConfigError, match=r"\(model 1\): .*beta"):
        fit_many(tables[:2], [SHORT, SHORT.override(beta=2.0)])


def test_each_has_its_own_callbacks(tables) -> None:
    class Counting(Callback):
        steps = 0

        def stepped(self, step, terms) -> None:
            self.steps = step

    watchers = [Counting(), Counting()]
    fit_many(tables[:2], [SHORT, SHORT.override(steps=30)], callbacks=[[watcher] for watcher in watchers])
    assert [watcher.steps for watcher in watchers] == [60, 30]


def test_lists_must_meet(tables) -> None:
    with pytest.raises(ConfigError, match="4 sources, but 2 configs"):
        fit_many(tables, [SHORT, SHORT])
    with pytest.raises(ConfigError, match="4 models, but 1 entries in callbacks"):
        fit_many(tables, SHORT, callbacks=[[]])
    assert fit_many([]) == []
