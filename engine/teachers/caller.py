"""Asks teachers with care: within limits and budget, again where a failure may pass, and telling every attempt."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from engine.costs import Budget, cost_of, cost_of_failure, input_bound, may_bill, worst_cost
from engine.errors import ErrorKind, TeacherError
from engine.ports import EventSink, Request, Teacher
from engine.tasks.reply import shorten
from engine.teachers.limits import Limiter
from engine.values import Purpose, Reply, TeacherSpec, Usage

MAX_RAW = 100_000
"""Characters of a raw reply that are kept."""
ATTEMPTS = 7
_LONGEST_WAIT_S = 60.0
LONG_WAIT_S = 5.0
"""Waits that a provider asks for are told from here on."""
_SLICE_S = 0.2
_INTENTS = random.Random(secrets.token_bytes(32))
"""Where ids of attempts come from; asking the system for each of them costs more than all else that they take."""


class Stopped(Exception):
    """The job was asked to stop before this request was sent."""


@dataclass(frozen=True)
class Outcome:
    """One request that was sent: what came back or why nothing did, what it cost and took (None: unknown)."""

    reply: Reply | None
    error: TeacherError | None
    usage: Usage
    cost: Decimal | None
    latency_s: float | None
    intent: str = ""
    """What was journaled before it was sent, if anything was."""


@dataclass(frozen=True)
class About:
    """What a request was for. `sample_id` is the sample that a good reply makes, or that it works on."""

    sample_id: str
    query_id: str
    teacher: str
    purpose: Purpose
    prompt_hash: str
    draw: int = 0


def journal(
    sink: EventSink, about: About, outcome: Outcome, error: ErrorKind | None, message: str, **more: Any
) -> None:
    """Tell one attempt, good or not, with all that the ledger and "parse again" need.

    Where the provider asks for a long wait, that is told too: nobody should have to guess why nothing happens.
    """
    asked = outcome.error.retry_after_s if outcome.error else None
    if asked is not None and asked >= LONG_WAIT_S:
        sink.emit("waits", teacher=about.teacher, seconds=asked)
    raw = outcome.reply.raw if outcome.reply else outcome.error.raw if outcome.error else ""
    if len(raw) > MAX_RAW:
        message = "; ".join(part for part in (message, f"{len(raw):,} characters came, {MAX_RAW:,} are kept") if part)
    sink.emit(
        "reply",
        **vars(about),
        raw=shorten(raw, MAX_RAW),
        usage=dict(vars(outcome.usage)),
        latency_s=outcome.latency_s,
        cost=None if outcome.cost is None else str(outcome.cost),
        finish_reason=outcome.reply.finish_reason if outcome.reply else None,
        error=error,
        message=message,
        **({"intent": outcome.intent} if outcome.intent else {}),
        **more,
    )


Announce = Callable[[Decimal | None], str]
"""Told of each attempt before it is sent what it costs at most (None: unknown); gives the attempt's own id."""


def announcing(sink: EventSink, about: About, request: str, key: str) -> Announce:
    """Journals each attempt before it is sent, so that the ledger knows of one whose end nobody saw.

    `request` names what is asked, and `key` is the idempotency key it goes out under ("": none). The `reply` event of
    the attempt carries the same `intent`. As every event it has reached the operating system when this returns, but is
    not forced to the disk: a killed process loses none, a power cut may lose the newest.
    """

    def announce(worst: Decimal | None) -> str:
        intent = f"{_INTENTS.getrandbits(64):016x}"
        sink.emit(
            "sent",
            intent=intent,
            request=request,
            key=key,
            teacher=about.teacher,
            purpose=about.purpose,
            worst=None if worst is None else str(worst),
        )
        return intent

    return announce


def tell_nobody(worst: Decimal | None) -> str:
    """Announces nothing."""
    return ""


Tell = Callable[[Outcome], None]
Sending = Callable[[], Awaitable[Reply]]


@dataclass
class Caller:
    """How the teachers of one job are asked.

    `limiters` go by the teacher's name; a teacher without one is not limited. `attempts` of one request at most; the
    waits between them grow from `first_wait_s`, with jitter, unless the provider names its own.
    """

    budget: Budget = field(default_factory=Budget)
    limiters: dict[str, Limiter] = field(default_factory=dict)
    stop: Callable[[], bool] = lambda: False
    attempts: int = ATTEMPTS
    first_wait_s: float = 1.0

    async def call(self, teacher: Teacher, request: Request, tell: Tell, announce: Announce = tell_nobody) -> Reply:
        """Ask until there is a reply, an error that won't pass, or no attempt left. Each attempt is told.

        Those that may cost something are announced before they are sent.

        Raises:
            TeacherError: the last attempt's.
            CapReached: if the budget lets no further request start.
            Stopped: if the job is to stop; what was in flight comes to its end first.
        """
        prompt = f"{request.system}\n{request.user}"
        return await self.send(teacher.spec, prompt, lambda: teacher.ask(request), tell, announce)

    async def send(
        self, spec: TeacherSpec, prompt: str, ask: Sending, tell: Tell, announce: Announce = tell_nobody
    ) -> Reply:
        """As `call`, for a request in whatever form: `ask` sends it once."""
        try:
            return await self._once(spec, prompt, ask, tell, announce)
        except TeacherError as error:
            if self.attempts == 1 or not self._may_pass(error):
                raise
            return await self._again(error, lambda: self._once(spec, prompt, ask, tell, announce))

    async def _again(self, failed: TeacherError, once: Sending) -> Reply:
        """What the attempts behind the first come to. Most requests need none, and the care for them costs time."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(self._may_pass),
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        first = [failed]

        async def go_on() -> Reply:
            if first:
                raise first.pop()
            return await once()

        reply: Reply = await retrying(go_on)
        return reply

    async def _once(self, spec: TeacherSpec, prompt: str, ask: Sending, tell: Tell, announce: Announce) -> Reply:
        limiter = self.limiters.get(spec.name)
        if self.stop():
            raise Stopped
        if limiter is None:
            return await self._sent(spec, prompt, ask, tell, announce)
        if not limiter.try_enter():
            await self._unless_stopped(limiter.enter(input_bound(prompt) // 3 + spec.sampling.max_tokens // 4))
        try:
            reply = await self._sent(spec, prompt, ask, tell, announce)
            limiter.answered()
            return reply
        except TeacherError as error:
            if error.kind is ErrorKind.RATE_LIMIT:
                limiter.refused(error.retry_after_s)
            raise
        finally:
            limiter.leave()

    async def _sent(self, spec: TeacherSpec, prompt: str, ask: Sending, tell: Tell, announce: Announce) -> Reply:
        worst = worst_cost(spec, prompt)
        reserved = await self.budget.reserve(worst)
        if self.stop():
            self.budget.give_back(reserved)
            raise Stopped
        cost: Decimal | None = None
        intent, started = "", time.perf_counter()
        try:
            intent = announce(worst) if may_bill(spec, worst) else ""
            reply = await _read_reply(ask)
            cost = cost_of(spec, reply.usage)
            tell(Outcome(reply, None, reply.usage, cost, reply.latency_s, intent))
            return reply
        except TeacherError as error:
            usage, cost = cost_of_failure(spec, error)
            tell(Outcome(None, error, usage, cost, time.perf_counter() - started, intent))
            raise
        except asyncio.CancelledError:
            cut = TeacherError(ErrorKind.CONNECTION, "cut off while it was in flight; it may have been billed")
            tell(Outcome(None, cut, Usage(), None, time.perf_counter() - started, intent))
            raise
        finally:
            self.budget.settle(reserved, cost)

    async def _unless_stopped(self, waiting: Awaitable[None]) -> None:
        """Wait for a place in flight, but no longer than until the job is asked to stop."""
        task = asyncio.ensure_future(waiting)
        try:
            while not task.done():
                if self.stop():
                    raise Stopped
                await asyncio.wait({task}, timeout=_SLICE_S)
        finally:
            task.cancel()
        await task

    def _may_pass(self, error: BaseException) -> bool:
        return isinstance(error, TeacherError) and error.kind.may_pass and not self.stop()

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        first = self.first_wait_s
        grown = wait_exponential_jitter(multiplier=first, max=_LONGEST_WAIT_S, jitter=first)(state)
        asked = error.retry_after_s if isinstance(error, TeacherError) else None
        return grown if asked is None else max(grown, asked + grown / 10)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until the job is asked to stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stop():
            await asyncio.sleep(min(left, _SLICE_S))


async def _read_reply(ask: Sending) -> Reply:
    """The reply; whatever else goes wrong in reading it is a failed attempt, not the end of the job."""
    try:
        return await ask()
    except TeacherError:
        raise
    except Exception as error:  # what an SDK raises on an answer that it does not expect
        raise TeacherError(ErrorKind.UNPARSABLE, f"the answer can't be read: {type(error).__name__}") from error
