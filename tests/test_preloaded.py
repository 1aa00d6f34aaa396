"""A preloaded process outlives those who ask it and are killed in the middle, as tests of kills do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.preloaded import Fork, preload
from tests.fakes.waiting import until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "server"
    process = preload(path, ["json"], os.getpid())
    until(path.exists)
    yield path
    process.kill()
    process.wait()


@pytest.mark.parametrize("kept", [0, 4, 8, 30, None], ids=lambda kept: f"{kept} bytes")
def test_whoever_breaks_off_ends_nothing_but_itself(server: Path, kept: int | None) -> None:
    asked = json.dumps(["platform", [], os.getcwd(), dict(os.environ)]).encode()
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(server))
            socket.send_fds(client, [(len(asked).to_bytes(8, "big") + asked)[:kept] or b""], [0, 1, 2])

    with Fork(server, ["platform"], stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and out.strip()


def test_what_begins_leads_a_group_of_its_own_before_anybody_knows_its_id(server: Path) -> None:
    """Else whoever stops it at once with its group stops the preloaded process too."""
    for _ in range(40):
        with Fork(server, ["timeit", "-n", "1", "-r", "1", "__import__('time').sleep(60)"]) as process:
            group = os.getpgid(process.pid)
            process.kill()
        assert group == process.pid
