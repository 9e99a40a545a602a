"""Crops, blind spots, and the training of networks that give pictures back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.errors import ConfigError, DataError, TrainingError
from isthmus.nn import UNet, materialise
from isthmus.training import Callback, TrainingConfig
from isthmus.training.crops import Crops, Lesson, blind_spots
from isthmus.training.restoring import PictureLoss, fit_restorer


def numbered(height: int, width: int, start: int = 0) -> np.ndarray:
    """A picture of which each pixel has its own value."""
    return (start + np.arange(height * width)).reshape(height, width, 1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_crops_are_parts_of_the_pictures_and_reach_everywhere() -> None:
    pictures = [numbered(9, 12), numbered(20, 10, 1000)]
    crops, random, seen = Crops(pictures, size=8, batch=16, turns="none"), generator(), set()
    for _ in range(100):
        for crop in crops(random).seen[..., 0].numpy():
            source = pictures[int(crop[0, 0] >= 1000)][..., 0]
            top, left = np.argwhere(source == crop[0, 0])[0]
            np.testing.assert_array_equal(crop, source[top : top + 8, left : left + 8])
            seen |= set(crop.ravel().tolist())
    assert len(seen) == 9 * 12 + 20 * 10


@pytest.mark.parametrize(("turns", "count"), [("none", 1), ("mirror", 2), ("all", 8)])
def test_crops_are_turned_with_their_targets(turns, count) -> None:
    crops, random = Crops([numbered(6, 6)], [numbered(6, 6) + 100], size=6, batch=1, turns=turns, scale=0.5), generator()
    found = set()
    for _ in range(100):
        lesson = crops(random)
        assert torch.equal(lesson.target, lesson.seen + 50)
        found.add(tuple(lesson.seen.flatten().tolist()))
    assert len(found) == count


def test_pictures_of_another_shape_are_not_laid_on_their_side() -> None:
    crops, random = Crops([numbered(4, 9)], size=16, batch=2), generator()
    assert {tuple(crops(random).seen.shape) for _ in range(20)} == {(2, 4, 9, 1)}


def test_crops_refuse() -> None:
    with pytest.raises(DataError, match="no picture"):
        Crops([])
    with pytest.raises(DataError, match="as large"):
        Crops([numbered(4, 4)], [numbered(4, 5)])
    with pytest.raises(ConfigError, match="turns"):
        Crops([numbered(4, 4)], turns="upside down")


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 5), (64, 64)])
def test_blind_spots_show_a_neighbour(size) -> None:
    x = torch.arange(2.0 * size[0] * size[1]).view(2, *size, 1)
    lesson = blind_spots(x, 0.5, generator())
    hidden = lesson.where > 0
    assert torch.equal(lesson.target, x)
    assert torch.equal(lesson.seen[~hidden], x[~hidden])
    for batch, row, column, _ in hidden.nonzero().tolist():
        near = x[batch, max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
        assert lesson.seen[batch, row, column] in near
    if min(size) > 2:
        assert not bool((lesson.seen == x)[hidden].any())
        assert abs(float(lesson.where.mean()) - 0.5) < 0.2


def test_loss() -> None:
    found, target = torch.zeros(1, 16, 16, 1), torch.full((1, 16, 16, 1), 0.5)
    assert float(PictureLoss("mse")(found, Lesson(found, target))) == 0.25
    assert float(PictureLoss("l1")(found, Lesson(found, target))) == 0.5
    assert float(PictureLoss("l1", ssim=1.0)(found, Lesson(found, target))) == pytest.approx(0.5 + 1 - 1e-4 / (0.25 + 1e-4), abs=1e-5)
    where = torch.zeros(1, 16, 16, 1)
    where[0, 0, 0] = 1
    target[0, 0, 0] = 2
    assert float(PictureLoss()(found, Lesson(found, target, where))) == 4.0
    with pytest.raises(ConfigError, match="loss"):
        PictureLoss("huber")


def blurred(random: torch.Generator) -> Lesson:
    target = torch.rand(4, 16, 16, 1, generator=random)
    return Lesson(target * 0.5 + 0.25, target)


class Watch(Callback):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def started(self, config, step) -> None:
        self.calls.append("started")

    def evaluated(self, row, best) -> None:
        self.calls.append("evaluated")

    def finished(self, stopped) -> None:
        self.calls.append(stopped)


def trained(seed: int = 0, **settings) -> tuple[UNet, object, Watch]:
    network, watch = materialise(UNet(1, (8,), 1), 0), Watch()
    config = TrainingConfig(**{"steps": 60, "learning_rate": 5e-3, "seed": seed, "device": "cpu", **settings})
    return network, fit_restorer(network, blurred, config, measure=lambda: 1.0, callbacks=[watch]), watch


def test_the_loss_falls_and_the_same_seed_gives_the_same() -> None:
    network, history, watch = trained(average=0.9)
    assert history[-1]["train"] < 0.3 * history[0]["train"]
    assert history[-1]["held_out"] == 1.0
    assert watch.calls == ["started", *["evaluated"] * 10, "steps"]
    again, other = trained(average=0.9)[0], trained(1, average=0.9)[0]
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters()))
    assert not all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters()))


def test_the_average_is_kept() -> None:
    averaged, plain = trained(average=0.9)[0], trained()[0]
    assert not all(torch.equal(a, b) for a, b in zip(averaged.parameters(), plain.parameters()))


def test_time_ends_it() -> None:
    ticks = iter(range(10_000))
    network = materialise(UNet(1, (4,), 1), 0)
    config = TrainingConfig(steps=1 << 40, seconds=100.0, device="cpu")
    history = fit_restorer(network, blurred, config, clock=lambda: float(next(ticks)))
    assert history[-1]["seconds"] >= 100
    assert history[-1]["learning_rate"] < 1e-4
    assert history[-1]["step"] < 100


def test_bfloat16_is_nearly_the_same() -> None:
    assert trained(precision="bf16")[1][-1]["train"] == pytest.approx(trained()[1][-1]["train"], rel=0.3)


def test_divergence_is_told() -> None:
    network, watch = materialise(UNet(1, (4,), 1), 0), Watch()
    with pytest.raises(TrainingError, match="learning_rate"):
        fit_restorer(network, blurred, TrainingConfig(steps=50, learning_rate=1e30, device="cpu"), callbacks=[watch])
    assert watch.calls[-1] == "diverged"
