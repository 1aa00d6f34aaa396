"""The worker process of the playground, which keeps a student loaded and gives way to runs."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from engine.errors import StateError
from engine.jobs.backends.local import worker_environment
from engine.jobs.spec import HUB_TOKENS

_PATIENCE_S = 180.0
_IDLE_S = 600.0
_TURN_S = 60.0
_SLICE_S = 0.2


@dataclass
class StudentProcess:
    """The worker process that keeps a student loaded. One request at a time; it can be ended at any moment.

    `idle_s`: it ends when nobody has asked for so long; None: it never does. `patience_s`: it is ended where an answer
    takes longer. `more`: variables that it is given besides those of a worker.
    """

    process: subprocess.Popen[str] | None = None
    lines: queue.Queue[str | None] = field(default_factory=queue.Queue)
    turn: threading.Lock = field(default_factory=threading.Lock)
    numbers: int = 0
    idle: threading.Timer | None = None
    closed: bool = False
    idle_s: float | None = _IDLE_S
    patience_s: float = _PATIENCE_S
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether the worker is there already."""
        return self.process is not None and self.process.poll() is None

    def ask(self, request: dict[str, Any], hindered: Callable[[], str]) -> Generator[dict[str, Any]]:
        """Send one request, and give its replies out as they come. `hindered` says why it shall not be sent after all.

        Raises:
            StateError: if something hinders it, the worker was ended before its last reply, or others kept it busy.
        """
        self._wait(hindered)
        try:
            if reason := hindered():
                raise StateError(reason)
            self._start()
            process, lines = self.process, self.lines
            self.numbers += 1
            if process is None or process.stdin is None:
                raise StateError("The playground gave way to a run.")
            try:
                process.stdin.write(json.dumps({**request, "id": self.numbers}) + "\n")
                process.stdin.flush()
            except OSError as error:
                raise StateError("The playground gave way to a run; ask again when that is over.") from error
            yield from self._replies(lines, self.numbers)
        except GeneratorExit:
            self._stop(self.numbers)
            raise
        finally:
            self._rest()
            self.turn.release()

    def _stop(self, number: int) -> None:
        """Nobody reads any further: the worker is told, and stops at its next token."""
        process = self.process
        if process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):  # it has ended
                process.stdin.write(json.dumps({"stop": number}) + "\n")
                process.stdin.flush()

    def _wait(self, hindered: Callable[[], str]) -> None:
        end = time.monotonic() + _TURN_S
        while not self.turn.acquire(timeout=_SLICE_S):
            if reason := hindered():
                raise StateError(reason)
            if time.monotonic() > end:
                raise StateError("The students are busy with another visitor's query; try again in a moment.")

    def _replies(self, lines: queue.Queue[str | None], number: int) -> Iterator[dict[str, Any]]:
        patience = self.patience_s
        end = time.monotonic() + patience
        while True:
            try:
                line = lines.get(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                self.end()
                raise StateError(f"The student did not come to an end within {patience:.0f} s.") from None
            if line is None:
                raise StateError("The playground gave way to a run; ask again when that is over.")
            data = json.loads(line)
            if data["id"] != number:  # of a tab that was closed before the end
                continue
            yield data
            if data.get("over"):
                return

    def _start(self) -> None:
        if self.closed:
            raise StateError("The studio is closing.")
        if self.idle is not None:
            self.idle.cancel()
        if self.alive:
            return
        command = [sys.executable, "-m", "engine.jobs.playground"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**worker_environment(keys=HUB_TOKENS), **self.more},
        )
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(process, lines), daemon=True).start()
        self.process, self.lines = process, lines

    def _rest(self) -> None:
        """Free the memory when nobody has asked for a while."""
        if self.idle_s is None:
            return
        self.idle = threading.Timer(self.idle_s, self.end)
        self.idle.daemon = True
        self.idle.start()

    def end(self) -> None:
        """End the worker, at once; it starts again when it is asked."""
        if self.idle is not None:
            self.idle.cancel()
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End the worker for good."""
        self.closed = True
        self.end()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    for line in process.stdout or ():
        lines.put(line)
    lines.put(None)
