"""Teacher-Guided Compression: the teacher rewrites its rationale toward what this student wrote on its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.dataset import Example
from engine.errors import CapReached, ConfigError, ErrorKind, TeacherError
from engine.label import object_schema, run_all
from engine.ports import EventSink, Request, Task, Teacher
from engine.prompts import UNSOUND, load_prompt
from engine.rationale_checks import find_flaw, repeats_itself
from engine.teachers.calling import About, Caller, Outcome, Stopped, journal
from engine.types import Generation, ParsedReply, Purpose, Query

COMPRESS_SCHEMA = object_schema({"rationale": {"type": "string"}, "label": {"type": "string"}})
CHECK_SCHEMA = object_schema({"label": {"type": "string"}})
PRESERVED = "answer preserved"
KEPT = "kept original: "
NOT_PRESERVED = "not preserved: "
SAME = "the same answer"
WITH, WITHOUT = "with the short form: ", "without it: "
"""How flags begin that say what a check found; those of level 2 say what another teacher answered."""


@dataclass(frozen=True)
class CompressWork:
    """One compression: the sample chosen, the teacher who rewrites, and what the student wrote (None: nothing).

    With a `note` of whoever reviews it, the teacher is asked to write its `previous` short form anew. `checker` is
    another teacher, for level 2.
    """

    example: Example
    teacher: Teacher
    student: Generation | None
    previous: str = ""
    note: str = ""
    checker: Teacher | None = None


@dataclass(frozen=True)
class Compressed:
    """A rewritten rationale, or the original with the flag that says why it stayed."""

    example: Example
    rationale: str
    flags: tuple[str, ...]


def assign(
    examples: Sequence[Example],
    teachers: Mapping[str, Teacher],
    students: Mapping[str, Generation],
    compressor: str | None,
    level: int,
) -> list[CompressWork]:
    """Who rewrites each rationale: the teacher who wrote it where it can be asked, else the one named as compressor.

    With level 2 another teacher with a model of its own checks, the next one in the order of `teachers`.

    Raises:
        ConfigError: if nobody can rewrite one, or nobody can check.
    """
    return [_assign(example, teachers, students, compressor, level) for example in examples]


def _assign(
    example: Example,
    teachers: Mapping[str, Teacher],
    students: Mapping[str, Generation],
    compressor: str | None,
    level: int,
) -> CompressWork:
    asked = _choose_compressor(example.teacher, teachers, compressor)
    checker = _choose_checker(list(teachers.values()), asked) if level > 1 else None
    return CompressWork(example, asked, students.get(example.query.id), checker=checker)


def _choose_compressor(name: str, teachers: Mapping[str, Teacher], compressor: str | None) -> Teacher:
    own = teachers.get(name)
    if own is not None and own.live:
        return own
    named = teachers.get(compressor or "")
    if named is None or not named.live:
        raise ConfigError(
            f"{name} can't rewrite here, being a recording or without its key; name a live teacher of the project as "
            "compressor"
        )
    return named


def _choose_checker(teachers: Sequence[Teacher], compressor: Teacher) -> Teacher:
    place = next((n for n, t in enumerate(teachers) if t.spec.name == compressor.spec.name), 0)
    own = (compressor.spec.endpoint, compressor.spec.model)
    for teacher in (*teachers[place + 1 :], *teachers[:place]):
        if teacher.live and (teacher.spec.endpoint, teacher.spec.model) != own:
            return teacher
    raise ConfigError(
        f"no other teacher than {compressor.spec.name} can be asked here, and level 2 needs one; add a teacher or its "
        "key, or check at level 1"
    )


def judge_student(task: Task, query: Query, label: str, student: Generation | None) -> str | None:
    """Why a student's rationale is no model of length: empty, loops, unfinished, other label. None if it is sound."""
    if student is None or not strip_answer(student.text):
        return "empty"
    if repeats_itself(student.text):
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
    task: Task, work: Sequence[CompressWork], level: int, sink: EventSink, caller: Caller | None = None
) -> list[Compressed]:
    """Rewrite, as many at a time as each teacher allows; emits a `compressed` event each.

    On a failed check the original stays, flagged. What a teacher could not be asked (stopped, or failing in a way that
    may pass) is left out, for the next time.

    Raises:
        TeacherError: if a teacher can't be asked at all, once nothing is in flight.
        CapReached: likewise, if the budget let no further request start.
    """
    caller = caller or Caller()
    names = list(dict.fromkeys(item.teacher.spec.name for item in work))
    queues = {name: iter([item for item in work if item.teacher.spec.name == name]) for name in names}
    widths = {item.teacher.spec.name: item.teacher.spec.concurrency for item in work}
    done: list[Compressed] = []
    errors: dict[str, TeacherError | CapReached] = {}

    async def serve(name: str, queue: Iterator[CompressWork]) -> None:
        for item in queue:
            if caller.stop() or name in errors:
                return
            try:
                result = await compress_one(task, item, level, sink, caller)
            except Stopped:
                return
            except (TeacherError, CapReached) as error:
                errors[name] = error
                return
            if result is None:
                continue
            sink.emit("compressed", **_compressed_event(item, result))
            done.append(result)
            await asyncio.sleep(0)

    await run_all([serve(name, queues[name]) for name in names for _ in range(widths[name])])
    for error in errors.values():
        raise error
    return done


def _compressed_event(item: CompressWork, result: Compressed) -> Mapping[str, Any]:
    return {
        "sample_id": item.example.sample_id,
        "query_id": item.example.query.id,
        "rationale": result.rationale,
        "flags": list(result.flags),
        **({"note": item.note} if item.note else {}),
    }


async def compress_one(
    task: Task, work: CompressWork, level: int, sink: EventSink, caller: Caller
) -> Compressed | None:
    """Rewrite one rationale and check that the answer is preserved; None where a teacher may answer later.

    Level 1: the label in the reply equals y, and nothing that can be told without asking speaks against the text
    (`engine.rationale_checks`). Level 2: another teacher, given the query and the rewritten rationale, answers y; what
    it answers without the rationale is told beside it (two more calls).
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
    asker = _Asker(task, work, work.teacher, sink, caller)
    asked = variables | {"previous": work.previous, "note": work.note} if work.note else variables
    reply = await asker.ask(Purpose.COMPRESS, "again" if work.note else "guided", asked)
    if reply is None:
        return None
    if isinstance(reply, str):
        return Compressed(example, example.rationale, (*flags, f"{KEPT}{reply}"))
    fault = check_rewrite(task, example, reply.rationale, reply.label)
    if fault is not None:
        return Compressed(example, example.rationale, (*flags, f"{KEPT}{fault} (level 1)"))
    if level == 1 or work.checker is None:
        return Compressed(example, reply.rationale, (*flags, f"{PRESERVED} (level 1)"))
    checks = await _follow(_Asker(task, work, work.checker, sink, caller), reply.rationale)
    if checks is None:
        return None
    flags = (
        *flags,
        f"{WITH}{_tell(checks[0])}",
        f"{WITHOUT}{_tell(checks[1])}",
        f"checked by {work.checker.spec.name}",
    )
    if not checks[0]:
        return Compressed(example, example.rationale, (*flags, f"{KEPT}does not lead to the answer (level 2)"))
    return Compressed(example, reply.rationale, (*flags, f"{PRESERVED} (level 2)"))


def check_rewrite(task: Task, example: Example, rationale: str, label: str | None = None) -> str | None:
    """Level 1: what is wrong with a rewritten rationale; None if nothing is. `label` is what its writer says, if so."""
    if label is not None and not _same(task, example, label):
        return "answer changed"
    return find_flaw(task, example.query, example.label, rationale, example.rationale)


async def _follow(asker: _Asker, rationale: str) -> tuple[bool, bool] | None:
    """Whether another teacher answers y with the rationale, and without it; None where it may answer later."""
    rendered = asker.task.render(asker.work.example.query)
    led = await asker.ask(Purpose.CHECK, "check", {"query": rendered, "rationale": rationale})
    if led is None:
        return None
    alone = await asker.ask(Purpose.CHECK, "unaided", {"query": rendered})
    if alone is None:
        return None
    example = asker.work.example
    first, second = (not isinstance(r, str) and _same(asker.task, example, r.label) for r in (led, alone))
    return first, second


def _tell(right: bool) -> str:
    return SAME if right else "another answer or none"


def _same(task: Task, example: Example, label: str) -> bool:
    return task.normalise(example.query, label) == task.normalise(example.query, example.label)


@dataclass(frozen=True)
class _Asker:
    """Asks one teacher about a work and journals every attempt."""

    task: Task
    work: CompressWork
    teacher: Teacher
    sink: EventSink
    caller: Caller

    async def ask(self, purpose: Purpose, name: str, variables: Mapping[str, str]) -> ParsedReply | str | None:
        """The parsed reply, or what was wrong with it; None if the failure may pass.

        Raises:
            TeacherError: if every further request would fail the same way.
        """
        prompt = load_prompt("compress", name)
        system, user = prompt.render(**variables)
        example, teacher = self.work.example, self.teacher
        about = About(str(example.sample_id), example.query.id, teacher.spec.name, purpose, prompt.hash)
        read: list[ParsedReply | str] = []

        def tell(outcome: Outcome) -> None:
            if outcome.error is not None:
                journal(self.sink, about, outcome, outcome.error.kind, str(outcome.error))
            elif outcome.reply is not None:
                parsed = self._parse(purpose, outcome.reply.text)
                read.append(parsed)
                failed = isinstance(parsed, str)
                kind = ErrorKind.UNPARSABLE if failed else None
                journal(self.sink, about, outcome, kind, str(parsed) if failed else "")

        schema = COMPRESS_SCHEMA if purpose is Purpose.COMPRESS else CHECK_SCHEMA
        request = Request(example.query, purpose, system, user, schema, variables)
        try:
            await self.caller.call(teacher, request, tell)
        except TeacherError as error:
            if error.kind.stops_teacher:
                raise
            return None if error.kind.may_pass else f"{error.kind}: {error}"
        return read[-1]

    def _parse(self, purpose: Purpose, text: str) -> ParsedReply | str:
        parsed = self.task.parse(self.work.example.query, text)
        if parsed is None or (purpose is Purpose.COMPRESS and not parsed.rationale.strip()):
            return "the reply holds no rationale and label"
        return parsed
