"""Takes a student out by an exporter, reads it back, and lets it answer held-out queries again (worker only)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from engine.config import StudentConfig
from engine.errors import StateError
from engine.evaluation.readback import asked_from_line, compare_answers
from engine.exports import EXPORTERS, Outgoing, PromptFrame, Student
from engine.inference.merging import SMALL
from engine.inference.writer import Device, Writer, WriteRequest, load_student, load_tokenizer, pick_device
from engine.jobs.context import JobContext
from engine.jobs.spec import AnswerCheck, ExportJob
from engine.lines import read_lines, write_atomically
from engine.tasks import get_task

_ANSWERS = "answers.jsonl"
"""What the export answered so far: a worker that is started again asks only what is left."""
_BYTES = 4
"""Of a weight in float32."""


def run(job: ExportJob, context: JobContext) -> bool:
    """Write it, unless an earlier start came to its end, and check it; False if it was stopped in between.

    The writing itself can't be stopped.
    """
    if not job.output.exists():
        context.sink.emit("progress", step=f"writes {job.exporter}", done=0, of=1)
        given = Outgoing(
            student=Student(job.student, job.adapter),
            base=job.base,
            asking=PromptFrame(**job.asking.model_dump()),
        )
        EXPORTERS.get(job.exporter).write(given, job.output)
        context.sink.emit("progress", step=f"writes {job.exporter}", done=1, of=1)
    return job.check is None or _check(job, job.check, context)


def _check(job: ExportJob, check: AnswerCheck, context: JobContext) -> bool:
    """Let what was written answer the sample, and compare; False if it was stopped before the end."""
    if context.stop():
        return False
    lines = read_lines(check.file)
    answers, where = _read_answers(context.folder / _ANSWERS)
    left = [line for line in lines if line["query"]["id"] not in answers]
    if left:
        writer, where = _open(job, check, context)
        asks = [WriteRequest(line["query"]["id"], tuple((r, t) for r, t in line["prompt"])) for line in left]
        with (context.folder / _ANSWERS).open("a", encoding="utf-8") as file:
            for generation in writer.write(asks):
                answers[generation.query_id] = generation.text
                file.write(json.dumps([generation.query_id, generation.text, where]) + "\n")
                file.flush()
                context.sink.emit("progress", step=f"asks {job.exporter}", done=len(answers), of=len(lines))
        if context.stop():
            return False
    asked = [asked_from_line(line) for line in lines]
    read_back = compare_answers(get_task(check.task), asked, answers, check.measure)
    read_back = replace(read_back, of=check.of, where=where, scored_by=check.scored_by)
    write_atomically(check.output, read_back.to_dict())
    context.sink.emit("checked", **read_back.to_dict())
    return True


def _open(job: ExportJob, check: AnswerCheck, context: JobContext) -> tuple[Writer, str]:
    """Who lets the export write, as the scored student was let, and in what it is run.

    An adapter is read back over the base that it was trained on, in the number format of the scoring. A model that is
    whole is read in float32, which holds all that its file says, where that has room.
    """
    student = EXPORTERS.get(job.exporter).read(job.output)
    if not isinstance(student, Student):
        raise StateError(f"{job.exporter} gives no student back that could be asked")
    device, config = pick_device(), student.config
    if student.adapter is not None:
        config = job.student
    elif _weigh(Path(config.model)) <= _BYTES * SMALL:
        device = Device(device.name, torch.float32)
    model = load_student(config, student.adapter, device)
    tokenizer = load_tokenizer(StudentConfig(model=str(student.adapter)) if student.adapter else config)
    writer = Writer(model, tokenizer, check.max_tokens, job.student.generate_batch, context.stop, until=check.until)
    return writer, f"{device.name}, {str(device.dtype).removeprefix('torch.')}"


def _weigh(place: Path) -> int:
    """How many bytes a model's files have."""
    files = [place] if place.is_file() else list(place.glob("*.safetensors"))
    return sum(file.stat().st_size for file in files)


def _read_answers(path: Path) -> tuple[dict[str, str], str]:
    """What an earlier start was answered, and where it ran; a last line that it could not finish is left out."""
    if not path.exists():
        return {}, ""
    whole = path.read_bytes().rpartition(b"\n")[0]
    path.write_bytes(whole + b"\n" if whole else b"")
    rows: list[tuple[str, str, str]] = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
    return {query: text for query, text, _ in rows}, rows[-1][2] if rows else ""
