"""Workspaces and exported projects of earlier versions open, and show what they showed.

`tests/frozen/workspace-8.zip` holds the database of a small finished run at schema 8; the JSON beside it what that
version said of it.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from app.services import Services, open_services
from app.web.pages.train import plan_html
from engine.errors import ConfigError

FROZEN = Path(__file__).resolve().parents[1] / "frozen"
COLUMNS = ("accuracy", "ci_low", "ci_high", "parse_rate", "mean_output_tokens", "p95_output_tokens", "mean_latency_s")


def numbers(row: dict[str, Any]) -> tuple[Any, ...]:
    whole = "" if row["kind"] == "all" else row["kind"]
    return (row["name"], whole, row["n"], *(row[name] for name in COLUMNS))


def test_a_workspace_of_before_opens_and_shows_the_same(tmp_path: Path) -> None:
    told = json.loads((FROZEN / "workspace-8.json").read_text("utf-8"))
    with zipfile.ZipFile(FROZEN / "workspace-8.zip") as archive:
        archive.extractall(tmp_path / "workspace")
    with open_services(tmp_path / "workspace") as services:
        project = services.projects.get("p")
        (run,) = services.context.runs.all(project.id)
        report = services.context.reports
        assert [numbers(row.to_dict()) for row in report.rows(run.id)] == [numbers(row) for row in told["rows"]]
        assert [vars(row) for row in report.differences(run.id)] == told["differences"]
        texts = {sample: text for sample, (text, _) in services.context.rationales.newest(run.id).items()}
        assert texts == told["rationales"]
        assert [[step.name, step.status.value] for step in services.context.runs.steps(run.id)] == told["steps"]
        assert services.run.stale_steps(run.id) == told["stale"]
        found = services.context.selections.latest(project.id)
        assert (found.id, found.fingerprint, dict(found.counts)) == tuple(told["selection"].values())
        again = services.select.select("p", found.config)
        assert again.fingerprint == found.fingerprint, "the same settings keep the same samples"
    assert len(list((tmp_path / "workspace").glob("*.before-*"))) == 1, "the file as it was is kept"


@pytest.mark.timeout(120)
def test_an_exported_project_of_before_shows_the_same(tmp_path: Path) -> None:
    file = FROZEN / "project-of-2026-11-25.zip"  # without its weights and vectors
    with zipfile.ZipFile(file) as archive:
        archive.extract("report_rows.parquet", tmp_path)
    told = sorted(map(numbers, pq.read_table(tmp_path / "report_rows.parquet").to_pylist()), key=str)
    with open_services(tmp_path / "workspace") as services:
        services.carry.bring(file, "demo")
        (run,) = services.context.runs.all(services.projects.get("demo").id)
        rows = services.context.reports.rows(run.id)
        assert sorted((numbers(row.to_dict()) for row in rows), key=str) == told and len(told) > 10
        assert services.run.stale_steps(run.id) == []


def test_a_workspace_whose_package_of_variants_is_gone_opens(tmp_path: Path) -> None:
    with zipfile.ZipFile(FROZEN / "workspace-8.zip") as archive:
        archive.extractall(tmp_path / "workspace")
    with open_services(tmp_path / "workspace") as services, services.context.db.write() as writer:
        writer.run('UPDATE runs SET plan = replace(plan, \'"dataset":"full"\', \'"dataset":"songs"\')')
        config = '{"weights": {}, "rules": [{"kind": "hope", "strength": 3}]}'
        writer.run("UPDATE selections SET config = ?", [config])
    with open_services(tmp_path / "workspace") as services:
        (run,) = services.reading.runs_of(services.projects.get("p").id)
        assert run.plan.missing == ["the dataset songs"]
        assert services.reading.run(run.id)["status"] == "finished" and "songs" in plan_html(run.plan)
        begun = services.select.begin("p").config
        assert begun.missing == ["the rule hope"]
        with pytest.raises(ConfigError, match="the rule hope is not installed here"):
            services.select.select("p", begun)
        with pytest.raises(ConfigError, match="the dataset songs"):
            services.run.start("p", run.plan)


def test_a_project_of_a_task_that_is_not_here_is_refused_whole(selected: Services, tmp_path: Path) -> None:
    file = selected.carry.export("p", tmp_path / "p.zip")
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (manifest,) = [name for name, data in parts.items() if name.endswith(".json") and b'"custom"' in data]
    parts[manifest] = parts[manifest].replace(b'"custom"', b'"riddles"')
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(ConfigError, match="there is no task 'riddles'"):
        selected.carry.bring(tmp_path / "other.zip", "stranger")
    assert "stranger" not in selected.projects.names()
