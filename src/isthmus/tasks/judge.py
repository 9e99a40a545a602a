"""A small classifier trained on the spot: its features tell how alike two sets of pictures are, without a downloaded network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus.errors import DataError
from isthmus.nn import initialise
from isthmus.training import in_batches

Array = NDArray[Any]
FEATURES = 64
ROWS = 30_000
EPOCHS, BATCH, RATE = 6, 128, 3e-3
LEAST_STEPS = 400


class Classifier(nn.Module):
    """Two convolutions of stride 2 (none for rows that are no pictures), a layer of 64 features, and the classes.

    Parameters
    ----------
    shape : tuple of int
        Of a picture (H, W, C), or of a row (d,).
    classes : int
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.pictures = len(shape) == 3
        if self.pictures:
            height, width, channels = shape
            self.body = nn.Sequential(
                nn.Conv2d(channels, 16, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, 32, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.Flatten(),
            )
            inside = 32 * (((height + 1) // 2 + 1) // 2) * (((width + 1) // 2 + 1) // 2)
        else:
            inside = FEATURES
            self.body = nn.Sequential(nn.Linear(shape[0], inside), nn.ReLU())
        self.middle = nn.Linear(inside, FEATURES)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the 64 features of rows, shape (n, 64)."""
        return torch.relu(self.middle(self.body(x.movedim(-1, 1) if self.pictures else x)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the classes, shape (n, classes)."""
        return self.head(self.features(x))


def train_classifier(x: Tensor, y: Tensor, classes: int, epochs: int = EPOCHS, seed: int = 0) -> Classifier:
    """Train a classifier on rows `x` of shape (n, ...) with classes `y` of shape (n,); the same seed gives the same weights."""
    generator = torch.Generator().manual_seed(seed)
    net = Classifier(tuple(x.shape[1:]), classes)
    initialise(net, generator)
    adam: Any = torch.optim.Adam(net.parameters(), lr=RATE)
    steps = max(LEAST_STEPS, epochs * (len(x) // BATCH))
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - step / (steps + 1))
    done = 0
    while done < steps:
        for rows in torch.split(torch.randperm(len(x), generator=generator), BATCH):
            adam.zero_grad()
            loss: Any = nn.functional.cross_entropy(net(x[rows]), y[rows])
            loss.backward()
            adam.step()
            schedule.step()
            done += 1
            if done >= steps:
                break
    return net.eval()


@dataclass(frozen=True, eq=False)
class Judge:
    """A trained classifier, and how good it is.

    Attributes
    ----------
    net : Classifier
    classes : array of shape (k,)
        The labels, in the order of its outputs.
    accuracy : float
        On a tenth of the pictures that it was not trained on.
    scale : float
        What features are divided by, so that those of that tenth have a mean variance of 1: distances would hang on the weights' size.
    """

    net: Classifier
    classes: Array
    accuracy: float
    scale: float = 1.0

    @classmethod
    def train(cls, pictures: Array, labels: Array, seed: int = 0) -> Judge:
        """Train on labelled pictures of shape (n, H, W, C) in [0, 1] (or rows of shape (n, d)), at most 30,000 of them.

        Raises
        ------
        DataError
            If there is not one label for each, or there are fewer than two classes.
        """
        if len(labels) != len(pictures):
            raise DataError(f"{len(labels):,} labels for {len(pictures):,} pictures: give one for each, in the same order")
        classes, y = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise DataError("the judge is a classifier: give labels of at least two classes")
        order = np.random.default_rng(seed).permutation(len(pictures))[:ROWS]
        x, y = torch.from_numpy(np.ascontiguousarray(pictures[order], np.float32)), torch.from_numpy(y[order].astype(np.int64))  # pyright: ignore[reportUnknownMemberType]
        cut = max(1, len(x) // 10)
        net = train_classifier(x[cut:], y[cut:], len(classes), seed=seed)
        right = in_batches(lambda some: net(some).argmax(1), x[:cut]) == y[:cut]
        spread = in_batches(net.features, x[:cut]).double().var(0, correction=0).mean().sqrt()
        return cls(net, classes, float(right.double().mean()), max(float(spread), 1e-12))

    def features(self, pictures: Array) -> Array:
        """Return the features of pictures in [0, 1], shape (n, 64), float64."""
        x = torch.from_numpy(np.ascontiguousarray(pictures, np.float32))  # pyright: ignore[reportUnknownMemberType]
        return in_batches(self.net.features, x).double().numpy() / self.scale
