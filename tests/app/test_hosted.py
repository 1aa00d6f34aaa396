"""The hosted demo: strangers look at one project, play with copies of their own, and can't reach each other's."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from app.hosted_demo import visitors as visiting
from app.hosted_demo.shares import Quotas
from app.hosted_demo.shipped_project import NAME
from app.hosted_demo.visitors import PREFIX, Visitors
from app.services import Services
from app.web.frame import Frame
from app.web.main import build_demo
from app.web.page_cache import Gate
from app.web.server import launch_lean, launch_options
from engine.config import ProjectConfig
from engine.errors import Forbidden, InputError, StateError
from storage.projects import Project
from tests.app.forms import enter_order, enter_question
from tests.fakes.waiting import until

ORDER: list[Any] = [
    *("twt", "smoke", "packaged", "- its own teacher -", False, 1, "", "", "", "", "", ""),
    *("teacher-guided", "likelihood", "", "local", "", False),
]
UNGUARDED = {"load", "tick", "<lambda>"}
"""They ask the policy themselves, or reach no service."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def services(shipped: Services) -> Services:
    return shipped


@pytest.fixture
def visitors(services: Services) -> Visitors:
    made = Visitors(services, Quotas(copies=2), Clock())
    made.prepare()
    return made


def project_of(visitors: Visitors, key: str) -> Project:
    """The copy that a key reaches."""
    found = visitors.find(key)
    assert found is not None and found.name != NAME
    return found


def places(services: Services, visitors: Visitors) -> set[tuple[str, str]]:
    app = build_demo(services, visitors)
    return {(f.fn.__module__.rpartition(".")[2], f.fn.__name__) for f in app.fns.values() if f.fn is not None}


def test_the_shared_project_can_only_be_looked_at(services: Services, visitors: Visitors) -> None:
    found = places(services, visitors)
    assert len(found) > 60
    for module, name in found:
        if name in UNGUARDED:
            continue
        if name in visiting._READS.get(module, ()):
            visitors.check(module, name, [NAME, enter_question("")])
        else:
            with pytest.raises(Forbidden):
                visitors.check(module, name, [NAME, enter_question("")])
    named = {(module, name) for part in (visiting._READS, visiting._WRITES) for module in part for name in part[module]}
    assert named <= found, "what is allowed is there"


def test_every_handler_of_the_demo_asks_the_policy(services: Services, visitors: Visitors) -> None:
    app = build_demo(services, visitors)
    wild = {f.fn.__name__ for f in app.fns.values() if f.fn is not None and not hasattr(f.fn, "__wrapped__")}
    assert wild <= UNGUARDED
    assert {f.api_visibility for f in app.fns.values()} == {"private"}, "no public endpoint reads over all projects"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("teachers", "store"),
        ("teachers", "probe"),
        ("data", "store"),
        ("exports", "push"),
        ("exports", "prepare"),
        ("jobs", "purge"),
    ],
)
def test_even_in_a_copy_no_key_no_upload_no_address_is_taken(visitors: Visitors, module: str, name: str) -> None:
    with pytest.raises(Forbidden):
        visitors.check(module, name, [visitors.copy("a")])


def test_visitors_neither_see_nor_reach_each_others_copies(services: Services, visitors: Visitors) -> None:
    mine, other = visitors.copy("a"), visitors.begin_afresh("a")
    first, second = visitors.resolve(mine), visitors.resolve(other)
    assert len({mine, other, first, second}) == 4 and len(mine) == len(PREFIX) + 32
    assert visitors.find(mine).name == first  # type: ignore[union-attr]
    for guess in ("try-", mine[:-1], "", None, "anything", first):
        assert visitors.find(guess).name == NAME  # type: ignore[union-attr]
        with pytest.raises(Forbidden):
            visitors.check("runs", "cancel", [guess, "run"])
    assert not visitors.sees(NAME, first) and not visitors.sees(second, first) and visitors.sees(first, first)
    runs = services.context.runs.all(services.context.projects.get(first).id)
    with pytest.raises(InputError, match="has no run"):
        services.reading.run_of(second, runs[0].id)
    fresh = services.context.projects.get(second)
    assert services.context.queries.counts(fresh.id) == {"distill": 24, "heldout": 12}
    with pytest.raises(InputError) as told:
        services.context.projects.get("nobody's")
    assert "copy" not in str(told.value)
    frame = Frame(services, None, None, None, None, "private", visitors)  # type: ignore[arg-type]
    marks = visitors.choose_marks(services.standing.marks(fresh))
    assert "/jobs" not in {mark.path for mark in marks} and second not in str([visitors.title(second), marks])
    assert frame.open(first).name == first  # type: ignore[union-attr]
    assert visitors.address(fresh) == other


def test_copies_are_few_and_live_for_a_while(services: Services, visitors: Visitors) -> None:
    clock = visitors.clock
    assert isinstance(clock, Clock)
    first, second = visitors.copy("a"), visitors.begin_afresh("a")
    folders = [Path(run.folder) for run in services.context.runs.all(project_of(visitors, first).id)]
    assert all(folder.is_dir() for folder in folders)
    with pytest.raises(Forbidden, match="full"):
        visitors.copy("a")
    clock.now = 400
    visitors.check("select", "numbers", [second])
    third = visitors.begin_afresh("a")
    assert visitors.find(first).name == NAME, "the one that nobody used made room"  # type: ignore[union-attr]
    assert not any(folder.exists() for folder in folders)
    with pytest.raises(Forbidden, match="is gone"):
        visitors.check("select", "numbers", [first])
    clock.now = 3900
    visitors.check("select", "numbers", [third])
    clock.now = 4050
    names = {key: visitors.resolve(key) for key in (second, third)}
    assert visitors.sweep() == [names[second]]
    for step in range(5, 30):
        clock.now = step * 1000
        if clock.now < 400 + 3 * 3600:
            visitors.check("select", "numbers", [third])
    assert visitors.sweep() == [names[third]]
    assert [project.name for project in services.context.projects.all()] == [NAME]


def test_one_address_does_not_take_all_the_copies(services: Services) -> None:
    clock = Clock()
    visitors = Visitors(services, Quotas(copies=4, copies_each=2), clock)
    visitors.prepare()
    first, second = visitors.begin_afresh("a"), visitors.begin_afresh("a")
    with pytest.raises(Forbidden, match="from your address"):
        visitors.begin_afresh("a")
    assert visitors.find(visitors.begin_afresh("b")).name != NAME  # type: ignore[union-attr]
    clock.now = 400
    with pytest.raises(Forbidden, match="from your address"):
        visitors.begin_afresh("a")
    assert project_of(visitors, first), "nobody else's copy is removed while there is room"
    clock.now = 4000
    assert visitors.begin_afresh("a") not in (first, second)


def test_a_copy_that_can_not_be_removed_keeps_no_other(
    services: Services, visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = visitors.begin_afresh("a"), visitors.begin_afresh("b")
    purge, stuck = type(services.keep).purge, visitors.resolve(first)

    def fail(self: Any, name: str, again: str) -> Any:
        if name == stuck:
            raise OSError("the disk is full")
        return purge(self, name, again)

    monkeypatch.setattr(type(services.keep), "purge", fail)
    visitors.clock.now = 4000  # type: ignore[attr-defined]
    stopped = threading.Event()
    visitors.keep_sweeping(stopped, every_s=0.05)
    until(lambda: visitors.find(second).name == NAME)  # type: ignore[union-attr]
    monkeypatch.undo()
    until(lambda: visitors.find(first).name == NAME)  # type: ignore[union-attr]
    stopped.set()


def test_only_the_smoke_test_trains_and_one_at_a_time(services: Services, visitors: Visitors) -> None:
    mine, other = visitors.copy("a"), visitors.copy("a")
    visitors.check("train", "start", [mine, enter_order(*ORDER)])
    wrong = [(1, "small-student"), (2, "/etc"), (7, "9,9,9"), (8, "512"), (11, "100000"), (13, "other"), (14, "none")]
    wrong += [(15, "elsewhere"), (16, "7")]
    for place, value in wrong:
        with pytest.raises(Forbidden, match="smoke"):
            visitors.check("train", "start", [mine, enter_order(*ORDER[:place], value, *ORDER[place + 1 :])])
    project = project_of(visitors, mine)
    for _ in range(2):
        services.context.submit(project.id, "student", {"steps": []})
    with pytest.raises(Forbidden, match="of yours runs already"):
        visitors.check("train", "start", [mine, enter_order(*ORDER)])
    visitors.quotas = Quotas(waiting=0)
    with pytest.raises(Forbidden, match="waiting for the device"):
        visitors.check("train", "start", [other, enter_order(*ORDER)])


def test_the_demos_own_run_is_too_long_to_be_done_again(services: Services, visitors: Visitors) -> None:
    mine = visitors.copy("a")
    run = services.context.runs.all(project_of(visitors, mine).id)[0]
    for action in ("rerun", "resume"):
        with pytest.raises(Forbidden, match="too long for the demo"):
            visitors.check("runs", action, [mine, run.id, "stage1"])
    with pytest.raises(Forbidden, match="smoke"):
        visitors.check("train", "ask_forecast", [mine, enter_order("twt", "smoke", "some-org/70B-model", *ORDER[3:])])


def test_two_who_press_at_once_start_one_run(visitors: Visitors) -> None:
    mine = visitors.copy("a")
    allowed, order = [], enter_order(*ORDER)

    def press() -> None:
        try:
            visitors.check("train", "start", [mine, order])
            allowed.append(1)
        except Forbidden:
            pass

    threads = [threading.Thread(target=press) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 1


def test_long_texts_uploads_and_large_bodies_are_refused(visitors: Visitors) -> None:
    with pytest.raises(Forbidden, match="20,000 characters"):
        visitors.check("decide", "show_page", [NAME, "x" * 20_001, "", "", ""])
    passed = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["path"])

    async def send(message: Any) -> None:
        assert message.get("status", 413) == 413

    gate = Gate(inner, 100)
    for path, length in (("/queue/join", b"99"), ("/queue/join", b"101"), ("/queue/join", b""), ("/upload", b"9")):
        scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"content-length", length)]}
        asyncio.run(gate(scope, None, send))  # type: ignore[arg-type]
    assert passed == ["/queue/join"]


def test_a_copy_that_goes_while_it_is_looked_at_shows_the_demo_and_nobody_elses(
    services: Services, visitors: Visitors
) -> None:
    first, second = visitors.copy("a"), visitors.copy("a")
    name = visitors.resolve(first)
    services.keep.purge(name, name)
    assert visitors.find(first).name == NAME  # type: ignore[union-attr]
    assert visitors._remove(name) and project_of(visitors, second)


def test_long_queries_and_teachers_are_not_asked_on_the_shared_project(visitors: Visitors) -> None:
    visitors.check("playground", "ask", [NAME, enter_question("short", "student r stage1")])
    with pytest.raises(Forbidden, match="your own copy"):
        visitors.check("playground", "ask", [NAME, enter_question("short", "student r stage1", "teacher forward")])
    with pytest.raises(Forbidden, match="1,000 characters"):
        visitors.check("playground", "ask", [NAME, enter_question("x" * 1001, "student r stage1")])


def test_strangers_are_not_let_into_a_workspace_of_ones_own(services: Services) -> None:
    services.data.create_project(ProjectConfig(name="secret plans", task="custom"))
    with pytest.raises(StateError, match="folder of its own"):
        Visitors(services).prepare()


def test_copies_of_an_earlier_start_are_gone_after_the_next(services: Services, visitors: Visitors) -> None:
    mine = project_of(visitors, visitors.copy("a"))
    services.context.submit(mine.id, "student", {"steps": []})
    again = Visitors(services)
    again.prepare()
    assert [project.name for project in services.context.projects.all()] == [NAME]


def test_the_demo_is_open_to_everybody_but_takes_little() -> None:
    options = launch_options("0.0.0.0", 7860, None, hosted=True)
    assert options["auth"] is None and options["max_file_size"] == "1mb"
    with pytest.raises(InputError, match="open to everybody"):
        launch_options("0.0.0.0", 7860, "a:b", hosted=True)


def test_over_http_a_visitor_gets_a_copy_and_only_that_can_be_changed(services: Services, visitors: Visitors) -> None:
    visitors.quotas = Quotas()
    app = build_demo(services, visitors, "undocumented")
    try:
        client = Client(
            launch_lean(app, launch_options("127.0.0.1", 0, None, hosted=True)), verbose=False, ssl_verify=False
        )
        names = {(f.fn.__module__.rpartition(".")[2], f.fn.__name__): f.api_name for f in app.fns.values() if f.fn}

        def call(module: str, name: str, *values: Any) -> Any:
            return client.predict(*values, api_name=f"/{names[module, name]}")

        rail, *_, note = client.predict(NAME, "", api_name="/load_1")[1:]
        assert "can only be looked at" in note
        assert "demo (read only)" in rail
        copy, fresh = call("welcome", "copy", NAME), call("welcome", "begin_afresh", NAME)
        assert copy.startswith(PREFIX) and fresh.startswith(PREFIX) and copy != fresh
        assert set(visitors._origin.values()) == {"127.0.0.1"}
        name = visitors.resolve(copy)
        query = services.browse.page(name).rows[0]["id"]
        sample = services.browse.detail(name, query).samples[0]["id"]
        client.predict(copy, "", api_name=f"/{names['frame', 'load']}")
        assert "data-open" in call("decide", "show_page", copy, "", "", "", "")[0]
        with pytest.raises(AppError, match="can only be looked at"):
            call("decide", "undo", NAME)
        with pytest.raises(AppError, match="This copy is gone"):
            call("decide", "undo", f"{PREFIX}{'0' * 32}")
        assert "Nothing to undo" in call("decide", "undo", copy)
        services.select.overrule(name, [sample], "drop")
        assert "Undone" in call("decide", "undo", copy)
        with pytest.raises(AppError, match="lacks"):
            call("prompts", "save", fresh, "{{ factors }}", "1")
        with pytest.raises(AppError, match="Choose one"):
            call("playground", "ask", NAME, "short", [], False)
        assert [address for _, address in visitors._rates._recent["queries"]] == ["127.0.0.1"]
    finally:
        app.close()
