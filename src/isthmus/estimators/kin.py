"""Estimators of the variational autoencoder's kin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from isthmus.data import Source, from_any
from isthmus.estimators.base import Array, NetworkAutoencoder, RandomCodeAutoencoder
from isthmus.estimators.border import RandomState, draw_seed, require_fitted
from isthmus.estimators.classes import DistributionAutoencoder
from isthmus.estimators.docstrings import documented
from isthmus.estimators.rows import laid_out, row_shape
from isthmus.tasks import sample


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class BetaVAE(DistributionAutoencoder):
    """Beta-VAE: the code is charged more, or held to a capacity, so that its units come apart.

    References
    ----------
    Higgins et al., "beta-VAE: learning basic visual concepts with a constrained variational framework", ICLR 2017; the capacity:
    Burgess et al., "Understanding disentangling in beta-VAE", 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import BetaVAE
    >>> X = load_iris().data
    >>> model = BetaVAE(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "beta_vae"

    capacity: float | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class TotalCorrelationVAE(DistributionAutoencoder):
    """Total-correlation VAE: only the dependence between the code's units is charged more.

    References
    ----------
    Chen et al., "Isolating sources of disentanglement in variational autoencoders", NeurIPS 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import TotalCorrelationVAE
    >>> X = load_iris().data
    >>> model = TotalCorrelationVAE(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "tc_vae"


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class WassersteinAutoencoder(NetworkAutoencoder):
    """Wasserstein autoencoder: codes are points, and all of them together are held to the prior.

    References
    ----------
    Tolstikhin et al., "Wasserstein auto-encoders", ICLR 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import WassersteinAutoencoder
    >>> X = load_iris().data
    >>> model = WassersteinAutoencoder(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "wae"

    weight: float | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class ImportanceWeightedAutoencoder(RandomCodeAutoencoder):
    """Importance weighted autoencoder: a tighter bound, from several draws of the code.

    References
    ----------
    Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import ImportanceWeightedAutoencoder
    >>> X = load_iris().data
    >>> model = ImportanceWeightedAutoencoder(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "iwae"

    draws: int | None = None
    one_draw: float | None = None
    alpha: float | None = None
    posterior: str | None = None
    prior: str | None = None
    components: int | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class VQVAE(RandomCodeAutoencoder):
    """Vector-quantised autoencoder: the code is a few words out of learned codebooks, with a learned prior over words.

    References
    ----------
    van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation learning", NeurIPS 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import VQVAE
    >>> X = load_iris().data
    >>> model = VQVAE(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "vqvae"

    codebook: int | None = None
    code_width: int | None = None
    commitment: float | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class FSQAutoencoder(RandomCodeAutoencoder):
    """Finite scalar quantisation: each code unit is rounded to a few levels, with a learned prior over them.

    References
    ----------
    Mentzer et al., "Finite scalar quantization: VQ-VAE made simple", ICLR 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import FSQAutoencoder
    >>> X = load_iris().data
    >>> model = FSQAutoencoder(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "fsq"

    levels: tuple[int, ...] | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class HypersphericalVAE(RandomCodeAutoencoder):
    """Hyperspherical VAE: codes on the unit sphere, with a uniform prior.

    References
    ----------
    Davidson et al., "Hyperspherical variational auto-encoders", UAI 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import HypersphericalVAE
    >>> X = load_iris().data
    >>> model = HypersphericalVAE(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "hyperspherical"

    beta: float | None = None
    kl_warmup: int | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class LadderVAE(DistributionAutoencoder):
    """Ladder VAE: two stochastic levels, the lower one drawn given the upper one.

    References
    ----------
    Sonderby et al., "Ladder variational autoencoders", NeurIPS 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import LadderVAE
    >>> X = load_iris().data
    >>> model = LadderVAE(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "ladder"

    top: int | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class VampVAE(RandomCodeAutoencoder):
    """VAE with a VampPrior: the prior is a mixture of the posteriors of learned pseudo-rows.

    References
    ----------
    Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import VampVAE
    >>> X = load_iris().data
    >>> model = VampVAE(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "vamp"

    components: int | None = None
    beta: float | None = None
    kl_warmup: int | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class RegularisedAutoencoder(NetworkAutoencoder):
    """Regularised autoencoder: codes are points, kept short, and the decoder is kept smooth.

    References
    ----------
    Ghosh et al., "From variational to deterministic autoencoders", ICLR 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import RegularisedAutoencoder
    >>> X = load_iris().data
    >>> model = RegularisedAutoencoder(2, steps=20, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(3, random_state=0).shape
    ((150, 2), (3, 4))
    """

    family: ClassVar[str] = "rae"

    weight: float | None = None
    smoothness: float | None = None
    penalty: str | None = None


@documented
@dataclass(eq=False, repr=False, kw_only=True)
class ConditionalVAE(DistributionAutoencoder):
    """Conditional VAE: encoder and decoder know the class of each row, or other columns beside it.

    Methods that take rows take their conditions `y` too: one value per row, or a few (an array of several columns, or a frame).
    Text, truth values and whole numbers are classes, other numbers are numbers. Codes are followed by the condition as numbers. The
    methods that walk through codes (traverse, interpolate, cluster ...) take ``model.beside(X, y)`` for X.

    References
    ----------
    Sohn, Lee and Yan, "Learning structured output representation using deep conditional generative models", NeurIPS 2015.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from isthmus.estimators import ConditionalVAE
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ConditionalVAE(2, steps=20, random_state=0).fit(X, y)
    >>> model.transform(X, y).shape, model.sample(3, y=1, random_state=0).shape
    ((150, 5), (3, 4))
    """

    family: ClassVar[str] = "conditional_vae"

    posterior: str | None = None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : as for the other estimators
        y : array, list or frame of shape (n,) or (n, c)
            The condition of every row.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If there is no condition, or another number of them than rows, or one is missing.
        """
        return super().fit(_beside(X, y))._laid_as(X)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Go on from where the model is; parameters and errors as for `fit`."""
        return super().partial_fit(_beside(X, y))._laid_as(X)

    def transform(self, X: Any, y: Any = None) -> Array:
        """Return the (mean) code of every row, followed by its condition; parameters and errors as for `fit`."""
        return super().transform(_beside(X, y))

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Array:  # noqa: ARG002
        """Fit the model and return the codes; parameters and errors as for `fit`."""
        return self.fit(X, y).transform(X, y)

    def reconstruct(self, X: Any, y: Any = None) -> Array:
        """Return every row rebuilt from its code and its condition; parameters and errors as for `fit`."""
        found = super().reconstruct(_beside(X, y))
        return laid_out(found, row_shape(X)) if hasattr(X, "shape") else found

    def score_samples(self, X: Any, y: Any = None) -> Array:
        """Return a lower bound of log p(row | condition) in nats; parameters and errors as for `fit`."""
        return super().score_samples(_beside(X, y))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`; parameters and errors as for `fit`."""
        return float(self.score_samples(X, y).mean(dtype=np.float64))

    def sample(
        self, n_samples: int = 1, *, random_state: RandomState = None, mean: bool = False, density: str = "prior", y: Any = None
    ) -> Array:
        """Draw new rows, for given conditions or for those of training rows.

        Parameters
        ----------
        n_samples : int
        random_state : int, RandomState instance or None
        mean : bool
            Return the mean of the decoder's distribution instead of a draw from it.
        density : {"auto", "prior"}
            Codes come from the prior.
        y : one value, or array of shape (n_samples,) or (n_samples, c), optional
            The condition of all rows, or of each.

        Returns
        -------
        ndarray of shape (n_samples, d), or that of the pictures fitted on
        """
        require_fitted(self)
        seed = draw_seed(random_state)
        return laid_out(sample.sample(self.artifact_, n_samples, seed=seed, mean=mean, density=density, condition=y), self._row_shape)

    def beside(self, X: Any, y: Any) -> Source:
        """Return rows with their conditions, which the methods on codes take for `X`: ``model.traverse(model.beside(X, y))``.

        Parameters
        ----------
        X : as for `fit`
        y : as for `fit`

        Returns
        -------
        Source
        """
        return _beside(X, y)

    def _laid_as(self, X: Any) -> Self:
        """Remember the shape of a row as the caller sees it."""
        if hasattr(X, "shape"):
            self._row_shape = row_shape(X)
            self.artifact_.facts["row shape"] = list(self._row_shape)
        return self


def _beside(X: Any, y: Any) -> Source:
    """Return `X` with its conditions."""
    return replace(from_any(X), condition=None if y is None else np.asarray(y))
