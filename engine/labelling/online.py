"""Queries x teachers -> replies. Every reply is journaled through the event sink before it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypeVar

from engine.errors import CapReached, ErrorKind, TeacherError
from engine.labelling.logprobs import score_label
from engine.ports import EventSink, Request, Task, Teacher
from engine.prompts import Prompt
from engine.tasks.reply import read_reply
from engine.teachers.caller import About, Caller, CallOutcome, Stopped, announcing, journal
from engine.values import LOG_PROB, ParsedReply, Purpose, Query, Reply, SampleKey, TeacherSpec, hash_id

T = TypeVar("T")
_MOST_TOLD = 80
"""Characters of a label that can't be read that are shown."""


@dataclass(frozen=True)
class LabelWork:
    """What is to be asked.

    `known` are ids of samples that exist and are not asked again; where `only` is given, nothing else is asked.
    `nonce` tells this job's requests from another's to providers that know idempotency keys. `left` holds the keys, by
    sample, of requests that an earlier job sent and whose end nobody knows: they are sent under the same key again, so
    that a provider which honours it does not charge twice.
    """

    task: Task
    prompt: Prompt
    queries: Sequence[Query]
    teachers: Sequence[Teacher]
    known: AbstractSet[str] = frozenset()
    purpose: Purpose = Purpose.LABEL
    only: AbstractSet[str] | None = None
    nonce: str = ""
    left: Mapping[str, str] = field(default_factory=dict)


class LabelCounts(NamedTuple):
    """How a labelling ended: replies that gave a sample, failed queries, queries a teacher had nothing for."""

    samples: int
    failures: int
    declined: int


@dataclass
class LabelTally:
    """One teacher's part of a labelling or grading."""

    samples: int = 0
    failures: int = 0
    declined: int = 0
    halted: asyncio.Event = field(default_factory=asyncio.Event)
    cap: CapReached | None = None

    def count(self, outcome: str) -> None:
        """One more of an outcome: "samples", "failures" or "declined"."""
        setattr(self, outcome, getattr(self, outcome) + 1)


async def label(work: LabelWork, sink: EventSink, caller: Caller | None = None) -> LabelCounts:
    """Ask every teacher every query that has no sample yet.

    Teachers work side by side, each with its own concurrency; a failing one does not hold up the others. Emits one
    `reply` event an attempt, and `teacher_stopped` where every further request of a teacher would fail the same way.

    Raises:
        CapReached: once nothing is in flight, if the budget let no further request start.
    """
    caller = caller or Caller()
    context = _CallContext(sink, caller)

    def asking(teacher: Teacher) -> Callable[[tuple[Query, SampleKey]], Awaitable[str]]:
        return lambda item: _ask_one(work, teacher, *item, context)

    rounds = [ask_each(t, _missing(work, t.spec), asking(t), sink, caller) for t in work.teachers]
    return add_up(await run_all(rounds))


def add_up(tallies: Sequence[LabelTally]) -> LabelCounts:
    """All teachers' parts together.

    Raises:
        CapReached: if the budget ended one of them.
    """
    for tally in tallies:
        if tally.cap is not None:
            raise tally.cap
    counts = [(tally.samples, tally.failures, tally.declined) for tally in tallies]
    return LabelCounts(*(sum(column) for column in zip(*counts, strict=True))) if counts else LabelCounts(0, 0, 0)


async def ask_each(
    teacher: Teacher, todo: Iterator[T], ask: Callable[[T], Awaitable[str]], sink: EventSink, caller: Caller
) -> LabelTally:
    """Ask one teacher about each item, as many at a time as it allows; `ask` says what of the tally an item counts for.

    Emits `teacher_stopped` where it is given up (`FaultRow`): every further request would fail the same way, or too
    many came to nothing. One that was given up by the same caller before is not asked.
    """
    tally, row = LabelTally(), caller.row(teacher.spec)

    async def serve() -> None:
        for item in todo:
            if tally.halted.is_set() or caller.stop():
                return
            try:
                outcome = await ask(item)
                tally.count(outcome)
                row.unread() if outcome == "failures" else row.answered()
            except Stopped:
                return
            except CapReached as error:
                tally.cap = error
                tally.halted.set()
            except TeacherError:
                tally.failures += 1
            if row.over and not tally.halted.is_set():
                tally.halted.set()
                sink.emit("teacher_stopped", teacher=teacher.spec.name, error=row.kind, message=row.why)
            await asyncio.sleep(0)

    if not row.over:
        await run_all([serve() for _ in range(teacher.spec.concurrency)])
    return tally


async def run_all(parts: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Run side by side; all come to their end before the first error of any is raised."""
    results = await asyncio.gather(*parts, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def count_missing(work: LabelWork, spec: TeacherSpec) -> int:
    """How many requests of a teacher the work needs, were none to fail."""
    if not work.known and work.only is None:
        return len(work.queries) * spec.draws
    return sum(1 for _ in _missing(work, spec))


def _missing(work: LabelWork, spec: TeacherSpec) -> Iterator[tuple[Query, SampleKey]]:
    for query in work.queries:
        for draw in range(spec.draws):
            key = SampleKey(query.id, spec.endpoint, spec.model, work.prompt.hash, spec.sampling, draw)
            if key.id not in work.known and (work.only is None or key.id in work.only):
                yield query, key


def missing_keys(work: LabelWork, spec: TeacherSpec) -> Iterator[SampleKey]:
    """The sample that each request of a teacher would make that the work needs."""
    for _, key in _missing(work, spec):
        yield key


def missing_requests(work: LabelWork, spec: TeacherSpec) -> Iterator[tuple[Query, SampleKey, Request]]:
    """Every request of a teacher that the work needs."""
    for query, key in _missing(work, spec):
        yield query, key, render_request(work, query, key)


def list_requests(work: LabelWork, spec: TeacherSpec) -> Iterator[dict[str, Any]]:
    """What is to be asked of a teacher, one JSON-ready object a request, for a process that asks elsewhere."""
    for query, key, request in missing_requests(work, spec):
        yield {
            "sample_id": key.id,
            "prompt_hash": key.prompt_hash,
            "draw": key.draw,
            "query": asdict(query),
            "system": request.system,
            "user": request.user,
            "key": request.key,
        }


def render_request(work: LabelWork, query: Query, key: SampleKey) -> Request:
    """The request that asks for one sample."""
    system, user = work.prompt.render(query=work.task.render(query), factors=", ".join(work.task.factors))
    sent_as = work.left.get(key.id) or (hash_id("request", work.nonce, key.id) if work.nonce else "")
    return Request(query, work.purpose, system, user, reply_schema(work.task), draw=key.draw, key=sent_as)


class _CallContext(NamedTuple):
    sink: EventSink
    caller: Caller


async def _ask_one(work: LabelWork, teacher: Teacher, query: Query, key: SampleKey, context: _CallContext) -> str:
    """Ask one query; returns which of the tally's numbers it counts for."""
    about = About(key.id, query.id, teacher.spec.name, work.purpose, key.prompt_hash, key.draw)
    result: list[str] = []

    def tell(outcome: CallOutcome) -> None:
        if outcome.error is not None:
            if outcome.error.kind is not ErrorKind.UNKNOWN_QUERY:
                journal(context.sink, about, outcome, outcome.error.kind, str(outcome.error))
        else:
            failed = journal_reply(context.sink, work.task, query, about, outcome)
            result.append("failures" if failed else "samples")

    try:
        request = render_request(work, query, key)
        await context.caller.call(teacher, request, tell, announcing(context.sink, about, key.id, request.key))
    except TeacherError as error:
        if error.kind is ErrorKind.UNKNOWN_QUERY:
            return "declined"
        raise
    return result[-1]


def journal_reply(
    sink: EventSink, task: Task, query: Query, about: About, outcome: CallOutcome, **more: Any
) -> ErrorKind | None:
    """Journal a reply with the sample that it holds and the evidence it gives; what is wrong if it holds none."""
    if outcome.reply is None:
        raise ValueError("this outcome has no reply")
    read = read_sample(task, query, about.draw, outcome.reply)
    if isinstance(read, Unread):
        journal(sink, about, outcome, read.kind, read.message, **more)
        return read.kind
    score = score_label(task, query, outcome.reply, read["label"])
    evidence = {} if score is None else {"evidence": {LOG_PROB: score}}
    journal(sink, about, outcome, None, "", sample=read, **evidence, **more)
    return None


class Unread(NamedTuple):
    """Why a reply gave no sample."""

    kind: ErrorKind
    message: str


def read_sample(task: Task, query: Query, draw: int, reply: Reply) -> dict[str, Any] | Unread:
    """The sample that a reply holds, as it is journaled; what is wrong with the reply if it holds none."""
    parsed = task.parse(query, reply.text)
    cut = reply.finish_reason == "length"
    if cut and (parsed is None or reply.text.rstrip().endswith(parsed.label)):  # the label itself may be cut off
        return Unread(ErrorKind.TRUNCATED, "the reply was cut off at the longest a reply may be: it holds no label")
    if parsed is None:
        return _why_unread(query, reply.text)
    return make_sample(task, query, draw, parsed)


def _why_unread(query: Query, text: str) -> Unread:
    """What is wrong with a reply that the task could not read."""
    if not text.strip():
        return Unread(ErrorKind.UNPARSABLE, "the reply is empty: it holds no label")
    reply = read_reply(text)
    if reply is None:
        return Unread(ErrorKind.UNPARSABLE, "the reply holds no label")
    label = " ".join(reply.label.split())
    short = label if len(label) <= _MOST_TOLD else f"{label[:_MOST_TOLD]} ..."
    if query.choices:
        letters = ", ".join(choice.letter for choice in query.choices)
        return Unread(ErrorKind.NOT_A_CHOICE, f"the label {short!r} is not among the choices ({letters})")
    return Unread(ErrorKind.UNPARSABLE, f"the label {short!r} is no answer that this task can read")


def make_sample(task: Task, query: Query, draw: int, parsed: ParsedReply) -> dict[str, Any]:
    """The sample of what was read in a reply, as it is journaled."""
    return {
        "rationale": parsed.rationale,
        "label": parsed.label,
        "label_key": task.normalise(query, parsed.label) or parsed.label,
        "factors": {name: parsed.factors[name] for name in task.factors if name in parsed.factors},
        "draw": draw,
        "split": query.split,
    }


def reply_schema(task: Task) -> dict[str, Any]:
    """The JSON schema of a teacher's reply: rationale first, then the label, then one score a factor."""
    score = {"type": "number", "minimum": 0, "maximum": 1}
    scores = object_schema(dict.fromkeys(task.factors, score))
    return object_schema({"rationale": {"type": "string"}, "label": {"type": "string"}, "scores": scores})


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema of an object with exactly these properties, in this order."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
