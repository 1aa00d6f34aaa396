"""What is known of a plan before it starts, and how long is left of a run, scoring included."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services, open_services
from app.usecases.training.plans import plan_notes
from app.usecases.training.remaining import Left
from app.web.pages.train import plan_html
from app.web.parts.runs import run_html, run_row
from engine.config import StudentConfig, TrainConfig
from engine.errors import ConfigError
from engine.plans import Plan
from engine.plans.order import PlanOrder
from engine.plans.standard_kd import with_standard_kd
from engine.plans.twt import twt_plan
from engine.values import Event, Job, JobStatus, RunStatus, Split, TeacherSpec, hash_id, make_query
from storage.runs import Run
from tests.fakes.student_worker import StudentBackend

STAGE = TrainConfig(updates=10, batch_size=2)
PLAN = twt_plan(StudentConfig(generate_tokens=64), (STAGE,) * 3)
HELD = 6


@pytest.fixture
def services(embedded_workspace: Path, tmp_path: Path) -> Iterator[Services]:
    shutil.copytree(embedded_workspace, tmp_path / "copy")
    with open_services(tmp_path / "copy", StudentBackend()) as opened:
        _, held = make_puzzles(FAST)
        project = opened.context.projects.get("p")
        opened.data.add_queries(project.id, [make_query(p.text, split=Split.HELDOUT) for p in held[:HELD]], {})
        yield opened


def begun(services: Services, plan: Plan = PLAN) -> Run:
    """A run that is going on with nothing done; no worker is started for it."""
    project = services.context.projects.get("p")
    selection = services.context.selections.latest(project.id)
    run = Run(hash_id("run", plan.fingerprint), project.id, selection.id, plan, "", RunStatus.RUNNING, "")
    services.context.runs.add(run)
    return run


class Worker:
    """Journals what a worker would have, at times of its own."""

    def __init__(self, services: Services, run: Run) -> None:
        self.services, self.run, self.now, self.seq = services, run, 1000.0, 0
        job = Job(f"job of {run.id}", run.project_id, run.id, "student", JobStatus.FINISHED, {"steps": []}, run.folder)
        self.job = services.context.jobs.add(job)

    def tell(self, type_: str, after: float = 0.0, **data: object) -> None:
        self.seq, self.now = self.seq + 1, self.now + after
        self.services.context.jobs.ingest(self.job, [Event(self.seq, type_, self.now, data)], self.seq)

    def write(self, step: str, system: str, count: int, each: float, whole: bool = True) -> None:
        self.tell("step_started", step=step)
        for number in range(count):
            said = {"text": "Answer: 1", "tokens": 4, "finished": True, "latency_s": each}
            self.tell("answer", each, step=step, system=system, query_id=f"q{number}", **said)
        if whole:
            self.tell("step_finished", step=step, result={"answers": count})

    def train(self, step: str, updates: int, each: float, whole: bool = True) -> None:
        self.tell("step_started", step=step)
        for update in range(1, updates + 1):
            self.tell("metric", each, step=step, update=update, of=10, values={"loss": 1.0})
        if whole:
            self.tell("step_finished", step=step, result={"updates": updates})


def left(services: Services, run: Run) -> Left | None:
    return services.watch.remaining.left(run, services.context.runs.steps(run.id))


def test_before_anything_is_measured_nothing_is_claimed(services: Services) -> None:
    run = begun(services)
    assert left(services, run) is None
    listed = services.reading.runs()[0]
    assert listed["left_s"] is None and listed["steps"] == "0 of 11"


def test_what_is_left_follows_the_runs_own_pace_and_counts_the_scoring(services: Services) -> None:
    run = begun(services)
    worker = Worker(services, run)
    worker.write("vanilla", "vanilla", HELD, 3.0)
    worker.write("vanilla-fewshot", "vanilla-fewshot", HELD, 3.0)
    assert left(services, run) is None, "nobody knows yet how long an update takes"
    worker.train("stage1", 5, 2.0, whole=False)
    early = left(services, run)
    assert early is not None and early.seconds > 10 + 10
    worker.train("stage1", 10, 2.0)
    worker.write("evaluate-stage1", "stage1", 3, 2.0, whole=False)
    half = left(services, run)
    assert half is not None and half.seconds < early.seconds
    worker.write("evaluate-stage1", "stage1", HELD, 2.0)
    later = left(services, run)
    assert later is not None and half.seconds - later.seconds == pytest.approx(3 * 2.0)
    for step, system, count in (("student-rationales", "student", 12), ("evaluate-stage2", "stage2", HELD)):
        worker.write(step, system, count, 2.0)
    worker.tell("step_finished", step="compress", result={})
    worker.tell("step_finished", step="review", result={})
    worker.train("stage2", 10, 1.0)
    worker.train("stage3", 4, 0.5, whole=False)
    before_scoring = left(services, run)
    worker.train("stage3", 10, 0.5)
    last = left(services, run)
    assert last is not None and before_scoring is not None and not last.open
    assert before_scoring.seconds - last.seconds == pytest.approx(6 * 0.5)
    assert 0 < last.seconds < HELD * 2.0, "stage 3 is still to be scored, and answers in few words"
    worker.write("evaluate-stage3", "stage3", HELD, 0.1)
    assert left(services, run) == Left(0.0, False)


def test_the_list_of_runs_and_the_page_tell_the_whole(services: Services) -> None:
    run = begun(services)
    worker = Worker(services, run)
    worker.write("vanilla", "vanilla", HELD, 3.0)
    worker.train("stage1", 5, 2.0, whole=False)
    found = services.watch.page("p", "", "", "", 1).rows[0]
    assert found.run.id == run.id
    assert found.left is not None and services.reading.runs()[0]["left_s"] == found.left.seconds
    line = run_row(found)
    assert line["left"] not in ("-", "") and not line["left"].startswith("0")
    drawn = run_html(found, services.watch.steps(run))
    assert "Left, scoring included" in drawn and f">{line['left']}<" in drawn
    services.context.runs.set_status(run.id, RunStatus.STOPPED)
    assert services.reading.runs()[0]["left_s"] is None


def test_a_forecast_tells_the_time_before_the_run_has_a_pace(services: Services) -> None:
    services.context.wait(services.forecast.ask("p", PLAN).id)
    forecast = services.forecast.find("p", PLAN)
    run = begun(services)
    found = left(services, run)
    assert forecast is not None and found is not None
    writing = (forecast.writing_low + forecast.writing_high) / 2
    assert found.seconds == pytest.approx(forecast.training_s + writing, rel=0.01), "scripted teachers take no time"


def test_a_plan_without_stage_2_says_so_before_it_starts(services: Services) -> None:
    assert plan_notes(services.plan.make("p", PlanOrder())) == []
    project = services.context.projects.get("p")
    services.context.projects.put_teacher(project.id, TeacherSpec("old", "recorded", "old", "there"))
    plan = services.plan.make("p", PlanOrder())
    assert any("Stage 2 is left out" in note for note in plan_notes(plan)) and "Stage 2 is left out" in plan_html(plan)
    named = services.plan.make("p", PlanOrder(compressor="forward"))
    assert plan_notes(named) == [] and any(step.name == "stage2" for step in named.steps)


@pytest.mark.parametrize("student", ["/nowhere/at/all", "nobody/has-this", "what is this"])
def test_a_student_that_can_not_be_had_is_refused_before_anything_is_queued(services: Services, student: str) -> None:
    plan = services.plan.make("p", PlanOrder(student=student))
    assert any(student in note for note in plan_notes(plan)), "the page says so while it is typed"
    project = services.context.projects.get("p")
    jobs = len(services.context.jobs.jobs_of(project.id))
    for begin in (services.run.start, services.forecast.ask):
        with pytest.raises(ConfigError, match="Nothing was started"):
            begin("p", plan)
    assert services.context.runs.all(project.id) == []
    assert len(services.context.jobs.jobs_of(project.id)) == jobs
    assert not list((services.context.workspace / "runs").glob("*"))


def test_what_is_left_of_a_baseline_counts_equal_updates(services: Services) -> None:
    run = begun(services, with_standard_kd(PLAN))
    worker = Worker(services, run)
    done = {"vanilla", "vanilla-fewshot", "evaluate-stage1", "student-rationales", "evaluate-stage2", "evaluate-stage3"}
    for step in sorted(done | {"evaluate-standard-kd", "evaluate-standard-kd-equal-updates"}):
        worker.write(step, step, 12 if step == "student-rationales" else HELD, 1.0)
    for step in ("compress", "review"):
        worker.tell("step_finished", step=step, result={})
    for step in ("stage1", "stage2", "stage3", "standard-kd"):
        worker.train(step, 10, 1.0)
    found, label = left(services, run), services.watch.remaining
    assert found is not None and label is not None
    assert found.seconds > 20, "three times ten updates on rows of answers only"
