"""No reply makes a workspace unusable, puts a key on disk or passes a stop for success: from the services down."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from engine.config import ProjectConfig
from engine.errors import WorkerFailed
from engine.jobs.events import EVENTS_FILE
from engine.values import Choice, Job, JobStatus, make_query
from tests.fakes import forks
from tests.fakes.provider import Provider, run_provider

KEY = "sk-loop/0123456789+abcdef"
CHOICES = (Choice("A", "x"), Choice("B", "y"))
HUGE = ["usage of 10^30", "usage of 10^15", "usage of 10^5000", "usage is infinite", "no usage"]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with run_provider(key=KEY) as running:
        yield running


@pytest.fixture
def services(workspace: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with open_services(workspace) as opened:
        fill(opened, provider)
        yield opened


def fill(services: Services, provider: Provider, **more: Any) -> None:
    project = services.data.create_project(ProjectConfig(name="p", task="choice"))
    services.data.add_queries(project.id, [make_query(f"query {n}?", CHOICES) for n in range(8)], {})
    teacher = {"name": "ann", "provider": "openai", "model": "m", "endpoint": f"{provider.url}/v1", "concurrency": 1}
    prices = {"input_price": 3.0, "output_price": 15.0}
    services.teachers.add("p", {**teacher, **prices, "key_variable": "LOOPBACK_KEY", **more})


def label(services: Services) -> Job:
    job = services.label.start("p", LabelOrder())
    with suppress(WorkerFailed):
        services.context.wait(job.id)
    return services.context.jobs.get_job(job.id)


def counts(services: Services) -> list[dict[str, Any]]:
    return services.context.samples.counts(services.context.projects.get("p").id)


def test_replies_with_absurd_counts_are_kept_and_cost_the_unknown(services: Services, provider: Provider) -> None:
    provider.faults = {f"query {n}?": [fault] for n, fault in enumerate(HUGE)}
    assert label(services).status is JobStatus.FINISHED
    assert counts(services) == [{"teacher": "ann", "samples": 8, "failures": 0}]
    spent = services.quote.spend("p")
    assert spent["unknown_cost"] == len(HUGE) and spent["cost_usd"] > 0
    assert services.quote.quote("p", LabelOrder())[0].requests == 0


def test_a_journal_of_an_earlier_version_with_such_counts_is_taken_in(
    services: Services, provider: Provider, workspace: Path
) -> None:
    job = label(services)
    file = Path(job.folder) / EVENTS_FILE
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        if line["type"] == "reply":
            line["data"] |= {
                "usage": {"input_tokens": 10**30, "output_tokens": -1},
                "cost": "1E+40",
                "latency_s": 1e300,
            }
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with services.context.db.write() as writer:
        for table in ("events", "attempts", "samples"):
            writer.run(f"DELETE FROM {table}")
    running = {"status": JobStatus.RUNNING, "offset": 0, "handle": "1 1.0"}
    services.context.watch.close()
    services.context.jobs.update_job(job.id, **running)
    services.context.db.close()
    with open_services(workspace) as again:
        assert again.context.jobs.get_job(job.id).status is JobStatus.INTERRUPTED
        assert counts(again) == [{"teacher": "ann", "samples": 8, "failures": 0}]
        assert again.quote.spend("p")["unknown_cost"] == 9


DRESSES = {
    "plain": KEY,
    "slashes escaped": KEY.replace("/", "\\/"),
    "unicode": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "hex": KEY.encode().hex(),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 of a header": base64.urlsafe_b64encode(f"Bearer {KEY}".encode()).decode(),
    "url": KEY.replace("/", "%2F").replace("+", "%2b"),
}
FORBIDDEN = [
    *(KEY, KEY.replace("/", "\\/"), KEY.encode().hex(), base64.b64encode(KEY.encode()).decode()[:-4]),
    *(base64.b64encode(f"{before}{KEY}".encode()).decode()[4:-4] for before in ("x", "xy")),
    *("".join(f"u{ord(c):04x}" for c in KEY[3:9]), "%2F0123456789%2b"),
]


@pytest.mark.parametrize("dress", DRESSES)
def test_a_key_that_is_echoed_in_disguise_stands_nowhere(
    dress: str, services: Services, provider: Provider, workspace: Path, tmp_path: Path
) -> None:
    provider.told = DRESSES[dress]
    provider.reason = lambda label: f"You sent {DRESSES[dress]}, so {label}."
    provider.faults = {"query 1?": ["auth of this key"], "query 2?": ["error of this key"]}
    assert label(services).status is JobStatus.FINISHED
    assert counts(services)[0]["samples"] >= 1
    services.context.db.rows("CHECKPOINT")
    services.carry.export("p", tmp_path / "out.zip")
    written = [path for folder in (workspace, tmp_path) for path in folder.rglob("*") if path.is_file()]
    held = b"".join(path.read_bytes() for path in written).replace(b"\\\\", b"\\")
    held += json.dumps(services.context.db.rows("SELECT * FROM attempts"), default=str).encode()
    assert b"[key]" in held and b"You sent" in held
    assert [form for form in FORBIDDEN if form.encode() in held] == []


def tacit(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return forks.tacit(*words, workspace=workspace, env={**os.environ, "LOOPBACK_KEY": KEY})


def test_a_teacher_that_is_stopped_midway_is_told_and_is_no_success(workspace: Path, provider: Provider) -> None:
    with open_services(workspace) as services:
        fill(services, provider)
    provider.faults = {"query 4?": ["auth"]}
    done = tacit(workspace, "label", "p")
    assert done.returncode == 4 and "ann was stopped: the key was not accepted" in done.stderr
    assert "Traceback" not in done.stderr and "ann" in done.stdout
    listed = tacit(workspace, "jobs", "--json")
    assert [row["kind"] for row in json.loads(listed.stdout)] == ["label"]
    assert tacit(workspace, "label", "p").returncode == 0
    gone = tacit(workspace, "jobs", "retry", json.loads(listed.stdout)[0]["id"][:8])
    assert gone.returncode == 3 and "not quarantined" in gone.stderr


def test_recorded_scores_beyond_all_are_no_more_than_missing(services: Services, tmp_path: Path) -> None:
    scores = ["1" + "0" * 400, "1e400", '"1e400"', "NaN", "-5"]
    outputs = tmp_path / "o.jsonl"
    output = {"query": "QUERY", "teacher": "bob", "rationale": "r", "answer": "A", "scores": {"reasoning": "SCORE"}}
    lines = [json.dumps(output).replace("QUERY", f"query {n}?").replace('"SCORE"', s) for n, s in enumerate(scores)]
    outputs.write_text("\n".join(lines) + "\n")
    services.context.wait(services.data.import_outputs("p", outputs, None).job_id)
    assert {row["teacher"]: row["samples"] for row in counts(services)} == {"bob": len(scores)}
