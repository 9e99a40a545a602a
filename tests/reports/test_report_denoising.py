"""The page on a denoiser: figures of each way, the best, a middle and the worst picture, nothing unescaped."""

from __future__ import annotations

import numpy as np

from isthmus.reports.denoising import DenoisingReport, html, write_html
from isthmus.tasks.pictures.denoise_table import judge, median


def report(side: int = 48, count: int = 5, **more) -> DenoisingReport:
    random = np.random.default_rng(0)
    clean = [np.full((side, side, 1), 0.5, np.float32) for _ in range(count)]
    noisy = [(x + (i + 1) * 0.02 * random.normal(size=x.shape)).astype(np.float32) for i, x in enumerate(clean)]
    found = judge(clean, noisy, {"network": lambda xs: [median(x) for x in xs], "noisy": list}, [f"<{i}>" for i in range(count)])
    return DenoisingReport("A & B", "", {"noise": "<b>"}, found, **more)


def test_best_middle_and_worst_are_shown() -> None:
    made = report()
    assert [case.name for case in made.judgement.cases] == ["<0>", "<2>", "<4>"]
    page = html(made)
    assert "&lt;0&gt;: best" in page
    assert "&lt;4&gt;: worst" in page
    assert page.count("<figure") == 9
    assert "<b>" not in page.split("<dd>")[1].split("</dd>")[0]
    for row in made.judgement.figures:
        assert f"{row.psnr:.2f}" in page
    assert html(made) == page


def test_small_ones_few_ones_and_notes(tmp_path) -> None:
    page = write_html(report(8, 1, notes=["only one"]), tmp_path / "r.html").read_text()
    assert page.count("<img") == 3
    assert "only one" in page
    assert "SSIM</span>" not in page
    assert "&lt;0&gt;</h3>" in page
