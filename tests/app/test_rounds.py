"""Rationales belong to the step that asked for them, what is done again is renewed, fingerprints hold what is read."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services, open_services
from app.usecases.training.materials import StageBuilder
from engine.compression import COMPRESSORS
from engine.config import Config, LoraSettings, ReplaySource, StudentConfig, TrainConfig
from engine.datasets.rows import fingerprint_rows
from engine.jobs.spec import read_spec
from engine.plans import Answer, AnyStep, Compress, Evaluate, Plan, Review, Train
from engine.plans.order import PlanOrder, adjust_plan
from engine.plans.standard_kd import with_standard_kd
from engine.plans.twt import twt_plan
from engine.values import Generation, RunStatus, Split, hash_id, make_query
from storage.runs import Run
from tests.fakes.student_worker import THREADS, StudentBackend
from tests.fakes.variants import registered

STAGE = TrainConfig(epochs=2)
STUDENT = StudentConfig(generate_tokens=8)


@pytest.fixture
def services(embedded_workspace: Path, tmp_path: Path) -> Iterator[Services]:
    """The selected project with six held-out queries; students are trained by a stand-in."""
    shutil.copytree(embedded_workspace, tmp_path / "copy")
    with open_services(tmp_path / "copy", StudentBackend()) as opened:
        _, held = make_puzzles(FAST)
        project = opened.context.projects.get("p")
        queries = [make_query(p.text, kind=p.kind, split=Split.HELDOUT) for p in held[:6]]
        opened.data.add_queries(project.id, queries, {make_query(p.text).id: p.answer for p in held[:6]})
        yield opened


def until_status(services: Services, run: Run, status: RunStatus) -> None:
    end = time.monotonic() + 60
    while services.context.runs.get(run.id).status is not status:
        assert time.monotonic() < end, services.context.runs.get(run.id)
        time.sleep(0.05)


def compressions(services: Services, run: Run) -> int:
    rows = services.context.ledger.totals(run.project_id)
    return sum(int(row["requests"]) for row in rows if row["purpose"] == "compress")


def texts(services: Services, run: Run, compress: str = "") -> str:
    return "\n".join(row.completion for row in StageBuilder(services.context, run).rows("compressed", compress))


def test_a_plan_of_four_stages_compresses_twice_and_teaches_each_stage_its_own(services: Services) -> None:
    plan = adjust_plan(twt_plan(STUDENT, (STAGE,) * 4), review=True)
    run = services.run.start("p", plan)
    until_status(services, run, RunStatus.WAITING)
    kept = len(services.review.rows(run.id))
    sample = services.review.rows(run.id)[0]["sample"]
    assert compressions(services, run) == kept > 2
    services.review.edit(run.id, sample, "said in the first round")
    services.run.approve(run.id)
    until_status(services, run, RunStatus.WAITING)
    assert compressions(services, run) == 2 * kept, "the second round asks for all of them again"
    rows = services.review.rows(run.id)
    assert {row["origin"] for row in rows} == {"compressed"} and not any(row["approved"] for row in rows)
    assert all(row["student"] for row in rows)
    one = services.review.one(run.id, sample)
    assert "said in the first round" not in str(one["versions"])
    services.review.edit(run.id, sample, "said in the second round", one["version"])
    services.review.withdraw(run.id, rows[1]["sample"])
    services.run.approve(run.id)
    run = services.run.wait(run.id)
    assert run.status is RunStatus.FINISHED and services.run.stale_steps(run.id) == []
    first, second = texts(services, run, "compress"), texts(services, run, "compress-2")
    assert "first round" in first and "second round" not in first
    assert "second round" in second and "first round" not in second
    taught = {
        state.name: state.result["train_rows"]
        for state in services.context.runs.steps(run.id)
        if "stage" in state.name and state.kind == "train"
    }
    assert taught["stage2"] == taught["stage3"] == kept
    services.review.edit(run.id, sample, "and changed afterwards")
    assert services.run.stale_steps(run.id) == ["stage3", "stage4"], "stage 2 learned from the first round"
    names = {row.name for row in services.context.reports.rows(run.id)}
    assert {"stage1", "stage2", "stage3", "stage4"} <= names
    jobs = [job for job in services.context.jobs.jobs_of(run.project_id) if job.run_id == run.id]
    threads = [read_spec(job.path).threads for job in reversed(jobs) if job.kind == "student"]
    assert threads == [None, THREADS, THREADS], "later workers have the threads of the first"


def test_a_plan_that_brings_its_selection_trains_on_it_and_leaves_the_projects_own(services: Services) -> None:
    project = services.projects.get("p")
    newest = services.context.selections.latest(project.id)
    order = PlanOrder(plan="standard-kd", preset="smoke", student=STUDENT.model, selection="none")
    plan = services.plan.make("p", order)
    assert services.forecast.find("p", plan) is None
    services.jobs.wait(services.forecast.ask("p", plan).id)
    found = services.forecast.find("p", plan)
    run = services.run.wait(services.run.start("p", plan).id)
    assert run.status is RunStatus.FINISHED and run.selection_id != newest.id
    everything = services.context.selections.get(run.selection_id)
    assert everything.counts["kept"] == everything.counts["samples"] > newest.counts["kept"]
    assert found is not None and found.stages[0].rows == len(StageBuilder(services.context, run).rows("label"))
    assert services.context.selections.latest(project.id).id == newest.id
    services.select.select("p", newest.config)
    assert services.context.selections.latest(project.id).counts["kept"] == newest.counts["kept"]
    assert services.context.selections.get(run.selection_id) == everything, "the run was built on it"
    services.run.start("p", plan.model_copy(update={"selection": newest.config}))
    assert services.context.selections.latest(project.id).config == newest.config, (
        "the same settings stay the project's"
    )


def test_each_round_compresses_toward_the_student_of_its_own_stage(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = services.run.wait(services.run.start("p", twt_plan(STUDENT, (STAGE,) * 4)).id)
    jobs = [j for j in services.context.jobs.jobs_of(run.project_id) if j.kind == "compress" and j.run_id == run.id]
    assert [job.spec["step"] for job in reversed(jobs)] == ["compress", "compress-2"]
    seen: list[str] = []
    read = services.context.runs.generations

    def watched(run_id: str, step: str) -> dict[str, Generation]:
        seen.append(step)
        return read(run_id, step)

    monkeypatch.setattr(services.context.runs, "generations", watched)
    services.run.wait(services.run.rerun(run.id, "stage1").id)
    assert seen == ["student-rationales", "student-rationales-2"]


def test_doing_stage_1_again_renews_the_students_rationales_and_their_compressions(services: Services) -> None:
    run = services.run.wait(services.run.start("p", twt_plan(STUDENT, (STAGE,) * 3)).id)
    rows = services.review.rows(run.id)
    services.review.edit(run.id, rows[0]["sample"], "by hand, of the first student")
    asked = compressions(services, run)
    run = services.run.wait(services.run.rerun(run.id, "stage1").id)
    assert compressions(services, run) == 2 * asked == 2 * len(rows)
    one = services.review.one(run.id, rows[0]["sample"])
    assert one["origin"] == "compressed" and "first student" not in texts(services, run)
    assert [v["text"] for v in one["versions"]][2] == "by hand, of the first student", "it stays as an earlier version"
    assert services.review.restore(run.id, rows[0]["sample"], 2, one["version"]) == 4
    assert "first student" in texts(services, run)
    done = {state.name: state.result for state in services.context.runs.steps(run.id)}
    assert done["compress"]["rationales"] == len(rows) == done["stage2"]["train_rows"]


def test_doing_a_later_stage_again_asks_for_no_compression(services: Services) -> None:
    run = services.run.wait(services.run.start("p", twt_plan(STUDENT, (STAGE,) * 3)).id)
    asked = compressions(services, run)
    services.run.wait(services.run.rerun(run.id, "stage2").id)
    assert compressions(services, run) == asked


PLAN = with_standard_kd(twt_plan(STUDENT, (STAGE,) * 3))
KINDS = {model.__name__: model for model in (Train, Answer, Compress, Review, Evaluate)}
UNREAD = {
    *((kind, "name") for kind in KINDS),
    ("Evaluate", "role"),
    ("Evaluate", "reference"),
    ("Evaluate", "alias"),
    ("TrainConfig", "save_every"),
    ("StudentConfig", "generate_batch"),
    ("Plan", "name"),
    ("Plan", "compress_cap"),
    ("Plan", "selection"),
    ("Plan", "backend"),
}
"""What can't change an output."""
CHANGED: dict[tuple[str, str], tuple[str, Any]] = {
    ("Train", "start"): ("stage3", "stage1"),
    ("Train", "dataset"): ("stage3", "full"),
    ("Train", "replay"): ("stage3", (ReplaySource(dataset="full", share=0.5),)),
    ("Train", "train"): ("stage1", TrainConfig(epochs=3)),
    ("Train", "equal_updates_to"): ("standard-kd-equal-updates", ("stage1",)),
    ("Answer", "start"): ("student-rationales", None),
    ("Evaluate", "start"): ("evaluate-stage3", "stage1"),
    ("Evaluate", "shots"): ("vanilla-fewshot", 1),
    ("Evaluate", "role"): ("evaluate-stage1", "baseline"),
    ("Evaluate", "reference"): ("evaluate-stage1", True),
    ("Evaluate", "prompt"): ("evaluate-stage1", "direct"),
    ("Evaluate", "alias"): ("evaluate-stage1", "another"),
    ("Evaluate", "stops_behind_answer"): ("evaluate-stage1", True),
    ("Review", "approve"): ("review", "person"),
    ("ReplaySource", "dataset"): ("stage3", (ReplaySource(dataset="label", share=0.5),)),
    ("ReplaySource", "share"): ("stage3", (ReplaySource(dataset="full", share=0.9),)),
    ("TrainConfig", "epochs"): ("stage1", 3),
    ("TrainConfig", "updates"): ("stage1", 7),
    ("TrainConfig", "tokens"): ("stage1", 700),
    ("TrainConfig", "learning_rate"): ("stage1", 0.5),
    ("TrainConfig", "batch_size"): ("stage1", 3),
    ("TrainConfig", "max_tokens"): ("stage1", 77),
    ("TrainConfig", "warmup"): ("stage1", 0.5),
    ("TrainConfig", "mask_prompt"): ("stage1", False),
    ("TrainConfig", "validation"): ("stage1", 0.4),
    ("TrainConfig", "save_every"): ("stage1", 7),
    ("LoraSettings", "rank"): ("", 3),
    ("LoraSettings", "alpha"): ("", 3),
    ("LoraSettings", "dropout"): ("", 0.5),
    ("StudentConfig", "model"): ("", "another/one"),
    ("StudentConfig", "revision"): ("", "older"),
    ("StudentConfig", "lora"): ("", LoraSettings(rank=2)),
    ("StudentConfig", "seed"): ("", 9),
    ("StudentConfig", "four_bit"): ("", True),
    ("TrainConfig", "loss"): ("stage1", "another"),
    ("Compress", "by"): ("compress", "another"),
    ("StudentConfig", "generate_tokens"): ("", 9),
    ("StudentConfig", "generate_batch"): ("", 9),
    ("Plan", "name"): ("", "another"),
    ("Plan", "student"): ("", StudentConfig(seed=3, generate_tokens=8)),
    ("Plan", "steps"): ("", PLAN.steps[:-1]),
    ("Plan", "compressor"): ("", "forward"),
    ("Plan", "check_level"): ("", 2),
    ("Plan", "compress_cap"): ("", 5),
    ("Plan", "backend"): ("", "elsewhere"),
}


def changed(owner: str, field: str) -> Plan:
    step_name, value = CHANGED[owner, field]
    if owner == "Plan":
        return PLAN.model_copy(update={field: value})
    if owner in ("StudentConfig", "LoraSettings"):
        student = PLAN.student
        inner = {"lora": student.lora.model_copy(update={field: value})} if owner == "LoraSettings" else {field: value}
        return PLAN.model_copy(update={"student": student.model_copy(update=inner)})

    def change(step: AnyStep) -> AnyStep:
        if step.name != step_name:
            return step
        if owner == "TrainConfig":
            return step.model_copy(update={"train": step.train.model_copy(update={field: value})})
        return step.model_copy(update={"replay" if owner == "ReplaySource" else field: value})

    return PLAN.model_copy(update={"steps": tuple(map(change, PLAN.steps))})


def fingerprints(services: Services, plan: Plan) -> dict[str, str]:
    project = services.context.projects.get("p")
    selection = services.context.selections.latest(project.id)
    builder = StageBuilder(
        services.context, Run("none", project.id, selection.id, plan, "", RunStatus.WAITING, "")
    ).pipeline
    builder._rows["compressed compress"] = builder.rows("full")[:7]
    return {step.name: builder.fingerprint(step) for step in plan.steps}


@pytest.fixture
def another_compressor() -> Iterator[None]:
    with registered(COMPRESSORS, "another", COMPRESSORS.get("teacher-guided")):
        yield


@pytest.mark.usefixtures("another_compressor")
def test_every_setting_of_a_plan_is_in_the_fingerprints_of_the_steps_that_read_it(services: Services) -> None:
    before = fingerprints(services, PLAN)
    replayed = fingerprints(services, changed("Train", "replay"))
    models: tuple[type[Config], ...] = (*KINDS.values(), ReplaySource, TrainConfig, LoraSettings, StudentConfig, Plan)
    fields = {(model.__name__, name) for model in models for name in model.model_fields if name != "kind"}
    assert fields - UNREAD <= set(CHANGED), "say of a new setting how it changes a fingerprint, or that it can't"
    for owner, field in sorted(fields & set(CHANGED)):
        base = replayed if owner == "ReplaySource" else before
        same = fingerprints(services, changed(owner, field)) == base
        assert same is ((owner, field) in UNREAD), (owner, field)


def test_a_step_is_known_by_what_it_does_not_by_its_name(services: Services) -> None:
    def renamed(step: AnyStep) -> AnyStep:
        changes: dict[str, Any] = {"name": f"{step.name}x"}
        if isinstance(step, (Train, Answer, Evaluate)) and step.start:
            changes["start"] = f"{step.start}x"
        if isinstance(step, Train):
            changes["equal_updates_to"] = tuple(f"{name}x" for name in step.equal_updates_to)
        return step.model_copy(update=changes)

    project = services.context.projects.get("p")
    other = PLAN.model_copy(update={"steps": tuple(map(renamed, PLAN.steps))})
    mine = fingerprints(services, PLAN)
    selection = services.context.selections.latest(project.id)
    builder = StageBuilder(
        services.context, Run("none", project.id, selection.id, other, "", RunStatus.WAITING, "")
    ).pipeline
    builder._rows["compressed compressx"] = builder.rows("full")[:7]
    theirs = {step.name.removesuffix("x"): builder.fingerprint(step) for step in other.steps}
    assert theirs == mine


def test_equal_updates_follow_the_steps_they_are_equal_to(services: Services) -> None:
    before = fingerprints(services, PLAN)
    for field, moved in (("updates", True), ("epochs", True), ("batch_size", True), ("learning_rate", False)):
        after = fingerprints(services, changed("TrainConfig", field))
        assert (after["standard-kd-equal-updates"] != before["standard-kd-equal-updates"]) is moved, field
        assert after["standard-kd"] == before["standard-kd"] and after["stage3"] != before["stage3"]


def test_evaluations_and_compressions_follow_what_they_are_given(services: Services) -> None:
    before = fingerprints(services, PLAN)
    project = services.context.projects.get("p")
    spec = services.teachers.get("p", "forward")
    services.context.projects.put_teacher(project.id, type(spec)(**{**vars(spec), "model": "another"}))
    after = fingerprints(services, PLAN)
    assert {name for name in before if before[name] != after[name]} == {"compress", "review"}
    services.data.add_queries(project.id, [make_query("One more?", split=Split.HELDOUT)], {})
    later = fingerprints(services, PLAN)
    scored = {step.name for step in PLAN.evaluated}
    assert {name for name in later if later[name] != after[name]} == scored


def test_results_of_the_first_fingerprints_are_not_called_stale(services: Services) -> None:
    run = services.run.wait(services.run.start("p", twt_plan(STUDENT, (STAGE,) * 3)).id)
    run = services.context.runs.get(run.id)
    builder, step = StageBuilder(services.context, run).pipeline, next(s for s in run.plan.steps if s.name == "stage1")
    rows = fingerprint_rows(builder.training_rows(step))
    settings = {"shots": 0, "approve": "all", **step.model_dump(mode="json")}
    first = hash_id("step", settings, run.plan.student.model_dump(mode="json"), rows)
    services.context.runs.set_step(run.id, "stage1", fingerprint=first)
    assert services.run.stale_steps(run.id) == []
    services.context.runs.set_step(run.id, "stage1", fingerprint=hash_id("other"))
    assert services.run.stale_steps(run.id) == ["stage1"]


def test_nothing_of_the_shipped_demo_is_stale(shipped: Services) -> None:
    run = shipped.context.runs.all()[0]
    assert shipped.run.stale_steps(run.id) == []
    assert shipped.review.rows(run.id), "rationales of an older file belong to the run's compress step"
