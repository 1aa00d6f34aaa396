from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from engine.config import ProjectConfig
from engine.errors import InputError, NotFound
from engine.plans import Plan, Train
from engine.selection.settings import dcrs
from engine.values import (
    Choice,
    EvalItem,
    Job,
    JobStatus,
    RationaleOrigin,
    RunStatus,
    Sampling,
    Split,
    TeacherSpec,
    make_query,
    query_from_json,
)
from engine.values.report import Difference, ReportRow, Value
from storage.db import Database
from storage.jobs import Jobs
from storage.projects import Projects
from storage.queries import Queries
from storage.rationales import Rationales, Version
from storage.reports import Reports
from storage.runs import Run, RunPage, Runs, put_scores
from storage.selections import Selections, StoredSelection


def test_projects_come_back_and_names_are_taken_once(db: Database) -> None:
    projects = Projects(db)
    made = [projects.create(ProjectConfig(name=name, task="choice")) for name in ("birds", "Ünïcode 🐦", "third")]
    assert projects.all() == made
    assert projects.get("Ünïcode 🐦") == projects.get(made[1].id) == made[1]
    with pytest.raises(InputError, match="birds"):
        projects.create(ProjectConfig(name="birds", task="math"))
    with pytest.raises(NotFound, match="birds, "):
        projects.get("fish")


def test_only_an_empty_project_can_be_taken_back(db: Database) -> None:
    projects = Projects(db)
    projects.create(ProjectConfig(name="empty", task="math"))
    full = projects.create(ProjectConfig(name="full", task="math"))
    Queries(db).add(full.id, [make_query("1+1?")], {})
    projects.remove("empty")
    projects.remove("full")
    assert projects.all() == [full]


def test_teachers_come_back_with_their_sampling_and_are_replaced_by_name(db: Database) -> None:
    projects = Projects(db)
    spec = TeacherSpec("ann", "openai", "m", "https://x", "ANN_KEY", Sampling(0.7, 0.9, 100), 3)
    other = TeacherSpec("Bob", "scripted", "puzzles")
    projects.put_teacher("p", spec)
    projects.put_teacher("p", other)
    projects.put_teacher("p", replace(spec, model="m2"))
    assert projects.teachers("p") == [other, replace(spec, model="m2")]
    assert projects.teachers("elsewhere") == []


def test_a_prompt_is_kept_once_by_its_hash(db: Database) -> None:
    projects = Projects(db)
    for _ in range(2):
        projects.keep_prompt("h", "teacher/choice.v1", "text")
    assert db.rows("SELECT * FROM prompts") == [{"hash": "h", "name": "teacher/choice.v1", "text": "text"}]


def test_queries_come_back_in_their_order_with_choices_and_split(db: Database) -> None:
    queries = Queries(db)
    given = [
        make_query("zeta 🦓\nline", (Choice("A", 'a "quote"'), Choice("B", "")), "animals", "k1"),
        make_query("alpha", split=Split.HELDOUT),
        make_query("mid", kind="x"),
    ]
    assert queries.add("p", given, {given[0].id: "A"}) == 3
    assert queries.get("p") == given
    assert queries.get("p", Split.HELDOUT) == [given[1]]
    assert queries.counts("p") == {"distill": 2, "heldout": 1}
    assert queries.golds("p") == {given[0].id: "A"}
    assert queries.get("other") == []


def test_adding_queries_again_changes_nothing_and_counts_the_new(db: Database) -> None:
    queries = Queries(db)
    one, two, three = (make_query(text) for text in ("one", "two", "three"))
    queries.add("p", [one, two], {one.id: "1"})
    assert queries.add("p", [replace(one, split=Split.HELDOUT), three, three], {one.id: "9", two.id: "2"}) == 1
    assert queries.get("p") == [one, two, three]
    assert queries.golds("p") == {one.id: "1", two.id: "2"}
    assert queries.add("p", [], {}) == 0
    assert queries.add("q", [one], {}) == 1


def test_queries_keep_the_order_in_which_they_first_came(db: Database) -> None:
    queries = Queries(db)
    assert queries.first("p") is None
    given = [make_query(f"query {n}") for n in range(25)]
    queries.add("p", given[:10], {})
    queries.add("p", given[5:], {})
    assert queries.get("p") == given
    assert queries.first("p") == given[0]


def test_a_place_from_0_to_1_picks_a_query_of_a_split(db: Database) -> None:
    queries = Queries(db)
    given = [make_query(f"query {n}") for n in range(4)]
    queries.add("p", [*given, make_query("held", split=Split.HELDOUT)], {})
    places = (0.0, 0.24, 0.25, 0.99, 1.0)
    assert [queries.pick("p", Split.DISTILL, place) for place in places] == [given[n] for n in (0, 0, 1, 3, 3)]
    assert queries.pick("q", Split.DISTILL, 0.5) is None


def test_beginnings_of_queries_are_clipped_and_the_held_out_come_first(db: Database) -> None:
    queries = Queries(db)
    given = [make_query("a" * 200), make_query("b"), make_query("held", split=Split.HELDOUT)]
    queries.add("p", given, {})
    assert queries.beginnings("p", 2) == [("held", given[2].id), ("a" * 120, given[0].id)]


def stored(selection_id: str, threshold: float = 0.5) -> StoredSelection:
    config = dcrs(threshold=threshold, weights={"answer": 1.0})
    return StoredSelection(selection_id, "p", config, "f", {"kept": 1, "reasons": {"kept_few": 1}})


def decisions(*rows: tuple[Any, ...]) -> list[pa.Table]:
    """What was decided, as columns: sample, query, teacher, confidence, renormalised, reason, similarity, edit."""
    kinds = [pa.string()] * 3 + [pa.float64(), pa.bool_(), pa.string(), pa.float64(), pa.int64()]
    names = ("sample_id", "query_id", "teacher", "confidence", "renormalised", "reason", "similarity", "edit")
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    return [pa.Table.from_pylist([dict(zip(names, row, strict=False)) for row in rows], schema)]


def decided(db: Database, selection_id: str) -> list[tuple[str, float | None, bool, str]]:
    """Sample, confidence, whether it was renormalised, and the reason."""
    rows = db.rows("SELECT * FROM selection_rows WHERE selection_id = ? ORDER BY sample_id", [selection_id])
    return [(row["sample_id"], row["confidence"], row["renormalised"], row["reason"]) for row in rows]


def test_a_selection_comes_back_and_the_newest_is_the_latest(db: Database) -> None:
    selections = Selections(db)
    with pytest.raises(NotFound, match="tacit select"):
        selections.latest("p")
    rows = decisions(
        ("s1", "q1", "ann", 0.9, False, "kept_pair", 0.1, None), ("s2", "q1", "bob", None, True, "no_confidence")
    )
    selections.add(stored("one"), rows)
    selections.add(stored("two", 0.7), decisions())
    assert selections.latest("p") == stored("two", 0.7)
    selections.add(stored("one"), rows)
    assert selections.latest("p") == stored("one")
    assert decided(db, "one") == [
        ("s1", 0.9, False, "kept_pair"),
        ("s2", None, True, "no_confidence"),
    ]


def test_selecting_again_replaces_the_rows_of_the_same_selection(db: Database) -> None:
    selections = Selections(db)
    selections.add(stored("one"), decisions(*((f"s{n}", "q", "ann", 0.9, False, "kept_few") for n in range(5))))
    lower = [(f"s{n}", "q", "ann", 0.9, False, "below_threshold") for n in range(2)]
    selections.add(stored("one"), decisions(*lower))
    assert decided(db, "one") == [("s0", 0.9, False, "below_threshold"), ("s1", 0.9, False, "below_threshold")]


def test_a_run_comes_back_with_its_plan_and_steps(runs: Runs, run: Run) -> None:
    assert runs.get("run1") == runs.get("ru") == run
    assert [(s.name, s.kind, s.status, s.result) for s in runs.steps("run1")] == [
        ("stage1", "train", JobStatus.QUEUED, {}),
        ("ev", "evaluate", JobStatus.QUEUED, {}),
    ]
    runs.set_status("run1", RunStatus.WAITING, "for you")
    runs.set_step("run1", "stage1", status=JobStatus.FINISHED, fingerprint="f", result={"loss": 0.5})
    assert (runs.get("run1").status, runs.get("run1").message) == (RunStatus.WAITING, "for you")
    first, second = runs.steps("run1")
    assert (first.status, first.fingerprint, first.result) == (JobStatus.FINISHED, "f", {"loss": 0.5})
    assert second.status is JobStatus.QUEUED


def test_runs_are_named_searched_filtered_sorted_and_paged(runs: Runs, run: Run) -> None:
    for number in range(2, 6):
        runs.add(replace(run, id=f"run{number}", status=RunStatus.FINISHED if number % 2 else RunStatus.STOPPED))
    runs.add(replace(run, id="elsewhere", project_id="q"))
    assert [one.title for one in runs.all("p")] == ["Run 5", "Run 4", "Run 3", "Run 2", "Run 1"]
    assert runs.get("elsewhere").title == "Run 1" and runs.get("elsewhere").created_at is not None
    runs.rename("run3", "the small one", "rank 8 is enough")
    found = runs.get("run3")
    assert (found.title, found.note, found.number) == ("the small one", "rank 8 is enough", 3)

    def page(**asked: Any) -> tuple[list[str], int]:
        rows, total = runs.page(RunPage("p", **{"size": 10, **asked}))
        return [row.id for row in rows], total

    assert page() == (["run5", "run4", "run3", "run2", "run1"], 5)
    assert page(size=2, begin=2) == (["run3", "run2"], 5)
    assert page(search="SMALL") == page(search="rank 8") == (["run3"], 1)
    assert page(search="run 4") == (["run4"], 1) and page(search="twt")[1] == 5 and page(search="%")[1] == 0
    assert page(statuses=(RunStatus.STOPPED, RunStatus.RUNNING)) == (["run4", "run2", "run1"], 3)
    assert page(sort="started")[0][0] == "run1" and page(sort="-name")[0][0] == "run3"
    assert page(sort="name; DROP TABLE runs")[1] == 5


def test_a_run_is_found_only_by_an_unambiguous_beginning(runs: Runs, run: Run) -> None:
    runs.add(replace(run, id="run2", plan=Plan(name="other", steps=(Train(name="t"),))))
    for asked in ("run", "", "nope", "run%"):
        with pytest.raises(NotFound):
            runs.get(asked)
    assert [one.id for one in runs.all("p")] == ["run2", "run1"]
    assert runs.all("elsewhere") == []


def test_rationales_keep_every_version_and_give_the_newest(db: Database, runs: Runs, run: Run) -> None:
    assert Rationales(db).add(run, "s1", Version(RationaleOrigin.COMPRESSED, "short")) == 1
    assert Rationales(db).add(run, "s1", Version(RationaleOrigin.EDITED, "better")) == 2
    assert Rationales(db).add(run, "s2", Version(RationaleOrigin.EDITED, "other")) == 1
    assert Rationales(db).newest("run1") == {"s1": ("better", ()), "s2": ("other", ())}
    assert len(db.rows("SELECT * FROM rationales")) == 3


def make_row(name: str, score: Value, others: dict[str, float]) -> ReportRow:
    return ReportRow(name, "", 10, {"score": score} | {key: Value(value, 10) for key, value in others.items()})


def test_a_report_of_a_stranger_that_lacks_a_measure_is_left_out(db: Database) -> None:
    reports = Reports(db)
    whole = make_row(
        "stage1", Value(0.4, 10, 0.1, 0.7), {"read": 1.0, "tokens": 8.0, "tokens-p95": 9.5, "brevity": 2.0}
    )
    reports.put("run1", [whole, make_row("stage2", Value(0.5, 10), {})], [])
    assert reports.rows("run1") == [whole]
    assert ReportRow.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_reports_come_back_in_order_and_a_new_one_replaces_the_old(db: Database) -> None:
    reports = Reports(db)
    rows = [
        make_row("stage3", Value(0.5, 10, 0.2, 0.8), {"read": 1.0, "tokens": 8.0, "tokens-p95": 9.5}),
        make_row(
            "stage1", Value(0.4, 10, 0.1, 0.7), {"read": 0.9, "tokens": 80.0, "tokens-p95": 99.0, "seconds": 0.25}
        ),
    ]
    differences = [Difference("stage3", "stage1", 10, 0.1, -0.2, 0.4)]
    reports.put("run1", rows, differences)
    reports.put("run1", rows, differences)
    assert reports.rows("run1") == rows
    assert reports.differences("run1") == differences
    reports.put("run1", rows[1:], [])
    assert reports.rows("run1") == rows[1:]
    assert reports.differences("run1") == []


def test_jobs_come_back_oldest_unfinished_first(jobs: Jobs) -> None:
    given = [Job(name, "p", None, "label", JobStatus.QUEUED, {"n": [1]}, f"/tmp/{name}") for name in ("z", "a", "m")]
    for one in given:
        jobs.add(one)
    assert jobs.unfinished_jobs() == given
    assert jobs.jobs_of("p") == given[::-1]
    jobs.update_job("z", status=JobStatus.RUNNING, handle="12 1.5", offset=99)
    jobs.update_job("a", status=JobStatus.FAILED, message="why")
    assert jobs.unfinished_jobs() == [
        replace(given[0], status=JobStatus.RUNNING, handle="12 1.5", offset=99),
        given[2],
    ]
    assert jobs.get_job("a").message == "why"
    with pytest.raises(NotFound, match="nope"):
        jobs.get_job("nope")
    with pytest.raises(ValueError, match="colour"):
        jobs.update_job("a", colour="red")


def test_scores_of_answers_are_stored_beside_them(db: Database, runs: Runs, run: Run) -> None:
    with db.write() as writer:
        for query in ("q1", "q2"):
            writer.run(
                "INSERT INTO answers (run_id, step, system, query_id, text, tokens, finished) "
                "VALUES ('run1', 'ev', 'stage1', ?, 'Answer: B', 4, true)",
                [query],
            )
    items = [EvalItem("stage1", "q1", None, "Answer: B", "B", 4, None, True, finished=True)]
    with db.write() as writer:
        put_scores(writer, "run1", "ev", items)
    found = runs.answers("run1", "ev")
    assert found[0] == items[0]
    assert (found[1].query_id, found[1].label, found[1].correct) == ("q2", None, None)


def test_a_write_that_fails_leaves_nothing_and_the_next_one_works(db: Database) -> None:
    with pytest.raises(RuntimeError), db.write() as writer:
        writer.run("INSERT INTO prompts VALUES ('h', 'n', 't')")
        raise RuntimeError
    assert db.rows("SELECT * FROM prompts") == []
    with db.write() as writer:
        writer.run("INSERT INTO prompts VALUES ('h', 'n', 't')")
    assert db.row("SELECT hash FROM prompts") == {"hash": "h"}


def test_threads_may_write_and_read_at_once(db: Database) -> None:
    problems: list[Exception] = []
    done: list[int] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                with db.write() as writer:
                    writer.run("INSERT INTO prompts VALUES (?, 'n', 't')", [f"{number}-{turn}"])
                db.rows("SELECT count(*) FROM prompts")
            done.append(number)
        except (duckdb.Error, RuntimeError) as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (problems, sorted(done)) == ([], [0, 1, 2, 3])
    assert db.row("SELECT count(*) AS n FROM prompts") == {"n": 40}


def test_what_a_task_needs_beside_text_and_choices_comes_back_and_is_of_the_id(db: Database) -> None:
    queries = Queries(db)
    extra = {"tests": ["assert f(1) == 2"], "limit": 3}
    with_tests, plain = make_query("Write f.", extra=extra), make_query("Write f.")
    assert with_tests.id != plain.id and plain.id == make_query("Write f.", extra={}).id
    queries.add("other", [with_tests, plain], {})
    assert queries.get("other") == [with_tests, plain]
    assert queries.find_one("other", with_tests.id).extra == extra
    assert query_from_json(json.loads(json.dumps(asdict(with_tests)))) == with_tests


def test_a_large_selection_is_stored_in_little_memory_and_the_limit_is_as_before(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.selections._MANY", 2)
    rows = decisions(*((f"s{n}", "q", "ann", 0.9, False, "kept_few") for n in range(5)))
    for set_before, meanwhile in (("10GiB", "512.0 MiB"), ("300MiB", "300.0 MiB")):
        db._connection.execute(f"SET memory_limit = '{set_before}'")
        before, seen = limit_of(db), list[str]()

        def watch(part: pa.Table = rows[0], seen: list[str] = seen) -> Iterator[pa.Table]:
            yield part
            seen.append(limit_of(db))

        Selections(db).add(stored("one"), watch())
        assert seen == [meanwhile] and limit_of(db) == before
        with pytest.raises(ZeroDivisionError):
            Selections(db).add(stored("two"), fail_behind(rows[0]))
        assert limit_of(db) == before and len(decided(db, "one")) == 5


def limit_of(db: Database) -> str:
    return str(db.rows("SELECT current_setting('memory_limit') AS value")[0]["value"])


def fail_behind(part: pa.Table) -> Iterator[pa.Table]:
    yield part
    raise ZeroDivisionError
