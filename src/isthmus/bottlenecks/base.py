"""The interface of a bottleneck."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from isthmus.distributions import Distribution
from isthmus.errors import ConfigError

Mean = Callable[[Tensor], Tensor]


class Bottleneck(nn.Module):
    """A map from the encoder's output to a distribution over codes.

    Parameters
    ----------
    latent : int
        Number of code units, at least 1.

    Attributes
    ----------
    multiplier : int
        Numbers the encoder must give per code unit.
    sparse : bool
        Whether a unit at exactly zero means "not active".

    Raises
    ------
    ConfigError
        If `latent` is not at least 1.
    """

    multiplier: int = 1
    sparse: bool = False

    def __init__(self, latent: int) -> None:
        super().__init__()
        if latent < 1:
            raise ConfigError(f"latent must be at least 1, not {latent}")
        self.latent = int(latent)

    @property
    def inputs(self) -> int:
        """Numbers the encoder must give for a row: ``multiplier * latent`` unless a subclass says otherwise."""
        return self.multiplier * self.latent

    @property
    def bare(self) -> Bottleneck:
        """This bottleneck without the condition that may pass it by."""
        return self

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Map h of shape (batch, inputs) to a distribution over codes of shape (batch, latent)."""

    def terms(self, code: Tensor, gain: Callable[[], Tensor], batch_mean: Mean) -> dict[str, Tensor]:  # noqa: ARG002
        """Return the named terms of this bottleneck, each of shape (batch,).

        Parameters
        ----------
        code : Tensor of shape (batch, latent)
        gain : callable
            Gives the norm of the decoder's weights from each unit, shape (latent,).
        batch_mean : callable
            Mean over the whole batch, also where several processes share it.
        """
        return {}
