"""Asks computer algebra for the one form of an expression, in a process of its own with a time limit.

math-verify limits time by signals, which only work in a main thread, and sympy can't be interrupted otherwise. The
process starts with the first expression, is shared by all threads, and ends with this one.
"""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

from engine.environment import environment_for

_START_SECONDS = 60.0
_SECONDS = 5.0
_REMEMBERED = 50_000


class AlgebraError(Exception):
    """The process could not be started."""


@dataclass
class Algebra:
    """The process and the way to it; killed and started anew where an answer takes longer than `seconds`."""

    seconds: float = _SECONDS
    _process: subprocess.Popen[str] | None = None
    _owner: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, latex: str) -> str | None:
        """The canonical form of an expression: a number in decimals, or a formula; None if it has none in time.

        Raises:
            AlgebraError: if no process can be started here.
        """
        with self._turn:
            for _ in range(2):
                started = time.monotonic()
                answer = self._exchange(self._running(), latex, self.seconds)
                if answer is not None or time.monotonic() - started >= self.seconds:
                    return answer or None
            return None  # it died twice over this expression

    def close(self) -> None:
        """End the process, if this is the one that started it."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self.close()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.tasks.algebra"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env=environment_for(),
            )
        except OSError as error:
            raise AlgebraError(str(error)) from error
        self._owner = os.getpid()
        if self._exchange(self._process, "", _START_SECONDS) is None:
            raise AlgebraError("the process for computer algebra does not start")
        return self._process

    def _exchange(self, process: subprocess.Popen[str], line: str, seconds: float) -> str | None:
        """One line there and one back; None, and no process any more, if that takes too long or it dies."""
        if process.stdin is None or process.stdout is None:
            return None
        limit = threading.Timer(seconds, process.kill)
        limit.daemon = True
        limit.start()
        try:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except (OSError, ValueError):
            answer = ""
        finally:
            limit.cancel()
        if not answer.endswith("\n"):
            self.close()
            return None
        return answer.strip()


_ALGEBRA = Algebra()
atexit.register(_ALGEBRA.close)


@functools.lru_cache(_REMEMBERED)
def canonical_form(latex: str) -> str | None:
    """As `Algebra.ask`, of the process that all share; what was asked before is not asked again."""
    return _ALGEBRA.ask(latex)
