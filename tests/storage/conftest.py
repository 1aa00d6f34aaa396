from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.plans import Evaluate, Plan, Train
from engine.values import Job, JobStatus, Purpose, RunStatus, Split
from storage.db import Database
from storage.jobs import Jobs
from storage.runs import Run, Runs
from storage.samples import Samples


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "ws" / "tacit.duckdb")
    yield database
    database.close()


@pytest.fixture
def samples(db: Database) -> Samples:
    return Samples(db)


@pytest.fixture
def jobs(db: Database, samples: Samples) -> Jobs:
    return Jobs(db, samples)


@pytest.fixture
def runs(db: Database) -> Runs:
    return Runs(db)


@pytest.fixture
def run(runs: Runs) -> Run:
    plan = Plan(name="twt", steps=(Train(name="stage1"), Evaluate(name="ev", start="stage1")))
    made = Run("run1", "p", "sel1", plan, "/tmp/run1", RunStatus.RUNNING, "")
    runs.add(made)
    return made


@pytest.fixture
def job(jobs: Jobs) -> Job:
    return jobs.add(Job("job1", "p", "run1", "label", JobStatus.QUEUED, {"draws": 1}, "/tmp/job1"))


class Replies:
    """Data of `reply` events as `engine.labelling.online` emits them."""

    @staticmethod
    def good(name: str, query: str = "q1", teacher: str = "ann", **sample: Any) -> dict[str, Any]:
        about = {
            "rationale": f"because {name}",
            "label": "B",
            "label_key": "B",
            "factors": {"reasoning": 0.9, "answer": 1.0},
            "draw": 0,
            "split": Split.DISTILL.value,
        }
        return Replies.bad(name, None, query, teacher) | {"sample": about | sample}

    @staticmethod
    def bad(name: str, error: str | None = "unparsable", query: str = "q1", teacher: str = "ann") -> dict[str, Any]:
        return {
            "sample_id": name,
            "query_id": query,
            "teacher": teacher,
            "purpose": Purpose.LABEL.value,
            "prompt_hash": "h",
            "raw": f"raw {name}",
            "usage": {"input_tokens": None, "output_tokens": 7},
            "latency_s": 0.5,
            "error": error,
            "message": "" if error is None else "the reply holds no label",
        }


@pytest.fixture
def replies() -> type[Replies]:
    return Replies
