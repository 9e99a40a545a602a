"""What a codebook asks of the encoder."""

from __future__ import annotations

from torch import Tensor

from isthmus.bottlenecks import VectorQuantised
from isthmus.distributions.labelled import bare
from isthmus.distributions.quantised import Quantised
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register


@register("objective.commitment")
class Commitment(Objective):
    r"""The term ``commitment`` :math:`= \lVert h - \mathrm{sg}(e)\rVert^2`: the encoder stays near the vectors it is rounded to.

    In training it also moves the vectors of `isthmus.bottlenecks.VectorQuantised`. To be added to the ELBO.

    Parameters
    ----------
    weight : float
        Weight of the term.

    Raises
    ------
    ConfigError
        If `weight` is negative, or the bottleneck does not quantise vectors.

    References
    ----------
    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NeurIPS 2017, equation 3.

    Examples
    --------
    >>> Commitment(0.25).weights(Context())
    {'commitment': 0.25}
    """

    def __init__(self, weight: float = 0.25) -> None:
        super().__init__()
        if not weight >= 0:
            raise ConfigError(f"the weight of the term 'commitment' must be at least 0, not {weight}")
        self.weight = float(weight)

    def weights(self, context: Context) -> dict[str, float]:  # noqa: ARG002
        """Return the weight of ``commitment``."""
        return {"commitment": self.weight}

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``commitment``, and move the vectors."""
        q, _ = bare(passage.q, passage.z)
        bottleneck = model.bottleneck.bare
        if not isinstance(q, Quantised) or not isinstance(bottleneck, VectorQuantised):
            raise ConfigError(f"the term 'commitment' needs the bottleneck VectorQuantised, not {type(bottleneck).__name__}")
        apart = (q.raw - q.nearest.detach()).square().sum(1)
        if context.training:
            bottleneck.update(q, context.batch_mean, context.step)
        return {"commitment": apart}
