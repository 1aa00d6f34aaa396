"""What pressing Enter does while a command waits."""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK_S = 0.2


def can_press() -> bool:
    """Whether somebody sits at a terminal, so that a key can be pressed."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


@contextmanager
def on_enter(do: Callable[[], object]) -> Iterator[None]:
    """Do it whenever Enter is pressed while the block runs; without a terminal nothing is read."""
    if not can_press():
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            try:
                ready, _, _ = select.select([sys.stdin], [], [], _LOOK_S)
            except (OSError, ValueError):  # closed, or nothing that can be waited for
                return
            if ready and not sys.stdin.readline():
                return
            if ready:
                do()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
