"""Where projects stand at a glance: the list on Home, the overview of one, and what a finished one came to."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.hosted_demo.policy import Own
from app.hosted_demo.shipped_project import NAME
from app.services import Services
from app.usecases.projects import status
from app.usecases.projects.next_steps import next_step, status_of
from app.web.frame import Frame, _following
from app.web.pages.overview import _Handlers
from app.web.parts.projects import say_ago
from app.web.parts.results import example_html, result_html
from app.web.parts.tour import STOPS, tour_html
from engine.config import ProjectConfig
from engine.plans.order import PlanOrder
from engine.plans.titles import title_of
from engine.selection.settings import dcrs
from engine.values import RunStatus, make_query
from storage.projects import Project
from storage.runs import Run


def show(services: Services, project: Project | None) -> str:
    frame = Frame(services, None, None, None, None, "private", Own(services))  # type: ignore[arg-type]
    return _Handlers(frame).show(project)


def put_run(services: Services, status: RunStatus, folder: Path) -> Run:
    """A run of project `p` in some status, that nobody works on."""
    selection = services.context.selections.latest(services.projects.get("p").id)
    plan = services.plan.make("p", PlanOrder(preset="smoke"))
    run = Run(f"run-{time.time_ns()}", selection.project_id, selection.id, plan, str(folder), status, "")
    services.context.runs.add(run)
    return run


def test_the_next_step_and_the_status_follow_the_work(selected: Services, tmp_path: Path) -> None:
    def now(name: str) -> tuple[str, str]:
        row = next(row for row in selected.standing.overview() if row["name"] == name)
        return row["status"], row["next"]

    made = selected.data.create_project(ProjectConfig(name="new", task="custom"))
    assert now("new") == ("empty", "Data")
    selected.data.add_queries(made.id, [make_query("one?")], {})
    assert now("new") == ("in progress", "Teachers")
    selected.label.add_scripted_teachers(made.id)
    assert now("new") == ("in progress", "Label")
    assert now("p") == ("in progress", "Train")
    run = put_run(selected, RunStatus.RUNNING, tmp_path)
    assert now("p") == ("running", "Train")
    selected.context.runs.set_status(run.id, RunStatus.WAITING)
    assert now("p") == ("waits for you", "Compress")
    selected.context.runs.set_status(run.id, RunStatus.STOPPED)
    assert now("p") == ("stopped", "Train")
    selected.context.runs.set_status(run.id, RunStatus.FINISHED)
    assert now("p") == ("in progress", "Evaluate")
    selected.context.projects.archive(made.id, True)
    assert [row["status"] for row in selected.standing.overview(True)] == ["archived"]


def test_what_changed_last_comes_first_and_is_searched_and_paged(
    selected: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "LISTED", 2)
    for name in ("a", "b", "c"):
        selected.data.create_project(ProjectConfig(name=name, task="custom"))
    old = selected.context.standings.one(selected.projects.get("p").id).changed
    selected.select.overrule(
        "p", [selected.browse.detail("p", selected.browse.page("p").rows[0]["id"]).samples[0]["id"]], "drop"
    )
    assert selected.context.standings.one(selected.projects.get("p").id).changed > old
    first, second = (selected.standing.page(page=page) for page in (1, 2))
    assert [card.standing.name for card in first.cards + second.cards] == ["p", "c", "b", "a"]
    assert (first.total, second.begin) == (4, 2)
    assert selected.standing.page(page=99).begin == 2, "a page that is not there is the last one"
    found = selected.standing.page(search="P")
    assert [card.standing.name for card in found.cards] == ["p"] and found.total == 1


def test_the_overview_counts_what_was_lost_and_says_what_is_stale(selected: Services, tmp_path: Path) -> None:
    project = selected.projects.get("p")
    seen = selected.overview.read(project)
    counts = selected.context.selections.latest(project.id).counts
    levels = {level.title: level for level in seen.levels}
    assert levels["Queries"].count == 18 and levels["Samples"].count == counts["samples"]
    assert levels["Kept"].count == counts["kept"] and levels["Stages"].more == "no run yet"
    assert seen.stale == [] and (seen.following.page, seen.scored, seen.sure) == ("Train", False, False)
    put_run(selected, RunStatus.FINISHED, tmp_path)
    assert {"Short rationales", "Stage 1", "Stage 2", "Stage 3"} <= {
        n.title for n in selected.overview.read(project).levels
    }
    selected.select.select("p", dcrs(threshold=0.5))
    (newer,) = selected.overview.read(project).stale
    assert "Run 1" in newer.text and newer.path == "/train"
    sample = next(iter(selected.context.samples.known_ids(project.id)))
    selected.context.samples.set_keys(project.id, {sample: "another"})
    told = selected.overview.read(project).stale
    assert [one.path for one in told] == ["/select", "/train"]
    drawn = show(selected, project)
    assert "Select again" in drawn and "/select?project=p" in drawn and "No result yet" in drawn


def test_the_overview_of_the_demo_says_what_evaluate_says(shipped: Services) -> None:
    project = shipped.projects.get(NAME)
    drawn = show(shipped, project)
    run = shipped.reading.runs_of(project.id)[0]
    verdict = shipped.compare.verdict(run)
    assert (
        verdict is not None
        and verdict.ship
        and f"Ship {title_of(verdict.ship)}" in drawn
        and f"n = {verdict.n:,}" in drawn
    )
    links = re.findall(r"href='(/[a-z]+)\?project=demo'", drawn)
    assert {"/data", "/label", "/select", "/compress", "/evaluate", "/save"} <= set(links)
    assert "button primary' href='/save?project=demo'" in drawn
    assert show(shipped, None).count("Create one") == 1


def test_the_head_of_a_page_says_next_of_nothing_but_what_the_rule_says(shipped: Services) -> None:
    project = shipped.projects.get(NAME)
    marks, due = shipped.standing.marks(project), shipped.standing.next_of(project)
    assert due is not None and due == shipped.overview.read(project).following
    heads = {mark.name: _following(marks, mark.name, NAME, due) for mark in marks}
    said = {name: link.text for name, link in heads.items() if link}
    assert all(text == f"Next: {due.page}" for name, text in said.items() if name != due.page)
    assert said["Overview"] == f"Next: {due.page}" and not said[due.page].startswith("Next")
    assert _following(marks, "Home", "", due) is None and shipped.standing.next_of(None) is None


def test_while_a_job_runs_the_verdict_stays_as_it_was(shipped: Services) -> None:
    project = shipped.projects.get(NAME)
    before = shipped.overview.read(project)
    shipped.context.submit(project.id, "student", {"steps": []})
    seen = shipped.overview.read(project)
    assert (seen.verdict, seen.reason, seen.stale) == (before.verdict, before.reason, before.stale)


def test_a_result_is_reckoned_from_the_report(shipped: Services) -> None:
    result = shipped.results.showcase("nobody's")
    assert result is not None and result.project == NAME and result.ships and result.teacher is not None
    student, teacher = result.student.report, result.teacher.report
    drawn = result_html(result)
    assert f"<b>{student.accuracy:.2f}</b>" in drawn and f"best teacher {teacher.accuracy:.2f}" in drawn
    assert f"1/{teacher.mean_output_tokens / student.mean_output_tokens:.0f} of its tokens" in drawn
    assert "assumed" in drawn and "nobody is charged" not in drawn
    assert drawn.count("class='point") == len(result.systems)
    shipped.carry.archive(NAME)
    assert shipped.results.showcase(NAME) is None


def test_an_example_is_one_that_both_got_right(shipped: Services) -> None:
    result = shipped.results.find(shipped.projects.get(NAME))
    assert result is not None
    example = shipped.results.example(result)
    assert example is not None and example.short_tokens < example.long_tokens
    gold = shipped.context.queries.find_gold(result.run.project_id, example.query.id)
    assert gold is not None and f"Answer: {gold}" in example.short and f"Answer: {gold}" in example.long
    assert example.query.text in example_html(example)


def test_the_tour_goes_through_six_pages_and_can_be_left_at_each(shipped: Services) -> None:
    for number, stop in enumerate(STOPS, 1):
        bar = tour_html(number, stop.page, NAME)
        assert f"stop {number} of 6" in bar and ("Skip the tour" in bar or number == 6)
        assert (f"tour={number - 1}" in bar) is (number > 1) and (f"tour={number + 1}" in bar) is (number < 6)
    assert (
        tour_html(1, "Select", NAME) == "" and tour_html(0, "Label", NAME) == "" and tour_html(7, "Label", NAME) == ""
    )


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=4), "4 days ago"),
        (timedelta(days=40), "on 1 May 2026"),
    ],
)
def test_how_long_ago_is_said_in_the_unit_that_fits(ago: timedelta, said: str) -> None:
    now = datetime(2026, 6, 10, 12, tzinfo=UTC)
    assert say_ago((now - ago).replace(tzinfo=None), now) == said


def test_a_project_with_a_student_not_worth_shipping_is_looked_at_first(shipped: Services) -> None:
    standing = shipped.context.standings.one(shipped.projects.get(NAME).id)
    assert status_of(standing) == "finished"
    assert [next_step(standing, ships).page for ships in (True, False)] == ["Save", "Evaluate"]
