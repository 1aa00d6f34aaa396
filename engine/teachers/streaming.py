"""An answer that arrives piece by piece."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.errors import ErrorKind, TeacherError
from engine.redaction import redact, spoken_forms
from engine.teachers.hosted import MAX_ERROR, ChatChoice, as_text, count_tokens
from engine.values import Usage

Hear = Callable[[str], None]
"""Told the whole text of an answer so far, as `as_text` writes it."""
MAX_STREAM = 2_000_000
"""Characters of an answer after which its stream is cut."""
MAX_EMPTY, MAX_STILL = 1_000, 100_000
"""Events in a row of a stream that hold nothing at all, or no text: more do not come to an end. Some endpoints send one
without text for each hidden token."""
NO_JSON_INSIDE = "the endpoint sent no JSON in the middle of its answer"
_TELL_EVERY_S = 0.05


@dataclass
class Draft:
    """What has come of one answer. `hear` is told the text at most twenty times a second, without the key."""

    key: str | None
    hear: Hear
    reasoning_field: str | None = None
    finish_reason: str = ""
    usage: Usage = field(default_factory=Usage)
    _content: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _refusal: list[str] = field(default_factory=list)
    _size: int = 0
    _still: int = 0
    _empty: int = 0
    _told_at: float = 0.0

    def add(self, content: str = "", reasoning: str = "", source: str | None = None, refusal: str = "") -> None:
        """Take the next piece in; `source` names the field where its reasoning stood.

        Raises:
            TeacherError: truncated if the answer does not come to an end.
        """
        if content or reasoning or refusal:
            self._still = 0
        for parts, piece in ((self._content, content), (self._reasoning, reasoning), (self._refusal, refusal)):
            parts.append(piece)
            self._size += len(piece)
        if reasoning and self.reasoning_field is None:
            self.reasoning_field = source
        if self._size > MAX_STREAM:
            raise self.failed(ErrorKind.TRUNCATED, f"the answer was cut: it has over {MAX_STREAM:,} characters")
        if (content or reasoning) and time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self.hear(self.text)
            self._told_at = time.monotonic()

    def count(self, empty: bool) -> None:
        """One more event, before its text is taken in. `empty`: it holds nothing at all.

        Raises:
            TeacherError: truncated if too many in a row hold no text.
        """
        self._still += 1
        self._empty = self._empty + 1 if empty else 0
        if self._empty > MAX_EMPTY or self._still > MAX_STILL:
            most = f"{MAX_EMPTY if self._empty > MAX_EMPTY else MAX_STILL:,}"
            raise self.failed(ErrorKind.TRUNCATED, f"the answer was given up: over {most} events in a row held no text")

    def note(self, finish_reason: object = None, usage: Usage | None = None) -> None:
        """What the stream says of the answer; what it leaves out stays as it said before."""
        if finish_reason:
            self.finish_reason = str(finish_reason)
        if usage is not None and usage != Usage():
            self.usage = usage

    @property
    def text(self) -> str:
        """What came so far, without the key and without an end that may become it."""
        return as_text(self._answer(hold_back))

    def failed(self, kind: ErrorKind, message: str) -> TeacherError:
        """The error that ends this answer, with what came of it and what it is known to have cost."""
        redacted = redact(message, self.key)
        redacted = redacted if len(redacted) <= MAX_ERROR else f"{redacted[:MAX_ERROR]} ..."
        return TeacherError(kind, redacted, self.text, tokens=count_tokens(self.usage))

    def end(self) -> ChatChoice:
        """The whole answer, when the stream is over.

        Raises:
            TeacherError: connection if it broke off: neither a reason to finish nor a count of tokens came.
        """
        if not self.finish_reason and self.usage == Usage():
            raise self.failed(ErrorKind.CONNECTION, "the answer broke off before its end")
        return self._answer(redact)

    def _answer(self, clean: Callable[[str, str | None], str]) -> ChatChoice:
        content, reasoning, refusal = (
            clean("".join(parts), self.key) for parts in (self._content, self._reasoning, self._refusal)
        )
        finish = self.finish_reason or "stop"
        return ChatChoice(content, finish, reasoning, self.reasoning_field, refusal, self.usage)


def hold_back(text: str, key: str | None) -> str:
    """The text without the key, and without an end that may become it with the next piece."""
    text = redact(text, key)
    if not key:
        return text
    return text[: len(text) - max(_begun(text, form) for form in spoken_forms(key))]


def _begun(text: str, form: str) -> int:
    """How many characters at the end of a text may be the beginning of a form of the key."""
    return next((n for n in range(min(len(form) - 1, len(text)), 0, -1) if form.startswith(text[-n:])), 0)
