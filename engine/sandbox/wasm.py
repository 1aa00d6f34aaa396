"""CPython compiled to WebAssembly, in wasmtime, by the package pyeryx: nothing of this machine is in its reach.

It has no processes, no threads, no network and no files. Wasmtime itself runs in a process of its own, since code that
overflows its stack ends the process around it; a lane keeps its process for the next script.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import select
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.errors import MissingPart
from engine.sandbox.base import SANDBOXES, Ran, SandboxLimits, Status

TRIED = "0.11.0"
"""The version of pyeryx that was tried: it is an alpha, and the next one may mean another thing by the same names."""
_PROCESS = Path(__file__).with_name("wasm_process.py")
_START_SECONDS = 60.0
_GRACE = 3.0
_CHUNK = 65_536


class Wasm:
    """See the module."""

    title = "wasm"
    rank = 1
    lanes = 1
    install = f"`pip install 'tacit-studio[code]'` with Python 3.12 or later, which installs pyeryx {TRIED}"

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        atexit.register(self.close)

    def missing(self) -> str:
        """What is not installed; PyPI's `eryx` is another package."""
        try:
            installed = version("pyeryx")
        except PackageNotFoundError:
            return "the package pyeryx is not installed"
        return "" if installed == TRIED else f"pyeryx {installed} is installed, but only {TRIED} was tried"

    def run(self, script: str, limits: SandboxLimits, library: str = "") -> Ran:
        """Run a script in an interpreter of its own."""
        lane = self._take()
        ran = lane.run(script, limits, library)
        if lane.alive:
            self._idle.put(lane)
        return ran

    def close(self) -> None:
        """End the idle processes."""
        while not self._idle.empty():
            self._idle.get().close()

    def _take(self) -> _Lane:
        while True:
            try:
                lane = self._idle.get_nowait()
            except queue.Empty:
                return _Lane()
            if lane.owner == os.getpid():
                return lane


class _Lane:
    """A process with wasmtime in it, for one script at a time."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_PROCESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},
        )
        if self._exchange(b"{}\n", _START_SECONDS, 1_000) is None:
            self.close()
            raise MissingPart("pyeryx can't be loaded")

    @property
    def alive(self) -> bool:
        """Whether it can take another script."""
        return self._process.poll() is None

    def run(self, script: str, limits: SandboxLimits, library: str) -> Ran:
        """As `Sandbox.run`."""
        asked = {"script": script, "library": library, "seconds": limits.seconds, "memory": limits.memory_bytes}
        asked["output"] = limits.output_bytes
        started = time.monotonic()
        line = self._exchange(f"{json.dumps(asked)}\n".encode(), limits.seconds + _GRACE, 8 * limits.output_bytes)
        seconds = time.monotonic() - started
        if line is None:
            late = seconds >= limits.seconds
            self.close()
            status = Status.TIMEOUT if late else Status.ERROR
            return Ran(b"", status, _say(limits) if late else "it ended the process around it", seconds)
        reply = json.loads(line)
        ended = Status(reply["ended"]) if reply["ended"] else None
        message = _say(limits) if ended == Status.TIMEOUT else reply["message"]
        return Ran(reply["printed"].encode("utf-8", "replace"), ended, message, seconds)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _exchange(self, line: bytes, seconds: float, most: int) -> bytes | None:
        """One line there and one back; None if it takes too long, is too long, or the process ends."""
        into, back = self._process.stdin, self._process.stdout
        if into is None or back is None:
            return None
        until, got = time.monotonic() + seconds, bytearray()
        try:
            into.write(line)
            into.flush()
            while not got.endswith(b"\n") and len(got) <= most:
                ready, _, _ = select.select([back], [], [], max(0.0, until - time.monotonic()))
                piece = os.read(back.fileno(), _CHUNK) if ready else b""
                if not piece:
                    return None
                got += piece
        except OSError:
            return None
        return bytes(got) if got.endswith(b"\n") else None


def _say(limits: SandboxLimits) -> str:
    return f"it took longer than {limits.seconds:g} s"


SANDBOXES.add("wasm", Wasm())
