"""Which step trains which model."""

from __future__ import annotations

from collections.abc import Callable

from isthmus.models import Autoencoder
from isthmus.objectives import Objective
from isthmus.training import dense
from isthmus.training.config import TrainingConfig
from isthmus.training.step import AutogradStep, Step
from isthmus.training.world import World

StepFactory = Callable[[Autoencoder, Objective, TrainingConfig, World], Step]


def make_step(model: Autoencoder, objective: Objective, config: TrainingConfig, world: World) -> Step:
    """Return the quickest step that fits: hand-written gradients for plain dense nets on a CPU, autograd for all else.

    Parameters
    ----------
    model : Autoencoder
    objective : Objective
    config : TrainingConfig
    world : World

    Returns
    -------
    Step
    """
    fitting = dense.fits(model, objective, config, world)
    return (dense.DenseStep if fitting else AutogradStep)(model, objective, config, world)
