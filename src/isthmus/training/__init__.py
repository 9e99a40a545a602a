"""Floor 5: the training loop, its step, checkpoints, several processes, and passes over data."""

from isthmus.training.batches import Rows
from isthmus.training.callbacks import Callback, TensorBoard
from isthmus.training.closed_form import fit_linear, fit_linear_moments
from isthmus.training.config import TrainingConfig
from isthmus.training.engines import make_step
from isthmus.training.history import History
from isthmus.training.inference import decode, encode, in_batches, nats, reconstruct
from isthmus.training.loop import Result, fit
from isthmus.training.many import fit_many
from isthmus.training.step import AutogradStep, Step
from isthmus.training.world import World, choose_device

__all__ = [
    "AutogradStep",
    "Callback",
    "History",
    "Result",
    "Rows",
    "Step",
    "TensorBoard",
    "TrainingConfig",
    "World",
    "choose_device",
    "decode",
    "encode",
    "fit",
    "fit_linear",
    "fit_linear_moments",
    "fit_many",
    "in_batches",
    "make_step",
    "nats",
    "reconstruct",
]
