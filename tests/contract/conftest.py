"""Small real data of every kind a family must serve."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from isthmus.data import Preprocessor, Schema, Source
from isthmus.families import FAMILIES
from isthmus.fields import Field


@dataclass(frozen=True)
class Case:
    """Data of one kind, and settings of the network they want."""

    source: Source
    network: dict[str, object]

    @property
    def preprocessor(self) -> Preprocessor:
        return Preprocessor.fit(self.source.array, Schema.infer(self.source))

    @property
    def field(self) -> Field:
        return self.preprocessor.fields()[0]

    @property
    def rows(self) -> Tensor:
        return torch.from_numpy(self.preprocessor.transform(self.source.array))

    def known(self, family: str) -> Case:
        """The case with a class beside each row, where the family must know it."""
        if not FAMILIES[family].conditional:
            return self
        condition = np.array(["odd", "even", "third"])[np.arange(len(self.source)) % 3]
        return replace(self, source=replace(self.source, condition=condition))

    def settings(self, family: str) -> dict[str, object]:
        """The network's settings as far as the family takes them."""
        return self.network if "architecture" in FAMILIES[family].options else {}


def patches() -> np.ndarray:
    """Colour pictures of 11 x 9, cut from two photographs."""
    from sklearn.datasets import load_sample_images

    cut = [photo[11 * i : 11 * i + 11, 9 * j : 9 * j + 9] for photo in load_sample_images().images for i in range(38) for j in range(71)]
    return np.stack(cut)[::13]


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    from sklearn.datasets import load_breast_cancer, load_digits

    digits = load_digits()
    table = load_breast_cancer()
    small = {"hidden": (32,)}
    return {
        "real table": Case(Source("table", table.data, tuple(map(str, table.feature_names))), small),
        "binary table": Case(Source("table", (digits.data > 7).astype(np.uint8)[:600]), small),
        "unit vectors": Case(Source("table", (digits.data / 16)[:600]), small),
        "grey pictures": Case(Source("pictures", (digits.images * 255 / 16).astype(np.uint8)[:600, :, :, None]), small),
        "odd colour pictures": Case(Source("pictures", patches()), {"network": "conv", "channels": (8, 16)}),
    }


KINDS = ("real table", "binary table", "unit vectors", "grey pictures", "odd colour pictures")


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest, cases: dict[str, Case], family: str) -> Case:
    """Data of each kind; for families that need a condition, with classes beside the rows."""
    return cases[request.param].known(family)
