"""The login: whoever guesses is slowed, whoever knows the password gets to the page that was asked for."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode, urlsplit

import gradio as gr
import pytest
from gradio_client import Client

from app.services import open_services
from app.web.login import FREE_TRIES, LONGEST_WAIT_S, Accounts, LoginDoor, Tries
from app.web.main import build_app
from app.web.server import launch_lean, launch_options
from engine.config import ProjectConfig
from engine.places import VARIABLE
from engine.tasks import ROLES

HTML = "text/html,application/xhtml+xml"
PASSWORD = "two:three"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Door:
    """The middleware before a login that knows one password."""

    clock: Clock = field(default_factory=Clock)
    checked: int = 0
    app: Any = field(default_factory=lambda: SimpleNamespace(cookie_id="c", tokens={"known": "ann"}))
    said: str = ""

    def __post_init__(self) -> None:
        self.door = LoginDoor(self.inner, frozenset({"/", "/data"}), Tries(self.clock))

    async def inner(self, scope: Any, receive: Any, send: Any) -> None:
        self.checked += 1
        right = scope["path"] != "/login" or self.said == PASSWORD
        headers = [(b"set-cookie", b"access-token-c=known")] if right else []
        await send({"type": "http.response.start", "status": 200 if right else 400, "headers": headers})
        await send({"type": "http.response.body", "body": b"inner"})

    def ask(self, method: str, path: str, accept: str = HTML, cookie: str = "", host: str = "192.0.2.1") -> Any:
        """Status, headers and body."""
        told: list[Any] = []

        async def send(message: Any) -> None:
            told.append(message)

        headers = [(b"accept", accept.encode()), (b"cookie", cookie.encode())]
        scope = {"type": "http", "method": method, "headers": headers, "client": (host, 1), "app": self.app}
        scope |= {"path": path.partition("?")[0], "query_string": path.partition("?")[2].encode()}
        asyncio.run(self.door(scope, None, send))  # type: ignore[arg-type]
        return told[0]["status"], dict(told[0]["headers"]), b"".join(part["body"] for part in told[1:]).decode()

    def log_in(self, password: str, host: str = "192.0.2.1", accept: str = HTML) -> Any:
        self.said = password
        return self.ask("POST", "/login?next=%2Fdata%3Fproject%3Dp", accept, host=host)


def test_after_a_few_wrong_logins_each_further_one_has_to_wait_longer() -> None:
    made = Door()
    for _ in range(FREE_TRIES - 1):
        assert "Wrong name or password.<" in made.log_in("wrong")[2]
    waits = []
    for _ in range(9):
        status, _, body = made.log_in("wrong")
        assert status == 400 and "Wrong name or password. " in body
        status, headers, body = made.log_in(PASSWORD)
        assert status == 429 and "wrong logins in a row came from your address: wait" in body
        waits.append(int(headers[b"retry-after"]))
        made.clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, *[LONGEST_WAIT_S] * 3]
    assert made.checked == FREE_TRIES - 1 + 9, "a password that comes too early is not looked at"
    assert made.log_in(PASSWORD)[0] == 303
    assert "Wrong name or password.<" in made.log_in("wrong")[2], "whoever got in begins anew"


def test_another_address_does_not_wait_and_a_program_is_told_too() -> None:
    made = Door()
    for _ in range(FREE_TRIES):
        made.log_in("wrong", "2001:db8::1")
    status, _, body = made.log_in(PASSWORD, "2001:db8::2", accept="*/*")
    assert status == 429 and '"detail":"5 wrong logins' in body
    assert made.log_in(PASSWORD, "2001:db8:0:1::1", accept="*/*")[0] == 200
    made.clock.now += 1000
    assert made.log_in("wrong", "2001:db8::1")[2].count("wait") == 0, "a quarter of an hour later it is forgotten"


def test_many_at_once_are_no_way_around_the_wait() -> None:
    clock = Clock()
    tries = Tries(clock)
    for _ in range(FREE_TRIES):
        assert not tries.wait_s("a")
        tries.begin("a")  # none has been answered yet
    assert tries.wait_s("a") == 1
    for number in range(20_000):
        tries.begin(f"b{number}")
    assert len(tries._wrong) <= 10_000, "addresses are no way to fill the memory"


def test_whoever_logs_in_gets_to_the_page_that_was_asked_for() -> None:
    made = Door()
    status, _, body = made.ask("GET", "/data?project=p")
    assert status == 200 and "action='/login?next=%2Fdata%3Fproject%3Dp'" in body
    status, headers, _ = made.log_in(PASSWORD)
    assert (status, headers[b"location"]) == (303, b"/data?project=p") and headers[b"set-cookie"]
    assert made.ask("GET", "/data", cookie="access-token-c=known")[2] == "inner"
    assert made.ask("GET", "/data", cookie="access-token-c=guess")[2] != "inner"
    assert made.ask("GET", "/data", accept="*/*")[2] == made.ask("GET", "/theme.css")[2] == "inner", "gradio's own door"
    made.said = PASSWORD
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nSet-Cookie: b=c", ""):
        assert made.ask("POST", f"/login?{urlencode({'next': elsewhere})}")[1][b"location"] == b"/"


def test_accounts_are_compared_whole() -> None:
    accounts = Accounts.of([("ann", PASSWORD), ("bob", "one")])
    assert accounts("ann", PASSWORD) and accounts("bob", "one")
    for name, password in (
        ("ann", "one"),
        ("ann", ""),
        ("", ""),
        ("annt", "wo:three"),
        ("ann", "two"),
        ("\ud800", "é"),
    ):
        assert not accounts(name, password)
    assert PASSWORD not in repr(accounts)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, gr.Blocks]]:
    with open_services(tmp_path_factory.mktemp("login")) as services:
        services.data.create_project(ProjectConfig(name="p", task="custom"))
        app = build_app(services, with_login=True)
        try:
            yield launch_lean(app, launch_options("127.0.0.1", 0, f"ann:{PASSWORD}", proxies=1)), app
        finally:
            app.close()


def test_behind_a_login_no_page_starts_a_server(served: tuple[str, gr.Blocks]) -> None:
    bound = {
        (event.fn.__module__.rpartition(".")[2], event.fn.__name__) for event in served[1].fns.values() if event.fn
    }
    assert ("gateways", "read_meters") in bound and not {("gateways", "start"), ("gateways", "stop")} & bound


def send(url: str, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Any:
    """Status, headers and body of one raw request."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=10)
    try:
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, urlencode(form) if form else None, {**kind, **named})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def test_over_http_a_person_logs_in_and_a_stranger_is_slowed(served: tuple[str, gr.Blocks]) -> None:
    url, _ = served
    status, _, body = send(url, "GET", "/data", Accept=HTML)
    assert status == 200 and "Log in" in body and "gradio" not in body
    status, _, body = send(url, "GET", "/data")
    assert "auth_required" in body and "A file of queries" not in body, "a program is shown no page either"
    right = {"username": "ann", "password": PASSWORD}
    status, headers, _ = send(url, "POST", "/login?next=%2Fdata", right, Accept=HTML, X_Forwarded_For="192.0.2.1")
    assert (status, headers["location"]) == (303, "/data")
    cookie = next(c for c in headers.get_all("set-cookie") if "unsecure" in c).partition(";")[0]
    status, _, body = send(url, "GET", "/data", Accept=HTML, Cookie=cookie)
    assert status == 200 and "window.gradio_config" in body and "A file of queries" in body
    wrong = {"username": "ann", "password": "guess"}
    said = [send(url, "POST", "/login", wrong, X_Forwarded_For=f"203.0.113.{n}, 192.0.2.9") for n in range(7)]
    assert [status for status, _, _ in said] == [400] * 5 + [429] * 2, "another forged address is no other visitor"
    assert (
        Client(url, auth=("ann", PASSWORD), verbose=False, ssl_verify=False).predict(api_name="/projects")[0]["name"]
        == "p"
    )
    with pytest.raises(ValueError, match=r"(?i)auth|Could not load"):
        Client(url, verbose=False, ssl_verify=False)


@pytest.mark.parametrize("handler", ["preview", "choose", "store"])
def test_behind_a_login_no_folder_of_the_server_is_read_as_a_dataset(
    served: tuple[str, gr.Blocks], handler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    (tmp_path / "train.jsonl").write_text('{"query": "what only the server may read"}')
    places = [f.fn for f in served[1].fns.values() if f.fn and f.fn.__module__.endswith("pages.data")]
    work = next(work for work in places if work.__name__ == handler)
    with pytest.raises(gr.Error, match="named as on the Hub, as OWNER/NAME"):
        work("p", None, f"hf:{tmp_path}", "None", 0.0, None, *["- none -"] * len(ROLES))
