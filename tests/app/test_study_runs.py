"""A study runs its grid, goes on where it was cut off, takes failures as results, and is checked from records alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.demo import make_puzzles
from app.recipe import FAST
from app.services import Services, open_services
from app.usecases.training.studies import find_counted
from app.usecases.training.study_files import read_grid_file, read_records
from engine.errors import ConfigError, InputError
from engine.plans import make_plan
from engine.plans.order import PlanOrder
from engine.selection.settings import NONE
from engine.study import list_cells, read_grid
from engine.study_table import summarise_study
from engine.values import Split, make_query
from tests.fakes.student_worker import StudentBackend

GRID = """
[study]
name = "small"
project = "p"
seeds = [1, 2]
contrast = ["first", "kd"]
order = { preset = "smoke" }
budget = { kind = "updates", amount = 4 }

[[arms]]
name = "kd"
plan = "standard-kd"

[[arms]]
name = "first"
plan = "answer-first"

[[arms]]
name = "nobody"
plan = "standard-kd"
order = { student = "/nowhere/at/all" }
"""


@pytest.fixture
def services(embedded_workspace: Path, tmp_path: Path) -> Iterator[Services]:
    """The selected project with six held-out queries; students are trained by a stand-in."""
    shutil.copytree(embedded_workspace, tmp_path / "copy")
    with open_services(tmp_path / "copy", StudentBackend()) as opened:
        _, held = make_puzzles(FAST)
        queries = [make_query(p.text, kind=p.kind, split=Split.HELDOUT) for p in held[:6]]
        golds = {query.id: puzzle.answer for query, puzzle in zip(queries, held, strict=False)}
        opened.data.add_queries(opened.projects.get("p").id, queries, golds)
        yield opened


def test_a_study_leaves_records_goes_on_and_is_checked_without_a_workspace(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text(GRID, "utf-8")
    grid, folder = read_grid_file(file), tmp_path / "records"
    said: list[str] = []
    result = services.study.run(grid, folder, said.append)
    assert said[0] == "1 of 6: kd, seed 1" and sum(" of 6: " in line for line in said) == 6
    assert sum("The student can't be had" in line for line in said) == 2, (
        "what to know of a plan is said before it runs"
    )
    assert {(arm.arm, arm.seeds, arm.n) for arm in result.arms} == {("kd", 2, 6), ("first", 2, 6)}
    assert [text.partition(":")[0] for text in result.missing] == ["nobody, seed 1", "nobody, seed 2"]
    runs = len(services.context.runs.all())
    assert runs == 4, "an arm that can't be started leaves no run"
    record = json.loads((folder / "kd-2.json").read_text("utf-8"))
    assert record["facts"]["plan"]["student"]["seed"] == 2 and record["facts"]["versions"]["torch"]
    facts = record["facts"]
    assert set(facts["shared"]) == {"vanilla", "vanilla-fewshot"}, "what does not hang on the seed is written once"
    assert set(facts["shared"].values()) == {json.loads((folder / "kd-1.json").read_text("utf-8"))["facts"]["run"]}
    assert facts["systems"]["vanilla"]["n"] == 6 and facts["curves"]["standard-kd"][-1] == [4, 0.5]
    assert [step["train"]["updates"] for step in facts["plan"]["steps"] if step["kind"] == "train"] == [4]
    assert {(p.arm, p.system, p.counts) for p in result.points if p.arm == "kd"} == {
        ("kd", "vanilla", False),
        ("kd", "vanilla-fewshot", False),
        ("kd", "standard-kd", True),
    }
    assert str(tmp_path) not in json.dumps(record), "nothing of this machine goes to a stranger"
    (folder / "kd-1.json").unlink()
    again = services.study.run(grid, folder, said.append)
    assert again == result and len(services.context.runs.all()) == runs, "what was trained is not trained anew"
    edited = read_grid_file(
        write(tmp_path / "edited.toml", GRID.replace('plan = "standard-kd"\n\n', 'plan = "mixed"\n\n'))
    )
    assert "kd, seed 1: not run yet" in summarise_study(edited, read_records(folder)).missing
    project, (query,) = services.projects.get("p"), [make_query("One more of them?", split=Split.HELDOUT)]
    services.data.add_queries(project.id, [query], {query.id: "0"})
    (folder / "kd-1.json").unlink()
    services.study.run(grid, folder, said.append)
    renewed = json.loads((folder / "kd-1.json").read_text("utf-8"))
    assert query.id in {answer[0] for answer in renewed["answers"]} and len(services.context.runs.all()) == runs
    services.select.select("p", NONE.config)
    plan = services.plan.make("p", list_cells(grid)[0].order)
    assert services.study._find(services.projects.get("p").id, "p", plan) is None, "no run is on this selection"
    told = CliRunner().invoke(app, ["study", str(file), "--records", str(folder), "--table", "--json"])
    assert told.exit_code == 0 and [arm["arm"] for arm in json.loads(told.stdout)["arms"]] == ["kd", "first"]
    shown = CliRunner().invoke(app, ["study", str(file), "--records", str(folder), "--table"], env={"COLUMNS": "200"})
    assert "chosen beforehand" in shown.output and "nobody, seed 1: failed" in shown.output


def write(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file


def test_a_student_that_no_plan_scores_is_said_before_anything_is_trained(services: Services, tmp_path: Path) -> None:
    text = GRID.replace('plan = "answer-first"', 'plan = "answer-first"\nsystem = "nobody"')
    with pytest.raises(InputError, match="scores no student nobody"):
        services.study.run(read_grid_file(write(tmp_path / "g.toml", text)), tmp_path / "records")
    assert services.context.runs.all() == []


def test_what_is_no_record_or_no_grid_is_said_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"arm": 3}')
    with pytest.raises(InputError, match=r"x\.json is no record"):
        read_records(tmp_path)
    (tmp_path / "grid.toml").write_text("[study")
    with pytest.raises(InputError, match=r"is no TOML: .*Nothing was started"):
        read_grid_file(tmp_path / "grid.toml")
    with pytest.raises(InputError, match=r"there is no file .*nowhere\.toml"):
        read_grid_file(tmp_path / "nowhere.toml")
    table = {"name": "s", "project": "p", "seeds": [1], "contrast": ["a", "b"]}
    with pytest.raises(ConfigError, match="loud"):
        read_grid({"study": {**table, "loud": 1}, "arms": []})


def test_the_student_that_counts_is_the_named_one_or_the_last_in_its_own_mode() -> None:
    step_by_step = make_plan(PlanOrder(plan="distilling-step-by-step", preset="smoke"))
    assert find_counted(step_by_step, "").system == "step-by-step"
    assert find_counted(step_by_step, "step-by-step-explain").prompt == "explain"
    assert find_counted(make_plan(PlanOrder(plan="twt", preset="smoke")), "").system == "stage3"
    with pytest.raises(InputError, match="scores no student nobody; it scores"):
        find_counted(step_by_step, "nobody")
