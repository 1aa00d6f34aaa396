"""Behind a login, and in the hosted demo, no name of a model or a dataset is a folder of the server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from typer.testing import CliRunner

import app.web.server
from app.cli.main import app as tacit
from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.usecases.training.plans import plan_notes
from engine.config import ProjectConfig, StudentConfig
from engine.errors import ConfigError, InputError, WorkerFailed
from engine.hub import open_records
from engine.jobs.spec import SPEC_FILE, EmbedJob, ExportJob, LocalLabelJob, StudentJob, keys_of, read_spec, write_spec
from engine.places import VARIABLE, check_names, is_open
from engine.plans.order import PlanOrder
from engine.students import check_student, find_student, read_model_config
from engine.teachers.tokens import find_counter
from engine.values import Choice, JobStatus, Purpose, TeacherSpec, make_query

FOLDERS = [
    "/etc",
    "./data",
    "../data",
    "~/data",
    "~",
    "~root/x",
    ".a/b",
    "a/..",
    "a/b/c",
    "here/x",
    "here",
    "C:\\x",
    "a\x00b",
]
SAID = "named as on the Hub, as OWNER/NAME"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with the files of a model, which only this machine's user may name."""
    model = tmp_path / "models" / "own"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "llama"}')
    (model / "model.safetensors").touch()
    Tokenizer(WordLevel({"a": 0, "?": 1}, "?")).save(str(model / "tokenizer.json"))
    (tmp_path / "here" / "x").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "")
    return str(model)


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        yield opened


@pytest.mark.parametrize("name", FOLDERS)
def test_a_name_that_may_be_a_folder_is_refused(name: str, folder: str) -> None:
    assert not is_open(name) and is_open("openai/gsm8k") and is_open("gpt2") and is_open("packaged")
    for refused in (lambda: find_student(StudentConfig(model=name)), lambda: open_records(f"hf:{name}")):
        with pytest.raises(InputError, match="OWNER/NAME"):
            refused()
    assert read_model_config(StudentConfig(model=name)) is None


@pytest.mark.parametrize("name", ["json", "text", "/etc:passwd@train"])
def test_a_way_to_read_files_here_is_no_dataset(name: str, folder: str) -> None:
    with pytest.raises(ConfigError, match=SAID):
        open_records(f"hf:{name}")
    open_records("hf:openai/gsm8k:main@train")


def test_on_ones_own_machine_folders_are_named_and_an_operator_lists_some(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = StudentConfig(model=folder), TeacherSpec("t", "local", folder)
    with pytest.raises(ConfigError, match=SAID):
        check_student(student)
    assert find_counter(teacher) is None
    monkeypatch.setenv(VARIABLE, os.pathsep.join(["/srv/models", str(Path(folder).parent)]))
    assert find_student(student) and read_model_config(student) and find_counter(teacher)
    assert not is_open(f"{Path(folder).parent}/../elsewhere")
    monkeypatch.delenv(VARIABLE)
    assert find_student(student) and is_open("/etc")


def jobs(folder: str) -> dict[str, Any]:
    file = Path("f")
    local = {"task": "custom", "teacher": "t", "purpose": Purpose.LABEL, "max_tokens": 1, "temperature": 0.0}
    return {
        "student": StudentJob(student=StudentConfig(model=folder), steps=()),
        "base": ExportJob(exporter="adapter", student=StudentConfig(), adapter=file, output=file, base=folder),
        "embedder": EmbedJob(embedder=folder, file=file, output=file),
        "local": LocalLabelJob(model=folder, file=file, top_p=1.0, batch=1, **local),
    }


@pytest.mark.parametrize("kind", ["student", "base", "embedder", "local"])
def test_no_worker_is_told_of_one_and_none_obeys_what_was_written_before(
    kind: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = jobs(folder)[kind]
    with pytest.raises(ConfigError, match=SAID):
        write_spec(tmp_path, payload)
    assert not (tmp_path / SPEC_FILE).exists()
    monkeypatch.delenv(VARIABLE)
    write_spec(tmp_path, payload)
    assert read_spec(tmp_path) is not None
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(ConfigError, match=SAID):
        read_spec(tmp_path)
    assert keys_of(tmp_path) == ()


def test_pages_refuse_a_folder_as_student_teacher_and_embedder(
    folder: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = (Choice("A", "x"), Choice("B", "y"))
    services.data.create_project(ProjectConfig(name="p", task="choice", embedder=folder))
    project = services.context.projects.get("p")
    services.data.add_queries(project.id, [make_query(f"query {n}?", choices) for n in range(2)], {})
    plan = services.plan.make("p", PlanOrder(plan="standard-kd", student=folder))
    (note,) = plan_notes(plan)
    assert SAID in note
    with pytest.raises(ConfigError, match=SAID):
        services.teachers.add("p", {"name": "ann", "provider": "local", "model": folder})
    services.teachers.add(
        "p", {"name": "far", "provider": "openai", "model": "accounts/a/b", "endpoint": "http://x/v1"}
    )
    with pytest.raises(ConfigError, match=SAID):
        services.resemble.find("p", 0.9)
    with monkeypatch.context() as before:
        before.delenv(VARIABLE)
        services.teachers.add("p", {"name": "ann", "provider": "local", "model": folder})
    job = services.label.start("p", LabelOrder(teachers=("ann",)))
    with pytest.raises(WorkerFailed, match=SAID):
        services.context.wait(job.id)
    assert services.context.jobs.get_job(job.id).status is JobStatus.FAILED


@pytest.mark.parametrize(("words", "listed"), [(["--auth", "ann:pw"], ""), (["--demo"], ""), ([], None)])
def test_serve_lets_name_folders_where_nobody_else_asks(
    words: list[str], listed: str | None, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    monkeypatch.setenv(VARIABLE, "")  # so that it is put back
    monkeypatch.delenv(VARIABLE)
    for name in ("serve_app", "serve_hosted"):
        monkeypatch.setattr(app.web.server, name, lambda *_: seen.append(os.environ.get(VARIABLE)))
    monkeypatch.setattr("app.web.main.build_app", lambda *_, **__: None)
    done = CliRunner().invoke(tacit, ["serve", "--no-demo", "--workspace", str(workspace), *words])
    assert (done.exit_code, seen) == (0, [listed]), done.output


def test_all_that_settings_hold_is_looked_through(folder: str) -> None:
    held = {"a": [{"b": (StudentConfig(model=folder),)}]}
    with pytest.raises(ConfigError, match=SAID) as caught:
        check_names(held)
    assert folder in json.loads(json.dumps(str(caught.value)))
