"""The step of a dense autoencoder, plain or variational, with Gaussian or Bernoulli likelihood: its gradients written by hand.

A small net spends most of a step in autograd's book-keeping, in making tensors and in Adam's calls for each of them. Here all tensors are
made once; a step is a list of calls on them. In bfloat16 the layers work on copies of the weights, and code and likelihood in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.bottlenecks import Deterministic
from isthmus.bottlenecks import Gaussian as GaussianBottleneck
from isthmus.likelihoods import Bernoulli, Gaussian, Likelihood
from isthmus.models import Autoencoder
from isthmus.nn import MLP
from isthmus.objectives import ELBO, Binarised, Context, Objective, Reconstruction
from isthmus.objectives.binarised import coins
from isthmus.priors import StandardNormal
from isthmus.training.adam import make_adam
from isthmus.training.config import TrainingConfig
from isthmus.training.dense_parts import ACTIVATIONS, CrossEntropy, Flat, GaussianCode, PlainCode, SquaredError
from isthmus.training.kernels import Call
from isthmus.training.probe import choose
from isthmus.training.world import World

Activation = Callable[[Tensor], Tensor] | None


def fits(model: Autoencoder, objective: Objective, config: TrainingConfig, world: World) -> bool:
    """Say whether this step can train the model.

    It must have dense nets, a plain or Gaussian code, a Gaussian or Bernoulli likelihood, and nothing else in the loss.
    """
    nets = all(type(net) is MLP and net.activation in ACTIVATIONS for net in (model.encoder, model.decoder))
    trained = all(p.requires_grad for p in model.parameters()) and not any(True for _ in objective.parameters())
    exact = config.precision != "bf16" or next(model.parameters()).dtype == torch.float32
    return (
        nets and _known_likelihood(model.likelihood) and trained and exact and _known_code(model, objective) and world.device.type == "cpu"
    )


def _known_likelihood(likelihood: Likelihood) -> bool:
    if type(likelihood) is Gaussian:
        return likelihood.mode in ("fixed", "one", "per_value")
    return type(likelihood) is Bernoulli


def _known_code(model: Autoencoder, objective: Objective) -> bool:
    if type(objective) is Binarised:
        return _known_code(model, objective.inner)
    if type(objective) is ELBO:
        return type(model.bottleneck) is GaussianBottleneck and type(model.prior) is StandardNormal and objective.free_bits == 0
    return type(objective) is Reconstruction and type(model.bottleneck) is Deterministic


class _Layers:
    """Weights, biases and their gradients of all dense layers, encoder first, and the activation after each."""

    def __init__(self, encoder: MLP, decoder: MLP, flat: Flat) -> None:
        place = {id(parameter): i for i, parameter in enumerate(flat.parameters)}
        layers = [*encoder.linears, *decoder.linears]
        weights, biases = [place[id(layer.weight)] for layer in layers], [place[id(layer.bias)] for layer in layers]
        self.weights, self.of_weights = [flat.used[i] for i in weights], [flat.of_used[i] for i in weights]
        self.biases, self.of_biases = [flat.used[i] for i in biases], [flat.of_used[i] for i in biases]
        self.middle = len(encoder.linears)
        nets = [encoder] * self.middle + [decoder] * len(decoder.linears)
        self.activations: list[Activation] = [
            None if i in (self.middle - 1, len(layers) - 1) else net.activation for i, net in enumerate(nets)
        ]


class _Tape:
    """The calls of a step on `rows` rows, and the buffers they work on."""

    def __init__(self, layers: _Layers, rows: int, variational: bool) -> None:
        self.layers, self.rows = layers, rows
        self.encoding: list[Call] = []
        self.decoding: list[Call] = []
        self.undoing: list[Call] = []
        self.undoing_encoder: list[Call] = []
        self.x = self.buffer(layers.weights[0].shape[1])
        low, of_low = self.net(range(layers.middle), self.x, None, self.encoding, self.undoing_encoder)
        h, of_h = self.exact(low, self.encoding), self.exact(of_low)
        _carry(of_h, of_low, self.undoing_encoder, first=True)
        self.code = (GaussianCode if variational else PlainCode)(h, of_h)
        z, of_z = self.rounded(self.code.z), self.rounded(self.code.of_z)
        _carry(self.code.z, z, self.decoding)
        output, _ = self.net(range(layers.middle, len(layers.weights)), z, of_z, self.decoding, self.undoing)
        _carry(of_z, self.code.of_z, self.undoing)
        self.output = self.exact(output, self.decoding)
        _carry(self.output, output, self.undoing, first=True)

    def exact(self, low: Tensor, calls: list[Call] | None = None) -> Tensor:
        """Return a buffer for `low` that is not in bfloat16, and lay down the call that fills it."""
        found = low.float() if low.dtype == torch.bfloat16 else low
        if calls is not None:
            _carry(low, found, calls)
        return found

    def rounded(self, exact: Tensor) -> Tensor:
        """Return a buffer for `exact` of the layers' type."""
        return exact.to(self.layers.biases[0].dtype)

    def buffer(self, width: int) -> Tensor:
        return torch.zeros(self.rows, width, dtype=self.layers.biases[0].dtype)

    def net(self, places: range, h: Tensor, of_h: Tensor | None, forward: list[Call], backward: list[Call]) -> tuple[Tensor, Tensor]:
        """Lay down the calls of some layers; return the buffers of their output and of its gradient (the decoder's: the same)."""
        undo: list[list[Call]] = []
        for i in places:
            out = self.buffer(len(self.layers.biases[i]))
            of_out = out if i == len(self.layers.weights) - 1 else torch.zeros_like(out)
            undo.append(self.layer(i, h, of_h, out, of_out, forward))
            h, of_h = out, of_out
        backward.extend(call for calls in reversed(undo) for call in calls)
        return h, h if of_h is None else of_h

    def layer(self, i: int, h: Tensor, of_h: Tensor | None, out: Tensor, of_out: Tensor, forward: list[Call]) -> list[Call]:
        """Lay down a layer's forward calls and return its backward ones."""
        layers, weight, size = self.layers, self.layers.weights[i], (self.rows, h.shape[1], out.shape[1])
        forward += choose("forward", *size, h.dtype).forward(h, weight, layers.biases[i], out)
        undo: list[Call] = []
        activation = layers.activations[i]
        if activation is not None:
            part = ACTIVATIONS[activation]
            kept = torch.zeros_like(out) if part.needs_input else out
            forward.append(part.apply(out, kept))
            undo.append(part.revert(of_out, out, kept))
        kernel = choose("of_weight", *size, h.dtype)
        undo += kernel.of_weight(of_out, h, layers.of_weights[i]) + kernel.of_bias(of_out, layers.of_biases[i])
        if of_h is not None:
            undo += choose("of_input", *size, h.dtype).of_input(of_out, weight, of_h)
        return undo


def _carry(start: Tensor, end: Tensor, calls: list[Call], first: bool = False) -> None:
    """Lay down the call that copies one buffer into another, where they are two."""
    if start is not end:
        calls.insert(0 if first else len(calls), partial(end.copy_, start))


def _play(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


class DenseStep:
    """Forward and backward by hand, one fused Adam; the same numbers as `AutogradStep` up to rounding.

    Parameters
    ----------
    model : Autoencoder
        For which `fits` is true. Its parameters become views of one buffer.
    objective : Objective
    config : TrainingConfig
    world : World

    Raises
    ------
    TypeError
        If a part of the model is of another kind.
    """

    def __init__(self, model: Autoencoder, objective: Objective, config: TrainingConfig, world: World) -> None:
        encoder, decoder, likelihood = model.encoder, model.decoder, model.likelihood
        if not isinstance(encoder, MLP) or not isinstance(decoder, MLP) or not isinstance(likelihood, (Gaussian, Bernoulli)):
            raise TypeError("DenseStep trains dense encoders and decoders with a Gaussian or Bernoulli likelihood")
        self.binarised = isinstance(objective, Binarised)
        self.objective = objective.inner if isinstance(objective, Binarised) else objective
        self.config = config
        self.world = world
        nets = [*encoder.parameters(), *decoder.parameters()]
        self.flat = Flat([*nets, *likelihood.parameters()], len(nets) if config.precision == "bf16" else 0)
        self.layers = _Layers(encoder, decoder, self.flat)
        self.variational = isinstance(model.bottleneck, GaussianBottleneck)
        learned = (self.flat.values[len(nets)], self.flat.gradients[len(nets)]) if len(self.flat.values) > len(nets) else ()
        self.error = SquaredError(likelihood, *learned) if isinstance(likelihood, Gaussian) else CrossEntropy(*learned)
        self.optimiser = make_adam([self.flat.whole], config)
        self.tape: _Tape | None = None

    @torch.no_grad()
    def __call__(self, x: Tensor, target: Tensor, context: Context) -> dict[str, float]:
        """Make one step; return the mean of each term and the weighted ``loss``."""
        tape = self.tape
        if tape is None or tape.rows != len(x):
            tape = self.tape = _Tape(self.layers, len(x), self.variational)
            self.flat.show()
        x, target = self.treated(x, target, context)
        self.flat.lower()
        tape.x.copy_(x.flatten(1))
        with np.errstate(all="ignore"):  # the loop tells of numbers that are none
            _play(tape.encoding)
            terms, added = tape.code.forward(context, self.objective.weights(context).get("kl", 1.0))
            _play(tape.decoding)
            nats = self.error(tape.output, target.flatten(1))
            _play(tape.undoing)
            tape.code.backward()
            _play(tape.undoing_encoder)
        self.flat.lift()
        self.update(context)
        return {"reconstruction": nats, **terms, "loss": nats + added}

    def treated(self, x: Tensor, target: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Return input and target as the objective makes them of the rows."""
        if not context.corrupt or context.noise is None:
            return x, target
        if self.binarised:
            same = target is x
            x = coins(x, context.noise)
            target = x if same else coins(target, context.noise)
        return x if self.objective.corruption is None else self.objective.corruption(x, context.noise), target

    def update(self, context: Context) -> None:
        """Change the weights by the gradients in the buffer."""
        gradient = self.flat.whole.grad
        if self.world.size > 1 and gradient is not None:
            self.world.mean_in_place([gradient])
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_([self.flat.whole], self.config.clip)
        self.optimiser.step(self.config.rate(context.step, context.spent))

    def state(self) -> dict[str, Tensor]:
        """Return Adam's moments and counters."""
        return self.optimiser.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take over moments and counters."""
        self.optimiser.load_state(state)
