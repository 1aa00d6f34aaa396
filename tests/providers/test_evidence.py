"""Log-probs and grades from a provider on loopback to what selection keeps, and what they cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.services import Services, open_services
from app.usecases.labelling import label as labelling
from app.usecases.labelling.grades import GradeOrder
from app.usecases.labelling.label import LabelOrder
from app.usecases.selection.comparison import say_comparison
from engine.config import ProjectConfig
from engine.errors import ConfigError, StateError, WorkerFailed
from engine.selection.settings import GRADES, LOG_PROBS, MAJORITY, NONE
from engine.values import GRADE, LOG_PROB, Choice, Job, JobStatus, make_query
from tests.fakes.provider import KEY, Provider, query_of, run_provider

CHOICES = (Choice("A", "x"), Choice("B", "y"))
PRICES = {"input_price": 3.0, "output_price": 15.0}


def number_of(user: str) -> int:
    """The number of the query that a prompt asks; 0 of any other question."""
    last = query_of(user).split()[-1]
    return int(last) if last.isdecimal() else 0


@pytest.fixture(params=["openai", "mistral"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """Says B; the greater a query's number, the surer it is."""
    with run_provider(protocol=request.param, logprob=lambda user: -1.0 / (1 + number_of(user))) as running:
        yield running


@pytest.fixture
def openai() -> Iterator[Provider]:
    with run_provider() as running:
        yield running


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    monkeypatch.setattr(labelling, "POLL_BATCH_S", 0.05)
    with open_services(workspace) as opened:
        project = opened.data.create_project(ProjectConfig(name="p", task="choice"))
        opened.data.add_queries(project.id, [make_query(f"query {n}?", CHOICES) for n in range(8)], {})
        yield opened


def add(services: Services, provider: Provider, name: str = "ann", project: str = "p", **changes: Any) -> None:
    url = f"{provider.url}/v1" if provider.protocol == "openai" else provider.url
    values = {"name": name, "provider": provider.protocol, "model": "m", "endpoint": url}
    services.teachers.add(project, {**values, "key_variable": "LOOPBACK_KEY", "concurrency": 2, **changes})


def label(services: Services, **order: Any) -> None:
    services.context.wait(services.label.start("p", LabelOrder(**order)).id)


def grade(services: Services, **order: Any) -> Job:
    job = services.grade.start("p", GradeOrder(**order))
    with suppress(WorkerFailed):
        services.context.wait(job.id)
    return services.context.jobs.get_job(job.id)


def known(services: Services, name: str) -> dict[str, float]:
    """What is known of samples by this name, by the query's text."""
    rows = services.context.db.rows(
        "SELECT q.text, e.value FROM evidence e JOIN samples s ON s.id = e.sample_id AND s.project_id = e.project_id "
        "JOIN queries q ON q.id = s.query_id AND q.project_id = s.project_id WHERE e.name = ?",
        [name],
    )
    return {row["text"]: row["value"] for row in rows}


def kept(services: Services, config: Any) -> set[str]:
    stored = services.select.select("p", config)
    rows = services.context.db.rows(
        "SELECT q.text FROM selection_rows r JOIN queries q ON q.id = r.query_id "
        "WHERE r.selection_id = ? AND r.reason LIKE 'kept%'",
        [stored.id],
    )
    return {row["text"] for row in rows}


def sample_ids(services: Services) -> set[str]:
    return {row["id"] for row in services.context.db.rows("SELECT id FROM samples")}


@pytest.mark.parametrize("engine", ["process", "batch"])
def test_log_probs_go_from_the_endpoint_to_what_is_kept(services: Services, provider: Provider, engine: Any) -> None:
    add(services, provider)
    label(services, engine=engine)
    assert known(services, LOG_PROB) == {f"query {n}?": pytest.approx(-1 / (1 + n)) for n in range(8)}
    factors = services.context.db.rows("SELECT factors FROM samples")
    assert all(dict(row["factors"]).keys() == {"reasoning", "answer", "clarity"} for row in factors), "apart from those"
    assert kept(services, LOG_PROBS.config) == {f"query {n}?" for n in range(4, 8)}, "the half that it is surest of"
    assert services.context.samples.count_scored(services.context.projects.get("p").id) == (8, 8)


def test_asking_for_log_probs_changes_no_sample_s_id(services: Services, provider: Provider) -> None:
    add(services, provider)
    label(services)
    asked = [seen.body for seen in provider.seen if "legs" not in seen.user]
    assert all(body["logprobs"] is True for body in asked)
    with_them = sample_ids(services)
    with services.context.db.write() as writer:
        for table in ("samples", "evidence", "capabilities"):
            writer.run(f"DELETE FROM {table}")
    provider.logprob = None
    label(services)
    assert sample_ids(services) == with_them and known(services, LOG_PROB) == {}
    assert "logprobs" not in provider.seen[-1].body, "nobody asks for what does not come"


def test_an_endpoint_that_refuses_the_parameter_labels_all_the_same(services: Services, provider: Provider) -> None:
    provider.refuses = ("logprobs",)
    add(services, provider)
    label(services)
    assert len(sample_ids(services)) == 8 and known(services, LOG_PROB) == {}
    (found,) = [json.loads(row["found"]) for row in services.context.db.rows("SELECT found FROM capabilities")]
    assert found["logprobs"] is False and found["structured"] == "json_schema"


def test_an_endpoint_that_refuses_it_later_is_asked_without(services: Services, provider: Provider) -> None:
    add(services, provider)
    label(services, limit=2)
    provider.refuses = ("logprobs",)
    label(services)
    assert len(sample_ids(services)) == 8 and set(known(services, LOG_PROB)) == {"query 3?", "query 7?"}
    assert {row["error"] for row in services.context.db.rows("SELECT error FROM attempts")} == {None}


def test_what_was_found_before_log_probs_were_known_of_asks_for_none(services: Services, provider: Provider) -> None:
    add(services, provider)
    endpoint = services.teachers.get("p", "ann").endpoint
    with services.context.db.write() as writer:
        older = json.dumps({"structured": "json_schema", "temperature": True, "reasoning": None})
        writer.run("INSERT INTO capabilities VALUES (?, ?, 'm', ?, 1.0)", [provider.protocol, endpoint, older])
    label(services)
    assert len(sample_ids(services)) == 8 and not any("logprobs" in seen.body for seen in provider.seen)
    services.context.wait(services.teachers.test("p", "ann").id)
    found = services.context.ledger.capabilities(provider.protocol, endpoint, "m")
    assert found is not None and found["logprobs"] is True, "testing its connection finds them"


def test_grades_are_quoted_asked_for_once_and_decide(services: Services, openai: Provider) -> None:
    openai.grade = lambda user: ("Good", "Medium", "Poor")[number_of(user) % 3]
    add(services, openai, **PRICES)
    with pytest.raises(StateError, match="nothing to grade"):
        services.grade.start("p")
    label(services)
    (quote,) = services.grade.quote("p")
    assert quote.requests == 8 and quote.cost_high is not None and quote.cost_high > 0
    asked = len(openai.seen)
    assert grade(services).status is JobStatus.FINISHED
    assert len(openai.seen) == asked + 8
    values = (1.0, 0.5, 0.0)
    assert known(services, GRADE) == {f"query {n}?": values[n % 3] for n in range(8)}
    assert kept(services, GRADES.config) == {"query 0?", "query 3?", "query 6?"}
    project = services.context.projects.get("p")
    assert services.grade.standing(project) == [{"teacher": "ann", "samples": 8, "Good": 3, "Medium": 3, "Poor": 2}]
    assert not services.grade.can_grade(project) and services.grade.quote("p")[0].requests == 0
    with pytest.raises(StateError, match="nothing to grade"):
        services.grade.start("p")
    assert len(openai.seen) == asked + 8, "no grade is paid for twice"
    money = {row["purpose"]: row for row in services.context.ledger.totals(project.id)}
    assert money["grade"]["requests"] == 8 and money["grade"]["cost_usd"] > 0 and money["grade"]["unknown_cost"] == 0
    assert services.context.samples.counts(project.id) == [{"teacher": "ann", "samples": 8, "failures": 0}]
    assert "select/grade.v1" in {row["name"] for row in services.context.projects.kept_prompts(project.id)}


def test_a_grade_that_can_not_be_read_is_asked_for_again(services: Services, openai: Provider) -> None:
    add(services, openai)
    label(services)
    openai.faults["query 3?"] = ["prose"]
    grade(services)
    assert len(known(services, GRADE)) == 7 and services.grade.quote("p")[0].requests == 1
    grade(services)
    assert len(known(services, GRADE)) == 8
    errors = services.context.db.rows("SELECT error FROM attempts WHERE purpose = 'grade'")
    assert Counter(row["error"] for row in errors) == {None: 8, "unparsable": 1}
    project = services.context.projects.get("p")
    assert services.answers.failures(project) == [], "no sample is missing by it"


def test_a_cap_ends_grading_and_it_goes_on_later(services: Services, openai: Provider) -> None:
    add(services, openai, **PRICES, max_tokens=100)
    label(services)
    assert grade(services, max_requests=3).status is JobStatus.CAPPED
    assert len(known(services, GRADE)) == 3
    capped = grade(services, max_cost=Decimal("0.0001"))
    assert capped.status is JobStatus.CAPPED and len(known(services, GRADE)) == 3
    grade(services)
    assert len(known(services, GRADE)) == 8
    assert sum(seen.user.count("Your answer: ") for seen in openai.seen) == 8


def test_grades_are_not_asked_for_while_teachers_answer(services: Services, openai: Provider) -> None:
    add(services, openai)
    label(services, limit=2)
    openai.latency_s = 0.5
    job = services.label.start("p", LabelOrder())
    with pytest.raises(StateError, match="being asked already"):
        services.grade.start("p")
    services.context.wait(job.id)
    job = services.grade.start("p")
    with pytest.raises(StateError, match="labelled or graded already"):
        services.label.start("p", LabelOrder())
    services.context.wait(job.id)


def test_a_new_grade_makes_the_selection_stale_and_another_one(services: Services, openai: Provider) -> None:
    add(services, openai)
    label(services)

    def mark() -> str:
        marks = services.standing.marks(services.context.projects.get("p"))
        return next(mark.state for mark in marks if mark.name == "Select")

    empty = services.select.select("p", GRADES.config)
    by_votes = services.select.preview("p", MAJORITY.config).counts["kept"]
    assert empty.counts["kept"] == 0 and mark() == "done"
    grade(services)
    assert mark() == "stale"
    full = services.select.select("p", GRADES.config)
    assert full.counts["kept"] == 8 and full.id != empty.id and mark() == "done"
    plain = services.select.select("p", NONE.config)
    with services.context.db.write() as writer:
        writer.run("DELETE FROM evidence")
    assert mark() == "done", "what reads no evidence goes by none"
    assert services.select.select("p", NONE.config).id == plain.id
    assert services.select.preview("p", MAJORITY.config).counts["kept"] == by_votes


def test_evidence_goes_with_a_project_that_is_copied(services: Services, openai: Provider, tmp_path: Path) -> None:
    openai.logprob = lambda user: -1.0
    add(services, openai)
    label(services)
    grade(services)
    services.carry.duplicate("p", "twin")
    services.carry.bring(services.carry.export("p", tmp_path / "p.zip"), "guest")
    for name in ("p", "twin", "guest"):
        columns = services.context.evidence.columns(services.context.projects.get(name).id)
        assert {key: column.tolist() for key, column in columns.items()} == {LOG_PROB: [-1.0] * 8, GRADE: [1.0] * 8}
    services.carry.archive("twin")
    services.keep.purge("twin", "twin")
    assert len(services.context.db.rows("SELECT * FROM evidence")) == 32


def test_recordings_can_not_be_asked_to_grade(services: Services, openai: Provider, tmp_path: Path) -> None:
    file = tmp_path / "outputs.jsonl"
    rows = [{"query": f"query {n}?", "teacher": "old", "rationale": "r", "answer": "B"} for n in range(8)]
    file.write_text("\n".join(map(json.dumps, rows)))
    services.data.import_outputs("p", file)
    with pytest.raises(StateError, match="is a recording, which can't be asked to grade"):
        services.grade.start("p")
    add(services, openai)
    with pytest.raises(ConfigError, match="old can't be asked to grade"):
        services.grade.start("p", GradeOrder(teachers=("old",)))
    assert [quote.teacher for quote in services.grade.quote("p")] == ["ann"]


def test_ways_are_left_out_that_nothing_is_known_for_and_named(services: Services, openai: Provider) -> None:
    add(services, openai)
    label(services)
    found = services.match.compare("p", NONE.config)
    names = {way.name for way in found.ways}
    assert {"paper", "none", "majority"} <= names and not names & {"log-prob", "hard-rejection"}
    said = "\n".join(say_comparison(found))
    assert "has a gold label, so nothing can be said" in said and "`tacit grade`" in said
    assert all(way.line is None for way in found.ways)
    grade(services)
    assert "hard-rejection" in {way.name for way in services.match.compare("p", NONE.config).ways}


def test_the_commands_grade_and_compare(workspace: Path, openai: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    openai.logprob = lambda user: -1.0 / (1 + number_of(user))
    openai.answer = lambda user: "B" if number_of(user) > 3 else "A"
    openai.grade = lambda user: "Good" if number_of(user) > 5 else "Medium"
    with open_services(workspace) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="choice"))
        queries = [make_query(f"query {n}?", CHOICES) for n in range(8)]
        services.data.add_queries(project.id, queries, {query.id: "B" for query in queries})
        add(services, openai, **PRICES)
        label(services)

    def tacit(*words: str) -> Any:
        told = CliRunner().invoke(app, [*words, "--json", "--workspace", str(workspace)])
        assert told.exit_code == 0, told.output
        return json.loads(told.stdout)

    assert tacit("grade", "p", "--quote")[0]["requests"] == 8
    told = tacit("grade", "p", "--max-cost", "1")
    assert told["grades"] == [{"teacher": "ann", "samples": 8, "Good": 2, "Medium": 6, "Poor": 0}]
    found = tacit("select", "p", "--compare", "--preset", "none")
    assert (found["samples"], found["scored"], found["queries"]) == (8, 8, 8)
    assert found["ways"][0]["title"] == "keep all (as set)", "the settings asked for come first, and but once"
    ways = {way["name"]: way for way in found["ways"]}
    assert ways["log-prob"]["kept"]["samples"] == 4 and ways["log-prob"]["kept"]["right"] == 1.0
    assert ways["hard-rejection"]["kept"]["samples"] == 2 and ways["none"]["kept"]["right"] == 0.5
    points = {name: {point["samples"]: point for point in way["line"]} for name, way in ways.items()}
    assert points["log-prob"][4]["right"] == 1.0 and points["none"][4]["right"] == 0.5
    assert points["hard-rejection"][4]["right"] == pytest.approx((2 + 2 * 2 / 6) / 4), "two of the six by chance"
    assert all(way[8]["right"] == 0.5 and way[8]["low"] < 0.5 < way[8]["high"] for way in points.values())
    with open_services(workspace) as services:
        assert not services.select.is_selected(services.context.projects.get("p").id), "comparing stores nothing"
    drawn = CliRunner().invoke(app, ["select", "p", "--compare", "--workspace", str(workspace)])
    assert "log-prob: the top half" in drawn.output and "if each kept 4 samples" in drawn.output
