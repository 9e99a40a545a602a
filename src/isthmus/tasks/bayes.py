"""Class probabilities by Bayes: a model of every class gives p(x | class), hence p(class | x) and p(x)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.errors import ConfigError, DataError
from isthmus.priors import LabelledPrior
from isthmus.tasks import codes as coding
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit
from isthmus.tasks.latent import require_prior
from isthmus.tasks.nll import importance

Array = NDArray[Any]
BINS = 15
TEMPERATURES = np.geomspace(0.5, 1000, 80)


@dataclass(frozen=True, eq=False)
class Bayes:
    """A model for every class.

    Attributes
    ----------
    classes : array of shape (k,)
    models : tuple of Artifact
        One for each class.
    log_shares : array of shape (k,)
        Log share of each class in training.
    temperature : float
        What log p(x | class) is divided by for p(class | x): above 1 where the densities are too sure of themselves, as those of many
        dependent pixels are. Found on held-out rows by `calibrate`; 1 is Bayes' rule itself.
    conditional : bool
        Whether the models are one and the same, which is told the class.
    """

    classes: Array
    models: tuple[Artifact, ...]
    log_shares: Array
    temperature: float = 1.0
    conditional: bool = False

    @classmethod
    def of_conditional(cls, artifact: Artifact, labels: Array) -> Bayes:
        """Return the same of one conditional model, whose condition is the class; `labels` are those it was fitted with.

        Raises
        ------
        ConfigError
            If the model knows no condition.
        """
        if artifact.condition is None:
            raise ConfigError(
                f"the model of the family {artifact.family!r} knows no condition: fit conditional_vae, or a model for each class"
            )
        classes, counts = np.unique(labels, return_counts=True)
        return cls(classes, (artifact,) * len(classes), np.log(counts / counts.sum()), conditional=True)

    @classmethod
    def of_model(cls, artifact: Artifact) -> Bayes:
        """Return the same of one conditional model whose only condition is a class, with the classes' shares in training.

        Raises
        ------
        ConfigError
            If the model is told no class, or other things beside it, or has no prior.
        """
        known, prior = artifact.condition, artifact.model.prior
        if known is None or len(known.columns) != 1 or not known.columns[0].classes:
            told = "nothing" if known is None else ", ".join(column.name for column in known.columns)
            raise ConfigError(
                f"the model is told {told} of each row, but it must be told one class: fit with --family conditional_vae --condition NAME"
            )
        if not isinstance(prior, LabelledPrior):
            raise ConfigError(
                f"the family {artifact.family!r} has no prior, so it gives no probability to a row: fit with --family conditional_vae"
            )
        shares = prior.conditions.double().mean(0).numpy()
        # A class too rare to be among the kept conditions is still there.
        smoothed = (shares * len(prior.conditions) + 0.5) / (len(prior.conditions) + 0.5 * len(shares))
        return cls(np.array(known.columns[0].classes), (artifact,) * len(shares), np.log(smoothed), conditional=True)

    @classmethod
    def fit(cls, source: Source, labels: Array, config: Config | None = None, told: Callable[[str], None] | None = None) -> Bayes:
        """Fit a variational model to the rows of every class.

        Parameters
        ----------
        source : Source
        labels : array of shape (n,)
        config : Config, optional
            The same for all; of a family with a prior.
        told : callable, optional
            Called with each class before its fit.

        Returns
        -------
        Bayes

        Raises
        ------
        DataError
            If there is not one label a row, fewer than two classes, or a class with fewer than 20 rows.
        """
        labels = np.asarray(labels)
        if labels.shape != (len(source),):
            raise DataError(f"{labels.size:,} labels for {len(source):,} rows; give one for each, in the same order")
        classes, counts = np.unique(labels, return_counts=True)
        if len(classes) < 2 or counts.min() < 20:
            raise DataError("give at least two classes, with at least 20 rows each")
        config = config or Config(family="variational")
        models: list[Artifact] = []
        for name in classes:
            if told:
                told(str(name))
            models.append(fit(source.take(np.flatnonzero(labels == name)), config))
            require_prior(models[-1])
        return cls(classes, tuple(models), np.log(counts / counts.sum()))

    def log_likelihoods(self, source: Source, draws: int = 1, seed: int = 0) -> Array:
        """Return log p(x | class) in nats, shape (n, k): by `draws` importance samples, or the ELBO, steadier and cheaper, with 1.

        All are densities of the data in their own unit, so models that scale differently can be compared.
        """
        from isthmus.tasks.evaluate import offset

        asked = [replace(source, condition=np.full(len(source), name)) if self.conditional else source for name in self.classes]
        found = [_scores(model, rows, draws, seed) - offset(model) for model, rows in zip(self.models, asked)]
        return np.stack(found, axis=1)

    def log_evidence(self, likelihoods: Array) -> Array:
        """Return log p(x) in nats, shape (n,), of log likelihoods of shape (n, k)."""
        return np.logaddexp.reduce(likelihoods + self.log_shares, axis=1)

    def log_probabilities(self, likelihoods: Array) -> Array:
        """Return log p(class | x), shape (n, k), of log likelihoods of shape (n, k)."""
        joint = likelihoods / self.temperature + self.log_shares
        return joint - np.logaddexp.reduce(joint, axis=1)[:, None]

    def calibrate(self, likelihoods: Array, labels: Array) -> Bayes:
        """Return a copy with the temperature under which held-out labels are likeliest.

        References
        ----------
        Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2.
        """
        truth = positions(self.classes, labels)

        def loss(temperature: float) -> float:
            found = replace(self, temperature=temperature).log_probabilities(likelihoods)
            return -float(found[np.arange(len(truth)), truth].mean())

        grid = [float(t) for t in TEMPERATURES]
        return replace(self, temperature=min(grid, key=loss))


def _scores(model: Artifact, source: Source, draws: int, seed: int) -> Array:
    if draws == 1:
        return coding.score(model, source).astype(np.float64)
    return importance(model.model, model.prepare(source), draws, seed).values


def positions(classes: Array, labels: Array) -> Array:
    """Return where labels stand among the classes.

    Raises
    ------
    DataError
        If a label is none of them.
    """
    order = np.argsort(classes, kind="stable")
    place = order[np.searchsorted(classes[order], labels).clip(0, len(classes) - 1)]
    unseen = np.unique(np.asarray(labels)[classes[place] != labels])
    if len(unseen):
        raise DataError(f"the label {str(unseen[0])!r} was not among those fitted on: {', '.join(map(str, classes[:10]))}")
    return place


def calibration_error(probabilities: Array, truth: Array, bins: int = BINS) -> float:
    """Return the expected calibration error: how far confidence lies from accuracy, over bins of confidence.

    Parameters
    ----------
    probabilities : array of shape (n, k)
    truth : array of int, shape (n,)
        Position of the right class.
    bins : int

    Returns
    -------
    float

    Raises
    ------
    ConfigError
        If `bins` is below 1.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.

    Examples
    --------
    >>> calibration_error(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1])).__round__(6)
    0.3
    """
    if bins < 1:
        raise ConfigError(f"bins must be at least 1, not {bins}")
    sure, right = probabilities.max(1), probabilities.argmax(1) == truth
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    sums = np.stack([np.bincount(place, weights=values, minlength=bins) for values in (sure, right)])
    return float(np.abs(sums[0] - sums[1]).sum() / len(truth))


def figures(bayes: Bayes, likelihoods: Array, labels: Array) -> dict[str, float]:
    """Return accuracy, calibration error and the log loss of p(class | x)."""
    truth = positions(bayes.classes, labels)
    found = bayes.log_probabilities(likelihoods)
    return {
        "accuracy": float((found.argmax(1) == truth).mean()),
        "calibration error": calibration_error(np.exp(found), truth),
        "log loss": -float(found[np.arange(len(truth)), truth].mean()),
    }


def compressed_bits(pictures: Array) -> Array:
    """Return the bits that a general compressor (PNG's) needs for each picture: how complex it is, whatever the model; shape (n,)."""
    zlib = import_module("zlib")
    # The difference to the pixel on the left is what PNG's first filter leaves.
    rows = [np.diff(picture.astype(np.uint8), axis=1, prepend=0) for picture in pictures]
    return np.array([8.0 * len(zlib.compress(row.tobytes(), 9)) for row in rows])


def strangeness(evidence: Array, usual: Array, bits: Array | None = None, usual_bits: Array | None = None) -> Mapping[str, Array]:
    r"""Return scores of how unfamiliar rows are, higher is stranger.

    Likelihood alone is known to fail: simpler pictures can be likelier than those trained on.

    Parameters
    ----------
    evidence : array of shape (n,)
        log p(x) of rows in question, in nats.
    usual : array of shape (m,)
        log p(x) of held-out rows of the kind trained on.
    bits, usual_bits : arrays, optional
        From `compressed_bits`, for the same rows.

    Returns
    -------
    dict of str to array of shape (n,)
        ``likelihood``: -log p(x); ``typicality``: :math:`|\log p(x) - \text{mean of usual}|`, which also finds rows that are too
        likely; ``likelihood ratio``: -log p(x) less the compressor's nats, which takes out how simple a picture is;
        ``typicality of the ratio``: how far that lies from the usual one, to both sides.

    References
    ----------
    The failure: Nalisnick et al., "Do deep generative models know what they don't know?", ICLR 2019; typicality: Nalisnick et al.,
    2019; complexity: Serra et al., "Input complexity and out-of-distribution detection with likelihood-based generative models", 2020.
    """
    found = {"likelihood": -evidence, "typicality": np.abs(evidence - usual.mean())}
    if bits is not None:
        ratio = -evidence - np.log(2) * bits
        middle = 0.0 if usual_bits is None else float((-usual - np.log(2) * usual_bits).mean())
        found |= {"likelihood ratio": ratio - middle, "typicality of the ratio": np.abs(ratio - middle)}
    return found


def detection(strange: Array, usual: Array) -> float:
    """Return how often a strange row scores higher than a usual one (area under the ROC curve): 0.5 is chance.

    Examples
    --------
    >>> detection(np.array([2.0, 3.0]), np.array([0.0, 2.0]))
    0.875
    """
    ordered = np.sort(usual)
    below = np.searchsorted(ordered, strange, side="left")
    same = np.searchsorted(ordered, strange, side="right") - below
    return float((below + 0.5 * same).mean() / len(usual))
