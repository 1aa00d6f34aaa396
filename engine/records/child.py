"""The side of a process that works on a stranger's file: its limits, its lines, and how it says what went wrong."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from engine.errors import InputError

_FILES = 64
"""Files that it may have open."""


def serve(work: Callable[[Sequence[str]], Iterable[bytes]], name: Callable[[Sequence[str]], str]) -> None:
    """Write the lines that `work` gives for the words that were asked, and an object that says how it ended.

    `name` is what the file is called. The limits are on what is taken from here on.
    """
    _, seconds, written, *words = sys.argv[1:]
    bound_memory()
    _bound({"CPU": int(seconds), "FSIZE": int(written), "NOFILE": _FILES, "CORE": 0})
    problem = None
    try:
        _watch(2 * int(seconds))
        for line in work(words):
            _watch(0)
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()
            _watch(2 * int(seconds))
    except InputError as error:
        problem = str(error)
    except MemoryError:
        sys.exit(1)  # as where the system ends it
    except BrokenPipeError:
        sys.exit(0)  # nobody reads any further
    except Exception as error:  # noqa: BLE001 - a library fails in its own ways over a file that is made so
        problem = f"{name(words)} can't be read: it is damaged ({type(error).__name__})"
    sys.stdout.buffer.write(json.dumps({"problem": problem}).encode() + b"\n")
    sys.stdout.buffer.flush()


def bound_memory() -> None:
    """Let this process take as many bytes as it was told, beyond what it has now; again once a library was loaded."""
    try:
        import resource  # noqa: PLC0415 - not on every system

        here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return
    _bound({"AS": here + int(sys.argv[1])})


def _bound(limits: dict[str, int]) -> None:
    """Set limits of the system; where it has none of a kind, this process goes without."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    for name, most in limits.items():
        try:
            kind = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (AttributeError, OSError, ValueError):
            continue


def _watch(seconds: int) -> None:
    """Let the system end this process where the next line takes longer; 0: not while whoever reads takes their time."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
