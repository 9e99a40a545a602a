"""One distribution over columns of different kinds, of which some may be missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.distributions.angle import VonMises
from isthmus.distributions.base import Distribution, Valuewise
from isthmus.distributions.bernoulli import Bernoulli
from isthmus.distributions.categorical import Categorical
from isthmus.distributions.counts import NegativeBinomial, Poisson
from isthmus.distributions.noise import Noise
from isthmus.fields import Part, PartKind, part_slices

UNSEEN = 1e-4  # probability left for a category that training never showed
_IMPOSSIBLE = -1e9  # logit of the slots that fill a narrow category up; minus infinity times zero would be no number


@dataclass(frozen=True)
class Bucket:
    """Categories that are computed side by side: `parts` of them, each filled up to `width` seen slots."""

    parts: tuple[int, ...]
    width: int

    @property
    def size(self) -> int:
        """Slots in all."""
        return len(self.parts) * self.width


class Plan:
    """Which parts of a row are computed together.

    Numbers, counts, booleans and angles each make one group; categories make one for each power of two that holds their seen slots.

    Parameters
    ----------
    parts : sequence of Part

    Attributes
    ----------
    numbers, counts, booleans, angles : tuple of int
        Positions of the parts of each kind.
    buckets : list of Bucket
    order : list of int
        Positions of all parts, group by group.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self.numbers, self.counts, self.booleans, self.angles = (self._of(kind) for kind in ("number", "count", "boolean", "angle"))
        widths: dict[int, list[int]] = {}
        for place in self._of("category"):
            widths.setdefault(1 << (self.parts[place].width - 2).bit_length(), []).append(place)
        self.buckets = [Bucket(tuple(places), width) for width, places in sorted(widths.items())]
        categories = [place for bucket in self.buckets for place in bucket.parts]
        self.order = [*self.numbers, *self.counts, *self.booleans, *self.angles, *categories]

    def _of(self, kind: PartKind) -> tuple[int, ...]:
        return tuple(place for place, part in enumerate(self.parts) if part.kind == kind)

    @property
    def sizes(self) -> list[int]:
        """Values of each group: numbers, counts, booleans, angles, then each bucket."""
        return [len(self.numbers), len(self.counts), len(self.booleans), 2 * len(self.angles), *(bucket.size for bucket in self.buckets)]


class Layout:
    """A `Plan` as tensors on a device.

    Parameters
    ----------
    plan : Plan
    device : torch.device
    """

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.plan = plan
        parts, slices = plan.parts, part_slices(plan.parts)
        self.slices = slices
        self.width = slices[-1].stop
        single = [slices[place].start for place in (*plan.numbers, *plan.counts, *plan.booleans)]
        pairs = [slices[place].start + k for place in plan.angles for k in (0, 1)]
        seen = [slices[place].start + 1 + min(k, parts[place].width - 2) for b in plan.buckets for place in b.parts for k in range(b.width)]
        unseen = [slices[place].start for b in plan.buckets for place in b.parts]
        flags = [self.width + place for place in plan.order]
        with torch.inference_mode(False):  # tensors made for inference cannot take part in training later
            self.gather = torch.tensor([*single, *pairs, *seen, *unseen, *flags], device=device)
            self.place = torch.tensor(plan.order, device=device).argsort()
            self.owner = torch.tensor([place for place, part in enumerate(parts) for _ in range(part.width)], device=device)
            self.offset = torch.tensor([parts[place].offset for place in plan.counts], device=device, dtype=torch.float64)
            self.divisor = torch.tensor([parts[place].divisor for place in plan.counts], device=device, dtype=torch.float64)
            self.valid = [_valid(plan, bucket).to(device) for bucket in plan.buckets]
            self.assemble = self._assembly([*single, *pairs], unseen).to(device)
        self.sizes = [*plan.sizes, len(unseen), len(flags)]

    def _assembly(self, direct: list[int], unseen: list[int]) -> Tensor:
        """Return for each value of a row its place among the groups' values, to which one value for unseen categories is added."""
        found = torch.zeros(self.width, dtype=torch.long)
        found[direct] = torch.arange(len(direct))
        start = len(direct)
        for bucket in self.plan.buckets:
            for number, place in enumerate(bucket.parts):
                own = part_slices(self.plan.parts)[place]
                found[own.start + 1 : own.stop] = start + number * bucket.width + torch.arange(own.stop - own.start - 1)
            start += bucket.size
        found[unseen] = start
        return found

    def take(self, x: Tensor) -> list[Tensor]:
        """Return the values of rows group by group, whether categories are unseen, and whether parts are present."""
        return list(torch.split(x.index_select(1, self.gather), self.sizes, 1))

    def present(self, x: Tensor) -> Tensor:
        """Return the flag of every part, shape (batch, P)."""
        return x[:, self.width :]


def _valid(plan: Plan, bucket: Bucket) -> Tensor:
    return torch.tensor([[k < plan.parts[place].width - 1 for k in range(bucket.width)] for place in bucket.parts])


class Joint(Distribution):
    r"""Columns of different kinds, independent given the code: :math:`\log p(x) = \sum_{j\ \text{present}} \log p_j(x_j)`.

    A row holds the values of all parts side by side and then a flag for each, 1 if it is present. What is missing adds nothing. A category
    that training never showed (slot 0) has the probability 0.0001; the others share the rest.

    Parameters
    ----------
    layout : Layout
    numbers : Valuewise, optional
        Over (batch, parts of this kind); None where there is no such part, here and below.
    counts : Poisson or NegativeBinomial, optional
        Over the counts themselves, not the scaled values.
    booleans : Bernoulli, optional
    angles : VonMises, optional
        Over (batch, parts, 2).
    categories : sequence of Tensor
        Logits of each bucket, shape (batch, parts, width).
    flags : Bernoulli, optional
        Over the flags, where missingness itself is modelled.

    Examples
    --------
    >>> from isthmus.distributions import Normal
    >>> from isthmus.fields import Part
    >>> layout = Layout(Plan([Part("a", "number", 1, "a")]), torch.device("cpu"))
    >>> joint = Joint(layout, numbers=Normal(torch.zeros(2, 1)))
    >>> joint.log_prob(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    tensor([-1.4189,  0.0000])
    """

    def __init__(
        self,
        layout: Layout,
        numbers: Valuewise | None = None,
        counts: Poisson | NegativeBinomial | None = None,
        booleans: Bernoulli | None = None,
        angles: VonMises | None = None,
        categories: Sequence[Tensor] = (),
        flags: Bernoulli | None = None,
    ) -> None:
        self.layout = layout
        self.numbers = numbers
        self.counts = counts
        self.booleans = booleans
        self.angles = angles
        self.categories = [Categorical(logits.masked_fill(~valid, _IMPOSSIBLE)) for logits, valid in zip(categories, layout.valid)]
        self.flags = flags

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of what is present in nats, shape (batch,)."""
        values, present = self._by_group(x)
        total = (values * present).sum(1)
        return total if self.flags is None else total + self.flags.log_prob(self.layout.present(x))

    def log_probs(self, x: Tensor) -> Tensor:
        """Log density of each part in nats, 0 where it is missing, shape (batch, P)."""
        values, present = self._by_group(x)
        found = (values * present).index_select(1, self.layout.place)
        return found if self.flags is None else found + self.flags.log_probs(self.layout.present(x))

    def _by_group(self, x: Tensor) -> tuple[Tensor, Tensor]:
        numbers, counts, booleans, angles, *categories, unseen, present = self.layout.take(x)
        found: list[Tensor] = []
        if self.numbers is not None:
            found.append(self.numbers.log_probs(numbers))
        if self.counts is not None:
            found.append(self.counts.log_probs(self._count(counts)))
        if self.booleans is not None:
            found.append(self.booleans.log_probs(booleans))
        if self.angles is not None:
            found.append(self.angles.log_probs(angles.reshape(x.shape[0], -1, 2)))
        start = 0
        for group, slots, valid in zip(self.categories, categories, self.layout.valid):
            new = unseen[:, start : (start := start + len(valid))]
            likely = group.log_probs(slots.reshape(x.shape[0], *valid.shape) * valid)
            found.append(likely + math.log1p(-UNSEEN) + (math.log(UNSEEN) - math.log1p(-UNSEEN)) * new)
        return found[0] if len(found) == 1 else torch.cat(found, 1), present

    def _count(self, scaled: Tensor) -> Tensor:
        """Return the counts behind scaled values, in float64."""
        return (scaled.double() * self.layout.divisor + self.layout.offset).expm1().round().clamp_min(0)

    def _scaled(self, count: Tensor) -> Tensor:
        return ((count.double().log1p() - self.layout.offset) / self.layout.divisor).to(count.dtype)

    def observed(self, x: Tensor) -> Tensor:
        """Return 1 for values of parts that are present, 0 for the others and for the flags, shape (batch, W + P)."""
        present = self.layout.present(x)
        return torch.cat([present.index_select(1, self.layout.owner), torch.zeros_like(present)], 1)

    def _row(
        self,
        numbers: Callable[[Valuewise], Tensor],
        counts: Callable[[Poisson | NegativeBinomial], Tensor],
        booleans: Callable[[Bernoulli], Tensor],
        angles: Callable[[VonMises], Tensor],
        categories: Callable[[Categorical], Tensor],
        unseen: float = 0.0,
        flags: Callable[[Bernoulli], Tensor] | None = None,
    ) -> Tensor:
        """Return rows made of what each function gives for its group."""
        found: list[Tensor] = []
        if self.numbers is not None:
            found.append(numbers(self.numbers))
        if self.counts is not None:
            found.append(self._scaled(counts(self.counts)))
        if self.booleans is not None:
            found.append(booleans(self.booleans))
        if self.angles is not None:
            found.append(angles(self.angles).flatten(1))
        found += [categories(group).flatten(1) for group in self.categories]
        found.append(torch.full_like(found[0][:, :1], unseen))
        values = torch.cat(found, 1).index_select(1, self.layout.assemble)
        if self.flags is None or flags is None:
            return torch.cat([values, values.new_ones(values.shape[0], len(self.layout.plan.parts))], 1)
        present = flags(self.flags)
        return torch.cat([values * present.index_select(1, self.layout.owner), present], 1)

    @property
    def mean(self) -> Tensor:
        """Expected values (of counts: the scaled expected count) in a row's layout, all flags 1, shape (batch, W + P)."""
        return self._row(_mean, _mean, _mean, _mean, lambda group: group.mean * (1 - UNSEEN), unseen=UNSEEN)

    @property
    def mode(self) -> Tensor:
        """The most probable values in a row's layout, all flags 1, shape (batch, W + P)."""
        return self._row(_mean, _mode, lambda group: (group.logits > 0).to(group.logits.dtype), _mode, _mode)

    def sample(self, noise: Noise) -> Tensor:
        """Draw rows; parts are missing in them only where missingness is modelled."""

        def draw(group: Distribution) -> Tensor:
            return group.sample(noise)

        return self._row(draw, draw, draw, draw, draw, flags=draw)


def _mean(group: Distribution) -> Tensor:
    return group.mean


def _mode(group: Poisson | NegativeBinomial | VonMises | Categorical) -> Tensor:
    return group.mode
