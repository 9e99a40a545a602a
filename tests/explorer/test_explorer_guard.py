"""Who is refused, and what: other hosts, other sites, wrong tokens, wrong questions, paths out of the folder."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from isthmus.explorer import server
from isthmus.explorer.guard import LARGEST_BODY

PORT, TOKEN = 8123, "secret-of-the-test"  # those of the fixture `client`
BASE = f"http://127.0.0.1:{PORT}"


@pytest.fixture
def page(pictures, client):
    return client(pictures)


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:80", f"127.0.0.1.evil.example:{PORT}", "", f"[::1]:{PORT}"]
)
def test_other_hosts_are_refused(page, host):
    for path in ("/", "/api/about"):
        found = page.get(path, headers={"Host": host})
        assert found.status_code == 403
        assert "error" in found.json()


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1:1"])
def test_other_sites_are_refused(page, origin):
    assert page.post("/api/decode", {"codes": [[0.0] * 4]}, headers={"Origin": origin}).status_code == 403
    assert page.get("/", headers={"Origin": origin}).status_code == 403


def test_what_a_browser_calls_cross_site_is_refused(page):
    assert page.get("/api/about", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert page.get("/api/about", headers={"Sec-Fetch-Site": "same-origin", "Origin": BASE}).status_code == 200
    assert page.get("/api/about", headers={"Host": f"localhost:{PORT}"}).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1], "é"])
def test_wrong_tokens_are_refused(page, token):
    given = {"X-Isthmus-Token": token.encode("latin-1")}
    for path in ("/api/about", "/api/codes", "/api/live", "/api/thumb?index=0", "/api/nothing"):
        assert page.get(path, headers=given).status_code == 401
    assert page.post("/api/stop", {}, headers=given).status_code == 401


def test_the_token_in_the_address_reads_only(page):
    without = {"X-Isthmus-Token": ""}
    assert page.get(f"/api/thumb?index=0&token={TOKEN}", headers=without).status_code == 200
    assert page.get("/api/thumb?index=0&token=x", headers=without).status_code == 401
    assert page.post(f"/api/decode?token={TOKEN}", {"codes": [[0.0] * 4]}, headers=without).status_code == 401


@pytest.mark.parametrize("path", ["/", "/api/about", "/api/codes", "/nothing"])
def test_every_answer_keeps_to_itself(page, path):
    headers = page.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/server.py",
        "/assets/../../server.py",
        "/..%2f..%2fguard.py",
        "//etc/passwd",
        "/page.html",
        "/static/index.html",
    ],
)
def test_no_path_leads_out_of_the_folder(page, path):
    async def raw() -> httpx.Response:
        transport = httpx.ASGITransport(app=page.app)
        async with httpx.AsyncClient(transport=transport) as client:
            request = client.build_request("GET", BASE)
            request.url = httpx.URL(scheme="http", host="127.0.0.1", port=PORT, raw_path=path.encode())
            return await client.send(request)

    found = asyncio.run(raw())
    assert found.status_code == 404
    assert "import" not in found.text


def test_links_out_of_the_folder_are_not_followed(page, tmp_path, monkeypatch):
    (tmp_path / "static").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "static" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "static" / "own.txt").write_text("own")
    monkeypatch.setattr(server, "STATIC", tmp_path / "static")
    assert page.get("/own.txt").text == "own"
    assert page.get("/link.txt").status_code == 404
    assert "not built" in page.get("/").text


def test_long_bodies_are_refused(page):
    assert page.post("/api/decode", content=b"x" * (LARGEST_BODY + 1)).status_code == 413
    assert page.post("/api/decode", content=b"x" * LARGEST_BODY).status_code == 400


WRONG = [
    ("decode", {"codes": []}),
    ("decode", {"codes": [[0.0] * 3]}),
    ("decode", {"codes": [[0.0, 0.0, 0.0, "1"]]}),
    ("decode", {"codes": [[0.0, 0.0, 0.0, True]]}),
    ("decode", {"codes": [[0.0, 0.0, 0.0, 1e39]]}),
    ("decode", {"codes": [[0.0, 0.0, 0.0, None]]}),
    ("decode", {"codes": [[0.0] * 4] * 1025}),
    ("decode", {"codes": {"0": 1}}),
    ("decode", {"codes": [[0.0] * 4], "draw": "yes"}),
    ("decode", {"codes": [[0.0] * 4], "draw": True, "seed": -1}),
    ("decode", {}),
    ("sample", {"count": 0}),
    ("sample", {"count": 1e9}),
    ("sample", {"count": 10**30}),
    ("interpolate", {"from": 0, "to": 300}),
    ("interpolate", {"from": -1, "to": 2}),
    ("interpolate", {"from": 0.5, "to": 2}),
    ("interpolate", {"from": 0, "to": 2, "count": 1}),
    ("interpolate", {"from": 0, "to": 2, "way": "up"}),
    ("interpolate", {"to": 2}),
    ("attribute", {"a": [], "b": [1]}),
    ("attribute", {"a": [1], "b": [300]}),
    ("attribute", {"a": [1]}),
]


@pytest.mark.parametrize(("name", "body"), WRONG, ids=str)
def test_wrong_questions_are_told_so(page, name, body):
    found = page.post(f"/api/{name}", body)
    assert found.status_code == 400, found.text
    assert len(found.json()["error"]) > 15


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"[1]", b'{"codes": [[NaN, 0, 0, 0]]}', b'{"codes": [[Infinity, 0, 0, 0]]}', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_question_is_told_so(page, content):
    found = page.post("/api/decode", content=content)
    assert found.status_code == 400
    assert found.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "point",
        "point?index=300",
        "point?index=-1",
        "point?index=x",
        "point?index=1e2",
        "point?index=٣",
        "thumb?index=",
        "colour?name=x",
        "colour",
        "map?method=x",
        "map",
        "anomalies?limit=0",
        "inputs?indices=1,x",
        "inputs",
    ],
)
def test_wrong_addresses_are_told_so(page, path):
    found = page.get(f"/api/{path}")
    assert found.status_code == 400
    assert found.json()["error"]


def test_other_methods_and_questions_are_refused(page):
    assert page.get("/api/decode").status_code in (404, 405)
    assert page.ask("DELETE", "/api/about").status_code == 405
    assert page.ask("PUT", "/").status_code == 405
    assert page.get("/api/nothing").status_code == 404
    assert page.post("/api/stop", {}).status_code == 409
    assert page.get("/api/live").status_code == 409


def test_a_fault_of_its_own_is_no_page_of_code(pictures, client, monkeypatch, caplog):
    def fails() -> None:
        raise ZeroDivisionError("secret")

    page = client(pictures)
    monkeypatch.setattr(pictures, "about", fails)
    found = page.get("/api/about")
    assert found.status_code == 500
    assert "secret" not in found.text
    assert "ZeroDivisionError" in caplog.text
