"""Who asks, as far as that can be known: the end of the connection, or what trusted proxies say of it."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.web.proxies import Forwarded, count_proxies, network_of, visitor_of

EDGE = ("10.16.3.80", 4711)
REAL, FORGED = b"198.51.100.7", b"203.0.113.9"


def seen(proxies: int, *forwarded: bytes, proto: bytes = b"", middleware: Forwarded | None = None) -> Any:
    """What stands behind the middleware is told of a request."""
    told: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        told.append(scope)

    headers = [(b"x-forwarded-for", value) for value in forwarded]
    headers += [(b"x-forwarded-proto", proto)] if proto else []
    scope = {"type": "http", "client": EDGE, "scheme": "http", "headers": headers}
    made = middleware or Forwarded(inner, proxies)
    made._app = inner
    asyncio.run(made(scope, None, None))  # type: ignore[arg-type]
    return told[0]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "host"),
    [
        (0, [FORGED], EDGE[0]),
        (1, [REAL], "198.51.100.7"),
        (1, [FORGED + b", " + REAL], "198.51.100.7"),
        (1, [FORGED, b"1.1.1.1, " + REAL], "198.51.100.7"),
        (2, [FORGED + b", " + REAL + b", 10.0.0.2"], "198.51.100.7"),
        (1, [REAL + b":5123"], "198.51.100.7"),
        (1, [b"[2001:db8::7]:443"], "2001:db8::7"),
        (1, [b"::ffff:198.51.100.7"], "198.51.100.7"),
        (1, [FORGED + b", unknown"], EDGE[0]),
        (1, [b""], EDGE[0]),
        (3, [REAL], "198.51.100.7"),
        (1, [], EDGE[0]),
    ],
)
def test_only_what_trusted_proxies_wrote_is_believed(proxies: int, forwarded: list[bytes], host: str) -> None:
    assert seen(proxies, *forwarded)["client"][0] == host


def test_the_scheme_is_the_one_that_the_visitor_used() -> None:
    assert seen(1, REAL, proto=b"http, https")["scheme"] == "https"
    assert seen(0, REAL, proto=b"https")["scheme"] == "http"
    assert seen(1, REAL, proto=b"gopher")["scheme"] == "http"


def test_a_proxy_that_nobody_stated_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    made = Forwarded(cast(Any, None), 0)
    with caplog.at_level(logging.WARNING):
        seen(0, middleware=made)
        assert not caplog.records
        for _ in range(3):
            seen(0, REAL, middleware=made)
        seen(1, REAL)
    assert [record.getMessage().count("tacit serve --proxies 1") for record in caplog.records] == [1]


def test_a_space_has_one_proxy_and_a_stated_number_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert count_proxies(None) == 0 and count_proxies(2) == 2
    monkeypatch.setenv("SPACE_ID", "somebody/tacit")
    assert count_proxies(None) == 1 and count_proxies(0) == 0


@pytest.mark.parametrize(
    ("host", "address"),
    [("203.0.113.7", "203.0.113.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("testclient", "testclient")],
)
def test_a_visitor_is_a_household(host: str, address: str) -> None:
    request = SimpleNamespace(client=SimpleNamespace(host=host), headers={"x-forwarded-for": "198.51.100.1"})
    assert visitor_of(cast(Any, request)) == address == network_of(host)
