"""A teacher that is a model on this machine: answered in batches, in a worker that holds the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any

import torch

from engine.config import StudentConfig
from engine.datasets.encode import encode_prompt
from engine.inference.writer import WriteRequest, load_tokenizer
from engine.inference.writers import WriterOrder, open_writer
from engine.jobs.context import JobContext
from engine.jobs.spec import LocalLabelJob
from engine.labelling.grading import journal_grade
from engine.labelling.online import journal_reply
from engine.lines import read_lines
from engine.ports import EventSink
from engine.tasks import get_task
from engine.teachers.caller import About, CallOutcome
from engine.values import Generation, Purpose, Reply, Usage, query_from_json


def run(job: LocalLabelJob, context: JobContext) -> bool:
    """Answer what the journal does not hold yet; False if it was stopped before the end."""
    journaled = {event.data["sample_id"] for event in context.journal if event.type == "reply"}
    return answer_locally(job, journaled, context.sink, context.stop)


def answer_locally(job: LocalLabelJob, journaled: AbstractSet[str], sink: EventSink, stop: Callable[[], bool]) -> bool:
    """Answer every request whose sample is not in `journaled`, and journal each reply; False if it was stopped.

    Raises:
        MissingPart: if the model can't be loaded.
    """
    items = {item["sample_id"]: item for item in read_lines(job.file) if item["sample_id"] not in journaled}
    if not items:
        return True
    student = StudentConfig(model=job.model, generate_tokens=job.max_tokens, generate_batch=job.batch)
    tokenizer = load_tokenizer(student)
    torch.manual_seed(0)
    asks = list(_asks(items.values()))
    order = WriterOrder(student, None, job.max_tokens, job.batch, stop, job.temperature, job.top_p, logprobs=True)
    _, writer = open_writer(order, asks)
    for generation in writer.write(asks):
        item = items[generation.query_id]
        read = len(encode_prompt(tokenizer, _messages(item)))
        _tell(job, item, generation, read, sink)
    return not stop()


def _asks(items: Iterable[dict[str, Any]]) -> Iterator[WriteRequest]:
    """A draw is a request of its own, so requests go by their sample's id."""
    for item in items:
        yield WriteRequest(item["sample_id"], _messages(item))


def _messages(item: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return (("system", item["system"]), ("user", item["user"]))


def _tell(job: LocalLabelJob, item: dict[str, Any], wrote: Generation, read_tokens: int, sink: EventSink) -> None:
    finish = "stop" if wrote.finished else "length"
    usage = Usage(read_tokens, wrote.tokens)
    reply = Reply(wrote.text, wrote.text, usage, finish, round(wrote.latency_s, 4), wrote.pieces)
    about = About(item["sample_id"], item["query"]["id"], job.teacher, job.purpose, item["prompt_hash"], item["draw"])
    outcome = CallOutcome(reply, None, reply.usage, Decimal(0), reply.latency_s)
    if job.purpose is Purpose.GRADE:
        journal_grade(sink, about, outcome)
    else:
        journal_reply(sink, get_task(job.task), query_from_json(item["query"]), about, outcome)
