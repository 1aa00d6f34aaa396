"""How fast a provider may be asked: requests and tokens a minute by provider and key, how many in flight by model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

CEILING_S = 600.0
"""Longer than this nobody waits at a time, whatever a provider asks for."""
SLICE_S = 0.2
"""Who waits looks this often whether it is to wait no longer."""
_CALM = 20
"""As many replies in a row without a refusal let one more request into the air."""


@dataclass(frozen=True)
class Clock:
    """The time in seconds from some moment on, and how to let some of it pass."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class _Bucket:
    """A leaky bucket: `most` at once, `rate` a second. Who comes waits behind all who came before."""

    def __init__(self, most: float, rate: float, clock: Clock) -> None:
        self._most, self._rate, self._clock = most, rate, clock
        self._level, self._at = 0.0, clock.now()

    def wait_s(self, amount: float) -> float:
        """Seconds that whoever came now would wait."""
        now = self._clock.now()
        self._level = max(0.0, self._level - (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (self._level + min(amount, self._most) - self._most) / self._rate)

    async def acquire(self, amount: float) -> None:
        """Wait for so much, or for as much as ever goes at once."""
        amount = min(amount, self._most)
        until = self._clock.now() + self.wait_s(amount)
        self._level += amount
        try:
            while (left := until - self._clock.now()) > 0:
                await self._clock.sleep(left)
        except BaseException:  # nobody took it
            self._level = max(0.0, self._level - amount)
            raise


class RateLimits:
    """Requests and tokens a minute that a provider allows under one key, whichever model is asked."""

    def __init__(self, clock: Clock = Clock()) -> None:
        """To be used on one event loop; nothing is limited at first."""
        self._clock = clock
        self._set: tuple[int | None, int | None] = (None, None)
        self._requests: _Bucket | None = None
        self._tokens: _Bucket | None = None

    @property
    def limited(self) -> bool:
        """Whether anything is."""
        return self._requests is not None or self._tokens is not None

    def set(self, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        """From now on; None leaves what was set before."""
        rates = (requests_per_minute or self._set[0], tokens_per_minute or self._set[1])
        if rates != self._set:
            self._set = rates
            self._requests = _Bucket(max(1, rates[0] / 60), rates[0] / 60, self._clock) if rates[0] else None
            self._tokens = _Bucket(rates[1], rates[1] / 60, self._clock) if rates[1] else None

    def wait_s(self, tokens: int) -> float:
        """Seconds that a request of about so many tokens would wait for its turn, behind all who wait already."""
        requests = self._requests.wait_s(1) if self._requests else 0.0
        return max(requests, self._tokens.wait_s(tokens) if self._tokens else 0.0)

    async def acquire(self, tokens: int) -> None:
        """Wait for the turn of a request of about so many tokens."""
        if self._requests is not None:
            await self._requests.acquire(1)
        if self._tokens is not None:
            await self._tokens.acquire(tokens)


class Limiter:
    """Gates the requests to one model of a provider under one key. Its `rates` it shares with the key's other models.

    What a provider refuses slows the model that was refused, and no other: a flaky model does not hold up a good one.

    The number in flight is halved when the provider says that it is too much, and grows again one by one, up to what
    the user allowed (additive increase, multiplicative decrease, as in TCP).

    `users` are the jobs that ask through it at this moment. `longer`: the wait that stands now is the ceiling, and its
    provider asked for more.
    """

    def __init__(self, in_flight: int, rates: RateLimits | None = None, clock: Clock = Clock()) -> None:
        """To be used on one event loop; `left_s` and `go_on` by any thread."""
        self.rates = rates or RateLimits(clock)
        self.clock = clock
        self.most = in_flight
        self.allowed = in_flight
        self.users = 0
        self.longer = False
        self.woken = 0
        """How often somebody wanted to go on at once."""
        self._busy = 0
        self._calm = 0
        self._paused_until = 0.0
        self._waiting = 0
        self._freed = asyncio.Event()

    @property
    def left_s(self) -> float:
        """Seconds that a wait which the provider asked for lasts yet; 0: there is none."""
        return max(0.0, self._paused_until - self.clock.now())

    def widen(self, in_flight: int) -> None:
        """Another teacher shares this limiter: the larger number counts."""
        if in_flight > self.most:
            self.allowed += in_flight - self.most
            self.most = in_flight

    def try_enter(self) -> bool:
        """Take a place in flight if one is free at once and nothing else limits; `leave` gives it back."""
        if self._busy >= self.allowed or self._waiting or self.rates.limited or (self._paused_until and self.left_s):
            return False
        self._busy += 1
        return True

    async def enter(self, tokens: int) -> None:
        """Wait for a place in flight for a request of about so many tokens; `leave` gives it back."""
        self._waiting += 1
        try:
            await self._wait_out()
            while self._busy >= self.allowed:
                self._freed.clear()
                await self._freed.wait()
                await self._wait_out()
            self._busy += 1
        finally:
            self._waiting -= 1
        try:
            await self.rates.acquire(tokens)
            await self._wait_out()
        except BaseException:
            self.leave()
            raise

    async def _wait_out(self) -> None:
        """Until the provider wants to be asked again, or somebody wants to ask."""
        while left := self.left_s:
            await self.clock.sleep(min(left, SLICE_S))

    def leave(self) -> None:
        """Give the place back."""
        self._busy -= 1
        self._freed.set()

    def refused(self, retry_after_s: float | None) -> None:
        """The provider said that it is too much: half as many in flight, and nobody before the time it names."""
        self.allowed = max(1, self.allowed // 2)
        self._calm = 0
        self.pause(retry_after_s)

    def pause(self, retry_after_s: float | None) -> None:
        """Ask nothing before so many seconds are over, or the ceiling is; a longer wait that stands is kept."""
        asked = retry_after_s or 0.0
        until = self.clock.now() + min(asked, CEILING_S)
        if asked > 0 and until >= self._paused_until:
            self._paused_until, self.longer = until, asked > CEILING_S

    def go_on(self) -> bool:
        """End the wait that the provider asked for; whether there was one."""
        waited = self.left_s > 0
        self._paused_until, self.longer = 0.0, False
        self.woken += 1
        return waited

    def answered(self) -> None:
        """A reply came; after enough of them one more may be in flight."""
        self._calm += 1
        if self._calm >= _CALM and self.allowed < self.most:
            self._calm = 0
            self.allowed += 1


class Limiters:
    """The limiters of a process, one a model of a provider under a key."""

    def __init__(self, clock: Clock = Clock()) -> None:
        self._clock = clock
        self._rates: dict[tuple[str, ...], RateLimits] = {}
        self._all: dict[tuple[tuple[str, ...], str], Limiter] = {}

    def get(
        self, name: tuple[str, ...], model: str, in_flight: int, per_minute: tuple[int | None, int | None]
    ) -> Limiter:
        """The limiter of a model behind a provider and key, both in `name`; teachers with the same model share it.

        `per_minute` holds requests and tokens, which all models of the key share; where two teachers of a key name
        other numbers, the last named count.

        A wait that another job stands in holds for whoever comes to it: who starts something does not end it for others
        unknowingly. One that nobody stands in any more is over: its job was stopped, and to start one is to ask now.
        """
        rates = self._rates.setdefault(name, RateLimits(self._clock))
        rates.set(*per_minute)
        limiter = self._all.setdefault((name, model), Limiter(in_flight, rates, self._clock))
        limiter.widen(in_flight)
        if not limiter.users:
            limiter.go_on()
        return limiter

    def go_on(self) -> None:
        """End all waits that providers asked for."""
        for limiter in list(self._all.values()):
            limiter.go_on()

    def find(self, name: tuple[str, ...], model: str) -> Limiter | None:
        """The limiter of a model, if anybody asked it before."""
        return self._all.get((name, model))
