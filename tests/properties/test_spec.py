"""Parts as text: only registered types, never code."""

from __future__ import annotations

import pytest

from isthmus.bottlenecks import TopK
from isthmus.errors import ConfigError
from isthmus.nn import MLP
from isthmus.objectives import AuxK, Reconstruction
from isthmus.spec import from_spec, known, register, to_spec


def test_known_lists_by_prefix() -> None:
    assert "network.mlp" in known("network.")
    assert all(name.startswith("network.") for name in known("network."))


def test_nested_parts() -> None:
    whole = Reconstruction({"l1": 0.1}) + AuxK(8, k=2)
    entry = to_spec(whole)
    assert [part["type"] for part in entry["parts"]] == ["objective.reconstruction", "objective.aux_k"]
    assert to_spec(from_spec(entry)) == entry


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "os.system", "command": "true"}, "unknown part 'os.system'"),
        ({"type": "builtins.eval"}, "unknown part"),
        ({"type": 3}, "not a part"),
        ({"type": None}, "not a part"),
        ({}, "not a part"),
        ([], "not a part"),
        ("network.mlp", "not a part"),
        (None, "not a part"),
        ({"type": "network.mlp"}, "cannot be built"),
        ({"type": "network.mlp", "shape_in": [3], "shape_out": [2], "nonsense": 1}, "cannot be built"),
        ({"type": "network.mlp", "shape_in": [3], "shape_out": [2], "self": 1}, "cannot be built"),
        ({"type": "network.mlp", "shape_in": [-3], "shape_out": [2]}, "cannot be built"),
        ({"type": "network.mlp", "shape_in": ["3"], "shape_out": [2]}, "cannot be built"),
        ({"type": "network.mlp", "shape_in": [3], "shape_out": [2], "activation": ["relu"]}, "cannot be built"),
        ({"type": "network.tied_conv", "shape_in": [3], "shape_out": [1, 2]}, "cannot be built"),
        ({"type": "bottleneck.topk", "latent": 3, "k": 4}, "between 1 and latent"),
        ({"type": "bottleneck.topk", "latent": "3", "k": 1}, "cannot be built"),
        ({"type": "objective.sum", "parts": []}, "at least one"),
        ({"type": "objective.sum", "parts": [1]}, "cannot be built"),
        ({"type": "objective.reconstruction", "corruption": {"type": "prior.standard_normal", "latent": 2}}, "cannot stand there"),
        ({"type": "objective.elbo", "beta": "x"}, "cannot be built"),
    ],
)
def test_wrong_entries_are_refused(entry: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_spec(entry)


@pytest.mark.parametrize("place", ["encoder", "bottleneck", "decoder", "likelihood", "prior"])
def test_a_part_in_the_wrong_place_is_refused(place: str) -> None:
    entry = {
        "type": "model.autoencoder",
        "encoder": {"type": "network.mlp", "shape_in": [3], "shape_out": [2]},
        "bottleneck": {"type": "bottleneck.deterministic", "latent": 2},
        "decoder": {"type": "network.mlp", "shape_in": [2], "shape_out": [1, 3]},
        "likelihood": {"type": "likelihood.gaussian", "shape": [3]},
        "prior": {"type": "prior.standard_normal", "latent": 2},
    }
    from_spec(entry)
    wrong = {"type": "corruption.masking"} if place != "prior" else {"type": "bottleneck.deterministic", "latent": 2}
    with pytest.raises(ConfigError, match=f"the {place} is a .* cannot stand there"):
        from_spec({**entry, place: wrong})


def test_nesting_is_limited() -> None:
    entry: dict[str, object] = {"type": "objective.reconstruction"}
    for _ in range(12):
        entry = {"type": "objective.sum", "parts": [entry]}
    with pytest.raises(ConfigError, match="nested deeper"):
        from_spec(entry)


def test_an_unregistered_part_is_refused_with_the_mend() -> None:
    class Foreign(MLP):
        pass

    with pytest.raises(ConfigError, match=r"Foreign cannot be saved: decorate the class"):
        to_spec(Foreign((3,), (2,)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes"])
def test_arguments_that_text_cannot_hold_are_named(value: object) -> None:
    @register("example.holder")
    class Holder:
        def __init__(self, inside: object) -> None:
            self.inside = inside

    with pytest.raises(ConfigError, match=r"example\.holder\.inside"):
        to_spec(Holder([value]))


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ConfigError, match=r"'bottleneck\.topk' is taken by TopK"):
        register("bottleneck.topk")(type("Other", (), {"__init__": lambda self: None}))
    assert known("bottleneck.topk") == {"bottleneck.topk": TopK}
