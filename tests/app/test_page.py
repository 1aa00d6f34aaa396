"""Every page, served for real and asked over HTTP."""

from __future__ import annotations

import asyncio
import urllib.request
import warnings
from pathlib import Path

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from app.services import open_services
from app.web.main import PATHS, build_app
from app.web.server import launch_options
from engine.errors import InputError


def test_every_page_serves_and_is_small(workspace: Path) -> None:
    with open_services(workspace) as services:
        app = build_app(services)
        try:
            _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, run_history=False, server_name="127.0.0.1")
            for page in PATHS:
                answer = urllib.request.urlopen(f"{url}{page}", timeout=10)
                body = answer.read()
                assert answer.status == 200 and b"Tacit" in body and len(body) < 2_000_000
            public = {fn.api_name for fn in app.fns.values() if fn.api_visibility != "private"}
            assert not app.analytics_enabled, "nothing is told to anybody"
            assert public == {"projects", "standing", "quote", "selection", "query"}
            config = app.get_config_file()
            for page in config["page"].values():
                assert len(page["components"]) <= 150
        finally:
            app.close()


def test_building_the_pages_warns_of_nothing(workspace: Path) -> None:
    with open_services(workspace) as services, warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        build_app(services)
    assert [str(warning.message) for warning in found if "arguments for function" in str(warning.message)] == []


def test_programs_find_the_public_endpoints_as_mcp_tools(workspace: Path) -> None:
    async def list_tools(url: str) -> set[str]:
        async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            return {tool.name for tool in (await session.list_tools()).tools}

    with open_services(workspace) as services:
        app = build_app(services)
        try:
            options = launch_options("127.0.0.1", 0, None, mcp=True) | {"server_port": None}
            _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **options)
            names = asyncio.run(list_tools(f"{url}gradio_api/mcp/"))
        finally:
            app.close()
    assert names == {"projects", "standing", "quote", "selection", "query"}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::"])
def test_other_hosts_need_a_login(host: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--auth"):
        launch_options(host, 7860, None)
    assert launch_options(host, 7860, "ann:secret")["auth"]("ann", "secret")
    users = tmp_path / "users"
    users.write_text("ann:one\nbob:two:three\n")
    accounts = launch_options(host, 7860, str(users))["auth"]
    assert accounts("ann", "one") and accounts("bob", "two:three") and not accounts("bob", "two")
    with pytest.raises(InputError, match="user:password"):
        launch_options(host, 7860, "nonsense")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_none_and_keeps_no_history(host: str) -> None:
    options = launch_options(host, 0, None)
    assert options["auth"] is None and options["run_history"] is False and options["max_file_size"]
