"""The smallest grid at hand, run for real on a tiny student: puzzles, teachers, vectors, four trainings, a table."""

from __future__ import annotations

from pathlib import Path

from app.demo import prepare_study
from app.services import open_services
from app.usecases.training.study_files import read_grid_file, read_records
from engine.study import FINISHED
from engine.study_table import summarise_study

SMOKE = Path(__file__).parents[2] / "docs" / "studies" / "smoke.toml"


def test_the_smoke_grid_makes_its_project_trains_and_is_summed_up(tiny_student: Path, tmp_path: Path) -> None:
    given = read_grid_file(SMOKE)
    grid = given.model_copy(update={"order": {**given.order, "student": str(tiny_student)}})
    said: list[str] = []
    with open_services(tmp_path / "workspace") as services:
        prepare_study(services, grid, said.append, lambda event: None)
        result = services.study.run(grid, tmp_path / "records", said.append)
        prepare_study(services, grid, said.append, lambda event: None)
        assert services.study.run(grid, tmp_path / "records") == result, "again, nothing is left to do"
        assert len(services.context.runs.all()) == 4
    records = read_records(tmp_path / "records")
    assert [record.status for record in records] == [FINISHED] * 4 and not result.missing
    assert {sum(record.facts["updates"].values()) for record in records} == {4}, "the budget is kept"
    assert {(arm.arm, arm.seeds, arm.n) for arm in result.arms} == {("standard-kd", 2, 6), ("answer-first", 2, 6)}
    assert summarise_study(grid, records) == result, "anybody has the same table from the records"
    shared = [record.facts["shared"] for record in records if record.facts["shared"]]
    assert len(shared) == 3 and all(set(one) == {"vanilla", "vanilla-fewshot"} for one in shared)
    assert [line for line in said if line.startswith(("1 of 4", "the project"))] == [
        "the project study-smoke is made",
        "1 of 4: standard-kd, seed 1",
    ]
