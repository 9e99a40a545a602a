"""How far rebuilt rows are from the rows they were built from."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.fields import Field


def squared_errors(field: Field, rebuilt: Tensor, rows: Tensor) -> Tensor:
    """Return the mean squared difference of every row, over what is observed of it.

    Parameters
    ----------
    field : Field
    rebuilt, rows : Tensor of shape (n, \\*field.shape)
        As the model sees them.

    Returns
    -------
    Tensor of shape (n,)
        Zero for a row of which nothing is observed.

    Examples
    --------
    >>> squared_errors(Field("x", "numbers", (2,)), torch.zeros(1, 2), torch.tensor([[1.0, 3.0]])).tolist()
    [5.0]
    """
    if field.kind != "columns":
        return (rebuilt - rows).flatten(1).square().mean(1)
    seen = observed(field, rows)
    return ((rebuilt - rows)[:, : field.values].square() * seen).sum(1) / seen.sum(1).clamp(min=1)


def observed(field: Field, rows: Tensor) -> Tensor:
    """Return 1 for each value of a row of columns that is observed and 0 for the others, shape (n, field.values)."""
    widths = torch.tensor([part.width for part in field.parts], device=rows.device)
    return torch.repeat_interleave(rows[:, field.values :], widths, dim=1)


def figures(field: Field, rebuilt: Tensor, rows: Tensor) -> tuple[float, float]:
    """Return the mean squared difference of all observed values, and the share of their variance that is explained."""
    if field.kind == "columns":
        seen = observed(field, rows)
        count = seen.sum(0).clamp(min=1)
        values = rows[:, : field.values]
        mean = (values * seen).sum(0) / count
        spread = ((values - mean).square() * seen).sum() / seen.sum().clamp(min=1)
        error = ((rebuilt[:, : field.values] - values).square() * seen).sum() / seen.sum().clamp(min=1)
    else:
        error, spread = (rebuilt - rows).square().mean(), rows.var(0, correction=0).mean()
    return float(error), float(1 - error / spread) if spread > 0 else 0.0
