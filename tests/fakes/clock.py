"""A clock whose time passes when all who sleep by it wait, so that ten minutes take no time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from engine.teachers.limits import Clock


@dataclass
class FakeTime:
    """Seconds from some moment on, and until when each sleeper sleeps."""

    at: float = 1000.0
    until: list[float] = field(default_factory=list)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.at, self.sleep)

    async def sleep(self, seconds: float) -> None:
        end = self.at + seconds
        self.until.append(end)
        try:
            await asyncio.sleep(0)
            while self.at < end:
                self.at = max(self.at, min(self.until))
                await asyncio.sleep(0)
        finally:
            self.until.remove(end)
