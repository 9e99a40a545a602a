"""The record of a training run, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from isthmus.notebook import card

Row = dict[str, float]
_SHOWN = ("step", "epoch", "seconds", "train", "held_out")


class History(Sequence[Row]):
    """One row an evaluation: step, epoch, seconds, learning_rate, samples_per_second, train, held_out, and each term of both.

    Losses are in nats per row; ``train`` is the mean over the steps since the row before.

    Parameters
    ----------
    rows : iterable of dict, optional

    Examples
    --------
    >>> history = History([{"step": 10.0, "train": 2.0}, {"step": 20.0, "train": 1.0}])
    >>> history.column("train")
    [2.0, 1.0]
    """

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.rows: list[Row] = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:  # type: ignore[override]
        return self.rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def add(self, row: Row) -> None:
        """Append a row."""
        self.rows.append(row)

    def column(self, name: str) -> list[float]:
        """Return one column; NaN where a row lacks it."""
        return [row.get(name, float("nan")) for row in self.rows]

    @property
    def names(self) -> list[str]:
        """Names of all columns, in the order they appear."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def to_csv(self) -> str:
        """Return the table as CSV text."""
        out = io.StringIO()
        writer = csv.DictWriter(out, self.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    def _repr_html_(self) -> str:
        """Return what notebooks show: the curves, and the losses of the last row."""
        last = self.rows[-1] if self.rows else {}
        shown = {name.replace("_", " "): last[name] for name in last if name in _SHOWN or name.startswith("held_out_")}
        return card(f"History: {len(self):,} evaluation{'' if len(self) == 1 else 's'}", shown, self.rows)

    def to_pandas(self) -> object:
        """Return the table as a pandas data frame.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        from isthmus.extras import require

        return require("pandas", "pandas", "a history as a data frame").DataFrame(self.rows)
