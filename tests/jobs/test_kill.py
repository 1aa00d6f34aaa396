"""kill -9 of the app while it labels and ingests: nothing journaled is lost, asked again or doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from app.usecases.workspace.context import open_context
from tests.fakes.forks import FORKS
from tests.fakes.slow_label import PROJECT

QUERIES, MANY = 60, 1000


def start(workspace: Path, pause: float, queries: int = QUERIES) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.fakes.slow_label", str(workspace), str(queries), str(pause)]
    return FORKS.start(command, stdout=subprocess.PIPE, start_new_session=True)


def journaled(workspace: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in workspace.glob("jobs/*/events.jsonl"))


def kill_at(workspace: Path, lines: int, after: float, pause: float = 0.02) -> int:
    """Kill the app soon after its journal has `lines` lines; returns how many it then had."""
    process = start(workspace, pause)
    end = time.monotonic() + 60
    while journaled(workspace) < lines and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return journaled(workspace)


def finish_and_check(workspace: Path, kills: int, queries: int = QUERIES) -> None:
    process = start(workspace, 0.0, queries)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and b"done" in out
    context = open_context(workspace)
    project = context.projects.get(PROJECT)
    attempts = context.db.rows("SELECT teacher, query_id, error FROM attempts WHERE project_id = ?", [project.id])
    good = Counter((row["teacher"], row["query_id"]) for row in attempts if row["error"] is None)
    assert max(good.values()) == 1, "a reply that was journaled was asked for again"
    samples = context.db.rows("SELECT teacher, query_id FROM samples WHERE project_id = ?", [project.id])
    assert Counter((row["teacher"], row["query_id"]) for row in samples) == good
    seen = {(row["teacher"], row["query_id"]) for row in attempts}
    assert len(seen) == queries * 3, "every query was asked of every teacher"
    asked = Counter((workspace / "asked.txt").read_text().splitlines())
    paid_twice = sum(n - 1 for key, n in asked.items() if tuple(key.split()) in good)
    assert paid_twice <= kills * 3, "at most what was in flight (one request a teacher) is paid twice"
    lines = [json.loads(x) for p in workspace.glob("jobs/*/events.jsonl") for x in p.read_text().splitlines()]
    stored = context.db.row("SELECT count(*) AS n FROM events")
    assert stored is not None and stored["n"] == len(lines)
    context.db.close()


@pytest.mark.parametrize("after", [0.0, 0.25])
def test_kill_while_labelling_and_ingesting(workspace: Path, after: float) -> None:
    first = kill_at(workspace, lines=20, after=after)
    second = kill_at(workspace, lines=first + 20, after=after)
    assert second > first >= 20
    finish_and_check(workspace, kills=2)


@pytest.mark.kill
def test_a_hundred_kills_at_random_moments(workspace: Path, record_property: Callable[[str, object], None]) -> None:
    """So many queries that work is left at the last kill."""
    rng = random.Random(1)
    for _ in range(100):
        process = start(workspace, 0.2, MANY)
        time.sleep(rng.uniform(0.2, 2.0))
        assert process.poll() is None, "it ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finish_and_check(workspace, kills=100, queries=MANY)
    said = f"label and ingest: 100 kills, {3 * MANY:,} queries asked, none lost, none stored twice"
    record_property("kills", said)
