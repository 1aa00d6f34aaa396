"""What the gateway asks: one rung of a ladder each, with how many requests it is sent at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.ports import Task
from engine.serving.climbing import RungAnswer
from engine.values import Query, Usage


@dataclass(frozen=True)
class Bill:
    """What one attempt took; `dollars` None: not known."""

    system: str
    usage: Usage
    dollars: float | None


@dataclass
class Errand:
    """What one request asks rungs for: its id, whether the answer is for a comparison alone, and all that was billed.

    Attempts that failed are billed too.
    """

    id: str
    shadow: bool = False
    bills: list[Bill] = field(default_factory=list)


@dataclass(frozen=True)
class RungReply:
    """What a rung answered, with its rationale apart from the label."""

    answer: RungAnswer
    rationale: str


class RungPort(Protocol):
    """One rung that can be asked."""

    @property
    def system(self) -> str:
        """Its name in the policy."""
        ...

    @property
    def width(self) -> int:
        """Requests that it works on at a time; more of them wait."""
        ...

    async def start(self) -> str:
        """Get ready; what whoever started the gateway should know, "" for nothing.

        Raises:
            TacitError: if it could never answer.
        """
        ...

    async def ask(self, query: Query, errand: Errand) -> RungReply:
        """Its answer. Hung up on, it stops working on it.

        Raises:
            TacitError: if it has none.
        """
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


def read_rationale(task: Task, text: str) -> str:
    """The rationale of a student's text."""
    return task.split_completion(text)[0]


def read_int(value: Any) -> int | None:
    """A count that another process told; None if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def count_all(counts: Iterable[int | None]) -> int | None:
    """Tokens together; None where some are not counted."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)
