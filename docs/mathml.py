"""Formulas as MathML, which browsers draw themselves: pages need no script and no network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def _tidy(tex: str) -> str:
    """Put in the braces that TeX can do without and docutils cannot, and the space after a function's name."""
    tex = re.sub(r"\\(t?frac)\s*(\w)\s*(\w)", r"\\\1{\2}{\3}", tex)
    tex = re.sub(r"\\hat\s*(\\?\w+?)_", r"\\hat{\1}{}_", tex)
    return re.sub(r"\\(log|dim)\s+(?=\w)", r"\\\1\\,", tex)


def _inline(translator: Any, node: nodes.Node) -> None:
    translator.body.append(tex2mathml(_tidy(node.astext())))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.Node) -> None:
    translator.body.append(f'<div class="formula">{tex2mathml(_tidy(node.astext()), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx of the renderer."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
