"""The playground asks: teachers are heard as they write, students beside them, and hung up on when nobody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from app.cli.asking import _print
from app.services import Services, open_services
from app.usecases.playground.answers import MOST_QUERY, PlayService
from app.usecases.playground.panes import Pane
from app.web.pages.playground import _Handlers
from engine.config import ProjectConfig
from engine.errors import InputError, StateError
from engine.tasks import get_task
from engine.values import Job, JobStatus, TeacherSpec, make_query
from storage.projects import Project
from tests.app.forms import enter_question
from tests.fakes.provider import KEY, Provider, run_provider
from tests.fakes.waiting import until

QUERY = make_query("Who is the tallest?")
REASON = "Tom is taller than Ann, and Ann is taller than Sam; so it is Tom who is the tallest of the three."


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider(piece_s=0.04, answer=lambda user: "Tom", reason=lambda label: REASON) as running:
        yield running


@pytest.fixture
def services(tmp_path: Path, provider: Provider) -> Iterator[Services]:
    with open_services(tmp_path) as services:
        made = services.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        for name, protocol, url in (("ann", "openai", f"{provider.url}/v1"), ("mia", "mistral", provider.url)):
            spec = TeacherSpec(name, protocol, "m", url, key_variable="PLAY_KEY", timeout_s=10.0)
            services.context.projects.put_teacher(made.id, spec)
        services.label.add_scripted_teachers(made.id)
        services.play.connections.keys.put("PLAY_KEY", KEY)
        yield services


def project_of(services: Services) -> Project:
    return services.context.projects.get("p")


def ask(services: Services, *names: str) -> Iterator[list[Pane]]:
    return services.play.ask(project_of(services), QUERY, [f"teacher {name}" for name in names])


def job_of(services: Services) -> Job:
    return services.context.jobs.jobs_of(project_of(services).id)[0]


def ended(services: Services) -> Job:
    end = time.monotonic() + 20
    while not (job := job_of(services)).status.over:
        assert time.monotonic() < end
        time.sleep(0.05)
    return job


@pytest.mark.parametrize("name", ["ann", "mia"])
def test_a_hosted_teacher_is_read_as_it_writes(services: Services, name: str) -> None:
    seen = [pane for (pane,) in ask(services, name)]
    texts = list(dict.fromkeys(pane.text for pane in seen if pane.text))
    assert len(texts) >= 4, "it grows"
    assert all(REASON.startswith(text) for text in texts[:-2]), "a person reads the rationale, not its JSON"
    assert all(longer.startswith(shorter) for shorter, longer in pairwise(texts))
    assert texts[-1] == f"{REASON}\nAnswer: Tom"
    assert [pane.over for pane in seen].count(True) == 1 and seen[-1].over and not seen[-1].message
    assert seen[-1].tokens == 20 and seen[-1].seconds and seen[-1].seconds > 0.3
    ended(services)
    assert not services.play.heard


def test_an_endpoint_is_probed_before_it_is_played_with(services: Services, provider: Provider) -> None:
    provider.refuses, provider.piece_s = ("json_schema",), 0.0
    *_, last = ask(services, "ann")
    assert last[0].text.endswith("Answer: Tom")
    ended(services)
    asked = len(provider.seen)
    *_, last = ask(services, "ann")
    assert last[0].text.endswith("Answer: Tom") and len(provider.seen) == asked + 1


@pytest.mark.parametrize("how", ["stop", "closed tab"])
@pytest.mark.parametrize("writes", ["in pieces", "whole"])
def test_who_stops_or_looks_away_hangs_up(services: Services, provider: Provider, how: str, writes: str) -> None:
    provider.piece_s = 0.0
    *_, _ = ask(services, "ann")  # so that it is probed
    provider.piece_s, provider.streams, asked = 0.2, writes == "in pieces", len(provider.seen)
    provider.latency_s = 0.0 if provider.streams else 8.0
    left = Event()
    panes = services.play.ask(project_of(services), QUERY, ["teacher ann"], left)
    until(lambda: bool(next(panes)[0].text) if provider.streams else bool(next(panes)) and len(provider.seen) > asked)
    if how == "stop":
        left.set()
        *_, (pane,) = panes
        assert pane.over and not pane.whole and pane.message == "stopped" and REASON.startswith(pane.text)
    panes.close()
    began = time.monotonic()
    ended(services)
    assert time.monotonic() - began < 4, "the whole answer would have taken longer"
    row = services.context.db.rows("SELECT * FROM attempts WHERE job_id = ?", [job_of(services).id])[-1]
    assert row["error"] == "connection" and row["cost"] is None and "may have been billed" in row["message"]
    until(lambda: provider.streaming == 0)


def test_a_page_that_waits_is_sent_again_so_that_a_closed_tab_is_noticed(
    services: Services, provider: Provider
) -> None:
    provider.latency_s, provider.piece_s = 1.2, 0.0
    assert len(list(ask(services, "ann"))) >= 4, "first, each second, last"


def test_a_teacher_is_played_with_once_however_many_draws_it_has(services: Services, provider: Provider) -> None:
    project, provider.piece_s = project_of(services), 0.0
    spec = next(spec for spec in services.context.projects.teachers(project.id) if spec.name == "ann")
    services.context.projects.put_teacher(project.id, replace(spec, draws=3))
    *_, _ = ask(services, "ann")
    ended(services)
    assert len([seen for seen in provider.seen if "tallest" in seen.user]) == 1


def blindly(services: Services) -> list[list[Any]]:
    text = get_task("custom").render(QUERY)
    return list(_Handlers(services).ask("p", enter_question(text, "teacher ann", "teacher mia", blind=True)))


def test_blind_mode_lets_nobody_vote_on_a_piece_nor_tells_who_it_is(services: Services, provider: Provider) -> None:
    provider.piece_s = 0.0
    *_, (_, held, row, _, _, _) = blindly(services)
    assert [held[1]["name"], held[2]["name"]] in (["ann", "mia"], ["mia", "ann"]) and row.visible
    provider.faults["tallest"] = ["429"] * 2 + ["broken off"] * 9
    said = blindly(services)
    *_, (last, held, row, _, _, _) = said
    assert held == [] and not row.visible and "gave no whole answer" in last
    shown = "".join(str(page[0]) for page in said)
    assert not [word for word in ("ann", "mia", "rate_limit", "slow down", "broke off") if word in shown]


def test_an_answer_that_breaks_off_is_told_and_asked_for_again(services: Services, provider: Provider) -> None:
    *_, _ = ask(services, "ann")
    provider.faults["tallest"] = ["broken off"]
    seen = [pane for (pane,) in ask(services, "ann")]
    assert any("broke off" in pane.message and not pane.over for pane in seen)
    assert seen[-1].over and seen[-1].text.endswith("Answer: Tom") and not seen[-1].message


def test_one_that_fails_does_not_hold_up_the_other(services: Services, provider: Provider) -> None:
    services.play.connections.keys.put("OTHER", "wrong")
    provider.piece_s = 0.0
    spec = TeacherSpec("bad", "openai", "m", f"{provider.url}/v1", key_variable="OTHER")
    services.context.projects.put_teacher(project_of(services).id, spec)
    *_, (bad, good, scripted) = ask(services, "bad", "mia", "forward")
    assert "auth" in bad.message and not bad.text and bad.over
    assert good.text.endswith("Answer: Tom") and not good.message
    assert "does not know this query" in scripted.message


def test_a_student_that_is_being_loaded_does_not_hold_up_teachers(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Event()

    def load(self: PlayService, *values: Any) -> Iterator[Pane]:
        assert loaded.wait(20)
        yield Pane("stage1", "Tom", over=True)

    monkeypatch.setattr(
        PlayService, "systems", lambda self, project: {"stage1": "student r stage1", "ann": "teacher ann"}
    )
    monkeypatch.setattr(PlayService, "_ask_student", load)
    grew = 0
    for student, teacher in services.play.ask(project_of(services), QUERY, ["student r stage1", "teacher ann"]):
        grew += bool(teacher.text and not teacher.over and not student.over)
        if teacher.over:
            loaded.set()
    assert grew >= 3 and student.text == "Tom" and teacher.text.endswith("Answer: Tom")


def test_who_stops_while_others_have_the_students_does_not_wait_for_them(services: Services) -> None:
    threads = threading.active_count()
    with services.play.resident.turn:
        for _ in range(5):
            with pytest.raises(StateError, match="stopped"):
                list(services.play.resident.ask({}, lambda: "stopped"))
        assert services.play.resident.process is None
    assert threading.active_count() <= threads + 1


def test_what_goes_wrong_with_a_student_is_not_swallowed(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: PlayService, *values: Any) -> Iterator[Pane]:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(PlayService, "systems", lambda self, project: {"stage1": "student r stage1"})
    monkeypatch.setattr(PlayService, "_ask_student", fail)
    with pytest.raises(ZeroDivisionError):
        list(services.play.ask(project_of(services), QUERY, ["student r stage1"]))


@pytest.fixture
def with_a_student(monkeypatch: pytest.MonkeyPatch) -> None:
    """A student can be asked beside the teacher ann."""
    systems = {"stage1": "student r stage1", "ann": "teacher ann"}
    monkeypatch.setattr(PlayService, "systems", lambda self, project: systems)


def take_the_device(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job("j", "p", None, "student", JobStatus.RUNNING, {}, "")
    monkeypatch.setattr(type(services.context.watch), "holder", lambda self: job)


@pytest.mark.usefixtures("with_a_student")
def test_a_taken_device_is_told_once_and_before_anybody_is_asked(
    services: Services, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = _Handlers(services)
    both, alone = ["student r stage1", "teacher ann"], ["teacher ann"]
    said, ask_button = do.state("p", both, None)
    assert said == "" and ask_button.interactive
    take_the_device(services, monkeypatch)
    said, ask_button = do.state("p", both, None)
    assert "taken by a job (student)" in said and not ask_button.interactive
    with pytest.raises(StateError, match="taken by a job"):
        next(do.ask("p", enter_question("Who is the tallest?", *both)))
    assert not provider.seen, "nobody is asked, so nothing is paid"
    said, ask_button = do.state("p", alone, None)
    assert said == "" and ask_button.interactive, "teachers need no device"
    assert do.rest("p", both)[-1].active, "the page looks when the job is over"


def test_while_somebody_is_asked_the_button_stays_as_it_is(services: Services) -> None:
    _, button = _Handlers(services).state("p", ["teacher ann"], Event())
    assert not hasattr(button, "interactive")


@pytest.mark.parametrize("length", [MOST_QUERY + 1, 3_000_000])
def test_a_query_that_is_too_long_is_refused_and_ask_comes_back(services: Services, length: int) -> None:
    do = _Handlers(services)
    with pytest.raises(InputError, match="longer than 8,000 characters"):
        next(do.ask("p", enter_question("x" * length, "teacher ann")))
    said, ask_button, stop, left, _ = do.rest("p", ["teacher ann"])
    assert said == "" and ask_button.interactive and not stop.visible and left is None


def test_a_query_of_just_the_limit_is_asked(services: Services, provider: Provider) -> None:
    provider.piece_s = 0.0
    assert services.play.read_query(project_of(services), "x" * MOST_QUERY).text


@pytest.mark.parametrize(("ids", "told"), [([], "Choose one to 6"), ([f"teacher {n}" for n in range(7)], "Choose one")])
def test_who_is_asked_is_chosen_first(services: Services, ids: list[str], told: str) -> None:
    said, button = _Handlers(services).state("p", ids, None)
    assert told in said and not button.interactive


def test_where_nobody_can_be_asked_the_page_says_why(services: Services) -> None:
    services.data.create_project(ProjectConfig(name="empty", task="custom", embedder="packaged"))
    said, button = _Handlers(services).state("empty", [], None)
    assert said == "" and not button.interactive
    *_, some, before = _Handlers(services).open(services.context.projects.get("empty"))
    assert not some.interactive, "there is no query to take"
    assert "Nobody can be asked yet" in before and "href='/train?project=empty'" in before
    assert "href='/teachers?project=empty'" in before


def test_an_answer_is_marked_by_the_gold_label_once_it_is_whole(services: Services, provider: Provider) -> None:
    provider.piece_s = 0.0
    services.data.add_queries(project_of(services).id, [QUERY], {QUERY.id: "Ann"})
    *before, (ann, scripted) = ask(services, "ann", "forward")
    assert ann.right is False and ann.label == "Tom" and scripted.right is None, "only whole answers are judged"
    assert not [pane for panes in before for pane in panes if pane.right is not None]
    *_, (page, _, _, _, _, _) = list(_Handlers(services).ask("p", enter_question(QUERY.text, "teacher ann")))
    assert ">Wrong<" in page and "Gold label: Ann" in page


def test_a_link_fills_the_query_once_and_leaves_what_is_typed(services: Services) -> None:
    services.data.add_queries(project_of(services).id, [QUERY], {})
    do = _Handlers(services)
    text, _, filled = do.open_link("p", f"?project=p&open={QUERY.id}", "")
    assert text == QUERY.text and filled == QUERY.id
    left, _, filled = do.open_link("p", f"?project=p&open={QUERY.id}", filled)
    assert not isinstance(left, str), "jobs that run do not put it back"


def test_a_command_asks_who_is_named_and_tells_what_each_said(
    services: Services, capsys: pytest.CaptureFixture[str]
) -> None:
    project = project_of(services)
    assert services.play.named(project, ["mia", "ann"]) == ["teacher mia", "teacher ann"]
    assert len(services.play.named(project, [])) == 4, "as the page chooses them"
    with pytest.raises(InputError, match="nobody is called 'bob'; there are ann, eliminate"):
        services.play.named(project, ["ann", "bob"])
    panes = list(services.play.ask(project, QUERY, services.play.named(project, ["ann"])))[-1]
    _print([*panes, Pane("[red]bob", "9\x1b[2J", 5, 0.25, 0.0021, over=True, whole=True, right=False)])
    told = capsys.readouterr().out
    assert "ann (" in told and REASON in " ".join(told.split()) and "Tom" in told
    assert "[red]bob (5 tokens, 0.2 s, $0.0021, wrong)" in told and "\x1b[2J" not in told
