"""Estimators in notebooks: scikit-learn's diagram of the parameters, and below it what was fitted."""

from __future__ import annotations

from typing import Any, cast

from isthmus.markup import Markup, whole
from isthmus.notebook import card

_HIDDEN = ("isthmus", "digest", "fingerprint", "command", "figures", "training", "notes", "density", "reading", "condition")


class Shown:
    """Adds what was fitted to scikit-learn's HTML; must stand before ``BaseEstimator`` among the bases."""

    def _repr_html_inner(self) -> str:
        return cast("Any", super())._repr_html_inner() + self._card()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        bundle: dict[str, str] = cast("Any", super())._repr_mimebundle_(**options)
        return {kind: content + self._card() if kind == "text/html" else content for kind, content in bundle.items()}

    def _card(self) -> str:
        """Return what was fitted, or nothing before `fit`."""
        for name in ("artifact_", "detector_", "restorer_"):
            if name in vars(self):
                return _fitted(vars(self)[name], type(self).__name__)
        return ""


def _fitted(found: Any, name: str) -> Markup:
    facts: dict[str, Any] = found.facts
    told = {key: _told(value) for key, value in facts.items() if key not in _HIDDEN and isinstance(value, (str, int, float))}
    told |= {key: _told(value) for part in ("figures", "training") for key, value in facts.get(part, {}).items()}
    model = getattr(found, "model", None)
    if model is not None:
        told = {"code width": whole(model.latent - model.condition), **told}
    rows: list[dict[str, float]] = found.history.rows if hasattr(found, "history") else []
    return card(f"{name}, fitted", told, rows)


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
