"""Who works on a job's folder: a lock that the operating system holds for as long as the worker lives.

flock(2): it goes with the process, however that ends, and neither a clock nor a process id that is used again can
deceive it. The file says who has it, so that whoever finds it held can ask that worker to stop.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from pathlib import Path
from typing import IO

from engine.jobs.processes import make_handle

LOCK_FILE = "lock"
UNKNOWN_WORKER = "0 0.0"
"""The handle of a worker that holds a lock without saying who it is."""
_PATIENCE_S, _SLICE_S = 0.5, 0.05
"""Somebody may look just now whether the lock is held; that takes no time."""


def take_folder(folder: Path, patience_s: float = _PATIENCE_S) -> IO[str] | None:
    """Take a job's folder for this process, for as long as the file that is given back stays open; None if it is held.

    A forked child does not keep it: what a worker leaves behind is no worker.
    """
    file = (folder / LOCK_FILE).open("a+", encoding="ascii")
    until = time.monotonic() + patience_s
    while not _lock(file):
        if time.monotonic() >= until:
            file.close()
            return None
        time.sleep(_SLICE_S)
    lock = weakref.ref(file)
    os.register_at_fork(after_in_child=lambda: _let_go(lock()))
    file.truncate(0)
    file.write(make_handle(os.getpid()))
    file.flush()
    return file


def find_worker(folder: Path) -> str | None:
    """The handle of the worker that has a folder; None where nobody has it."""
    try:
        file = (folder / LOCK_FILE).open("r+", encoding="ascii", errors="replace")
    except OSError:
        return None
    with file:
        return None if _lock(file) else _read_handle(file.read())


def _let_go(file: IO[str] | None) -> None:
    if file is not None:
        file.close()


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read_handle(text: str) -> str:
    words = text.split()
    return text if len(words) in (2, 3) and words[0].isdigit() else UNKNOWN_WORKER
