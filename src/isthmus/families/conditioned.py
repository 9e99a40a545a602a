"""Any family's model, turned into one that knows a condition."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, cast

from isthmus.bottlenecks.labelled import LabelledCode
from isthmus.errors import ConfigError
from isthmus.likelihoods.labelled import LabelledRows
from isthmus.models import Autoencoder
from isthmus.nn import FillingEncoder, Network
from isthmus.nn.labelled import LabelledDecoder, LabelledEncoder
from isthmus.nn.tied import Tied
from isthmus.priors.base import Prior
from isthmus.priors.labelled import LabelledPrior
from isthmus.priors.learned import Vamp
from isthmus.spec import from_spec, to_spec


def conditioned(model: Autoencoder, width: int, kept: int = 1) -> Autoencoder:
    """Return a model like `model` whose rows are followed by a condition, which encoder and decoder see.

    Rows become flat: the values, then the condition. So do codes: the code, then the condition. The likelihood, and the prior if there is
    one, are those of row and code given the condition.

    Parameters
    ----------
    model : Autoencoder
        Not trained yet; the new one takes over its parts and gets networks with new weights.
    width : int
        Width of the condition.
    kept : int
        Conditions of training rows that the prior keeps to draw from.

    Returns
    -------
    Autoencoder

    Raises
    ------
    ConfigError
        If the networks are tied, or fill the gaps of mixed columns.

    Examples
    --------
    >>> from isthmus.families import get
    >>> from isthmus.fields import Field
    >>> model, objective = get("vae")([Field("x", "numbers", (5,))], latent=2)
    >>> conditioned(model, width=3).shape
    (8,)
    """
    if isinstance(model.decoder, Tied):
        raise ConfigError("tied weights do not go with a condition, which only the decoder's input has: leave tied out")
    if isinstance(model.encoder, FillingEncoder):
        raise ConfigError("the network 'filling', which fills the gaps of mixed columns, takes no condition: use network='mlp'")
    shape = model.encoder.shape_in
    planes = len(shape) == 3 and _spec(model.encoder)["type"] in ("network.conv_encoder", "network.subpixel_encoder")
    first = (*shape[:2], shape[2] + width) if planes else None
    encoder = LabelledEncoder(_widened(model.encoder, first or (prod(shape) + width,)), shape, width)
    decoder = LabelledDecoder(_widened(model.decoder, (model.latent + width,)), width)
    prior = None if model.prior is None else LabelledPrior(_beside(model.prior, (prod(shape) + width,)), width, kept)
    return Autoencoder(encoder, LabelledCode(model.bottleneck, width), decoder, LabelledRows(model.likelihood, width), prior)


def _beside(prior: Prior, shape: tuple[int, ...]) -> Prior:
    """Return the prior; pseudo-rows get conditions of their own, learned with them."""
    return Vamp(prior.latent, shape, len(prior.rows), prior.unit) if isinstance(prior, Vamp) else prior


def _spec(network: Network) -> Mapping[str, Any]:
    return to_spec(network)


def _widened(network: Network, shape: tuple[int, ...]) -> Network:
    """Return a new network like this one that takes rows of `shape`."""
    return cast("Network", from_spec({**_spec(network), "shape_in": list(shape)}))
