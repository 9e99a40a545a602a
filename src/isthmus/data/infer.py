"""What each column of a mixed table is, proposed by what was seen of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from isthmus.data import dates
from isthmus.data.checks import drop_mend, kind_mend
from isthmus.data.facts import MOST_TEXTS, Facts, Gathered, label
from isthmus.data.kinds import Column, ColumnKind
from isthmus.data.sniff import is_number
from isthmus.errors import ConfigError, DataError

# Beside the interquartile range: the middle 99 % of a normal distribution are 3.8 of it wide, of a Laplace distribution 6.6.
HEAVY_TAILS = 8.0
FARTHEST = 100.0
FEW = 20
_SIGNED = re.compile(r"[+-]?\s*[$€£¥]?\s*\d+(?:[.,'\u202f\xa0 ]\d+)*\s*(?:[%$€£¥]|EUR|USD)?")
_ID = re.compile(r"(?:^|[_\W]|(?<=[a-z]))(?:id|uuid|guid|index)$", re.IGNORECASE)


def propose(gathered: Gathered, kinds: Mapping[str, ColumnKind], name: str) -> tuple[Column, ...]:
    """Return what each column is.

    Parameters
    ----------
    gathered : Gathered
        What was seen.
    kinds : mapping of str to str
        What is already decided of some columns.
    name : str
        What messages call the data.

    Returns
    -------
    tuple of Column

    Raises
    ------
    DataError
        If a column holds numbers (or dates) among texts, or dates of two formats.
    ConfigError
        If a column cannot be of the kind that was decided.
    """
    return tuple(_column(facts, kinds.get(facts.name), name) for facts in gathered.columns)


def _column(facts: Facts, kind: ColumnKind | None, name: str) -> Column:
    column = _given(facts, kind, name) if kind else _proposed(facts, name)
    gaps = f", {100 * facts.missing / max(1, facts.rows):.3g} % missing" if facts.missing else ""
    return replace(column, note=column.note + gaps)


def _proposed(facts: Facts, name: str) -> Column:
    if not facts.present:
        return Column(facts.name, "constant", type=facts.type, note="no value")
    if facts.type == "text":
        return _text(facts, name)
    if facts.low == facts.high:
        note = f"always {facts.low:g}" if facts.type != "date" else "always the same date"
        return Column(facts.name, "constant", (label(facts.low),), facts.type, facts.whole, note=note)
    if facts.type == "boolean":
        return Column(facts.name, "boolean", type="boolean", note="true and false")
    return _date(facts) if facts.type == "date" else _number(facts)


def _date(facts: Facts) -> Column:
    return Column(facts.name, "date", type="date", whole=facts.whole, note=_range(facts))


def _number(facts: Facts) -> Column:
    told = _range(facts)
    make = _maker(facts, told)
    if facts.present >= FEW and facts.whole and facts.all_different and (facts.counts_rows or _ID.search(facts.name)):
        return make("identifier", note=f"{told}, no number twice")
    if facts.whole and (facts.low, facts.high) == (0, 1):
        return make("category", ("0", "1"), note="0 and 1")
    if _is_count(facts):
        return make("count")
    return make("heavy" if _is_heavy(facts) else "number")


def _maker(facts: Facts, told: str) -> Callable[..., Column]:
    def make(kind: ColumnKind, categories: Sequence[str] = (), note: str = told, **more: Any) -> Column:
        digits = facts.decimals if kind in ("number", "heavy") else None
        return Column(facts.name, kind, tuple(categories), facts.type, facts.whole, digits, note=note, **more)

    return make


def _is_count(facts: Facts) -> bool:
    """Say whether numbers are whole, begin at 0 or 1, and lean to the right."""
    if not (facts.whole and 0 <= facts.low <= 1 and facts.high < 1e9):
        return False
    middle = facts.quantiles[2]
    return bool(facts.high - middle > 1.5 * (middle - facts.low))


def _is_heavy(facts: Facts) -> bool:
    least, low, middle, high, most = facts.quantiles / 2
    spread = high - low
    far = max(facts.high / 2 - middle, middle - facts.low / 2)
    if facts.present < FEW:
        return bool(spread > 0 and far > FARTHEST * spread)
    return bool(most - least > HEAVY_TAILS * spread or far > FARTHEST * spread)


def _text(facts: Facts, name: str) -> Column:
    if len(facts.texts) == 1 and not facts.over:
        text = next(iter(facts.texts))
        return Column(facts.name, "constant", (text,), "text", note=f"always {text!r}"[:60])
    if facts.declared:
        return _category(facts)
    total = facts.present
    numbers = _share(facts, is_number)
    if numbers == total:
        return _numbers_as_text(facts)
    forms = {text: dates.form(text) for text in facts.texts}
    dated = _share(facts, lambda text: bool(forms[text]))
    if dated == total and not facts.over:
        return _dates_as_text(facts, forms, name)
    if 2 * numbers >= total or _mostly(facts, is_number):
        raise _mixed(facts, "numbers", is_number, name)
    if 2 * dated >= total or _mostly(facts, lambda text: bool(forms[text])):
        raise _mixed(facts, "dates", lambda text: bool(forms[text]), name)
    found = _named(facts)
    also = (
        f"; numbers in {100 * numbers / total:.3g} % of rows"
        if numbers
        else f"; dates in {100 * dated / total:.3g} % of rows"
        if dated
        else ""
    )
    signs = "; they look like numbers with signs: write them plainly" if 2 * _share(facts, _is_signed) > total and not numbers else ""
    return replace(found, note=found.note + also + signs)


def _named(facts: Facts) -> Column:
    """Return a column of text that is nothing but text: an identifier if nearly each row has its own, a category otherwise."""
    if facts.over or (len(facts.texts) > FEW and 2 * len(facts.texts) > facts.present):
        told = f"{len(facts.texts):,} or more" if facts.over else f"{len(facts.texts):,}"
        return Column(facts.name, "identifier", type="text", note=f"{told} different texts in {facts.present:,} rows")
    return _category(facts)


def _is_signed(text: str) -> bool:
    """Say whether a text is a number with a currency, a unit of one sign, or a sign between thousands."""
    return bool(_SIGNED.fullmatch(text.strip()))


def _mostly(facts: Facts, known: Callable[[str], bool]) -> bool:
    """Say whether most of many different texts are known: a few words that stand for nothing do not make a column one of text."""
    count = sum(map(known, facts.texts))
    return count > FEW and 2 * count > len(facts.texts)


def _share(facts: Facts, known: Callable[[str], bool]) -> int:
    return sum(entry[0] for text, entry in facts.texts.items() if known(text))


def _mixed(facts: Facts, what: str, known: Callable[[str], bool], name: str) -> DataError:
    text, (_, row) = next((text, entry) for text, entry in facts.texts.items() if not known(text))
    count = sum(entry[0] for text, entry in facts.texts.items() if not known(text))
    rows = "most rows" if 2 * count <= facts.present else f"{_share(facts, known)} rows"
    return DataError(
        f"{name}: column {facts.name!r} mixes types: {what} in {rows}, but in {count} rows none, such as {text[:40]!r} in row {row} "
        f"(counted from 0). Mend or empty those cells, leave the column out with {drop_mend([facts.name])}, or take it as text with "
        f"{kind_mend(facts.name, 'category')}"
    )


def _numbers_as_text(facts: Facts) -> Column:
    if any(re.fullmatch(r"0\d+", text.strip()) for text in facts.texts):
        return _named(facts)
    seen = _as_seen(facts, lambda text: float(text))
    return replace(_proposed(seen, ""), type="text", note="numbers written as text")


def _as_seen(facts: Facts, value: Callable[[str], float]) -> Facts:
    """Return the facts of the values that texts stand for."""
    seen = Facts(facts.name, "number")
    values = np.array([value(text) for text in facts.texts], np.float64)
    seen.look(np.repeat(values, [min(entry[0], 1 + MOST_TEXTS // len(values)) for entry in facts.texts.values()]), ())
    return seen


def _dates_as_text(facts: Facts, forms: Mapping[str, str], name: str) -> Column:
    order = dates.order_of(list(facts.texts)) if "numbers" in forms.values() else ""
    unsure = next((text for text, found in forms.items() if found == "numbers"), "")
    other = next((text for text, found in forms.items() if found != "numbers"), "")
    if order == "both" or (unsure and other and not order):
        raise _two_formats(facts, unsure, other, name)
    note = f"{next(iter(facts.texts))!r} ..."
    if unsure and not order:
        order, note = "dmy", f"{note}; no day above 12 tells day and month apart: taken as day, month, year"
    wrong = [text for text in facts.texts if np.isnan(dates.parse(text, order))]
    if wrong:
        raise DataError(
            f"{name}: column {facts.name!r} holds dates, but {wrong[0]!r} in row {facts.texts[wrong[0]][1]} (counted from 0) is none. "
            f"Mend or empty that cell, or take the column as text with {kind_mend(facts.name, 'category')}"
        )
    seconds = [dates.parse(text, order) for text in facts.texts]
    if len(set(seconds)) == 1:
        return Column(facts.name, "constant", type="text", note="always the same date")
    return Column(facts.name, "date", type="text", whole=all(at % dates.DAY == 0 for at in seconds), format=order, note=note)


def _two_formats(facts: Facts, unsure: str, other: str, name: str) -> DataError:
    if not other:
        unsure = next(text for text in facts.texts if dates.order_of([text]) == "dmy")
        other = next(text for text in facts.texts if dates.order_of([text]) == "mdy")
    rows = [facts.texts[text][1] for text in (unsure, other)]
    return DataError(
        f"{name}: column {facts.name!r} holds dates in two formats, {unsure!r} in row {rows[0]} and {other!r} in row {rows[1]} (counted "
        "from 0), and which number is the day cannot be told. Write all of them as YYYY-MM-DD, or leave the column out with "
        f"{drop_mend([facts.name])}"
    )


def _category(facts: Facts) -> Column:
    ordered = sorted(facts.texts, key=lambda text: (-facts.texts[text][0], text))
    told = ", ".join(text.replace("\n", "\\n") for text in ordered[:4]) + (" ..." if len(ordered) > 4 else "")
    return Column(
        facts.name,
        "category",
        tuple(ordered),
        facts.type,
        facts.whole and facts.type != "text",
        note=f"{len(ordered):,} categories: {told}"[:80],
    )


def _seen(facts: Facts) -> str:
    """Say what was seen of a column whose kind is given."""
    if facts.type == "text":
        return f"{len(facts.texts):,}{' or more' if facts.over else ''} different texts, as given"
    if facts.type == "boolean":
        return "true and false, as given"
    return f"{_range(facts)}, as given"


def _range(facts: Facts) -> str:
    if facts.type != "date":
        return f"{facts.low:g} to {facts.high:g}"
    ends = dates.as_times(np.array([facts.low, facts.high]), facts.whole)
    return " to ".join(str(text)[:19] for text in np.datetime_as_string(ends))


def _given(facts: Facts, kind: ColumnKind, name: str) -> Column:
    """Return a column of a kind that was decided, where it can be of that kind."""
    if not facts.present:
        return Column(facts.name, "constant", type=facts.type, note="no value")
    if kind in ("identifier", "constant"):
        found = Column(facts.name, kind, type=facts.type)
    elif kind == "category":
        found = _category(facts)
    elif kind == "date":
        found = _given_date(facts, name)
    else:
        found = _given_boolean(facts, name) if kind == "boolean" else _given_number(facts, kind, name)
    return replace(found, note=_seen(facts))


def _refuse(facts: Facts, kind: str, why: str, name: str) -> ConfigError:
    return ConfigError(f"{name}: column {facts.name!r} cannot be of the kind {kind!r}: {why}. Give it another kind")


def _given_date(facts: Facts, name: str) -> Column:
    if facts.type == "date":
        return _date(facts)
    if facts.type == "text":
        forms = {text: dates.form(text) for text in facts.texts}
        if all(forms.values()):
            return replace(_dates_as_text(facts, forms, name), kind="date")
        raise _refuse(facts, "date", f"{next(text for text in forms if not forms[text])!r} is no date that is known", name)
    what = dates.counted(facts.low, facts.high) if facts.type == "number" else ""
    if not what:
        raise _refuse(facts, "date", f"numbers from {facts.low:g} to {facts.high:g} are no dates", name)
    return Column(facts.name, "date", type="number", whole=what == "ymd", format=what)


def _given_boolean(facts: Facts, name: str) -> Column:
    known = (facts.type == "text" and all(text.strip().lower() in TRUTHS for text in facts.texts)) or facts.type == "boolean"
    if known or (facts.type == "number" and facts.whole and facts.low >= 0 and facts.high <= 1):
        return Column(facts.name, "boolean", type=facts.type)
    raise _refuse(facts, "boolean", "it holds more than true and false, yes and no, or 1 and 0", name)


TRUTHS = {"true": 1.0, "yes": 1.0, "y": 1.0, "t": 1.0, "1": 1.0, "false": 0.0, "no": 0.0, "n": 0.0, "f": 0.0, "0": 0.0}


def _given_number(facts: Facts, kind: ColumnKind, name: str) -> Column:
    seen = facts
    if facts.type == "text":
        odd = next((text for text in facts.texts if not is_number(text)), None)
        if odd is not None:
            raise _refuse(facts, kind, f"{odd[:40]!r} in row {facts.texts[odd][1]} is no number", name)
        seen = _as_seen(facts, float)
    if kind == "count" and not (seen.whole and seen.low >= 0):
        raise _refuse(facts, kind, "it holds more than whole numbers from 0 on", name)
    if seen.low == seen.high:
        return Column(facts.name, "constant", type=facts.type)
    return Column(facts.name, kind, type=facts.type, whole=seen.whole, decimals=seen.decimals)
