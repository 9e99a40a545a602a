"""Two processes that share each batch give what one gives."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = """
import json, os, sys, warnings
from pathlib import Path
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from isthmus.fields import Field
from isthmus.objectives import AuxK, Reconstruction
from isthmus.tasks.config import Config
from isthmus.tasks.fit import build
from isthmus.training import TrainingConfig, fit

torch.set_num_threads(1)
out, devices = Path(sys.argv[1]), int(sys.argv[2])
x = torch.from_numpy(load_digits().data.astype("float64") / 16)
models = {
    "undercomplete": Config(family="undercomplete", latent=4, hidden=(16,)),
    "sparse kl": Config(family="sparse", latent=32, sparsity="kl"),
    "sparse topk": Config(family="sparse", latent=96, activity=0.02),
    "denoising": Config(family="denoising", latent=4, hidden=(16,), corruption="masking"),
    "variational": Config(family="variational", latent=4, hidden=(16,), kl_warmup=30, free_bits=0.1, likelihood_scale="per_value"),
}
for name, config in models.items():
    model, objective = build(Field("x", "numbers", (64,), "real"), config)
    if name == "sparse topk":
        objective = Reconstruction() + AuxK(96, k=4, patience=5)
    dtype = torch.float64 if name == "sparse topk" else torch.float32
    model, objective, rows = model.to(dtype), objective.to(dtype), x.to(dtype)
    if int(os.environ.get("RANK", "0")):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
    settings = TrainingConfig(steps=30, batch=32, learning_rate=3e-3, evaluate_every=10, clip=5.0, seed=3, device="cpu", devices=devices)
    told = []
    from isthmus.training import Callback
    class Watch(Callback):
        def evaluated(self, row, best):
            told.append(row["step"])
    path = out / f"{name}.checkpoint"
    result = fit(model, objective, rows[300:], held_out=rows[:300], config=settings, callbacks=[Watch()], checkpoint=path)
    rank = os.environ.get("RANK", "0")
    save_file({k: v.contiguous() for k, v in {**model.state_dict(), **objective.state_dict()}.items()}, out / f"{name}.{rank}.safetensors")
    (out / f"{name}.{rank}.json").write_text(json.dumps({"history": result.history.rows, "told": told, "best": result.best_step}))
    again, its_objective = build(Field("x", "numbers", (64,), "real"), config)
    if name == "sparse topk":
        its_objective = Reconstruction() + AuxK(96, k=4, patience=5)
    resumed = fit(again.to(dtype), its_objective.to(dtype), rows[300:], held_out=rows[:300], config=settings, checkpoint=path, resume=True)
    assert resumed.history.column("held_out") == result.history.column("held_out")
if devices > 1:
    torch.distributed.destroy_process_group()
    names = [Path(task, "comm").read_text().strip() for task in Path("/proc/self/task").glob("*")]
    alive = [name for name in names if "gloo" in name]
    assert not alive, f"threads of the group outlive it, which aborts the process now and then: {alive}"
"""
NAMES = ["undercomplete", "sparse kl", "sparse topk", "denoising", "variational"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(script: Path, out: Path, processes: int) -> None:
    out.mkdir()
    environment = {
        key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    }
    environment |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {"OMP_NUM_THREADS": "1"}
    run = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        str(processes),
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        str(free_port()),
    ]
    command = [sys.executable, *(run if processes > 1 else []), str(script), str(out), str(processes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("distributed")
    script = folder / "train.py"
    script.write_text(SCRIPT)
    for processes in (1, 2):
        start(script, folder / str(processes), processes)
    return {processes: folder / str(processes) for processes in (1, 2)}


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_give_the_weights_of_one(runs: dict[int, Path], name: str) -> None:
    """Sums over a batch are rounded in another order. In float32 (2^-24 = 6e-8 a sum) 30 steps of Adam leave differences of some
    1e-6, so 5e-6 is asked for; the top-k model runs in float64, where no rounding can change which units are kept, and must agree to 1e-9.
    """
    tolerance = 1e-9 if name == "sparse topk" else 5e-6
    alone = load_file(runs[1] / f"{name}.0.safetensors")
    for rank in (0, 1):
        together = load_file(runs[2] / f"{name}.{rank}.safetensors")
        for key, tensor in alone.items():
            torch.testing.assert_close(together[key], tensor, rtol=tolerance, atol=tolerance, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_give_the_history_of_one(runs: dict[int, Path], name: str) -> None:
    (alone, first, second) = (json.loads((runs[n] / f"{name}.{rank}.json").read_text()) for n, rank in ((1, 0), (2, 0), (2, 1)))
    for entry in (first, second):
        assert entry["best"] == alone["best"]
        for row, expected in zip(entry["history"], alone["history"], strict=True):
            assert row.keys() == expected.keys()
            for column in expected:
                if column not in ("seconds", "samples_per_second"):
                    assert row[column] == pytest.approx(expected[column], rel=1e-5, abs=1e-7), column
    assert alone["told"] == first["told"] == [10, 20, 30]
    assert second["told"] == [], "only the first process shows progress"
