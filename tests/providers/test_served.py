"""A real server as a teacher: `transformers serve` with the demo's student (`make test-slow`)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.services import open_services
from engine.config import ProjectConfig, StudentConfig
from engine.infer import student_folder
from engine.types import make_query

QUESTIONS = (
    *("What do bees make?", "Which animal barks?", "What falls from clouds?", "What do you use to cut bread?"),
    *("Where do fish live?", "What is frozen water called?", "Which season is coldest?", "What do cows give?"),
    *("What do you read?", "Which colour is the sky?", "What shines at night?", "What do you wear on your feet?"),
    *("Where do birds lay eggs?", "What do you drink when thirsty?", "Who teaches at a school?", "What opens a lock?"),
    *("What pulls a train?", "What is two plus two?", "How many legs has a spider?", "What tells the time?"),
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "log.txt").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        try:
            stop_at = time.monotonic() + 120
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
