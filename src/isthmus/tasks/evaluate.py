"""Honest nats of a variational model: the ELBO and its parts, log p(x), the gap between them, and what the code is used for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.distributions import GeneratorNoise
from isthmus.errors import ConfigError
from isthmus.likelihoods import LabelledRows
from isthmus.models import Autoencoder
from isthmus.tasks.aggregate import Aggregate, aggregate
from isthmus.tasks.ais import Annealing, annealed
from isthmus.tasks.counted import COUNTED, MOST_CODES, Book
from isthmus.tasks.examine import spread
from isthmus.tasks.gap import Gap, Tuning, optimised
from isthmus.tasks.latent import domain_of, require_prior, room
from isthmus.tasks.nll import Estimate, choose_draws, importance

Array = NDArray[Any]
TREATMENTS = ("none", "threshold", "sample", "dequantise")
ELBO_DRAWS = 16
_CONSTANTS = "every constant of the likelihood is kept, so nats of models with other likelihoods on the same scale can be compared"


@dataclass(eq=False)
class Evaluation:
    """What is known of a variational model on rows it was not trained on.

    Attributes
    ----------
    rows, dimensions : int
        Rows measured, and values of one row.
    reconstruction, kl : array of shape (n,)
        The two parts of the negative ELBO of every row, in nats.
    importance : Estimate
        log p(x) by importance sampling.
    annealed : Estimate, optional
        log p(x) of some rows by annealed importance sampling.
    annealed_rows : array of int
        Which rows those are.
    gap : Gap, optional
        Where log p(x) - ELBO comes from, on some rows.
    gap_rows : array of int
        Which rows those are.
    codes : Aggregate
        The codes against the prior.
    offset : float
        Nats of a row to subtract from log p(x) of the values as the model sees them, to get those of the data's own unit.
    conventions : list of str
        What the figures stand for, one sentence each.
    warnings : list of str
        What is wrong, and how to mend it.
    """

    rows: int
    dimensions: int
    reconstruction: Array
    kl: Array
    importance: Estimate
    annealed: Estimate | None
    annealed_rows: Array
    gap: Gap | None
    gap_rows: Array
    codes: Aggregate
    offset: float
    conventions: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])

    @property
    def elbo(self) -> float:
        """Mean evidence lower bound in nats."""
        return -float(self.reconstruction.mean() + self.kl.mean())

    def in_units(self) -> dict[str, dict[str, float]]:
        """Return the negated figures (lower is better) by name, each in nats, in bits, and in bits for each dimension."""
        nats = {
            "reconstruction": float(self.reconstruction.mean()),
            "KL": float(self.kl.mean()),
            "negative ELBO": -self.elbo,
            f"negative log likelihood (k = {self.importance.draws:,})": -self.importance.mean,
        }
        return with_units(nats, {name: self._error(name) for name in nats}, self.dimensions)

    def _error(self, name: str) -> float:
        """Return the standard error, in nats, by the choice of rows."""
        if name.startswith("negative log"):
            return self.importance.spread
        parts = {"reconstruction": self.reconstruction, "KL": self.kl}
        values = parts.get(name, self.reconstruction + self.kl)
        return error_by_rows(values)

    @property
    def gap_rows_importance(self) -> float:
        """Mean of log p(x) by importance sampling of the rows of the gap."""
        return float(self.importance.values[self.gap_rows].mean())

    @property
    def bits_per_dimension(self) -> float:
        """Negative log likelihood in bits for each value in the data's own unit."""
        return (self.offset - self.importance.mean) / self.dimensions / math.log(2)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        found: dict[str, Any] = {"rows": self.rows, "dimensions": self.dimensions, "figures": self.in_units()}
        found["bits per dimension, data's own unit"] = self.bits_per_dimension
        found["importance sampling"] = estimate_json(self.importance)
        if self.annealed is not None:
            found["annealed importance sampling"] = {**estimate_json(self.annealed), "rows": len(self.annealed_rows)}
            found["importance sampling, the same rows"] = float(self.importance.values[self.annealed_rows].mean())
        if self.gap is not None:
            found["gap"] = self.gap.to_json()
        found["active units"] = int(self.codes.active.sum())
        found["code units"] = len(self.codes.active)
        found["KL per group of units"] = [round(float(value), 4) for value in self.codes.kl]
        found["codes against prior (MMD)"] = {"distance": self.codes.discrepancy, "by chance": self.codes.floor}
        return {**found, "conventions": self.conventions, "warnings": self.warnings}


def with_units(nats: Mapping[str, float], errors: Mapping[str, float], dimensions: int) -> dict[str, dict[str, float]]:
    """Return figures in nats also in bits, and in bits for each of `dimensions` values, beside their standard errors in nats.

    Examples
    --------
    >>> with_units({"KL": math.log(2)}, {"KL": 0.0}, 4)["KL"]["bits per dimension"]
    0.25
    """
    bits = {name: value / math.log(2) for name, value in nats.items()}
    return {
        name: {"nats": nats[name], "bits": value, "bits per dimension": value / dimensions, "error": errors[name]}
        for name, value in bits.items()
    }


def error_by_rows(values: Array) -> float:
    """Return the standard error of a mean by the choice of rows, NaN of one row."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def estimate_json(found: Estimate) -> dict[str, float]:
    """Return an estimate as plain JSON types."""
    names = {"mean": found.mean, "Monte Carlo error": found.error, "draws": found.draws, "effective draws": found.effective}
    return {name: value for name, value in names.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Effort:
    """How much is spent on an evaluation.

    Parameters
    ----------
    draws : int, optional
        k of the importance sampling; chosen so that its bias is about 0.02 nats if None.
    annealed_rows : int
        Rows for annealed importance sampling, 0 for none.
    annealing : Annealing
    gap_rows : int
        Rows whose posterior is optimised, 0 for none.
    tuning : Tuning

    Raises
    ------
    ConfigError
        If `draws` is below 1, or a number of rows below 0.
    """

    draws: int | None = None
    annealed_rows: int = 0
    annealing: Annealing = field(default_factory=Annealing)
    gap_rows: int = 32
    tuning: Tuning = field(default_factory=Tuning)

    def __post_init__(self) -> None:
        if self.draws is not None and self.draws < 1:
            raise ConfigError(
                f"the number of draws k must be at least 1, not {self.draws}: 1000 is customary; leave it out to have it chosen"
            )
        if min(self.annealed_rows, self.gap_rows) < 0:
            raise ConfigError("annealed_rows and gap_rows must be at least 0")


def evaluate(artifact: Artifact, source: Source, effort: Effort | None = None, treatment: str = "none", seed: int = 0) -> Evaluation:
    """Measure a variational model on rows it was not trained on.

    Parameters
    ----------
    artifact : Artifact
        Of a family with a prior.
    source : Source
    effort : Effort, optional
    treatment : {"none", "threshold", "sample", "dequantise"}
        What is done to grey values in [0, 1] first: nothing; 1 from one half on, else 0; a coin with that probability (binarised with
        `seed`: the same rows and seed give the same coins); or uniform noise of the width of one of 256 steps, which makes a density
        of the values a bound on the probability of the 8-bit ones. A model that was fitted with binarise='dynamic' takes coins in any case.
    seed : int

    Returns
    -------
    Evaluation

    Raises
    ------
    ConfigError
        If the model has no prior, its code is a function of the row (see `isthmus.tasks.coded.evaluate_codes`), or the treatment is
        unknown.
    DataError
        If the rows do not fit the model.

    References
    ----------
    The gap: Cremer, Li and Duvenaud, ICML 2018; annealing: Wu et al., ICLR 2017; dequantisation: Theis, van den Oord and Bethge, "A note
    on the evaluation of generative models", ICLR 2016.
    """
    require_prior(artifact)
    treatment = settled(artifact, treatment)
    effort, told = feasible(artifact.model, effort or Effort())
    model, rows = artifact.model, treated(prepared(artifact, source, treatment), treatment, seed)
    model.likelihood.check(rows)
    reconstruction, kl = parts(model, rows, seed)
    chosen = effort.draws is None
    draws = choose_draws(model, rows, seed) if effort.draws is None else effort.draws
    found = Evaluation(
        rows=len(rows),
        dimensions=artifact.field.values,
        reconstruction=reconstruction,
        kl=kl,
        importance=importance(model, rows, draws, seed),
        annealed=None,
        annealed_rows=spread(len(rows), effort.annealed_rows),
        gap=None,
        gap_rows=spread(len(rows), effort.gap_rows),
        codes=aggregate(model, rows, seed),
        offset=offset(artifact, treatment),
        conventions=[*conventions(artifact, treatment, seed, chosen), *told],
    )
    if effort.annealed_rows:
        found.annealed = annealed(model, rows[found.annealed_rows], effort.annealing, seed)
    if effort.gap_rows:
        found.gap = split_gap(model, rows[found.gap_rows], effort.tuning, seed)
    found.warnings = warned(found)
    return found


def settled(artifact: Artifact, treatment: str) -> str:
    """Return what is done to grey values: what is asked for, or coins for a model of coins.

    Raises
    ------
    ConfigError
        If the treatment is unknown.
    """
    if treatment not in TREATMENTS:
        raise ConfigError(f"treatment must be one of {', '.join(TREATMENTS)}, not {treatment!r}")
    return "sample" if treatment == "none" and artifact.config.get("binarise") == "dynamic" else treatment


def feasible(model: Autoencoder, effort: Effort) -> tuple[Effort, list[str]]:
    """Return the effort without what a model's codes do not allow, and sentences on what its gap is split by."""
    where = domain_of(model)
    if not effort.gap_rows or where == "real":
        return effort, []
    if where in COUNTED and (count := Book(model).count) > MOST_CODES:
        told = f"the gap log p(x) - ELBO is not split: {count:,} codes are too many to go through ({MOST_CODES:,} at most)"
        return replace(effort, gap_rows=0), [f"{told}; annealed importance sampling gives log p(x) of some rows"]
    return effort, [_SPLIT[where]]


_COUNTED = "the gap is exact: log p(x) is a sum over all codes; the best posterior is found by coordinate ascent"
_SPLIT = {
    "sphere": "posteriors of single rows: 'own' is von Mises-Fisher; the Gaussians and the flow lie on the stereographic projection",
    "cube": "posteriors of single rows: 'own' is the model's kind; the Gaussians and the flow are those of the codes' logits",
    "simplex": _COUNTED,
    "codes": "the gap is exact: log p(x) is a sum over all codes; 'own' is the best single code of each row",
}


def prepared(artifact: Artifact, source: Source, treatment: str) -> Tensor:
    """Return rows as the model takes them, grey values that are to be treated within [0, 1]."""
    rows = artifact.prepare(source)
    # A model of zeros and ones takes values as they are: those of 8-bit pictures reach 255.
    return rows / 255 if treatment != "none" and artifact.schema.kind == "pictures" and float(rows.max()) > 1 else rows


def treated(rows: Tensor, treatment: str, seed: int = 0) -> Tensor:
    """Return rows with values in [0, 1] after the treatment that `evaluate` describes.

    Raises
    ------
    ConfigError
        If values lie outside [0, 1].

    Examples
    --------
    >>> treated(torch.tensor([[0.2, 0.7]]), "threshold")
    tensor([[0., 1.]])
    """
    if treatment == "none":
        return rows
    if float(rows.min()) < 0 or float(rows.max()) > 1:
        raise ConfigError(f"treatment={treatment!r} is for values in [0, 1], which these are not: leave it out, or fit with scaling='unit'")
    if treatment == "threshold":
        return (rows >= 0.5).to(rows.dtype)
    coins = torch.rand(rows.shape, generator=torch.Generator().manual_seed(seed), dtype=rows.dtype)
    return (coins < rows).to(rows.dtype) if treatment == "sample" else (255 * rows + coins) / 256


def parts(model: Autoencoder, rows: Tensor, seed: int = 0, draws: int = ELBO_DRAWS) -> tuple[Array, Array]:
    """Return reconstruction and KL of every row in nats, means over `draws` codes, each of shape (n,)."""
    noise = GeneratorNoise(torch.Generator().manual_seed(seed))
    prior = model.prior
    assert prior is not None
    found: list[Tensor] = []
    with torch.inference_mode():
        for x in torch.split(rows, room(model)):
            h = model.activate(x)
            q = model.bottleneck(h)
            total = torch.zeros(2, len(x), dtype=torch.float64)
            for _ in range(draws):
                z = q.sample(noise)
                total += torch.stack([model.decode(z).nats(x), prior.divergence(q, z).sum(1)])
            found.append(total / draws)
    both = torch.cat(found, dim=1).numpy()
    return both[0], both[1]


def split_gap(model: Autoencoder, rows: Tensor, tuning: Tuning, seed: int) -> Gap:
    """Return where log p(x) - ELBO of rows comes from."""
    found, evidence = optimised(model, rows, tuning, seed)
    return Gap(len(rows), evidence.mean, evidence.error, {name: float(values.mean()) for name, values in found.items()})


def offset(artifact: Artifact, treatment: str = "none") -> float:
    """Return the log of how much the scaling shrinks the volume of a row: nats to subtract from log p of the scaled row."""
    if treatment == "dequantise":
        return artifact.field.values * math.log(256)
    if artifact.field.support == "binary" or treatment != "none" or artifact.schema.kind == "columns":
        return 0.0
    divisor = np.asarray(artifact.preprocessor.state()[1]["divisor"], dtype=np.float64)
    return float(np.log(np.broadcast_to(divisor, artifact.schema.shape)).sum())


def conventions(artifact: Artifact, treatment: str, seed: int, chosen: bool = False) -> list[str]:
    """Return what the figures of an evaluation stand for, one sentence each."""
    explains = artifact.model.likelihood
    name = type(explains.inner if isinstance(explains, LabelledRows) else explains).__name__
    scaled = (
        f"values are scaled ({artifact.preprocessor.scale}) before they are measured; bits per dimension are also given in their own unit"
    )
    told = [f"likelihood {name}; {_CONSTANTS}", "values are measured as they are" if artifact.preprocessor.scale == "none" else scaled]
    told += [_TREATED[treatment].format(seed=seed)] if treatment != "none" else []
    if artifact.field.support == "binary" and treatment == "none":
        told.append("values are 0 and 1 as they stand in the data: grey values that were binarised once are static binarisation")
    if artifact.schema.dtype == "uint8" and artifact.field.support != "binary" and treatment == "none":
        told.append(
            "the values are 8-bit steps, but the likelihood is a density: it can exceed any bound on them. "
            "treatment='dequantise' gives a bound"
        )
    told.append("errors: by the choice of rows (one standard error); Monte Carlo errors are given apart")
    return told + (
        ["k chosen so that importance sampling lies about 0.02 nats too low at most, where k = 5,000 is enough"] if chosen else []
    )


_TREATED = {
    "threshold": "values are binarised at one half: static binarisation",
    "sample": "values are binarised by coins, seed {seed}: drawn once, other ones than training drew (dynamic binarisation)",
    "dequantise": "uniform noise of one 8-bit step is added (seed {seed}): bits per dimension bound those of the 8-bit values",
}


def warned(found: Evaluation) -> list[str]:
    """Return what is wrong with an evaluated model, each with a remedy."""
    active, units = int(found.codes.active.sum()), len(found.codes.active)
    told: list[str] = []
    if not active or found.kl.mean() < 0.1:
        told.append(
            "posterior collapse: the code says almost nothing of a row, and the decoder ignores it. Fit with free_bits=0.1 or more, "
            "more steps of warm-up (kl_warmup), a smaller weight of the KL (beta), or a likelihood of smaller scale"
        )
    elif active < units / 2:
        told.append(
            f"{units - active} of {units} code units are not used (KL near 0). That costs nothing in likelihood: use latent={active}, "
            "or free_bits to have more used"
        )
    if found.importance.effective < 2 and found.importance.draws > 1:
        told.append(
            f"importance sampling rests on {found.importance.effective:.1f} of {found.importance.draws:,} draws a row: its value lies "
            "below the truth by more than its error says. Use more draws or annealed importance sampling"
        )
    if found.gap is not None and found.gap.log_likelihood > found.gap_rows_importance + 0.2 + 3 * found.gap.error:
        told.append(
            f"importance sampling from the encoder's posterior lies {found.gap.log_likelihood - found.gap_rows_importance:.1f} nats too "
            "low: from a posterior optimised for each row it is higher. Use more draws, or annealed importance sampling"
        )
    floor = max(found.codes.floor, 1e-3)
    if found.codes.discrepancy > 20 * floor:
        told.append(
            "the codes are not spread as the prior is: samples from the prior decode codes that no row has. "
            "Sample from an ex-post density (the default of sample)"
        )
    return told
