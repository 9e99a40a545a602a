"""Every registered part comes back equal from its text."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from isthmus.corruptions import AdditiveGaussian, Masking, SaltAndPepper
from isthmus.families import FAMILIES, Architecture, get
from isthmus.families.denoising import CORRUPTIONS
from isthmus.families.sparse import SPARSITIES
from isthmus.fields import Field
from isthmus.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Laplace
from isthmus.nn import materialise
from isthmus.spec import from_spec, known, to_spec

PICTURE = Field("x", "picture", (9, 8, 2), "unit")
VARIANTS = [{}, *({"sparsity": name} for name in SPARSITIES), *({"corruption": name} for name in CORRUPTIONS)]
NETWORKS = [
    {},
    {"architecture": Architecture("conv", tied=True)},
    {"architecture": Architecture("conv")},
    {"architecture": Architecture(tied=True)},
]
OTHERS = [
    AdditiveGaussian(0.5),
    Masking(0.25, value=-1.0),
    SaltAndPepper(0.1, -3.0, 3.0),
    Bernoulli((3,)),
    ContinuousBernoulli((2, 2, 1)),
    Gaussian((3,), "predicted"),
    Laplace((3,), 0.25),
]


def parts() -> Iterator[nn.Module]:
    """Whatever the families build, and what none of them builds by itself."""
    for family in FAMILIES.values():
        for options in (a | b for a in VARIANTS for b in NETWORKS):
            if set(options) <= set(family.options):
                for part in get(family.name)([PICTURE], **options):
                    yield from part.modules()
    yield from OTHERS


@pytest.fixture(scope="module")
def by_name() -> dict[str, list[nn.Module]]:
    found: dict[str, list[nn.Module]] = {}
    for part in parts():
        if hasattr(part, "_spec_arguments"):
            found.setdefault(to_spec(part)["type"], []).append(part)
    return found


NAMES = [name for name in known() if not name.startswith("example.")]


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name: str, by_name: dict[str, list[nn.Module]]) -> None:
    assert by_name.get(name), f"no family builds {name}: add one of it to OTHERS"
    for part in by_name[name]:
        text = json.dumps(to_spec(part), allow_nan=False)
        again = from_spec(json.loads(text))
        assert type(again) is type(part)
        assert json.dumps(to_spec(again)) == text
        assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in part.state_dict().items()}
        assert str(again) == str(part)


class Gains(nn.Module):
    """A part whose parameter must not begin at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))
        self.shift = nn.Parameter(torch.ones(3))

    def initialise(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.gain, 2.0)


def test_parts_may_fill_their_own_parameters() -> None:
    with torch.device("meta"):
        made = nn.Sequential(nn.Linear(2, 3), Gains())
    materialise(made, seed=0)
    assert made[1].gain.tolist() == [2.0] * 3
    assert made[1].shift.tolist() == [0.0] * 3
    assert bool((made[0].weight != 0).all())
