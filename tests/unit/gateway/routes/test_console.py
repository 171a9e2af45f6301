"""The console's files over HTTP, and what stands in them."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.support.gateways import client
from trireme_gateway.console.static_files import static_files

FILES = sorted(static_files())
OWN = [name for name in FILES if not name.startswith("swagger/")]


class TestPages:
    @pytest.mark.parametrize("path", ["/", "/docs"])
    async def test_a_page_with_a_strict_policy(self, path: str) -> None:
        async with client() as gateway:
            answer = await gateway.get(path)
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert policy.startswith("default-src 'self'; ")
        assert "script-src" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"

    async def test_the_console_allows_nothing_inline(self) -> None:
        async with client() as gateway:
            answer = await gateway.get("/")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "style=" not in answer.text
        assert "<style" not in answer.text
        assert re.search(r"\son\w+=", answer.text) is None

    @pytest.mark.parametrize("path", ["/", "/docs", "/console/app.js"])
    async def test_head_has_the_headers_of_get(self, path: str) -> None:
        async with client() as gateway:
            head, get = await gateway.head(path), await gateway.get(path)
        assert head.status_code == 200
        for name in ("content-type", "content-length", "etag", "content-security-policy"):
            assert head.headers[name] == get.headers[name]

    @pytest.mark.parametrize("accepted", ["*/*", "text/html", "text/html, application/json;q=0.5"])
    async def test_the_page_is_for_all_but_those_who_take_json_alone(self, accepted: str) -> None:
        async with client() as gateway:
            page = await gateway.get("/", headers={"accept": accepted})
            alive = await gateway.get("/", headers={"accept": "application/json"})
        assert page.headers["content-type"].startswith("text/html")
        assert "accept" in page.headers["vary"].split(", ")
        assert alive.json() == {"status": "alive"}

    async def test_other_methods_and_pages_are_refused(self) -> None:
        async with client() as gateway:
            assert (await gateway.post("/")).status_code == 405
            assert (await gateway.get("/redoc")).status_code == 404

    async def test_the_pages_are_not_in_the_schema(self) -> None:
        async with client() as gateway:
            paths = (await gateway.get("/openapi.json")).json()["paths"]
        assert not {path for path in paths if path in ("/", "/docs") or path.startswith("/console")}


class TestFiles:
    @pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".html")])
    async def test_every_file_with_its_type(self, name: str) -> None:
        types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
        async with client() as gateway:
            answer = await gateway.get(f"/console/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].split(";")[0] == types[name.rpartition(".")[2]]
        assert answer.headers["cache-control"] == "no-cache"
        # As elsewhere, what is small is not worth packing.
        assert ("content-encoding" in answer.headers) == (len(answer.content) >= 1024)
        assert answer.content == static_files()[name].body

    async def test_plain_for_those_who_take_no_gzip(self) -> None:
        async with client() as gateway:
            answer = await gateway.get("/console/app.js", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in answer.headers
        assert answer.content == static_files()["app.js"].body

    async def test_a_known_file_is_not_sent_again(self) -> None:
        async with client() as gateway:
            etag = (await gateway.get("/console/app.js")).headers["etag"]
            for known in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
                again = await gateway.get("/console/app.js", headers={"if-none-match": known})
                assert (again.status_code, again.content) == (304, b"")
                assert again.headers["etag"] == etag
            changed = await gateway.get("/console/app.js", headers={"if-none-match": '"other"'})
        assert changed.status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            "nothing.js",
            "",
            "index.html",
            "docs.html",
            "../static_files.py",
            "%2e%2e/static_files.py",
            "swagger",
            "swagger/",
        ],
    )
    async def test_what_is_not_there_is_a_problem(self, path: str) -> None:
        async with client() as gateway:
            answer = await gateway.get(f"/console/{path}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "not_found"

    def test_the_two_forms_hold_the_same(self) -> None:
        assert all(gzip.decompress(file.gzipped) == file.body for file in static_files().values())
        assert len({file.etag for file in static_files().values()}) == len(static_files())


class TestContent:
    def test_the_page_asks_for_all_modules_at_once(self) -> None:
        page = static_files()["index.html"].body.decode()
        modules = {name for name in OWN if name.endswith(".js")} - {"docs.js", "app.js"}
        assert set(re.findall(r'rel="modulepreload" href="console/([^"]+)"', page)) == modules

    @pytest.mark.parametrize("name", OWN)
    def test_no_address_elsewhere(self, name: str) -> None:
        text = static_files()[name].body.decode()
        found = set(re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s\"']*", text))
        assert found <= {"http://www.w3.org/2000/svg"}

    def test_both_languages_have_the_same_words(self) -> None:
        text = static_files()["i18n.js"].body.decode()
        english, chinese = (re.search(rf"const {name} = {{\n(.*?)\n}};", text, re.S) for name in ("EN", "ZH"))
        assert english is not None
        assert chinese is not None
        assert _entries(english[1]) == _entries(chinese[1])

    def test_every_word_that_is_used_is_in_the_table(self) -> None:
        text = static_files()["i18n.js"].body.decode()
        table = set(re.findall(r'^  "?([\w.-]+)"?: "', text, re.M))
        page = static_files()["index.html"].body.decode()
        used = set(re.findall(r'data-i18n="([^"]+)"', page))
        used |= {pair.split(":")[1] for pair in re.findall(r'data-i18n-attr="([^"]+)"', page)}
        for name in OWN:
            if name.endswith(".js") and name != "i18n.js":
                used |= set(re.findall(r'\bt\("([\w.-]+)"', static_files()[name].body.decode()))
        assert used <= table


def _entries(table: str) -> dict[str, set[str]]:
    """Keys with the placeholders of their words."""
    found = re.findall(r'^  "?([\w.-]+)"?: "(.*)",$', table, re.M)
    return {key: set(re.findall(r"{(\w+)}", words)) for key, words in found}
