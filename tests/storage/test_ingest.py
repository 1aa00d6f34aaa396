from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from engine.values import Event, Job, JobStatus, RationaleOrigin, RunStatus, Split
from storage.db import Database
from storage.evidence import Evidence
from storage.jobs import Jobs
from storage.rationales import Rationales, Version
from storage.runs import Run, Runs
from storage.samples import Samples

TABLES = ("events", "attempts", "samples", "metrics", "answers", "rationales", "steps", "jobs", "embeddings_384")


def number(*events: tuple[str, dict[str, Any]], start: int = 1) -> list[Event]:
    return [Event(seq, type_, 100.0 + seq, data) for seq, (type_, data) in enumerate(events, start)]


def dump(db: Database) -> dict[str, list[dict[str, Any]]]:
    skip = "EXCLUDE (created_at)"
    return {
        table: db.rows(f"SELECT * {skip if table in ('jobs', 'rationales') else ''} FROM {table} ORDER BY ALL")
        for table in TABLES
    }


@pytest.fixture
def journal(replies: Any, tmp_path: Path) -> list[Event]:
    file = tmp_path / "vectors.npy"
    np.save(file, np.eye(2, 384, dtype=np.float32))
    answer = {"step": "ev", "system": "stage1", "query_id": "q1", "text": "Answer: B", "tokens": 4, "finished": True}
    return number(
        ("label_started", {"queries": 2}),
        ("reply", replies.good("s1")),
        ("reply", replies.bad("s2", query="q2")),
        ("reply", replies.good("s2", query="q2", factors={})),
        ("reply", replies.good("s3", teacher="bob", split=Split.HELDOUT.value)),
        ("embedded", {"model": "m", "revision": "r", "hashes": ["h1", "h2"], "file": str(file)}),
        ("step_started", {"step": "stage1"}),
        ("metric", {"step": "stage1", "update": 1, "values": {"loss": 2, "rate": 0.5}}),
        ("metric", {"step": "stage1", "update": 1, "values": {"loss": 1.5}}),
        ("answer", answer),
        (
            "answer",
            answer
            | {
                "query_id": "q2",
                "latency_s": 0.5,
                "label": "C",
                "finished": False,
                "log_prob": -0.25,
                "label_tokens": 4,
            },
        ),
        ("compressed", {"sample_id": "s1", "query_id": "q1", "rationale": "short", "flags": ["answer preserved"]}),
        ("step_finished", {"step": "stage1", "result": {"updates": 1}}),
    )


def test_a_journal_becomes_rows_of_every_kind(
    db: Database, samples: Samples, jobs: Jobs, runs: Runs, run: Run, job: Job, journal: list[Event]
) -> None:
    with db.write() as writer:
        writer.run("INSERT INTO steps VALUES ('run1', 2, 'compress', 'compress', 'queued', NULL, NULL, '{}')")
    jobs.ingest(job, journal, 777)
    distill = samples.get("p", Split.DISTILL)
    assert [(s.id, s.rationale, s.label, dict(s.factors)) for s in distill] == [
        ("s1", "because s1", "B", {"reasoning": 0.9, "answer": 1.0}),
        ("s2", "because s2", "B", {}),
    ]
    assert [s.id for s in samples.get("p", Split.HELDOUT)] == ["s3"]
    assert samples.known_ids("p") == {"s1", "s2", "s3"}
    assert db.rows("SELECT sample_id, error, raw, output_tokens FROM attempts ORDER BY raw, error NULLS LAST") == [
        {"sample_id": "s1", "error": None, "raw": "raw s1", "output_tokens": 7},
        {"sample_id": "s2", "error": "unparsable", "raw": "raw s2", "output_tokens": 7},
        {"sample_id": "s2", "error": None, "raw": "raw s2", "output_tokens": 7},
        {"sample_id": "s3", "error": None, "raw": "raw s3", "output_tokens": 7},
    ]
    assert [(m["name"], m["value"]) for m in runs.metrics("run1", "stage1")] == [("loss", 1.5), ("rate", 0.5)]
    generations = runs.generations("run1", "ev")
    assert (generations["q1"].finished, generations["q2"].finished) == (True, False)
    assert (generations["q1"].latency_s, generations["q2"].latency_s) == (0.0, 0.5)
    answers = runs.answers("run1", "ev")
    assert [(item.query_id, item.label) for item in answers] == [("q1", None), ("q2", "C")]
    assert [(item.finished, item.log_prob) for item in answers] == [(True, None), (False, -0.25)]
    assert (generations["q1"].log_prob, generations["q2"].log_prob) == (None, -0.25)
    assert [item.label_log_prob for item in answers] == [None, -1.0], "a journal of before tells no number of tokens"
    assert (generations["q1"].label_log_prob, generations["q2"].label_log_prob) == (None, -1.0)
    assert Rationales(db).newest("run1") == {"s1": ("short", ("answer preserved",))}
    step = runs.steps("run1")[0]
    assert (step.status, step.job_id, step.result) == (JobStatus.FINISHED, "job1", {"updates": 1})
    assert jobs.get_job("job1").offset == 777
    assert [event.seq for event in jobs.events("job1")] == [event.seq for event in journal]


def test_events_come_back_by_number_and_type(jobs: Jobs, run: Run, job: Job, journal: list[Event]) -> None:
    jobs.ingest(job, journal, 1)
    assert [e.type for e in jobs.events("job1", after=11)] == ["compressed", "step_finished"]
    assert [e.seq for e in jobs.events("job1", after=8, kinds=("metric", "answer"))] == [9, 10, 11]
    assert jobs.events("job1")[0] == journal[0]
    assert jobs.events("elsewhere") == []


@pytest.mark.parametrize("cut", range(1, 13))
def test_taking_events_in_twice_or_overlapping_doubles_nothing(
    cut: int, db: Database, jobs: Jobs, run: Run, job: Job, journal: list[Event]
) -> None:
    jobs.ingest(job, journal, 500)
    once = dump(db)
    jobs.ingest(job, journal, 500)
    assert dump(db) == once
    for table in TABLES:
        if table not in ("steps", "jobs"):
            with db.write() as writer:
                writer.run(f"DELETE FROM {table}")
    with db.write() as writer:
        writer.run("UPDATE steps SET status = 'queued', job_id = NULL, result = '{}'")
    jobs.ingest(job, journal[:cut], 10)
    jobs.ingest(job, journal[: cut + 3], 20)
    jobs.ingest(job, journal[max(0, cut - 1) :], 500)
    assert dump(db) == once


def test_a_later_sample_does_not_overwrite_an_earlier_one(
    samples: Samples, jobs: Jobs, run: Run, job: Job, replies: Any
) -> None:
    jobs.ingest(job, number(("reply", replies.good("s1", rationale="first"))), 1)
    second = jobs.add(replace(job, id="job2"))
    jobs.ingest(second, number(("reply", replies.good("s1", rationale="second"))), 1)
    assert [s.rationale for s in samples.get("p", Split.DISTILL)] == ["first"]


def test_a_reply_s_evidence_is_its_own_sample_s_and_stays(db: Database, jobs: Jobs, job: Job, replies: Any) -> None:
    sure = {"evidence": {"log-prob": -0.5, "wild": float("nan"), "flag": True}}
    events = number(
        ("reply", replies.good("s1") | sure),
        ("reply", replies.good("s1") | {"evidence": {"log-prob": -7.0}}),
        ("reply", replies.good("s2")),
        ("reply", replies.good("s3") | {"purpose": "play", "evidence": {"log-prob": -1.0}}),
        ("reply", replies.bad("s4") | {"evidence": {"log-prob": -1.0}}),
        ("reply", replies.good("s5") | {"evidence": "much"}),
    )
    jobs.ingest(job, events, 10)
    jobs.ingest(job, events, 10)
    later = number(
        ("reply", replies.good("s2") | {"evidence": {"log-prob": -2.0}}),
        ("reply", {**replies.good("s2"), "sample": None, "purpose": "grade", "evidence": {"grade": 0.5}}),
        ("reply", {**replies.good("s2"), "sample": None, "purpose": "grade", "evidence": {"grade": 1.0}}),
        start=20,
    )
    jobs.ingest(job, later, 20)
    rows = db.rows("SELECT sample_id, name, value FROM evidence ORDER BY ALL")
    assert [tuple(row.values()) for row in rows] == [("s1", "log-prob", -0.5), ("s2", "grade", 0.5)], (
        "another reply says nothing of a sample that was there"
    )
    columns = Evidence(db).columns("p")
    assert {name: np.nan_to_num(column, nan=9).tolist() for name, column in columns.items()} == {
        "grade": [9, 0.5, 9],
        "log-prob": [-0.5, 9, 9],
    }


def test_an_edited_rationale_survives_taking_the_journal_in_again(
    db: Database, jobs: Jobs, run: Run, job: Job, journal: list[Event]
) -> None:
    jobs.ingest(job, journal, 1)
    Rationales(db).add(run, "s1", Version(RationaleOrigin.EDITED, "by hand"))
    jobs.ingest(job, journal, 1)
    assert Rationales(db).newest("run1")["s1"][0] == "by hand"


def test_an_old_batch_taken_in_again_does_not_set_a_step_back(
    runs: Runs, jobs: Jobs, run: Run, job: Job, journal: list[Event]
) -> None:
    jobs.ingest(job, journal, 100)
    jobs.ingest(job, journal[:8], 100)
    step = runs.steps("run1")[0]
    assert (step.status, step.result) == (JobStatus.FINISHED, {"updates": 1})


def test_a_batch_that_fails_in_the_middle_leaves_nothing(
    db: Database, samples: Samples, jobs: Jobs, run: Run, job: Job, journal: list[Event]
) -> None:
    jobs.ingest(job, journal[:2], 10)
    before = dump(db)
    broken = Event(14, "answer", 1.0, {"step": "ev", "system": "s", "query_id": "q9", "text": None, "tokens": 1})
    with pytest.raises(duckdb.Error):
        jobs.ingest(job, [*journal, broken], 999)
    after = dump(db)
    after["embeddings_384"] = before["embeddings_384"]
    assert after == before
    assert jobs.get_job("job1").offset == 10
    jobs.ingest(job, journal, 999)
    assert samples.known_ids("p") == {"s1", "s2", "s3"}


def test_counts_tell_samples_and_failures_that_no_sample_followed(
    samples: Samples, jobs: Jobs, run: Run, job: Job, replies: Any
) -> None:
    events = number(
        *(("reply", replies.good(f"s{n}")) for n in range(3)),
        ("reply", replies.bad("s9")),
        ("reply", replies.bad("s0")),
        ("reply", replies.bad("b1", "timeout", teacher="bob")),
    )
    jobs.ingest(job, events, 1)
    assert samples.counts("p") == [
        {"teacher": "ann", "samples": 3, "failures": 1},
        {"teacher": "bob", "samples": 0, "failures": 1},
    ]
    assert samples.failures("p") == [
        {"teacher": "ann", "error": "unparsable", "n": 2},
        {"teacher": "bob", "error": "timeout", "n": 1},
    ]


def test_what_is_told_of_samples_one_by_one_is_by_id(
    samples: Samples, jobs: Jobs, run: Run, job: Job, replies: Any
) -> None:
    events = number(
        ("reply", replies.good("s3", query="q2", label="C", label_key="C", factors={})),
        ("reply", replies.good("s1", query="q1", rationale="  ", label="a", label_key="A")),
        ("reply", replies.good("s2", query="q1", split=Split.HELDOUT.value)),
    )
    jobs.ingest(job, events, 1)
    assert samples.labels("p").tolist() == ["a", "C"]
    assert next(samples.rationales("p")).strip() == ""
    assert samples.count_scored("p") == (2, 1)


def test_samples_as_arrays_are_by_id_with_missing_factors_as_nan(
    samples: Samples, jobs: Jobs, run: Run, job: Job, replies: Any
) -> None:
    events = number(
        ("reply", replies.good("s3", query="q2", factors={"answer": 0.5})),
        ("reply", replies.good("s1", query="q1", label="C", label_key="C")),
        ("reply", replies.good("s2", query="q1", teacher="bob", factors={})),
        ("reply", replies.good("s4", query="q1", split=Split.HELDOUT.value)),
    )
    jobs.ingest(job, events, 1)
    arrays = samples.arrays("p", ("reasoning", "answer"))
    assert (arrays.ids, arrays.query_ids, arrays.teachers) == (
        ["s1", "s2", "s3"],
        ["q1", "q1", "q2"],
        ["ann", "bob", "ann"],
    )
    assert arrays.query[0] == arrays.query[1] != arrays.query[2]
    assert arrays.teacher[0] == arrays.teacher[2] != arrays.teacher[1]
    assert arrays.label[1] == arrays.label[2] != arrays.label[0]
    nan = float("nan")
    np.testing.assert_array_equal(arrays.factors, [[0.9, 1.0], [nan, nan], [nan, 0.5]])
    empty = samples.arrays("elsewhere", ("reasoning",))
    assert (empty.ids, empty.factors.shape) == ([], (0, 1))


def test_a_newer_recording_replaces_only_its_own_teachers_samples_of_its_queries(
    samples: Samples, jobs: Jobs, run: Run, job: Job, replies: Any
) -> None:
    events = number(
        ("reply", replies.good("old1")),
        ("reply", replies.good("old2", query="q2")),
        ("reply", replies.good("bob1", teacher="bob")),
        ("reply", replies.good("new1")),
    )
    jobs.ingest(job, events, 1)
    samples.replace_recorded("p", "ann", {"new1": "q1", "new3": "q3"})
    assert samples.known_ids("p") == {"new1", "old2", "bob1"}
    samples.replace_recorded("p", "ann", {})
    samples.replace_recorded("elsewhere", "ann", {"x": "q2"})
    assert samples.known_ids("p") == {"new1", "old2", "bob1"}


def test_vectors_stand_in_the_order_that_is_asked_for_and_missing_ones_are_nan(
    samples: Samples, jobs: Jobs, run: Run, job: Job, replies: Any
) -> None:
    jobs.ingest(job, number(*(("reply", replies.good(name)) for name in ("s1", "s2", "s3"))), 1)
    hash_of = {text: hash_ for hash_, text in samples.all_texts("p").items()}
    hashes = [hash_of[f"because {name}"] for name in ("s1", "s2", "s3")]
    vectors = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    samples.add_vectors("m", "r", [hashes[2], hashes[0]], vectors)
    samples.add_vectors("m", "r", [hashes[0]], np.zeros((1, 5), dtype=np.float32))
    found = samples.vectors("p", ("m", "r", 5), ["s3", "s2", "s1"])
    np.testing.assert_array_equal(found[[0, 2]], vectors)
    assert np.isnan(found[1]).all()
    assert samples.missing_texts("p", "m", "r", 5) == {hashes[1]: "because s2"}
    assert samples.embedders("p") == [("m", "r", 5)]
    assert set(samples.all_texts("p")) == set(hashes)


def test_rationales_are_taken_once_a_step_and_anew_after_a_reset(
    db: Database, jobs: Jobs, runs: Runs, job: Job
) -> None:
    with db.write() as writer:
        for place, name in enumerate(("short", "shorter"), 2):
            step = f"('run1', {place}, '{name}', 'compress', 'queued', NULL, NULL, '{{}}')"
            writer.run(f"INSERT INTO steps VALUES {step}")
    held = Rationales(db)

    def take(step: str, text: str, **more: str) -> None:
        made = jobs.add(replace(job, id=f"{step} {text}", kind="compress", spec={"step": step}))
        said = {"sample_id": "s1", "query_id": "q1", "rationale": text, "flags": [], **more}
        jobs.ingest(made, number(("compressed", said), ("compressed", said | {"rationale": f"{text} again"})), 1)

    def texts() -> list[str]:
        return [held.newest("run1", step).get("s1", ("",))[0] for step in ("short", "shorter", "")]

    take("short", "one")
    assert texts() == ["one", "", "one"], "the first of a sample counts, and the last step that has any is meant"
    take("shorter", "two")
    assert texts() == ["one", "two", "two"]
    take("short", "late")
    assert texts() == ["one", "two", "two"]
    runs.reset_steps("run1", ["short", "shorter"])
    assert texts() == ["", "", ""] and held.listed("run1", "") == []
    take("short", "three")
    assert texts() == ["three", "", "three"]
    assert [v["text"] for v in held.versions("run1", "s1")] == ["one", "three"]
    take("short", "asked", note="shorter, please")
    assert texts() == ["asked again", "", "asked again"]
    assert held.approve("run1", [("s1", 1)]) == 1 and held.approved("run1") == {}, "an outdated one is not taught"


def test_how_far_a_run_is_is_read_from_what_its_jobs_journaled(jobs: Jobs, runs: Runs, run: Run, job: Job) -> None:
    student = jobs.add(replace(job, id="job2", kind="student"))
    metrics = [("metric", {"step": "stage1", "update": n, "of": 9, "values": {"loss": 1.0}}) for n in (1, 2, 3)]
    answer = {"step": "ev", "system": "stage1", "text": "B", "tokens": 1, "finished": True}
    answers = [("answer", answer | {"query_id": f"q{n}", "latency_s": n}) for n in (1, 2)]
    jobs.ingest(student, number(*metrics, *answers), 1)
    assert runs.paces("run1") == {"stage1": (1.0, 9)}
    assert runs.updates("run1") == {"stage1": 3}
    assert runs.written("run1") == {"ev": (2, 1.5)}
    assert runs.device_seconds("run1") == 4.0, "from the first event to the last"
    assert (runs.count("p", RunStatus.RUNNING), runs.count("p", RunStatus.WAITING)) == (1, 0)
