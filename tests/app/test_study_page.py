"""The page Study: a study is quoted, started, watched, cancelled and taken further from records of elsewhere."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.demo import prepare_study
from app.services import Services
from app.usecases.training.study_files import read_grid_file, write_grid_text
from app.web.forms import Entered
from app.web.pages.study import _Handlers, _read_form
from engine.config import ProjectConfig
from engine.errors import ConfigError, InputError, StateError
from engine.selection.settings import NONE
from engine.study import PuzzleSet, read_grid
from engine.values import JobStatus, make_query

ENTERED = {
    "name": "mine",
    "seeds": "1, 2",
    "preset": "smoke",
    "stages": "",
    "plans": ["standard-kd", "answer-first"],
    "first": "answer-first",
    "second": "standard-kd",
    "budget": "updates",
    "amount": "4",
}


def entered(**changes: Any) -> Entered[dict[str, Any]]:
    named = {**ENTERED, **changes}
    return Entered(list(named.values()), lambda values: dict(zip(named, values, strict=True)))


def wait(students: Services, name: str) -> None:
    grid = students.study.find("p", name)
    for _ in range(600):
        if students.study.running_job(grid) is None:
            return
        time.sleep(0.1)
    raise AssertionError("the study does not end")


def test_a_study_is_quoted_started_and_shown(students: Services, tmp_path: Path) -> None:
    do = _Handlers(students)
    project = students.projects.get("p")
    assert "No study yet" in do.show("p", None)[0]
    quoted = do.quote("p", entered())
    assert "answer-first" in quoted and "of the device" in quoted and "trained once a seed" in quoted
    assert students.context.runs.all(project.id) == [], "a quote starts nothing"
    message, _ = do.start("p", entered())
    assert "4 runs" in message
    wait(students, "mine")
    listed, opened, _ = do.list_studies("p", "")
    assert opened == "mine" and "4 of 4" in listed and "complete" in listed
    assert do.list_studies("p", "?open=another")[1] == "mine", "an address of before opens the last changed"
    shown = do.show("p", "mine")
    assert "Too few seeds to tell" in shown[0] and "verdict wait" in shown[0]
    assert "answer-first against standard-kd" in shown[0] and "Each arm takes 4 updates." in shown[0]
    grid = students.study.find("p", "mine")
    assert students.study.read(grid) is students.study.read(grid), "a tick of the page reckons nothing anew"
    assert "standard-kd" in shown[1] and all(plot.visible for plot in shown[2:5])
    assert [part.interactive for part in shown[6:]] == [False, False, True, True], "nothing is left to go on with"
    assert [mark.number for mark in students.standing.marks(project) if mark.name == "Study"] == ["1 study"]
    folder = students.study.folder(students.study.find("p", "mine"))
    (folder / "standard-kd-2.json").rename(tmp_path / "standard-kd-2.json")
    shown = do.show("p", "mine")
    assert "standard-kd, seed 2: not run yet" in shown[5] and shown[6].interactive
    assert "1 record imported" in do.take_in("p", "mine", [str(tmp_path / "standard-kd-2.json")])[0]
    assert "not run yet" not in do.show("p", "mine")[5]
    older = json.loads((tmp_path / "standard-kd-2.json").read_text("utf-8")) | {"settings": "of before"}
    (folder / "standard-kd-2.json").write_text(json.dumps(older), "utf-8")
    assert "standard-kd, seed 2: not run yet" in do.show("p", "mine")[5], "a record of an older grid counts for nothing"
    assert "1 record imported" in do.take_in("p", "mine", [str(tmp_path / "standard-kd-2.json")])[0], "and is replaced"
    (tmp_path / "older.json").write_text(json.dumps(older), "utf-8")
    with pytest.raises(InputError, match="settings that 'mine' does not have"):
        do.take_in("p", "mine", [str(tmp_path / "older.json")])
    broken = json.loads((tmp_path / "standard-kd-2.json").read_text("utf-8"))
    broken["facts"]["systems"]["vanilla"]["n"] = 0
    (tmp_path / "broken.json").write_text(json.dumps(broken), "utf-8")
    with pytest.raises(InputError, match=r"broken\.json is no record"):
        do.take_in("p", "mine", [str(tmp_path / "broken.json")])
    other = json.loads((tmp_path / "standard-kd-2.json").read_text("utf-8")) | {"study": "yours"}
    (tmp_path / "other.json").write_text(json.dumps(other), "utf-8")
    with pytest.raises(InputError, match="Nothing was taken"):
        do.take_in("p", "mine", [str(tmp_path / "other.json")])


def test_a_cancelled_study_stops_its_run_and_goes_on_later(students: Services) -> None:
    do = _Handlers(students)
    do.start("p", entered())
    with pytest.raises(StateError, match="running already"):
        do.start("p", entered())
    do.cancel("p", "mine")
    wait(students, "mine")
    jobs = [job for job in students.context.jobs.jobs_of(students.projects.get("p").id) if job.kind == "study"]
    assert jobs[0].status is JobStatus.CANCELLED
    assert not students.context.jobs.unfinished_jobs(), "nothing of it goes on"
    shown = do.show("p", "mine")
    assert "not run yet" in shown[5] and shown[6].interactive
    do.go_on("p", "mine")
    wait(students, "mine")
    assert do.show("p", "mine")[5].count("not run yet") == 0


def test_what_is_entered_wrongly_is_said_by_its_field(students: Services) -> None:
    for changes, error, message in (
        ({"name": " "}, InputError, "Name: give"),
        ({"seeds": "1,x"}, InputError, "Seeds: give"),
        ({"seeds": "1,1"}, ConfigError, "twice"),
        ({"amount": "much"}, InputError, "Amount: give"),
        ({"plans": ["twt"]}, ConfigError, "arms"),
        ({"second": "twt"}, ConfigError, "contrast"),
    ):
        with pytest.raises(error, match=message):
            _read_form("p", {**ENTERED, **changes})
    both = {"plans": ["twt+standard-kd", "twt"], "first": "twt+standard-kd", "second": "twt"}
    with pytest.raises(ConfigError, match="several students"):
        _Handlers(students).start("p", entered(**both))
    assert students.study.grids("p") == [], "what can't be is kept nowhere"
    assert _read_form("p", {**ENTERED, **both, "budget": ""}).contrast == ("twt-and-standard-kd", "twt")
    assert (
        _Handlers(students).pairs("p", entered(plans=["twt", "mixed"], first="standard-kd", second="twt"))[0].value
        == "twt"
    )


def test_a_study_goes_with_its_project_and_stays_out_of_others(students: Services, tmp_path: Path) -> None:
    grid = _read_form("p", {**ENTERED, "seeds": "1", "plans": ["standard-kd", "mixed"], "first": "mixed"})
    students.study.run(grid, students.study.folder(grid))
    students.select.select("p", NONE.config)
    assert len(students.context.runs.all()) == 2
    students.study.run(grid, students.study.folder(grid))
    assert len(students.context.runs.all()) == 4, "another selection is trained on, its records are of that"
    copy = students.carry.duplicate("p", "q")
    students.select.select("q", NONE.config)
    with pytest.raises(StateError, match="another project has a study mine"):
        students.study.run(grid.model_copy(update={"project": copy.name}), students.study.folder(grid))
    students.keep.back_up(tmp_path / "all.zip")
    assert any(name.startswith("studies/mine/") for name in zipfile.ZipFile(tmp_path / "all.zip").namelist())
    students.keep.purge("p", "p")
    assert not students.study.folder(grid).exists()


def test_puzzles_are_not_put_into_a_project_of_other_queries(students: Services) -> None:
    puzzles = PuzzleSet(queries=6, heldout=6)
    grid = _read_form("p", ENTERED).model_copy(update={"project": "mine", "puzzles": puzzles})
    project = students.data.create_project(ProjectConfig(name="mine", task="custom", embedder="packaged"))
    students.data.add_queries(project.id, [make_query("What is 2 and 2?")], {})
    with pytest.raises(InputError, match="has other queries than the study's puzzles"):
        prepare_study(students, grid, lambda text: None, lambda event: None)
    assert len(students.data.queries_of(project.id)) == 1


def test_a_grid_of_a_file_is_started_on_the_project_of_the_page(students: Services, tmp_path: Path) -> None:
    grid = _read_form("p", ENTERED)
    assert grid == read_grid(
        {
            "study": {
                "name": "mine",
                "project": "p",
                "seeds": [1, 2],
                "order": {"preset": "smoke"},
                "contrast": ["answer-first", "standard-kd"],
                "budget": {"kind": "updates", "amount": 4},
            },
            "arms": [{"name": "standard-kd", "plan": "standard-kd"}, {"name": "answer-first", "plan": "answer-first"}],
        }
    )
    file = tmp_path / "grid.toml"
    file.write_text(
        '[study]\nname = "filed"\nproject = "elsewhere"\nseeds = [1]\ncontrast = ["a", "b"]\n'
        'order = { preset = "smoke" }\n'
        '[[arms]]\nname = "a"\nplan = "standard-kd"\n[[arms]]\nname = "b"\nplan = "answer-first"\n',
        "utf-8",
    )
    assert read_grid_file(file).project == "elsewhere"
    written = tmp_path / "written.toml"
    harder = read_grid_file(file).model_copy(update={"puzzles": PuzzleSet(queries=6, heldout=6)})
    arm = harder.arms[0].model_copy(update={"order": {"student": 'a "quoted" \\ é', "rank": 4}, "system": "s"})
    harder = harder.model_copy(update={"arms": (arm, harder.arms[1]), "budget": grid.budget})
    for one in (grid, harder):
        written.write_text(write_grid_text(one), "utf-8")
        assert read_grid_file(written) == one, "what the page writes is what the command reads"
    assert "plan = &quot;answer-first&quot;" in _Handlers(students).command("p", entered())
    _Handlers(students).start_file("p", str(file))
    wait(students, "filed")
    assert {arm.arm for arm in students.study.read(students.study.find("p", "filed")).result.arms} == {"a", "b"}
