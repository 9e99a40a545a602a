"""Training that goes on, call by call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from isthmus.artifact import Artifact
from isthmus.models import Autoencoder
from isthmus.objectives import Context, Objective
from isthmus.tasks.config import Config
from isthmus.tasks.fit import training_config
from isthmus.training import AutogradStep, Callback, Result, TrainingConfig, World
from isthmus.training import fit as train

State = dict[str, Tensor]


class _Continued:
    """A step that starts from an optimiser's state and counts on from the steps made before."""

    def __init__(self, inner: AutogradStep, state: State, done: int) -> None:
        self.inner = inner
        self.done = done
        if state:
            inner.load_state(state)

    def __call__(self, x: Tensor, target: Tensor, context: Context) -> dict[str, Tensor]:
        context.step += self.done
        return self.inner(x, target, context)

    def state(self) -> State:
        return self.inner.state()

    def load_state(self, state: State) -> None:
        self.inner.load_state(state)


def one_pass(artifact: Artifact, rows: Tensor, state: State, batch: int | None, callbacks: Sequence[Callback]) -> State:
    """Train on `rows` once at a constant learning rate, and add a line to the artifact's history.

    Parameters
    ----------
    artifact : Artifact
        Changed in place.
    rows : Tensor of shape (n, \\*shape)
        Preprocessed. They are cut into equal batches; what is left over, fewer rows than there are batches, is not used.
    state : dict of str to Tensor
        The optimiser's state after the call before, or empty.
    batch : int, optional
        Rows a step, at most.
    callbacks : sequence of Callback

    Returns
    -------
    dict of str to Tensor
        The optimiser's state now.
    """
    done = int(artifact.history[-1]["step"]) if len(artifact.history) else 0
    config = _pass_config(artifact, len(rows), batch, done)
    made: list[_Continued] = []

    def engine(model: Autoencoder, objective: Objective, settings: TrainingConfig, world: World) -> _Continued:
        made.append(_Continued(AutogradStep(model, objective, settings, world), state, done))
        return made[0]

    result = train(artifact.model, artifact.objective, rows, config=config, callbacks=callbacks, engine=engine)
    for part in (artifact.model, artifact.objective):
        part.cpu().eval()
    _add_history(artifact, result, config.rate(done + result.steps - 1))
    return {name: tensor.detach().cpu() for name, tensor in made[0].state().items()}


def _pass_config(artifact: Artifact, rows: int, batch: int | None, done: int) -> TrainingConfig:
    config = training_config(Config.from_mapping(artifact.config))
    # The width of a first call of few rows is no measure for those that come.
    count = -(-rows // (batch or max(32, config.batch)))
    seed = int(np.random.SeedSequence((config.seed, done)).generate_state(1)[0])
    size = max(1, rows // count // config.devices) * config.devices
    whole = {"schedule": "constant", "patience": None, "seconds": None, "average": 0.0}
    return replace(config, steps=count, batch=size, evaluate_every=count, seed=seed, **whole)


def _add_history(artifact: Artifact, result: Result, rate: float) -> None:
    before = artifact.history[-1] if len(artifact.history) else {}
    for row in result.history:
        sums = {name: row[name] + before.get(name, 0.0) for name in ("step", "epoch", "seconds")}
        artifact.history.add(row | sums | {"learning_rate": rate})
    steps = int(artifact.history[-1]["step"])
    artifact.facts["training"] = {"stopped": "partial_fit", "steps": steps, "kept step": steps}
