"""Labelling by Ray on a local cluster of two processors, bound to loopback."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from app.services import open_services
from app.usecases.labelling import LabelOrder
from engine.config import ProjectConfig
from engine.errors import ConfigError, WorkerFailed
from engine.types import Choice, JobStatus, make_query
from tests.fakes.provider import KEY, query_of, run_provider

CHOICES = (Choice("A", "x"), Choice("B", "y"))


def test_a_cluster_writes_shards_that_the_app_takes_in(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    with run_provider() as provider, open_services(workspace) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="choice"))
        services.data.add_queries(project.id, [make_query(f"query {n}?", CHOICES) for n in range(12)], {})
        teacher = {"name": "ann", "provider": "openai", "model": "m", "endpoint": f"{provider.url}/v1"}
        services.teachers.add("p", {**teacher, "key_variable": "LOOPBACK_KEY", "input_price": 1, "output_price": 2})
        provider.faults = {"query 3?": ["500"], "query 5?": ["prose"]}
        with pytest.raises(ConfigError, match="a cap can't hold"):
            services.label.start("p", LabelOrder(engine="ray", max_requests=3))
        job = services.label.start("p", LabelOrder(engine="ray"))
        with suppress(WorkerFailed):
            services.context.wait(job.id)
        ended = services.context.jobs.get_job(job.id)
        assert ended.status is JobStatus.FINISHED, ended.message
        assert services.context.samples.counts(project.id) == [{"teacher": "ann", "samples": 11, "failures": 1}]
        asked = Counter(query_of(user) for user in provider.asked if "query" in user)
        assert sum(asked.values()) == 13 and asked["query 3"] == 2
        shards = list(workspace.rglob("*.parquet"))
        assert shards
        held = b"".join(path.read_bytes() for path in workspace.rglob("*") if path.is_file())
        assert KEY.encode() not in held
        assert services.quote.spend("p")["unknown_cost"] == 1, "nobody knows what a request that met a 500 costs"
