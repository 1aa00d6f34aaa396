"""Stands in for the worker of students: the same steps, journal, adapters and status, no torch, in a moment."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from engine.evaluation.readback import asked_from_line, compare_answers
from engine.jobs.backends.local import LocalBackend
from engine.jobs.events import EVENTS_FILE, EventLog
from engine.jobs.spec import (
    KEEPS_LOG_PROBS,
    STATUS_FILE,
    ExportJob,
    ForecastJob,
    ForecastStep,
    SecondDrawsJob,
    StudentJob,
    WorkerStep,
    read_spec,
)
from engine.lines import read_lines, write_atomically
from engine.tasks import get_task

THREADS = 3
MEASURED = {
    "device": "cpu",
    "dtype": "bfloat16",
    "train_tokens_per_second": 200.0,
    "write_tokens_per_second": 100.0,
    "peak_bytes": 2_000_000_000,
}


def main(folder: Path) -> None:
    job = read_spec(folder)
    log = EventLog(folder / EVENTS_FILE)
    if isinstance(job, ForecastJob):
        log.emit("measured", steps=[_measured(step) for step in job.steps], **MEASURED)
    elif isinstance(job, ExportJob):
        _export(job)
    elif isinstance(job, SecondDrawsJob):
        _draw_again(log, job)
    else:
        assert isinstance(job, StudentJob)
        log.emit("threads", threads=job.threads or THREADS, named=False, device="cpu")
        for step in job.steps:
            log.emit("step_started", step=step.name)
            result = _train(log, step) if step.kind == "train" else _answer(log, step)
            log.emit("step_finished", step=step.name, result=result)
    write_atomically(folder / STATUS_FILE, {"status": "finished", "message": ""})


def _export(job: ExportJob) -> None:
    """An empty folder; what was asked again is answered as it was when it was scored."""
    job.output.mkdir(parents=True, exist_ok=True)
    if job.check is not None:
        asked = [asked_from_line(line) for line in read_lines(job.check.file)]
        answers = {one.query.id: one.text for one in asked}
        found = compare_answers(get_task(job.check.task), asked, answers, job.check.measure)
        found = replace(found, of=job.check.of, where="a stand-in", scored_by=job.check.scored_by)
        write_atomically(job.check.output, found.to_dict())


def _draw_again(log: EventLog, job: SecondDrawsJob) -> None:
    """Every third answer is another one."""
    for step in job.steps:
        for number, line in enumerate(read_lines(step.file)):
            told = {"step": step.name, "system": step.system, "query_id": line["query"]["id"], "text": line["text"]}
            told |= {"tokens": 11, "latency_s": 0.3, "temperature": job.temperature, "agrees": number % 3 > 0}
            log.emit("second_draw", **told)


def _measured(step: ForecastStep) -> dict[str, object]:
    rows = read_lines(step.file)
    long = [{"query": "the long one", "tokens": 5000}]
    return {
        "name": step.name,
        "rows": len(rows),
        "tokens": 100 * len(rows),
        "longest": 5000,
        "dropped": 1,
        "too_long": long,
    }


def _train(log: EventLog, step: WorkerStep) -> dict[str, object]:
    for update in range(1, 5):
        values = {"loss": 2.0 / update, "tokens_per_second": 100.0 + update}
        log.emit("metric", step=step.name, update=update, of=4, values=values)
    assert step.folder is not None
    adapter = step.folder / "adapter"
    adapter.mkdir(parents=True)
    save_file({"lora": np.zeros((2, 2), np.float32)}, adapter / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "/a/path/of/this/machine"}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    (adapter / "result.json").write_text("{}")
    print("trained", step.name)
    return {"updates": 4, "train_rows": len(read_lines(step.file))}


def _answer(log: EventLog, step: WorkerStep) -> dict[str, object]:
    asks = read_lines(step.file)
    for number, ask in enumerate(asks):
        text = ask.get("text") or f"I think so, since it says so. Answer: {number % 3}"
        common = {"step": step.name, "system": ask["system"], "query_id": ask["query_id"], "text": text, "tokens": 9}
        common |= {} if ask.get("text") else {"log_prob": -0.1 - number / 10, "label_tokens": 2}
        log.emit("answer", **common, finished=True, latency_s=0.2, label=ask.get("label"))
    return {"answers": len(asks), KEEPS_LOG_PROBS: True}


class StudentBackend(LocalBackend):
    def command(self, bundle: Path, devices: int) -> list[str]:
        if isinstance(read_spec(bundle), (StudentJob, ForecastJob, ExportJob, SecondDrawsJob)):
            return [sys.executable, "-m", "tests.fakes.student_worker", str(bundle)]
        return super().command(bundle, devices)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
