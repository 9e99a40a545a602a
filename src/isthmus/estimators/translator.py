"""Pictures or rows turned into others, as a scikit-learn transformer."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin  # pyright: ignore[reportMissingTypeStubs]

from isthmus.artifact.translation import Translation, Use
from isthmus.artifact.ways import WAYS
from isthmus.errors import ConfigError
from isthmus.estimators.border import RandomState, draw_seed, require_fitted
from isthmus.tasks.pictures.denoise import Settings
from isthmus.tasks.pictures.translate import fit
from isthmus.tasks.pictures.translate_rows import RowSettings, fit_rows
from isthmus.tasks.pictures.translate_table import mean_psnr, r_squared

Array = NDArray[Any]
KINDS = ("auto", "pictures", "rows")


@dataclass(eq=False, repr=False)
class Translator(TransformerMixin, BaseEstimator):
    """Turns pictures into other pictures, or rows into other rows; where there are several answers, it draws them.

    Learned from pairs (``fit(X, y)``), or from pictures alone (``fit(X)``), of which inputs are made in a named way. Pictures go through
    a U-shaped network; those to be coloured through one that knows how likely each colour is, so that the result is not the grey average
    of all; rows through a dense one that knows several answers.

    Parameters
    ----------
    way : {"pairs", "grey", "edges", "masked", "half"}, default="pairs"
        What the inputs are: given; black and white pictures, to be coloured; lines; pictures with holes (`transform` then takes masks);
        pictures of half the size.
    kind : {"auto", "pictures", "rows"}, default="auto"
        What X holds. By default rows if it has shape (n, d), else pictures. Series of shape (n, t, d) need "rows".
    steps : int, optional
        Training steps; 5,000 by default for pictures, 3,000 for rows.
    seconds : float, optional
        Time to train for at most.
    widths : tuple of int, optional
        Channels of the network at 1/2, 1/4 ... of the size; for rows, widths of the hidden layers.
    loss : {"mse", "l1"}, default="mse"
        Squared or absolute differences; for pictures that are not coloured.
    ssim : float, default=0.0
        Weight of 1 - SSIM in the loss; for pictures that are not coloured.
    answers : int, default=8
        Of rows: how many different answers to one row are known at most.
    temperature : float, default=0.38
        Of colours: 1 for the mean of all, which is pale, near 0 for the likeliest.
    vivid : float, default=0.3
        Of the best answer's colours: 0 for how likely they are, 1 as if all were equally frequent.
    boldness : float, default=1.0
        Of drawn colours: 1 to draw from what was learned, less for likelier ones, which agree better and differ less.
    device : str, default="auto"
        For training and use.
    random_state : int, RandomState instance or None, default=0
        Decides everything random. None gives another result at each fit.

    Attributes
    ----------
    translation_ : Translation
        The fitted network.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus.estimators import Translator
    >>> X = np.linspace(0, 1, 100).reshape(50, 2)
    >>> model = Translator(steps=5, device="cpu").fit(X, X[:, ::-1])
    >>> model.predict(X[:3]).shape, model.sample(X[:3], draws=4).shape
    ((3, 2), (3, 4, 2))
    """

    way: str = "pairs"
    _: KW_ONLY
    kind: str = "auto"
    steps: int | None = None
    seconds: float | None = None
    widths: tuple[int, ...] | None = None
    loss: str = "mse"
    ssim: float = 0.0
    answers: int = 8
    temperature: float = 0.38
    vivid: float = 0.3
    boldness: float = 1.0
    device: str = "auto"
    random_state: RandomState = 0

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn to turn `X` into `y`, or, without `y`, what is made of `X` back into `X`.

        Parameters
        ----------
        X : ndarray of shape (n, H, W) or (n, H, W, C), or list of ndarray of shape (H, W) or (H, W, C); or ndarray of shape (n, d)
            Pictures of uint8, uint16, or floating-point numbers from 0 (black) to 1 (white); or rows of numbers.
        y : as X, optional
            Pictures of the same sizes with any number of channels, or rows of any shape.

        Returns
        -------
        self

        Raises
        ------
        ConfigError
            If a parameter is wrong, or `y` is missing or needless.
        DataError
            If the data cannot be used, or pairs do not match.
        """
        if self.way not in WAYS or self.kind not in KINDS:
            raise ConfigError(f"way must be one of {', '.join(WAYS)}, and kind one of {', '.join(KINDS)}; not {self.way!r}, {self.kind!r}")
        seed = draw_seed(self.random_state)
        if not self._of_rows(X):
            settings = Settings(
                widths=self.widths, steps=self.steps, seconds=self.seconds, loss=self.loss, ssim=self.ssim, seed=seed, device=self.device
            )
            self.translation_: Translation = fit(X, y, way=self.way, settings=settings)
            return self
        if self.way != "pairs" or y is None:
            raise ConfigError(f"rows are learned from pairs: give y, and way='pairs' instead of {self.way!r}")
        hidden = self.widths or RowSettings.hidden
        chosen = RowSettings(hidden, self.answers, steps=self.steps, seconds=self.seconds, seed=seed, device=self.device)
        self.translation_ = fit_rows(X, y, settings=chosen)
        return self

    def _of_rows(self, X: Any) -> bool:
        return self.kind == "rows" or (self.kind == "auto" and isinstance(X, (np.ndarray, list)) and _flat(X))

    @property
    def _use(self) -> Use:
        return Use(temperature=self.temperature, vivid=self.vivid, boldness=self.boldness, device=self.device)

    def transform(self, X: Any, masks: Any = None) -> Any:
        """Return the one best answer to each picture or row.

        Parameters
        ----------
        X : as of `fit`
            Pictures may be of any size; large ones are worked on in tiles without seams.
        masks : ndarray of shape (n, H, W), or list of ndarray of shape (H, W), optional
            For ``way="masked"``: not 0 where something shall be painted. One for all, if there is but one.

        Returns
        -------
        ndarray, or list of ndarray
            Pictures of the type of X; of rows the mean over all answers.

        Raises
        ------
        DataError
            If X is not what was learned from, or masks do not fit.
        """
        require_fitted(self, "translation_")
        return self.translation_(X, masks, self._use)

    def predict(self, X: Any, masks: Any = None) -> Any:
        """Return what `transform` returns; errors as there."""
        return self.transform(X, masks)

    def sample(self, X: Any, draws: int = 5, random_state: RandomState = 0) -> Any:
        """Draw several answers to each picture or row: for ``way="grey"``, and for rows.

        Parameters
        ----------
        X : as of `transform`
        draws : int
        random_state : int, RandomState instance or None

        Returns
        -------
        ndarray of shape (n, draws, ...), or list of ndarray of shape (draws, H, W, C)

        Raises
        ------
        ConfigError
            If the model knows one answer alone.
        DataError
            If X is not what was learned from.
        """
        require_fitted(self, "translation_")
        return self.translation_.sample(X, draws, draw_seed(random_state), self._use)

    def score(self, X: Any, y: Any, masks: Any = None) -> float:
        """Return the mean PSNR of pictures in decibels, or R squared of rows, of what becomes of `X` against `y`.

        Raises
        ------
        DataError
            If pairs do not match.
        """
        require_fitted(self, "translation_")
        found = self.transform(X, masks)
        return r_squared(found, y) if self.translation_.rows else mean_psnr(found, y)

    def save(self, path: str | Path) -> Path:
        """Write the network as the folder `path`, for `isthmus.artifact.translation.Translation.load`; errors as for its `save`."""
        require_fitted(self, "translation_")
        return self.translation_.save(path)


def _flat(X: Any) -> bool:
    return X.ndim <= 2 if isinstance(X, np.ndarray) else bool(X) and np.ndim(X[0]) < 2
