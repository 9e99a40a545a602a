"""Bottlenecks with finitely many codes: vector quantisation and finite scalar quantisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.bottlenecks.base import Bottleneck, Mean
from isthmus.distributions.quantised import Quantised
from isthmus.errors import ConfigError
from isthmus.spec import register

DEAD = 0.1  # share of an even use below which a code counts as dead
REVIVED_EVERY = 20  # steps
JITTER = 0.01  # of the standard deviation of the encoder's output


class Discrete(Bottleneck):
    """A bottleneck of codes that can be counted.

    Attributes
    ----------
    cardinalities : tuple of int
        Number of values of each group of code units.
    """

    cardinalities: tuple[int, ...]

    def lookup(self, indices: Tensor) -> Tensor:
        """Return the codes of indices of shape (batch, groups), shape (batch, latent)."""
        raise NotImplementedError


@register("bottleneck.vector_quantised")
class VectorQuantised(Discrete):
    r"""Each group of code units becomes the nearest of K vectors: :math:`z_g = e_{g,k},\ k = \arg\min_j\lVert h_g - e_{g,j}\rVert`.

    The vectors follow the encoder as moving averages of what fell to each of them; one that nothing falls to is moved beside a much
    used one, whose cell it then shares. `isthmus.objectives.Commitment` moves them and brings the term ``commitment``.

    Parameters
    ----------
    latent : int
        Width of the code, a multiple of `width`.
    codebook : int
        Vectors K of each group, at least 2.
    width : int
        Length of a vector.
    decay : float
        Of the moving averages, within (0, 1).

    Raises
    ------
    ConfigError
        If `latent` is no multiple of `width`, or a number is out of its range.

    References
    ----------
    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NeurIPS 2017, appendix A.1 for the averages;
    moving dead vectors: Linde, Buzo and Gray, "An algorithm for vector quantizer design", 1980.

    Examples
    --------
    >>> VectorQuantised(4, codebook=8, width=2)(torch.zeros(3, 4)).indices.shape
    torch.Size([3, 2])
    """

    codebook: Tensor
    counts: Tensor
    ready: Tensor

    def __init__(self, latent: int, codebook: int = 64, width: int = 4, decay: float = 0.99) -> None:
        super().__init__(latent)
        if width < 1 or latent % width:
            raise ConfigError(f"latent ({latent}) must be a multiple of the width of a code vector ({width})")
        if codebook < 2 or not 0 < decay < 1:
            raise ConfigError(f"codebook must be at least 2 and decay within (0, 1); got codebook={codebook}, decay={decay}")
        self.width, self.decay = width, float(decay)
        self.cardinalities = (codebook,) * (latent // width)
        self.register_buffer("codebook", torch.zeros(latent // width, codebook, width))
        self.register_buffer("counts", torch.zeros(latent // width, codebook))
        self.register_buffer("ready", torch.zeros((), dtype=torch.int64))

    def initialise(self, generator: torch.Generator) -> None:
        """Fill the codebook with normal numbers; the first batch gives them its own mean and spread."""
        numbers = torch.randn(self.codebook.shape, generator=generator, dtype=torch.float64)
        self.codebook.copy_(numbers)
        self.counts.fill_(1 / self.codebook.shape[1])
        self.ready.zero_()

    def forward(self, h: Tensor) -> Quantised:
        """Map (batch, latent) to the nearest codes."""
        raw = h.view(h.shape[0], -1, self.width)
        across = torch.einsum("bgd,gkd->bgk", raw, self.codebook)
        indices = (self.codebook.square().sum(2) - 2 * across).argmin(2)
        return Quantised(h, self.lookup(indices), indices)

    def lookup(self, indices: Tensor) -> Tensor:
        """Return the codes of indices of shape (batch, groups), shape (batch, latent)."""
        groups = torch.arange(indices.shape[1], device=indices.device)
        return self.codebook[groups, indices].flatten(1)

    @torch.no_grad()
    def update(self, q: Quantised, batch_mean: Mean, step: int) -> None:
        """Move the vectors towards what fell to them; now and then, move dead ones."""
        raw = q.raw.detach().view(len(q.raw), -1, self.width)
        mean, square = batch_mean(raw), batch_mean(raw.square())
        spread = (square - mean.square()).clamp_min(0).sqrt()
        if not int(self.ready):
            self.codebook = mean[:, None] + spread[:, None] * self.codebook
            self.ready = torch.ones_like(self.ready)
            return
        taken = functional.one_hot(q.indices, self.codebook.shape[1]).to(raw.dtype)
        sums = batch_mean((torch.einsum("bgk,bgd->gkd", taken, raw) / len(raw))[None])
        counts = self.decay * self.counts + (1 - self.decay) * batch_mean(taken)
        total = self.decay * self.codebook * self.counts[..., None] + (1 - self.decay) * sums
        self.codebook = total / counts.clamp_min(1e-20)[..., None]
        self.counts = counts
        if step % REVIVED_EVERY == 0:
            self._revive(spread, step)

    def _revive(self, spread: Tensor, step: int) -> None:
        """Move each dead vector beside one of the most used, and share that one's count."""
        half = self.codebook.shape[1] // 2
        order = self.counts.argsort(1, descending=True)
        used, last = order[:, :half], order.flip(1)[:, :half]
        dead = self.counts.gather(1, last) < DEAD / self.codebook.shape[1]
        # The same numbers in every process.
        noise = torch.randn(self.codebook[:, :half].shape, generator=torch.Generator().manual_seed(step)).to(self.codebook)
        rows = torch.arange(len(order), device=order.device)[:, None]
        beside = self.codebook[rows, used] + JITTER * spread[:, None] * noise
        self.codebook = self.codebook.index_put((rows, last), torch.where(dead[..., None], beside, self.codebook[rows, last]))
        shared = torch.where(dead, self.counts[rows, used] / 2, self.counts[rows, last])
        kept = torch.where(dead, self.counts[rows, used] / 2, self.counts[rows, used])
        self.counts = self.counts.index_put((rows, used), kept).index_put((rows, last), shared)


@register("bottleneck.finite_scalar")
class FiniteScalar(Discrete):
    r"""Each code unit is squashed and rounded to one of L levels in [-1, 1]: no codebook, no term, nothing to collapse.

    :math:`z_j = \mathrm{round}(\tfrac{L-1}2\tanh(\tfrac{2L}{L-1}h_j + s) - o) / \lfloor L/2\rfloor`, with a shift s and an offset o for
    even L. The slope is L levels for a unit of h, so that the small numbers of an untrained encoder reach more than one level.

    Parameters
    ----------
    levels : sequence of int
        Levels of each unit, at least 2; their number is the width of the code.

    Raises
    ------
    ConfigError
        If there is no unit, or one has fewer than 2 levels.

    References
    ----------
    Mentzer et al., "Finite scalar quantization: VQ-VAE made simple", ICLR 2024, section 3.1.

    Examples
    --------
    >>> FiniteScalar([3, 3])(torch.tensor([[0.1, 9.0]])).mean
    tensor([[0., 1.]])
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__(len(levels))
        if min(levels) < 2:
            raise ConfigError(f"levels must be at least 2, not {min(levels)}")
        self.cardinalities = tuple(int(n) for n in levels)
        self._numbers: tuple[Tensor, ...] = ()

    def _constants(self, like: Tensor) -> tuple[Tensor, ...]:
        """Half range, offset, shift, slope and divisor of each unit."""
        if not self._numbers or self._numbers[0].device != like.device or self._numbers[0].dtype != like.dtype:
            half = [(n - 1) * 1.001 / 2 for n in self.cardinalities]
            offset = [0.5 if n % 2 == 0 else 0.0 for n in self.cardinalities]
            shift = [math.atanh(o / h) for o, h in zip(offset, half)]
            gain = [n / h for n, h in zip(self.cardinalities, half)]
            divisor = [n // 2 for n in self.cardinalities]
            # Kept beyond this call, which may be one without gradients where the next is one with them.
            with torch.inference_mode(False):
                kind: dict[str, Any] = {"dtype": like.dtype, "device": like.device}
                self._numbers = tuple(torch.tensor(part, **kind) for part in (half, offset, shift, gain, divisor))
        return self._numbers

    def forward(self, h: Tensor) -> Quantised:
        """Map (batch, latent) to rounded codes."""
        half, offset, shift, gain, divisor = self._constants(h)
        bounded = (h * gain + shift).tanh() * half - offset
        nearest = bounded.round()
        return Quantised(bounded / divisor, nearest / divisor, (nearest + divisor).long())

    def lookup(self, indices: Tensor) -> Tensor:
        """Return the codes of indices, both of shape (batch, latent)."""
        divisor = self._constants(torch.empty(0, dtype=torch.get_default_dtype(), device=indices.device))[-1]
        return indices.to(divisor.dtype) / divisor - 1
