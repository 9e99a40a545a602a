"""New rows from a model with a prior, and paths between rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Dataset, Source
from isthmus.distributions import GeneratorNoise, Noise
from isthmus.errors import ConfigError, DataError
from isthmus.priors import MixtureDensity, Prior
from isthmus.priors.labelled import LabelledPrior
from isthmus.tasks import codes as coding
from isthmus.tasks.density import chosen_density
from isthmus.tasks.geodesic import geodesic
from isthmus.training import decode

Array = NDArray[Any]
WAYS = ("line", "sphere", "decoder")


def sample(artifact: Artifact, rows: int, *, seed: int = 0, mean: bool = False, density: str = "auto", condition: Any = None) -> Array:
    """Draw new rows: a code, then a row from the decoder's distribution.

    Parameters
    ----------
    artifact : Artifact
        Of any family.
    rows : int
    seed : int
    mean : bool
        Return the mean of the decoder's distribution instead of a draw from it: smoother than data are.
    density : {"auto", "prior", "ex_post"}
        Where codes come from: the model's prior, or a mixture of Gaussians fitted to its codes after training. "auto" takes the one
        that gives codes of held-out rows the higher likelihood; `isthmus.tasks.density.chosen_density` tells which.
    condition : array-like of shape (rows,) or (rows, c), or one value, optional
        Of conditional models: the class of each row that is drawn, or of all of them; those of training rows by default. Without a prior
        codes are drawn from the fitted density given the condition.

    Returns
    -------
    array of shape (rows, \\*shape)
        In the data's own units.

    Raises
    ------
    ConfigError
        If the model has no such density, or `rows` is not positive.

    References
    ----------
    Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020, section 4.
    """
    if rows < 1:
        raise ConfigError(f"the number of samples must be at least 1, not {rows}")
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        drawn_from = chosen_density(artifact, density)[1]
        codes = drawn(artifact, drawn_from, rows, noise) if condition is None else _given(artifact, drawn_from, rows, condition, noise)
    made = decode(artifact.model, codes, None if mean else lambda p: p.sample(noise))
    return artifact.restore(made, within=True)


def drawn(artifact: Artifact, density: MixtureDensity | Prior, rows: int, noise: Noise) -> torch.Tensor:
    """Return codes from a density, shape (rows, latent).

    A density fitted to codes and their conditions draws both, and leaves classes that are one each to be made of them.
    """
    codes, known = density.sample(rows, noise), artifact.condition
    if known is None or isinstance(density, LabelledPrior):
        return codes
    nearest = torch.from_numpy(known.nearest(codes[:, -known.width :].numpy()))  # pyright: ignore[reportUnknownMemberType]
    return torch.cat([codes[:, : -known.width], nearest], dim=1)


def _given(artifact: Artifact, density: object, rows: int, condition: Any, noise: Noise) -> torch.Tensor:
    """Draw codes for given conditions: of a density of codes and conditions together, the one of codes given theirs."""
    known = artifact.condition
    if known is None:
        raise ConfigError(f"the model of the family {artifact.family!r} knows no condition to draw for: fit with y or --condition")
    assert isinstance(density, LabelledPrior | MixtureDensity)
    values = [condition] * rows if np.ndim(condition) == 0 else condition
    return density.given(torch.from_numpy(known.transform(values, rows)), noise)  # pyright: ignore[reportUnknownMemberType]


def interpolate(
    artifact: Artifact,
    source: Source | Dataset,
    pairs: list[tuple[int, int]],
    steps: int = 8,
    spherical: bool = False,
    along: str | None = None,
) -> Array:
    """Go from row to row through the code and decode on the way.

    Parameters
    ----------
    artifact : Artifact
    source : Source or Dataset
    pairs : list of (int, int)
        Row numbers of start and end.
    steps : int
        Codes on each path, both ends included; at least 2.
    spherical : bool
        Short for ``along="sphere"``.
    along : {"line", "sphere", "decoder"}, optional
        A straight line; a great circle with the length blended; or the decoder's geometry, with even steps in the data.

    Returns
    -------
    array of shape (pairs, steps, \\*shape)

    Raises
    ------
    DataError
        If a row number is not there.
    ConfigError
        If `steps` is below 2, or `along` is unknown.
    """
    way = along or ("sphere" if spherical else "line")
    if way not in WAYS:
        raise ConfigError(f"along must be one of {', '.join(WAYS)}, not {way!r}")
    if steps < 2:
        raise ConfigError(f"steps must be at least 2, not {steps}")
    wrong = sorted({row for pair in pairs for row in pair if not 0 <= row < len(source)})
    if not pairs:
        raise DataError("no pair of rows was given. Give at least one, such as (0, 1)")
    if wrong:
        raise DataError(f"{source.name} has rows 0 to {len(source) - 1}; there is no row {', '.join(map(str, wrong))}")
    used = sorted({row for pair in pairs for row in pair})
    found = dict(zip(used, coding.encode(artifact, source.take(np.asarray(used)))))
    if way == "decoder":
        starts, ends = (np.stack([found[pair[side]] for pair in pairs]) for side in (0, 1))
        paths = geodesic(artifact.model, starts, ends, steps)
    else:
        paths = np.stack([path(found[a], found[b], steps, way == "sphere") for a, b in pairs])
    decoded = coding.decode(artifact, paths.reshape(-1, paths.shape[-1]))
    return decoded.reshape(len(pairs), steps, *decoded.shape[1:])


def path(start: Array, end: Array, steps: int, spherical: bool = False) -> Array:
    """Return `steps` codes from `start` to `end`, shape (steps, latent).

    Examples
    --------
    >>> path(np.zeros(1), np.ones(1), 3).ravel().tolist()
    [0.0, 0.5, 1.0]
    """
    t = np.linspace(0, 1, steps)[:, None]
    straight = (1 - t) * start + t * end
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if not spherical or min(lengths) < 1e-12:
        return straight
    angle = np.arccos(np.clip(start @ end / (lengths[0] * lengths[1]), -1, 1))
    if angle < 1e-6 or np.pi - angle < 1e-6:
        return straight
    direction = (np.sin((1 - t) * angle) * start / lengths[0] + np.sin(t * angle) * end / lengths[1]) / np.sin(angle)
    return direction * ((1 - t) * lengths[0] + t * lengths[1])
