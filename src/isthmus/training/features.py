"""Features for a perceptual loss, learned on the spot from the pictures at hand."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.corruptions import Blur, Corruption, GaussianRange
from isthmus.distributions import GeneratorNoise
from isthmus.nn import materialise
from isthmus.objectives.perceptual import Features
from isthmus.training.adam import make_adam
from isthmus.training.config import TrainingConfig
from isthmus.training.crops import Draw

DAMAGES: tuple[Corruption, ...] = (Blur(0.6, 1.5), GaussianRange(0.02, 0.15))
STEPS, RATE = 300, 2e-3


def fit_features(draw: Draw, channels: int, *, steps: int = STEPS, seed: int = 0, device: torch.device | None = None) -> Features:
    """Teach a small network to tell pictures as they are from the same blurred and with noise, each upright or turned by a quarter.

    What it must see for that, how sharp edges are, how textures run and what is noise, is what its activations are sensitive to.
    Nothing is downloaded, and no labels are needed.

    Parameters
    ----------
    draw : callable
        Returns the next batch from a generator; its targets, clean pictures, are learned from.
    channels : int
        Of the pictures.
    steps : int
    seed : int
    device : torch.device, optional

    Returns
    -------
    Features
        Whose weights learn no more.

    References
    ----------
    Turning as a task without labels: Gidaris, Singh and Komodakis, "Unsupervised representation learning by predicting image
    rotations", ICLR 2018.

    Examples
    --------
    >>> from isthmus.training.crops import Lesson
    >>> features = fit_features(lambda g: Lesson(*2 * [torch.rand(4, 16, 16, 1, generator=g)]), 1, steps=2)
    >>> features.classes
    6
    """
    with torch.device("meta"):
        features = Features(channels, classes=2 * (len(DAMAGES) + 1))
    features = materialise(features, seed).to(device or torch.device("cpu"))
    parameters = list(features.parameters())
    config = TrainingConfig(steps=steps, learning_rate=RATE, warmup=min(20, steps), seed=seed)
    optimiser, generator = make_adam(parameters, config), torch.Generator().manual_seed(seed)
    for step in range(steps):
        x, task = _task(draw(generator).target, generator)
        for parameter in parameters:
            parameter.grad = None
        functional.cross_entropy(features(x.to(parameters[0].device)), task.to(parameters[0].device)).backward()  # pyright: ignore[reportUnknownMemberType]
        optimiser.step(config.rate(step))
    features.measure(draw(generator).target.to(parameters[0].device))
    return features.requires_grad_(False)


def _task(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return each picture in all ways of being damaged, upright and turned by a quarter, and which way it was."""
    noise = GeneratorNoise(generator)
    ways = torch.cat([x, *(damage(x, noise) for damage in DAMAGES)])
    side = min(x.shape[1:3])
    square = ways[:, :side, :side]
    both = torch.cat([square, torch.rot90(square, 1, (1, 2))])
    return both, torch.arange(2 * (len(DAMAGES) + 1)).repeat_interleave(len(x))
