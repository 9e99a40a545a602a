"""Networks and objective that fill gaps, against loops over members, rounds and parts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu

from isthmus.bottlenecks import Deterministic
from isthmus.corruptions import HideColumns
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError
from isthmus.fields import Field, Part, row_width
from isthmus.likelihoods import Columns, Gaussian
from isthmus.models import Autoencoder
from isthmus.nn import MLP, FillingEncoder, TeamDecoder, materialise
from isthmus.objectives import Context, Filling

PARTS = (
    Part("a", "number", 1, "a"),
    Part("b", "category", 3, "b"),
    Part("c", "number", 1, "c"),
    Part("hour", "angle", 2, "c"),
)
OWNERS = [0, 1, 1, 1, 2, 3, 3]
NEAR = {"rtol": 1e-10, "atol": 1e-10}


def rows(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    flags = (torch.rand(count, 4, generator=generator) < 0.6).double()
    return torch.cat([torch.randn(count, 7, generator=generator, dtype=torch.float64) * flags[:, OWNERS], flags], 1)


def test_filling_encoder() -> None:
    with torch.device("meta"):
        made = FillingEncoder(PARTS, (6,), hidden=(5,), members=3, rounds=2)
    encoder = materialise(made, seed=0).double()
    with torch.no_grad():
        encoder.fill.copy_(torch.randn(encoder.fill.shape, generator=torch.Generator().manual_seed(1)) * 0.5)
    x = rows(9)
    columns = ["a", "b", "b", "b", "c", "c", "c"]
    codes = []
    for member in range(3):
        matrix = encoder.fill[member].detach().clone()
        for i in range(7):
            for j in range(7):
                matrix[i, j] *= columns[i] != columns[j]
        values = x[:, :7].clone()
        for _ in range(2):
            values = torch.where(x[:, 7:][:, OWNERS] > 0, x[:, :7], values @ matrix)
        first, last = encoder.layers
        h = silu(torch.cat([values, x[:, 7:]], 1) @ first.weight[member] + first.bias[member])
        codes.append(h @ last.weight[member] + last.bias[member])
    torch.testing.assert_close(encoder(x), torch.cat(codes, 1), **NEAR)
    assert encoder.gain().shape == (11,)


@pytest.mark.parametrize("width", [16, 30, 33])
def test_columns_of_zeros_that_make_products_quicker_change_nothing(width: int) -> None:
    parts = tuple(Part(f"c{j}", "number", 1, f"c{j}") for j in range(width))
    encoder = materialise(FillingEncoder(parts, (6,), (30,), members=2), 0).double()
    decoder = materialise(TeamDecoder((6,), (30,), (5,), members=2), 1).double()
    with torch.no_grad():
        encoder.fill.copy_(torch.randn(encoder.fill.shape, generator=torch.Generator().manual_seed(1)) * 0.2)
    flags = (torch.rand(9, width, generator=torch.Generator().manual_seed(2)) < 0.6).double()
    x = torch.cat([torch.randn(9, width, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * flags, flags], 1)
    said = []
    for member in range(2):
        values = x[:, :width]
        for _ in range(encoder.rounds):
            values = torch.where(flags > 0, x[:, :width], values @ (encoder.fill[member] * (1 - torch.eye(width))))
        h = torch.cat([values, flags], 1)
        for layer, bent in zip([*encoder.layers, *decoder.layers], (True, False, True, False)):
            h = h @ layer.weight[member] + layer.bias[member]
            h = silu(h) if bent else h
        said.append(h)
    torch.testing.assert_close(decoder.each(encoder(x)), torch.stack(said), **NEAR)


def test_what_a_gap_holds_does_not_matter_where_the_flag_is_down() -> None:
    """A row's code hangs on observed values alone, and a gap is filled from other columns only."""
    encoder = FillingEncoder(PARTS, (4,), members=1).double()
    with torch.no_grad():
        encoder.fill.fill_(1.0)
        encoder.layers[0].weight.copy_(torch.eye(11)[:, :4])
    alone = torch.zeros(1, 11, dtype=torch.float64)
    alone[0, [4, 9]] = torch.tensor([2.0, 1.0], dtype=torch.float64)  # of the column c the number only
    code = encoder(alone)
    assert code[0, 0] != 0, "a is filled from c"
    pair = encoder.layers[0].weight
    with torch.no_grad():
        pair.copy_(torch.eye(11)[:, [5, 6, 4, 0]])
        encoder.rounds = 1
    assert encoder(alone)[0, :2].tolist() == [0.0, 0.0], "the other part of c is not"


def test_team_decoder_is_the_mean_of_its_members() -> None:
    decoder = materialise(TeamDecoder((6,), (5,), hidden=(4,), members=3), seed=0).double()
    z = torch.randn(7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    each = decoder.each(z)
    for member in range(3):
        first, last = decoder.layers
        h = silu(z[:, 2 * member : 2 * member + 2] @ first.weight[member] + first.bias[member])
        torch.testing.assert_close(each[member], h @ last.weight[member] + last.bias[member], **NEAR)
    torch.testing.assert_close(decoder(z), each.mean(0), **NEAR)
    torch.testing.assert_close(decoder.gain(), torch.cat([decoder.layers[0].weight[m].square().sum(1).sqrt() for m in range(3)]), **NEAR)


def model(members: int) -> Autoencoder:
    likelihood = Columns(PARTS)
    encoder = FillingEncoder(PARTS, (6,), (5,), members=members)
    return materialise(
        Autoencoder(encoder, Deterministic(6), TeamDecoder((6,), likelihood.shape_in, (4,), members=members), likelihood), 0
    ).double()


def test_terms_of_filling() -> None:
    made, x = model(3), rows(20)
    objective = Filling(0.2, HideColumns(PARTS, 0.5))
    noise = GeneratorNoise(torch.Generator().manual_seed(3))
    terms = objective(made, x, context=Context(training=True, noise=noise, corrupt=True))
    hidden = HideColumns(PARTS, 0.5)(x, GeneratorNoise(torch.Generator().manual_seed(3)))
    z = made.encode(hidden).mean
    shown = hidden[:, 7:]
    nats = torch.stack([-made.likelihood(member).log_probs(x) for member in made.decoder.each(z)]).mean(0)  # pyright: ignore
    torch.testing.assert_close(terms["hidden"], (nats * (1 - shown)).sum(1), **NEAR)
    torch.testing.assert_close(terms["reconstruction"], (nats * shown).sum(1), **NEAR)
    assert objective.weights(Context()) == {"reconstruction": 0.2}
    # Out of training the members speak with one voice.
    told = objective(made, x, context=Context(noise=GeneratorNoise(torch.Generator().manual_seed(3)), corrupt=True))
    torch.testing.assert_close(told["hidden"], (-made.decode(z).log_probs(x) * (1 - shown)).sum(1), **NEAR)  # pyright: ignore
    # Nothing hidden: the nats of the row.
    plain = objective(made, x)
    assert bool((plain["hidden"] == 0).all())
    torch.testing.assert_close(plain["reconstruction"], made.decode(made.encode(x).mean).nats(x), **NEAR)


def test_noise_falls_on_what_is_shown_only() -> None:
    x = rows(2000)
    blurred = HideColumns(PARTS, 0.3, noise=0.5)(x, GeneratorNoise(torch.Generator().manual_seed(0)))
    shown = blurred[:, 7:][:, OWNERS]
    assert bool((blurred[:, :7][shown == 0] == 0).all())
    difference = (blurred - x)[:, :7][shown == 1]
    assert float(difference.std()) == pytest.approx(0.5, rel=0.05)
    assert abs(float(difference.mean())) < 0.03
    assert set(blurred[:, 7:].unique().tolist()) == {0.0, 1.0}


def test_wrong_parts_are_refused() -> None:
    with pytest.raises(ConfigError, match="a code of 5 cannot be shared by 4 members"):
        FillingEncoder(PARTS, (5,))
    with pytest.raises(ConfigError, match="cannot be shared"):
        TeamDecoder((4,), (3,), members=0)
    with pytest.raises(ConfigError, match="visible must be at least 0"):
        Filling(-1.0)
    with pytest.raises(ConfigError, match="noise must be at least 0"):
        HideColumns(PARTS, noise=-1.0)
    plain = materialise(Autoencoder(MLP((4,), (2,)), Deterministic(2), MLP((2,), (1, 4)), Gaussian((4,))), 0)
    with pytest.raises(ConfigError, match="only gaps of mixed columns can be filled"):
        Filling()(plain, torch.zeros(2, 4))


def test_families_choose_it_for_mixed_columns_only() -> None:
    from isthmus.families import Architecture, get

    field = Field("row", "columns", (row_width(PARTS),), parts=PARTS)
    made, objective = get("denoising")([field])
    assert isinstance(made.encoder, FillingEncoder)
    assert (made.latent, made.decoder.members) == (128, 4)  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(objective, Filling)
    odd, _ = get("denoising")([field], latent=6)
    assert odd.encoder.members == 1  # pyright: ignore[reportAttributeAccessIssue]
    plain, _ = get("denoising")([field], architecture=Architecture(network="mlp"))
    assert isinstance(plain.encoder, MLP)
    with pytest.raises(ConfigError, match="network='filling' needs mixed columns"):
        get("undercomplete")([Field("x", "numbers", (4,))], architecture=Architecture(network="filling"))
    with pytest.raises(ConfigError, match="needs a plain code"):
        get("variational")([field], architecture=Architecture(network="filling"))
