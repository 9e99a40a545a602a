"""How the documentation is built: ``python -m sphinx -W -b html docs docs/_build``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import make_tables  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

from isthmus import __version__  # noqa: E402

project = "isthmus"
author = "the isthmus authors"
copyright = "the isthmus authors"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "mathml",
]
exclude_patterns = ["_build", "api/*.inc"]
templates_path = ["_templates"]
default_role = "autolink"
nitpicky = False
smartquotes_action = "qe"  # not dashes: help texts name flags

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
# Every check of numpydoc but those that would make a one-line helper longer than its code: extended summary, See Also,
# and sections on helpers whose one sentence already says it all. tests/house/test_docstrings.py asks more of what is exported.
numpydoc_validation_checks = {"all", "ES01", "EX01", "PR01", "PR03", "PR07", "RT01", "RT03", "SA01", "YD01"}
# Their parameters are written from the settings' own help, which is in another style.
numpydoc_validation_exclude = {r"\.estimators\."}

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"isthmus {version}"
html_static_path = ["_static"]
html_css_files = ["isthmus.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


def without_routing(app: object, what: str, name: str, *rest: object) -> bool | None:  # noqa: ARG001
    """Leave out what scikit-learn adds to estimators for the routing of metadata: its text refers to its own pages."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def setup(app: Sphinx) -> None:
    """Write the tables that are made from the code itself."""
    app.connect("autodoc-skip-member", without_routing)
    make_tables.write(HERE / "api")
