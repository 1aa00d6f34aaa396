"""Shadowing: some of the students' answers are compared with the last rung's, after they were given out."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field

from app.gateway.ladder import LiveLadder, why
from app.gateway.record import Recorder
from app.gateway.rungs import Errand, count_all
from engine.errors import CapReached, TacitError
from engine.ports import Task
from engine.serving.climbing import RungAnswer, Served
from engine.values import Query, Usage

_LOG = logging.getLogger(__name__)
_MOST_OPEN = 32
"""Comparisons that wait or are under way; further ones are left out."""
_AT_ONCE = 4


@dataclass
class Shadows:
    """Compares `share` of the students' answers, drawn at random, so that they stand for all of them."""

    ladder: LiveLadder
    task: Task
    recorder: Recorder
    share: float
    draw: random.Random = field(default_factory=random.Random)
    open: set[asyncio.Task[None]] = field(default_factory=set)
    capped: bool = False
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def consider(self, query: Query, served: Served, by: RungAnswer, forced: bool, request: str) -> None:
        """Compare an answer that the policy gave by a student, if it is drawn; the caller has it already."""
        own = not forced and not served.fallback and by.system != self.ladder.last
        if not own or self.capped or self.draw.random() >= self.share or len(self.open) >= _MOST_OPEN:
            return
        task = asyncio.get_running_loop().create_task(self._compare(query, by, request))
        self.open.add(task)
        task.add_done_callback(self.open.discard)

    async def _compare(self, query: Query, by: RungAnswer, request: str) -> None:
        errand = Errand(f"{request}-shadow", shadow=True)
        port = self.ladder.ports[self.ladder.last]
        agrees, error = None, ""
        usage: list[Usage] = []
        try:
            async with self.room:
                reply = await port.ask(query, errand)
            usage = [reply.answer.usage]
            agrees = self._agree(query, by.label, reply.answer.label)
        except CapReached as reached:
            self.capped = True
            error = why(reached)
            _LOG.warning("shadowing is over: %s", reached)
        except TacitError as failed:
            error = why(failed)
        costs = [bill.dollars for bill in errand.bills if bill.dollars is not None]
        usage = [bill.usage for bill in errand.bills] or usage
        known = len(costs) == len(errand.bills)
        self.recorder.add(
            "shadow",
            request=request,
            rung=by.system,
            agrees=agrees,
            usd=sum(costs) if known else None,
            own=self.ladder.last in self.ladder.students,
            **{"in": count_all(u.input_tokens for u in usage), "out": count_all(u.output_tokens for u in usage)},
            error=error,
        )
        if agrees is not None:
            self.recorder.compare(agrees)

    def _agree(self, query: Query, served: str | None, reference: str | None) -> bool | None:
        """Whether two labels are the same; None where the reference states none."""
        if reference is None or served is None:
            return None
        mine, other = self.task.normalise(query, served), self.task.normalise(query, reference)
        return (mine or served) == (other or reference)

    async def close(self) -> None:
        """Hang up on comparisons that are under way."""
        for task in self.open:
            task.cancel()
        await asyncio.gather(*self.open, return_exceptions=True)
