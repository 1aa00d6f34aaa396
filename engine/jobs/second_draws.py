"""Asks students a second time, sampled, what they answered greedily before (worker only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.inference.writer import Writer, load_student, load_tokenizer, pick_device
from engine.jobs.context import JobContext
from engine.jobs.spec import DrawStep, SecondDrawsJob
from engine.jobs.writing import read_ask, write_left
from engine.lines import read_lines
from engine.ports import Task
from engine.second_draws import same_label
from engine.tasks import get_task
from engine.values import Generation, query_from_json


def run(job: SecondDrawsJob, context: JobContext) -> bool:
    """Draw what is not drawn yet; False if it was stopped before the end."""
    done = {(e.data["step"], e.data["query_id"]) for e in context.journal if e.type == "second_draw"}
    return all(_draw(job, step, context, {query for name, query in done if name == step.name}) for step in job.steps)


def _draw(job: SecondDrawsJob, step: DrawStep, context: JobContext, done: set[str]) -> bool:
    """One student's draws; in parts that are the same at every start, as `engine.jobs.student` writes."""
    lines, task = read_lines(step.file), get_task(job.task)
    if len(done) == len(lines):
        return True
    tokenizer, student = load_tokenizer(job.student), load_student(job.student, step.start, pick_device())
    writer = Writer(student, tokenizer, step.max_new_tokens, job.student.generate_batch, context.stop, job.temperature)
    writer.until, writer.seeded = step.until, True
    by_query = {line["query"]["id"]: line for line in lines}
    asks = [read_ask(query_id, line["prompt"]) for query_id, line in by_query.items()]
    written_by = {"step": step.name, "system": step.system, "temperature": job.temperature}
    left = by_query.keys() - done
    for number, wrote in enumerate(write_left(writer, asks, left, context.stop), len(done) + 1):
        context.sink.emit("second_draw", **written_by, **_compare(task, by_query[wrote.query_id], wrote))
        if number % writer.batch == 0:
            context.sink.emit("progress", step=f"second draws of {step.system}", done=number, of=len(lines))
    return not context.stop()


def _compare(task: Task, line: Mapping[str, Any], wrote: Generation) -> dict[str, Any]:
    """A draw, and whether its label is the greedy answer's; both are read as they are now."""
    query = query_from_json(line["query"])
    labels = [task.read_answer(query, text) for text in (line["text"], wrote.text)]
    drawn = {"query_id": query.id, "text": wrote.text, "tokens": wrote.tokens, "latency_s": wrote.latency_s}
    return {**drawn, "agrees": same_label(task, query, *labels)}
