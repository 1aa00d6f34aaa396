"""Backup and restore of a whole workspace, and removing a project for good."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.hosted_demo.shipped_project import NAME, SHIPPED, bring_demo
from app.services import Services, open_services
from app.usecases.evaluation.comparisons import ASSUMED_HOUR, Terms
from app.usecases.workspace.upkeep import restore_workspace
from engine.config import read_config
from engine.errors import ConfigError, InputError, StateError
from engine.plans import Plan
from engine.values import Job, JobStatus


def test_the_demo_project_is_shipped_whole_and_small(workspace: Path) -> None:
    assert SHIPPED.stat().st_size <= 20_000_000
    with zipfile.ZipFile(SHIPPED) as archive:
        told = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".json"))
    assert b"/home" not in told and b"/root" not in told and b"/tmp" not in told
    with open_services(workspace) as services:
        assert bring_demo(services) and not bring_demo(services), "only a workspace without projects gets it"
        project = services.context.projects.get(NAME)
        marks = {mark.name: mark.state for mark in services.standing.marks(project)}
        assert {marks[step] for step in ("Data", "Teachers", "Label", "Select", "Compress", "Train", "Evaluate")} == {
            "done"
        }
        run = services.context.runs.all(project.id)[0]
        shipped = services.compare.verdict(run)
        assert shipped is not None and shipped.ship is not None and not services.run.stale_steps(run.id)
        assert set(services.export.stages(run)) == {"stage1", "stage2", "stage3", shipped.ship}
        summary = services.review.summary(run.id)
        assert (summary.rationales, summary.original_tokens, summary.compressed_tokens) == (566, 35, 17)
        systems = {system.report.name: system for system in services.compare.systems(run, 0.5)}
        assert systems["stage3"].report.n == 1002 and systems["stage3"].cost_per_1000
        assert services.browse.detail(NAME, services.browse.page(NAME).rows[0]["id"]).cosines is not None
        paid = services.compare.pay_back(run, "stage3", "forward", Terms(0.5))
        (span,) = services.context.db.rows(
            'SELECT sum(span) / 3600 AS hours FROM (SELECT max(e."at") - min(e."at") AS span FROM events e '
            "JOIN jobs j ON j.id = e.job_id WHERE j.run_id = ? AND j.kind = 'student' GROUP BY j.id)",
            [run.id],
        )
        assert 0.9 * span["hours"] < paid.device_hours <= span["hours"], "the device's time is counted, and only once"
        assert paid.queries is not None and paid.student_cost is not None
        saved = (systems["forward"].cost_per_1000 - paid.student_cost) / 1000
        assert paid.asking == 0 < paid.assumed < 1, "the ledger stays empty; assumed list prices stand beside it"
        assert paid.queries == pytest.approx((paid.assumed + 0.5 * paid.device_hours) / saved)
        billed = services.compare.systems(run, ASSUMED_HOUR)
        assert all(system.cost_per_1000 and system.assumed for system in billed), "a bill before and after"
        verdict = services.compare.verdict(run)
        assert verdict is not None and verdict.n == 1002 and verdict.ship in {s.report.name for s in billed if s.ship}


def test_a_backup_restores_the_workspace_elsewhere(selected: Services, tmp_path: Path) -> None:
    before = selected.browse.page("p").rows
    adapter = selected.context.workspace / "runs" / "r" / "stage1" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    file = selected.keep.back_up(tmp_path / "kept.zip")
    with pytest.raises(InputError, match="exists already"):
        selected.keep.back_up(file)
    project = selected.context.projects.get("p")
    selected.context.submit(project.id, "embed", {})
    with pytest.raises(StateError, match="a job is running"):
        selected.keep.back_up(tmp_path / "other.zip")
    restore_workspace(file, tmp_path / "elsewhere")
    with open_services(tmp_path / "elsewhere") as restored:
        assert restored.browse.page("p").rows == before
        folders = restored.context.db.rows("SELECT folder FROM jobs")
        assert all(row["folder"].startswith(str(tmp_path / "elsewhere")) for row in folders) and folders
        assert (
            restored.context.workspace / "runs/r/stage1/adapter/adapter_model.safetensors"
        ).read_bytes() == b"weights"
        restored.carry.duplicate("p", "again")
    with pytest.raises(InputError, match="is not empty"):
        restore_workspace(file, tmp_path / "elsewhere")


@pytest.mark.parametrize("names", [["nothing.txt"], ["tacit.duckdb", "../evil"], ["tacit.duckdb", "etc/passwd"]])
def test_a_file_that_is_no_backup_writes_nothing(tmp_path: Path, names: list[str]) -> None:
    file = tmp_path / "bad.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    with pytest.raises(InputError, match="no backup"):
        restore_workspace(file, tmp_path / "new")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(InputError, match="can't be unpacked"):
        restore_workspace(tmp_path / "text.zip", tmp_path / "new")
    assert not (tmp_path / "new").exists() and not (tmp_path / "new.part").exists()


def test_purging_leaves_nothing_of_a_project_and_all_of_the_others(selected: Services) -> None:
    selected.carry.duplicate("p", "twin")
    gone, stays = selected.context.projects.get("p"), selected.context.projects.get("twin")
    before = selected.browse.page("twin").rows
    vectors = selected.context.db.rows("SELECT count(*) AS n FROM embeddings_384")
    exported = [selected.context.workspace / "exports" / name for name in ("made", "made.check.json")]
    exported[0].mkdir(parents=True)
    exported[1].write_text("{}")
    spec = dict(zip(("output", "check"), map(str, exported), strict=True))
    selected.context.jobs.add(Job("made", gone.id, None, "export", JobStatus.FINISHED, spec, str(exported[0])))
    with pytest.raises(InputError, match="Nothing was removed"):
        selected.keep.purge("p", "P")
    selected.keep.purge("p", "p")
    assert not any(path.exists() for path in exported)
    tables = selected.context.db.rows(
        "SELECT table_name AS name FROM duckdb_columns() WHERE column_name = 'project_id' AND schema_name = 'main'"
    )
    for row in tables:
        left = selected.context.db.rows(f"SELECT count(*) AS n FROM {row['name']} WHERE project_id = ?", [gone.id])
        assert left == [{"n": 0}], row["name"]
    assert selected.browse.page("twin").rows == before
    assert selected.context.db.rows("SELECT count(*) AS n FROM embeddings_384") == vectors, "the twin needs them"
    assert selected.context.samples.known_ids(stays.id)
    selected.keep.purge("twin", "twin")
    assert selected.context.db.rows("SELECT count(*) AS n FROM embeddings_384") == [{"n": 0}]


def test_a_backup_into_the_workspace_is_refused(selected: Services) -> None:
    with pytest.raises(InputError, match="inside what is backed up"):
        selected.keep.back_up(selected.context.workspace / "exports" / "kept.zip")


def alter(file: Path, changes: dict[str, Callable[[pa.Table], pa.Table]]) -> Path:
    """A copy of the shipped project with some tables changed."""
    with zipfile.ZipFile(SHIPPED) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name in changes:
                held = io.BytesIO()
                pq.write_table(changes[name](pq.read_table(io.BytesIO(data))), held)
                data = held.getvalue()
            target.writestr(name, data)
    return file


def put(column: str, value: object) -> Callable[[pa.Table], pa.Table]:
    """Give a column one value in all rows."""

    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index(column)
        return table.set_column(place, column, pa.array([value] * table.num_rows, table.column(column).type))

    return change


def test_nothing_that_a_file_says_of_jobs_runs_or_is_a_path(workspace: Path, tmp_path: Path) -> None:
    with open_services(workspace) as services:
        for status in ("queued", "running"):
            file = alter(
                tmp_path / f"{status}.zip",
                {"jobs.parquet": put("status", status), "runs.parquet": put("status", "running")},
            )
            services.carry.bring(file, status)
            project = services.context.projects.get(status)
            assert services.context.jobs.jobs_of(project.id) == []
            assert {run.status.value for run in services.context.runs.all(project.id)} == {"stopped"}
        keep = tmp_path / "keep"
        keep.mkdir()
        file = alter(
            tmp_path / "evil.zip", {"jobs.parquet": put("folder", str(keep)), "runs.parquet": put("folder", str(keep))}
        )
        services.carry.bring(file, "evil")
        services.carry.bring(alter(tmp_path / "m.zip", {"jobs.parquet": put("kind", "merge")}), "merging")
        for name in ("evil", "merging"):
            services.keep.purge(name, name)
        assert keep.is_dir()


@pytest.mark.parametrize("name", ["..", "../../x", "/etc", "", "a/b", "a" * 101])
def test_a_step_can_not_be_named_like_a_path(name: str) -> None:
    with pytest.raises(ConfigError):
        read_config(Plan, {"name": "p", "steps": [{"kind": "train", "name": name}]})
