"""What the recipes share: networks by data kind, likelihoods by value range, and sizes by width."""

from __future__ import annotations

from dataclasses import dataclass, replace

from isthmus.errors import ConfigError
from isthmus.fields import Field
from isthmus.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Laplace, Likelihood
from isthmus.nn import MLP, ConvDecoder, ConvEncoder, Network, TiedConv, TiedMLP

NETWORKS = {
    "mlp": "dense layers; for tables, vectors and small pictures",
    "conv": "convolutions of stride 2; for pictures of 16 x 16 and more, any height, width and number of channels",
    "linear": "one linear map each way, no hidden layer",
}
LIKELIHOODS = {
    "gaussian": "real values; with scale 1 it is the squared error, other scales are fixed or learned",
    "laplace": "real values with outliers; with scale 1 it is the absolute error",
    "bernoulli": "values in {0, 1}; the binary cross-entropy",
    "continuous_bernoulli": "values in [0, 1], such as grey pictures; a density, unlike plain cross-entropy",
}
_SUPPORTS = {"bernoulli": ("binary",), "continuous_bernoulli": ("binary", "unit")}


@dataclass(frozen=True)
class Architecture:
    """How encoder and decoder look; None means: chosen by the data.

    Attributes
    ----------
    network : {"mlp", "conv", "linear"}, optional
    hidden : tuple of int, optional
        Hidden widths of an mlp encoder; the decoder mirrors them.
    channels : tuple of int, optional
        Channels of a conv encoder; the decoder mirrors them.
    activation : str
    tied : bool
        Whether the decoder uses the encoder's weights backwards.
    """

    network: str | None = None
    hidden: tuple[int, ...] | None = None
    channels: tuple[int, ...] | None = None
    activation: str = "silu"
    tied: bool = False

    def resolve(self, field: Field, latent: int = 1) -> Architecture:
        """Return a copy in which everything is chosen, for a code of width `latent`."""
        network = self.network or auto_network(field)
        hidden = auto_hidden(field, latent) if self.hidden is None else tuple(self.hidden)
        channels = auto_channels(field) if self.channels is None else tuple(self.channels)
        return replace(self, network=network, hidden=() if network == "linear" else hidden, channels=channels)


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


def auto_channels(field: Field) -> tuple[int, ...]:
    """Choose channels: halve the picture until its shorter side is at most 4, starting from 16 channels, 128 at most.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.

    Returns
    -------
    tuple of int
    """
    side, channels = min(field.shape[:2]) if field.kind == "picture" else 1, [16]
    while (side := (side + 1) // 2) > 4:
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
    return max(1, min(32, -(-field.width // 4)))


def auto_likelihood(field: Field, variational: bool) -> tuple[str, float | str]:
    """Choose likelihood and scale by where the values lie.

    Coins for {0, 1}; otherwise a Gaussian: of unit scale (squared error) for a deterministic code, and with a learned scale for a
    variational one, so that reconstruction and KL are weighed by the data and not by their unit.

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
    if field.support == "binary":
        return "bernoulli", 1.0
    if not variational:
        return "gaussian", 1.0
    return "gaussian", "one" if field.kind == "picture" or field.support == "unit" else "per_value"


def make_likelihood(field: Field, name: str, scale: float | str = 1.0) -> Likelihood:
    """Build the likelihood called `name` for `field`.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.
    name : {"gaussian", "laplace", "bernoulli", "continuous_bernoulli"}
    scale : float or {"one", "per_value", "predicted"}
        Of Gaussian and Laplace: a fixed number, or how it is learned.

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
    if field.support not in _SUPPORTS.get(name, (field.support,)):
        allowed = "only 0 and 1" if name == "bernoulli" else "values within [0, 1]"
        raise ConfigError(f"the likelihood {name!r} explains {allowed}, but {field.name!r} has other values; use likelihood='gaussian'")
    if name == "gaussian":
        return Gaussian(field.shape, scale)
    if name == "laplace":
        return Laplace(field.shape, scale)
    return Bernoulli(field.shape) if name == "bernoulli" else ContinuousBernoulli(field.shape)


def networks(field: Field, code: int, latent: int, parameters: int, architecture: Architecture) -> tuple[Network, Network]:
    """Build encoder and decoder.

    Parameters
    ----------
    field : Field
    code : int
        Numbers the bottleneck needs.
    latent : int
        Width of the code.
    parameters : int
        Numbers per value the likelihood needs.
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
    if chosen.network == "conv" and field.kind != "picture":
        raise ConfigError(f"network='conv' needs pictures, but {field.name!r} is {field.kind}; use 'mlp', or give the pictures' shape")
    if chosen.tied and parameters != 1:
        raise ConfigError("tied weights give one parameter per value: use a likelihood scale other than 'predicted'")
    conv = chosen.network == "conv"
    middle = (chosen.channels if conv else chosen.hidden) or ()
    encoder = (ConvEncoder if conv else MLP)(field.shape, (code,), middle, chosen.activation)
    if chosen.tied:
        return encoder, (TiedConv if conv else TiedMLP)((latent,), (1, *field.shape), middle, chosen.activation)
    if conv:
        return encoder, ConvDecoder((latent,), (parameters, *field.shape), middle, chosen.activation)
    return encoder, MLP((latent,), (parameters, *field.shape), middle[::-1], chosen.activation)
