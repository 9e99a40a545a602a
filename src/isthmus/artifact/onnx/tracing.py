"""Graphs of tensors written as ONNX by torch's tracer, and compared with the model in ONNX Runtime."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.artifact.onnx.graphs import CONDITION, Graph
from isthmus.errors import ArtifactError
from isthmus.extras import require

OPSET = 17
CLOSE = 1e-5
EXTRA, PURPOSE = "export", "writing a model as ONNX"
_ONNX: Any = torch.onnx  # torch leaves it without type hints


def names(graph: Graph, inputs: tuple[Tensor, ...]) -> list[str]:
    """Return the names of a graph's inputs."""
    return [graph.takes, CONDITION][: len(inputs)]


def written(graph: Graph, inputs: tuple[Tensor, ...]) -> bytes:
    """Return a graph as an ONNX file.

    Parameters
    ----------
    graph : Graph
    inputs : tuple of Tensor
        Some rows or codes, and their conditions if the model knows one; any number of rows can be given to the graph later.

    Returns
    -------
    bytes

    Raises
    ------
    ArtifactError
        If the model does something that ONNX has no words for.
    MissingExtraError
        If onnx is not installed.
    """
    require("onnx", EXTRA, PURPOSE)
    found, taken = io.BytesIO(), names(graph, inputs)
    axes = {name: {0: "n"} for name in (*taken, graph.gives)}
    with torch.no_grad(), warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # the tracer warns of every choice made by shapes, which are the same for all rows
        graph(*inputs)  # what a model keeps for later is made now, not within the graph
        options: dict[str, Any] = {"input_names": taken, "output_names": [graph.gives], "dynamic_axes": axes, "opset_version": OPSET}
        try:
            _ONNX.export(graph, inputs, found, dynamo=False, **options)
        except (RuntimeError, TypeError, ValueError) as error:
            told = str(error).strip().splitlines()[0][:200]
            raise ArtifactError(f"the {type(graph).__name__.lower()} of this model cannot be written as ONNX: {told}") from error
    return found.getvalue()


def _nothing(*_: object) -> None:
    """Do nothing."""


@contextmanager
def _quiet() -> Generator[None]:
    """Keep torch from printing the whole graph where a part of it cannot be written."""
    # There is a switch for it, which torch itself turns on again; so the function that prints is put aside.
    core: Any = torch._C  # pyright: ignore[reportPrivateUsage]
    before = getattr(core, "_jit_onnx_log", None)
    core._jit_onnx_log = _nothing
    try:
        yield
    finally:
        core._jit_onnx_log = before


def opened(data: bytes) -> Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]:
    """Open a file with ONNX Runtime, on one thread of the CPU.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    callable
        From inputs by their names to the output.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    """
    runtime = require("onnxruntime", EXTRA, "running an ONNX file")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, dict(inputs))[0]


def difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference of two arrays, of values beyond 1 as a share of them; infinite if they differ in shape.

    Examples
    --------
    >>> difference(np.array([0.5, 101.0]), np.array([0.25, 100.0]))
    0.25
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    apart = np.abs(found.astype(np.float64) - expected) / np.maximum(1.0, np.abs(expected))
    return float(apart.max(initial=0.0))


def _faults() -> tuple[type[Exception], ...]:
    state = require("onnxruntime.capi.onnxruntime_pybind11_state", EXTRA, "running an ONNX file")
    return (state.Fail, state.InvalidArgument, state.InvalidGraph, state.NotImplemented, state.RuntimeException)


def checked(graph: Graph, data: bytes, inputs: tuple[Tensor, ...]) -> float:
    """Return how far a file's results are from the model's, for these rows and for the first of them alone.

    Raises
    ------
    ArtifactError
        If it is more than 1e-5 (of values beyond 1: of their size), or ONNX Runtime cannot run the file.
    """
    worst = 0.0
    try:
        run = opened(data)
        for given in (inputs, tuple(part[:1] for part in inputs)):
            with torch.no_grad():
                expected = graph(*given).numpy()
            found = run({name: part.numpy() for name, part in zip(names(graph, given), given)})
            worst = max(worst, difference(found, expected))
    except _faults() as error:
        raise ArtifactError(f"ONNX Runtime cannot run the {type(graph).__name__.lower()}: {str(error)[:200]}") from error
    if worst > CLOSE:
        raise ArtifactError(f"the ONNX file of the {type(graph).__name__.lower()} gives other results than the model, by {worst:.2g}")
    return worst
