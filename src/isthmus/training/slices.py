"""How many rows pass through a net at once."""

from __future__ import annotations

from math import prod

from isthmus.models import Autoencoder
from isthmus.nn import ConvEncoder, SubpixelEncoder

ROWS = 128
CACHE = 2 << 20  # float32 values of one layer: 8 MiB


def slice_rows(model: Autoencoder) -> int | None:
    """Return how many pictures a convolutional net takes at once on a CPU, so that each layer of them stays in the cache.

    For other nets and on other devices, None.

    Parameters
    ----------
    model : Autoencoder

    Returns
    -------
    int or None

    Examples
    --------
    >>> from isthmus.families import Architecture, get
    >>> from isthmus.fields import Field
    >>> model, _ = get("undercomplete")([Field("x", "picture", (28, 28, 1))], latent=4, architecture=Architecture("conv"))
    >>> slice_rows(model)
    128
    """
    encoder = model.encoder
    if not isinstance(encoder, (ConvEncoder, SubpixelEncoder)) or next(encoder.parameters()).device.type != "cpu":
        return None
    widest = prod(encoder.shape_in)
    height, width = encoder.shape_in[:2]
    for conv in encoder.convolutions:
        height, width = (height + 1) // 2, (width + 1) // 2
        widest = max(widest, height * width * conv.out_channels)
    return max(16, min(ROWS, CACHE // widest))
