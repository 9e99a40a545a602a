"""The likelihood of a row of mixed columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from isthmus.distributions import Bernoulli, Joint, Layout, NegativeBinomial, Normal, Plan, Poisson, StudentT, Valuewise, VonMises
from isthmus.errors import ConfigError
from isthmus.fields import Part, row_width
from isthmus.likelihoods.base import Likelihood
from isthmus.likelihoods.real import FREEDOM, FREEDOMS, HIGHEST
from isthmus.spec import register

NUMBERS = ("gaussian", "student_t")
COUNTS = ("negative_binomial", "poisson")
SCALES = ("per_value", "predicted")
NARROWEST = -3.0
LOG_MEANS = (-15.0, 20.0)
LOG_SIZES = (-4.0, 9.0)
STEEPEST = 5.0


@register("likelihood.columns")
class Columns(Likelihood):
    """Mixed columns: a distribution of its own kind for each part, all of them independent given the code.

    Numbers are Gaussian or Student-t, counts negative binomial or Poisson, booleans Bernoulli, categories categorical, and the cyclic
    parts of dates von Mises. What is missing adds nothing.

    Parameters
    ----------
    parts : sequence of Part
        What a row is made of.
    numbers : {"gaussian", "student_t"}
        Student-t has learned degrees of freedom for each column.
    counts : {"negative_binomial", "poisson"}
        Negative binomial has a learned dispersion for each column.
    scale : float or {"per_value", "predicted"}
        Scale of the numbers: fixed, one learned for each column, or given by the decoder for each row. Learned ones stay within exp(-3)
        and exp(7) of the preprocessed unit: a narrow code must not spend itself on copying one column to the last digit.
    missingness : bool
        Whether what is missing is a fact to be explained too: each flag is then a coin.

    Raises
    ------
    ConfigError
        If an option is none of these, or there is no part.

    Examples
    --------
    >>> likelihood = Columns([Part("age", "number", 1, "age"), Part("colour", "category", 4, "colour")])
    >>> likelihood.shape, likelihood.shape_in
    ((7,), (5,))
    >>> likelihood(torch.zeros(2, 5)).mean.shape
    torch.Size([2, 7])
    """

    def __init__(
        self,
        parts: Sequence[Part],
        numbers: str = "gaussian",
        counts: str = "negative_binomial",
        scale: float | str = "per_value",
        missingness: bool = False,
    ) -> None:
        _check(parts, numbers, counts, scale)
        super().__init__((row_width(parts),))
        self.plan = Plan(parts)
        self.numbers, self.counts, self.missingness = numbers, counts, missingness
        self.fixed = None if isinstance(scale, str) else math.log(scale)
        self.predicted = scale == "predicted"
        measured, counted = len(self.plan.numbers), len(self.plan.counts)
        self.log_scale = nn.Parameter(torch.zeros(measured)) if scale == "per_value" and measured else None
        self.log_freedom = nn.Parameter(torch.zeros(measured)) if numbers == "student_t" and measured else None
        self.log_size = nn.Parameter(torch.zeros(counted)) if counts == "negative_binomial" and counted else None
        self._layouts: dict[torch.device, tuple[Layout, _Counts]] = {}

    @property
    def _sizes(self) -> list[int]:
        flags = len(self.plan.parts) if self.missingness else 0
        return [*self.plan.sizes, len(self.plan.numbers) if self.predicted else 0, flags]

    @property
    def shape_in(self) -> tuple[int, ...]:
        """Shape of what the decoder must give."""
        return (sum(self._sizes),)

    def forward(self, h: Tensor) -> Joint:
        """Map (batch, \\*shape_in) to a distribution over rows."""
        layout, counting = self._placed(h.device)
        numbers, counts, booleans, angles, *categories, scales, flags = torch.split(h, self._sizes, 1)
        return Joint(
            layout,
            self._numbers(numbers, scales) if self.plan.numbers else None,
            self._counts(counting.log_mean(counts), counting) if self.plan.counts else None,
            Bernoulli(booleans) if self.plan.booleans else None,
            VonMises(angles.reshape(h.shape[0], -1, 2)) if self.plan.angles else None,
            [slots.reshape(h.shape[0], -1, bucket.width) for slots, bucket in zip(categories, self.plan.buckets)],
            Bernoulli(flags) if self.missingness else None,
        )

    def _numbers(self, location: Tensor, scales: Tensor) -> Valuewise:
        log_scale = scales if self.log_scale is None else self.log_scale
        log_scale = log_scale.clamp(NARROWEST, HIGHEST) if self.fixed is None else self.fixed
        if self.log_freedom is None:
            return Normal(location, log_scale)
        return StudentT(location, log_scale, (self.log_freedom + FREEDOM).clamp(*FREEDOMS))

    def _counts(self, log_mean: Tensor, counting: _Counts) -> Poisson | NegativeBinomial:
        if self.log_size is None:
            return Poisson(log_mean)
        return NegativeBinomial(log_mean, (self.log_size + counting.log_size.to(log_mean.dtype)).clamp(*LOG_SIZES))

    def _placed(self, device: torch.device) -> tuple[Layout, _Counts]:
        """Return the layout on `device`, made when it is first asked for."""
        if device not in self._layouts:
            layout = Layout(self.plan, device)
            with torch.inference_mode(False):
                self._layouts[device] = layout, _Counts(layout)
        return self._layouts[device]


class _Counts:
    """Where the decoder's numbers for counts start: an output of v means roughly the scaled count v, in its mean as in its slope."""

    def __init__(self, layout: Layout) -> None:
        typical = layout.offset.expm1().clamp_min(0.1)
        self.start = typical.log()
        self.slope = (layout.divisor * (1 + 1 / typical)).clamp_max(STEEPEST)
        self.log_size = (-2 * layout.divisor.log()).clamp(*LOG_SIZES)

    def log_mean(self, h: Tensor) -> Tensor:
        """Return the logarithm of the mean count."""
        return (self.start.to(h.dtype) + self.slope.to(h.dtype) * h).clamp(*LOG_MEANS)


def _check(parts: Sequence[Part], numbers: str, counts: str, scale: float | str) -> None:
    if not parts or not all(isinstance(part, Part) for part in cast("Sequence[object]", parts)):
        raise ConfigError("a likelihood of columns needs at least one part")
    for name, value, allowed in (("numbers", numbers, NUMBERS), ("counts", counts, COUNTS)):
        if value not in allowed:
            raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    if not (scale in SCALES if isinstance(scale, str) else 0 < scale < math.inf):
        raise ConfigError(f"likelihood_scale must be a positive number or one of {', '.join(SCALES)} for columns, not {scale!r}")
