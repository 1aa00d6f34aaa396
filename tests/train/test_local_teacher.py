"""A model on this machine as a teacher: answered in a worker, journaled like any other, resumed after a stop."""

from __future__ import annotations

from pathlib import Path

from app.services import open_services
from app.usecases.labelling.label import LabelOrder
from engine.config import ProjectConfig
from engine.jobs.events import EventLog, read_events
from engine.jobs.local_label import answer_locally
from engine.jobs.spec import LocalLabelJob
from engine.labelling.online import LabelWork, list_requests
from engine.lines import write_lines
from engine.prompts import load_prompt
from engine.tasks import get_task
from engine.values import Choice, Purpose, Sampling, TeacherSpec, make_query

QUERIES = [make_query(f"Which is {n}?", (Choice("A", "x"), Choice("B", "y"))) for n in range(5)]


def test_every_request_is_answered_once_also_after_a_stop(tiny_student: Path, tmp_path: Path) -> None:
    spec = TeacherSpec("own", "local", str(tiny_student), sampling=Sampling(max_tokens=6), draws=2)
    work = LabelWork(get_task("choice"), load_prompt("teacher", "choice"), QUERIES, [])
    file = write_lines(tmp_path / "requests.jsonl", list_requests(work, spec))
    job = LocalLabelJob(
        model=spec.model,
        task="choice",
        teacher="own",
        purpose=Purpose.LABEL,
        file=file,
        max_tokens=6,
        temperature=0.7,
        top_p=0.9,
        batch=2,
    )
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    assert not answer_locally(job, set(), log, lambda: len(read_events(path).events) >= 4)
    first = {event.data["sample_id"] for event in read_events(path).events}
    assert 0 < len(first) < 10
    assert answer_locally(job, first, log, lambda: False)
    replies = [event.data for event in read_events(path).events]
    assert len(replies) == len({reply["sample_id"] for reply in replies}) == 10
    for reply in replies:
        assert reply["cost"] == "0" and reply["usage"]["input_tokens"] > 0 < reply["usage"]["output_tokens"] <= 6
        assert reply["error"] in ("unparsable", "truncated", None)


def test_a_local_teacher_labels_a_project(workspace: Path, tiny_student: Path) -> None:
    with open_services(workspace) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="choice"))
        services.data.add_queries(project.id, QUERIES, {})
        services.teachers.add("p", {"name": "own", "provider": "local", "model": str(tiny_student), "max_tokens": 8})
        services.context.wait(services.label.start("p", LabelOrder()).id)
        rows = services.context.db.rows("SELECT teacher, raw, cost, output_tokens FROM attempts")
        assert len(rows) == 5 and all(row["cost"] == 0 and row["output_tokens"] <= 8 for row in rows)
        assert {job.kind for job in services.context.jobs.jobs_of(project.id)} == {"label", "local"}
