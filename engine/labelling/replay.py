"""Recordings -> replies: what recorded teachers said is journaled without asking anybody.

As `online.label`, without what a request over a network needs: limits, retries and a budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from engine.errors import ErrorKind
from engine.labelling.online import LabelCounts, LabelWork, Unread, make_sample, read_sample
from engine.ports import EventSink, Task
from engine.teachers.caller import About, CallOutcome, journal
from engine.teachers.recorded import RecordedTeacher, Recording, RecordingFile
from engine.values import BILLED, ParsedReply, Query, SampleKey

_ROUND = 50
"""Recordings that are read before others on the same loop have their turn."""


def narrow(work: LabelWork, teacher: RecordedTeacher) -> LabelWork:
    """Of the work what the teacher has a recording for."""
    return replace(work, queries=[query for query in work.queries if query.id in teacher.recordings])


def current_ids(work: LabelWork, teacher: RecordedTeacher) -> dict[str, str]:
    """The query of every sample that the teacher's recordings give, by the sample's id.

    A query that there is none for stands under its own id: its samples are of no sample that there is.
    """
    spec, prompt = teacher.spec, work.prompt.hash

    def name(query: Query) -> str:
        if query.id not in teacher.recordings:
            return query.id
        return SampleKey(query.id, spec.endpoint, spec.model, prompt, spec.sampling, 0).id

    return {name(query): query.id for query in work.queries}


async def replay(
    work: LabelWork, teacher: RecordedTeacher, sink: EventSink, stop: Callable[[], bool] = lambda: False
) -> LabelCounts:
    """Journal what a recorded teacher said to each query of the work that has no sample of it yet."""
    queries = {query.id: query for query in work.queries}
    spec = teacher.spec
    samples = failures = 0
    for place, (query_id, recording) in enumerate(_all(teacher)):
        if place % _ROUND == 0:
            await asyncio.sleep(0)
            if stop():
                break
        query = queries.get(query_id)
        if query is None:
            continue
        key = SampleKey(query_id, spec.endpoint, spec.model, work.prompt.hash, spec.sampling, 0)
        sample_id = key.id
        if sample_id in work.known or (work.only is not None and sample_id not in work.only):
            continue
        about = About(sample_id, query_id, spec.name, work.purpose, key.prompt_hash)
        good = _journal(sink, work.task, query, about, recording)
        samples, failures = samples + good, failures + (not good)
    return LabelCounts(samples, failures, len(queries) - len(narrow(work, teacher).queries))


def _all(teacher: RecordedTeacher) -> Iterator[tuple[str, Recording]]:
    recordings = teacher.recordings
    return recordings.stream() if isinstance(recordings, RecordingFile) else iter(recordings.items())


def _journal(sink: EventSink, task: Task, query: Query, about: About, recording: Recording) -> bool:
    reply = recording.reply
    outcome = CallOutcome(reply, None, reply.usage, Decimal(0), reply.latency_s)
    read = read_recording(task, query, recording)
    if isinstance(read, Unread):
        journal(sink, about, outcome, read.kind, read.message)
        return False
    evidence = {} if recording.cost is None else {"evidence": {BILLED: float(recording.cost)}}
    journal(sink, about, outcome, None, "", sample=read, **evidence)
    return True


def read_recording(task: Task, query: Query, recording: Recording) -> dict[str, Any] | Unread:
    """The sample that a recording holds; what is wrong with it if it holds none."""
    if not recording.whole or recording.answer is None:
        return read_sample(task, query, 0, recording.reply)
    if recording.finish == "length":
        return Unread(ErrorKind.TRUNCATED, "the reply was cut off at the longest a reply may be: it holds no label")
    if task.normalise(query, recording.answer) is None:
        return Unread(ErrorKind.UNPARSABLE, "the reply is no answer that this task can read")
    return make_sample(task, query, 0, ParsedReply(recording.rationale, recording.answer, recording.factors))
