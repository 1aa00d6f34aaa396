"""Opening pages at little cost, and the same page for everybody who may see it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.web.page_cache import Message, PageCache


class Pages:
    """An app that counts how often it is asked, and answers with host and path."""

    def __init__(self, status: int = 200, cookie: bool = False) -> None:
        self.asked = 0
        self.status = status
        self.headers = [(b"set-cookie", b"a=b")] if cookie else []

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        self.asked += 1
        body = f"{dict(scope['headers']).get(b'host')} {scope['path']}".encode()
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": body})


def get(
    cache: PageCache, path: str = "/data", query: str = "", host: str = "one", method: str = "GET", more: Any = ()
) -> bytes:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", host.encode()), *more]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
    asyncio.run(cache({**scope, "scheme": "http"}, None, send))  # type: ignore[arg-type]
    return bytes(sent[1]["body"])


def test_a_page_is_made_once_for_all_projects_and_themes() -> None:
    pages = Pages()
    cache = PageCache(pages, frozenset({"/data"}))
    assert {get(cache, query=q) for q in ("", "project=a", "project=b&__theme=dark")} == {b"b'one' /data"}
    assert pages.asked == 1


def test_another_host_another_query_another_path_are_not_mixed_up() -> None:
    pages = Pages()
    cache = PageCache(pages, frozenset({"/data"}))
    assert get(cache, host="one") != get(cache, host="two") and pages.asked == 2
    for _ in range(2):
        get(cache, query="deep_link=x")
        get(cache, path="/file")
        get(cache, method="POST")
    assert pages.asked == 8


def test_a_header_that_names_another_server_is_answered_for_that_request_alone() -> None:
    pages = Pages()
    cache = PageCache(pages, frozenset({"/data"}))
    for _ in range(2):
        get(cache, more=[(b"x-gradio-server", b"https://elsewhere.example")])
    get(cache)
    assert pages.asked == 3


@pytest.mark.parametrize("pages", [Pages(status=500), Pages(cookie=True)])
def test_what_failed_or_sets_a_cookie_is_not_kept(pages: Pages) -> None:
    cache = PageCache(pages, frozenset({"/data"}))
    get(cache)
    get(cache)
    assert pages.asked == 2
