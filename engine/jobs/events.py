"""The journal of a job: one JSON object a line, numbered, appended and flushed before anything counts on it."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from engine.types import Event

EVENTS_FILE = "events.jsonl"


class Batch(NamedTuple):
    """Events read, and the byte offset behind the last of them."""

    events: list[Event]
    offset: int


def read_events(path: Path, offset: int = 0) -> Batch:
    """Read the complete lines from a byte offset on. A last line without its newline is still being written."""
    if not path.exists():
        return Batch([], offset)
    events = []
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                break
            offset += len(line)
            data = json.loads(line)
            events.append(Event(data["seq"], data["type"], data["at"], data["data"]))
    return Batch(events, offset)


class EventLog:
    """An `EventSink` on a file. A torn last line, left by a killed process, is cut off when it is opened again.

    Every event reaches the operating system before `emit` returns, so killing the process loses none; a power cut may.
    """

    def __init__(self, path: Path) -> None:
        """Open for appending; numbering goes on behind the last complete line."""
        path.parent.mkdir(parents=True, exist_ok=True)
        events, end = read_events(path)
        self._seq = events[-1].seq if events else 0
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        if self._file.tell() > end:
            os.truncate(path, end)
            self._file.seek(0, os.SEEK_END)

    def emit(self, type_: str, **data: Any) -> None:
        """Append one event.

        Raises:
            OSError: if the disk is full; the torn line is cut off again, and nothing counts as received.
        """
        with self._lock:
            event = {"seq": self._seq + 1, "type": type_, "at": round(time.time(), 3), "data": data}
            line = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            start = self._file.seek(0, os.SEEK_END)
            try:
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(f"only {written} of {len(line)} bytes of an event could be written")
            except OSError:
                self._file.truncate(start)
                raise
            self._seq += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SilentLog:
    """An `EventSink` that drops everything: for all but the first process of a distributed run."""

    def emit(self, type_: str, **data: Any) -> None:
        """Nothing."""
