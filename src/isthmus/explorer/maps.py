"""Two-dimensional maps of codes: the codes themselves, principal components, and neighbour embeddings where they are installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ConfigError
from isthmus.explorer.subject import Array
from isthmus.extras import require

EXTRA = {"umap": "umap", "pacmap": "pacmap"}


def available(width: int) -> list[str]:
    """Return the maps there are of a code of `width` units, the first one to begin with.

    Examples
    --------
    >>> available(2)[0], available(8)[0]
    ('codes', 'pca')
    """
    first = ["codes"] if width <= 2 else ["pca"]
    return first + [name for name, module in EXTRA.items() if width > 2 and find_spec(module)]


def missing(width: int) -> dict[str, str]:
    """Return how to come by the maps that there could be."""
    told = "pip install 'isthmus[maps]'"
    return {name: told for name, module in EXTRA.items() if width > 2 and not find_spec(module)}


def make(method: str, codes: Array, seed: int = 0) -> NDArray[np.float32]:
    """Return a map of codes.

    Parameters
    ----------
    method : {"codes", "pca", "umap", "pacmap"}
    codes : ndarray of shape (n, L)
    seed : int

    Returns
    -------
    ndarray of shape (n, 2), float32

    Raises
    ------
    ConfigError
        If there is no such map of these codes.
    MissingExtraError
        If the package that makes it is not installed.

    References
    ----------
    McInnes, Healy and Melville, "UMAP", 2018. Wang et al., "Understanding how dimension reduction tools work: PaCMAP", JMLR 2021.
    """
    if method == "codes" and codes.shape[1] <= 2:
        return plain(codes)
    if method == "pca":
        return pca(codes)[0] if codes.shape[1] > 2 else plain(codes)
    if method not in EXTRA or codes.shape[1] <= 2:
        raise ConfigError(f"there is no map {method!r} of a code of {codes.shape[1]} units: ask for {', '.join(available(codes.shape[1]))}")
    package: Any = require(EXTRA[method], "maps", f"a map by {method}")
    return np.ascontiguousarray(_embedded(package, method, codes, seed), np.float32)


def plain(codes: Array) -> NDArray[np.float32]:
    """Return codes of one or two units as a map; those of one unit lie over the share of codes below them, which keeps them apart."""
    if codes.shape[1] == 2:
        return np.ascontiguousarray(codes, np.float32)
    order = np.argsort(np.argsort(codes[:, 0], kind="stable"), kind="stable")
    return np.stack([codes[:, 0], order / max(1, len(codes) - 1)], axis=1).astype(np.float32)


def pca(codes: Array, like: Array | None = None) -> tuple[NDArray[np.float32], Array]:
    """Return the first two principal components of codes, and their axes.

    Parameters
    ----------
    codes : ndarray of shape (n, L)
    like : ndarray of shape (L, 2), optional
        Axes of an earlier map, which this one is turned to (orthogonal Procrustes), so that points move and the map does not spin.

    Returns
    -------
    ndarray of shape (n, 2)
    ndarray of shape (L, 2)

    Examples
    --------
    >>> pca(np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [2.0, 1.0, 0.0], [2.0, -1.0, 0.0]]))[0].tolist()
    [[-2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]
    """
    centred = codes.astype(np.float64) - codes.mean(0, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), [0, 1]] < 0, -1.0, 1.0)  # eigenvectors have no sign
    if like is not None:
        left, _, right = np.linalg.svd(axes.T @ like)
        axes = axes @ (left @ right)
    return (centred @ axes).astype(np.float32), axes


def _embedded(package: Any, method: str, codes: Array, seed: int) -> Array:
    if method == "umap":
        return package.UMAP(n_components=2, random_state=seed, n_jobs=1).fit_transform(codes)
    return package.PaCMAP(n_components=2, random_state=seed).fit_transform(codes, init="pca")
