"""A studio in a process of its own, and Debian's Chromium to look at it with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--disable-extensions"]


@dataclass
class Server:
    """`tacit serve` on a workspace, to be killed and started again at the same address."""

    workspace: Path
    port: int
    options: tuple[str, ...] = ("--no-demo",)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "app",
            "serve",
            *self.options,
            "--port",
            str(self.port),
            "--workspace",
            str(self.workspace),
        ]
        log = (self.workspace.parent / "serve.log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=os.environ)
        end = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(self.url, timeout=2)
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, "the server did not start"
                time.sleep(0.1)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@dataclass
class Tab:
    """A page of the browser that remembers what went wrong in its console."""

    page: Page
    base: str
    errors: list[str] = field(default_factory=list)
    leaving: bool = False

    def listen(self) -> Tab:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        return self

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not self.leaving:
            self.errors.append(message.text)

    @contextmanager
    def leave(self) -> Iterator[None]:
        """A page that is left cuts its own requests off and says so; that is no error."""
        self.leaving = True
        yield
        self.page.locator(".rail").wait_for(state="attached")
        self.leaving = False

    def open(self, path: str, project: str = "") -> None:
        with self.leave():
            self.page.goto(f"{self.base}/{path}?project={project}" if project else f"{self.base}/{path}")
        if project:
            self.page.locator(".topbar summary", has_text=project).wait_for(state="attached")

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def field(self, label: str) -> Locator:
        """A field by the beginning of its label, behind which its explanation may stand."""
        return self.page.get_by_label(re.compile(rf"^\s*{re.escape(label)}(?!\w)".replace("\\ ", " "))).first

    def fill(self, label: str, value: str) -> None:
        self.field(label).fill(value)

    def choose(self, label: str, option: str) -> None:
        """Choose an option of a dropdown by its name."""
        self.field(label).click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def see(self, text: str, timeout_s: float = 30) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=timeout_s * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert path, "no Chromium: scripts/browser.sh installs it or says how"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


def make_server(workspace: Path, *options: str) -> Server:
    """A server of a workspace, not started yet."""
    workspace.mkdir(exist_ok=True)
    return Server(workspace, free_port(), options)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_server(tmp_path_factory.mktemp("studio") / "workspace", "--no-demo")
    made.start()
    yield made
    made.kill()
