"""The explorer's page in headless Chromium: how fast 100,000 points load and pan, and how soon a moved slider shows its picture.

    python benchmarks/explorer_page.py                       # fits two small models in a temporary folder, about two minutes
    python benchmarks/explorer_page.py --points 20000 --repeats 3

Chromium draws and lays together by the processor here (SwiftShader), on the same cores as the server: with a graphics card a frame costs
what the page's own scripts take of it, `frame_script_ms` (drawing by the processor is partly in it), and 60 frames a second leave 16.7 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing"]
FRAMES = 90
GOALS = {"load_s": 3.0, "slider_ms": 50.0}
PAN = """async (frames) => {
  const canvas = document.querySelector(".map-canvas"), box = canvas.getBoundingClientRect();
  const x = box.left + box.width / 2, y = box.top + box.height / 2, send = (type, at, to, buttons) =>
    to.dispatchEvent(new MouseEvent(type, { clientX: at, clientY: y, buttons, bubbles: true, view: window }));
  const frame = () => new Promise(requestAnimationFrame), took = [];
  send("mousemove", x, window, 0); send("mousedown", x, canvas, 1);
  for (let i = 0; i < 10; i++) { send("mousemove", x + i, window, 1); await frame(); }
  let before = performance.now();
  for (let i = 0; i < frames; i++) {
    send("mousemove", x + 60 * Math.sin(i / 10), window, 1); await frame();
    const now = performance.now(); took.push(now - before); before = now;
  }
  send("mouseup", x, window, 0);
  return took;
}"""
SLIDE = """async (moves) => {
  const input = document.querySelector("#view-sliders input[type=range]"), stage = document.querySelector("#view-sliders .stage img");
  const low = Number(input.min), high = Number(input.max), took = [];
  for (let i = 0; i < moves; i++) {
    const shown = new Promise((done) => stage.addEventListener("load", done, { once: true })), start = performance.now();
    input.value = String(low + (high - low) * (0.5 + 0.45 * Math.sin(i * 1.7)));
    input.dispatchEvent(new Event("input", { bubbles: true }));
    await shown; await new Promise(requestAnimationFrame);
    took.push(performance.now() - start);
  }
  return took;
}"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5, help="loads of the page, and rounds of panning and sliding")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser.parse_args()


def isthmus(*words: object) -> list[str]:
    return [sys.executable, "-u", "-m", "isthmus", *map(str, words)]


def fit(folder: Path, points: int) -> None:
    """Numbers in ten groups, and pictures of a bright bar that turns; a model for each."""
    random = np.random.default_rng(0)
    centres = random.normal(0, 4, (10, 8))
    labels = random.integers(0, 10, points)
    np.save(folder / "numbers.npy", (centres[labels] + random.normal(0, 1, (points, 8))).astype(np.float32))
    np.save(folder / "labels.npy", labels)
    turn, off = random.uniform(0, np.pi, 3000)[:, None, None], random.uniform(-6, 6, 3000)[:, None, None]
    y, x = np.mgrid[-13.5:14, -13.5:14]
    distance = np.abs(x * np.cos(turn) + y * np.sin(turn) - off)
    np.save(folder / "pictures.npy", np.clip(2.5 - distance, 0, 1)[..., None].astype(np.float32))
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run(isthmus("fit", "numbers.npy", "--latent", 4, "--steps", 200, "--out", "numbers"), **quiet)
    subprocess.run(
        isthmus("fit", "pictures.npy", "--family", "variational", "--network", "conv", "--latent", 8, "--steps", 200, "--out", "pictures"),
        **quiet,
    )
    subprocess.run(isthmus("explore", "pictures", "pictures.npy", "--export", "page.html"), **quiet)


class MainThread:
    """Processor time of the page's main thread, where its scripts run: what neither a busy machine nor the drawing changes."""

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def milliseconds(self) -> float:
        metrics = {entry["name"]: entry["value"] for entry in self.session.send("Performance.getMetrics")["metrics"]}
        return 1000 * metrics["TaskDuration"]


@contextmanager
def served(folder: Path, *words: object) -> Iterator[str]:
    """Run ``isthmus explore`` and give its address."""
    command = isthmus("explore", *words, "--no-open")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder) as server:
        assert server.stdout is not None
        try:
            yield next(found.group(0) for line in server.stdout if (found := re.search(r"http://\S+", line)))
        finally:
            server.terminate()


def opened(browser: Browser, address: str, points: int | None = None) -> tuple[Page, float]:
    """Open a page of its own context; the seconds until all points are drawn."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    start = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(
        f'html[data-ready="map"] .plot[data-drawn{"" if points is None else f"={json.dumps(str(points))}"}]', timeout=120_000
    )
    return page, time.perf_counter() - start


def loading(browser: Browser, address: str, points: int, repeats: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"load_s": [], "frames_per_second": [], "frame_script_ms": []}
    for _ in range(repeats):
        page, seconds = opened(browser, address, points)
        page.wait_for_timeout(500)
        found["load_s"].append(seconds)
        thread = MainThread(page)
        before = thread.milliseconds()
        found["frames_per_second"].append(1000 / statistics.median(page.evaluate(PAN, FRAMES)))
        found["frame_script_ms"].append((thread.milliseconds() - before) / (FRAMES + 10))
        page.context.close()
    return found


def sliding(browser: Browser, address: str, repeats: int) -> list[float]:
    page, _ = opened(browser, address)
    page.click("#tab-sliders")
    page.wait_for_selector("#view-sliders .stage img")
    page.wait_for_timeout(3000)
    found = [value for _ in range(repeats) for value in page.evaluate(SLIDE, 40)]
    page.context.close()
    return found


def measure(options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    fit(folder, options.points)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=options.chromium, args=FLAGS)
        with served(folder, "numbers", "numbers.npy", "--labels", "labels.npy") as address:
            found = loading(browser, address, options.points, options.repeats)
        with served(folder, "pictures", "pictures.npy") as address:
            found["slider_ms"] = sliding(browser, address, options.repeats)
        found["slider_in_file_ms"] = sliding(browser, (folder / "page.html").as_uri(), options.repeats)
        browser.close()
    return found


def told(found: dict[str, list[float]]) -> Iterator[str]:
    for name, values in found.items():
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
        goal = f"   goal <= {GOALS[name]:g}" if name in GOALS else ""
        yield f"{name:<20} median {middle:7.2f}   5-95 % {low:7.2f} to {high:7.2f}   n {len(values):3d}{goal}"


def main() -> None:
    options = arguments()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = measure(options, Path(folder))
    print(f"{options.points:,} points, {len(os.sched_getaffinity(0))} cores, Chromium drawing by SwiftShader")
    print("\n".join(told(found)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
