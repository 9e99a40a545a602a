"""Floor 2: networks, bottleneck and likelihood put together."""

from isthmus.models.autoencoder import Autoencoder

__all__ = ["Autoencoder"]
