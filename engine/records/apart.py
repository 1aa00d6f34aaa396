"""Work on a stranger's file in a process of its own, under limits that the system keeps.

What a file does to whoever reads it, a bomb in whatever format, it does to that process; the one that asked goes on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine.environment import environment_for
from engine.errors import InputError

MEMORY = 512 * 2**20
"""Bytes that reading a file may take, beyond the process itself."""
SECONDS = 60
SECONDS_A_MIB = 20
"""Processor time that reading a file may take: so much, and so much a MiB of it."""
MAX_LINE = 32 * 2**20
"""Bytes of a line that such a process writes."""
_HARM = "ended the process that read it: it is damaged, or made to do harm"
_TOO_LONG = {getattr(signal, name, None) for name in ("SIGXCPU", "SIGALRM")}


@dataclass(frozen=True)
class ProcessLimits:
    """What a process may take: bytes of memory, seconds of the processor, bytes of a file that it writes.

    Twice the seconds may pass on the clock between two lines of it.
    """

    memory: int
    seconds: int
    written: int = 0


def limits_of(size: int, written: int = 0) -> ProcessLimits:
    """The limits for a file of so many bytes."""
    return ProcessLimits(MEMORY, SECONDS + SECONDS_A_MIB * size // 2**20, written)


def read_apart(module: str, words: Sequence[str], limits: ProcessLimits, name: str) -> Iterator[bytes]:
    """The lines that `python -m MODULE` writes by `engine.records.child.serve`, asked with `words` for the file `name`.

    Raises:
        InputError: what was wrong with the file, in the process's words; or which limit it met.
    """
    asked = [str(limits.memory), str(limits.seconds), str(limits.written), *words]
    command = [sys.executable, "-S", "-P", "-m", module, *asked]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()
    )
    if process.stdout is None:
        raise RuntimeError("a pipe was asked for")
    try:
        for line in _lines(process.stdout, name):
            if line.startswith(b"{"):
                if (problem := json.loads(line)["problem"]) is not None:
                    raise InputError(str(problem))
                return
            yield line
        _let_end(process)
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    raise InputError(f"{name} {_say_end(process.returncode, limits)}")


def _lines(pipe: IO[bytes], name: str) -> Iterator[bytes]:
    """Whole lines, none longer than it may be."""
    while line := pipe.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise InputError(f"{name} {_HARM}")
        if line.endswith(b"\n"):
            yield line


def _let_end(process: subprocess.Popen[bytes]) -> None:
    """Let a process come to its end, which takes a moment after its last words, so that it can be told how it did."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)


def _say_end(code: int | None, limits: ProcessLimits) -> str:
    """Why a process ended before its last line."""
    if code is not None and -code in _TOO_LONG:
        return f"took more than {limits.seconds:,} s to read; write it anew, or split it"
    if code in (-signal.SIGSEGV, -getattr(signal, "SIGBUS", 0)):
        return _HARM
    return (
        f"needs more than {limits.memory // 2**20} MiB of memory to read; write it with shorter cells or rows, or fewer"
    )


def _environment() -> dict[str, str]:
    """Packages are found as here, without what starts with an interpreter; memory comes from the system."""
    given = environment_for()
    places = [*(place for place in sys.path if place and Path(place).is_dir()), given["PYTHONPATH"]]
    own = {"PYTHONPATH": os.pathsep.join(dict.fromkeys(places)), "PYTHONIOENCODING": "utf-8"}
    return {**given, **own, "MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}


def read_lists(lines: Iterator[bytes], name: str) -> Generator[list[Any]]:
    """Such lines as the lists that they are.

    Raises:
        InputError: if one is none.
    """
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, list):
            raise InputError(f"{name} {_HARM}")
        yield value
