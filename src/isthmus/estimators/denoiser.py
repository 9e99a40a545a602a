"""Noise taken off pictures, as a scikit-learn transformer."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin  # pyright: ignore[reportMissingTypeStubs]

from isthmus.artifact.restorer import Restorer, as_pictures
from isthmus.errors import ConfigError
from isthmus.estimators.border import RandomState, draw_seed, require_fitted
from isthmus.estimators.shown import Shown
from isthmus.tasks.pictures.denoise import Settings, fit
from isthmus.tasks.pictures.denoise_table import compare
from isthmus.tasks.pictures.noise_levels import estimated_level, recognised_level
from isthmus.tasks.pictures.noises import make_noise

Array = NDArray[Any]


@dataclass(eq=False, repr=False)
class Denoiser(Shown, TransformerMixin, BaseEstimator):
    """Takes noise off pictures by a U-shaped residual network, learned in one of three ways.

    From clean pictures and a kind of noise (`noise`), from pairs of noisy and clean pictures (``noise=None`` and ``y``), or from noisy
    pictures alone: with ``alone=True`` where their noise is known, else (``noise=None``, no ``y``) by hiding pixels from the network;
    noise must then be independent from pixel to pixel.

    Parameters
    ----------
    noise : {"gaussian", "poisson", "speckle", "salt_and_pepper", "jpeg", "blur"}, default=None
        What `fit` does to clean pictures; None where `fit` gets noisy ones.
    level : float, optional
        Strength of the noise: standard deviation (white is 1) of Gaussian noise and of speckle's factor, photons of white, share of the
        pixels, JPEG's quality, standard deviation of the blur in pixels. By default a usual one; with `alone`, what the pictures show.
    highest : float, optional
        With it, the strength lies anywhere from `level` to `highest`, and the network need not be told.
    clip : bool, default=False
        Whether noisy values are kept within black and white, as in a file.
    alone : bool, default=False
        Whether `fit` gets noisy pictures alone. If their noise is "gaussian" or "poisson", of one level, the network learns by splitting
        each into two of independent noise; which it is, and its level, are estimated if they are not said. Of other noise, pixels are
        hidden from the network, as without `alone`.
    steps : int, optional
        Training steps; 5,000 by default.
    seconds : float, optional
        Time to train for at most.
    widths : tuple of int, optional
        Channels of the network at 1/2, 1/4 ... of the size; by the pictures' size by default.
    attention : int, default=0
        Heads of attention at the network's lowest size.
    ssim, ms_ssim, perceptual : float, default=0.0
        Weights in the loss, beside the squared error, of 1 - SSIM, of 1 - MS-SSIM, and of the distance in features that a small network
        learns on the spot. Not from noisy pictures alone.
    turns : {1, 8}, default=1
        Whether `transform` takes the mean over the picture turned and mirrored in all eight ways.
    device : str, default="auto"
        For training and use.
    random_state : int, RandomState instance or None, default=0
        Decides everything random. None gives another result at each fit.

    Attributes
    ----------
    restorer_ : Restorer
        The fitted network.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus.estimators import Denoiser
    >>> clean = np.full((4, 16, 16), 0.5)
    >>> Denoiser("gaussian", 0.1, steps=5, device="cpu").fit(clean).transform(clean).shape
    (4, 16, 16)
    """

    noise: str | None = None
    level: float | None = None
    highest: float | None = None
    _: KW_ONLY
    clip: bool = False
    alone: bool = False
    steps: int | None = None
    seconds: float | None = None
    widths: tuple[int, ...] | None = None
    attention: int = 0
    ssim: float = 0.0
    ms_ssim: float = 0.0
    perceptual: float = 0.0
    turns: int = 1
    device: str = "auto"
    random_state: RandomState = 0

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn to take noise off pictures such as these.

        Parameters
        ----------
        X : ndarray of shape (n, H, W) or (n, H, W, C), or list of ndarray of shape (H, W) or (H, W, C)
            uint8, uint16, or floating-point numbers from 0 (black) to 1 (white). Clean if `noise` is given without `alone`, else noisy.
        y : as X, optional
            The clean picture of each noisy one.

        Returns
        -------
        self

        Raises
        ------
        ConfigError
            If a parameter is wrong, or y is given beside `noise`.
        DataError
            If the pictures cannot be used, or pairs do not match.
        """
        if self.noise is None and (self.level, self.highest) != (None, None):
            raise ConfigError("level and highest say how strong a noise is: say which one (noise='gaussian', say), or leave them out")
        kind, level = self.noise, self.level
        if self.alone and y is None and level is None:
            pictures = as_pictures(X, "X")
            kind, level = (recognised_level(pictures) or (None, None)) if kind is None else (kind, estimated_level(kind, pictures))
        noise = None if kind is None else make_noise(kind, level, self.highest, self.clip)
        settings = Settings(
            widths=self.widths,
            steps=self.steps,
            seconds=self.seconds,
            attention=self.attention,
            ssim=self.ssim,
            ms_ssim=self.ms_ssim,
            perceptual=self.perceptual,
            seed=draw_seed(self.random_state),
            device=self.device,
        )
        self.restorer_: Restorer = fit(X, y, noise=noise, alone=self.alone and (noise is not None or y is not None), settings=settings)
        return self

    def transform(self, X: Any) -> Any:
        """Take the noise off.

        Parameters
        ----------
        X : ndarray of shape (n, H, W) or (n, H, W, C), or list of ndarray of shape (H, W) or (H, W, C)
            Of any size; large ones are worked on in tiles without seams.

        Returns
        -------
        ndarray of the shape of X, or list of ndarray
            Of the same type.

        Raises
        ------
        DataError
            If they are not pictures, or have other channels than those learned from.
        """
        require_fitted(self, "restorer_")
        found = self.restorer_(X, turns=self.turns, device=self.device)
        return np.stack(found) if isinstance(X, np.ndarray) else found

    def score(self, X: Any, y: Any) -> float:
        """Return the mean PSNR in decibels of `X` without its noise, measured against the clean pictures `y`.

        Raises
        ------
        DataError
            If pairs do not match.
        """
        require_fitted(self, "restorer_")
        return compare(y, X, {"network": lambda noisy: self.restorer_(noisy, turns=self.turns, device=self.device)})[0].psnr

    def save(self, path: str | Path) -> Path:
        """Write the network as the folder `path`, for `isthmus.artifact.restorer.Restorer.load`; errors as for `Restorer.save`."""
        require_fitted(self, "restorer_")
        return self.restorer_.save(path)
