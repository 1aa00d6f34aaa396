"""A pilot by its use case: what it asks, under which cap, and what is told of it where half of it failed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.cli.teachers import _PILOT_HELP
from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.usecases.labelling.pilot_lines import bound_rows, list_changes, list_notes, pilot_dict, say_one_in, say_reason
from app.usecases.labelling.pilots import Pilot
from app.web.forms import Entered
from app.web.pages.label import _Handlers
from app.web.parts.pilot import pilot_html
from engine.config import ProjectConfig
from engine.errors import WorkerFailed
from engine.evaluation.go_ahead import PilotVerdict
from engine.selection.settings import dcrs
from engine.values import Choice, make_query
from tests.app.test_guides import frame_of
from tests.fakes.provider import KEY, Provider, run_provider

CHOICES = (Choice("A", "x"), Choice("B", "y"), Choice("C", "z"))
PRICES = {"input_price": 3.0, "output_price": 15.0}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with open_services(workspace) as opened:
        yield opened


def make(services: Services, queries: int, golds: int = 0) -> None:
    project = services.data.create_project(ProjectConfig(name="p", task="choice"))
    made = [make_query(f"query {n}?", CHOICES) for n in range(queries)]
    services.data.add_queries(project.id, made, {query.id: "B" for query in made[:golds]})


def add(services: Services, provider: Provider, *names: str, **changes: Any) -> None:
    for name in names:
        values = {"name": name, "provider": "openai", "model": f"m-{name}", "endpoint": f"{provider.url}/v1"}
        services.teachers.add("p", {**values, "key_variable": "LOOPBACK_KEY", "concurrency": 4, **PRICES, **changes})


def pilot(services: Services, **order: Any) -> Pilot:
    job = services.label.start("p", services.pilot.order("p", LabelOrder(**order)))
    with suppress(WorkerFailed):
        services.context.wait(job.id)
    found = services.pilot.look("p")
    assert found is not None
    return found


def test_a_pilot_asks_fifty_queries_out_of_all_under_a_cap_and_says_go(services: Services, provider: Provider) -> None:
    make(services, 70, golds=70)
    add(services, provider, "ann", "bob")
    order = services.pilot.order("p", LabelOrder())
    assert (order.limit, order.max_cost) == (50, Decimal("1.00"))
    assert services.pilot.order("p", LabelOrder(max_cost=Decimal("0.2"))).max_cost == Decimal("0.2")
    found = pilot(services)
    assert found.figures.queries == 50 and found.figures.asked == 100 and found.cap == Decimal("1.00")
    asked = {int(seen.user.split("query ")[1].split("?")[0]) for seen in provider.seen if "query " in seen.user}
    assert len(asked) == 50 and max(asked) > 60, "evenly out of all, not the first ones"
    right = found.go_ahead.of("right")
    assert right.value is not None and right.value.value == 1 and right.verdict is PilotVerdict.GO
    assert found.figures.cost is not None and found.spent == pytest.approx(found.figures.cost.value * 50 / 70)
    assert found.left and services.pilot.look("p") == found
    again = len(provider.seen)
    pilot(services)
    assert len(provider.seen) == again, "what is there is not asked again"


def test_scores_below_the_threshold_are_told_and_another_preset_is_judged_anew(
    services: Services, provider: Provider
) -> None:
    make(services, 24, golds=24)
    add(services, provider, "ann", "bob")
    found = pilot(services)
    assert found.go_ahead.verdict is PilotVerdict.NOT_YET and "no sample is kept" in say_reason(found)
    assert "lower threshold" in list_changes(found)[0] and "Pilot: not yet" in pilot_html(found, "p")
    services.context.projects.configure(services.context.projects.get("p").id, embedder="packaged")
    services.select.select("p", dcrs(0.9).model_copy(update={"rules": dcrs(0.9).rules[:2]}))
    go = services.pilot.look("p")
    assert go is not None and go.go_ahead.verdict is PilotVerdict.GO and not list_changes(go)
    assert "right for 1.00 [0.86, 1.00] of 24 queries" in say_reason(go) and "nearly all samples" in say_reason(go)
    card = pilot_html(go, "p")
    assert "Pilot: go" in card and "class='verdict'" in card and "tacit label p --pilot --quote" in card
    told = pilot_dict(go)
    assert told["verdict"] == "go" and json.dumps(told)


def test_where_half_of_it_failed_it_says_that_and_nothing_against_the_teachers(
    services: Services, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(services, 30, golds=30)
    with run_provider() as other:
        add(services, provider, "ann")
        monkeypatch.setenv("OTHER_API_KEY", "another")
        add(services, other, "bob", key_variable="OTHER_API_KEY")
        found = pilot(services)
    assert found.go_ahead.verdict is PilotVerdict.NOT_YET
    reason = say_reason(found)
    assert reason.startswith("Half of the pilot failed: 30 of 60 requests brought no reply (key refused: 30)")
    assert found.failures == {"auth": 30}, "what it was not asked after its key was refused counts"
    assert "bob replied to 0 of 30" in list_changes(found)[0]
    assert found.figures.teachers[0].replied == 30


def test_a_cap_that_ends_it_is_told(services: Services, provider: Provider) -> None:
    make(services, 60)
    add(services, provider, "ann", "bob", concurrency=1, max_tokens=64)
    found = pilot(services, max_requests=21)
    assert found.go_ahead.verdict is PilotVerdict.NOT_YET
    assert "stopped at its cap" in say_reason(found) and "with a higher cap" in list_changes(found)[0]


def test_recorded_teachers_are_judged_without_asking_and_one_alone_can_not_be(
    services: Services, tmp_path: Path
) -> None:
    make(services, 40)
    assert services.pilot.look("p") is None and not services.pilot.can_ask("p")
    rows = [
        {"query": f"query {n}?\nA) x\nB) y\nC) z", "teacher": name, "rationale": "so", "answer": "ABC"[n * step % 3]}
        for n in range(40)
        for name, step in (("one", 1), ("two", 2))
    ]
    ids = {q.text: q.id for q in services.context.queries.get(services.context.projects.get("p").id)}
    for row in rows:
        row["query_id"] = ids[str(row.pop("query")).split("\n")[0]]

    def bring(*names: str) -> Pilot:
        file = tmp_path / "old.jsonl"
        file.write_text("\n".join(json.dumps(row) for row in rows if row["teacher"] in names))
        services.context.wait(services.data.import_outputs("p", file).job_id)
        found = services.pilot.look("p")
        assert found is not None
        return found

    alone = bring("one")
    assert alone.go_ahead.verdict is PilotVerdict.NOT_YET and "no gold labels" in say_reason(alone)
    assert "second teacher" in list_changes(alone)[0]
    both = bring("two")
    assert both.go_ahead.verdict is not PilotVerdict.GO and not both.left
    agreed = both.go_ahead.of("agreed").value
    assert agreed is not None and agreed.value == pytest.approx(14 / 40), "a third by chance"
    assert "0.35 [0.2" in say_reason(both) and list_notes(both) == ["Reliability needs three teachers."]
    assert next(row for row in bound_rows(both) if row["figure"] == "Two teachers agree")["go from"] == "0.67"


def test_a_share_in_words() -> None:
    assert [say_one_in(share) for share in (0.2, 0.41, 0.66, 0.5, 0.02, 0.0, 0.97)] == [
        *("1 in 5", "2 in 5", "2 in 3", "1 in 2", "1 in 50", "none", "1 in 1"),
    ]


def test_the_command_judges_what_is_stored_and_asks_nobody(workspace: Path, tmp_path: Path) -> None:
    rows = [
        {"query_id": f"q{n}", "teacher": teacher, "rationale": "so", "answer": "B"}
        for n in range(24)
        for teacher in ("one", "two", "three")
    ]
    file = tmp_path / "old.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    with open_services(workspace) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="choice"))
        services.data.add_queries(project.id, [make_query(f"query {n}?", CHOICES, key=f"q{n}") for n in range(24)], {})
        services.context.wait(services.data.import_outputs("p", file).job_id)
    said = CliRunner().invoke(app, ["label", "p", "--pilot", "--json", "--workspace", str(workspace)])
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)["pilot"]
    assert told["verdict"] == "go" and told["figures"]["agreed"]["value"] == 1.0
    assert {bound["name"]: bound["says"] for bound in told["bounds"]}["kept_queries"] == "go"
    shown = CliRunner().invoke(app, ["label", "p", "--pilot", "--quote", "--workspace", str(workspace)]).stdout
    assert "Go: Two teachers give a query the same label in 1.00" in shown and "what the verdict goes by" in shown


def test_no_cap_is_promised_where_a_price_is_unknown(services: Services, provider: Provider) -> None:
    make(services, 4)
    add(services, provider, "ann")
    add(services, provider, "bob", input_price=None, output_price=None)
    page = _Handlers(frame_of(services))

    def told(*teachers: str) -> str:
        return page.show_quote("p", Entered((), lambda values: LabelOrder(teachers)))[0]

    assert services.pilot.order("p", LabelOrder(("ann", "bob"))).max_cost is None
    assert "The price of bob is unknown: a pilot has no cap on money then" in told("ann", "bob")
    assert "no cap on money" not in told("ann")
    assert "at most $1 where all prices are known" in _PILOT_HELP
