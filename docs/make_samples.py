"""Draw two figures on real digits, by ``python docs/make_samples.py``.

``docs/figures/samples.png``: what ``sample`` gives with and without ``mean=True``; ``code_space.png``: a walk through the codes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from isthmus import VariationalAutoencoder  # noqa: E402

Array = NDArray[Any]
COLUMNS = 16
LIKELIHOODS = {"grey": {"likelihood": "gaussian"}, "levels": {"likelihood": "logistic_mixture"}, "black and white": {}}


def rows() -> dict[str, Array]:
    """Real rows, means and draws by what a strip shows, each of shape (COLUMNS, 8, 8)."""
    grey = load_digits().images / 16
    found: dict[str, Array] = {"real": grey[:COLUMNS]}
    for name, options in LIKELIHOODS.items():
        data = (grey > 0.5).astype(np.float32) if name == "black and white" else grey.astype(np.float32)
        # 16 grey levels are put on 8-bit steps, of which the discretised likelihood speaks.
        data = np.rint(data * 255) / 255 if name == "levels" else data
        model = VariationalAutoencoder(8, steps=3000, random_state=0, **options).fit(data)
        for mean in (True, False):
            told = f"{model.choices_['likelihood'].value}, {'mean=True' if mean else 'a draw'}"
            found[told] = model.sample(COLUMNS, random_state=1, mean=mean)
    return found


def walks() -> dict[str, Array]:
    """What the methods on codes give, each of shape (pictures, 8, 8)."""
    digits = load_digits().images / 16
    model = VariationalAutoencoder(8, steps=3000, random_state=0).fit(digits)
    units = model.traverse(digits, steps=COLUMNS, top=3)
    found = {f"traverse: unit {unit}": strip for unit, strip in zip(units.dimensions, units.rows)}
    for along in ("line", "decoder"):
        found[f"interpolate: along={along}"] = model.interpolate(digits[0], digits[9], COLUMNS, along=along)
    thick = digits.sum((1, 2)) > np.median(digits.sum((1, 2)))
    vector = model.attribute_vector(digits, thick)
    found["edit: thinner, thicker"] = model.edit(digits[3:4], vector, np.linspace(-1.5, 1.5, COLUMNS).tolist())[0]
    places = model.neighbours(digits[6:7], digits, COLUMNS)[0][0]
    found["neighbours: of the first"] = digits[places]
    found["cluster: centres"] = model.cluster(digits, COLUMNS).centres
    order = np.argsort(model.uncertainty(digits).rebuilt)
    found["uncertainty: surest"], found["uncertainty: least sure"] = digits[order[:COLUMNS]], digits[order[-COLUMNS:]]
    sums = [model.arithmetic(digits, [a, a + 10], [b])[0] for a, b in ((0, 3), (1, 4), (2, 5))]
    shown = [picture for (a, b), total in zip(((0, 3), (1, 4), (2, 5)), sums) for picture in (digits[a], digits[a + 10], digits[b], total)]
    return {**found, "arithmetic: a + b - c, thrice": np.stack(shown)}


def draw(strips: dict[str, Array], path: Path) -> None:
    """Write the strips one below the other."""
    figure = Figure(figsize=(9, 0.62 * len(strips)), dpi=110)
    FigureCanvasAgg(figure)
    for i, (name, pictures) in enumerate(strips.items()):
        axes: Any = figure.add_axes((0.22, 1 - (i + 1) / len(strips) + 0.01, 0.77, 0.9 / len(strips)))
        padded = [np.pad(picture, 1, constant_values=1.0) for picture in pictures]
        strip = np.concatenate([*padded, *[np.ones_like(padded[0])] * (COLUMNS - len(padded))], axis=1)
        axes.imshow(strip, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
        axes.set_axis_off()
        figure.text(0.01, 1 - (i + 0.5) / len(strips), name, va="center", size=9)
    figure.savefig(path)


if __name__ == "__main__":
    draw(rows(), HERE / "figures" / "samples.png")
    draw(walks(), HERE / "figures" / "code_space.png")
