"""The five estimators."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

from isthmus.data import Source
from isthmus.estimators.base import BaseAutoencoder, Defaults, NetworkAutoencoder, RandomCodeAutoencoder
from isthmus.estimators.docstrings import documented
from isthmus.estimators.moments import Moments, refit
from isthmus.estimators.posterior import Posterior
from isthmus.tasks import codes
from isthmus.training import nats


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class LinearAutoencoder(BaseAutoencoder):
    """Linear autoencoder: principal component analysis, in closed form or by gradient.

    Notes
    -----
    In closed form `fit` uses every row, and `partial_fit` merges exact statistics: after any number of calls the model, its
    scaling included, is the one that a single `fit` on all rows would give. They take 8 d^2 bytes for d values a row, so `fit`
    keeps none: a `partial_fit` after it starts anew, with a warning.

    References
    ----------
    Baldi and Hornik, "Neural networks and principal component analysis: learning from examples without local minima",
    Neural Networks 2, 1989.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus import LinearAutoencoder
    >>> X = load_iris().data
    >>> model = LinearAutoencoder(2).fit(X)
    >>> model.transform(X).shape, model.reconstruct(X).shape
    ((150, 2), (150, 4))
    """

    family: ClassVar[str] = "linear"

    solver: str | None = None

    def _defaults(self) -> Defaults:
        all_rows = {"held_out": (0.0, "the closed form decides nothing by held-out rows")}
        return {**super()._defaults(), **({} if self.solver == "gradient" else all_rows)}

    def _learn(self, source: Source, kept: Any) -> Any:
        if self.artifact_.config.get("solver") == "gradient":
            return super()._learn(source, kept)
        artifact = self.artifact_
        if kept is None and len(artifact.history):
            warnings.warn(
                "partial_fit starts anew: the closed form kept no statistics of the rows that fit saw. "
                "Call partial_fit from the first rows on, or use solver='gradient'",
                stacklevel=3,
            )
        found = Moments.of(artifact.schema.align(source), artifact.schema)
        moments = found if kept is None else kept.merge(found)
        refit(artifact, moments, self.scaling or "auto")
        loss = -float(nats(artifact.model, artifact.objective, artifact.prepare(source)).double().mean())
        artifact.history.add({"step": 0.0, "epoch": len(artifact.history) + 1.0, "train": loss, "train_reconstruction": loss})
        artifact.facts["training"] = {"stopped": "closed form", "steps": 0, "kept step": 0}
        return moments


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class Autoencoder(NetworkAutoencoder):
    """Undercomplete autoencoder: a code narrower than the row keeps what is needed to rebuild it.

    References
    ----------
    Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus import Autoencoder
    >>> X = load_iris().data
    >>> model = Autoencoder(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.score_samples(X).shape
    ((150, 2), (150,))
    >>> model.choices_["likelihood"].value
    'gaussian'
    """

    family: ClassVar[str] = "undercomplete"


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class SparseAutoencoder(NetworkAutoencoder):
    """Sparse autoencoder: few units of a code are active per row, also where it is wider than the row.

    References
    ----------
    Top-k: Makhzani and Frey, "k-sparse autoencoders", ICLR 2014; Gao et al., "Scaling and evaluating sparse autoencoders", 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus import SparseAutoencoder
    >>> X = load_iris().data
    >>> Z = SparseAutoencoder(20, activity=0.1, steps=20, random_state=0).fit_transform(X)
    >>> int((Z != 0).sum(1).max())
    2
    """

    family: ClassVar[str] = "sparse"

    sparsity: str | None = None
    activity: float | None = None
    weight: float | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class DenoisingAutoencoder(NetworkAutoencoder):
    """Denoising autoencoder: rebuilds clean rows from corrupted ones.

    `reconstruct` takes rows as they are, adds no noise, and gives them back cleaner.

    References
    ----------
    Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from isthmus import DenoisingAutoencoder
    >>> pictures = load_digits().images / 16
    >>> model = DenoisingAutoencoder(corruption="masking", level=0.2, steps=20, random_state=0).fit(pictures)
    >>> model.reconstruct(pictures[:3]).shape
    (3, 8, 8)
    """

    family: ClassVar[str] = "denoising"

    corruption: str | None = None
    level: float | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class DistributionAutoencoder(RandomCodeAutoencoder):
    """What estimators share whose encoder gives the parameters of a distribution over codes."""

    beta: float | None = None
    kl_warmup: int | None = None
    free_bits: float | None = None

    def encode(self, X: Any) -> Posterior:
        """Return the distribution over the code of every row.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        Posterior
            With arrays `mean` (what `transform` returns) and `scale`, each of shape (n, latent).
        """
        return Posterior(*codes.posterior(*self._ready(X)))


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class VariationalAutoencoder(DistributionAutoencoder):
    """Variational autoencoder: a distribution over codes for each row, a prior over all codes, a distribution over rows for each code.

    References
    ----------
    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus import VariationalAutoencoder
    >>> X = load_iris().data
    >>> model = VariationalAutoencoder(2, steps=20, random_state=0).fit(X)
    >>> model.sample(5, random_state=0).shape, model.interpolate(X[0], X[-1], steps=3).shape
    ((5, 4), (3, 4))
    >>> bool((model.encode(X).scale > 0).all())
    True
    """

    family: ClassVar[str] = "variational"

    posterior: str | None = None
    prior: str | None = None
    components: int | None = None
    cycles: int | None = None
    adversarial: float | None = None
