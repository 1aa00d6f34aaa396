"""Workers on this machine: one process, or `accelerate launch` over several GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from engine.jobs.spec import LOG_FILE

_ROOT = Path(__file__).resolve().parents[3]


class LocalBackend:
    """Starts workers in a process group of their own, so that closing the app or a Ctrl-C doesn't end them."""

    def start(self, run_dir: Path, devices: int) -> int:
        """Start the worker of a folder; its output goes to log.txt there. Returns the process id."""
        command, environment = worker_command(run_dir, devices), worker_environment(devices)
        with (run_dir / LOG_FILE).open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment
            )
        return process.pid


def worker_environment(devices: int = 1) -> dict[str, str]:
    """The environment of a worker: this package is found from any folder, and one device is seen unless it has more."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
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
