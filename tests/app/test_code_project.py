"""A project of code tasks: refused without a sandbox before anything is queued; else answers agree by what they do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.services import Services, open_services
from app.usecases.selection import behaviour, calibration
from app.usecases.selection.behaviour import Case
from app.usecases.training.plans import PlanOrder
from app.usecases.workspace.context import Context
from app.web.pages.outcome import draw_outcome
from engine.config import ProjectConfig
from engine.errors import MissingPart, StateError
from engine.jobs import run_labels
from engine.selection.settings import NONE, SelectionConfig
from engine.tasks import code, get_task
from engine.values import Event, Split
from storage.projects import Project
from tests.fakes.open_sandbox import OpenSandbox

DOUBLE = ("def f(n): return 2 * n", "def f(n): return n + n", "def f(n): return n ** 2")
"""The first two are right and do the same; none is the text of another."""


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        opened.data.create_project(ProjectConfig(name="p", task="code", embedder="packaged"))
        folder = workspace.parent
        rows = [
            {"id": n, "text": f"Double, way {n}.", "test_list": ["assert f(3) == 6", f"assert f({n}) == {2 * n}"]}
            for n in range(4)
        ]
        answers = [
            {"query_id": n, "teacher": f"t{place}", "rationale": f"As {place}.", "answer": answer}
            for n in range(4)
            for place, answer in enumerate(DOUBLE)
        ]
        for name, lines in (("queries", rows), ("outputs", answers)):
            (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
        opened.data.import_queries("p", folder / "queries.jsonl", {}, 0.0)
        opened.context.wait(opened.data.import_outputs("p", folder / "outputs.jsonl").job_id)
        yield opened


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The worker's work done here, since what is run is harmless; how many labels each time."""
    monkeypatch.setattr(code, "pick", OpenSandbox)
    told: list[int] = []

    def run(
        context: Context, project: Project, cases: Sequence[Case], on_event: Callable[[Event], None] = print
    ) -> list[Any]:
        told.append(len(cases))
        task: Any = get_task(project.config.task)
        return run_labels._run(task, [json.loads(json.dumps(run_labels.as_line(*case))) for case in cases])

    monkeypatch.setattr(behaviour, "run_labels", run)
    monkeypatch.setattr(calibration, "run_labels", run)
    return told


def refuse() -> OpenSandbox:
    raise MissingPart("there is no sandbox here: install bubblewrap. Nothing was run")


def test_answers_that_do_the_same_agree_whatever_their_text(services: Services, runs: list[int]) -> None:
    stored = services.select.select("p", NONE.config)
    assert stored.counts["samples"] == 12
    project = services.context.projects.get("p")
    by_query: dict[str, dict[str, str]] = {}
    for sample in services.context.samples.get(project.id, Split.DISTILL):
        by_query.setdefault(sample.query_id, {})[sample.label] = sample.label_key
    assert len(by_query) == 4
    for given in by_query.values():
        assert given[DOUBLE[0]] == given[DOUBLE[1]] != given[DOUBLE[2]]
    services.select.select("p", NONE.config)
    assert runs == [12, 0], "what was run is not run again"


def test_until_answers_were_run_no_numbers_are_shown(services: Services, runs: list[int]) -> None:
    with pytest.raises(StateError, match="selecting runs them"):
        services.select.preview("p", NONE.config)
    said, *_ = draw_outcome(services, "p", lambda: NONE.config)
    assert "selecting runs them" in said
    services.select.select("p", NONE.config)
    assert services.select.preview("p", NONE.config).counts["kept"] == 12


def test_gold_is_met_in_a_worker_only_and_no_sooner(services: Services, runs: list[int]) -> None:
    services.select.select("p", NONE.config)
    assert services.calibrate.measure("p", NONE.config) is None
    services.calibrate.prepare("p", NONE.config)
    measured = services.calibrate.measure("p", NONE.config)
    assert measured is not None and (measured.labels, measured.right) == (12, pytest.approx(2 / 3))
    services.calibrate.prepare("p", NONE.config)
    assert runs[-1] == 12 and len(runs) == 2


def test_without_a_sandbox_it_is_refused_before_anything_is_queued(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "pick", refuse)
    project = services.context.projects.get("p")
    before = len(services.context.jobs.jobs_of(project.id))
    with pytest.raises(MissingPart, match="install bubblewrap"):
        services.select.select("p", SelectionConfig())
    with pytest.raises(MissingPart, match="install bubblewrap"):
        services.run.start(
            "p", services.plan.make("p", PlanOrder(plan="standard-kd", preset="smoke", selection="none"))
        )
    assert len(services.context.jobs.jobs_of(project.id)) == before


def test_teachers_that_drew_several_samples_have_pass_at_k(services: Services, runs: list[int]) -> None:
    with services.context.db.write() as writer:
        writer.run("UPDATE samples SET draw = CAST(right(teacher, 1) AS INTEGER), teacher = 't'")
    services.select.select("p", NONE.config)
    services.calibrate.prepare("p", NONE.config)
    (row,) = services.calibrate.measure_draws("p", NONE.config)
    assert (row["teacher"], row["queries"]) == ("t", 4)
    assert row["pass@1"][0] == pytest.approx(2 / 3) and row["pass@3"][0] == 1.0
