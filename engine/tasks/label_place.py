"""Where in a reply its label stands, by character offsets; for whoever has a number for each token of the reply.

Nothing is guessed: a part of the text is the label's only where the task reads the sample's own label out of it.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from engine.ports import Task
from engine.tasks.reply import LABEL_KEYS, find_object
from engine.tasks.statements import find_statements
from engine.values import Query

_DECODER = json.JSONDecoder(strict=False)
_SPACE = re.compile(r"[ \t\n\r]*")


class CharSpan(NamedTuple):
    """Characters `start` to `end` of a text."""

    start: int
    end: int


def find_label(task: Task, query: Query, text: str, label: str) -> CharSpan | None:
    """Where a label stands that a reply, without its hidden reasoning, was read to hold; None where that is not clear.

    It is the value of the object's key, else what the last statement gives that says the same, else the whole reply
    where it is nothing but a label. Where the label as it was read stands there but once, it is that alone.
    """
    place = _find_part(task, query, text, label)
    if place is None:
        return None
    matches = list(re.finditer(rf"(?<!\w){re.escape(label)}(?!\w)", text[place.start : place.end])) if label else []
    if len(matches) == 1:
        return CharSpan(place.start + matches[0].start(), place.start + matches[0].end())
    return place


def _find_part(task: Task, query: Query, text: str, label: str) -> CharSpan | None:
    def says_it(part: str) -> bool:
        key = task.normalise(query, part)
        return bool(part.strip()) and (key or part) == (task.normalise(query, label) or label)

    whole = find_object(text)
    if whole is not None:
        value = _find_value(text, whole[0])
        return value[0] if value is not None and says_it(value[1]) else None
    lead = len(text) - len(text.lstrip())
    for statement in reversed(find_statements(text, query.text)):
        start = text.rfind(statement.label, lead + statement.start, lead + statement.end)
        if start >= 0 and says_it(statement.label):
            return CharSpan(start, start + len(statement.label))
    bare = text.strip()
    return CharSpan(lead, lead + len(bare)) if "\n" not in bare and says_it(bare) else None


def _find_value(text: str, start: int) -> tuple[CharSpan, str] | None:
    """Where the label of a whole object stands that begins at `start`, without quotes or spaces, and what it is."""
    values: dict[str, tuple[CharSpan, Any]] = {}
    place = _skip(text, start + 1)
    while text[place] != "}":
        key, place = _DECODER.raw_decode(text, place)
        begin = _skip(text, _skip(text, place) + 1)
        value, end = _DECODER.raw_decode(text, begin)
        values[str(key).lower()] = CharSpan(begin, end), value
        place = _skip(text, end)
        place = _skip(text, place + 1) if text[place] == "," else place
    member = next((values[name] for name in LABEL_KEYS if name in values and values[name][1] is not None), None)
    if member is None:
        return None
    span, value = member
    if isinstance(value, list) and len(value) == 1:
        begin = _skip(text, span.start + 1)
        value, end = _DECODER.raw_decode(text, begin)
        span = CharSpan(begin, end)
    if isinstance(value, str):
        inner = text[span.start + 1 : span.end - 1]
        left = len(inner) - len(inner.lstrip())
        span = CharSpan(span.start + 1 + left, span.start + 1 + len(inner.rstrip()))
    return (span, str(value).strip()) if isinstance(value, (str, int, float)) and span.end > span.start else None


def _skip(text: str, place: int) -> int:
    """The place behind white space."""
    match = _SPACE.match(text, place)
    return match.end() if match else place
