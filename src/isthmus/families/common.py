"""What the recipes share: networks by data kind, likelihoods by value range, and sizes by width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isthmus.errors import ConfigError
from isthmus.fields import Field
from isthmus.likelihoods import (
    Bernoulli,
    Columns,
    ContinuousBernoulli,
    DiscretisedLogistic,
    Gaussian,
    Laplace,
    Likelihood,
    Multinomial,
    NegativeBinomial,
    PixelLevels,
    Poisson,
    StudentT,
)
from isthmus.nn import (
    MLP,
    ConvDecoder,
    ConvEncoder,
    FillingEncoder,
    Network,
    SubpixelDecoder,
    SubpixelEncoder,
    TeamDecoder,
    TiedConv,
    TiedMLP,
)

NETWORKS = {
    "mlp": "dense layers; for tables, vectors and small pictures",
    "conv": "convolutions of stride 2; for pictures of 16 x 16 and more, any height, width and number of channels",
    "linear": "one linear map each way, no hidden layer",
    "subpixel": "for pictures: convolutions on few pixels, dense layers around the code, residual blocks; quickest in bfloat16 on a CPU",
    "filling": "for mixed columns with gaps: four small dense nets side by side, each of which fills the gaps before it looks",
}
LIKELIHOODS = {
    "gaussian": "real values; with scale 1 it is the squared error, other scales are fixed or learned",
    "laplace": "real values with outliers; with scale 1 it is the absolute error",
    "student_t": "real values with heavy tails, whose weight is learned for each value",
    "bernoulli": "values in {0, 1}; the binary cross-entropy",
    "continuous_bernoulli": "values in [0, 1], such as grey pictures; a density, unlike plain cross-entropy",
    "logistic_mixture": "pictures of 8 bits, as probabilities of their 256 levels: a mixture of discretised logistics",
    "levels": "pictures of 8 bits: a category for each of the 256 levels, with as many outputs",
    "poisson": "counts that are independent of each other given the code",
    "negative_binomial": "the same where counts are more scattered than Poisson's; how much is learned for each value",
    "multinomial": "rows of counts, such as words of a text: how their sum falls into the places",
}
COLUMNS = ("gaussian", "student_t")
MEMBERS = 4
CONV_SIDE, SUBPIXEL_SIDE = 4, 8  # shorter side of a picture after the last halving, at most
_UNIT = ("binary", "unit")
_SUPPORTS = {"bernoulli": ("binary",), "continuous_bernoulli": _UNIT, "logistic_mixture": _UNIT, "levels": _UNIT}
_KINDS: dict[str, type[Likelihood]] = {
    "continuous_bernoulli": ContinuousBernoulli,
    "logistic_mixture": DiscretisedLogistic,
    "levels": PixelLevels,
    "multinomial": Multinomial,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
}
COUNTS = ("multinomial", "poisson", "negative_binomial")


@dataclass(frozen=True)
class Architecture:
    """How encoder and decoder look; None means: chosen by the data.

    Attributes
    ----------
    network : {"mlp", "conv", "subpixel", "linear", "filling"}, optional
    hidden : tuple of int, optional
        Widths of the dense layers of an mlp or subpixel encoder; the decoder mirrors them.
    channels : tuple of int, optional
        Channels of a conv or subpixel encoder; the decoder mirrors them.
    blocks : int, optional
        Residual blocks of a subpixel encoder; the decoder has as many.
    activation : str
    tied : bool
        Whether the decoder uses the encoder's weights backwards.
    """

    network: str | None = None
    hidden: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None
    blocks: int | None = None
    activation: str = "silu"
    tied: bool = False

    def resolve(self, field: Field, latent: int = 1) -> Architecture:
        """Return a copy in which everything is chosen, for a code of width `latent`."""
        network = self.network or auto_network(field)
        hidden = _hidden(network, field, latent) if self.hidden is None else tuple(self.hidden)
        side = SUBPIXEL_SIDE if network == "subpixel" else CONV_SIDE
        channels = auto_channels(field, side) if self.channels is None else tuple(self.channels)
        return replace(self, network=network, hidden=() if network == "linear" else hidden, channels=channels, blocks=self.blocks or 0)


def _hidden(network: str, field: Field, latent: int) -> tuple[int, ...]:
    if network == "filling":
        return (max(64, min(256, 1 << (field.values - 1).bit_length())),)
    return (max(256, latent),) if network == "subpixel" else auto_hidden(field, latent)


def auto_network(field: Field) -> str:
    """Choose a network: conv for pictures whose sides are at least 16, mlp otherwise.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.

    Returns
    -------
    str
    """
    return "conv" if field.kind == "picture" and min(field.shape[:2]) >= 16 else "mlp"


def auto_hidden(field: Field, latent: int = 1) -> tuple[int, ...]:
    """Choose hidden widths: about twice the input, within 64 and 512, then half of it; none narrower than the code.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.
    latent : int
        Width of the code, which a narrower layer would choke.

    Returns
    -------
    tuple of int
    """
    first = min(512, max(64, 1 << (2 * field.width - 1).bit_length()))
    return max(first, latent), max(first // 2, latent)


def auto_channels(field: Field, smallest: int = 4) -> tuple[int, ...]:
    """Choose channels: halve the picture until its shorter side is at most `smallest`, starting from 16 channels, 128 at most.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.
    smallest : int

    Returns
    -------
    tuple of int
    """
    side, channels = min(field.shape[:2]) if field.kind == "picture" else 1, [16]
    while (side := (side + 1) // 2) > smallest:
        channels.append(min(128, 2 * channels[-1]))
    return tuple(channels)


def auto_latent(field: Field) -> int:
    """Choose the width of a narrow code: a quarter of the input's, at most 32.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.

    Returns
    -------
    int
    """
    return max(1, min(32, -(-field.values // 4)))


def auto_likelihood(field: Field, variational: bool) -> tuple[str, float | str]:
    """Choose likelihood and scale by where the values lie.

    Coins for {0, 1}; otherwise a Gaussian: of unit scale (squared error) for a deterministic code, and with a learned scale for a
    variational one, so that reconstruction and KL are weighed by the data and not by their unit. For mixed columns it is the scale of the
    numbers, learned in every case, so that they and the categories are weighed by the data.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.
    variational : bool
        Whether the code is drawn from a distribution.

    Returns
    -------
    name : str
        As `make_likelihood` takes it.
    scale : float or str
    """
    if field.kind == "columns":
        return "gaussian", "per_value"
    if field.support == "binary":
        return "bernoulli", 1.0
    if not variational:
        return "gaussian", 1.0
    return "gaussian", "one" if field.kind == "picture" or field.support == "unit" else "per_value"


def as_coins(field: Field, binarise: str) -> Field:
    """Return the field of the zeros and ones that are drawn with a field's values as probabilities.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.
    binarise : str
        ``"dynamic"``.

    Returns
    -------
    Field

    Raises
    ------
    ConfigError
        If `binarise` is something else, or the values are no probabilities.
    """
    if binarise != "dynamic":
        raise ConfigError(f"binarise must be 'dynamic', not {binarise!r}; rows of zeros and ones need none: leave it out")
    if field.support == "real" or field.kind == "columns":
        raise ConfigError(f"binarise='dynamic' takes values in [0, 1] as probabilities, but {field.name!r} has others: use scaling='unit'")
    return replace(field, support="binary")


def make_likelihood(field: Field, name: str, scale: float | str = 1.0, missingness: bool = False) -> Likelihood:
    """Build the likelihood called `name` for `field`.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.
    name : str
        One of `LIKELIHOODS`. For mixed columns that of the numbers, gaussian or student_t; other kinds of parts have their own.
    scale : float or {"one", "per_value", "predicted", "optimal"}
        Of Gaussian, Laplace and Student-t: a fixed number, or how it is learned.
    missingness : bool
        For mixed columns: whether what is missing is to be explained too.

    Returns
    -------
    Likelihood

    Raises
    ------
    ConfigError
        If there is none of this name, or the field's values lie outside its support.
    """
    if name not in LIKELIHOODS:
        raise ConfigError(f"unknown likelihood {name!r}; choose one of {', '.join(LIKELIHOODS)}")
    if field.kind == "columns":
        return _columns(field, name, scale, missingness)
    if field.support not in _SUPPORTS.get(name, (field.support,)):
        allowed = "only 0 and 1" if name == "bernoulli" else "values within [0, 1]"
        grey = "likelihood='continuous_bernoulli', binarise='dynamic' (coins of these chances, variational families), or "
        mend = f"{grey if field.support == 'unit' else ''}likelihood='gaussian'"
        raise ConfigError(f"the likelihood {name!r} explains {allowed}, but {field.name!r} has other values; use {mend}")
    if name == "gaussian":
        return Gaussian(field.shape, scale)
    if name == "laplace":
        return Laplace(field.shape, scale)
    if name == "student_t":
        return StudentT(field.shape, scale)
    if name == "bernoulli":
        return Bernoulli(field.shape, offset=field.kind == "picture")
    return _KINDS[name](field.shape)


def _columns(field: Field, name: str, scale: float | str, missingness: bool) -> Columns:
    if name not in COLUMNS:
        raise ConfigError(
            f"the numbers of {field.name!r} take the likelihood {' or '.join(COLUMNS)}, not {name!r}; other kinds have their own"
        )
    return Columns(field.parts, numbers=name, scale="per_value" if scale == "one" else scale, missingness=missingness)


def networks(field: Field, code: int, latent: int, decoded: Sequence[int], architecture: Architecture) -> tuple[Network, Network]:
    """Build encoder and decoder.

    Parameters
    ----------
    field : Field
    code : int
        Numbers the bottleneck needs.
    latent : int
        Width of the code.
    decoded : sequence of int
        Shape of what the likelihood needs, its ``shape_in``.
    architecture : Architecture

    Returns
    -------
    encoder : Network
    decoder : Network

    Raises
    ------
    ConfigError
        If the network is unknown or does not fit the data, or tied weights are asked for where they cannot be.
    """
    chosen = architecture.resolve(field, latent)
    if chosen.network not in NETWORKS:
        raise ConfigError(f"unknown network {chosen.network!r}; choose one of {', '.join(NETWORKS)}")
    if chosen.network in ("conv", "subpixel") and field.kind != "picture":
        raise ConfigError(
            f"network={chosen.network!r} needs pictures, but {field.name!r} is {field.kind}; use 'mlp', or give the pictures' shape"
        )
    shape = tuple(decoded)
    if chosen.tied and shape != (1, *field.shape):
        mend = "leave tied out" if field.kind == "columns" else "use another likelihood, or a likelihood scale other than 'predicted'"
        raise ConfigError(f"tied weights give one parameter per value: {mend}")
    if chosen.network == "filling":
        return _filling(field, code, latent, shape, chosen)
    if chosen.network == "subpixel":
        return _subpixel(field, code, latent, shape, chosen)
    conv = chosen.network == "conv"
    middle = (chosen.channels if conv else chosen.hidden) or ()
    encoder = (ConvEncoder if conv else MLP)(field.shape, (code,), middle, chosen.activation)
    if chosen.tied:
        return encoder, (TiedConv if conv else TiedMLP)((latent,), shape, middle, chosen.activation)
    if conv:
        return encoder, ConvDecoder((latent,), shape, middle, chosen.activation)
    return encoder, MLP((latent,), shape, middle[::-1], chosen.activation)


def _subpixel(field: Field, code: int, latent: int, shape: tuple[int, ...], chosen: Architecture) -> tuple[Network, Network]:
    if chosen.tied:
        raise ConfigError("tied weights go with network='mlp', 'conv' or 'linear', not with 'subpixel'")
    look = (chosen.channels or (), chosen.hidden or (), chosen.blocks or 0, chosen.activation)
    return SubpixelEncoder(field.shape, (code,), *look), SubpixelDecoder((latent,), shape, *look)


def _filling(field: Field, code: int, latent: int, shape: tuple[int, ...], chosen: Architecture) -> tuple[Network, Network]:
    if field.kind != "columns":
        raise ConfigError(f"network='filling' needs mixed columns, but {field.name!r} is {field.kind}; use 'mlp'")
    if code != latent:
        raise ConfigError("network='filling' needs a plain code: use the family 'denoising', or network='mlp'")
    members = MEMBERS if latent % MEMBERS == 0 else 1
    hidden = chosen.hidden or ()
    encoder = FillingEncoder(field.parts, (latent,), hidden, chosen.activation, members)
    return encoder, TeamDecoder((latent,), shape, hidden[::-1], chosen.activation, members)
