"""The explorer's built page: made of the sources that are here, whole, and asking no other host."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES, STATIC = ROOT / "explorer", ROOT / "src" / "isthmus" / "explorer" / "static"
TOPS = ("index.html", "package-lock.json", "package.json", "page.html", "tsconfig.json", "vite.config.ts")


def test_the_page_is_built_from_these_sources() -> None:
    files = [SOURCES / name for name in TOPS]
    files += [path for folder in ("src", "scripts") for path in (SOURCES / folder).rglob("*") if path.is_file()]
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.relative_to(SOURCES).as_posix()):
        digest.update(path.relative_to(SOURCES).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    assert (STATIC / "sources.sha256").read_text().strip() == digest.hexdigest(), (
        "build the page anew: cd explorer && npm ci && npm run build"
    )


def test_the_servers_page_names_only_its_own_files() -> None:
    page = (STATIC / "index.html").read_text()
    named = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert {name for name in named if not name.startswith("data:")} == {"./assets/explorer.js", "./assets/index.css"}
    assert all((STATIC / name).is_file() for name in named if not name.startswith("data:"))


def test_the_single_file_is_whole_and_small() -> None:
    page = (STATIC / "page.html").read_text(encoding="utf-8")
    assert len(page) < 8e6
    assert page.count("__ISTHMUS_DATA__") == page.count("__ISTHMUS_TITLE__") == 1
    assert re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="(?!data:)', page) == []
    assert "default-src 'none'" in page.split("</head>")[0]
