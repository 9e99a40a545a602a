"""Pictures of one domain shown as those of another."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Self

from sklearn.base import BaseEstimator  # pyright: ignore[reportMissingTypeStubs]

from isthmus.artifact.swapping import SwapModel
from isthmus.estimators.border import RandomState, draw_seed, require_fitted
from isthmus.tasks.pictures.swap import Settings, domains_of, fit


@dataclass(eq=False, repr=False)
class Swapper(BaseEstimator):
    """Shows pictures of one domain - a person, a style - as those of another: one encoder for all, a decoder for each.

    Each domain is rebuilt by its own decoder from the code of the one encoder, which sees the pictures bent at random. The code is
    standardised within each domain, so that what is left in it is what the domains have in common: pose, expression, which digit. To swap
    is to encode a picture, and to decode it by another domain's decoder.

    Parameters
    ----------
    steps : int, optional
        Training steps; 5,000 by default.
    seconds : float, optional
        Time to train for at most.
    channels : tuple of int, optional
        Channels of the networks at 1/2, 1/4 ... of the size; by the pictures' size by default.
    hidden, code : int
        Widths of the dense layers and of the code.
    warp : float, default=0.03
        How far the encoder's input is bent, as a share of the side.
    mirror : bool, default=False
        Whether left and right are exchanged at random while learning: for faces, not for letters.
    tint : float, default=0.0
        How much contrast, brightness and colours change at random while learning.
    ssim : float, default=0.5
        Weight of 1 - SSIM in the loss, beside the absolute error.
    critic : float, default=0.0
        Weight of what swapped pictures lack in the eyes of a critic that knows real ones.
    back : float, default=0.0
        Weight of the loss of pictures that were swapped, and swapped back.
    checkpoint : path, optional
        File that keeps the state of the training.
    resume : bool, default=False
        Whether `fit` goes on from `checkpoint`.
    device : str, default="auto"
        For training and use.
    random_state : int, RandomState instance or None, default=0
        Decides everything random. None gives another result at each fit.

    Attributes
    ----------
    model_ : SwapModel
        The fitted networks.
    domains_ : tuple of str
        Names of the domains.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus.estimators import Swapper
    >>> dark, light = np.zeros((9, 16, 16), np.uint8), np.full((9, 16, 16), 200, np.uint8)
    >>> model = Swapper(steps=2, device="cpu").fit({"dark": dark, "light": light})
    >>> model.swap(dark, to="light").shape, model.encode(dark, "dark").shape
    ((9, 16, 16), (9, 64))
    """

    steps: int | None = None
    seconds: float | None = None
    _: KW_ONLY
    channels: tuple[int, ...] | None = None
    hidden: int = 256
    code: int = 64
    warp: float = 0.03
    mirror: bool = False
    tint: float = 0.0
    ssim: float = 0.5
    critic: float = 0.0
    back: float = 0.0
    checkpoint: str | Path | None = None
    resume: bool = False
    device: str = "auto"
    random_state: RandomState = 0

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from the pictures of two or more domains. Ctrl-C ends the training; the best so far is kept.

        Parameters
        ----------
        X : dict of str to pictures, or pictures
            Pictures are an ndarray of shape (n, H, W) or (n, H, W, C), or a list of ndarray, all of one size: uint8, uint16, or
            floating-point numbers from 0 (black) to 1 (white).
        y : sequence of length n, optional
            The domain of each picture, if X is no dict.

        Returns
        -------
        self

        Raises
        ------
        ConfigError
            If a parameter is wrong.
        DataError
            If there are fewer than two domains, or their pictures cannot be used or differ in size.
        ArtifactError
            If there is no checkpoint to go on from, or it is of another run.
        """
        names = ("steps", "seconds", "channels", "hidden", "code", "warp", "mirror", "tint", "ssim", "critic", "back", "device")
        settings = Settings(**{name: getattr(self, name) for name in names}, seed=draw_seed(self.random_state))
        self.model_: SwapModel = fit(domains_of(X, y), settings, checkpoint=self.checkpoint, resume=self.resume)
        self.domains_ = self.model_.domains
        return self

    def swap(self, X: Any, to: str, source: str | None = None) -> Any:
        """Show pictures as those of the domain `to`.

        Parameters
        ----------
        X : ndarray of shape (n, H, W) or (n, H, W, C), or list of ndarray
            As large as those fitted on.
        to : str
        source : str, optional
            The domain they are of; by default, for each, the one other than `to` whose decoder rebuilds it best.

        Returns
        -------
        ndarray of the shape and type of X

        Raises
        ------
        ConfigError
            If there is no such domain.
        DataError
            If the pictures are not such as those fitted on.
        """
        require_fitted(self, "model_")
        return self.model_.swap(X, to, source, self.device)

    def reconstruct(self, X: Any, domain: str) -> Any:
        """Rebuild pictures of a domain by its own decoder; otherwise as `swap`."""
        require_fitted(self, "model_")
        return self.model_.reconstruct(X, domain, self.device)

    def encode(self, X: Any, domain: str) -> Any:
        """Return the codes of pictures of a domain, shape (n, code); otherwise as `swap`."""
        require_fitted(self, "model_")
        return self.model_.encode(X, domain, self.device)

    def predict(self, X: Any) -> Any:
        """Return for each picture the domain whose decoder rebuilds it best, shape (n,); otherwise as `swap`."""
        import numpy as np

        require_fitted(self, "model_")
        return np.asarray(self.model_.guess(X, device=self.device))

    def save(self, path: str | Path) -> Path:
        """Write the model as the folder `path`; errors as for `SwapModel.save`."""
        require_fitted(self, "model_")
        return self.model_.save(path)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """Open what `save`, or ``isthmus swap --save``, wrote; errors as for `SwapModel.load`."""
        found = cls(device=device)
        found.model_ = SwapModel.load(path)
        found.domains_ = found.model_.domains
        return found
