"""Reports: one self-contained HTML page of what models do on held-out rows."""

from __future__ import annotations

from isthmus.reports.page import html, write_html

__all__ = ["html", "write_html"]
