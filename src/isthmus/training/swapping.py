"""What an encoder shared by several domains is trained by: each domain rebuilt by its own decoder, and what keeps the content."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from isthmus.corruptions import Corruption
from isthmus.distributions import GeneratorNoise
from isthmus.nn.shared_coder import SharedCoder
from isthmus.training.crops import Lesson
from isthmus.training.picture_loss import PictureLoss

LEAST = 8  # pictures of a domain in a batch: mean and variance are taken over them
SLOPE = 0.2
SEEN = 512  # pictures of a domain by which its codes are standardised in the end


class Lessons:
    """Draws a batch with as many pictures of each domain, however many there are of it.

    Parameters
    ----------
    domains : sequence of Tensor of shape (n, H, W, C)
        The pictures of each, between 0 and 1.
    batch : int
        Pictures of all domains together; of each at least 8.
    views : sequence of Corruption
        What is done to input and target alike, such as shifting.
    warp : Corruption
        What is done to the input alone.

    Examples
    --------
    >>> from isthmus.corruptions import Move, Warp
    >>> lessons = Lessons([torch.zeros(1, 16, 16, 1), torch.ones(20, 16, 16, 1)], 16, [Move()], Warp())
    >>> lessons(torch.Generator()).target.mean((1, 2, 3))
    tensor([0., 0., 0., 0., 0., 0., 0., 0., 1., 1., 1., 1., 1., 1., 1., 1.])
    """

    def __init__(self, domains: Sequence[Tensor], batch: int, views: Sequence[Corruption], warp: Corruption) -> None:
        self.domains, self.views, self.warp = domains, views, warp
        self.each = max(LEAST, batch // len(domains))

    def __call__(self, generator: torch.Generator) -> Lesson:
        """Return the next batch, domain after domain."""
        noise = GeneratorNoise(generator)
        rows = [pictures[torch.randint(len(pictures), (self.each,), generator=generator)] for pictures in self.domains]
        target = torch.cat(rows)
        for view in self.views:
            target = view(target, noise)
        return Lesson(self.warp(target, noise), target)


class Critic(nn.Module):
    """Tells for each part of a picture how much it looks like the real ones of a domain.

    Parameters
    ----------
    colours, domains, width : int

    References
    ----------
    Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017, section 3.2.2.
    """

    def __init__(self, colours: int, domains: int, width: int) -> None:
        super().__init__()
        widths = (colours, width, 2 * width, 4 * width)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], domains, 3, padding=1)

    def forward(self, x: Tensor, domains: Tensor) -> Tensor:
        """Map pictures (batch, H, W, C), each of a domain, to (batch, places)."""
        h = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        for conv in self.convs:
            h = functional.leaky_relu(conv(h), SLOPE)
        return cast("Tensor", self.last(h))[torch.arange(len(x)), domains].flatten(1)


class SwapTrainer(nn.Module):
    """A shared coder with all it is trained by, as a network from pictures to pictures for `fit_restorer`.

    Parameters
    ----------
    coder : SharedCoder
    critic : Critic, optional
        Without it nothing but the standardised code says that a swapped picture should look like its domain.
    back : bool
        Whether pictures are swapped back.
    ramp : int
        Steps over which the terms on swapped pictures grow to their weights.
    """

    def __init__(self, coder: SharedCoder, critic: Critic | None = None, back: bool = False, ramp: int = 500) -> None:
        super().__init__()
        self.coder, self.critic, self.back, self.ramp = coder, critic, back, ramp
        self.step: Tensor
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.others: list[int] = []

    @property
    def share(self) -> float:
        """How much of their weights the terms on swapped pictures have by now."""
        return min(1.0, int(self.step) / self.ramp)

    def forward(self, seen: Tensor) -> Tensor:
        """Map a batch (domains * n, H, W, C) to one or several: rebuilt, and where needed swapped, and swapped back."""
        coder, count = self.coder, self.coder.domains
        shift = 1 + int(self.step) % (count - 1)  # at each step into another domain, until all have had their turn
        self.others = [(domain + shift) % count for domain in range(count)]
        self.step += 1
        codes = [coder.encode(part, i) for i, part in enumerate(seen.chunk(count))]
        found = [coder.decode(z, i) for i, z in enumerate(codes)]
        if self.critic is not None or self.back:
            found += [coder.decode(z, j) for z, j in zip(codes, self.others)]
        if self.back:
            again = [coder.encode(x.detach().float().clamp(0, 1), j) for x, j in zip(found[count:], self.others)]
            found += [coder.decode(z, i) for i, z in enumerate(again)]
        return torch.cat(found)


class SwapLoss:
    r"""How far pictures are from what they should be.

    :math:`L(\hat x, x) + s\,b\,L(\hat x', x) + s\,c\,A`, with pictures rebuilt :math:`\hat x` and swapped back :math:`\hat x'`, the
    adversarial term A of least squares on swapped pictures, and s growing from 0 to 1.

    Parameters
    ----------
    trainer : SwapTrainer
    pictures : PictureLoss
        L.
    back, critic : float
        b and c.
    bf16 : bool
        Whether the critic works in bfloat16.

    References
    ----------
    Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks", ICCV 2017; the way back as in Lample et
    al., "Unsupervised machine translation using monolingual corpora only", ICLR 2018: no gradient passes through the first leg.
    """

    def __init__(self, trainer: SwapTrainer, pictures: PictureLoss, back: float, critic: float, bf16: bool = False) -> None:
        self.trainer, self.pictures, self.back, self.critic, self.bf16 = trainer, pictures, back, critic, bf16

    def __call__(self, found: Tensor, lesson: Lesson) -> Tensor:
        """Return the loss of a batch, a single number."""
        parts, share = torch.split(found, len(lesson.target)), self.trainer.share
        loss = self.pictures(parts[0], lesson)
        if self.back:
            loss = loss + share * self.back * self.pictures(parts[2], lesson)
        return loss + self.adversarial(parts[1], lesson.target, share) if self.trainer.critic is not None else loss

    def adversarial(self, swapped: Tensor, real: Tensor, share: float) -> Tensor:
        """Return what the critic is taught, and what swapped pictures lack in its eyes; neither's gradient reaches the other."""
        critic: Any = self.trainer.critic
        count = self.trainer.coder.domains
        own, others = (torch.tensor(names).repeat_interleave(len(real) // count) for names in (range(count), self.trainer.others))
        with torch.autocast(real.device.type, torch.bfloat16, enabled=self.bf16):
            taught = (1 - critic(real, own).float()).square().mean() + critic(swapped.detach(), others).float().square().mean()
            still = {name: value.detach() for name, value in critic.named_parameters()}
            lacking = (1 - functional_call(critic, still, (swapped, others)).float()).square().mean()
        return taught + share * self.critic * lacking
