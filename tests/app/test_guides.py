"""What a page says where there is nothing to do yet or nobody to ask, and which buttons can be pressed then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.hosted_demo.policy import Own
from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.web.forms import Entered
from app.web.frame import Frame
from app.web.pages.compress import _Handlers as Compress
from app.web.pages.exports import Choice
from app.web.pages.exports import _Handlers as Exports
from app.web.pages.jobs import _sure
from app.web.pages.label import _Handlers as Label
from app.web.pages.projects import _Handlers as Projects
from engine.config import ProjectConfig
from engine.errors import StateError
from engine.values import Split, TeacherSpec, make_query
from storage.projects import Project


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        yield opened


def make(services: Services, queries: int = 0, heldout: int = 0, name: str = "p") -> Project:
    made = services.data.create_project(ProjectConfig(name=name, task="custom", embedder="packaged"))
    asked = [make_query(f"query {n}?") for n in range(queries)]
    asked += [make_query(f"held {n}?", split=Split.HELDOUT) for n in range(heldout)]
    services.data.add_queries(made.id, asked, {})
    return made


def record(services: Services, project: Project, folder: Path, rows: int = 3) -> None:
    lines = [f'{{"query": "query {n}?", "teacher": "old", "rationale": "so", "answer": "B"}}' for n in range(rows)]
    (folder / "old.jsonl").write_text("\n".join(lines))
    services.context.wait(services.data.import_outputs(project.name, folder / "old.jsonl").job_id)


def frame_of(services: Services) -> Frame:
    return Frame(services, None, None, None, None, "private", Own(services))  # type: ignore[arg-type]


def label(services: Services, project: Project | None) -> tuple[str, list[bool]]:
    told, *buttons = Label(frame_of(services)).guide(project)
    return told, [button.interactive for button in buttons]


def test_label_says_what_is_missing_before_it_offers_anything(services: Services) -> None:
    assert label(services, None) == ("", [False] * 7)
    project = make(services)
    told, can = label(services, project)
    assert "no queries to ask yet" in told and "/data?project=p" in told and not any(can)
    services.data.add_queries(project.id, [make_query("one?")], {})
    told, can = label(services, project)
    assert "nobody to ask yet" in told and "/teachers?project=p" in told and not any(can)


def test_label_tells_a_newcomer_what_is_there_and_what_comes_next(services: Services) -> None:
    project = make(services, queries=1, heldout=2)
    services.label.add_scripted_teachers(project.id)
    told, (pilot, start, pause, retry, again, *grades) = label(services, project)
    assert "1 query to distill from, 2 held out; nobody was asked yet" in told and "A pilot measures" in told
    assert pilot and start and not pause and not retry and not again
    assert not any(grades), "there is nothing to grade"


def test_label_of_recorded_teachers_explains_itself(services: Services, tmp_path: Path) -> None:
    project = make(services, queries=5)
    record(services, project, tmp_path)
    told, can = label(services, project)
    assert "nobody to ask here: the teacher is a recording" in told and "3 samples to distill from" in told
    assert "/select?project=p" in told and "/teachers?project=p" in told
    assert not any(can[:4]) and not any(can[5:]), "recordings can't be asked to grade"


def test_a_started_labelling_can_be_paused_and_not_started_twice(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(services, queries=2)
    services.label.add_scripted_teachers(project.id)
    monkeypatch.setattr(type(services.label), "running", lambda self, project: ["a job"])
    _, (pilot, start, pause, *_) = label(services, project)
    assert pause and not start and not pilot
    monkeypatch.undo()
    services.context.wait(services.label.start("p", LabelOrder()).id)
    _, (_, start, pause, retry, again, *_) = label(services, project)
    assert start and not pause and not retry and not again, "nothing failed"
    failed = [{"teacher": "forward", "error": "unparsable", "n": 1}]
    monkeypatch.setattr(type(services.context.failures), "by_kind", lambda self, project_id: failed)
    _, (_, _, _, retry, again, *_) = label(services, project)
    assert retry and again


def projects(services: Services) -> Projects:
    return Projects(frame_of(services))


def fresh(services: Services, project: Project | None) -> tuple[bool, str]:
    button, why = projects(services).afresh(project)
    return button.interactive, why


def test_run_it_yourself_is_offered_only_where_it_works(services: Services, tmp_path: Path) -> None:
    assert fresh(services, None)[0] is False
    empty = make(services, name="empty")
    assert (
        fresh(services, empty) == (False, fresh(services, empty)[1]) and "no queries yet" in fresh(services, empty)[1]
    )
    project = make(services, queries=5)
    assert not fresh(services, project)[0] and "no teachers yet" in fresh(services, project)[1]
    record(services, project, tmp_path)
    assert not fresh(services, project)[0] and "are recordings" in fresh(services, project)[1]
    with pytest.raises(StateError, match="recordings"):
        projects(services).begin_afresh("p")
    assert {found.name for found in services.context.projects.all()} == {"empty", "p"}, "no copy is left behind"
    live = TeacherSpec("ann", "openai", "m", "http://127.0.0.1:1/v1")
    services.context.projects.put_teacher(project.id, live)
    assert fresh(services, project) == (True, "")
    assert projects(services).begin_afresh("p") == "p, run 1"


def can(buttons: list[Any]) -> list[bool]:
    assert all(isinstance(button, gr.Button) for button in buttons)
    return [button.interactive for button in buttons]


def test_a_project_is_archived_or_restored_never_both(services: Services) -> None:
    do = projects(services)
    make(services)
    assert can(do.fits(None)) == can(do.fits("nobody's")) == [False] * 4
    assert can(do.fits("p")) == [True, True, False, True]
    assert can(do.archive("p")[3:]) == [True, False, True, True]
    assert can(do.restore("p")[3:]) == [True, True, False, True]


def chosen(*values: str | None) -> Entered[Choice]:
    return Entered(values, lambda given: Choice(*given))


def test_exports_offers_what_is_there(services: Services) -> None:
    do = Exports(services)
    make(services, queries=2)
    *buttons, why = do.ready("p", chosen(None, None, "set", "adapter", "adapter", None))
    assert can(buttons) == [False] * 4
    assert "the page Select makes the set" in why and "the page Train starts one" in why


def test_exports_of_a_selected_project_offers_the_set_alone(selected: Services) -> None:
    *buttons, why = Exports(selected).ready("p", chosen(None, None, "set", "adapter", "adapter", "me/mine"))
    assert can(buttons) == [True, False, False, False] and "Select" not in why
    *buttons, _ = Exports(selected).ready("p", chosen(None, None, "rows-full", "adapter", "set", "me/mine"))
    assert not any(can(buttons)), "rows and pushing come with a run"


def test_removing_for_good_takes_the_name_once_more() -> None:
    assert [_sure(*typed).interactive for typed in ((None, ""), ("p", ""), ("p", "P"), ("p", " p "))] == [
        False,
        False,
        False,
        True,
    ]


def test_compress_offers_nothing_before_a_rationale_is_open(services: Services) -> None:
    do = Compress(services)
    make(services)
    told, *rest = do.look("p", None, None)
    assert "Open a rationale" in told and can(rest[4:]) == [False] * 5
    _, go_on, rest_on, *buttons, _, _ = do.stay("p", None, "all", 0)
    assert can(buttons) == [False] * 3 and not go_on.visible and not rest_on.visible
