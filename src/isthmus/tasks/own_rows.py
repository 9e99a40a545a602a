"""Rows that a model was fitted on, recognised when they come again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.tasks.layout import Floats, Seen

Keys = NDArray[np.uint64]
_SEED = 20_231


@dataclass(frozen=True, eq=False)
class OwnRows:
    """Scores of the rows fitted on by models that have not seen them.

    Attributes
    ----------
    keys : ndarray of uint64 of shape (n,)
        Hashes of the rows, sorted.
    scores : ndarray of shape (n,)

    Examples
    --------
    >>> rows = Seen(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    >>> known = OwnRows.of(rows, np.array([0.5, 0.7]))
    >>> known.replaced(Seen(np.array([[3.0, 4.0], [3.0, 5.0]], np.float32)), np.array([0.1, 0.1])).tolist()
    [0.7, 0.1]
    """

    keys: Keys
    scores: Floats

    @classmethod
    def of(cls, seen: Seen, scores: Floats) -> OwnRows:
        """Remember rows with their scores; of equal rows the mean."""
        keys, places = np.unique(hashed(seen), return_inverse=True)
        return cls(keys, np.bincount(places, scores) / np.bincount(places))

    def replaced(self, seen: Seen, scores: Floats) -> Floats:
        """Return `scores` with those of known rows in their places."""
        if not len(self.keys):
            return scores
        keys = hashed(seen)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.scores[places], scores)


def hashed(seen: Seen) -> Keys:
    """Return a 64-bit hash of each row, shape (n,)."""
    # Adding zero makes both zeros one.
    bits = np.ascontiguousarray(seen.rows + np.float32(0)).view(np.uint32).astype(np.uint64)
    if seen.present is not None:
        bits = bits * np.uint64(2) + seen.present.astype(np.uint64)
    odd = np.frombuffer(np.random.default_rng(_SEED).bytes(8 * bits.shape[1]), np.uint64) | np.uint64(1)
    mixed = (bits + odd) * odd[::-1]
    mixed ^= mixed >> np.uint64(29)
    return np.asarray(np.sum(mixed * odd, axis=1, dtype=np.uint64))
