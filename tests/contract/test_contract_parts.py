"""Every registered part comes back equal from its text."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from isthmus.corruptions import (
    AdditiveGaussian,
    Blur,
    Clipped,
    GaussianRange,
    HideColumns,
    Jpeg,
    Masking,
    Move,
    SaltAndPepper,
    Shot,
    Speckle,
    Tint,
    Warp,
)
from isthmus.families import FAMILIES, Architecture, conditioned, get
from isthmus.families.denoising import CORRUPTIONS
from isthmus.families.latents import POSTERIORS, PRIORS
from isthmus.families.sparse import SPARSITIES
from isthmus.fields import Field, Part
from isthmus.likelihoods import (
    Bernoulli,
    Columns,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Gaussian,
    Laplace,
    Multinomial,
    NegativeBinomial,
    PixelLevels,
    Poisson,
    StudentT,
)
from isthmus.nn import Answers, Colouring, FillingEncoder, TeamDecoder, UNet, materialise
from isthmus.nn.shared_coder import SharedCoder
from isthmus.objectives import Filling
from isthmus.priors import MixtureDensity
from isthmus.spec import from_spec, known, to_spec

PICTURE = Field("x", "picture", (9, 8, 2), "unit")
VARIANTS = [
    {},
    *({"sparsity": name} for name in SPARSITIES),
    *({"corruption": name} for name in CORRUPTIONS if name != "hide"),  # which needs mixed columns
    *({"posterior": name} for name in POSTERIORS if name != "categories"),
    *({"prior": name} for name in PRIORS),
    {"posterior": "categories", "latent": 8},
    {"capacity": 3.0},
    {"alpha": 0.5},
    {"adversarial": 1.0},
    {"binarise": "dynamic"},
]
NETWORKS = [
    {},
    {"architecture": Architecture("conv", tied=True)},
    {"architecture": Architecture("conv")},
    {"architecture": Architecture("subpixel", blocks=1)},
    {"architecture": Architecture(tied=True)},
]
UNTIED = [{}, {"architecture": Architecture("conv")}, {"architecture": Architecture("subpixel", blocks=1)}]
UNTIEABLE = (
    "full",
    "planar",
    "iaf",
    "spline",
    "sphere",
)  # of which the encoder gives other numbers than one or two for each unit of the code
MIXED = [Part("size", "number", 1, "size"), Part("visits", "count", 1, "visits", 0.5, 2.0), Part("colour", "category", 3, "colour")]
OTHERS = [
    GaussianRange(0.0, 0.2),
    Speckle(0.1),
    Shot(20.0, 60.0),
    Blur(0.5, 1.5),
    Jpeg(30.0),
    Clipped(AdditiveGaussian(0.1)),
    Warp(0.02, 3),
    Move(0.1, 3.0, 0.1, 0.5),
    Tint(0.2, 0.1, 0.1),
    SharedCoder((9, 8, 2), 3, (4, 6), 8, 5),
    UNet(1, widths=(4, 6), blocks=1),
    Colouring(5, widths=(4,), blocks=1),
    Answers((2,), (3,), (4,), answers=2),
    AdditiveGaussian(0.5),
    Masking(0.25, value=-1.0),
    SaltAndPepper(0.1, -3.0, 3.0),
    Bernoulli((3,)),
    ContinuousBernoulli((2, 2, 1)),
    Gaussian((3,), "predicted"),
    Gaussian((3,), "optimal"),
    DiscretisedLogistic((2, 2, 1), mixtures=2),
    PixelLevels((2, 2, 1), levels=4),
    Multinomial((3,)),
    NegativeBinomial((3,)),
    Poisson((3,)),
    MixtureDensity(3, 2),
    Laplace((3,), 0.25),
    StudentT((3,), "per_value"),
    Columns(MIXED, numbers="student_t", counts="poisson", scale=0.5, missingness=True),
    HideColumns(MIXED, 0.4, noise=0.2),
    FillingEncoder(MIXED, (4,), (8,), members=2),
    TeamDecoder((4,), (5,), (8,), members=2),
    Filling(0.2, HideColumns(MIXED)),
]


def parts() -> Iterator[nn.Module]:
    """Whatever the families build, and what none of them builds by itself."""
    for family in FAMILIES.values():
        for options in (a | b for a in VARIANTS for b in NETWORKS if b in UNTIED or a.get("posterior") not in UNTIEABLE):
            if set(options) <= set(family.options):
                for part in get(family.name)([PICTURE], **options):
                    yield from part.modules()
    for family in ("vae", "undercomplete"):
        yield from conditioned(get(family)([PICTURE])[0], width=3, kept=5).modules()
    yield from OTHERS


@pytest.fixture(scope="module")
def by_name() -> dict[str, list[nn.Module]]:
    found: dict[str, list[nn.Module]] = {}
    for part in parts():
        if hasattr(part, "_spec_arguments"):
            found.setdefault(to_spec(part)["type"], []).append(part)
    return found


NAMES = [name for name, part in known().items() if not name.startswith("example.") and issubclass(part, nn.Module)]


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
