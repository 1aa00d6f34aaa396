"""Reads teachers' replies tolerantly: JSON in any dress first, then text with an explicit answer line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import json_repair
import pydantic_core

from engine.tasks.statements import Statement, find_last_marker, find_statements, settle

LABEL_KEYS = ("label", "final_answer", "final answer", "correct_answer", "correct answer", "answer")
_RATIONALE_KEYS = ("rationale", "reasoning", "explanation", "thought", "thoughts")
_SCORE_KEYS = ("scores", "factors", "confidence")
_MAX_REPLY = 200_000
_MAX_GROWING = 20_000
_LEFT_OUT = "\n[... {:,} characters of reasoning left out ...]\n"
_LEFT_OUT_LENGTH = 80
_NESTED = re.compile(r"(?:[\[{]\s*){20}")
_THINK = re.compile(r"<(/?)think>", re.IGNORECASE)
_KEY = re.compile(r"""["']?\b(label|(?:final|correct)[_ ]answer|answer)\b["']?\s*:\s*""", re.IGNORECASE)
_CLOSED_VALUE = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"',}\]][^"',}\]\n]*(?=\s*[,}\n]))""")
_OPENED = re.compile(
    r"""\{\s*["']?(?:rationale|reasoning|explanation|thoughts?|label|(?:final[_ ]|correct[_ ])?answer)["']?\s*:""",
    re.IGNORECASE,
)
_BEHIND_SCORES = re.compile(r"""(?:scores|factors|confidence)["']?\s*:\s*\Z""", re.IGNORECASE)


class RawReply(NamedTuple):
    """What stands in a reply before the task has looked at the label."""

    rationale: str
    label: str
    scores: dict[str, float]


def read_reply(text: str) -> RawReply | None:
    """Find rationale, label and scores in a teacher's reply, as `read_reply_as` does, whatever the label is."""
    return read_reply_as(text, lambda statement: statement.label)


def read_reply_as(text: str, read: Callable[[Statement], str | None], asked: str = "") -> RawReply | None:
    """Find rationale, label and scores in a reply to what was `asked`, the label as `read` makes it of what is stated.

    A label is only ever a piece of the reply that stands behind an explicit key or marker and is complete there; a
    reply that breaks off inside its label has none.

    Returns:
        None if the reply holds no label that can be read. Never raises on any text.
    """
    text = shorten(text, _MAX_REPLY)
    thought, visible = split_thought(text)
    if visible is None:
        return None
    reply = _from_object(visible)
    if reply is not None:
        label = read(Statement(reply.label))
        reply = None if label is None else reply._replace(label=label)
    elif not any(_OPENED.match(visible, place) for place in _braces(visible)):
        reply = _from_text(visible, read, asked)
    if reply is None or (visible != text and "\n" in reply.label):  # no label spans what was cut out
        return None
    return reply if reply.rationale or not thought else reply._replace(rationale=thought)


def shorten(text: str, most: int) -> str:
    """A reply of at most so many characters, at the cost of what was thought and not of what was answered.

    What stands in <think> blocks goes first, then what stands in front of the last object or answer line; what is left
    out is told in its place. An answer that is too long by itself is cut at its end.
    """
    if len(text) <= most:
        return text
    *_, last = [None, *_THINK.finditer(text)]
    start = last.end() if last is not None and last[1] else 0
    if len(text) - start > most // 2:
        *_, opened = [None, *_OPENED.finditer(text, start)]
        marked = None if opened else find_last_marker(text, start)
        start = opened.start() if opened else marked if marked is not None else start
    thought, answer = text[:start], text[start:]
    room = most - len(answer) - _LEFT_OUT_LENGTH
    if not thought or room < 0:
        return text[:most]
    closing = "</think>" if thought.lower().endswith("</think>") else ""
    body = thought[: len(thought) - len(closing)]
    kept = body[: max(0, room - len(closing))]
    return f"{kept}{_LEFT_OUT.format(len(body) - len(kept))}{closing}{answer}"


def read_growing(text: str) -> tuple[str, str]:
    """Rationale and label of a reply that is still being written, as far as they go; for the eye only.

    Hidden reasoning stands for the rationale until something else is said. Never raises on any text.
    """
    text = text[:_MAX_GROWING]
    *_, last = [None, *_THINK.finditer(text)]
    thinking = last is not None and not last[1]
    said = "" if thinking else text[last.end() :] if last else text
    rationale, label = _read_said(said)
    return _mend(rationale or _THINK.sub("", text[: len(text) - len(said)]).strip()), _mend(label)


def _read_said(text: str) -> tuple[str, str]:
    """As `read_growing`, of what stands outside of <think> blocks."""
    start = next(_braces(text), None)
    if start is None or text[:start].strip().lower() not in ("", "```", "```json"):
        return text.strip(), ""
    try:
        data = _load_growing(text[start:])
    except (ValueError, RecursionError, IndexError, TypeError):
        return "", ""
    if not isinstance(data, dict):
        return "", ""
    return _as_text(_first(data, _RATIONALE_KEYS)), _as_text(_first(data, LABEL_KEYS))


def _load_growing(text: str) -> Any:
    """JSON that breaks off anywhere."""
    try:
        return pydantic_core.from_json(text, allow_partial="trailing-strings")
    except ValueError:  # not quite JSON
        if _NESTED.search(text):
            return None
        return json_repair.loads(text, skip_json_loads=True, stream_stable=True)


def _mend(text: str) -> str:
    """The text with halves of characters put together, which repairing leaves apart."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def split_thought(text: str) -> tuple[str, str | None]:
    """What stands in <think> blocks, and what outside of them; no outside (None) if a block never ends."""
    text = shorten(text, _MAX_REPLY)
    inside: list[str] = []
    outside: list[str] = []
    depth, place = 0, 0
    for tag in _THINK.finditer(text):
        (inside if depth else outside).append(text[place : tag.start()])
        place = tag.end()
        depth = max(0, depth - 1) if tag[1] else depth + 1
    if depth:
        return "", None
    outside.append(text[place:])
    return " ".join(part.strip() for part in inside).strip(), "\n".join(outside)


def _from_object(text: str) -> RawReply | None:
    start = next(_braces(text), None)
    if start is None or not _KEY.search(text, start):
        return None
    data = _load_object(text, start)
    if data is None:
        return None
    label = _first(data, LABEL_KEYS)
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    if label is None or isinstance(label, (dict, list, bool)) or str(label).strip() == "":
        return None
    rationale = _first(data, _RATIONALE_KEYS)
    if isinstance(rationale, list):
        rationale = " ".join(str(part) for part in rationale)
    return RawReply(_as_text(rationale), str(label).strip(), _read_scores(data))


def _braces(text: str) -> Iterator[int]:
    """Where objects open; those of scores are left out, since a factor may be named as a label is."""
    for match in re.finditer(r"\{", text):
        if not _BEHIND_SCORES.search(text, max(0, match.start() - 40), match.start()):
            yield match.start()


def _load_object(text: str, start: int) -> dict[str, Any] | None:
    whole = find_object(text)
    return whole[1] if whole is not None else _repair(text[start:])


def find_object(text: str) -> tuple[int, dict[str, Any]] | None:
    """Where the first object begins that is whole and has a label, and what it says; None if there is none."""
    decoder = json.JSONDecoder(strict=False)
    start = next(_braces(text), 0)
    for place in _braces(text):
        try:
            data, _ = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict) and _first(data, LABEL_KEYS) is not None:
            return place, data
        if place > start + 10_000:
            break
    return None


def _repair(text: str) -> dict[str, Any] | None:
    keys = list(_KEY.finditer(text))
    if not keys or _CLOSED_VALUE.match(text, keys[-1].end()) is None:
        return None
    try:
        data = json_repair.loads(text)
    except (ValueError, RecursionError, IndexError, TypeError):
        return None
    if isinstance(data, list):
        data = next((part for part in data if isinstance(part, dict)), None)
    if not isinstance(data, dict):
        return None
    label = _first(data, LABEL_KEYS)
    return data if label is not None and str(label).strip() in text else None


def _first(data: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    lowered = {str(key).lower(): value for key, value in data.items()}
    return next((lowered[name] for name in names if lowered.get(name) is not None), None)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return _mend(value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _read_scores(data: Mapping[str, Any]) -> dict[str, float]:
    scores = _first(data, _SCORE_KEYS)
    if not isinstance(scores, dict):
        return {}
    read = {str(name).lower(): read_score(value) for name, value in scores.items()}
    return {name: score for name, score in read.items() if score is not None}


def read_score(value: object) -> float | None:
    """Read a score in [0, 1] written as 0.9, "0.9", "90%", "0.9/1" or "9/10"; None if it is not one."""
    text = str(value).strip()
    try:
        if text.endswith("%"):
            score = float(text[:-1]) / 100
        elif "/" in text:
            part, whole = text.split("/", 1)
            score = float(part) / float(whole)
        else:
            score = float(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return score if math.isfinite(score) and 0 <= score <= 1 and not isinstance(value, bool) else None


def _from_text(text: str, read: Callable[[Statement], str | None], asked: str) -> RawReply | None:
    settled = settle(find_statements(text, asked), read)
    if settled is None:
        return None
    statement, label = settled
    rationale = re.sub(r"^\s*rationale\s*:\s*", "", statement.before.strip(), flags=re.IGNORECASE)
    return RawReply(rationale, label, {})


def find_answer_line(text: str) -> tuple[str, str] | None:
    """The text before the last explicit answer line, and what that line gives as the answer.

    Whatever follows a new question that the model asks itself does not count.
    """
    settled = settle(find_statements(text), lambda statement: statement.label)
    return None if settled is None else (settled[0].before, settled[1])
