"""What the data decide where the user did not: each choice with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from isthmus.errors import ConfigError
from isthmus.families import Architecture, as_coins, auto_latent, auto_likelihood, get
from isthmus.families.common import LIKELIHOODS, auto_network
from isthmus.families.denoising import LEVELS, auto_corruption
from isthmus.families.sparse import wide_latent
from isthmus.fields import Field
from isthmus.tasks.config import Config

SUPPORTS = {"real": "values are real numbers", "unit": "values lie within 0 and 1", "binary": "values are 0 or 1"}
SCALINGS = ("auto", "standard", "robust", "unit", "none")
SCALES = ("one", "per_value", "predicted", "optimal")

FULL_BATCH = 4096
MOST_STEPS = 10_000
MOST_TIMED = 1_000_000_000
BATCHES = ((1000, 32), (20_000, 128), (1_000_000, 256), (math.inf, 1024))


@dataclass(frozen=True)
class Choice:
    """One setting as it is used.

    Attributes
    ----------
    name : str
    value : object
    why : str
        The reason, or ``"given"``.
    """

    name: str
    value: Any
    why: str


def choose(config: Config, field: Field, rows: int, scaling: str) -> tuple[Config, list[Choice]]:
    """Settle every setting.

    Parameters
    ----------
    config : Config
        What the user gave.
    field : Field
        What a preprocessed row is.
    rows : int
        Training rows.
    scaling : str
        The scaling the preprocessor chose or was given.

    Returns
    -------
    config : Config
        With every entry that applies to the family filled.
    choices : list of Choice
        In the order of the settings.

    Raises
    ------
    ConfigError
        If a given setting does not apply to the family.
    """
    family = config.family or "undercomplete"
    takes = set(get(family).options)
    _refuse_foreign(config, family, takes)
    found: dict[str, tuple[Any, str]] = {"family": (family, "the plainest one"), "scaling": (scaling, SUPPORTS[field.support])}
    found |= _model(config, family, field if config.binarise is None else as_coins(field, config.binarise), takes)
    solved = config.override(solver=_solver(config, field)) if family == "linear" else config
    found |= _training(solved, family, rows, found)
    groups = Config.help()
    found |= {name: (value, "default of the family") for name, value in get(family).defaults.items() if groups[name][0] == "Family"}
    if family == "denoising":
        corruption = auto_corruption(field)
        found["corruption"] = (corruption, "default of the family")
        found["level"] = (LEVELS.get(config.corruption or corruption), "default of the corruption")
    if "kl_warmup" in takes:
        found["kl_warmup"] = _rise(config, found["steps"][0])
    given = config.given()
    order = [name for name in Config.help() if name in found or name in given]
    why = {name: "given" if name in found or _applies(name, family, solved) else "not used by the closed form" for name in given}
    choices = [Choice(name, given[name], why[name]) if name in given else Choice(name, *found[name]) for name in order]
    return config.override(**{choice.name: choice.value for choice in choices}), choices


def _rise(config: Config, steps: int) -> tuple[int, str]:
    """Choose the steps over which the weight of the KL rises."""
    if config.steps is None and config.seconds is not None:
        return 0, "how many steps the time allows is not known"
    return (config.steps or steps) // 4, "a quarter of the steps"


def _applies(name: str, family: str, config: Config) -> bool:
    return family != "linear" or config.solver == "gradient" or Config.help()[name][0] != "Training"


def check(config: Config) -> None:
    """Refuse what is wrong whatever the data are.

    Raises
    ------
    ConfigError
        If a setting is out of its range; the message names it.
    """
    if config.family is not None:
        get(config.family)
    for name, value, allowed in (("scaling", config.scaling, SCALINGS), ("solver", config.solver, ("closed", "gradient"))):
        if value is not None and value not in allowed:
            raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    scale = config.likelihood_scale
    if scale is not None and not (scale in SCALES if isinstance(scale, str) else 0 < scale < math.inf):
        raise ConfigError(f"likelihood_scale must be a positive number or one of {', '.join(SCALES)}, not {scale!r}")
    if config.held_out is not None and not 0 <= config.held_out < 1:
        raise ConfigError(f"held_out must be at least 0 and below 1, not {config.held_out}")
    most = math.inf if config.corruption in (None, "gaussian") else 1.0
    if config.level is not None and not (0 <= config.level <= most and config.level < math.inf):
        raise ConfigError(f"level must be {'at least 0' if most > 1 else 'a share between 0 and 1'}, not {config.level}")


def _refuse_foreign(config: Config, family: str, takes: set[str]) -> None:
    """Refuse settings of the model that the family would silently ignore."""
    allowed = takes | {"family", "scaling"}
    if "architecture" in takes:
        allowed |= {"network", "hidden", "channels", "blocks", "activation", "tied"}
    if family == "linear":
        allowed |= {"solver"}
    groups = Config.help()
    for name in config.given():
        if (groups[name][0] != "Training" and name not in allowed) or (name == "solver" and "solver" not in allowed):
            told = ", ".join(sorted(allowed - {"family", "scaling", "architecture"}))
            raise ConfigError(f"{name} does not apply to the family {family!r}, which takes {told}; leave it out or choose another family")


def _model(config: Config, family: str, field: Field, takes: set[str]) -> dict[str, tuple[Any, str]]:
    wide = family == "sparse"
    told, limits = ("four times", "64 to 1,024") if wide else ("a quarter of", "1 to 32")
    filling = family == "denoising" and field.kind == "columns"
    found: dict[str, tuple[Any, str]] = {
        "latent": (
            get(family).auto_latent(field),
            "32 for each of four nets" if filling else f"{told} the {field.values:,} values of a row, {limits}",
        )
    }
    if config.levels is not None and len(config.levels) > 1:
        found["latent"] = (len(config.levels), "one unit for each of the levels")
    if "architecture" in takes:
        found |= _architecture(config, field, wide)
    if "likelihood" in takes:
        name, scale = auto_likelihood(field, get(family).learned_scale)
        found["likelihood"] = (name, SUPPORTS[field.support])
        found |= _scale(config, (config.likelihood or name) if field.kind == "columns" else name, scale, scale != 1.0)
    if field.kind == "columns" and "missingness" in takes:
        found["missingness"] = (False, "what is missing adds nothing to the loss")
    elif config.missingness:
        raise ConfigError(
            "missingness does not apply to these rows: only mixed columns, as of a table with text or gaps, can have any. Leave it out"
        )
    return found


def _scale(config: Config, auto: str, scale: float | str, learned: bool) -> dict[str, tuple[Any, str]]:
    """Choose the scale of the likelihood, where it has one."""
    name = config.likelihood or auto
    if name in ("gaussian", "laplace", "student_t"):
        why = "learned, so that data and code are weighed by the data" if learned else "squared error"
        return {"likelihood_scale": (scale, why) if name == auto else (1.0, "fixed")}
    if config.likelihood_scale is not None and name in LIKELIHOODS:
        raise ConfigError(f"likelihood_scale does not apply to the likelihood {name!r}; leave it out, or use likelihood='gaussian'")
    return {}


def _architecture(config: Config, field: Field, wide: bool) -> dict[str, tuple[Any, str]]:
    network, why = _network(config, field, wide)
    for name, needed in (("hidden", ("mlp", "filling", "subpixel")), ("channels", ("conv", "subpixel")), ("blocks", ("subpixel",))):
        if getattr(config, name) is not None and network not in needed:
            raise ConfigError(f"{name} does not apply to the network {network!r}; leave it out, or use network='{needed[0]}'")
    chosen = Architecture(network, config.hidden, config.channels).resolve(
        field, config.latent or (wide_latent(field) if wide else auto_latent(field))
    )
    found: dict[str, tuple[Any, str]] = {"network": (network, why), "tied": (False, "default")}
    if network == "filling":
        found["hidden"] = (chosen.hidden, "for each of four nets: the width of a row, 64 to 256")
    if network == "mlp":
        found["hidden"] = (chosen.hidden, "about twice the width of a row, at most 512, and not below the code")
    if network == "conv":
        found["channels"] = (chosen.channels, "halved until a side is at most 4")
    if network == "subpixel":
        found["channels"] = (chosen.channels, "halved until a side is at most 8")
        found |= {"hidden": (chosen.hidden, "256, and not below the code"), "blocks": (0, "default")}
    return found if network == "linear" else found | {"activation": ("silu", "default")}


def _network(config: Config, field: Field, wide: bool) -> tuple[str, str]:
    """Choose a network: what the given widths need, or what suits the data."""
    if config.network is not None:
        return config.network, "given"
    if field.kind == "columns" and config.family == "denoising" and config.channels is None:
        return "filling", "for gaps in mixed columns"
    if config.blocks is not None:
        return "subpixel", "residual blocks are given"
    if config.hidden is not None:
        return "mlp", "hidden widths are given"
    if config.channels is not None:
        return "conv", "channels are given"
    if wide:
        return "linear", "one layer each way keeps the units readable"
    network = auto_network(field)
    if field.kind != "picture":
        return network, "for tables"
    return network, "for pictures of 16 x 16 and more" if network == "conv" else "for small pictures"


def _solver(config: Config, field: Field) -> str:
    """Choose how a linear model is found: in closed form, unless its columns are mixed."""
    if field.kind == "columns" and config.solver == "closed":
        raise ConfigError("mixed columns have no closed form: leave solver out, or use solver='gradient'")
    return config.solver or ("gradient" if field.kind == "columns" else "closed")


def _training(config: Config, family: str, rows: int, found: dict[str, tuple[Any, str]]) -> dict[str, tuple[Any, str]]:
    held_out = (0.1, "decides which weights are kept") if rows >= 20 else (0.0, "too few rows")
    always: dict[str, tuple[Any, str]] = {"held_out": held_out, "seed": (0, "default"), "device": ("auto", "default")}
    always |= {"precision": ("fp32", "default"), "devices": (1, "default")}
    if family == "linear":
        closed = config.solver == "closed"
        always["solver"] = (config.solver, "exact, and quicker than steps" if closed else "mixed columns have no closed form")
        if closed:
            return always | {"held_out": (held_out[0], "to measure with" if held_out[0] else "too few rows")}
        batch = _shared(min(rows, FULL_BATCH), config)
        loop = _loop(config.override(batch=config.batch or batch), rows, 0.03)
        return always | loop | {"batch": (batch, "noise of small batches blurs components of nearly equal variance")}
    conv = (config.network or found.get("network", ("linear", ""))[0]) in ("conv", "subpixel")
    return always | _loop(config, rows, 1e-3 if conv else 5e-3 if family in ("undercomplete", "denoising") else 3e-3)


def _shared(batch: int, config: Config) -> int:
    """Return a batch near `batch` that the devices can share in equal parts."""
    devices = max(1, config.devices or 1)
    return max(1, batch // devices) * devices


def _loop(config: Config, rows: int, learning_rate: float) -> dict[str, tuple[Any, str]]:
    """Choose what the training loop needs."""
    batch = _shared(min(next(size for below, size in BATCHES if rows < below), rows), config)
    per_epoch = max(1, rows // min(max(1, config.batch or batch), rows))
    long = per_epoch > MOST_STEPS
    steps = config.steps or (per_epoch if long else max(2000, min(MOST_STEPS, 20 * per_epoch)))
    timed = config.steps is None and config.seconds is not None
    steps = MOST_TIMED if timed else steps
    often = per_epoch > steps // 10 > 50
    every = max(1, config.evaluate_every or (steps // 10 if often else max(50, per_epoch)))
    patience: dict[str, tuple[Any, str]] = {"patience": (max(5, math.ceil(steps / every / 4)), "a quarter of the evaluations")}
    return {
        "steps": (steps, "the time decides" if timed else "one epoch" if long else "20 epochs, 2,000 to 10,000"),
        "batch": (batch, f"{rows:,} training rows"),
        "learning_rate": (learning_rate, "default of family and network"),
        "optimiser": ("adam", "default"),
        "schedule": ("cosine", "default"),
        "warmup": (min(100, steps // 10), "a tenth of the steps, at most 100"),
        "average": (0.0, "default"),
        **({} if timed else patience),
        "evaluate_every": (every, "a tenth of the steps" if often else "an epoch, but 50 steps at least"),
    }
