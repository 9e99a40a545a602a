"""The five families on scikit-learn's handwritten digits, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.artifact import Artifact
from isthmus.data import Source
from isthmus.tasks.config import Config
from isthmus.tasks.evidence import Evidence, ReportData
from isthmus.tasks.examine import baselines, examine
from isthmus.tasks.fit import fit, split
from isthmus.training import Callback

Array = NDArray[Any]
LATENT = 16
SHOWN = ("linear", "undercomplete", "sparse", "denoising", "variational")
SHARE = 0.2


def digits() -> tuple[Source, Array]:
    """Return scikit-learn's 1,797 real handwritten digits, 8 x 8 grey values in [0, 1], and their labels (for measuring only)."""
    found = import_module("sklearn.datasets").load_digits()
    pictures = (found.images / 16).astype(np.float32)[..., None]
    return Source("pictures", pictures, name="handwritten digits (scikit-learn)"), found.target


def demo(
    folder: Path,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    started: Callable[[str], None] | None = None,
    steps: int | None = None,
) -> tuple[ReportData, dict[str, Artifact]]:
    """Train the five families on the digits, save each under `folder`, and measure them on rows none of them saw.

    Parameters
    ----------
    folder : path
        Gets one artifact per family.
    seed : int
    callbacks : sequence of Callback
        Watch every training.
    started : callable, optional
        Called with the family's name before its training.
    steps : int, optional
        Optimiser steps at most, for a quick look.

    Returns
    -------
    data : ReportData
    artifacts : dict of str to Artifact
    """
    source, labels = digits()
    rest, kept_back = split(len(source), SHARE, seed)
    train, held_out = source.take(rest), source.take(kept_back)
    artifacts: dict[str, Artifact] = {}
    models: list[Evidence] = []
    for name in SHOWN:
        if started:
            started(name)
        start = time.perf_counter()
        config = Config(family=name, seed=seed, latent=None if name == "sparse" else LATENT, steps=None if name == "linear" else steps)
        artifact = fit(train, config, callbacks=callbacks)
        seconds = time.perf_counter() - start
        artifact.save(folder / name)
        evidence = examine(artifact, held_out, labels[kept_back], train, labels[rest])
        del evidence.metrics["log likelihood (nats)"]  # the families' likelihoods differ, so these cannot stand in one column
        evidence.metrics["seconds"] = seconds
        artifacts[name] = artifact
        models.append(evidence)
    data = {
        "data": source.name,
        "rows": f"{len(source):,} pictures of 8 x 8 grey values",
        "split": f"{len(rest):,} to train with (a tenth decides which weights are kept), {len(kept_back)} held out for every figure",
        "seed": str(seed),
    }
    found = baselines(source.array[rest], source.array[kept_back], LATENT, labels[rest], labels[kept_back], "raw pixels")
    title = "Five autoencoders, one set of digits"
    return ReportData(title, "What each family of autoencoders makes of 1,797 handwritten digits.", data, found, models), artifacts
