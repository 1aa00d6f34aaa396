"""Answers are scored by a worker: cheap to start, resumed where it was stopped, and nothing waits for it."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pytest

from app.services import Services, open_services
from app.usecases.evaluation.scores import submit_score
from app.usecases.training.materials import TEACHERS
from engine.config import ProjectConfig, StudentConfig, TrainConfig
from engine.jobs import score
from engine.jobs.context import JobContext
from engine.jobs.events import EventLog
from engine.jobs.inline import Heard
from engine.jobs.score import LabelToVerify, as_line
from engine.jobs.spec import PAYLOADS, SPEC_FILE, ScoreJob, StudentJob, WorkerStep, read_spec, write_spec
from engine.lines import write_lines
from engine.plans import Evaluate, Plan, Train
from engine.selection.settings import SelectionConfig
from engine.tasks import get_task
from engine.values import EvalItem, Job, JobStatus, RunStatus, Split, make_query
from engine.values.report import ScoredRun
from storage.runs import Run
from storage.samples import SAMPLE_SCHEMA
from storage.selections import StoredSelection


def prepare(folder: Path, count: int = 20) -> ScoreJob:
    asked = []
    for number in range(count):
        query = make_query(f"What is {number}?", kind="odd" if number % 2 else "even")
        item = EvalItem("stage1", query.id, None, f"Answer: {number % 3}", None, 3, 0.1, None)
        asked.append(LabelToVerify("evaluate-stage1", query, "0", True, item))
    file = write_lines(folder / "answers.jsonl", map(as_line, asked))
    return ScoreJob(
        task="custom", file=file, output=folder / "scored.json", measure="accuracy", references=("untrained",)
    )


def read(folder: Path) -> ScoredRun:
    return ScoredRun.from_dict(json.loads((folder / "scored.json").read_text("utf-8")))


def test_a_stopped_scoring_goes_on_without_verifying_anything_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, verified = prepare(tmp_path), []
    real = score.score_item

    def count(*given: Any) -> EvalItem:
        verified.append(given[1].id)
        return real(*given)

    monkeypatch.setattr(score, "score_item", count)
    assert not score.run(job, JobContext(tmp_path, Heard(), lambda: len(verified) >= 7))
    assert len(verified) == 7 and not job.output.exists()
    with (tmp_path / "verdicts.jsonl").open("a") as file:
        file.write('[7, "1"')  # what a kill in the middle of a write leaves
    assert score.run(job, JobContext(tmp_path, Heard(), lambda: False))
    assert len(verified) == len(set(verified)) == 20
    found = read(tmp_path)
    items = found.items["evaluate-stage1"]
    assert [item.correct for item in items] == [number % 3 == 0 for number in range(20)]
    whole = next(row for row in found.rows if row.kind == "")
    assert (whole.name, whole.n, whole.accuracy) == ("stage1", 20, 7 / 20)
    assert {row.kind for row in found.rows} == {"", "odd", "even"}


def test_a_worker_that_scores_brings_no_torch(tmp_path: Path) -> None:
    write_spec(tmp_path, prepare(tmp_path))
    code = (
        "import sys; from pathlib import Path; from engine.jobs.worker import main; "
        f"code = main(Path({str(tmp_path)!r})); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(read(tmp_path).items["evaluate-stage1"]) == 20


def test_a_bundle_holds_relative_paths_only_and_means_the_same_elsewhere(tmp_path: Path) -> None:
    folder, run = tmp_path / "here" / "jobs" / "j1", tmp_path / "here" / "runs" / "r1"
    folder.mkdir(parents=True)
    steps = (
        WorkerStep(
            kind="train",
            name="stage2",
            file=folder / "stage2.jsonl",
            start=run / "stage1" / "adapter",
            folder=run / "stage2",
            train=TrainConfig(),
        ),
    )
    job = StudentJob(student=StudentConfig(), steps=steps)
    write_spec(folder, job)
    assert str(tmp_path) not in (folder / SPEC_FILE).read_text("utf-8")
    assert read_spec(folder) == job
    (tmp_path / "here").rename(tmp_path / "there")
    moved = read_spec(tmp_path / "there" / "jobs" / "j1")
    assert isinstance(moved, StudentJob)
    assert moved.steps[0].start == tmp_path / "there" / "runs" / "r1" / "stage1" / "adapter"


@pytest.mark.parametrize("kind", PAYLOADS)
def test_whatever_is_a_path_in_a_payload_is_written_relative(kind: str) -> None:
    plain = {
        f"{model.__name__}.{name}"
        for model in (PAYLOADS[kind], WorkerStep)
        for name, field in model.model_fields.items()
        if Path in (field.annotation, *getattr(field.annotation, "__args__", ())) and not field.metadata
        if "Annotated" not in str(field.annotation)
    }
    assert plain == set()


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        opened.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        yield opened


def make_run(services: Services, queries: int) -> Run:
    """A stopped run whose two students answered all held-out queries."""
    project = services.projects.get("p")
    held = [make_query(f"{k} + 0?", split=Split.HELDOUT) for k in range(queries)]
    services.data.add_queries(project.id, held, {query.id: "yes" for query in held})
    steps = (
        *(Train(name="a"), Train(name="b")),
        *(Evaluate(name="evaluate-a", start="a"), Evaluate(name="evaluate-b", start="b")),
    )
    services.context.selections.add(StoredSelection("s" * 24, project.id, SelectionConfig(), "", {"state": []}), [])
    run = Run("r" * 24, project.id, "s" * 24, Plan(name="two", steps=steps), "", RunStatus.STOPPED, "")
    services.context.runs.add(run)
    rows = [
        {"run_id": run.id, "step": f"evaluate-{system}", "system": system, "query_id": query.id}
        | {"text": "Answer: yes", "tokens": 3, "finished": True, "latency_s": 0.1}
        for system in ("a", "b")
        for query in held
    ]
    with services.context.db.write() as writer:
        writer.insert("answers", pa.Table.from_pylist(rows))
    return run


def test_a_cancel_is_answered_within_a_second_while_10_000_answers_are_scored(services: Services) -> None:
    async def idle(job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        while not stop():
            await asyncio.sleep(0.01)

    watch, jobs, longest = services.context.watch, services.context.jobs, [0.0]
    watch._runners = {**watch._runners, "idle": idle}
    tick = watch.tick

    def timed() -> None:
        began = time.thread_time()  # its own work, however busy the machine is with other things
        tick()
        longest[0] = max(longest[0], time.thread_time() - began)

    watch.tick = timed  # type: ignore[method-assign]
    run = make_run(services, 5_000)
    project = services.projects.get("p").id
    scoring = submit_score(services.context, run)
    assert scoring is not None
    waited = []
    while not jobs.get_job(scoring.id).status.over:
        other = services.context.submit(project, "idle", {})
        until(lambda other=other: jobs.get_job(other.id).status is not JobStatus.QUEUED)
        began = time.monotonic()
        watch.cancel(other.id)
        until(lambda other=other: jobs.get_job(other.id).status is JobStatus.CANCELLED)
        waited.append(time.monotonic() - began)
    assert jobs.get_job(scoring.id).status is JobStatus.FINISHED
    assert [row.n for row in services.context.reports.rows(run.id)] == [5_000, 5_000]
    print(f"cancels {max(waited):.2f} s, a round {longest[0] * 1000:.0f} ms")
    assert len(waited) > 1 and median(waited) < 1
    assert longest[0] < 0.05, "a round only looks at what there is"


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_scoring_anew_does_not_set_a_stopped_run_going(services: Services) -> None:
    run = make_run(services, 4)
    services.run.score(run.id)
    assert services.context.runs.get(run.id).status is RunStatus.STOPPED
    assert [row.accuracy for row in services.context.reports.rows(run.id)] == [1.0, 1.0]


def test_students_and_teachers_are_compared_with_each_other_teacher(services: Services) -> None:
    run = make_run(services, 4)
    held = services.context.queries.get(run.project_id, Split.HELDOUT)
    said = {"ann": ["yes"] * 4, "bob": ["YES", "no", "no"]}
    samples = [
        {"project_id": run.project_id, "id": f"{teacher}{query.id}", "query_id": query.id, "teacher": teacher}
        | {"rationale": "so", "label": label, "label_key": get_task("custom").normalise(query, label), "factors": []}
        | {"draw": 0, "split": "heldout", "text_hash": "t"}
        for teacher, labels in said.items()
        for query, label in zip(held, labels, strict=False)
    ]
    answers = [
        {"run_id": run.id, "step": TEACHERS, "system": row["teacher"], "query_id": row["query_id"]}
        | {"text": "", "label": row["label"], "tokens": 3, "finished": True}
        for row in samples
    ]
    with services.context.db.write() as writer:
        writer.insert("samples", pa.Table.from_pylist(samples, schema=SAMPLE_SCHEMA))
        writer.insert("answers", pa.Table.from_pylist(answers))
        writer.run("UPDATE answers SET log_prob = -0.5 WHERE system = 'a'")
    services.run.score(run.id)
    found = {row.name: row.values for row in services.context.reports.rows(run.id)}
    shares = {
        name: {key: round(value.value, 2) for key, value in values.items() if key.startswith("fidelity:")}
        for name, values in found.items()
    }
    student = {"fidelity:ann": 1.0, "fidelity:bob": 0.33}
    assert shares == {"a": student, "b": student, "ann": {"fidelity:bob": 0.33}, "bob": {"fidelity:ann": 0.33}}
    assert found["a"]["ended"].value == 1.0 and "ended" not in found["ann"], "nobody kept whether a teacher's did"
    assert found["a"]["calibration"].value == pytest.approx(1 - math.exp(-0.5)) and found["a"]["risk"].value == 0
    assert not {"calibration", "risk"} & (found["b"].keys() | found["ann"].keys())


def test_a_run_whose_scoring_failed_is_stopped_and_resumed(services: Services) -> None:
    run = make_run(services, 4)
    for step in run.plan.steps:
        services.context.runs.set_step(run.id, step.name, status=JobStatus.FINISHED.value)
    services.context.runs.set_status(run.id, RunStatus.RUNNING)
    services.run.advance(services.context.runs.get(run.id))
    (job,) = [job for job in services.context.jobs.jobs_of(run.project_id) if job.kind == ScoreJob.kind]
    (job.path / "answers.jsonl").rename(job.path / "hidden")
    over = services.run.wait_over(run.id)
    assert over.status is RunStatus.STOPPED and over.message.startswith("score job failed")
    (job.path / "hidden").rename(job.path / "answers.jsonl")
    services.run.resume(run.id)
    assert services.run.wait_over(run.id).status is RunStatus.FINISHED
    assert [row.n for row in services.context.reports.rows(run.id)] == [4, 4]


def test_resuming_a_run_goes_on_with_its_steps_not_with_a_scoring_that_was_stopped(services: Services) -> None:
    run = make_run(services, 4)
    scoring = submit_score(services.context, run)
    assert scoring is not None and submit_score(services.context, run) == scoring, "it is being scored already"
    services.context.watch.cancel(scoring.id)
    until(lambda: services.context.jobs.get_job(scoring.id).status.over)
    services.run.resume(run.id)
    over = services.run.wait_over(run.id)
    assert over.status is RunStatus.STOPPED and "nothing to train on" in over.message
    assert services.context.jobs.get_job(scoring.id).status.over


def test_a_run_is_cancelled_between_two_jobs_and_does_not_go_on(services: Services) -> None:
    run = make_run(services, 4)
    services.context.runs.set_status(run.id, RunStatus.RUNNING)
    assert services.run.cancel(run.id).status is RunStatus.STOPPED
    job = Job("j", run.project_id, run.id, "student", JobStatus.FINISHED, {}, "")
    services.run.job_over(job)
    assert services.context.runs.get(run.id).status is RunStatus.STOPPED
    assert services.context.jobs.unfinished_jobs() == []


def test_a_job_of_a_backend_that_is_gone_fails_alone_and_the_workspace_opens(workspace: Path) -> None:
    with open_services(workspace) as opened:
        project = opened.data.create_project(ProjectConfig(name="p", task="custom"))
        job = opened.context.jobs.add(Job("j", project.id, None, "student", JobStatus.QUEUED, {}, str(workspace / "j")))
        (workspace / "j").mkdir()
        opened.context.watch.close()
        with opened.context.db.write() as writer:
            writer.run("UPDATE jobs SET backend = 'gone', status = 'running', handle = 'x'")
    with open_services(workspace) as opened:
        over = opened.context.jobs.get_job(job.id)
        assert over.status is JobStatus.FAILED and "there is no backend 'gone'" in over.message
