"""Processes that are found again by another process: who it was, whatever the clock says since.

A process id is used again, so it needs a start beside it. Where there is /proc that is the raw count of ticks since the
machine was started, with the id of that start: a wall-clock time is computed from the time of the start, which moves
when the clock is set. Elsewhere psutil's time of creation stands in its place. proc(5), proc_pid_stat(5).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

_PROC = Path("/proc")
_BOOT = "sys/kernel/random/boot_id"
_START = 22 - 3
"""Where the start stands among the fields behind the name, which is the second and may hold anything."""


def make_handle(pid: int) -> str:
    """A process as text: `pid ticks boot-id`, or `pid seconds` where there is no /proc."""
    ticks, boot = _read_ticks(pid), _read_boot()
    if ticks and boot:
        return f"{pid} {ticks} {boot}"
    try:
        return f"{pid} {psutil.Process(pid).create_time()}"
    except psutil.NoSuchProcess:
        return f"{pid} 0.0"


def find_process(handle: str) -> psutil.Process | None:
    """The process of a handle; None where it is gone, or a zombie, which is then let go."""
    number, *start = handle.split()
    pid = int(number)
    if pid <= 0 or not _is_same(pid, start):
        return None
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.NoSuchProcess:
        return None
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return None


def _is_same(pid: int, start: list[str]) -> bool:
    """Whether the process that has this id now started then."""
    if len(start) == 2:
        return start == [_read_ticks(pid), _read_boot()]
    try:
        return abs(psutil.Process(pid).create_time() - float(start[0])) < 1
    except (psutil.NoSuchProcess, ValueError, IndexError):
        return False


def _read_ticks(pid: int) -> str:
    """Ticks from the machine's start to the process's; "" where that is not to be had."""
    try:
        return (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[_START]
    except (OSError, IndexError):
        return ""


def _read_boot() -> str:
    try:
        return (_PROC / _BOOT).read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
