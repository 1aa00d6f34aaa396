"""Labelling through providers' batch APIs: half the price, an answer within a day, and no loss over a restart.

A chunk of requests is journaled before it is handed in, and handed in under a name, so that a process which was killed
in between finds its batch again instead of paying for a second one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.costs import Budget, cost_of, cost_of_failure, find_price, worst_cost
from engine.errors import CapReached, ErrorKind, TeacherError
from engine.labelling.online import LabelWork, journal_reply, missing_requests
from engine.ports import EventSink
from engine.teachers.caller import About, CallOutcome, journal
from engine.teachers.hosted import BatchResult, BatchState, HostedTeacher, as_reply, batch_line, explain
from engine.values import Event, Query, SampleKey, TeacherSpec

MOST_REQUESTS = 50_000
MOST_BYTES = 90 * 2**20
"""Per batch file: below the limits of both providers."""
DISCOUNT = Decimal("0.5")
POLL_S = 30.0
MOST_FAILURES = 40
"""So many polls in a row may fail in a way that may pass."""


@dataclass(frozen=True)
class Chunk:
    """One batch file. `batch_id` None: it is not known whether it was handed in."""

    name: str
    teacher: str
    purpose: str
    file: Path
    batch_id: str | None = None
    collected: bool = False

    @property
    def about(self) -> dict[str, str]:
        """What its events say of it."""
        return {"name": self.name, "teacher": self.teacher, "purpose": self.purpose, "file": str(self.file)}


def read_chunks(events: Sequence[Event]) -> dict[str, Chunk]:
    """The chunks that a job's journal tells of, by name; each event describes its chunk, since one may be lost."""
    chunks: dict[str, Chunk] = {}
    for event in events:
        data = event.data
        if event.type in ("batch_prepared", "batch_submitted", "batch_collected") and "file" in data:
            known = Chunk(data["name"], data["teacher"], data["purpose"], Path(data["file"]))
            chunks.setdefault(data["name"], known)
        if event.type == "batch_submitted" and data["name"] in chunks:
            chunks[data["name"]] = replace(chunks[data["name"]], batch_id=data["batch_id"])
        elif event.type == "batch_collected" and data["name"] in chunks:
            chunks[data["name"]] = replace(chunks[data["name"]], collected=True)
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

    @property
    def chunks(self) -> list[Chunk]:
        """This teacher's chunks of this work that the journal tells of."""
        mine = (self.teacher.spec.name, self.work.purpose)
        return [chunk for chunk in read_chunks(self.events).values() if (chunk.teacher, chunk.purpose) == mine]


def restore_budget(budget: Budget, events: Sequence[Event], specs: Mapping[str, TeacherSpec]) -> None:
    """Count into a budget what an earlier process of the same job spent and has under way."""
    for event in events:
        if event.type == "reply" and event.data["teacher"] in specs:
            cost = event.data["cost"]
            worst = worst_cost(specs[event.data["teacher"]], "") or Decimal(0)
            budget.settle(budget.count(Decimal(0)), worst * DISCOUNT if cost is None else Decimal(cost))
    for chunk in read_chunks(events).values():
        if not chunk.collected and chunk.teacher in specs:
            for line in _lines(chunk):
                budget.count(_worst(specs[chunk.teacher], line))


async def label_in_batches(todo: BatchWork, sink: EventSink) -> None:
    """Hand in what is missing, wait, and journal what comes back; goes on with what an earlier process handed in.

    Stopping leaves the batches to the provider; the next start of the same job collects them.

    Raises:
        TeacherError: if the provider does not take a batch, or fails it as a whole.
        CapReached: once all is collected, if the budget let not every request be handed in.
    """
    chunks = todo.chunks
    pending = {line["custom_id"] for chunk in chunks if not chunk.collected for line in _lines(chunk)}
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


def _lines(chunk: Chunk) -> list[dict[str, Any]]:
    with chunk.file.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _worst(spec: TeacherSpec, line: Mapping[str, Any]) -> Decimal:
    prompt = "\n".join(str(message["content"]) for message in line["body"]["messages"])
    return (worst_cost(spec, prompt) or Decimal(0)) * DISCOUNT


def _prepare(todo: BatchWork, pending: set[str], number: int, sink: EventSink) -> Iterator[Chunk]:
    """Write what is to be asked into chunks within the provider's limits, each journaled.

    Raises:
        CapReached: where the next request could pass the cap; what fits before is written.
    """
    lines: list[str] = []
    size, worst = 0, Decimal(0)
    capped: CapReached | None = None
    spec = todo.teacher.spec
    for _, key, request in missing_requests(todo.work, spec):
        if key.id in pending:
            continue
        line = batch_line(key.id, spec, todo.teacher.capabilities, request)
        try:
            most = todo.budget.take(_worst(spec, line))
        except CapReached as error:
            capped = error
            break
        text = json.dumps(line, ensure_ascii=False)
        if lines and (len(lines) >= MOST_REQUESTS or size + len(text.encode()) > MOST_BYTES):
            yield _write(todo, lines, number, worst, sink)
            number, lines, size, worst = number + 1, [], 0, Decimal(0)
        lines.append(text)
        worst += most
        size += len(text.encode()) + 1
    if lines:
        yield _write(todo, lines, number, worst, sink)
    if capped is not None:
        raise capped


def _write(todo: BatchWork, lines: list[str], number: int, worst: Decimal, sink: EventSink) -> Chunk:
    """Write a chunk, and journal it with what it costs at most before anything of it is handed in."""
    name = f"{todo.work.nonce}-{todo.work.purpose}-{todo.teacher.spec.name}-{number}".replace(" ", "_")
    file = todo.folder / f"batch-{number}-{todo.teacher.spec.name}-{todo.work.purpose}.jsonl"
    part = file.with_suffix(".part")
    part.write_text("\n".join(lines) + "\n", "utf-8")
    part.replace(file)
    chunk = Chunk(name, todo.teacher.spec.name, todo.work.purpose, file)
    known = None if find_price(todo.teacher.spec) is None else str(worst)
    sink.emit("batch_prepared", **chunk.about, requests=len(lines), worst=known)
    return chunk


async def _bring_home(todo: BatchWork, chunk: Chunk, sink: EventSink) -> bool:
    """Hand a chunk in if it is not, wait for it and journal its replies; False if the job is to stop."""
    chat = todo.teacher.chat
    batch_id = chunk.batch_id or await chat.find_batch(chunk.name)
    if batch_id is None:
        if todo.stop():
            return False
        batch_id = await chat.submit_batch(chunk.file, todo.teacher.spec.model, chunk.name)
    if chunk.batch_id is None:
        sink.emit("batch_submitted", **chunk.about, batch_id=batch_id)
    state = await _wait_for(todo, chunk, batch_id, sink)
    if state is None:
        return False
    if state.failed:
        sink.emit("batch_collected", **chunk.about, replies=0, message=state.failed)
        raise TeacherError(ErrorKind.BAD_REQUEST, state.failed)
    results = await chat.batch_results(batch_id)
    _journal_all(todo, chunk, results, sink)
    sink.emit("batch_collected", **chunk.about, replies=len(results), message="")
    return True


async def _wait_for(todo: BatchWork, chunk: Chunk, batch_id: str, sink: EventSink) -> BatchState | None:
    """Poll until a batch is over, through failures that may pass; None if the job is to stop."""
    done, failures = -1, 0
    while True:
        try:
            state = await todo.teacher.chat.batch_state(batch_id)
            failures = 0
        except TeacherError as error:
            failures += 1
            if not error.kind.may_pass or failures > MOST_FAILURES:
                raise
            state = BatchState(False, done)
        if state.over:
            return state
        if state.done != done:
            done = state.done
            sink.emit("batch_progress", name=chunk.name, teacher=chunk.teacher, done=done)
        until = time.monotonic() + todo.poll_s
        while time.monotonic() < until:
            if todo.stop():
                return None
            await asyncio.sleep(min(0.2, todo.poll_s))


def _journal_all(todo: BatchWork, chunk: Chunk, results: Sequence[BatchResult], sink: EventSink) -> None:
    """Journal each result of a chunk once. Requests without a result stay to be asked."""
    known = {
        event.data["sample_id"]
        for event in todo.events
        if event.type == "reply" and event.data.get("chunk") == chunk.name
    }
    every = replace(todo.work, known=frozenset(), only=None)
    wanted = {key.id: (query, key) for query, key, _ in missing_requests(every, todo.teacher.spec)}
    worst = {line["custom_id"]: _worst(todo.teacher.spec, line) for line in _lines(chunk)}
    for result in results:
        if result.sample_id in wanted and result.sample_id not in known:
            known.add(result.sample_id)
            cost = _journal_one(todo, chunk, wanted[result.sample_id], result, sink)
            todo.budget.settle(worst.get(result.sample_id, Decimal(0)), cost)


def _journal_one(
    todo: BatchWork, chunk: Chunk, asked: tuple[Query, SampleKey], result: BatchResult, sink: EventSink
) -> Decimal | None:
    """Journal one result; returns what it cost."""
    spec, (query, key) = todo.teacher.spec, asked
    about = About(key.id, query.id, spec.name, todo.work.purpose, key.prompt_hash, key.draw)
    try:
        if result.status >= 400:
            raise explain(result.status, result.body)
        reply = as_reply(todo.teacher.chat.read(result.body))
    except TeacherError as error:
        usage, whole = cost_of_failure(spec, error)
        cost = _half(whole)
        journal(sink, about, CallOutcome(None, error, usage, cost, None), error.kind, str(error), chunk=chunk.name)
        return cost
    cost = _half(cost_of(spec, reply.usage))
    outcome = CallOutcome(reply, None, reply.usage, cost, None)
    journal_reply(sink, todo.work.task, query, about, outcome, chunk=chunk.name)
    return cost


def _half(cost: Decimal | None) -> Decimal | None:
    return None if cost is None else cost * DISCOUNT
