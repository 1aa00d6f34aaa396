"""The worker process: `python -m engine.jobs.worker JOB_FOLDER`. Does the torch work of one job and journals it.

Knows nothing of the database. Started again on the same folder it goes on where the journal ends: finished steps are
skipped, written answers are not asked again, training resumes from its last complete checkpoint.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import psutil
import torch

from engine.config import read_config
from engine.datasets.encode import count_tokens
from engine.datasets.rows import row_from_json
from engine.errors import KeyMissing, TacitError, say_error
from engine.infer import Ask, Writer, load_student, load_tokenizer, pick_device
from engine.jobs.events import EVENTS_FILE, EventLog, SilentLog, read_events
from engine.jobs.forecast import measure
from engine.jobs.local_label import answer_locally
from engine.jobs.merge import merge
from engine.jobs.ray_label import answer_on_ray
from engine.jobs.spec import (
    SPEC_FILE,
    STATUS_FILE,
    EmbedJob,
    ForecastJob,
    LocalLabelJob,
    MergeJob,
    RayLabelJob,
    StudentJob,
    WorkerStep,
    read_lines,
    write_atomically,
)
from engine.packaged import count_processors
from engine.ports import EventSink
from engine.train.sft import StageJob, train_stage
from engine.types import Event, JobStatus, hash_id

_BUSY_PERCENT = 60.0


class Stop:
    """Set by SIGTERM; asked between updates and batches."""

    def __init__(self) -> None:
        """Not set."""
        self.requested = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.requested

    def request(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        self.requested = True


def main(folder: Path) -> int:
    """Run the job of a folder; its outcome stands in status.json when this returns."""
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.request)
    torch.set_num_threads(_threads())
    first = _is_first()
    lock = (folder / "lock").open("w")
    if first:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second worker on the same folder waits, then finds the work done
    sink: EventSink = EventLog(folder / EVENTS_FILE) if first else SilentLog()
    spec = json.loads((folder / SPEC_FILE).read_text("utf-8"))
    try:
        finished = run_job(spec, folder, sink, stop)
        status, message = (JobStatus.FINISHED, "") if finished else (JobStatus.CANCELLED, "stopped on request")
    except KeyMissing as error:
        status, message = JobStatus.NEEDS_KEY, str(error)
    except TacitError as error:
        if error.__cause__ is not None:
            traceback.print_exc()  # what a library said of it stands in the log; the message is in our words
        status, message = JobStatus.FAILED, str(error)
    except torch.cuda.OutOfMemoryError:
        status, message = JobStatus.FAILED, "the device ran out of memory; use a smaller batch or fewer tokens a row"
    except Exception as error:  # noqa: BLE001 - whatever it is, the user must see it and the job must end
        traceback.print_exc()
        status, message = JobStatus.FAILED, say_error(error)
    if first:
        write_atomically(folder / STATUS_FILE, {"status": status, "message": message})
    return 0 if status in (JobStatus.FINISHED, JobStatus.CANCELLED) else 1


def _is_first() -> bool:
    """Whether this is the process that journals; the others of a distributed run only train."""
    return os.environ.get("RANK", "0") == "0"


def _threads() -> int:
    """$TACIT_THREADS, else one for each processor that nobody keeps busy: fighting over one is far slower."""
    if os.environ.get("TACIT_THREADS"):
        return int(os.environ["TACIT_THREADS"])
    cores = count_processors()
    busy = sum(share > _BUSY_PERCENT for share in psutil.cpu_percent(interval=0.5, percpu=True))
    return max(1, cores - busy)


def run_job(spec: dict[str, Any], folder: Path, sink: EventSink, stop: Stop) -> bool:
    """Do what the spec says; False if it was stopped before the end."""
    if spec["kind"] == "embed":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing to save: the next try embeds again
        _embed(read_config(EmbedJob, spec["payload"]), sink)
        return True
    journal = read_events(folder / EVENTS_FILE).events
    told = Counter(event.data["sample_id"] for event in journal if event.type == "reply")
    if spec["kind"] == "local":
        return answer_locally(read_config(LocalLabelJob, spec["payload"]), set(told), sink, stop)
    if spec["kind"] == "ray":
        return answer_on_ray(read_config(RayLabelJob, spec["payload"]), folder, told, sink, stop)
    if spec["kind"] == "forecast":
        measure(read_config(ForecastJob, spec["payload"]), sink)
        return True
    if spec["kind"] == "merge":
        merge(read_config(MergeJob, spec["payload"]), sink)
        return True
    return run_steps(read_config(StudentJob, spec["payload"]), journal, sink, stop)


def run_steps(job: StudentJob, journal: Sequence[Event], sink: EventSink, stop: Callable[[], bool]) -> bool:
    """Do the steps that the journal does not tell of yet; False if it was stopped before the end."""
    done = {event.data["step"] for event in journal if event.type == "step_finished"}
    answered = {(e.data["step"], e.data["query_id"], e.data["system"]) for e in journal if e.type == "answer"}
    for step in job.steps:
        if step.name in done:
            continue
        sink.emit("step_started", step=step.name)
        result = _run_step(job, step, sink, stop, answered)
        if result is None:
            return False
        sink.emit("step_finished", step=step.name, result=result)
    return True


def _run_step(
    job: StudentJob, step: WorkerStep, sink: EventSink, stop: Callable[[], bool], answered: set[tuple[str, str, str]]
) -> dict[str, Any] | None:
    if step.kind == "train":
        return _train(job, step, sink, stop)
    if not _is_first():
        return {}
    asked = read_lines(step.file)
    items = [item for item in asked if (step.name, item["query_id"], item["system"]) not in answered]
    if step.kind == "count":
        tokens = count_tokens(load_tokenizer(job.student), [item["text"] for item in items])
        for item, count in zip(items, tokens, strict=True):
            sink.emit("answer", step=step.name, **item, tokens=count, finished=True)
        return {"answers": len(asked)}
    return {"answers": len(asked)} if _write(job, step, items, sink, stop) else None


def _train(job: StudentJob, step: WorkerStep, sink: EventSink, stop: Callable[[], bool]) -> dict[str, Any] | None:
    if step.train is None or step.folder is None:
        raise TacitError(f"step {step.name} lacks its settings")
    stage = StageJob(
        name=step.name,
        student=job.student,
        train=step.train,
        rows=tuple(row_from_json(row) for row in read_lines(step.file)),
        start=Path(step.start) if step.start else None,
        folder=Path(step.folder),
    )
    result = train_stage(stage, sink, stop)
    return asdict(result) if result.finished else None


def _write(
    job: StudentJob, step: WorkerStep, items: list[dict[str, Any]], sink: EventSink, stop: Callable[[], bool]
) -> bool:
    """Let the student answer; False if it was stopped before the end."""
    device = pick_device()
    model = load_student(job.student, Path(step.start) if step.start else None, device)
    writer = Writer(model, load_tokenizer(job.student), step.max_new_tokens, job.student.generate_batch, stop)
    systems = {item["query_id"]: item["system"] for item in items}
    for number, generation in enumerate(writer.write(list(_asks(items))), 1):
        sink.emit("answer", step=step.name, system=systems[generation.query_id], **asdict(generation))
        if number % job.student.generate_batch == 0:
            sink.emit("progress", step=step.name, done=number, of=len(items))
    return not stop()


def _asks(items: list[dict[str, Any]]) -> Iterator[Ask]:
    for item in items:
        yield Ask(item["query_id"], tuple((str(role), str(text)) for role, text in item["prompt"]))


def _embed(job: EmbedJob, sink: EventSink) -> None:
    from engine.embed import open_embedder  # noqa: PLC0415 - brings sentence-transformers: seconds of a student's start

    texts = read_lines(job.file)
    embedder = open_embedder(job.embedder)
    part = f"{job.output}.part.npy"
    np.save(part, embedder.embed(texts))
    Path(part).replace(job.output)
    hashes = [hash_id("text", text) for text in texts]
    sink.emit("embedded", model=embedder.model, revision=embedder.revision, file=job.output, hashes=hashes)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
