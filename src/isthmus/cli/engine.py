"""What ``isthmus info --engine`` shows: which library makes which matrix product on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from rich.table import Table

from isthmus.cli import show
from isthmus.training import probe
from isthmus.training.kernels import PRODUCTS
from isthmus.training.threads import threads

if TYPE_CHECKING:
    from rich.console import Console

TOLD = {"forward": "forward", "of_input": "gradient: input", "of_weight": "gradient: weight"}
ORIGIN = {
    "measured": "measured now, and kept",
    "stored": "measured before, and kept",
    "assumed": "assumed by the processor's maker: the file cannot be written",
}


def run(console: Console, again: bool) -> None:
    """Show the kernels' rates for the numbers of threads that training uses here, measuring what is not known or, if asked, all."""
    asked = probe.asked()
    if again:
        probe.forget()
    here = torch.get_num_threads()
    console.print(show.facts({"processor": probe.processor(), "threads": here, "torch": torch.__version__, "kept in": probe.path()}))
    for count in sorted({1, here}):
        with threads(count):
            found = probe.findings(count)
        head = f"\n{count} thread{'s' if count > 1 else ''}: GFLOP/s in float32, by million operations a product"
        console.print(f"{head}; {ORIGIN[found.origin]}; * is used", soft_wrap=True)
        console.print(_table(found, asked))
    forced = f"set to {asked}" if asked != "auto" else f"not set: the quickest is used, plain unless another is {probe.WIN - 1:.0%} quicker"
    console.print(f"\n{probe.VARIABLE} is {forced}.", soft_wrap=True)


def _table(found: probe.Findings, asked: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("product")
    table.add_column("kernel")
    for size in probe.SIZES:
        millions = probe.operations(size) / 1e6
        table.add_column(f"{millions:.{0 if millions > 10 else 2}f}", justify="right", no_wrap=True)
    for product in PRODUCTS:
        for name, rates in found.rates[product].items():
            used = [asked == name or (asked == "auto" and found.best(product, probe.operations(size)) == name) for size in probe.SIZES]
            figures = "-" if found.origin == "assumed" else ""
            cells = [f"{figures or f'{rate / 1e9:.0f}'}{'*' if star else ' '}" for rate, star in zip(rates, used, strict=True)]
            table.add_row(TOLD[product] if name == "plain" else "", name, *cells)
    return table
