"""A fitted model that shows pictures of one domain as those of another: apply it, save it, open it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.artifact import kept
from isthmus.artifact.kept import Form
from isthmus.artifact.restorer import as_pictures, white
from isthmus.errors import ConfigError, DataError
from isthmus.nn.shared_coder import SharedCoder
from isthmus.training import History, choose_device

FORM = Form("isthmus-swapper", 1, "a shared encoder with its decoders", "isthmus.artifact.swapping.SwapModel.load")
TOGETHER = 256  # pictures that pass the network together
Array = NDArray[Any]


def as_numbers(pictures: Any, name: str = "X") -> tuple[Tensor, np.dtype[Any]]:
    """Return pictures of one size as numbers between 0 and 1, shape (n, H, W, C), and the type they had.

    Raises
    ------
    DataError
        If they are not pictures of one size, or their values lie outside of what their type allows.

    Examples
    --------
    >>> as_numbers(np.full((2, 4, 5), 255, np.uint8))[0].max()
    tensor(1.)
    """
    found = as_pictures(pictures, name)
    sizes = sorted({picture.shape[:2] for picture in found})
    if len(sizes) > 1:
        told = ", ".join(f"{height} x {width}" for height, width in sizes[:3])
        raise DataError(f"{name}: pictures have different sizes ({told}); bring them to one, as `isthmus swap --size 64x64` does")
    dtype = found[0].dtype
    values = torch.tensor(np.stack(found)).float() / white(dtype)
    if dtype.kind == "f" and not (float(values.min()) >= -1e-3 and float(values.max()) <= 1 + 1e-3):
        raise DataError(f"{name} has values from {values.min():g} to {values.max():g}, but white is 1 and black 0: divide by the largest")
    return values.clamp(0, 1), dtype


@dataclass
class SwapModel:
    """A fitted encoder with a decoder for each domain.

    Parameters
    ----------
    network : SharedCoder
    domains : tuple of str
        Names, in the network's order.
    settings : dict
        What it was fitted with, plain JSON types.
    history : History
    facts : dict
        What is worth knowing, plain JSON types.

    Examples
    --------
    >>> model = SwapModel(SharedCoder((16, 16, 1), 2, (4,), 8, 3).eval(), ("a", "b"))
    >>> model.swap(np.zeros((2, 16, 16), np.uint8), "b").shape
    (2, 16, 16)
    """

    network: SharedCoder
    domains: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    history: History = field(default_factory=History)
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a picture."""
        return self.network.shape

    def number(self, domain: str) -> int:
        """Return the place of a domain.

        Raises
        ------
        ConfigError
            If there is no such domain.
        """
        if domain not in self.domains:
            raise ConfigError(f"there is no domain {domain!r} in this model: choose one of {', '.join(self.domains)}")
        return self.domains.index(domain)

    def swap(self, pictures: Any, to: str, source: str | None = None, device: str = "cpu") -> Array:
        """Show pictures as those of another domain.

        Parameters
        ----------
        pictures : ndarray of shape (n, H, W) or (n, H, W, C), or sequence of ndarray of shape (H, W) or (H, W, C)
            As large as those fitted on; uint8, uint16 or floating-point numbers from 0 (black) to 1 (white).
        to : str
            Name of a domain.
        source : str, optional
            The domain they are of. By default, for each, the one other than `to` whose decoder rebuilds it best.
        device : str

        Returns
        -------
        ndarray of the shape and type given

        Raises
        ------
        ConfigError
            If there is no such domain.
        DataError
            If the pictures are not such as those fitted on.
        """
        target = self.number(to)
        known = [i for i in range(len(self.domains)) if i != target] if source is None else [self.number(source)]
        return self._through(pictures, known, target, device)

    def reconstruct(self, pictures: Any, domain: str, device: str = "cpu") -> Array:
        """Rebuild pictures of a domain by its own decoder; arguments and errors as for `swap`."""
        return self._through(pictures, [self.number(domain)], self.number(domain), device)

    def encode(self, pictures: Any, domain: str, device: str = "cpu") -> Array:
        """Return the codes of pictures of a domain, shape (n, code); arguments and errors as for `swap`."""
        which, (x, _) = self.number(domain), self._checked(pictures)
        network = self._at(device)
        with torch.no_grad():
            return torch.cat([network.encode(part, which).cpu() for part in torch.split(x.to(_device(network)), TOGETHER)]).numpy()

    def guess(self, pictures: Any, among: Sequence[str] | None = None, device: str = "cpu") -> list[str]:
        """Return for each picture the domain whose decoder rebuilds it best; errors as for `swap`."""
        known = [self.number(name) for name in among or self.domains]
        x, _ = self._checked(pictures)
        network = self._at(device)
        return [self.domains[i] for part in torch.split(x, TOGETHER) for i in _nearest(network, part.to(_device(network)), known)]

    def _at(self, device: str) -> SharedCoder:
        return self.network.to(choose_device(device)).eval()

    def _checked(self, pictures: Any) -> tuple[Tensor, np.dtype[Any]]:
        x, dtype = as_numbers(pictures)
        if tuple(x.shape[1:]) != self.shape:
            found, wanted = (" x ".join(map(str, shape)) for shape in (x.shape[1:], self.shape))
            raise DataError(
                f"the pictures are {found} (height x width x channels), but this model was fitted on {wanted}: resize them, "
                "or turn grey into colour or colour into grey"
            )
        return x, dtype

    def _through(self, pictures: Any, known: Sequence[int], target: int, device: str) -> Array:
        x, dtype = self._checked(pictures)
        network, top = self._at(device), white(dtype)
        parts = [_swapped(network, part.to(_device(network)), known, target) for part in torch.split(x, TOGETHER)]
        found = torch.cat(parts).clamp(0, 1).cpu().numpy() * top
        found = (found.round() if dtype.kind == "u" else found).astype(dtype)
        return found.reshape(len(found), *np.asarray(pictures[0]).shape)

    def save(self, path: str | Path) -> Path:
        """Write the folder `path`, whole or not at all.

        Raises
        ------
        ArtifactError
            If something else lies at `path`, or it cannot be written.
        """
        return kept.save(path, FORM, self.network, self.settings, self.history, self.facts, domains=list(self.domains))

    @classmethod
    def load(cls, path: str | Path) -> SwapModel:
        """Open the folder `path`. Nothing in it can run code.

        Raises
        ------
        ArtifactError
            If the folder is missing, broken, from a newer version, or not what it says.
        """
        network, settings, history, facts, entry = kept.load(path, FORM, (SharedCoder,))
        domains = kept.described(path, FORM, lambda: _names(entry["domains"], network.domains))
        return cls(network, domains, settings, history, facts)


def _names(found: list[Any], count: int) -> tuple[str, ...]:
    domains = tuple(str(name) for name in found)
    if len(set(domains)) != count or len(domains) != count:
        raise ConfigError(f"{len(domains)} names for {count} domains")
    return domains


def _device(network: SharedCoder) -> torch.device:
    return network.norm.mean.device


@torch.no_grad()
def _nearest(network: SharedCoder, x: Tensor, known: Sequence[int]) -> list[int]:
    """Return for each picture which of the domains rebuilds it with the least absolute error."""
    errors = [(network.decode(network.encode(x, i), i) - x).abs().flatten(1).mean(1) for i in known]
    return [known[int(place)] for place in torch.stack(errors).argmin(0)]


@torch.no_grad()
def _swapped(network: SharedCoder, x: Tensor, known: Sequence[int], target: int) -> Tensor:
    found = torch.empty_like(x)
    of = _nearest(network, x, known) if len(known) > 1 else [known[0]] * len(x)
    for domain in set(of):
        rows = torch.tensor([name == domain for name in of])
        found[rows] = network.decode(network.encode(x[rows], domain), target)
    return found
