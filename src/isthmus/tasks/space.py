"""The space of codes of a fitted model: what its dimensions do, directions with a meaning, groups, neighbours, and how sure a code is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError, DataError
from isthmus.priors.ex_post import MixtureDensity
from isthmus.tasks import codes as coding
from isthmus.tasks.density import choose_density, fit_mixture
from isthmus.tasks.latent import is_point
from isthmus.training import decode as decode_rows
from isthmus.training import encode as encode_rows
from isthmus.training import in_batches

Array = NDArray[Any]
SPREAD_DRAWS = 32
REACH = 3.0


@dataclass(frozen=True, eq=False)
class Traversal:
    """What each dimension of the code does.

    Attributes
    ----------
    dimensions : array of int, shape (d,)
        Code units, the most used first.
    importance : array of shape (d,)
        Mean KL of each in nats where the prior splits it by units, else its variance over the rows.
    values : array of shape (d, steps)
        What the unit was set to.
    rows : array of shape (d, steps, \\*shape)
        Decoded, in the data's own units.
    measure : {"KL (nats)", "variance"}
        What `importance` is.
    """

    dimensions: Array
    importance: Array
    values: Array
    rows: Array
    measure: str


def rank(artifact: Artifact, source: Source, seed: int = 0) -> tuple[Array, str]:
    """Return how much each code unit is used, shape (latent,) without a condition, and the measure's name."""
    model, prior = artifact.model, artifact.model.prior
    rows = artifact.prepare(source)
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))

    def divergence(x: torch.Tensor) -> torch.Tensor:
        assert prior is not None
        q = model.encode(x)
        return prior.divergence(q, q.sample(noise))

    codes = coding.encode(artifact, source)
    latent = codes.shape[1] - model.condition  # the condition follows the code
    known = prior is not None and not is_point(model.encode(rows[:1]))
    kl = in_batches(divergence, rows).double().mean(0).numpy() if known else np.empty(0)
    return (kl, "KL (nats)") if len(kl) == latent else (codes[:, :latent].astype(np.float64).var(0), "variance")


def traverse(artifact: Artifact, source: Source, row: int | None = None, steps: int = 9, top: int = 10, reach: float = REACH) -> Traversal:
    """Move one unit of the code at a time and decode, the most used units first.

    Parameters
    ----------
    artifact : Artifact
    source : Source
        Rows by which units are ranked and their ranges found.
    row : int, optional
        Row whose code the others stay at; the mean code if None.
    steps : int
        Values a unit, at least 2.
    top : int
        How many units at most.
    reach : float
        How far to go to both sides of the mean, in standard deviations of the unit's codes.

    Returns
    -------
    Traversal

    Raises
    ------
    ConfigError
        If `steps` is below 2, or `top` below 1.
    DataError
        If there is no such row.
    """
    if steps < 2 or top < 1:
        raise ConfigError(f"traverse needs steps of at least 2 and top of at least 1, not {steps} and {top}")
    if row is not None and not 0 <= row < len(source):
        raise DataError(f"{source.name} has rows 0 to {len(source) - 1}; there is no row {row}")
    importance, measure = rank(artifact, source)
    codes = coding.encode(artifact, source).astype(np.float64)
    middle, spread = codes.mean(0), codes.std(0)
    order = np.argsort(-importance, kind="stable")[:top]
    values = middle[order, None] + spread[order, None] * np.linspace(-reach, reach, steps)
    moved = np.repeat((middle if row is None else codes[row])[None], len(order) * steps, axis=0).reshape(len(order), steps, -1)
    moved[np.arange(len(order))[:, None], np.arange(steps), order[:, None]] = values
    decoded = coding.decode(artifact, moved.reshape(-1, moved.shape[-1]))
    return Traversal(order, importance[order], values, decoded.reshape(len(order), steps, *decoded.shape[1:]), measure)


def attribute_vector(codes: Array, labels: Array, against: Mapping[str, Array] | None = None, ridge: float | None = None) -> Array:
    r"""Return the direction of an attribute: mean code of the rows that have it less that of those that do not.

    Parameters
    ----------
    codes : array of shape (n, latent)
    labels : array of shape (n,)
        Two different values; the larger one means that a row has the attribute.
    against : mapping of str to array, optional
        Other attributes of the same rows, which must not change along: the direction is made orthogonal to theirs.
    ridge : float, optional
        Fisher's discriminant instead, :math:`(S + \text{ridge} \cdot \text{tr}(S) / d \cdot I)^{-1}` times the difference of the means,
        with S the covariance within both classes, as long as that difference: what varies anyway, such as the light, weighs less. The
        smaller the ridge, the less; 1 is a fair start.

    Returns
    -------
    array of shape (latent,)

    Raises
    ------
    DataError
        If there is not one label a row, or not two different ones; or nothing is left beside the other attributes.
    ConfigError
        If `ridge` is not above 0.

    References
    ----------
    Larsen et al., "Autoencoding beyond pixels using a learned similarity metric", ICML 2016, section 4.2;
    Friedman, "Regularized discriminant analysis", JASA 84, 1989, equation 18.

    Examples
    --------
    >>> attribute_vector(np.array([[0.0, 1.0], [4.0, 1.0]]), np.array([0, 1])).tolist()
    [4.0, 0.0]
    """
    direction = _direction(codes, labels, "y")
    if ridge is not None:
        direction = _discriminant(codes.astype(np.float64), np.asarray(labels), direction, ridge)
    if not against:
        return direction
    others = np.stack([_direction(codes, values, name) for name, values in against.items()], axis=1)
    basis, _, _ = np.linalg.svd(others, full_matrices=False)
    left = direction - basis @ (basis.T @ direction)
    if np.linalg.norm(left) < 1e-9 * np.linalg.norm(direction):
        raise DataError(
            f"the attribute lies wholly along {', '.join(against)}: nothing is left that changes it alone. Leave some of them out"
        )
    return left


def _discriminant(codes: Array, labels: Array, means: Array, ridge: float) -> Array:
    """Turn the difference of the means away from what varies within the classes; its length stays."""
    if not ridge > 0:
        raise ConfigError(f"ridge must be above 0, not {ridge}: 1 is a fair start, and None takes the difference of the means")
    has: Array = labels == np.unique(labels)[1]
    apart = codes.copy()
    for part in (has, ~has):
        apart[part] -= codes[part].mean(0)
    within = apart.T @ apart / len(codes)
    level = float(np.trace(within)) / len(within) or 1.0
    found = np.linalg.solve(within + ridge * level * np.eye(len(within)), means)
    length = float(np.linalg.norm(found))
    return found * (float(np.linalg.norm(means)) / length) if length else means


def _direction(codes: Array, labels: Array, name: str) -> Array:
    values = np.asarray(labels)
    if values.shape != (len(codes),):
        raise DataError(f"{name}: {values.size:,} labels for {len(codes):,} rows; give one for each, in the same order")
    known = np.unique(values)
    if len(known) != 2:
        raise DataError(f"{name} must hold two different values (has the attribute, has it not), not {len(known)}")
    has = values == known[1]
    wide = codes.astype(np.float64)
    return wide[has].mean(0) - wide[~has].mean(0)


def edit(artifact: Artifact, source: Source, vector: Array, strength: float | Sequence[float] = 1.0, residual: bool = False) -> Array:
    r"""Add an attribute's direction to the codes of rows, and decode.

    Parameters
    ----------
    artifact : Artifact
    source : Source
    vector : array of shape (latent,)
        From `attribute_vector`, or any sum of codes.
    strength : float or sequence of float
        How much of it; 1 goes as far as the classes' means lie apart, a negative number takes it away.
    residual : bool
        Add what the edit changes to the row itself, :math:`x + f(z + s v) - f(z)`: everything that the code does not hold, such as the
        detail of a picture, stays.

    Returns
    -------
    array of shape (n, \*shape), or (n, strengths, \*shape) for several

    Raises
    ------
    DataError
        If the vector is not as wide as the code.
    ConfigError
        If mixed columns are to keep their residual.
    """
    rows = artifact.prepare(source)
    codes = encode_rows(artifact.model, rows).numpy().astype(np.float64)
    if np.shape(vector) != codes.shape[1:]:
        raise DataError(
            f"the vector has the shape {np.shape(vector)}, but a code has {codes.shape[1]} units: give what attribute_vector returns"
        )
    strengths = np.atleast_1d(np.asarray(strength, dtype=np.float64))
    moved = codes[:, None] + strengths[:, None] * np.asarray(vector, dtype=np.float64)
    flat = moved.reshape(-1, codes.shape[1])
    decoded = _kept(artifact, rows, codes, flat) if residual else coding.decode(artifact, flat)
    return decoded.reshape(len(codes), len(strengths), *decoded.shape[1:]) if np.ndim(strength) else decoded


def _kept(artifact: Artifact, rows: torch.Tensor, codes: Array, moved: Array) -> Array:
    """Return rows with what their moved codes change added to them: as many moved codes, one after the other, for each row."""
    if artifact.field.kind == "columns":
        raise ConfigError("mixed columns have categories, to which no difference can be added: leave residual out")
    left = artifact.bare(rows) - _decoded(artifact, codes)
    found = _decoded(artifact, moved) + left.repeat_interleave(len(moved) // max(1, len(codes)), dim=0)
    return artifact.preprocessor.inverse_transform(_within(artifact, found).numpy())


def _decoded(artifact: Artifact, codes: Array) -> torch.Tensor:
    """Return the scaled mean of the data of every code, where data can lie."""
    z = torch.as_tensor(codes.astype(np.float32))
    return _within(artifact, artifact.bare(decode_rows(artifact.model, z)))


def _within(artifact: Artifact, rows: torch.Tensor) -> torch.Tensor:
    return rows if artifact.field.support == "real" else rows.clamp(0, 1)


def arithmetic(artifact: Artifact, source: Source, plus: Sequence[int], minus: Sequence[int] = ()) -> Array:
    """Add and subtract the codes of rows, and decode the result, shape (1, \\*shape): of rows 1 + 3 - 2, ``plus=[1, 3], minus=[2]``.

    Raises
    ------
    DataError
        If there is no such row, or none is added.
    """
    wrong = sorted({row for row in (*plus, *minus) if not 0 <= row < len(source)})
    if wrong or not plus:
        told = f"there is no row {', '.join(map(str, wrong))}" if wrong else "no row was given to add"
        raise DataError(f"{source.name} has rows 0 to {len(source) - 1}; {told}")
    codes = coding.encode(artifact, source.take(np.asarray([*plus, *minus]))).astype(np.float64)
    signs = np.repeat([1.0, -1.0], [len(plus), len(minus)])
    return coding.decode(artifact, (signs @ codes)[None])


@dataclass(frozen=True, eq=False)
class Clusters:
    """Groups of rows, by a mixture of Gaussians on their codes.

    Attributes
    ----------
    labels : array of int, shape (n,)
        Group of each row.
    probabilities : array of shape (n, k)
        How surely.
    centres : array of shape (k, \\*shape)
        Decoded mean of each group, in the data's own units.
    distances : array of shape (n,)
        Mahalanobis distance of each row's code from its group's centre: how unusual it is within its group.
    score : float
        Mean log density of the codes, in nats.
    """

    labels: Array
    probabilities: Array
    centres: Array
    distances: Array
    score: float


def cluster(artifact: Artifact, source: Source, groups: int | None = None, seed: int = 0) -> Clusters:
    """Group rows by a mixture of Gaussians on their codes.

    Parameters
    ----------
    artifact : Artifact
    source : Source
    groups : int, optional
        How many; the number that explains a held-out fifth of the codes best if None.
    seed : int

    Returns
    -------
    Clusters

    Raises
    ------
    ConfigError
        If `groups` is below 1.
    DataError
        If there are too few rows.
    """
    codes = torch.from_numpy(coding.encode(artifact, source))  # pyright: ignore[reportUnknownMemberType]
    if groups is None:
        keep = torch.from_numpy(np.random.default_rng(seed).permutation(len(codes)) % 5 != 4)  # pyright: ignore[reportUnknownMemberType]
        mixture = choose_density(codes[keep], codes[~keep], seed=seed).density
    else:
        mixture = fit_mixture(codes, groups, seed)
    each = in_batches(mixture.component_log_prob, codes)
    labels = each.argmax(1)
    return Clusters(
        labels=labels.numpy(),
        probabilities=each.double().softmax(1).numpy(),
        centres=coding.decode(artifact, mixture.means.numpy()),
        distances=_mahalanobis(mixture, codes, labels),
        score=float(torch.logsumexp(each.double(), 1).mean()),
    )


def _mahalanobis(mixture: MixtureDensity, codes: torch.Tensor, labels: torch.Tensor) -> Array:
    each = in_batches(mixture.squares, codes)
    return each.gather(1, labels[:, None]).squeeze(1).double().sqrt().numpy()


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """How sure the codes of rows are.

    Attributes
    ----------
    spread : array of shape (n,)
        Root mean square of the posterior's standard deviations over the code units; 0 for a code that is a function of the row.
    distance : array of shape (n,)
        Mahalanobis distance of the code from the centre of the nearest group of the density of codes: large for a code in no known place.
    rebuilt : array of shape (n,)
        Root mean square, over the values of a row (scaled), of the standard deviation of its reconstruction over draws of the code.
    """

    spread: Array
    distance: Array
    rebuilt: Array


def uncertainty(artifact: Artifact, source: Source, draws: int = SPREAD_DRAWS, seed: int = 0) -> Uncertainty:
    """Measure how sure the code of every row is.

    Parameters
    ----------
    artifact : Artifact
    source : Source
    draws : int
        Codes drawn a row, at least 2.
    seed : int

    Returns
    -------
    Uncertainty

    Raises
    ------
    ConfigError
        If `draws` is below 2.
    """
    if draws < 2:
        raise ConfigError(f"draws must be at least 2, not {draws}: one draw has no spread")
    model, rows = artifact.model, artifact.prepare(source)
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))

    def look(x: torch.Tensor) -> torch.Tensor:
        q = model.encode(x)
        codes = torch.stack([q.sample(noise) for _ in range(draws)])
        rebuilt = torch.stack([model.decode(z).mean.flatten(1) for z in codes])
        return torch.stack([part.var(0).mean(1).sqrt() for part in (codes, rebuilt)], dim=1)

    found = in_batches(look, rows, size=max(1, 4_000_000 // (draws * max(1, rows[:1].numel())))).double().numpy()
    return Uncertainty(found[:, 0], _distance(artifact, source), found[:, 1])


def _distance(artifact: Artifact, source: Source) -> Array:
    codes = torch.from_numpy(coding.encode(artifact, source))  # pyright: ignore[reportUnknownMemberType]
    if artifact.density is None:
        return np.full(len(codes), np.nan)
    return in_batches(artifact.density.squares, codes).amin(1).double().sqrt().numpy()


def neighbours(artifact: Artifact, source: Source, among: Source, count: int = 5) -> tuple[Array, Array]:
    """Return the rows of `among` whose codes are nearest: their numbers and distances, each of shape (n, count), nearest first.

    Raises
    ------
    ConfigError
        If `count` is not between 1 and the number of rows of `among`.
    """
    if not 1 <= count <= len(among):
        raise ConfigError(f"count must lie between 1 and the number of rows to look among ({len(among)}), not {count}")
    search = import_module("sklearn.neighbors").NearestNeighbors(n_neighbors=count).fit(coding.encode(artifact, among))
    distances, found = search.kneighbors(coding.encode(artifact, source))
    return found, distances
