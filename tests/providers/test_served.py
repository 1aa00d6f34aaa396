"""Real servers: `transformers serve` and a LiteLLM proxy as teachers, `tacit serve-student` (`make test-slow`)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from app.hosted_demo.shipped_project import NAME, bring_demo
from app.services import open_services
from app.usecases.exports.cards import system_prompt
from engine.config import ProjectConfig, StudentConfig
from engine.inference.writer import student_folder
from engine.values import Query, Split, make_query
from scripts.check_provider import main

CHECK = Typer()
CHECK.command()(main)

QUESTIONS = (
    *("What do bees make?", "Which animal barks?", "What falls from clouds?", "What do you use to cut bread?"),
    *("Where do fish live?", "What is frozen water called?", "Which season is coldest?", "What do cows give?"),
    *("What do you read?", "Which colour is the sky?", "What shines at night?", "What do you wear on your feet?"),
    *("Where do birds lay eggs?", "What do you drink when thirsty?", "Who teaches at a school?", "What opens a lock?"),
    *("What pulls a train?", "What is two plus two?", "How many legs has a spider?", "What tells the time?"),
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serve([str(Path(sys.executable).with_name("transformers")), "serve"], tmp_path) as address:
        yield address


@contextmanager
def serve(command: list[str], tmp_path: Path, env: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A server on a free port, once it takes connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*command, "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "log.txt").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**env, "HF_HUB_OFFLINE": "1"})
        try:
            stop_at = time.monotonic() + 240
            while True:
                assert server.poll() is None and time.monotonic() < stop_at, (tmp_path / "log.txt").read_text()
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait()


@pytest.mark.slow
def test_a_local_server_answers_twenty_queries(workspace: Path, url: str) -> None:
    with open_services(workspace) as services:
        project = services.data.create_project(ProjectConfig(name="p", task="custom"))
        services.data.add_queries(project.id, [make_query(text) for text in QUESTIONS], {})
        teacher = {"name": "small", "provider": "openai", "model": student_folder(StudentConfig()), "endpoint": url}
        services.teachers.add("p", {**teacher, "max_tokens": 64, "concurrency": 2, "timeout_s": 300})
        services.context.wait(services.label.start("p").id)
        rows = services.context.db.rows("SELECT query_id, error, raw FROM attempts WHERE purpose = 'label'")
        assert {row["query_id"] for row in rows} == {make_query(text).id for text in QUESTIONS}
        assert {row["error"] for row in rows} <= {None, "unparsable", "truncated"}
        assert sum(bool(row["raw"].strip()) for row in rows) == len(QUESTIONS)


LITELLM = "litellm[proxy]==1.105.7"
"""Never 1.82.7 or 1.82.8, which stole credentials. Its environment is its own, and it sees no variable of this one."""
MOCKED = json.dumps({"rationale": "7 eights are 56.", "label": "56", "scores": {"reasoning": 0.9, "answer": 0.95}})


@pytest.fixture(scope="session")
def litellm() -> Path:
    """The program of a LiteLLM proxy."""
    return apart("litellm", LITELLM) / "litellm"


@pytest.fixture(scope="session")
def llama_cpp() -> Path:
    """A Python with llama.cpp and its server."""
    return apart("llama-cpp", "xllamacpp==2026.10.11549") / "python"


def apart(name: str, package: str) -> Path:
    """The programs of an environment of its own with one package, made once."""
    folder = Path(__file__).parents[2] / "build" / name
    if not (folder / "made").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--clear", folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", package], check=True)
        (folder / "made").touch()
    return folder / "bin"


@pytest.mark.slow
def test_a_proxy_of_another_hand_answers_streams_and_counts(
    litellm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-of-this-test-0123456789abcdef0123456789abcdef"
    model = {"model": "openai/some-model", "api_key": "none", "mock_response": MOCKED}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_list": [{"model_name": "mocked", "litellm_params": model}]}))
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LITELLM_MASTER_KEY": key}
    env |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    monkeypatch.setenv("SOME_API_KEY", key)
    with serve([str(litellm), "--config", str(config)], tmp_path, env) as address:
        result = CliRunner().invoke(
            CHECK, ["mocked", "--endpoint", address, "--key-variable", "SOME_API_KEY", "--prices", "1", "2"]
        )
    assert result.exit_code == 0, result.output
    assert "2 of 2 read" in result.output and "ok     stream" in result.output and key not in result.output


@pytest.mark.slow
def test_the_demo_student_is_served_with_the_protocol_of_openai(workspace: Path, tmp_path: Path) -> None:
    with open_services(workspace) as services:
        assert bring_demo(services)
        project = services.context.projects.get(NAME)
        run = services.context.runs.all(project.id)[0]
        answers = services.context.runs.generations(run.id, "evaluate-stage3")
        queries = [q for q in services.context.queries.get(project.id, Split.HELDOUT) if q.kind == "orderings"][:8]
    command = [sys.executable, "-m", "app", "serve-student", run.id, "--stage", "stage3", "--workspace", str(workspace)]
    with serve(command, tmp_path) as address:
        (model,) = (workspace / "exports").iterdir()
        same = count_same(address, str(model), {query: answers[query.id].text for query in queries})
    assert same >= len(queries) - 1, "in float32 one answer in eight may differ from the evaluation's in bfloat16"


@pytest.mark.slow
@pytest.mark.parametrize(("form", "at_least"), [("gguf-f16", 22), ("gguf-q8_0", 20)])
def test_llama_cpp_answers_from_the_exported_file_as_it_was_scored(
    workspace: Path, tmp_path: Path, llama_cpp: Path, form: str, at_least: int
) -> None:
    with open_services(workspace) as services:
        assert bring_demo(services)
        project = services.context.projects.get(NAME)
        run = services.context.runs.all(project.id)[0]
        answers = services.context.runs.generations(run.id, "evaluate-stage3")
        queries = services.context.queries.get(project.id, Split.HELDOUT)[:24]
    command = [sys.executable, "-m", "app", "export", NAME, str(tmp_path / "student"), "--run", run.id]
    subprocess.run([*command, "--stage", "stage3", "--as", form, "--workspace", str(workspace)], check=True)
    (file,) = (tmp_path / "student").glob("*.gguf")
    server = str(Path(__file__).parents[1] / "fakes" / "llama_server.py")
    with serve([str(llama_cpp), server, str(file)], tmp_path) as address:
        wait_until_loaded(address.replace("/v1", "/health"))
        same = count_same(address, "student", {query: answers[query.id].text for query in queries})
    print(f"{form}: {same} of {len(queries)} answers as they were scored")
    assert same >= at_least, "rounding may change one answer in twelve, of 8 bits one in six"


def wait_until_loaded(health: str) -> None:
    """llama.cpp takes connections before it has read its file, and says so with HTTP 503."""
    for _ in range(240):
        with suppress(OSError), urllib.request.urlopen(health, timeout=5):
            return
        time.sleep(0.5)
    raise TimeoutError(health)


def count_same(address: str, model: str, scored: Mapping[Query, str]) -> int:
    """Of how many queries a server's greedy answer is the scored one."""
    same = 0
    for query, text in scored.items():
        messages = [{"role": "system", "content": system_prompt()}, {"role": "user", "content": query.text}]
        asked = {"model": model, "messages": messages, "max_tokens": 40, "temperature": 0}
        request = urllib.request.Request(
            f"{address}/chat/completions", json.dumps(asked).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=200) as answer:
            said = json.loads(answer.read())["choices"][0]["message"]["content"]
        same += said.strip() == text.strip()
    return same
