"""Who is let in: neither a page whose name was aimed at this machine, nor a page from elsewhere."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from gradio_client import Client
from hypothesis import given
from hypothesis import strategies as st

from app.hosts import HostPort, Names, read_names, read_place
from app.services import open_services
from app.web.main import build_app
from app.web.server import launch_lean, launch_options
from engine.errors import InputError

EVIL = "evil.example"
API = "/gradio_api"
JOIN = json.dumps({"data": [], "fn_index": 0, "session_hash": "s"})
READS = ["/", "/data", "/config", "/theme.css", "/nowhere", f"{API}/info", f"{API}/queue/data?session_hash=s"]
WRITES = [f"{API}/queue/join", f"{API}/upload", f"{API}/call/projects", f"{API}/run/projects", f"{API}/mcp/", "/login"]


@dataclass
class Served:
    host: str
    port: int

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
        """One raw request; underscores in names of headers are dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host="Host" in named)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **named}.items():
                connection.putheader(name, value)
            connection.endheaders(body.encode())
            answer = connection.getresponse()
            return answer.status, answer.read(4000).decode("utf-8", "replace") if answer.status != 200 else ""
        finally:
            connection.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_services(tmp_path_factory.mktemp("doors")) as services:
        app = build_app(services)
        try:
            options = launch_options("127.0.0.1", 0, None, mcp=True, names=["studio.example"])
            url = urlsplit(launch_lean(app, options))
            yield Served(str(url.hostname), int(url.port or 0))
        finally:
            app.close()


@pytest.mark.parametrize(("method", "path"), [*(("GET", path) for path in READS), *(("POST", path) for path in WRITES)])
@pytest.mark.parametrize("host", [EVIL, f"{EVIL}:{{port}}", "localhost.evil.example", "192.168.1.5:{port}", ""])
def test_a_name_that_a_stranger_aimed_at_this_machine_reads_and_does_nothing(
    served: Served, method: str, path: str, host: str
) -> None:
    status, told = served.ask(method, path, JOIN, Host=host.format(port=served.port))
    assert status == 421 and "--allow-host" in told


@pytest.mark.parametrize(
    "host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST:9", "studio.example"]
)
def test_the_studio_answers_to_its_own_names(served: Served, host: str) -> None:
    for path in ("/", "/data", "/config"):
        assert served.ask("GET", path, Host=host.format(port=served.port))[0] == 200


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(
    "origin",
    [f"http://{EVIL}", "null", "http://127.0.0.1:1", "http://localhost:{port}", "https://127.0.0.1", "file://"],
)
def test_no_page_from_elsewhere_writes_asks_or_uploads(served: Served, path: str, origin: str) -> None:
    status, told = served.ask("POST", path, JOIN, Origin=origin.format(port=served.port))
    assert status == 403 and "page from elsewhere" in told


@pytest.mark.parametrize("path", [*READS, *WRITES])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_the_browser_says_is_from_elsewhere_is_refused_without_an_origin_too(
    served: Served, path: str, site: str
) -> None:
    method = "POST" if path in WRITES else "GET"
    assert served.ask(method, path, JOIN, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")[0] == 403


def test_a_link_from_elsewhere_opens_a_page_and_calls_nothing(served: Served) -> None:
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert served.ask("GET", "/data?project=p", **link)[0] == 200
    assert served.ask("GET", f"{API}/deep_link?session_hash=s", **link)[0] == 403
    assert served.ask("POST", "/", **link)[0] == 403


@pytest.mark.parametrize("path", WRITES)
def test_its_own_pages_and_programs_are_heard(served: Served, path: str) -> None:
    own = {"Origin": f"http://127.0.0.1:{served.port}", "Sec_Fetch_Site": "same-origin"}
    given = {"Host": "studio.example", "Origin": "https://studio.example"}
    behind = {"Host": f"127.0.0.1:{served.port}", "Origin": "https://studio.example"}
    for headers in (own, given, behind, {}):
        assert served.ask("POST", path, JOIN, **headers)[0] not in (403, 421)


def test_a_program_that_sends_no_origin_works(served: Served) -> None:
    assert (
        Client(f"http://127.0.0.1:{served.port}", verbose=False, ssl_verify=False).predict(api_name="/projects") == []
    )


READER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize("path", ["/nowhere", "/data/nowhere", "/nowhere?project=secret", "/index.html"])
def test_what_is_not_there_is_told_on_a_page_with_a_way_back(served: Served, path: str) -> None:
    status, page = served.ask("GET", path, **READER)
    assert status == 404 and page.startswith("<!doctype html>") and "<a href='/'>" in page
    assert "prefers-color-scheme: dark" in page and "secret" not in page


def test_programs_are_told_in_json_what_is_not_there(served: Served) -> None:
    for headers in ({}, READER):
        status, told = served.ask("GET", f"{API}/nowhere", **headers)
        assert status == 404 and json.loads(told)["detail"]
    assert served.ask("GET", "/nowhere")[1].startswith("{")
    assert served.ask("POST", "/nowhere", **READER)[1].startswith("{")


def test_a_reader_who_is_not_let_in_gets_a_page_where_nothing_of_the_request_is_markup(served: Served) -> None:
    status, page = served.ask("GET", "/", Host=EVIL, **READER)
    assert status == 421 and "does not answer to the name evil.example" in page and "<h1>Not let in</h1>" in page


def test_addresses_of_pages_stay_here(served: Served) -> None:
    connection = http.client.HTTPConnection(served.host, served.port, timeout=10)
    connection.request("GET", "/data")
    assert connection.getresponse().getheader("referrer-policy") == "same-origin"
    connection.close()


def test_a_studio_for_others_answers_to_addresses_in_digits_and_to_names_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Box")
    names = read_names("0.0.0.0", ["one.example, two.example:8443"])
    for host in (
        "10.0.0.7:7860",
        "localhost",
        "box:7860",
        "box.local",
        "one.example:9",
        "two.example",
        "[fe80::1]:7860",
    ):
        place = read_place(host)
        assert place is not None and names.know(place), host
    for host in (EVIL, "box.example", "10.0.0.7.evil.example", "xone.example"):
        place = read_place(host)
        assert place is not None and not names.know(place), host
    assert names.same("https://two.example:8443", HostPort("127.0.0.1", 7860))
    assert not names.same("https://two.example", HostPort("127.0.0.1", 7860))


def test_a_space_answers_to_its_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_HOST", "ann-tacit.hf.space,tacit.example")
    names = read_names("0.0.0.0", [])
    for host in ("ann-tacit.hf.space", "tacit.example"):
        assert names.know(HostPort(host)) and names.same(f"https://{host}", HostPort(host))
    assert not names.know(HostPort("bob-tacit.hf.space"))


@pytest.mark.parametrize("name", ["https://studio.example", "*", "*.example", "a b/c", "[::g]", "a:b"])
def test_what_is_no_name_is_refused_before_anything_starts(name: str) -> None:
    with pytest.raises(InputError, match="Nothing was started"):
        launch_options("127.0.0.1", 0, None, names=[name])


@given(st.sampled_from(["localhost", "127.0.0.1"]), st.from_regex(r"[a-z]([a-z0-9.-]{0,9}[a-z])?", fullmatch=True))
def test_no_other_text_passes_for_a_local_name(local: str, more: str) -> None:
    for host in (f"{local}{more}", f"{more}{local}", f"{local}.{more}", f"{more}.{local}", f"{local}@{more}", more):
        place = read_place(host)
        assert place is None or not Names().know(place), host


@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z][a-z0-9-]{0,10}){0,3}", fullmatch=True), st.integers(1, 65535))
def test_an_origin_is_the_same_only_with_host_and_port(host: str, port: int) -> None:
    names, place = Names(), HostPort(host, port)
    assert names.same(f"http://{host}:{port}", place)
    assert not names.same(f"http://{host}:{port % 65535 + 1}", place)
    assert not names.same(f"http://{host}.evil.example:{port}", place)
    assert not names.same(f"http://x{host}:{port}", place)
