"""How the studio is served: to this machine only, unless there is a login."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from app.hosted_demo.visitors import Visitors
from app.hosts import is_own, read_names
from app.services import Services
from app.web.access import Doors, tell_missing
from app.web.login import Accounts, LoginDoor
from app.web.main import build_demo
from app.web.page_cache import Gate, PageCache
from app.web.patience import Patience, be_patient
from app.web.proxies import Forwarded, count_proxies, unforged
from app.web.sessions import open_lean_sessions
from app.web.theme import HEAD, make_theme
from engine.errors import InputError, MissingPart

MOST_UPLOAD = "2gb"
MOST_HOSTED_UPLOAD = "1mb"


def launch_options(
    host: str,
    port: int,
    auth: str | None,
    mcp: bool = False,
    hosted: bool = False,
    names: Sequence[str] = (),
    proxies: int | None = None,
) -> dict[str, Any]:
    """What gradio's `launch` is given. With `mcp` the public endpoints are tools of an MCP server too.

    `hosted`: the demo for visitors, which needs no login anywhere. `names` are further ones that it answers to;
    `proxies` are trusted to say who asks (see `count_proxies`).

    Raises:
        MissingPart: if the package that speaks MCP is not installed.
        InputError: if a host of other machines is named without a login, or the login or a name can't be read.
    """
    if mcp and auth:
        raise InputError("--mcp has no login: leave --auth out and serve this machine only, or leave --mcp out")
    if mcp and find_spec("mcp") is None:
        raise MissingPart("the package mcp is not installed; `pip install 'tacit-studio[mcp]'` brings it")
    users = Accounts.of(_read_users(auth)) if auth else None
    if hosted and (auth or mcp):
        raise InputError("--demo is open to everybody and has no public endpoints: leave --auth and --mcp out")
    if users is None and not hosted and not is_own(host):
        raise InputError(
            f"{host} can be reached from other machines: give a login with --auth user:password, or a file of such "
            "lines. Nothing was started."
        )
    known = read_names(host, names)
    before = [Middleware(Forwarded, proxies=count_proxies(proxies)), Middleware(Doors, names=known)]
    return {
        "server_name": host,
        "server_port": port or None,
        "auth": users,
        "share": False,
        "mcp_server": mcp,
        "run_history": False,
        "enable_monitoring": False,
        "max_file_size": MOST_HOSTED_UPLOAD if hosted else MOST_UPLOAD,
        "app_kwargs": {
            "middleware": [*before, Middleware(Patience), *([Middleware(Gate)] if hosted else [])],
            "exception_handlers": {404: tell_missing},
        },
        "theme": make_theme(),
        "head": HEAD,
        "footer_links": [],
        "show_error": True,
    }


def launch_lean(app: gr.Blocks, options: dict[str, Any]) -> str:
    """Begin to serve, with sessions and pages that cost little; returns the address."""
    paths = frozenset(f"/{path}" for path, _, _ in app.pages)
    page = Middleware(PageCache, paths=paths) if options["auth"] is None else Middleware(LoginDoor, pages=paths)
    kept = options["app_kwargs"]
    options = {**options, "app_kwargs": {**kept, "middleware": [*kept["middleware"], page]}}
    with unforged():
        _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **options)
    be_patient(app.server)
    open_lean_sessions(app)
    return str(url)


def serve_app(app: gr.Blocks, options: dict[str, Any]) -> None:
    """Serve until Ctrl-C, and say where."""
    url = launch_lean(app, options)
    sys.stdout.write(f"Tacit is open at {url}\n")
    sys.stdout.flush()
    try:
        app.block_thread()
    finally:
        app.close()


def serve_hosted(services: Services, options: dict[str, Any]) -> None:
    """Serve the demo for visitors until Ctrl-C, and remove their copies when their time is over."""
    visitors, stopped = Visitors(services), threading.Event()
    app = build_beside(lambda: build_demo(services, visitors), visitors.prepare)
    visitors.keep_sweeping(stopped)
    try:
        serve_app(app, options)
    finally:
        stopped.set()


def build_beside(build: Callable[[], gr.Blocks], prepare: Callable[[], object]) -> gr.Blocks:
    """The app, built while the workspace is prepared: a project file is read in a process of its own meanwhile.

    Raises:
        TacitError: what `prepare` met.
    """
    with ThreadPoolExecutor(1) as beside:
        prepared = beside.submit(prepare)
        app = build()
        prepared.result()
    return app


def _read_users(auth: str) -> list[tuple[str, str]]:
    path = Path(auth)
    lines = path.read_text("utf-8").splitlines() if path.is_file() else [auth]
    users = [tuple(line.strip().split(":", 1)) for line in lines if line.strip()]
    if not users or any(len(user) != 2 or not all(user) for user in users):
        raise InputError("--auth: give user:password, or a file with one such line a user")
    return [(user[0], user[1]) for user in users]
