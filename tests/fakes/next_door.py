"""A backend whose workers run on a copy of their bundle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.jobs.backends import Outcome
from engine.jobs.events import EVENTS_FILE, Scan, scan_events
from engine.jobs.spec import STATUS_FILE
from engine.values import JobStatus


class NextDoor:
    """Runs workers on a copy of what a bundle names, in a folder of its own, and brings back what came of it."""

    title = "next door"
    help = "A folder beside."

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.works: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, bundle: Path, devices: int) -> str:
        self._copy(bundle, bundle.parents[1], self.root)
        command = [sys.executable, "-m", "tests.fakes.student_worker", str(self.root / "jobs" / bundle.name)]
        self.works[bundle.name] = subprocess.Popen(command)
        return bundle.name

    def poll(self, bundle: Path, handle: str) -> Outcome | None:
        if self.works[handle].poll() is None:
            return None
        self._copy(bundle, self.root, bundle.parents[1])
        told = json.loads((bundle / STATUS_FILE).read_text("utf-8"))
        return Outcome(JobStatus(told["status"]), told["message"])

    def cancel(self, bundle: Path, handle: str, at_once: bool = False) -> None:
        self.works[handle].kill()

    def journal(self, bundle: Path, handle: str | None, offset: int) -> Scan:
        self._copy(bundle, self.root, bundle.parents[1])
        return scan_events(bundle / EVENTS_FILE, offset)

    def _copy(self, bundle: Path, source: Path, target: Path) -> None:
        for folder in (f"jobs/{bundle.name}", "runs"):
            if (source / folder).exists():
                shutil.copytree(source / folder, target / folder, dirs_exist_ok=True)
