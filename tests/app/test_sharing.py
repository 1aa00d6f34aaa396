"""A run takes over what an earlier run of the project made of equal inputs, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services import Services, open_services
from app.usecases.training.sharing import TAKEN_FROM
from engine.plans import make_plan
from engine.plans.order import PlanOrder
from engine.values import JobStatus, RunStatus, Split, make_query
from tests.fakes.student_worker import StudentBackend


@pytest.fixture
def services(embedded_workspace: Path, tmp_path: Path) -> Iterator[Services]:
    shutil.copytree(embedded_workspace, tmp_path / "copy")
    with open_services(tmp_path / "copy", StudentBackend()) as opened:
        queries = [make_query(f"What is {n} and one?", split=Split.HELDOUT) for n in range(3)]
        opened.data.add_queries(opened.projects.get("p").id, queries, {q.id: "1" for q in queries})
        yield opened


def test_a_common_stage_is_trained_once_a_seed(services: Services) -> None:
    def go(plan: str, seed: int) -> dict[str, str]:
        run = services.run.start("p", make_plan(PlanOrder(plan=plan, preset="smoke", seed=seed)), share=True)
        assert services.run.wait(run.id).status is RunStatus.FINISHED
        states = services.context.runs.steps(run.id)
        assert all(state.status is JobStatus.FINISHED for state in states)
        assert all(
            (Path(run.folder) / s.name / "adapter" / "result.json").exists() for s in states if s.kind == "train"
        )
        return {state.name: state.result[TAKEN_FROM] for state in states if TAKEN_FROM in state.result}

    assert go("twt", 1) == {}
    first = services.context.runs.all()[0]
    shared = go("no-compression", 1)
    assert set(shared) == {"vanilla", "vanilla-fewshot", "stage1", "evaluate-stage1"}
    assert set(shared.values()) == {first.id}
    report = {row["name"] for row in services.reading.run(services.context.runs.all()[0].id)["rows"]}
    assert {"vanilla", "stage1", "stage3"} <= report, "what was taken over is scored with the rest"
    assert set(go("no-compression", 2)) == {"vanilla", "vanilla-fewshot"}, "another seed has another stage 1"


def test_what_lost_its_adapter_is_trained_again_and_nothing_is_shared_unasked(services: Services) -> None:
    plan = make_plan(PlanOrder(plan="standard-kd", preset="smoke", seed=1))
    first = services.run.wait(services.run.start("p", plan).id)
    shutil.rmtree(Path(first.folder) / "standard-kd")
    again = services.run.wait(services.run.start("p", plan, share=True).id)
    results = {state.name: state.result for state in services.context.runs.steps(again.id)}
    assert TAKEN_FROM not in results["standard-kd"] and TAKEN_FROM in results["vanilla"]
    alone = services.run.wait(services.run.start("p", plan).id)
    assert not any(TAKEN_FROM in state.result for state in services.context.runs.steps(alone.id))
