"""Asks teachers with care: within limits and budget, again where a failure may pass, and telling every attempt."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt, wait_exponential_jitter

from engine.costs import Budget, cost_of, cost_of_failure, input_bound, may_bill, worst_cost
from engine.errors import ErrorKind, TeacherError, say_cause, where_it_failed
from engine.ports import EventSink, Request, Teacher
from engine.tasks.reply import shorten
from engine.teachers.faults import FaultRow
from engine.teachers.limits import CEILING_S, SLICE_S, Clock, Limiter
from engine.values import Purpose, Reply, TeacherSpec, Usage
from engine.wording import say_span

_LOG = logging.getLogger(__name__)
MAX_RAW = 100_000
"""Characters of a raw reply that are kept."""
ATTEMPTS = 7
_LONGEST_WAIT_S = 60.0
_TOOK_LONG = (ErrorKind.TIMEOUT, ErrorKind.STALLED)
LONG_WAIT_S = 5.0
"""Waits that a provider asks for are told from here on."""
_INTENTS = random.Random(secrets.token_bytes(32))
"""Where ids of attempts come from; asking the system for each of them costs more than all else that they take."""
os.register_at_fork(after_in_child=lambda: _INTENTS.seed(secrets.token_bytes(32)))  # or a fork would give the same ones


class Stopped(Exception):
    """The job was asked to stop, or the teacher was given up, before this request was sent."""


class _NotSent(TeacherError):
    """A request was not sent, since whoever looks on would have waited too long for its turn."""


@dataclass(frozen=True)
class CallOutcome:
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
    sink: EventSink, about: About, outcome: CallOutcome, error: ErrorKind | None, message: str, **more: Any
) -> None:
    """Tell one attempt, good or not, with all that the ledger and "parse again" need."""
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


def new_intent() -> str:
    """An id that no other attempt has: 16 hexadecimal digits."""
    return f"{_INTENTS.getrandbits(64):016x}"


Announce = Callable[[Decimal | None], str]
"""Told of each attempt before it is sent what it costs at most (None: unknown); gives the attempt's own id."""


def announcing(sink: EventSink, about: About, request: str, key: str) -> Announce:
    """Journals each attempt before it is sent, so that the ledger knows of one whose end nobody saw.

    `request` names what is asked, and `key` is the idempotency key it goes out under ("": none). The `reply` event of
    the attempt carries the same `intent`. As every event it has reached the operating system when this returns, but is
    not forced to the disk: a killed process loses none, a power cut may lose the newest.
    """

    def announce(worst: Decimal | None) -> str:
        intent = new_intent()
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


Tell = Callable[[CallOutcome], None]
Sending = Callable[[], Awaitable[Reply]]


@dataclass
class Caller:
    """How the teachers of one job are asked.

    `limiters` go by the teacher's name; a teacher without one shares nothing with another. `attempts` of one request at
    most; the waits between them grow from `first_wait_s`, with jitter. Where a provider asks for a wait, nothing is
    asked of its model before that is over; from `LONG_WAIT_S` on it is told to `sink` as a `waits` event, and once more
    with no seconds when it ends before its time.

    `most_wait_s` is of somebody who looks on while one request is answered (None: of a job). There a longer wait is an
    error at once, an attempt that took all of its time is not made again, and no teacher is given up.
    """

    budget: Budget = field(default_factory=Budget)
    limiters: dict[str, Limiter] = field(default_factory=dict)
    stop: Callable[[], bool] = lambda: False
    attempts: int = ATTEMPTS
    first_wait_s: float = 1.0
    most_wait_s: float | None = None
    sink: EventSink | None = None
    clock: Clock = field(default_factory=Clock)
    rows: dict[str, FaultRow] = field(default_factory=dict)
    _wait_ends: dict[str, float] = field(default_factory=dict)

    def row(self, spec: TeacherSpec) -> FaultRow:
        """What of a teacher came to nothing so far, and whether it is given up."""
        if spec.name not in self.rows:
            self.rows[spec.name] = FaultRow(spec.concurrency, self.clock)
        return self.rows[spec.name]

    async def call(self, teacher: Teacher, request: Request, tell: Tell, announce: Announce = tell_nobody) -> Reply:
        """Ask until there is a reply, an error that won't pass, or no attempt left. Each attempt is told.

        Those that may cost something are announced before they are sent.

        Raises:
            TeacherError: the last attempt's; of somebody who looks on, also where it would have to wait too long: then
                nothing was sent, and nothing is told.
            CapReached: if the budget lets no further request start.
            Stopped: if the job is to stop, or the teacher is given up; what was in flight comes to its end first.
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
            return await self._repeat(spec, error, lambda: self._once(spec, prompt, ask, tell, announce))

    async def _repeat(self, spec: TeacherSpec, failed: TeacherError, once: Sending) -> Reply:
        """What the attempts behind the first come to. Most requests need none, and the care for them costs time."""
        retrying = AsyncRetrying(
            retry=lambda state: self._again(spec, state),
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            sleep=lambda seconds: self._sleep(spec, seconds),
            reraise=True,
        )
        first = [failed]

        async def go_on() -> Reply:
            if first:
                raise first.pop()
            return await once()

        try:
            reply: Reply = await retrying(go_on)
        except TeacherError as error:
            self.row(spec).gave_up(error)
            self._tell_wait(spec, self._limiter(spec))
            raise
        return reply

    async def _once(self, spec: TeacherSpec, prompt: str, ask: Sending, tell: Tell, announce: Announce) -> Reply:
        limiter = self._limiter(spec)
        if self._is_over(spec):
            raise Stopped
        if not limiter.try_enter():
            await self._enter(limiter, spec, prompt)
        try:
            reply = await self._sent(spec, prompt, ask, tell, announce)
            limiter.answered()
            return reply
        except TeacherError as error:
            self.row(spec).failed(error)
            if error.kind is ErrorKind.RATE_LIMIT:
                limiter.refused(error.retry_after_s)
            else:
                limiter.pause(error.retry_after_s)
            self._tell_wait(spec, limiter)
            raise
        finally:
            limiter.leave()

    def _limiter(self, spec: TeacherSpec) -> Limiter:
        if spec.name not in self.limiters:
            self.limiters[spec.name] = Limiter(spec.concurrency, clock=self.clock)
        return self.limiters[spec.name]

    def _is_over(self, spec: TeacherSpec) -> bool:
        """Whether nothing more is to be asked of a teacher."""
        return self.stop() or (self.most_wait_s is None and self.row(spec).over)

    async def _enter(self, limiter: Limiter, spec: TeacherSpec, prompt: str) -> None:
        """Wait for a place in flight, but no longer than anything is to be asked, nor whoever looks on is to wait."""
        tokens, began = input_bound(prompt) // 3 + spec.sampling.max_tokens // 4, self.clock.now()
        if self.most_wait_s is not None:
            if limiter.left_s > self.most_wait_s:
                self._tell_wait(spec, limiter)
                raise self._refuse(spec, "its provider asked to wait", limiter.left_s)
            if (turn := limiter.rates.wait_s(tokens)) > self.most_wait_s:
                raise self._refuse(spec, "its own requests and tokens a minute are used up", turn)
        task = asyncio.ensure_future(limiter.enter(tokens))
        try:
            while not task.done():
                if self._is_over(spec):
                    raise Stopped
                if self.most_wait_s is not None and self.clock.now() - began > self.most_wait_s:
                    raise self._refuse(spec, "others are asking it", max(1.0, limiter.rates.wait_s(tokens)))
                self._tell_wait(spec, limiter)
                await asyncio.wait({task}, timeout=SLICE_S)
        finally:
            task.cancel()
        self._tell_wait(spec, limiter)
        await task

    def _refuse(self, spec: TeacherSpec, why: str, left_s: float) -> TeacherError:
        """A request that is not sent, since whoever looks on would wait too long."""
        message = f"not asked, since {why}: come again in {say_span(left_s)}"
        if self.sink is not None:
            self.sink.emit("held", teacher=spec.name, message=message)
        return _NotSent(ErrorKind.RATE_LIMIT, message, retry_after_s=left_s)

    def _tell_wait(self, spec: TeacherSpec, limiter: Limiter) -> None:
        """Tell a wait that the provider asked for, once; and that it is over where it ended before its time."""
        now, until, left = self.clock.now(), self._wait_ends.get(spec.name, 0.0), limiter.left_s
        left = 0.0 if self._is_over(spec) else left
        begins = left >= LONG_WAIT_S and now + left > until + LONG_WAIT_S
        if not begins and (left or until <= now):
            return
        self._wait_ends[spec.name] = now + left
        if self.sink is not None:
            self.sink.emit("waits", teacher=spec.name, seconds=round(left, 3), longer=limiter.longer)

    async def _sent(self, spec: TeacherSpec, prompt: str, ask: Sending, tell: Tell, announce: Announce) -> Reply:
        worst = worst_cost(spec, prompt)
        reserved = await self.budget.reserve(worst)
        if self._is_over(spec):  # it may have come to that while a place in flight was waited for
            self.budget.give_back(reserved)
            raise Stopped
        cost: Decimal | None = None
        intent, started = "", time.perf_counter()
        try:
            intent = announce(worst) if may_bill(spec, worst) else ""
            reply = await _read_reply(ask)
            cost = cost_of(spec, reply.usage)
            tell(CallOutcome(reply, None, reply.usage, cost, reply.latency_s, intent))
            return reply
        except TeacherError as error:
            usage, cost = cost_of_failure(spec, error)
            tell(CallOutcome(None, error, usage, cost, time.perf_counter() - started, intent))
            raise
        except asyncio.CancelledError:
            cut = TeacherError(ErrorKind.CONNECTION, "cut off while it was in flight; it may have been billed")
            tell(CallOutcome(None, cut, Usage(), None, time.perf_counter() - started, intent))
            raise
        finally:
            self.budget.settle(reserved, cost)

    def _again(self, spec: TeacherSpec, state: RetryCallState) -> bool:
        """Whether an attempt that came to nothing is worth another one."""
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, TeacherError) or not error.kind.may_pass or self._is_over(spec):
            return False
        if isinstance(error, _NotSent):
            return False
        if self.most_wait_s is None:
            return True
        asked = min(error.retry_after_s or 0.0, CEILING_S)
        return error.kind not in _TOOK_LONG and asked <= self.most_wait_s

    def _wait(self, state: RetryCallState) -> float:
        """Seconds to the next attempt; what the provider asks for, all requests to its model wait besides."""
        first = self.first_wait_s
        return wait_exponential_jitter(multiplier=first, max=_LONGEST_WAIT_S, jitter=first)(state)

    async def _sleep(self, spec: TeacherSpec, seconds: float) -> None:
        """Sleep, but no longer than anything is to be asked, or until somebody wants to go on."""
        limiter, until = self._limiter(spec), self.clock.now() + seconds
        woken = limiter.woken
        while (left := until - self.clock.now()) > 0 and not self._is_over(spec) and limiter.woken == woken:
            await self.clock.sleep(min(left, SLICE_S))


async def _read_reply(ask: Sending) -> Reply:
    """The reply; whatever else goes wrong in reading it is a failed attempt, not the end of the job."""
    try:
        return await ask()
    except TeacherError:
        raise
    except Exception as error:  # what an SDK raises on an answer that it does not expect
        _LOG.warning("an answer could not be read: %s", where_it_failed(error))
        if cause := say_cause(error):
            raise TeacherError(ErrorKind.CONNECTION, f"the connection failed: {cause}") from error
        raise TeacherError(
            ErrorKind.UNPARSABLE, "the answer is not what its protocol says: it can't be read"
        ) from error
