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

from engine.environment import environment_for
from engine.jobs.backends.base import BACKENDS, Outcome
from engine.jobs.events import EVENTS_FILE, Scan, scan_events
from engine.jobs.folder_lock import UNKNOWN_WORKER, find_worker
from engine.jobs.processes import find_process, make_handle
from engine.jobs.spec import LOG_FILE, STATUS_FILE, keys_of
from engine.values import LOCAL, JobStatus


class LocalBackend:
    """Starts workers in a process group of their own, so that closing the app or a Ctrl-C doesn't end them.

    A handle is the process's id and its start, since ids are used again; a worker whose process can't be told any more
    is known by the lock that it holds on the job's folder.
    """

    title = "this machine"
    help = "A process of its own here; over several GPUs by accelerate's launcher."

    def submit(self, bundle: Path, devices: int) -> str:
        """Start the worker of a folder; its output goes to log.txt there. One that is at it already is taken over."""
        working = find_worker(bundle)
        if working is not None:
            return working
        (bundle / STATUS_FILE).unlink(missing_ok=True)
        command, environment = self.command(bundle, devices), worker_environment(devices, keys_of(bundle))
        with (bundle / LOG_FILE).open("ab") as log:
            return make_handle(start_process(command, log, environment))

    def command(self, bundle: Path, devices: int) -> list[str]:
        """What is started."""
        return worker_command(bundle, devices)

    def poll(self, bundle: Path, handle: str) -> Outcome | None:
        """What the worker left in status.json when it ended; interrupted where its process is gone without that."""
        if find_process(handle) is not None or find_worker(bundle) is not None:
            return None
        with suppress(OSError, ValueError, LookupError, TypeError):  # no word, or none that can be read
            status = json.loads((bundle / STATUS_FILE).read_text("utf-8"))
            return Outcome(JobStatus(status["status"]), str(status["message"]))
        last = _last_words(bundle / LOG_FILE)
        message = f"its process is gone; what it had journaled is kept, resume goes on.{last}"
        return Outcome(JobStatus.INTERRUPTED, message)

    def cancel(self, bundle: Path, handle: str, at_once: bool = False) -> None:
        """SIGTERM to the worker, which lets what it started come to an end; `at_once`: SIGKILL to its group."""
        process = find_process(handle) or find_process(find_worker(bundle) or UNKNOWN_WORKER)
        if process is not None and process.pid != os.getpid():
            with suppress(ProcessLookupError):
                group = os.getpgid(process.pid)
                if at_once and group != os.getpgid(0):
                    os.killpg(group, signal.SIGKILL)
                else:
                    os.kill(process.pid, signal.SIGKILL if at_once else signal.SIGTERM)

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


def _last_words(log: Path) -> str:
    """The last line that a worker printed, and where the rest stands."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return f" Its last words in {log}: {lines[-1][-300:]}" if lines else ""
