"""Exports of a trained student: what goes along, when a check is of another time, and what is never called gold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from app.services import Services, open_services
from app.usecases.exports.checks import result_of
from app.usecases.exports.exports import ExportOrder
from engine.jobs.spec import SPEC_FILE, ExportJob, read_spec
from engine.plans import make_plan
from engine.plans.order import PlanOrder
from engine.values import RunStatus, Split, make_query
from storage.runs import Run
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
