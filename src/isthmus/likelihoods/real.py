"""Likelihoods over the real line: Gaussian and Laplace, with a fixed or a learned scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from isthmus.distributions import Laplace as LaplaceDistribution
from isthmus.distributions import Normal
from isthmus.distributions import StudentT as StudentTDistribution
from isthmus.distributions.optimal import OptimalNormal
from isthmus.errors import ConfigError
from isthmus.likelihoods.base import Likelihood
from isthmus.spec import register

MODES = ("one", "per_value", "predicted")
LOWEST, HIGHEST = -7.0, 7.0
EXACT, UNLIKE = 1e-4, 0.3  # variances between which rows vary, but clearly less than standardised ones
FREEDOM = math.log(10)  # degrees of freedom before training
FREEDOMS = (math.log(1.5), math.log(1000))


class _Scaled(Likelihood):
    """A location from the decoder and a scale that is a number, learned, or predicted by the decoder too."""

    modes: tuple[str, ...] = MODES

    def __init__(self, shape: Sequence[int], scale: float | str = 1.0) -> None:
        super().__init__(shape)
        self.mode = scale if isinstance(scale, str) else "fixed"
        self.fixed = 0.0
        self.log_scale: nn.Parameter | None = None
        if isinstance(scale, str):
            if scale not in self.modes:
                raise ConfigError(f"likelihood_scale must be a positive number or one of {', '.join(self.modes)}, not {scale!r}")
            if scale in ("one", "per_value"):
                self.log_scale = nn.Parameter(torch.zeros(self.shape if scale == "per_value" else (1,)))
        elif not 0 < scale < math.inf:
            raise ConfigError(f"likelihood_scale must be a positive number or one of {', '.join(self.modes)}, not {scale!r}")
        else:
            self.fixed = math.log(scale)
        self.parameters_per_value = 2 if self.mode == "predicted" else 1

    def begin(self, rows: Tensor) -> None:
        """Let a learned scale begin at the rows' own spread where they are not standardised: the way down from 1 takes many steps."""
        if self.log_scale is None:
            return
        variance = rows.var(0, correction=0)
        variance = variance if self.mode == "per_value" else variance.mean().reshape(1)
        with torch.no_grad():
            self.log_scale.copy_(torch.where((variance > EXACT) & (variance < UNLIKE), 0.5 * variance.log(), 0.0))

    def _split(self, h: Tensor) -> tuple[Tensor, Tensor | float]:
        if self.mode == "predicted":
            return h[:, 0], h[:, 1].clamp(LOWEST, HIGHEST)
        location = h.squeeze(1) if h.shape[1] == 1 else h[:, 0]
        return location, self.fixed if self.log_scale is None else self.log_scale.clamp(LOWEST, HIGHEST)


@register("likelihood.gaussian")
class Gaussian(_Scaled):
    """Gaussian; with unit scale its negative log is half the squared error plus a constant.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.
    scale : float or {"one", "per_value", "predicted", "optimal"}
        Standard deviation: a fixed number, one learned number, one learned for each value, given by the decoder for each
        value and row, or the best one for each batch. Learned ones stay within exp(-7) and exp(7) of the preprocessed unit.

    Raises
    ------
    ConfigError
        If `scale` is none of these.

    References
    ----------
    The learned and the optimal scale: Rybkin et al., "Simple and effective VAE training with calibrated decoders", ICML 2021.

    Examples
    --------
    >>> Gaussian((3,))(torch.zeros(2, 1, 3)).mean.shape
    torch.Size([2, 3])
    """

    modes = (*MODES, "optimal")
    log_variance: Tensor

    def __init__(self, shape: Sequence[int], scale: float | str = 1.0) -> None:
        super().__init__(shape, scale)
        if self.mode == "optimal":
            self.register_buffer("log_variance", torch.zeros(1))

    def forward(self, h: Tensor) -> Normal:
        """Map (batch, parameters_per_value, \\*shape) to a Gaussian."""
        location, log_scale = self._split(h)
        if self.mode == "optimal":
            return OptimalNormal(location, self.log_variance, self.training)
        return Normal(location, log_scale)


@register("likelihood.laplace")
class Laplace(_Scaled):
    """Laplace; its negative log is the absolute error over the scale, plus a constant: outliers pull less.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.
    scale : float or {"one", "per_value", "predicted"}
        Scale b, as in `Gaussian`.

    Raises
    ------
    ConfigError
        If `scale` is none of these.

    Examples
    --------
    >>> Laplace((3,))(torch.zeros(2, 1, 3)).mean.shape
    torch.Size([2, 3])
    """

    def forward(self, h: Tensor) -> LaplaceDistribution:
        """Map (batch, parameters_per_value, \\*shape) to a Laplace distribution."""
        return LaplaceDistribution(*self._split(h))


@register("likelihood.student_t")
class StudentT(_Scaled):
    """Student-t with learned degrees of freedom for each value: heavy tails where the data have them, nearly a Gaussian elsewhere.

    Parameters
    ----------
    shape : sequence of int
        Shape of one row.
    scale : float or {"one", "per_value", "predicted"}
        Scale, as in `Gaussian`.

    Raises
    ------
    ConfigError
        If `scale` is none of these.

    Examples
    --------
    >>> StudentT((3,))(torch.zeros(2, 1, 3)).mean.shape
    torch.Size([2, 3])
    """

    def __init__(self, shape: Sequence[int], scale: float | str = 1.0) -> None:
        super().__init__(shape, scale)
        self.log_freedom = nn.Parameter(torch.zeros(self.shape))

    def forward(self, h: Tensor) -> StudentTDistribution:
        """Map (batch, parameters_per_value, \\*shape) to a Student-t distribution."""
        return StudentTDistribution(*self._split(h), (self.log_freedom + FREEDOM).clamp(*FREEDOMS))
