"""While a run has the device, students answer all the same: from the record, or beside the run."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from app.hosted_demo.shipped_project import NAME, bring_shipped
from app.services import Services, open_services
from app.usecases.playground import process, stand_in
from app.usecases.playground.answers import PlayService
from app.usecases.playground.panes import Pane
from app.usecases.playground.process import StudentProcess
from app.usecases.playground.stand_in import BESIDE, FROM_RECORD, MEANWHILE, make_spare
from app.web.pages.playground import _Handlers
from engine.errors import StateError
from engine.values import Job, JobStatus, Query, Split, make_query
from storage.projects import Project
from tests.app.forms import enter_question

NEW = make_query("Who is the tallest of Ann, Tom and Sam, if Tom is?")
ANSWER = {"over": True, "text": "So. Answer: Tom", "tokens": 9, "seconds": 0.1, "finished": True}


@dataclass
class FakeProcess:
    """A student's process; with `gives_way` a run takes the device while it answers."""

    gives_way: list[str] | None = None
    alive: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, request: dict[str, Any], hindered: Any) -> Generator[dict[str, Any]]:
        if reason := hindered():
            raise StateError(reason)
        self.asked.append(request)
        yield {"text": "So."}
        if self.gives_way is not None:
            self.gives_way.append("student")
            raise StateError("The playground gave way to a run; ask again when that is over.")
        yield ANSWER


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with open_services(tmp_path_factory.mktemp("standing") / "workspace") as opened:
        bring_shipped(opened, NAME)
        yield opened


@pytest.fixture
def holding(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the jobs that hold the device; none at first."""
    kinds: list[str] = []
    find = lambda self: Job("j", "p", None, kinds[0], JobStatus.RUNNING, {}, "") if kinds else None  # noqa: E731
    monkeypatch.setattr(type(services.context.watch), "holder", find)
    return kinds


def project_of(services: Services) -> Project:
    return services.projects.get(NAME)


def play(services: Services, **processes: FakeProcess) -> PlayService:
    """The playground with fakes for its processes."""
    return replace(services.play, **{"resident": FakeProcess(), "spare": FakeProcess(), **processes})  # type: ignore[arg-type]


def student(services: Services, brief: str) -> str:
    systems = services.play.systems(project_of(services))
    return next(id_ for name, id_ in systems.items() if name.startswith(brief))


def held_out(services: Services) -> Query:
    found = services.context.queries.pick(project_of(services).id, Split.HELDOUT, 0.5)
    assert found is not None
    return found


def ask(services: Services, playing: PlayService, query: Query, *ids: str) -> list[Pane]:
    *_, last = playing.ask(project_of(services), query, ids)
    return last


@pytest.mark.parametrize("brief", ["stage3", "stage1", "vanilla"])
def test_what_was_evaluated_is_told_from_the_record(services: Services, holding: list[str], brief: str) -> None:
    holding.append("student")
    query, playing, id_ = held_out(services), play(services), student(services, brief)
    _, run, step = id_.split(" ", 2)
    systems = {scored.system: scored.name for scored in services.context.runs.get(run).plan.evaluated}
    wrote = services.context.runs.generations(run, systems[step or "vanilla"])[query.id]
    (pane,) = ask(services, playing, query, id_)
    assert (pane.text, pane.tokens, pane.seconds) == (wrote.text, wrote.tokens, wrote.latency_s)
    assert pane.message == FROM_RECORD and pane.over and pane.whole and pane.right is not None
    assert not playing.resident.asked and not playing.spare.asked  # type: ignore[attr-defined]


def test_a_new_query_is_answered_beside_the_run_and_that_is_said(services: Services, holding: list[str]) -> None:
    holding.append("student")
    playing = play(services)
    told = list(playing.ask(project_of(services), NEW, [student(services, "stage3")]))
    assert all(pane.message in ("", BESIDE) for (pane,) in told)
    (pane,) = told[-1]
    assert pane.text == ANSWER["text"] and pane.whole and pane.message == BESIDE
    assert len(playing.spare.asked) == 1 and not playing.resident.asked  # type: ignore[attr-defined]


def test_a_run_that_takes_the_device_meanwhile_cuts_nobody_off(services: Services, holding: list[str]) -> None:
    playing = play(services, resident=FakeProcess(holding))
    (pane,) = ask(services, playing, NEW, student(services, "stage3"))
    assert holding and pane.text == ANSWER["text"] and pane.message == BESIDE and pane.whole
    holding.clear()
    (pane,) = ask(services, playing, held_out(services), student(services, "stage3"))
    assert pane.message == FROM_RECORD


def test_with_the_device_free_the_students_themselves_answer(services: Services, holding: list[str]) -> None:
    playing = play(services)
    (pane,) = ask(services, playing, held_out(services), student(services, "stage3"))
    assert pane.text == ANSWER["text"] and not pane.message and not playing.spare.asked  # type: ignore[attr-defined]


def test_a_large_student_answers_from_the_record_only(
    services: Services, holding: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in, "is_packaged", lambda model: False)
    holding.append("student")
    playing, id_ = play(services), student(services, "stage3")
    (pane,) = ask(services, playing, held_out(services), id_)
    assert pane.message == FROM_RECORD
    with pytest.raises(StateError, match="taken by a job"):
        ask(services, playing, NEW, id_)
    assert not playing.spare.asked  # type: ignore[attr-defined]


def test_the_page_says_who_answers_and_lets_ask(services: Services, holding: list[str]) -> None:
    do, id_ = _Handlers(services), student(services, "stage3")
    said, button = do.state(NAME, [id_], None)
    assert said == "" and button.interactive
    holding.append("student")
    said, button = do.state(NAME, [id_], None)
    assert "taken by a job (student) at this moment" in said and MEANWHILE[:50] in said and button.interactive
    *_, (page, _, _, ask_button, _, _) = do.ask(
        NAME, enter_question(services.play.render(project_of(services), held_out(services).id), id_)
    )
    assert FROM_RECORD in page and ask_button.interactive


def test_the_second_copy_takes_no_device_and_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, str]] = []

    def start(command: list[str], env: dict[str, str], **options: Any) -> Any:
        given.append(env)
        raise OSError("not in this test")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setattr(process.subprocess, "Popen", start)
    for asked in (make_spare(), StudentProcess()):
        with pytest.raises(OSError, match="not in this test"):
            asked._start()
    assert [env["CUDA_VISIBLE_DEVICES"] for env in given] == ["", "3"] and given[0]["TACIT_THREADS"] == "1"
    assert not any("OPENAI_API_KEY" in env for env in given)
