"""Fill what was hidden."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from isthmus.corruptions import Corruption
from isthmus.distributions import Distribution, Joint
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.nn import TeamDecoder
from isthmus.objectives.base import Context, Objective, Passage
from isthmus.spec import register


@register("objective.filling")
class Filling(Objective):
    r"""Two terms in nats for mixed columns: ``hidden`` :math:`-\log p` of what the corruption hid, ``reconstruction`` of what was shown.

    What was shown can be copied: it weighs little, so that the model and the scale of its errors are those of gaps. In training each
    member of a team of decoders has a loss of its own, so that their mean is better than any of them.

    Parameters
    ----------
    visible : float
        Weight of ``reconstruction`` where something was hidden.
    corruption : Corruption, optional

    Raises
    ------
    ConfigError
        If `visible` is negative, or the model's likelihood is not one of columns.

    Examples
    --------
    >>> Filling(visible=0.1).weights(Context())
    {'reconstruction': 0.1}
    """

    nats: ClassVar[tuple[str, ...]] = ("reconstruction", "hidden")

    def __init__(self, visible: float = 0.1, corruption: Corruption | None = None) -> None:
        super().__init__(corruption)
        if not visible >= 0:
            raise ConfigError(f"visible must be at least 0, not {visible}")
        self.visible = float(visible)

    def weights(self, context: Context) -> dict[str, float]:  # noqa: ARG002
        """Return the weight of ``reconstruction``."""
        return {"reconstruction": self.visible}

    def decoded(self, model: Autoencoder, z: Tensor, context: Context) -> Distribution:
        """Return what the model, or in training each member of its decoder, says of the codes."""
        team = _team(model, context)
        return model.decode(z) if team is None else model.likelihood(team.each(z).flatten(0, 1))

    def terms(self, model: Autoencoder, passage: Passage, context: Context) -> dict[str, Tensor]:
        """Return ``reconstruction`` and ``hidden``."""
        p, target = passage.p, passage.target
        if not isinstance(p, Joint):
            raise ConfigError(f"only gaps of mixed columns can be filled, not those of the likelihood {type(model.likelihood).__name__}")
        team = _team(model, context)
        members = 1 if team is None else team.members
        nats = -p.log_probs(target.repeat(members, 1)).view(members, target.shape[0], -1).mean(0)
        shown = p.layout.present(passage.x)
        return {"reconstruction": (nats * shown).sum(1), "hidden": (nats * (1 - shown)).sum(1)}


def _team(model: Autoencoder, context: Context) -> TeamDecoder | None:
    return model.decoder if context.training and isinstance(model.decoder, TeamDecoder) else None
