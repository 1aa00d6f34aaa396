"""What a sandbox is: programs in, outcomes out; and which of the sandboxes there are can be used here.

A sandbox runs one script in an interpreter of its own, that sees no file of this machine, no environment, no network
and no other process, within limits. Who may pass is decided elsewhere (`engine.sandbox.harness`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Protocol

from engine.errors import MissingPart
from engine.registry import Registry

PRELUDE = "from typing import *\n"
"""What stands before every answer: names that models use in signatures without importing them."""


@dataclass(frozen=True)
class SandboxLimits:
    """What one start of an interpreter may take.

    Attributes:
        seconds: by the clock.
        memory_bytes: address space of its process.
        output_bytes: printed, or told as results.
        starts: how often a program may be asked anew before its tests are given up.
    """

    seconds: float = 8.0
    memory_bytes: int = 512 * 2**20
    output_bytes: int = 4 * 2**20
    starts: int = 24


@dataclass(frozen=True)
class Program:
    """An answer and what is asked of it.

    Attributes:
        id: comes back with the outcome.
        code: the answer.
        setup: statements that tests and answer need.
        tests: assert statements, or functions of them and their call.
        calls: expressions whose results are wanted.
        names: what the answer is to define, where that is known. Else it is whatever the tests use and nobody defines,
            and an answer may define it: also a function that the tests compare with and their file forgot.
        limits: of each start of an interpreter.
    """

    id: str
    code: str
    tests: tuple[str, ...] = ()
    setup: str = ""
    calls: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    limits: SandboxLimits = SandboxLimits()


class Status(StrEnum):
    """How a program ended; only the first counts as right."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    REFUSED = "refused"


@dataclass(frozen=True)
class ProgramOutcome:
    """What became of a program.

    Attributes:
        outputs: of each of its calls, as text that is equal where the values are; empty where there was no verdict.
        seconds: that its interpreters ran, together.
    """

    id: str
    status: Status
    message: str = ""
    outputs: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Ran:
    """What became of a script: what it printed, and how it ended where that was not by itself."""

    printed: bytes
    ended: Status | None
    message: str
    seconds: float


class Sandbox(Protocol):
    """One way to run a script where it can do no harm. Its methods may be called by several threads at once."""

    @property
    def title(self) -> str:
        """What it is, for a person."""
        ...

    @property
    def rank(self) -> int:
        """The lowest of those that can be used is taken."""
        ...

    @property
    def lanes(self) -> int:
        """How many scripts at a time keep one processor busy."""
        ...

    @property
    def install(self) -> str:
        """What to do so that it can be used."""
        ...

    def missing(self) -> str:
        """What it lacks here, before anything is tried; empty if nothing."""
        ...

    def run(self, script: str, limits: SandboxLimits, library: str = "") -> Ran:
        """Run a script behind a library, which is our own text: its compiled form may be kept for the next script.

        Never raises for what the script does.

        Raises:
            MissingPart: if no interpreter can be started.
        """
        ...


SANDBOXES: Registry[Sandbox] = Registry("sandboxes", "sandbox")

_TRY = """
import json, os
found = {"environment": any("TACIT_CANARY" in name for name in os.environ)}
def attempt(name, what):
    try:
        found[name] = bool(what())
    except BaseException:
        found[name] = False
def start():
    if os.fork() == 0:
        os._exit(0)
    return True
def begin():
    import threading
    threading.Thread(target=int).start()
    return True
def connect():
    import socket
    return socket.create_connection(("127.0.0.1", PORT), 1)
attempt("file", lambda: open(CANARY).read())
attempt("writing", lambda: open(CANARY + ".more", "w"))
attempt("process", start)
attempt("thread", begin)
attempt("network", connect)
print(json.dumps(found))
"""


def say_missing(name: str) -> str:
    """Why the sandbox of that name can't be used here; empty if it can. It is tried once a process."""
    return _try_out(name, os.getpid())


@cache
def _try_out(name: str, process: int) -> str:
    return try_out(SANDBOXES[name])


def try_out(sandbox: Sandbox) -> str:
    """Why a sandbox can't be used here: a script in it tries to read, write, start processes and connect."""
    lacking = sandbox.missing()
    if lacking:
        return lacking
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        canary = Path(folder, "canary")
        canary.write_text(secrets.token_hex(), "utf-8")
        text = f"CANARY, PORT = {str(canary)!r}, {server.getsockname()[1]}\n{_TRY}"
        try:
            ran = sandbox.run(text, SandboxLimits(seconds=30))
        except MissingPart as error:
            return str(error)
    if ran.ended is not None:
        return f"it does not start here: {ran.message or ran.ended}"
    try:
        reached = json.loads(ran.printed)
    except ValueError:
        return "it does not start here: it printed nothing that can be read"
    open_to = [what for what, managed in reached.items() if managed]
    return f"what runs in it can reach: {', '.join(open_to)}" if open_to or not reached else ""


def available(missing: Callable[[str], str] = say_missing) -> tuple[str, ...]:
    """The names of the sandboxes that can be used here, best first."""
    return tuple(name for name in _by_rank() if not missing(name))


def _by_rank() -> list[str]:
    return sorted(SANDBOXES, key=lambda name: SANDBOXES[name].rank)


def pick(missing: Callable[[str], str] = say_missing) -> Sandbox:
    """The best sandbox that can be used here.

    Raises:
        MissingPart: if there is none: what each lacks and what to install. Nothing is ever run without one.
    """
    usable = available(missing)
    if usable:
        return SANDBOXES[usable[0]]
    said = "; ".join(f"{SANDBOXES[name].title}: {missing(name)} ({SANDBOXES[name].install})" for name in _by_rank())
    raise MissingPart(f"code is run in a sandbox alone, and none can be used here. {said}. Nothing was run")
