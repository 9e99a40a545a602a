"""What the page asks and what it is told: no web in here, only plain values and bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from isthmus import __version__
from isthmus.errors import ConfigError
from isthmus.explorer import asked, colours, maps
from isthmus.explorer.sheet import Sheet
from isthmus.explorer.subject import Array, Subject
from isthmus.tasks.sample import path
from isthmus.tasks.space import attribute_vector

NEIGHBOURS = 8
STRANGEST, QUANTILES = 500, 2_000
EXPLAINED = 100  # rows of the list of anomalies that come with reasons
Asked = Mapping[str, Any]
Answer = dict[str, Any]


class Answers:
    """Answers questions about a model and its rows.

    Parameters
    ----------
    subject : Subject
    note : str
        What is to be known of the rows.
    """

    def __init__(self, subject: Subject, note: str = "") -> None:
        self.subject = subject
        self.note = note
        self._maps: dict[str, Array] = {}
        self._locks: dict[str, Lock] = {}

    def about(self) -> Answer:
        """Return what is there: the model, the rows, the code, maps and colours."""
        subject = self.subject
        shape = list(subject.contents.schema.shape)
        found: Answer = {"name": subject.name, "family": subject.family, "version": __version__, "kind": subject.contents.kind}
        found |= {"shape": shape, "rows": len(subject), "rows_total": subject.rows.total, "note": self.note}
        found |= {"code": self._code(), "columns": colours.columns(subject) if found["kind"] == "table" else []}
        found |= {"colours": colours.listed(subject), "maps": maps.available(subject.width), "maps_missing": maps.missing(subject.width)}
        found |= {"output": {"draws": subject.draws, "name": subject.output}, "anomalies": True, "live": False, "provenance": True}
        found |= {"score": {"name": "strangeness", "told": subject.score_told}, **subject.threshold()}
        return found | ({"thumb": {"width": shape[1], "height": shape[0]}} if found["kind"] == "picture" else {})

    def _code(self) -> Answer:
        dims = self.subject.dims
        order = np.argsort([-unit["carries"] for unit in dims], kind="stable")
        return {"name": self.subject.code_name, "size": len(dims), "dims": dims, "order": order.tolist()}

    def map(self, method: str) -> bytes:
        """Return a map, 2 numbers a row; made once."""
        with self._locks.setdefault(method[:20], Lock()):  # one that takes minutes keeps no other waiting
            if method not in self._maps:
                self._maps[method] = maps.make(method, self.subject.codes)
            return self._maps[method].astype("<f4").tobytes()

    def codes(self) -> bytes:
        """Return all codes."""
        return self.subject.codes.astype("<f4").tobytes()

    def colour(self, name: str) -> bytes:
        """Return the value of a colour for each row."""
        return colours.values(self.subject, name).astype("<f4").tobytes()

    def thumb(self, index: object) -> bytes:
        """Return the picture of a row as PNG.

        Raises
        ------
        ConfigError
            If rows are no pictures, or there is no such row.
        """
        return self.sheet.one(asked.row(index, len(self.subject)))

    @cached_property
    def sheet(self) -> Sheet:
        """Thumbnails of all rows, if they are pictures.

        Raises
        ------
        ConfigError
            If they are not.
        """
        if self.subject.contents.kind != "picture":
            raise ConfigError("the rows are no pictures, so there are no thumbnails")
        return Sheet(self.subject)

    def inputs(self, indices: str) -> Answer:
        """Return rows as they are, with their labels; errors as for `asked.row`."""
        given = indices.split(",")[: asked.MOST_ROWS]
        rows = [asked.row(index, len(self.subject)) for index in given]
        items = self.subject.contents.of(self.subject.matrix[rows], self.subject.rows.source.take(rows))
        return {"items": items, "labels": [colours.label_of(self.subject, row) for row in rows]}

    def sheet_told(self) -> Answer:
        """Return how the sheet of thumbnails is laid out, and where it is; its size is none where rows are no pictures."""
        return self.sheet.told("/api/sheet.png") if self.subject.contents.kind == "picture" else {"size": None}

    def point(self, index: object) -> Answer:
        """Return what is known of a row: input, reconstruction, difference, score, reasons, neighbours."""
        row, subject = asked.row(index, len(self.subject)), self.subject
        observed, rebuilt = subject.matrix[row], subject.rebuild([row])[0]
        score, p_value = subject.judged(row)  # none as long as they are being reckoned
        return {
            "index": row,
            "label": colours.label_of(subject, row),
            "code": subject.codes[row].tolist(),
            "input": subject.contents.of(observed[None], subject.rows.source.take([row]))[0],
            "reconstruction": subject.contents.of(rebuilt[None], made=True)[0],
            "difference": subject.contents.difference(observed, rebuilt),
            "score": score,
            "p_value": p_value,
            "scoring": score is None,
            "reasons": subject.reasons([row])[0],
            "neighbours": self.neighbours(row),
        }

    def neighbours(self, row: int, count: int = NEIGHBOURS) -> list[Answer]:
        """Return the rows whose codes are nearest to that of a row, the nearest first, without itself."""
        codes = self.subject.codes
        distances = np.square(codes - codes[row]).sum(1, dtype=np.float64)
        distances[row] = np.inf
        count = min(count, len(codes) - 1)
        nearest = np.argpartition(distances, count - 1)[:count] if count else np.empty(0, np.int64)
        order = nearest[np.argsort(distances[nearest], kind="stable")]
        return [{"index": int(i), "distance": float(np.sqrt(distances[i]))} for i in order]

    def decode(self, wanted: Asked) -> Answer:
        """Return what codes stand for."""
        codes = asked.codes(wanted, self.subject.width)
        return {"items": self._items(codes, asked.truth(wanted, "draw"), asked.seed(wanted))}

    def sample(self, wanted: Asked) -> Answer:
        """Return new rows."""
        seed = asked.seed(wanted)
        codes, told = self.subject.sample(asked.count(wanted, 1), seed)
        items = self._items(codes, asked.truth(wanted, "draw"), seed)
        return {"codes": codes.tolist(), "items": items, "density": told}

    def interpolate(self, wanted: Asked) -> Answer:
        """Return the way between the codes of two rows.

        Raises
        ------
        ConfigError
            If a row is not there, or the way is unknown.
        """
        rows, way = len(self.subject), wanted.get("way", "linear")
        if way not in ("linear", "spherical"):
            raise ConfigError(f'"way" must be linear or spherical, not {way!r:.60}')
        start, end = (self.subject.codes[asked.row(wanted.get(name), rows, name)] for name in ("from", "to"))
        codes = path(start, end, asked.count(wanted, 9, low=2), way == "spherical").astype(np.float32)
        return {"codes": codes.tolist(), "items": self._items(codes)}

    def attribute(self, wanted: Asked) -> Answer:
        """Return the direction from one group of rows to another, and how many standard deviations lie between them along it."""
        codes, rows = self.subject.codes, len(self.subject)
        a, b = (codes[asked.rows(wanted, name, rows)].astype(np.float64) for name in ("a", "b"))
        vector = attribute_vector(np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)]))
        norm = float(np.linalg.norm(vector))
        unit = vector / norm if norm else vector
        spread = float(np.sqrt((np.var(a @ unit) * len(a) + np.var(b @ unit) * len(b)) / (len(a) + len(b))))
        return {"vector": vector.tolist(), "norm": norm, "separation": norm / spread if spread else None}

    def anomalies(self, limit: object = None) -> Answer:
        """Return the strangest rows with reasons, the scores of all, and those of healthy rows."""
        subject = self.subject
        most = STRANGEST if limit is None else asked.whole(limit, "limit", 1, STRANGEST)
        scores, p_values, calibration = subject.scores, subject.p_all, subject.calibration
        order = np.argsort(-scores, kind="stable")[:most].tolist()
        reasons = subject.reasons(order[:EXPLAINED], 3) + [[] for _ in order[EXPLAINED:]]
        known = scores if calibration is None else np.concatenate(calibration.folds)
        return {
            "rows": [
                {"index": i, "score": float(scores[i]), "p_value": None if p_values is None else float(p_values[i]), "reasons": why}
                for i, why in zip(order, reasons)
            ],
            "healthy": thinned(known).tolist(),
            "calibrated": calibration is not None,
            "scores": base64.b64encode(scores.astype("<f4").tobytes()).decode("ascii"),
            "note": calibration_note(subject),
        }

    def _items(self, codes: Array, draw: bool = False, seed: int = 0) -> list[Any]:
        return self.subject.contents.of(self.subject.decode(codes, draw, seed), made=True)


def thinned(scores: Array) -> Array:
    """Return scores in order, as at most 2,000 quantiles.

    Examples
    --------
    >>> thinned(np.array([2.0, 1.0])).tolist()
    [1.0, 2.0]
    """
    ordered = np.sort(scores)
    return ordered if len(ordered) <= QUANTILES else np.quantile(ordered, np.linspace(0, 1, QUANTILES))


def calibration_note(subject: Subject) -> str:
    """Say what the expected false alarms are reckoned from."""
    if subject.calibration is None:
        return (
            "No rows are known that the model has not seen, so there are no p-values: the threshold shows which share of these rows "
            "lies beyond it. Open the data the model was fitted on, or name healthy rows with --healthy."
        )
    rows = subject.calibration.rows
    return f"Expected false alarms are reckoned from {rows:,} healthy rows that the model has not learned from."
