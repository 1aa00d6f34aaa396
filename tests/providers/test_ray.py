"""Labelling by Ray on a local cluster of two processors, bound to loopback."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.web.parts.labelling import progress_html
from app.web.parts.shell import strip_html
from engine.config import ProjectConfig
from engine.errors import ConfigError, WorkerFailed
from engine.jobs.ray_label import _Announced
from engine.values import Choice, JobStatus, make_query
from tests.fakes.provider import KEY, Provider, query_of, run_provider
from tests.fakes.ray_threads import RayThreads
from tests.fakes.waiting import until
from tests.fakes.worker import find_pid

CHOICES = (Choice("A", "x"), Choice("B", "y"))


def make_project(services: Services, provider: Provider, queries: int) -> str:
    project = services.data.create_project(ProjectConfig(name="p", task="choice"))
    services.data.add_queries(project.id, [make_query(f"query {n}?", CHOICES) for n in range(queries)], {})
    teacher = {"name": "ann", "provider": "openai", "model": "m", "endpoint": f"{provider.url}/v1", "concurrency": 4}
    services.teachers.add("p", {**teacher, "key_variable": "LOOPBACK_KEY", "input_price": 1, "output_price": 2})
    return project.id


def asked_queries(provider: Provider) -> Counter[str]:
    return Counter(query_of(user) for user in provider.asked if "query" in user)


def wait_until(what: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_cancelling_keeps_all_that_was_answered_and_going_on_asks_only_the_rest(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with run_provider(latency_s=0.2) as provider, open_services(workspace) as services:
        project_id = make_project(services, provider, 150)
        job = services.label.start("p", LabelOrder(engine="ray"))
        wait_until(lambda: len(asked_queries(provider)) > 10)
        services.context.watch.cancel(job.id)
        with pytest.raises(WorkerFailed, match="cancelled"):
            services.context.wait(job.id)
        asked = asked_queries(provider)
        assert 10 < len(asked) < 150
        assert services.context.samples.counts(project_id)[0]["samples"] == len(asked)
        provider.latency_s = 0
        services.context.wait(services.label.start("p", LabelOrder(engine="ray")).id)
        assert services.context.samples.counts(project_id)[0]["samples"] == 150
        assert set(asked_queries(provider).values()) == {1}


@pytest.mark.slow
def test_shards_of_a_killed_worker_are_taken_in_and_not_asked_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with run_provider(latency_s=0.1) as provider, open_services(workspace) as services:
        project_id = make_project(services, provider, 300)
        job = services.label.start("p", LabelOrder(engine="ray"))
        wait_until(lambda: any(path.stat().st_size for path in workspace.rglob("*.parquet")))
        (child,) = (j for j in services.context.jobs.unfinished_jobs() if j.kind == "ray")
        os.killpg(find_pid(str(child.handle)), signal.SIGKILL)
        with pytest.raises(WorkerFailed):
            services.context.wait(job.id)
        time.sleep(1)  # what was in flight on the cluster that died with its driver
        in_shards = {event["query_id"] for event in read_shards(workspace)}
        assert in_shards and not services.context.samples.counts(project_id)
        provider.latency_s = 0
        services.context.wait(services.label.start("p", LabelOrder(engine="ray")).id)
        assert services.context.samples.counts(project_id)[0]["samples"] == 300
        queries = {query.id: query.text.removesuffix("?") for query in services.context.queries.get(project_id)}
        asked = asked_queries(provider)
        assert {asked[queries[query_id]] for query_id in in_shards} == {1}


def read_shards(workspace: Path) -> list[dict[str, Any]]:
    files = [path for path in workspace.rglob("*.parquet") if path.stat().st_size]
    return [json.loads(line) for file in files for line in pq.read_table(file, columns=["event"])["event"].to_pylist()]


def test_a_wait_of_those_who_ask_is_shown_and_ended(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with run_provider() as provider, open_services(workspace, RayThreads()) as services:
        make_project(services, provider, 12)
        project = services.projects.get("p")
        provider.faults["query 3?"] = ["429 for long"]
        job = services.label.start("p", LabelOrder(engine="ray"))

        def waiting() -> Any:
            asking = services.answers.progress(project)
            return asking if asking and any(teacher.wait for teacher in asking.teachers) else None

        html = progress_html(until(waiting))
        assert "ann waits 9 min, as the provider asked." in html and "data-now='ann'" in html
        assert "ann waits 9 min" in strip_html(services.standing.running(), here="p")
        assert services.teachers.go_on("p", "bob") == []
        assert services.teachers.go_on("p", "ann") == ["ann"]
        assert services.context.wait(job.id).status is JobStatus.FINISHED
        assert services.context.samples.counts(project.id) == [{"teacher": "ann", "samples": 12, "failures": 0}]
        assert waiting() is None


def test_who_waits_is_the_last_of_those_who_ask_and_none_of_an_earlier_start(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    sink = SimpleNamespace(emit=lambda type_, **data: told.append((type_, round(data["seconds"]))))
    earlier, first, second = (tmp_path / f"{name}.jsonl" for name in ("earlier", "first", "second"))

    def say(file: Path, seconds: float) -> None:
        with file.open("a") as lines:
            lines.write(json.dumps({"teacher": "ann", "seconds": seconds, "longer": False}) + "\n")

    say(earlier, 600)
    announced = _Announced(tmp_path, sink, set())
    for file, seconds in ((first, 300), (second, 100), (first, 0), (second, 0)):
        say(file, seconds)
        announced.tell()
    assert told == [("waits", 300), ("waits", 300), ("waits", 100), ("waits", 0)]


def test_a_cluster_writes_shards_that_the_app_takes_in(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with run_provider() as provider, open_services(workspace) as services:
        project_id = make_project(services, provider, 12)
        provider.faults = {"query 3?": ["500"], "query 5?": ["prose"]}
        with pytest.raises(ConfigError, match="a cap can't hold"):
            services.label.start("p", LabelOrder(engine="ray", max_requests=3))
        job = services.label.start("p", LabelOrder(engine="ray"))
        with suppress(WorkerFailed):
            services.context.wait(job.id)
        ended = services.context.jobs.get_job(job.id)
        assert ended.status is JobStatus.FINISHED, ended.message
        assert services.context.samples.counts(project_id) == [{"teacher": "ann", "samples": 11, "failures": 1}]
        asked = asked_queries(provider)
        assert sum(asked.values()) == 13 and asked["query 3"] == 2
        shards = list(workspace.rglob("*.parquet"))
        assert shards
        held = b"".join(path.read_bytes() for path in workspace.rglob("*") if path.is_file())
        assert KEY.encode() not in held
        assert services.quote.spend("p")["unknown_cost"] == 1, "nobody knows what a request that met a 500 costs"
