"""Waits in tests for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What is found, as soon as there is something; fails where there is nothing in time."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return value
