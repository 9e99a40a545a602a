"""What a program must know to use a model's graphs: how rows are prepared, what a score is, and under which conditions."""

from __future__ import annotations

from typing import Any

import numpy as np

from isthmus.artifact.artifact import Artifact
from isthmus.data.source import Array

_SPACES = {
    "binary": "0 or 1; means are probabilities",
    "unit": "between 0 and 1",
    "real": "scaled numbers, most of them between -3 and 3",
}


def prepared(artifact: Artifact) -> dict[str, Any]:
    """Return what the graphs' rows are, and how data become such rows: the scaling, or the coders of mixed columns.

    Parameters
    ----------
    artifact : Artifact

    Returns
    -------
    dict
        In plain JSON types.
    """
    state, arrays = artifact.preprocessor.state()
    field = artifact.field
    plain = {name: value for name, value in state.items() if name != "notes"}
    numbers = {name: _listed(values) for name, values in arrays.items()}
    return {"field": field.to_json(), "values": _values(artifact), "preparing": {**plain, **numbers}, "how": _how(artifact)}


def _listed(values: Array) -> list[Any]:
    return np.asarray(values).tolist()


def _values(artifact: Artifact) -> str:
    if artifact.field.kind == "columns":
        return "the values of all parts side by side, 0 where missing, then a flag for each part: 1 if it is there, 0 if it is missing"
    return _SPACES[artifact.field.support]


def _how(artifact: Artifact) -> str:
    if artifact.field.kind == "columns":
        return (
            "by column: affine is (v - offset) / divisor, of log(1 + v) for counts; quantiles are interpolated from knots to scores; "
            "a category turns one of its slots on, slot 0 for one never seen; truth is 0 or 1; times are seconds scaled likewise, then "
            "cosine and sine of each cycle"
        )
    layout = "; height, width, channels" if artifact.field.kind == "picture" else ""
    return f"(value - offset) / divisor, in float32{layout}"


def score_told(artifact: Artifact) -> str:
    """Return what the score is, in a sentence."""
    bound = artifact.model.prior is not None
    drawn = "; the draws of the code are constants, the same as in isthmus" if bound else ""
    return f"{'a lower bound on the' if bound else 'the'} log likelihood of each row in nats, higher is more familiar{drawn}"


def used(artifact: Artifact) -> list[str]:
    """Return the conditions of use, one sentence each."""
    found = [
        "Rows must be prepared as told under rows, in the order of the columns; the graphs do not check them.",
        "Codes are means and decoded rows are means: nothing is drawn.",
        "Computed in float32; results agree with torch within 1e-5, of values beyond 1 within 1e-5 of their size.",
        "A score takes some thousand times the memory of its row: hand over a few hundred rows at a time.",
    ]
    if artifact.model.condition:
        found.append("Each row, and each code, needs its condition as told under condition: one-hot classes, numbers scaled, side by side.")
    return [*found, *(str(note) for note in artifact.facts.get("notes", []))]
