"""Queries x teachers -> replies. Every reply is journaled through the event sink before it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from engine.errors import ErrorKind, TeacherError
from engine.ports import EventSink, Request, Task, Teacher
from engine.prompts import Prompt
from engine.types import ParsedReply, Purpose, Query, Reply, SampleKey

MAX_RAW = 100_000
"""Characters of a raw reply that are kept."""


@dataclass(frozen=True)
class LabelWork:
    """What is to be asked. `known` are ids of samples that exist and are not asked again."""

    task: Task
    prompt: Prompt
    queries: Sequence[Query]
    teachers: Sequence[Teacher]
    known: AbstractSet[str] = frozenset()
    draws: int = 1
    purpose: Purpose = Purpose.LABEL


class LabelCounts(NamedTuple):
    """How a labelling ended: replies that gave a sample, failed attempts, queries a teacher had nothing for."""

    samples: int
    failures: int
    declined: int


async def label(work: LabelWork, sink: EventSink, stop: Callable[[], bool] = lambda: False) -> LabelCounts:
    """Ask every teacher every query that has no sample yet.

    Teachers work side by side, each with its own concurrency; a failing one does not hold up the others. Emits one
    `reply` event an attempt.
    """
    counts = await asyncio.gather(*(_ask_all(work, teacher, sink, stop) for teacher in work.teachers))
    return LabelCounts(*(sum(column) for column in zip(*counts, strict=True))) if counts else LabelCounts(0, 0, 0)


async def _ask_all(work: LabelWork, teacher: Teacher, sink: EventSink, stop: Callable[[], bool]) -> LabelCounts:
    todo = _missing(work, teacher)
    tally = {"samples": 0, "failures": 0, "declined": 0}
    halted = asyncio.Event()

    async def serve() -> None:
        for query, key in todo:
            if halted.is_set() or stop():
                return
            outcome = await _ask_one(work, teacher, query, key, sink)
            tally[outcome.tally] += 1
            if outcome.error is not None and outcome.error.stops_teacher:
                halted.set()
            await asyncio.sleep(0)

    await asyncio.gather(*(serve() for _ in range(teacher.spec.concurrency)))
    return LabelCounts(**tally)


def sample_ids(work: LabelWork, teacher: Teacher) -> dict[str, str]:
    """The query of every sample that the teacher's replies to this work would have, by the sample's id."""
    return {key.id: query.id for query, key in _missing(replace(work, known=frozenset()), teacher)}


def _missing(work: LabelWork, teacher: Teacher) -> Iterator[tuple[Query, SampleKey]]:
    spec = teacher.spec
    for query in work.queries:
        for draw in range(work.draws):
            key = SampleKey(query.id, spec.endpoint, spec.model, work.prompt.hash, spec.sampling, draw)
            if key.id not in work.known:
                yield query, key


class _Outcome(NamedTuple):
    tally: str
    error: ErrorKind | None = None


async def _ask_one(work: LabelWork, teacher: Teacher, query: Query, key: SampleKey, sink: EventSink) -> _Outcome:
    system, user = work.prompt.render(query=work.task.render(query), factors=", ".join(work.task.factors))
    request = Request(query, work.purpose, system, user, reply_schema(work.task), draw=key.draw)
    try:
        reply = await teacher.ask(request)
    except TeacherError as error:
        if error.kind is ErrorKind.UNKNOWN_QUERY:
            return _Outcome("declined")
        sink.emit("reply", **_attempt(work, teacher, key, Reply("", error.raw)), error=error.kind, message=str(error))
        return _Outcome("failures", error.kind)
    parsed = work.task.parse(query, reply.text)
    if parsed is not None and reply.finish_reason == "length" and reply.text.rstrip().endswith(parsed.label):
        parsed = None  # the label may be cut off
    if parsed is None:
        kind = ErrorKind.TRUNCATED if reply.finish_reason == "length" else ErrorKind.UNPARSABLE
        sink.emit("reply", **_attempt(work, teacher, key, reply), error=kind, message="the reply holds no label")
        return _Outcome("failures", kind)
    sample = _sample(work.task, query, key, parsed)
    sink.emit("reply", **_attempt(work, teacher, key, reply), error=None, message="", sample=sample)
    return _Outcome("samples")


def _attempt(work: LabelWork, teacher: Teacher, key: SampleKey, reply: Reply) -> dict[str, Any]:
    return {
        "sample_id": key.id,
        "query_id": key.query_id,
        "teacher": teacher.spec.name,
        "purpose": work.purpose,
        "prompt_hash": key.prompt_hash,
        "raw": reply.raw[:MAX_RAW],
        "usage": asdict(reply.usage),
        "latency_s": reply.latency_s,
    }


def _sample(task: Task, query: Query, key: SampleKey, parsed: ParsedReply) -> dict[str, Any]:
    return {
        "rationale": parsed.rationale,
        "label": parsed.label,
        "label_key": task.normalise(query, parsed.label) or parsed.label,
        "factors": {name: parsed.factors[name] for name in task.factors if name in parsed.factors},
        "draw": key.draw,
        "split": query.split,
    }


def reply_schema(task: Task) -> dict[str, Any]:
    """The JSON schema of a teacher's reply: rationale first, then the label, then one score a factor."""
    score = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "type": "object",
        "properties": {
            "rationale": {"type": "string"},
            "label": {"type": "string"},
            "scores": {
                "type": "object",
                "properties": dict.fromkeys(task.factors, score),
                "required": list(task.factors),
                "additionalProperties": False,
            },
        },
        "required": ["rationale", "label", "scores"],
        "additionalProperties": False,
    }
