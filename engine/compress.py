"""Teacher-Guided Compression: the teacher rewrites its rationale toward what this student wrote on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.dataset import Example
from engine.errors import ErrorKind, TeacherError
from engine.label import MAX_RAW
from engine.ports import EventSink, Request, Task, Teacher
from engine.prompts import UNSOUND, load_prompt
from engine.types import Generation, ParsedReply, Purpose, Query, Reply

_LOOP_SPAN = 4
_LOOP_TIMES = 4


@dataclass(frozen=True)
class CompressWork:
    """One compression: the sample chosen, the teacher who rewrites, and what the student wrote (None: nothing)."""

    example: Example
    teacher: Teacher
    student: Generation | None


@dataclass(frozen=True)
class Compressed:
    """A rewritten rationale, or the original with the flag that says why it stayed."""

    example: Example
    rationale: str
    flags: tuple[str, ...]


def judge_student(task: Task, query: Query, label: str, student: Generation | None) -> str | None:
    """Why a student's rationale is no model of length: empty, loops, unfinished, other label. None if it is sound."""
    if student is None or not strip_answer(student.text):
        return "empty"
    words = student.text.split()
    spans = [tuple(words[i : i + _LOOP_SPAN]) for i in range(len(words) - _LOOP_SPAN + 1)]
    if any(spans.count(span) >= _LOOP_TIMES for span in set(spans)):
        return "loops"
    if not student.finished:
        return "unfinished"
    said = task.read_answer(query, student.text)
    if said is None or task.normalise(query, said) != task.normalise(query, label):
        return "other label"
    return None


def strip_answer(text: str) -> str:
    """The rationale of a completion: what stands before its last answer line."""
    return text.rpartition("Answer:")[0].strip() if "Answer:" in text else text.strip()


async def compress(
    task: Task, work: Sequence[CompressWork], level: int, sink: EventSink, stop: Callable[[], bool] = lambda: False
) -> list[Compressed]:
    """Rewrite one by one; emits a `compressed` event each. On a failed check the original stays, flagged."""
    done = []
    for item in work:
        if stop():
            break
        result = await compress_one(task, item, level, sink)
        data: Mapping[str, Any] = {
            "sample_id": item.example.sample_id,
            "query_id": item.example.query.id,
            "rationale": result.rationale,
            "flags": list(result.flags),
        }
        sink.emit("compressed", **data)
        done.append(result)
    return done


async def compress_one(task: Task, work: CompressWork, level: int, sink: EventSink) -> Compressed:
    """Rewrite one rationale and check that the answer is preserved.

    Level 1: the label in the reply equals y. Level 2: the teacher, given only the query and the rewritten rationale,
    answers y (one more call).
    """
    example = work.example
    flaw = judge_student(task, example.query, example.label, work.student)
    said = strip_answer(work.student.text) if work.student else ""
    variables = {
        "query": task.render(example.query),
        "label": example.label,
        "teacher_rationale": example.rationale,
        "student_rationale": f"{UNSOUND}{flaw}) {said}" if flaw else said,
    }
    flags = (f"student:{flaw}",) if flaw else ()
    asker = _Asker(task, work, sink)
    reply = await asker.ask(Purpose.COMPRESS, "guided", variables)
    if isinstance(reply, str):
        return Compressed(example, example.rationale, (*flags, f"kept original: {reply}"))
    if not _same(task, example, reply.label):
        return Compressed(example, example.rationale, (*flags, "kept original: answer changed (level 1)"))
    if level == 2:
        check = {"query": variables["query"], "rationale": reply.rationale}
        verdict = await asker.ask(Purpose.CHECK, "check", check)
        if isinstance(verdict, str) or not _same(task, example, verdict.label):
            return Compressed(
                example, example.rationale, (*flags, "kept original: does not lead to the answer (level 2)")
            )
    return Compressed(example, reply.rationale, (*flags, f"answer preserved (level {level})"))


def _same(task: Task, example: Example, label: str) -> bool:
    return task.normalise(example.query, label) == task.normalise(example.query, example.label)


@dataclass(frozen=True)
class _Asker:
    """Asks a work's teacher and journals every reply as an attempt."""

    task: Task
    work: CompressWork
    sink: EventSink

    async def ask(self, purpose: Purpose, name: str, variables: Mapping[str, str]) -> ParsedReply | str:
        """The parsed reply, or what was wrong with it."""
        prompt = load_prompt("compress", name)
        system, user = prompt.render(**variables)
        query = self.work.example.query
        try:
            reply = await self.work.teacher.ask(Request(query, purpose, system, user, variables=variables))
        except TeacherError as error:
            self._journal(purpose, prompt.hash, Reply("", error.raw), error.kind, str(error))
            return f"{error.kind}: {error}"
        parsed = self.task.parse(query, reply.text)
        if parsed is None or (purpose is Purpose.COMPRESS and not parsed.rationale.strip()):
            message = "the reply holds no rationale and label"
            self._journal(purpose, prompt.hash, reply, ErrorKind.UNPARSABLE, message)
            return message
        self._journal(purpose, prompt.hash, reply, None, "")
        return parsed

    def _journal(self, purpose: Purpose, prompt_hash: str, reply: Reply, error: ErrorKind | None, message: str) -> None:
        self.sink.emit(
            "reply",
            sample_id=self.work.example.sample_id,
            query_id=self.work.example.query.id,
            teacher=self.work.teacher.spec.name,
            purpose=purpose,
            prompt_hash=prompt_hash,
            raw=reply.raw[:MAX_RAW],
            usage=asdict(reply.usage),
            latency_s=reply.latency_s,
            error=error,
            message=message,
        )
