"""A worker whose app was killed is known again, whatever the clock says; a second one never starts beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.jobs import processes
from engine.jobs.backends.local import LocalBackend, worker_environment
from engine.jobs.events import EVENTS_FILE
from engine.jobs.folder_lock import LOCK_FILE, find_worker, take_folder
from engine.jobs.processes import find_process, make_handle
from engine.jobs.spec import STATUS_FILE, RunLabelsJob, write_spec
from engine.values import JobStatus
from tests.fakes.worker import find_pid
from tests.jobs.test_supervisor import House


@pytest.fixture
def orphaned(workspace: Path) -> Iterator[tuple[House, str]]:
    """A house whose app is gone, with a worker that goes on, and the id of its job."""
    old = House(workspace)
    job = old.submit(events=2000, pause=0.05)
    old.until(lambda: len(old.metrics()) > 1)
    old.context.db.close()
    new = House(workspace)
    yield new, job.id
    new.close()


def test_a_worker_is_known_again_after_the_clock_was_set(
    orphaned: tuple[House, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, job_id = orphaned
    real = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: real(self) + 3600)  # as after a step of an hour
    house.supervisor.recover()
    assert house.context.jobs.get_job(job_id).status is JobStatus.RUNNING
    house.supervisor.tick()
    assert house.backend.started == []


def test_a_worker_that_nobody_remembers_is_taken_over_and_can_be_stopped(orphaned: tuple[House, str]) -> None:
    house, job_id = orphaned
    job = house.context.jobs.get_job(job_id)
    house.context.jobs.update_job(job_id, status=JobStatus.QUEUED, handle=None)
    house.until(lambda: house.context.jobs.get_job(job_id).status is JobStatus.RUNNING)
    assert house.backend.started == [], "a second worker was started beside the first"
    assert house.context.jobs.get_job(job_id).handle == job.handle
    house.supervisor.cancel(job_id)
    house.until(lambda: bool(house.over))
    assert house.context.jobs.get_job(job_id).status is JobStatus.CANCELLED


def test_a_worker_with_another_handle_is_held_by_its_lock(orphaned: tuple[House, str]) -> None:
    """As one that an older program started, whose clock was set since."""
    house, job_id = orphaned
    job = house.context.jobs.get_job(job_id)
    house.context.jobs.update_job(job_id, handle=f"{find_pid(str(job.handle))} 1.0")
    house.supervisor.recover()
    assert house.context.jobs.get_job(job_id).status is JobStatus.RUNNING
    house.supervisor.cancel(job_id)
    house.until(lambda: bool(house.over))
    assert house.context.jobs.get_job(job_id).status is JobStatus.CANCELLED


def test_a_second_worker_on_a_folder_does_nothing_and_says_nothing_of_its_own(tmp_path: Path) -> None:
    write_spec(tmp_path, RunLabelsJob(task="code", file=tmp_path / "in.jsonl", output=tmp_path / "out.jsonl"))
    held = take_folder(tmp_path)
    assert held is not None
    second = subprocess.run(
        [sys.executable, "-m", "engine.jobs.worker", str(tmp_path)], env=worker_environment(), capture_output=True
    )
    assert second.returncode == 1 and b"another worker is at this job" in second.stderr
    assert not (tmp_path / STATUS_FILE).exists() and not (tmp_path / EVENTS_FILE).exists()
    assert find_worker(tmp_path) == make_handle(os.getpid())
    held.close()
    assert find_worker(tmp_path) is None


def test_what_a_dead_worker_forked_does_not_hold_its_folder(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\nfrom pathlib import Path\nfrom engine.jobs.folder_lock import take_folder\n"
        "held = take_folder(Path(sys.argv[1]))\nchild = os.fork()\n"
        "time.sleep(60) if child == 0 else print(child, flush=True)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, env=worker_environment()
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.wait()
    try:
        assert psutil.pid_exists(child)
        assert find_worker(tmp_path) is None
    finally:
        os.kill(child, 9)
        parent.stdout.close()


def test_a_lock_file_that_says_nothing_still_holds(tmp_path: Path) -> None:
    held = take_folder(tmp_path)
    assert held is not None
    (tmp_path / LOCK_FILE).write_text("")  # as a worker of an older program leaves it
    backend = LocalBackend()
    handle = backend.submit(tmp_path, 1)
    assert backend.poll(tmp_path, handle) is None
    backend.cancel(tmp_path, handle, at_once=True)
    held.close()
    outcome = backend.poll(tmp_path, handle)
    assert outcome is not None and outcome.status is JobStatus.INTERRUPTED


@pytest.mark.parametrize("proc", ["/proc", "/nowhere"], ids=["with /proc", "without"])
def test_a_handle_finds_its_process_alone(proc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PROC", Path(proc))
    handle = make_handle(os.getpid())
    found = find_process(handle)
    assert found is not None and found.pid == os.getpid()
    pid, *start = handle.split()
    assert find_process(" ".join([pid, str(float(start[0]) - 5), *start[1:]])) is None, "another process with its id"
    assert find_process(make_handle(2**22 + 1)) is None
    assert find_process("0 0.0") is None and find_process(f"{pid} x") is None
    older = f"{pid} {psutil.Process().create_time()}"
    assert find_process(older) is not None, "a worker that an older program started"


def test_a_handle_of_an_earlier_start_of_the_machine_finds_nothing() -> None:
    pid, ticks, _ = make_handle(os.getpid()).split()
    assert find_process(f"{pid} {ticks} 00000000-0000-0000-0000-000000000000") is None


def test_whoever_looks_for_a_moment_does_not_keep_a_worker_out(tmp_path: Path) -> None:
    looking = take_folder(tmp_path)
    assert looking is not None
    started = time.monotonic()
    assert take_folder(tmp_path, patience_s=0.0) is None
    looking.close()
    assert take_folder(tmp_path) is not None and time.monotonic() - started < 5
