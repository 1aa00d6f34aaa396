"""Decides which programs pass: tests run in one interpreter, the answer in another, and only plain values go over.

First the tests run with stand-ins for the answer's functions and tell what they would ask; then the answer, in an
interpreter of its own, is asked just that; then the tests run again with what it gave, until nothing is left to ask. A
verdict counts only where it stands under a nonce drawn for this one run of the tests, which the answer never sees.
"""

from __future__ import annotations

import json
import re
import secrets
import typing
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, cast

from engine.packaged import count_processors
from engine.sandbox.base import PRELUDE, Program, ProgramOutcome, Ran, Sandbox, Status, pick
from engine.sandbox.guest.plain import MARKER

_TYPING = re.compile(rf"\b(?:{'|'.join(typing.__all__)})\b")
"""Where none of its names is written, loading `typing` is spared."""
_LEFT_OUT = ("from engine.", "from typing ", "from __future__ ")
_MOST_TIMES = 5
"""So many times its seconds a program may take in all its starts together."""
_UNSETTLED = "the answer gives something else each time, or there is too much to ask"


class _Ended(Exception):
    """There is nothing more to ask."""

    def __init__(self, status: Status, message: str, outputs: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.outputs = status, message, tuple(outputs)


def run_programs(
    programs: Iterable[Program], sandbox: Sandbox | None = None, lanes: int | None = None
) -> Iterator[ProgramOutcome]:
    """The outcomes of programs, in their order, as many at a time as keep the processors busy (or `lanes`).

    Raises:
        MissingPart: if no sandbox can be used here.
    """
    chosen = sandbox or pick()
    with ThreadPoolExecutor(lanes or chosen.lanes * count_processors()) as pool:
        yield from pool.map(lambda program: run_program(program, chosen), programs)


def run_program(program: Program, sandbox: Sandbox | None = None) -> ProgramOutcome:
    """What becomes of one program.

    Raises:
        MissingPart: if no sandbox can be used here.
    """
    run = _Run(program, sandbox or pick())
    try:
        run.go()
    except _Ended as ended:
        return ProgramOutcome(program.id, ended.status, ended.message, ended.outputs, run.seconds)
    except RecursionError:
        return ProgramOutcome(program.id, Status.ERROR, "it gave data too deep to be read", (), run.seconds)
    raise AssertionError("a run of a program ends by a verdict")


class _Run:
    def __init__(self, program: Program, sandbox: Sandbox) -> None:
        self.program, self.sandbox, self.seconds = program, sandbox, 0.0
        self.common = {"setup": program.setup, "output": program.limits.output_bytes}

    def go(self) -> None:
        tests = replace(self.program, id="", code="")
        ops = json.loads(_first_questions(tests, cast(Any, self.sandbox)))
        for _ in range(self.program.limits.starts):
            replies = self.ask(ops)
            report = self.judge(ops, replies)
            trace = report["trace"]
            if self.seconds > _MOST_TIMES * self.program.limits.seconds:
                raise _Ended(Status.TIMEOUT, f"its starts took {self.seconds:.0f} s together")
            if not report["missing"] and ops[: len(trace)] == trace:
                self._settle(report)
            ops = trace
        raise _Ended(Status.ERROR, _UNSETTLED)

    def _settle(self, report: dict[str, Any]) -> None:
        outputs = report["outputs"]
        if report["failure"] is not None:
            status, message = report["failure"]
            raise _Ended(Status(status), message, outputs)
        if not self.program.tests:
            raise _Ended(Status.FAILED, "there are no tests that it could pass", outputs)
        raise _Ended(Status.PASSED, "", outputs)

    def judge(self, ops: list[Any], replies: list[Any]) -> dict[str, Any]:
        program, nonce = self.program, secrets.token_hex(16)
        asked = {"tests": program.tests, "calls": program.calls, "names": program.names, "ops": ops, "replies": replies}
        ran = self._start("judge", {**self.common, **asked, "nonce": nonce})
        report = _read_report(ran)
        if ran.ended is not None:
            raise _Ended(ran.ended, f"the tests ended before their verdict: {ran.message}")
        if report is None or report.get("nonce") != nonce:
            raise _Ended(Status.ERROR, "the tests ended before their verdict")
        return report

    def ask(self, ops: list[Any]) -> list[Any]:
        code = self.program.code
        asked = {"prelude": PRELUDE if _TYPING.search(code) else "", "code": code, "ops": ops}
        ran = self._start("candidate", {**self.common, **asked})
        report = _read_report(ran)
        if ran.ended is not None:
            raise _Ended(ran.ended, ran.message)
        replies = None if report is None else report.get("replies")
        if report is None or not isinstance(replies, list):
            raise _Ended(Status.ERROR, "the answer ended its process before it was asked everything")
        if report.get("flooded"):
            raise _Ended(Status.OUTPUT, f"it printed more than {self.program.limits.output_bytes} characters")
        if report.get("broken"):
            _raise_broken(report["broken"])
        if len(replies) != len(ops) or not all(isinstance(reply, list) and len(reply) == 3 for reply in replies):
            raise _Ended(Status.ERROR, "the answer's process told what can't be read")
        if any(reply[:2] == ["raised", "MemoryError"] for reply in replies):
            raise _Ended(Status.MEMORY, f"it needs more than {self.program.limits.memory_bytes // 2**20} MB")
        return replies

    def _start(self, role: str, payload: dict[str, Any]) -> Ran:
        ran = self.sandbox.run(f"run_{role}({payload!r})\n", self.program.limits, _guest(role))
        self.seconds += ran.seconds
        return ran


@lru_cache(10_000)
def _first_questions(tests: Program, sandbox: Any) -> str:
    """What tests ask before anything is answered, as JSON: the same for all answers to one query."""
    return json.dumps(_Run(tests, sandbox).judge([], [])["trace"])


def _raise_broken(broken: Any) -> None:
    name, message = (str(part) for part in broken)
    if name == "MemoryError":
        raise _Ended(Status.MEMORY, "it needs too much memory")
    raise _Ended(Status.ERROR, f"the code can't be run: {name}: {message}")


def _read_report(ran: Ran) -> dict[str, Any] | None:
    """What stands behind the last marker; whoever printed it."""
    _, marker, text = ran.printed.decode("utf-8", "replace").rpartition(MARKER)
    try:
        report = json.loads(text) if marker else None
    except (ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


@cache
def _guest(role: str) -> str:
    """The text that one side runs: both files, less what the second imports of the first."""
    folder = files("engine.sandbox.guest")
    texts = (folder.joinpath(name).read_text("utf-8") for name in ("plain.py", f"{role}.py"))
    lines = [line for text in texts for line in text.splitlines() if not line.startswith(_LEFT_OUT)]
    return "\n".join(["from __future__ import annotations", *lines])
