"""The ELBO with a code of a given capacity."""

from __future__ import annotations

from torch import Tensor

from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.objectives.base import Context, Passage
from isthmus.objectives.elbo import ELBO
from isthmus.spec import register


@register("objective.capacity")
class Capacity(ELBO):
    r"""The term ``capacity`` :math:`= |\mathrm{KL} - C|`, on the mean KL of a batch, instead of a charge for every nat of the KL.

    C rises linearly from 0 to `capacity`, so that the code learns one factor after another, the most useful first.

    Parameters
    ----------
    capacity : float
        C at the end, in nats.
    weight : float
        Weight :math:`\gamma` of the term.
    rise : int
        Steps over which C rises.

    Raises
    ------
    ConfigError
        If a number is negative.

    References
    ----------
    Burgess et al., "Understanding disentangling in beta-VAE", 2018, equation 8.

    Examples
    --------
    >>> Capacity(25.0, weight=100.0, rise=1000).limit(Context(step=500, training=True))
    12.5
    """

    def __init__(self, capacity: float = 25.0, weight: float = 10.0, rise: int = 0) -> None:
        super().__init__()
        if not (capacity >= 0 and weight >= 0 and rise >= 0):
            raise ConfigError(f"capacity, weight and rise must be at least 0; got capacity={capacity}, weight={weight}, rise={rise}")
        self.capacity, self.weight, self.rise = float(capacity), float(weight), int(rise)

    def limit(self, context: Context) -> float:
        """Return C at this step."""
        rising = context.training and self.rise > 0
        return self.capacity * min(1.0, context.step / self.rise) if rising else self.capacity

    def weights(self, context: Context) -> dict[str, float]:  # noqa: ARG002
        """Return the weights: none for ``kl``."""
        return {"kl": 0.0, "capacity": self.weight}

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``reconstruction``, ``kl`` and ``capacity``."""
        found = super().terms(model, passage, context)
        apart = (context.batch_mean(found["kl"]) - self.limit(context)).abs()
        return {**found, "capacity": apart.expand(len(found["kl"]))}
