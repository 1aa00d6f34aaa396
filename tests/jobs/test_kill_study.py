"""kill -9 of a study while it labels, takes in, trains, answers and scores: its records are those of a quiet one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GRID = Path(__file__).parents[2] / "docs" / "studies" / "smoke.toml"
KILLS = 30
TIMED = (
    "seconds",
    "at",
    "started_at",
    "finished_at",
    "created_at",
    "peak_bytes",
    "machine",
    "energy_wh",
    "run",
    "shared",
    "scored_by",
)
"""What differs between two runs of the same."""


def start(workspace: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app", "study", str(GRID), "--workspace", str(workspace), "--json"]
    env = os.environ | {"TACIT_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env=env)


def finish(workspace: Path) -> list[Any]:
    process = start(workspace)
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err.decode()
    assert json.loads(out)
    files = sorted((workspace / "studies").rglob("*.json"))
    return [untimed(json.loads(file.read_text())) for file in files]


def untimed(value: Any) -> Any:
    """The same without what a clock or a machine put in."""
    if isinstance(value, dict):
        return {name: untimed(one) for name, one in value.items() if not name.endswith(TIMED)}
    return [untimed(one) for one in value] if isinstance(value, list) else value


@pytest.mark.kill
def test_a_study_that_is_killed_again_and_again_ends_as_a_quiet_one(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    quiet = finish(tmp_path / "quiet")
    rng = random.Random(2)
    workspace = tmp_path / "killed"
    seen: list[str] = []
    for _ in range(KILLS):
        process = start(workspace)
        time.sleep(rng.uniform(1.0, 14.0))
        seen.append("over" if process.poll() is not None else "killed")
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.communicate()
    assert seen.count("killed") >= KILLS // 2
    killed = finish(workspace)
    assert killed == quiet
    told = (
        f"study (label, ingest, train, compress, score): {seen.count('killed')} kills, {len(killed)} records as quiet"
    )
    record_property("kills", told)
