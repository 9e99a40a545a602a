"""An ex-post density of the codes of any fitted model, so that every family can be sampled from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.distributions import Delta, GeneratorNoise
from isthmus.errors import ConfigError, DataError, IsthmusError
from isthmus.models import Autoencoder
from isthmus.priors import Prior
from isthmus.priors.ex_post import MixtureDensity
from isthmus.tasks.latent import some
from isthmus.training import in_batches

_LINALG: Any = torch.linalg  # torch leaves it without type hints
COMPONENTS = (1, 2, 5, 10, 20, 50, 100)
CODES = 20_000
QUICK = (1,)  # of the linear family, fitted in milliseconds: with a Gaussian it is probabilistic PCA
DENSITIES = ("auto", "prior", "ex_post")
WIDEST = 256
ITERATIONS, SETTLED = 40, 1e-3
LLOYD = 8
RIDGE = 1e-4
WORK = 1e11  # floating-point operations of one fit
BLOCK = 1 << 18  # numbers worked on at once, which stay in the cache
NARROW = 32  # units up to which all components' moments are one product


@dataclass(frozen=True, eq=False)
class Fitted:
    """The density of codes that explains held-out ones best.

    Attributes
    ----------
    density : MixtureDensity
    scores : dict of str to float
        Mean log density of held-out codes in nats, by the density's name; the prior's among them where there is one.
    chosen : str
        The best of them.
    """

    density: MixtureDensity
    scores: dict[str, float]
    chosen: str


def named(components: int) -> str:
    """Return what a mixture is called.

    Examples
    --------
    >>> named(1), named(50)
    ('Gaussian', 'mixture of 50 Gaussians')
    """
    return "Gaussian" if components == 1 else f"mixture of {components} Gaussians"


def fit_mixture(codes: Tensor, components: int = 1, seed: int = 0) -> MixtureDensity:
    """Fit a mixture of Gaussians by expectation maximisation.

    Every covariance gets a ten-thousandth of the codes' own variance added, so that units which never vary, or vary together, leave
    it invertible.

    Parameters
    ----------
    codes : Tensor of shape (n, latent)
    components : int
    seed : int

    Returns
    -------
    MixtureDensity

    Raises
    ------
    DataError
        If there are fewer codes than components, or codes that are no numbers.
    ConfigError
        If `components` is below 1, or a covariance stays singular.
    """
    if components < 1:
        raise ConfigError(f"components must be at least 1, not {components}")
    if len(codes) < max(2, components):
        raise DataError(f"{len(codes)} codes are too few for {components} Gaussians: give more rows, or use fewer components")
    if not bool(codes.isfinite().all()):
        raise DataError("some codes are not finite: the model has diverged, or a row lies far outside the data it was fitted on")
    centre, scale = codes.double().mean(0), codes.double().std(0)
    scale = scale.clamp_min(max(1e-6 * float(scale.max()), 1e-12))
    x = ((codes - centre) / scale).float()
    found = _maximise(MixtureDensity(codes.shape[1], components), x, _grouped(x, components, seed))
    previous = -math.inf
    for _ in range(ITERATIONS if components > 1 else 0):
        each = found.component_log_prob(x)
        total = torch.logsumexp(each, 1)
        if (value := float(total.mean())) < previous + SETTLED:
            break
        previous = value
        found = _maximise(found, x, (each - total[:, None]).exp())
    found.means = (found.means * scale + centre).float()
    found.factors = (found.factors * scale[:, None]).float()
    return found


def _grouped(x: Tensor, components: int, seed: int) -> Tensor:
    """Return groups by a few steps of k-means, as shares of shape (n, components)."""
    generator = torch.Generator().manual_seed(seed)
    centres = x[torch.randint(len(x), (1,), generator=generator)]
    near = torch.cdist(x, centres).square().squeeze(1)
    for _ in range(components - 1):
        # Coinciding codes leave no distance to draw by: any will do.
        chances = near.double() + (near.sum() == 0).double()
        new = x[torch.multinomial(chances, 1, generator=generator)]
        centres = torch.cat([centres, new])
        near = torch.minimum(near, torch.cdist(x, new).square().squeeze(1))
    for _ in range(LLOYD):
        shares = torch.nn.functional.one_hot(torch.cdist(x, centres).argmin(1), components).to(x.dtype)
        counts = shares.sum(0)[:, None]
        centres = torch.where(counts > 0, shares.T @ x / counts.clamp_min(1), centres)
    return torch.nn.functional.one_hot(torch.cdist(x, centres).argmin(1), components).to(x.dtype)


def _maximise(density: MixtureDensity, x: Tensor, shares: Tensor) -> MixtureDensity:
    """Return the mixture that explains codes best, given to which component they belong."""
    counts = shares.sum(0) + 1e-6
    means = shares.T @ x / counts[:, None]
    own = _moments(x, shares) / counts[:, None, None] - means[:, :, None] * means[:, None]
    # A component with hardly any code would fit it alone: one code's worth of the covariance of all is mixed in.
    covariances = (counts[:, None, None] * own + torch.cov(x.T).reshape(own.shape[1:])) / (counts + 1)[:, None, None]
    density.log_weights = (counts / counts.sum()).log()
    density.means = means
    density.factors = _factored(covariances)
    return density


def _moments(x: Tensor, shares: Tensor) -> Tensor:
    """Return the sum of the codes' outer products for each component, shape (components, latent, latent)."""
    width = x.shape[1]
    if width > NARROW:
        return torch.stack([(x * share[:, None]).T @ x for share in shares.T])
    found, size = torch.zeros(shares.shape[1], width**2), BLOCK // width**2
    for i in range(0, len(x), size):
        part = x[i : i + size]
        found += shares[i : i + size].T @ (part[:, :, None] * part[:, None, :]).flatten(1)
    return found.view(-1, width, width)


def _factored(covariances: Tensor) -> Tensor:
    eye = torch.eye(covariances.shape[-1])
    for ridge in (RIDGE, 10 * RIDGE, 100 * RIDGE):
        factors, failed = _LINALG.cholesky_ex(covariances + ridge * eye)
        if not bool(failed.any()):
            return factors
    raise ConfigError(
        "the covariance of the codes is singular even with 1 % of their variance added: use a smaller latent or fewer components"
    )


def choose_density(codes: Tensor, held: Tensor, components: Sequence[int] | None = None, seed: int = 0, condition: int = 0) -> Fitted:
    """Fit mixtures of several sizes to codes, and choose the one that gives held-out codes the highest likelihood.

    Parameters
    ----------
    codes : Tensor of shape (n, latent)
        Of rows trained on; at most 20,000 are used.
    held : Tensor of shape (m, latent)
        Of rows held out.
    components : sequence of int, optional
        Numbers of Gaussians to try, in order, until one is no better than those before it; if None, from 1 to 100 as far as there
        are 20 codes for each and the work is not too much.
    seed : int
    condition : int
        How many of the last units are a condition: given it, codes shall be likely.

    Returns
    -------
    Fitted

    Raises
    ------
    ConfigError
        If the code is wider than 256 units.
    DataError
        If there are too few codes.
    """
    if codes.shape[1] > WIDEST:
        raise ConfigError(
            f"a code of {codes.shape[1]} units is too wide for a density with full covariances: fit with latent={WIDEST} or less"
        )
    codes = some(codes, CODES, seed)
    cost = 4.0 * ITERATIONS * len(codes) * codes.shape[1] ** 2
    sizes = components or [k for k in COMPONENTS if k == 1 or (20 * k <= len(codes) and cost * k <= WORK)]
    best: MixtureDensity | None = None
    scores: dict[str, float] = {}
    for size in sizes:
        found = fit_mixture(codes, size, seed)
        score = float(in_batches(partial(found.log_prob_given, width=condition) if condition else found.log_prob, held).double().mean())
        better = best is None or score > max(scores.values())
        scores[named(size)] = score
        best = found if better else best
        if not better:
            break
    assert best is not None
    return Fitted(best, scores, max(scores, key=lambda name: scores[name]))


def drawn_codes(model: Autoencoder, rows: Tensor, seed: int = 0) -> Tensor:
    """Return one code a row as the decoder meets them: the code itself, or a draw from the posterior; shape (n, latent)."""
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))

    def draw(x: Tensor) -> Tensor:
        q = model.encode(x)
        return q.mean if isinstance(q, Delta) else q.sample(noise)

    return in_batches(draw, rows)


def attach(artifact: Artifact, rows: Tensor, held: Tensor | None = None, components: Sequence[int] | None = None, seed: int = 0) -> Fitted:
    """Give a fitted model a density of its codes to be sampled from; it is saved with the model.

    Parameters
    ----------
    artifact : Artifact
        Changed in place: its `density`, and the entry "density" of its facts.
    rows, held : Tensor of shape (n, \\*shape) and (m, \\*shape)
        Preprocessed rows to fit it on and to choose it by; a fifth of `rows` chooses if there are none held out.
    components : sequence of int, optional
        Numbers of Gaussians to try.
    seed : int

    Returns
    -------
    Fitted

    Raises
    ------
    ConfigError, DataError
        If the codes allow no density.
    """
    prior = artifact.model.prior
    if prior is not None and prior.bare.domain != "real":
        raise ConfigError(f"codes lie on the domain {prior.bare.domain!r}, where a mixture of Gaussians does not")
    rows = some(rows, CODES, seed)
    codes = drawn_codes(artifact.model, rows, seed)
    if held is None or len(held) < 20:
        keep = torch.arange(len(codes)) % 5 != 4
        codes, rest = codes[keep], codes[~keep] if len(codes) >= 10 else codes
    else:
        rest = drawn_codes(artifact.model, some(held, CODES, seed), seed + 1)
    found = choose_density(codes, rest, components, seed, artifact.model.condition)
    scores = dict(found.scores)
    if prior is not None:
        with torch.inference_mode():
            scores["prior"] = float(prior.log_prob(rest).double().mean())
    chosen = max(scores, key=lambda name: scores[name])
    artifact.density = found.density
    artifact.facts["density"] = {"chosen": chosen, "held-out codes, nats": {name: round(value, 4) for name, value in scores.items()}}
    return Fitted(found.density, scores, chosen)


def with_density(artifact: Artifact, rows: Tensor, held: Tensor | None = None) -> Artifact:
    """Return a fitted model with a density of its codes where they allow one; where they do not, the facts say why."""
    quick = QUICK if artifact.config.get("solver") == "closed" else None
    try:
        attach(artifact, rows, held, quick, int(artifact.config.get("seed") or 0))
    except IsthmusError as error:
        artifact.facts["density"] = {"chosen": "none", "why": str(error)}
    return artifact


def chosen_density(artifact: Artifact, density: str = "auto") -> tuple[str, MixtureDensity | Prior]:
    """Return what codes are drawn from, and its name.

    Parameters
    ----------
    artifact : Artifact
    density : {"auto", "prior", "ex_post"}
        The one that gave held-out codes the highest likelihood; the model's prior; or the density fitted to its codes.

    Returns
    -------
    name : str
    density : MixtureDensity or Prior

    Raises
    ------
    ConfigError
        If the model does not have it; the message says how to come by it.
    """
    if density not in DENSITIES:
        raise ConfigError(f"density must be one of {', '.join(DENSITIES)}, not {density!r}")
    prior, fitted = artifact.model.prior, artifact.density
    known: dict[str, Any] = artifact.facts.get("density", {})
    chosen = str(known.get("chosen", "none"))
    if prior is not None and (density == "prior" or (density == "auto" and (fitted is None or chosen == "prior"))):
        return "the prior", prior
    if density == "prior":
        raise ConfigError(f"the family {artifact.family!r} has no prior: draw from the density of its codes, density='ex_post'")
    if fitted is None:
        raise ConfigError(_missing(artifact, str(known.get("why", ""))))
    return f"a {named(fitted.components)} fitted to the codes", fitted


def _missing(artifact: Artifact, why: str) -> str:
    """Say that a model carries no density of its codes, and how to come by one where that can be."""
    prior, told = artifact.model.prior, f" ({why})" if why else ""
    if prior is None:
        mend = "" if why else ". Give it one from the data it was fitted on: isthmus density MODEL DATA"
        return f"the family {artifact.family!r} has no prior to draw codes from, and this model carries no density of its codes{told}{mend}"
    other = ", or give it one with isthmus density MODEL DATA" if prior.domain == "real" else ""
    return f"this model carries no density of its codes{told}: use density='prior'{other}"
