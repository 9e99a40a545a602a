"""HTML from Python, as the reports use it."""

from __future__ import annotations

from isthmus.markup import DASH, Markup, cell, column, counted, join, number, tag, text, whole

__all__ = ["DASH", "Markup", "cell", "column", "counted", "join", "number", "tag", "text", "whole"]
