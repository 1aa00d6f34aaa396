"""Whether an answer comes on, or its endpoint only keeps the connection open.

Some providers send comments (`: keep-alive`) or blanks while a request waits for its turn or a model thinks, so that
these are no fault. They are one where nothing else comes for long, or too many come.
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import time
from collections.abc import Callable

SHARE = 0.5
"""Of a request's time limit: so long an answer may come without an event that holds anything, or without getting on."""
UNLIMITED_S = 60.0
"""The same where a request has no time limit."""
MAX_COMMENTS = 1_000
"""Lines in a row of a stream that hold no data, blank ones left out."""
MAX_COMMENT_BYTES = 64 * 2**10
"""Bytes of them, blank ones too."""
LEAST_RATE = 100
"""Bytes a second that lengthen the time of an answer that comes whole: a slow line is no fault."""
_HEAD = 16
_HOLLOW = (b"", b"{}", b"[]", b'""', b"null")
"""Data of an event that holds nothing."""


class Pace:
    """Watches the bytes of one answer as they come; `take` says by its text what is wrong with them, "": nothing.

    `limit_s` is the request's time limit. `events`: the answer is a stream of events.
    """

    def __init__(self, limit_s: float | None, events: bool, now: Callable[[], float] = time.monotonic) -> None:
        """Begins at once."""
        self._patience_s = UNLIMITED_S if limit_s is None else limit_s * SHARE
        self._events = events
        self._now = now
        self._since = now()
        self._head = b""
        self._comments = 0
        self._size = 0

    def take(self, part: bytes) -> str:
        """The next bytes."""
        if not self._events:
            self._size += len(part)
            if self._now() - self._since > self._patience_s + self._size / LEAST_RATE:
                return f"only {self._size:,} bytes came in {self._now() - self._since:.0f} s"
            return ""
        for line in part.splitlines(keepends=True):
            self._take_line(line)
        if self._comments > MAX_COMMENTS or self._size > MAX_COMMENT_BYTES:
            return f"over {MAX_COMMENTS:,} comments or {MAX_COMMENT_BYTES // 2**10} kB came in a row without data"
        if self._now() - self._since > self._patience_s:
            return f"for {self._now() - self._since:.0f} s nothing but comments, blanks or pieces of an event came"
        return ""

    def _take_line(self, line: bytes) -> None:
        """A line or a part of one; it counts when its end is there."""
        self._head = (self._head + line[:_HEAD])[:_HEAD]
        ended = line.endswith((b"\n", b"\r"))
        is_data = self._head.startswith(b"data:")
        if is_data and ended and (len(self._head) == _HEAD or self._head[5:].strip() not in _HOLLOW):
            self._since, self._comments, self._size = self._now(), 0, 0
        elif not is_data or ended:
            self._size += len(line)
            self._comments += bool(ended and self._head.strip())
        if ended:
            self._head = b""
