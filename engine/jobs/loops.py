"""The supervisor's two loops: the rounds in which it looks after jobs, and the one on which its coroutines run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator


class Rounds:
    """When to look again: after a pause, or as soon as somebody calls."""

    def __init__(self) -> None:
        self._called = threading.Event()
        self._over = False

    def call(self) -> None:
        """Begin the next round now; one that is under way is followed by another."""
        self._called.set()

    def close(self) -> None:
        """The round that is under way is the last."""
        self._over = True
        self.call()

    def each(self, pause_s: float) -> Iterator[None]:
        """One after the other, until it is closed."""
        while not self._over:
            yield
            self._called.wait(pause_s)
            self._called.clear()  # what was called for until now is looked at in the round that follows


async def cancel_rest() -> None:
    """End what still runs on this loop; requests in flight journal that they were cut off."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
