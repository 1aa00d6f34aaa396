"""The journal of a job: one JSON object a line, numbered, appended and flushed before anything counts on it."""

from __future__ import annotations

import json
import math
import os
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.redaction import Redactor
from engine.values import Event

EVENTS_FILE = "events.jsonl"
_MOST_SEQ = 2**53
_SEQ = re.compile(rb'"seq"\s*:\s*(\d{1,15})\b')
_NUMBER = (int, float)
_dump = json.JSONEncoder(ensure_ascii=False).encode
"""One encoder for all: `json.dumps` with settings of its own makes a new one for every call."""
_FIELDS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "reply": {"sample_id": str, "query_id": str, "teacher": str, "purpose": str, "usage": dict},
    "sent": {"intent": str, "request": str, "key": str, "teacher": str, "purpose": str},
    "threads": {"threads": int},
    "writes": {"step": str, "rows": int},
    "label_planned": {"by_teacher": dict},
    "label_started": {"split": str, "requests": int},
    "grade_started": {"requests": int},
    "teacher_stopped": {"teacher": str},
    "waits": {"teacher": str, "seconds": _NUMBER},
    "capabilities": {"provider": str, "endpoint": str, "model": str, "found": dict},
    "metric": {"step": str, "update": int, "values": dict},
    "answer": {"step": str, "system": str, "query_id": str, "text": str, "tokens": int, "finished": bool},
    "rewritten": {"sample_id": str},
    "compressed": {"sample_id": str, "rationale": str, "flags": list},
    "step_started": {"step": str},
    "step_finished": {"step": str},
    "embedded": {"model": str, "revision": str, "hashes": list, "file": str},
    "scored": {"file": str},
    "batch_prepared": {"name": str, "teacher": str, "purpose": str, "file": str},
    "batch_submitted": {"name": str, "batch_id": str},
    "batch_collected": {"name": str},
}
"""What an event of a type is nothing without; whoever reads a journal counts on it."""
_SAMPLE = {"rationale": str, "label": str, "label_key": str, "factors": dict, "draw": int, "split": str}


class Batch(NamedTuple):
    """Events read, and the byte offset behind the last of them."""

    events: list[Event]
    offset: int


class Scan(NamedTuple):
    """As `Batch`, with the number of damaged lines that were left out, and the highest number that any line had."""

    events: list[Event]
    offset: int
    damaged: int
    last: int


def read_events(path: Path, offset: int = 0) -> Batch:
    """Read the complete lines from a byte offset on; damaged ones are left out.

    A last line without its newline is still being written.
    """
    events, end, *_ = scan_events(path, offset)
    return Batch(events, end)


def scan_events(path: Path, offset: int = 0) -> Scan:
    """As `read_events`, telling how many lines were damaged: no event, or one that lacks what its type needs."""
    if not path.exists():
        return Scan([], offset, 0, 0)
    events: list[Event] = []
    damaged = lines = last = 0
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                break
            offset += len(line)
            lines += 1
            event = _read_event(line)
            if event is not None:
                events.append(event)
                last = max(last, event.seq)
            else:
                damaged += 1
                last = max(last, *(int(number) for number in _SEQ.findall(line)), 0)
    return Scan(events, offset, damaged, max(last, lines))


def _read_event(line: bytes) -> Event | None:
    try:
        data = json.loads(line.decode("utf-8"))
        event = Event(data["seq"], data["type"], data["at"], data["data"])
        return event if _is_whole(event) else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _is_whole(event: Event) -> bool:
    """Whether an event has all that it is nothing without, of the right kinds."""
    whole = (
        _is_a(event.seq, int)
        and 0 < event.seq < _MOST_SEQ
        and _is_a(event.type, str)
        and _is_a(event.at, _NUMBER)
        and math.isfinite(event.at)
        and isinstance(event.data, dict)
    )
    if not whole or not _has(event.data, _FIELDS.get(event.type, {})):
        return False
    sample = event.data.get("sample") if event.type == "reply" else None
    return not sample or (isinstance(sample, dict) and _has(sample, _SAMPLE))


def _has(data: Mapping[str, Any], fields: Mapping[str, type | tuple[type, ...]]) -> bool:
    return all(_is_a(data.get(name), kind) for name, kind in fields.items())


def _is_a(value: object, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


class EventLog:
    """An `EventSink` on a file. A torn last line, left by a killed process, is cut off when it is opened again.

    Every event reaches the operating system before `emit` returns, so killing the process loses none; a power cut may.
    """

    def __init__(self, path: Path, redactor: Redactor | None = None) -> None:
        """Open for appending; numbering goes on behind the last complete line. `redactor` knows what is not written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _, end, _, self._seq = scan_events(path)
        self._redactor = redactor or Redactor()
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        if self._file.tell() > end:
            os.truncate(path, end)
        self._end = end

    def emit(self, type_: str, **data: Any) -> None:
        """Append one event.

        Raises:
            OSError: if the disk is full; the torn line is cut off again, and nothing counts as received.
        """
        with self._lock:
            event = {"seq": self._seq + 1, "type": type_, "at": round(time.time(), 3), "data": data}
            text = _dump(event)
            if self._redactor.finds(text):
                text = json.dumps({**event, "data": self._redactor.clean(data)}, ensure_ascii=False)
            line = text.encode("utf-8", "replace") + b"\n"
            try:
                written = self._file.write(line)
                if written != len(line):
                    raise OSError(f"only {written} of {len(line)} bytes of an event could be written")
            except OSError:
                self._file.truncate(self._end)
                raise
            self._seq += 1
            self._end += len(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SilentLog:
    """An `EventSink` that drops everything: for all but the first process of a distributed run."""

    def emit(self, type_: str, **data: Any) -> None:
        """Drop it: another process journals the same."""
