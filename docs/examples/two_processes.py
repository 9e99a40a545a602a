"""Train with several processes that share each batch: ``torchrun --nproc-per-node 2 two_processes.py``."""

import os

import torch
from sklearn.datasets import load_digits

from isthmus.families import get
from isthmus.fields import Field
from isthmus.nn import materialise
from isthmus.training import TrainingConfig, fit

torch.set_num_threads(1)
rows = torch.from_numpy(load_digits().images).float().div(16).unsqueeze(-1)
with torch.device("meta"):
    model, objective = get("variational")([Field("digit", "picture", (8, 8, 1), "unit")], latent=8)
materialise(model, seed=0)

processes = int(os.environ.get("WORLD_SIZE", "1"))
config = TrainingConfig(steps=200, batch=128, seed=0, device="cpu", devices=processes)
result = fit(model, objective, rows[200:], held_out=rows[:200], config=config)
if int(os.environ.get("RANK", "0")) == 0:
    print(f"{processes} process(es): held-out loss {result.best_loss:.4f} nats a row after {result.steps} steps")
