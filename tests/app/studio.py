"""A studio that is called over HTTP as its pages call it, and remembers which handlers were."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from app.services import Services, open_services
from app.web.main import PATHS, build_app
from app.web.sessions import open_lean_sessions
from tests.fakes.provider import Provider, run_provider
from tests.fakes.student_worker import StudentBackend

PAGES = ("home", *PATHS[1:])
FIRST_HALF = {
    *("home", "data", "queries", "teachers", "prompts", "label", "select", "decide", "selection", "frame"),
    "endpoints",
    "outputs",
    "traces",
    "failed_replies",
}
"""Modules whose handlers `test_handlers` calls; `test_student_handlers` calls all others."""
BROWSER_ONLY = {"act_on_shown", "act", "ask_now"}
"""Handlers that need a click's own data; the browser stories click."""
Place = tuple[str, str]


@dataclass
class Studio:
    client: Client
    app: gr.Blocks
    services: Services
    provider: Provider
    called: set[Place] = field(default_factory=set)

    def places(self) -> dict[str, Place]:
        """Where each endpoint's handler is written: module and name."""
        found = [fn for fn in self.app.fns.values() if fn.fn is not None]
        return {str(fn.api_name): (fn.fn.__module__.rpartition(".")[2], fn.fn.__name__) for fn in found}

    def __call__(self, module: str, name: str, *values: Any) -> Any:
        place = (module, name)
        self.called.add(place)
        endpoint = next(api_name for api_name, found in self.places().items() if found == place)
        return self.client.predict(*values, api_name=f"/{endpoint}")

    def by_hand(self, module: str, name: str, *values: Any) -> str:
        """What a call is told that gradio's own client would not send."""
        endpoint = next(api_name for api_name, found in self.places().items() if found == (module, name))
        place, asked = f"{self.client.src}gradio_api/call/{endpoint}", json.dumps({"data": values}).encode()
        with urlopen(Request(place, asked, {"Content-Type": "application/json"})) as answer:
            event = json.load(answer)["event_id"]
        with urlopen(f"{place}/{event}") as told:
            return str(told.read().decode())

    def find(self, module: str, name: str) -> Any:
        """A handler itself, which gives the values of layout and buttons too; a client of the API is not told these."""
        endpoint = next(api_name for api_name, found in self.places().items() if found == (module, name))
        return next(fn.fn for fn in self.app.fns.values() if fn.api_name == endpoint)

    def open(self, page: str, project: str) -> Any:
        """Open a page in this session, which fills its choices."""
        self.called.add(("frame", "load"))
        place = PAGES.index(page)
        return self.client.predict(project, "", api_name=f"/load_{place}" if place else "/load")

    def missing(self, first_half: bool) -> set[Place]:
        """Handlers of one half of the pages that were not called."""
        known = {place for place in self.places().values() if (place[0] in FIRST_HALF) is first_half}
        return {place for place in known - self.called if place[1] not in BROWSER_ONLY}

    def refused(self, *call: Any) -> str:
        with pytest.raises(AppError) as caught:
            self(*call)
        return str(caught.value)

    def finish(self) -> None:
        end = time.monotonic() + 60
        while self.services.context.jobs.unfinished_jobs():
            assert time.monotonic() < end
            time.sleep(0.1)


@contextmanager
def open_studio(folder: Path) -> Iterator[Studio]:
    """Serve a workspace; students are trained by a stand-in.

    The client does not verify: it would read all certificates for each request, three quarters of what one costs.
    """
    with run_provider() as provider, open_services(folder, StudentBackend()) as services:
        app = build_app(services, "undocumented")
        _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, run_history=False, server_name="127.0.0.1")
        open_lean_sessions(app)
        try:
            yield Studio(Client(url, verbose=False, ssl_verify=False), app, services, provider)
        finally:
            app.close()
