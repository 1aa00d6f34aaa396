"""Workers on this machine: one process, or `accelerate launch` over several GPUs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from engine.environment import environment_for
from engine.jobs.backends.base import BACKENDS, Outcome
from engine.jobs.events import EVENTS_FILE, Scan, scan_events
from engine.jobs.spec import LOG_FILE, STATUS_FILE, keys_of
from engine.values import LOCAL, JobStatus


class LocalBackend:
    """Starts workers in a process group of their own, so that closing the app or a Ctrl-C doesn't end them.

    A handle is the process's id and its start time, since ids are used again.
    """

    title = "this machine"
    help = "A process of its own here; over several GPUs by accelerate's launcher."

    def submit(self, bundle: Path, devices: int) -> str:
        """Start the worker of a folder; its output goes to log.txt there."""
        (bundle / STATUS_FILE).unlink(missing_ok=True)
        command, environment = self.command(bundle, devices), worker_environment(devices, keys_of(bundle))
        with (bundle / LOG_FILE).open("ab") as log:
            return make_handle(start_process(command, log, environment))

    def command(self, bundle: Path, devices: int) -> list[str]:
        """What is started."""
        return worker_command(bundle, devices)

    def poll(self, bundle: Path, handle: str) -> Outcome | None:
        """What the worker left in status.json when it ended; interrupted where its process is gone without that."""
        if _find(handle) is not None:
            return None
        with suppress(OSError, ValueError, LookupError, TypeError):  # no word, or none that can be read
            status = json.loads((bundle / STATUS_FILE).read_text("utf-8"))
            return Outcome(JobStatus(status["status"]), str(status["message"]))
        last = _last_words(bundle / LOG_FILE)
        message = f"its process is gone; what it had journaled is kept, resume goes on.{last}"
        return Outcome(JobStatus.INTERRUPTED, message)

    def cancel(self, bundle: Path, handle: str, at_once: bool = False) -> None:
        """SIGTERM to the worker, which lets what it started come to an end; `at_once`: SIGKILL to its group."""
        process = _find(handle)
        if process is not None and process.pid != os.getpid():
            with suppress(ProcessLookupError):
                send, number = (os.killpg, signal.SIGKILL) if at_once else (os.kill, signal.SIGTERM)
                send(process.pid, number)

    def journal(self, bundle: Path, handle: str | None, offset: int) -> Scan:
        """The journal in the folder itself."""
        return scan_events(bundle / EVENTS_FILE, offset)


BACKENDS.add(LOCAL, LocalBackend())


def start_process(command: list[str], log: IO[bytes], environment: Mapping[str, str]) -> int:
    """Start a process in a session of its own, without input, its output going to `log`; its id."""
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment
    ).pid


def worker_environment(devices: int = 1, keys: Iterable[str] = ()) -> dict[str, str]:
    """The environment of a worker: no secret but its keys, and one device is seen unless it has more."""
    environment = environment_for(keys)
    if devices <= 1:
        environment.setdefault("CUDA_VISIBLE_DEVICES", os.environ.get("TACIT_DEVICE", "0"))
    return environment


def worker_command(run_dir: Path, devices: int) -> list[str]:
    """The argument list of a worker; with several devices through accelerate's launcher."""
    worker = ["-m", "engine.jobs.worker", str(run_dir)]
    if devices <= 1:
        return [sys.executable, *worker]
    launch = ["-m", "accelerate.commands.launch", "--num_processes", str(devices), "--multi_gpu"]
    return [sys.executable, *launch, *worker]


def make_handle(pid: int) -> str:
    """A process by its id and its start time."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        started = 0.0
    return f"{pid} {started}"


def _find(handle: str) -> psutil.Process | None:
    """The process of a handle; None where it is gone, or a zombie, which is then let go."""
    pid, started = handle.split()
    try:
        process = psutil.Process(int(pid))
        if abs(process.create_time() - float(started)) >= 1:
            return None
        if process.status() == psutil.STATUS_ZOMBIE:
            with suppress(ChildProcessError):
                os.waitpid(int(pid), os.WNOHANG)
            return None
        return process
    except psutil.NoSuchProcess:
        return None


def _last_words(log: Path) -> str:
    """The last line that a worker printed, and where the rest stands."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return f" Its last words in {log}: {lines[-1][-300:]}" if lines else ""
