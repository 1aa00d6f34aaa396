"""Steps on one student: trained, or letting it write, one after the other (worker only)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from typing import Any, NamedTuple

from engine.datasets.encode import count_tokens
from engine.datasets.rows import row_from_json
from engine.errors import TacitError
from engine.inference.writer import load_tokenizer, pick_device
from engine.inference.writers import WriterOrder, open_writer
from engine.jobs.context import JobContext, is_first
from engine.jobs.spec import ALONE, KEEPS_LOG_PROBS, StudentJob, WorkerStep
from engine.jobs.writing import read_ask, write_left
from engine.lines import read_lines
from engine.ports import EventSink
from engine.train.sft import StageJob, hold_in_four_bits, train_stage
from engine.values import Event

_CHECKED = 32
"""About so many answers of a step, evenly out of all, are read by themselves too."""


def run(job: StudentJob, context: JobContext) -> bool:
    """Do the steps that are not done yet; False if it was stopped before the end."""
    return run_steps(job, context.journal, context.sink, context.stop)


def run_steps(job: StudentJob, journal: Sequence[Event], sink: EventSink, stop: Callable[[], bool]) -> bool:
    """Do the steps that the journal does not tell of yet; False if it was stopped before the end."""
    done = {event.data["step"] for event in journal if event.type == "step_finished"}
    answered = {
        (event.data["step"], event.data["query_id"], event.data["system"]): event.data.get(ALONE)
        for event in journal
        if event.type == "answer"
    }
    begun = {event.data["step"]: event.data for event in journal if event.type == "writes" and event.data["rows"] > 0}
    if job.student.four_bit and any(step.kind == "train" and step.name not in done for step in job.steps):
        hold_in_four_bits(pick_device())  # where that can't be, it is said before hours of other steps
    for step in job.steps:
        if step.name in done:
            continue
        sink.emit("step_started", step=step.name)
        result = _run_step(job, step, sink, stop, EarlierAnswers(answered, begun.get(step.name, {})))
        if result is None:
            return False
        sink.emit("step_finished", step=step.name, result=result)
    return True


class EarlierAnswers(NamedTuple):
    """What earlier starts left: answers by step, query and system, of those that were read by themselves whether they
    are what the prompt alone leads to, and the event in which a step told what it writes with; empty: it wrote nothing
    yet."""

    answered: Mapping[tuple[str, str, str], bool | None]
    writes: Mapping[str, Any]


def _run_step(
    job: StudentJob, step: WorkerStep, sink: EventSink, stop: Callable[[], bool], begun: EarlierAnswers
) -> dict[str, Any] | None:
    if step.kind == "train":
        return _train(job, step, sink, stop)
    if not is_first():
        return {}
    asked = read_lines(step.file)
    items = [item for item in asked if (step.name, item["query_id"], item["system"]) not in begun.answered]
    if step.kind == "count":
        tokens = count_tokens(load_tokenizer(job.student), [item["text"] for item in items])
        for item, count in zip(items, tokens, strict=True):
            sink.emit("answer", step=step.name, **item, tokens=count, finished=True)
        return {"answers": len(asked)}
    left = {item["query_id"] for item in items}
    alone = _write(job, step, asked, left, begun.writes, sink, stop)
    if alone is None:
        return None
    alone += [is_same for (name, *_), is_same in begun.answered.items() if name == step.name and is_same is not None]
    read = {ALONE: {"same": sum(alone), "of": len(alone)}} if alone else {}
    return {"answers": len(asked), KEEPS_LOG_PROBS: True, **read}


def _train(job: StudentJob, step: WorkerStep, sink: EventSink, stop: Callable[[], bool]) -> dict[str, Any] | None:
    if step.train is None or step.folder is None:
        raise TacitError(f"step {step.name} lacks its settings")
    stage = StageJob(
        name=step.name,
        student=job.student,
        train=step.train,
        rows=tuple(row_from_json(row) for row in read_lines(step.file)),
        start=step.start,
        folder=step.folder,
    )
    result = train_stage(stage, sink, stop)
    return asdict(result) if result.finished else None


def _write(
    job: StudentJob,
    step: WorkerStep,
    asked: list[dict[str, Any]],
    left: AbstractSet[str],
    begun: Mapping[str, Any],
    sink: EventSink,
    stop: Callable[[], bool],
) -> list[bool] | None:
    """Let the student answer, by the writer and batch that it was `begun` with; None if it was stopped before the end.

    Only answers that are `left` are journaled. Some are read by themselves too: whether they are what the prompt alone
    leads to is given back.
    """
    asks = [read_ask(item["query_id"], item["prompt"]) for item in asked]
    systems = {item["query_id"]: item["system"] for item in asked}
    batch = job.student.generate_batch
    order = WriterOrder(job.student, step.start, step.max_new_tokens, batch, stop, until=step.until)
    name, writer = open_writer(order, asks, begun.get("writer"))
    writer.checked = left & {ask.query_id for ask in asks[:: max(1, len(asks) // _CHECKED)]}
    writer.batch = begun.get("rows") or writer.fit(asks)
    if not begun:
        sink.emit("writes", step=step.name, rows=writer.batch, wanted=batch, writer=name)
    alone: list[bool] = []
    for number, generation in enumerate(write_left(writer, asks, left, stop), 1):
        fields = {name: value for name, value in asdict(generation).items() if name != "pieces"}
        if (is_same := writer.repeated.get(generation.query_id)) is not None:
            fields[ALONE] = is_same
            alone.append(is_same)
        sink.emit("answer", step=step.name, system=systems[generation.query_id], **fields)
        if number % writer.batch == 0:
            sink.emit("progress", step=step.name, done=number, of=len(left))
    return None if stop() else alone
