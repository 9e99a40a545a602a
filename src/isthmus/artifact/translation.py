"""A fitted translation: from one picture to another, or from one row to another; with several answers where it knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.artifact import kept
from isthmus.artifact.kept import Form
from isthmus.artifact.restorer import as_pictures, batches, white
from isthmus.artifact.rounding import as_grey
from isthmus.artifact.ways import Way, make_way
from isthmus.errors import ConfigError, DataError
from isthmus.nn import Answers, Colouring, UNet, tiled
from isthmus.nn.colouring import ANNEALED, VIVID, draw_colours, paint
from isthmus.nn.tiling import TILE
from isthmus.training import History, choose_device

FORM = Form("isthmus-translation", 1, "a network that translates", "isthmus.artifact.translation.Translation.load")
NETWORKS = (UNet, Answers)
SLACK = 1e-3  # beyond black and white, by rounding
TOGETHER = 4096  # rows that pass the network together
Array = NDArray[Any]


@dataclass(frozen=True)
class Use:
    """How a translation is used.

    Parameters
    ----------
    tile : int
        Larger pictures are worked on in tiles of this height and width, which leave no seams.
    temperature : float
        Of the mean over colours: 1 for the mean itself, which is pale, near 0 for the likeliest colour.
    vivid : float
        Of the best answer's colours: 0 for how likely they are, 1 as if all were equally frequent; draws are left as likely as they are.
    boldness : float
        Temperature of drawn colours: 1 to draw from what was learned, less for likelier ones.
    device : str

    Raises
    ------
    ConfigError
        If a number is out of its range.

    Examples
    --------
    >>> Use(temperature=1.0).tile
    512
    """

    tile: int = TILE
    temperature: float = ANNEALED
    vivid: float = VIVID
    boldness: float = 1.0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("temperature", "boldness"):
            if not 0.01 <= getattr(self, name) <= 100:
                raise ConfigError(f"{name} must lie between 0.01 and 100, not {getattr(self, name)}")
        if not 0 <= self.vivid <= 1:
            raise ConfigError(f"vivid must lie between 0 and 1, not {self.vivid}")


@dataclass
class Translation:
    """A fitted network from pictures to pictures, or from rows to rows.

    Parameters
    ----------
    network : UNet, Colouring or Answers
        A U-net for pictures, one that knows colours for those that are coloured, a dense one for rows.
    way : str
        How inputs relate to targets; one of `isthmus.artifact.ways.WAYS`.
    channels : (int, int)
        Of inputs and of targets, if they are pictures.
    settings : dict
        What it was fitted with, plain JSON types.
    history : History
    facts : dict
        What is worth knowing, plain JSON types.

    Examples
    --------
    >>> model = Translation(UNet(1, (4,), 1).eval(), "half", (1, 1))
    >>> model(np.zeros((2, 8, 8), np.uint8)).shape
    (2, 16, 16)
    """

    network: UNet | Answers
    way: str = "pairs"
    channels: tuple[int, int] = (1, 1)
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    history: History = field(default_factory=History)
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def rows(self) -> bool:
        """Whether it translates rows, not pictures."""
        return isinstance(self.network, Answers)

    @property
    def draws(self) -> bool:
        """Whether it knows several answers."""
        return isinstance(self.network, (Answers, Colouring))

    def __call__(self, X: Any, masks: Any = None, use: Use | None = None) -> Any:
        """Return the one best answer to each row or picture.

        Parameters
        ----------
        X : ndarray of shape (n, H, W) or (n, H, W, C), or sequence of ndarray of shape (H, W) or (H, W, C)
            Pictures of uint8, uint16, or floating-point numbers from 0 to 1. Or rows, ndarray of shape (n, ...).
        masks : ndarray of shape (n, H, W), or sequence of ndarray of shape (H, W), optional
            For ``way="masked"``: not 0 where something shall be painted. One for all, if there is but one.
        use : Use, optional

        Returns
        -------
        ndarray, or list of ndarray where pictures are of different sizes
            Of the type that was given; rows are floating-point numbers.

        Raises
        ------
        DataError
            If they are not what the network was fitted on, or masks do not fit.
        ConfigError
            If masks are given to a model that has no use for them.
        """
        chosen = use or Use()
        if isinstance(self.network, Answers):
            return _by_rows(self.network, _rows(X, self.network), chosen, self.network.mean, masks)
        return self._pictures(X, masks, chosen, self._best)

    def sample(self, X: Any, draws: int = 5, seed: int = 0, use: Use | None = None) -> Any:
        """Draw several answers to each row or picture.

        Parameters
        ----------
        X : as of calling it
        draws : int
        seed : int
        use : Use, optional

        Returns
        -------
        ndarray of shape (n, draws, ...), or list of ndarray of shape (draws, H, W, C)

        Raises
        ------
        ConfigError
            If the model knows one answer alone, or `draws` is not positive.
        DataError
            If they are not what the network was fitted on.
        """
        if draws < 1:
            raise ConfigError(f"draws must be at least 1, not {draws}")
        if not self.draws:
            raise ConfigError(f"a model of way={self.way!r} knows one answer to each picture: several are known for way='grey' and rows")
        generator = torch.Generator().manual_seed(seed)
        chosen = use or Use()
        if isinstance(self.network, Answers):
            draw = partial(self.network.draw, generator=generator)
            x = _rows(X, self.network)
            return np.stack([_by_rows(self.network, x, chosen, draw) for _ in range(draws)], 1)
        made = [self._pictures(X, None, chosen, partial(self._drawn, generator=generator)) for _ in range(draws)]
        if isinstance(made[0], np.ndarray):
            return np.stack(made, 1)
        return [np.stack(answers) for answers in zip(*made)]

    def _best(self, x: Tensor, mask: Tensor | None, way: Way, use: Use) -> Tensor:
        if isinstance(self.network, Colouring):
            return paint(self.network, x, temperature=use.temperature, vivid=use.vivid, tile=use.tile)
        assert isinstance(self.network, UNet)
        found = tiled(self.network, way.see(x, mask), use.tile).clamp(0, 1)
        return found if mask is None else torch.where(mask > 0, found, x)

    def _drawn(self, x: Tensor, mask: Tensor | None, way: Way, use: Use, generator: torch.Generator) -> Tensor:
        del mask, way
        assert isinstance(self.network, Colouring)
        known = draw_colours(self.network, x, generator, temperature=use.boldness, tile=use.tile)
        return paint(self.network, x, known, temperature=use.temperature, vivid=0.0, tile=use.tile)

    def _pictures(self, X: Any, masks: Any, chosen: Use, answer: Callable[[Tensor, Tensor | None, Way, Use], Tensor]) -> Any:
        found = checked(X, self.channels[0], strict=self.way != "pairs")
        if masks is not None and self.way != "masked":
            raise ConfigError(f"masks are for models of way='masked'; this one is of way={self.way!r}: leave them out")
        holes = [None] * len(found) if masks is None else _masks(masks, found)
        self.network.to(choose_device(chosen.device)).eval()
        way, back, start = make_way(self.way), list[Array](), 0
        for batch in batches(found):
            back += self._together(batch, holes[start : start + len(batch)], lambda x, mask: answer(x, mask, way, chosen))
            start += len(batch)
        flat = self.channels[1] == 1 and all(np.ndim(picture) == 2 for picture in X)
        back = [picture[..., 0] for picture in back] if flat else back
        return np.stack(back) if isinstance(X, np.ndarray) else back

    def _together(
        self, pictures: Sequence[Array], holes: Sequence[Array | None], answer: Callable[[Tensor, Tensor | None], Tensor]
    ) -> list[Array]:
        """Answer to pictures of one size."""
        given, top = np.stack(pictures), white(pictures[0].dtype)
        device = next(self.network.parameters()).device
        x = torch.tensor(given).to(device, torch.float32) / top
        mask = None if holes[0] is None else torch.tensor(np.stack([hole for hole in holes if hole is not None])).to(device, torch.float32)
        with torch.no_grad():
            found = answer(x, mask).cpu().double().numpy() * top
        if given.dtype.kind != "u":
            return list(found.astype(given.dtype))
        found = as_grey(found, given, top) if self.way == "grey" else found.round()
        return list(found.astype(given.dtype) if mask is None else np.where(mask.cpu().numpy() > 0, found, given).astype(given.dtype))

    def save(self, path: str | Path) -> Path:
        """Write the folder `path`, whole or not at all.

        Raises
        ------
        ArtifactError
            If something else lies at `path`, or it cannot be written.
        """
        more = {"way": self.way, "channels": list(self.channels)}
        return kept.save(path, FORM, self.network, self.settings, self.history, self.facts, **more)

    @classmethod
    def load(cls, path: str | Path) -> Translation:
        """Open the folder `path`. Nothing in it can run code.

        Raises
        ------
        ArtifactError
            If the folder is missing, broken, from a newer version, or not what it says.
        """
        network, settings, history, facts, entry = kept.load(path, FORM, NETWORKS)
        way, channels = kept.described(path, FORM, partial(_described, network, entry))
        return cls(network, way, channels, settings, history, facts)


def _described(network: UNet | Answers, entry: dict[str, Any]) -> tuple[str, tuple[int, int]]:
    way, (before, after) = make_way(entry["way"]), entry["channels"]
    seen = way.inputs(int(before)) if way.name == "masked" else int(before)
    if isinstance(network, Colouring) != (way.name == "grey") or (isinstance(network, UNet) and network.colours != seen):
        raise ConfigError("its network does not belong to its way")
    return way.name, (int(before), int(after))


def checked(X: Any, channels: int, strict: bool = True) -> list[Array]:
    """Return pictures as `as_pictures` does, of so many channels, and, if `strict`, within black and white.

    Raises
    ------
    DataError
        If they are others.

    Examples
    --------
    >>> len(checked(np.zeros((2, 4, 4)), 1))
    2
    """
    found = as_pictures(X)
    if found[0].shape[2] != channels:
        told = {1: "grey", 3: "coloured"}
        before, now = (f"{told.get(n, 'other')} ones ({n} channel{'s' if n > 1 else ''})" for n in (channels, found[0].shape[2]))
        raise DataError(f"this model was fitted on {before}, and these are {now}: convert them first")
    return within(found, "X") if strict else found


def within(pictures: list[Array], name: str) -> list[Array]:
    """Return pictures as they are, or refuse values beyond black and white.

    Raises
    ------
    DataError
        If there are such values.

    Examples
    --------
    >>> len(within([np.ones((4, 4, 1))], "X"))
    1
    """
    for i, picture in enumerate(pictures if pictures[0].dtype.kind == "f" else []):
        if picture.min() < -SLACK or picture.max() > 1 + SLACK:
            told = f"values from {picture.min():g} to {picture.max():g}"
            raise DataError(f"{name}: picture {i} has {told}; floating-point pictures lie in 0 to 1: divide by 255")
    return pictures


def _masks(masks: Any, pictures: Sequence[Array]) -> list[Array]:
    found = [np.asarray(mask) for mask in masks]
    found = found * len(pictures) if len(found) == 1 else found
    if len(found) != len(pictures):
        raise DataError(f"{len(pictures)} pictures, but {len(found)} masks: give one for each, or one for all")
    holes = [(mask[..., None] if mask.ndim == 2 else mask.any(-1, keepdims=True)) != 0 for mask in found]
    wrong = [f"{i} ({p.shape[:2]} and {h.shape[:2]})" for i, (p, h) in enumerate(zip(pictures, holes)) if p.shape[:2] != h.shape[:2]]
    if wrong:
        raise DataError(f"masks are not as large as their pictures: {', '.join(wrong[:5])}{' ...' if len(wrong) > 5 else ''}")
    return holes


def _rows(X: Any, network: Answers) -> Array:
    found = np.asarray(X)
    if found.dtype.kind not in "fiub" or found.shape[1:] != network.shape_in:
        raise DataError(
            f"X has rows of shape {found.shape[1:]} ({found.dtype}), but this model was fitted on numbers of {network.shape_in}"
        )
    if not np.isfinite(found).all():
        raise DataError("X holds NaN or infinite values: fill or leave out these rows")
    return np.ascontiguousarray(found)


def _by_rows(network: Answers, x: Array, use: Use, answer: Callable[[Tensor], Tensor], masks: Any = None) -> Array:
    if masks is not None:
        raise ConfigError("masks are for pictures; leave them out")
    device = choose_device(use.device)
    network.to(device).eval()
    parts = [torch.tensor(x[i : i + TOGETHER]).to(device, torch.float32) for i in range(0, max(1, len(x)), TOGETHER)]
    return torch.cat([answer(part).cpu() for part in parts]).numpy()
