"""What ``isthmus detect`` does beyond calling the tasks."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from isthmus.cli.places import check_apart, check_file, check_folder, named
from isthmus.cli.schema import asked
from isthmus.cli.show import Count, number
from isthmus.data import Dataset, Schema, Source
from isthmus.errors import ConfigError, DataError
from isthmus.tasks.alarm_table import ENDINGS
from isthmus.tasks.config import plain
from isthmus.tasks.conformal import Mask, check_share
from isthmus.tasks.detect import Found
from isthmus.tasks.detect import detect as judge_rows
from isthmus.tasks.detector import MOST, Detector, sample
from isthmus.tasks.labels import read_labels
from isthmus.tasks.opening import open_data, open_for
from isthmus.tasks.trial import Trial, strange_by, try_by_hand, try_with_labels

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 8
TRIAL = "trial"


@dataclass(frozen=True)
class Learning:
    """How a detector is to be fitted, and where it is to be kept."""

    polluted: bool | None
    contamination: float | None
    missingness: bool
    rows: int | None
    seed: int
    schema: Path | None
    kinds: tuple[str, ...]
    save: Path | None
    overwrite: bool


@dataclass(frozen=True)
class Judging:
    """How rows are to be judged, and what is to be written."""

    out: Path
    report: Path | None
    alpha: float | None
    fdr: float | None
    drifting: bool
    only_alarms: bool
    top: int
    labels: str | None
    baselines: bool


@dataclass(frozen=True)
class Reading:
    """How data are to be read."""

    options: dict[str, Any]
    ids: str | None
    stream: str

    def without(self, column: str | None) -> Reading:
        """Leave a column out, too."""
        dropped = (*self.options.get("drop", ()), column)
        return self if column is None else replace(self, options={**self.options, "drop": dropped})


def run(
    train: Path, new: Path | None, model: Path | None, learning: Learning, judging: Judging, reading: Reading, console: Console
) -> None:
    """Fit or load a detector, judge rows, tell and write what came out.

    Raises
    ------
    ConfigError
        If the arguments do not go together.
    DataError, ArtifactError
        If data or detector cannot be used, or nothing can be written where it should.
    """
    _check(new, model, learning, judging)
    check_apart(judging.out, train, new)
    if model is not None:
        detector, judged = Detector.load(model), train
        data = _open_new(detector, judged, judging.labels, reading)
        _say(console, f"{model}: a detector fitted on {detector.facts.get('training rows', 0):,} rows of {detector.facts.get('data', '')}")
    else:
        judged = train if new is None else new
        if judging.labels is not None:
            strange_by(read_labels(judged, judging.labels, None))  # what is wrong with them is said before the learning
        source = _open(named(train), judging.labels, reading)
        detector = _fit(source, new is None, learning, console)
        _keep(detector, reading, learning, console)
        data = source if new is None else _open_new(detector, new, judging.labels, reading)
    if judging.alpha is not None:
        detector.alpha = judging.alpha
    if new is None and model is None:
        _say(console, Text("note: the rows to judge are those learned from, so p-values are rather too large than too small", style="dim"))
    strange = _labels(judged, judging.labels, len(data), console)
    found = _judge(detector, data, judging, reading.ids, console)
    _tell(found, data, console)
    trial = _trial(detector, data, strange, judging, console)
    if trial is not None and learning.save is not None:
        detector.facts[TRIAL] = trial.to_json()
        detector.save(learning.save)
    _write(detector, data, found, trial, judging, console)


def _check(new: Path | None, model: Path | None, learning: Learning, judging: Judging) -> None:
    if model is not None and new is not None:
        raise ConfigError("with --model there is nothing to learn: give only the rows to judge")
    if model is not None and learning.save is not None:
        raise ConfigError("--save keeps a detector that was just fitted; with --model there is none")
    if judging.alpha is not None and judging.fdr is not None:
        raise ConfigError("give --alpha or --fdr, not both: alpha limits alarms among healthy rows, fdr false ones among alarms")
    for name, share in (("alpha", judging.alpha), ("fdr", judging.fdr), ("contamination", learning.contamination)):
        if share is not None:
            check_share(name, share)
    check_file(judging.out, ENDINGS)
    if judging.report is not None:
        check_file(judging.report, (".html", ".htm"))
    if learning.save is not None:
        check_folder(learning.save, learning.overwrite)


def _open(path: Path, labels: str | None, reading: Reading) -> Source | Dataset:
    """Open data without the column of labels, if they have it."""
    try:
        without = reading.without(labels)
        return open_data(path, without.stream, without.ids, **without.options)
    except DataError:
        if labels is None:
            raise
        return open_data(path, reading.stream, reading.ids, **reading.options)


def _open_new(detector: Detector, path: Path, labels: str | None, reading: Reading) -> Source | Dataset:
    fitted = dict(detector.facts.get("reading") or {})
    if labels is not None and not detector.layout.schema.columns:
        fitted["drop"] = (*fitted.get("drop", ()), labels)
    options = {name: value for name, value in reading.options.items() if name == "key"}
    return open_for(detector.layout.schema, named(path), fitted, reading.stream, reading.ids, **options)


def _fit(data: Source | Dataset, alone: bool, learning: Learning, console: Console) -> Detector:
    polluted = alone if learning.polluted is None else learning.polluted
    polluted = polluted or learning.contamination is not None
    taken = "in which there may be anomalies (say --healthy if there are none)" if polluted else "taken as healthy"
    _say(console, f"{data.name}: {len(data):,} rows, {taken}")
    began = time.perf_counter()
    detector = Detector.fit(
        data,
        polluted=polluted,
        contamination=learning.contamination,
        seed=learning.seed,
        schema=_schema(data, learning),
        missingness=learning.missingness,
        most=learning.rows or MOST,
    )
    _tell_notes(detector.facts["notes"], console)
    known = detector.calibration.rows
    told = f"fitted in {time.perf_counter() - began:.1f} s; calibrated on {known:,} rows that the models had not seen"
    _say(console, f"{told} (smallest p-value {detector.calibration.smallest:.2g})")
    return detector


def _schema(data: Source | Dataset, learning: Learning) -> Schema | None:
    wanted = {"schema": learning.schema, "kind": learning.kinds}
    return asked(sample(data, learning.rows or MOST, learning.seed), wanted) if any(wanted.values()) else None


def _labels(path: Path, column: str | None, rows: int, console: Console) -> Mask | None:
    if column is None:
        return None
    strange, told = strange_by(read_labels(path, column, rows))
    _say(console, told)
    return strange


def _judge(detector: Detector, data: Source | Dataset, judging: Judging, ids: str | None, console: Console) -> Found:
    count = Count(console, f"scoring {data.name}", len(data))
    try:
        return judge_rows(
            detector,
            data,
            alpha=judging.alpha,
            fdr=judging.fdr,
            drifting=judging.drifting,
            out=judging.out,
            ids=ids or "id",
            only_alarms=judging.only_alarms,
            top=judging.top,
            watch=count,
        )
    finally:
        count.close()


def _tell(found: Found, data: Source | Dataset, console: Console) -> None:
    share = f"{100 * found.alarms / max(1, found.rows):.3g} %"
    _say(console, "")
    _say(
        console, Text.assemble(f"{data.name}: {found.rows:,} rows, ", (f"{found.alarms:,} alarms", "bold"), f" ({share}) at {found.level}")
    )
    _say(console, f"false alarms to be expected: at most {number(found.expected)}")
    for note in found.notes:
        _say(console, Text(f"warning: {note}", style="yellow"))
    if not found.top:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("row", "score", "p", "because of"):
        table.add_column(name, no_wrap=name != "because of")
    for alarm in found.top[:SHOWN]:
        table.add_row(Text(alarm.name), f"{alarm.score:.4g}", f"{alarm.p_value:.2g}", Text(str(alarm.reasons)))
    console.print(table)
    if found.alarms > SHOWN:
        _say(console, Text(f"... and {found.alarms - SHOWN:,} more in {found.path}", style="dim"))
    causes = ", ".join(f"{name} ({count:,})" for name, count in list(found.causes.items())[:5])
    _say(console, f"columns that alarm most: {causes}")


def _trial(detector: Detector, data: Source | Dataset, strange: Mask | None, judging: Judging, console: Console) -> Trial | None:
    if not judging.baselines:
        return None
    if strange is not None:
        trial = try_with_labels(detector, data, strange, judging.alpha)
    elif detector.training is not None:
        trial = try_by_hand(detector, judging.alpha)
    else:
        trial = Trial.from_json(detector.facts[TRIAL]) if TRIAL in detector.facts else None
        trial = trial and replace(trial, measured_on=f"{trial.measured_on}; not on these rows, but when the detector was made")
    if trial is not None:
        console.print()
        console.print(_compared(trial))
        _say(console, f"({trial.measured_on})")
        _say(console, Text(trial.advice, style="bold"))
    return trial


def _compared(trial: Trial) -> Table:
    table = Table(
        title=Text("The same split for what needs no training", style="bold"),
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    names = ["", "AUROC", "average precision", f"detected at {trial.alpha:g}"]
    for name in names[:2] + names[2 + trial.made :]:
        table.add_column(Text(name), justify="right" if name else "left")
    for name, found in trial.results.items():
        precision = () if trial.made else (number(found.average_precision),)
        table.add_row(
            Text(name), f"{found.auroc:.3f}", *precision, number(found.detected), style="bold" if name == trial.recommended else ""
        )
    return table


def _keep(detector: Detector, reading: Reading, learning: Learning, console: Console) -> None:
    """Save the detector at once: what comes after it may be interrupted."""
    if learning.save is None:
        return
    detector.facts["reading"] = {name: plain(value) for name, value in reading.options.items()}
    detector.save(learning.save)
    use = f"; use it: isthmus detect --model {shlex.quote(str(learning.save))} DATA"
    _say(console, Text.assemble("kept the detector in ", (str(learning.save), "bold"), use))


def _write(detector: Detector, data: Source | Dataset, found: Found, trial: Trial | None, judging: Judging, console: Console) -> None:
    console.print()
    lines = found.alarms if judging.only_alarms else found.rows
    _say(console, f"wrote {found.path} ({lines:,} lines)")
    if judging.report is None:
        return
    from isthmus.reports import anomalies

    facts = {
        "data": data.name,
        "healthy rows": f"{detector.facts.get('training rows', 0):,} of {detector.facts.get('data', '')}",
        "calibrated on": f"{detector.calibration.rows:,} rows not seen in training",
        "columns": f"{len(detector.columns):,}",
    }
    subtitle = f"{found.rows:,} rows, {found.alarms:,} alarms at {found.level}"
    notes = [*found.notes, *detector.facts.get("notes", [])]
    page = anomalies.AnomalyReport(f"Anomalies in {data.name}", subtitle, facts, found, trial, notes)
    _say(console, f"wrote {anomalies.write_html(page, judging.report)}")


def _tell_notes(notes: Sequence[str], console: Console) -> None:
    for note in notes:
        _say(console, Text(f"note: {note}", style="dim"))


def _say(console: Console, text: str | Text) -> None:
    console.print(Text(text) if isinstance(text, str) else text, soft_wrap=not console.is_terminal)
