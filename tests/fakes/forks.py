"""Programs that tests start, as forks of processes that have imported what they need, one such process a kind.

In them, and in the tests' own process, jobs are looked at more often than where a person waits for hours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import IO, Any
from unittest.mock import patch

from app.usecases.playground import process as playground
from app.usecases.training import runs
from app.usecases.workspace import context
from engine.jobs import supervisor
from engine.jobs.backends import local
from engine.jobs.spec import PAYLOADS, SPEC_FILE
from engine.records import apart
from tests.fakes.preloaded import Fork, Process, begun, pass_log, preload

_LIGHT = ("engine.jobs.worker", "engine.jobs.score", "tests.fakes.student_worker")
_HEAVY = (*_LIGHT, "engine.jobs.embed", "engine.jobs.student", "engine.jobs.forecast", "engine.inference.embedder")
_READERS = (
    *("engine.records.worker", "engine.records.whole"),
    *("app.usecases.projects.files", "app.usecases.workspace.unpacking"),
)
_KINDS = {
    "light": _LIGHT,
    "heavy": _HEAVY,
    "readers": (*_READERS, "engine.records.columnar", "storage.looking_through"),
    "app": ("app.services", "app.cli.main", "app.cli.results", "app.demo", "tests.fakes.forks"),
}
_KIND_OF = {
    **dict.fromkeys(_LIGHT, "light"),
    **dict.fromkeys(_READERS, "readers"),
    "app": "app",
    **dict.fromkeys(("tests.fakes.bringing", "tests.fakes.paid_label", "tests.fakes.slow_label"), "app"),
    "tests.fakes.small_disk": "app",
    "tests.fakes.ray_threads": "light",
    "engine.jobs.playground": "heavy",
}


class Forks:
    """The preloaded processes, each started when it is first needed; what is of no kind starts from scratch.

    Processes that run tests of one session beside each other have one of a kind in common: whoever needs it first
    starts it, and it ends with the session.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._watched = 0
        self._started: list[Process] = []

    @contextmanager
    def open(self, folder: Path, session: int) -> Iterator[None]:
        """As long as this lasts, `folder` holding the sockets, workers and readers begin as forks, and jobs soon.

        `session` is the id of the process that the preloaded ones end with.
        """
        with ExitStack() as stack:
            self._folder, self._watched = folder, session
            for place, name, value in self._replaced():
                stack.enter_context(patch.object(place, name, value))
            yield
        self._folder, self._watched = None, 0

    def join(self, folder: Path) -> None:
        """In a fork: start what it starts itself as forks of the processes that are there."""
        self._folder, self._watched = folder, 0
        for place, name, value in self._replaced():
            setattr(place, name, value)

    def begin(self, *kinds: str) -> None:
        """Let the processes of some kinds begin to import, so that they are there when they are needed."""
        for kind in kinds if self._folder is not None and self._watched else ():
            path = self._folder / kind
            with suppress(FileExistsError):
                begun(path).open("x").close()
                env = apart._environment() if kind == "readers" else None
                self._started.append(preload(path, _KINDS[kind], self._watched, env))

    def server(self, kind: str) -> Path | None:
        """The socket of the process of a kind; None where there is none."""
        if self._folder is None:
            return None
        self.begin(kind)
        path = self._folder / kind
        while begun(path).exists() and not path.exists():
            assert not any(process.poll() for process in self._started), "it could not import what it was given"
            time.sleep(0.02)
        return path if path.exists() else None

    def command_server(self) -> Path:
        """The socket of the process whose forks are commands, all others having begun too, which commands ask."""
        self.begin(*_KINDS)
        server = self.server("app")
        assert server is not None
        return server

    def start(self, command: Sequence[str], **given: Any) -> subprocess.Popen[Any]:
        """As `subprocess.Popen`: a fork where the command is `python ... -m MODULE` of a kind."""
        words = list(command[command.index("-m") + 1 :]) if command[0] == sys.executable and "-m" in command else [""]
        kind = _find_kind(words)
        server = self.server(kind) if kind else None
        if server is None:
            return subprocess.Popen(command, **given)
        given.pop("start_new_session", None)
        return Fork(server, words, **given)

    def _replaced(self) -> Iterator[tuple[ModuleType, str, Any]]:
        begin = local.start_process

        def start_process(command: list[str], log: IO[bytes], environment: Mapping[str, str]) -> int:
            kind = _find_kind(command[2:]) if command[1] == "-m" else ""
            server = self.server(kind) if kind else None
            if server is None:
                return begin(command, log, environment)
            return Fork(server, command[2:], env=environment, **pass_log(log)).leave()

        own = SimpleNamespace(**{name: getattr(subprocess, name) for name in subprocess.__all__})
        own.Popen = self.start
        yield local, "start_process", start_process
        yield apart, "subprocess", own
        yield playground, "subprocess", own
        yield supervisor, "TICK_S", 0.1
        yield context, "POLL_S", 0.05
        yield runs, "POLL_S", 0.05


FORKS = Forks()


def _find_kind(words: Sequence[str]) -> str:
    """The kind of a module with its arguments, "" for none."""
    module = words[0]
    if module != "engine.jobs.worker":
        return _KIND_OF.get(module, "")
    kind = json.loads((Path(words[-1]) / SPEC_FILE).read_text("utf-8"))["kind"]
    work = PAYLOADS[kind].work if kind in PAYLOADS else ""
    return "light" if work in _LIGHT else "heavy" if work in _HEAVY else ""


def tacit(
    *words: str, workspace: Path | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command line as a script sees it, in a process of its own."""
    FORKS.command_server()
    return run("app", *words, *(["--workspace", str(workspace)] if workspace else []), env=env, cwd=cwd)


def run(
    module: str, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a module as a program, a fork where it is of a kind, and wait for its end."""
    command = [sys.executable, "-m", module, *words]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with FORKS.start(command, env=dict(os.environ if env is None else env), cwd=cwd, **pipes) as process:
        try:
            out, told = process.communicate(timeout=200)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, told)
