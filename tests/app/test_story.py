"""One person's whole way through the services, on a tiny student and generated puzzles, with real workers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.demo import describe, run_demo
from app.recipe import FAST, SELECTION, Recipe
from app.services import Services, open_services
from app.usecases.exports.exports import ExportOrder
from app.usecases.training.materials import StageBuilder
from engine.config import LoraSettings, ProjectConfig, StudentConfig, TrainConfig
from engine.errors import ConfigError, InputError, StateError, WorkerFailed
from engine.plans.order import adjust_plan
from engine.plans.standard_kd import with_standard_kd
from engine.plans.twt import twt_plan
from engine.puzzles import KINDS
from engine.selection.settings import dcrs
from engine.values import RunStatus, StageRow, TeacherSpec

NAMES = {"vanilla", "vanilla-fewshot", "stage1", "stage2", "stage3", "standard-kd", "standard-kd-equal-updates"}
TEACHERS = {"forward", "eliminate", "tabulate"}


def tiny_recipe(tiny: Path) -> Recipe:
    stage = TrainConfig(updates=2, learning_rate=1e-3, max_tokens=600, validation=0)
    student = StudentConfig(model=str(tiny), lora=LoraSettings(rank=2), generate_tokens=8)
    plan = with_standard_kd(twt_plan(student, (stage, stage, stage)))
    return replace(FAST, project="tiny", queries=28, heldout=14, plan=plan)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, tiny_student: Path) -> Iterator[tuple[Services, Recipe]]:
    with open_services(tmp_path_factory.mktemp("story")) as services:
        yield services, tiny_recipe(tiny_student)


@pytest.fixture(scope="module")
def told(house: tuple[Services, Recipe]) -> dict[str, object]:
    services, recipe = house
    return describe(services, run_demo(services, recipe, lambda line: None, lambda event: None))


def test_the_demo_reports_every_system_by_kind_with_intervals(told: dict[str, object]) -> None:
    rows = told["rows"]
    assert isinstance(rows, list)
    overall = {row["name"]: row for row in rows if row["kind"] == ""}
    assert set(overall) == NAMES | TEACHERS
    for row in rows:
        assert 0 <= row["ci_low"] <= row["accuracy"] <= row["ci_high"] <= 1
        assert row["mean_output_tokens"] >= 1 and 0 <= row["parse_rate"] <= 1
    assert all(overall[name]["n"] == 14 for name in NAMES | TEACHERS)
    assert min(overall[name]["accuracy"] for name in TEACHERS) > 0.5
    assert {row["kind"] for row in rows} == {"", *KINDS}
    json.dumps(told)


def test_standard_kd_takes_as_many_updates_as_the_three_stages(
    house: tuple[Services, Recipe], told: dict[str, object]
) -> None:
    steps = {state.name: state.result for state in house[0].context.runs.steps(str(told["run"]))}
    assert steps["standard-kd"]["updates"] == 2
    assert steps["standard-kd-equal-updates"]["updates"] == 6


def test_compressed_rationales_are_shorter_and_the_originals_stay(
    house: tuple[Services, Recipe], told: dict[str, object]
) -> None:
    rows = house[0].review.rows(str(told["run"]))
    assert rows and all("answer preserved (level 1)" in row["flags"] for row in rows)
    assert sum(len(row["compressed"]) for row in rows) < sum(len(row["original"]) for row in rows) / 2


def test_moving_the_threshold_asks_no_teacher_and_embeds_nothing_again(
    house: tuple[Services, Recipe], told: dict[str, object]
) -> None:
    services, _ = house
    project = services.context.projects.get("tiny")
    before = len(services.context.jobs.jobs_of(project.id))
    loose = services.select.select("tiny", dcrs(threshold=0.5))
    strict = services.select.select("tiny", dcrs(threshold=0.97))
    assert loose.counts["kept"] > strict.counts["kept"] > 0
    assert sum(loose.counts["reasons"].values()) == loose.counts["samples"]
    computed = services.select.select(
        "tiny", dcrs(threshold=0.4, weights={"agreement": 1, "agreement_ds": 1, "format": 1})
    )
    assert computed.counts["kept"] > 0
    assert len(services.context.jobs.jobs_of(project.id)) == before
    with pytest.raises(ConfigError, match="no factor is named charm"):
        services.select.select("tiny", dcrs(weights={"charm": 1}))


def test_a_review_waits_an_edit_makes_the_next_stage_stale_and_exports_hold_what_was_chosen(
    house: tuple[Services, Recipe], told: dict[str, object], tmp_path: Path
) -> None:
    services, recipe = house
    services.select.select("tiny", SELECTION)
    student = recipe.plan.student
    stage = TrainConfig(updates=1, learning_rate=1e-3, max_tokens=600, validation=0)
    run = services.run.start("tiny", adjust_plan(twt_plan(student, (stage, stage, stage)), review=True, check_level=2))
    run = services.run.wait(run.id)
    assert run.status is RunStatus.WAITING and "review" in run.message
    sample = services.review.rows(run.id)[0]["sample"]
    with pytest.raises(InputError, match="empty"):
        services.review.edit(run.id, sample, "  ")
    summary = services.review.summary(run.id)
    assert 0 < summary.unaided <= summary.checked and 0 < summary.led <= summary.checked
    assert services.review.edit(run.id, sample, "1 + 1 = 3, so that") == (2, "wrong arithmetic: 1 + 1 = 3")
    assert not services.review.one(run.id, sample)["approved"]
    assert services.review.one(run.id, sample)["preserved"] is False
    assert services.review.edit(run.id, sample, "because I say so") == (3, None)
    assert services.review.one(run.id, sample)["approved"]
    run = services.run.wait(services.run.approve(run.id).id)
    assert run.status is RunStatus.FINISHED and services.run.stale_steps(run.id) == []
    with pytest.raises(StateError, match=r"only a stopped run can be resumed.*tacit runs rerun"):
        services.run.resume(run.id)
    assert any("because I say so" in row.completion for row in _rows(services, run.id))
    services.review.edit(run.id, sample, "or not")
    assert services.run.stale_steps(run.id) == ["stage2", "stage3"]
    run = services.run.wait(services.run.resume(run.id).id)
    assert run.status is RunStatus.FINISHED and services.run.stale_steps(run.id) == []
    assert {row.name for row in services.context.reports.rows(run.id)} >= {"stage1", "stage2", "stage3"}
    assert services.export.write("tiny", tmp_path / "g.parquet", ExportOrder()).endswith("g.parquet")
    table = pq.read_table(tmp_path / "g.parquet")
    assert table.num_rows == services.context.selections.latest(run.project_id).counts["kept"]
    assert {"query", "rationale", "label", "teacher", "reason"} <= set(table.column_names)
    services.export.write("tiny", tmp_path / "adapter", ExportOrder(run.id, "stage3"))
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    assert json.loads((tmp_path / "adapter" / "tacit.json").read_text())["step"] == "stage3"
    with pytest.raises(StateError, match="exists already"):
        services.export.write("tiny", tmp_path / "adapter", ExportOrder(run.id, "stage3"))


def test_level_2_needs_a_second_teacher_to_ask(house: tuple[Services, Recipe]) -> None:
    services, recipe = house
    project = services.data.create_project(ProjectConfig(name="lone", task="custom"))
    plan = recipe.plan.model_copy(update={"check_level": 2})
    services.context.projects.put_teacher(project.id, TeacherSpec("one", "openai", "m"))
    services.compress.check_compressor(project.id, recipe.plan)
    with pytest.raises(ConfigError, match="Add a second teacher"):
        services.compress.check_compressor(project.id, plan)
    services.context.projects.put_teacher(project.id, TeacherSpec("two", "openai", "n"))
    services.compress.check_compressor(project.id, plan)


def _rows(services: Services, run_id: str) -> list[StageRow]:
    return list(StageBuilder(services.context, services.context.runs.get(run_id)).rows("compressed"))


def test_a_run_whose_job_fails_stops_with_the_reason_and_a_way_on(
    house: tuple[Services, Recipe], told: dict[str, object], tmp_path: Path
) -> None:
    services, recipe = house
    folder = Path(shutil.copytree(recipe.plan.student.model, tmp_path / "broken"))
    (folder / "config.json").write_text('{"model_type": "no_such_model"}')
    student = recipe.plan.student.model_copy(update={"model": str(folder)})
    stage = TrainConfig(updates=1, validation=0)
    run = services.run.start("tiny", twt_plan(student, (stage, stage, stage)))
    with pytest.raises(WorkerFailed, match=r"(?s)broken can't be loaded.*tacit runs resume"):
        services.run.wait(run.id)
    assert services.context.runs.get(run.id).status is RunStatus.STOPPED
    assert "no_such_model" in services.watch.log_tail(run.id), "what the library said stands in the worker's log"
