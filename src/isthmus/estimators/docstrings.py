"""The shared part of the estimators' docstrings, written once: from the settings' own help."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any, TypeVar

from isthmus.tasks.config import Config

T = TypeVar("T")

_OWN = {
    "random_state": (
        "int, RandomState instance or None, default=None",
        "Decides everything random: first weights, order, noise, the held-out rows. An int gives the same result each time.",
    ),
    "picture_shape": ("tuple of int, optional", "(H, W, C): the rows of a 2-D X are pictures of this shape."),
    "kinds": (
        "dict of str to str, optional",
        'Kinds of columns that are decided, such as {"zip": "category"}; see `isthmus.data.Schema.infer`.',
    ),
    "verbose": ("int, default=0", "1: a line for each evaluation on the standard error stream; 2: the choices too."),
}

_SECTIONS = ("Notes\n-----\n", "References\n----------\n", "Examples\n--------\n")
_NONE = "A parameter that is None is chosen by the data; `choices_` tells what was chosen, and why."
_FITTED = """
Attributes
----------
artifact_ : Artifact
    The fitted model with its preprocessing.
choices_ : dict of str to Choice
    Every setting as it was used, with its reason.
history_ : History
    Losses by step.
latent_ : int
    Width of the code.
n_iter_ : int
    Optimiser steps made; 0 for a closed form.
n_features_in_ : int
    Values in a row.
feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Column names; only where X had some.
"""


def documented(cls: type[T]) -> type[T]:
    """Put the parameters and fitted attributes of an estimator into its docstring, before the first section."""
    if cls.__doc__:
        text = inspect.cleandoc(cls.__doc__)
        place = min(text.index(mark) for mark in _SECTIONS if mark in text)
        cls.__doc__ = f"{text[:place]}{_NONE}\n\nParameters\n----------\n{_parameters(cls)}{_FITTED}\n{text[place:]}\n"
    return cls


def _parameters(cls: Any) -> str:
    known = {entry.name: str(entry.type) for entry in fields(cls)}
    order = [name for name in Config.help() if name in known] + list(_OWN)
    return "".join(f"{name} : {kind}\n    {text}\n" for name, kind, text in (_entry(name, known.get(name, "")) for name in order))


def _entry(name: str, kind: str) -> tuple[str, str, str]:
    if name in _OWN:
        return name, *_OWN[name]
    # The settings' help says which family an entry belongs to; here that is plain.
    text = re.sub("^(linear|sparse|denoising|variational( and its kin)?|beta_vae|iwae|vqvae|fsq|ladder|rae): ", "", Config.help()[name][1])
    types = " or ".join("tuple of int" if part.startswith("tuple") else part for part in kind.split(" | ") if part != "None")
    return name, f"{types}, optional", text
