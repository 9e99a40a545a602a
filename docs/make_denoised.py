"""Draw what a denoiser makes of photographs it does not know, by ``python docs/make_denoised.py MODEL``.

MODEL is the folder that ``benchmarks/denoise.py set12 --seconds 600 --save MODEL`` writes. The photographs are the two that come with
scikit-learn, grey, cut into pieces, with Gaussian noise of 25/255; ``docs/figures/denoised.png`` shows the piece on which the network's
PSNR is best, that in the middle, and the worst.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_sample_images

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from isthmus.artifact.restorer import Restorer  # noqa: E402
from isthmus.tasks.pictures.denoise_table import Judgement, judge, usual_methods  # noqa: E402
from isthmus.tasks.pictures.noises import make_noise, spoil  # noqa: E402

SIDE, LEVEL, SEED = 160, 25 / 255, 0
PLACES = ("best", "middle", "worst")


def pieces() -> list[np.ndarray]:
    """Parts of the photographs, shape (SIDE, SIDE, 1)."""
    grey = [picture.mean(2).round().astype(np.uint8)[..., None] for picture in load_sample_images().images]
    return [g[top : top + SIDE, left : left + SIDE] for g in grey for top in (0, 160) for left in (0, 160, 320, 480)]


def judged(model: Restorer) -> Judgement:
    """The network beside older ways."""
    clean = pieces()
    return judge(clean, spoil(clean, make_noise("gaussian", LEVEL), SEED), {"network": model, **usual_methods(LEVEL)})


def draw(found: Judgement, path: Path) -> None:
    """Three rows: noisy, median, non-local means, network, clean."""
    names = ("noisy", "median 3 x 3", "non-local means", "network", "clean")
    figure = Figure(figsize=(11, 7.2), layout="constrained")
    axes = figure.subplots(len(PLACES), len(names))
    for row, (place, case) in enumerate(zip(PLACES, found.cases)):
        for column, name in enumerate(names):
            axis, pixels = axes[row, column], case.clean if name == "clean" else case.found[name]
            axis.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=1)
            axis.set_title(name if name == "clean" else f"{name}: {case.psnr[name]:.1f} dB", fontsize=9)
            axis.set_xticks([])
            axis.set_yticks([])
        axes[row, 0].set_ylabel(place, fontsize=10)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("L").quantize(64).save(path, optimize=True)


def main() -> None:
    found = judged(Restorer.load(sys.argv[1]))
    for row in found.figures:
        print(f"{row.method:18} {row.psnr:.2f} dB   SSIM {row.ssim:.3f}")
    draw(found, HERE / "figures" / "denoised.png")


if __name__ == "__main__":
    main()
