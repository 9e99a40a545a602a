"""The explorer's page as a person uses it: headless Chromium against the running command."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine

from isthmus.artifact import Artifact
from isthmus.data import read
from isthmus.tasks.config import Config
from isthmus.tasks.fit import fit

sync_api = pytest.importorskip("playwright.sync_api", reason="the page is tested in a browser: install playwright")
pytest.importorskip("starlette", reason="needs isthmus[explorer]")

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing"]
LINK = re.compile(r"http://\S+")
WAIT = 60_000
ROWS = 400


def chromium() -> str | None:
    return next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


def isthmus(*words: object) -> list[str]:
    return [sys.executable, "-u", "-m", "isthmus", *map(str, words)]


@contextmanager
def running(folder: Path, *words: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a command that serves a page, and give the address it prints."""
    log = folder / f"{words[0]}-{words[1]}.log"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    with log.open("w") as out, subprocess.Popen(isthmus(*words), stdout=out, stderr=out, text=True, cwd=folder, env=environment) as server:
        try:
            yield address(log, server), server
        finally:
            server.terminate()
            server.wait(20)


def address(log: Path, server: subprocess.Popen[str]) -> str:
    while not (found := LINK.search(log.read_text())):
        assert server.poll() is None, log.read_text()
        try:
            server.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    return found.group(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, digits) -> Path:
    """Small models: pictures with labels, and a table with a category."""
    folder = tmp_path_factory.mktemp("explorer")
    found = load_digits()
    np.save(folder / "digits.npy", np.rint(digits[:ROWS] * 255).astype(np.uint8))
    np.save(folder / "labels.npy", found.target[:ROWS])
    wine = load_wine(as_frame=True)
    wine.data.assign(grower=[f"grower {t}" for t in wine.target]).to_csv(folder / "wine.csv", index=False)
    for data, latent, steps in (("digits.npy", 4, 500), ("wine.csv", 2, 150)):
        source = read(folder / data)
        fit(source, Config(family="variational", latent=latent, steps=steps, seed=0)).save(folder / Path(data).stem)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        pytest.skip("the page is tested in a browser: no Chromium here")
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def digits_at(folder) -> Iterator[str]:
    with running(folder, "explore", "digits", "digits.npy", "--labels", "labels.npy", "--no-open") as (found, _):
        yield found


Opener = Callable[..., Any]


@pytest.fixture
def opened(browser) -> Iterator[Opener]:
    """Open pages; in the end insist that none of them failed or asked any other host."""
    contexts, wrong, asked = [], [], set()

    def go(link: str, ready: str = "map", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: asked.add(re.sub(r"^(https?://[^/]*|[a-z]+:).*", r"\1", request.url, flags=re.S)))
        page.goto(link)
        if ready:
            page.wait_for_selector(f"html[data-ready={ready}]")
        return page

    yield go
    for context in contexts:
        context.close()
    assert [text for text in wrong if "ERR_CONNECTION_REFUSED" not in text] == []
    assert {host for host in asked if not re.match(r"http://127\.0\.0\.1:\d+$|data:|blob:|file:", host)} == set()


def middle(page: Any) -> tuple[float, float]:
    box = page.locator(".map-canvas").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def circle(page: Any, radius: float) -> None:
    """Draw a circle with the mouse around the middle of the map."""
    x, y = middle(page)
    page.mouse.move(x + radius, y)
    page.mouse.down()
    for step in range(1, 25):
        angle = 2 * math.pi * step / 24
        page.mouse.move(x + radius * math.cos(angle), y + radius * math.sin(angle))
        page.wait_for_timeout(15)
    page.mouse.up()


def choose(page: Any, row: int) -> None:
    """Go to a row by its number."""
    page.fill("input[aria-label='Go to row']", str(row))
    page.press("input[aria-label='Go to row']", "Enter")
    page.wait_for_function(f"document.querySelector('.point-head h2')?.textContent === 'Row {row}'")


def moved(page: Any, slider: Any, change: Callable[[Any], None], watched: str) -> None:
    """Change a slider and wait until what is decoded has been shown anew."""
    before = page.locator(watched).get_attribute("data-decoded")
    change(slider)
    page.wait_for_function("([at, before]) => document.querySelector(at).dataset.decoded !== before", arg=[watched, before])


def count(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def test_the_map_shows_every_point_and_the_first_row(opened, digits_at) -> None:
    page = opened(digits_at)
    assert "token" not in page.url
    page.wait_for_selector(f'.plot[data-drawn="{ROWS}"]')
    assert sum(count(text) for text in page.locator(".legend small").all_inner_texts()) == ROWS
    page.wait_for_selector(".point-head")
    assert page.locator(".three img").count() == 3
    assert page.locator(".view .rows .row").count() == 8
    page.wait_for_selector(".facts dd")
    page.reload()
    page.wait_for_selector("html[data-ready=map]")


def test_hovering_shows_the_picture(opened, digits_at) -> None:
    page = opened(digits_at)
    page.wait_for_selector('.marker[style*="translate"]')
    x, y = (float(part) for part in re.findall(r"[-\d.]+(?=px)", page.locator(".marker").first.get_attribute("style"))[:2])
    box = page.locator(".map-canvas").bounding_box()
    page.mouse.move(box["x"] + x - 4, box["y"] + y)
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.wait_for_selector(".tip:not([hidden]) .tile")
    assert "row" in page.inner_text(".tip")


def test_a_lasso_selects_and_two_groups_edit_a_point(opened, digits_at) -> None:
    page = opened(digits_at)
    page.wait_for_selector(f'.plot[data-drawn="{ROWS}"]')
    page.click("button[data-value=lasso]")
    circle(page, 120)
    page.wait_for_selector(".chosen:not([hidden])")
    selected = count(page.inner_text(".chosen b"))
    assert 0 < selected < ROWS
    assert count(page.inner_text("#view-point h2 >> nth=0")) == selected
    page.click(".chosen button:has-text('Group A')")
    page.click(".legend button >> nth=1")
    page.click(".chosen button:has-text('Group B')")
    page.wait_for_selector("#view-walk .edit[data-decoded]")
    assert "standard deviations apart" in page.inner_text("#view-walk")
    strength = page.locator("input[aria-label='Strength of the attribute']")
    edited = page.locator("#view-walk .edit img >> nth=1")
    before = edited.get_attribute("src")
    moved(page, strength, lambda one: one.press("End"), "#view-walk .edit")
    assert edited.get_attribute("src") != before


def test_sliders_decode_as_they_move(opened, digits_at) -> None:
    page = opened(digits_at)
    page.click("#tab-sliders")
    stage = "#view-sliders .frame-content"
    page.wait_for_selector(f"{stage}[data-decoded]")
    pixels = f"""() => {{ const c = document.createElement('canvas'); c.width = c.height = 8; const pen = c.getContext('2d');
      pen.drawImage(document.querySelector('{stage} img'), 0, 0); return [...pen.getImageData(0, 0, 8, 8).data]; }}"""
    first, slider = page.evaluate(pixels), page.locator("#view-sliders input[type=range]").first
    carried = [float(text.split()[0]) for text in page.locator("#view-sliders .slider small").all_inner_texts()]
    assert carried == sorted(carried, reverse=True)
    moved(page, slider, lambda one: one.press("End"), stage)
    page.wait_for_function(f"document.querySelector('{stage} img').complete")
    assert np.abs(np.subtract(page.evaluate(pixels), first)).max() > 10
    value = page.inner_text("#view-sliders output >> nth=0")
    moved(page, slider, lambda one: one.press("ArrowLeft"), stage)
    assert page.inner_text("#view-sliders output >> nth=0") != value
    moved(page, slider, lambda _: page.click("text=Random sample"), stage)
    assert "random sample" in page.inner_text("#view-sliders .note")
    moved(page, slider, lambda _: page.click("text=A draw"), stage)
    moved(page, slider, lambda _: page.click("text=Reset"), stage)


def test_a_walk_is_a_strip_and_plays(opened, digits_at) -> None:
    page = opened(digits_at)
    for row, button in ((3, "Walk from here"), (7, "Walk to here")):
        choose(page, row)
        page.click(f"text={button}")
        page.click("#tab-point")
    page.click("#tab-walk")
    page.wait_for_selector("#view-walk .strip[data-steps='9']")
    assert page.locator("#view-walk .strip img").count() == 9
    assert len({image.get_attribute("src") for image in page.locator("#view-walk .strip img").all()}) > 5
    assert page.locator(".marker.named").count() == 2
    shown = page.locator("#view-walk .stage img")
    first = shown.get_attribute("src")
    page.click("text=Play")
    page.wait_for_function("(first) => document.querySelector('#view-walk .stage img').src !== first", arg=first)
    page.click("text=Pause")
    page.click("#view-walk button[data-value='17']")
    page.wait_for_selector("#view-walk .strip[data-steps='17']")


def test_a_threshold_tells_false_alarms_and_what_changes(opened, digits_at) -> None:
    page = opened(digits_at)
    page.click("#tab-anomalies")
    page.wait_for_selector("#view-anomalies .tile strong")
    texts = page.locator("#view-anomalies .score").all_text_contents()
    scores = [float(text.split("p")[0].replace(",", "").replace("−", "-")) for text in texts]
    assert scores == sorted(scores, reverse=True)
    flagged, alarms = (float(text.replace(",", "")) for text in page.locator("#view-anomalies .tile strong").all_inner_texts())
    assert page.locator("#view-anomalies .row.flagged").count() == flagged
    slider = page.locator("input[aria-label='Threshold on the score']")
    for _ in range(3):
        slider.press("PageDown")
    more = count(page.locator("#view-anomalies .tile strong").first.inner_text())
    assert more > flagged
    assert float(page.locator("#view-anomalies .tile strong >> nth=1").inner_text().replace(",", "")) > alarms
    assert page.inner_text("#view-anomalies .change") == f"{more - int(flagged)} rows more would be flagged."
    assert "newly flagged" in page.inner_text(".legend")
    row = page.locator("#view-anomalies .list .row").first
    row.focus()
    row.press("ArrowDown")
    assert page.evaluate("document.activeElement === document.querySelectorAll('#view-anomalies .list .row')[1]")


def test_it_is_used_with_the_keyboard(opened, digits_at) -> None:
    page = opened(digits_at)
    page.wait_for_selector(".point-head")
    page.focus(".map-canvas")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.point-head h2').textContent !== 'Row 0'")
    page.keyboard.press("1")
    assert page.locator(".marker.named").count() == 1
    page.focus("#tab-point")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#tab-sliders", "aria-selected") == "true"
    nameless = (
        "[...document.querySelectorAll('button, input, select')].filter((e) => !(e.ariaLabel || e.textContent || e.labels?.length)).length"
    )
    assert page.evaluate(nameless) == 0


def test_without_webgl_all_but_the_map_works(browser, digits_at) -> None:
    page = browser.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(digits_at)
    page.wait_for_selector(".point-head")
    assert "WebGL" in page.inner_text(".map")
    choose(page, 5)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_reads_it_light_and_dark(opened, digits_at, scheme) -> None:
    page = opened(digits_at, viewport={"width": 390, "height": 844}, color_scheme=scheme, is_mobile=True, has_touch=True)
    for tab in ("sliders", "walk", "anomalies", "point"):
        page.tap(f"#tab-{tab}")
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(251, 250, 247)") == (scheme == "light")
    page.tap(".theme")
    page.tap(".theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_table_is_a_card_of_columns(opened, folder) -> None:
    with running(folder, "explore", "wine", "wine.csv", "--no-open") as (link, server):
        page = opened(link)
        page.wait_for_selector("#view-point .compared tbody tr")
        assert page.locator("#view-point .compared tbody tr").count() == 14
        assert "grower" in page.inner_text("#view-point .compared")
        page.select_option(".tools select", "alcohol")
        page.wait_for_selector(".legend .ramp")
        page.click("text=Highest tenth")
        assert 0 < count(page.inner_text(".chosen b")) < 40
        server.terminate()
        server.wait(20)
        page.click("#tab-sliders")
        page.wait_for_selector(".banner:not([hidden])")
        assert "does not answer" in page.inner_text(".banner")


def test_a_wrong_token_is_told_in_words(browser, digits_at) -> None:
    page = browser.new_page()
    page.goto(digits_at.split("token=")[0] + "token=wrong")
    page.wait_for_selector(".failed")
    assert "token" in page.inner_text(".failed")
    page.close()


@pytest.fixture(scope="module")
def files(folder, table) -> dict[str, Path]:
    """Exported pages: pictures by the command, a table of every kind of column by its function."""
    pytest.importorskip("onnx")
    from isthmus.explorer.page import write

    words = ("digits", "digits.npy", "--labels", "labels.npy", "--export", "digits.html")
    subprocess.run(isthmus("explore", *words), check=True, cwd=folder, capture_output=True)
    write(table, folder / "people.html")
    return {name: folder / f"{name}.html" for name in ("digits", "people")}


@pytest.mark.parametrize("name", ["digits", "people"])
def test_an_exported_page_works_from_disk_without_a_network(opened, files, name) -> None:
    assert files[name].stat().st_size < 15e6
    page = opened(files[name].as_uri(), offline=True)
    page.wait_for_selector(".point-head")
    page.click("#tab-sliders")
    stage = "#view-sliders .frame-content"
    page.wait_for_selector(f"{stage}[data-decoded]")
    before = page.locator(stage).inner_html()
    moved(page, page.locator("#view-sliders input[type=range]").first, lambda one: one.press("End"), stage)
    assert page.locator(stage).inner_html() != before
    moved(page, None, lambda _: page.click("text=Random sample"), stage)
    page.locator(".map-canvas").focus()
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("2")
    page.click("#tab-walk")
    page.wait_for_selector("#view-walk .strip[data-steps='9']")
    page.click("#tab-anomalies")
    page.wait_for_selector("#view-anomalies .tile strong")


def test_training_is_watched_and_stopped_from_the_page(opened, folder) -> None:
    words = ("fit", "digits.npy", "--family", "variational", "--latent", 4, "--steps", 2_000_000, "--out", "live", "--live", "--no-open")
    with running(folder, *words) as (link, command):
        page = opened(link, ready="live")
        page.wait_for_selector(".live .frame path.held")
        page.wait_for_selector(".curves figure")
        page.wait_for_selector(".pairs img")
        page.click("text=Stop and keep the best")
        page.wait_for_function("document.querySelector('.verdict').textContent.startsWith('Stopped')")
        assert command.wait(60) in (0, 130)  # as after Ctrl-C
    assert Artifact.load(folder / "live").facts
