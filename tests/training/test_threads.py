"""Small steps run on one thread, large ones and convolutions on all; torch gets its number back."""

from __future__ import annotations

import pytest
import torch

from isthmus.families import Architecture, get
from isthmus.fields import Field
from isthmus.training import Callback, TrainingConfig, fit
from isthmus.training.threads import enough_threads, small


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def model_of(width: int, hidden: int):
    return get("undercomplete")([Field("x", "numbers", (width,))], latent=2, architecture=Architecture("mlp", (hidden,)))


class Spy(Callback):
    def evaluated(self, row, best) -> None:
        self.seen = torch.get_num_threads()


@pytest.mark.parametrize("width, hidden, threads", [(4, 8, 1), (900, 500, 2)])
def test_threads_by_size(two_threads, width: int, hidden: int, threads: int) -> None:
    model, objective = model_of(width, hidden)
    spy = Spy()
    fit(model, objective, torch.rand(64, width), config=TrainingConfig(steps=1, batch=64), callbacks=[spy])
    assert spy.seen == threads
    assert torch.get_num_threads() == 2


def test_given_back_after_an_error(two_threads) -> None:
    model, _ = model_of(4, 8)
    seen = []

    def stop() -> None:
        with enough_threads(model, 8):
            seen.append(torch.get_num_threads())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop()
    assert seen == [1]
    assert torch.get_num_threads() == 2


def test_convolutions_are_never_small() -> None:
    picture = Field("x", "picture", (16, 16, 1))
    model, _ = get("undercomplete")([picture], latent=2)
    assert not small(model, 1)
