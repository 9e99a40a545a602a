"""The three graphs of a model: what maps rows to codes, codes to rows, and rows to scores, each of them a module of tensors only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from isthmus.artifact.artifact import Artifact
from isthmus.artifact.onnx.rewritten import Rewritten
from isthmus.distributions import Delta, Noise, SharedNoise
from isthmus.distributions.base import Distribution
from isthmus.distributions.labelled import Labelled
from isthmus.objectives import Context
from isthmus.training.inference import DRAWS

ROWS, CONDITION, CODES, MEANS, SCORES = "rows", "condition", "codes", "means", "scores"


class Draws(Noise):
    """The draws of a score side by side: of k * n rows the first n take the first draw, and so on. What was drawn once is kept.

    Parameters
    ----------
    count : int
        Draws k.

    Examples
    --------
    >>> noise = Draws(2)
    >>> found = noise.normal(torch.empty(6, 3))
    >>> bool((found[:3] == -found[3:]).all()), bool((found[0] == found[2]).all())
    (True, True)
    """

    def __init__(self, count: int) -> None:
        self._sources = [SharedNoise(draw // 2, mirrored=bool(draw % 2)) for draw in range(count)]
        self._kept: list[Tensor] = []
        self._next = 0

    def again(self) -> None:
        """Begin with the first numbers again."""
        self._next = 0

    def normal(self, like: Tensor) -> Tensor:
        """Return standard normal numbers, equal in all rows of a draw."""
        return self._beside(like, [source.normal for source in self._sources] if self._new else [])

    def uniform(self, like: Tensor) -> Tensor:
        """Return uniform numbers, equal in all rows of a draw."""
        return self._beside(like, [source.uniform for source in self._sources] if self._new else [])

    @property
    def _new(self) -> bool:
        return self._next == len(self._kept)

    def _beside(self, like: Tensor, makers: list[Callable[[Tensor], Tensor]]) -> Tensor:
        if makers:
            self._kept.append(torch.cat([make(like[:1]) for make in makers]))
        found, rest = self._kept[self._next], like.shape[1:]
        self._next += 1
        rows = like.shape[0] // len(self._sources)
        return found.unsqueeze(1).expand(-1, rows, *rest).reshape(-1, *rest)


class Graph(nn.Module):
    """A part of a model as a function of tensors, without what formats of graphs do not know.

    Parameters
    ----------
    artifact : Artifact

    Attributes
    ----------
    takes, gives : str
        Names of its input, besides the condition, and of its output.
    """

    takes, gives = ROWS, CODES

    def __init__(self, artifact: Artifact) -> None:
        super().__init__()
        self.model, self.objective = artifact.model, artifact.objective

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map rows or codes, shape (n, ...), each with its condition where the model knows one."""
        with Rewritten():
            return self.compute(x if condition is None else torch.cat([x.flatten(1), condition], dim=1))

    def compute(self, x: Tensor) -> Tensor:
        """Map rows or codes followed by their condition."""
        raise NotImplementedError


class Encoder(Graph):
    """From rows to the means of their codes, shape (n, latent), without the condition."""

    def compute(self, x: Tensor) -> Tensor:
        """Return the mean codes."""
        return _inner(self.model.encode(x)).mean


class Decoder(Graph):
    """From codes to the means of the rows, shape (n, \\*shape), without the condition."""

    takes, gives = CODES, MEANS

    def compute(self, x: Tensor) -> Tensor:
        """Return the mean rows."""
        return _inner(self.model.decode(x)).mean


class Score(Graph):
    """From rows to what `isthmus.tasks.codes.score` gives, shape (n,): its draws have fixed seeds, and are constants here."""

    gives = SCORES

    def __init__(self, artifact: Artifact) -> None:
        super().__init__(artifact)
        self.draws: Draws | None = None

    def compute(self, x: Tensor) -> Tensor:
        """Return the scores."""
        if isinstance(self.model.encode(x[:1]), Delta):
            return self._scores(x, Context())
        self.draws = self.draws or Draws(DRAWS)
        self.draws.again()
        many = x.repeat(DRAWS, *[1] * (x.ndim - 1))
        return self._scores(many, Context(noise=self.draws)).reshape(DRAWS, -1).mean(0)

    def _scores(self, x: Tensor, context: Context) -> Tensor:
        terms = self.objective(self.model, x, x, context)
        return -torch.stack([terms[name] for name in self.objective.nats]).sum(0)


def _inner(q: Distribution) -> Distribution:
    return q.inner if isinstance(q, Labelled) else q
