"""Labelling through providers' batch APIs: half the price, an answer within a day, and no loss over a restart.

A chunk of requests is journaled before it is handed in, and handed in under a name, so that a process which was killed
in between finds its batch again instead of paying for a second one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from engine.costs import Budget, cost_of, worst_cost
from engine.errors import CapReached, ErrorKind, TeacherError
from engine.label import LabelWork, missing_requests, read_sample
from engine.ports import EventSink
from engine.teachers.calling import About, Outcome, journal
from engine.teachers.hosted import BatchResult, HostedTeacher, as_reply, batch_line, explain
from engine.types import Event, Query, SampleKey, Usage

MOST_REQUESTS = 50_000
MOST_BYTES = 90 * 2**20
"""Per batch file: below the limits of both providers."""
DISCOUNT = Decimal("0.5")
POLL_S = 30.0


@dataclass(frozen=True)
class Chunk:
    """One batch file. `batch_id` None: it is not known whether it was handed in."""

    name: str
    teacher: str
    file: Path
    batch_id: str | None = None
    collected: bool = False


def read_chunks(events: Sequence[Event]) -> dict[str, Chunk]:
    """The chunks that a job's journal tells of, by name."""
    chunks: dict[str, Chunk] = {}
    for event in events:
        data = event.data
        if event.type == "batch_prepared":
            chunks[data["name"]] = Chunk(data["name"], data["teacher"], Path(data["file"]))
        elif event.type == "batch_submitted":
            old = chunks[data["name"]]
            chunks[old.name] = Chunk(old.name, old.teacher, old.file, data["batch_id"])
        elif event.type == "batch_collected":
            old = chunks[data["name"]]
            chunks[old.name] = Chunk(old.name, old.teacher, old.file, old.batch_id, True)
    return chunks


@dataclass(frozen=True)
class BatchWork:
    """One teacher's labelling by batches. `folder` holds the chunks, `events` is the job's journal so far."""

    work: LabelWork
    teacher: HostedTeacher
    folder: Path
    events: Sequence[Event]
    budget: Budget
    stop: Callable[[], bool]
    poll_s: float = POLL_S
    most_requests: int = MOST_REQUESTS


async def label_in_batches(todo: BatchWork, sink: EventSink) -> None:
    """Hand in what is missing, wait, and journal what comes back; goes on with what an earlier process handed in.

    Stopping leaves the batches to the provider; the next start of the same job collects them.

    Raises:
        TeacherError: if the provider does not take a batch, or fails it as a whole.
        CapReached: once all is collected, if the budget let not every request be handed in.
    """
    name = todo.teacher.spec.name
    chunks = [chunk for chunk in read_chunks(todo.events).values() if chunk.teacher == name]
    pending = set().union(*(_ids(chunk) for chunk in chunks if not chunk.collected), set())
    capped: CapReached | None = None
    try:
        for chunk in _prepare(todo, pending, len(chunks), sink):
            chunks.append(chunk)
    except CapReached as error:
        capped = error
    for chunk in chunks:
        if not chunk.collected and not await _bring_home(todo, chunk, sink):
            return
    if capped is not None:
        raise capped


def _ids(chunk: Chunk) -> set[str]:
    with chunk.file.open(encoding="utf-8") as file:
        return {json.loads(line)["custom_id"] for line in file}


def _prepare(todo: BatchWork, pending: set[str], number: int, sink: EventSink) -> Iterator[Chunk]:
    """Write what is to be asked into chunks within the provider's limits, each journaled.

    Raises:
        CapReached: where the next request could pass the cap; what fits before is written.
    """
    lines: list[str] = []
    size, worst, capped = 0, Decimal(0), False
    spec = todo.teacher.spec
    for _, key, request in missing_requests(todo.work, spec):
        if key.id in pending:
            continue
        line = json.dumps(batch_line(key.id, spec, todo.teacher.capabilities, request), ensure_ascii=False)
        worst += (worst_cost(spec, f"{request.system}\n{request.user}") or Decimal(0)) * DISCOUNT
        if not _affords(todo.budget, worst):
            capped = True
            break
        if lines and (len(lines) >= todo.most_requests or size + len(line) > MOST_BYTES):
            yield _write(todo, lines, number, sink)
            number, lines, size = number + 1, [], 0
        lines.append(line)
        size += len(line.encode())
        todo.budget.requests += 1
    if lines:
        yield _write(todo, lines, number, sink)
    if capped:
        raise CapReached("the cap lets no further request into a batch; what was handed in is kept")


def _affords(budget: Budget, worst: Decimal) -> bool:
    within = budget.max_cost is None or budget.spent + worst <= budget.max_cost
    return within and (budget.max_requests is None or budget.requests < budget.max_requests)


def _write(todo: BatchWork, lines: list[str], number: int, sink: EventSink) -> Chunk:
    name = f"{todo.work.nonce}-{todo.work.purpose}-{todo.teacher.spec.name}-{number}".replace(" ", "_")
    file = todo.folder / f"batch-{number}-{todo.teacher.spec.name}-{todo.work.purpose}.jsonl"
    part = file.with_suffix(".part")
    part.write_text("\n".join(lines) + "\n", "utf-8")
    part.replace(file)
    sink.emit("batch_prepared", name=name, teacher=todo.teacher.spec.name, file=str(file), requests=len(lines))
    return Chunk(name, todo.teacher.spec.name, file)


async def _bring_home(todo: BatchWork, chunk: Chunk, sink: EventSink) -> bool:
    """Hand a chunk in if it is not, wait for it and journal its replies; False if the job is to stop."""
    chat = todo.teacher.chat
    batch_id = chunk.batch_id or await chat.find_batch(chunk.name)
    if batch_id is None:
        if todo.stop():
            return False
        batch_id = await chat.submit_batch(chunk.file, todo.teacher.spec.model, chunk.name)
    if chunk.batch_id is None:
        sink.emit("batch_submitted", name=chunk.name, teacher=chunk.teacher, batch_id=batch_id)
    done = -1
    while not (state := await chat.batch_state(batch_id)).over:
        if state.done != done:
            done = state.done
            sink.emit("batch_progress", name=chunk.name, teacher=chunk.teacher, done=done)
        until = asyncio.get_running_loop().time() + todo.poll_s
        while asyncio.get_running_loop().time() < until:
            if todo.stop():
                return False
            await asyncio.sleep(min(0.2, todo.poll_s))
    if state.failed:
        sink.emit("batch_collected", name=chunk.name, teacher=chunk.teacher, replies=0, message=state.failed)
        raise TeacherError(ErrorKind.BAD_REQUEST, state.failed)
    results = await chat.batch_results(batch_id)
    told = _journal_all(todo, results, sink)
    sink.emit("batch_collected", name=chunk.name, teacher=chunk.teacher, replies=told, message="")
    return True


def _journal_all(todo: BatchWork, results: Sequence[BatchResult], sink: EventSink) -> int:
    """Journal each result once; returns how many there are. Requests without a result stay to be asked."""
    known = {event.data["sample_id"] for event in todo.events if event.type == "reply"}
    wanted = {key.id: (query, key) for query, key, _ in missing_requests(todo.work, todo.teacher.spec)}
    for result in results:
        if result.sample_id in wanted and result.sample_id not in known:
            query, key = wanted[result.sample_id]
            _journal_one(todo, query, key, result, sink)
    return len(results)


def _journal_one(todo: BatchWork, query: Query, key: SampleKey, result: BatchResult, sink: EventSink) -> None:
    spec = todo.teacher.spec
    about = About(key.id, query.id, spec.name, todo.work.purpose, key.prompt_hash, key.draw)
    try:
        if result.status >= 400:
            raise explain(result.status, result.body)
        reply = as_reply(todo.teacher.chat.read(result.body))
    except TeacherError as error:
        usage = Usage(*error.tokens) if error.tokens else Usage()
        cost = Decimal(0) if error.kind.free else cost_of(spec, usage)
        outcome = Outcome(None, error, usage, None if cost is None else cost * DISCOUNT, None)
        journal(sink, about, outcome, error.kind, str(error))
        return
    cost = cost_of(spec, reply.usage)
    outcome = Outcome(reply, None, reply.usage, None if cost is None else cost * DISCOUNT, None)
    todo.budget.spent += outcome.cost or Decimal(0)
    sample = read_sample(todo.work.task, query, key.draw, reply)
    if isinstance(sample, ErrorKind):
        journal(sink, about, outcome, sample, "the reply holds no label")
    else:
        journal(sink, about, outcome, None, "", sample=sample)
