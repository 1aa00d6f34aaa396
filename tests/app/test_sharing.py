"""A run takes over what an earlier run of the project made of equal inputs, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.services import Services
from app.usecases.training.sharing import TAKEN_FROM
from engine.plans import make_plan
from engine.plans.order import PlanOrder
from engine.values import JobStatus, RunStatus


def test_a_common_stage_is_trained_once_a_seed(students: Services) -> None:
    def go(plan: str, seed: int) -> dict[str, str]:
        run = students.run.start("p", make_plan(PlanOrder(plan=plan, preset="smoke", seed=seed)), share=True)
        assert students.run.wait(run.id).status is RunStatus.FINISHED
        states = students.context.runs.steps(run.id)
        assert all(state.status is JobStatus.FINISHED for state in states)
        assert all(
            (Path(run.folder) / s.name / "adapter" / "result.json").exists() for s in states if s.kind == "train"
        )
        return {state.name: state.result[TAKEN_FROM] for state in states if TAKEN_FROM in state.result}

    assert go("twt", 1) == {}
    first = students.context.runs.all()[0]
    shared = go("no-compression", 1)
    assert set(shared) == {"vanilla", "vanilla-fewshot", "stage1", "evaluate-stage1"}
    assert set(shared.values()) == {first.id}
    report = {row["name"] for row in students.reading.run(students.context.runs.all()[0].id)["rows"]}
    assert {"vanilla", "stage1", "stage3"} <= report, "what was taken over is scored with the rest"
    assert set(go("no-compression", 2)) == {"vanilla", "vanilla-fewshot"}, "another seed has another stage 1"


def test_what_lost_its_adapter_is_trained_again_and_nothing_is_shared_unasked(students: Services) -> None:
    plan = make_plan(PlanOrder(plan="standard-kd", preset="smoke", seed=1))
    first = students.run.wait(students.run.start("p", plan).id)
    shutil.rmtree(Path(first.folder) / "standard-kd")
    again = students.run.wait(students.run.start("p", plan, share=True).id)
    results = {state.name: state.result for state in students.context.runs.steps(again.id)}
    assert TAKEN_FROM not in results["standard-kd"] and TAKEN_FROM in results["vanilla"]
    alone = students.run.wait(students.run.start("p", plan).id)
    assert not any(TAKEN_FROM in state.result for state in students.context.runs.steps(alone.id))
