"""Rungs of a ladder that answer as they are told, and a policy of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.gateway.rungs import Bill, Errand, RungReply
from app.gateway.service import Gateway, open_gateway
from app.gateway.settings import GatewaySettings
from engine.config import StudentConfig, TeacherConfig, read_config
from engine.errors import TacitError
from engine.prompts import load_prompt
from engine.serving.climbing import RungAnswer
from engine.serving.policy import Policy, StudentRung, TeacherRung
from engine.values import Query, Usage

TEACHER = TeacherRung(
    system="ann",
    teacher=TeacherConfig(name="ann", provider="scripted", model="m"),
    prompt=load_prompt("teacher", "custom").text,
)


def student(system: str, **rule: Any) -> StudentRung:
    return StudentRung(system=system, student=StudentConfig(), rule={"kind": "confidence", "threshold": 0.8, **rule})


def make_policy(**changes: Any) -> Policy:
    values = {"project": "puzzles", "run": "r", "task": "custom", "rungs": (student("stage3"), TEACHER)}
    return read_config(Policy, values | changes)


@dataclass
class FakeRung:
    """Answers with `label`, as sure as it is told; `fails` is raised in place of an answer; `seconds` are slept, by
    `width` requests at a time.

    `wasted`: dollars of the attempts that failed before, each of three tokens read and one written; None: not known.
    """

    system: str
    label: Callable[[Query], str | None] = lambda query: "A"
    confidence: float = 0.9
    fails: TacitError | None = None
    seconds: float = 0.0
    dollars: float | None = None
    wasted: tuple[float | None, ...] = ()
    width: int = 4
    asked: list[str] = field(default_factory=list)
    hung_up: int = 0
    closed: bool = False
    room: asyncio.Semaphore | None = None

    async def start(self) -> str:
        return ""

    async def ask(self, query: Query, errand: Errand) -> RungReply:
        self.asked.append(query.text)
        started = time.perf_counter()
        self.room = self.room or asyncio.Semaphore(self.width)
        try:
            async with self.room:
                await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.hung_up += 1
            raise
        errand.bills += [Bill(self.system, Usage(3, 1), dollars) for dollars in self.wasted]
        if self.fails is not None:
            raise self.fails
        label, usage = self.label(query), Usage(10, 5)
        if self.dollars is not None:
            errand.bills.append(Bill(self.system, usage, self.dollars))
        seconds = time.perf_counter() - started
        answer = RungAnswer(self.system, f"So. Answer: {label}", label, self.confidence, usage, self.dollars, seconds)
        return RungReply(answer, "So.")

    async def close(self) -> None:
        self.closed = True


def make_gateway(folder: Path, *rungs: FakeRung, policy: Policy | None = None, **settings: Any) -> Gateway:
    """A gateway on fakes: of the policy's rungs, by their names. Nobody needs a key, unless that is set."""
    given = read_config(GatewaySettings, {"no_key": True, **settings})
    OPENED.append(open_gateway(policy or make_policy(), given, folder, {rung.system: rung for rung in rungs}))
    return OPENED[-1]


OPENED: list[Gateway] = []
"""Those that were made and not closed yet."""


def close_all() -> None:
    """Close their files."""
    while OPENED:
        asyncio.run(OPENED.pop().close())
