"""A policy's rungs together: who is asked, how many wait, and when it is too many."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from app.gateway.requests import ApiError
from app.gateway.rungs import Errand, RungPort
from engine.errors import CapReached, TacitError, TeacherError
from engine.serving.climbing import RungAnswer, Served, climb
from engine.serving.policy import Policy, StudentRung, TeacherRung
from engine.teachers.limits import CEILING_S
from engine.values import Query

_LONGEST_WAIT_S, _SHORTEST_WAIT_S = 60, 5
_SMOOTH = 0.9
CAP = "cap"
"""The word for a cap that is reached: unlike other failures it does not pass."""


class RungFailure(NamedTuple):
    """Why a rung failed: in a word, and for the log. Neither holds what a provider said: it may quote the query.

    `wait_s`: the provider asked to come again after so many seconds (0: it did not).
    """

    word: str
    message: str
    wait_s: float = 0.0


class LadderAnswer(NamedTuple):
    """What a ladder answered, the rationale of the answer that counts, and why rungs failed, by system."""

    served: Served
    rationale: str
    reasons: Mapping[str, RungFailure]

    @property
    def capped(self) -> bool:
        """Whether a rung was not asked since the cap on money is reached."""
        return any(reason.word == CAP for reason in self.reasons.values())

    @property
    def failed(self) -> list[str]:
        """The rungs that failed otherwise, and may answer later."""
        return [system for system, reason in self.reasons.items() if reason.word != CAP]

    @property
    def come_again_s(self) -> int:
        """Whole seconds after which one of them may answer."""
        waits = [self.reasons[system].wait_s for system in self.failed]
        return max(_SHORTEST_WAIT_S, math.ceil(min(*waits, CEILING_S))) if waits else _SHORTEST_WAIT_S


@dataclass
class LiveLadder:
    """The rungs of a policy, in their order. `queue`: requests that wait for a rung at most."""

    policy: Policy
    ports: Mapping[str, RungPort]
    queue: int
    open: Counter[str] = field(default_factory=Counter)
    pace: dict[str, float] = field(default_factory=dict)
    """Seconds of work an answer, by rung, without the wait for a turn: a mean in which older ones fade."""

    @property
    def last(self) -> str:
        """The rung that always answers."""
        return self.policy.systems[-1]

    @property
    def students(self) -> frozenset[str]:
        """The rungs that are students."""
        return frozenset(rung.system for rung in self.policy.students)

    def count_waiting(self) -> dict[str, int]:
        """Requests that wait for each rung."""
        return {name: max(0, self.open[name] - port.width) for name, port in self.ports.items()}

    def admit(self, only: str = "") -> None:
        """Let one more in, which asks the first rung, or the one that it names.

        Whoever is let in asks that rung before anything is awaited, or more come in than may.

        Raises:
            ApiError: 429 if it would wait and as many wait as may, with when to come again: once the slowest of the
                rungs that are waited for has worked its line off.
        """
        first = only or self.policy.systems[0]
        waiting = self.count_waiting()
        total, full = sum(waiting.values()), self.open[first] >= self.ports[first].width
        if total < self.queue or not (total or full):
            return
        lines = {name: n for name, n in waiting.items() if n} or {first: 0}
        seconds = max((n + 1) * self.pace.get(name, 1.0) / self.ports[name].width for name, n in lines.items())
        raise ApiError(
            429,
            f"{total} requests are waiting already, as many as may (--queue); come again a little later",
            "overloaded",
            retry_after_s=min(_LONGEST_WAIT_S, max(1, math.ceil(seconds))),
        )

    async def climb(self, query: Query, only: str, errand: Errand) -> LadderAnswer:
        """Ask rung after rung; `only` names one that is asked alone."""
        rationales: dict[str, str] = {}
        reasons: dict[str, RungFailure] = {}

        async def ask(rung: StudentRung | TeacherRung, asked: Query) -> RungAnswer:
            port = self.ports[rung.system]
            self.open[rung.system] += 1
            turns = max(1.0, self.open[rung.system] / port.width)
            try:
                reply = await port.ask(asked, errand)
            except TacitError as error:
                reasons[rung.system] = _explain(error)
                raise
            finally:
                self.open[rung.system] -= 1
            rationales[rung.system] = reply.rationale
            seconds = reply.answer.seconds / turns
            self.pace[rung.system] = _SMOOTH * self.pace.get(rung.system, seconds) + (1 - _SMOOTH) * seconds
            return reply.answer

        served = await climb(self.policy, query, query.kind, ask, only)
        by = served.answer
        return LadderAnswer(served, rationales.get(by.system, "") if by else "", reasons)


def _explain(error: TacitError) -> RungFailure:
    if isinstance(error, TeacherError):
        return RungFailure(why(error), error.kind.value, error.retry_after_s or 0.0)
    return RungFailure(why(error), str(error))


def why(error: TacitError) -> str:
    """The reason of a failure in a word, without anything that was said."""
    if isinstance(error, TeacherError):
        return error.kind.value
    return CAP if isinstance(error, CapReached) else "failed"
