"""Which columns of a table to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches

from isthmus.data.checks import drop_mend, listing
from isthmus.data.options import Names, ReadOptions
from isthmus.errors import DataError


def select(names: Sequence[str], options: ReadOptions, name: str) -> list[int]:
    """Return the positions of the columns to read, in the order asked for.

    Parameters
    ----------
    names : sequence of str
        All column names.
    options : ReadOptions
        Its `columns` are kept (all, when there are none) less its `drop`.
    name : str
        What to call the data.

    Raises
    ------
    DataError
        If a column is not there, is there twice, or none is left.
    """
    wanted = find(names, options.columns, name) if options.columns else list(range(len(names)))
    dropped = set(find(names, options.drop, name, strict=not options.columns))
    kept = [j for j in wanted if j not in dropped]
    if not kept:
        raise DataError(f"{name}: no column is left of {len(names)}. Drop fewer columns")
    refuse_twins([names[j] for j in kept], name)
    return kept


def find(names: Sequence[str], entries: Names, name: str, strict: bool = True) -> list[int]:
    """Return the positions of `entries`, each a name or a position, in `names`; a missing one raises if `strict`."""
    places: dict[str | int, list[int]] = {}
    for j, column in enumerate(names):
        places.setdefault(column, []).append(j)
        places[j] = [j]
    missing = [entry for entry in entries if entry not in places]
    if missing and strict:
        raise missing_columns(missing, names, name)
    return [j for entry in entries for j in places.get(entry, [])]


def missing_columns(missing: Sequence[str | int], names: Sequence[str], name: str) -> DataError:
    """Return the error that says which columns are missing, and which there are."""
    guesses = [guess for entry in missing for guess in get_close_matches(str(entry), names, 1)]
    hint = f" (did you mean {listing(guesses)}?)" if guesses else ""
    return DataError(f"{name}: there is no column {listing(missing)}{hint}. It has: {listing(list(names), 20)}")


def refuse_twins(names: Sequence[str], name: str) -> None:
    """Raise if two of the columns `names` have the same name."""
    twins = [column for column, count in Counter(names).items() if count > 1]
    if twins:
        raise DataError(
            f"{name}: columns of the same name: {listing(twins)}. Give each column its own name, or leave them out with {drop_mend(twins)}"
        )
