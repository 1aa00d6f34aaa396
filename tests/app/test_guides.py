"""What a page says where there is nothing to do yet or nobody to ask, and which buttons can be pressed then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from app.hosted_demo.policy import Own
from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.web.forms import Entered
from app.web.frame import Frame
from app.web.pages.compress import _Handlers as Compress
from app.web.pages.exports import _Handlers as Exports
from app.web.pages.exports import read_card
from app.web.pages.home import _Handlers as Home
from app.web.pages.jobs import _sure
from app.web.pages.label import _Handlers as Label
from engine.config import ProjectConfig
from engine.errors import StateError
from engine.values import Split, TeacherSpec, make_query
from storage.projects import Project
from tests.app.forms import enter_chosen


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
    assert "1 query to distill from, 2 held out; no samples yet" in told and "A pilot measures what" in told
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


def home(services: Services) -> Home:
    return Home(frame_of(services))


def fresh(services: Services, project: Project | None) -> tuple[bool, str]:
    button, why, _ = home(services).afresh(project)
    return button.interactive, why


def test_try_it_live_is_offered_only_where_it_works(services: Services, tmp_path: Path) -> None:
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
        home(services).begin_afresh("p")
    assert {found.name for found in services.context.projects.all()} == {"empty", "p"}, "no copy is left behind"
    live = TeacherSpec("ann", "openai", "m", "http://127.0.0.1:1/v1")
    services.context.projects.put_teacher(project.id, live)
    can, why = fresh(services, project)
    assert can and "48 queries" in why
    assert home(services).begin_afresh("p") == "p, run 1"


def can(buttons: list[Any]) -> list[bool]:
    assert all(isinstance(button, gr.Button) for button in buttons)
    return [button.interactive for button in buttons]


def pressed(act: str, name: str) -> Any:
    return SimpleNamespace(act=act, id=name)


def test_a_cards_menu_archives_restores_and_asks_before_it_copies(services: Services) -> None:
    do = home(services)
    make(services)
    assert "data-act='archive'" in do.show("", "") and "data-act='restore'" not in do.show("", "")
    said, listed, *_ = do.act("", pressed("archive", "p"))
    assert "p is archived" in said and "data-id='p'" not in listed and "Archived" in listed
    archived = do.show("", "?show=archived")
    assert "data-act='restore'" in archived and "data-act='archive'" not in archived and "Next:" not in archived
    assert "data-id='p'" in do.act("", pressed("restore", "p"))[1]
    _, _, panel, title, chosen, name, duplicate, runs, export, _ = do.act("", pressed("duplicate", "p"))
    assert panel.visible and "Duplicate p" in title and (chosen, name.value) == ("p", "p copy")
    assert [part.visible for part in (name, duplicate, runs, export)] == [True, True, False, False]
    _, _, panel, title, _, name, duplicate, runs, export, _ = do.act("", pressed("export", "p"))
    assert panel.visible and "never a key" in title
    assert [part.visible for part in (name, duplicate, runs, export)] == [False, False, True, True]


def test_an_empty_workspace_leads_to_a_first_project(services: Services) -> None:
    result, door, live, _, source, form = home(services).show_first(None)
    assert "Start with your own queries" in result and door == "" and form.visible
    assert not live.interactive and source == ""
    assert "No projects yet" in home(services).show("", "")
    project = make(services)
    result, *_, form = home(services).show_first(project)
    assert "No result yet" in result and not form.visible


def pushed(*values: Any) -> Entered[dict[str, Any]]:
    names = ("run", "step", "what", "repository", "private")
    return Entered(values, lambda given: dict(zip(names, given, strict=True)))


def test_exports_offers_what_is_there(services: Services) -> None:
    do = Exports(frame_of(services))
    make(services, queries=2)
    said = do.cards("p", enter_chosen(None, None))
    assert "Nothing to take along yet" in said and "/train?project=p" in said and "/select?project=p" in said
    assert "data-take" not in said
    assert can([do.can_push("p", pushed(None, None, "set", "me/mine", True))]) == [False], "pushing comes with a run"
    assert can([do.can_push("p", pushed(None, None, "adapter", None, True))]) == [False]


def test_exports_of_a_selected_project_offers_the_set_alone(selected: Services) -> None:
    said = Exports(frame_of(selected)).cards("p", enter_chosen(None, None))
    assert said.count("data-take='set'") == said.count("data-take") == 2
    assert "No student yet" in said and "/train?project=p" in said and "Select" not in said


def test_a_card_is_shown_without_front_matter_snippet_and_pictures() -> None:
    readme = (
        "---\nbase: x\n---\n\n# p: stage1\n\nOf ![x](http://evil/a.png).\n\n## Load it\n\n```python\nimport os\n```\n"
    )
    shown = read_card(readme + "\n## Licence\n\nMine.\n")
    assert "base: x" not in shown and "import os" not in shown and "# p" not in shown
    assert "### Licence" in shown and "![" not in shown


def test_removing_for_good_takes_the_name_once_more() -> None:
    assert [_sure(*typed)[0].interactive for typed in ((None, ""), ("p", ""), ("p", "P"), ("p", " p "))] == [
        False,
        False,
        False,
        True,
    ]


def test_compress_says_where_rationales_come_from_before_there_are_any(services: Services) -> None:
    do = Compress(services)
    make(services)
    _, empty, banner, _, go_on, body, *_, withdraw, again, restore = do.show_page("p", "", "", None, "")
    assert "Nothing to compress yet" in empty and "href='/train?project=p'" in empty
    assert not banner.visible and not body.visible and can([go_on, withdraw, again, restore]) == [False] * 4
