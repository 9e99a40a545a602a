"""Gaps made on purpose in rows of mixed columns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isthmus.corruptions.core import Corruption, check_share
from isthmus.distributions import Noise
from isthmus.errors import ConfigError
from isthmus.fields import Part
from isthmus.spec import register


@register("corruption.hide_columns")
class HideColumns(Corruption):
    """Hide columns as if they were missing: their values and their flags become 0.

    All parts of a column (the trend and the hour of a date, say) are hidden together.

    Parameters
    ----------
    parts : sequence of Part
    share : float
        Mean probability in [0, 1] of a column to be hidden. Each row has its own, drawn evenly from as far below it as above within
        [0, 1], so that a model learns to fill rows with few gaps and rows with many.
    noise : float
        Standard deviation of Gaussian noise that is added to the values which are left, at least 0.

    Raises
    ------
    ConfigError
        If `share` lies outside [0, 1], `noise` is negative, or there is no part.

    Examples
    --------
    >>> from isthmus.distributions import GeneratorNoise
    >>> HideColumns([Part("a", "number", 1, "a")], 1.0)(torch.ones(1, 2), GeneratorNoise(torch.Generator()))
    tensor([[0., 0.]])
    """

    def __init__(self, parts: Sequence[Part], share: float = 0.3, noise: float = 0.0) -> None:
        super().__init__()
        if not parts:
            raise ConfigError("there is no column to hide")
        if not noise >= 0:
            raise ConfigError(f"noise must be at least 0, not {noise}")
        self.share, self.noise, self.width = check_share(share, "share"), float(noise), sum(part.width for part in parts)
        columns = list(dict.fromkeys(part.column for part in parts))
        of_parts = [columns.index(part.column) for part in parts]
        of_values = [column for part, column in zip(parts, of_parts) for _ in range(part.width)]
        self._columns, self._of_columns = len(columns), [*of_values, *of_parts]
        self._of_parts = [place for place, part in enumerate(parts) for _ in range(part.width)]
        self._placed: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def hidden(self, x: Tensor, noise: Noise) -> Tensor:
        """Return True for each entry of `x` that is to be hidden, shape (batch, W + P)."""
        reach = min(self.share, 1 - self.share)
        own = self.share + reach * (2 * noise.uniform(x[:, :1]) - 1)
        return (noise.uniform(x[:, :1].expand(-1, self._columns)) < own).index_select(1, self._owners(x.device)[0])

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """Return `x` with some columns hidden."""
        left = x.masked_fill(self.hidden(x, noise), 0.0)
        if not self.noise:
            return left
        values, flags = left[:, : self.width], left[:, self.width :]
        present = flags.index_select(1, self._owners(x.device)[1])
        return torch.cat([torch.addcmul(values, present, noise.normal(values), value=self.noise), flags], 1)

    def _owners(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the column of each entry of a row, and the part of each value."""
        if device not in self._placed:
            with torch.inference_mode(False):
                self._placed[device] = torch.tensor(self._of_columns, device=device), torch.tensor(self._of_parts, device=device)
        return self._placed[device]
