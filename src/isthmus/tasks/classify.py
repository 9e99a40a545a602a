"""Rows told apart by one conditional model, and how unfamiliar they are to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.errors import ConfigError
from isthmus.tasks.bayes import Bayes, compressed_bits, detection, figures, strangeness

Array = NDArray[Any]
FEWEST = 20  # rows to find a temperature with half of them
USUAL = 0.95  # share of usual rows below the level from which a row is called strange


@dataclass(frozen=True, eq=False)
class Classified:
    """What Bayes' rule says of rows.

    Attributes
    ----------
    bayes : Bayes
        With the temperature used.
    log_likelihoods : array of shape (n, k)
        log p(x | class) in nats, in the data's own unit.
    strange : dict of str to array of shape (n,)
        Scores of how unfamiliar rows are, higher is stranger; only the likelihood's where no usual rows are given.
    levels : dict of str to float
        What 95 % of usual rows stay below, of each score.
    areas : dict of str to float
        How often a row scores higher than a usual one (area under the ROC curve), of each score: one half where all are usual.
    """

    bayes: Bayes
    log_likelihoods: Array
    strange: Mapping[str, Array]
    levels: Mapping[str, float]
    areas: Mapping[str, float]

    @property
    def probabilities(self) -> Array:
        """Return p(class | x), shape (n, k)."""
        return np.exp(self.bayes.log_probabilities(self.log_likelihoods))

    @property
    def evidence(self) -> Array:
        """log p(x) in nats, shape (n,)."""
        return self.bayes.log_evidence(self.log_likelihoods)

    def take(self, rows: Array) -> Classified:
        """Return the same of some rows."""
        strange = {name: values[rows] for name, values in self.strange.items()}
        return replace(self, log_likelihoods=self.log_likelihoods[rows], strange=strange)

    def columns(self) -> dict[str, Array]:
        """Return what a table of the rows shows: the likeliest class, its probability, those of all classes, log p(x), and scores."""
        chances = self.probabilities
        names = [str(name) for name in self.bayes.classes]
        found: dict[str, Array] = {"class": np.asarray(names)[chances.argmax(1)], "probability": chances.max(1)}
        found |= {f"p({name})": chances[:, i] for i, name in enumerate(names)}
        return {**found, "log p(x)": self.evidence, **{name: self.strange[name] for name in self.strange if name != "likelihood"}}


def classify(
    artifact: Artifact, source: Source, usual: Source | None = None, draws: int = 1, temperature: float = 1.0, seed: int = 0
) -> Classified:
    r"""Return :math:`p(\text{class} \mid x) \propto p(x \mid \text{class})^{1/T}\,p(\text{class})` and p(x) of rows.

    Parameters
    ----------
    artifact : Artifact
        Of a model with a prior that is told each row's class; the share of each class is that in training.
    source : Source
        Rows, whose condition is not looked at.
    usual : Source, optional
        Rows of the kind trained on that were not trained on, beside which others are unfamiliar.
    draws : int
        Importance samples a row and class; 1 takes the bound that the model was trained with, steadier and cheaper.
    temperature : float
        T; above 1 where the densities are too sure of themselves. 1 is Bayes' rule itself.
    seed : int

    Returns
    -------
    Classified

    Raises
    ------
    ConfigError
        If the model is not told a class, has no prior, or the temperature is not positive.
    """
    if not 0 < temperature < np.inf:
        raise ConfigError(f"temperature must be a positive number, not {temperature}")
    bayes = replace(Bayes.of_model(artifact), temperature=temperature)
    found = bayes.log_likelihoods(source, draws, seed)
    evidence = bayes.log_evidence(found)
    if usual is None:
        return Classified(bayes, found, {"likelihood": -evidence}, {}, {})
    known = bayes.log_evidence(bayes.log_likelihoods(usual, draws, seed))
    bits, known_bits = (_bits(artifact, rows) for rows in (source, usual))
    strange, base = strangeness(evidence, known, bits, known_bits), strangeness(known, known, known_bits, known_bits)
    levels = {name: float(np.quantile(values, USUAL)) for name, values in base.items()}
    areas = {name: detection(strange[name], values) for name, values in base.items()}
    return Classified(bayes, found, strange, levels, areas)


def _bits(artifact: Artifact, source: Source) -> Array | None:
    """Return the bits a compressor needs for pictures of 8 bits; of other rows nothing is known."""
    rows = artifact.schema.align(source)
    return compressed_bits(rows) if artifact.schema.kind == "pictures" and rows.dtype == np.uint8 else None


def measured_by(found: Classified, labels: Array, seed: int = 0) -> tuple[dict[str, dict[str, float]], Bayes]:
    """Return accuracy, calibration error and log loss by Bayes' rule and with a temperature, on the same half of the rows, and the latter.

    The temperature is found on the other half; of fewer than 20 rows all are measured, by Bayes' rule alone.

    Parameters
    ----------
    found : Classified
    labels : array of shape (n,)
    seed : int
        Decides which rows are in which half.

    Returns
    -------
    figures : dict of str to dict of str to float
    bayes : Bayes
        With that temperature.

    Raises
    ------
    DataError
        If a label is none of the classes.
    """
    known, rule = np.array([str(label) for label in labels]), replace(found.bayes, temperature=1.0)
    if len(known) < FEWEST:
        return {"Bayes' rule": figures(rule, found.log_likelihoods, known)}, rule
    order = np.random.default_rng(seed).permutation(len(known))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    cooled = rule.calibrate(found.log_likelihoods[first], known[first])
    rows, truth = found.log_likelihoods[second], known[second]
    return {"Bayes' rule": figures(rule, rows, truth), f"temperature {cooled.temperature:.3g}": figures(cooled, rows, truth)}, cooled
