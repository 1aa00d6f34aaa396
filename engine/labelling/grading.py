"""Teachers grade their own answers Good, Medium or Poor, asked apart from answering: hard rejection (TwT, Table 4)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.errors import ErrorKind, TeacherError
from engine.labelling.online import LabelCounts, add_up, ask_each, object_schema, run_all
from engine.ports import EventSink, Request, Task, Teacher
from engine.prompts import Prompt
from engine.tasks.reply import split_thought
from engine.teachers.caller import About, Caller, CallOutcome, announcing, journal
from engine.values import GRADE, Purpose, Query, Sample, TeacherSpec, hash_id

GRADES: Mapping[str, float] = {"Good": 1.0, "Medium": 0.5, "Poor": 0.0}
"""The grades there are, and what stands for each as evidence of a sample."""
_WORDS = {name.lower(): value for name, value in GRADES.items()}
_STATED = re.compile(rf"\bgrade\b[\s\"'*_]*[:=][\s\"'*_]*({'|'.join(_WORDS)})\b", re.IGNORECASE)
_SCHEMA = object_schema({"reason": {"type": "string"}, "grade": {"type": "string", "enum": list(GRADES)}})


@dataclass(frozen=True)
class GradeWork:
    """What is to be graded: samples, each by the teacher of its name, with their queries by id.

    `known` are ids of samples that have a grade and are not asked about again. `nonce` and `left` as of `LabelWork`.
    """

    task: Task
    prompt: Prompt
    samples: Sequence[Sample]
    queries: Mapping[str, Query]
    teachers: Sequence[Teacher] = ()
    known: AbstractSet[str] = frozenset()
    nonce: str = ""
    left: Mapping[str, str] = field(default_factory=dict)

    def find_missing(self, teacher: str) -> Iterator[Sample]:
        """A teacher's samples that have no grade yet."""
        for sample in self.samples:
            if sample.teacher == teacher and sample.id not in self.known and sample.query_id in self.queries:
                yield sample

    def render(self, sample: Sample) -> Request:
        """The request that asks for one grade. It shows what the teacher answered, and nothing that it did not."""
        query = self.queries[sample.query_id]
        variables = {"query": self.task.render(query), "rationale": sample.rationale, "label": sample.label}
        system, user = self.prompt.render(**variables)
        new = hash_id("request", self.nonce, Purpose.GRADE, sample.id) if self.nonce else ""
        key = self.left.get(sample.id) or new
        return Request(query, Purpose.GRADE, system, user, _SCHEMA, variables, sample.draw, key)


async def grade(work: GradeWork, sink: EventSink, caller: Caller | None = None) -> LabelCounts:
    """Ask every teacher about each of its samples that has no grade; events and errors as of `label`.

    Raises:
        CapReached: once nothing is in flight, if the budget let no further request start.
    """
    caller = caller or Caller()

    def asking(teacher: Teacher) -> Any:
        return lambda sample: _ask_one(work, teacher, sample, sink, caller)

    rounds = [
        ask_each(teacher, work.find_missing(teacher.spec.name), asking(teacher), sink, caller)
        for teacher in work.teachers
    ]
    return add_up(await run_all(rounds))


def list_grade_requests(work: GradeWork, spec: TeacherSpec) -> Iterator[dict[str, Any]]:
    """What is to be asked of a teacher, as `engine.labelling.online.list_requests` gives it."""
    for sample in work.find_missing(spec.name):
        request = work.render(sample)
        yield {
            "sample_id": sample.id,
            "prompt_hash": work.prompt.hash,
            "draw": sample.draw,
            "query": asdict(request.query),
            "system": request.system,
            "user": request.user,
        }


async def _ask_one(work: GradeWork, teacher: Teacher, sample: Sample, sink: EventSink, caller: Caller) -> str:
    about = About(sample.id, sample.query_id, sample.teacher, Purpose.GRADE, work.prompt.hash, sample.draw)
    result: list[str] = []

    def tell(outcome: CallOutcome) -> None:
        if outcome.error is None:
            result.append("failures" if journal_grade(sink, about, outcome) else "samples")
        elif outcome.error.kind is not ErrorKind.UNKNOWN_QUERY:
            journal(sink, about, outcome, outcome.error.kind, str(outcome.error))

    try:
        request = work.render(sample)
        await caller.call(teacher, request, tell, announcing(sink, about, sample.id, request.key))
    except TeacherError as error:
        if error.kind is ErrorKind.UNKNOWN_QUERY:
            return "declined"
        raise
    return result[-1]


def journal_grade(sink: EventSink, about: About, outcome: CallOutcome) -> ErrorKind | None:
    """Journal a reply with the grade that it holds; what is wrong with it if it holds none."""
    if outcome.reply is None:
        raise ValueError("this outcome has no reply")
    grade = read_grade(outcome.reply.text)
    if grade is None:
        kind = ErrorKind.TRUNCATED if outcome.reply.finish_reason == "length" else ErrorKind.UNPARSABLE
        journal(sink, about, outcome, kind, f"the reply holds no grade of {', '.join(GRADES)}")
        return kind
    journal(sink, about, outcome, None, "", evidence={GRADE: grade})
    return None


def read_grade(text: str) -> float | None:
    """The grade that a reply gives; None where it gives none or several. Never raises, never invents one."""
    _, visible = split_thought(text)
    said = (visible or "").strip()
    start, end = said.find("{"), said.rfind("}")
    try:
        data = json.loads(said[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict) and isinstance(data.get("grade"), str):
        return _WORDS.get(data["grade"].strip().strip(".").lower())
    stated = {word.lower() for word in _STATED.findall(said)}
    if not stated:
        return _WORDS.get(said.strip(" \t\n.*_\"'").lower())
    return _WORDS[stated.pop()] if len(stated) == 1 else None
