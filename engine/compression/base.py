"""What a compressor is: what rewrites a rationale, before the check that all of them share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.datasets.rows import Example
from engine.errors import ErrorKind, TeacherError
from engine.labelling.online import object_schema
from engine.ports import EventSink, Request, Task, Teacher
from engine.prompts import load_prompt
from engine.registry import Registry
from engine.teachers.caller import About, Caller, CallOutcome, announcing, journal
from engine.values import Generation, ParsedReply, Purpose, hash_id

COMPRESS_SCHEMA = object_schema({"rationale": {"type": "string"}, "label": {"type": "string"}})
CHECK_SCHEMA = object_schema({"label": {"type": "string"}})


@dataclass(frozen=True)
class CompressWork:
    """One compression: the sample chosen, the teacher who rewrites (None: nobody is asked), and what the student wrote
    (None: nothing).

    With a `note` of whoever reviews it, the teacher is asked to write its `previous` short form anew. `checker` is
    another teacher, for level 2. `words` is the median length of what the student wrote, over all queries (0: nothing).
    `prepared` is what a worker made of it, where the compressor runs in one (None: it did not come to it). `nonce`
    tells this job's requests from another's to providers that know idempotency keys.
    """

    example: Example
    teacher: Teacher | None
    student: Generation | None
    previous: str = ""
    note: str = ""
    checker: Teacher | None = None
    words: int = 0
    prepared: ParsedReply | str | None = None
    nonce: str = ""


@dataclass(frozen=True)
class Asker:
    """Asks one teacher about a work and journals every attempt."""

    task: Task
    work: CompressWork
    teacher: Teacher
    sink: EventSink
    caller: Caller

    async def ask(self, purpose: Purpose, name: str, variables: Mapping[str, str]) -> ParsedReply | str | None:
        """The parsed reply, or what was wrong with it; None if the failure may pass.

        Raises:
            TeacherError: if the teacher is given up: every further request would fail the same way, or too many did.
        """
        prompt = load_prompt("compress", name)
        system, user = prompt.render(**variables)
        example, teacher = self.work.example, self.teacher
        about = About(str(example.sample_id), example.query.id, teacher.spec.name, purpose, prompt.hash)
        read: list[ParsedReply | str] = []

        def tell(outcome: CallOutcome) -> None:
            if outcome.error is not None:
                journal(self.sink, about, outcome, outcome.error.kind, str(outcome.error))
            elif outcome.reply is not None:
                parsed = self._parse(purpose, outcome.reply.text)
                read.append(parsed)
                failed = isinstance(parsed, str)
                kind = ErrorKind.UNPARSABLE if failed else None
                journal(self.sink, about, outcome, kind, str(parsed) if failed else "")

        schema = COMPRESS_SCHEMA if purpose is Purpose.COMPRESS else CHECK_SCHEMA
        asked = hash_id("request", purpose, teacher.spec.endpoint, teacher.spec.model, system, user)
        key = hash_id(self.work.nonce, asked) if self.work.nonce else ""
        request = Request(example.query, purpose, system, user, schema, variables, key=key)
        try:
            await self.caller.call(teacher, request, tell, announcing(self.sink, about, asked, key))
        except TeacherError as error:
            row = self.caller.row(teacher.spec)
            if row.over:
                raise TeacherError(error.kind, row.why, error.raw) from error
            return None if error.kind.may_pass else f"{error.kind}: {error}"
        self.caller.row(teacher.spec).answered()
        return read[-1]

    def _parse(self, purpose: Purpose, text: str) -> ParsedReply | str:
        parsed = self.task.parse(self.work.example.query, text)
        if parsed is None or (purpose is Purpose.COMPRESS and not parsed.rationale.strip()):
            return "the reply holds no rationale and label"
        return parsed


Rewrite = Callable[[Task, CompressWork, Asker | None], Awaitable[ParsedReply | str | None]]
"""(task, work, asker of the work's teacher) -> the rewritten rationale with its label; what went wrong, in words, where
the original is to stay; None where it may be had later."""


async def take_prepared(task: Task, work: CompressWork, asker: Asker | None) -> ParsedReply | str | None:
    """What a worker made of a rationale: the `Rewrite` of compressors that run in one."""
    return work.prepared


class Place(NamedTuple):
    """What a worker gives a compressor to run with: the model's name or folder, and the device, as torch names it."""

    model: str
    device: str


@dataclass(frozen=True)
class InWorker:
    """How a compressor rewrites in a worker, where torch may be imported.

    Attributes:
        rewrite: (task, all rationales of a step that are left, place) -> for each in its order the rewritten rationale
            with its label, or what went wrong, in words.
        model: the model that it runs, by name or folder, as that is set now. Another one makes other rationales.
        check: whether package and model can be had here; it raises ConfigError or MissingPart, and imports no torch.
    """

    rewrite: Callable[[Task, Sequence[CompressWork], Place], Iterator[ParsedReply | str]]
    model: Callable[[], str]
    check: Callable[[str], None]


@dataclass(frozen=True)
class Compressor:
    """What makes rationales shorter.

    It runs with a live teacher, in this process, or in a worker, which does all rationales of a step before the check.

    Attributes:
        title: its name, as a person reads it.
        help: one line on what it does.
        rewrite: rewrites one rationale.
        needs_teacher: whether a live teacher rewrites: the one who wrote the rationale, or the plan's compressor.
        prompts: of `prompts/compress`, those that it always sends.
        again: the prompt that it sends where a reviewer left a note; "" where it can't be asked again.
        worker: how it rewrites in a worker; None where it needs none.
    """

    title: str
    help: str
    rewrite: Rewrite = take_prepared
    needs_teacher: bool = True
    prompts: tuple[str, ...] = ()
    again: str = ""
    worker: InWorker | None = None


COMPRESSORS: Registry[Compressor] = Registry("compressors", "compressor")
