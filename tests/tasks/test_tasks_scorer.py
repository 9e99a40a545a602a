"""The anomaly score: deterministic, the same whatever comes along, honest about rows it has not seen, and better than trivial ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from isthmus.errors import ConfigError, DataError
from isthmus.tasks import scorer as module
from isthmus.tasks.conformal import Conformal
from isthmus.tasks.scorer import Scorer
from isthmus.tasks.scorer_fold import score
from isthmus.tasks.scorer_parts import Neighbours, Tail
from isthmus.training.denoisers import Denoisers, Recipe, train


def curve(n, rng, noise=0.05):
    """Rows near a curve in six dimensions, standardised by what is known of them."""
    t = rng.uniform(-1, 1, n)
    rows = np.stack([t, t**2, np.sin(3 * t), np.cos(3 * t), t**3, -t], 1) + noise * rng.normal(size=(n, 6))
    return ((rows - rows.mean(0)) / rows.std(0)).astype(np.float32)


def auroc(healthy, strange):
    return np.mean(strange[:, None] > healthy[None])


@pytest.fixture(scope="module")
def fitted():
    return Scorer.fit(curve(300, np.random.default_rng(0)), seed=1)


@pytest.fixture(scope="module")
def large():
    return Scorer.fit(curve(2600, np.random.default_rng(3)), seed=1)


def test_same_seed_same_scores(fitted):
    rows = curve(50, np.random.default_rng(2))
    again = Scorer.fit(curve(300, np.random.default_rng(0)), seed=1)
    other = Scorer.fit(curve(300, np.random.default_rng(0)), seed=2)
    np.testing.assert_array_equal(fitted.score(rows), again.score(rows))
    assert not np.allclose(fitted.score(rows), other.score(rows))


@pytest.mark.parametrize("which", ["fitted", "large"])
def test_a_row_alone_scores_as_in_company(which, request):
    scorer = request.getfixturevalue(which)
    rows = curve(700, np.random.default_rng(2))
    alone = np.concatenate([scorer.score(rows[i : i + 1]) for i in range(0, 700, 25)])
    np.testing.assert_allclose(scorer.score(rows)[::25], alone, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scorer.score(rows[::-1])[::-1], scorer.score(rows), rtol=1e-4, atol=1e-4)


def test_score_is_the_mean_over_folds(fitted):
    rows = curve(20, np.random.default_rng(2))
    folds = fitted.score_folds(rows)
    assert folds.shape == (5, 20)
    np.testing.assert_array_equal(fitted.score(rows), folds.mean(0))


def test_calibration_rows_are_scored_as_if_they_were_new():
    rows = curve(60, np.random.default_rng(0))
    scorer = Scorer.fit(rows, seed=4)
    scores, fold = scorer.calibration
    assert np.bincount(fold).tolist() == [12] * 5
    assert sorted(scorer.held.tolist()) == list(range(60))
    for k, row, value in zip(fold.tolist(), scorer.held.tolist(), scores.tolist(), strict=True):
        others = Neighbours(torch.tensor(np.delete(rows, row, axis=0)))
        found = score([replace(scorer.folds[k], neighbours=others)], torch.tensor(rows[row : row + 1]), None)
        assert found[0, 0] == pytest.approx(value, rel=1e-4)


def test_the_models_of_a_fold_do_not_depend_on_its_calibration_rows():
    rows = curve(100, np.random.default_rng(0))
    scorer = Scorer.fit(rows, seed=4)
    changed = rows.copy()
    changed[scorer.held[scorer.calibration[1] == 2]] = 50
    again = Scorer.fit(changed, seed=4)
    for k in range(5):
        same = [torch.equal(a, b) for a, b in zip(scorer.folds[k].nets.weights, again.folds[k].nets.weights, strict=True)]
        assert all(same) if k == 2 else not any(same)
        assert torch.equal(scorer.folds[k].metric, again.folds[k].metric) == (k == 2)


def test_among_polluted_rows_nothing_of_a_fold_depends_on_its_calibration_rows():
    rows = curve(100, np.random.default_rng(0))
    scorer = Scorer.fit(rows, seed=4, polluted=True)
    changed = rows.copy()
    changed[scorer.held[scorer.calibration[1] == 2]] = 50
    fresh = curve(20, np.random.default_rng(8))
    np.testing.assert_array_equal(scorer.score_folds(fresh)[2], Scorer.fit(changed, seed=4, polluted=True).score_folds(fresh)[2])


def test_large_tables_are_split_once(large):
    scores, fold = large.calibration
    assert len(large.folds) == 1
    assert len(scores) == module.LEAST_HELD
    assert set(fold) == {0}


def rates(sample, fresh, splits, alphas=(0.05, 0.1)):
    """Share of fresh healthy rows at or below each level, mean and standard error over splits."""
    found = []
    for seed in range(splits):
        rng = np.random.default_rng(seed)
        scorer = Scorer.fit(sample(rng), seed=seed)
        p = Conformal.of(*scorer.calibration).p_values(scorer.score_folds(fresh(rng)))
        found.append([np.mean(p <= alpha) for alpha in alphas])
    return np.mean(found, 0), np.std(found, 0, ddof=1) / np.sqrt(splits)


def test_false_alarms_come_at_the_asked_rate(monkeypatch):
    monkeypatch.setattr(module, "HEALTHY", Recipe(hidden=(16, 4, 16), steps=60))
    mean, error = rates(lambda rng: rng.normal(size=(80, 4)), lambda rng: rng.normal(size=(400, 4)), 25)
    assert np.all(mean < [0.05 + 3 * error[0], 0.1 + 3 * error[1]])
    assert np.all(mean > [0.025, 0.06])


def test_state_comes_back_the_same(fitted):
    rows = curve(30, np.random.default_rng(5))
    rows[0] += 5
    config, arrays = fitted.state()
    again = Scorer.from_state(json.loads(json.dumps(config)), {name: array.copy() for name, array in arrays.items()})
    np.testing.assert_array_equal(again.score_folds(rows), fitted.score_folds(rows))
    np.testing.assert_array_equal(again.calibration, fitted.calibration)
    np.testing.assert_array_equal(again.explain(rows), fitted.explain(rows))


def test_missing_values_add_nothing(fitted):
    rows = curve(200, np.random.default_rng(6))
    broken, present = rows.copy(), np.ones(rows.shape, bool)
    broken[:, 2] = 8.0
    present[:, 2] = False
    assert fitted.score(broken).min() > np.quantile(fitted.score(rows), 0.9)
    hidden = fitted.score(broken, present)
    np.testing.assert_array_equal(hidden, fitted.score(rows * present, present))
    assert np.median(hidden) < np.quantile(fitted.score(rows), 0.9)
    contributions, expected = fitted.explain(broken[:5], present[:5])
    assert np.all(contributions[:, 2] == 0)
    assert np.isfinite(expected).all()


def test_learns_from_rows_with_gaps():
    rng = np.random.default_rng(0)
    rows, present = curve(400, rng), rng.random((400, 6)) > 0.2
    scorer = Scorer.fit(rows * present, present=present)
    restored = Scorer.from_state(*scorer.state())
    fresh, strange = curve(200, rng), curve(200, rng)
    strange[:, 3] = rng.permutation(strange[:, 3])
    assert auroc(scorer.score(fresh), scorer.score(strange)) > 0.8
    np.testing.assert_array_equal(restored.score(strange, present[:200]), scorer.score(strange, present[:200]))


def test_a_new_value_of_a_constant_column_is_strange():
    rows = curve(200, np.random.default_rng(0))
    rows[:, 4] = 0
    scorer = Scorer.fit(rows)
    fresh = curve(100, np.random.default_rng(1))
    fresh[:, 4] = 0
    moved = fresh.copy()
    moved[:, 4] = 1
    assert scorer.score(moved).min() > scorer.score(fresh).max()
    assert np.isfinite(scorer.score(moved * 1e30)).all()
    assert np.all(scorer.explain(moved[:20])[0].argmax(1) == 4)


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((2, 1)),
        np.arange(2.0)[:, None],
        np.arange(3.0)[:, None] * np.ones(2),
        np.ones((50, 3)),
        np.repeat(np.eye(4), 20, 0),
        np.random.default_rng(0).normal(size=(30, 60)),
    ],
    ids=["two equal rows", "two rows", "three rows", "all equal", "duplicates", "more columns than rows"],
)
@pytest.mark.parametrize("polluted", [False, True])
def test_odd_tables(rows, polluted):
    scorer = Scorer.fit(rows, polluted=polluted)
    scores = scorer.score(np.concatenate([rows, rows + 7]))
    assert np.isfinite(scores).all()
    assert scores[: len(rows)].max() < scores[len(rows) :].min()
    assert np.isfinite(scorer.calibration[0]).all()
    assert len(scorer.calibration[0]) == len(rows)
    assert scorer.score(rows[:0]).shape == (0,)
    contributions, expected = scorer.explain(rows[:1] + 7)
    assert np.isfinite(contributions).all()
    assert np.isfinite(expected).all()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"rows": np.zeros((1, 2))}, DataError, "at least 2"),
        ({"rows": np.zeros((0, 2))}, DataError, "at least 2"),
        ({"rows": np.zeros((5, 0))}, DataError, "at least one column"),
        ({"rows": np.zeros(5)}, DataError, "table"),
        ({"rows": np.array([[0.0], [np.nan]])}, DataError, "present"),
        ({"rows": np.zeros((5, 2)), "present": np.ones((5, 1), bool)}, DataError, "one flag for each value"),
        ({"rows": np.zeros((5, 2)), "contamination": 0.6, "polluted": True}, ConfigError, "0.6"),
        ({"rows": np.zeros((5, 2)), "contamination": 0.1}, ConfigError, "polluted=True"),
        ({"rows": np.zeros((5, 2)), "members": 1}, ConfigError, "members"),
        ({"rows": np.zeros((5, 2)), "seed": -1}, ConfigError, "seed"),
    ],
)
def test_refusals_say_what_is_wrong(arguments, error, words):
    with pytest.raises(error, match=words):
        Scorer.fit(**arguments)


def test_refuses_rows_of_another_width(fitted):
    with pytest.raises(DataError, match="6"):
        fitted.score(np.zeros((3, 5)))


def test_finds_rows_off_the_curve_that_no_column_betrays(fitted):
    rng = np.random.default_rng(7)
    healthy, strange = curve(300, rng), curve(300, rng)
    strange[:, 2:] = rng.permutation(strange[:, 2:])  # each column as in healthy rows; only what goes with what is wrong
    far = auroc((healthy**2).sum(1), (strange**2).sum(1))
    assert far < 0.65
    assert auroc(fitted.score(healthy), fitted.score(strange)) > 0.9


def test_contributions_name_the_wrong_column_and_what_it_should_be(fitted):
    rng = np.random.default_rng(7)
    healthy = curve(60, rng)
    column = rng.integers(0, 6, 60)
    strange = healthy.copy()
    strange[np.arange(60), column] += np.where(rng.random(60) < 0.5, -4, 4)
    contributions, expected = fitted.explain(strange)
    assert np.mean(contributions.argmax(1) == column) > 0.85
    assert contributions.min() >= 0
    error = np.abs(expected - healthy)[np.arange(60), column]
    assert np.median(error) < 0.4


def test_trimming_keeps_anomalies_from_being_learned():
    rng = np.random.default_rng(0)
    cluster = (3 + 0.1 * rng.normal(size=(40, 6))).astype(np.float32)
    rows = np.concatenate([curve(360, rng), cluster])
    fresh = curve(300, rng)
    trimmed, plain = (Scorer.fit(rows, polluted=polluted) for polluted in (True, False))
    assert auroc(trimmed.score(fresh), trimmed.score(cluster)) > 0.95
    assert auroc(plain.score(fresh), plain.score(cluster)) < auroc(trimmed.score(fresh), trimmed.score(cluster))


def test_watch_hears_of_the_steps():
    heard = []
    Scorer.fit(curve(50, np.random.default_rng(0)), watch=lambda done, of: heard.append((done, of)))
    assert heard[-1] == (module.STEPS_OF_FOLD, module.STEPS_OF_FOLD)


def test_beats_simple_scores_on_real_tables(real_data):
    from sklearn.metrics import roc_auc_score
    from sklearn.neighbors import NearestNeighbors

    gains = []
    for name in ("40_vowels", "14_glass", "43_WDBC"):
        with np.load(real_data / "adbench" / f"{name}.npz") as file:
            rows, labels = file["X"].astype(float), file["y"]
        normal = np.random.default_rng(0).permutation(np.flatnonzero(labels == 0))
        fitted, scored = normal[: len(normal) // 2], np.r_[normal[len(normal) // 2 :], np.flatnonzero(labels)]
        rows = (rows - rows[fitted].mean(0)) / rows[fitted].std(0)
        ours = roc_auc_score(labels[scored], Scorer.fit(rows[fitted]).score(rows[scored]))
        far = NearestNeighbors(n_neighbors=5).fit(rows[fitted]).kneighbors(rows[scored])[0].mean(1)
        gains.append(ours - roc_auc_score(labels[scored], far))
    assert np.mean(gains) > 0


def test_gradients_are_those_of_the_loss():
    """A step by hand follows autograd's gradient."""
    generator = torch.Generator().manual_seed(0)
    from isthmus.training.denoisers import _Trainer

    recipe = Recipe(hidden=(5, 2, 5), batch=7)
    trainer = _Trainer(3, 4, recipe, generator)
    target = torch.randn(3, 7, 4, generator=generator)
    trainer.inputs[0].copy_(torch.randn(3, 7, 4, generator=generator))
    torch.sub(trainer.forward(), target, out=trainer.coming[-1]).mul_(2 / 7)
    trainer.backward()
    leaves = [p.clone().requires_grad_() for p in (*trainer.nets.weights, *trainer.nets.biases)]
    nets = Denoisers([w.detach() for w in leaves[:4]], [b.detach() for b in leaves[4:]])
    h = trainer.inputs[0]
    for k in range(4):
        h = torch.baddbmm(leaves[4 + k], h, leaves[k])
        h = h if k in nets.linear else h.relu()
    ((h - target) ** 2).sum(2).mean(1).sum().backward()
    for leaf, gradient in zip(leaves, (*trainer.of_weights, *trainer.of_biases)):
        torch.testing.assert_close(gradient, leaf.grad, rtol=1e-4, atol=1e-5)


def test_denoisers_learn_the_curve():
    rows = torch.from_numpy(curve(500, np.random.default_rng(0)))
    bags = torch.arange(500).repeat(2, 1)
    short, long = (train(rows, bags, Recipe(hidden=(32, 4, 32), steps=steps), seed=0) for steps in (5, 300))
    errors = [((nets(rows) - rows) ** 2).mean() for nets in (short, long)]
    assert errors[1] < 0.05 < errors[0]


def test_tails_rise_and_are_exact_where_they_are_known():
    values = np.random.default_rng(0).exponential(size=20_000)
    tail = Tail.fit(values)
    at = np.linspace(0, 20, 200)
    assert np.all(np.diff(tail(at)) > 0)
    np.testing.assert_allclose(tail(at), at, rtol=0.06, atol=0.05)


@pytest.mark.parametrize("gaps", [False, True])
def test_distances_are_over_columns_observed_in_both(gaps):
    rng = np.random.default_rng(0)
    rows, points = rng.normal(size=(20, 5)), rng.normal(size=(9, 5))
    here, there = (rng.random(x.shape) > 0.3 if gaps else np.ones(x.shape, bool) for x in (rows, points))
    shared = here[:, None] & there[None]
    expected = (shared * (rows[:, None] - points[None]) ** 2).sum(2).min(1)
    masks = [torch.tensor(mask, dtype=torch.float32) if gaps else None for mask in (here, there)]
    neighbours = Neighbours(torch.tensor(points * there, dtype=torch.float32), masks[1])
    found = neighbours.nearest(torch.tensor(rows * here, dtype=torch.float32), masks[0])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
