"""How a picture that a model made came to be, and by which model."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from isthmus import __version__
from isthmus.artifact import Artifact
from isthmus.artifact.files import pack
from isthmus.data.provenance import COMPOSITE, TRAINED, Provenance
from isthmus.spec import to_spec


def provenance(artifact: Artifact, operation: str = "", composite: bool = False) -> Provenance:
    """Return what pictures made by a model are to say of themselves.

    Parameters
    ----------
    artifact : Artifact
        The model.
    operation : str
        What was done, such as ``"sample"`` or ``"edit"``.
    composite : bool
        Whether originals and pictures made by the model are side by side on one sheet.

    Returns
    -------
    Provenance
        For `isthmus.data.write`.

    Examples
    --------
    >>> from isthmus.data import from_any
    >>> from isthmus.tasks.config import Config
    >>> from isthmus.tasks.fit import fit
    >>> model = fit(from_any(np.random.default_rng(0).random((40, 4, 4))), Config(steps=2, latent=2))
    >>> provenance(model, "sample").source_type
    'trainedAlgorithmicMedia'
    """
    kind = COMPOSITE if composite else TRAINED
    return Provenance(kind, f"isthmus {__version__}", f"isthmus {artifact.family}", fingerprint(artifact), operation)


def fingerprint(artifact: Artifact) -> str:
    """Return a digest of everything that decides what a model makes of a row."""
    entry, arrays = artifact.preprocessor.state()
    entry.pop("notes")
    found = hashlib.sha256(json.dumps([to_spec(artifact.model), to_spec(artifact.objective), entry]).encode())
    tensors = {name: tensor.numpy() for name, tensor in pack({"model": artifact.model, "objective": artifact.objective}).items()}
    for name, values in sorted({**tensors, **arrays}.items()):
        found.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return found.hexdigest()[:16]
