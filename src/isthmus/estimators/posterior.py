"""What `VariationalAutoencoder.encode` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Posterior:
    """A diagonal Gaussian over the code of each row.

    Attributes
    ----------
    mean : ndarray of shape (n, latent)
    scale : ndarray of shape (n, latent)
        Standard deviation.
    """

    mean: NDArray[Any]
    scale: NDArray[Any]

    def __len__(self) -> int:
        return len(self.mean)
