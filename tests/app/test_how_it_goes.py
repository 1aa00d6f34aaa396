"""How a labelling goes, as the page and the strip tell it: money against its cap, pace, time left, what failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.usecases.projects.status import RunningJob
from app.web.parts.labelling import progress_html
from app.web.parts.shell import TopBar, strip_html, topbar_html
from engine.config import ProjectConfig
from engine.values import Event, Job, JobStatus, Split, TeacherSpec, make_query
from storage.projects import Project


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        yield opened


def make(services: Services) -> Project:
    made = services.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
    asked = [make_query(f"query {n}?") for n in range(2)] + [make_query("held?", split=Split.HELDOUT)]
    services.data.add_queries(made.id, asked, {})
    return made


def reply(n: int, teacher: str, cost: str | None, error: str | None = None) -> dict[str, Any]:
    return {
        "sample_id": f"{teacher}{n}",
        "query_id": f"q{n}",
        "teacher": teacher,
        "purpose": "label",
        "prompt_hash": "h",
        "raw": "?",
        "usage": {"input_tokens": 10, "output_tokens": 5},
        "error": error,
        "message": "",
        "cost": cost,
    }


def begun(services: Services, project: Project) -> None:
    """A labelling that asked for 7 of its 15 samples in ten seconds."""
    spec = {"teachers": ["ann", "ben"], "splits": ["distill"], "max_cost": "9", "max_requests": None}
    job = Job("j1", project.id, None, "label", JobStatus.RUNNING, spec, str(services.context.workspace / "j1"))
    services.context.jobs.add(job)
    services.context.jobs.update_job("j1", status=JobStatus.RUNNING)
    at = time.time() - 10
    told = [("label_planned", {"by_teacher": {"ann": 10, "ben": 5}})]
    told += [("reply", reply(n, "ann", "0.5")) for n in range(5)]
    told += [("reply", reply(0, "ben", None)), ("reply", reply(1, "ben", "0", "timeout"))]
    services.context.jobs.ingest(job, [Event(n, kind, at, data) for n, (kind, data) in enumerate(told, 1)], 1)


def test_a_running_labelling_is_told_by_teacher_and_in_all(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make(services)
    assert services.answers.progress(project) is None
    begun(services, project)
    asking = services.answers.progress(project)
    assert asking is not None
    assert (asking.done, asking.of, asking.failed, asking.requests, asking.unknown) == (7, 15, 1, 7, 1)
    assert asking.cost == Decimal("2.5") and asking.max_cost == Decimal(9)
    ann, ben = asking.teachers
    assert ann.rate == pytest.approx(0.5, rel=0.2) and ann.left_s == pytest.approx(10, rel=0.2)
    assert ben.rate is None and asking.left_s is None, "of two replies no pace can be told"
    html = progress_html(asking)
    assert "$2.50" in html and "of a $9.00 cap" in html and "1 request of unknown cost" in html
    assert "7 of 15" in html and "5 of 10" in html and "Time left" in html
    services.context.jobs.update_job("j1", status=JobStatus.CANCELLED)


def test_a_finished_labelling_asked_for_all_that_it_planned(services: Services) -> None:
    project = services.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
    train, heldout = make_puzzles(FAST)
    asked = [make_query(puzzle.text, kind=puzzle.kind) for puzzle in train[:2]]
    services.data.add_queries(project.id, [*asked, make_query(heldout[0].text, split=Split.HELDOUT)], {})
    services.label.add_scripted_teachers(project.id)
    services.context.wait(services.label.start("p", LabelOrder(splits=(Split.DISTILL, Split.HELDOUT))).id)
    asking = services.answers.progress(project)
    assert asking is not None and asking.job.status is JobStatus.FINISHED
    assert asking.done == asking.of == 9 and len(asking.teachers) == 3 and not asking.cost


def test_batches_are_quoted_at_half_the_price_and_within_a_day(services: Services) -> None:
    project = make(services)
    ann = TeacherSpec("ann", "openai", "m", "http://127.0.0.1:1/v1", input_price=2.0, output_price=8.0)
    services.context.projects.put_teacher(project.id, ann)
    (whole,) = services.quote.quote("p", LabelOrder())
    (half,) = services.quote.quote("p", LabelOrder(engine="batch"))
    assert half.requests == whole.requests == 2 and whole.cost_high and half.cost_high == whole.cost_high / 2
    assert half.seconds_high == 86_400
    services.data.add_queries(project.id, [make_query("one more?")], {})
    assert services.quote.quote("p", LabelOrder())[0].requests == 3, "it is reckoned anew where the store has changed"


def test_the_strip_speaks_in_words_and_marks_jobs_of_the_open_project() -> None:
    jobs = [
        RunningJob("1", "p", "label", "running", "", 40, 150, 200.0),
        RunningJob("2", "<q>", "student", "queued", "", None, None),
    ]
    html = strip_html(jobs, here="p")
    assert "p: Labelling" in html and "40 of 150 · 3 min left" in html and "&lt;q&gt;: Training · queued" in html
    assert html.count("data-mine") == 1 and "data-mine='1' data-title='Labelling'" in html
    assert html.count("data-cancel") == 2
    assert "2 jobs · 3 min left" in topbar_html(TopBar("p", (), jobs, jobs="/jobs")), "as the longest of them tells"
    assert "1 job<" in topbar_html(TopBar("p", (), jobs[1:], jobs="/jobs"))
    assert "No jobs<" in topbar_html(TopBar("p", (), jobs="/jobs"))
