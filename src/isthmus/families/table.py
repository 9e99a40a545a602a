"""The table of families: one line each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isthmus.errors import ConfigError
from isthmus.families import denoising, linear, sparse, undercomplete, variational
from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.objectives import Objective

Recipe = tuple[Autoencoder, Objective]


@dataclass(frozen=True)
class Family:
    """A named recipe.

    Attributes
    ----------
    name : str
    summary : str
        One line for people.
    build : callable
        ``build(fields, **options)`` returns the model and its objective.
    generative : bool
        Whether it has a prior to sample from.
    """

    name: str
    summary: str
    build: Callable[..., Recipe]
    generative: bool = False

    @property
    def options(self) -> list[str]:
        """Names of the options the recipe takes."""
        return list(inspect.signature(self.build).parameters)[1:]

    def __call__(self, fields: Sequence[Field], **options: object) -> Recipe:
        """Build the model and its objective.

        Raises
        ------
        ConfigError
            If the recipe does not take one of the options, or a value is wrong.
        """
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            raise ConfigError(f"the family {self.name!r} does not take {', '.join(unknown)}; it takes {', '.join(self.options)}")
        return self.build(fields, **options)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("linear", "no non-linearity: principal component analysis, in closed form or by gradient", linear.build),
        Family("undercomplete", "a code narrower than the input: compress and rebuild", undercomplete.build),
        Family("sparse", "few units active per input, also when the code is wider than the input", sparse.build),
        Family("denoising", "corrupted in, clean out", denoising.build),
        Family(
            "variational", "a distribution per input and a prior: a continuous code, and new samples", variational.build, generative=True
        ),
    )
}


def get(name: str) -> Family:
    """Return the family called `name`.

    Parameters
    ----------
    name : str
        One of `FAMILIES`.

    Returns
    -------
    Family

    Raises
    ------
    ConfigError
        If there is none of this name.

    Examples
    --------
    >>> from isthmus.fields import Field
    >>> model, objective = get("undercomplete")([Field("x", "numbers", (8,))], latent=2)
    >>> model.latent
    2
    """
    if name not in FAMILIES:
        raise ConfigError(f"unknown family {name!r}; choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
