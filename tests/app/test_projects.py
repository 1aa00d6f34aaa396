"""Whole projects: duplicated, archived, exported and imported; what a hostile file can't do."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.services import Services
from engine.config import ProjectConfig
from engine.errors import InputError
from engine.selection.settings import SelectionConfig


def sizes(services: Services, name: str) -> tuple[object, ...]:
    project = services.context.projects.get(name)
    counts = services.context.queries.counts(project.id)
    samples = services.context.samples.state(project.id)
    teachers = [spec.name for spec in services.context.projects.teachers(project.id)]
    return counts, samples, teachers, services.context.overrules.current(project.id).actions


def decide_something(services: Services) -> None:
    query = services.browse.page("p").rows[0]["id"]
    sample = services.browse.detail("p", query).samples[0]
    services.select.overrule("p", [sample["id"]], "drop")
    services.select.edit("p", sample["id"], "my words", seen=0)


def test_a_copy_has_all_but_runs_and_spend_and_goes_its_own_way(selected: Services) -> None:
    decide_something(selected)
    selected.carry.duplicate("p", "copy")
    assert sizes(selected, "copy") == sizes(selected, "p")
    before = selected.context.selections.latest(selected.context.projects.get("p").id)
    chosen = selected.select.select("copy", before.config)
    assert chosen.counts["kept"] == before.counts["kept"] and chosen.counts["edited"] == before.counts["edited"]
    selected.select.undo("copy")
    assert selected.context.selections.latest(selected.context.projects.get("p").id) == before
    assert selected.quote.spend("copy")["rows"] == []
    with pytest.raises(InputError, match="already"):
        selected.carry.duplicate("p", "copy")


def test_an_archived_project_is_out_of_the_list_and_comes_back(selected: Services) -> None:
    held = sizes(selected, "p")
    selected.carry.archive("p")
    assert selected.standing.overview() == [] and [r["name"] for r in selected.standing.overview(True)] == ["p"]
    selected.carry.restore("p")
    assert [row["name"] for row in selected.standing.overview()] == ["p"] and sizes(selected, "p") == held


def test_what_is_exported_is_imported(selected: Services, tmp_path: Path) -> None:
    decide_something(selected)
    outputs = tmp_path / "outputs.jsonl"
    text = selected.browse.page("p").rows[0]["query"]
    outputs.write_text(json.dumps({"query": text, "teacher": "old", "rationale": "so", "answer": "7"}))
    selected.context.wait(selected.data.import_outputs("p", outputs).job_id)
    path = selected.carry.export("p", tmp_path / "p.zip")
    with pytest.raises(InputError, match="exists already"):
        selected.carry.export("p", path)
    made = selected.carry.bring(path, "again")
    assert (made.name, made.unkeyed) == ("again", [])
    assert sizes(selected, "again") == sizes(selected, "p")
    assert selected.quote.spend("again")["rows"] == selected.quote.spend("p")["rows"]
    chosen = selected.select.select("again", SelectionConfig())
    again = {row["sample_id"]: row["rationale"] for row in selected.context.selections.kept(chosen.id)}
    first = selected.select.select("p", SelectionConfig())
    assert again == {row["sample_id"]: row["rationale"] for row in selected.context.selections.kept(first.id)}
    with pytest.raises(InputError, match="already"):
        selected.carry.bring(path)


def rewrite(source: Path, to: Path, **parts: bytes | None) -> Path:
    """The export with parts replaced, added or (None) left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            if name not in parts:
                new.writestr(name, old.read(name))
        for name, data in parts.items():
            if data is not None:
                new.writestr(name, data)
    return to


def test_a_file_that_is_no_export_stores_nothing(selected: Services, tmp_path: Path) -> None:
    good = selected.carry.export("p", tmp_path / "p.zip")
    manifest = json.loads(zipfile.ZipFile(good).read("tacit.json"))
    bad = [
        rewrite(good, tmp_path / "1.zip", **{"samples.parquet": None}),
        rewrite(good, tmp_path / "2.zip", **{"samples.parquet": b"no parquet"}),
        rewrite(good, tmp_path / "3.zip", **{"tacit.json": b"{"}),
        rewrite(good, tmp_path / "4.zip", **{"tacit.json": json.dumps({**manifest, "schema": 999}).encode()}),
        rewrite(good, tmp_path / "5.zip", **{"queries.parquet": zipfile.ZipFile(good).read("golds.parquet")}),
    ]
    (tmp_path / "6.zip").write_bytes(b"hello")
    before = selected.context.db.rows("SELECT count(*) AS n FROM samples")
    for path in (*bad, tmp_path / "6.zip"):
        with pytest.raises(InputError, match="Nothing was stored"):
            selected.carry.bring(path, "bad")
    assert [row["name"] for row in selected.standing.overview()] == ["p"]
    assert selected.context.db.rows("SELECT count(*) AS n FROM samples") == before


def test_an_import_can_neither_leave_its_folder_nor_aim_a_key(selected: Services, tmp_path: Path) -> None:
    address = {"provider": "openai", "model": "m", "endpoint": "https://example.org/v1"}
    selected.teachers.add("p", {"name": "ann", **address, "key_variable": "OWN_API_KEY"})
    good = selected.carry.export("p", tmp_path / "p.zip")
    names = {"../escaped.jsonl": b"x", "recordings/../../escaped.jsonl": b"x", "/tmp/escaped.jsonl": b"x"}
    made = selected.carry.bring(rewrite(good, tmp_path / "1.zip", **names), "brought")
    assert made.unkeyed == ["ann"] and selected.teachers.get("brought", "ann").key_variable is None
    assert selected.teachers.get("p", "ann").key_variable == "OWN_API_KEY"
    assert not list(tmp_path.rglob("escaped*")) and not Path("/tmp/escaped.jsonl").exists()


def with_teacher(source: Path, to: Path, row: str, spec: dict[str, Any]) -> Path:
    """The export with one more row of teachers."""
    with zipfile.ZipFile(source) as old:
        table = pq.read_table(BytesIO(old.read("teachers.parquet")))
    settings = {**json.loads(table["spec"][0].as_py()), "provider": "openai", **spec}
    columns = {"name": [*table["name"].to_pylist(), row], "spec": [*table["spec"].to_pylist(), json.dumps(settings)]}
    written = BytesIO()
    pq.write_table(pa.table(columns), written)
    return rewrite(source, to, **{"teachers.parquet": written.getvalue()})


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("zz", {"name": "forward", "endpoint": "https://example.org/v1", "key_variable": "OPENAI_API_KEY"}),
        ("zz", {"name": "zz", "concurrency": 10**9}),
        ("zz", {"name": "zz", "endpoint": "file:///etc/passwd"}),
        ("zz", {"name": "zz", "provider": "recorded", "endpoint": "../../outside"}),
        ("zz", {"name": "zz", "sampling": None}),
    ],
)
def test_a_teacher_that_could_not_be_made_here_is_not_imported(
    selected: Services, tmp_path: Path, name: str, spec: dict[str, Any]
) -> None:
    good = selected.carry.export("p", tmp_path / "p.zip")
    with pytest.raises(InputError, match="Nothing was stored"):
        selected.carry.bring(with_teacher(good, tmp_path / "bad.zip", name, spec), "bad")
    assert [row["name"] for row in selected.standing.overview()] == ["p"]


def test_an_import_replaces_no_recording_and_no_broken_prompt_comes_in(selected: Services, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.jsonl"
    row = {"query": selected.browse.page("p").rows[0]["query"], "teacher": "old", "rationale": "so", "answer": "7"}
    outputs.write_text(json.dumps(row))
    selected.context.wait(selected.data.import_outputs("p", outputs).job_id)
    (held,) = selected.context.recordings.glob("*.jsonl")
    before = held.read_bytes()
    good = selected.carry.export("p", tmp_path / "p.zip")
    forged = before.replace(b'"7"', b'"8"')
    selected.carry.bring(rewrite(good, tmp_path / "forged.zip", **{f"recordings/{held.name}": forged}), "forged")
    assert held.read_bytes() == before
    prompts = BytesIO()
    columns = {"version": [2], "text": ["no holes"], "created_at": [datetime(2026, 1, 1)]}
    pq.write_table(pa.table(columns), prompts)
    bad = rewrite(good, tmp_path / "prompt.zip", **{"project_prompts.parquet": prompts.getvalue()})
    with pytest.raises(InputError, match="Nothing was stored"):
        selected.carry.bring(bad, "bad")
    assert {row["name"] for row in selected.standing.overview()} == {"p", "forged"}


@pytest.mark.parametrize("task", ["choice", "math", "custom", "custom-regex"])
def test_a_prompt_of_ones_own_can_be_saved_whatever_the_task(selected: Services, task: str) -> None:
    selected.data.create_project(ProjectConfig(name="own", task=task))  # type: ignore[arg-type]
    text = selected.prompt.versions("own")[1].replace("=====", "Be brief.\n=====", 1)
    assert selected.prompt.save("own", text) == 2
    assert "Be brief." in selected.prompt.preview("own", text).system
    assert list(selected.prompt.versions("own")) == [1, 2]
