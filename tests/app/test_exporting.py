"""Exports of a trained student: what goes along, when a check is of another time, and what is never called gold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from app.services import Services, open_services
from app.usecases.evaluation.scores import AGREEMENT
from app.usecases.exports.checks import result_of
from app.usecases.exports.exports import ExportOrder
from app.usecases.exports.hub import PushOrder, read_what
from app.usecases.exports.items import take_scored, why_no_items
from app.web.forms import Entered
from app.web.pages.exports import Preparation, _Handlers
from engine.errors import InputError, StateError
from engine.jobs.spec import SPEC_FILE, ExportJob, read_spec
from engine.plans import make_plan
from engine.plans.order import PlanOrder
from engine.values import RunStatus, Split, make_query
from storage.runs import Run
from tests.app.test_guides import frame_of
from tests.fakes.student_worker import StudentBackend

STAGE = "standard-kd"
HELD = [make_query(f"What is {n} and one?", split=Split.HELDOUT) for n in range(3)]


@pytest.fixture(scope="module")
def services(embedded_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("exporting") / "workspace"
    shutil.copytree(embedded_workspace, folder)
    with open_services(folder, StudentBackend()) as opened:
        opened.data.add_queries(opened.projects.get("p").id, HELD, {query.id: "1" for query in HELD})
        yield opened


@pytest.fixture(scope="module")
def run(services: Services) -> Run:
    started = services.run.start("p", make_plan(PlanOrder(plan=STAGE, preset="smoke", seed=1)))
    return services.run.wait(started.id)


def prepare(services: Services, run: Run, sample: int) -> str:
    return services.context.wait(services.export.prepare(run.id, STAGE, "merged", sample).id).id


def test_a_changed_export_takes_no_score_along(services: Services, run: Run, tmp_path: Path) -> None:
    assert run.status is RunStatus.FINISHED
    prepare(services, run, 3)
    order = ExportOrder(run.id, STAGE, form="merged", sample=3)
    with ZipFile(services.export.pack("p", order, tmp_path)) as archive:
        assert ".eval_results/p.yaml" in str(archive.namelist()), "while it answers as what was scored"
    result = result_of(services.export.prepared(run, STAGE, "merged"))
    result.write_text(json.dumps({**json.loads(result.read_text()), "same": 0, "same_texts": 0}))
    with ZipFile(services.export.pack("p", order, tmp_path)) as archive:
        assert "Changed:" in archive.read(f"{STAGE}-merged/README.md").decode()
        assert ".eval_results" not in str(archive.namelist())
    services.export.write("p", tmp_path / "whole", order)
    assert (tmp_path / "whole" / "README.md").is_file() and not (tmp_path / "whole" / ".eval_results").exists()


def test_a_job_that_was_queued_with_a_card_is_still_read(services: Services, run: Run) -> None:
    folder = services.context.jobs.get_job(prepare(services, run, 3)).path
    spec = json.loads((folder / SPEC_FILE).read_text())
    (folder / SPEC_FILE).write_text(json.dumps({**spec, "payload": {**spec["payload"], "notes": {"README.md": "old"}}}))
    assert isinstance(read_spec(folder), ExportJob)


def test_what_was_prepared_before_it_was_scored_is_checked_once_it_is(services: Services, run: Run) -> None:
    context, page = services.context, _Handlers(frame_of(services))
    asked = ("p", Entered((), lambda _: Preparation(run.id, STAGE, 2, "gguf-q8_0")))
    answers = context.db.arrow("SELECT * FROM answers")
    with context.db.write() as writer:
        writer.run("DELETE FROM answers", [])
    first = page.prepare(*asked)[0]
    context.wait(services.export.prepare(run.id, STAGE, "gguf-q8_0", 2).id)
    again = page.prepare(*asked)[0]
    jobs = len(context.jobs.jobs_of(run.project_id))
    with context.db.write() as writer:
        writer.insert("answers", answers)
    assert "no scored answers" in first and "Being prepared" in first and "download starts" not in first
    assert "no scored answers" in again and "Download unchecked" in again and "ready already" not in again
    assert services.export.read_back(run, STAGE, "gguf-q8_0") is None
    assert "download starts once it is ready" in page.prepare(*asked)[0]
    context.wait(services.export.prepare(run.id, STAGE, "gguf-q8_0", 2).id)
    found = services.export.read_back(run, STAGE, "gguf-q8_0")
    assert found is not None and found.asked == 2
    assert "ready already" in page.prepare(*asked)[0], "and not asked a second time"
    assert len(context.jobs.jobs_of(run.project_id)) == jobs + 1


def test_a_check_by_other_gold_labels_counts_no_more(services: Services, run: Run) -> None:
    context = services.context
    prepare(services, run, 3)
    found = services.export.read_back(run, STAGE, "merged")
    assert found is not None and found.scored == pytest.approx(1 / 3)
    relabel(services, "2")
    services.run.score(run.id)
    assert services.export.read_back(run, STAGE, "merged") is None
    assert "Not checked" in services.export.card(run, STAGE, "merged")
    asked = len(context.jobs.jobs_of(run.project_id))
    prepare(services, run, 3)
    found = services.export.read_back(run, STAGE, "merged")
    assert found is not None and len(context.jobs.jobs_of(run.project_id)) == asked + 1
    relabel(services, "1")
    services.run.score(run.id)


def test_what_teachers_agree_on_is_not_written_as_gold(services: Services, run: Run) -> None:
    context = services.context
    assert why_no_items(context, run, STAGE) == ""
    rows = context.reports.rows(run.id)
    context.reports.put(run.id, [replace(row, measure=AGREEMENT) for row in rows], [])
    said = why_no_items(context, run, STAGE)
    with pytest.raises(StateError, match="no gold labels to write"):
        take_scored(context, run, STAGE)
    context.reports.put(run.id, rows, [])
    golds = context.db.arrow("SELECT * FROM golds")
    with context.db.write() as writer:
        writer.run("DELETE FROM golds", [])
    with pytest.raises(StateError, match="no gold labels to write"):
        take_scored(context, run, STAGE)
    with context.db.write() as writer:
        writer.insert("golds", golds)
    assert said.startswith("It was scored by agreement with the teachers")
    assert all(item.gold == "1" for item in take_scored(context, run, STAGE).items)


def test_a_push_asks_with_what_the_check_saw(services: Services, run: Run) -> None:
    page = _Handlers(frame_of(services))

    def ask(what: str) -> str:
        return str(page.ask_push("p", Entered((), lambda values: PushOrder(run.id, "me/mine", what, STAGE)))[1])

    assert "Not checked: no held-out query was asked of it." in ask("adapter") and "notice warn" in ask("adapter")
    prepare(services, run, 3)
    assert "3 of 3 answers" in ask("merged") and "warn" not in ask("merged")
    assert "checked" not in ask("set") and "warn" not in ask("set")


def relabel(services: Services, gold: str) -> None:
    held = tuple(query.id for query in HELD)
    with services.context.db.write() as writer:
        writer.run(f"UPDATE golds SET label = ? WHERE query_id IN {held}", [gold])


def test_what_no_exporter_makes_can_t_be_pushed() -> None:
    with pytest.raises(InputError, match="can't be pushed"):
        read_what("code")
