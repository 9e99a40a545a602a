"""Learned priors: where they begin, and what keeps them from going astray."""

from __future__ import annotations

import numpy as np
import torch

from isthmus.bottlenecks import Ladder
from isthmus.estimators import VampVAE
from isthmus.priors import Vamp


def test_pseudo_rows_begin_as_training_rows(digits: np.ndarray) -> None:
    model = VampVAE(2, components=7, binarise="dynamic", held_out=0.0, steps=1, learning_rate=1e-9, random_state=0).fit(
        digits / digits.max()
    )
    prior = model.artifact_.model.prior
    assert isinstance(prior, Vamp)
    rows = torch.from_numpy(digits / digits.max()).view(len(digits), 1, -1)
    apart = (rows - prior.rows.detach().view(1, 7, -1)).abs().amax(2).amin(0)
    assert float(apart.max()) < 1e-6
    assert len({float(row.sum()) for row in prior.rows.detach()}) > 4


def test_more_pseudo_rows_than_rows() -> None:
    prior = Vamp(2, (3,), components=5)
    prior.begin(torch.arange(6.0).view(2, 3))
    assert prior.rows.detach()[:, 0].tolist() == [0.0, 0.0, 0.0, 3.0, 3.0]


@torch.no_grad()
def test_the_scales_between_the_levels_of_a_ladder_stay_in_bounds() -> None:
    ladder = Ladder(5, top=2)
    for size in (50.0, -50.0):
        ladder.second.bias[3:].fill_(size)
        scale = ladder.descend(torch.randn(4, 2)).scale
        assert torch.allclose(scale.log().abs(), torch.full((4, 3), 3.0))
