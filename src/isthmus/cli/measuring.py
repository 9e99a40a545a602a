"""The commands that measure a model: ``evaluate``, ``quality``, ``density``; everything heavy is imported inside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import kit

if TYPE_CHECKING:
    from rich.table import Table

    from isthmus.tasks.coded import CodedEvaluation
    from isthmus.tasks.evaluate import Evaluation
    from isthmus.tasks.gap import Gap
    from isthmus.tasks.nll import Estimate

Json = Annotated[Path | None, typer.Option("--out", "-o", help="Also write the figures to this .json file.", metavar="FILE")]


def evaluate(
    model: kit.Model,
    data: kit.Data,
    draws: Annotated[
        int | None, typer.Option("--draws", "-k", help="Importance samples a row; chosen by the model if left out.", metavar="K")
    ] = None,
    gap_rows: Annotated[int, typer.Option(help="Rows whose posterior is optimised, to split the gap.", min=0, metavar="N")] = 32,
    ais_rows: Annotated[int, typer.Option(help="Rows for annealed importance sampling; 0 for none.", min=0, metavar="N")] = 0,
    ais_steps: Annotated[int, typer.Option(help="Its intermediate distributions.", min=1, metavar="N")] = 200,
    treatment: Annotated[
        str, typer.Option(help="What is done to grey values first: none, threshold, sample or dequantise.", metavar="TEXT")
    ] = "none",
    rows: Annotated[int | None, typer.Option(help="Measure on this many rows at most, spread over the data.", min=1, metavar="N")] = None,
    out: Json = None,
    seed: kit.Seed = 0,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Measure a variational model: ELBO, log p(x), the gap between them, and what the code is used for."""
    from isthmus.cli.places import check_file
    from isthmus.tasks.ais import Annealing
    from isthmus.tasks.coded import evaluate_codes, is_coded
    from isthmus.tasks.evaluate import Effort
    from isthmus.tasks.evaluate import evaluate as measure
    from isthmus.tasks.examine import spread
    from isthmus.tasks.measured import measured

    if out is not None:
        check_file(out, (".json",))
    effort = Effort(draws=draws, annealed_rows=ais_rows, annealing=Annealing(steps=ais_steps), gap_rows=gap_rows)
    artifact, source = kit.opened(model, data, key, condition)
    taken = measured(artifact, source)
    chosen = taken.chosen if rows is None else taken.chosen.take(spread(len(taken.chosen), rows))
    measured_as = evaluate_codes if is_coded(artifact) else measure
    found = measured_as(artifact, chosen, effort, treatment, seed)
    _show(found, f"{len(chosen):,} rows: {taken.told}")
    if out is not None:
        kit.write_json(out, found.to_json())


def _show(found: Evaluation | CodedEvaluation, told: str) -> None:
    from isthmus.cli.border import spoken
    from isthmus.cli.show import facts
    from isthmus.tasks.coded import CodedEvaluation

    kit.say(f"Measured on {told}\n")
    names = ("nats", "bits", "bits per dimension", "error")
    kit.console().print(_table({name: [values[n] for n in names] for name, values in found.in_units().items()}, ("a row", *names)))
    kit.console().print(facts(_coded_facts(found) if isinstance(found, CodedEvaluation) else _facts(found)))
    for line in found.conventions:
        kit.say(f"note: {spoken(line)}")
    for line in found.warnings:
        kit.say(f"warning: {spoken(line)}")


def _facts(found: Evaluation) -> dict[str, str]:
    from isthmus.cli.show import number

    codes = found.codes
    told = {
        "bits per dimension, data's own unit": f"{found.bits_per_dimension:.4g}",
        "log p(x), importance sampling": _estimate(found.importance),
    }
    if found.annealed is not None:
        same = found.importance.values[found.annealed_rows].mean()
        told[f"log p(x), annealed, {len(found.annealed_rows)} rows"] = f"{_estimate(found.annealed)}; importance sampling {same:.2f}"
    told |= _gap_facts(found.gap)
    told["active units"] = f"{int(codes.active.sum())} of {len(codes.active)}"
    told["KL of units, nats"] = ", ".join(number(float(value)) for value in sorted(codes.kl, reverse=True)[:16])
    told["codes against prior"] = f"MMD {number(codes.discrepancy)} (by chance {number(codes.floor)})"
    spread = f"deviations {codes.deviation.min():.2f} to {codes.deviation.max():.2f}"
    return {**told, "codes of all rows": f"means {codes.mean.min():.2f} to {codes.mean.max():.2f}, {spread}"}


def _gap_facts(gap: Gap | None) -> dict[str, str]:
    if gap is None:
        return {}
    parts = f"approximation {gap.approximation:.2f} + amortisation {gap.amortisation:.2f}"
    each = ", ".join(f"{name} {value:.2f}" for name, value in gap.bounds.items())
    error = f"Monte Carlo error {gap.error:.2g}" if gap.error else "exact"
    return {f"gap log p(x) - ELBO, {gap.rows} rows": f"{gap.total:.2f} = {parts} ({error})", "ELBO by posterior of each row": each}


def _coded_facts(found: CodedEvaluation) -> dict[str, str]:
    use = found.usage
    told = {"bits per dimension, data's own unit": f"{found.bits_per_dimension:.4g}"}
    if found.annealed is not None:
        told[f"log p(x), annealed, {len(found.annealed_rows)} rows"] = _estimate(found.annealed)
    told |= _gap_facts(found.gap)
    sizes = sorted({len(count) for count in use.counts})
    told["values of a group"] = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    told["perplexity of groups"] = ", ".join(f"{value:.3g}" for value in use.perplexities[:16])
    told["dead values"] = f"{use.dead} of {use.values} are taken by no row"
    told["distinct codes"] = f"{use.distinct:,} of {found.rows:,} rows"
    costs = f"prior {found.code.mean():.2f}, groups apart {use.entropies.sum():.2f}, all alike {use.uniform:.2f}"
    return {**told, "nats of a code": costs}


def _estimate(found: Estimate) -> str:
    return f"{found.mean:.2f} (Monte Carlo error {found.error:.2g}; {found.effective:.3g} of {found.draws:,} draws count)"


def _table(rows: Mapping[str, list[float]], head: tuple[str, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if i else "left", no_wrap=not i)
    for name, values in rows.items():
        table.add_row(Text(name), *(f"{value:.4g}" for value in values))
    return table


def figures_table(found: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a table of figures by name, one line each."""
    return _table({name: list(values.values()) for name, values in found.items()}, ("", *next(iter(found.values()))))


def quality(
    model: kit.Model,
    data: kit.Data,
    labels: kit.Labels = None,
    labels_key: kit.LabelsKey = None,
    unseen: Annotated[
        Path | None, typer.Option(help="Real rows that were not trained on; those the fit held out if left out.", metavar="FILE")
    ] = None,
    number: Annotated[int, typer.Option("--number", "-n", help="Samples to measure.", min=50, metavar="N")] = 5000,
    density: Annotated[str, typer.Option(help="Where codes come from: auto, prior or ex_post.", metavar="TEXT")] = "auto",
    draw: Annotated[bool, typer.Option("--draw", help="Draws from the decoder's distribution instead of its mean.", metavar="")] = False,
    out: Json = None,
    seed: kit.Seed = 0,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Measure a model's samples against real rows, beside what real rows get in their place."""
    from dataclasses import asdict

    from isthmus.cli.places import check_file
    from isthmus.tasks.quality import of_model

    if out is not None:
        check_file(out, (".json",))
    artifact, source = kit.opened(model, data, key, condition)
    known = kit.labels_of(labels, labels_key, data, len(source))
    others = None if unseen is None else kit.opened(model, unseen, key, condition)[1]
    found = of_model(artifact, source, known, others, number, density, not draw, seed)
    rows = {name: [value, found.floor[name]] for name, value in found.figures.items()}
    kit.console().print(_table(rows, ("", "samples", "real rows")))
    near, copies = found.memorised["nearer"], found.memorised["copies"]
    kit.say(
        f"copies: a sample is nearer to the training rows than a held-out row in {near:.0%} of pairs; {copies:.1%} nearer than 99 % of them"
    )
    for line in found.notes:
        kit.say(f"note: {line}")
    if out is not None:
        kit.write_json(out, asdict(found))


def density(
    model: kit.Model,
    data: kit.Data,
    components: Annotated[
        int | None, typer.Option(help="Gaussians; the number that explains held-out codes best if left out.", metavar="N")
    ] = None,
    seed: kit.Seed = 0,
    key: kit.Key = None,
    condition: kit.Condition = None,
) -> None:
    """Fit a density to the codes of a saved model, so that it can be sampled; it is saved with the model."""
    from isthmus.tasks.density import attach
    from isthmus.tasks.measured import measured

    artifact, source = kit.opened(model, data, key, condition)
    taken, sizes = measured(artifact, source), None if components is None else [components]
    if taken.rest is None:
        found = attach(artifact, artifact.prepare(taken.chosen), None, sizes, seed)
    else:
        found = attach(artifact, artifact.prepare(taken.rest), artifact.prepare(taken.chosen), sizes, seed)
    for name, value in found.scores.items():
        kit.say(f"{name}: {value:.2f} nats a held-out code")
    kit.say(f"sampling now draws codes from: {found.chosen}\nwrote {artifact.save(model)}")


def disentanglement(
    models: Annotated[
        list[Path] | None, typer.Argument(help="Folders of saved models of sprites, such as one for each seed.", metavar="[MODEL...]")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Write sprites to train on to this .npz file.", metavar="FILE")] = None,
    rows: Annotated[int, typer.Option(help="Sprites: to write, or to measure on.", min=200, metavar="N")] = 5000,
    votes: Annotated[int, typer.Option(help="Votes of the FactorVAE score.", min=20, metavar="N")] = 800,
    out: Json = None,
    seed: kit.Seed = 0,
) -> None:
    """Measure whether single code units stand for single factors (MIG, DCI, FactorVAE score), on sprites with known factors."""
    from isthmus.artifact import Artifact
    from isthmus.cli.places import check_file
    from isthmus.errors import ConfigError
    from isthmus.tasks.disentanglement import on_sprites

    if not models and write is None:
        raise ConfigError("disentanglement needs a MODEL of sprites, or --write FILE.npz to make sprites to fit one on")
    for path, ending in ((out, ".json"), (write, ".npz")):
        if path is not None:
            check_file(path, (ending,))
    if write is not None:
        _write_sprites(write, rows, seed)
    found = {str(path): on_sprites(Artifact.load(path), seed, rows, votes).figures() for path in models or ()}
    if not found:
        return
    kit.say(f"{rows:,} sprites that were not trained on; from 0 to 1, higher is more disentangled\n")
    kit.console().print(figures_table(by_figure(found)))
    if out is not None:
        kit.write_json(out, {"rows": rows, "seed": seed, "models": found})


def by_figure(found: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return figures of models by figure: the value of one, mean and standard deviation of several."""
    import numpy as np

    table, names = np.array([list(values.values()) for values in found.values()]), list(next(iter(found.values())))
    if len(table) == 1:
        return {name: {"": float(value)} for name, value in zip(names, table[0])}
    parts = zip(names, table.mean(0), table.std(0, ddof=1))
    return {name: {"mean": float(mean), "deviation": float(spread)} for name, mean, spread in parts}


def _write_sprites(path: Path, rows: int, seed: int) -> None:
    import numpy as np

    from isthmus.data import sprites
    from isthmus.files import atomic_path

    source, factors = sprites.sprites(rows, seed)
    arrays: dict[str, Any] = {"pictures": source.array} | {factor.name: factors[:, i] for i, factor in enumerate(sprites.FACTORS)}
    with atomic_path(path) as beside, beside.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    kit.say(f"wrote {path} ({rows} x 32 x 32 x 1, as the array pictures). Fit with: isthmus fit {path} --key pictures --family tc_vae")
