"""Other libraries, each brought as near to the task as its interface allows; what still differs stands in its note."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from _loops import count, decoder_layers, encode_slices, encoder_layers
from _tasks import LEARNING_RATE, Array, Role, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

INSTALL = "see the head of benchmarks/requirements.txt"


def missing(package: str) -> str | None:
    return f"{package} is not installed; {INSTALL}" if find_spec(package) is None else None


@dataclass
class FittedTorch:
    """A peer's torch model, reached through its encoder and decoder as plain functions."""

    model: nn.Module
    mean: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]

    def parameters(self) -> int:
        return count(self.model)

    def reconstruct(self, x: Array) -> Array:
        import torch

        with torch.inference_mode():
            return self.decode(self.mean(torch.from_numpy(x))).numpy()

    def encoder(self, x: Array, batch: int) -> Callable[[], Tensor]:
        return encode_slices(self.mean, x, batch)


def _pythae_networks(task: Task) -> tuple[Any, Any]:
    """The custom encoder and decoder that pythae asks for, of exactly the task's layers."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    variational = task.kind == "vae"

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = encoder_layers(task)

        def forward(self, x: Tensor) -> ModelOutput:
            if not variational:
                return ModelOutput(embedding=self.layers(x))
            mean, logvar = self.layers(x).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = decoder_layers(task)

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.layers(z))

    return Encoder(), Decoder()


class Pythae:
    name = "pythae"
    role: Role = "peer"
    note = "BaseTrainer, own encoder and decoder; progress bar off. It copies the model after each epoch that improves the loss"

    def missing(self) -> str | None:
        return missing("pythae")

    def supports(self, _task: Task, /) -> bool:
        return True

    def fit(self, task: Task, epochs: int) -> FittedTorch:
        model = self._model(task)
        with tempfile.TemporaryDirectory() as folder:
            self._trainer(model, task, epochs, folder).train()
        model.eval()
        return FittedTorch(model, lambda x: model.encoder(x).embedding, lambda z: model.decoder(z).reconstruction)

    def _model(self, task: Task) -> Any:
        import torch
        from pythae.models import AE, VAE, AEConfig, VAEConfig

        torch.manual_seed(0)
        parts: tuple[Any, Any] = (VAE, VAEConfig) if task.kind == "vae" else (AE, AEConfig)
        model, config = parts
        encoder, decoder = _pythae_networks(task)
        return model(config(input_dim=task.shape, latent_dim=task.code), encoder=encoder, decoder=decoder)

    def _trainer(self, model: Any, task: Task, epochs: int, folder: str) -> Any:
        import torch
        from pythae.data.datasets import BaseDataset
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            learning_rate=LEARNING_RATE,
            per_device_train_batch_size=task.batch,
            optimizer_cls="Adam",
            no_cuda=True,
        )
        data = BaseDataset(torch.from_numpy(task.data), torch.zeros(task.rows))
        return BaseTrainer(model=model, train_dataset=data, training_config=config)


class PyOD:
    name = "pyod"
    role: Role = "peer"
    note = "no batch norm, dropout, weight decay, scaling; AutoEncoder: ReLU on the code too; encoding by its inner module"

    def missing(self) -> str | None:
        return missing("pyod")

    def supports(self, task: Task, /) -> bool:
        return not task.channels

    def fit(self, task: Task, epochs: int) -> FittedTorch:
        common: dict[str, Any] = {
            "lr": LEARNING_RATE,
            "epoch_num": epochs,
            "batch_size": task.batch,
            "preprocessing": False,
            "batch_norm": False,
            "dropout_rate": 0.0,
            "optimizer_params": {"weight_decay": 0.0},
            "device": "cpu",
            "verbose": 0,
        }
        detector = self._vae(task, common) if task.kind == "vae" else self._ae(task, common)
        model = detector.fit(task.data).model
        if task.kind == "vae":
            return FittedTorch(model, lambda x: model.encode(x)[0], model.decode)
        return FittedTorch(model, model.encoder, model.decoder)

    def _ae(self, task: Task, common: dict[str, Any]) -> Any:
        from pyod.models.auto_encoder import AutoEncoder

        return AutoEncoder(hidden_neuron_list=list(task.widths[1:]), **common)

    def _vae(self, task: Task, common: dict[str, Any]) -> Any:
        """Its default capacity of 0 cuts the KL term off; unlimited and with beta = 2 / features its loss is the task's up to a factor."""
        from pyod.models.vae import VAE

        hidden = list(task.widths[1:-1])
        return VAE(
            encoder_neuron_list=hidden,
            decoder_neuron_list=hidden[::-1],
            latent_dim=task.code,
            beta=2 / task.widths[0],
            capacity=float("inf"),
            logvar_clip=None,
            **common,
        )


@dataclass
class FittedSklearn:
    model: Any
    layers_to_code: int

    def parameters(self) -> int:
        return sum(a.size for a in (*self.model.coefs_, *self.model.intercepts_))

    def reconstruct(self, x: Array) -> Array:
        return self.model.predict(x)

    def encoder(self, x: Array, batch: int) -> Callable[[], Array]:
        weights = list(zip(self.model.coefs_, self.model.intercepts_, strict=True))[: self.layers_to_code]

        def run() -> Array:
            parts: list[Array] = []
            for start in range(0, len(x), batch):
                h = x[start : start + batch]
                for coefficient, intercept in weights:
                    h = np.maximum(h @ coefficient + intercept, 0)
                parts.append(h)
            return np.concatenate(parts)

        return run


class SklearnMLP:
    name = "scikit-learn"
    role: Role = "peer"
    note = "MLPRegressor.fit(X, X) in float32, no penalty, no early stop; a ReLU on the code too; AE only; encoding by hand from coefs_"

    def missing(self) -> str | None:
        return missing("sklearn")

    def supports(self, task: Task, /) -> bool:
        return task.kind == "ae" and not task.channels

    def fit(self, task: Task, epochs: int) -> FittedSklearn:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        hidden = task.widths[1:] + task.widths[-2:0:-1]
        model = MLPRegressor(
            hidden_layer_sizes=hidden,
            alpha=0.0,
            batch_size=task.batch,
            learning_rate_init=LEARNING_RATE,
            max_iter=epochs,
            tol=0.0,
            n_iter_no_change=epochs + 1,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(task.data, task.data)
        return FittedSklearn(model, len(task.widths) - 1)


PEERS = [Pythae(), PyOD(), SklearnMLP()]
