"""Honest nats of families whose code is one of finitely many: what row and code cost, and how the codes are used."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.distributions.labelled import bare
from isthmus.distributions.quantised import Quantised
from isthmus.errors import ConfigError
from isthmus.models import Autoencoder
from isthmus.priors import AutoregressiveCodes
from isthmus.tasks.ais import annealed
from isthmus.tasks.counted import Book
from isthmus.tasks.evaluate import (
    Effort,
    conventions,
    error_by_rows,
    estimate_json,
    feasible,
    offset,
    prepared,
    settled,
    split_gap,
    treated,
    with_units,
)
from isthmus.tasks.examine import spread
from isthmus.tasks.gap import Gap
from isthmus.tasks.latent import room
from isthmus.tasks.nll import Estimate

Array = NDArray[Any]
BOUND = "bound on -log p(x)"


@dataclass(frozen=True, eq=False)
class Usage:
    """How often each value of each group of code units is taken.

    Attributes
    ----------
    counts : tuple of array
        For each group, how many rows took each of its values.
    distinct : int
        Different codes among the rows.
    """

    counts: tuple[Array, ...]
    distinct: int

    @property
    def entropies(self) -> Array:
        """Entropy of each group's use in nats, shape (groups,)."""
        shares = [count[count > 0] / count.sum() for count in self.counts]
        return np.array([-float((share * np.log(share)).sum()) for share in shares])

    @property
    def perplexities(self) -> Array:
        """How many values evenly used would have each group's entropy, shape (groups,)."""
        return np.exp(self.entropies)

    @property
    def dead(self) -> int:
        """Values that no row takes, of all groups together."""
        return int(sum((count == 0).sum() for count in self.counts))

    @property
    def values(self) -> int:
        """Values of all groups together."""
        return sum(map(len, self.counts))

    @property
    def uniform(self) -> float:
        """Nats of a code if all were alike."""
        return float(sum(math.log(len(count)) for count in self.counts))


@dataclass(eq=False)
class CodedEvaluation:
    """What is known of a model of countable codes on rows it was not trained on.

    Attributes
    ----------
    rows, dimensions : int
        Rows measured, and values of one row.
    reconstruction : array of shape (n,)
        -log p(x | code) of every row, in nats.
    code : array of shape (n,)
        -log p(code) under the learned prior: the nats that say which code it is.
    usage : Usage
    annealed : Estimate, optional
        log p(x), all codes taken together, of some rows by annealed importance sampling.
    annealed_rows, gap_rows : array of int
        Which rows those, and those of the gap, are.
    gap : Gap, optional
        What the encoder's code loses against the best one, and that against all codes together; exact.
    offset : float
        Nats of a row to subtract from log p(x) of the values as the model sees them, to get those of the data's own unit.
    conventions, warnings : list of str
        What the figures stand for; what is wrong, and how to mend it.
    """

    rows: int
    dimensions: int
    reconstruction: Array
    code: Array
    usage: Usage
    annealed: Estimate | None
    annealed_rows: Array
    gap: Gap | None
    gap_rows: Array
    offset: float
    conventions: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])

    @property
    def elbo(self) -> float:
        """Mean lower bound on log p(x) in nats: that of the encoder's code alone."""
        return -float(self.reconstruction.mean() + self.code.mean())

    def in_units(self) -> dict[str, dict[str, float]]:
        """Return the negated figures (lower is better) by name, each in nats, in bits, and in bits for each dimension."""
        values = {"reconstruction": self.reconstruction, "code": self.code, BOUND: self.reconstruction + self.code}
        nats = {name: float(value.mean()) for name, value in values.items()}
        return with_units(nats, {name: error_by_rows(value) for name, value in values.items()}, self.dimensions)

    @property
    def bits_per_dimension(self) -> float:
        """Bound in bits for each value in the data's own unit."""
        return (self.offset - self.elbo) / self.dimensions / math.log(2)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        found: dict[str, Any] = {"rows": self.rows, "dimensions": self.dimensions, "figures": self.in_units()}
        found["bits per dimension, data's own unit"] = self.bits_per_dimension
        if self.annealed is not None:
            found["annealed importance sampling"] = {**estimate_json(self.annealed), "rows": len(self.annealed_rows)}
        if self.gap is not None:
            found["gap"] = self.gap.to_json()
        use = self.usage
        found["perplexity of groups"] = [round(float(value), 3) for value in use.perplexities]
        found["values of groups"] = [len(count) for count in use.counts]
        found |= {"dead values": use.dead, "distinct codes": use.distinct}
        found["nats of a code"] = {"prior": float(self.code.mean()), "groups apart": float(use.entropies.sum()), "all alike": use.uniform}
        return {**found, "conventions": self.conventions, "warnings": self.warnings}


def is_coded(artifact: Artifact) -> bool:
    """Say whether the codes of a model are single words of a finite number, so that `evaluate_codes` measures it."""
    prior = artifact.model.prior
    return prior is not None and isinstance(prior.bare, AutoregressiveCodes)


def evaluate_codes(
    artifact: Artifact, source: Source, effort: Effort | None = None, treatment: str = "none", seed: int = 0
) -> CodedEvaluation:
    r"""Measure a model of countable codes (``vqvae``, ``fsq``) on rows it was not trained on.

    Row and code together cost :math:`-\log p(x|k) - \log p(k)` nats, with k the encoder's code: an exact cost, and a bound on
    :math:`-\log p(x) = -\log\sum_k p(k)\,p(x|k)`.

    Parameters
    ----------
    artifact : Artifact
    source : Source
    effort : Effort, optional
        Its `draws` are not used: there is one code a row.
    treatment : {"none", "threshold", "sample", "dequantise"}
        As in `isthmus.tasks.evaluate.evaluate`.
    seed : int

    Returns
    -------
    CodedEvaluation

    Raises
    ------
    ConfigError
        If the codes of the model cannot be counted, or the treatment is unknown.

    References
    ----------
    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NeurIPS 2017, section 3.
    """
    if not is_coded(artifact):
        raise ConfigError(f"the codes of the family {artifact.family!r} cannot be counted: use isthmus.tasks.evaluate.evaluate")
    treatment, model = settled(artifact, treatment), artifact.model
    effort, told = feasible(model, effort or Effort())
    rows = treated(prepared(artifact, source, treatment), treatment, seed)
    model.likelihood.check(rows)
    reconstruction, code, indices = costs(model, rows)
    found = CodedEvaluation(
        rows=len(rows),
        dimensions=artifact.field.values,
        reconstruction=reconstruction,
        code=code,
        usage=used(indices, Book(model).cardinalities),
        annealed=None,
        annealed_rows=spread(len(rows), effort.annealed_rows),
        gap=None,
        gap_rows=spread(len(rows), effort.gap_rows),
        offset=offset(artifact, treatment),
        conventions=[_ONE, *conventions(artifact, treatment, seed), *told],
    )
    if effort.annealed_rows:
        found.annealed = annealed(model, rows[found.annealed_rows], effort.annealing, seed)
    if effort.gap_rows:
        found.gap = split_gap(model, rows[found.gap_rows], effort.tuning, seed)
    found.warnings = warned(found)
    return found


_ONE = "a row has one code: what both cost together bounds -log p(x), which other codes than the encoder's make smaller"


@torch.inference_mode()
def costs(model: Autoencoder, rows: Tensor) -> tuple[Array, Array, Array]:
    """Return -log p(x | code), -log p(code) in nats, each of shape (n,), and the codes' indices, shape (n, groups)."""
    assert model.prior is not None
    found: list[tuple[Tensor, ...]] = []
    for x in torch.split(rows, room(model)):
        q = model.encode(x)
        z = q.mean
        inner = bare(q, z)[0]
        assert isinstance(inner, Quantised)
        found.append((model.decode(z).nats(x).double(), model.prior.divergence(q, z).sum(1).double(), inner.indices))
    reconstruction, code, indices = (torch.cat(part).numpy() for part in zip(*found))
    return reconstruction, code, indices


def used(indices: Array, cardinalities: tuple[int, ...]) -> Usage:
    """Return how often each value is taken.

    Examples
    --------
    >>> found = used(np.array([[0, 1], [0, 2], [0, 1]]), (2, 3))
    >>> found.dead, found.distinct, found.perplexities.round(2).tolist()
    (2, 2, [1.0, 1.89])
    """
    counts = tuple(np.bincount(column, minlength=size) for column, size in zip(indices.T, cardinalities))
    return Usage(counts, len(np.unique(indices, axis=0)))


def warned(found: CodedEvaluation) -> list[str]:
    """Return what is wrong with an evaluated model, each with a remedy."""
    use, told = found.usage, list[str]()
    if use.entropies.max() < 0.1:
        told.append("the code is the same for nearly all rows: train longer, or use a smaller likelihood_scale")
    elif use.dead > use.values / 2 and found.rows > 10 * max(map(len, use.counts)):
        told.append(f"{use.dead} of {use.values} values are taken by no row: use a smaller codebook (vqvae) or fewer levels (fsq)")
    if float(found.code.mean()) > use.uniform:
        told.append(
            f"the prior says {found.code.mean():.1f} nats for a code, more than if all were alike ({use.uniform:.1f}): it has overfitted "
            "its training rows, or has not been trained long enough"
        )
    return told
