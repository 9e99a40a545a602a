"""The table of families: one line each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.errors import ConfigError
from isthmus.families import (
    beta_vae,
    conditional_vae,
    denoising,
    fsq,
    hyperspherical,
    iwae,
    ladder,
    linear,
    rae,
    sparse,
    tc_vae,
    undercomplete,
    vamp,
    variational,
    vqvae,
    wae,
)
from isthmus.families.assembly import Look
from isthmus.families.common import as_coins, auto_latent
from isthmus.families.sparse import wide_latent
from isthmus.fields import Field, single
from isthmus.models import Autoencoder
from isthmus.objectives import Binarised, Objective

Recipe = tuple[Autoencoder, Objective]
BINARISE = "binarise"  # what every family with a distribution over codes takes beside its own options


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
    learned_scale : bool
        Whether the likelihood's scale is learned where nothing is said.
    conditional : bool
        Whether it must be given a condition, such as each row's class.
    auto_latent : callable
        Chooses the width of the code for a field.
    use : str
        What to take it for, in a few words.
    """

    name: str
    summary: str
    build: Callable[..., Recipe]
    generative: bool = False
    learned_scale: bool = False
    conditional: bool = False
    auto_latent: Callable[[Field], int] = auto_latent
    use: str = ""

    @property
    def options(self) -> list[str]:
        """Names of the options the recipe takes."""
        parameters = list(inspect.signature(self.build).parameters.values())[1:]
        own = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        found = own if len(own) == len(parameters) else [own[0], *Look.__annotations__, *own[1:]]
        return [*found, BINARISE] if self.learned_scale else found

    @property
    def defaults(self) -> dict[str, object]:
        """The recipe's own options that have a default other than None."""
        parameters = inspect.signature(self.build).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty and p.default is not None and p.name != "architecture"}

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
        binarise = options.pop(BINARISE, None)
        if binarise is None:
            return self.build(fields, **options)
        model, objective = self.build([as_coins(single(fields), str(binarise))], **options)
        return model, Binarised(objective)


def _variational(name: str, summary: str, build: Callable[..., Recipe], use: str, **more: Any) -> Family:
    """A family with a prior and a learned scale."""
    return Family(name, summary, build, generative=True, learned_scale=True, use=use, **more)


_ONE = "new rows, a code without holes, a score that charges for the code"
_TWO = {"auto_latent": hyperspherical.at_least_two}
_ALL = (
    Family(
        "linear",
        "no non-linearity: principal component analysis, in closed form or by gradient",
        linear.build,
        use="a first look, a baseline, an answer in milliseconds",
    ),
    Family(
        "undercomplete",
        "a code narrower than the input: compress and rebuild",
        undercomplete.build,
        use="a short code that keeps as much as possible",
    ),
    Family(
        "sparse",
        "few units active per input, also when the code is wider than the input",
        sparse.build,
        auto_latent=wide_latent,
        use="units that can be read, features for another model",
    ),
    Family(
        "denoising",
        "corrupted in, clean out",
        denoising.build,
        auto_latent=denoising.auto_code,
        use="to clean noisy rows; features that do not hang on single values; to fill gaps of mixed columns",
    ),
    _variational("variational", "a distribution per input and a prior: a continuous code, and new samples", variational.build, _ONE),
    _variational("vae", "the same as variational, by its short name", variational.build, _ONE),
    _variational(
        "beta_vae", "the code is charged more, or held to a capacity", beta_vae.build, "units that each follow one thing that varies"
    ),
    _variational(
        "tc_vae", "only the dependence between units is charged more", tc_vae.build, "the same as beta_vae, with sharper reconstructions"
    ),
    Family(
        "wae",
        "codes are points; all of them together are held to the prior",
        wae.build,
        generative=True,
        use="sharp reconstructions and new rows from one model",
    ),
    _variational(
        "iwae", "a tighter bound, from several draws of the code", iwae.build, "the best density for a given network; slower steps"
    ),
    _variational(
        "vqvae", "words out of learned codebooks, and a prior over words", vqvae.build, "codes of few bits, compression, words to count"
    ),
    _variational(
        "fsq", "units rounded to a few levels, and a prior over them", fsq.build, "the same as vqvae, with nothing that can collapse"
    ),
    _variational("hyperspherical", "codes on the unit sphere", hyperspherical.build, "directions, cosine similarity, clusters", **_TWO),
    _variational(
        "ladder", "two stochastic levels, one given the other", ladder.build, "a better density; a coarse code beside a fine one", **_TWO
    ),
    _variational(
        "conditional_vae",
        "encoder and decoder know each row's class, or columns beside it",
        conditional_vae.build,
        "new rows of a wanted class, p(x | class), a code free of the class",
        conditional=True,
    ),
    _variational(
        "vamp", "a prior of learned pseudo-rows' posteriors", vamp.build, "a better density and better samples than a normal prior's"
    ),
    Family(
        "rae",
        "codes are points, kept short, and the decoder is kept smooth",
        rae.build,
        use="sharp reconstructions; new rows by a density fitted to the codes",
    ),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}


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
