"""The log likelihood of rows by annealed importance sampling."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.tasks.charts import motion_of
from isthmus.tasks.counted import COUNTED, Switches, most_values
from isthmus.tasks.latent import beside, conditions, domain_of, frozen, posterior, repeated, room, without
from isthmus.tasks.nll import Estimate, joined, summarise

STARTS = ("prior", "posterior")
WANTED = 0.65
FASTER, SLOWER = 1.05, 0.95


@dataclass(frozen=True)
class Annealing:
    """How the chains go.

    Parameters
    ----------
    chains : int
        Independent chains a row.
    steps : int
        Intermediate distributions.
    leaps : int
        Leapfrog steps of each Hamiltonian move.
    step_size : float
        First step size; it is then adapted for every row and every distribution to an acceptance of 0.65.
    start : {"prior", "posterior"}
        Where chains start: at the prior, as in the paper, or at the model's approximate posterior, which needs fewer steps.

    Raises
    ------
    ConfigError
        If a number is below 1, or the start is unknown.
    """

    chains: int = 16
    steps: int = 200
    leaps: int = 10
    step_size: float = 0.05
    start: str = "prior"

    def __post_init__(self) -> None:
        if min(self.chains, self.steps, self.leaps) < 1 or not self.step_size > 0:
            raise ConfigError("annealed importance sampling needs chains, steps and leaps of at least 1 and a step size above 0")
        if self.start not in STARTS:
            raise ConfigError(f"start must be one of {', '.join(STARTS)}, not {self.start!r}")

    def temperatures(self) -> Tensor:
        """Return the inverse temperatures from 0 to 1, shape (steps + 1,): a sigmoid, slow at both ends."""
        rising = torch.sigmoid(torch.linspace(-4, 4, self.steps + 1, dtype=torch.float64))
        return (rising - rising[0]) / (rising[-1] - rising[0])


@dataclass
class _Chains:
    """Chains of a few rows side by side: log f_t(u) = log f_0(u) + t * (log p(x, u) - log f_0(u)), by the free numbers u of codes."""

    model: Autoencoder
    x: Tensor
    rows: int
    leaps: int
    noise: GeneratorNoise
    h: Tensor | None

    def __post_init__(self) -> None:
        self.motion = motion_of(domain_of(self.model))
        self.condition = conditions(self.model, self.x)

    def start(self) -> Tensor:
        """Draw first places."""
        prior, count = self.model.prior, len(self.x)
        assert prior is not None
        if self.h is not None:
            first = without(self.model, posterior(self.model, self.h, count // self.rows).sample(self.noise))
        else:
            first = prior.bare.sample(count, self.noise).to(self.x.dtype)
        return self.motion.chart.inverse(first)

    def parts(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return log f_0, and log p(x, u) - log f_0, each of shape (chains,)."""
        assert self.model.prior is not None
        bare, volume = self.motion.chart.forward(place)
        z = beside(bare, self.condition)
        prior, data = self.model.prior.log_prob(z), self.model.decode(z).log_prob(self.x)
        if self.h is None:
            return prior + volume, data
        first = posterior(self.model, self.h, len(z) // self.rows).log_prob(z)
        return first + volume, prior + data - first

    def energy(self, place: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Return -log f_t, shape (chains,), and its gradient along the ways open to a chain."""
        with torch.enable_grad():
            place = place.detach().requires_grad_()
            first, rest = self.parts(place)
            value = -(first + t * rest)
            (slope,) = torch.autograd.grad(value.sum(), place)
        return value.detach(), self.motion.tangent(place.detach(), slope)

    def move(self, z: Tensor, t: float, size: Tensor) -> tuple[Tensor, Tensor]:
        """Make one Hamiltonian move that leaves f_t as it is; return places and acceptance of each chain."""
        momentum = self.motion.tangent(z, self.noise.normal(z))
        energy, slope = self.energy(z, t)
        kinetic = 0.5 * momentum.square().sum(1)
        place, speed = z, momentum
        last = energy
        for _ in range(self.leaps):
            place, speed = self.motion.drift(place, speed - 0.5 * size * slope, size)
            last, slope = self.energy(place, t)
            speed = speed - 0.5 * size * slope
        ratio = energy + kinetic - last - 0.5 * speed.square().sum(1)
        chance = torch.nan_to_num(ratio, nan=-torch.inf).clamp_max(0).exp()
        taken = self.noise.uniform(chance) < chance
        return torch.where(taken[:, None], place, z), chance

    def adapt(self, times: list[float], first: float) -> list[Tensor]:
        """Return a step size for every distribution, each of shape (rows,), found by one run of the chains."""
        size = torch.full((self.rows,), first, dtype=self.x.dtype)
        each = len(self.x) // self.rows
        z, found = self.start(), list[Tensor]()
        for t in times[1:]:
            z, chance = self.move(z, t, repeated(size, each)[:, None])
            high = chance.reshape(self.rows, each).mean(1) > WANTED
            size = (size * torch.where(high, FASTER, SLOWER)).clamp(1e-5, 10.0)
            found.append(size)
        return found

    def weigh(self, times: list[float], sizes: list[Tensor]) -> Tensor:
        """Return the log weights, shape (rows, chains)."""
        each = len(self.x) // self.rows
        z = self.start()
        total = torch.zeros(len(z), dtype=torch.float64)
        for before, t, size in zip(times, times[1:], sizes):
            with torch.no_grad():
                total += (t - before) * self.parts(z)[1].double()
            z, _ = self.move(z, t, repeated(size, each)[:, None])
        return total.reshape(self.rows, each)


def annealed(model: Autoencoder, rows: Tensor, how: Annealing | None = None, seed: int = 0) -> Estimate:
    r"""Estimate log p(x) by chains that go from the prior to the posterior.

    A chain's weight is :math:`\prod_t f_t(z_{t-1}) / f_{t-1}(z_{t-1})` with :math:`f_t = p(z)\, p(x|z)^{\beta_t}`, and between
    two distributions a Hamiltonian move leaves :math:`f_t` unchanged: in all of space, along great circles of a sphere, or through the
    logits of a cube. Codes that can be counted are drawn anew group by group instead, each given the others (Gibbs). The weights are
    unbiased for p(x), so the estimate lies below log p(x) on average. Step sizes are adapted in a first run and fixed in a second one,
    which alone counts: adapted within it they would make the weights biased.

    Parameters
    ----------
    model : Autoencoder
        With a prior whose density is positive everywhere, and a decoder that can be differentiated.
    rows : Tensor of shape (n, \\*shape)
        Preprocessed.
    how : Annealing, optional
    seed : int

    Returns
    -------
    Estimate

    Raises
    ------
    ConfigError
        If the model has no prior, or its code is a point of a continuous space.

    References
    ----------
    Neal, "Annealed importance sampling", 2001; Wu, Burda, Salakhutdinov and Grosse, "On the quantitative analysis of decoder-based
    generative models", ICLR 2017.
    """
    how = how or Annealing()
    if model.prior is None:
        raise ConfigError("annealed importance sampling goes from the prior to the posterior, but this model has no prior")
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))
    many = most_values(model) if domain_of(model) in COUNTED else 1
    at_once = max(1, room(model) // (how.chains * many))
    # Copies, because tensors made under inference mode cannot take part in a gradient.
    with frozen(model):
        return joined([summarise(_run(model, x.clone(), how, noise)) for x in torch.split(rows, at_once)])


def _run(model: Autoencoder, x: Tensor, how: Annealing, noise: GeneratorNoise) -> Tensor:
    with torch.no_grad():
        h = model.activate(x) if how.start == "posterior" else None
    times = [float(t) for t in how.temperatures()]
    if domain_of(model) in COUNTED:
        return Switches(model, repeated(x, how.chains), len(x), noise, h).weigh(times)
    sizes = _Chains(model, repeated(x, min(4, how.chains)), len(x), how.leaps, noise, h).adapt(times, how.step_size)
    return _Chains(model, repeated(x, how.chains), len(x), how.leaps, noise, h).weigh(times, sizes)
