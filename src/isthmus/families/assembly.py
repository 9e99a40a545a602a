"""How a recipe's bottleneck and prior become a model: the look of its networks and of its likelihood."""

from __future__ import annotations

from typing import TypedDict, Unpack

from isthmus.bottlenecks import Bottleneck
from isthmus.families.common import Architecture, auto_likelihood, make_likelihood, networks
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.priors import Prior


class Look(TypedDict, total=False):
    """Options that every recipe hands on.

    Attributes
    ----------
    architecture : Architecture, optional
    likelihood : str, optional
    likelihood_scale : float or str, optional
    missingness : bool
    """

    architecture: Architecture | None
    likelihood: str | None
    likelihood_scale: float | str | None
    missingness: bool


def assemble(field: Field, bottleneck: Bottleneck, prior: Prior | None, *, learned_scale: bool = True, **look: Unpack[Look]) -> Autoencoder:
    """Build the model of a bottleneck and a prior for `field`.

    Parameters
    ----------
    field : Field
        What a preprocessed row is.
    bottleneck : Bottleneck
    prior : Prior, optional
    learned_scale : bool
        Whether the likelihood's scale is learned where nothing is said, so that nats of data and code are weighed by the data.
    **look : Look

    Returns
    -------
    Autoencoder
    """
    name, auto = auto_likelihood(field, variational=learned_scale)
    scale = look.get("likelihood_scale")
    decoded = make_likelihood(field, look.get("likelihood") or name, auto if scale is None else scale, look.get("missingness", False))
    architecture = look.get("architecture") or Architecture()
    encoder, decoder = networks(field, bottleneck.inputs, bottleneck.latent, decoded.shape_in, architecture)
    return Autoencoder(encoder, bottleneck, decoder, decoded, prior)
