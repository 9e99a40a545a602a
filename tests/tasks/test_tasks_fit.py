"""Fitting as a task: what is refused, what is remembered, and what is left when training breaks."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus import __version__
from isthmus.data import Source, from_any
from isthmus.errors import ConfigError, DataError, TrainingError
from isthmus.tasks.codes import reconstruct
from isthmus.tasks.config import Config
from isthmus.tasks.demo import digits as load_digits
from isthmus.tasks.fit import fit, split
from isthmus.tasks.reading import digest
from isthmus.training import AutogradStep


@pytest.fixture(scope="module")
def table(cancer) -> Source:
    return Source("table", cancer[:200], tuple(f"x{i}" for i in range(30)), name="cancer")


def test_what_is_remembered(table) -> None:
    artifact = fit(table, Config(steps=20, held_out=0.25))
    facts = artifact.facts
    assert facts["isthmus"] == __version__
    assert (facts["data"], facts["rows"], facts["training rows"], facts["held-out rows"]) == ("cancer", 200, 150, 50)
    assert facts["digest"] == digest(table)
    assert facts["training"] == {"stopped": "steps", "steps": 20, "kept step": 20}
    assert artifact.config["steps"] == 20


def test_the_same_settings_give_the_same_model(table) -> None:
    first, second = (fit(table, Config(family="variational", steps=30, seed=5)) for _ in range(2))
    for name, tensor in first.model.state_dict().items():
        assert bool((tensor == second.model.state_dict()[name]).all())
    repeated = fit(table, Config.from_mapping(first.config))
    assert repeated.history.column("held_out") == first.history.column("held_out")


def test_rows_are_held_out_once_and_by_the_seed() -> None:
    training, held_out = split(100, 0.2, 3)
    assert sorted([*training, *held_out]) == list(range(100))
    assert len(held_out) == 20
    assert np.array_equal(held_out, split(100, 0.2, 3)[1])
    assert not np.array_equal(held_out, split(100, 0.2, 4)[1])
    assert len(split(2, 0.9, 0)[0]) == 1


def test_a_share_that_leaves_one_row_to_train_with_is_named() -> None:
    with pytest.raises(ConfigError, match=r"held_out \(0.99\) leaves one of 30 rows to train with"):
        fit(Source("table", np.eye(30, 3)), Config(held_out=0.99))


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.ones((30, 3)), "constant"),
        (np.full((1, 3), 2.5), "one row"),
        (np.eye(30, 3) * 1e300, "32-bit"),
    ],
    ids=["constant", "one row", "huge"],
)
def test_data_that_teach_nothing(array, told) -> None:
    with pytest.raises(DataError, match=told):
        fit(Source("table", array), Config(steps=5, scaling="none" if told == "32-bit" else None, held_out=0.0))


def test_columns_that_are_constant_do_no_harm_beside_others(cancer) -> None:
    with_constant = np.column_stack([cancer[:100, :3], np.full(100, 7.0)])
    artifact = fit(Source("table", with_constant), Config(steps=300, latent=2))
    rebuilt = artifact.restore(artifact.model.reconstruct(artifact.prepare(Source("table", with_constant))))
    assert np.abs(rebuilt[:, 3] - 7).max() < 1


def test_a_wide_code_warns_but_is_fitted(table) -> None:
    with pytest.warns(UserWarning, match=r"the code \(40\) is wider than a row \(30\)"):
        assert fit(table, Config(latent=40, steps=5)).model.latent == 40


def test_a_model_beyond_the_memory_is_refused_before_it_is_made(table) -> None:
    with pytest.raises(ConfigError, match=r"parameters: to train it takes about [\d,]+ GB"):
        fit(table, Config(hidden=(10**9, 10**9)))


class _Breaking(AutogradStep):
    """A step that gives NaN from step 120 on."""

    def __call__(self, x, target, context):
        found = super().__call__(x, target, context)
        return {name: value * float("nan") for name, value in found.items()} if context.step >= 120 else found


def test_training_that_breaks_leaves_the_best_model(table) -> None:
    with pytest.raises(TrainingError, match=r"at step 120; the best weights so far \(step 100\)") as caught:
        fit(table, Config(steps=400, evaluate_every=50), engine=_Breaking)
    kept = caught.value.artifact
    assert kept.facts["training"]["stopped"] == "diverged"
    assert kept.facts["training"]["kept step"] == 100
    assert kept.history.column("step") == [50, 100]
    whole = fit(table, Config(steps=400, evaluate_every=50, patience=99), engine=AutogradStep)
    assert kept.history.column("held_out") == whole.history.column("held_out")[:2]


def test_the_digits_of_the_demo_are_real() -> None:
    source, labels = load_digits()
    assert source.array.shape == (1797, 8, 8, 1)
    assert (float(source.array.min()), float(source.array.max())) == (0.0, 1.0)
    assert len(np.unique(labels)) == 10


@pytest.mark.parametrize("channels", [2, 5])
def test_pictures_of_any_number_of_channels_are_fitted(channels: int) -> None:
    pictures = np.random.default_rng(0).random((40, 17, 16, channels)).astype(np.float32)
    source = from_any(pictures)
    assert any(f"{channels} channels" in note for note in source.notes)
    artifact = fit(source, Config(family="variational", steps=5))
    assert artifact.config["network"] == "conv"
    assert reconstruct(artifact, source).shape == pictures.shape
