"""What is asked of jobs, of failures and of money by pages: in SQL, a page at a time."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config import ProjectConfig
from engine.errors import NotFound
from engine.values import Job, JobStatus
from storage.db import Database
from storage.failures import FailureQuery, Failures
from storage.job_records import JobRecords
from storage.jobs import Jobs
from storage.ledger import Ledger
from storage.projects import Projects
from storage.runs import Run
from tests.storage.test_ingest import number


@pytest.fixture
def failed(db: Database, jobs: Jobs, run: Run, job: Job, replies: Any) -> Failures:
    events = number(
        ("reply", replies.good("s0")),
        ("reply", replies.bad("s1", query="q1")),
        ("reply", replies.bad("s1", query="q1")),
        ("reply", replies.bad("s2", query="q2", error="timeout", teacher="bob")),
        ("reply", replies.bad("s3", query="q3")),
        ("reply", replies.good("s3", query="q3")),
    )
    jobs.ingest(job, events, 1)
    return Failures(db)


def test_a_failure_that_a_good_reply_followed_is_none_any_more(failed: Failures) -> None:
    assert failed.by_kind("p") == [{"teacher": "bob", "error": "timeout", "n": 1}]


def test_failures_are_narrowed_searched_and_read_in_full(
    db: Database, jobs: Jobs, run: Run, job: Job, replies: Any
) -> None:
    events = number(
        *(("reply", replies.bad(f"s{n}", query=f"q{n}")) for n in range(3)),
        ("reply", replies.bad("s2", query="q2")),
        ("reply", replies.bad("b1", query="q9", error="timeout", teacher="bob")),
    )
    jobs.ingest(job, events, 1)
    failures = Failures(db)
    assert [(row["teacher"], row["error"], row["n"]) for row in failures.by_kind("p")] == [
        ("ann", "unparsable", 3),
        ("bob", "timeout", 1),
    ]
    rows, total = failures.find_page("p", FailureQuery("unparsable"), 0, 2)
    assert total == 3 and len(rows) == 2 and rows[0]["tries"] == 2, "the newest first, one asked again once"
    assert failures.find_page("p", FailureQuery("unparsable", "bob"), 0, 9) == ([], 0)
    assert [
        row["teacher"] for row in failures.find_page("p", FailureQuery(text="RAW B1", sort="-teacher"), 0, 9)[0]
    ] == ["bob"]
    one = failures.find_one("p", rows[0]["id"])
    assert one["raw"] == "raw s2" and one["message"] == "the reply holds no label"
    with pytest.raises(NotFound):
        failures.find_one("another", rows[0]["id"])


def test_jobs_are_counted_narrowed_and_paged(db: Database, jobs: Jobs, run: Run, job: Job) -> None:
    for n, status in enumerate((JobStatus.FAILED, JobStatus.QUEUED, JobStatus.FINISHED)):
        jobs.add(Job(f"j{n}", "p" if n else "other", None, "embed", JobStatus.QUEUED, {}, "/nowhere"))
        jobs.update_job(f"j{n}", status=status)
    records = JobRecords(db)
    rows, total = records.find_page("all", None, "", 0, 2)
    assert total == 4 and [row["id"] for row in rows] == ["j2", "j1"]
    assert [row["id"] for row in records.find_page("all", None, "started", 2, 2)[0]] == ["j1", "j2"]
    assert [row["id"] for row in records.find_page("failed", None, "-kind", 0, 9)[0]] == ["j0"]
    assert records.find_page("failed", "p", "", 0, 9) == ([], 0)
    assert records.count_failed(None, 0.0) == 1 and records.count_failed(None, 1e12) == 0
    assert records.count("other") == {"failed": 1}
    assert records.find_one("j2")["status"] == "finished"
    with pytest.raises(NotFound):
        records.find_one("j9")


def test_money_is_told_by_day_and_by_job(db: Database, jobs: Jobs, replies: Any) -> None:
    project = Projects(db).create(ProjectConfig(name="p", task="custom")).id
    job = jobs.add(Job("job2", project, None, "label", JobStatus.QUEUED, {}, "/nowhere"))
    events = number(
        ("reply", replies.good("s1") | {"cost": "0.25"}),
        ("reply", replies.bad("s2", query="q2") | {"cost": "0.50"}),
        ("reply", replies.good("s2", query="q2") | {"cost": None}),
        ("reply", replies.bad("s3", query="q3") | {"cost": "0.25"}),
    )
    jobs.ingest(job, events, 1)
    (row,) = Ledger(db).of_jobs([job.id])
    assert (row["done"], row["failed"], row["requests"], row["unknown"]) == (3, 1, 4, 1)
    assert float(row["cost"]) == 1.0 and (row["first"], row["last"]) == (101.0, 104.0)
    assert Ledger(db).of_jobs(["another"]) == []
    by_day = Ledger(db).by_day()
    assert [(str(day["day"]), day["teacher"], day["cost"], day["unknown"]) for day in by_day] == [
        ("1970-01-01", "ann", 1.0, 1)
    ]
    assert Ledger(db).by_day("another") == []
