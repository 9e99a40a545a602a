"""The same variational autoencoder by this library and by pythae: MNIST's log likelihood against processor time, and rows a second.

    OMP_NUM_THREADS=1 ISTHMUS_DATA=folder python benchmarks/peer_vae.py                          # 20, 40 and 60 seconds of training
    OMP_NUM_THREADS=1 ISTHMUS_DATA=folder python benchmarks/peer_vae.py --seconds 30 --points 1 --precisions bf16 --rates 1e-3

The same on both sides: 784-512-512, 40 Gaussian code units, 512-512-784, SiLU between layers, Bernoulli likelihood, standard normal prior,
batches of 128, Adam, one draw of the code, all 60,000 training pictures with new coins each time one is shown, one thread, processor time
of this process from the first step on. The log likelihood is that of one estimator, written here, for both: importance sampling from the
encoder's posterior in float32, on test pictures spread over the set, with the same coins and the same noise.

What differs:

- This library runs with the settings it chooses for a run of so many seconds (rate 3e-3, rising over 100 steps, then falling along a cosine
  by the share of the time that is used up) and with a moving average of the weights (0.999), which it does not choose by itself. As the
  rate knows the end, each time point is a run of its own. It computes in fp32 unless `precision` is given; bf16 is measured as well.
- pythae has neither a budget of time nor an average, and its schedules step once an epoch, of which there are few here: its rate is
  constant, so that the time points of one run are what runs of their own would give. It is told the rate; its own is 1e-4. It offers half
  precision on GPUs only.
- pythae collects a batch row by row, as its loader does for every data set. The coins of a batch are drawn at once here, which is quicker
  than in its usual `__getitem__`. Its progress bar is off. It copies the model after each epoch that improves the loss.
- The first weights are those of each library's own seed. pythae gives the log of the variance, this library that of the standard
  deviation, from a layer of the same size. pythae's decoder ends in a sigmoid; the estimator reads what goes into it. This library adds to
  the decoder's numbers a learned log-odds of each pixel (784 parameters that the last bias could do as well), which begins at that of the
  training pictures.
- Rows a second are those of the whole run: for pythae all up to the time point, for this library those of the run that ends there.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.fields import Field
from isthmus.models import Autoencoder
from isthmus.tasks.choices import choose
from isthmus.tasks.config import Config
from isthmus.tasks.evaluate import treated
from isthmus.tasks.fit import build, training_config
from isthmus.training import fit

FIELD = Field("digit", "picture", (28, 28, 1), "unit")
LATENT, HIDDEN, BATCH = 40, (512, 512), 128
PIXELS = 784
AT_ONCE = 10  # pictures whose draws are decoded together

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
Decode = Callable[[Tensor], Tensor]


@dataclass
class Point:
    """One model after so many seconds of training."""

    name: str
    seconds: float
    rows: int
    nll: float = float("nan")
    error: float = float("nan")

    @property
    def speed(self) -> float:
        return self.rows / self.seconds


class Reached(Exception):
    """The budget of time is used up: pythae can only be stopped from outside."""


@torch.inference_mode()
def log_likelihood(encode: Encode, decode: Decode, rows: Tensor, draws: int, seed: int = 0) -> Tensor:
    """Log of the mean weight of `draws` codes a row, in nats; `encode` gives mean and log standard deviation, `decode` logits of pixels."""
    generator, found = torch.Generator().manual_seed(seed), []
    for x in rows.flatten(1).split(AT_ONCE):
        mean, log_scale = (part.unsqueeze(1) for part in encode(x))
        noise = torch.randn(len(x), draws, LATENT, generator=generator)
        z = mean + log_scale.exp() * noise
        logits = decode(z.flatten(0, 1)).view(len(x), draws, PIXELS)
        pixels = -functional.binary_cross_entropy_with_logits(logits, x.unsqueeze(1).expand_as(logits), reduction="none").sum(2)
        weights = pixels + (0.5 * noise.square() - 0.5 * z.square() + log_scale).sum(2)  # the constants of prior and posterior cancel
        found.append(weights.double().logsumexp(1) - float(np.log(draws)))
    return torch.cat(found)


class Measure:
    """The test pictures, and what a model gives them."""

    def __init__(self, test: Tensor, rows: int, draws: int) -> None:
        self.coins = treated(test, "sample", 0)[torch.arange(rows) * len(test) // rows]
        self.draws = draws

    def __call__(self, point: Point, encode: Encode, decode: Decode) -> Point:
        values = log_likelihood(encode, decode, self.coins, self.draws)
        point.nll, point.error = -float(values.mean()), float(values.std()) / len(values) ** 0.5
        print(f"# {point.name}, {point.seconds:.1f} s: {point.rows:,} rows, NLL {point.nll:.2f}", flush=True)
        return point


def pictures() -> tuple[Tensor, Tensor]:
    """Grey pictures to train with and to measure on."""
    named = os.environ.get("ISTHMUS_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    with np.load(folder / "images" / "mnist.npz") as data:
        train, test = (torch.from_numpy(data[name]).float().div(255).unsqueeze(-1) for name in ("x_train", "x_test"))
    return train, test


def settled(seconds: float, precision: str, rows: int) -> Config:
    """What a user gives, and what the library chooses for the rest."""
    given: dict[str, Any] = {"family": "vae", "latent": LATENT, "network": "mlp", "hidden": HIDDEN, "batch": BATCH, "binarise": "dynamic"}
    config = Config.from_mapping({**given, "average": 0.999, "seconds": seconds, "precision": precision})
    return choose(config, FIELD, rows, "none")[0]


def ours(train: Tensor, seconds: float, precision: str, measure: Measure) -> Point:
    config = settled(seconds, precision, len(train))
    model, objective = build(FIELD, config)
    model.likelihood.begin(train)
    result = fit(model, objective, train, config=training_config(config), clock=time.process_time)
    return measure(Point(f"isthmus {precision}", result.seconds, result.steps * BATCH), *functions(model))


def functions(model: Autoencoder) -> tuple[Encode, Decode]:
    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        q: Any = model.encode(x.view(-1, *model.shape))
        return q.location, q.log_scale

    def decode(z: Tensor) -> Tensor:
        p: Any = model.decode(z)
        return p.logits.flatten(1)

    return encode, decode


def layers(*widths: int) -> nn.Sequential:
    parts = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.SiLU())]
    return nn.Sequential(*parts[:-1])


def peer_networks() -> tuple[Any, Any]:
    """The encoder and decoder that pythae asks for, of the same layers as ours."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers(PIXELS, *HIDDEN, 2 * LATENT)

        def forward(self, x: Tensor) -> ModelOutput:
            mean, logvar = self.layers(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = layers(LATENT, *HIDDEN[::-1], PIXELS)

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z).sigmoid())

    return Encoder(), Decoder()


def peer_model() -> Any:
    from pythae.models import VAE, VAEConfig

    torch.manual_seed(0)
    encoder, decoder = peer_networks()
    config = VAEConfig(input_dim=(PIXELS,), latent_dim=LATENT, reconstruction_loss="bce")
    return VAE(config, encoder=encoder, decoder=decoder)


def peer_rows(grey: Tensor) -> Any:
    """pythae's data set, with new coins each time a picture is taken."""
    from pythae.data.datasets import BaseDataset, DatasetOutput

    class Coins(BaseDataset):
        def __getitem__(self, index: int) -> DatasetOutput:
            return self.__getitems__([index])[0]

        def __getitems__(self, indices: list[int]) -> list[DatasetOutput]:
            coins = torch.bernoulli(self.data[indices])
            return [DatasetOutput(data=x, labels=y) for x, y in zip(coins, self.labels[indices], strict=True)]

    return Coins(grey.flatten(1), torch.zeros(len(grey)))


def peer_watch(model: Any, times: list[float]) -> Any:
    """A callback that keeps the weights at each time, and ends the run at the last; its clock starts with the first epoch."""
    from pythae.trainers.training_callbacks import TrainingCallback

    class Watch(TrainingCallback):
        def __init__(self) -> None:
            self.left, self.steps, self.start = list(times), 0, 0.0
            self.kept: list[tuple[float, int, dict[str, Tensor]]] = []

        def on_train_begin(self, training_config: Any, **_kwargs: Any) -> None:  # noqa: ARG002
            self.start = time.process_time()

        def on_train_step_end(self, training_config: Any, **_kwargs: Any) -> None:  # noqa: ARG002
            self.steps += 1
            spent = time.process_time() - self.start
            if spent >= self.left[0]:
                self.kept.append((spent, self.steps, {name: value.clone() for name, value in model.state_dict().items()}))
                self.left.pop(0)
            if not self.left:
                raise Reached

    return Watch()


def peer(train: Tensor, times: list[float], rate: float, measure: Measure) -> list[Point]:
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import CallbackHandler

    class Quiet(BaseTrainer):
        def _setup_callbacks(self) -> None:
            self.callback_handler = CallbackHandler(self.callbacks, self.model)

    model = peer_model()
    watch = peer_watch(model, times)
    settings: dict[str, Any] = {"learning_rate": rate, "per_device_train_batch_size": BATCH, "optimizer_cls": "Adam", "no_cuda": True}
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(output_dir=folder, num_epochs=10**6, **settings)
        try:
            Quiet(model=model, train_dataset=peer_rows(train), training_config=config, callbacks=[watch]).train()
        except Reached:
            model.eval()
    return [peer_point(model, f"pythae {rate:g}", kept, measure) for kept in watch.kept]


def peer_point(model: Any, name: str, kept: tuple[float, int, dict[str, Tensor]], measure: Measure) -> Point:
    seconds, steps, weights = kept
    model.load_state_dict(weights)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        found = model.encoder(x)
        return found.embedding, 0.5 * found.log_covariance

    return measure(Point(name, seconds, steps * BATCH), encode, model.decoder.layers)


def parameters_agree(rows: int) -> int:
    """Parameters of the networks of either side, which must be as many."""
    model, _ = build(FIELD, settled(1.0, "fp32", rows))
    counts = {sum(p.numel() for part in (side.encoder, side.decoder) for p in part.parameters()) for side in (model, peer_model())}
    if len(counts) > 1:
        raise SystemExit(f"the two networks have different numbers of parameters: {counts}")
    return counts.pop()


def table(points: list[Point], times: list[float]) -> None:
    """Print all by time, and beside each of ours how it stands against the best of pythae's at that time."""
    print(f"\n{'CPU s':>6}  {'':<16}{'NLL':>8}{'+-':>6}{'rows/s':>9}{'epochs':>8}{'NLL - best pythae':>19}{'x fastest pythae':>18}")
    for at in times:
        here = [point for point in points if abs(point.seconds - at) < 0.05 * at]
        peers = [point for point in here if point.name.startswith("pythae")]
        for point in sorted(here, key=lambda point: (point in peers, point.name)):
            cells = f"{at:>6g}  {point.name:<16}{point.nll:>8.2f}{point.error:>6.2f}{point.speed:>9,.0f}{point.rows / 60_000:>8.1f}"
            if point not in peers and peers:
                gap = point.nll - min(other.nll for other in peers)
                cells += f"{gap:>+19.2f}{point.speed / max(other.speed for other in peers):>18.2f}"
            print(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="processor seconds of training")
    parser.add_argument("--points", type=int, default=3, help="time points, evenly spread up to the end")
    parser.add_argument("--rates", default="1e-3,3e-3", help="pythae's learning rates, separated by commas")
    parser.add_argument("--precisions", default="fp32,bf16", help="this library's precisions, separated by commas")
    parser.add_argument("--rows", type=int, default=500, help="test pictures, spread over the set")
    parser.add_argument("--draws", type=int, default=200, help="codes a picture in importance sampling")
    parser.add_argument("--results", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    train, test = pictures()
    measure = Measure(test, args.rows, args.draws)
    times = [args.seconds * (i + 1) / args.points for i in range(args.points)]
    print(f"# {parameters_agree(len(train)):,} parameters each; k = {args.draws}, {args.rows} test pictures", flush=True)
    points: list[Point] = []
    for at, rate in zip_longest(
        times, [float(rate) for rate in args.rates.split(",")]
    ):  # in turns, so that a drift of the machine meets both
        points += [ours(train, at, precision, measure) for precision in args.precisions.split(",") if at is not None]
        points += peer(train, times, rate, measure) if rate is not None else []
    table(points, times)
    if args.results:
        args.results.write_text(json.dumps([asdict(point) | {"rows a second": point.speed} for point in points], indent=1))


if __name__ == "__main__":
    main()
