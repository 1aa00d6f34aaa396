from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.config import StudentConfig
from engine.errors import ConfigError
from engine.students import check_student, find_student
from tests.fakes.serving import serve


def model_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_the_packaged_student_and_a_whole_folder_are_here(tmp_path: Path) -> None:
    assert find_student(StudentConfig())
    assert find_student(StudentConfig(model=str(model_folder(tmp_path / "m"))))
    check_student(StudentConfig(model=str(tmp_path / "m")))


@pytest.mark.parametrize(
    ("lacking", "told"),
    [("config.json", "no config.json"), ("model.safetensors", "no weights"), ("tokenizer.json", "no tokenizer")],
)
def test_a_folder_without_a_part_is_refused(tmp_path: Path, lacking: str, told: str) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / lacking).unlink()
    with pytest.raises(ConfigError, match=told):
        find_student(StudentConfig(model=str(folder)))


@pytest.mark.parametrize("text", ["{}", "[", "[]", '{"model_type": 3}', "[" * 100_000])
def test_a_folder_whose_config_names_no_model_is_refused(tmp_path: Path, text: str) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "config.json").write_text(text)
    with pytest.raises(ConfigError, match="names no model_type"):
        find_student(StudentConfig(model=str(folder)))


def test_an_adapter_is_no_student(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds an adapter"):
        find_student(StudentConfig(model=str(tmp_path)))


@pytest.mark.parametrize(
    "model", ["/nowhere/at/all", "./nowhere", "~/nowhere", "../nowhere", "a/b/c", "so what?", "-a-"]
)
def test_a_name_that_no_model_can_have_is_refused_without_asking(model: str) -> None:
    with pytest.raises(ConfigError, match="Nothing was started"):
        find_student(StudentConfig(model=model))


def test_offline_one_is_told_that_it_is_not_here() -> None:
    assert not find_student(StudentConfig(model="nobody/has-this"))
    with pytest.raises(ConfigError, match="not on this machine, and the Hub is not to be asked"):
        check_student(StudentConfig(model="nobody/has-this"))


@contextmanager
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The Hub on loopback, as far as the head of a file goes."""
    errors = {
        "gated": (403, "GatedRepo"),
        "secret": (401, "RepoNotFound"),
        "older": (404, "RevisionNotFound"),
        "bare": (404, "EntryNotFound"),
        "broken": (500, ""),
    }

    async def head(request: Request) -> Response:
        status, code = errors.get(request.path_params["name"], (200, ""))
        headers = {"X-Error-Code": code} if code else {"ETag": '"1"', "X-Repo-Commit": "c"}
        return Response(status_code=status, headers=headers)

    app = Starlette(routes=[Route("/me/{name}/resolve/main/config.json", head, methods=["HEAD"])])
    with serve(app) as url:
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield


def test_the_hub_is_asked_for_what_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with hub(monkeypatch):
        check_student(StudentConfig(model="me/good"))
        for name, told in (
            ("gated", "accepted its terms"),
            ("secret", "no model me/secret, or it is private"),
            ("older", "no revision main"),
            ("bare", "no config.json"),
            ("broken", "could not be asked"),
        ):
            with pytest.raises(ConfigError, match=told):
                check_student(StudentConfig(model=f"me/{name}"))


def test_a_hub_that_can_not_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    template = "http://127.0.0.1:9/{repo_id}/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(ConfigError, match="could not be asked"):
        check_student(StudentConfig(model="me/good"))


def test_looking_brings_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from engine.config import StudentConfig; from engine.students import *\n"
        "find_student(StudentConfig()); find_student(StudentConfig(model='nobody/has-this'))\n"
        "try: check_student(StudentConfig(model='nobody/has-this'))\n"
        "except Exception: pass\n"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
