"""A fitted autoencoder, explored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from isthmus.artifact import Artifact
from isthmus.data import ColumnsPreprocessor, Source
from isthmus.distributions import GeneratorNoise
from isthmus.explorer.contents import Contents
from isthmus.explorer.subject import Array, Floats, Rows, Subject
from isthmus.fields import part_slices
from isthmus.tasks import codes as coding
from isthmus.tasks.conformal import Conformal
from isthmus.tasks.density import chosen_density
from isthmus.tasks.detector import blocks
from isthmus.tasks.distance import observed
from isthmus.tasks.examine import pictures, spread
from isthmus.tasks.provenance import provenance
from isthmus.tasks.sample import drawn
from isthmus.tasks.space import rank
from isthmus.tasks.values import told, values_of
from isthmus.training import decode as decode_rows
from isthmus.training import nats, reconstruct

RANKED = 2_000
CALIBRATED = 2_000
LEAST_DRAWS, MOST_DRAWS, DRAWN = 2, 16, 40_000  # codes drawn a row for its score, and about how many for all rows together
SMALL = 0.05


class ModelSubject(Subject):
    """An autoencoder of any family and rows of its kind.

    Parameters
    ----------
    artifact : Artifact
    rows : Rows
    name : str
    marked : bool
        Whether pictures that the model makes say so in their metadata.
    watch : callable, optional
        Called with the number of rows whose codes are made.
    """

    def __init__(
        self, artifact: Artifact, rows: Rows, name: str = "model", marked: bool = True, watch: Callable[[int], None] | None = None
    ) -> None:
        super().__init__(name, rows)
        self.watch = watch or _ignore
        self.artifact = artifact
        self.marked = marked

    @property
    def family(self) -> str:
        """Name of the family."""
        return self.artifact.family

    def find_matrix(self) -> Array:
        """Return the rows in the data's own units, shape (n, \\*shape)."""
        return self.artifact.schema.align(self.rows.source)

    def find_contents(self) -> Contents:
        """Return how rows are shown."""
        artifact = self.artifact
        if artifact.schema.kind == "pictures":
            xmp = provenance(artifact, "explore").to_xmp() if self.marked else b""
            return Contents(artifact.schema, brightness=lambda rows: pictures(artifact, rows), xmp=xmp)
        return Contents(artifact.schema, ranges(artifact.preprocessor, self.matrix))

    def find_codes(self) -> Array:
        """Return the mean code of every row."""
        found: list[Array] = []
        for block in blocks(self.rows.source):
            found.append(coding.encode(self.artifact, block))
            self.watch(sum(map(len, found)))
        return np.concatenate(found)

    def carried(self) -> tuple[Array, str]:
        """Return how much each unit carries: its mean KL, or its variance; nothing for what a condition adds."""
        some = self.rows.source.take(spread(len(self), RANKED))
        found, measure = rank(self.artifact, some)
        return np.pad(found, (0, self.width - len(found))), "nats" if "nats" in measure else "variance"

    def unit_names(self) -> list[str]:
        """Return what the code units are called; the last ones may be a condition."""
        known = self.artifact.model.condition
        return [*(f"z{j}" for j in range(self.width - known)), *(f"condition {j}" for j in range(known))]

    def decode(self, codes: Array, draw: bool = False, seed: int = 0) -> Array:
        """Return rows in the data's own units: the mean of the decoder's distribution, or a draw from it."""
        rows = torch.from_numpy(np.ascontiguousarray(self.check(codes), np.float32))  # pyright: ignore[reportUnknownMemberType]
        noise = GeneratorNoise(torch.Generator().manual_seed(seed))
        made = decode_rows(self.artifact.model, rows, (lambda p: p.sample(noise)) if draw else None)
        return self.artifact.restore(made, within=True)

    def rebuild(self, rows: list[int]) -> Array:
        """Return rows rebuilt from their codes."""
        return coding.reconstruct(self.artifact, self.rows.source.take(rows))

    def sample(self, count: int, seed: int) -> tuple[Array, str]:
        """Return new codes, and what they were drawn from: the density that explains held-out codes best."""
        name, density = chosen_density(self.artifact)
        noise = GeneratorNoise(torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            return drawn(self.artifact, density, count, noise).numpy(), name

    def strangeness(self, source: Source) -> Floats:
        """Return the negative log likelihood of rows in nats."""
        artifact = self.artifact
        draws = LEAST_DRAWS * max(1, min(MOST_DRAWS, DRAWN // len(self)) // LEAST_DRAWS)  # in mirrored pairs
        found = [nats(artifact.model, artifact.objective, artifact.prepare(block), draws) for block in blocks(source)]
        return -torch.cat(found).double().numpy()

    def find_calibration(self) -> Conformal | None:
        """Return the scores of the rows that were held out when the model was fitted, or of rows given as healthy."""
        rows, held = self.rows, self.rows.held
        if rows.healthy is not None:
            return Conformal.of(self.strangeness(rows.healthy.take(spread(len(rows.healthy), CALIBRATED))))
        if held is None or not len(held):
            return None
        chosen = held[spread(len(held), CALIBRATED)]
        return Conformal.of(self.strangeness(rows.source.take(chosen)))

    def reasons(self, rows: list[int], top: int = 5) -> list[list[dict[str, Any]]]:
        """Return the columns that are rebuilt worst, each with its share of the squared error in scaled units; none of pictures."""
        artifact = self.artifact
        if artifact.schema.kind == "pictures":
            return [[] for _ in rows]
        source = self.rows.source.take(rows)
        prepared = artifact.prepare(source)
        rebuilt = artifact.bare(reconstruct(artifact.model, prepared))
        errors = by_column(artifact, artifact.bare(prepared), rebuilt)
        shares = errors / np.maximum(errors.sum(1, keepdims=True), 1e-30)
        seen, expected = (values_of(artifact.schema, part) for part in (self.matrix[rows], artifact.restore(rebuilt)))
        names: list[str] = list(seen)
        found: list[list[dict[str, Any]]] = []
        for i, row in enumerate(shares):
            order: list[int] = [j for j in np.argsort(-row, kind="stable")[:top].tolist() if row[j] >= SMALL]
            found.append([_reason(names[j], seen[names[j]][i], expected[names[j]][i], row[j]) for j in order])
        return found

    @property
    def draws(self) -> bool:
        """Whether the decoder gives a distribution that can be drawn from: always."""
        return True

    @property
    def output(self) -> str:
        """Name of the decoder's distribution."""
        return type(self.artifact.model.likelihood).__name__

    @property
    def score_told(self) -> str:
        """What the score is."""
        bound = "an upper bound of the " if self.artifact.model.prior is not None else ""
        return f"{bound}negative log likelihood, in nats of the scaled data: the higher, the stranger"


def _ignore(done: int) -> None:
    del done


def _reason(name: str, seen: object, expected: object, share: float) -> dict[str, Any]:
    return {"column": name, "observed": told(seen), "expected": told(expected), "share": float(share)}


def by_column(artifact: Artifact, rows: torch.Tensor, rebuilt: torch.Tensor) -> Floats:
    """Return squared errors of prepared rows summed over each column's values, shape (n, columns); 0 where a value is missing."""
    field = artifact.field
    if field.kind != "columns":
        return (rebuilt - rows).square().double().numpy()
    squares = ((rebuilt - rows)[:, : field.values].square() * observed(field, rows)).double().numpy()
    places = {name: j for j, name in enumerate(artifact.schema.columns)}
    found = np.zeros((len(rows), len(places)))
    for part, place in zip(field.parts, part_slices(field.parts)):
        found[:, places[part.column]] += squares[:, place].sum(1)
    return found


def ranges(preprocessor: object, matrix: Array) -> Array:
    """Return smallest and largest value of each column, shape (2, c): of the training rows where they are known."""
    if isinstance(preprocessor, ColumnsPreprocessor):
        return preprocessor.limits
    return np.stack([np.nanmin(matrix, axis=0), np.nanmax(matrix, axis=0)]).astype(np.float64)
