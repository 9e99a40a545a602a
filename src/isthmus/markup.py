"""HTML from Python with escaping as the default, and numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

DASH = "—"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
VOID = frozenset({"br", "hr", "img", "meta"})
# HTML forbids these control characters even as references.
UNPRINTABLE = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160)), "�")


class Markup(str):
    """Text that is HTML already and must not be escaped again."""

    __slots__ = ()

    def __add__(self, other: str) -> Markup:
        """Append `other`, escaped unless it is `Markup`."""
        return Markup(str.__add__(self, text(other)))


def text(value: object) -> Markup:
    """Escape `value` for use as text or as an attribute, unless it is `Markup`.

    Parameters
    ----------
    value : object
        Shown as ``str(value)``; what cannot stand in a UTF-8 HTML file becomes U+FFFD.

    Returns
    -------
    Markup

    Examples
    --------
    >>> text("<b>")
    '&lt;b&gt;'
    """
    if isinstance(value, Markup):
        return value
    encodable = str(value).encode("utf-8", "replace").decode("utf-8")
    return Markup(escape(encodable.translate(UNPRINTABLE)))


def join(parts: Iterable[object]) -> Markup:
    """Put parts one after another, escaping those that are not `Markup`."""
    return Markup("".join(text(part) for part in parts))


def _attribute(name: str, value: object) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(value)}"'


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Build one HTML or SVG element; children and attribute values are escaped unless they are `Markup`.

    Parameters
    ----------
    name : str
        Element name.
    *children : object
        Contents.
    **attributes : object
        ``class_`` stands for ``class`` and ``data_x`` for ``data-x``; ``True`` is a bare attribute, ``None`` and ``False`` leave it out.

    Returns
    -------
    Markup

    Examples
    --------
    >>> tag("p", "1 < 2", class_="note")
    '<p class="note">1 &lt; 2</p>'
    """
    head = name + "".join(_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False)
    return Markup(f"<{head}>") if name in VOID else Markup(f"<{head}>{join(children)}</{name}>")


def number(value: float, digits: int = 3) -> str:
    """Write a number with `digits` significant figures.

    Parameters
    ----------
    value : float
        Any number; NaN becomes an em dash.
    digits : int
        Significant figures.

    Returns
    -------
    str

    Examples
    --------
    >>> number(0.012345), number(1234567.0), number(float("nan"))
    ('0.0123', '1.23×10⁶', '—')
    """
    if math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -5 < power < 6:
        shown = f"{float(f'{mantissa}e{power}'):,.{max(0, digits - 1 - power)}f}"
    else:
        shown = f"{mantissa}×10{str(power).translate(SUPERSCRIPT)}"
    return shown.replace("-", "−")


def whole(value: float) -> str:
    """Write a whole number with thousands separated, or `number` where it is not whole."""
    return f"{int(value):,}".replace("-", "−") if abs(value) < 1e15 and value == int(value) else number(value)


def column(values: list[float]) -> list[str]:
    """Write the numbers of one table column alike: whole ones as such when all are whole, otherwise with 3 significant figures."""
    finite = [value for value in values if math.isfinite(value)]
    write = whole if finite and all(value == int(value) and abs(value) < 1e6 for value in finite) else number
    return [write(value) for value in values]


def cell(value: object) -> str:
    """Write a table cell of any kind: numbers with 3 significant figures, missing values as a dash, the rest as it is."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return whole(float(value)) if isinstance(value, (int, float)) else str(value)


def counted(many: int, one: str, several: str | None = None) -> str:
    """Write a count with its noun, such as ``1 row`` or ``3 rows``."""
    return f"{many:,} {one if many == 1 else several or one + 's'}"
