"""A worker is given what it needs of the server's environment, and no secret that is none of its job's."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from engine.config import StudentConfig
from engine.environment import environment_for
from engine.jobs.backends.local import LocalBackend
from engine.jobs.spec import Payload, RayLabelJob, RunLabelsJob, ScoreJob, StudentJob, write_spec
from engine.values import Purpose

SECRETS = ("OPENAI_API_KEY", "MISTRAL_API_KEY", "DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "TACIT_WEBHOOK", "HF_TOKEN")
TELL = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
HERE = Path("x.jsonl")
STUDENT = StudentJob(student=StudentConfig(model="packaged"), steps=())
SCORE = ScoreJob(task="custom", file=HERE, output=HERE, measure="gold", references=())
CODE = RunLabelsJob(task="code", file=HERE, output=HERE)


class TellingBackend(LocalBackend):
    """Its workers write down their environment, and nothing else."""

    def command(self, bundle: Path, devices: int) -> list[str]:
        return [sys.executable, "-c", TELL, str(bundle / "environment.part")]


def ask_teacher(variable: str) -> RayLabelJob:
    teacher = {"name": "ann", "key_variable": variable}
    return RayLabelJob(teacher=teacher, capabilities={}, task="custom", purpose=Purpose.LABEL, file=HERE, nonce="n")


def environment_of(payload: Payload, folder: Path) -> dict[str, str]:
    """What the process of a worker really had."""
    write_spec(folder, payload)
    backend = TellingBackend()
    handle, end = backend.submit(folder, 1), time.monotonic() + 20
    while backend.poll(folder, handle) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    told: dict[str, str] = json.loads((folder / "environment.part").read_text())
    return told


@pytest.fixture(autouse=True)
def _a_server_with_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, f"secret of {name}")


@pytest.mark.parametrize(
    ("payload", "given"),
    [
        (STUDENT, {"HF_TOKEN"}),
        (SCORE, set()),
        (CODE, set()),
        (ask_teacher("MISTRAL_API_KEY"), {"MISTRAL_API_KEY"}),
        (ask_teacher(""), set()),
    ],
    ids=["student", "score", "code", "its own teacher's key", "a teacher without a key"],
)
def test_a_worker_has_only_the_secrets_of_its_job(payload: Payload, given: set[str], tmp_path: Path) -> None:
    told = environment_of(payload, tmp_path)
    assert {name for name in SECRETS if name in told} == given
    assert not [name for name, value in told.items() if "secret of" in value and name not in given]
    assert told["PATH"] == os.environ["PATH"] and told["PYTHONSAFEPATH"] == "1" and told["HF_HUB_OFFLINE"] == "1"
    assert told["TACIT_THREADS"] == os.environ["TACIT_THREADS"]


def test_settings_of_libraries_pass_and_what_is_named_like_a_secret_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {
        "CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "2", "HF_HOME": "/models", "TOKENIZERS_PARALLELISM": "false",
        "LC_ALL": "C.UTF-8", "HTTPS_PROXY": "http://proxy", "RAY_ADDRESS": "auto", "TACIT_KEY_VARIABLES": "A",
    }  # fmt: skip
    secret = ("RAY_AUTH_TOKEN", "TACIT_AUTH", "HF_API_KEY", "TORCH_SECRET", "PGPASSWORD", "GITHUB_TOKEN", "MY_SETTING")
    for name, value in {**plain, **dict.fromkeys(secret, "x")}.items():
        monkeypatch.setenv(name, value)
    found = environment_for()
    assert plain.items() <= found.items() and not [name for name in secret if name in found]


def test_an_operator_says_what_else_workers_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_LICENCE_KEY", "abc")
    monkeypatch.setenv("TACIT_WORKER_VARIABLES", "MY_LICENCE_KEY, NOT_THERE")
    assert environment_for()["MY_LICENCE_KEY"] == "abc" and "NOT_THERE" not in environment_for()


def test_a_bundle_that_can_not_be_read_gets_no_key(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"kind": "nonsense"')
    backend = TellingBackend()
    handle, end = backend.submit(tmp_path, 1), time.monotonic() + 20
    while backend.poll(tmp_path, handle) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not set(SECRETS) & set(json.loads((tmp_path / "environment.part").read_text()))
