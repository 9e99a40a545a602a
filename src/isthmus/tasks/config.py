"""Every setting of a fit in one flat table: the command line's flags, the config file's keys and the estimators' parameters."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

from isthmus.errors import ConfigError
from isthmus.extras import require
from isthmus.files import atomic_path


def _setting(group: str, text: str) -> Any:
    return field(default=None, metadata={"group": group, "help": text})


@dataclass(frozen=True)
class Config:
    """Settings of a fit; None means: chosen by the data, and told.

    The help of each entry is in `Config.help`.

    Examples
    --------
    >>> Config(family="sparse", activity=0.1).given()
    {'family': 'sparse', 'activity': 0.1}
    """

    family: str | None = _setting("Model", "kind of autoencoder, such as undercomplete, variational or vqvae; `isthmus list` names all")
    latent: int | None = _setting("Model", "width of the code")
    network: str | None = _setting("Model", "how encoder and decoder are built: mlp, conv, subpixel or linear")
    hidden: tuple[int, ...] | None = _setting(
        "Model", "widths of the dense layers of an mlp or subpixel encoder, such as 256,128; the decoder mirrors them"
    )
    channels: tuple[int, ...] | None = _setting("Model", "channels of a conv or subpixel encoder, such as 32,64; the decoder mirrors them")
    blocks: int | None = _setting("Model", "residual blocks of a subpixel encoder; the decoder has as many")
    activation: str | None = _setting("Model", "non-linearity between layers: relu, leaky_relu, elu, gelu, silu, tanh or sigmoid")
    tied: bool | None = _setting("Model", "whether the decoder uses the encoder's weights backwards")
    likelihood: str | None = _setting(
        "Model", "distribution of the data, such as gaussian, laplace, bernoulli or logistic_mixture; `isthmus list` names all"
    )
    likelihood_scale: float | str | None = _setting(
        "Model", "scale of gaussian, laplace and student_t: a number, or one, per_value or predicted; of gaussian also optimal"
    )
    missingness: bool | None = _setting("Model", "whether what is missing in mixed columns is to be explained too")
    scaling: str | None = _setting("Model", "how values are scaled: standard, robust, unit or none")
    corruption: str | None = _setting(
        "Family", "denoising: what is done to the input: gaussian, masking, salt_and_pepper or, for mixed columns, hide"
    )
    level: float | None = _setting("Family", "denoising: standard deviation of the noise (gaussian) or share of the values")
    sparsity: str | None = _setting("Family", "sparse: what keeps units silent: topk, l1 or kl")
    activity: float | None = _setting("Family", "sparse: share of units that may be active (topk) or mean activity (kl)")
    weight: float | None = _setting(
        "Family", "weight of a term: sparse, the l1 or kl term; wae, the distance from the prior; rae, the length of the code"
    )
    beta: float | None = _setting(
        "Family", "variational and its kin: weight of the KL term; tc_vae: of the total correlation; with capacity: of the distance from it"
    )
    kl_warmup: int | None = _setting("Family", "variational and its kin: steps over which the weight of the KL, or the capacity, rises")
    cycles: int | None = _setting("Family", "variational: how often that rise is done again from 0")
    free_bits: float | None = _setting("Family", "variational and its kin: nats a code unit may use before it is charged")
    capacity: float | None = _setting("Family", "beta_vae: nats the code is held to, instead of being charged for each")
    posterior: str | None = _setting(
        "Family", "distribution over codes given a row: gaussian, full, laplace, planar, iaf, spline, sphere, cube, beta or categories"
    )
    prior: str | None = _setting("Family", "distribution over all codes: normal, mixture, vamp, flow or spline")
    components: int | None = _setting("Family", "prior mixture: Gaussians; prior vamp: pseudo-rows")
    binarise: str | None = _setting(
        "Family", "variational and its kin: dynamic takes values in [0, 1] as probabilities, of which each step draws zeros and ones anew"
    )
    adversarial: float | None = _setting("Family", "variational: weight of a critic that tells rows from rebuilt ones, 0 for none")
    draws: int | None = _setting("Family", "iwae: codes drawn for each row and step")
    one_draw: float | None = _setting("Family", "iwae: share of the training made with the ELBO of a single draw, before `draws` are taken")
    alpha: float | None = _setting("Family", "iwae: order of Renyi's bound; 0 is the importance weighted one, 1 the ELBO")
    codebook: int | None = _setting("Family", "vqvae: words of each codebook")
    code_width: int | None = _setting("Family", "vqvae: code units of a word")
    commitment: float | None = _setting("Family", "vqvae: weight of the term that keeps the encoder near the words")
    levels: tuple[int, ...] | None = _setting("Family", "fsq: levels of a code unit, one number or one for each unit, such as 8,6,5")
    top: int | None = _setting("Family", "ladder: code units of the upper level")
    smoothness: float | None = _setting("Family", "rae: weight of the decoder's penalty")
    penalty: str | None = _setting("Family", "rae: what the decoder is charged for: l2 (its weights) or gradient (its slope)")
    solver: str | None = _setting("Training", "linear: how the weights are found: closed or gradient")
    steps: int | None = _setting("Training", "optimiser steps at most")
    seconds: float | None = _setting("Training", "time to train for at most; the learning rate falls by the share of it that is used up")
    batch: int | None = _setting("Training", "rows a step")
    learning_rate: float | None = _setting("Training", "peak learning rate")
    optimiser: str | None = _setting("Training", "rule of the steps: adam or adamw")
    weight_decay: float | None = _setting("Training", "strength of the pull of the weights towards zero")
    schedule: str | None = _setting("Training", "how the learning rate falls: cosine, linear or constant")
    warmup: int | None = _setting("Training", "steps over which the learning rate rises")
    clip: float | None = _setting("Training", "largest norm of the gradient")
    average: float | None = _setting(
        "Training", "decay of a moving average of the weights, such as 0.999, which is what is kept; 0 for the weights themselves"
    )
    patience: int | None = _setting("Training", "evaluations without a better held-out loss before stopping")
    evaluate_every: int | None = _setting("Training", "steps between evaluations")
    held_out: float | None = _setting("Training", "share of the rows that is held out, 0 for none")
    seed: int | None = _setting("Training", "decides everything random")
    device: str | None = _setting("Training", "where to compute: auto, cpu, cuda or cuda:1")
    precision: str | None = _setting("Training", "arithmetic of the networks: fp32, tf32 (GPUs) or bf16")
    devices: int | None = _setting("Training", "processes that share each batch")

    @classmethod
    def help(cls) -> dict[str, tuple[str, str]]:
        """Return group and help text of every entry."""
        return {entry.name: (entry.metadata["group"], entry.metadata["help"]) for entry in fields(cls)}

    @classmethod
    def kinds(cls) -> dict[str, tuple[type, ...]]:
        """Return the types every entry takes, without None."""
        return {name: _types(hint) for name, hint in get_type_hints(cls).items()}

    def given(self) -> dict[str, Any]:
        """Return the entries that are not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the entries that are not None as plain JSON types."""
        return {name: plain(value) for name, value in self.given().items()}

    def override(self, **entries: Any) -> Config:
        """Return a copy with the entries that are not None replaced."""
        return replace(self, **{name: value for name, value in entries.items() if value is not None})

    @classmethod
    def from_mapping(cls, entries: Mapping[str, Any], where: str = "settings") -> Config:
        """Build a config from parsed text, checking names and types.

        Raises
        ------
        ConfigError
            If an entry is unknown or of the wrong type; the message names it.
        """
        kinds = cls.kinds()
        for name in sorted(set(entries) - set(kinds), key=str):
            near = difflib.get_close_matches(str(name), kinds, 1)
            mend = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(kinds)}"
            raise ConfigError(f"{where}: unknown setting {name!r}; {mend}")
        return cls(**{name: _fit_type(name, value, kinds[name], where) for name, value in entries.items() if value is not None})

    @classmethod
    def parse(cls, path: str | Path) -> dict[str, Any]:
        """Return the entries of a TOML or YAML file, unchecked.

        Raises
        ------
        ConfigError
            If the file is missing, has another ending, or is not readable as its ending says.
        """
        path = Path(path).expanduser()
        yaml = _is_yaml(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
            entries = (_parse_yaml(text) or {}) if yaml else tomllib.loads(text)
        except OSError as error:
            raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{path} is not valid {'YAML' if yaml else 'TOML'}: {error}") from error
        if not isinstance(entries, dict):
            raise ConfigError(f"{path} must hold lines such as `latent{': ' if yaml else ' = '}16`, one setting each")
        return entries  # pyright: ignore[reportUnknownVariableType]

    @classmethod
    def read(cls, path: str | Path) -> Config:
        """Read a TOML or YAML file.

        Raises
        ------
        ConfigError
            If the file is missing, not readable as its ending says, or holds an unknown or wrong entry.
        """
        return cls.from_mapping(cls.parse(path), str(path))

    def write(self, path: str | Path, reading: Mapping[str, Any] | None = None) -> None:
        """Write the given entries, and options for reading the data, as TOML or, by the ending, YAML.

        Raises
        ------
        ConfigError
            If the ending is neither of TOML nor of YAML.
        DataError
            If the file cannot be written.
        """
        path = Path(path).expanduser()
        colon = ": " if _is_yaml(path) else " = "
        entries = {**(reading or {}), **self.given()}
        notes = {name: text for name, (_, text) in self.help().items()}
        told = {name: json.dumps(plain(value), ensure_ascii=False) for name, value in entries.items()}
        lines = [f"# {notes.get(name, 'how the data are read')}\n{name}{colon}{value}" for name, value in told.items()]
        with atomic_path(path) as beside:
            beside.write_text("\n".join(lines) + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Return tuples as lists, and anything else as it is."""
    return list(cast("Sequence[object]", value)) if isinstance(value, tuple) else value


def _is_yaml(path: Path) -> bool:
    if path.suffix.lower() not in (".toml", ".yaml", ".yml"):
        raise ConfigError(f"a config file ends in .toml, .yaml or .yml, which {path} does not")
    return path.suffix.lower() != ".toml"


def _types(hint: Any) -> tuple[type, ...]:
    return tuple(tuple if "tuple" in str(kind) else kind for kind in get_args(hint) if kind is not type(None))


def _fit_type(name: str, value: Any, kinds: tuple[type, ...], where: str) -> Any:
    if tuple in kinds and isinstance(value, (list, tuple)):
        numbers = tuple(cast("Sequence[object]", value))
        if all(type(number) is int for number in numbers):
            return numbers
    given = cast("object", value)
    if float in kinds and type(given) is int:
        return float(given)
    if type(given) in kinds:
        return given
    raise ConfigError(f"{where}: {name} must be {' or '.join(_TOLD[kind] for kind in kinds)}, not {given!r}")


_TOLD: dict[type, str] = {
    tuple: "a list of whole numbers",
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
}


def _parse_yaml(text: str) -> Any:
    yaml = require("yaml", "yaml", "a YAML config file")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
