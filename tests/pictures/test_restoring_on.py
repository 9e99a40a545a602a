"""Training that was stopped goes on, losses have their effect, attention sees what convolutions cannot, noise is split in two."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

from isthmus.errors import ArtifactError, ConfigError
from isthmus.nn import UNet, materialise, tiled
from isthmus.nn.attention import WindowAttention
from isthmus.objectives.similarity import ms_ssim
from isthmus.training import Callback, TrainingConfig
from isthmus.training.crops import Crops, Lesson, more_noise, thinned
from isthmus.training.features import fit_features
from isthmus.training.picture_loss import PictureLoss, scales_of
from isthmus.training.restoring import fit_restorer

CONFIG = {"learning_rate": 5e-3, "average": 0.9, "device": "cpu"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(random: torch.Generator) -> Lesson:
    """Stripes of random direction and colour, with noise."""
    places = torch.arange(16.0)
    slope = torch.rand(4, 2, 1, 1, generator=random)
    target = (torch.sin(places[:, None] * slope[:, 0] * 2 + places * slope[:, 1] * 2) / 2 + 0.5)[..., None]
    return Lesson(target + 0.2 * torch.randn(target.shape, generator=random), target)


class StopError(Exception):
    pass


class At(Callback):
    """Does something at one step's evaluation, and takes note of how it ended."""

    def __init__(self, step: int, act) -> None:
        self.step, self.act, self.ended = step, act, ""

    def evaluated(self, row, best) -> None:
        if row["step"] == self.step:
            self.act()

    def finished(self, stopped) -> None:
        self.ended = stopped


def killed() -> None:
    raise StopError


def trained(path=None, resume=False, watch=(), steps=40, measure=None, draw=noisy, **more):
    network = materialise(UNet(1, (8,), 1), 0)
    config = TrainingConfig(steps=steps, **CONFIG)
    history = fit_restorer(
        network, draw, config, callbacks=watch, checkpoint=path, resume=resume, measure=measure, data=["stripes"], **more
    )
    return network, history


def same(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters()))


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_stopped_and_resumed_is_as_if_never_stopped(how, tmp_path) -> None:
    whole, history = trained(tmp_path / "whole.state")
    watch = At(20, killed if how == "killed" else lambda: os.kill(os.getpid(), signal.SIGINT))
    if how == "killed":
        with pytest.raises(StopError):
            trained(tmp_path / "state", watch=[watch])
    else:
        stopped, _ = trained(tmp_path / "state", watch=[watch])
        assert watch.ended == "interrupted"
        assert not same(stopped, whole)
    again, other = trained(tmp_path / "state", resume=True)
    assert same(again, whole)
    assert [row["train"] for row in other] == [row["train"] for row in history]


def test_a_finished_run_that_is_resumed_stays_as_it_is(tmp_path) -> None:
    whole, history = trained(tmp_path / "state")
    again, other = trained(tmp_path / "state", resume=True)
    assert same(again, whole)
    assert other.rows == history.rows


def test_interrupted_between_evaluations_the_newest_weights_stay(tmp_path) -> None:
    calls = iter(range(1000))

    def draw(random):
        if next(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return noisy(random)

    watch = At(0, None)
    network, history = trained(tmp_path / "state", watch=[watch], draw=draw, evaluations=2)
    assert watch.ended == "interrupted"
    assert [row["step"] for row in history] == [7]
    assert not same(network, materialise(UNet(1, (8,), 1), 0))
    assert same(trained(tmp_path / "state", resume=True, evaluations=2)[0], trained(evaluations=2)[0])


def test_other_runs_are_not_gone_on_with(tmp_path) -> None:
    with pytest.raises(ArtifactError, match="no checkpoint"):
        trained(tmp_path / "state", resume=True)
    trained(tmp_path / "state")
    with pytest.raises(ArtifactError, match="another run"):
        trained(tmp_path / "state", resume=True, steps=41)


def test_the_best_by_the_measure_is_kept() -> None:
    values = iter([1.0, 5.0, *[2.0] * 8])
    best: list[list[torch.Tensor]] = []
    network = materialise(UNet(1, (8,), 1), 0)

    def measure() -> float:
        value = next(values)
        if value == 5:
            best.append([p.detach().clone() for p in network.parameters()])
        return value

    fit_restorer(network, noisy, TrainingConfig(steps=40, **CONFIG), measure=measure)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), best[0]))


def test_attention_starts_as_nothing_and_tiles_have_no_seams() -> None:
    network = materialise(UNet(1, (8, 16), 1, attention=4), 0)
    x = torch.rand(1, 70, 101, 1, generator=generator())
    assert torch.equal(network(x), materialise(UNet(1, (8, 16), 1), 0)(x))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator(1)))
        torch.testing.assert_close(tiled(network, x, 32), network(x), atol=1e-5, rtol=1e-4)
    moved = x.clone()
    moved[0, 0, 0] += 1
    touched = ((network(moved) - network(x)).abs() > 1e-7)[0, ..., 0].nonzero().max(0).values
    assert 20 < int(touched.max()) <= network.reach + network.multiple
    with pytest.raises(ConfigError, match="divides"):
        WindowAttention(8, 3)


def test_attention_sees_what_convolutions_cannot() -> None:
    """The whole picture is to become as bright as its upper left corner."""

    def draw(random):
        target = torch.rand(8, 1, 1, 1, generator=random).expand(8, 32, 32, 1)
        seen = torch.rand(8, 32, 32, 1, generator=random) * 0.1
        seen[:, :8, :8] = target[:, :8, :8]
        return Lesson(seen, target)

    found = {}
    for heads in (0, 2):
        network = materialise(UNet(1, (8, 16), 1, attention=heads, residual=False), 0)
        fit_restorer(network, draw, TrainingConfig(steps=250, **CONFIG))
        lesson = draw(generator(5))
        found[heads] = float((network(lesson.seen) - lesson.target)[:, 16:].detach().square().mean())
    assert found[2] < 0.2 * found[0]


@pytest.fixture(scope="module")
def photo():
    """Draws parts of two photographs, grey, with noise."""
    from sklearn.datasets import load_sample_images

    crops = Crops([picture.mean(2, keepdims=True) for picture in load_sample_images().images], size=32, batch=8, scale=1 / 255)

    def draw(random):
        target = crops(random).target
        return Lesson(target + 0.15 * torch.randn(target.shape, generator=random), target)

    return draw


@pytest.fixture(scope="module")
def features(photo):
    return {seed: fit_features(photo, 1, steps=100, seed=seed) for seed in (0, 1)}


def test_features_tell_damage_apart_and_learn_no_more(photo, features) -> None:
    x = photo(generator(7)).target
    ways = features[0](torch.cat([x, x + 0.1 * torch.randn(x.shape, generator=generator(3))])).argmax(1) % 3
    assert (ways[8:] == 2).float().mean() > 0.8
    assert (ways[:8] == 2).float().mean() < 0.2
    assert not any(p.requires_grad for p in features[0].parameters())
    assert torch.equal(features[0].distance(x, x), torch.zeros(8))
    little, much = (features[0].distance(x, x + share * torch.randn(x.shape, generator=generator(4))) for share in (0.02, 0.1))
    assert bool((little > 0).all())
    assert bool((much > 2 * little).all())


def test_each_loss_brings_its_own_measure_nearer(photo, features) -> None:
    """Perception is judged by features of another seed, too: the network was not taught by those."""
    losses = {"mse": PictureLoss(), "ms_ssim": PictureLoss(ms_ssim=0.2), "perceptual": PictureLoss(perceptual=0.01, features=features[0])}
    lesson = Lesson(*(torch.cat([photo(generator(100 + i))[part] for i in range(8)]) for part in (0, 1)))
    found = {}
    for name, loss in losses.items():
        network = materialise(UNet(1, (16,), 1), 0)
        fit_restorer(network, photo, TrainingConfig(steps=200, learning_rate=2e-3, average=0.9, device="cpu"), loss=loss)
        with torch.no_grad():
            made = network(lesson.seen)
            structure = float(ms_ssim(made, lesson.target, scales=2).mean())
            found[name] = (structure, *(float(judge.distance(made, lesson.target).mean()) for judge in features.values()))
    assert found["ms_ssim"][0] > found["mse"][0] + 0.05
    assert found["perceptual"][1] < 0.92 * found["mse"][1]
    assert found["perceptual"][2] < 0.97 * found["mse"][2]


def test_losses_refuse() -> None:
    with pytest.raises(ConfigError, match="features"):
        PictureLoss(perceptual=1.0)
    with pytest.raises(ConfigError, match="at least 0"):
        PictureLoss(ms_ssim=-1.0)


@pytest.mark.parametrize(("side", "scales"), [(1, 1), (11, 1), (20, 1), (21, 2), (64, 3), (160, 4), (161, 5), (400, 5)])
def test_as_many_scales_as_there_is_room_for(side, scales) -> None:
    x = torch.zeros(1, side, side + 7, 1)
    assert scales_of(x) == scales
    if side >= 11:
        assert float(ms_ssim(x, x, scales=scales_of(x))) == pytest.approx(1)


def test_split_noise_is_independent_and_the_mean_is_that_of_the_clean_picture() -> None:
    clean = torch.full((1, 400, 400, 1), 0.5)
    x = clean + 0.2 * torch.randn(clean.shape, generator=generator())
    lesson = more_noise(x, 0.2, generator(1), 0.5)
    noise = torch.stack([lesson.seen.flatten(), lesson.target.flatten()]) - 0.5
    assert float(noise.std(1)[0]) == pytest.approx(0.2 * np.sqrt(1.25), rel=0.02)
    assert float(noise.std(1)[1]) == pytest.approx(0.2 * np.sqrt(5), rel=0.02)
    assert abs(float(torch.corrcoef(noise)[0, 1])) < 0.02
    assert float(lesson.target.mean()) == pytest.approx(0.5, abs=0.01)


def test_thinned_photons_are_independent_and_none_is_lost() -> None:
    counts = torch.poisson(torch.full((1, 400, 400, 1), 20.0), generator=generator())
    lesson = thinned(counts / 40, 40.0, generator(1), 0.8)
    torch.testing.assert_close(lesson.seen * 32 + lesson.target * 8, counts)
    parts = torch.stack([lesson.seen.flatten(), lesson.target.flatten()])
    assert abs(float(torch.corrcoef(parts)[0, 1])) < 0.02
    assert parts.mean(1).tolist() == pytest.approx([0.5, 0.5], rel=0.01)
    assert float(parts[1].var() * 8 / 0.5) == pytest.approx(1, rel=0.03)
