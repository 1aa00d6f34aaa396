"""An answer that arrives piece by piece."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engine.errors import ErrorKind, TeacherError
from engine.teachers.hosted import Answer, as_text, redact
from engine.types import Usage

Hear = Callable[[str], None]
"""Told the whole text of an answer so far, as `as_text` writes it."""
MAX_STREAM = 1_000_000
"""Characters of an answer after which its stream is cut: no limit on tokens that a teacher can be given is so high."""
_TELL_EVERY_S = 0.05


@dataclass
class Growing:
    """What has come of one answer. `hear` is told the text at most twenty times a second, without the key."""

    key: str | None
    hear: Hear
    answer: Answer = field(default_factory=lambda: Answer("", finish_reason=""))
    _told_at: float = 0.0

    def add(self, content: str = "", reasoning: str = "", source: str | None = None, refusal: str = "") -> None:
        """Take the next piece in; `source` names the field where its reasoning stood.

        Raises:
            TeacherError: bad_request if the answer does not come to an end.
        """
        had = self.answer
        self.answer = replace(
            had,
            content=had.content + content,
            reasoning=had.reasoning + reasoning,
            reasoning_field=had.reasoning_field or (source if reasoning else None),
            refusal=had.refusal + refusal,
        )
        if len(self.answer.content) + len(self.answer.reasoning) + len(self.answer.refusal) > MAX_STREAM:
            raise TeacherError(ErrorKind.BAD_REQUEST, f"the answer was cut: it has over {MAX_STREAM:,} characters")
        if (content or reasoning) and time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self.hear(hold_back(as_text(self.answer), self.key))
            self._told_at = time.monotonic()

    def note(self, finish_reason: object = None, usage: Usage | None = None) -> None:
        """What the stream says of the answer; None leaves what it said before."""
        if finish_reason:
            self.answer = replace(self.answer, finish_reason=str(finish_reason))
        if usage is not None:
            self.answer = replace(self.answer, usage=usage)

    def end(self) -> Answer:
        """The whole answer, when the stream is over.

        Raises:
            TeacherError: connection if it broke off: no stream ends without a reason to finish.
        """
        had = self.answer
        whole = replace(
            had,
            content=redact(had.content, self.key),
            reasoning=redact(had.reasoning, self.key),
            refusal=redact(had.refusal, self.key),
        )
        if not had.finish_reason:
            raise TeacherError(ErrorKind.CONNECTION, "the answer broke off before its end", as_text(whole))
        return whole


def hold_back(text: str, key: str | None) -> str:
    """The text without the key, and without an end that may become it with the next piece."""
    text = redact(text, key)
    if not key:
        return text
    longest = next((n for n in range(min(len(key) - 1, len(text)), 0, -1) if key.startswith(text[-n:])), 0)
    return text[: len(text) - longest]
